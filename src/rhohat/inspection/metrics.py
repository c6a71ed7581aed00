"""How good a code and its reconstructions are: metrics by definition, of rows that are seen some at a time.

`ReconstructionStatistics` and `ActivationStatistics` add up what they are shown, block by block. The functions below
them read arrays, files or row sources through one of the two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from rhohat.common.arrays import FloatArray, as_float_rows, excess_exponent, largest_magnitude, norm
from rhohat.data import RowSource, open_rows
from rhohat.layers.activations import Activation
from rhohat.terms.penalties import KLSparsity

__all__ = [
    "ActivationStatistics",
    "DictionaryMatch",
    "ReconstructionStatistics",
    "activation_frequency",
    "constant_fraction",
    "dead_fraction",
    "default_threshold",
    "explained_variance",
    "kl_to_target",
    "l0",
    "match_dictionaries",
    "mean_activation",
    "mean_squared_error",
]

_ROWS_AT_ONCE = 4096  # of which copies in float64 are made
_ACTIVE = 0.1  # of the way from the lower to the upper bound
_CONSTANT = 1e-3  # of its mean that a unit must vary by to tell rows apart; far above rounding, in float32 too


class ReconstructionStatistics:
    """What reconstructions leave of rows, added up block by block.

    Attributes
    ----------
    n_samples : int
        Rows seen so far.

    Notes
    -----
    One pass. Means and deviations from them are merged block by block in float64, so that an offset of the rows takes
    nothing from the precision, in whichever order they come. Sums of squares are kept as their roots, so that none
    overflows; where roots would, they are kept in units of a power of two.

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
        #: The mean, and the norms below, are in units of this power of two.
        self._exponent = 0
        # Norms over all rows: of x − x̂, of x − x̄, and of x; and the spacing of the rows' numbers at 1.
        self._residual = self._deviation = self._norm = self._spacing = 0.0

    def update(self, X: ArrayLike, reconstruction: ArrayLike) -> None:
        """Take in rows and what was made of them.

        Parameters
        ----------
        X, reconstruction : array-like of shape (n_rows, n_features)

        Raises
        ------
        ValueError
            If they are not of one such shape with at least one row, have other columns than the rows before, or are
            not finite.
        """
        rows, made = _as_rows(X, "X"), _as_rows(reconstruction, "reconstruction")
        if rows.shape != made.shape:
            raise ValueError(f"reconstruction must have the shape of X, {rows.shape}; got {made.shape}.")
        self._check_columns(rows.shape[1])
        seen = ReconstructionStatistics()
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            seen._add(rows[start : start + _ROWS_AT_ONCE], made[start : start + _ROWS_AT_ONCE])
        self.merge(seen)

    def merge(self, other: ReconstructionStatistics) -> None:
        """Take in what another one has seen.

        Raises
        ------
        ValueError
            If its rows have other columns.
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
        """Σ_ij (x_ij − x̂_ij)² / (n_samples n_features): the mean over samples and over features.

        The loss "squared_error" is ½ Σ_j (x_j − x̂_j)², summed over features, mean over samples: n_features / 2 times
        this.
        """
        _check_seen(self.n_samples)
        mean = self._residual / (self.n_samples * len(self._mean)) * self._residual
        unit = math.ldexp(1.0, self._exponent)
        return mean * unit * unit  # infinite where the mean is more than any number

    @property
    def explained_variance(self) -> float:
        """1 − Σ_ij (x_ij − x̂_ij)² / Σ_ij (x_ij − x̄_j)², with x̄_j the mean of column j over all rows seen.

        1 is perfect, 0 is as good as the column means. Where the rows have no variance at all, beyond rounding: 1 for
        a perfect reconstruction, else 0, as `score` of an autoencoder has it.
        """
        _check_seen(self.n_samples)
        # The mean of equal numbers is off by a rounding, so a variance of nothing seldom is 0 exactly.
        rounding = 4 * self._spacing * self._norm
        if self._deviation <= rounding:
            return float(self._residual <= rounding)
        ratio = self._residual / self._deviation
        return 1 - ratio * ratio

    def _add(self, rows: FloatArray, made: FloatArray) -> None:
        """Take in rows that fit one another, of which copies can be made."""
        block = ReconstructionStatistics()
        block.n_samples, block._spacing = len(rows), float(np.finfo(rows.dtype).eps)
        largest = _check_finite(rows, "X"), _check_finite(made, "reconstruction")
        block._exponent = excess_exponent(max(largest))
        unit = math.ldexp(1.0, -block._exponent)
        rows, made = rows.astype(np.float64) * unit, made.astype(np.float64) * unit
        block._norm = norm(rows)
        block._residual = norm(made - rows)
        first = rows[0].copy()  # about which the mean of equal rows is exact
        rows -= first
        about_first = rows.mean(axis=0)
        rows -= about_first
        block._mean = first + about_first
        block._deviation = norm(rows)
        self.merge(block)

    def _count_in(self, exponent: int) -> None:
        """Convert to units of another power of two."""
        unit = math.ldexp(1.0, self._exponent - exponent)
        self._mean = self._mean * unit
        self._residual, self._deviation, self._norm = self._residual * unit, self._deviation * unit, self._norm * unit
        self._exponent = exponent

    def _check_columns(self, n_features: int) -> None:
        if self.n_samples and n_features != len(self._mean):
            raise ValueError(f"X must have {len(self._mean)} columns, as the rows before; got {n_features}.")


class ActivationStatistics:
    """How units answer to rows, added up block by block.

    Parameters
    ----------
    threshold : float, default=0.0
        A unit is active on a row where its activation is above this, strictly. See `default_threshold`.

    Attributes
    ----------
    threshold : float
    n_samples : int
        Rows seen so far.

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
        #: The sum is in units of this power of two.
        self._exponent = 0
        self._sum: FloatArray = np.empty(0)
        self._n_active: NDArray[np.int64] = np.empty(0, np.int64)
        self._largest: FloatArray = np.empty(0)
        self._smallest: FloatArray = np.empty(0)

    def update(self, H: ArrayLike) -> None:
        """Take in activations.

        Parameters
        ----------
        H : array-like of shape (n_rows, n_units)

        Raises
        ------
        ValueError
            If they are of no such shape with at least one row, of other units than those before, or not finite.
        """
        activations = _as_rows(H, "H")
        seen = ActivationStatistics(self.threshold)
        seen.n_samples = len(activations)
        seen._n_active = np.count_nonzero(activations > self.threshold, axis=0).astype(np.int64)
        seen._largest, seen._smallest = (
            bound.astype(np.float64) for bound in (activations.max(axis=0), activations.min(axis=0))
        )
        seen._exponent = excess_exponent(_check_finite(np.array([seen._largest, seen._smallest]), "H"))
        if seen._exponent:
            activations = activations * math.ldexp(1.0, -seen._exponent)
        seen._sum = activations.sum(axis=0, dtype=np.float64)
        self.merge(seen)

    def merge(self, other: ActivationStatistics) -> None:
        """Take in what another one has seen.

        Raises
        ------
        ValueError
            If it has another threshold, or other units.
        """
        if other.threshold != self.threshold:
            raise ValueError(
                f"other must have the same threshold, {self.threshold:g}, to count the same; got {other.threshold:g}."
            )
        if other.n_samples == 0:
            return
        if self.n_samples == 0:
            self.n_samples, self._exponent = other.n_samples, other._exponent
            for name in ("_sum", "_n_active", "_largest", "_smallest"):
                setattr(self, name, getattr(other, name).copy())
            return
        if len(other._sum) != len(self._sum):
            raise ValueError(f"H must have {len(self._sum)} columns, as the rows before; got {len(other._sum)}.")
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
        """ρ̂, the mean over rows, of shape (n_units,), float64."""
        _check_seen(self.n_samples)
        return self._sum / self.n_samples * math.ldexp(1.0, self._exponent)

    @property
    def l0(self) -> float:
        """The number of units that are active on a row, mean over rows."""
        _check_seen(self.n_samples)
        return int(self._n_active.sum()) / self.n_samples

    @property
    def activation_frequency(self) -> FloatArray:
        """The fraction of the rows on which a unit is active, of shape (n_units,)."""
        _check_seen(self.n_samples)
        frequency: FloatArray = self._n_active / self.n_samples
        return frequency

    @property
    def dead_fraction(self) -> float:
        """The fraction of the units that were active on no row."""
        _check_seen(self.n_samples)
        return float(np.mean(self._n_active == 0))

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Whether each unit gives the same activation for every row, of shape (n_units,).

        A unit does where its largest and its smallest activation differ by no more than a thousandth of the magnitude
        of its mean: it tells no row from another. A single row says nothing about that, so then no unit does.
        """
        _check_seen(self.n_samples)
        unit = math.ldexp(1.0, -self._exponent)  # so that no difference overflows
        span = self._largest * unit - self._smallest * unit
        same: NDArray[np.bool_] = span <= _CONSTANT * np.abs(self._sum / self.n_samples)
        return same & (self.n_samples > 1)

    @property
    def constant_fraction(self) -> float:
        """The fraction of the units that give the same activation for every row: see `constant`."""
        return float(np.mean(self.constant))

    @property
    def largest_activation(self) -> FloatArray:
        """The largest over rows, of shape (n_units,), float64."""
        _check_seen(self.n_samples)
        return self._largest.copy()

    @property
    def smallest_activation(self) -> FloatArray:
        """The smallest over rows, of shape (n_units,), float64."""
        _check_seen(self.n_samples)
        return self._smallest.copy()


def explained_variance(X: Any, reconstruction: Any) -> float:
    """Return the fraction of the variance of X, about its column means, that reconstructions explain.

    1 − Σ_ij (x_ij − x̂_ij)² / Σ_ij (x_ij − x̄_j)²; see `ReconstructionStatistics.explained_variance`.

    Parameters
    ----------
    X, reconstruction : array-like, path or row source, of shape (n_samples, n_features)
        Whatever `rhohat.open_rows` opens; read once, side by side. A row source stays open.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If their shapes differ, or they are not finite.

    Examples
    --------
    >>> X = np.array([[101.0], [103.0]])
    >>> explained_variance(X, [[102.0], [102.0]])  # no better than the mean
    0.0
    """
    return _compare(X, reconstruction).explained_variance


def mean_squared_error(X: Any, reconstruction: Any) -> float:
    """Return Σ_ij (x_ij − x̂_ij)² / (n_samples n_features), the mean over samples and over features.

    The loss "squared_error" is n_features / 2 times this.

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
        If their shapes differ, or they are not finite.

    Examples
    --------
    >>> mean_squared_error([[1.0, 2.0]], [[1.0, 4.0]])
    2.0
    """
    return _compare(X, reconstruction).mean_squared_error


def l0(H: Any, threshold: float = 0.0) -> float:
    """Return how many units are active on a row, mean over rows.

    Parameters
    ----------
    H : array-like, path or row source, of shape (n_samples, n_units)
        Whatever `rhohat.open_rows` opens; read once. A row source stays open.
    threshold : float, default=0.0
        A unit is active where its activation is above this, strictly. See `default_threshold`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If H is not finite, or the threshold is not.

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

    Returns
    -------
    array of shape (n_units,)

    Raises
    ------
    ValueError
        If H is not finite, or the threshold is not.

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

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If H is not finite, or the threshold is not.

    Examples
    --------
    >>> dead_fraction([[0.0, 2.0], [0.0, 4.0]])
    0.5
    """
    return _count(H, threshold).dead_fraction


def constant_fraction(H: Any) -> float:
    """Return the fraction of the units that give the same activation for every row, and so tell no row from another.

    A unit does where its largest and its smallest activation differ by no more than a thousandth of the magnitude of
    its mean activation. A unit that is always 0 does too. Of a single row, the fraction is 0.

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
    """Return Σ_j KL(ρ ‖ ρ̂_j): how far mean activations are from the one that is aimed at.

    KL(ρ‖ρ̂) = ρ log(ρ/ρ̂) + (1−ρ) log((1−ρ)/(1−ρ̂)): the penalty `KLSparsity` without its weight.

    Parameters
    ----------
    mean_activation : array-like of shape (n_units,)
    sparsity : float
        ρ, in (0, 1).
    bounds : tuple of two floats, default=(0.0, 1.0)
        Smallest and largest activation of the units. They are mapped to 0 and 1: for tanh units, with (-1, 1), ρ̂ is
        (1 + a)/2.

    Returns
    -------
    float
        Summed over units, in nats.

    Raises
    ------
    ValueError
        If ρ is not in (0, 1), the bounds are not two finite numbers in ascending order, or a mean is not within them.

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
            f"mean_activation must be numbers of shape (n_units,); got an array of shape {means.shape} and dtype"
            f" {means.dtype}."
        )
    dtype = np.dtype(np.float32) if means.dtype == np.float32 else np.dtype(np.float64)
    rounding = 64 * float(np.finfo(dtype).eps) * (high - low)
    if not np.all((means >= low - rounding) & (means <= high + rounding)):
        raise ValueError(
            f"mean_activation must lie within the bounds of the units, [{low:g}, {high:g}]; got values from"
            f" {means.min():g} to {means.max():g}."
        )
    return penalty.value(means, bounds, dtype)


@dataclass(frozen=True, eq=False)
class DictionaryMatch:
    """Pairs of rows of two dictionaries, as `match_dictionaries` finds them.

    Attributes
    ----------
    rows : array of int, of shape (n_pairs,)
        Rows of the first dictionary, ascending.
    columns : array of int, of shape (n_pairs,)
        The row of the second one that belongs to each.
    cosine : array of shape (n_pairs,)
        The cosine of each pair, in [-1, 1]; its absolute value, where signs are ignored.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    cosine: FloatArray

    @property
    def mean_cosine(self) -> float:
        """The mean over pairs."""
        return float(self.cosine.mean())


def match_dictionaries(A: ArrayLike, B: ArrayLike, *, absolute: bool = False) -> DictionaryMatch:
    """Return the one-to-one matching of the rows of two dictionaries whose summed cosine similarity is largest.

    With it, features of two fits are compared, or learned ones with those that made the data.

    Parameters
    ----------
    A : array-like of shape (n_rows_a, n_features)
    B : array-like of shape (n_rows_b, n_features)
        Of the larger dictionary, some rows are left over.
    absolute : bool, default=False
        Whether signs are ignored, as where w and −w are the same feature.

    Returns
    -------
    DictionaryMatch
        Of min(n_rows_a, n_rows_b) pairs. A row of zeros has the cosine 0 with any other.

    Raises
    ------
    ValueError
        If they are not finite, have no rows, or differ in columns.

    Notes
    -----
    The assignment problem, solved exactly: the time grows with the third power of the number of rows.

    Examples
    --------
    >>> match = match_dictionaries([[1.0, 0.0], [0.0, 2.0]], [[1.0, 3.0], [1.0, 0.1], [-1.0, 0.0]])
    >>> match.rows, match.columns, match.cosine.round(3)
    (array([0, 1]), array([1, 0]), array([0.995, 0.949]))
    """
    first, second = _unit_rows(A, "A"), _unit_rows(B, "B")
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"A and B must have as many columns; got {first.shape[1]} and {second.shape[1]}.")
    cosine = (first @ second.T).clip(-1, 1)
    if absolute:
        cosine = np.abs(cosine)
    rows, columns = linear_sum_assignment(cosine, maximize=True)
    return DictionaryMatch(rows, columns, cosine[rows, columns])


def default_threshold(activation: Activation) -> float:
    """Return above which activation a unit counts as active, where nobody says it.

    A unit of two bounds is never exactly at rest: a sigmoid is never 0. It counts as active above a tenth of its range,
    low + 0.1 (high − low). All others count as active above 0.

    Parameters
    ----------
    activation : Activation

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


def _compare(X: Any, reconstruction: Any) -> ReconstructionStatistics:
    statistics = ReconstructionStatistics()
    with _opened(X) as rows, _opened(reconstruction) as made:
        if rows.shape != made.shape:
            raise ValueError(f"reconstruction must have the shape of X, {rows.shape}; got {made.shape}.")
        for start in range(0, len(rows), rows.rows_at_once):
            stop = min(start + rows.rows_at_once, len(rows))
            statistics.update(rows.read(start, stop), made.read(start, stop))
    return statistics


def _count(H: Any, threshold: float) -> ActivationStatistics:
    statistics = ActivationStatistics(threshold)
    with _opened(H) as activations:
        for block in activations.blocks(activations.rows_at_once):
            statistics.update(block)
    return statistics


@contextmanager
def _opened(data: Any) -> Iterator[RowSource]:
    """Open rows, and close them afterwards, unless they were open already."""
    source = open_rows(data)
    try:
        yield source
    finally:
        if source is not data:
            source.close()


def _as_rows(array: ArrayLike, name: str) -> FloatArray:
    """Return rows as floats, or raise ValueError where they are none."""
    rows = np.asarray(array)
    if rows.ndim != 2 or rows.size == 0 or rows.dtype.kind not in "buif":
        raise ValueError(
            f"{name} must be numbers of shape (n_rows, n_columns), at least one of each; got an array of shape"
            f" {rows.shape} and dtype {rows.dtype}."
        )
    return as_float_rows(rows)


def _unit_rows(array: ArrayLike, name: str) -> FloatArray:
    """Return rows in float64, divided by their norms; rows of zeros as they are."""
    rows = _as_rows(array, name).astype(np.float64)
    _check_finite(rows, name)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    rows /= np.where(largest > 0, largest, 1)  # so that no square overflows
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(norms > 0, norms, 1)
    return rows


def _check_finite(rows: FloatArray, name: str) -> float:
    """Return the largest magnitude, or raise ValueError where there are NaN or infinite numbers."""
    largest = largest_magnitude(rows)
    if not math.isfinite(largest):
        raise ValueError(f"{name} contains NaN or infinity; metrics are of finite numbers.")
    return largest


def _check_seen(n_samples: int) -> None:
    if n_samples == 0:
        raise ValueError("no rows were seen yet; call update with some first.")
