"""Base classes of all row sources, which read rows of numbers block by block from any storage."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from types import TracebackType
from typing import Any, Self
from weakref import WeakValueDictionary, finalize

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rhohat.common.arrays import FloatArray, empty_aligned
from rhohat.common.forks import ProcessLock
from rhohat.data.rows.columns import Reading
from rhohat.data.rows.conventions import ROWS_IN_A_DIGEST, as_rows, digest_of, without_folders
from rhohat.data.rows.extents import extents_of
from rhohat.data.tables.coding import Coding

__all__ = ["PartRows", "RowSource", "RowsOfAnother"]

_BYTES_AT_ONCE = 2**25  # size of a block, for callers that read all rows
_DENSE = 64  # a range is read as a whole if at least one in 64 of its rows is wanted


class RowSource(ABC):
    """Rows of numbers that are read block by block, possibly by several threads at the same time.

    Parameters
    ----------
    name : str
        Name of the rows in messages, such as their path.
    shape : sequence of int
        (n_samples, ...), each at least 1; axes after the first are raveled, in C order.
    dtype : dtype-like
        The dtype of the rows that are read: float32 or float64.
    feature_names : sequence of str, default=None
        Names of the columns, if they have names.

    Attributes
    ----------
    name, dtype, feature_names
    shape : tuple of two int
        (n_samples, n_features).
    row_shape : tuple of int
        Shape of a row before it was raveled: (28, 28) for images of 28 × 28 pixels, (n_features,) for flat rows.
    origin : callable, or None
        Function that opens the same rows again, in this or another process; None if they cannot be opened again.
    reading : Reading or None
        Record of the columns of a file or table that were read; None if it is not known.
    n_rows_found : int
        Number of rows before some of them were left out.
    kept : array of int, of shape (n_samples,), or None
        Numbers of these rows among the `n_rows_found` rows; None if these are all of them.
    targets : array of shape (n_samples,) or (n_samples, n_targets), or None
        Targets to be predicted, if they were read together with the rows.
    target_names : tuple of str, or None
        Names of the columns from which the targets were read.
    scale_is_known : bool
        Whether the scale of the rows was already compared with the scale in a fit, so that no further warning is
        needed.
    notes : tuple of str
        Sentences that say what was detected or left out when a table was opened.
    coding : Coding or None
        What the numbers stand for, if these are the rows of a table that may hold texts; None for rows of numbers.
    """

    ndim = 2

    def __init__(
        self, name: str, shape: Sequence[int], dtype: DTypeLike, feature_names: Sequence[str] | None = None
    ) -> None:
        self.name = name
        self.shape = as_rows(shape, name)
        self.row_shape = tuple(int(size) for size in shape[1:])
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.feature_names = None if feature_names is None else list(feature_names)
        self._extents: tuple[FloatArray, FloatArray] | None = None
        self._fingerprint: str | None = None
        self.origin: Callable[[], RowSource] | None = None
        self.reading: Reading | None = None
        self.n_rows_found = self.shape[0]
        self.kept: NDArray[np.intp] | None = None
        self.targets: NDArray[Any] | None = None
        self.target_names: tuple[str, ...] | None = None
        self.notes: tuple[str, ...] = ()
        self.scale_is_known = False
        self.coding: Coding | None = None
        self._n_steps: int | None = None
        if min(self.shape) < 1:
            raise ValueError(f"{name} has the shape {self.shape}; there must be at least one row and one column.")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> RowSource:
        """Return successive rows, such as ``source[:1000]``, as a source; closing it leaves this source open."""
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            raise TypeError(
                f"only successive rows can be selected, as source[start:stop]; got {rows!r}. Read other rows with take."
            )
        start, stop, _ = rows.indices(len(self))
        return self._part(start, max(start, stop))

    def _part(self, start: int, stop: int) -> RowSource:
        return PartRows(self, start, stop)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Read all rows into memory, for `numpy.asarray` and for estimators of other libraries."""
        if copy is False:
            raise ValueError(
                f"{self.name} cannot become an array without a copy, since its rows must be read; got copy=False."
            )
        return np.asarray(self.read(0, len(self)), dtype=dtype)

    def _name_of_part(self, start: int, stop: int) -> str:
        """Return a name for a range of rows, such as ``file.npy[8000:9000]``; the source's own name for all rows."""
        return self.name if stop - start == len(self) else f"{self.name}[{start}:{stop}]"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.shape[0]} × {self.shape[1]}, {self.dtype}>"

    @property
    def short_name(self) -> str:
        """The name without its folders, but with the name of the array that may follow the path."""
        return without_folders(self.name)

    def read(self, start: int, stop: int, out: FloatArray | None = None) -> FloatArray:
        """Read successive rows.

        Parameters
        ----------
        start, stop : int
            First row, and end of the range, which is not included; 0 <= start <= stop <= n_samples.
        out : array of shape (stop - start, n_features), default=None
            C-ordered array of this source's dtype into which the rows are read. If None, a new array is allocated.

        Returns
        -------
        array of shape (stop - start, n_features)
            The rows; `out` itself, if it was given.

        Raises
        ------
        IndexError
            If the range exceeds the rows of this source.
        ValueError
            If `out` has the wrong shape, dtype or order, or the file is damaged or has changed since it was opened.
        """
        if not 0 <= start <= stop <= self.shape[0]:
            raise IndexError(f"{self.name} has {self.shape[0]} rows; there are no rows {start} to {stop}.")
        shape = (stop - start, self.shape[1])
        if out is None:
            out = empty_aligned(shape, self.dtype)
        elif (out.shape, out.dtype) != (shape, self.dtype) or not out.flags.c_contiguous:
            raise ValueError(f"out must be a C-ordered array of shape {shape} and dtype {self.dtype}.")
        if stop > start:
            self._read_into(start, stop, out)
        return out

    def blocks(self, n_rows: int) -> Iterator[FloatArray]:
        """Yield all rows in order, in blocks of `n_rows` rows; the last block may be shorter."""
        for start in range(0, self.shape[0], n_rows):
            yield self.read(start, min(start + n_rows, self.shape[0]))

    def map_blocks(self, function: Callable[[FloatArray, int], Any]) -> Iterator[Any]:
        """Yield the results of a function for successive blocks of rows, in order, until all rows are processed.

        Parameters
        ----------
        function : callable(rows, first)
            Called with a block of rows and the number of its first row. For rows on a cluster it runs on the workers,
            so it must be picklable.
        """
        for start in range(0, self.shape[0], self.rows_at_once):
            yield function(self.read(start, min(start + self.rows_at_once, self.shape[0])), start)

    @property
    def edges(self) -> Sequence[int] | None:
        """First row of each piece of rows on a cluster, and the end of the last piece; None if not on a cluster."""
        return None

    def recipes(self, edges: Sequence[int]) -> list[Any]:
        """Return, for each range between two edges, an object from which another process can make the rows.

        Parameters
        ----------
        edges : sequence of int
            Row numbers at which the ranges begin and end, ascending.

        Returns
        -------
        list
            One object for each range: an array; or a picklable function that opens a row source, as for rows that were
            opened by a path; or a Dask object that becomes an array when it is computed.
        """
        if self.origin is None:
            return [self.read(start, stop) for start, stop in pairwise(edges)]
        return [partial(_open_part, self.origin, self.shape, start, stop) for start, stop in pairwise(edges)]

    def take(self, rows: NDArray[np.intp]) -> FloatArray:
        """Read rows by their numbers.

        Parameters
        ----------
        rows : array of int, of shape (n_rows,)
            Row numbers, in any order. If they are close together, the rows between them are read too.

        Returns
        -------
        array of shape (n_rows, n_features)
        """
        out = empty_aligned((len(rows), self.shape[1]), self.dtype)
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        first = 0
        while first < len(rows):
            start = int(ascending[first])
            last = int(np.searchsorted(ascending, start + self.rows_at_once))
            stop = int(ascending[last - 1]) + 1
            if stop - start > _DENSE * (last - first):
                last, stop = first + 1, start + 1
            out[order[first:last]] = self.read(start, stop)[ascending[first:last] - start]
            first = last
        return out

    @property
    def rows_at_once(self) -> int:
        """Number of rows that take about 32 MB, at least 1 and at most 8,192, for callers that read all rows."""
        return int(np.clip(_BYTES_AT_ONCE // (self.shape[1] * self.dtype.itemsize), 1, 8192))

    @property
    def rows_stored_together(self) -> int:
        """Number of rows that are read or unpacked together, such as the rows of a chunk or row group; else 1."""
        return 1

    @property
    def n_steps(self) -> int | None:
        """Number of steps of each row, if rows are sequences whose last steps may be missing, as NaN; else None."""
        return self._n_steps

    @n_steps.setter
    def n_steps(self, n_steps: int | None) -> None:
        if n_steps != self._n_steps:
            self._n_steps, self._extents = n_steps, None  # other numbers may be missing now

    def extent(self) -> tuple[float, float]:
        """Return the smallest and the largest number of all rows.

        The rows are read at the first call. Later calls read them again unless the source would notice changes of the
        rows, see `is_watched`.

        Returns
        -------
        tuple of two float

        Raises
        ------
        ValueError
            If there are NaN or infinite numbers in the rows; the message names the first such row.
        """
        low, high = self.extents()
        return float(low.min()), float(high.max())

    def extents(self) -> tuple[FloatArray, FloatArray]:
        """Return the smallest and the largest number of each column over all rows, which are read as for `extent`.

        Returns
        -------
        tuple of two arrays of shape (n_features,)

        Raises
        ------
        ValueError
            If there are NaN or infinite numbers in the rows; the message names the first such row.
        """
        if self._extents is None or not self.is_watched:
            self._extents = extents_of(self)
        return self._extents

    def known_extents(self) -> tuple[FloatArray, FloatArray]:
        """Return the last result of `extents`, even if the rows may have changed since; compute it the first time."""
        return self.extents() if self._extents is None else self._extents

    @property
    def lacks_rows(self) -> bool:
        """Whether rows were left out because values are missing in them."""
        return len(self) < self.n_rows_found

    @property
    def is_watched(self) -> bool:
        """Whether a change of the rows would be noticed at the next read."""
        return True

    @property
    def held_bytes(self) -> int:
        """Number of bytes that the source itself holds in memory while it is read."""
        return 0

    def fingerprint(self) -> str:
        """Read all rows once, and return a digest of the shape, the dtype and all numbers.

        The same rows have the same digest wherever they are stored.

        Returns
        -------
        str
            64 hexadecimal digits.
        """
        if self._fingerprint is None or not self.is_watched:
            digest = hashlib.sha256(repr((self.shape, self.dtype.str)).encode())
            for part in self._digests():
                digest.update(part)
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def _digests(self) -> Iterable[bytes]:
        """Return one digest for each block of 4,096 successive rows."""
        return (digest_of(block) for block in self.blocks(ROWS_IN_A_DIGEST))

    def release(self) -> None:  # noqa: B027 - most hold nothing
        """Free the data that are held in memory for the next read."""

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Close the files that this source has open; nothing can be read afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        """Read at least one row into `out`; the arguments are in range. Several threads may call it simultaneously."""


class RowsOfAnother(RowSource):
    """Some rows of another source, which stays open when this source is closed.

    Parameters
    ----------
    source : RowSource
        Source of all rows.
    rows : slice or array of int
        Range of rows, or row numbers, ascending and without repetition.
    name : str
        Name of the rows in messages.
    """

    def __init__(self, source: RowSource, rows: slice | NDArray[np.intp], name: str) -> None:
        self._source = source
        numbers = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
        super().__init__(name, (len(numbers), *source.row_shape), source.dtype, source.feature_names)
        self.reading, self.notes = source.reading, source.notes
        self.n_rows_found = source.n_rows_found
        self.kept = numbers if source.kept is None else source.kept[rows]
        self.targets = None if source.targets is None else source.targets[rows]
        self.target_names = source.target_names
        self.n_steps, self.coding = source.n_steps, source.coding

    @property
    def lacks_rows(self) -> bool:
        """Whether rows were left out because values are missing in them."""
        return self._source.lacks_rows

    @property
    def is_watched(self) -> bool:
        """Whether the source of all rows would notice a change of its rows."""
        return self._source.is_watched

    @property
    def rows_stored_together(self) -> int:
        """Number of rows that the source of all rows reads or unpacks together."""
        return self._source.rows_stored_together

    @property
    def held_bytes(self) -> int:
        """Number of bytes that the source of all rows holds in memory."""
        return self._source.held_bytes

    def release(self) -> None:
        """Free the data that the source of all rows holds in memory for the next read."""
        self._source.release()


class PartRows(RowsOfAnother):
    """Successive rows of another source, with a name that gives the range, such as ``file.npy[8000:9000]``.

    An `owner`, such as the object that keeps the source open, is kept alive as long as this object is.
    """

    def __init__(self, source: RowSource, start: int, stop: int, owner: object = None) -> None:
        self._start, self._owner = start, owner
        super().__init__(source, slice(start, stop), source._name_of_part(start, stop))

    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        self._source.read(self._start + start, self._start + stop, out)


class _Opened:
    """A source that several parts share; it is closed once no part refers to this object any more."""

    def __init__(self, source: RowSource) -> None:
        self.source = source
        finalize(self, source.close)


#: Sources that parts keep open in this process, by their origin: all parts of one file share one source.
_OPEN: WeakValueDictionary[Any, _Opened] = WeakValueDictionary()
_OPENING = ProcessLock()


def _open_part(origin: Callable[[], RowSource], shape: tuple[int, int], start: int, stop: int) -> RowSource:
    """Return some rows of a source of another process; this process opens the source once for all parts in use."""
    with _OPENING.here:
        opened = _OPEN.get(origin)
        if opened is None:
            opened = _OPEN[origin] = _Opened(origin())
    source = opened.source
    if source.shape != shape:
        raise ValueError(f"{source.name} has the shape {source.shape} on a worker, but {shape} where it was opened.")
    return PartRows(source, start, stop, opened)
