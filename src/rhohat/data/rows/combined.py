"""Rows that come from other rows: several sources concatenated; blocks transformed, converted, or corrupted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from rhohat.common.arrays import FloatArray
from rhohat.common.extras import import_extra
from rhohat.common.forks import ProcessLock
from rhohat.common.words import Sentence, Setting
from rhohat.data.rows.arrays import ArrayRows
from rhohat.data.rows.base import RowSource
from rhohat.data.rows.columns import Reading
from rhohat.data.rows.conventions import delivered_dtype
from rhohat.terms.corruption import Corruption, corrupt_rows

__all__ = [
    "BorrowedRows",
    "ColumnRows",
    "ConvertedRows",
    "CorruptedRows",
    "ShardedRows",
    "SplitRows",
    "TransformedRows",
    "are_all",
    "derived",
]

_SHARDS_HELD = 4  # number of shards that may hold data in memory for the next read


class ShardedRows(RowSource):
    """Rows of several sources, one after the other.

    Parameters
    ----------
    shards : sequence of RowSource
        Sources of the rows, which are closed with this source.
    name : str
        Name of the rows in messages.

    Raises
    ------
    ValueError
        If there are no shards, or they differ in the number of columns, the column names, or the dtype.
    """

    def __init__(self, shards: Sequence[RowSource], name: str) -> None:
        if not shards:
            raise ValueError(f"{name} holds no rows.")
        first = shards[0]
        for shard in shards:
            for what in ("columns", "dtype", "feature_names"):
                ours, theirs = (s.shape[1] if what == "columns" else getattr(s, what) for s in (first, shard))
                if ours != theirs:
                    named = "{} columns" if what == "columns" else f"the {what.replace('_', ' ')} {{}}"
                    raise ValueError(
                        f"{shard.name} has {named.format(theirs)}, but {first.name} has {named.format(ours)}."
                    )
        self._shards = list(shards)
        self._recent: list[int] = []
        self._lock = ProcessLock()
        self._edges = np.concatenate([[0], np.cumsum([len(shard) for shard in shards])])
        alike = all(shard.row_shape == first.row_shape for shard in shards)
        row_shape = first.row_shape if alike else first.shape[1:]
        super().__init__(name, (int(self._edges[-1]), *row_shape), first.dtype, first.feature_names)
        self.reading = first.reading
        self.n_rows_found = sum(shard.n_rows_found for shard in shards)
        if any(shard.kept is not None for shard in shards):
            begins = np.cumsum([0, *(shard.n_rows_found for shard in shards)])
            parts = [np.arange(len(shard)) if shard.kept is None else shard.kept for shard in shards]
            self.kept = np.concatenate([begin + part for begin, part in zip(begins, parts, strict=False)])
        self.notes = tuple(note for shard in shards for note in shard.notes)

    @property
    def is_watched(self) -> bool:
        """Whether all shards would notice a change of their rows."""
        return all(shard.is_watched for shard in self._shards)

    @property
    def rows_stored_together(self) -> int:
        """Largest number of rows that any of the shards reads or unpacks together."""
        return max(shard.rows_stored_together for shard in self._shards)

    @property
    def held_bytes(self) -> int:
        """Largest number of bytes that the shards that were read last can hold in memory."""
        return sum(sorted((shard.held_bytes for shard in self._shards), reverse=True)[:_SHARDS_HELD])

    def close(self) -> None:
        """Close all shards."""
        for shard in self._shards:
            shard.close()

    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        index = int(np.searchsorted(self._edges, start, side="right")) - 1
        done = start
        while done < stop:
            begin, end = int(self._edges[index]), min(int(self._edges[index + 1]), stop)
            self._shards[index].read(done - begin, end - begin, out[done - start : end - start])
            self._note(index)
            done, index = end, index + 1

    def _note(self, index: int) -> None:
        """Record that a shard was read; if too many are recorded, free the data of the shard recorded first."""
        with self._lock.here:
            if index in self._recent:
                return
            self._recent.append(index)
            left = self._recent.pop(0) if len(self._recent) > _SHARDS_HELD else None
        if left is not None:
            self._shards[left].release()


#: Picklable function of rows and the number of the first row; it returns one new row for each, and changes none.
_Derivation: TypeAlias = Callable[[FloatArray, int], FloatArray]


class _DerivedRows(RowSource):
    """Rows that are derived from the rows of another source, one new row from each.

    Parameters
    ----------
    source : RowSource
        Source of the original rows, which is closed with this source.
    derive : callable(rows, first)
        Function that returns one new row for each row; see `_Derivation`.
    row_shape : tuple of int
    dtype : dtype-like
    feature_names : sequence of str, default=None
    first : int, default=0
        Number of the first row that is passed to `derive`; not 0 if these rows are a part of more rows.

    Attributes
    ----------
    owns_source : bool
        Whether the source is closed with these rows; false if the caller who opened it may continue to use it.
    """

    def __init__(
        self,
        source: RowSource,
        derive: _Derivation,
        row_shape: tuple[int, ...],
        dtype: DTypeLike,
        feature_names: Sequence[str] | None = None,
        first: int = 0,
    ) -> None:
        self._source, self._derive, self._first = source, derive, first
        self.owns_source = True
        super().__init__(source.name, (len(source), *row_shape), dtype, feature_names)
        self.n_rows_found, self.kept = source.n_rows_found, source.kept
        self.targets, self.target_names, self.notes = source.targets, source.target_names, source.notes

    @property
    def lacks_rows(self) -> bool:
        """Whether rows were left out because values are missing in them."""
        return self._source.lacks_rows

    def map_blocks(self, function: Callable[[FloatArray, int], Any]) -> Iterator[Any]:
        return self._source.map_blocks(partial(_derive_and_call, self._derive, function, self._first))

    @property
    def edges(self) -> Sequence[int] | None:
        return self._source.edges

    def recipes(self, edges: Sequence[int]) -> list[Any]:
        recipes = self._source.recipes(edges)
        firsts = [self._first + edge for edge in edges[:-1]]
        return [
            import_extra("dask", "dask").delayed(self._derive, pure=False)(recipe, first)
            if hasattr(recipe, "__dask_graph__")
            else partial(_open_derived, recipe, self._derive, self.row_shape, self.dtype, self.feature_names, first)
            for recipe, first in zip(recipes, firsts, strict=True)
        ]

    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        out[:] = self._derive(self._source.read(start, stop), self._first + start)

    @property
    def is_watched(self) -> bool:
        return self._source.is_watched

    @property
    def rows_stored_together(self) -> int:
        return self._source.rows_stored_together

    @property
    def held_bytes(self) -> int:
        return self._source.held_bytes

    def release(self) -> None:
        self._source.release()

    def close(self) -> None:
        if self.owns_source:
            self._source.close()

    def _describe_as_source(self) -> None:
        """Copy `reading` and `coding` from the source, for rows that have the same columns."""
        self.reading, self.coding = self._source.reading, self._source.coding


class TransformedRows(_DerivedRows):
    """Rows of a source after a transform of each block, such as scaling or whitening.

    Parameters
    ----------
    source : RowSource
        Source of the original rows, which is closed with this source.
    transform : callable or fitted transformer
        Function (n_rows, n_features) → (n_rows, n_new_features), applied row by row: the result for a row must not
        depend on the other rows. If it is a transformer, its method `transform` is called. Several threads call it at
        the same time. The rows keep their `row_shape` if the number of features stays the same.

    Raises
    ------
    ValueError
        If the transform does not return one row of numbers for each row.
    """

    def __init__(self, source: RowSource, transform: Any) -> None:
        function: Callable[[FloatArray], Any] = getattr(transform, "transform", transform)
        if not callable(function):
            raise ValueError(f"transform must be callable or have a method transform; got {transform!r}.")
        probe = np.asarray(function(source.read(0, 1)))
        if probe.ndim != 2 or len(probe) != 1:
            raise ValueError(
                f"transform must return one row for each row; it returned an array of shape {probe.shape} for an array"
                f" of shape {(1, source.shape[1])}."
            )
        dtype = delivered_dtype(probe.dtype, "the result of transform")
        derive = partial(_transform, function, probe.shape[1], dtype)
        row_shape = source.row_shape if probe.shape[1] == source.shape[1] else probe.shape[1:]
        super().__init__(source, derive, row_shape, dtype)


class BorrowedRows(_DerivedRows):
    """The rows of a source that its owner closes: it stays open when this object is closed.

    Parameters
    ----------
    source : RowSource
    """

    def __init__(self, source: RowSource) -> None:
        super().__init__(source, _as_they_are, source.row_shape, source.dtype, source.feature_names)
        self.owns_source, self.origin = False, source.origin
        self._describe_as_source()

    def extents(self) -> tuple[FloatArray, FloatArray]:
        """Return the smallest and the largest number of each column, as the source has determined them."""
        self._source.n_steps = self.n_steps
        return self._source.extents()

    def known_extents(self) -> tuple[FloatArray, FloatArray]:
        """Return the source's last result of `extents`, even if the rows may have changed since."""
        self._source.n_steps = self.n_steps
        return self._source.known_extents()

    def fingerprint(self) -> str:
        """Return the digest of the source's shape, dtype and numbers."""
        return self._source.fingerprint()

    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        self._source.read(start, stop, out)


def _as_they_are(rows: FloatArray, _: int) -> FloatArray:
    return rows


def _transform(function: Any, n_features: int, dtype: np.dtype[Any], rows: FloatArray, first: int) -> FloatArray:
    transformed = np.asarray(function(rows))
    shape = len(rows), n_features
    if transformed.shape != shape:
        raise ValueError(
            f"transform must return an array of shape {shape} for the rows from {first} on; it returned one of shape"
            f" {transformed.shape}."
        )
    return np.ascontiguousarray(transformed, dtype=dtype)


class ColumnRows(_DerivedRows):
    """Some columns of a source.

    Parameters
    ----------
    source : RowSource
        Source of all columns, which is closed with this source.
    columns : sequence of int
        Numbers of the columns, in the order in which they are delivered.
    """

    def __init__(self, source: RowSource, columns: Sequence[int]) -> None:
        names = None if source.feature_names is None else [source.feature_names[number] for number in columns]
        super().__init__(source, partial(_pick, list(columns)), (len(columns),), source.dtype, names)
        self._describe_as_source()
        self.coding = None if source.coding is None else source.coding.of(columns)
        before = source.reading or Reading(tuple(range(source.shape[1])), source.shape[1])
        self.reading = replace(before, columns=tuple(before.columns[number] for number in columns))


def _pick(columns: list[int], rows: FloatArray, _: int) -> FloatArray:
    return rows[:, columns]


class SplitRows(RowSource):
    """Rows of an array in which several axes count rows: an array (n, steps, channels) has n · steps rows.

    Parameters
    ----------
    source : RowSource
        Source whose rows are split into several each; it is closed with this source, if `owns_source`.
    n_axes : int
        Number of leading axes of the array that count rows, at least 2 and less than its number of axes.

    Raises
    ------
    ValueError
        If the array has no more axes than `n_axes`.
    """

    def __init__(self, source: RowSource, n_axes: int) -> None:
        inner = source.row_shape[: n_axes - 1]
        if len(source.row_shape) < n_axes:
            shape = (len(source), *source.row_shape)
            rule = f" must be less than the number of axes of {source.name}, which has the shape {shape}; got {n_axes}."
            raise ValueError(Sentence(Setting("row_axes"), rule))
        self._source, self._n_each, self.owns_source = source, math.prod(inner), True
        super().__init__(source.name, (len(source) * self._n_each, *source.row_shape[n_axes - 1 :]), source.dtype)
        self.reading = Reading(tuple(range(self.shape[1])), self.shape[1], row_axes=n_axes)

    @property
    def is_watched(self) -> bool:
        """Whether the source would notice a change of its rows."""
        return self._source.is_watched

    @property
    def rows_stored_together(self) -> int:
        """Number of rows that are read or unpacked together; each row of the source counts as several."""
        return self._source.rows_stored_together * self._n_each

    @property
    def held_bytes(self) -> int:
        """Number of bytes that the source holds in memory, plus the bytes of one of its rows."""
        return self._source.held_bytes + self._source.shape[1] * self.dtype.itemsize

    def release(self) -> None:
        """Free the data that the source holds in memory for the next read."""
        self._source.release()

    def close(self) -> None:
        """Close the source, if this object owns it."""
        if self.owns_source:
            self._source.close()

    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        first = start // self._n_each
        read = self._source.read(first, -(-stop // self._n_each)).reshape(-1, self.shape[1])
        out[:] = read[start - first * self._n_each : stop - first * self._n_each]


class ConvertedRows(_DerivedRows):
    """Rows of a source, converted to float32 or float64.

    Parameters
    ----------
    source : RowSource
        Source of the original rows, which is closed with this source.
    dtype : dtype-like
        The dtype of the converted rows: float32 or float64.

    Raises
    ------
    ValueError
        If `dtype` is neither float32 nor float64.
    """

    def __init__(self, source: RowSource, dtype: DTypeLike) -> None:
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64; got {dtype!r}.")
        derive = partial(_convert, np.dtype(dtype))
        super().__init__(source, derive, source.row_shape, dtype, source.feature_names)
        self._describe_as_source()


def _convert(dtype: np.dtype[Any], rows: FloatArray, _: int) -> FloatArray:
    return rows.astype(dtype)


class CorruptedRows(_DerivedRows):
    """Rows of a source, corrupted like the input of a denoising autoencoder, in the same way at every read.

    Parameters
    ----------
    source : RowSource
        Source of the clean rows, which is closed with this source.
    corruption : Corruption
    seed, epoch : int
        See `corrupt_rows`.
    """

    def __init__(self, source: RowSource, corruption: Corruption, seed: int, epoch: int) -> None:
        self._corrupt = partial(_corrupt, corruption, seed, epoch)
        super().__init__(source, self._corrupt, source.row_shape, source.dtype, source.feature_names)
        self._describe_as_source()

    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        self._corrupt(self._source.read(start, stop, out), self._first + start, out)


def _corrupt(
    corruption: Corruption, seed: int, epoch: int, rows: FloatArray, first: int, out: FloatArray | None = None
) -> FloatArray:
    return corrupt_rows(corruption, rows, seed, epoch, range(first, first + len(rows)), out)


def _derive_and_call(derive: _Derivation, function: _Derivation, offset: int, rows: FloatArray, first: int) -> Any:
    return function(derive(rows, offset + first), first)


def _open_derived(recipe: Any, derive: _Derivation, *arguments: Any) -> RowSource:
    """Return rows that are derived from an array, or from the row source that a function opens."""
    return _DerivedRows(recipe() if callable(recipe) else ArrayRows(recipe), derive, *arguments)


def derived(kind: Callable[..., Any], source: RowSource, given: Any, *arguments: Any) -> RowSource:
    """Return rows derived from a source, which is closed with them unless it is the object that the caller gave."""
    made: RowSource = kind(source, *arguments)
    made.owns_source = source is not given  # type: ignore[attr-defined]
    return made


def are_all(columns: Sequence[int], source: RowSource) -> bool:
    """Return whether `columns` are all columns of a source, in their original order."""
    return len(columns) == source.shape[1] and list(columns) == list(range(source.shape[1]))
