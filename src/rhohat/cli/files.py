"""Writing of rows to .npy files, CSV files and standard output, and of sparse rows to .npz files; lines of text."""

from __future__ import annotations

import csv
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse

from rhohat.common.arrays import FloatArray
from rhohat.common.whole_files import replacing

__all__ = ["DIGITS", "STANDARD_OUTPUT", "read_lines", "write_rows", "write_sparse_rows"]

STANDARD_OUTPUT = Path("-")
DIGITS = 8  # significant digits in CSV, as many as a number of single precision has
_AT_ONCE = 2**24  # numbers of sparse rows that are made dense at a time


def read_lines(path: Path, encoding: str | None = None) -> list[str]:
    """Return the lines of a text file; the encoding is UTF-8 unless another is given.

    Raises
    ------
    ValueError
        If the file has another encoding.
    OSError
        If the file cannot be read.
    """
    try:
        text = path.read_text(encoding or "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not encoded in {encoding or 'UTF-8'}; pass its --encoding: {error}.") from None
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def write_rows(
    path: Path,
    blocks: Iterable[Any],
    n_rows: int,
    names: Sequence[str] | None = None,
    numbers: NDArray[np.intp] | None = None,
    *,
    ids: tuple[str, NDArray[Any]] | None = None,
    digits: int = DIGITS,
) -> None:
    """Write rows block by block to a file that is complete or, after a failure, as it was before.

    Parameters
    ----------
    path : Path
        Path of a `.npy` file; path of a `.csv` file; or ``-``, which writes CSV to standard output.
    blocks : iterable of arrays, or of sparse arrays, of shape (n_rows, n_columns)
        Blocks of successive rows. Sparse rows are made dense, some at a time.
    n_rows : int
        Number of rows in all blocks together.
    names : sequence of str, default=None
        Names of the columns, which are the first line of CSV. If None, CSV has no line of names.
    numbers : array of int, of shape (n_rows,), default=None
        Numbers of these rows in the source, if rows were left out. In CSV, they are an additional first column, "row".
    ids : (str, array of shape (n_rows,)), default=None
        Name and entries of a column that names the rows; in CSV, it is an additional first column.
    digits : int, default=8
        Number of significant digits of numbers in CSV; 17 give back every number of double precision.

    Raises
    ------
    ValueError
        If the path does not have one of these forms.
    OSError
        If the file cannot be written.
    """
    blocks = _dense(blocks)
    beside = {} if numbers is None else {"row": numbers.astype(np.str_)}
    beside |= {} if ids is None else {ids[0]: ids[1].astype(np.str_)}
    if path == STANDARD_OUTPUT:
        _write_text(sys.stdout, blocks, names, beside, digits)
    elif path.suffix == ".csv":
        with replacing(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
            _write_text(file, blocks, names, beside, digits)
    elif path.suffix == ".npy":
        with replacing(path) as unfinished:
            _write_npy(unfinished, blocks, n_rows)
    else:
        raise ValueError(f"rows are written to a .npy or .csv file, or as CSV to standard output (-); got {path}.")


def write_sparse_rows(path: Path, blocks: Iterable[Any], n_columns: int) -> None:
    """Write rows block by block to a `.npz` file that `scipy.sparse.load_npz` reads as a `csr_array`.

    The file is complete or, after a failure, as it was before. Beside it, the entries of all rows are kept in
    temporary files until their number is known, because it stands at the beginning of the file.

    Parameters
    ----------
    path : Path
    blocks : iterable of arrays, or of sparse arrays, of shape (n_rows, n_columns)
        Blocks of successive rows.
    n_columns : int
        Number of columns.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    starts, n_entries, dtype = [np.zeros(1, np.int64)], 0, np.dtype(np.float64)
    with (
        tempfile.TemporaryFile(dir=path.parent) as columns,
        tempfile.TemporaryFile(dir=path.parent) as values,
        replacing(path) as unfinished,
    ):
        for block in blocks:
            rows = csr_array(block)
            rows.indices.astype(np.int32, copy=False).tofile(columns)
            rows.data.tofile(values)
            starts.append(n_entries + rows.indptr[1:].astype(np.int64))
            n_entries, dtype = n_entries + rows.nnz, rows.dtype
        edges = np.concatenate(starts)
        fits = n_entries <= np.iinfo(np.int32).max
        arrays = {
            "format": np.array(b"csr"),
            "_is_array": np.array(True),
            "shape": np.array([len(edges) - 1, n_columns]),
            "indptr": edges.astype(np.int32) if fits else edges,
        }
        with ZipFile(unfinished, "w") as archive:
            for name, array in arrays.items():
                with archive.open(ZipInfo(f"{name}.npy"), "w") as member:
                    np.lib.format.write_array(member, array)
            for name, file, kind in (("indices", columns, np.dtype(np.int32)), ("data", values, dtype)):
                _copy_array(archive, name, file, kind, n_entries)


def _copy_array(archive: ZipFile, name: str, file: IO[bytes], dtype: np.dtype[Any], length: int) -> None:
    """Add an array, whose bytes are those of a file, to an archive of arrays."""
    file.seek(0)
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (length,)}
    with archive.open(ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, header)
        shutil.copyfileobj(file, member, 2**20)


def _dense(blocks: Iterable[Any]) -> Iterator[FloatArray]:
    """Yield blocks of rows as arrays; sparse blocks are cut so that they take little memory."""
    for block in blocks:
        if not issparse(block):
            yield block
            continue
        at_once = max(1, _AT_ONCE // block.shape[1])
        for start in range(0, block.shape[0], at_once):
            yield block[start : start + at_once].toarray()


def _write_text(
    file: IO[str],
    blocks: Iterable[FloatArray],
    names: Sequence[str] | None,
    beside: dict[str, NDArray[np.str_]],
    digits: int,
) -> None:
    """Write blocks of rows as CSV, whose first columns are those that stand beside the rows."""
    writer = csv.writer(file, lineterminator="\n")
    if names is not None:
        writer.writerow([*beside, *names])
    start = 0
    for block in blocks:
        stop, cells = start + len(block), _cells(block.reshape(len(block), -1), digits)
        if beside:
            cells = np.column_stack([*(column[start:stop] for column in beside.values()), cells])
        writer.writerows(cells)
        start = stop


def _cells(block: NDArray[Any], digits: int) -> NDArray[np.str_]:
    """Return the entries of a block as text; numbers that are not whole are rounded to so many digits."""
    if block.dtype == object:  # rows of a table of texts, in which an empty cell is a missing value
        block = np.where(block != block, "", np.where(block == None, "", block))  # noqa: E711
    if block.dtype.kind != "f":
        return block.astype(np.str_)
    return np.char.mod(f"%.{digits}g", block).astype(np.str_)


def _write_npy(path: Path, blocks: Iterable[FloatArray], n_rows: int) -> None:
    with path.open("wb") as file:
        for number, block in enumerate(blocks):
            if block.dtype == object:
                raise ValueError("these rows hold texts, which a .npy file cannot; write them to a .csv file.")
            if number == 0:
                described = {"descr": np.lib.format.dtype_to_descr(block.dtype), "fortran_order": False}
                np.lib.format.write_array_header_1_0(file, {**described, "shape": (n_rows, *block.shape[1:])})
            np.ascontiguousarray(block).tofile(file)
