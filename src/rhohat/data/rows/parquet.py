"""Rows of a Parquet file, by row groups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rhohat.arrays import FloatArray
from rhohat.data.rows.base import RowSource, choose_columns, delivered_dtype
from rhohat.data.rows.positioned import Stamp
from rhohat.extras import import_extra
from rhohat.forks import ProcessLock

__all__ = ["ParquetRows"]


class ParquetRows(RowSource):
    """Rows of a Parquet file whose columns are numbers. The row group that was read last is kept.

    Parameters
    ----------
    path : Path
    name : str
    columns : sequence of str or int, default=None
        Those to read; None reads all.

    Raises
    ------
    ValueError
        If it is damaged, a column holds no numbers, or there is no such column.
    MissingExtraError
        If pyarrow is not installed.
    """

    def __init__(self, path: Path, name: str, columns: Sequence[str | int] | None = None) -> None:
        parquet = import_extra("pyarrow.parquet", "formats")
        self._errors = import_extra("pyarrow", "formats").ArrowException
        try:
            self._file = parquet.ParquetFile(path)
            schema, metadata = self._file.schema_arrow, self._file.metadata
        except (self._errors, OSError) as error:
            raise ValueError(f"{name} cannot be read as a Parquet file: {error}") from error
        index = (schema.pandas_metadata or {}).get("index_columns", [])
        found = [field.name for field in schema if field.name not in index]
        try:
            chosen = range(len(found)) if columns is None else choose_columns(columns, found, len(found), name)
            self._columns = [found[number] for number in chosen]
            dtypes = [_dtype_of(schema.field(column), name) for column in self._columns]
        except BaseException:
            self._file.close()
            raise
        self._stamp = Stamp(path)
        sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        #: Where each row group begins, and the last ends.
        self._edges = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._largest = max(sizes, default=0)
        self._kept: tuple[int, FloatArray] | None = None
        self._lock = ProcessLock()
        dtype = np.result_type(*(delivered_dtype(one, name) for one in dtypes)) if dtypes else np.float64
        super().__init__(name, (metadata.num_rows, len(dtypes)), dtype, self._columns)

    @property
    def rows_stored_together(self) -> int:
        """Rows of the largest row group."""
        return self._largest

    @property
    def held_bytes(self) -> int:
        """Memory for a row group: as rows, and as pyarrow unpacks it, which lets go of memory late."""
        return 5 * self._largest * self.shape[1] * self.dtype.itemsize

    def release(self) -> None:
        """Let go of the row group that was read last."""
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
            self._kept = None  # before the next one is there
            try:
                table = self._file.read_row_group(group, columns=self._columns)
            except (self._errors, OSError) as error:
                raise ValueError(f"{self.name} is damaged in its row group {group}: {error}") from error
            rows = np.empty((table.num_rows, self.shape[1]), self.dtype)
            for index, column in enumerate(table.columns):
                if column.null_count:
                    raise ValueError(
                        f"{self.name} has {column.null_count} missing values in its column"
                        f" {table.column_names[index]!r}; fill them in first."
                    )
                rows[:, index] = column.to_numpy()
            self._kept = group, rows
        return self._kept[1]


def _dtype_of(field: Any, name: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(field.type.to_pandas_dtype())
    except (NotImplementedError, TypeError):
        dtype = np.dtype(object)
    if dtype.kind not in "buif":
        raise ValueError(
            f"{name} must hold numbers; its column {field.name!r} is of the type {field.type}; choose others."
        )
    return dtype
