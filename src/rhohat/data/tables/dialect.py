"""How a table of text is written: its encoding, its separator, and whether its first line names the columns.

What somebody has said counts; the rest is found out from the first lines.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TextIO

from rhohat.data.rows.positioned import PositionedFile
from rhohat.data.tables.cells import TRUTH_VALUES, TextFormat

__all__ = ["Dialect", "begins_as_text", "find_dialect", "open_text", "read_records"]

_SEPARATORS = (";", "\t", "|", ",", " ")
_SAMPLE_LINES, _SAMPLE_CHARACTERS = 200, 2**20
_LONGEST_TAIL = 2**20  # bytes, at the end of a file
_FEWEST_LINES = 4  # of a sample, however long they are
_BYTE_ORDER_MARKS = {
    b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig",
}  # fmt: skip
_UNNAMED = re.compile(r"(Unnamed: \d+)?")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*')  # which Excel reads and other programs write for it


@dataclass(frozen=True)
class Dialect:
    """How a table is written.

    Attributes
    ----------
    encoding : str
    separator : str
        A single character; a space stands for any number of spaces.
    n_lines_before : int
        Lines before the first row.
    n_cells : int
        Cells in a row.
    names : tuple of str or None
        Of the columns; None where no line names them.
    places : tuple of int
        At which cells of a row the columns stand: all, but for an index and an empty last one.
    truth_places : frozenset of int
        At which of them there is nothing but true and false.
    remarks : tuple of str
        What was guessed that may surprise, each a sentence.
    """

    encoding: str
    separator: str
    n_lines_before: int
    n_cells: int
    names: tuple[str, ...] | None
    places: tuple[int, ...]
    truth_places: frozenset[int] = frozenset()
    remarks: tuple[str, ...] = ()


def begins_as_text(start: bytes) -> bool:
    """Return whether the first bytes of a file may be those of text: without zeros, or after a byte order mark."""
    return b"\0" not in start or any(map(start.startswith, _BYTE_ORDER_MARKS))


class _BytesOf(io.RawIOBase):
    """The bytes of a `PositionedFile` as a stream, which leaves the file open when it is closed."""

    def __init__(self, file: PositionedFile, end: int) -> None:
        self._file, self._end, self._position = file, end, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        content = self._file.read(self._position, min(len(buffer), self._end - self._position))
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)


def open_text(file: PositionedFile, encoding: str, *, to_end: bool = True) -> TextIO:
    """Return the text of a file from its beginning, its line ends as they are.

    Unless `to_end`, empty lines at the end are left out, which in a table of one column would be missing values. (In
    encodings whose characters are not bytes they stay.)
    """
    end = file.size
    if not to_end and not encoding.lower().startswith(("utf-16", "utf-32", "utf16", "utf32")):
        tail = file.read(max(0, end - _LONGEST_TAIL), _LONGEST_TAIL)
        end -= len(tail) - len(tail.rstrip())
    return io.TextIOWrapper(io.BufferedReader(_BytesOf(file, end), 2**20), encoding=encoding, newline="")


def read_records(lines: Iterator[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row, and the number of lines read so far; cells in quotes may hold ends of lines."""
    if separator == " ":  # any number of them
        lines = (line.strip().replace("\t", " ") for line in lines)
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=separator != "\t")
    for cells in reader:
        yield reader.line_num, [cell.strip() for cell in cells]


def find_dialect(file: PositionedFile, name: str, said: TextFormat) -> Dialect:
    """Find out how a table is written.

    Parameters
    ----------
    file : PositionedFile
    name : str
        What the file is called in messages.
    said : TextFormat

    Returns
    -------
    Dialect

    Raises
    ------
    ValueError
        If it has no rows, is written in another encoding, or names more or fewer columns than it has.
    """
    encoding = said.encoding or next(
        (known for mark, known in _BYTE_ORDER_MARKS.items() if file.read(0, 4).startswith(mark)), "utf-8"
    )
    try:
        lines, is_whole = _first_lines(open_text(file, encoding))
    except UnicodeError as error:
        raise ValueError(wrong_encoding(name, encoding, error)) from None
    n_before, separator, comment = _skip_preamble(lines)
    separator = said.separator or separator or _find_separator(lines[n_before:], said)
    try:
        records = [
            (n_before + number, cells)
            for number, cells in read_records(iter(lines[n_before:]), separator)
            if any(cells)
        ]
    except csv.Error as error:
        raise ValueError(f"{name} cannot be read as a table of text: {error}.") from None
    if not is_whole and len(records) > _FEWEST_LINES - 1:
        records.pop()  # the last may go on
    if not records:
        raise ValueError(f"{name} has no rows.")
    return _Layout(name, said, records, comment).dialect(encoding, separator, n_before)


def wrong_encoding(name: str, encoding: str, error: UnicodeError) -> str:
    """Return what is to be said of a file in another encoding."""
    return (
        f"{name} is not text in the encoding {encoding} ({error}); say which it is in: encoding='latin-1', 'cp1252',"
        " 'utf-16' or another."
    )


def _first_lines(text: TextIO) -> tuple[list[str], bool]:
    """Return the first lines, and whether they are all."""
    lines: list[str] = []
    n_characters = 0
    while len(lines) < _FEWEST_LINES or (len(lines) < _SAMPLE_LINES and n_characters < _SAMPLE_CHARACTERS):
        line = text.readline()
        if not line:
            return lines, True
        lines.append(line)
        n_characters += len(line)
    return lines, False


def _skip_preamble(lines: Sequence[str]) -> tuple[int, str | None, str | None]:
    """Return how many lines come before the table, the separator that one of them says, and the last comment."""
    separator = comment = None
    for number, line in enumerate(lines):
        said = _SEPARATOR_LINE.fullmatch(line)
        if number == 0 and said:
            separator = said[1]
        elif line.startswith("#"):
            comment = line.lstrip("#").strip()
        elif line.strip():
            return number, separator, comment
    return len(lines), separator, comment


def _find_separator(lines: Sequence[str], said: TextFormat) -> str:
    """Return the separator that cuts most lines into as many cells, most of them numbers; a comma where none does."""
    best, most = ",", 0.0
    for separator in _SEPARATORS:
        try:
            rows = [cells for _, cells in read_records(iter(lines), separator) if any(cells)]
        except csv.Error:
            continue
        rows = rows[1:] or rows  # the first may name one column less or more
        (width, n_alike), *_ = Counter(map(len, rows)).most_common(1) or [(0, 0)]
        if width < 2 or 2 * n_alike < len(rows):
            continue
        cells = [cell for row in rows for cell in row]
        are_numbers = sum(_looks_like_a_number(cell, said) for cell in cells) / len(cells)
        score = (1 + are_numbers) * n_alike / len(rows)
        if score > most:
            best, most = separator, score
    return best


def _looks_like_a_number(cell: str, said: TextFormat) -> bool:
    return said.number(cell) is not None or re.fullmatch(r"[-+]?\d+,\d+(e[-+]?\d+)?", cell) is not None


class _Layout:
    """Finds out which of the first records names the columns, and which cells are columns."""

    def __init__(
        self, name: str, said: TextFormat, records: Sequence[tuple[int, list[str]]], comment: str | None
    ) -> None:
        self._name, self._said, self._records, self._comment = name, said, records, comment
        self._remarks: list[str] = []

    def dialect(self, encoding: str, separator: str, n_before: int) -> Dialect:
        """Return the dialect, given what was known before."""
        names, rows = self._named_by_a_comment(separator), [cells for _, cells in self._records]
        if names is None and self._is_header(rows[0], rows[1:]):
            (n_before, names), rows = self._records[0], rows[1:]
        if not rows:
            raise ValueError(
                f"{self._name} has no rows below its line of names; if that is a row itself, say header=False."
            )
        n_cells = len(rows[0])
        has_empty_end = n_cells > 1 and self._is_empty(rows, n_cells - 1)
        if names is not None:
            names = self._aligned(names, n_cells, has_empty_end)
        places = list(range(n_cells))
        if has_empty_end and (names is None or not names[-1]):
            places.pop()  # every line ends in a separator
        if names is not None and len(places) > 1 and _UNNAMED.fullmatch(names[0]) and self._is_index(rows):
            places.pop(0)
            self._remarks.append(
                f"The first column of {self._name} has no name and numbers or names the rows, so it is left out; give"
                " it a name to keep it."
            )
        return Dialect(
            encoding,
            separator,
            n_before,
            n_cells,
            None if names is None else tuple(names[place] for place in places),
            tuple(places),
            frozenset(place for place in places if self._is_truth(place, rows)),
            tuple(self._remarks),
        )

    def _named_by_a_comment(self, separator: str) -> list[str] | None:
        """Return the names in a comment before the first row, if it has as many cells and none is a number."""
        if self._said.header is not None or self._comment is None:
            return None
        _, named = next(read_records(iter([self._comment]), separator), (0, []))
        return named if len(named) == len(self._records[0][1]) and not any(map(self._is_number, named)) else None

    def _aligned(self, names: list[str], n_cells: int, has_empty_end: bool) -> list[str]:
        """Return a name for every cell of a row, empty where it has none."""
        if len(names) == n_cells - 1:
            return [*names, ""] if has_empty_end else ["", *names]  # as R writes it, whose names of rows have no name
        if len(names) == n_cells + 1 and not names[-1]:
            return names[:-1]
        if len(names) != n_cells:
            raise ValueError(f"{self._name} names {len(names)} columns and has {n_cells}.")
        return names

    @staticmethod
    def _is_truth(place: int, rows: Sequence[Sequence[str]]) -> bool:
        cells = [row[place] for row in rows if len(row) > place and row[place]]
        return bool(cells) and all(cell.lower() in TRUTH_VALUES for cell in cells)

    def _is_index(self, rows: Sequence[Sequence[str]]) -> bool:
        """Return whether the first column has distinct whole numbers, or names of rows."""
        cells = [row[0] for row in rows if row]
        if len(set(cells)) < len(cells):
            return False
        numbers = [self._said.number(cell) for cell in cells]
        return all(number is None or float(number).is_integer() for number in numbers)

    @staticmethod
    def _is_empty(rows: Sequence[Sequence[str]], place: int) -> bool:
        return all(len(row) <= place or not row[place] for row in rows)

    def _is_number(self, cell: str) -> bool:
        number = self._said.number(cell)
        return number is not None and not math.isnan(number)

    def _is_header(self, first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
        """Return whether the first record names the columns."""
        if self._said.header is not None:
            return self._said.header
        numbers = [place for place, cell in enumerate(first) if self._is_number(cell)]
        texts = [place for place, cell in enumerate(first) if self._said.number(cell) is None]
        if not numbers:
            return bool(texts)
        if any(self._is_numeric(place, rows) for place in texts):
            return True
        if not self._are_column_numbers([first[place] for place in numbers], first, rows):
            return False
        self._remarks.append(
            f"The first line of {self._name} is taken for the names of its columns, {', '.join(first[:5])}"
            f"{', …' if len(first) > 5 else ''}; if it is a row, say header=False."
        )
        return True

    def _is_numeric(self, place: int, rows: Sequence[Sequence[str]]) -> bool:
        """Return whether a column has nothing but numbers below its first cell, and some."""
        cells = [row[place] for row in rows if len(row) > place]
        return any(map(self._is_number, cells)) and all(self._said.number(cell) is not None for cell in cells)

    def _are_column_numbers(self, numbers: Sequence[str], first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
        """Return whether numbers in the first line count the columns, as those do that pandas makes up."""
        if not rows or not all(re.fullmatch(r"\d{1,9}(\.0)?", cell) for cell in numbers):
            return False
        counts = [int(float(cell)) for cell in numbers]
        start, n_counts = counts[0], len(counts)
        if counts != list(range(start, start + n_counts)):
            return False
        if not self._is_number(first[0]):  # as in ",0,1,2" and in "country,1990,1991,1992"
            return start in (0, 1) or (bool(first[0]) and n_counts > 2)
        if start not in (0, 1) or n_counts < 2:
            return False
        below = [cell for cell in chain.from_iterable(rows) if cell]
        if not all(cell.lstrip("-").isdecimal() for cell in below):
            return True
        follows = rows[0][0].isdecimal() and int(rows[0][0]) == counts[-1] + 1  # a table of 0, 1, 2, 3, …
        return start == 0 and n_counts > 2 and not follows
