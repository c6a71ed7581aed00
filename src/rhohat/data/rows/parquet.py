"""Rows of a Parquet file, read by row groups."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import TextColumnsError
from rhohat.common.extras import import_extra
from rhohat.common.forks import ProcessLock
from rhohat.common.words import Sentence, counted
from rhohat.data.rows.base import RowSource
from rhohat.data.rows.columns import Columns, Reading
from rhohat.data.rows.conventions import delivered_dtype, notes_on_dropped
from rhohat.data.rows.flat import FlatRows
from rhohat.data.rows.positioned import Stamp
from rhohat.data.tables.cells import how_to_treat_missing, is_missing_label

__all__ = ["ParquetRows"]

_UNNAMED = re.compile(r"__index_level_\d+__")  # the name that pandas gives to an index without a name


class ParquetRows(RowSource):
    """Rows of a Parquet file whose columns are numbers; the row group that was read last is kept in memory.

    Parameters
    ----------
    path : Path
    name : str
        Name of the file in messages.
    columns : sequence of int
        Numbers of the columns to read; see `names_of`.
    targets : sequence of int, default=()
        Numbers of the target columns, which may hold anything: they are read into memory immediately.
    missing : {"error", "keep"}, default="error"
        How rows with missing values are treated: they are refused when they are read, or have NaN in place of the
        missing values.

    Raises
    ------
    ValueError
        If the file is damaged, a column holds no numbers, or there is no such column.
    MissingExtraError
        If pyarrow is not installed.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        columns: Sequence[int],
        targets: Sequence[int] = (),
        missing: Literal["error", "keep"] = "error",
    ) -> None:
        self._keeps_missing = missing == "keep"
        self._file, fields, n_columns = _open(path, name)
        try:
            self._columns = _FieldsOf(fields, columns)
            dtype = _dtype_of(self._columns.fields, name)
        except BaseException:
            self._file.close()
            raise
        self._stamp = Stamp(path)
        metadata = self._file.metadata
        sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        #: First row of each row group, and the end of the last row group.
        self._edges = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._largest = max(sizes, default=0)
        self._kept: tuple[int, FloatArray] | None = None
        self._lock = ProcessLock()
        super().__init__(name, (metadata.num_rows, len(columns)), dtype, self._columns.names)
        self.reading = Reading(tuple(columns), n_columns)
        if targets:
            chosen = _FieldsOf(fields, targets)
            self.targets, self.target_names = _values(self._file, chosen, name), tuple(chosen.names)
            self.reading = replace(self.reading, targets=tuple(targets))

    @classmethod
    def names_of(cls, path: Path, name: str) -> tuple[list[str], int]:
        """Return the names of all columns, with the pandas index last, and the number of columns without the index."""
        file, fields, n_columns = _open(path, name)
        file.close()
        return [field.name for field in fields], n_columns

    @classmethod
    def values_of(cls, path: Path, name: str, column: str | None) -> NDArray[np.object_]:
        """Return the values of one column, or of all columns, in an array of shape (n_rows, n_columns)."""
        file, fields, n_columns = _open(path, name)
        with file:
            wanted = Columns(None if column is None else (column,))
            chosen = wanted.choose([field.name for field in fields], n_columns, name)
            return _values(file, _FieldsOf(fields, chosen), name)

    def without_missing(self) -> FlatRows:
        """Write the rows without missing numbers or targets to a temporary file, and close this source."""
        whole: list[NDArray[np.bool_]] = []
        with self:
            rows = FlatRows.written_to_the_end(self._whole_blocks(whole), self.name, self.shape[1], self.dtype)
        rows.feature_names, rows.reading = self.feature_names, self.reading
        rows.n_rows_found, rows.kept = len(self), np.flatnonzero(np.concatenate(whole))
        rows.targets = None if self.targets is None else self.targets[rows.kept]
        rows.target_names = self.target_names
        rows.notes = notes_on_dropped(len(self), len(rows), self.name)
        return rows

    def _whole_blocks(self, whole: list[NDArray[np.bool_]]) -> Iterator[FloatArray]:
        """Yield the rows of each row group without missing values, and append to `whole` which rows these are."""
        for group, start in enumerate(self._edges[:-1]):
            numbers = self._group(group)
            is_whole = np.logical_not(np.isnan(numbers).any(axis=1))
            if self.targets is not None:
                targets = self.targets[start : start + len(numbers)]
                is_whole &= [not any(map(is_missing_label, cells)) for cells in targets]
            whole.append(is_whole)
            yield np.ascontiguousarray(numbers[is_whole])

    @property
    def rows_stored_together(self) -> int:
        """Number of rows of the largest row group."""
        return self._largest

    @property
    def held_bytes(self) -> int:
        """Number of bytes of a row group, as rows and as unpacked by pyarrow, which frees memory late."""
        return 5 * self._largest * self.shape[1] * self.dtype.itemsize

    def release(self) -> None:
        """Free the row group that was read last."""
        with self._lock.here:
            self._kept = None

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._kept = None

    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        self._stamp.check()
        with self._lock.here:
            group = int(np.searchsorted(self._edges, start, side="right")) - 1
            done = start
            while done < stop:
                begin, end = int(self._edges[group]), min(int(self._edges[group + 1]), stop)
                out[done - start : end - start] = self._group(group)[done - begin : end - begin]
                done, group = end, group + 1

    def _group(self, group: int) -> FloatArray:
        if self._kept is None or self._kept[0] != group:
            self._kept = None  # freed before the next row group is read
            columns = self._columns.read(self._file, group, self.name)
            rows = np.empty((len(columns[0]), self.shape[1]), self.dtype)
            for index, column in enumerate(columns):
                if column.null_count and not self._keeps_missing:
                    row = int(self._edges[group]) + column.is_null().to_pylist().index(True)
                    raise ValueError(
                        Sentence(
                            f"{self.name} has {counted(column.null_count, 'missing value')} in its column"
                            f" {self._columns.names[index]!r}, first in row {row}. ",
                            how_to_treat_missing("cells"),
                        )
                    )
                rows[:, index] = (column.cast("uint8") if str(column.type) == "bool" else column).to_numpy()
            self._kept = group, rows
        return self._kept[1]


class _FieldsOf:
    """Some columns of a file, in the requested order; several columns may have the same name."""

    def __init__(self, fields: Sequence[Any], chosen: Sequence[int]) -> None:
        self.fields = [fields[number] for number in chosen]
        self.names = [field.name for field in self.fields]
        ranks, seen = [], Counter[str]()
        for field in fields:
            ranks.append(seen[field.name])
            seen[field.name] += 1
        #: For each chosen column, the number of columns with the same name that precede it in the file.
        self._ranks = [ranks[number] for number in chosen]

    def read(self, file: Any, group: int, name: str) -> list[Any]:
        """Return the columns of a row group."""
        errors = import_extra("pyarrow", "formats").ArrowException
        try:
            table = file.read_row_group(group, columns=list(dict.fromkeys(self.names)))
        except (errors, OSError) as error:
            raise ValueError(f"{name} is damaged in its row group {group}: {error}") from error
        places: dict[str, list[int]] = {}
        for place, column in enumerate(table.column_names):
            places.setdefault(column, []).append(place)
        return [table.column(places[column][rank]) for column, rank in zip(self.names, self._ranks, strict=True)]


def _values(file: Any, fields: _FieldsOf, name: str) -> NDArray[np.object_]:
    """Return the values of columns as Python objects."""
    values = np.empty((file.metadata.num_rows, len(fields.names)), object)
    start = 0
    for group in range(file.metadata.num_row_groups):
        columns = fields.read(file, group, name)
        for index, column in enumerate(columns):
            values[start : start + len(column), index] = column.to_pylist()
        start += len(columns[0])
    return values


def _open(path: Path, name: str) -> tuple[Any, list[Any], int]:
    """Return an open Parquet file, its columns with the pandas index last, and their number without the index."""
    parquet, errors = import_extra("pyarrow.parquet", "formats"), import_extra("pyarrow", "formats").ArrowException
    try:
        file = parquet.ParquetFile(path)
        schema = file.schema_arrow
    except (errors, OSError) as error:
        raise ValueError(f"{name} cannot be read as a Parquet file: {error}") from error
    index = [one for one in (schema.pandas_metadata or {}).get("index_columns", []) if isinstance(one, str)]
    columns = [field for field in schema if field.name not in index]
    named = [field for field in schema if field.name in index and not _UNNAMED.fullmatch(field.name)]
    return file, [*columns, *named], len(columns)


def _dtype_of(fields: Sequence[Any], name: str) -> np.dtype[Any]:
    """Return the dtype in which rows of these columns are delivered."""
    dtypes = []
    for field in fields:
        try:
            dtypes.append(np.dtype(field.type.to_pandas_dtype()))
        except (NotImplementedError, TypeError):
            dtypes.append(np.dtype(object))
    wrong = [field for field, dtype in zip(fields, dtypes, strict=True) if dtype.kind not in "buif"]
    if wrong:
        held = ", ".join(f"column {field.name!r} is of the type {field.type}" for field in wrong[:5])
        n_more = len(wrong) - 5
        more = f", and there are no numbers in {counted(n_more, 'other column')} either" if n_more > 0 else ""
        raise TextColumnsError(f"{name} must hold numbers; its {held}{more}.", [field.name for field in wrong])
    return delivered_dtype(np.result_type(*dtypes), name)
