"""Rows that are kept of each latent, from sparse codes: the strongest, the weakest, and a random sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from rhohat.common.arrays import FloatArray

__all__ = ["SparseRows", "SparseSampledRows", "SparseTopRows", "SparseWeakestRows"]


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

    Attributes
    ----------
    rows : array of int, of shape (n_latents, n_kept)
        Row numbers, in descending order of the score; among equal scores, the earlier row comes first. Entries are −1
        if there were fewer rows.
    activations : array of shape (n_latents, n_kept), float64
        Activations of these rows; 0 if there were fewer rows.
    texts : array of int, of shape (n_latents, n_kept)
        Numbers of the texts of these rows, or the row numbers if rows have no texts; −1 if there were fewer rows.
    """

    def __init__(self, n_latents: int, n_kept: int, threshold: float = 0.0) -> None:
        self.threshold = threshold
        self.rows: NDArray[np.intp] = np.full((n_latents, n_kept), -1)
        self.texts: NDArray[np.intp] = np.full((n_latents, n_kept), -1)
        self.activations: FloatArray = np.zeros((n_latents, n_kept))
        self._scores: FloatArray = np.full((n_latents, n_kept), -np.inf)

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
        is_new = (scores > self._scores[latents, -1]) & (values > self.threshold)
        of_texts = rows if texts is None else texts[places]
        found = [array[is_new] for array in (latents, values, rows, of_texts, scores)]
        changed = np.unique(found[0])
        there = self.rows[changed] >= 0
        kept = [array[changed][there] for array in (self.activations, self.rows, self.texts, self._scores)]
        kept.insert(0, np.repeat(changed, np.count_nonzero(there, axis=1)))
        both = [np.concatenate(pair) for pair in zip(kept, found, strict=True)]
        self._store(*(both if texts is None else _one_of_each_text(*both)))

    def _store(
        self,
        latents: NDArray[np.intp],
        values: FloatArray,
        rows: NDArray[np.intp],
        texts: NDArray[np.intp],
        scores: FloatArray,
    ) -> None:
        """Keep those entries that have the largest scores of their latent."""
        order = np.lexsort([rows, -scores, latents])
        latents = latents[order]
        rank = np.arange(len(latents)) - np.searchsorted(latents, latents)
        best = rank < self.rows.shape[1]
        latents, rank, order = latents[best], rank[best], order[best]
        for kept, new in (
            (self.rows, rows),
            (self.texts, texts),
            (self.activations, values),
            (self._scores, scores),
        ):
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


def _one_of_each_text(
    latents: NDArray[np.intp],
    values: FloatArray,
    rows: NDArray[np.intp],
    texts: NDArray[np.intp],
    scores: FloatArray,
) -> list[NDArray[Any]]:
    """Return the entries with the largest score among those of the same latent and text."""
    order = np.lexsort([rows, -scores, texts, latents])
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (np.diff(latents[order]) != 0) | (np.diff(texts[order]) != 0)
    best = order[is_first]
    return [array[best] for array in (latents, values, rows, texts, scores)]


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
