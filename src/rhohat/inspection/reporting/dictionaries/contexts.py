"""Contexts: the texts that rows come from, token by token, so that a reader sees what a latent is active on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rhohat.common.words import counted
from rhohat.data import RowSource
from rhohat.data.harvested import HarvestIndex
from rhohat.data.rows.harvests import harvest_of
from rhohat.data.rows.kinds import path_and_key
from rhohat.models.pipelines import estimator_of

__all__ = ["Contexts", "IndexedTexts", "TextsOfRows", "TokensOfRows", "open_contexts", "texts_of_harvest"]


class Contexts(Protocol):
    """The texts that rows come from.

    Each row belongs to a token of a text, and a text may have tokens without a row. The rows of a text follow one
    another, in the order of its tokens.

    Attributes
    ----------
    n_rows : int
        Number of rows.
    """

    n_rows: int

    def locate(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return, for each of some rows, the number of its text and the position of its token in the text, from 0."""
        ...

    def tokens(self, text: int) -> Sequence[str]:
        """Return the tokens of a text, which make up the text if they are joined."""
        ...

    def name(self, text: int) -> str:
        """Return where a text comes from; an empty string if that is not known."""
        ...


class TextsOfRows:
    """Contexts of rows each of which stands for a whole text. Rows with equal texts share it.

    Parameters
    ----------
    texts : sequence of str
        The text of each row.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.n_rows = len(texts)
        numbers: dict[str, int] = {}
        self._numbers = np.array([numbers.setdefault(text, len(numbers)) for text in texts], np.intp)
        self._texts = list(numbers)

    def locate(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the numbers of the texts of rows, and 0 for each row: a text is its only token."""
        return self._numbers[rows], np.zeros(len(rows), np.intp)

    def tokens(self, text: int) -> Sequence[str]:
        """Return a text as its only token."""
        return [self._texts[text]]

    def name(self, text: int) -> str:
        """Return an empty string: it is not known where the text comes from."""
        return ""


class TokensOfRows:
    """Contexts of rows that stand for the tokens of texts, one for each token.

    Parameters
    ----------
    texts : sequence of sequences of str
        The tokens of each text, in the order of the rows. If no token of a text begins or ends with white space, the
        tokens of this text are taken for words, and are separated by spaces.
    """

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        self._texts = texts
        self._starts = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.intp)
        self.n_rows = int(self._starts[-1])

    def locate(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the numbers of the texts of rows, and the positions of their tokens."""
        texts = np.searchsorted(self._starts, rows, side="right") - 1
        return texts, rows - self._starts[texts]

    def tokens(self, text: int) -> Sequence[str]:
        """Return the tokens of a text."""
        tokens = self._texts[text]
        if any(token[:1].isspace() or token[-1:].isspace() for token in tokens):
            return tokens
        return [f" {token}" if place else token for place, token in enumerate(tokens)]

    def name(self, text: int) -> str:
        """Return an empty string: it is not known where the text comes from."""
        return ""


class IndexedTexts:
    """Contexts of rows that were harvested from a model, by their index.

    Parameters
    ----------
    index : HarvestIndex
        The index of a harvest, or an object with the same methods. Rows whose position is -1 stand for a whole text.
    """

    def __init__(self, index: Any) -> None:
        self.n_rows = int(index.n_rows)
        self._index = index

    def locate(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the numbers of the texts of rows, and the positions of their tokens; 0 for rows of whole texts."""
        return self._index.texts(rows), np.maximum(self._index.positions(rows), 0)

    def tokens(self, text: int) -> Sequence[str]:
        """Return the tokens of a text, or the whole text as its only token if its row stands for all of it."""
        found = self._index.text(text)
        is_whole = min(found.positions, default=0) < 0
        return ["".join(found.tokens)] if is_whole else found.tokens

    def name(self, text: int) -> str:
        """Return where a text comes from, such as the name of its file."""
        return str(self._index.text(text).name)


class KeptContexts:
    """Contexts of those rows that were kept, when other rows had been left out.

    Parameters
    ----------
    contexts : Contexts
        Contexts of all rows that were found.
    kept : array of int, of shape (n_rows,)
        Numbers of the rows that were kept among the rows that were found.
    """

    def __init__(self, contexts: Contexts, kept: NDArray[np.intp]) -> None:
        self.n_rows = len(kept)
        self._contexts, self._kept = contexts, kept
        self.tokens, self.name = contexts.tokens, contexts.name

    def locate(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the numbers of the texts of rows, and the positions of their tokens."""
        return self._contexts.locate(self._kept[rows])


def open_contexts(texts: Any, source: RowSource) -> Contexts:
    """Return the contexts of the rows of a source.

    Parameters
    ----------
    texts : sequence of str, sequence of sequences of str, HarvestIndex or Contexts
        One text for each row; the tokens of texts, one row for each token; or an object that knows the texts.
    source : RowSource
        The rows.

    Raises
    ------
    ValueError
        If `texts` is none of these, or the number of its rows is not that of the source.
    """
    if _has(texts, "locate", "tokens", "name"):
        contexts: Contexts = texts
    else:
        contexts = IndexedTexts(texts) if _has(texts, "texts", "positions", "text") else _from_sequence(texts)
    found = contexts.n_rows
    if found == source.n_rows_found and source.kept is not None:
        contexts = KeptContexts(contexts, source.kept)
    elif found != len(source):
        counts = "one text for each row, or the tokens of texts with one row for each token"
        raise ValueError(
            f"texts must be about the {counted(len(source), 'row')} of {source.name}, but are about {found:,}; pass"
            f" {counts}."
        )
    return contexts


def texts_of_harvest(model: Any, data: Any) -> HarvestIndex | None:
    """Return the index of the harvest in whose folder rows are, for a dictionary; None for other rows and models."""
    if not isinstance(data, str | PathLike) or not estimator_of(model).has_sparse_codes:
        return None
    harvest = harvest_of(path_and_key(os.fspath(data))[0])
    return None if harvest is None else HarvestIndex(harvest[0])


def _has(thing: Any, *names: str) -> bool:
    return all(callable(getattr(thing, name, None)) for name in names)


def _from_sequence(texts: Any) -> Contexts:
    wanted = (
        "texts must be a sequence of strings, one for each row, or a sequence of lists of tokens, which are strings"
    )
    if isinstance(texts, str | bytes) or not hasattr(texts, "__len__") or not hasattr(texts, "__iter__"):
        raise ValueError(f"{wanted}; got {type(texts).__name__}.")
    items = list(texts)
    if all(isinstance(item, str) for item in items):
        return TextsOfRows(items)
    lists = [item if isinstance(item, list | tuple) else None for item in items]
    tokens = [item for item in lists if item is not None and all(isinstance(token, str) for token in item)]
    if len(tokens) != len(items):
        other = next(place for place, item in enumerate(lists) if item is None or item not in tokens)
        raise ValueError(f"{wanted}; item {other} is of another type: {items[other]!r:.80}.")
    return TokensOfRows(tokens)
