"""The primitives that dictionaries are made of: sparse codes found, decoded and differentiated, with NumPy and SciPy.

A code holds few numbers in each row, so that it is kept as a matrix in compressed sparse row format. Matrices of
weights have a row for each latent, so that everything that belongs to a latent lies together.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rhohat.common.arrays import FloatArray
from rhohat.ops.code_numbers import CodeNumbers
from rhohat.ops.codes import ByLatent, Codes, joined, largest_of_rows

__all__ = ["ByLatent", "CodeOps", "Codes", "joined", "largest_of_rows"]

_ROWS = 128  # rows whose pre-activations are held at a time
_ENTRIES = 2048  # entries of a code whose weights are copied at a time


class CodeOps(CodeNumbers):
    """Primitives of sparse codes, computed by NumPy and SciPy; these are the reference."""

    name = "numpy"

    #: Whether a good guess of a floor makes `largest` faster.
    makes_use_of_floor = True

    #: Whether `largest` returns k entries of every row, with 0 in place of those that are not positive.
    pads_with_zeros = False

    def row_parts(self, n_rows: int, n_workers: int) -> list[slice]:
        """Return how rows are shared among threads; for these primitives, the parts depend on their number alone."""
        return [slice(start, min(start + _ROWS, n_rows)) for start in range(0, n_rows, _ROWS)]

    def rows_at_once(self, n_rows: int, n_numbers: int) -> int:
        """Return how many rows with so many numbers are computed at a time; `n_rows`, unless a device has more room."""
        return n_rows

    def collect(self, X: FloatArray, W: FloatArray, bias: FloatArray, thresholds: FloatArray) -> Codes:
        """Return the numbers of X Wᵀ + bias that exceed the threshold of their latent.

        Parameters
        ----------
        X : array of shape (n_rows, n_features)
        W : array of shape (n_latents, n_features)
            Encoder.
        bias, thresholds : arrays of shape (n_latents,)
        """
        return joined([_entries(a, a > thresholds) for a in self._pre_activations(X, W, bias)])

    def largest(self, X: FloatArray, W: FloatArray, bias: FloatArray, k: int, floor: float = 0.0) -> Codes:
        """Return, for each row, the k largest numbers of X Wᵀ + bias as far as they are positive.

        Of equal numbers, those of lower latents are taken. NaN is not positive, and takes the place of no other number.

        Parameters
        ----------
        X : array of shape (n_rows, n_features)
        W : array of shape (n_latents, n_features)
            Encoder.
        bias : array of shape (n_latents,)
        k : int
        floor : float, default=0
            A guess, not negative, of a number that few of the k largest numbers of a row are below. It has no effect on
            the result, but a good guess makes it faster.
        """
        parts = []
        for a in self._pre_activations(X, W, bias):
            positive = np.where(a > 0, a, 0)  # NaN would be sorted as the largest number of its row
            parts.append(_entries(a, (a > 0) & largest_of_rows(positive, k)))
        return joined(parts)

    def residuals(
        self,
        codes: Codes,
        rows: slice,
        W: FloatArray,
        bias: FloatArray,
        targets: FloatArray,
        ends: NDArray[np.int64],
        scale: float,
        out: FloatArray,
        errors: NDArray[np.float64],
        derivatives: FloatArray,
    ) -> None:
        """Decode some rows of codes, subtract the targets, and differentiate half of the squared error by the codes.

        With several prefixes of the dictionary, each of which decodes the codes alone, the errors are averaged.

        Parameters
        ----------
        codes : Codes
            Codes of all rows.
        rows : slice
            Successive rows, which are decoded; nothing is written for others.
        W : array of shape (n_latents, n_features)
            Decoder.
        bias : array of shape (n_features,)
        targets : array of shape (n_rows, n_features)
        ends : array of shape (n_prefixes,)
            Number of latents in each prefix, rising to n_latents.
        scale : float
            Factor of `out` and of the derivatives, such as 1 / number of rows.
        out : array of shape (n_prefixes, n_rows, n_features)
            Overwritten: for each prefix, the sum over it and the longer ones of scale / n_prefixes (x̂ − x), which is
            the derivative by the multiples of decoder rows that this prefix has and the one before has not.
        errors : array of shape (n_rows,)
            Overwritten with half of the squared error of each row, averaged over the prefixes.
        derivatives : array of shape (n_entries,)
            Overwritten with the derivatives by the entries of the codes.
        """
        some, residual, n_prefixes = codes.of_rows(rows), out[:, rows], len(ends)
        prefix_of = np.searchsorted(ends, some.latents, side="right")
        made = np.repeat(bias[None], some.n_rows, axis=0)
        errors[rows] = 0
        for prefix in range(n_prefixes):
            made += some.where(prefix_of == prefix).as_matrix(len(W)) @ W
            np.subtract(made, targets[rows], out=residual[prefix])
            errors[rows] += np.einsum("ij,ij->i", residual[prefix], residual[prefix])
        errors[rows] *= 0.5 / n_prefixes
        residual *= W.dtype.type(scale / n_prefixes)
        for prefix in range(n_prefixes - 2, -1, -1):
            residual[prefix] += residual[prefix + 1]
        row_of, first = some.rows, int(codes.starts[rows.start])
        for start in range(0, len(row_of), _ENTRIES):
            part = slice(start, min(start + _ENTRIES, len(row_of)))
            there = derivatives[first + part.start : first + part.stop]
            np.einsum("ij,ij->i", residual[prefix_of[part], row_of[part]], W[some.latents[part]], out=there)

    def by_latent(self, codes: Codes, n_latents: int) -> ByLatent:
        """Return the entries of codes sorted by latent, and then by row."""
        entries = np.argsort(codes.latents, kind="stable").astype(np.int32)
        starts = np.searchsorted(codes.latents[entries], np.arange(n_latents + 1))
        return ByLatent(starts, codes.rows[entries].astype(np.int32), entries)

    def gather(
        self, by_latent: ByLatent, latents: slice, factors: FloatArray, vectors: FloatArray, out: FloatArray
    ) -> None:
        """Write, for each of some latents, the sum of multiples of the vectors of the rows that it is active in.

        Parameters
        ----------
        by_latent : ByLatent
        latents : slice
            Successive latents.
        factors : array of shape (n_entries,)
            Factor of each entry of the codes, in their order.
        vectors : array of shape (n_rows, n_features)
            Vector of each row.
        out : array of shape (number of these latents, n_features)
            Overwritten.
        """
        starts = by_latent.starts[latents.start : latents.stop + 1]
        entries = slice(int(starts[0]), int(starts[-1]))
        matrix = sparse.csr_array(
            (factors[by_latent.entries[entries]], by_latent.rows[entries], starts - starts[0]),
            shape=(len(starts) - 1, len(vectors)),
        )
        out[:] = matrix @ vectors

    def decode(self, codes: Codes, W: FloatArray) -> FloatArray:
        """Return the product of codes and a matrix of shape (n_latents, n_features)."""
        made: FloatArray = codes.as_matrix(len(W)) @ W
        return made

    def project_off_rows(self, gradient: FloatArray, W: FloatArray) -> None:
        """Subtract from each row of a gradient its part along the row of W, which has norm 1, in place."""
        gradient -= np.einsum("ij,ij->i", gradient, W)[:, None] * W

    def normalise_rows(self, W: FloatArray) -> None:
        """Divide each row of W by its norm, in place; a row of zeros stays."""
        norms = np.sqrt(np.einsum("ij,ij->i", W, W))
        W /= np.where(norms > 0, norms, 1)[:, None]

    def _pre_activations(self, X: FloatArray, W: FloatArray, bias: FloatArray) -> Iterator[FloatArray]:
        """Yield X Wᵀ + bias for some rows at a time."""
        for rows in self.row_parts(len(X), 1):
            yield X[rows] @ W.T + bias


def _entries(a: FloatArray, chosen: NDArray[np.bool_]) -> Codes:
    """Return the chosen numbers of a matrix as codes."""
    starts = np.concatenate([[0], np.cumsum(chosen.sum(1))])
    return Codes(starts, np.nonzero(chosen)[1].astype(np.int32), a[chosen])
