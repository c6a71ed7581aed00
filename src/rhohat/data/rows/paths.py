"""Opening of a path as rows that are read block by block: a file with arrays or a table, or a folder of shards."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from os.path import abspath
from pathlib import Path

from rhohat.common.words import Sentence, Setting
from rhohat.data.folders import files_of_data
from rhohat.data.rows.array_files import arrays_of_file, arrays_of_folder
from rhohat.data.rows.base import RowSource
from rhohat.data.rows.columns import choose_columns
from rhohat.data.rows.combined import ColumnRows, ShardedRows, SplitRows, are_all
from rhohat.data.rows.datasets import is_zarr
from rhohat.data.rows.harvests import harvest_of, open_harvest
from rhohat.data.rows.kinds import TABLES, open_file, path_and_key
from rhohat.data.rows.stored import ArrayFile, StoredArray, holds_numbers
from rhohat.data.rows.table_files import open_table_file
from rhohat.data.rows.wanted import Wanted, only_tables

__all__ = ["open_path"]

_LONGEST_SIDE = 3  # longest side of a picture, as a multiple of its shortest side


def open_path(text: str, wanted: Wanted, row_axes: int | None = None) -> RowSource:
    """Return the wanted rows of a file or folder."""
    path, key = path_and_key(text)
    if not text or not path.exists():
        raise FileNotFoundError(f"there is no file or folder {text}.")
    source = _open_path_once(path, text, wanted._replace(key=key), row_axes)
    source.origin = _Reopening(abspath(text), wanted, row_axes)
    return source


@dataclass(frozen=True)
class _Reopening:
    """Callable that opens the rows of a path again, in this or another process."""

    path: str
    wanted: Wanted
    row_axes: int | None

    def __call__(self) -> RowSource:
        try:
            return open_path(self.path, self.wanted, self.row_axes)
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{self.path} does not exist on a worker of the cluster: every worker must be able to open the rows"
                " under the same path."
            ) from None


def _open_path_once(path: Path, text: str, wanted: Wanted, row_axes: int | None) -> RowSource:
    if path.is_dir():
        if (harvest := harvest_of(path)) is not None:
            folder, layer = harvest
            return _pick(open_harvest(folder, layer or wanted.key, text), wanted, row_axes)
        if not is_zarr(path):
            return _open_folder(path, wanted, row_axes)
        return _open_arrays(arrays_of_folder(path, text), wanted, row_axes)
    file, kind = open_file(path, text, is_text=wanted.text.encoding is not None)
    if kind in TABLES:
        return open_table_file(file, kind, text, wanted)
    return _open_arrays(arrays_of_file(file, kind, text, wanted.key), wanted, row_axes)


def _open_arrays(file: ArrayFile, wanted: Wanted, row_axes: int | None) -> RowSource:
    try:
        return _pick(file.choose(wanted.key, _can_be_rows).rows(), wanted, row_axes)
    except BaseException:
        file.close()
        raise


def _can_be_rows(array: StoredArray) -> bool:
    """Return whether an array has rows and columns of numbers; single numbers, which are matrices in MATLAB, do not."""
    return holds_numbers(array) and len(array.shape) > 1 and max(array.shape) > 1


def _pick(source: RowSource, wanted: Wanted, row_axes: int | None) -> RowSource:
    """Return the wanted rows and columns of an array that was opened as a whole."""
    try:
        if wanted.missing == "drop":
            raise ValueError(only_tables("rows with missing numbers can be left out", source.name))
        if wanted.targets and wanted.targets.said:
            raise ValueError(
                f"target columns are read from tables (text files, such as CSV, and Parquet files); {source.name} is"
                " not a table."
            )
        if row_axes is not None and row_axes > 1:
            source = SplitRows(source, row_axes)
        elif row_axes is None and not _look_like_pictures(source.row_shape):
            shape = (len(source), *source.row_shape)
            warnings.warn(
                Sentence(
                    f"Each row of {source.name}, which has the shape {shape}, is taken as {source.shape[1]} numbers; if"
                    " its rows are shorter, pass ",
                    Setting("row_axes", 2),
                    f" to read {len(source) * source.row_shape[0]} rows; if they are sequences, pass ",
                    Setting("row_axes", 1),
                    ".",
                ),
                stacklevel=6,
            )
        columns = wanted.columns.choose(source.feature_names, source.shape[1], source.name)
        return source if are_all(columns, source) else ColumnRows(source, columns)
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


def _open_folder(folder: Path, wanted: Wanted, row_axes: int | None) -> RowSource:
    paths = [path for path in files_of_data(folder) if not path.name.startswith("_")]
    if not paths:
        raise ValueError(f"the folder {folder} holds no files.")
    if wanted.targets and wanted.targets.said:
        raise ValueError(f"target columns are read from a single file; {folder} is a folder.")
    if wanted.codes_texts:
        raise ValueError(f"columns of texts are coded in the rows of a single table; {folder} is a folder.")
    shards: list[RowSource] = []
    try:
        for path in sorted(paths, key=_natural_order):
            name = str(path) if wanted.key is None else f"{path}:{wanted.key}"
            shards.append(open_path(name, wanted._replace(targets=None), row_axes))
            shards[-1] = _in_the_order_of(shards[0], shards[-1])
        return ShardedRows(shards, str(folder))
    except BaseException:
        for shard in shards:
            shard.close()
        raise


def _in_the_order_of(first: RowSource, shard: RowSource) -> RowSource:
    """Return a shard with its columns in the order of the first shard's, if both have the same column names."""
    ours, theirs = first.feature_names, shard.feature_names
    if ours is None or theirs is None or ours == theirs or sorted(ours) != sorted(theirs):
        return shard
    return ColumnRows(shard, choose_columns(ours, theirs, len(theirs), shard.name))


def _natural_order(path: Path) -> list[tuple[bool, int, str]]:
    """Return a sort key that puts shard-10 after shard-9."""
    parts = re.split(r"(\d+)", path.name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
