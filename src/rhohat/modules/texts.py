"""Texts from files and folders: plain text, Markdown, source code, HTML, and columns of tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from html.parser import HTMLParser
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from rhohat.common.extras import import_extra
from rhohat.data.folders import is_of_the_system

__all__ = ["NamedText", "Texts"]

_COLUMN = "text"  # where a table has its texts, unless told otherwise
_NOT_SHOWN = {"head", "noscript", "script", "style", "template"}  # elements of HTML without text to read
_BLOCKS = {"br", "div", "h1", "h2", "h3", "h4", "h5", "h6", "li", "p", "pre", "section", "table", "td", "th", "tr"}
_LONGEST_CELL = 2**30  # characters of a cell of CSV


class NamedText(NamedTuple):
    """A text and where it came from, such as the path of a file."""

    name: str
    text: str


class Texts:
    """Texts of files, one after the other, in the same order every time.

    Parameters
    ----------
    paths : sequence of path
        Files and folders. A folder stands for all files in it and in its folders, in the order of their names, that end
        in ``.txt``, ``.md``, ``.rst``, ``.py``, ``.html`` or ``.htm``, and, if `column` is given, in ``.jsonl``,
        ``.ndjson``, ``.csv``, ``.tsv`` or ``.parquet``; hidden ones are passed over.
    column : str, default=None
        Column of a table, or key of JSON lines, that holds the texts. None means ``"text"``.

    Attributes
    ----------
    unreadable : dict of str to str
        Names of the files, lines and rows that could not be read in the last iteration, and why. They are left out.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If a file is of another kind, or a folder has no file with texts.
    """

    def __init__(self, paths: Sequence[str | PathLike[str]], column: str | None = None) -> None:
        self._column, self.unreadable = column, dict[str, str]()
        self.files: list[Path] = []
        for path in map(Path, paths):
            self.files += self._files_of(path)
        if not self.files:
            raise ValueError("texts must name at least one file or folder.")

    def __iter__(self) -> Iterator[NamedText]:
        self.unreadable = {}
        for path in self.files:
            try:
                yield from self._read(path)
            except (OSError, UnicodeError, ValueError) as error:
                self.unreadable[str(path)] = _reason(error)

    def _files_of(self, path: Path) -> list[Path]:
        if path.is_file():
            if path.suffix.lower() not in {**_TEXTS, **_TABLES}:
                known = ", ".join([*_TEXTS, *_TABLES])
                raise ValueError(f"{path} is not a file of texts by its name; texts are read from {known}.")
            return [path]
        if not path.is_dir():
            raise FileNotFoundError(f"there is no file or folder {path}.")
        wanted = {**_TEXTS, **_TABLES} if self._column is not None else _TEXTS
        found = sorted(
            file
            for file in path.rglob("*")
            if file.suffix.lower() in wanted and not is_of_the_system(file.relative_to(path)) and file.is_file()
        )
        if not found:
            raise ValueError(
                f"the folder {path} has no file that ends in {', '.join(wanted)}"
                + ("." if self._column is not None else "; name the column of tables, to read those in it.")
            )
        return found

    def _read(self, path: Path) -> Iterator[NamedText]:
        kind = path.suffix.lower()
        if kind in _TEXTS:
            yield NamedText(str(path), _TEXTS[kind](path.read_text(encoding="utf-8-sig")))
            return
        column = self._column or _COLUMN
        for number, value in _TABLES[kind](path, column):
            name = f"{path}:{number}"
            if isinstance(value, str):
                yield NamedText(name, value)
            elif value is not None:
                self.unreadable[name] = str(value)


class _Problem:
    """Why a line or row of a table has no text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def _json_lines(path: Path, column: str) -> Iterator[tuple[int, Any]]:
    """Yield the number of each line, from 1 on, and its text."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                entries = json.loads(line.decode("utf-8-sig"))
            except (ValueError, RecursionError) as error:
                yield number, _Problem(f"it is not JSON: {error}")
                continue
            yield number, _text_of(entries, column)


def _text_of(entries: Any, column: str) -> Any:
    if isinstance(entries, str):
        return entries
    if not isinstance(entries, dict) or column not in entries:
        there = ", ".join(map(str, entries)) if isinstance(entries, dict) else "none"
        return _Problem(f"it has no entry {column!r}; its entries are: {there}")
    value = entries[column]
    return value if isinstance(value, str) else _Problem(f"its entry {column!r} is not a text")


def _csv(path: Path, column: str) -> Iterator[tuple[int, Any]]:
    """Yield the number of each row below the names of the columns, from 1 on, and its text."""
    csv.field_size_limit(_LONGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        try:
            names = next(rows, [])
            if column not in names:
                raise ValueError(f"it has no column {column!r}; its columns are: {', '.join(names)}")
            place = names.index(column)
            for number, row in enumerate(rows, 1):
                if row:
                    yield number, row[place] if place < len(row) else _Problem("it has fewer cells than columns")
        except csv.Error as error:
            raise ValueError(f"it is not CSV: {error}") from None


def _parquet(path: Path, column: str) -> Iterator[tuple[int, Any]]:
    """Yield the number of each row, from 1 on, and its text; a missing one is passed over."""
    parquet, arrow = import_extra("pyarrow.parquet", "formats"), import_extra("pyarrow", "formats")
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if column not in names:
                raise ValueError(f"it has no column {column!r}; its columns are: {', '.join(names)}")
            number = 0
            for batch in file.iter_batches(batch_size=1024, columns=[column]):
                for value in batch.column(0).to_pylist():
                    number += 1
                    is_text = value is None or isinstance(value, str)
                    yield number, value if is_text else _Problem(f"its entry {column!r} is not a text")
    except arrow.ArrowException as error:
        raise ValueError(f"it is not a Parquet file: {error}") from None


class _ShownText(HTMLParser):
    """The text of a page of HTML that a reader sees, with a line for each block."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in _NOT_SHOWN
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in _NOT_SHOWN and self._hidden > 0
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def _of_html(page: str) -> str:
    """Return the text of a page of HTML, without lines that are empty."""
    parser = _ShownText()
    parser.feed(page)
    parser.close()
    lines = (line.rstrip() for line in "".join(parser.parts).splitlines())
    return "\n".join(line for line in lines if line)


def _as_it_is(text: str) -> str:
    return text


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return f"it is not UTF-8: {error}"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


_TEXTS: dict[str, Callable[[str], str]] = {
    **dict.fromkeys((".txt", ".md", ".rst", ".py"), _as_it_is),
    **dict.fromkeys((".html", ".htm"), _of_html),
}
_TABLES: dict[str, Callable[[Path, str], Iterator[tuple[int, Any]]]] = {
    **dict.fromkeys((".jsonl", ".ndjson"), _json_lines),
    **dict.fromkeys((".csv", ".tsv"), _csv),
    ".parquet": _parquet,
}
