"""The fraction of the variance of rows that reconstructions explain, computed block by block without overflow."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from rhohat.common.arrays import FloatArray, excess_exponent, norm
from rhohat.data import RowSource
from rhohat.data.sequences import existing_steps

__all__ = ["explained_variance"]


def explained_variance(
    rows: RowSource,
    weights: FloatArray | None,
    reconstruct: Callable[[FloatArray, int], FloatArray],
    n_steps: int | None = None,
) -> float:
    """Return 1 − Σ_ij w_i (x_ij − x̂_ij)² / Σ_ij w_i (x_ij − x̄_j)², with x̄ the weighted means of the columns.

    Parameters
    ----------
    rows : RowSource of shape (n_samples, n_features)
    weights : array of shape (n_samples,) or None
        Weight of each row; None means 1.
    reconstruct : callable
        Returns the reconstructions of a block of rows; called with the block and the number of its first row.
    n_steps : int, default=None
        Number of steps of the rows if they are sequences, the last steps of which may be missing. The sums are then
        over the steps that exist, and x̄_j is the mean of a channel over all of them.

    Returns
    -------
    float
        The explained fraction. If the rows have no variance at all: 1 for a perfect reconstruction, else 0.
    """
    largest = max(abs(bound) for bound in rows.extent()) or 1.0  # no sum of numbers divided by it overflows
    unit = math.ldexp(1.0, -excess_exponent(largest))  # no norm of numbers multiplied by this number overflows
    # With rows relative to the first row or step, the mean of equal rows is exact.
    first = rows.read(0, 1).reshape(n_steps or 1, -1)[0].astype(np.float64)
    total, count = np.zeros(len(first)), 0.0
    for one, number in rows.map_blocks(partial(_sum_rows, first, largest, weights, n_steps)):
        total += one
        count += number
    if n_steps is None and weights is not None:
        count = float(weights.sum())
    mean = first * unit + total / count * (largest * unit)
    residual = deviation = size = 0.0
    for some in rows.map_blocks(partial(_norms, unit, mean, weights, n_steps, reconstruct)):
        residual, deviation, size = map(math.hypot, (residual, deviation, size), some)
    # The mean of equal numbers has a rounding error, so the variance of a constant is seldom exactly 0.
    rounding = 4 * float(np.finfo(rows.dtype).eps) * size
    if deviation <= rounding:
        return float(residual <= rounding)
    ratio = residual / deviation
    return 1 - ratio * ratio


def _sum_rows(
    origin: FloatArray, unit: float, weights: FloatArray | None, n_steps: int | None, rows: FloatArray, first: int
) -> tuple[FloatArray, float]:
    """Return the sum over rows, or over their steps, of weight · (row − origin) / unit, and the sum of weights."""
    steps, factors = existing_steps(rows, n_steps), _weights_of(weights, rows, first, n_steps)
    scaled = steps / np.float64(unit) - origin / unit
    if factors is None:
        return scaled.sum(axis=0), float(len(scaled))
    return factors @ scaled, float(factors.sum())


def _weights_of(weights: FloatArray | None, rows: FloatArray, first: int, n_steps: int | None) -> FloatArray | None:
    """Return the weight of each of the rows, or of each of their steps that exist."""
    some = None if weights is None else weights[first : first + len(rows)]
    if some is None or n_steps is None:
        return some
    return existing_steps(np.repeat(some[:, None], n_steps, axis=1), n_steps, rows)[:, 0]


def _norms(
    unit: float,
    mean: FloatArray,
    weights: FloatArray | None,
    n_steps: int | None,
    reconstruct: Callable[[FloatArray, int], FloatArray],
    rows: FloatArray,
    first: int,
) -> tuple[float, float, float]:
    """Return the weighted norms of the reconstruction errors, of the rows minus their mean, and of the rows.

    Rows and reconstructions are multiplied by `unit`; `mean` must be multiplied by it already.
    """
    wide, made = (existing_steps(one, n_steps, rows) * np.float64(unit) for one in (rows, reconstruct(rows, first)))
    arrays, factors = [wide - made, wide - mean, wide], _weights_of(weights, rows, first, n_steps)
    if factors is not None:
        roots = np.sqrt(factors)[:, None]
        arrays = [roots * array for array in arrays]
    residual, deviation, size = map(norm, arrays)
    return residual, deviation, size
