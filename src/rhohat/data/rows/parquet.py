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
from rhohat.data.tables.blocks import Missing
from rhohat.data.tables.cells import how_to_treat_missing, is_missing_label
from rhohat.data.tables.coding import Coding, Kind, Vocabulary, as_text

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
    codes_texts : bool, default=False
        Whether columns may hold texts, which `written` turns into codes; rows can then be read from its result only.

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
        *,
        codes_texts: bool = False,
    ) -> None:
        self._codes_texts = codes_texts
        self._keeps_missing = missing == "keep"
        self._file, fields, n_columns = _open(path, name)
        try:
            self._columns = _FieldsOf(fields, columns)
            dtype = np.dtype(np.float64) if codes_texts else _dtype_of(self._file, self._columns, name, missing)
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

    def written(self, missing: Missing, kinds: Sequence[Kind] | None = None) -> FlatRows:
        """Write the rows to a temporary file, in which texts are codes, and close this source.

        Parameters
        ----------
        missing : {"error", "drop", "keep"}
            Whether rows without some number, text or target are left out; with "keep", only those without a target.
        kinds : sequence of Kind, default=None
            What each of the columns held in the fit of a model, if there was one.
        """
        whole: list[NDArray[np.bool_]] = []
        coder = _Coder(self._columns.fields, kinds) if self._codes_texts else None
        with self:
            blocks = self._blocks_of_groups(coder) if missing == "error" else self._kept_blocks(whole, coder, missing)
            rows = FlatRows.written_to_the_end(blocks, self.name, self.shape[1], self.dtype)
        rows.feature_names, rows.reading = self.feature_names, self.reading
        rows.targets, rows.target_names = self.targets, self.target_names
        rows.coding = None if coder is None else coder.coding()
        if missing != "error":
            rows.n_rows_found, rows.kept = len(self), np.flatnonzero(np.concatenate(whole))
            rows.targets = None if self.targets is None else self.targets[rows.kept]
            rows.notes = notes_on_dropped(rows, only_unlabelled=missing == "keep")
        return rows

    def _blocks_of_groups(self, coder: _Coder | None) -> Iterator[FloatArray]:
        """Yield the rows of each row group as numbers."""
        for group in range(len(self._edges) - 1):
            if coder is None:
                yield self._group(group)
            else:
                columns = self._columns.read(self._file, group, self.name)
                self._check_missing(columns, group)
                yield coder.encode(columns)

    def _kept_blocks(
        self, kept: list[NDArray[np.bool_]], coder: _Coder | None, missing: Missing
    ) -> Iterator[FloatArray]:
        """Yield the rows of each row group that are kept, and append to `kept` which rows these are."""
        for numbers, start in zip(self._blocks_of_groups(coder), self._edges[:-1], strict=True):
            is_kept = np.logical_not(np.isnan(numbers).any(axis=1) & (missing == "drop"))
            if self.targets is not None:
                is_kept &= ~_lacks_targets(self.targets[start : start + len(numbers)])
            kept.append(is_kept)
            yield np.ascontiguousarray(numbers[is_kept])

    @property
    def lacks_targets(self) -> bool:
        """Whether there are rows without a target."""
        return self.targets is not None and bool(_lacks_targets(self.targets).any())

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
            self._check_missing(columns, group)
            for index, column in enumerate(columns):
                rows[:, index] = (column.cast("uint8") if str(column.type) == "bool" else column).to_numpy()
            self._kept = group, rows
        return self._kept[1]

    def _check_missing(self, columns: Sequence[Any], group: int) -> None:
        """Raise ValueError if values are missing in columns of a row group although this is an error."""
        if self._keeps_missing or not any(column.null_count for column in columns):
            return
        gaps = [
            f"{counted(column.null_count, 'missing value')} in its column {name!r}, first in row"
            f" {int(self._edges[group]) + column.is_null().to_pylist().index(True)}"
            for name, column in zip(self._columns.names, columns, strict=True)
            if column.null_count
        ]
        raise ValueError(Sentence(f"{self.name} has {', '.join(gaps)}. ", how_to_treat_missing("cells")))


class _Coder:
    """Encoder of columns of any type as numbers, row group by row group."""

    def __init__(self, fields: Sequence[Any], kinds: Sequence[Kind] | None) -> None:
        own = [_kind_of(field.type) for field in fields]
        fitted = own if kinds is None else kinds
        self._kinds = [Kind.TEXT if known == Kind.TEXT else kind for kind, known in zip(own, fitted, strict=True)]
        wrong = [f"column {field.name!r} is of the type {field.type}" for field in fields if not _kind_of(field.type)]
        if wrong:
            raise ValueError(f"a table may hold numbers, truth values and texts; {', '.join(wrong)}. Leave them out.")
        self._vocabularies = [Vocabulary(repr(field.name)) for field in fields]
        self._examples: dict[int, str] = {}

    def encode(self, columns: Sequence[Any]) -> FloatArray:
        """Return the numbers of the columns of a row group; dates are NaN."""
        numbers = np.full((len(columns[0]), len(columns)), np.nan)
        for place, (column, kind) in enumerate(zip(columns, self._kinds, strict=True)):
            if kind == Kind.DATE:
                example = next((str(value) for value in column.to_pylist() if value is not None), "")
                self._examples.setdefault(place, example)
            elif kind == Kind.TEXT:
                texts = (None if is_missing_label(one) else as_text(one) for one in column.to_pylist())
                numbers[:, place] = self._vocabularies[place].encode(texts, len(column))
            else:
                numbers[:, place] = column.cast("float64" if kind == Kind.NUMBER else "uint8").to_numpy()
        return numbers

    def coding(self) -> Coding:
        """Return what the numbers stand for, of all rows that were encoded."""
        kinds = tuple(kind or Kind.NUMBER for kind in self._kinds)
        return Coding(kinds, tuple(vocabulary.texts for vocabulary in self._vocabularies), self._examples)


def _lacks_targets(targets: NDArray[Any]) -> NDArray[np.bool_]:
    """Return whether each row lacks some target."""
    return np.array([any(map(is_missing_label, cells)) for cells in targets], bool)


def _kind_of(field_type: Any) -> Kind | None:
    """Return what a column of a type of Arrow holds; None if a table may not hold it."""
    name = str(field_type)
    if name.startswith(("string", "large_string", "dictionary")):
        return Kind.TEXT
    if name.startswith(("date", "time", "duration")):
        return Kind.DATE
    if name == "bool":
        return Kind.TRUTH
    return Kind.NUMBER if name.startswith(("int", "uint", "float", "half", "double")) else None


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


def _dtype_of(file: Any, columns: _FieldsOf, name: str, missing: str) -> np.dtype[Any]:
    """Return the dtype in which rows of these columns are delivered; raise if some of them hold no numbers."""
    fields, dtypes = columns.fields, []
    for field in fields:
        try:
            dtypes.append(np.dtype(field.type.to_pandas_dtype()))
        except (NotImplementedError, TypeError):
            dtypes.append(np.dtype(object))
    wrong = [field for field, dtype in zip(fields, dtypes, strict=True) if dtype.kind not in "buif"]
    if wrong:
        some = columns.read(file, 0, name) if file.metadata.num_row_groups else [()] * len(fields)
        held = []
        for field, column in zip(fields, some, strict=True):
            if field in wrong:
                value = next((one.as_py() for one in column if one.as_py() is not None), None)
                example = "" if value is None else f", such as {str(value)[:60]!r}"
                held.append(f"column {field.name!r} is of the type {field.type}{example}")
        gaps = [
            repr(field.name) for field, column in zip(fields, some, strict=True) if getattr(column, "null_count", 0)
        ]
        raise TextColumnsError(
            f"{name} must hold numbers; its {'; its '.join(held)}.",
            [one.name for one in wrong],
            f"Cells are missing, too, in the columns {', '.join(gaps)}." if gaps and missing == "error" else "",
            [one.name for one in wrong if _kind_of(one.type) == Kind.DATE],
        )
    return delivered_dtype(np.result_type(*dtypes), name)
