"""What the columns of a table of text hold, counted cell by cell, with the first text and the first gap of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rhohat.data.tables.cells import MISSING_NUMBERS, TRUTH_VALUES, TextFormat
from rhohat.data.tables.coding import Kind, look_like_dates, nearly_all_differ

__all__ = ["Cell", "ColumnSurvey", "listed_cells", "survey"]

_FEWEST_TEXTS, _SMALLEST_FRACTION = 3, 0.05  # number and fraction below which texts among numbers are mistakes
_MOST_TEXTS = 100_000  # different texts that are remembered of a column
_LONGEST_SHOWN = 60  # characters


class Cell(NamedTuple):
    """A cell of a table of text, and the number of its line, from 1 on."""

    line: int
    text: str


@dataclass
class ColumnSurvey:
    """Numbers of the cells of a column by what they hold, and the first cells that are no numbers."""

    n_numbers: int = 0
    n_truths: int = 0
    n_texts: int = 0
    n_dates: int = 0
    first_text: Cell | None = None
    first_missing: Cell | None = None
    texts: set[str] = field(default_factory=set)  # different ones

    def add(self, cell: str, number: float | None, line: int) -> None:
        """Count a cell, which stands for a number, for None if it is a text, or for NaN if it is missing."""
        if number is None:
            self.n_texts += 1
            self.n_dates += self.n_dates == self.n_texts - 1 and look_like_dates([cell])
            if len(self.texts) < _MOST_TEXTS:
                self.texts.add(cell)
            self.first_text = self.first_text or Cell(line, cell)
        elif number != number:
            self.first_missing = self.first_missing or Cell(line, cell)
        else:
            self.n_numbers += 1
            self.n_truths += cell.lower() in TRUTH_VALUES

    @property
    def holds_dates(self) -> bool:
        """Whether all cells are dates."""
        return 0 < self.n_dates == self.n_texts and not self.n_numbers

    @property
    def holds_names(self) -> bool:
        """Whether nearly every row has a text of its own, such as a name or an identifier."""
        return not self.holds_dates and nearly_all_differ(len(self.texts), self.n_texts)

    @property
    def kind(self) -> Kind:
        """What the column holds, apart from mistakes."""
        are_many = self.n_texts >= max(_FEWEST_TEXTS, _SMALLEST_FRACTION * (self.n_texts + self.n_numbers))
        if self.n_texts and (are_many or not self.n_numbers):
            return Kind.TEXT
        return Kind.TRUTH if self.n_truths and self.n_truths == self.n_numbers else Kind.NUMBER


def survey(
    records: Iterable[tuple[int, list[str]]],
    places: Sequence[int],
    said: TextFormat,
    most_cells: int | None = None,
) -> dict[int, ColumnSurvey]:
    """Return what columns hold.

    Parameters
    ----------
    records : iterable of (int, list of str)
        The number of the line in which a row ends, and the cells of this row.
    places : sequence of int
        Places of the columns among the cells of a row.
    said : TextFormat
        How numbers are written.
    most_cells : int, default=None
        Number of cells after which the survey ends; None means that all rows are surveyed.
    """
    found = {place: ColumnSurvey() for place in places}
    is_plain = said.decimal == "." and said.thousands is None
    for number, (line, cells) in enumerate(records):
        if most_cells is not None and number * len(places) > most_cells:
            break
        for place, column in found.items():
            cell = cells[place] if len(cells) > place else ""
            column.add(cell, _number(cell, said) if is_plain else said.number(cell), line)
    return found


def _number(cell: str, said: TextFormat) -> float | None:
    """Return what `TextFormat.number` returns, in less time for most cells."""
    if cell in MISSING_NUMBERS:
        return float("nan")
    try:
        return float(cell) if "_" not in cell else None
    except ValueError:
        return said.number(cell)


def listed_cells(cells: Mapping[str, Cell]) -> str:
    """Return a phrase with the line and the content of one cell of each column, by the names of the columns.

    Examples
    --------
    >>> listed_cells({"'a'": Cell(2, "x"), "'b'": Cell(2, ""), "'c'": Cell(5, "y")})
    "in line 2, column 'a' holds 'x', column 'b' is empty; in line 5, column 'c' holds 'y'"
    """
    lines: dict[int, list[str]] = {}
    for name, (line, text) in sorted(cells.items(), key=lambda item: item[1].line):
        held = f"holds {text[:_LONGEST_SHOWN]!r}" if text else "is empty"
        lines.setdefault(line, []).append(f"column {name} {held}")
    return "; ".join(f"in line {line}, {', '.join(held)}" for line, held in lines.items())
