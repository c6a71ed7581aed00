"""What commands read beside rows, and write: labels, and rows in files of several kinds."""

from __future__ import annotations

import csv
import gzip
import sys
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rhohat.arrays import FloatArray
from rhohat.data.rows.positioned import PositionedFile
from rhohat.data.tables.labels import read_text_labels
from rhohat.whole_files import replacing

__all__ = ["STANDARD_OUTPUT", "read_labels", "write_rows"]

STANDARD_OUTPUT = Path("-")


def read_labels(path: Path, n_rows: int) -> NDArray[Any]:
    """Return a label, or a number or several, for every row.

    Parameters
    ----------
    path : Path
        A `.npy` or IDX file of one or two dimensions; or a text file with a line for each row, after one with names at
        most, and numbers or a text in each.
    n_rows : int
        For which it should have labels; tells whether the first line of a text is a label.

    Returns
    -------
    array of shape (n_labels,) or (n_labels, n_targets)
        Of a text file: numbers, where all lines are.

    Raises
    ------
    ValueError
        If it holds no such thing.
    """
    if path.suffix == ".npy":
        labels: NDArray[Any] = np.load(path, allow_pickle=False)
    elif path.suffix in (".txt", ".csv", ".tsv"):
        file = PositionedFile(path)
        try:
            labels = read_text_labels(file, str(path), n_rows)
        finally:
            file.close()
    else:
        labels = _read_idx(path)
    if labels.ndim not in (1, 2):
        raise ValueError(f"{path} holds an array of shape {labels.shape}; labels are one or several for each row.")
    return labels


def _read_idx(path: Path) -> NDArray[Any]:
    """Return the labels of an IDX file, whose one axis a row source does not take."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} cannot be unpacked: {error}") from None
    if content[:4] != b"\0\0\x08\x01":
        raise ValueError(f"{path} holds no labels: they are read from .npy, text, and IDX files of bytes.")
    return np.frombuffer(content, np.uint8, offset=8).astype(np.int64)


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
