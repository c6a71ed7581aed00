"""Metrics of reconstructions of rows: mean squared error, explained variance, cosine, norm ratio and bias."""

from __future__ import annotations

import math
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rhohat.common.arrays import FloatArray, excess_exponent, norm
from rhohat.inspection.metrics.directions import Directions
from rhohat.inspection.metrics.rows import as_rows, check_finite, check_seen, opened

__all__ = [
    "ReconstructionStatistics",
    "explained_variance",
    "fraction_of_variance_unexplained",
    "mean_cosine",
    "mean_squared_error",
    "norm_ratio",
    "relative_reconstruction_bias",
]

_ROWS_AT_ONCE = 4096  # number of rows that are copied to float64 at a time


class ReconstructionStatistics:
    """Errors, directions and norms of reconstructions, accumulated block by block.

    Attributes
    ----------
    n_samples : int
        Number of rows seen so far.

    Notes
    -----
    The statistics need one pass over the rows. Means and deviations from the means are merged block by block in
    float64, so that a large offset of the rows does not reduce the precision, whatever the order of the rows. Sums of
    squares are stored as their square roots, so that they do not overflow; where the roots themselves could overflow,
    they are stored divided by a power of two. The sum of ⟨x, x̂⟩ is stored divided by two of these roots.

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
        # Norms over all rows of x − x̂, of x − x̄, of x and of x̂, and the machine epsilon of the dtype of the rows.
        self._residual = self._deviation = self._norm = self._made_norm = self._spacing = 0.0
        #: Σ ⟨x, x̂⟩ over all rows, divided by the norms of x and of x̂ over all rows; it is in [-1, 1].
        self._alignment = 0.0
        self._directions = Directions()

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
        self._merge_norms(other)
        self._directions = self._directions.merged(other._directions)
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
        return 1 - self.fraction_of_variance_unexplained

    @property
    def fraction_of_variance_unexplained(self) -> float:
        """Fraction Σ_ij (x_ij − x̂_ij)² / Σ_ij (x_ij − x̄_j)² of the variance that is not explained, often called FVU.

        It is 1 − `explained_variance`, and more precise where reconstructions are nearly perfect.
        """
        check_seen(self.n_samples)
        # The mean of equal numbers has a rounding error, so the computed variance of constant rows is seldom exactly 0.
        rounding = 4 * self._spacing * self._norm
        if self._deviation <= rounding:
            return float(self._residual > rounding)
        ratio = self._residual / self._deviation
        return ratio * ratio

    @property
    def n_zero_rows(self) -> int:
        """Number of rows whose norm is 0, which `mean_cosine` and `norm_ratio` leave out."""
        return self.n_samples - self._directions.n_rows

    @property
    def mean_cosine(self) -> float:
        """Cosine similarity ⟨x, x̂⟩ / (‖x‖ ‖x̂‖) of a row and its reconstruction, averaged over rows.

        Rows of zero norm are left out, see `n_zero_rows`; if all rows are, the value is NaN. A reconstruction of zero
        norm has cosine 0 with its row.
        """
        check_seen(self.n_samples)
        return self._directions.mean_cosine if self._directions.n_rows else math.nan

    @property
    def norm_ratio(self) -> float:
        """Ratio ‖x̂‖ / ‖x‖ of the norms of a reconstruction and its row, averaged over rows.

        Values below 1 show that reconstructions shrink. Rows of zero norm are left out, see `n_zero_rows`; if all rows
        are, the value is NaN.
        """
        check_seen(self.n_samples)
        return self._directions.norm_ratio if self._directions.n_rows else math.nan

    @property
    def relative_reconstruction_bias(self) -> float:
        """Ratio Σ ‖x̂‖² / Σ ⟨x, x̂⟩ of sums over all rows: 1 is unbiased, and less than 1 means that x̂ is too small.

        Its inverse is the factor by which all reconstructions would have to be multiplied for the smallest squared
        error. The value is infinite if the denominator is 0, and NaN if all reconstructions are zero.
        """
        check_seen(self.n_samples)
        if self._made_norm == 0:
            return math.nan
        denominator = self._alignment * self._norm
        return self._made_norm / denominator if denominator else math.inf

    def _add(self, rows: FloatArray, made: FloatArray) -> None:
        """Add rows and reconstructions of the same shape, few enough that they can be copied."""
        block = ReconstructionStatistics()
        block.n_samples, block._spacing = len(rows), float(np.finfo(rows.dtype).eps)
        largest = check_finite(rows, "X"), check_finite(made, "reconstruction")
        rows, made = rows.astype(np.float64), made.astype(np.float64)
        block._directions = Directions.of(rows, made)
        block._exponent = excess_exponent(max(largest))
        unit = math.ldexp(1.0, -block._exponent)
        rows *= unit
        made *= unit
        block._norm, block._made_norm = norm(rows), norm(made)
        if block._norm and block._made_norm:
            products = np.einsum("ij,ij->i", rows / block._norm, made)
            block._alignment = float(products.sum()) / block._made_norm
        block._residual = norm(made - rows)
        first = rows[0].copy()  # after subtracting it, the mean of equal rows is exact
        rows -= first
        about_first = rows.mean(axis=0)
        rows -= about_first
        block._mean = first + about_first
        block._deviation = norm(rows)
        self.merge(block)

    def _merge_norms(self, other: ReconstructionStatistics) -> None:
        """Merge the norms of x and x̂ over all rows, and the sum of ⟨x, x̂⟩, of statistics with the same exponent."""
        both = math.hypot(self._norm, other._norm), math.hypot(self._made_norm, other._made_norm)
        if all(both):
            self._alignment = sum(
                one._alignment * (one._norm / both[0]) * (one._made_norm / both[1]) for one in (self, other)
            )
        self._norm, self._made_norm = both

    def _count_in(self, exponent: int) -> None:
        """Store the mean and the norms divided by 2 to the power of a new exponent."""
        unit = math.ldexp(1.0, self._exponent - exponent)
        self._mean = self._mean * unit
        for name in ("_residual", "_deviation", "_norm", "_made_norm"):
            setattr(self, name, getattr(self, name) * unit)
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


def fraction_of_variance_unexplained(X: Any, reconstruction: Any) -> float:
    """Return the fraction of the variance of X, about its column means, that reconstructions do not explain.

    The fraction, often called FVU, is Σ_ij (x_ij − x̂_ij)² / Σ_ij (x_ij − x̄_j)² = 1 − `explained_variance`.

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
    >>> round(fraction_of_variance_unexplained([[101.0], [103.0]], [[101.0], [102.0]]), 6)
    0.5
    """
    return _compare(X, reconstruction).fraction_of_variance_unexplained


def mean_cosine(X: Any, reconstruction: Any) -> float:
    """Return the cosine similarity ⟨x, x̂⟩ / (‖x‖ ‖x̂‖) of a row and its reconstruction, averaged over rows.

    A reconstruction of zero norm has cosine 0 with its row.

    Parameters
    ----------
    X, reconstruction : array-like, path or row source, of shape (n_samples, n_features)
        As for `explained_variance`.

    Returns
    -------
    float
        NaN if all rows of X have zero norm; otherwise such rows are left out. `ReconstructionStatistics.n_zero_rows`
        counts them.

    Raises
    ------
    ValueError
        If X and reconstruction differ in shape, or are not finite.

    Examples
    --------
    >>> mean_cosine([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]], [[3.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    0.5
    """
    return _compare(X, reconstruction).mean_cosine


def norm_ratio(X: Any, reconstruction: Any) -> float:
    """Return the ratio ‖x̂‖ / ‖x‖ of the norms of a reconstruction and its row, averaged over rows.

    Values below 1 show that reconstructions shrink.

    Parameters
    ----------
    X, reconstruction : array-like, path or row source, of shape (n_samples, n_features)
        As for `explained_variance`.

    Returns
    -------
    float
        NaN if all rows of X have zero norm; otherwise such rows are left out. `ReconstructionStatistics.n_zero_rows`
        counts them.

    Raises
    ------
    ValueError
        If X and reconstruction differ in shape, or are not finite.

    References
    ----------
    Karvonen, A. et al. (2025). SAEBench: a comprehensive benchmark for sparse autoencoders in language model
    interpretability. ICML 2025. There it is the L2 ratio.

    Examples
    --------
    >>> norm_ratio([[3.0, 4.0], [0.0, 2.0], [0.0, 0.0]], [[0.0, 5.0], [1.0, 0.0], [1.0, 1.0]])
    0.75
    """
    return _compare(X, reconstruction).norm_ratio


def relative_reconstruction_bias(X: Any, reconstruction: Any) -> float:
    """Return Σ ‖x̂‖² / Σ ⟨x, x̂⟩, which is 1 for unbiased reconstructions and less if they are too small.

    Both sums are over all rows. The inverse of the ratio is the factor by which all reconstructions would have to be
    multiplied for the smallest squared error.

    Parameters
    ----------
    X, reconstruction : array-like, path or row source, of shape (n_samples, n_features)
        As for `explained_variance`.

    Returns
    -------
    float
        Infinite if the denominator is 0, and NaN if all reconstructions are zero.

    Raises
    ------
    ValueError
        If X and reconstruction differ in shape, or are not finite.

    References
    ----------
    Rajamanoharan, S. et al. (2024). Improving dictionary learning with gated sparse autoencoders. arXiv 2404.16014,
    equation 10.

    Examples
    --------
    >>> round(relative_reconstruction_bias([[2.0, 0.0], [0.0, 4.0]], [[1.0, 0.0], [0.0, 2.0]]), 6)
    0.5
    """
    return _compare(X, reconstruction).relative_reconstruction_bias


def _compare(X: Any, reconstruction: Any) -> ReconstructionStatistics:
    statistics = ReconstructionStatistics()
    with opened(X) as rows, opened(reconstruction) as made:
        if rows.shape != made.shape:
            raise ValueError(f"reconstruction must have the shape of X, {rows.shape}; got {made.shape}.")
        for start in range(0, len(rows), rows.rows_at_once):
            stop = min(start + rows.rows_at_once, len(rows))
            statistics.update(rows.read(start, stop), made.read(start, stop))
    return statistics
