"""Rows that are kept of each latent, from sparse codes: the strongest, the weakest, and a random sample."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from rhohat.common.arrays import FloatArray

__all__ = ["SparseRows", "SparseSampledRows", "SparseTopRows", "SparseWeakestRows"]


_MOST_WAITING = 2**18  # entries that wait until they are put among those that are kept


class _Entries(NamedTuple):
    """Entries of codes: their rows, the texts of these, their activations, and their scores."""

    rows: NDArray[np.intp]
    texts: NDArray[np.intp]
    activations: FloatArray
    scores: FloatArray

    def taken(self, which: NDArray[Any]) -> _Entries:
        """Return some of the entries."""
        return _Entries(*(array[which] for array in self))


class SparseRows:
    """Some rows of each latent, those with the largest scores, kept up to date block by block from sparse codes.

    Rows on which a latent is 0 do not count, so that most latents may have fewer rows than are kept.

    Parameters
    ----------
    n_latents : int
        Number of latents.
    n_kept : int
        Number of rows to keep for each latent.
    threshold : float, default=0.0
        Rows whose activation is not above this number do not count.
    """

    def __init__(self, n_latents: int, n_kept: int, threshold: float = 0.0) -> None:
        self.threshold = threshold
        shape = (n_latents, n_kept)
        self._kept = _Entries(np.full(shape, -1), np.full(shape, -1), np.zeros(shape), np.full(shape, -np.inf))
        self._waiting: list[tuple[NDArray[np.intp], _Entries]] = []
        self._one_of_each_text = False

    @property
    def rows(self) -> NDArray[np.intp]:
        """Row numbers, in descending order of the score; −1 if there were fewer rows."""
        return self._settled().rows

    @property
    def texts(self) -> NDArray[np.intp]:
        """Numbers of the texts of these rows; −1 if there were fewer rows."""
        return self._settled().texts

    @property
    def activations(self) -> FloatArray:
        """Activations of these rows; 0 if there were fewer rows."""
        return self._settled().activations

    def _scored(
        self, values: NDArray[np.float64], rows: NDArray[np.intp], latents: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return the scores of entries of the codes."""
        raise NotImplementedError

    def update(self, codes: csr_array, first: int, texts: NDArray[np.intp] | None = None) -> None:
        """Add the codes of successive rows, which must come after the rows seen before.

        Parameters
        ----------
        codes : csr_array of shape (n_rows, n_latents)
            Codes, which are not negative.
        first : int
            Number of the first row of the block.
        texts : array of int, of shape (n_rows,), default=None
            Numbers of the texts that the rows are of. Of a text, only the row with the largest score is kept.
        """
        latents = codes.indices.astype(np.intp)
        places = np.repeat(np.arange(codes.shape[0]), np.diff(codes.indptr))
        values, rows = codes.data.astype(np.float64), first + places
        scores = self._scored(values, rows, latents)
        # After some blocks, few entries have larger scores than the smallest that is kept of their latent.
        is_new = (scores > self._kept.scores[latents, -1]) & (values > self.threshold)
        self._one_of_each_text = texts is not None
        of_texts = rows if texts is None else texts[places]
        self._waiting.append((latents[is_new], _Entries(rows, of_texts, values, scores).taken(is_new)))
        if sum(len(latents) for latents, _ in self._waiting) > _MOST_WAITING:
            self._settled()

    def _settled(self) -> _Entries:
        """Return the entries that are kept, after those that wait have been put among them."""
        if self._waiting:
            latents = np.concatenate([latents for latents, _ in self._waiting])
            changed = np.unique(latents)
            there = self._kept.rows[changed] >= 0
            kept = _Entries(*(array[changed] for array in self._kept)).taken(there)
            latents = np.concatenate([np.repeat(changed, np.count_nonzero(there, axis=1)), latents])
            new = [kept, *(entries for _, entries in self._waiting)]
            entries = _Entries(*(np.concatenate(arrays) for arrays in zip(*new, strict=True)))
            self._waiting = []
            if self._one_of_each_text:
                best = _best_of_each_text(latents, entries)
                latents, entries = latents[best], entries.taken(best)
            self._store(latents, entries)
        return self._kept

    def _store(self, latents: NDArray[np.intp], entries: _Entries) -> None:
        """Keep those entries that have the largest scores of their latent; of equals, the first ones."""
        order = np.lexsort([-entries.scores, latents])
        latents = latents[order]
        rank = np.arange(len(latents)) - np.searchsorted(latents, latents)
        best = rank < self._kept.rows.shape[1]
        latents, rank, order = latents[best], rank[best], order[best]
        for kept, new in zip(self._kept, entries, strict=True):
            kept[latents, rank] = new[order]


class SparseTopRows(SparseRows):
    """The rows that activate each latent most.

    Examples
    --------
    >>> top = SparseTopRows(2, 2)
    >>> top.update(csr_array([[0.1, 0.9], [0.5, 0.0]]), first=0)
    >>> top.update(csr_array([[0.3, 0.0]]), first=2)
    >>> top.rows
    array([[ 1,  2],
           [ 0, -1]])
    """

    def _scored(
        self, values: NDArray[np.float64], rows: NDArray[np.intp], latents: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        return values


class SparseWeakestRows(SparseRows):
    """The rows that activate each latent least, though they activate it.

    Examples
    --------
    >>> weakest = SparseWeakestRows(2, 1)
    >>> weakest.update(csr_array([[0.1, 0.9], [0.5, 0.0]]), first=0)
    >>> weakest.rows
    array([[0],
           [0]])
    """

    def _scored(
        self, values: NDArray[np.float64], rows: NDArray[np.intp], latents: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        return -values


class SparseSampledRows(SparseRows):
    """A random sample of the rows that activate each latent, which depends on nothing but their numbers.

    Examples
    --------
    >>> sampled = SparseSampledRows(1, 2)
    >>> sampled.update(csr_array([[0.1], [0.0], [0.2]]), first=0)
    >>> sorted(sampled.rows[0].tolist())
    [0, 2]
    """

    def _scored(
        self, values: NDArray[np.float64], rows: NDArray[np.intp], latents: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        return _keys(rows, latents)


def _best_of_each_text(latents: NDArray[np.intp], entries: _Entries) -> NDArray[np.intp]:
    """Return the places of the entries with the largest score among those of the same latent and text, ascending."""
    pairs = latents * (entries.texts.max(initial=0) + 1) + entries.texts
    order = np.lexsort([-entries.scores, pairs])
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = np.diff(pairs[order]) != 0
    return np.sort(order[is_first])


def _keys(rows: NDArray[np.intp], latents: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return numbers in [0, 1) that look random, one for each pair of a row and a latent.

    References
    ----------
    Steele, G. L., Lea, D., & Flood, C. H. (2014). Fast splittable pseudorandom number generators. OOPSLA, figure 17.
    """
    bits = rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + latents.astype(np.uint64) * np.uint64(
        0xD1B54A32D192ED03
    )
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    keys: NDArray[np.float64] = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return keys
