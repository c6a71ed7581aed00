"""What commands read beside rows, and write: labels, and rows in files of several kinds."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rhohat.arrays import FloatArray
from rhohat.data.rows.text import find_delimiter, split_line
from rhohat.extras import import_extra
from rhohat.whole_files import replacing

__all__ = ["STANDARD_OUTPUT", "column_names", "read_column", "read_labels", "write_rows"]

STANDARD_OUTPUT = Path("-")


def read_labels(path: Path) -> NDArray[Any]:
    """Return a label, or a number or several, for every row.

    Parameters
    ----------
    path : Path
        A `.npy` or IDX file of one or two dimensions, or a text file with a line for each row.

    Returns
    -------
    array of shape (n_rows,) or (n_rows, n_targets)
        Of a text file: numbers, where all lines are.

    Raises
    ------
    ValueError
        If it holds no such thing.
    """
    if path.suffix == ".npy":
        labels: NDArray[Any] = np.load(path, allow_pickle=False)
    elif path.suffix in (".txt", ".csv", ".tsv"):
        return _as_numbers(path.read_text(encoding="utf-8-sig").splitlines())
    else:
        labels = _read_idx(path)
    if labels.ndim not in (1, 2):
        raise ValueError(f"{path} holds an array of shape {labels.shape}; labels are one or several for each row.")
    return labels


def _read_idx(path: Path) -> NDArray[Any]:
    """Return the labels of an IDX file, whose one axis a row source does not take."""
    import gzip

    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as file:
        content = file.read()
    if content[:4] != b"\0\0\x08\x01":
        raise ValueError(f"{path} holds no labels: they are read from .npy, text, and IDX files of bytes.")
    return np.frombuffer(content, np.uint8, offset=8).astype(np.int64)


def read_column(path: Path, column: str) -> NDArray[Any]:
    """Return a column of a table in a text or Parquet file, by its name, as labels.

    Raises
    ------
    ValueError
        If the file is another one, or there is no such column.
    """
    number = column_names(path, column).index(column)
    if path.suffix == ".parquet":
        table = import_extra("pyarrow.parquet", "formats").read_table(path, columns=[column])
        return np.array(table[column].to_pylist())
    with path.open(encoding="utf-8-sig", newline="") as file:
        delimiter = find_delimiter(file.readline())
        lines = csv.reader(file, delimiter=delimiter)
        return _as_numbers([line[number] for line in lines if line])


def column_names(path: Path, *wanted: str) -> list[str]:
    """Return the names of the columns of a table in a text or Parquet file, whatever the columns hold.

    Raises
    ------
    ValueError
        If one that is wanted is not among them.
    """
    if path.suffix == ".parquet":
        names: list[str] = import_extra("pyarrow.parquet", "formats").read_schema(path).names
    else:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            line = file.readline().rstrip("\r\n")
        names = split_line(line, find_delimiter(line))
    for name in wanted:
        if name not in names:
            raise ValueError(f"{path} has no column named {name!r}; its columns are {', '.join(map(repr, names))}.")
    return names


def _as_numbers(texts: Sequence[str]) -> NDArray[Any]:
    """Return integers or floats where all texts are such, else the texts."""
    stripped = [text.strip() for text in texts]
    for kind in (int, float):
        try:
            return np.array([kind(text) for text in stripped])
        except ValueError:
            continue
    return np.array(stripped)


def write_rows(path: Path, blocks: Iterable[FloatArray], n_rows: int, names: Sequence[str] | None = None) -> None:
    """Write rows block by block: a whole file, or none.

    Parameters
    ----------
    path : Path
        `.npy`; `.csv`, with the names of the columns in its first line; or ``-``, CSV on standard output.
    blocks : iterable of arrays of shape (n_rows, n_columns)
        Successive rows.
    n_rows : int
        Of all blocks together.
    names : sequence of str, default=None
        Of the columns.

    Raises
    ------
    ValueError
        If the name ends otherwise.
    OSError
        If the file cannot be written.
    """
    if path == STANDARD_OUTPUT:
        _write_text(sys.stdout, blocks, names)
    elif path.suffix == ".csv":
        with replacing(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
            _write_text(file, blocks, names)
    elif path.suffix == ".npy":
        with replacing(path) as unfinished:
            _write_npy(unfinished, blocks, n_rows)
    else:
        raise ValueError(f"rows are written to a .npy or .csv file, or to - as CSV; got {path}.")


def _write_text(file: IO[str], blocks: Iterable[FloatArray], names: Sequence[str] | None) -> None:
    writer = csv.writer(file, lineterminator="\n")
    if names is not None:
        writer.writerow(names)
    for block in blocks:
        writer.writerows(block.reshape(len(block), -1).astype(np.str_))  # the shortest digits that are the same number


def _write_npy(path: Path, blocks: Iterable[FloatArray], n_rows: int) -> None:
    done, array = 0, None
    for block in blocks:
        if array is None:
            array = np.lib.format.open_memmap(path, mode="w+", dtype=block.dtype, shape=(n_rows, *block.shape[1:]))
        array[done : done + len(block)] = block
        done += len(block)
    if array is not None:
        array.flush()
