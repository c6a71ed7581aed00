"""Rows that show the whole range of a latent's activations, not only the largest: some of each quarter, the weakest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.inspection.kept_rows import SparseRows

__all__ = ["N_BANDS", "N_SAMPLED", "N_WEAKEST", "PER_BAND", "Spread"]

N_SAMPLED = 32  # rows of each latent among which those of the quarters are chosen
N_BANDS, PER_BAND, N_WEAKEST = 4, 2, 2


@dataclass(frozen=True)
class Spread:
    """Rows over the range of the activations of each latent.

    Attributes
    ----------
    rows : array of int, of shape (n_latents, N_BANDS * PER_BAND + N_WEAKEST)
        Row numbers: first those of the strongest quarter, then those of the next ones, at last the weakest. −1 where
        there are fewer rows.
    activations : array of shape (n_latents, N_BANDS * PER_BAND + N_WEAKEST)
        Activations of these rows; 0 where there are fewer rows.
    """

    rows: NDArray[np.intp]
    activations: FloatArray

    @classmethod
    def of(cls, top: SparseRows, sampled: SparseRows, weakest: SparseRows) -> Spread:
        """Return rows of a sample, quarter by quarter of its activations, and the weakest rows.

        Texts that are among the top rows, which are shown as well, are left out, and so are those of the weakest rows
        from the sample. The quarters are those of the rows that remain of the sample.
        """
        rows_of_weakest = np.where(_are_among(weakest.texts, top.texts), -1, weakest.rows)
        texts = np.concatenate([top.texts, np.where(rows_of_weakest >= 0, weakest.texts, -1)], axis=1)
        left = (sampled.rows >= 0) & ~_are_among(sampled.texts, texts)
        order = np.argsort(np.where(left, -sampled.activations, np.inf), axis=1, kind="stable")
        picked = _ranks(left.sum(axis=1))
        places = np.take_along_axis(order, np.maximum(picked, 0), axis=1)
        rows = np.where(picked >= 0, np.take_along_axis(sampled.rows, places, axis=1), -1)
        activations = np.where(rows >= 0, np.take_along_axis(sampled.activations, places, axis=1), 0)
        weak = np.where(rows_of_weakest >= 0, weakest.activations, 0)
        return cls(np.concatenate([rows, rows_of_weakest], axis=1), np.concatenate([activations, weak], axis=1))


def _are_among(texts: NDArray[np.intp], others: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which texts of each latent are among other texts of the same latent."""
    found = np.zeros(texts.shape, np.bool_)
    for place in range(others.shape[1]):
        found |= texts == others[:, place : place + 1]
    return found


def _ranks(counts: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return, for each latent, the ranks of the rows that stand for the quarters of so many rows; −1 for none.

    With eight rows or more, the two rows of a quarter are at its first and its third fourth. Of fewer rows, each is
    taken, in the place of its quarter.
    """
    n_places = N_BANDS * PER_BAND
    ranks = counts[:, np.newaxis] * (2 * np.arange(n_places) + 1) // (2 * n_places)
    for n_rows in range(n_places):
        few, taken = np.full(n_places, -1), np.zeros(N_BANDS, np.intp)
        for rank in range(n_rows):
            band = rank * N_BANDS // n_rows
            few[band * PER_BAND + taken[band]] = rank
            taken[band] += 1
        ranks[counts == n_rows] = few
    return ranks
