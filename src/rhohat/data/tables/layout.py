"""Detection of the line that names the columns of a table, and of the cells of a row that are columns.

Both are guessed from the first rows; the caller can specify whether there is a line of names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from itertools import chain

from rhohat.common.words import Sentence, Setting, counted
from rhohat.data.tables.cells import TRUTH_VALUES, TextFormat

__all__ = ["Layout"]

#: Names of columns without a name: empty, or made up by pandas when it read the column.
_UNNAMED = re.compile(r"(Unnamed: \d+(\.\d+)*(_level_\d+)?)?")

_MOST_NAMES_SHOWN = 5


class Layout:
    """The columns of a table, determined from its first rows.

    Parameters
    ----------
    name : str
        Name of the table in messages.
    said : TextFormat
        Format of the table, as far as the caller specifies it.
    records : sequence of sequence of str
        Cells of the first rows, including the line of names if there is one.
    comment : sequence of str
        Cells of a comment above the first rows, which may be the names.
    known : collection of str
        Column names that the caller expects.

    Attributes
    ----------
    has_header : bool
        Whether the first record is the line of names.
    names : tuple of str or None
        Names of the columns; None if no line names them.
    places : tuple of int
        Places of the columns among the cells of a row.
    n_cells : int
        Number of cells in a row, without an empty cell after the last column.
    truth_places : frozenset of int
        Places of the columns where all cells are true or false.
    remarks : list of str
        Sentences about guesses that may be unexpected.

    Raises
    ------
    ValueError
        If there are no rows, or more or fewer names than columns.
    """

    def __init__(
        self,
        name: str,
        said: TextFormat,
        records: Sequence[Sequence[str]],
        comment: Sequence[str],
        known: Collection[str],
    ) -> None:
        self._name, self._said, self._known = name, said, known
        self.remarks: list[str] = []
        named = None if said.header is not None else self._named_by_a_comment(comment, records)
        self.has_header = named is None and self._is_header(records[0], records[1:])
        self._rows = records[1:] if self.has_header else records
        if not self._rows:
            start = f"{name} has no rows below the line that names its columns; if that line is a row itself, pass "
            raise ValueError(Sentence(start, Setting("header", False), "."))
        names = list(records[0]) if self.has_header else named
        self.n_cells = len(self._rows[0])
        if names is not None:
            names = self._aligned(names)
        if self.n_cells > 1 and self._is_empty(self.n_cells - 1) and not (names and names[-1]):
            self.n_cells -= 1  # every line ends in a separator
        self.places = tuple(range(self.n_cells))
        if names is not None:
            self.places = self._without_index(names)
        self.names = None if names is None else tuple(names[place] for place in self.places)
        self.truth_places = frozenset(place for place in self.places if self._is_truth(place, self._rows))

    def _named_by_a_comment(self, comment: Sequence[str], records: Sequence[Sequence[str]]) -> list[str] | None:
        """Return the cells of a comment as names, if it has as many cells as the first row and none is a number."""
        is_header = len(comment) == len(records[0]) and not any(map(self._is_number, comment))
        return list(comment) if is_header else None

    def _aligned(self, names: list[str]) -> list[str]:
        """Return one name for each cell of a row; it is empty for cells without a name."""
        if len(names) == self.n_cells - 1 and self._is_empty(self.n_cells - 1):
            return [*names, ""]
        if len(names) == self.n_cells - 1 and self._is_index(1):
            return ["", *names]  # R writes no name for the column of row names
        if len(names) == self.n_cells + 1 and not names[-1]:
            return names[:-1]
        if len(names) != self.n_cells:
            raise ValueError(
                Sentence(
                    f"{self._name} names {counted(len(names), 'column')}, but has {counted(self.n_cells, 'column')}. If"
                    " its lines are split in the wrong places, pass the sign between the columns, such as ",
                    Setting("separator", ";"),
                    ", and the sign before the decimals of numbers, such as ",
                    Setting("decimal", ","),
                    ".",
                )
            )
        return names

    def _without_index(self, names: Sequence[str]) -> tuple[int, ...]:
        """Return the places of the columns: all cells except unnamed ones at the beginning that identify the rows."""
        n_unnamed = 0
        while n_unnamed < self.n_cells - 1 and _UNNAMED.fullmatch(names[n_unnamed]):
            n_unnamed += 1
        n_left_out = next((n for n in range(n_unnamed, 0, -1) if self._is_index(n)), 0)
        if n_left_out:
            columns = "The first column" if n_left_out == 1 else f"Each of the first {n_left_out} columns"
            self.remarks.append(
                f"{columns} of {self._name} has no name and numbers or names the rows, so it is left out; give it a"
                " name to keep it. The columns after it are numbered from 0 on."
            )
        elif n_unnamed:
            self.remarks.append(
                Sentence(
                    f"The first column of {self._name} has no name. It is read as numbers like the other columns, since"
                    " it does not tell the rows apart; if it only numbers the rows, leave it out with ",
                    Setting("drop", 0, "drop=[0]"),
                    ".",
                )
            )
        return tuple(range(n_left_out, self.n_cells))

    def _is_index(self, n_columns: int) -> bool:
        """Return whether the first columns are an index: names of rows, or whole numbers that differ in each row."""
        cells = [tuple(row[:n_columns]) for row in self._rows if row]
        numbers = [self._said.number(cell) for cell in chain.from_iterable(cells)]
        if all(number is None for number in numbers):
            return True  # texts cannot be features, whether distinct or not
        return len(set(cells)) == len(cells) and all(n is None or float(n).is_integer() for n in numbers)

    def _is_empty(self, place: int) -> bool:
        return all(len(row) <= place or not row[place] for row in self._rows)

    def _is_number(self, cell: str) -> bool:
        number = self._said.number(cell)
        return number is not None and not math.isnan(number)

    @staticmethod
    def _is_truth(place: int, rows: Sequence[Sequence[str]]) -> bool:
        cells = [row[place] for row in rows if len(row) > place and row[place]]
        return bool(cells) and all(cell.lower() in TRUTH_VALUES for cell in cells)

    def _is_header(self, first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
        """Return whether the first record names the columns."""
        if self._said.header is not None:
            return self._said.header
        if self._known and set(self._known) <= set(first):
            return True
        texts = [place for place, cell in enumerate(first) if self._is_text(cell, place, rows)]
        numbers = [place for place, cell in enumerate(first) if place not in texts and self._is_number(cell)]
        if not numbers:
            return bool(texts)
        if any(self._is_numeric(place, rows) for place in texts):
            return True
        if not (self._are_counts(numbers, first, rows) or self._are_of_another_kind(numbers, first, rows)):
            return False
        shown = ", ".join(first[:_MOST_NAMES_SHOWN]) + (", …" if len(first) > _MOST_NAMES_SHOWN else "")
        self.remarks.append(
            Sentence(
                f"The first line of {self._name} is taken for the names of its columns, {shown}; if it is a row, pass ",
                Setting("header", False),
                ".",
            )
        )
        return True

    def _is_text(self, cell: str, place: int, rows: Sequence[Sequence[str]]) -> bool:
        """Return whether a cell of the first record is text, and not a value like the cells below it."""
        if cell.lower() in TRUTH_VALUES:
            return not self._is_truth(place, rows)
        return self._said.number(cell) is None

    def _is_numeric(self, place: int, rows: Sequence[Sequence[str]]) -> bool:
        """Return whether all cells below a column's first cell are numbers or missing, and at least one is a number."""
        cells = [row[place] for row in rows if len(row) > place]
        return any(map(self._is_number, cells)) and all(self._said.number(cell) is not None for cell in cells)

    def _are_counts(self, places: Sequence[int], first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
        """Return whether the numbers in the first record count the columns, like the names that pandas makes up."""
        if not rows or not all(re.fullmatch(r"\d{1,9}(\.0)?", first[place]) for place in places):
            return False
        counts = [int(float(first[place])) for place in places]
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
        follows = rows[0][0].isdecimal() and int(rows[0][0]) == counts[-1] + 1  # the table is 0, 1, 2, 3, …
        return start == 0 and n_counts > 2 and not follows

    def _are_of_another_kind(self, places: Sequence[int], first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
        """Return whether the first record has different whole numbers, such as years, above columns of decimals."""
        names = [first[place] for place in places]
        if len(names) < 3 or len(rows) < 2 or len(set(names)) < len(names) or not all(map(str.isdecimal, names)):
            return False
        below = [row[place] for row in rows for place in places if len(row) > place and row[place]]
        decimal = re.escape(self._said.decimal)
        return bool(below) and all(re.search(rf"{decimal}|[eE]-|^(nan|NA)$", cell) is not None for cell in below)
