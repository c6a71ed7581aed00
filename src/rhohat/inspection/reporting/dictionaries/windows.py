"""Activations of latents on the rows around some of their rows, by the codes of all rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from rhohat.common.arrays import FloatArray
from rhohat.data import RowSource, open_rows
from rhohat.estimators.dictionary_use import UsableDictionary
from rhohat.inspection.reporting.dictionaries.contexts import Contexts
from rhohat.inspection.top_rows import blocks_of_runs

__all__ = ["N_AFTER", "N_BEFORE", "CodesOfRows", "Windows", "windows_of"]

N_BEFORE, N_AFTER = 14, 7  # tokens of a context before and after the one that it is about
_MOST_BYTES = 2**26  # of codes that are kept until they are needed


class CodesOfRows:
    """Codes of rows, block by block: they are kept as long as they are small, else computed again when needed.

    Parameters
    ----------
    dictionary : fitted dictionary
    source : RowSource
        Rows as the dictionary sees them.
    runs : sequence of tuples of two int
        Runs (start, stop) of the rows that are measured.
    """

    def __init__(self, dictionary: UsableDictionary, source: RowSource, runs: Sequence[tuple[int, int]]) -> None:
        self._dictionary, self._source, self._runs = dictionary, source, runs
        self._kept: list[tuple[int, csr_array]] | None = []
        self._n_bytes = 0

    def add(self, first: int, codes: csr_array) -> None:
        """Add the codes of a block of rows, the first of which has the number `first`."""
        codes = csr_array((codes.data, codes.indices.astype(np.int32), codes.indptr.astype(np.int32)), codes.shape)
        self._n_bytes += codes.indices.nbytes + codes.data.nbytes + codes.indptr.nbytes
        if self._n_bytes > _MOST_BYTES:
            self._kept = None
        if self._kept is not None:
            self._kept.append((first, codes))

    def blocks(self, needed: NDArray[np.intp]) -> Iterator[tuple[int, csr_array]]:
        """Yield the first row and the codes of the blocks that hold rows whose numbers, ascending, are needed."""
        if self._kept is not None:
            yield from self._kept
            return
        for start, stop in _runs_of(needed, self._runs):
            for first, rows in blocks_of_runs(self._source, [(start, stop)], n_units=1):
                yield first, self._dictionary.codes(open_rows(rows))


@dataclass(frozen=True)
class Windows:
    """Activations of latents on the tokens around some of their rows, the rows themselves included.

    Attributes
    ----------
    counts : array of int, of shape (n_latents, n_rows)
        Number of tokens around each row on which the latent is not 0.
    offsets : array of int, of shape (sum of the counts,)
        Positions of these tokens, relative to that of the row, which has 0; ascending for each row.
    activations : array of shape (sum of the counts,)
        Activations on these tokens.
    """

    counts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    activations: FloatArray


def windows_of(rows: NDArray[np.intp], contexts: Contexts, codes: CodesOfRows) -> Windows:
    """Return the activations of latents on the tokens around some of their rows.

    Parameters
    ----------
    rows : array of int, of shape (n_latents, n_rows)
        Numbers of rows for each latent; −1 for none.
    contexts : Contexts
        The texts of the rows.
    codes : CodesOfRows
        The codes of all rows.
    """
    n_latents = len(rows)
    shown, number = np.unique(rows[rows >= 0], return_inverse=True)
    if len(shown) == 0:
        return Windows(np.zeros(rows.shape, np.int64), np.zeros(0, np.int64), np.zeros(0))
    starts, stops = _extents(shown, contexts)
    latents = np.repeat(np.arange(n_latents), (rows >= 0).sum(axis=1))
    by_row = np.argsort(number, kind="stable")
    entries, found_rows, values = [], [], []
    firsts = starts[number[by_row]]
    for first, block in codes.blocks(_covered(starts, stops)):
        n_rows = block.shape[0]
        some = slice(
            int(np.searchsorted(firsts, first - N_BEFORE - N_AFTER)), int(np.searchsorted(firsts, first + n_rows))
        )
        chosen = by_row[some]
        low, high = (np.clip(ends[number[chosen]] - first, 0, n_rows) for ends in (starts, stops))
        by_latent = block.tocsc()
        by_latent.sort_indices()
        of_entries = np.repeat(np.arange(n_latents, dtype=np.int64), np.diff(by_latent.indptr))
        keys = of_entries * n_rows + by_latent.indices
        begin, end = (np.searchsorted(keys, latents[chosen] * np.int64(n_rows) + ends) for ends in (low, high))
        lengths = np.maximum(end - begin, 0)
        places = np.repeat(begin - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
        entries.append(np.repeat(chosen, lengths))
        found_rows.append(first + by_latent.indices[places].astype(np.intp))
        values.append(by_latent.data[places])
    entry, found, value = np.concatenate(entries), np.concatenate(found_rows), np.concatenate(values)
    order = np.lexsort([found, entry])
    entry, found, value = entry[order], found[order], value[order]
    counts = np.zeros(rows.shape, np.int64)
    counts[rows >= 0] = np.bincount(entry, minlength=len(number))
    unique, place = np.unique(found, return_inverse=True)
    offsets = contexts.locate(unique)[1][place] - contexts.locate(shown)[1][number[entry]]
    return Windows(counts, offsets, value)


def _extents(rows: NDArray[np.intp], contexts: Contexts) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first row of the window around each row, which is within its text, and the one after its last."""
    texts, positions = contexts.locate(rows)
    starts, stops = rows.copy(), rows + 1
    for step, most, ends in ((-1, N_BEFORE, starts), (1, N_AFTER, stops)):
        for distance in range(1, most + 1):
            others = rows + step * distance
            there = (others >= 0) & (others < contexts.n_rows)
            of_texts, at = contexts.locate(np.where(there, others, 0))
            is_near = there & (of_texts == texts) & (np.abs(at - positions) <= most)
            ends[is_near] += step
    return starts, stops


def _covered(starts: NDArray[np.intp], stops: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the numbers of the rows that windows cover, ascending; windows begin in ascending order."""
    stops = np.maximum.accumulate(stops)
    begins = np.maximum(starts, np.concatenate([[0], stops[:-1]])) if len(starts) else starts
    lengths = np.maximum(stops - begins, 0)
    return np.repeat(begins - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())


def _runs_of(rows: NDArray[np.intp], within: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield runs (start, stop) of rows with the given numbers, within runs; short gaps between rows are included."""
    for start, stop in within:
        some = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]
        if len(some) == 0:
            continue
        gaps = np.flatnonzero(np.diff(some) > 1024)
        begins, ends = np.concatenate([[0], gaps + 1]), np.concatenate([gaps, [len(some) - 1]])
        for begin, end in zip(some[begins], some[ends] + 1, strict=True):
            yield int(begin), int(end)
