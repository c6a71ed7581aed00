"""The detector of unusual rows, which an autoencoder that has learned from a table reconstructs badly."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from rhohat.common.arrays import FloatArray, as_float_rows, without_tensors
from rhohat.common.fitted import FittedAttributes
from rhohat.common.pieces import check_flat
from rhohat.common.randomness import RandomState
from rhohat.data import RowSource, open_rows
from rhohat.data.bad_numbers import naming_columns
from rhohat.data.rows import is_dask_array, remember_columns
from rhohat.estimators.autoencoder import BaseAutoencoder
from rhohat.estimators.checks import check_rows
from rhohat.estimators.deep_autoencoder import DeepAutoencoder
from rhohat.estimators.dictionary_use import UsableDictionary
from rhohat.estimators.model_parts import ModelReader, ModelWriter
from rhohat.estimators.named_parts import NamedPart
from rhohat.estimators.nested import NestedParameters
from rhohat.estimators.scaled_autoencoder import ScaledAutoencoder, fit_scaler, scaled_rows, squared_errors
from rhohat.solvers import LBFGS

__all__ = ["AutoencoderDetector", "default_autoencoder"]

_FENCE = 1.5  # distance of the threshold from the middle half of the roots of the errors, in lengths of this half
_BYTES_HELD = 2**28
_SMALLEST_SHARE = 1e-2  # of the mean error of all columns, below which no column's usual error is taken to be


def default_autoencoder() -> DeepAutoencoder:
    """Return the autoencoder of a detector to which none is given, which suits columns of mean 0 and variance 1."""
    return DeepAutoencoder(
        hidden_layer_sizes=(10,),
        activation="tanh",
        output_activation="identity",
        weight_decay=0.1,
        solver=LBFGS(min_improvement=1e-3),  # scores change little after that
    )


class AutoencoderDetector(ScaledAutoencoder, FittedAttributes, NestedParameters, OutlierMixin, BaseEstimator):
    """Detector of unusual rows: an autoencoder learns what is usual, and the error of its reconstruction is the score.

    The autoencoder learns from rows z, whose columns are scaled. Its error for column j of row i is compared with the
    mean squared error v_j of this column in the rows of the fit, and the error of a row is the mean over the columns:

        c_ij = (z_ij − ẑ_ij)² / (d v_j),    error_i = Σ_j c_ij,    score_i = −error_i

    The errors of the rows of the fit have a mean of 1, and most of them are smaller. `explain` returns c, by which one
    sees which columns make a row unusual.

    Parameters
    ----------
    autoencoder : autoencoder or dictionary, default=None
        An unfitted autoencoder of any of rhohat's classes; the fit clones it. None means one hidden layer of 10 tanh
        units with a weight decay of 0.1, which does well on most tables without tuning: few units and a strong weight
        decay keep it from learning rows that are rare.
    contamination : "auto" or float, default="auto"
        The share of the rows of the fit that `predict` takes for outliers, in (0, 0.5]. "auto" takes a row for an
        outlier by the rule of box plots: if the square root of its error lies above the third quartile of those of the
        fit by more than 1.5 times the distance between the first and the third quartile. This may be no row of the fit
        at all, or several per cent of them.
    scale : bool, default=True
        Whether to bring each column to mean 0 and variance 1 before the autoencoder sees it; a constant column is only
        centred. False leaves rows as they are, which suits images and other rows whose columns have one unit.
    random_state : int, Generator, RandomState or None, default=None
        Seed of the fit, which is passed to the autoencoder unless it has a seed of its own.

    Attributes
    ----------
    autoencoder_ : autoencoder or dictionary
        The fitted autoencoder, which sees scaled rows.
    scaler_ : StandardScaler or None
        The scaler of the columns; None if `scale` is False.
    usual_errors_ : array of shape (n_features,), float64
        v: the mean squared error of each column in the rows of the fit, in units of scaled columns; at least a
        hundredth of the mean of all columns.
    offset_ : float
        The score below which a row is an outlier: ``decision_function(X) == score_samples(X) - offset_``.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : array of str, of shape (n_features,)
        Names of the columns, if they have names.
    n_samples_fit_ : int
        Number of rows of the fit.

    See Also
    --------
    sklearn.ensemble.IsolationForest : An outlier detector that is worth comparing with.

    Notes
    -----
    Outliers may be among the rows of the fit, if they are few. Where it is known which rows are usual, fit to these
    only. Rows are read and scored some at a time, so that there may be more of them than fit in memory.

    References
    ----------
    Hawkins, S., He, H., Williams, G. and Baxter, R. (2002). Outlier detection using replicator neural networks. DaWaK,
    170-180.

    Examples
    --------
    >>> import pandas as pd
    >>> from rhohat import AutoencoderDetector
    >>> rng = np.random.default_rng(0)
    >>> height = rng.normal(170, 10, 300)
    >>> table = pd.DataFrame({"height": height, "weight": height - 100 + rng.normal(0, 3, 300)})
    >>> table["age"] = rng.uniform(20, 60, 300)
    >>> table.loc[7, "weight"] = 45.0  # a usual weight, but not for this height
    >>> detector = AutoencoderDetector(contamination=0.01, random_state=0).fit(table)
    >>> int(detector.score_samples(table).argmin()), detector.predict(table)[:8].tolist()
    (7, [1, 1, 1, 1, 1, 1, 1, -1])
    >>> sorted(detector.explain(table).loc[7].nlargest(2).index)  # which do not go together in this row
    ['height', 'weight']
    """

    command_line_name: ClassVar[str | None] = "detector"
    _set_by_fit: ClassVar[str] = "offset_"
    _keys_of_learned: ClassVar[tuple[str, ...]] = (*ScaledAutoencoder._keys_of_learned, "offset")
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "autoencoder": [None, BaseAutoencoder, UsableDictionary],
        "contamination": [NamedPart(["auto"]), Interval(Real, 0, 0.5, closed="right")],
        "scale": ["boolean"],
        "random_state": ["random_state", np.random.Generator],
    }

    usual_errors_: FloatArray
    offset_: float

    def __init__(
        self,
        autoencoder: Any = None,
        *,
        contamination: str | float = "auto",
        scale: bool = True,
        random_state: RandomState = None,
    ) -> None:
        self.autoencoder = autoencoder
        self.contamination = contamination
        self.scale = scale
        self.random_state = random_state

    def fit(self, X: ArrayLike | RowSource, y: object = None) -> Self:
        """Learn what usual rows look like, and choose the threshold of `predict`.

        Parameters
        ----------
        X : array-like, DataFrame or RowSource of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of its range; X is not a dense two-dimensional array of finite numbers with at least
            one row; or in the cases in which `fit` of the autoencoder raises it.
        """
        self._validate_params()
        rows = self._rows(X, reset=True)
        scaler = fit_scaler(rows) if self.scale else None
        scaled = scaled_rows(rows, scaler, held=not isinstance(X, RowSource) or _is_small(rows))
        autoencoder = default_autoencoder() if self.autoencoder is None else clone(self.autoencoder)
        if autoencoder.random_state is None:
            autoencoder.set_params(random_state=self.random_state)
        autoencoder.fit(scaled)
        autoencoder.__dict__.pop("training_range_", None)  # rows far outside of it are what a detector is for
        total = sum(errors.sum(axis=0) for errors in squared_errors(autoencoder, scaled))
        self.autoencoder_, self.scaler_ = autoencoder, scaler
        self.usual_errors_ = _not_too_small(np.asarray(total) / len(rows))
        self.n_samples_fit_, self.data_name_ = len(rows), rows.short_name if isinstance(X, RowSource) else None
        autoencoder.data_name_ = self.data_name_  # scaled rows have another
        self.offset_ = self._threshold(-self._errors(scaled))
        self.__dict__.pop("model_card_", None)  # it was about an earlier fit
        return self

    def score_samples(self, X: ArrayLike | RowSource) -> FloatArray:
        """Return how usual rows are: the negative errors of their reconstructions; lower is more unusual.

        Parameters
        ----------
        X : array-like, DataFrame or RowSource of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,), float64
            Scores, which are at most 0. Those of the rows of the fit have a mean of −1; most of them are nearer to 0.
        """
        check_is_fitted(self)
        return -self._errors(scaled_rows(self._rows(X), self.scaler_))

    def decision_function(self, X: ArrayLike | RowSource) -> FloatArray:
        """Return the scores of rows minus the threshold: negative for outliers.

        Parameters
        ----------
        X : array-like, DataFrame or RowSource of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,), float64
            ``score_samples(X) - offset_``.
        """
        check_is_fitted(self)
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike | RowSource) -> NDArray[np.int64]:
        """Return whether rows are usual or outliers.

        Parameters
        ----------
        X : array-like, DataFrame or RowSource of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,), int
            1 for usual rows, −1 for outliers.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def explain(self, X: Any) -> Any:
        """Return how much each column contributes to the error of each row.

        Parameters
        ----------
        X : array-like, DataFrame or RowSource of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_features), float64; a DataFrame of pandas if X is one
            Contributions, not negative. Those of a row add up to its error, ``-score_samples(X)``. A DataFrame has the
            index and the columns of X, so that ``detector.explain(X).loc[row].nlargest(3)`` names the three
            columns that make a row most unusual.

        Raises
        ------
        ValueError
            If X does not have the columns of the fit. Behind other steps of a pipeline, use `rhohat.explain`.

        Examples
        --------
        >>> from sklearn.datasets import load_wine
        >>> from rhohat import AutoencoderDetector
        >>> table = load_wine(as_frame=True).data
        >>> detector = AutoencoderDetector(random_state=0).fit(table)
        >>> strangest = int(detector.score_samples(table).argmin())
        >>> detector.explain(table).loc[strangest].nlargest(2).index.tolist()
        ['flavanoids', 'ash']
        """
        check_is_fitted(self)
        if hasattr(X, "columns") and X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X must have the {self.n_features_in_} columns that the detector was fitted to; got {X.shape[1]}. If"
                " it is the last step of a pipeline, rhohat.explain(pipeline, X) explains rows as they are before the"
                " other steps."
            )
        contributions = np.concatenate(list(self.contribution_blocks(self._rows(X))))
        if hasattr(X, "iloc") and hasattr(X, "columns"):  # without an import of pandas
            return type(X)(contributions, index=X.index, columns=X.columns)
        return contributions

    def contribution_blocks(self, rows: RowSource) -> Iterator[FloatArray]:
        """Yield what `explain` returns for successive rows of a source, some rows at a time.

        Parameters
        ----------
        rows : RowSource of shape (n_samples, n_features)

        Yields
        ------
        array of shape (n_rows, n_features), float64
        """
        check_is_fitted(self)
        self._check_columns(rows)
        return self._contributions(scaled_rows(rows, self.scaler_))

    def reconstruct(self, X: ArrayLike | RowSource) -> FloatArray:
        """Return what the autoencoder makes of rows, in the units of the rows: the numbers that would have been usual.

        Parameters
        ----------
        X : array-like, DataFrame or RowSource of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        made = np.concatenate([block.copy() for block in self.reconstruction_blocks(self._rows(X))])
        return made

    def _rows(self, X: Any, *, reset: bool = False) -> RowSource:
        """Return rows as a source, after checking them against the columns of the fit, which `reset` sets anew."""
        if is_dask_array(X):
            X = open_rows(X)
        if isinstance(X, RowSource):
            check_rows(X)
            if reset:
                remember_columns(self, X)
            self._check_columns(X)
            return X
        check_flat(X)
        with np.errstate(invalid="ignore"), naming_columns(X=X):  # for scikit-learn's sum that detects NaN
            rows = as_float_rows(validate_data(self, without_tensors(X), dtype="numeric", reset=reset))
        if reset:
            self.__dict__.pop("reading_", None)
        return open_rows(rows)

    def _check_columns(self, rows: RowSource) -> None:
        """Raise ValueError if the columns of a source differ from those of the fit."""
        if rows.shape[1] != self.n_features_in_:
            raise ValueError(
                f"{rows.name} has {rows.shape[1]} columns, but {type(self).__name__} was fitted to rows of"
                f" {self.n_features_in_} columns."
            )
        known = getattr(self, "feature_names_in_", None)
        if known is not None and rows.feature_names is not None and list(known) != rows.feature_names:
            raise ValueError(
                f"the columns of {rows.name} are {rows.feature_names}, but {type(self).__name__} was fitted to the"
                f" columns {list(known)}, in this order."
            )

    def _contributions(self, scaled: RowSource) -> Iterator[FloatArray]:
        weights = 1 / (self.usual_errors_ * self.n_features_in_)
        return (weights * errors for errors in squared_errors(self.autoencoder_, scaled))

    def _errors(self, scaled: RowSource) -> FloatArray:
        return np.concatenate([contributions.sum(axis=1) for contributions in self._contributions(scaled)])

    def _threshold(self, scores: FloatArray) -> float:
        """Return the score below which a row is an outlier, given the scores of the rows of the fit."""
        if self.contamination != "auto":
            return float(np.percentile(scores, 100 * float(self.contamination)))
        lower, upper = np.quantile(np.sqrt(-scores), [0.25, 0.75])
        return -float((upper + _FENCE * (upper - lower)) ** 2)

    def _describe_learned(self, file: ModelWriter, prefix: str) -> dict[str, Any]:
        file.arrays[f"{prefix}usual_errors_"] = self.usual_errors_
        return {**super()._describe_learned(file, prefix), "offset": self.offset_}

    def _restore_learned(self, file: ModelReader, described: dict[str, Any], prefix: str) -> None:
        super()._restore_learned(file, described, prefix)
        self.usual_errors_ = file.take(f"{prefix}usual_errors_", (self.n_features_in_,), np.float64)
        self.offset_ = file.get(described, "offset", float)
        if not (self.usual_errors_ > 0).all() or not np.isfinite(self.offset_):
            raise ValueError("the usual errors of a detector must be positive, and its threshold must be finite.")


def _is_small(rows: RowSource) -> bool:
    """Return whether scaled rows of a source are held in memory for a fit, which reads them many times."""
    return prod(rows.shape) * rows.dtype.itemsize <= _BYTES_HELD


def _not_too_small(usual: FloatArray) -> FloatArray:
    """Return the usual errors of columns, none of which is much smaller than the mean, nor 0."""
    return np.maximum(usual, max(_SMALLEST_SHARE * float(usual.mean()), float(np.finfo(np.float64).tiny) ** 0.5))
