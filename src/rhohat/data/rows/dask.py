"""Rows of a Dask array, which stay where Dask keeps them."""

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

_FEW_PIECES = 16  # this many chunks or fewer are never joined
_SMALL_PIECE = 2**24  # bytes; if there are many chunks, a smaller one costs more to schedule than to process


def is_dask_array(data: Any) -> bool:
    """Return whether an object is a Dask array, without importing Dask."""
    return hasattr(data, "__dask_graph__") and hasattr(data, "chunks")


class DaskRows(RowSource):
    """Rows of a Dask array; Dask computes the blocks that are read, and results over all rows.

    Parameters
    ----------
    array : dask.array.Array of shape (n_samples, ...)
        Axes after the first are raveled. The chunks along the first axis are the pieces of work that are distributed
        over the workers, so there should be several chunks for each thread.
    name : str, default="the Dask array"
        Name of the array in messages.
    compute : callable, default=None
        Function that computes a list of Dask objects and returns their values. None means ``dask.compute``, on Dask's
        current scheduler.

    Attributes
    ----------
    array : dask.array.Array of shape (n_samples, n_features)
        The rows, in the dtype of this source, and in one chunk along the second axis.

    Raises
    ------
    ValueError
        If the array does not know its shape, or does not hold real numbers.
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
        """Return the same rows, computed by another function."""
        return self._alike(self.array, self.name, compute)

    @property
    def rows_stored_together(self) -> int:
        """Number of rows of the largest chunk."""
        return int(max(self.array.chunks[0]))

    @property
    def is_watched(self) -> bool:
        """False, because the data from which the array is computed may change at any time without being noticed."""
        return False

    @property
    def edges(self) -> Sequence[int]:
        """First row of each chunk, and the end of the last; if there are many chunks, small ones are joined."""
        sizes = _join_small(self.array.chunks[0], self.shape[1] * self.dtype.itemsize)
        return [0, *np.cumsum(sizes).tolist()]

    def persisted(self, persist: Callable[[Any], Any]) -> DaskRows:
        """Return the same rows in a computed array, which is cut into chunks at `edges`."""
        array = persist(self.array.rechunk((tuple(np.diff(self.edges).tolist()), -1)))
        return self._alike(array, self.name, self._compute_all)

    def map_rows(self, function: Callable[[FloatArray, int], FloatArray], n_columns: int) -> Any:
        """Return the rows that a function makes from these rows, as a Dask array that is not computed yet.

        Parameters
        ----------
        function : callable(rows, first)
            Function that returns one new row for each row, with `n_columns` columns and the same dtype. `first`, the
            number of the first of the rows for other sources, is always 0.
        n_columns : int
            Number of columns of the result.

        Returns
        -------
        dask.array.Array of shape (n_samples, n_columns)
            The results, in chunks with the same numbers of rows as the chunks of `array`.
        """
        return self.array.map_blocks(
            _call_first,
            import_extra("dask", "dask").delayed(_Function(function), pure=False),  # so that it is sent only once
            dtype=self.dtype,
            chunks=(self.array.chunks[0], (n_columns,)),
            meta=np.empty((0, 0), self.dtype),
        )

    def recipes(self, edges: Sequence[int]) -> list[Any]:
        """Return a Dask object for each range between two edges; chunks are cut at the edges where necessary."""
        array = self.array
        if list(edges) != [0, *np.cumsum(array.chunks[0]).tolist()]:
            array = array[edges[0] : edges[-1]].rechunk((tuple(np.diff(edges).tolist()), -1))
        return list(array.to_delayed().ravel())

    def map_blocks(self, function: Callable[[FloatArray, int], Any]) -> Iterator[Any]:
        """Yield the result of a function of each chunk and the number of its first row, computed where the chunk is."""
        delayed = import_extra("dask", "dask").delayed(_call, pure=False)
        function = import_extra("dask", "dask").delayed(_Function(function), pure=False)
        chunks = self.recipes(self.edges)
        yield from self._compute_all(
            [delayed(function, chunk, first) for chunk, first in zip(chunks, self.edges, strict=False)]
        )

    def _digests(self) -> Iterable[bytes]:
        """Return one digest for each block of 4,096 successive rows, computed where the rows are."""
        delayed = import_extra("dask", "dask").delayed(digest_of, pure=False)
        array = self.array.rechunk((ROWS_IN_A_DIGEST, -1))
        return self._compute_all([delayed(chunk) for chunk in array.to_delayed().ravel()])

    def take(self, rows: NDArray[np.intp]) -> FloatArray:
        """Read rows by their numbers; only these rows of each chunk are sent."""
        order = np.argsort(rows, kind="stable")
        out = np.empty((len(rows), self.shape[1]), self.dtype)
        (out[order],) = self._compute_all([self.array[rows[order]]])
        return out

    def select(self, rows: NDArray[np.intp]) -> DaskRows:
        """Return the rows with the given numbers, which are ascending and distinct, as a source of their own."""
        return DaskRows(self.array[rows], self.name, self._compute_all)

    def _part(self, start: int, stop: int) -> RowSource:
        part = self._alike(self.array[start:stop], self._name_of_part(start, stop), self._compute_all)
        part.n_rows_found = self.n_rows_found
        part.kept = np.arange(start, stop) if self.kept is None else self.kept[start:stop]
        return part

    def _alike(self, array: Any, name: str, compute: Callable[[list[Any]], Sequence[Any]]) -> DaskRows:
        """Return a source of the rows of a two-dimensional array, with the `row_shape` and `n_steps` of this source."""
        rows = DaskRows(array, name, compute)
        rows.row_shape, rows.n_steps = self.row_shape, self.n_steps
        return rows

    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        (out[:],) = self._compute_all([self.array[start:stop]])


class _Function:
    """Wrapper of a function. It is not callable, so that Dask passes it on instead of calling it."""

    def __init__(self, function: Callable[[FloatArray, int], Any]) -> None:
        self.function = function


def _call(function: _Function, rows: Any, first: int) -> Any:
    return function.function(np.ascontiguousarray(rows), first)


def _call_first(rows: Any, function: _Function) -> Any:
    return _call(function, rows, 0)


def _compute(objects: list[Any]) -> Sequence[Any]:
    return import_extra("dask", "dask").compute(*objects)


def _join_small(sizes: Sequence[int], bytes_per_row: int) -> tuple[int, ...]:
    """Return the sizes of chunks after small ones, if there are many chunks, are joined with those that follow."""
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
