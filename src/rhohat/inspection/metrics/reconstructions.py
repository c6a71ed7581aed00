"""Metrics of reconstructions of rows: mean squared error and explained variance."""

from __future__ import annotations

import math
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rhohat.common.arrays import FloatArray, excess_exponent, norm
from rhohat.inspection.metrics.rows import as_rows, check_finite, check_seen, opened

__all__ = [
    "ReconstructionStatistics",
    "explained_variance",
    "mean_squared_error",
]

_ROWS_AT_ONCE = 4096  # number of rows that are copied to float64 at a time


class ReconstructionStatistics:
    """Mean squared error and explained variance of reconstructions, accumulated block by block.

    Attributes
    ----------
    n_samples : int
        Number of rows seen so far.

    Notes
    -----
    The statistics need one pass over the rows. Means and deviations from the means are merged block by block in
    float64, so that a large offset of the rows does not reduce the precision, whatever the order of the rows. Sums of
    squares are stored as their square roots, so that they do not overflow; where the roots themselves could overflow,
    they are stored divided by a power of two.

    References
    ----------
    Chan, T. F., Golub, G. H. and LeVeque, R. J. (1983). Algorithms for computing the sample variance: analysis and
    recommendations. The American Statistician 37, 242-247, equation 2.1.

    Examples
    --------
    >>> X = np.array([[1.0, 5.0], [3.0, 5.0]])
    >>> statistics = ReconstructionStatistics()
    >>> statistics.update(X[:1], [[1.5, 5.0]])
    >>> statistics.update(X[1:], [[3.0, 5.5]])
    >>> round(statistics.mean_squared_error, 6), round(statistics.explained_variance, 6)
    (0.125, 0.75)
    """

    def __init__(self) -> None:
        self.n_samples = 0
        self._mean: FloatArray = np.empty(0)
        #: The mean, and the norms below, are stored divided by 2 to the power of this exponent.
        self._exponent = 0
        # Norms over all rows of x − x̂, of x − x̄ and of x, and the machine epsilon of the dtype of the rows.
        self._residual = self._deviation = self._norm = self._spacing = 0.0

    def update(self, X: ArrayLike, reconstruction: ArrayLike) -> None:
        """Add a block of rows and their reconstructions to the statistics.

        Parameters
        ----------
        X, reconstruction : array-like of shape (n_rows, n_features)
            Rows, and the reconstruction of each row.

        Raises
        ------
        ValueError
            If X and reconstruction differ in shape, are not two-dimensional, have no rows or no columns, differ from
            earlier blocks in the number of columns, or are not finite.
        """
        rows, made = as_rows(X, "X"), as_rows(reconstruction, "reconstruction")
        if rows.shape != made.shape:
            raise ValueError(f"reconstruction must have the shape of X, {rows.shape}; got {made.shape}.")
        self._check_columns(rows.shape[1])
        seen = ReconstructionStatistics()
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            seen._add(rows[start : start + _ROWS_AT_ONCE], made[start : start + _ROWS_AT_ONCE])
        self.merge(seen)

    def merge(self, other: ReconstructionStatistics) -> None:
        """Add the rows that other statistics have seen to these statistics.

        Raises
        ------
        ValueError
            If the two statistics differ in their number of columns.
        """
        if other.n_samples == 0:
            return
        self._check_columns(len(other._mean))
        if self.n_samples == 0:
            self.__dict__.update(other.__dict__)
            return
        n_samples = self.n_samples + other.n_samples
        exponent = max(self._exponent, other._exponent)
        self._count_in(exponent)
        if other._exponent != exponent:
            other = copy(other)
            other._count_in(exponent)
        shift = other._mean - self._mean
        between = math.sqrt(self.n_samples / n_samples) * math.sqrt(other.n_samples) * norm(shift)
        self._mean = self._mean + shift * (other.n_samples / n_samples)
        self._deviation = math.hypot(self._deviation, other._deviation, between)
        self._residual = math.hypot(self._residual, other._residual)
        self._norm = math.hypot(self._norm, other._norm)
        self._spacing = max(self._spacing, other._spacing)
        self.n_samples = n_samples

    @property
    def mean_squared_error(self) -> float:
        """Mean squared error Σ_ij (x_ij − x̂_ij)² / (n_samples n_features), over samples and over features.

        The loss "squared_error" is ½ Σ_j (x_j − x̂_j)², summed over features and averaged over samples, so it is
        n_features / 2 times the mean squared error.
        """
        check_seen(self.n_samples)
        mean = self._residual / (self.n_samples * len(self._mean)) * self._residual
        unit = math.ldexp(1.0, self._exponent)
        return mean * unit * unit  # infinite if the mean is too large for a float64

    @property
    def explained_variance(self) -> float:
        """Explained variance 1 − Σ_ij (x_ij − x̂_ij)² / Σ_ij (x_ij − x̄_j)², with x̄_j the mean of column j over all rows.

        The value 1 is perfect, and 0 is as good as the column means. If the rows have no variance beyond rounding, the
        value is 1 for a perfect reconstruction and 0 otherwise, like `score` of an autoencoder.
        """
        check_seen(self.n_samples)
        # The mean of equal numbers has a rounding error, so the computed variance of constant rows is seldom exactly 0.
        rounding = 4 * self._spacing * self._norm
        if self._deviation <= rounding:
            return float(self._residual <= rounding)
        ratio = self._residual / self._deviation
        return 1 - ratio * ratio

    def _add(self, rows: FloatArray, made: FloatArray) -> None:
        """Add rows and reconstructions of the same shape, few enough that they can be copied."""
        block = ReconstructionStatistics()
        block.n_samples, block._spacing = len(rows), float(np.finfo(rows.dtype).eps)
        largest = check_finite(rows, "X"), check_finite(made, "reconstruction")
        block._exponent = excess_exponent(max(largest))
        unit = math.ldexp(1.0, -block._exponent)
        rows, made = rows.astype(np.float64) * unit, made.astype(np.float64) * unit
        block._norm = norm(rows)
        block._residual = norm(made - rows)
        first = rows[0].copy()  # after subtracting it, the mean of equal rows is exact
        rows -= first
        about_first = rows.mean(axis=0)
        rows -= about_first
        block._mean = first + about_first
        block._deviation = norm(rows)
        self.merge(block)

    def _count_in(self, exponent: int) -> None:
        """Store the mean and the norms divided by 2 to the power of a new exponent."""
        unit = math.ldexp(1.0, self._exponent - exponent)
        self._mean = self._mean * unit
        self._residual, self._deviation, self._norm = self._residual * unit, self._deviation * unit, self._norm * unit
        self._exponent = exponent

    def _check_columns(self, n_features: int) -> None:
        if self.n_samples and n_features != len(self._mean):
            raise ValueError(f"X must have {len(self._mean)} columns, like the earlier rows; got {n_features}.")


def explained_variance(X: Any, reconstruction: Any) -> float:
    """Return the fraction of the variance of X, about its column means, that reconstructions explain.

    The fraction is 1 − Σ_ij (x_ij − x̂_ij)² / Σ_ij (x_ij − x̄_j)²; see `ReconstructionStatistics.explained_variance`.

    Parameters
    ----------
    X, reconstruction : array-like, path or row source, of shape (n_samples, n_features)
        Rows and their reconstructions: anything that `rhohat.open_rows` opens. Both are read once, side by side. A row
        source that is passed in stays open.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If X and reconstruction differ in shape, or are not finite.

    Examples
    --------
    >>> X = np.array([[101.0], [103.0]])
    >>> explained_variance(X, [[102.0], [102.0]])  # no better than the mean
    0.0
    """
    return _compare(X, reconstruction).explained_variance


def mean_squared_error(X: Any, reconstruction: Any) -> float:
    """Return the mean squared error Σ_ij (x_ij − x̂_ij)² / (n_samples n_features), over samples and over features.

    The loss "squared_error" is n_features / 2 times the mean squared error.

    Parameters
    ----------
    X, reconstruction : array-like, path or row source, of shape (n_samples, n_features)
        As for `explained_variance`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If X and reconstruction differ in shape, or are not finite.

    Examples
    --------
    >>> mean_squared_error([[1.0, 2.0]], [[1.0, 4.0]])
    2.0
    """
    return _compare(X, reconstruction).mean_squared_error


def _compare(X: Any, reconstruction: Any) -> ReconstructionStatistics:
    statistics = ReconstructionStatistics()
    with opened(X) as rows, opened(reconstruction) as made:
        if rows.shape != made.shape:
            raise ValueError(f"reconstruction must have the shape of X, {rows.shape}; got {made.shape}.")
        for start in range(0, len(rows), rows.rows_at_once):
            stop = min(start + rows.rows_at_once, len(rows))
            statistics.update(rows.read(start, stop), made.read(start, stop))
    return statistics
