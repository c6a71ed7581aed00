"""Statistics of the activations of units: how many are active, how often and how strongly; targets and thresholds."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse

from rhohat.common.arrays import FloatArray, excess_exponent
from rhohat.common.exceptions import SettingError
from rhohat.inspection.metrics.densities import DensityHistogram
from rhohat.inspection.metrics.rows import as_codes, check_finite, check_seen
from rhohat.layers.activations.thresholds import default_threshold
from rhohat.terms.penalties import KLSparsity

__all__ = [
    "ActivationStatistics",
    "default_threshold",
    "kl_to_target",
]

#: A unit is constant if the standard deviation of its activation is at most this fraction of its mean.
_CONSTANT = 0.02
_ROWS_AT_A_TIME = 1024  # of a dense block, so that deviations in float64 need little memory


class ActivationStatistics:
    """Statistics of the activations of units, accumulated block by block.

    Parameters
    ----------
    threshold : float, default=0.0
        A unit is active on a row if its activation is strictly above this number. See `default_threshold`.

    Attributes
    ----------
    threshold : float
        The parameter `threshold`.
    n_samples : int
        Number of rows seen so far.

    Raises
    ------
    ValueError
        If the threshold is not a finite number.

    Examples
    --------
    >>> statistics = ActivationStatistics()
    >>> statistics.update([[0.0, 2.0, 0.0], [1.0, 4.0, 0.0]])
    >>> statistics.l0
    1.5
    >>> statistics.activation_frequency, statistics.mean_activation
    (array([0.5, 1. , 0. ]), array([0.5, 3. , 0. ]))
    """

    def __init__(self, threshold: float = 0.0) -> None:
        self.threshold = float(threshold)
        if not math.isfinite(self.threshold):
            raise SettingError(f"threshold must be a finite number; got {threshold!r}.")
        self.n_samples = 0
        #: The sums are stored divided by 2 to the power of this exponent, so that they do not overflow.
        self._exponent = 0
        self._sum: FloatArray = np.empty(0)
        self._sum_of_magnitudes = 0.0
        #: Root of the sum of the squared deviations from the mean, of each unit.
        self._spread: FloatArray = np.empty(0)
        self._n_active: NDArray[np.int64] = np.empty(0, np.int64)
        self._n_rows_of_l0: NDArray[np.int64] = np.empty(0, np.int64)
        self._largest: FloatArray = np.empty(0)
        self._smallest: FloatArray = np.empty(0)

    def update(self, H: Any) -> None:
        """Add a block of activations to the statistics.

        Parameters
        ----------
        H : array-like or sparse array, of shape (n_rows, n_units)
            Activations of the units, one row for each sample. A sparse array of SciPy is not made dense; elements that
            it does not store, and zeros that it stores, are activations of 0.

        Raises
        ------
        ValueError
            If H is not two-dimensional, has no rows or no columns, differs from earlier blocks in the number of units,
            or is not finite.
        """
        activations = as_codes(H, "H")
        seen = ActivationStatistics(self.threshold)
        seen._add(_Sparse(activations) if issparse(activations) else _Dense(activations))
        self.merge(seen)

    def _add(self, block: _Dense | _Sparse) -> None:
        """Add a block of activations to statistics that have seen no rows."""
        self.n_samples = block.n_rows
        self._largest, self._smallest = block.extents()
        self._exponent = excess_exponent(check_finite(np.array([self._largest, self._smallest]), "H"))
        self._n_active, active_on_row = block.count_above(self.threshold)
        self._n_rows_of_l0 = np.bincount(active_on_row).astype(np.int64)
        unit = math.ldexp(1.0, -self._exponent)
        self._sum, self._sum_of_magnitudes = block.sums(unit)
        magnitude = np.maximum(np.abs(self._largest), np.abs(self._smallest))
        scale = np.where(magnitude > 0, magnitude, 1.0)  # so that squares neither overflow nor underflow
        means = self._sum / self.n_samples / unit / scale
        self._spread = np.sqrt(block.squared_deviations(means, scale)) * (scale * unit)

    def merge(self, other: ActivationStatistics) -> None:
        """Add the rows that other statistics have seen to these statistics.

        Raises
        ------
        ValueError
            If the two statistics differ in the threshold or in the number of units.
        """
        if other.threshold != self.threshold:
            raise ValueError(
                f"other must have the same threshold as these statistics, {self.threshold:g}; got {other.threshold:g}."
            )
        if other.n_samples == 0:
            return
        if self.n_samples == 0:
            self.__dict__.update(deepcopy(other.__dict__))
            return
        if len(other._sum) != len(self._sum):
            raise ValueError(f"H must have {len(self._sum)} columns, like the earlier rows; got {len(other._sum)}.")
        n_samples = (self.n_samples, other.n_samples)
        exponent = max(self._exponent, other._exponent)
        ours, others = (math.ldexp(1.0, one._exponent - exponent) for one in (self, other))
        mine, theirs = self._sum * ours, other._sum * others
        between = (mine / n_samples[0] - theirs / n_samples[1]) * math.sqrt(math.prod(n_samples) / sum(n_samples))
        self._spread = np.hypot(np.hypot(self._spread * ours, other._spread * others), between)
        self.n_samples, self._sum = sum(n_samples), mine + theirs
        self._sum_of_magnitudes = self._sum_of_magnitudes * ours + other._sum_of_magnitudes * others
        self._exponent = exponent
        self._n_active += other._n_active
        np.maximum(self._largest, other._largest, out=self._largest)
        np.minimum(self._smallest, other._smallest, out=self._smallest)
        shorter, longer = sorted((self._n_rows_of_l0, other._n_rows_of_l0), key=len)
        self._n_rows_of_l0 = longer.copy()
        self._n_rows_of_l0[: len(shorter)] += shorter

    @property
    def mean_activation(self) -> FloatArray:
        """Mean activation ρ̂ of each unit over rows, of shape (n_units,), float64."""
        check_seen(self.n_samples)
        return self._sum / self.n_samples * math.ldexp(1.0, self._exponent)

    @property
    def l0(self) -> float:
        """Number of units that are active on a row, averaged over rows."""
        check_seen(self.n_samples)
        return int(self._n_active.sum()) / self.n_samples

    @property
    def l0_histogram(self) -> NDArray[np.int64]:
        """Number of rows on which 0, 1, 2, ... units are active, of shape (largest such number + 1,)."""
        check_seen(self.n_samples)
        return self._n_rows_of_l0.copy()

    @property
    def l1(self) -> float:
        """Sum of the magnitudes of the activations of a row, averaged over rows."""
        check_seen(self.n_samples)
        return self._sum_of_magnitudes / self.n_samples * math.ldexp(1.0, self._exponent)

    @property
    def activation_frequency(self) -> FloatArray:
        """Fraction of the rows on which each unit is active, of shape (n_units,)."""
        check_seen(self.n_samples)
        frequency: FloatArray = self._n_active / self.n_samples
        return frequency

    @property
    def dead_fraction(self) -> float:
        """Fraction of the units that are active on no row."""
        check_seen(self.n_samples)
        return float(np.mean(self._n_active == 0))

    def dense_fraction(self, density: float = 0.1) -> float:
        """Return the fraction of the units that are active on more than a share of the rows.

        Parameters
        ----------
        density : float, default=0.1
            A unit is dense if it is active on more than this share of the rows, which lies in [0, 1].

        Raises
        ------
        ValueError
            If the density is not in [0, 1], or no rows were seen yet.
        """
        if not 0 <= density <= 1:
            raise ValueError(f"density must be a share of the rows, in [0, 1]; got {density!r}.")
        return float(np.mean(self.activation_frequency > density))

    @property
    def density_histogram(self) -> DensityHistogram:
        """Number of units whose activation frequency lies in each decade, from 0.1 to 1 downwards to one row."""
        return DensityHistogram.of(self.activation_frequency, self.n_samples)

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Whether each unit gives about the same activation for every row, of shape (n_units,).

        A unit counts as constant if the standard deviation of its activation is at most 2 % of the magnitude of its
        mean activation: such a unit does not distinguish rows. After a single row, no unit counts as constant.
        """
        check_seen(self.n_samples)
        deviation = self._spread / math.sqrt(self.n_samples)
        same: NDArray[np.bool_] = deviation <= _CONSTANT * np.abs(self._sum / self.n_samples)
        return same & (self.n_samples > 1)

    @property
    def constant_fraction(self) -> float:
        """Fraction of the units that give about the same activation for every row: see `constant`."""
        return float(np.mean(self.constant))

    @property
    def largest_activation(self) -> FloatArray:
        """Largest activation of each unit over rows, of shape (n_units,), float64."""
        check_seen(self.n_samples)
        return self._largest.copy()

    @property
    def smallest_activation(self) -> FloatArray:
        """Smallest activation of each unit over rows, of shape (n_units,), float64."""
        check_seen(self.n_samples)
        return self._smallest.copy()


def kl_to_target(mean_activation: ArrayLike, sparsity: float, bounds: tuple[float, float] = (0.0, 1.0)) -> float:
    """Return Σ_j KL(ρ ‖ ρ̂_j), the divergence of the mean activations ρ̂_j from the target ρ.

    KL(ρ‖ρ̂) = ρ log(ρ/ρ̂) + (1−ρ) log((1−ρ)/(1−ρ̂)). The sum is the penalty `KLSparsity` with weight 1.

    Parameters
    ----------
    mean_activation : array-like of shape (n_units,)
        Mean activation of each unit over rows.
    sparsity : float
        Target ρ of the mean activations, in (0, 1).
    bounds : tuple of two floats, default=(0.0, 1.0)
        Smallest and largest possible activation of the units, which are mapped to 0 and 1: for tanh units, with bounds
        (-1, 1), a mean activation a becomes ρ̂ = (1 + a)/2.

    Returns
    -------
    float
        Summed over units, in nats.

    Raises
    ------
    ValueError
        If ρ is not in (0, 1), the bounds are not two finite numbers in ascending order, or a mean activation is not
        within the bounds.

    Examples
    --------
    >>> round(kl_to_target([0.2, 0.5], 0.2), 6)
    0.192745
    >>> round(kl_to_target([-0.6, 0.0], 0.2, bounds=(-1, 1)), 6)
    0.192745
    """
    penalty = KLSparsity(sparsity, 1.0)
    penalty.check_bounds(bounds)
    low, high = bounds
    if not low < high:
        raise ValueError(f"bounds must be the smallest and the largest activation, in this order; got {bounds!r}.")
    means = np.asarray(mean_activation)
    if means.ndim != 1 or means.size == 0 or means.dtype.kind not in "buif":
        raise ValueError(
            f"mean_activation must be an array of numbers, of shape (n_units,); got an array of shape {means.shape} and"
            f" dtype {means.dtype}."
        )
    dtype = np.dtype(np.float32) if means.dtype == np.float32 else np.dtype(np.float64)
    rounding = 64 * float(np.finfo(dtype).eps) * (high - low)
    if not np.all((means >= low - rounding) & (means <= high + rounding)):
        raise ValueError(
            f"mean_activation must lie within the bounds of the units, [{low:g}, {high:g}]; got values from"
            f" {means.min():g} to {means.max():g}."
        )
    return penalty.value(means, bounds, dtype)


class _Dense:
    """Figures of a dense block of activations."""

    def __init__(self, activations: FloatArray) -> None:
        self.n_rows = len(activations)
        self._activations = activations

    def extents(self) -> tuple[FloatArray, FloatArray]:
        """Return the largest and the smallest activation of each unit."""
        largest, smallest = self._activations.max(axis=0), self._activations.min(axis=0)
        return largest.astype(np.float64), smallest.astype(np.float64)

    def count_above(self, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return on how many rows each unit is active, and how many units are active on each row."""
        active = self._activations > threshold
        return np.count_nonzero(active, axis=0).astype(np.int64), np.count_nonzero(active, axis=1).astype(np.int64)

    def sums(self, unit: float) -> tuple[FloatArray, float]:
        """Return the sum of each unit's activations and that of all magnitudes, both times `unit`, a power of two."""
        scaled = self._activations if unit == 1 else self._activations * unit
        return scaled.sum(axis=0, dtype=np.float64), float(np.abs(scaled).sum(dtype=np.float64))

    def squared_deviations(self, means: FloatArray, scale: FloatArray) -> FloatArray:
        """Return the sum of the squared deviations of each unit's activations over `scale` from `means`."""
        sums = np.zeros(len(means))
        for start in range(0, self.n_rows, _ROWS_AT_A_TIME):
            deviations = self._activations[start : start + _ROWS_AT_A_TIME] / scale
            deviations -= means
            sums += np.einsum("ij,ij->j", deviations, deviations)
        return sums


class _Sparse:
    """Figures of a sparse block of activations, the same as of the dense block, without making it dense."""

    def __init__(self, codes: Any) -> None:
        self.n_rows, self._n_units = codes.shape
        self._values, self._units = codes.data, codes.indices
        self._rows = np.repeat(np.arange(self.n_rows), np.diff(codes.indptr))
        self._n_not_stored_of_unit = self.n_rows - np.bincount(self._units, minlength=self._n_units)
        self._n_not_stored_on_row = self._n_units - np.diff(codes.indptr)

    def extents(self) -> tuple[FloatArray, FloatArray]:
        """Return the largest and the smallest activation of each unit."""
        has_zeros = self._n_not_stored_of_unit > 0
        largest, smallest = np.where(has_zeros, 0.0, -np.inf), np.where(has_zeros, 0.0, np.inf)
        with np.errstate(invalid="ignore"):  # NaN, which is refused afterwards
            np.maximum.at(largest, self._units, self._values)
            np.minimum.at(smallest, self._units, self._values)
        return largest, smallest

    def count_above(self, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return on how many rows each unit is active, and how many units are active on each row."""
        active = self._values > threshold
        of_units = np.bincount(self._units[active], minlength=self._n_units)
        on_rows = np.bincount(self._rows[active], minlength=self.n_rows)
        if threshold < 0:
            of_units += self._n_not_stored_of_unit
            on_rows += self._n_not_stored_on_row
        return of_units.astype(np.int64), on_rows.astype(np.int64)

    def sums(self, unit: float) -> tuple[FloatArray, float]:
        """Return the sum of each unit's activations and that of all magnitudes, both times `unit`, a power of two."""
        scaled = self._values if unit == 1 else self._values * unit
        sums = np.bincount(self._units, weights=scaled, minlength=self._n_units)
        return sums.astype(np.float64, copy=False), float(np.abs(scaled).sum(dtype=np.float64))

    def squared_deviations(self, means: FloatArray, scale: FloatArray) -> FloatArray:
        """Return the sum of the squared deviations of each unit's activations over `scale` from `means`."""
        deviations = self._values / scale[self._units] - means[self._units]
        sums = np.bincount(self._units, weights=np.square(deviations), minlength=len(means))
        total: FloatArray = sums + self._n_not_stored_of_unit * np.square(means)
        return total
