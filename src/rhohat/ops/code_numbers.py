"""Numbers that are asked of sparse codes: sums, counts, and the largest of them, with NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.ops.codes import ByLatent, Codes, largest_of_rows

__all__ = ["CodeNumbers"]


class CodeNumbers:
    """Sums and counts of numbers that belong to the entries of codes; these are the reference.

    Each number is a float on the host, and an array without axes on a device, which is not waited for.
    """

    def sums_of_latents(self, codes: Codes, by_latent: ByLatent, numbers: FloatArray) -> FloatArray:
        """Return the sum of numbers that belong to entries, for each latent, in float64.

        Parameters
        ----------
        codes : Codes
        by_latent : ByLatent
            The same entries sorted by latent.
        numbers : array of shape (n_entries,)
            In the order of the codes.
        """
        sums: Any = np.bincount(codes.latents, weights=numbers, minlength=len(by_latent.starts) - 1)
        return np.asarray(sums, np.float64)

    def number(self, value: Any) -> Any:
        """Return a number as a float, or as an array without axes if a device would have to be waited for."""
        return float(value)

    def total(self, numbers: FloatArray) -> Any:
        """Return the sum of numbers, added up in float64, as `number` returns it."""
        return float(numbers.sum(dtype=np.float64))

    def count(self, chosen: NDArray[Any]) -> Any:
        """Return how many of some values are not 0 or false, as `number` returns it."""
        return float(np.count_nonzero(chosen))

    def sum_of_squares(self, numbers: FloatArray) -> Any:
        """Return the sum of the squares of a matrix, added up in float64, as `number` returns it."""
        return float(np.einsum("ij,ij->", numbers, numbers, dtype=np.float64))

    def nth_largest(self, numbers: FloatArray, n: int) -> Any:
        """Return the n-th largest of numbers, counted from 1, as `number` returns it."""
        return float(np.partition(numbers, len(numbers) - n)[len(numbers) - n])

    def largest_of_rows(self, a: FloatArray, k: int) -> Any:
        """Return which numbers of a matrix are among the k largest of their row; of equal ones, the first are."""
        return largest_of_rows(a, k)

    def largest_of_each(self, codes: Codes, k: int) -> Codes:
        """Return the k largest entries of each row, the first of equal ones; rows have equally many, at least k."""
        return codes.where(self.largest_of_rows(codes.values.reshape(codes.n_rows, -1), k).ravel())

    def positive(self, codes: Codes) -> Codes:
        """Return the entries that are positive; a device is waited for."""
        return codes.where(codes.values > 0)

    def largest_of_all(self, codes: Codes, n: int) -> Codes:
        """Return the n largest of all entries, the first of equal ones; there must be more than n of them."""
        least = self.nth_largest(codes.values, n)
        chosen = codes.values > least
        equal = np.flatnonzero(codes.values == least)
        chosen[equal[: n - np.count_nonzero(chosen)]] = True
        return codes.where(chosen)
