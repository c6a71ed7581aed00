"""From a path, an array or a table to rows that are read block by block."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from os.path import abspath
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.sparse import issparse
from sklearn.utils import check_array

from rhohat.data.bad_numbers import naming_columns
from rhohat.data.folders import files_of_data
from rhohat.data.rows.array_files import arrays_of_file, arrays_of_folder
from rhohat.data.rows.arrays import ArrayRows
from rhohat.data.rows.base import RowSource, notes_on_dropped, without_folders
from rhohat.data.rows.columns import Columns, ColumnSelection, ColumnsOfAFit, Reading, TargetsOfAFit, choose_columns
from rhohat.data.rows.combined import BorrowedRows, ColumnRows, ConvertedRows, ShardedRows, SplitRows, TransformedRows
from rhohat.data.rows.dask import DaskRows, is_dask_array
from rhohat.data.rows.datasets import DatasetRows, is_zarr
from rhohat.data.rows.kinds import TABLES, open_file, path_and_key
from rhohat.data.rows.parquet import ParquetRows
from rhohat.data.rows.positioned import PositionedFile
from rhohat.data.rows.stored import ArrayFile, StoredArray, holds_numbers
from rhohat.data.tables.cells import TextFormat
from rhohat.data.tables.dialect import has_byte_order_mark
from rhohat.data.tables.labels import as_labels
from rhohat.data.tables.text import Missing, TextTable

__all__ = ["open_rows", "open_table"]

_LONGEST_SIDE = 3  # of a picture, in units of the shorter one


def open_rows(
    data: Any,
    *,
    columns: Sequence[str | int] | ColumnSelection | None = None,
    drop: Sequence[str | int] = (),
    transform: Any = None,
    dtype: DTypeLike | None = None,
    row_axes: int = 1,
    missing: Missing = "error",
    header: bool | None = None,
    separator: str | None = None,
    decimal: str = ".",
    thousands: str | None = None,
    encoding: str | None = None,
) -> RowSource:
    """Open rows of numbers, to be read block by block, without taking them into memory.

    Parameters
    ----------
    data : path, array, DataFrame, Dask array or RowSource
        A path leads to one of these, told by its content, and by its name where that says nothing:

        * `.npy`, `.npz`, IDX (MNIST's format), safetensors: read with the standard library and NumPy alone;
        * tables of text, as CSV: with the extra ``tables``. They are parsed once, into a temporary file of numbers;
        * HDF5 (`.h5`), Parquet, Zarr (a folder): with the extra ``formats``;
        * MATLAB's `.mat`: of version 7.3 with the extra ``formats``; files of earlier versions are taken into memory.
          A field of a struct has the name ``variable/field``; sparse matrices become dense as they are read;
        * `.npy`, IDX, safetensors or text gzipped, and compressed `.npz`, which are unpacked into a temporary file;
        * a folder of shards: its files in the order of their names, in which numbers count as numbers. All are open
          at a time.

        Where a file holds several arrays of two dimensions or more, the name of one follows the path:
        ``"file.h5:/group/rows"``. Axes after the first are raveled, in C order; see `row_axes`. What a system puts into
        folders, such as `._name`, `Thumbs.db` and other hidden files, is passed over.
    columns : sequence of str or int, default=None
        Columns to read, by name or by number from 0 on, in this order; None reads all. The other columns of a text or
        Parquet file may hold anything. A column that is left out since it only numbers or names the rows has no number.
    drop : sequence of str or int, default=()
        Columns to leave out.
    transform : callable or fitted transformer, default=None
        What is done to each block: (n_rows, n_features) → (n_rows, n_new_features), row by row. Such as a fitted
        `ZCAWhitening`, or ``lambda rows: rows / 255``. Several threads call it at a time.
    dtype : {float32, float64}, default=None
        In which rows are given. None: float32 for floats of 32 and 16 bits (bfloat16 too), float64 for all other
        numbers; what a transform gives counts.
    row_axes : int, default=1
        How many axes of an array count rows: with 2, an array of shape (texts, tokens, channels) has a row of channels
        for each token of each text.
    missing : {"error", "drop", "keep"}, default="error"
        What becomes of rows in which a number is missing: they are refused, left out, or kept with NaN in the place of
        the number, for `MeanImputer` to fill in. Rows are left out of tables and of arrays in memory only.
    header : bool, default=None
        Whether the first line of a text names the columns. None: it does where it has texts above numbers, no number at
        all, or counts the columns, as pandas does where they have no names; where that may surprise, a warning says so.
    separator : str, default=None
        What stands between the cells of a text. None: the one of ``; tab | , space`` that cuts its lines into as many
        cells, most of them numbers.
    decimal, thousands : str, default="." and None
        What stands before the decimals of a number, and between groups of three digits.
    encoding : str, default=None
        Of a text. None: UTF-8, or UTF-16 or UTF-32 where it begins with their byte order mark.

    Returns
    -------
    RowSource
        With `shape`, `dtype`, and `read(start, stop)`; to be closed, or used in a ``with`` statement. A row source that
        was given stays open.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If it holds no rows of numbers, is damaged or truncated, is something else than its name says, or holds several
        arrays of which none was named.
    MissingExtraError
        If the package that reads the format is not installed.

    Warns
    -----
    UserWarning
        If a column of a table is left out, as one that numbers the rows; if numbers in the first line of a text are
        taken for names; or if rows that do not look like pictures are raveled.

    See Also
    --------
    open_table : Rows of a table together with what is to be predicted.

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
    if row_axes < 1:
        raise ValueError(f"row_axes must be at least 1; got {row_axes}.")
    wanted = _Wanted(
        _as_selection(columns, drop),
        TextFormat(header, separator, decimal, thousands, encoding),
        None,
        _checked(missing),
    )
    if isinstance(data, str | PathLike):
        source = _open_path(fspath(data), wanted, row_axes)
    else:
        source = _open_object(data, wanted, row_axes)
    if source is data and type(source).close is not RowSource.close:
        source = BorrowedRows(source)  # which leaves it open when it is closed
    try:
        if transform is not None:
            source = _derived(TransformedRows, source, data, transform)
        if dtype is not None and source.dtype != np.dtype(dtype):
            source = _derived(ConvertedRows, source, data, dtype)
    except BaseException:
        if source is not data:
            source.close()
        raise
    return source


def open_table(
    path: str | PathLike[str],
    target: str | int | Sequence[str | int] | TargetsOfAFit,
    *,
    columns: Sequence[str | int] | ColumnSelection | None = None,
    drop: Sequence[str | int] = (),
    missing: Missing = "error",
    header: bool | None = None,
    separator: str | None = None,
    decimal: str = ".",
    thousands: str | None = None,
    encoding: str | None = None,
) -> tuple[RowSource, NDArray[Any]]:
    r"""Open the rows of a table, and read what is to be predicted for each from another column of it.

    Parameters
    ----------
    path : path
        Of a table of text, as CSV, or of a Parquet file.
    target : str, int, or sequence of these
        The column, or columns, to be predicted, by name or by number from 0 on. They are left out of the rows.
    columns, drop
        See `open_rows`.
    missing : {"error", "drop", "keep"}, default="error"
        See `open_rows`. With "drop", rows without a target are left out, too; they are refused otherwise.
    header, separator, decimal, thousands, encoding
        See `open_rows`.

    Returns
    -------
    rows : RowSource of shape (n_samples, n_features)
        To be closed, or used in a ``with`` statement.
    y : array of shape (n_samples,) or (n_samples, n_targets)
        Of a text: numbers where every cell of the column is a plain number, such as 7 or -0.5, and different ones stay
        different; else texts. Of a Parquet file: what it holds.

    Raises
    ------
    FileNotFoundError, ValueError, MissingExtraError
        As `open_rows` does; or if the file is no table, there is no such column, or a target is missing.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "flowers.csv"
    >>> _ = path.write_text("length,width,species\n5.1,3.5,setosa\n7.0,3.2,versicolor\n")
    >>> rows, y = open_table(path, target="species")
    >>> rows.feature_names, y.tolist()
    (['length', 'width'], ['setosa', 'versicolor'])
    >>> rows.close()
    """
    targets = target if isinstance(target, TargetsOfAFit) else _as_targets(target)
    selection = _as_selection(columns, drop)
    wanted = _Wanted(selection, TextFormat(header, separator, decimal, thousands, encoding), targets, _checked(missing))
    rows = _open_path(fspath(path), wanted)
    try:
        if rows.targets is None and targets.said:
            raise ValueError(f"{path} is no table: a column to be predicted is one of a text (CSV) or Parquet file.")
    except BaseException:
        rows.close()
        raise
    return rows, rows.targets  # type: ignore[return-value] # None only where the targets are those of a model


def _as_targets(target: str | int | Sequence[str | int]) -> TargetsOfAFit:
    said = (target,) if isinstance(target, str | int) else tuple(target)
    if not said:
        raise ValueError("target must name at least one column; got none.")
    return TargetsOfAFit(said)


def _as_selection(columns: Any, drop: Sequence[str | int]) -> ColumnSelection:
    if isinstance(columns, str) or isinstance(drop, str):
        raise ValueError("columns and drop must be sequences of names or numbers, such as ['a', 'b']; got a text.")
    if hasattr(columns, "choose"):
        selection: ColumnSelection = columns
        return selection
    return Columns(None if columns is None else tuple(columns), tuple(drop))


def _checked(missing: str) -> Missing:
    if missing not in ("error", "drop", "keep"):
        raise ValueError(f"missing must be 'error', 'drop' or 'keep'; got {missing!r}.")
    return missing  # type: ignore[return-value]


def _derived(kind: Callable[..., Any], source: RowSource, given: Any, *arguments: Any) -> RowSource:
    """Return rows that are made of others, which are closed with them unless they are what the caller has given."""
    made: RowSource = kind(source, *arguments)
    made.owns_source = source is not given  # type: ignore[attr-defined]
    return made


def _open_object(data: Any, wanted: _Wanted, row_axes: int) -> RowSource:
    source = _open_columns(data, wanted.columns, row_axes)
    return _without_missing(source) if wanted.missing == "drop" else source


def _without_missing(source: RowSource) -> RowSource:
    """Return the rows in memory that lack no number."""
    if not isinstance(source, ArrayRows):
        raise ValueError(_only_tables("rows in which a number is missing are left out", source.name))
    rows = source.read(0, len(source))
    kept = np.flatnonzero(np.logical_not(np.isnan(rows).any(axis=1)))
    if len(kept) == 0:
        raise ValueError(f"{source.name} has no row without missing values.")
    whole = ArrayRows(rows[kept], source.name, source.feature_names)
    whole.reading, whole.n_rows_found, whole.kept = source.reading, len(source), kept
    whole.notes = notes_on_dropped(len(source), len(kept), source.name)
    return whole


def _only_tables(what: str, name: str) -> str:
    return f"{what} of tables, as CSV and Parquet, and of arrays in memory; {name} is none."


def _open_columns(data: Any, columns: ColumnSelection, row_axes: int) -> RowSource:
    """Return chosen columns of rows that are no file."""
    if hasattr(data, "dask") and not is_dask_array(data):
        raise ValueError(f"rows are read from dense arrays; make one of this {type(data).__name__} first.")
    if hasattr(data, "column_names") and hasattr(data, "to_pandas"):
        data = data.to_pandas()  # a table of pyarrow
    if getattr(data, "columns", None) is not None:
        return _open_frame(data, columns)
    if isinstance(data, RowSource):
        source = data
    elif is_dask_array(data):
        source = DaskRows(data.reshape((-1, *data.shape[row_axes:])) if row_axes > 1 else data)
    elif issparse(data):
        raise ValueError(f"rows are read from dense arrays; make one of this {type(data).__name__} first.")
    elif all(hasattr(data, name) for name in ("shape", "dtype", "__getitem__")) and not isinstance(data, np.ndarray):
        source = DatasetRows(data, getattr(data, "name", None) or f"the {type(data).__name__}")
    else:
        source = ArrayRows(data)
    if row_axes > 1 and not is_dask_array(data):
        source = _derived(SplitRows, source, data, row_axes)
    chosen = columns.choose(source.feature_names, source.shape[1], source.name)
    return source if _are_all(chosen, source) else _derived(ColumnRows, source, data, chosen)


def _are_all(columns: Sequence[int], source: RowSource) -> bool:
    """Return whether columns are those of a source as they stand there."""
    return len(columns) == source.shape[1] and list(columns) == list(range(source.shape[1]))


def _open_frame(data: Any, columns: ColumnSelection) -> RowSource:
    """Return the rows of a table in memory, of the columns that are chosen before it becomes numbers."""
    names = list(data.columns)
    numbers = columns.choose(names, len(names), "the table")
    if hasattr(data, "iloc"):
        data = data.iloc[:, numbers].set_axis(range(len(numbers)), axis=1)  # names may be there twice
    elif numbers != list(range(len(names))):
        data = data[:, numbers]
    chosen = [names[number] for number in numbers]
    table = _numbers_of(data, chosen)
    rows = ArrayRows(table, "the table", chosen if all(isinstance(name, str) for name in chosen) else None)
    rows.reading = Reading(tuple(numbers), len(names))
    return rows


def _numbers_of(frame: Any, names: Sequence[Any]) -> NDArray[Any]:
    """Return the numbers of a table in memory."""
    dtypes = list(getattr(frame, "dtypes", []))
    times = [f"column {name!r} holds {dtype}" for name, dtype in zip(names, dtypes, strict=False) if _is_time(dtype)]
    if times:
        raise ValueError(
            f"the table must hold numbers; its {', '.join(times[:5])}. Choose other columns, or change it."
        )
    named = frame.set_axis(list(names), axis=1) if hasattr(frame, "set_axis") else frame
    with naming_columns(**{"the table": named}):
        table: NDArray[Any] = check_array(frame, dtype="numeric", ensure_all_finite=False, input_name="the table")
    return table


def _is_time(dtype: Any) -> bool:
    return getattr(dtype, "kind", "") in ("M", "m")


class _Wanted(NamedTuple):
    """What of a file is to be read."""

    columns: ColumnSelection
    text: TextFormat
    targets: TargetsOfAFit | None
    missing: Missing
    key: str | None = None  # the array that is named behind the path


@dataclass(frozen=True)
class _Reopening:
    """Opens a path again, in another process too."""

    path: str
    wanted: _Wanted
    row_axes: int

    def __call__(self) -> RowSource:
        try:
            return _open_path(self.path, self.wanted, self.row_axes)
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{self.path} is not there on a worker of the cluster: rows must lie where every worker can open them"
                " under the same path."
            ) from None


def _open_path(text: str, wanted: _Wanted, row_axes: int = 1) -> RowSource:
    path, key = path_and_key(text)
    if not text or not path.exists():
        raise FileNotFoundError(f"there is no file or folder {text}.")
    source = _open_path_once(path, text, wanted._replace(key=key), row_axes)
    source.origin = _Reopening(abspath(text), wanted, row_axes)
    return source


def _open_path_once(path: Path, text: str, wanted: _Wanted, row_axes: int) -> RowSource:
    if path.is_dir():
        if not is_zarr(path):
            return _open_folder(path, wanted, row_axes)
        return _open_arrays(arrays_of_folder(path, text), wanted, row_axes)
    file, kind = open_file(path, text, is_text=wanted.text.encoding is not None)
    if kind in TABLES:
        return _open_table(file, kind, text, wanted)
    return _open_arrays(arrays_of_file(file, kind, text, wanted.key), wanted, row_axes)


def _pick(source: RowSource, wanted: _Wanted, row_axes: int) -> RowSource:
    """Return the rows and columns that are wanted of an array that was opened as a whole."""
    try:
        if wanted.missing == "drop":
            raise ValueError(_only_tables("rows in which a number is missing are left out", source.name))
        if wanted.targets and wanted.targets.said:
            raise ValueError(
                f"columns to be predicted are found in tables of text, as CSV, and in Parquet files; {source.name} is"
                " none."
            )
        if row_axes > 1:
            source = SplitRows(source, row_axes)
        elif not _look_like_pictures(source.row_shape):
            shape = (len(source), *source.row_shape)
            warnings.warn(
                f"Each row of {source.name}, which has the shape {shape}, is taken as {source.shape[1]} numbers; if its"
                f" rows are shorter, say row_axes=2, for {len(source) * source.row_shape[0]} rows.",
                stacklevel=6,
            )
        columns = wanted.columns.choose(source.feature_names, source.shape[1], source.name)
        return source if _are_all(columns, source) else ColumnRows(source, columns)
    except BaseException:
        source.close()
        raise


def _look_like_pictures(row_shape: tuple[int, ...]) -> bool:
    """Return whether rows are flat, or have the proportions and channels of pictures."""
    if len(row_shape) == 1:
        return True
    if len(row_shape) == 3:
        row_shape = row_shape[:2] if row_shape[2] in (1, 2, 3, 4) else row_shape[1:] if row_shape[0] in (1, 3) else ()
    return len(row_shape) == 2 and max(row_shape) <= _LONGEST_SIDE * min(row_shape)


def _open_folder(folder: Path, wanted: _Wanted, row_axes: int) -> RowSource:
    paths = [path for path in files_of_data(folder) if not path.name.startswith("_")]
    if not paths:
        raise ValueError(f"the folder {folder} holds no files.")
    if wanted.targets and wanted.targets.said:
        raise ValueError(f"columns to be predicted are found in a single file; {folder} is a folder.")
    shards: list[RowSource] = []
    try:
        for path in sorted(paths, key=_natural_order):
            name = str(path) if wanted.key is None else f"{path}:{wanted.key}"
            shards.append(_open_path(name, wanted._replace(targets=None), row_axes))
            shards[-1] = _in_the_order_of(shards[0], shards[-1])
        return ShardedRows(shards, str(folder))
    except BaseException:
        for shard in shards:
            shard.close()
        raise


def _in_the_order_of(first: RowSource, shard: RowSource) -> RowSource:
    """Return a shard whose columns stand in the order of those of another, where they have the same names."""
    ours, theirs = first.feature_names, shard.feature_names
    if ours is None or theirs is None or ours == theirs or sorted(ours) != sorted(theirs):
        return shard
    return ColumnRows(shard, choose_columns(ours, theirs, len(theirs), shard.name))


def _natural_order(path: Path) -> list[tuple[bool, int, str]]:
    """Return a key by which shard-10 comes after shard-9."""
    parts = re.split(r"(\d+)", path.name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _open_table(file: PositionedFile, kind: str, name: str, wanted: _Wanted) -> RowSource:
    """Return the rows of a table; the file is closed, and read anew where that is needed."""
    try:
        if wanted.key is not None:
            raise ValueError(f"{name} holds one array only; give the path without a name behind it.")
        return _open_text(file, name, wanted) if kind == "text" else _open_parquet(file.path, name, wanted)
    finally:
        file.close()


def _open_text(file: PositionedFile, name: str, wanted: _Wanted) -> RowSource:
    """Return the rows of a table of text, parsed; for a model as that of its fit, unless the text says otherwise."""
    remembered = wanted.columns.remembered if isinstance(wanted.columns, ColumnsOfAFit) else {}
    if "encoding" in remembered and has_byte_order_mark(file):
        wanted = wanted._replace(text=replace(wanted.text, encoding=None))
        del remembered["encoding"]
    try:
        return _parse_text(file, name, wanted)
    except ValueError as error:
        hint = _other_way(file, name, wanted, remembered) if remembered else ""
        if not hint:
            raise
        raise ValueError(f"{error} {hint}") from error


def _other_way(file: PositionedFile, name: str, wanted: _Wanted, remembered: Mapping[str, Any]) -> str:
    """Return what to say of a text that cannot be read as that of a fit was, if it can be read otherwise; else ""."""
    default = TextFormat()
    text = replace(wanted.text, **{part: getattr(default, part) for part in remembered})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _parse_text(file, name, wanted._replace(text=text)).close()
            table = TextTable(file, name, text, _names_expected(wanted))
    except ValueError:
        return ""
    found = {
        "separator": table.separator,
        "decimal": ".",
        "encoding": table.encoding,
        "header": table.names is not None,
    }
    if "thousands" in remembered and table.separator == remembered["thousands"]:
        remembered = {"separator": None, **remembered}  # which takes that sign from the thousands
    other = [f"{part}={found[part]!r}" for part in found if part in remembered]
    said = [f"{part} {value!r}" for part, value in remembered.items() if value is not None]
    if not other:
        return ""
    listed = " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)
    return f"The table of the fit was read with {listed}; if this one is written otherwise, say {', '.join(other)}."


def _parse_text(file: PositionedFile, name: str, wanted: _Wanted) -> RowSource:
    """Return the rows of a table of text, as it is wanted."""
    table = TextTable(file, name, wanted.text, _names_expected(wanted))
    for remark in table.remarks:
        warnings.warn(remark, stacklevel=8)
    if table.names is None and wanted.columns.names_expected:
        warnings.warn(f"No line of {name} names its columns, so they are taken in their order.", stacklevel=8)
    columns, targets = _without_targets(wanted, table.names, table.n_columns, name)
    rows = table.read_rows(columns, targets, wanted.missing)
    _convert_targets(rows, wanted, are_texts=True)
    named = "The first line of {} names its columns." if table.names else "No line of {} names its columns."
    rows.notes = (named.format(without_folders(name)), *rows.notes)
    return rows


def _names_expected(wanted: _Wanted) -> set[str]:
    """Return names that the table has, if it has names at all."""
    return {*wanted.columns.names_expected, *(wanted.targets.names_expected if wanted.targets else ())}


def _open_parquet(path: Path, name: str, wanted: _Wanted) -> RowSource:
    names, n_columns = ParquetRows.names_of(path, name)
    columns, targets = _without_targets(wanted, names, n_columns, name)
    left_out = [names[number] for number in range(n_columns, len(names)) if number not in (*columns, *targets)]
    if left_out and not wanted.columns.names_expected:
        warnings.warn(
            f"The index of {name}, {', '.join(map(repr, left_out))}, is left out; choose its columns by name to read"
            " them.",
            stacklevel=7,
        )
    rows = ParquetRows(path, name, columns, targets, "error" if wanted.missing == "error" else "keep")
    try:
        found: RowSource = rows.without_missing() if wanted.missing == "drop" else rows
        _convert_targets(found, wanted, are_texts=False)
    except BaseException:
        rows.close()
        raise
    return found


def _convert_targets(rows: RowSource, wanted: _Wanted, *, are_texts: bool) -> None:
    """Give targets the type that they have."""
    if rows.targets is not None:
        columns = rows.target_names or (rows.reading.targets if rows.reading else None) or ()
        name = f"column {' or '.join(map(repr, columns))} of {rows.name}"
        rows.targets = as_labels(rows.targets, name, are_texts=are_texts)


def _without_targets(
    wanted: _Wanted, names: Sequence[str] | None, n_columns: int, name: str
) -> tuple[list[int], list[int]]:
    """Return the numbers of the columns that are read as numbers, and of those that are to be predicted."""
    said = choose_columns(wanted.targets.said, names, n_columns, name) if wanted.targets and wanted.targets.said else []
    if said and isinstance(wanted.columns, ColumnsOfAFit):
        wanted.columns.check_targets(said, names, n_columns, name)
    targets = wanted.targets.choose(names, n_columns, name) if wanted.targets else []
    columns = [number for number in wanted.columns.choose(names, n_columns, name) if number not in targets]
    if not columns:
        raise ValueError(f"no column of {name} is left to be read beside those to be predicted.")
    return columns, targets


def _open_arrays(file: ArrayFile, wanted: _Wanted, row_axes: int) -> RowSource:
    try:
        return _pick(file.choose(wanted.key, _can_be_rows).rows(), wanted, row_axes)
    except BaseException:
        file.close()
        raise


def _can_be_rows(array: StoredArray) -> bool:
    """Return whether an array has rows and columns of numbers; in MATLAB, single numbers are matrices too."""
    return holds_numbers(array) and len(array.shape) > 1 and max(array.shape) > 1
