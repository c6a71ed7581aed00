"""What all row sources share: rows of numbers, read block by block, from wherever they are."""

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

__all__ = ["PartRows", "RowSource", "RowsOfAnother"]

_BYTES_AT_ONCE = 2**25  # of rows that are looked through
_DENSE = 64  # one row in so many is worth reading all that lie between


class RowSource(ABC):
    """Rows of numbers that are read block by block, by several threads at a time.

    Parameters
    ----------
    name : str
        What the rows are called in messages, such as their path.
    shape : sequence of int
        (n_samples, ...), each at least 1; axes after the first are raveled, in C order.
    dtype : dtype-like
        In which rows are given: float32 or float64.
    feature_names : sequence of str, default=None
        Names of the columns, where they have any.

    Attributes
    ----------
    name, dtype, feature_names
    shape : tuple of two int
        (n_samples, n_features).
    row_shape : tuple of int
        Of a row before it was raveled: (28, 28) for images of so many pixels, (n_features,) for a row that was flat.
    origin : callable, or None
        Opens the same rows again, in another process too; None where nothing can.
    reading : Reading or None
        Which columns of a file or table these are; None where that is not known.
    n_rows_found : int
        How many rows there were, before some were left out.
    kept : array of int, of shape (n_samples,), or None
        Which of the rows that were found these are; None where they are all of them.
    targets : array of shape (n_samples,) or (n_samples, n_targets), or None
        What is to be predicted, where it was read together with the rows.
    target_names : tuple of str, or None
        Of the columns that they were read from.
    scale_is_known : bool
        Whether the rows were compared with those of a fit, and what was to be said of their scale was said.
    notes : tuple of str
        What was found out or left out when a table was opened, each a sentence.
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
        if min(self.shape) < 1:
            raise ValueError(f"{name} has the shape {self.shape}; there must be at least one row and one column.")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> RowSource:
        """Return successive rows as a source of their own, such as ``source[:1000]``; it does not close this one."""
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            raise TypeError(f"successive rows are taken as source[start:stop], others by take; got {rows!r}.")
        start, stop, _ = rows.indices(len(self))
        return self._part(start, max(start, stop))

    def _part(self, start: int, stop: int) -> RowSource:
        return PartRows(self, start, stop)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Read all rows into memory, which is what `numpy.asarray` and estimators of others ask for."""
        if copy is False:
            raise ValueError(f"{self.name} cannot become an array without its rows being read.")
        return np.asarray(self.read(0, len(self)), dtype=dtype)

    def _name_of_part(self, start: int, stop: int) -> str:
        """Return a name that says which successive rows are meant, as ``file.npy[8000:9000]``, unless they are all."""
        return self.name if stop - start == len(self) else f"{self.name}[{start}:{stop}]"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.shape[0]} × {self.shape[1]}, {self.dtype}>"

    @property
    def short_name(self) -> str:
        """The name without folders before it, and with the array's name that may stand behind it."""
        return without_folders(self.name)

    def read(self, start: int, stop: int, out: FloatArray | None = None) -> FloatArray:
        """Read successive rows.

        Parameters
        ----------
        start, stop : int
            Rows from `start` up to, and without, `stop`; 0 <= start <= stop <= n_samples.
        out : array of shape (stop - start, n_features), default=None
            Where they go: C-ordered, of this source's dtype. None allocates.

        Returns
        -------
        array of shape (stop - start, n_features)
            `out`, where it was given.

        Raises
        ------
        IndexError
            If there are no such rows.
        ValueError
            If `out` does not fit, the file turns out to be damaged, or it changed since it was opened.
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
        """Yield all rows in order, so many at a time."""
        for start in range(0, self.shape[0], n_rows):
            yield self.read(start, min(start + n_rows, self.shape[0]))

    def map_blocks(self, function: Callable[[FloatArray, int], Any]) -> Iterator[Any]:
        """Yield what a function makes of successive rows: of all of them, in order.

        Parameters
        ----------
        function : callable(rows, first)
            Called with some rows and the number of the first of them. For rows on a cluster it runs on the workers, so
            it must be picklable.
        """
        for start in range(0, self.shape[0], self.rows_at_once):
            yield function(self.read(start, min(start + self.rows_at_once, self.shape[0])), start)

    @property
    def edges(self) -> Sequence[int] | None:
        """Where the pieces begin that rows on a cluster are in, and the last one ends; None for all other rows."""
        return None

    def recipes(self, edges: Sequence[int]) -> list[Any]:
        """Return what rows can be made of in another process, for each of the ranges between edges.

        Parameters
        ----------
        edges : sequence of int
            Ascending.

        Returns
        -------
        list
            Of arrays; or of functions, to be pickled, that open a row source, for rows that were opened by a path;
            or of objects that Dask computes, which become arrays.
        """
        if self.origin is None:
            return [self.read(start, stop) for start, stop in pairwise(edges)]
        return [partial(_open_part, self.origin, self.shape, start, stop) for start, stop in pairwise(edges)]

    def take(self, rows: NDArray[np.intp]) -> FloatArray:
        """Read rows by their numbers.

        Parameters
        ----------
        rows : array of int, of shape (n_rows,)
            In any order. Where they lie close together, the rows between them are read too.

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
        """How many rows take some 32 MB, at least 1 and at most 8,192: for whoever looks through all of them."""
        return int(np.clip(_BYTES_AT_ONCE // (self.shape[1] * self.dtype.itemsize), 1, 8192))

    @property
    def rows_stored_together(self) -> int:
        """How many rows are read, or unpacked, where one of them is: those of a chunk or row group, where there are."""
        return 1

    def extent(self) -> tuple[float, float]:
        """Read all rows and return the least and the largest number; only once, where changes would be noticed.

        Returns
        -------
        tuple of two float

        Raises
        ------
        ValueError
            If there are NaN or infinite numbers among them; it names the first such row.
        """
        low, high = self.extents()
        return float(low.min()), float(high.max())

    def extents(self) -> tuple[FloatArray, FloatArray]:
        """Do what `extent` does, for each column by itself.

        Returns
        -------
        tuple of two arrays of shape (n_features,)

        Raises
        ------
        ValueError
            As `extent` does.
        """
        if self._extents is None or not self.is_watched:
            low, high = np.full(self.shape[1], np.inf), np.full(self.shape[1], -np.inf)
            for least, largest, bad in self.map_blocks(_extents_of_rows):
                if bad is not None:
                    row, column = bad
                    place = column if self.feature_names is None else repr(self.feature_names[column])
                    raise ValueError(f"{self.name} contains NaN or infinity, first in row {row}, column {place}.")
                np.minimum(low, least, out=low)
                np.maximum(high, largest, out=high)
            self._extents = low, high
        return self._extents

    def known_extents(self) -> tuple[FloatArray, FloatArray]:
        """Return what `extents` returned last, for which nothing is read again; the rows may have changed meanwhile."""
        return self.extents() if self._extents is None else self._extents

    @property
    def lacks_rows(self) -> bool:
        """Whether rows were left out since they lack something."""
        return len(self) < self.n_rows_found

    @property
    def is_watched(self) -> bool:
        """Whether rows that change would be noticed at the next read."""
        return True

    @property
    def held_bytes(self) -> int:
        """Memory that the source itself holds while it is read."""
        return 0

    def fingerprint(self) -> str:
        """Return a digest of shape, dtype and every number, for which all rows are read once.

        The same rows have the same digest wherever they are.

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
        """Return the digests of each 4,096 successive rows."""
        return (digest_of(block) for block in self.blocks(ROWS_IN_A_DIGEST))

    def release(self) -> None:  # noqa: B027 - most hold nothing
        """Let go of what is held for the next read."""

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Close what is open; nothing can be read afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        """Overwrite `out` with at least one row; the arguments are in range. Several threads may call it at a time."""


class RowsOfAnother(RowSource):
    """Some rows of another source, which stays open when this is closed.

    Parameters
    ----------
    source : RowSource
    rows : slice or array of int, ascending, each once
    name : str
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

    @property
    def lacks_rows(self) -> bool:
        """Whether rows were left out since they lack something."""
        return self._source.lacks_rows

    @property
    def is_watched(self) -> bool:
        """Whether the other source is."""
        return self._source.is_watched

    @property
    def rows_stored_together(self) -> int:
        """Those of the other source."""
        return self._source.rows_stored_together

    @property
    def held_bytes(self) -> int:
        """Memory that the other source holds."""
        return self._source.held_bytes

    def release(self) -> None:
        """Let the other source go of what it holds."""
        self._source.release()


class PartRows(RowsOfAnother):
    """Some successive rows of another source, whose name says which, as ``file.npy[8000:9000]``.

    An owner, such as what has the source open, is kept for as long as this is not garbage.
    """

    def __init__(self, source: RowSource, start: int, stop: int, owner: object = None) -> None:
        self._start, self._owner = start, owner
        super().__init__(source, slice(start, stop), source._name_of_part(start, stop))

    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        self._source.read(self._start + start, self._start + stop, out)


class _Opened:
    """Something that parts of it have open; closed once all of these are garbage."""

    def __init__(self, source: RowSource) -> None:
        self.source = source
        finalize(self, source.close)


#: What parts have open in this process: those of one file share it.
_OPEN: WeakValueDictionary[Any, _Opened] = WeakValueDictionary()
_OPENING = ProcessLock()


def _open_part(origin: Callable[[], RowSource], shape: tuple[int, int], start: int, stop: int) -> RowSource:
    """Return some rows of what was open in another process, opened in this one; once for all parts in use."""
    with _OPENING.here:
        opened = _OPEN.get(origin)
        if opened is None:
            opened = _OPEN[origin] = _Opened(origin())
    source = opened.source
    if source.shape != shape:
        raise ValueError(f"{source.name} has the shape {source.shape} on a worker, and {shape} where it was opened.")
    return PartRows(source, start, stop, opened)


def _extents_of_rows(rows: FloatArray, first: int) -> tuple[FloatArray, FloatArray, tuple[int, int] | None]:
    """Return the least and the largest number of each column, and row and column of the first that is not finite."""
    least, largest = rows.min(axis=0), rows.max(axis=0)
    if np.isfinite(least).all() and np.isfinite(largest).all():
        return least, largest, None
    row, column = np.argwhere(~np.isfinite(rows))[0]
    return least, largest, (first + int(row), int(column))
