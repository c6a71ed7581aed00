"""Contexts as data of a page: the tokens around the rows that are shown, each once, and activations on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.inspection.reporting.dictionaries.contexts import Contexts
from rhohat.inspection.reporting.dictionaries.windows import N_AFTER, N_BEFORE, Windows
from rhohat.inspection.reporting.page_data import Column, PageData

__all__ = ["SHARES", "Passages", "columns_of_windows", "passages_of", "size_of_windows"]

SHARES = 65535  # parts of a latent's largest activation, in which its other activations are given
_LONGEST = 600  # characters of a token that are shown
_AROUND = 500  # characters on the page around the columns of windows
_BEGINS, _ENDS = 1, 2  # a passage begins or ends where its text does


@dataclass(frozen=True)
class Passages:
    """Parts of texts, which contain the contexts of all rows that a page shows.

    Attributes
    ----------
    record : dict
        Distinct tokens, distinct names of texts, and the size of a context.
    columns : dict of str to Column
        Tokens of all passages, one after another, by number; whether they have rows; where each passage starts, which
        text it is of, and the position of its first token; the rows, ascending, with the place of their tokens.
    """

    record: dict[str, Any]
    columns: dict[str, Column]

    @property
    def size(self) -> int:
        """Number of characters on the page."""
        return PageData(self.record, self.columns).size


def passages_of(
    rows: NDArray[np.intp], contexts: Contexts, measured: NDArray[np.intp], found: NDArray[np.intp] | None
) -> Passages:
    """Return the passages that contain the contexts of rows.

    Parameters
    ----------
    rows : array of int, of shape (n_rows,)
        Numbers of the rows that are shown, ascending.
    contexts : Contexts
        The texts of all rows.
    measured : array of int
        Numbers of the rows that were measured, ascending. Other tokens have no activations.
    found : array of int, or None
        Number of each row in the data before some rows were left out; None if none were.
    """
    texts, positions = contexts.locate(rows)
    order = np.lexsort([positions, texts])
    vocabulary: dict[str, int] = {}
    names: dict[str, int] = {}
    tokens: list[int] = []
    starts, firsts, of_names, edges = [], [], [], []
    places = np.zeros(len(rows), np.uint32)
    known = (-1, 0)  # the text of the last passage, and the position at which it ends
    words: list[str] = []
    for one in order:
        text, position = int(texts[one]), int(positions[one])
        if text != known[0]:
            words = [_shortened(token) for token in contexts.tokens(text)]
        start, stop = max(0, position - N_BEFORE), min(len(words), position + N_AFTER + 1)
        if (text, start) > known:
            starts.append(len(tokens))
            firsts.append(start)
            of_names.append(names.setdefault(contexts.name(text), len(names)))
            edges.append(_BEGINS if start == 0 else 0)
            known = (text, start)
        tokens += [vocabulary.setdefault(word, len(vocabulary)) for word in words[known[1] : stop]]
        edges[-1] |= _ENDS if stop == len(words) else 0
        places[one] = starts[-1] + position - firsts[-1]
        known = (text, max(stop, known[1]))
    columns = {
        "tokens": Column.of(np.array(tokens, np.uint16 if len(vocabulary) <= 2**16 else np.uint32)),
        "passages": Column.of(np.array([*starts, len(tokens)], np.uint32)),
        "passageFirst": Column.of(np.array(firsts, np.uint32)),
        "passageName": Column.of(np.array(of_names, np.uint32)),
        "passageEdges": Column.of(np.array(edges, np.uint8)),
        "contextRows": Column.of((rows if found is None else found[rows]).astype(np.uint32)),
        "contextPlaces": Column.of(places),
    }
    with_row = _with_row(rows, places, len(tokens), contexts, measured)
    if not with_row.all():
        columns["withRow"] = Column.of(with_row.astype(np.uint8))
    record = {"vocabulary": list(vocabulary), "names": list(names), "before": N_BEFORE, "after": N_AFTER}
    return Passages(record, columns)


def _with_row(
    rows: NDArray[np.intp],
    places: NDArray[np.uint32],
    n_tokens: int,
    contexts: Contexts,
    measured: NDArray[np.intp],
) -> NDArray[np.bool_]:
    """Return which tokens of the passages have a row that was measured: rows near those that are shown have them."""
    found = np.zeros(n_tokens, np.bool_)
    texts, positions = contexts.locate(rows)
    for distance in range(-N_BEFORE, N_AFTER + 1):
        others = rows + distance
        there = (others >= 0) & (others < contexts.n_rows)
        at = np.minimum(np.searchsorted(measured, others), len(measured) - 1)
        there &= measured[at] == others
        of_texts, their_positions = contexts.locate(np.where(there, others, 0))
        steps = their_positions - positions
        there &= (of_texts == texts) & (steps >= -N_BEFORE) & (steps <= N_AFTER)
        found[(places + steps)[there]] = True
    return found


def columns_of_windows(windows: Windows, keep: NDArray[np.bool_], largest: FloatArray) -> dict[str, Column]:
    """Return the columns with the activations in the contexts of latents.

    Parameters
    ----------
    windows : Windows
        Activations around rows of each latent.
    keep : array of bool, of shape (n_latents, n_rows)
        Which of these rows are shown with a context.
    largest : array of shape (n_latents,)
        Largest activation of each latent, of which activations are shares.
    """
    counts = windows.counts.ravel()
    kept = np.repeat(keep.ravel(), counts)
    latents = np.repeat(np.repeat(np.arange(len(keep)), keep.shape[1]), counts)[kept]
    shares = windows.activations[kept] / np.maximum(largest, np.finfo(np.float64).tiny)[latents]
    return {
        "contextCounts": Column.of(np.where(keep, windows.counts, 0).astype(np.uint8)),
        "contextOffsets": Column.of(windows.offsets[kept].astype(np.int8)),
        "contextShares": Column.of(np.rint(SHARES * shares.clip(0, 1)).astype(np.uint16)),
    }


def size_of_windows(windows: Windows, keep: NDArray[np.bool_]) -> int:
    """Return the number of characters that `columns_of_windows` will take, nearly."""
    n_entries = int(windows.counts[keep].sum())
    return 4 * (keep.size + 3 * n_entries) // 3 + _AROUND


def _shortened(token: str) -> str:
    return token if len(token) <= _LONGEST else token[: _LONGEST - 1] + "…"
