"""Targets of a classifier as rows, made from the numbers of the classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rhohat.common.arrays import FloatArray
from rhohat.data.rows.base import RowSource

__all__ = ["OneHotRows"]


class OneHotRows(RowSource):
    """Rows in one-hot encoding: each has `high` in one column, the column of its class, and `low` in all others.

    Parameters
    ----------
    numbers : array of int, of shape (n_samples,)
        Number of the column, for each row, that has `high`; a negative number stands for no column.
    n_columns : int
        Number of columns.
    low, high : float
        Value of all other columns, and value of the row's column.
    dtype : dtype-like
        The dtype of the rows: float32 or float64.

    Examples
    --------
    >>> OneHotRows(np.array([1, 0, -1]), 2, low=-1, high=1, dtype=np.float64).read(0, 3)
    array([[-1.,  1.],
           [ 1., -1.],
           [-1., -1.]])
    """

    def __init__(
        self, numbers: NDArray[np.integer], n_columns: int, *, low: float, high: float, dtype: DTypeLike
    ) -> None:
        self._numbers, self._low, self._high = numbers, low, high
        super().__init__("the targets", (len(numbers), n_columns), dtype)

    @property
    def is_watched(self) -> bool:
        """False, because an array in memory may change at any time without being noticed."""
        return False

    @property
    def held_bytes(self) -> int:
        """Number of bytes of the column numbers."""
        return int(self._numbers.nbytes)

    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        numbers = self._numbers[start:stop]
        rows = np.flatnonzero(numbers >= 0)
        out[:] = self._low
        out[rows, numbers[rows]] = self._high
