"""Tables written as text, which pandas parses once into a temporary file of numbers, from which rows are then read.

A fit reads its rows hundreds of times, and parsing takes far longer than reading numbers. The temporary file has no
name, takes eight bytes for each number, and is removed when the rows are closed. At most one block is in memory.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from sys import intern
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.exceptions import TextColumnsError
from rhohat.common.extras import import_extra
from rhohat.common.words import Sentence, counted
from rhohat.data.rows.columns import Columns, Reading
from rhohat.data.rows.conventions import notes_on_dropped
from rhohat.data.rows.flat import FlatRows
from rhohat.data.rows.positioned import PositionedFile
from rhohat.data.tables.advice import advice_on_numbers, said_of_dates
from rhohat.data.tables.blocks import Block, Missing, Parts, are_missing, coded
from rhohat.data.tables.cells import MISSING_NUMBERS, TextFormat, how_to_treat_missing, is_missing_label
from rhohat.data.tables.coding import Coding, Kind, Vocabulary
from rhohat.data.tables.dialect import find_dialect, open_text, read_records, wrong_encoding
from rhohat.data.tables.survey import Cell, listed_cells, survey

__all__ = ["Missing", "TextTable"]

_CELLS_AT_ONCE = 2**21
_FEWEST_ROWS_AT_ONCE = 64  # each column of a block has a fixed cost
_WIDE = 2**14  # number of cells in a row above which pandas takes longer than Python's own reader
_MOST_CELLS_SHOWN = 5
_MEND = "Correct this line, or remove it from the table."


class TextTable:
    """A table in a text file, whose numbers and labels have not been read yet.

    Parameters
    ----------
    file : PositionedFile
        Open file with the table. It stays open, but is not needed any more once the table has been read.
    name : str
        Name of the table in messages.
    said : TextFormat, default=TextFormat()
        Format of the table, as far as the caller specifies it.
    known : collection of str, default=()
        Column names that the caller expects.

    Attributes
    ----------
    names : tuple of str or None
        Names of the columns; None if no line names them.
    n_columns, n_cells : int
        Number of columns, and number of cells in a row, which may include a number or a name of the row.
    separator, encoding : str
        Character between the cells, and encoding of the text, as they were specified or detected.
    remarks : tuple of str
        Sentences about guesses that may be unexpected.

    Raises
    ------
    ValueError
        If the file is not a table, or is not in the specified encoding.
    """

    def __init__(
        self, file: PositionedFile, name: str, said: TextFormat | None = None, known: Collection[str] = ()
    ) -> None:
        self._file, self._name, self._said = file, name, TextFormat() if said is None else said
        self._dialect = find_dialect(file, name, self._said, known)
        self.names, self.n_columns = self._dialect.names, len(self._dialect.places)
        self.n_cells, self.remarks = self._dialect.n_cells, self._dialect.remarks
        self.separator, self.encoding = self._dialect.separator, self._dialect.encoding

    def read_rows(self, columns: Sequence[int], targets: Sequence[int] = (), missing: Missing = "error") -> FlatRows:
        """Parse the table into rows of numbers, and its target columns into strings.

        Parameters
        ----------
        columns : sequence of int
            Numbers of the numeric columns to read. The other columns may hold anything.
        targets : sequence of int, default=()
            Numbers of the target columns, which are read as strings.
        missing : {"error", "drop", "keep"}, default="error"
            How rows in which a number is missing are treated. With "drop" and "keep", rows without a target are left
            out.

        Returns
        -------
        FlatRows of shape (n_samples, n_features), float64
            The rows. Their `targets`, of shape (n_samples, n_targets), are strings, and no target is missing.

        Raises
        ------
        ValueError
            If there is no such column, or a cell is missing or not a number; the message names its line and column.
        MissingExtraError
            If pandas is not installed.
        OSError
            If there is no room for the temporary file.
        """
        blocks = _Parser(self, columns, targets).blocks(missing)
        return self._written(Parts(missing, len(targets)), blocks, columns, targets)

    def read_coded_rows(
        self,
        columns: Sequence[int],
        targets: Sequence[int] = (),
        missing: Missing = "error",
        kinds: Sequence[Kind] | None = None,
    ) -> FlatRows:
        """Parse the table into rows in which texts are codes; otherwise the same as `read_rows`.

        Parameters
        ----------
        columns, targets, missing
            See `read_rows`.
        kinds : sequence of Kind, default=None
            What each of the columns held in the fit of a model. If None, the whole table is read once to find it out.

        Returns
        -------
        FlatRows of shape (n_samples, n_features), float64
            The rows, whose `coding` says what the numbers stand for.
        """
        if kinds is None:
            kinds = _Parser(self, columns, targets).kinds()
        texts = [place for place, kind in enumerate(kinds) if kind == Kind.TEXT]
        parts = Parts(missing, len(targets))
        names = [str(number) if self.names is None else repr(self.names[number]) for number in columns]
        vocabularies = {place: Vocabulary(names[place]) for place in texts}
        parser = _Parser(
            self,
            [number for number, kind in zip(columns, kinds, strict=True) if kind != Kind.TEXT],
            targets,
            [columns[place] for place in texts],
        )
        blocks = (coded(block, vocabularies, len(columns), len(targets)) for block in parser.blocks(missing))
        rows = self._written(parts, blocks, columns, targets)
        words = tuple(vocabularies[place].texts if place in vocabularies else () for place in range(len(columns)))
        rows.coding = Coding(tuple(kinds), words)
        return rows

    def _written(
        self, parts: Parts, blocks: Iterable[Block], columns: Sequence[int], targets: Sequence[int]
    ) -> FlatRows:
        """Write the numbers of blocks to a temporary file, and return them as rows with all that is known of them."""
        names = None if self.names is None else [self.names[number] for number in columns]
        rows = FlatRows.written_to_the_end(
            parts.pass_numbers(blocks), self._name, len(columns), np.float64, feature_names=names
        )
        rows.reading = Reading(tuple(columns), self.n_columns, text=self._said, targets=tuple(targets) or None)
        rows.n_rows_found, rows.kept = parts.n_seen, parts.kept()
        rows.targets = parts.texts() if targets else None
        if targets and self.names is not None:
            rows.target_names = tuple(self.names[number] for number in targets)
        rows.notes = notes_on_dropped(rows, only_unlabelled=parts.drops_unlabelled)
        return rows

    def read_texts(self, column: str | None = None, *, may_be_missing: bool = False) -> NDArray[np.object_]:
        """Parse one column, or all columns, as strings.

        Parameters
        ----------
        column : str, default=None
            Name or number of the column; None means all columns.
        may_be_missing : bool, default=False
            Whether cells may be empty, or stand for a missing value.

        Returns
        -------
        array of shape (n_samples, n_columns), of str

        Raises
        ------
        ValueError
            If there is no such column, or a cell is missing that must not be; the message names its line and column.
        """
        wanted = Columns(None if column is None else (column.removeprefix("/"),))
        parser = _Parser(self, [], wanted.choose(self.names, self.n_columns, self._name))
        return np.concatenate([block.texts for block in parser.blocks("drop" if may_be_missing else "error")])


class _Parser:
    """Parser of some columns of a table, block by block."""

    def __init__(
        self, table: TextTable, chosen: Sequence[int], targets: Sequence[int], texts: Sequence[int] = ()
    ) -> None:
        self._table, self._name, self._said, self._dialect = table, table._name, table._said, table._dialect
        self._numbers = [self._dialect.places[number] for number in chosen]
        self._targets = [self._dialect.places[number] for number in targets]
        self._columns_of_texts = [self._dialect.places[number] for number in texts]
        self._texts = [*self._targets, *self._columns_of_texts]
        self._missing_is_error = True

    def kinds(self) -> list[Kind]:
        """Return what the columns of numbers hold; raise ValueError for columns of numbers with some texts in them."""
        found = survey(self._records(), self._numbers, self._said)
        mistakes = {
            self._name_of(place): column.first_text
            for place, column in found.items()
            if column.first_text is not None and column.kind != Kind.TEXT
        }
        if mistakes:
            cells = [cell.text for cell in mistakes.values()]
            advice = advice_on_numbers(cells, self._said) or "Correct these cells, or leave out the columns."
            listed = listed_cells(mistakes)
            raise ValueError(
                Sentence(f"some columns of {self._name} hold numbers with a few texts among them: {listed}. ", advice)
            )
        return [found[place].kind for place in self._numbers]

    def blocks(self, missing: Missing) -> Iterator[Block]:
        """Yield all rows in blocks; raise ValueError for missing values that are not allowed, and for infinity."""
        self._missing_is_error = missing == "error"
        try:
            for block in self._blocks_by_python() if self._dialect.n_cells > _WIDE else self._blocks_by_pandas():
                if missing == "error" and (np.isnan(block.numbers).any() or are_missing(block.texts).any()):
                    raise ValueError(self._complaint(missing) or f"{self._name} has missing values.")
                if np.isinf(block.numbers).any():
                    raise ValueError(self._complaint("keep") or f"{self._name} contains infinity.")
                yield block
        except UnicodeError as error:
            raise ValueError(wrong_encoding(self._name, self._dialect.encoding, error)) from None

    def _blocks_by_pandas(self) -> Iterator[Block]:
        """Yield the rows that pandas reads; if it fails although no row is wrong, Python's reader reads the rest."""
        n_read = 0
        try:
            for frame in self._frames():
                if self._has_more_cells(frame):
                    raise ValueError("a row has more cells than the first row")
                block = self._block(frame)
                yield block
                n_read += len(frame)
        except UnicodeError:
            raise
        except ValueError as error:  # includes pandas' ParserError
            complaint = self._complaint("drop")
            if complaint:
                raise ValueError(complaint) from error
            yield from islice(self._blocks_by_python(), n_read, None)

    def _blocks_by_python(self) -> Iterator[Block]:
        """Yield rows one by one with Python's own reader, which is slower, except for tables of very many columns."""
        is_plain = self._said.decimal == "." and self._said.thousands is None
        for _, cells in self._records():
            if any(cells[self._dialect.n_cells :]):
                raise ValueError(self._complaint("drop"))
            cells += [""] * (self._dialect.n_cells - len(cells))
            numbers = [cells[place] for place in self._numbers]
            values: Any
            try:
                values = np.array(numbers, dtype=np.float64) if is_plain and "_" not in "".join(numbers) else None
            except ValueError:  # some cells are missing, truth values, or not numbers
                values = None
            if values is None:
                values = list(map(self._said.number, numbers))
                if any(value is None for value in values):
                    raise ValueError(self._complaint("drop"))
            texts = np.array([intern(cells[place]) for place in self._texts], object).reshape(1, -1)
            yield Block(np.array(values, dtype=np.float64).reshape(1, -1), texts)

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield, for each row, the number of the line in which it ends, and its cells."""
        dialect = self._dialect
        lines = open_text(self._table._file, dialect.encoding, to_end=dialect.n_cells > 1)
        n_before = sum(1 for _ in islice(iter(lines.readline, ""), dialect.n_lines_before))
        for number, cells in read_records(iter(lines.readline, ""), dialect.separator):
            if dialect.n_cells == 1:
                yield n_before + number, cells or [""]
            elif len(cells) > 1 or any(cells):
                yield n_before + number, cells

    def _frames(self) -> Iterator[Any]:
        """Yield data frames of successive rows, with a column for each cell, and one more column for surplus cells."""
        pandas = import_extra("pandas", "tables")
        dialect, n_cells = self._dialect, self._dialect.n_cells
        numbers = set(self._numbers) - dialect.truth_places
        lines = open_text(self._table._file, dialect.encoding, to_end=n_cells > 1)
        for _ in range(dialect.n_lines_before):
            lines.readline()
        exact = {} if _version(pandas) >= (3, 1) else {"float_precision": "round_trip"}
        n_rows = max(_FEWEST_ROWS_AT_ONCE, _CELLS_AT_ONCE // n_cells)
        yield from pandas.read_csv(
            lines,
            sep=r"\s+" if dialect.separator == " " else dialect.separator,
            header=None,
            names=range(n_cells + 1),
            dtype={place: np.float64 if place in numbers else str for place in range(n_cells + 1)},
            decimal=self._said.decimal,
            thousands=self._said.thousands,
            na_values={place: list(MISSING_NUMBERS) for place in numbers},
            keep_default_na=False,
            skipinitialspace=dialect.separator != "\t",
            skip_blank_lines=n_cells > 1,
            low_memory=False,  # otherwise each block is parsed in small pieces, which is slow for wide rows
            chunksize=n_rows,
            **exact,
        )

    def _has_more_cells(self, frame: Any) -> bool:
        """Return whether rows have more cells than the first rows; pandas takes several surplus cells for an index."""
        extra = frame[self._dialect.n_cells]
        return type(frame.index).__name__ != "RangeIndex" or bool((extra.notna() & (extra != "")).any())

    def _block(self, frame: Any) -> Block:
        numbers = np.empty((len(frame), len(self._numbers)))
        for column, place in enumerate(self._numbers):
            cells = frame[place]
            if place in self._dialect.truth_places:
                values = [self._said.number(str(cell)) for cell in cells]
                if any(value is None for value in values):
                    raise ValueError(f"column {place} has truth values and holds another text")
                numbers[:, column] = values
            else:
                numbers[:, column] = cells.to_numpy()
        texts = np.empty((len(frame), len(self._texts)), object)
        for column, place in enumerate(self._texts):
            texts[:, column] = [intern(str(cell).strip()) for cell in frame[place]]  # equal texts share memory
        return Block(numbers, texts)

    def _complaint(self, missing: Missing) -> str:
        """Return the error message for the first row that is not acceptable; an empty string if all rows are."""
        try:
            for line, cells in self._records():
                found = self._wrong_with(cells, line, missing)
                if found:
                    return found
        except csv.Error as error:
            return f"{self._name} cannot be read as a table of text: {error}."
        return ""

    def _wrong_with(self, cells: Sequence[str], line: int, missing: Missing) -> str:
        """Return the error message for a row, or an empty string; raise if columns hold no numbers at all."""
        n_cells = self._dialect.n_cells
        if any(cells[n_cells:]) or len(cells) < n_cells - 1:
            return f"{self._name} has {len(cells)} cells in line {line}, but {n_cells} cells in its first row."
        cells = [*cells, *[""] * (n_cells - len(cells))]
        texts = {place: cells[place] for place in self._numbers if self._said.number(cells[place]) is None}
        if texts:
            return self._not_numbers(texts, line)
        for place in self._numbers:
            if math.isinf(self._said.number(cells[place]) or 0):
                return (
                    f"{self._name} contains infinity: in line {line}, column {self._name_of(place)} holds"
                    f" {cells[place]!r}. {_MEND}"
                )
        if missing == "error":
            for place in self._targets:
                if is_missing_label(cells[place]):
                    return self._missing_target(place, cells[place], line)
            lacks_numbers = any(cells[place] in MISSING_NUMBERS for place in self._numbers)
            if lacks_numbers or any(is_missing_label(cells[place]) for place in self._columns_of_texts):
                places = [*self._numbers, *self._texts]
                found = survey(self._records(), places, self._said, _CELLS_AT_ONCE)
                first = {place: column.first_missing for place, column in found.items()}
                listed = self._listed({place: cell for place, cell in first.items() if cell is not None})
                dates = [self._name_of(place) for place in self._columns_of_texts if found[place].holds_dates]
                return Sentence(
                    f"{self._name} has missing values: {listed}. ",
                    how_to_treat_missing("cells"),
                    *said_of_dates(dates),
                )
        return ""

    def _missing_target(self, place: int, cell: str, line: int) -> str:
        """Return the error message for missing targets, of which the first one is given."""
        if not self._numbers and not self._columns_of_texts:
            remedy = "Fill in missing labels, or leave out this line and the row that it belongs to."
            return f"y has missing values: {self._listed({place: Cell(line, cell)})}. {remedy}"
        found = [is_missing_label("".join(cells[place : place + 1])) for _, cells in self._records()]
        rows = f"{sum(found):,} of the {counted(len(found), 'row')} of {self._name}"
        problem = (
            f"column {self._name_of(place)}, which is to be predicted, has no value in {rows}, first in line {line}. "
        )
        return Sentence(f"y has missing values: {problem}", how_to_treat_missing("labels"))

    def _listed(self, cells: Mapping[int, Cell]) -> str:
        """Return a phrase with the given cells, by the places of their columns."""
        listed = listed_cells({self._name_of(place): cell for place, cell in cells.items()})
        line, _, rest = listed.partition(", ")
        return f"{line} of {self._name}, {rest}"

    def _not_numbers(self, cells: dict[int, str], line: int) -> str:
        """Return the error message for cells that are not numbers; raise if none of their columns holds numbers."""
        found = survey(self._records(), self._numbers, self._said, _CELLS_AT_ONCE)
        columns = {place: one.first_text for place, one in found.items() if one.kind == Kind.TEXT and one.first_text}
        advice = advice_on_numbers(list(cells.values())[:_MOST_CELLS_SHOWN], self._said)
        start = f"{self._name} is not a table of numbers: "
        if advice or not set(cells) <= set(columns):
            held = listed_cells({self._name_of(place): Cell(line, cell) for place, cell in cells.items()})
            return Sentence(f"{start}{held}. ", advice or _MEND)
        gaps = {place: one.first_missing for place, one in found.items() if one.first_missing}
        names = [self._table.names or range(len(self._dialect.places))][0]
        named = {place: names[self._dialect.places.index(place)] for place in columns}
        raise TextColumnsError(
            start + listed_cells({self._name_of(place): cell for place, cell in columns.items()}) + ".",
            list(named.values()),
            f"Cells are missing, too: {self._listed(gaps)}." if gaps and self._missing_is_error else "",
            [name for place, name in named.items() if found[place].holds_dates],
            [name for place, name in named.items() if found[place].holds_names],
        )

    def _name_of(self, place: int) -> str:
        number = self._dialect.places.index(place)
        return repr(self._table.names[number]) if self._table.names is not None else str(number)


def _version(module: Any) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", module.__version__)[:2])
