"""Metrics of activations: how many units are active, how often and how strongly, and which are dead or constant."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rhohat.common.arrays import FloatArray, excess_exponent
from rhohat.inspection.metrics.rows import as_rows, check_finite, check_seen, opened
from rhohat.layers.activations import Activation
from rhohat.terms.penalties import KLSparsity

__all__ = [
    "ActivationStatistics",
    "activation_frequency",
    "constant_fraction",
    "dead_fraction",
    "default_threshold",
    "kl_to_target",
    "l0",
    "mean_activation",
]

_ACTIVE = 0.1  # threshold of a bounded unit, as a fraction of the way from its lower to its upper bound
#: A unit is constant if its range is at most this fraction of its mean; far above rounding errors, even in float32.
_CONSTANT = 1e-3


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
            raise ValueError(f"threshold must be a finite number; got {threshold!r}.")
        self.n_samples = 0
        #: The sum is stored divided by 2 to the power of this exponent, so that it does not overflow.
        self._exponent = 0
        self._sum: FloatArray = np.empty(0)
        self._n_active: NDArray[np.int64] = np.empty(0, np.int64)
        self._largest: FloatArray = np.empty(0)
        self._smallest: FloatArray = np.empty(0)

    def update(self, H: ArrayLike) -> None:
        """Add a block of activations to the statistics.

        Parameters
        ----------
        H : array-like of shape (n_rows, n_units)
            Activations of the units, one row for each sample.

        Raises
        ------
        ValueError
            If H is not two-dimensional, has no rows or no columns, differs from earlier blocks in the number of units,
            or is not finite.
        """
        activations = as_rows(H, "H")
        seen = ActivationStatistics(self.threshold)
        seen.n_samples = len(activations)
        seen._n_active = np.count_nonzero(activations > self.threshold, axis=0).astype(np.int64)
        seen._largest, seen._smallest = (
            bound.astype(np.float64) for bound in (activations.max(axis=0), activations.min(axis=0))
        )
        seen._exponent = excess_exponent(check_finite(np.array([seen._largest, seen._smallest]), "H"))
        if seen._exponent:
            activations = activations * math.ldexp(1.0, -seen._exponent)
        seen._sum = activations.sum(axis=0, dtype=np.float64)
        self.merge(seen)

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
            self.n_samples, self._exponent = other.n_samples, other._exponent
            for name in ("_sum", "_n_active", "_largest", "_smallest"):
                setattr(self, name, getattr(other, name).copy())
            return
        if len(other._sum) != len(self._sum):
            raise ValueError(f"H must have {len(self._sum)} columns, like the earlier rows; got {len(other._sum)}.")
        self.n_samples += other.n_samples
        exponent = max(self._exponent, other._exponent)
        self._sum *= math.ldexp(1.0, self._exponent - exponent)
        self._sum += other._sum * math.ldexp(1.0, other._exponent - exponent)
        self._exponent = exponent
        self._n_active += other._n_active
        np.maximum(self._largest, other._largest, out=self._largest)
        np.minimum(self._smallest, other._smallest, out=self._smallest)

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

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Whether each unit gives the same activation for every row, of shape (n_units,).

        A unit counts as constant if its largest and its smallest activation differ by no more than a thousandth of the
        magnitude of its mean activation: such a unit does not distinguish rows. After a single row, no unit counts as
        constant.
        """
        check_seen(self.n_samples)
        unit = math.ldexp(1.0, -self._exponent)  # so that no difference overflows
        span = self._largest * unit - self._smallest * unit
        same: NDArray[np.bool_] = span <= _CONSTANT * np.abs(self._sum / self.n_samples)
        return same & (self.n_samples > 1)

    @property
    def constant_fraction(self) -> float:
        """Fraction of the units that give the same activation for every row: see `constant`."""
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


def l0(H: Any, threshold: float = 0.0) -> float:
    """Return the number of units that are active on a row, averaged over rows.

    Parameters
    ----------
    H : array-like, path or row source, of shape (n_samples, n_units)
        Activations: anything that `rhohat.open_rows` opens. They are read once. A row source that is passed in stays
        open.
    threshold : float, default=0.0
        A unit is active on a row if its activation is strictly above this number. See `default_threshold`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If H or the threshold is not finite.

    Examples
    --------
    >>> l0([[0.0, 2.0, 0.1], [1.0, 4.0, 3.0]])
    2.5
    """
    return _count(H, threshold).l0


def activation_frequency(H: Any, threshold: float = 0.0) -> FloatArray:
    """Return the fraction of the rows on which each unit is active.

    Parameters
    ----------
    H : array-like, path or row source, of shape (n_samples, n_units)
        As for `l0`.
    threshold : float, default=0.0
        As for `l0`.

    Returns
    -------
    array of shape (n_units,)

    Raises
    ------
    ValueError
        If H or the threshold is not finite.

    Examples
    --------
    >>> activation_frequency([[0.0, 2.0], [1.0, 4.0]])
    array([0.5, 1. ])
    """
    return _count(H, threshold).activation_frequency


def dead_fraction(H: Any, threshold: float = 0.0) -> float:
    """Return the fraction of the units that are active on no row.

    Parameters
    ----------
    H : array-like, path or row source, of shape (n_samples, n_units)
        As for `l0`.
    threshold : float, default=0.0
        As for `l0`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If H or the threshold is not finite.

    Examples
    --------
    >>> dead_fraction([[0.0, 2.0], [0.0, 4.0]])
    0.5
    """
    return _count(H, threshold).dead_fraction


def constant_fraction(H: Any) -> float:
    """Return the fraction of the units that give the same activation for every row.

    A unit counts as constant if its largest and its smallest activation differ by no more than a thousandth of the
    magnitude of its mean activation: such a unit does not distinguish rows. A unit that is always 0 is constant too.
    For a single row, the fraction is 0.

    Parameters
    ----------
    H : array-like, path or row source, of shape (n_samples, n_units)
        As for `l0`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If H is not finite.

    Examples
    --------
    >>> constant_fraction([[0.1, 2.0], [0.10001, 4.0]])
    0.5
    """
    return _count(H, 0.0).constant_fraction


def mean_activation(H: Any) -> FloatArray:
    """Return ρ̂, the mean activation of each unit over rows.

    Parameters
    ----------
    H : array-like, path or row source, of shape (n_samples, n_units)
        As for `l0`.

    Returns
    -------
    array of shape (n_units,), float64

    Raises
    ------
    ValueError
        If H is not finite.

    Examples
    --------
    >>> mean_activation([[0.0, 2.0], [1.0, 4.0]])
    array([0.5, 3. ])
    """
    return _count(H, 0.0).mean_activation


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


def default_threshold(activation: Activation) -> float:
    """Return the default activation above which a unit counts as active.

    A unit with a lower and an upper bound never quite reaches its lower bound: a sigmoid is never exactly 0. Such a
    unit counts as active above a tenth of its range, low + 0.1 (high − low). All other units count as active above 0.

    Parameters
    ----------
    activation : Activation
        Activation function of the unit.

    Returns
    -------
    float

    Examples
    --------
    >>> from rhohat.layers.activations import as_activation
    >>> [round(default_threshold(as_activation(name)), 6) for name in ("sigmoid", "tanh", "relu")]
    [0.1, -0.8, 0.0]
    """
    low, high = activation.bounds
    return low + _ACTIVE * (high - low) if math.isfinite(low) and math.isfinite(high) else 0.0


def _count(H: Any, threshold: float) -> ActivationStatistics:
    statistics = ActivationStatistics(threshold)
    with opened(H) as activations:
        for block in activations.blocks(activations.rows_at_once):
            statistics.update(block)
    return statistics
