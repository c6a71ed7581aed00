"""Rows of numbers in a text file, such as CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rhohat.arrays import FloatArray
from rhohat.data.rows.base import RowSource, choose_columns
from rhohat.data.rows.positioned import PositionedFile

__all__ = ["TextRows", "find_delimiter", "split_line"]

_CHUNK = 2**22  # bytes that are searched for ends of lines at a time
_STRIDE = 512  # rows; the place of every 512th is remembered
_DELIMITERS = ",;\t "


class TextRows(RowSource):
    """Rows of a text file: numbers between commas, semicolons, tabs or spaces, a row a line.

    A first line in which no cell is a number holds the names of the columns; a first column without a name that begins
    with 0 is the index of a frame, and left out. Cells in quotes may hold delimiters, not ends of lines. Opening reads
    the file once, to find where the rows are; reading parses those that are asked for.

    Parameters
    ----------
    file : PositionedFile
        Closed with this source.
    name : str
    columns : sequence of str or int, default=None
        Those to read, by name or number; the others may hold anything. None reads all.

    Raises
    ------
    ValueError
        If there are no numbers in it, or there is no such column.
    """

    def __init__(self, file: PositionedFile, name: str, columns: Sequence[str | int] | None = None) -> None:
        self._file = file
        first, second = (_lines(file.read(0, _CHUNK)) + ["", ""])[:2]  # noqa: RUF005 - the shorter way
        if "\r" in first:
            raise ValueError(f"{name} ends its lines with carriage returns alone; they must end with a line feed.")
        self._delimiter = find_delimiter(first)
        cells, below = split_line(first, self._delimiter), split_line(second, self._delimiter)
        names = None if any(map(_is_number, cells)) else cells
        number, row = (2, below) if names else (1, cells)
        if names and row and len(names) != len(row):
            raise ValueError(f"{name} names {len(names)} columns and has {len(row)}.")
        if columns is not None:
            chosen = choose_columns(columns, names, len(row), name)
        else:
            has_index = names is not None and len(row) > 1 and not names[0] and row[0] == "0"  # as pandas writes it
            chosen = list(range(int(has_index), len(row)))
        if not row:
            raise ValueError(f"{name} is no table of numbers: its line {number} is empty.")
        for column in chosen:
            if not _is_number(row[column]):
                raise ValueError(
                    f"{name} is no table of numbers: in line {number}, column {names[column] if names else column!r}"
                    f" {_describe_cell(row[column])}. Choose other columns, or change it."
                )
        self._columns = list(chosen)
        self._n_cells, self._named = len(row), bool(names)
        self._offsets, n_rows = self._find_rows(skip=bool(names))
        kept = None if names is None else [names[column] for column in chosen]
        super().__init__(name, (n_rows, len(chosen)), np.float64, kept)

    @property
    def held_bytes(self) -> int:
        """Memory for the places of rows."""
        return int(self._offsets.nbytes)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _find_rows(self, *, skip: bool) -> tuple[NDArray[np.int64], int]:
        """Return where every 512th row begins, and where the last one ends; and the number of rows."""
        tail = self._file.read(max(0, self._file.size - _CHUNK), _CHUNK)
        end = self._file.size - len(tail) + len(tail.rstrip())
        offsets, n_ends = [] if skip else [0], 0
        for position in range(0, end, _CHUNK):
            chunk = np.frombuffer(self._file.read(position, min(_CHUNK, end - position)), np.uint8)
            line_ends = np.flatnonzero(chunk == ord("\n")) + position + 1
            rows = n_ends + 1 + np.arange(len(line_ends)) - skip  # that begin at these places
            offsets += line_ends[(rows >= 0) & (rows % _STRIDE == 0)].tolist()
            n_ends += len(line_ends)
        return np.array([*offsets, end]), n_ends + 1 - skip

    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        first, last = start // _STRIDE, -(-stop // _STRIDE)
        begin, end = int(self._offsets[first]), int(self._offsets[last])
        lines = _lines(self._file.read(begin, end - begin))
        wanted = lines[start - first * _STRIDE : stop - first * _STRIDE]
        delimiter = None if self._delimiter == " " else self._delimiter
        try:
            rows = np.loadtxt(
                wanted,
                delimiter=delimiter,
                comments=None,
                ndmin=2,
                dtype=out.dtype,
                quotechar='"',
                usecols=None if len(self._columns) == self._n_cells else self._columns,
            )
        except ValueError:
            raise ValueError(self._complaint(wanted, start)) from None
        if rows.shape != out.shape:  # also where lines end in another way than the first did
            raise ValueError(
                f"{self.name} has empty lines or other numbers of columns between rows {start} and {stop}."
            )
        out[:] = rows

    def _complaint(self, lines: Sequence[str], start: int) -> str:
        """Return what is wrong with some lines, which begin with this row."""
        for number, line in enumerate(lines, start + 1 + self._named):
            cells = split_line(line, self._delimiter)
            if len(cells) != self._n_cells:
                return f"{self.name} has {len(cells)} cells in line {number}, and {self._n_cells} in the first."
            for index, column in enumerate(self._columns):
                if not _is_number(cells[column]):
                    name = self.feature_names[index] if self.feature_names else column
                    what = _describe_cell(cells[column])
                    return f"{self.name} is no table of numbers: in line {number}, column {name!r} {what}."
        return f"{self.name} has no row of {self.shape[1]} numbers in each line."


def _describe_cell(cell: str) -> str:
    """Return what a cell holds that is no number."""
    if not cell:
        return "is empty, and missing values are not taken: fill them in, or leave the row out"
    why = ", and numbers are written with points, not commas" if re.fullmatch(r"[-+]?\d+,\d+", cell) else ""
    return f"holds {cell[:60]!r}{why}"


def find_delimiter(line: str) -> str:
    """Return the first of the delimiters that the line has outside of quotes; a comma, where it has none."""
    bare = re.sub(r'"[^"]*"', '""', line.strip())
    return next((delimiter for delimiter in _DELIMITERS if delimiter in bare), ",")


def split_line(line: str, delimiter: str) -> list[str]:
    """Return the cells of a line, without quotes around them."""
    if delimiter == " ":
        return line.split()
    return [
        cell.strip() for cell in next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter, skipinitialspace=True), [])
    ]


def _lines(content: bytes) -> list[str]:
    """Return lines as they are counted: each ends with a line feed, perhaps after a carriage return."""
    lines = [line.removesuffix(b"\r") for line in content.removesuffix(b"\n").split(b"\n")]
    return [line.decode("utf-8-sig", "replace") for line in lines]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
