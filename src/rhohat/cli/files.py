"""What commands read beside rows, and write: labels, and rows in files of several kinds."""

from __future__ import annotations

import csv
import difflib
import gzip
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rhohat.arrays import FloatArray
from rhohat.data import open_labels
from rhohat.data.rows.text import find_delimiter, split_line
from rhohat.extras import import_extra
from rhohat.whole_files import replacing

__all__ = ["STANDARD_OUTPUT", "column_names", "read_column", "read_labels", "write_rows"]

STANDARD_OUTPUT = Path("-")


def read_labels(path: Path, n_rows: int) -> NDArray[Any]:
    """Return a label, or a number or several, for every row.

    Parameters
    ----------
    path : Path
        A file with arrays, see `open_labels`; or a text file with a line for each row, after one with names at most,
        and numbers or a text in each.
    n_rows : int
        That it must have labels for.

    Returns
    -------
    array of shape (n_rows,) or (n_rows, n_targets)
        Of a text file: numbers, where all lines are.

    Raises
    ------
    ValueError
        If it holds no such thing, or another number of them.
    """
    labels = _read_lines(path, n_rows) if path.suffix in (".txt", ".csv", ".tsv") else open_labels(path)
    if len(labels) != n_rows:
        raise ValueError(f"{path} has {len(labels)} labels, and there are {n_rows} rows.")
    return labels


def _read_lines(path: Path, n_rows: int) -> NDArray[Any]:
    lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    if len(lines) == n_rows + 1:
        lines = lines[1:]  # names of columns
    delimiter = find_delimiter(lines[0]) if lines else ","
    cells = [split_line(line, delimiter) for line in lines]
    if cells and delimiter in lines[0] and delimiter != " ":
        columns = [_as_numbers(column) for column in zip(*cells, strict=True)]
        return np.stack(columns, axis=1)
    return _as_numbers([line.strip() for line in lines])


def read_column(path: Path, column: str) -> NDArray[Any]:
    """Return a column of a table in a text or Parquet file, by its name, as labels.

    Raises
    ------
    ValueError
        If the file is another one, there is no such column, or a row does not have it.
    """
    number = column_names(path, column).index(column)
    if path.suffix == ".parquet":
        table = import_extra("pyarrow.parquet", "formats").read_table(path, columns=[column])
        return np.array(table[column].to_pylist())
    found = []
    with _open_text(path) as file:
        delimiter = find_delimiter(file.readline())
        for line_number, line in enumerate(file, 2):
            cells = split_line(line, delimiter)
            if len(cells) > number:
                found.append(cells[number])
            elif line.strip():
                raise ValueError(f"{path} has no column {column!r} in its line {line_number}.")
    return _as_numbers(found)


def column_names(path: Path, *wanted: str) -> list[str]:
    """Return the names of the columns of a table in a text or Parquet file, whatever the columns hold.

    Raises
    ------
    ValueError
        If the file is another one, or a column that is wanted is not among them.
    """
    if path.suffix == ".parquet":
        names: list[str] = import_extra("pyarrow.parquet", "formats").read_schema(path).names
    else:
        with _open_text(path) as file:
            first = file.readline()
        names = split_line(first, find_delimiter(first))
    for name in wanted:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            found = ", ".join(map(repr, names))
            raise ValueError(f"{path} has no column named {name!r}; its columns are {found}.{hint}")
    return names


def _open_text(path: Path) -> IO[str]:
    """Open a table of text, which may be packed."""
    inner = Path(path.stem) if path.suffix == ".gz" else path
    if inner.suffix not in (".csv", ".tsv", ".txt", ".data") or not path.is_file():
        raise ValueError(
            f"columns are found by their names in text (.csv, .tsv, .txt, .data) and Parquet files; {path} is none. Say"
            " which to learn from by their numbers: --columns 0,1,2."
        )
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="replace")
    return path.open(encoding="utf-8-sig", errors="replace")


def _as_numbers(texts: Sequence[str]) -> NDArray[Any]:
    """Return integers or floats where all texts are written as such, else the texts."""
    for pattern, kind in ((r"-?(0|[1-9]\d*)", int), (r"[-+]?(0|[1-9]\d*)?(\.\d*)?([eE][-+]?\d+)?", float)):
        if texts and all(re.fullmatch(pattern, text) and text.strip("+-.") for text in texts):
            return np.array([kind(text) for text in texts])
    return np.array(texts)


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
    with path.open("wb") as file:
        for number, block in enumerate(blocks):
            if number == 0:
                described = {"descr": np.lib.format.dtype_to_descr(block.dtype), "fortran_order": False}
                np.lib.format.write_array_header_1_0(file, {**described, "shape": (n_rows, *block.shape[1:])})
            np.ascontiguousarray(block).tofile(file)
