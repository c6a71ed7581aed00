"""Preprocessing of rows before learning: normalising patches, scaling pixels, and ZCA whitening.

Squares and sums of very large or very small numbers exceed the range of floating-point numbers. Everything is therefore
computed in units of a power of two near the largest number, which changes no bit of any result that could be computed
without these units.
"""

from __future__ import annotations

import math
from functools import partial
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import Interval

from rhohat.common.arrays import FloatArray
from rhohat.common.forks import held_off
from rhohat.data.ranges import remember_range
from rhohat.data.row_transformer import LearnedShapes, RowTransformer, check_held
from rhohat.data.rows import RowSource

__all__ = ["PatchNormalizer", "RangeScaler", "ZCAWhitening"]


class PatchNormalizer(RowTransformer):
    """Remove the mean of each patch, clip outliers, and map the values to an interval that a sigmoid can reach.

    A row x becomes low + (high − low) (clip((x − x̄)/c, −1, 1) + 1)/2, where x̄ is the mean of the row, and c is
    `n_deviations` standard deviations of all values of the training rows after the mean of each row is removed.

    Parameters
    ----------
    n_deviations : float, default=3.0
        Clipping threshold in standard deviations, positive.
    low, high : float, default=0.1 and 0.9
        Ends of the interval that the values are mapped to; low < high.

    Attributes
    ----------
    scale_ : float
        Clipping threshold c, in the units of the data; 1 if all training patches are constant.
    training_range_ : array of shape (2, n_features)
        Minimum and maximum of each feature in the training rows. It exists only if there were at least 20 rows.
    n_features_in_ : int
        Number of features in the training rows.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Names of the features. It exists only if X has column names that are all strings.

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

    _set_by_fit = "scale_"
    command_line_name: ClassVar[str | None] = "patches"
    learned_shapes: ClassVar[LearnedShapes] = {"scale_": lambda n_features: ()}
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
        """Compute the standard deviation of the training patches about their means.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
            Training patches, one in each row.
        y : ignored

        Returns
        -------
        self
        """
        self._validate_params()
        rows = self._open(X)
        _check_interval(self.low, self.high, rows.dtype)
        squares, largest = 0.0, max(abs(bound) for bound in rows.extent())
        remember_range(self, rows)
        exponent = _exponent(largest)
        for some in rows.map_blocks(partial(_sum_centred_squares, exponent)):
            squares += some
        deviation = math.ldexp((squares / (rows.shape[0] * rows.shape[1])) ** 0.5, exponent)
        # Rounded means leave small residues in constant patches, which must not be amplified.
        rounding = 2 * np.finfo(rows.dtype).eps * largest
        scale = float(self.n_deviations) * deviation if deviation > rounding else 1.0
        if scale > float(np.finfo(rows.dtype).max):
            raise ValueError(
                f"n_deviations={self.n_deviations} times the standard deviation of X, {deviation:.3g}, exceeds the"
                f" range of {rows.dtype}; divide X by a constant first."
            )
        self.scale_ = scale
        return self

    def _transform(self, X: FloatArray) -> FloatArray:
        held = np.finfo(X.dtype)
        # Nothing is squared here, so the unit is 1 unless the sum over a row would overflow.
        largest = max(float(X.max(initial=0)), -float(X.min(initial=0)))
        exponent = max(0, _exponent(largest) + X.shape[1].bit_length() + 1 - int(held.maxexp))
        out = _without_row_means(X, exponent)
        out /= X.dtype.type(np.clip(math.ldexp(self.scale_, -exponent), held.smallest_subnormal, held.max))
        np.clip(out, -1, 1, out=out)
        out += 1
        out *= (self.high - self.low) / 2
        out += self.low
        # Rounding may exceed an end of the interval by one bit, which must not show in the result.
        return np.clip(out, self.low, self.high, out=out)

    def inverse_transform(self, X: ArrayLike) -> FloatArray:
        """Map normalised patches back to the scale of the data.

        The means of the patches and the clipped amounts are lost. If no value of a patch was clipped, its inverse is
        the patch without its mean.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Normalised patches, one in each row.

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        X = self._validate_inverse(X)
        low, high = float(self.low), float(self.high)
        with np.errstate(over="ignore"):
            return check_held(((X - low) * (2 / (high - low)) - 1) * self.scale_, "restored")


class RangeScaler(RowTransformer):
    """Map the range of all numbers to an interval, with one scale for all columns, as suits the pixels of images.

    A row x becomes low + (high − low) (x − a) / (b − a), where a and b are the minimum and maximum of all numbers in
    the training rows. scikit-learn's `MinMaxScaler` scales each column separately, which suits tables, but would
    amplify pixels that are nearly black in all images. Numbers outside of [a, b] are mapped outside of the interval.

    Parameters
    ----------
    low, high : float, default=0.0 and 1.0
        Ends of the interval that the numbers are mapped to; low < high.

    Attributes
    ----------
    data_min_, data_max_ : float
        Minimum a and maximum b of all numbers in the training rows.
    training_range_ : array of shape (2, n_features)
        Minimum and maximum of each feature in the training rows. It exists only if there were at least 20 rows.
    n_features_in_ : int
        Number of features in the training rows.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Names of the features. It exists only if X has column names that are all strings.

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

    _set_by_fit = "data_max_"
    command_line_name: ClassVar[str | None] = "range"
    learned_shapes: ClassVar[LearnedShapes] = dict.fromkeys(("data_min_", "data_max_"), lambda n_features: ())
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "low": [Interval(Real, None, None, closed="neither")],
        "high": [Interval(Real, None, None, closed="neither")],
    }

    def __init__(self, *, low: float = 0.0, high: float = 1.0) -> None:
        self.low = low
        self.high = high

    def fit(self, X: ArrayLike | RowSource, y: object = None) -> Self:
        """Find the minimum and maximum of all numbers in the training rows.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
            Training rows.
        y : ignored

        Returns
        -------
        self
        """
        self._validate_params()
        rows = self._open(X)
        _check_interval(self.low, self.high, rows.dtype)
        self.data_min_, self.data_max_ = rows.extent()
        remember_range(self, rows)
        return self

    def _transform(self, X: FloatArray) -> FloatArray:
        low, high = X.dtype.type(self.low), X.dtype.type(self.high)
        exponent, smallest, largest = self._range()
        start, stop = X.dtype.type(smallest), X.dtype.type(largest)
        fraction = np.ldexp(X, -exponent) - start
        fraction /= (stop - start) or X.dtype.type(1)
        out: FloatArray = low + (high - low) * fraction
        # Rounding must not move a number within the range of the training rows outside of the interval.
        np.minimum(out, high, out=out, where=fraction <= 1)
        return np.maximum(out, low, out=out, where=fraction >= 0)

    def inverse_transform(self, X: ArrayLike) -> FloatArray:
        """Map scaled rows back to the scale of the data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Scaled rows.

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        X = self._validate_inverse(X)
        exponent, smallest, largest = self._range()
        width = (largest - smallest) or math.ldexp(1.0, -exponent)
        with np.errstate(over="ignore", invalid="ignore"):
            rows: FloatArray = (X - float(self.low)) * (width / (float(self.high) - float(self.low)))
            rows += smallest
            return check_held(np.ldexp(rows, exponent), "restored")

    def _range(self) -> tuple[int, float, float]:
        """Return the exponent of a power of two, and the training minimum and maximum in units of this power."""
        exponent = _exponent(max(abs(self.data_min_), abs(self.data_max_)))
        return exponent, math.ldexp(self.data_min_, -exponent), math.ldexp(self.data_max_, -exponent)


class ZCAWhitening(RowTransformer):
    """Decorrelate features while staying as close to the original data as a whitening transformation can.

    A row x becomes (x − x̄) W with W = U (S + ε)^(−1/2) Uᵀ, where x̄ is the mean and U S Uᵀ the covariance of the
    training rows.

    Parameters
    ----------
    epsilon : float, default=0.1
        Regularisation ε in units of the variance of the data, not negative. It acts as a low-pass. 0 whitens fully,
        which requires data that vary in every direction.

    Attributes
    ----------
    mean_ : array of shape (n_features,)
        Mean x̄ of the training rows.
    whitening_ : array of shape (n_features, n_features)
        Whitening matrix W, symmetric.
    dewhitening_ : array of shape (n_features, n_features)
        Inverse of W.
    training_range_ : array of shape (2, n_features)
        Minimum and maximum of each feature in the training rows. It exists only if there were at least 20 rows.
    n_features_in_ : int
        Number of features in the training rows.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Names of the features. It exists only if X has column names that are all strings.

    Raises
    ------
    ValueError
        From `fit`, if ε is negative, or if ε is 0 and the covariance of the data is singular.

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

    _set_by_fit = "whitening_"
    command_line_name: ClassVar[str | None] = "whiten"
    learned_shapes: ClassVar[LearnedShapes] = {
        "mean_": lambda n_features: (n_features,),
        **dict.fromkeys(("whitening_", "dewhitening_"), lambda n_features: (n_features, n_features)),
    }
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "epsilon": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, *, epsilon: float = 0.1) -> None:
        self.epsilon = epsilon

    def fit(self, X: ArrayLike | RowSource, y: object = None) -> Self:
        """Compute the mean and the covariance of the training rows, and the whitening matrix.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
            Training rows.
        y : ignored

        Returns
        -------
        self
        """
        self._validate_params()
        rows = self._open(X)
        largest = max(abs(bound) for bound in rows.extent())
        remember_range(self, rows)
        exponent = _exponent(max(largest, math.sqrt(self.epsilon)))
        mean, variances, directions = _principal_components(rows, exponent)
        variances += math.ldexp(self.epsilon, -2 * exponent)
        if variances.min() <= np.finfo(rows.dtype).eps * variances.max():
            raise ValueError(
                "the covariance of X is singular, so X cannot be whitened with an epsilon of 0 or nearly 0; choose a"
                f" larger epsilon (got {self.epsilon}), or reduce the dimension first with sklearn.decomposition.PCA."
            )
        with held_off():
            whitening = (directions / np.sqrt(variances)) @ directions.T
            dewhitening = (directions * np.sqrt(variances)) @ directions.T
        if math.frexp(float(np.abs(whitening).max()))[1] - exponent > np.finfo(rows.dtype).maxexp:
            raise ValueError(
                f"X varies so little, by {largest:.3g} at most, that its whitening matrix exceeds the range of"
                f" {rows.dtype}; multiply X by a constant first."
            )
        self.mean_ = np.ldexp(mean, exponent).astype(rows.dtype)
        self.whitening_ = np.ldexp(whitening, -exponent).astype(rows.dtype)
        self.dewhitening_ = np.ldexp(dewhitening, exponent).astype(rows.dtype)
        return self

    def _transform(self, X: FloatArray) -> FloatArray:
        with held_off():
            whitened: FloatArray = (X - self.mean_.astype(X.dtype)) @ self.whitening_.astype(X.dtype)
        return whitened

    def inverse_transform(self, X: ArrayLike) -> FloatArray:
        """Undo the whitening of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Whitened rows.

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        X = self._validate_inverse(X)
        with np.errstate(over="ignore", invalid="ignore"), held_off():
            return check_held(X @ self.dewhitening_.astype(X.dtype) + self.mean_.astype(X.dtype), "restored")


def _principal_components(rows: RowSource, exponent: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the mean of rows, and the variances and directions of their principal components.

    The mean is in units of 2 to the power of `exponent`, and the variances are in the square of these units. The
    variance is set to 0 in directions in which the rows vary by no more than the spacing between neighbouring
    floating-point numbers.
    """
    mean, shift = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    for total in rows.map_blocks(partial(_sum_rows, exponent)):
        mean += total / len(rows)
    covariance = np.zeros((rows.shape[1], rows.shape[1]))
    for products, rest in rows.map_blocks(partial(_sum_products, exponent, mean)):
        covariance += products / len(rows)
        shift += rest / len(rows)
    covariance -= np.outer(shift, shift)  # corrects the rounding errors of the mean of many rows
    with held_off():
        variances, directions = np.linalg.eigh(covariance)
    squares = np.finfo(rows.dtype).eps ** 2 * (mean**2 + covariance.diagonal())
    variances[variances <= squares @ directions**2] = 0
    return mean, variances, directions


def _check_interval(low: float, high: float, dtype: np.dtype[Any]) -> None:
    """Raise ValueError unless low < high, and a dtype can hold both ends of the interval and its length."""
    if low >= high:
        raise ValueError(f"low must be less than high; got low={low} and high={high}.")
    if max(abs(low), abs(high), float(high) - float(low)) > float(np.finfo(dtype).max):
        raise ValueError(
            f"low, high and their difference must be in the range of {dtype}; got low={low} and high={high}."
        )


def _exponent(largest: float) -> int:
    """Return the exponent of the smallest power of two that is larger than a number."""
    return math.frexp(largest)[1]


def _without_row_means(X: FloatArray, exponent: int) -> FloatArray:
    """Return rows with the mean of each row subtracted, in units of 2 to the power of `exponent`."""
    centred: FloatArray = np.ldexp(X, -exponent)
    centred -= centred.mean(axis=1, keepdims=True)
    return centred


def _sum_centred_squares(exponent: int, rows: FloatArray, _: int) -> float:
    return float(np.sum(_without_row_means(rows, exponent) ** 2, dtype=np.float64))


def _sum_rows(exponent: int, rows: FloatArray, _: int) -> FloatArray:
    total: FloatArray = np.ldexp(rows, -exponent).sum(axis=0, dtype=np.float64)
    return total


def _sum_products(exponent: int, mean: FloatArray, rows: FloatArray, _: int) -> tuple[FloatArray, FloatArray]:
    """Return the sums of the outer products of a block of centred rows, and of these rows themselves."""
    centred = np.ldexp(rows, -exponent) - mean
    with held_off():
        return centred.T @ centred, centred.sum(axis=0)
