"""Selections of the largest pre-activations: of each row, or of a batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.dictionaries.parameters import Parameters
from rhohat.dictionaries.selections.base import PullBack, Selection, Sums, equal_thresholds
from rhohat.ops import ops_of
from rhohat.ops.code_ops import CodeOps, Codes

__all__ = ["BatchTopK", "Matryoshka", "TopK"]

_FEWEST_AT_ONCE = 64  # rows on which a first guess is made


@dataclass(frozen=True)
class TopK(Selection):
    """The k largest pre-activations of each row, as far as they are positive.

    References
    ----------
    Gao, L. et al. (2024). Scaling and evaluating sparse autoencoders. arXiv 2406.04093.
    """

    k: int
    compares_latents: ClassVar[bool] = True

    def find(self, ops: CodeOps, X: FloatArray, parameters: Parameters, floor: Any) -> Codes:
        """Return the k largest pre-activations of each row that are positive."""
        return ops.largest(X, parameters.encoder, parameters.encoder_bias, self.k, floor)

    def choose(self, ops: CodeOps, codes: Codes, floor: Any) -> Codes:
        """Return the k largest entries of each row, of which there are more if parts of the latents had k each."""
        return codes if len(codes.values) <= self.k * codes.n_rows else ops.largest_of_each(codes, self.k)

    def first_floor(self, ops: CodeOps, X: FloatArray, parameters: Parameters) -> Any:
        """Return a guess made on some of the rows."""
        return self.next_floor(ops, self.find(ops, _some(X), parameters, 0.0)) if ops.makes_use_of_floor else 0.0

    def next_floor(self, ops: CodeOps, codes: Codes) -> Any:
        """Return a number that the k-th largest pre-activation exceeds in nearly all rows."""
        if not ops.makes_use_of_floor:
            return 0.0
        counts = np.diff(codes.starts)
        if len(codes.values) == 0 or (counts < self.k).mean() > 0.01:
            return 0.0
        smallest = np.minimum.reduceat(codes.values, codes.starts[:-1][counts > 0])
        return 0.98 * float(np.quantile(smallest, 0.01))

    def pull_back(
        self,
        codes: Codes,
        activations: FloatArray,
        derivatives: FloatArray,
        parameters: Parameters,
        weight: Any,
        sums: Sums,
        of_gate: FloatArray | None = None,
    ) -> PullBack:
        """See `Selection.pull_back`."""
        if sums.ops.pads_with_zeros:  # what stands in place of an entry has no effect
            derivatives = ops_of(derivatives).xp.where(codes.values > 0, derivatives, 0)
        return PullBack(derivatives)

    def encode(self, ops: CodeOps, X: FloatArray, parameters: Parameters, threshold: float | None) -> Codes:
        """See `Selection.encode`."""
        return self.find(ops, X, parameters, self.first_floor(ops, X, parameters))


@dataclass(frozen=True)
class BatchTopK(Selection):
    """The k m largest pre-activations of a batch of m rows, at least one, as far as they are positive.

    After training, the codes are those above a threshold, which is an average over batches.

    References
    ----------
    Bussmann, B., Leask, P. and Nanda, N. (2024). BatchTopK sparse autoencoders. arXiv 2412.06410.
    """

    k: float
    compares_latents: ClassVar[bool] = True

    def find(self, ops: CodeOps, X: FloatArray, parameters: Parameters, floor: Any) -> Codes:
        """Return all pre-activations above the floor."""
        return ops.collect(X, parameters.encoder, parameters.encoder_bias, equal_thresholds(parameters, floor))

    def choose(self, ops: CodeOps, codes: Codes, floor: Any) -> Codes | None:
        """Return the largest entries of the batch, the first of equal ones; None if the floor left too few."""
        n_kept = max(1, round(self.k * codes.n_rows))
        if len(codes.values) <= n_kept:
            return codes if floor == 0 or len(codes.values) == n_kept else None
        return ops.largest_of_all(codes, n_kept)

    def first_floor(self, ops: CodeOps, X: FloatArray, parameters: Parameters) -> Any:
        """Return a floor, estimated from some rows, that 1.5 times as many pre-activations exceed as will be kept."""
        some = _some(X)
        found = self.find(ops, some, parameters, 0.0).values
        n_kept = max(1, round(1.5 * self.k * len(some)))
        return ops.nth_largest(found, n_kept) if len(found) > n_kept else 0.0

    def next_floor(self, ops: CodeOps, codes: Codes) -> Any:
        """Return a number somewhat below the smallest activation that was kept."""
        return 0.92 * ops.number(codes.values.min()) if len(codes.values) else 0.0

    def smallest_kept(self, ops: CodeOps, codes: Codes) -> Any:
        """Return the smallest activation that was kept, or None if none was."""
        return ops.number(codes.values.min()) if len(codes.values) else None

    def pull_back(
        self,
        codes: Codes,
        activations: FloatArray,
        derivatives: FloatArray,
        parameters: Parameters,
        weight: Any,
        sums: Sums,
        of_gate: FloatArray | None = None,
    ) -> PullBack:
        """See `Selection.pull_back`."""
        return PullBack(derivatives)

    def encode(self, ops: CodeOps, X: FloatArray, parameters: Parameters, threshold: float | None) -> Codes:
        """See `Selection.encode`."""
        return self.find(ops, X, parameters, 0.0 if threshold is None else threshold)


@dataclass(frozen=True)
class Matryoshka(BatchTopK):
    """BatchTopK over a dictionary whose prefixes reconstruct the rows, too; the errors are averaged over prefixes.

    References
    ----------
    Bussmann, B., Nabeshima, N., Karvonen, A. and Nanda, N. (2025). Learning multi-level features with Matryoshka sparse
    autoencoders. arXiv 2503.17547.
    """

    sizes: tuple[int, ...]

    def __str__(self) -> str:
        """Return the settings by the names that estimators have for them."""
        return f"Matryoshka(k={self.k}, prefixes={self.sizes})"

    def prefixes(self, n_latents: int) -> NDArray[np.int64]:
        """Return the numbers of latents in the prefixes."""
        return np.array(self.sizes)

    def of_slice(self, latents: slice) -> Matryoshka:
        """Return the selection for successive latents, of which a prefix may have none."""
        sizes = [min(max(size, latents.start), latents.stop) - latents.start for size in self.sizes]
        return replace(self, sizes=tuple(sizes))


def _some(X: FloatArray) -> FloatArray:
    """Return some of the rows, evenly spaced."""
    some = X[:: max(1, len(X) // _FEWEST_AT_ONCE)]
    return ops_of(X).copy(some)
