"""The smallest and the largest number of each column of a row source, and the check that all numbers are finite."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.data.finite import named_place
from rhohat.data.sequences import check_steps

if TYPE_CHECKING:
    from rhohat.data.rows.base import RowSource

__all__ = ["extents_of"]


def extents_of(source: RowSource) -> tuple[FloatArray, FloatArray]:
    """Return the smallest and the largest number of each column of a source, all rows of which are read.

    Missing steps of sequences are left out; a step that every sequence lacks has the range 0 to 0.

    Raises
    ------
    ValueError
        If there are other NaN or infinite numbers in the rows; the message names the first such row.
    """
    low, high = np.full(source.shape[1], np.inf), np.full(source.shape[1], -np.inf)
    for least, largest, bad in source.map_blocks(partial(_extents_of_rows, source.n_steps, source.name)):
        if bad is not None:
            row, column = bad
            raise ValueError(f"{named_place(source.name, row, column, source.feature_names)}.")
        np.minimum(low, least, out=low)
        np.maximum(high, largest, out=high)
    if source.n_steps is not None:
        low[low > high] = high[low > high] = 0
    return low, high


def _extents_of_rows(
    n_steps: int | None, name: str, rows: FloatArray, first: int
) -> tuple[FloatArray, FloatArray, tuple[int, int] | None]:
    """Return the smallest and largest number of each column, and row and column of the first non-finite number."""
    if n_steps is not None and np.isnan(rows).any():
        check_steps(rows, n_steps, name, first)
        missing = np.isnan(rows)
        least = np.where(missing, np.inf, rows).min(axis=0)
        largest = np.where(missing, -np.inf, rows).max(axis=0)
        wrong = np.isinf(rows)
    else:
        least, largest = rows.min(axis=0), rows.max(axis=0)
        wrong = np.zeros((1, 1), bool)
        if not (np.isfinite(least).all() and np.isfinite(largest).all()):
            wrong = ~np.isfinite(rows)
    if not wrong.any():
        return least, largest, None
    row, column = np.argwhere(wrong)[0]
    return least, largest, (first + int(row), int(column))
