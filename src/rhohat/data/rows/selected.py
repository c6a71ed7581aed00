"""Rows of another source that are selected by their numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.data.rows.arrays import ArrayRows
from rhohat.data.rows.base import RowsOfAnother, RowSource
from rhohat.data.rows.dask import DaskRows

__all__ = ["SelectedRows", "select_rows"]


def select_rows(source: RowSource, rows: NDArray[np.intp]) -> RowSource:
    """Return some rows of a source as a source of their own; rows of a Dask array stay where Dask keeps them.

    Parameters
    ----------
    source : RowSource
        Source of all rows, which stays open when the returned source is closed.
    rows : array of int, of shape (n_rows,)
        Numbers of the selected rows, ascending and without repetition.
    """
    return source.select(rows) if isinstance(source, DaskRows) else SelectedRows(source, rows)


class SelectedRows(RowsOfAnother):
    """Rows of another source that are selected by their numbers.

    Parameters
    ----------
    source : RowSource
        Source of all rows, which stays open when this source is closed.
    rows : array of int, of shape (n_rows,)
        Numbers of the selected rows, ascending and without repetition.
    """

    def __init__(self, source: RowSource, rows: NDArray[np.intp]) -> None:
        self._rows = rows
        super().__init__(source, rows, source.name)

    @property
    def held_bytes(self) -> int:
        """Number of bytes that the source of all rows holds in memory, plus the bytes of the rows of one read."""
        return self._source.held_bytes + self._source.rows_at_once * self.shape[1] * self.dtype.itemsize

    def recipes(self, edges: Sequence[int]) -> list[Any]:
        """Return objects from which another process can make the rows between edges; see `RowSource.recipes`."""
        if self._source.edges is not None:  # pieces of rows on a cluster begin at other rows
            return super().recipes(edges)
        ends = [int(self._rows[edge]) for edge in edges[:-1]] + [int(self._rows[edges[-1] - 1]) + 1]
        return [
            partial(_open_selected, recipe, self._rows[start:stop] - first)
            for recipe, first, (start, stop) in zip(self._source.recipes(ends), ends, pairwise(edges), strict=False)
        ]

    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        out[:] = self._source.take(self._rows[start:stop])


def _open_selected(recipe: Callable[[], RowSource] | FloatArray, rows: NDArray[np.intp]) -> RowSource:
    """Return some rows of an array, or of the row source that a function opens."""
    return SelectedRows(recipe() if callable(recipe) else ArrayRows(recipe), rows)
