"""Transcoders: dictionaries whose codes of one kind of rows reconstruct another kind."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from rhohat.common.arrays import FloatArray
from rhohat.common.fitted import FittedAttributes
from rhohat.common.pieces import as_one_array
from rhohat.data import RowSource
from rhohat.estimators.checks import check_lengths, check_rows
from rhohat.estimators.dictionary import BaseDictionary
from rhohat.estimators.model_parts import ModelReader, ModelWriter

__all__ = ["Transcoder"]


class Transcoder(FittedAttributes, TransformerMixin, BaseEstimator):
    """Transcoder: a dictionary whose codes of rows X reconstruct other rows Y, such as what a layer makes of its input.

    f = selection of (x − x̄) W_enc + b_enc, and ŷ = f W_dec + b_dec, to which (x − x̄) W_skip is added if `skip` is true.
    X and Y are each scaled by one factor, and x̄ is the mean of the rows, as the parameters of the dictionary ask for.

    Parameters
    ----------
    dictionary : TopKAutoencoder or another dictionary
        The dictionary that is trained, unfitted, with its selection and all settings of the training.
    skip : bool, default=False
        Whether a linear connection leads from the input to the output; its weights start at 0.

    Attributes
    ----------
    dictionary_ : fitted dictionary
        Its `coefs_` have the shapes (n_features, n_components) and (n_components, n_outputs).
    skip_weights_ : array of shape (n_features, n_outputs) or None
        Weights of the connection, in the units of the rows.

    References
    ----------
    Dunefsky, J., Chlenski, P. and Nanda, N. (2024). Transcoders find interpretable LLM feature circuits. arXiv
    2406.11944.

    Paulo, G., Shabalin, S. and Belrose, N. (2025). Transcoders beat sparse autoencoders for interpretability. arXiv
    2501.18823, on the connection from the input to the output.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import TopKAutoencoder, Transcoder
    >>> X = np.random.default_rng(0).standard_normal((500, 16))
    >>> Y = np.maximum(X @ np.random.default_rng(1).standard_normal((16, 6)), 0)
    >>> transcoder = Transcoder(TopKAutoencoder(32, 4, max_iter=50, random_state=0), skip=True).fit(X, Y)
    >>> transcoder.transform(X).shape, transcoder.predict(X).shape
    ((500, 32), (500, 6))
    """

    _set_by_fit = "dictionary_"
    #: Parameters that model files do not hold as such, because what they hold is made of them.
    models_within: ClassVar[tuple[str, ...]] = ("dictionary",)
    #: Keys of the dict that `_describe_learned` returns.
    _keys_of_learned: ClassVar[tuple[str, ...]] = ("dictionary",)
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {"skip": ["boolean"]}

    dictionary_: BaseDictionary

    def __init__(self, dictionary: BaseDictionary, skip: bool = False) -> None:
        self.dictionary, self.skip = dictionary, skip

    def fit(self, X: ArrayLike | RowSource, Y: ArrayLike | RowSource) -> Self:
        """Learn to reconstruct Y from the codes of X.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        Y : array-like or RowSource of shape (n_samples, n_outputs)
            Outputs; a row source if, and only if, X is one.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `dictionary` is something else; X and Y have different numbers of rows; or in the cases in which `fit` of
            a dictionary raises it.
        """
        self._validate_params()
        if not isinstance(self.dictionary, BaseDictionary):
            raise ValueError(f"dictionary must be a dictionary, such as TopKAutoencoder(); got {self.dictionary!r}.")
        if isinstance(X, RowSource) != isinstance(Y, RowSource):
            raise ValueError("X and Y must both be row sources, or both be arrays.")
        X, Y = as_one_array(X), as_one_array(Y, "Y")
        check_lengths(X, Y)
        dictionary = clone(self.dictionary).set_params(warm_start=False)
        dictionary._has_skip = bool(self.skip)
        dictionary._validate_params()
        outputs = Y if isinstance(Y, RowSource) else check_rows(Y, "Y")
        dictionary._learn(X, [*dictionary._sources(X, continues=False), outputs])
        self.dictionary_, self.n_features_in_ = dictionary, dictionary.n_features_in_
        return self

    def _describe_learned(self, file: ModelWriter, prefix: str) -> dict[str, Any]:
        """Return a description of the fitted dictionary, for a model file."""
        return {"dictionary": file.model(self.dictionary_, f"{prefix}dictionary.")}

    def _restore_learned(self, file: ModelReader, described: dict[str, Any], prefix: str) -> None:
        """Restore the fitted dictionary from a model file; the inverse of `_describe_learned`."""
        fitted = file.model(file.get(described, "dictionary", dict), f"{prefix}dictionary.", BaseDictionary)
        if not fitted._is_of_transcoder or fitted._has_skip != self.skip:
            raise ValueError(f"the dictionary in the file is not that of a transcoder with skip={self.skip}.")
        self.dictionary, self.dictionary_, self.n_features_in_ = clone(fitted), fitted, fitted.n_features_in_

    def transform(self, X: ArrayLike | RowSource) -> Any:
        """Return the sparse codes of rows; see `transform` of the dictionary."""
        check_is_fitted(self)
        return self.dictionary_.transform(X)

    def predict(self, X: ArrayLike | RowSource) -> FloatArray:
        """Return the outputs that the codes of rows reconstruct, of shape (n_samples, n_outputs)."""
        check_is_fitted(self)
        return self.dictionary_.reconstruct(X)

    def score(self, X: ArrayLike | RowSource, Y: ArrayLike) -> float:
        """Return the fraction of the variance of Y, about its column means, that the predictions explain.

        1 − Σ_ij (y_ij − ŷ_ij)² / Σ_ij (y_ij − ȳ_j)², as for autoencoders.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        Y : array-like of shape (n_samples, n_outputs)

        Returns
        -------
        float
        """
        check_is_fitted(self)
        Y = as_one_array(Y, "Y")
        outputs: FloatArray = check_rows(Y, "Y").astype(np.float64)
        residual = outputs - self.predict(X)
        variance = float(((outputs - outputs.mean(0)) ** 2).sum())
        return 1 - float((residual**2).sum()) / variance if variance > 0 else float(not residual.any())

    @property
    def skip_weights_(self) -> FloatArray | None:
        """Weights from the input to the output, in the units of the rows; None if there are none."""
        check_is_fitted(self)
        return self.dictionary_._skip_weights()
