"""The fraction of the variance of rows that reconstructions explain, computed block by block without overflow."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from rhohat.common.arrays import FloatArray, excess_exponent, norm
from rhohat.data import RowSource

__all__ = ["explained_variance"]


def explained_variance(
    rows: RowSource, weights: FloatArray | None, reconstruct: Callable[[FloatArray, int], FloatArray]
) -> float:
    """Return 1 − Σ_ij w_i (x_ij − x̂_ij)² / Σ_ij w_i (x_ij − x̄_j)², with x̄ the weighted means of the columns.

    Parameters
    ----------
    rows : RowSource of shape (n_samples, n_features)
    weights : array of shape (n_samples,) or None
        Weight of each row; None means 1.
    reconstruct : callable
        Returns the reconstructions of a block of rows; called with the block and the number of its first row.

    Returns
    -------
    float
        The explained fraction. If the rows have no variance at all: 1 for a perfect reconstruction, else 0.
    """
    largest = max(abs(bound) for bound in rows.extent()) or 1.0  # no sum of numbers divided by it overflows
    unit = math.ldexp(1.0, -excess_exponent(largest))  # no norm of numbers multiplied by this number overflows
    first = rows.read(0, 1)[0].astype(np.float64)  # with rows relative to this row, the mean of equal rows is exact
    total = np.zeros(rows.shape[1])
    for one in rows.map_blocks(partial(_sum_rows, first, largest, weights)):
        total += one
    mean = first * unit + total / (len(rows) if weights is None else weights.sum()) * (largest * unit)
    residual = deviation = size = 0.0
    for some in rows.map_blocks(partial(_norms, unit, mean, weights, reconstruct)):
        residual, deviation, size = map(math.hypot, (residual, deviation, size), some)
    # The mean of equal numbers has a rounding error, so the variance of a constant is seldom exactly 0.
    rounding = 4 * float(np.finfo(rows.dtype).eps) * size
    if deviation <= rounding:
        return float(residual <= rounding)
    ratio = residual / deviation
    return 1 - ratio * ratio


def _sum_rows(origin: FloatArray, unit: float, weights: FloatArray | None, rows: FloatArray, first: int) -> FloatArray:
    """Return the sum over rows of weight · (row − origin) / unit."""
    scaled = rows / np.float64(unit) - origin / unit
    total: FloatArray = scaled.sum(axis=0) if weights is None else weights[first : first + len(rows)] @ scaled
    return total


def _norms(
    unit: float,
    mean: FloatArray,
    weights: FloatArray | None,
    reconstruct: Callable[[FloatArray, int], FloatArray],
    rows: FloatArray,
    first: int,
) -> tuple[float, float, float]:
    """Return the weighted norms of the reconstruction errors, of the rows minus their mean, and of the rows.

    Rows and reconstructions are multiplied by `unit`; `mean` must be multiplied by it already.
    """
    wide = rows * np.float64(unit)
    arrays = [wide - reconstruct(rows, first) * np.float64(unit), wide - mean, wide]
    if weights is not None:
        roots = np.sqrt(weights[first : first + len(rows)])[:, None]
        arrays = [roots * array for array in arrays]
    residual, deviation, size = map(norm, arrays)
    return residual, deviation, size
