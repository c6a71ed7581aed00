"""From a path, an array or a table to rows that are read block by block."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from os.path import abspath
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike
from scipy.sparse import issparse
from sklearn.utils import check_array

from rhohat.data.folders import files_of_data
from rhohat.data.rows.array_files import arrays_of_file, arrays_of_folder
from rhohat.data.rows.arrays import ArrayRows
from rhohat.data.rows.base import RowSource, choose_columns
from rhohat.data.rows.combined import ColumnRows, ConvertedRows, ShardedRows, TransformedRows
from rhohat.data.rows.dask import DaskRows, is_dask_array
from rhohat.data.rows.datasets import DatasetRows, is_zarr
from rhohat.data.rows.kinds import TABLES, open_file, path_and_key
from rhohat.data.rows.parquet import ParquetRows
from rhohat.data.rows.positioned import PositionedFile
from rhohat.data.rows.stored import ArrayFile, StoredArray, holds_numbers
from rhohat.data.rows.text import TextRows

__all__ = ["open_rows"]


def open_rows(
    data: Any,
    *,
    columns: Sequence[str | int] | None = None,
    transform: Any = None,
    dtype: DTypeLike | None = None,
) -> RowSource:
    """Open rows of numbers, to be read block by block, without taking them into memory.

    Parameters
    ----------
    data : path, array, DataFrame, Dask array or RowSource
        A path leads to one of these, told by its content, and by its name where that says nothing:

        * `.npy`, `.npz`, IDX (MNIST's format), safetensors, text (CSV): read with the standard library and NumPy alone;
        * HDF5 (`.h5`), Parquet, Zarr (a folder): with the extra ``formats``;
        * MATLAB's `.mat`: of version 7.3 with the extra ``formats``; files of earlier versions are taken into memory.
          A field of a struct has the name ``variable/field``; sparse matrices become dense as they are read;
        * `.npy`, IDX, safetensors or text gzipped, and compressed `.npz`, which are unpacked into a temporary file;
        * a folder of shards: its files in the order of their names, in which numbers count as numbers. All are open
          at a time.

        A first line of text in which no cell is a number names the columns.

        Where a file holds several arrays of two dimensions or more, the name of one follows the path:
        ``"file.h5:/group/rows"``. Axes after the first are raveled, in C order. What a system puts into folders, such
        as `._name`, `Thumbs.db` and other hidden files, is passed over.
    columns : sequence of str or int, default=None
        Columns to read, by name or by number from 0 on; None reads all. The other columns of a text or Parquet file may
        hold anything.
    transform : callable or fitted transformer, default=None
        What is done to each block: (n_rows, n_features) → (n_rows, n_new_features), row by row. Such as a fitted
        `ZCAWhitening`, or ``lambda rows: rows / 255``. Several threads call it at a time.
    dtype : {float32, float64}, default=None
        In which rows are given. None: float32 for floats of 32 and 16 bits (bfloat16 too), float64 for all other
        numbers; what a transform gives counts.

    Returns
    -------
    RowSource
        With `shape`, `dtype`, and `read(start, stop)`; to be closed, or used in a ``with`` statement.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If it holds no rows of numbers, is damaged or truncated, is something else than its name says, or holds several
        arrays of which none was named.
    MissingExtraError
        If the package that reads the format is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> path = Path(tempfile.mkdtemp()) / "rows.npy"
    >>> np.save(path, np.arange(12, dtype=np.uint8).reshape(4, 3))
    >>> with open_rows(path, transform=lambda rows: rows / 10) as rows:
    ...     print(rows.shape, rows.dtype, rows.read(1, 3).tolist())
    (4, 3) float64 [[0.3, 0.4, 0.5], [0.6, 0.7, 0.8]]
    """
    if dtype is not None and dtype not in ("float32", "float64", np.float32, np.float64):
        raise ValueError(f"dtype must be float32, float64 or None; got {dtype!r}.")
    chosen = None if columns is None else tuple(columns)
    if isinstance(data, str | PathLike):
        source = opened = _open_path(fspath(data), chosen)
    else:
        source = opened = _open_object(data, chosen)
    try:
        if transform is not None:
            source = TransformedRows(source, transform)
        if dtype is not None and source.dtype != np.dtype(dtype):
            source = ConvertedRows(source, dtype)
    except BaseException:
        if opened is not data:
            opened.close()
        raise
    return source


def _open_object(data: Any, chosen: tuple[str | int, ...] | None) -> RowSource:
    if chosen is not None:
        if getattr(data, "columns", None) is None:
            return ColumnRows(_open_object(data, None), chosen)
        names = list(data.columns)
        numbers = choose_columns(chosen, names, len(names), "the table")
        data = data.iloc[:, numbers] if hasattr(data, "iloc") else data[:, numbers]
    if isinstance(data, RowSource):
        return data
    if is_dask_array(data):
        return DaskRows(data)
    if issparse(data) or hasattr(data, "dask"):
        raise ValueError(f"rows are read from dense arrays; make one of this {type(data).__name__} first.")
    columns = getattr(data, "columns", None)
    if columns is not None:
        named = all(isinstance(column, str) for column in columns)
        table = check_array(data, dtype="numeric", ensure_all_finite=False, input_name="the table")
        return ArrayRows(table, "the table", list(columns) if named else None)
    is_dataset = all(hasattr(data, name) for name in ("shape", "dtype", "__getitem__"))
    if is_dataset and not isinstance(data, np.ndarray):
        return DatasetRows(data, getattr(data, "name", None) or f"the {type(data).__name__}")
    return ArrayRows(data)


@dataclass(frozen=True)
class _Reopening:
    """Opens a path again, in another process too."""

    path: str
    columns: tuple[str | int, ...] | None = None

    def __call__(self) -> RowSource:
        try:
            return _open_path(self.path, self.columns)
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{self.path} is not there on a worker of the cluster: rows must lie where every worker can open them"
                " under the same path."
            ) from None


class _Wanted(NamedTuple):
    """What of a file is to be read: which array, and which columns of it."""

    key: str | None
    columns: tuple[str | int, ...] | None


def _open_path(text: str, columns: tuple[str | int, ...] | None = None) -> RowSource:
    source = _open_path_once(text, columns)
    source.origin = _Reopening(abspath(text), columns)
    return source


def _open_path_once(text: str, columns: tuple[str | int, ...] | None) -> RowSource:
    path, key = path_and_key(text)
    wanted = _Wanted(key, columns)
    if not text or not path.exists():
        raise FileNotFoundError(f"there is no file or folder {text}.")
    if path.is_dir():
        return _open_arrays(arrays_of_folder(path, text), wanted) if is_zarr(path) else _open_folder(path, wanted)
    file, kind = open_file(path, text)
    if kind in TABLES:
        return _open_table(file, kind, text, wanted)
    return _open_arrays(arrays_of_file(file, kind, text, key), wanted)


def _pick(source: RowSource, wanted: _Wanted) -> RowSource:
    """Return the columns that are wanted of a source that has read them all."""
    if wanted.columns is None:
        return source
    try:
        return ColumnRows(source, wanted.columns)
    except BaseException:
        source.close()
        raise


def _open_folder(folder: Path, wanted: _Wanted) -> RowSource:
    paths = [path for path in files_of_data(folder) if not path.name.startswith("_")]
    if not paths:
        raise ValueError(f"the folder {folder} holds no files.")
    shards: list[RowSource] = []
    try:
        for path in sorted(paths, key=_natural_order):
            name = str(path) if wanted.key is None else f"{path}:{wanted.key}"
            shards.append(_open_path(name, wanted.columns))
        return ShardedRows(shards, str(folder))
    except BaseException:
        for shard in shards:
            shard.close()
        raise


def _natural_order(path: Path) -> list[tuple[bool, int, str]]:
    """Return a key by which shard-10 comes after shard-9."""
    parts = re.split(r"(\d+)", path.name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _open_table(file: PositionedFile, kind: str, name: str, wanted: _Wanted) -> RowSource:
    try:
        if wanted.key is not None:
            raise ValueError(f"{name} holds one array only; give the path without a name behind it.")
        if kind == "text":
            return TextRows(file, name, wanted.columns)
    except BaseException:
        file.close()
        raise
    file.close()  # it is opened by another library
    return ParquetRows(file.path, name, wanted.columns)


def _open_arrays(file: ArrayFile, wanted: _Wanted) -> RowSource:
    try:
        return _pick(file.choose(wanted.key, _can_be_rows).rows(), wanted)
    except BaseException:
        file.close()
        raise


def _can_be_rows(array: StoredArray) -> bool:
    """Return whether an array has rows and columns of numbers; in MATLAB, single numbers are matrices too."""
    return holds_numbers(array) and len(array.shape) > 1 and max(array.shape) > 1
