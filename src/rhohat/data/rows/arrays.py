"""Rows that are already in memory or are mapped into memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.data.rows.base import RowSource
from rhohat.data.rows.conventions import delivered_dtype

__all__ = ["ArrayRows"]


class ArrayRows(RowSource):
    """Rows of a NumPy array, a memory map, or a table that becomes an array, such as a DataFrame.

    Parameters
    ----------
    array : array-like of shape (n_samples, ...)
        Axes after the first are raveled, in C order.
    name : str, default="the array"
        Name of the array in messages.
    feature_names : sequence of str, default=None
        Names of the columns, if they have names.

    Raises
    ------
    ValueError
        If the array does not hold real numbers, or has fewer than two dimensions.
    """

    def __init__(self, array: Any, name: str = "the array", feature_names: Sequence[str] | None = None) -> None:
        self._array = np.asarray(array)
        dtype = delivered_dtype(self._array.dtype, name)
        super().__init__(name, self._array.shape, dtype, feature_names)

    @property
    def is_watched(self) -> bool:
        """False, because an array in memory may change at any time without being noticed."""
        return False

    def recipes(self, edges: Sequence[int]) -> list[Any]:
        """Return functions that open slices of the array as row sources; each slice is pickled with its function."""
        return [partial(ArrayRows, self._array[start:stop], self.name) for start, stop in pairwise(edges)]

    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        out[:] = self._array[start:stop].reshape(out.shape)
