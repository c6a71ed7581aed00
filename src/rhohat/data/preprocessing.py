"""What is done to rows before learning: normalising patches, scaling pixels, and ZCA whitening."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags, check_array
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from rhohat.arrays import FloatArray, as_float_rows
from rhohat.data.rows import RowSource, open_rows
from rhohat.forks import held_off

__all__ = ["PatchNormalizer", "RangeScaler", "ZCAWhitening"]


class _RowTransformer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """What they share: validation of rows in, rows of the same width out, and rows that are read block by block."""

    def _validate(self, X: ArrayLike, *, reset: bool = False) -> FloatArray:
        return as_float_rows(validate_data(self, X, dtype="numeric", reset=reset))

    def _open(self, X: ArrayLike | RowSource) -> RowSource:
        """Return rows to be fitted to as a source, of finite numbers."""
        if isinstance(X, RowSource):
            X.extent()
            self.n_features_in_ = X.shape[1]
            self.__dict__.pop("feature_names_in_", None)
            if X.feature_names is not None:
                self.feature_names_in_ = np.array(X.feature_names, dtype=object)
            return X
        return open_rows(self._validate(X, reset=True))

    @abstractmethod
    def _transform(self, X: FloatArray) -> FloatArray:
        """Return transformed rows."""

    def transform(self, X: ArrayLike | RowSource) -> Any:
        """Transform rows.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_features), or RowSource
            Of a row source, another one, which transforms what is read of it.
        """
        check_is_fitted(self)
        if isinstance(X, RowSource):
            if X.shape[1] != self.n_features_in_:
                raise ValueError(
                    f"{X.name} has {X.shape[1]} columns, and {type(self).__name__} was fitted to {self.n_features_in_}."
                )
            return open_rows(X, transform=self._transform)
        return self._transform(self._validate(X))

    def _validate_inverse(self, X: ArrayLike) -> FloatArray:
        check_is_fitted(self)
        X = as_float_rows(check_array(X, dtype="numeric", input_name="X"))
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X must have {self.n_features_in_} columns, as the data of the fit had; got {X.shape[1]}."
            )
        return X

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class PatchNormalizer(_RowTransformer):
    """Remove each patch's mean, clip outliers, and map to an interval that a sigmoid reaches.

    A row x becomes low + (high − low) (clip((x − x̄)/c, −1, 1) + 1)/2, where c is `n_deviations` standard deviations
    of all values of the whole training set after the means are removed.

    Parameters
    ----------
    n_deviations : float, default=3.0
        Where to clip, in standard deviations; positive.
    low, high : float, default=0.1 and 0.9
        The interval that is mapped to; low < high.

    Attributes
    ----------
    scale_ : float
        c; 1 where all training patches are constant.
    n_features_in_ : int
    feature_names_in_ : array of shape (`n_features_in_`,)
        Only where X has column names that are all strings.

    Raises
    ------
    ValueError
        From `fit`, if a parameter is out of its range.

    References
    ----------
    Ng, A. (2011). CS294A programming assignment: sparse autoencoder, function normalizeData.

    Examples
    --------
    >>> patches = np.array([[0.0, 1.0, 2.0], [5.0, 5.0, 5.0]])
    >>> PatchNormalizer().fit_transform(patches).round(3)
    array([[0.269, 0.5  , 0.731],
           [0.5  , 0.5  , 0.5  ]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_deviations": [Interval(Real, 0, None, closed="neither")],
        "low": [Interval(Real, None, None, closed="neither")],
        "high": [Interval(Real, None, None, closed="neither")],
    }

    def __init__(self, *, n_deviations: float = 3.0, low: float = 0.1, high: float = 0.9) -> None:
        self.n_deviations = n_deviations
        self.low = low
        self.high = high

    def fit(self, X: ArrayLike | RowSource, y: object = None) -> Self:
        """Measure the standard deviation.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        self
        """
        self._validate_params()
        _check_interval(self.low, self.high)
        rows = self._open(X)
        squares, largest = 0.0, max(abs(bound) for bound in rows.extent())
        for some in rows.map_blocks(_sum_centred_squares):
            squares += some
        deviation = (squares / (rows.shape[0] * rows.shape[1])) ** 0.5
        # Rounding of the means leaves traces in constant patches, which are not to be blown up.
        rounding = 2 * np.finfo(rows.dtype).eps * largest
        self.scale_ = float(self.n_deviations * deviation) if deviation > rounding else 1.0
        return self

    def _transform(self, X: FloatArray) -> FloatArray:
        out = _without_row_means(X)
        out /= self.scale_
        np.clip(out, -1, 1, out=out)
        out += 1
        out *= (self.high - self.low) / 2
        out += self.low
        # Rounding may step over an end by one bit, which a reader of the interval should never see.
        return np.clip(out, self.low, self.high, out=out)

    def inverse_transform(self, X: ArrayLike) -> FloatArray:
        """Map normalised patches back to the scale of the data.

        The means of the patches and what was clipped are gone: the inverse gives patches of mean 0, exactly those
        that went in where none of their values was clipped.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        X = self._validate_inverse(X)
        low, high = float(self.low), float(self.high)
        return ((X - low) * (2 / (high - low)) - 1) * self.scale_


class RangeScaler(_RowTransformer):
    """Map the range of all numbers to an interval, with one scale for all columns, as for the pixels of images.

    A row x becomes low + (high − low) (x − a) / (b − a), where a and b are the least and the largest number of the
    training rows. scikit-learn's `MinMaxScaler` does so for each column by itself, which suits tables: it would blow up
    pixels that are nearly black in all images. Rows with numbers beyond a and b are mapped beyond the interval.

    Parameters
    ----------
    low, high : float, default=0.0 and 1.0
        The interval; low < high.

    Attributes
    ----------
    data_min_, data_max_ : float
        a and b.
    n_features_in_ : int
    feature_names_in_ : array of shape (`n_features_in_`,)
        Only where X has column names that are all strings.

    Raises
    ------
    ValueError
        From `fit`, if a parameter is out of its range.

    Examples
    --------
    >>> RangeScaler().fit_transform(np.array([[0, 51, 255], [0, 0, 102]]))
    array([[0. , 0.2, 1. ],
           [0. , 0. , 0.4]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "low": [Interval(Real, None, None, closed="neither")],
        "high": [Interval(Real, None, None, closed="neither")],
    }

    def __init__(self, *, low: float = 0.0, high: float = 1.0) -> None:
        self.low = low
        self.high = high

    def fit(self, X: ArrayLike | RowSource, y: object = None) -> Self:
        """Find the least and the largest number.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        self
        """
        self._validate_params()
        _check_interval(self.low, self.high)
        self.data_min_, self.data_max_ = self._open(X).extent()
        return self

    def _transform(self, X: FloatArray) -> FloatArray:
        low, high = X.dtype.type(self.low), X.dtype.type(self.high)
        fraction = X - X.dtype.type(self.data_min_)
        fraction /= (X.dtype.type(self.data_max_) - X.dtype.type(self.data_min_)) or X.dtype.type(1)
        out: FloatArray = low + (high - low) * fraction
        # Rounding must not carry a number of the training rows' range beyond the interval, which a reader looks for.
        np.minimum(out, high, out=out, where=fraction <= 1)
        return np.maximum(out, low, out=out, where=fraction >= 0)

    def inverse_transform(self, X: ArrayLike) -> FloatArray:
        """Map rows back to the scale of the data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        X = self._validate_inverse(X)
        rows: FloatArray = (X - float(self.low)) * (self._width / (float(self.high) - float(self.low)))
        rows += self.data_min_
        return rows

    @property
    def _width(self) -> float:
        return (self.data_max_ - self.data_min_) or 1.0


class ZCAWhitening(_RowTransformer):
    """Decorrelate features while staying as close to the data as whitening can.

    x becomes (x − x̄) W with W = U (S + ε)^(−1/2) Uᵀ, where U S Uᵀ is the covariance of the training rows.

    Parameters
    ----------
    epsilon : float, default=0.1
        ε, at least 0: a low-pass, in units of the data's variance. 0 whitens fully, which needs data that vary in
        every direction.

    Attributes
    ----------
    mean_ : array of shape (n_features,)
    whitening_ : array of shape (n_features, n_features)
        W, symmetric.
    dewhitening_ : array of shape (n_features, n_features)
        Its inverse.
    n_features_in_ : int
    feature_names_in_ : array of shape (`n_features_in_`,)
        Only where X has column names that are all strings.

    Raises
    ------
    ValueError
        From `fit`, if ε is negative, or 0 for data whose covariance is singular.

    References
    ----------
    Bell, A. J. and Sejnowski, T. J. (1997). The "independent components" of natural scenes are edge filters. Vision
    Research 37, 3327-3338.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(500, 3)) @ np.array([[1.0, 2, 0], [0, 1, 0], [0, 0, 3]])
    >>> Z = ZCAWhitening(epsilon=0).fit_transform(X)
    >>> np.allclose(Z.T @ Z / len(Z), np.eye(3))
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "epsilon": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, *, epsilon: float = 0.1) -> None:
        self.epsilon = epsilon

    def fit(self, X: ArrayLike | RowSource, y: object = None) -> Self:
        """Compute mean, covariance and the whitening matrix.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        self
        """
        self._validate_params()
        rows = self._open(X)
        mean = np.zeros(rows.shape[1])
        for total in rows.map_blocks(_sum_rows):
            mean += total / len(rows)
        covariance = np.zeros((rows.shape[1], rows.shape[1]))
        for products in rows.map_blocks(partial(_sum_products, mean)):
            covariance += products / len(rows)
        with held_off():
            variances, directions = np.linalg.eigh(covariance)
        # Rounding makes the smallest eigenvalues of a singular covariance slightly negative.
        variances = np.maximum(variances, 0) + self.epsilon
        if variances.min() <= np.finfo(rows.dtype).eps * variances.max():
            raise ValueError(
                "the covariance of X is singular, so it cannot be whitened with epsilon=0 or nearly so; choose a larger"
                f" epsilon (got {self.epsilon}), or reduce the dimension first with sklearn.decomposition.PCA."
            )
        self.mean_ = mean.astype(rows.dtype)
        with held_off():
            self.whitening_ = ((directions / np.sqrt(variances)) @ directions.T).astype(rows.dtype)
            self.dewhitening_ = ((directions * np.sqrt(variances)) @ directions.T).astype(rows.dtype)
        return self

    def _transform(self, X: FloatArray) -> FloatArray:
        with held_off():
            whitened: FloatArray = (X - self.mean_.astype(X.dtype)) @ self.whitening_.astype(X.dtype)
        return whitened

    def inverse_transform(self, X: ArrayLike) -> FloatArray:
        """Undo the whitening.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        X = self._validate_inverse(X)
        with held_off():
            rows: FloatArray = X @ self.dewhitening_.astype(X.dtype) + self.mean_.astype(X.dtype)
        return rows


def _check_interval(low: float, high: float) -> None:
    if low >= high:
        raise ValueError(f"low must be less than high; got low={low} and high={high}.")


def _without_row_means(X: FloatArray) -> FloatArray:
    centred: FloatArray = X - X.mean(axis=1, keepdims=True)
    return centred


def _sum_centred_squares(rows: FloatArray, _: int) -> float:
    return float(np.sum(_without_row_means(rows) ** 2, dtype=np.float64))


def _sum_rows(rows: FloatArray, _: int) -> FloatArray:
    total: FloatArray = rows.sum(axis=0, dtype=np.float64)
    return total


def _sum_products(mean: FloatArray, rows: FloatArray, _: int) -> FloatArray:
    centred = rows - mean
    with held_off():
        return centred.T @ centred
