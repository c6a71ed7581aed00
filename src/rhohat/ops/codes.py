"""Sparse codes of rows, which hold few numbers in each row, in compressed sparse row format."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rhohat.common.arrays import FloatArray

__all__ = ["ByLatent", "Codes", "joined", "largest_of_rows"]


class Codes(NamedTuple):
    """Sparse codes of some rows, sorted by row and then by latent.

    Attributes
    ----------
    starts : array of shape (n_rows + 1,)
        Where each row begins in the other arrays, and then the number of entries.
    latents : array of shape (n_entries,)
        Number of the latent of each entry.
    values : array of shape (n_entries,)
        Value of each entry.
    """

    starts: NDArray[np.int64]
    latents: NDArray[np.int32]
    values: FloatArray

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.starts) - 1

    @property
    def rows(self) -> NDArray[np.intp]:
        """Number of the row of each entry, of shape (n_entries,)."""
        return np.repeat(np.arange(self.n_rows), np.diff(self.starts))

    def of_rows(self, rows: slice) -> Codes:
        """Return the codes of successive rows, as views of these arrays where that is possible."""
        starts = self.starts[rows.start : rows.stop + 1]
        entries = slice(int(starts[0]), int(starts[-1]))
        return Codes(starts - starts[0], self.latents[entries], self.values[entries])

    def where(self, chosen: NDArray[np.bool_]) -> Codes:
        """Return codes with the chosen entries only; `chosen` has the shape (n_entries,)."""
        before = np.concatenate([[0], np.cumsum(chosen)])
        return Codes(before[self.starts], self.latents[chosen], self.values[chosen])

    def as_matrix(self, n_latents: int) -> sparse.csr_array:
        """Return the codes as a sparse matrix of shape (n_rows, n_latents)."""
        return sparse.csr_array((self.values, self.latents, self.starts), shape=(self.n_rows, n_latents))


class ByLatent(NamedTuple):
    """The entries of codes sorted by latent, and then by row.

    Attributes
    ----------
    starts : array of shape (n_latents + 1,)
        Where each latent begins in the other arrays, and then the number of entries.
    rows : array of shape (n_entries,)
        Number of the row of each entry.
    entries : array of shape (n_entries,)
        Place of each entry in the codes.
    """

    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    entries: NDArray[np.int32]


def joined(parts: list[Codes]) -> Codes:
    """Return the codes of successive parts of the rows as one."""
    if len(parts) == 1:
        return parts[0]
    counts = np.concatenate([np.diff(part.starts) for part in parts])
    starts = np.concatenate([[0], np.cumsum(counts)])
    return Codes(
        starts, np.concatenate([part.latents for part in parts]), np.concatenate([part.values for part in parts])
    )


def largest_of_rows(a: FloatArray, k: int) -> NDArray[np.bool_]:
    """Return which numbers are among the k largest of their row; of equal ones, the first are."""
    if k >= a.shape[1]:
        return np.ones(a.shape, bool)
    least = np.partition(a, a.shape[1] - k, axis=1)[:, a.shape[1] - k, None]
    chosen = a > least
    n_equal = k - chosen.sum(1, keepdims=True)
    equal = a == least
    chosen |= equal & (np.cumsum(equal, axis=1) <= n_equal)
    return chosen
