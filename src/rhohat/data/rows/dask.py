"""Rows of a Dask array, which stay where Dask has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.extras import import_extra
from rhohat.data.rows.base import RowSource
from rhohat.data.rows.conventions import ROWS_IN_A_DIGEST, as_rows, delivered_dtype, digest_of

__all__ = ["DaskRows", "is_dask_array"]

_FEW_PIECES = 16  # and so many, or fewer, are never joined
_SMALL_PIECE = 2**24  # bytes: a smaller piece of many costs more to schedule than to work on


def is_dask_array(data: Any) -> bool:
    """Return whether something is a Dask array; Dask is not imported for it."""
    return hasattr(data, "__dask_graph__") and hasattr(data, "chunks")


class DaskRows(RowSource):
    """Rows of a Dask array. What is to be read, or to be known of all rows, is computed by Dask.

    Parameters
    ----------
    array : dask.array.Array of shape (n_samples, ...)
        Axes after the first are raveled. Its chunks along the first axis are the pieces that workers share, so there
        should be some for each thread.
    name : str, default="the Dask array"
    compute : callable, default=None
        Returns what Dask objects, in a list, become. None is ``dask.compute``, on the scheduler that Dask is set to.

    Attributes
    ----------
    array : dask.array.Array of shape (n_samples, n_features)
        Of the dtype of these rows, and in one chunk along the second axis.

    Raises
    ------
    ValueError
        If it does not know its shape, or holds no real numbers.
    """

    def __init__(
        self, array: Any, name: str = "the Dask array", compute: Callable[[list[Any]], Sequence[Any]] | None = None
    ) -> None:
        if any(np.isnan(size) for size in array.shape):
            raise ValueError(f"{name} does not know how many rows it has; call its compute_chunk_sizes() first.")
        shape, dtype = as_rows(array.shape, name), delivered_dtype(array.dtype, name)
        super().__init__(name, array.shape, dtype)
        if array.ndim > 2:
            array = array.rechunk(dict.fromkeys(range(1, array.ndim), -1)).reshape(shape)
        self.array = array.astype(dtype).rechunk({1: -1})
        self._compute_all = _compute if compute is None else compute

    def computed_by(self, compute: Callable[[list[Any]], Sequence[Any]]) -> DaskRows:
        """Return the same rows, computed by something else."""
        return self._alike(self.array, self.name, compute)

    @property
    def rows_stored_together(self) -> int:
        """Rows of the largest chunk."""
        return int(max(self.array.chunks[0]))

    @property
    def is_watched(self) -> bool:
        """What an array is computed from may change at any time."""
        return False

    @property
    def edges(self) -> Sequence[int]:
        """Where the chunks begin, and the last one ends; where there are many, small ones are joined."""
        sizes = _join_small(self.array.chunks[0], self.shape[1] * self.dtype.itemsize)
        return [0, *np.cumsum(sizes).tolist()]

    def persisted(self, persist: Callable[[Any], Any]) -> DaskRows:
        """Return the same rows in a computed array, of the chunks that `edges` says."""
        array = persist(self.array.rechunk((tuple(np.diff(self.edges).tolist()), -1)))
        return self._alike(array, self.name, self._compute_all)

    def map_rows(self, function: Callable[[FloatArray, int], FloatArray], n_columns: int) -> Any:
        """Return a Dask array, not yet computed, of what a function makes of rows; see `map_blocks`.

        Parameters
        ----------
        function : callable(rows, first)
            Returns as many rows, of `n_columns` columns and the same dtype. `first` is always 0.
        n_columns : int

        Returns
        -------
        dask.array.Array of shape (n_samples, n_columns)
            In chunks of as many rows as the array has.
        """
        return self.array.map_blocks(
            _call_first,
            import_extra("dask", "dask").delayed(_Function(function), pure=False),  # so that it is sent but once
            dtype=self.dtype,
            chunks=(self.array.chunks[0], (n_columns,)),
            meta=np.empty((0, 0), self.dtype),
        )

    def recipes(self, edges: Sequence[int]) -> list[Any]:
        """Return what the chunks between edges are, or would be if the array were cut there."""
        array = self.array
        if list(edges) != [0, *np.cumsum(array.chunks[0]).tolist()]:
            array = array[edges[0] : edges[-1]].rechunk((tuple(np.diff(edges).tolist()), -1))
        return list(array.to_delayed().ravel())

    def map_blocks(self, function: Callable[[FloatArray, int], Any]) -> Iterator[Any]:
        """Yield what a function makes of each chunk, and of the number of its first row; where the chunk is."""
        delayed = import_extra("dask", "dask").delayed(_call, pure=False)
        function = import_extra("dask", "dask").delayed(_Function(function), pure=False)
        chunks = self.recipes(self.edges)
        yield from self._compute_all(
            [delayed(function, chunk, first) for chunk, first in zip(chunks, self.edges, strict=False)]
        )

    def _digests(self) -> Iterable[bytes]:
        """Return the digests of each 4,096 successive rows, made where the rows are."""
        delayed = import_extra("dask", "dask").delayed(digest_of, pure=False)
        array = self.array.rechunk((ROWS_IN_A_DIGEST, -1))
        return self._compute_all([delayed(chunk) for chunk in array.to_delayed().ravel()])

    def take(self, rows: NDArray[np.intp]) -> FloatArray:
        """Read rows by their numbers; of each chunk only those are sent."""
        order = np.argsort(rows, kind="stable")
        out = np.empty((len(rows), self.shape[1]), self.dtype)
        (out[order],) = self._compute_all([self.array[rows[order]]])
        return out

    def select(self, rows: NDArray[np.intp]) -> DaskRows:
        """Return the rows of these numbers, ascending, each once, as a source of their own."""
        return DaskRows(self.array[rows], self.name, self._compute_all)

    def _part(self, start: int, stop: int) -> RowSource:
        part = self._alike(self.array[start:stop], self._name_of_part(start, stop), self._compute_all)
        part.n_rows_found = self.n_rows_found
        part.kept = np.arange(start, stop) if self.kept is None else self.kept[start:stop]
        return part

    def _alike(self, array: Any, name: str, compute: Callable[[list[Any]], Sequence[Any]]) -> DaskRows:
        """Return rows of an array of two axes, which had the shape of these before they were raveled."""
        rows = DaskRows(array, name, compute)
        rows.row_shape = self.row_shape
        return rows

    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        (out[:],) = self._compute_all([self.array[start:stop]])


class _Function:
    """Something to be called, which Dask passes on as it is: it calls what is callable itself."""

    def __init__(self, function: Callable[[FloatArray, int], Any]) -> None:
        self.function = function


def _call(function: _Function, rows: Any, first: int) -> Any:
    return function.function(np.ascontiguousarray(rows), first)


def _call_first(rows: Any, function: _Function) -> Any:
    return _call(function, rows, 0)


def _compute(objects: list[Any]) -> Sequence[Any]:
    return import_extra("dask", "dask").compute(*objects)


def _join_small(sizes: Sequence[int], bytes_per_row: int) -> tuple[int, ...]:
    """Return chunk sizes such that, where there are many, small ones are joined with those that follow."""
    sizes = [size for size in sizes if size]
    if len(sizes) <= _FEW_PIECES:
        return tuple(sizes)
    enough = min(-(-_SMALL_PIECE // bytes_per_row), -(-sum(sizes) // _FEW_PIECES))
    joined = [0]
    for size in sizes:
        if joined[-1] >= enough:
            joined.append(0)
        joined[-1] += size
    return tuple(joined)
