"""What a fitted dictionary does with rows: sparse codes, reconstructions, and the variance that they explain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from rhohat.common.arrays import FloatArray, as_float_rows, without_tensors
from rhohat.common.fitted import FittedAttributes
from rhohat.common.pieces import as_one_array, check_flat
from rhohat.data import RowSource, open_rows
from rhohat.data.bad_numbers import naming_columns
from rhohat.data.finite import check_finite_block
from rhohat.data.ranges import warn_of_other_scale
from rhohat.data.rows import is_dask_array
from rhohat.dictionaries.encoding import Coder
from rhohat.dictionaries.folding import Folding
from rhohat.dictionaries.scaling import Scaling
from rhohat.dictionaries.training import DictionaryProblem, DictionaryState
from rhohat.engines import EngineLike, ThreadEngine, device_of
from rhohat.estimators.checks import check_rows
from rhohat.estimators.estimator import Estimator
from rhohat.estimators.explained_variance import explained_variance
from rhohat.estimators.nested import NestedParameters
from rhohat.ops import code_ops_of, ops_for
from rhohat.ops.code_ops import Codes, joined

__all__ = ["UsableDictionary"]

_ROWS_AT_ONCE = 4096  # fewest rows of a source that are encoded at a time


class UsableDictionary(
    Estimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, FittedAttributes, NestedParameters, BaseEstimator
):
    """The part of a dictionary that is used after a fit, which is a scikit-learn transformer with sparse codes."""

    reconstructs: ClassVar[bool] = True
    has_sparse_codes: ClassVar[bool] = True
    noun_of_code: ClassVar[str] = "latent"

    _set_by_fit = "scaling_"

    sparse_output: bool
    n_jobs: int | None
    engine: EngineLike
    scaling_: Scaling
    threshold_: float | None
    measures_curve_: dict[str, list[float]]
    _problem: DictionaryProblem
    _state: DictionaryState
    _folding: Folding

    def transform(self, X: ArrayLike | RowSource) -> Any:
        """Return the sparse codes of rows.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)

        Returns
        -------
        csr_array of shape (n_samples, n_components), or array if `sparse_output` is False
            The codes, which are not negative.
        """
        codes = self.encode(X).as_matrix(self.n_components_)
        return codes if self.sparse_output else codes.toarray()

    def encode(self, X: ArrayLike | RowSource) -> Codes:
        """Return the codes of rows as the arrays of a matrix in compressed sparse row format.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)

        Returns
        -------
        Codes
            Named tuple of `starts`, of shape (n_samples + 1,), and of `latents` and `values`, of shape (n_entries,).
        """
        rows = self._validate_for_use(X)
        coder = self._coder(rows)
        with coder.engine.session():
            if not isinstance(rows, RowSource):
                return coder.encode(rows)
            return joined([coder.encode(block) for block in self._blocks(rows)])

    def codes(self, rows: FloatArray | RowSource) -> sparse.csr_array:
        """Return the sparse codes of rows as `transform` does, whatever `sparse_output` is."""
        return self.encode(rows).as_matrix(self.n_components_)

    def code_blocks(self, rows: RowSource) -> Iterator[sparse.csr_array]:
        """Yield the sparse codes of successive rows, some at a time."""
        self._validate_for_use(rows)
        n_latents = self.n_components_
        return self._in_blocks(rows, lambda coder, block: coder.encode(block).as_matrix(n_latents))

    def decode(self, codes: sparse.csr_array, rows: FloatArray) -> FloatArray:
        """Return the reconstructions of rows from their codes, in the units of the rows.

        Parameters
        ----------
        codes : csr_array of shape (n_samples, n_components)
            What `codes` or `transform` returned for the rows.
        rows : array of shape (n_samples, n_features)
            The rows; with ``normalize="layer_norm"`` they give the scale of their reconstructions.

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        coder = self._coder(rows)
        entries = Codes(codes.indptr, codes.indices, codes.data)
        with coder.engine.session():
            return coder.restore(entries, np.ascontiguousarray(rows, self._state.theta.dtype))

    def reconstruction_blocks(self, rows: RowSource) -> Iterator[FloatArray]:
        """Yield the reconstructions of successive rows, some at a time."""
        self._validate_for_use(rows)
        return self._in_blocks(rows, Coder.reconstruct)

    def _in_blocks(self, rows: RowSource, function: Callable[[Coder, FloatArray], Any]) -> Iterator[Any]:
        """Yield what a function makes of successive rows, some at a time."""
        coder = self._coder(rows)
        with coder.engine.session():
            for block in self._blocks(rows):
                yield function(coder, block)

    def inverse_transform(self, H: Any) -> FloatArray:
        """Return the rows that codes decode to.

        Parameters
        ----------
        H : sparse matrix or array-like of shape (n_samples, n_components)
            Codes.

        Returns
        -------
        array of shape (n_samples, n_features)
            With ``normalize="layer_norm"`` in units of normalised rows, because codes do not hold the scale of a row.
        """
        check_is_fitted(self)
        codes = sparse.csr_array(H) if sparse.issparse(H) else check_rows(H, "H")
        if codes.shape[1] != self.n_components_:
            raise ValueError(f"H must have {self.n_components_} columns, one for each latent; got {codes.shape[1]}.")
        decoder, bias = self.coefs_[1], self.intercepts_[1]
        made: FloatArray = codes.astype(decoder.dtype) @ decoder + bias
        return made

    def reconstruct(self, X: ArrayLike | RowSource) -> FloatArray:
        """Return the reconstructions of rows, which are encoded and then decoded.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        rows = self._validate_for_use(X)
        coder = self._coder(rows)
        with coder.engine.session():
            blocks = self._blocks(rows) if isinstance(rows, RowSource) else [rows]
            return np.concatenate([coder.reconstruct(block) for block in blocks])

    def predict(self, X: ArrayLike | RowSource) -> FloatArray:
        """Return `reconstruct(X)`, under the name that scikit-learn's tools expect."""
        return self.reconstruct(X)

    def score(self, X: ArrayLike | RowSource, y: object = None) -> float:
        """Return the fraction of the variance of X, about its column means, that the reconstruction explains.

        1 − Σ_ij (x_ij − x̂_ij)² / Σ_ij (x_ij − x̄_j)²; 1 is perfect, 0 is as good as the column means.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        float
            The explained fraction. If all rows are equal, it is 1 for a perfect reconstruction, else 0.
        """
        rows = self._validate_for_use(X)
        coder = self._coder(rows)

        def reconstruct(block: FloatArray, _: int) -> FloatArray:
            return coder.reconstruct(np.ascontiguousarray(block, self._state.theta.dtype))

        with coder.engine.session():
            return explained_variance(open_rows(rows), None, reconstruct)

    @property
    def decoder_(self) -> FloatArray:
        """Rows of the decoder, of shape (n_components, n_features): the direction of each latent.

        They are in the units of the rows. If `decoder_norm` is True, all have the norm ``1 / scaling_.factor``.
        """
        return np.ascontiguousarray(self.coefs_[1])

    @property
    def encoder_(self) -> FloatArray:
        """Rows of the encoder, of shape (n_components, n_features): what each latent looks for."""
        return np.ascontiguousarray(self.coefs_[0].T)

    @property
    def components_(self) -> FloatArray:
        """The decoder, as in scikit-learn's `DictionaryLearning`; of networks, `components_` are the encoder."""
        return self.decoder_

    @property
    def coefs_(self) -> list[FloatArray]:
        """Weights of the encoder, (n_features, n_components), and of the decoder, (n_components, n_features).

        The factor by which `normalize` scales all rows is folded into them, so that they are for rows as they are: with
        ``a = (X - intercepts_[1]) @ coefs_[0] + intercepts_[0]``, or ``a = X @ coefs_[0] + intercepts_[0]`` if `center`
        is False, the codes f are selected from a, and ``f @ coefs_[1] + intercepts_[1]`` are the reconstructions.
        """
        problem, theta = self._in_use()
        parameters = problem.layout.views(theta)
        return [parameters.encoder.T, parameters.decoder]

    @property
    def intercepts_(self) -> list[FloatArray]:
        """Biases of the encoder, (n_components,), and of the decoder, (n_features,); for rows as they are.

        If `center` is True, the bias of the decoder is subtracted from the rows before they are encoded; see `coefs_`.
        """
        problem, theta = self._in_use()
        parameters = problem.layout.views(theta)
        return [parameters.encoder_bias, parameters.decoder_bias]

    def _skip_weights(self) -> FloatArray | None:
        """Return the weights of a transcoder from the input to the output, in the units of the rows."""
        problem, theta = self._in_use()
        return problem.layout.views(theta).skip

    @property
    def layer_sizes_(self) -> tuple[int, ...]:
        """Numbers of features, of latents, and of features of the output."""
        check_is_fitted(self)
        layout = self._problem.layout
        return layout.n_features, layout.n_latents, layout.n_outputs

    @property
    def code_layer_(self) -> int:
        """Number of the layer whose activations are the code, counted from 1; it is 1."""
        check_is_fitted(self)
        return 1

    @property
    def n_steps_of_rows_(self) -> int | None:
        """Number of steps of the rows; None, as they are no sequences."""
        check_is_fitted(self)
        return None

    @property
    def n_steps_of_code_(self) -> int | None:
        """Number of steps of the code; None, as it is no sequence."""
        check_is_fitted(self)
        return None

    def describe(self) -> dict[str, Any]:
        """Return the selection, the sizes and the last measures of the training, in types that JSON can hold.

        Returns
        -------
        dict
            "selection", "latents", "features", "n_parameters" and "dtype"; "threshold", as `threshold_`, and
            "thresholds", the smallest, median and largest of latents that have their own, else None; "rows_seen";
            and of the last block of updates in the training, "fvu" (fraction of variance unexplained), "l0" (active
            latents of a row) and "dead".
        """
        (problem, theta), measures = self._in_use(), self.measures_curve_
        own = problem.layout.views(theta).of_latents.get("threshold")
        last = {name: curve[-1] if curve else None for name, curve in measures.items()}
        return {
            "selection": str(problem.selection),
            "latents": problem.layout.n_latents,
            "features": problem.layout.n_features,
            "n_parameters": self._state.theta.size,
            "dtype": str(self._state.theta.dtype),
            "threshold": self.threshold_,
            "thresholds": None if own is None else [float(level) for level in np.quantile(own, [0, 0.5, 1])],
            "rows_seen": self.n_samples_fit_,
            **{name: last.get(name) for name in ("fvu", "l0", "dead")},
        }

    @property
    def n_components_(self) -> int:
        """Number of latents of the fitted dictionary."""
        check_is_fitted(self)
        return self._problem.layout.n_latents

    @property
    def _is_of_transcoder(self) -> bool:
        """Whether a fitted dictionary reconstructs other rows than those that it encodes."""
        return self._problem.output_scaling is not None

    def _in_use(self) -> tuple[DictionaryProblem, FloatArray]:
        """Return the dictionary for rows as they are; computed when it is first needed after a fit."""
        check_is_fitted(self)
        return self._folding.in_use

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _known_rows(self, X: Any) -> FloatArray:
        """Return rows in memory as floats, after checking them against the columns of the fit."""
        X = as_one_array(X)
        check_flat(X)
        with np.errstate(invalid="ignore"), naming_columns(X=X):  # for scikit-learn's sum that detects NaN
            return as_float_rows(validate_data(self, without_tensors(X), dtype="numeric", reset=False))

    def _validate_for_use(self, X: Any) -> Any:
        """Return rows that are ready for the fitted dictionary, in its dtype; a row source is returned as it is."""
        check_is_fitted(self)
        if is_dask_array(X):
            X = open_rows(X)
        if isinstance(X, RowSource):
            if X.shape[1] != self.n_features_in_:
                raise ValueError(
                    f"X has {X.shape[1]} features, but {type(self).__name__} is expecting {self.n_features_in_}"
                    " features as input."
                )
            return X
        rows = self._known_rows(X)
        if hasattr(self, "training_range_"):
            warn_of_other_scale(self, rows, stacklevel=4)
        return np.ascontiguousarray(rows, self._state.theta.dtype)

    def _blocks(self, rows: RowSource) -> Iterator[FloatArray]:
        """Yield the rows of a source, some at a time, in the dtype of the dictionary."""
        first = 0
        for block in rows.blocks(max(_ROWS_AT_ONCE, rows.rows_at_once)):
            check_finite_block(block, rows.name, first, rows.feature_names)
            first += len(block)
            yield np.ascontiguousarray(block, self._state.theta.dtype)

    def _coder(self, rows: Any) -> Coder:
        device = device_of(self.engine)
        if device is not None and device.split == "rows":  # with latents split, none of the devices may hold all
            from rhohat.dictionaries.device_encoding import DeviceCoder

            return DeviceCoder(*self._in_use(), self.threshold_, device)
        engine, layout = ThreadEngine(self.n_jobs), self._problem.layout
        ops = ops_for(rows, rows.shape[0] * layout.n_latents * layout.n_features, engine.ops)
        return Coder(*self._in_use(), self.threshold_, engine, code_ops_of(ops))
