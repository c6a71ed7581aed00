"""Targets of a classifier, made from the numbers of the classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rhohat.common.arrays import FloatArray
from rhohat.data.rows.base import RowSource

__all__ = ["OneHotRows"]


class OneHotRows(RowSource):
    """Rows that say of each column whether it is the one of the row's number.

    Parameters
    ----------
    numbers : array of int, of shape (n_samples,)
        Which column it is; negative where it is none.
    n_columns : int
    low, high : float
        What "is not" and "is" look like.
    dtype : dtype-like
        float32 or float64.

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
        """An array may change at any time."""
        return False

    @property
    def held_bytes(self) -> int:
        """Memory for the numbers."""
        return int(self._numbers.nbytes)

    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        numbers = self._numbers[start:stop]
        rows = np.flatnonzero(numbers >= 0)
        out[:] = self._low
        out[rows, numbers[rows]] = self._high
