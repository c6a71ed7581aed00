"""Detection of the format of a table of text: its encoding, its separator, and the line where its rows begin.

What the caller specifies is used unchanged; the rest is determined from the first lines.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from rhohat.common.words import Sentence, Setting
from rhohat.data.rows.positioned import PositionedFile
from rhohat.data.tables.cells import TextFormat
from rhohat.data.tables.layout import Layout

__all__ = ["Dialect", "begins_as_text", "find_dialect", "has_byte_order_mark", "open_text", "read_records"]

_SEPARATORS = (";", "\t", "|", ",", " ")
_RARE_IN_TEXTS = ("\t", ";", "|")
_SAMPLE_LINES, _SAMPLE_CHARACTERS = 200, 2**20
_LONGEST_CELL = 2**31 - 1  # characters
_LONGEST_TAIL = 2**20  # bytes at the end of a file that are searched for empty lines
_FEWEST_LINES = 4  # fewest lines of a sample, even if they are very long
_BYTE_ORDER_MARKS = {
    b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig",
}  # fmt: skip
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*')  # read by Excel, and written by other programs for Excel


@dataclass(frozen=True)
class Dialect:
    """Format of a table of text, as it was specified or detected.

    Attributes
    ----------
    encoding : str
    separator : str
        Single character between cells; a space stands for any number of spaces.
    n_lines_before : int
        Number of lines before the first row.
    n_cells : int
        Number of cells in a row.
    names : tuple of str or None
        Names of the columns; None if no line names them.
    places : tuple of int
        Places of the columns among the cells of a row: all cells, except for an index and an empty last cell.
    truth_places : frozenset of int
        The places among `places` where all cells are true or false.
    remarks : tuple of str
        Sentences about guesses that may be unexpected.
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
    """Return whether a file with these first bytes may be text: they have no zero byte, or a byte order mark."""
    return b"\0" not in start or any(map(start.startswith, _BYTE_ORDER_MARKS))


class _BytesOf(io.RawIOBase):
    """Stream of some bytes of a `PositionedFile`, which stays open when the stream is closed."""

    def __init__(self, file: PositionedFile, start: int, end: int) -> None:
        self._file, self._position, self._end = file, start, end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        content = self._file.read(self._position, min(len(buffer), self._end - self._position))
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)


def open_text(file: PositionedFile, encoding: str, *, to_end: bool = True) -> TextIO:
    """Return the text of a file as a stream, without a byte order mark, and with its line ends unchanged.

    Unless `to_end` is true, empty lines at the end are left out, because they would be missing values in a table of one
    column. They are never left out in UTF-16 and UTF-32, whose characters are not single bytes.
    """
    end, codec = file.size, codecs.lookup(encoding).name
    if not to_end and not codec.startswith(("utf-16", "utf-32")):
        tail = file.read(max(0, end - _LONGEST_TAIL), _LONGEST_TAIL)
        end -= len(tail) - len(tail.rstrip())
    mark = _byte_order_mark(file)
    takes_mark_off = codec in ("utf-8-sig", "utf-16", "utf-32")
    start = (
        len(mark)
        if mark and not takes_mark_off and codec.startswith(_BYTE_ORDER_MARKS[mark].removesuffix("-sig"))
        else 0
    )
    return io.TextIOWrapper(io.BufferedReader(_BytesOf(file, start, end), 2**20), encoding=encoding, newline="")


def has_byte_order_mark(file: PositionedFile) -> bool:
    """Return whether a file begins with a byte order mark, which tells the encoding of its text."""
    return bool(_byte_order_mark(file))


def _byte_order_mark(file: PositionedFile) -> bytes:
    start = file.read(0, 4)
    return next((mark for mark in _BYTE_ORDER_MARKS if start.startswith(mark)), b"")


def read_records(lines: Iterator[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of lines read so far and the cells of each row; cells in quotes may hold line ends."""
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    if separator == " ":  # any number of spaces
        lines = (line.strip().replace("\t", " ") for line in lines)
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=separator != "\t")
    for cells in reader:
        yield reader.line_num, [cell.strip() for cell in cells]


def find_dialect(file: PositionedFile, name: str, said: TextFormat, known: Collection[str] = ()) -> Dialect:
    """Determine the format of a table of text.

    Parameters
    ----------
    file : PositionedFile
    name : str
        Name of the file in messages.
    said : TextFormat
        Format of the table, as far as the caller specifies it.
    known : collection of str, default=()
        Column names that the caller expects: a first line that holds all of them is the line of names.

    Returns
    -------
    Dialect

    Raises
    ------
    ValueError
        If the table has no rows, is not in the specified encoding, or names more or fewer columns than it has.
    """
    encoding = said.encoding or _BYTE_ORDER_MARKS.get(_byte_order_mark(file), "utf-8")
    try:
        lines, is_whole = _first_lines(open_text(file, encoding))
    except UnicodeError as error:
        raise ValueError(wrong_encoding(name, encoding, error)) from None
    n_before, separator = _skip_preamble(lines)
    n_body = next((n for n in range(n_before, len(lines)) if not _is_comment(lines[n])), n_before)
    separator = said.separator or separator or _find_separator(lines[n_body:], said)
    try:
        n_before = _first_row(lines, n_before, n_body, separator, said)
        comment = (
            _cells(lines[n_before - 1].lstrip("#"), separator) if n_before and lines[n_before - 1][0] == "#" else []
        )
        read = list(read_records(iter(lines[n_before:]), separator))
    except csv.Error as error:
        raise ValueError(f"{name} cannot be read as a table of text: {error}.") from None
    records = [(n_before + number, cells) for number, cells in read if any(cells)]
    if not is_whole and len(records) > _FEWEST_LINES - 1:
        records.pop()  # the sample may end within the last record
    if not records:
        raise ValueError(f"{name} has no rows.")
    layout = Layout(name, said, [cells for _, cells in records], comment, known)
    return Dialect(
        encoding,
        separator,
        records[0][0] if layout.has_header else n_before,
        layout.n_cells,
        layout.names,
        layout.places,
        layout.truth_places,
        tuple(layout.remarks),
    )


def wrong_encoding(name: str, encoding: str, error: UnicodeError) -> str:
    """Return the error message for a file that is not in the given encoding."""
    return Sentence(
        f"{name} is not text in the encoding {encoding} ({error}). Pass the encoding that it is in, such as ",
        Setting("encoding", "latin-1"),
        ", 'cp1252' or 'utf-16'.",
    )


def _first_lines(text: TextIO) -> tuple[list[str], bool]:
    """Return the first lines of a text, and whether these are all its lines."""
    lines: list[str] = []
    n_characters = 0
    while len(lines) < _FEWEST_LINES or (len(lines) < _SAMPLE_LINES and n_characters < _SAMPLE_CHARACTERS):
        line = text.readline()
        if not line:
            return lines, True
        lines.append(line)
        n_characters += len(line)
    return lines, False


def _skip_preamble(lines: Sequence[str]) -> tuple[int, str | None]:
    """Return how many lines at the beginning are empty or only give the separator, and this separator or None."""
    separator = None
    for number, line in enumerate(lines):
        said = _SEPARATOR_LINE.fullmatch(line)
        if number == 0 and said:
            separator = said[1]
        elif line.strip():
            return number, separator
    return len(lines), separator


def _is_comment(line: str) -> bool:
    return line.startswith("#") or not line.strip()


def _first_row(lines: Sequence[str], start: int, body: int, separator: str, said: TextFormat) -> int:
    """Return the line where the rows begin; a row may begin with #, which begins comments, as in #ff0000,0.5."""
    width = len(_cells(lines[body], separator)) if body < len(lines) else 0
    while body > start:
        cells = _cells(lines[body - 1], separator)
        if len(cells) != width or not any(said.number(cell) is not None for cell in cells[1:]):
            break
        body -= 1
    return body


def _cells(line: str, separator: str) -> list[str]:
    """Return the cells of a line."""
    return next(read_records(iter([line.strip()]), separator), (0, []))[1]


def _find_separator(lines: Sequence[str], said: TextFormat) -> str:
    """Return the separator that cuts most lines into equal numbers of cells, most of them numbers.

    A separator that is rare in texts and cuts all lines into equal numbers of cells is preferred, whatever the cells
    hold, unless a cell holds several numbers.
    """
    for separator in _RARE_IN_TEXTS:
        rows = _rows_cut_by(separator, lines)
        is_even = len({len(cells) for cells in rows}) == 1 and len(rows[0]) > 1
        if is_even and not any(_are_several_numbers(cell, said) for cells in rows for cell in cells):
            return separator
    candidates = [sign for sign in _SEPARATORS if sign not in (said.decimal, said.thousands)]
    quoted = [sign for sign in _SEPARATORS if sign == said.thousands]  # numbers with thousands may be in quotes
    return _best_separator(candidates, lines, said) or _best_separator(quoted, lines, said) or candidates[-2]


def _best_separator(candidates: Sequence[str], lines: Sequence[str], said: TextFormat) -> str | None:
    best, most = None, 0.0
    for separator in candidates:
        rows = _rows_cut_by(separator, lines)
        rows = rows[1:] or rows  # the line of names may have one cell less or more
        (width, n_alike), *_ = Counter(map(len, rows)).most_common(1) or [(0, 0)]
        if width < 2 or 2 * n_alike < len(rows):
            continue
        cells = [cell for row in rows for cell in row]
        are_numbers = sum(_looks_like_a_number(cell, said) for cell in cells) / len(cells)
        score = (1 + are_numbers) * n_alike / len(rows)
        if score > most:
            best, most = separator, score
    return best


def _rows_cut_by(separator: str, lines: Sequence[str]) -> list[list[str]]:
    """Return the cells of all lines that are not empty; an empty list if the separator cannot cut the lines."""
    try:
        return [cells for _, cells in read_records(iter(lines), separator) if any(cells)]
    except csv.Error:
        return []


def _are_several_numbers(cell: str, said: TextFormat) -> bool:
    parts = cell.split()
    return len(parts) > 1 and said.number(cell) is None and all(_looks_like_a_number(part, said) for part in parts)


def _looks_like_a_number(cell: str, said: TextFormat) -> bool:
    return said.number(cell) is not None or re.fullmatch(r"[-+]?\d+,\d+(e[-+]?\d+)?", cell) is not None
