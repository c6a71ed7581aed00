"""The index of a harvest: which token of which text a row of activations belongs to."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rhohat.data.harvest_folder import Shard, index_name, read_harvest_record

__all__ = ["HarvestIndex", "IndexedText", "TokenContext", "index_line"]

_SHARDS_HELD = 64  # of whose rows the texts and positions are held in memory
_LINES_HELD = 256  # whose tokens are held in memory
_WHOLE_TEXT = -1  # position of a row that belongs to a whole text

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class TokenContext:
    """A row of activations among the tokens around it.

    Parameters
    ----------
    row : int
        Number of the row in the harvest.
    text : int
        Number of the text in the harvest.
    name : str
        Where the text came from, such as the path of a file.
    position : int
        Place of the row's token in its text; -1 if the row belongs to the whole text, such as a mean over its tokens.
    tokens : tuple of str
        The token and those around it, as they stand in the text, with the spaces before them.
    marked : int
        Place of the row's token in `tokens`; -1 if the row belongs to the whole text.
    rows : array of int, of shape (len(tokens),)
        Number of the row of each token; -1 for a token that has none.
    """

    row: int
    text: int
    name: str
    position: int
    tokens: tuple[str, ...]
    marked: int
    rows: NDArray[np.int64]


class IndexedText(NamedTuple):
    """A line of the index: a text that gave rows.

    Parameters
    ----------
    text : int
        Number of the text in the harvest.
    name : str
        Where it came from.
    window : int
        Number of the piece of that which it is, if long texts were cut into pieces.
    first_row : int
        Number of its first row in the harvest.
    positions : list of int
        Places of the tokens that have rows, ascending, a row for each; or [-1], if its row belongs to the whole text.
    tokens : list of str
        All tokens, as they stand in the text, with the spaces before them.
    """

    text: int
    name: str
    window: int
    first_row: int
    positions: list[int]
    tokens: list[str]


def index_line(text: IndexedText) -> str:
    """Return the line of the index for a text, with its end."""
    return json.dumps(text._asdict(), ensure_ascii=False, separators=(",", ":")) + "\n"


class HarvestIndex:
    """The texts, tokens and positions of the rows in the folder of a harvest.

    The index is read where it is asked for. Every method takes row numbers in any order, as often as wanted.

    Parameters
    ----------
    folder : path
        Folder that `rhohat.harvest` has written.

    Attributes
    ----------
    folder : Path
    record : HarvestRecord
        The model, the layers, and what else is known of the harvest.
    n_rows, n_texts : int
        Numbers of rows and of texts that gave rows.

    Raises
    ------
    FileNotFoundError
        If `folder` is not the folder of a harvest.
    ValueError
        If its record is damaged. The methods raise it if a file of the index is missing or damaged.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = Path(folder)
        self.record = read_harvest_record(self.folder)
        self.n_rows, self.n_texts = self.record.n_rows, self.record.n_texts
        self._first_rows = _edges(shard.n_rows for shard in self.record.shards)
        self._first_texts = _edges(shard.n_texts for shard in self.record.shards)
        self._shards: OrderedDict[int, _ShardIndex] = OrderedDict()
        self._lines: OrderedDict[tuple[int, int], IndexedText] = OrderedDict()

    def __len__(self) -> int:
        return self.n_rows

    def texts(self, rows: ArrayLike) -> NDArray[np.int64]:
        """Return the number of the text of each row.

        Parameters
        ----------
        rows : int or array of int
            Row numbers in the harvest.

        Returns
        -------
        array of int, of the shape of `rows`

        Raises
        ------
        IndexError
            If there is no such row.
        """
        return self._gathered(rows, lambda shard, numbers: shard.first_text + shard.places(numbers))

    def positions(self, rows: ArrayLike) -> NDArray[np.int64]:
        """Return the place of each row's token in its text; -1 for a row that belongs to the whole text.

        Parameters
        ----------
        rows : int or array of int
            Row numbers in the harvest.

        Returns
        -------
        array of int, of the shape of `rows`

        Raises
        ------
        IndexError
            If there is no such row.
        """
        return self._gathered(rows, lambda shard, numbers: shard.positions[numbers - shard.first_row])

    def tokens(self, rows: ArrayLike) -> list[str]:
        """Return the token of each row, as it stands in its text; "" for a row that belongs to the whole text.

        Parameters
        ----------
        rows : int or array of int
            Row numbers in the harvest.

        Returns
        -------
        list of str
        """
        flat = np.ravel(np.asarray(rows))
        places = zip(self.texts(flat).tolist(), self.positions(flat).tolist(), strict=True)
        return ["" if position == _WHOLE_TEXT else self.text(text).tokens[position] for text, position in places]

    def names(self, rows: ArrayLike) -> list[str]:
        """Return where the text of each row came from, such as the path of a file.

        Parameters
        ----------
        rows : int or array of int
            Row numbers in the harvest.

        Returns
        -------
        list of str
        """
        return [self.text(text).name for text in np.ravel(self.texts(rows)).tolist()]

    def text(self, number: int) -> IndexedText:
        """Return a text with its tokens, and the positions of those that have rows.

        Parameters
        ----------
        number : int
            Number of the text in the harvest.

        Raises
        ------
        IndexError
            If there is no such text.
        """
        if not 0 <= number < self.n_texts:
            raise IndexError(f"{self.folder} has {self.n_texts} texts; there is no text {number}.")
        shard = int(np.searchsorted(self._first_texts, number, side="right")) - 1
        place = number - int(self._first_texts[shard])
        return _held(self._lines, (shard, place), _LINES_HELD, lambda: self._shard(shard).read(place))

    def context(self, row: int, before: int = 20, after: int = 20) -> TokenContext:
        """Return a row's token with the tokens around it.

        Parameters
        ----------
        row : int
            Row number in the harvest.
        before, after : int, default=20
            Largest number of tokens before and after it. They never reach beyond the text. Of a row that belongs to the
            whole text, the first ``before + 1 + after`` tokens are returned.

        Returns
        -------
        TokenContext

        Raises
        ------
        IndexError
            If there is no such row.
        """
        text, position = self.text(int(self.texts(row))), int(self.positions(row))
        start = 0 if position == _WHOLE_TEXT else max(0, position - before)
        stop = before + 1 + after if position == _WHOLE_TEXT else position + 1 + after
        tokens = tuple(text.tokens[start:stop])
        rows = np.full(len(text.tokens), -1, np.int64)
        if position != _WHOLE_TEXT:
            rows[text.positions] = text.first_row + np.arange(len(text.positions))
        marked = -1 if position == _WHOLE_TEXT else position - start
        return TokenContext(int(row), text.text, text.name, position, tokens, marked, rows[start:stop])

    def _gathered(self, rows: ArrayLike, look_up: Any) -> NDArray[np.int64]:
        """Return what a function of a shard and of row numbers in it returns, for rows of any shards."""
        numbers = np.asarray(rows)
        if numbers.dtype.kind not in "iu" and numbers.size:
            raise TypeError(f"rows must be whole numbers; got an array of {numbers.dtype}.")
        wrong = (numbers < 0) | (numbers >= self.n_rows)
        if wrong.any():
            raise IndexError(f"{self.folder} has {self.n_rows} rows; there is no row {numbers[wrong].flat[0]}.")
        found = np.empty(numbers.shape, np.int64)
        shards = np.searchsorted(self._first_rows, numbers, side="right") - 1
        for shard in np.unique(shards).tolist():
            chosen = shards == shard
            found[chosen] = look_up(self._shard(shard), numbers[chosen])
        return found

    def _shard(self, number: int) -> _ShardIndex:
        first_row, first_text = int(self._first_rows[number]), int(self._first_texts[number])
        path, shard = self.folder / index_name(number), self.record.shards[number]
        return _held(self._shards, number, _SHARDS_HELD, partial(_ShardIndex, path, shard, first_row, first_text))


class _ShardIndex:
    """A file of the index: where its lines begin, and the positions of its rows.

    Parameters
    ----------
    path : Path
    shard : Shard
        How many rows and texts it must have.
    first_row, first_text : int
        Numbers of its first row and text in the harvest.
    """

    def __init__(self, path: Path, shard: Shard, first_row: int, first_text: int) -> None:
        self._path, self.first_row, self.first_text = path, first_row, first_text
        if not path.is_file():
            raise ValueError(f"{path} is missing: the folder is not complete; copy it again, or harvest anew.")
        starts, first_rows, positions, row, begin = [], [], [], first_row, 0
        with path.open("rb") as file:
            for number, line in enumerate(file):
                text = _parsed(path, number, line)
                if (text.text, text.first_row) != (first_text + number, row):
                    raise _damaged(path, number, "its text or its first row does not follow those before")
                starts.append(begin)
                first_rows.append(row)
                positions.append(np.array(text.positions, np.int32))
                row, begin = row + len(text.positions), begin + len(line)
        if (row - first_row, len(starts)) != (shard.n_rows, shard.n_texts):
            raise ValueError(
                f"{path} is damaged: it has {row - first_row} rows of {len(starts)} texts, but the harvest has"
                f" {shard.n_rows} rows of {shard.n_texts} texts there."
            )
        self._starts, self._first_rows = starts, np.array(first_rows)
        self.positions: NDArray[np.int32] = np.concatenate(positions)

    def places(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Return the place of each row's text in this file."""
        return np.searchsorted(self._first_rows, rows, side="right") - 1

    def read(self, place: int) -> IndexedText:
        """Return a text of this file."""
        with self._path.open("rb") as file:
            file.seek(self._starts[place])
            return _parsed(self._path, place, file.readline())


def _parsed(path: Path, number: int, line: bytes) -> IndexedText:
    """Return the text that a line of the index describes, after checking it."""
    try:
        entries = json.loads(line)
        text = IndexedText(**{name: entries[name] for name in IndexedText._fields})
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, number, f"it is not the JSON of a text: {error!r}") from None
    numbers = (text.text, text.window, text.first_row)
    if not (isinstance(text.name, str) and all(type(one) is int for one in numbers)):
        raise _damaged(path, number, "an entry has the wrong type")
    if not isinstance(text.tokens, list) or not all(isinstance(one, str) for one in text.tokens):
        raise _damaged(path, number, "its tokens are not strings")
    places = text.positions
    if not isinstance(places, list) or not places or not all(type(one) is int for one in places):
        raise _damaged(path, number, "its positions are not whole numbers")
    if places != [_WHOLE_TEXT] and not _ascend(places, len(text.tokens)):
        raise _damaged(path, number, "its positions are not ascending places of its tokens")
    return text


def _ascend(places: list[int], n_tokens: int) -> bool:
    in_order = all(one < other for one, other in pairwise(places))
    return in_order and places[0] >= 0 and places[-1] < n_tokens


def _damaged(path: Path, number: int, problem: str) -> ValueError:
    return ValueError(f"{path} is damaged in line {number + 1}: {problem}.")


def _edges(counts: Iterable[int]) -> NDArray[np.int64]:
    return np.cumsum([0, *counts], dtype=np.int64)[:-1]


def _held(memory: OrderedDict[_Key, _Value], key: _Key, most: int, make: Any) -> _Value:
    """Return what is held in memory under a key; it is made if it is not there, and the oldest is forgotten."""
    if key not in memory:
        memory[key] = make()
        if len(memory) > most:
            memory.popitem(last=False)
    memory.move_to_end(key)
    return memory[key]
