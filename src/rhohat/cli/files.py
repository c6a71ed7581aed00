"""Writing of rows to .npy files, CSV files and standard output."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.whole_files import replacing

__all__ = ["STANDARD_OUTPUT", "write_rows"]

STANDARD_OUTPUT = Path("-")


def write_rows(
    path: Path,
    blocks: Iterable[FloatArray],
    n_rows: int,
    names: Sequence[str] | None = None,
    numbers: NDArray[np.intp] | None = None,
) -> None:
    """Write rows block by block to a file that is complete or, after a failure, as it was before.

    Parameters
    ----------
    path : Path
        Path of a `.npy` file; path of a `.csv` file; or ``-``, which writes CSV to standard output.
    blocks : iterable of arrays of shape (n_rows, n_columns)
        Blocks of successive rows.
    n_rows : int
        Number of rows in all blocks together.
    names : sequence of str, default=None
        Names of the columns, which are the first line of CSV. If None, CSV has no line of names.
    numbers : array of int, of shape (n_rows,), default=None
        Numbers of these rows in the source, if rows were left out. In CSV, they are an additional first column, "row".

    Raises
    ------
    ValueError
        If the path does not have one of these forms.
    OSError
        If the file cannot be written.
    """
    if path == STANDARD_OUTPUT:
        _write_text(sys.stdout, blocks, names, numbers)
    elif path.suffix == ".csv":
        with replacing(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
            _write_text(file, blocks, names, numbers)
    elif path.suffix == ".npy":
        with replacing(path) as unfinished:
            _write_npy(unfinished, blocks, n_rows)
    else:
        raise ValueError(f"rows are written to a .npy or .csv file, or as CSV to standard output (-); got {path}.")


def _write_text(
    file: IO[str], blocks: Iterable[FloatArray], names: Sequence[str] | None, numbers: NDArray[np.intp] | None
) -> None:
    writer = csv.writer(file, lineterminator="\n")
    if names is not None:
        writer.writerow(names if numbers is None else ["row", *names])
    start = 0
    for block in blocks:
        cells = block.reshape(len(block), -1).astype(np.str_)  # the shortest strings that are read as the same numbers
        if numbers is not None:
            stop = start + len(block)
            cells, start = np.column_stack([numbers[start:stop].astype(np.str_), cells]), stop
        writer.writerows(cells)


def _write_npy(path: Path, blocks: Iterable[FloatArray], n_rows: int) -> None:
    with path.open("wb") as file:
        for number, block in enumerate(blocks):
            if number == 0:
                described = {"descr": np.lib.format.dtype_to_descr(block.dtype), "fortran_order": False}
                np.lib.format.write_array_header_1_0(file, {**described, "shape": (n_rows, *block.shape[1:])})
            np.ascontiguousarray(block).tofile(file)
