"""The primitives of sparse codes that Numba compiles: codes are found while the pre-activations are in the cache."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray, empty_aligned
from rhohat.ops.code_ops import ByLatent, CodeOps, Codes, joined
from rhohat.ops.compiled import codes as kernels
from rhohat.ops.compiled.products import FEWEST_ROWS

__all__ = ["CompiledCodeOps"]

_FIRST_CAPACITY = 64  # entries per row that there is room for at first


class CompiledCodeOps(CodeOps):
    """Primitives of sparse codes, compiled; they agree with `CodeOps` up to rounding.

    Results of a row do not depend on the rows beside it, so that rows may be shared among any number of threads. Each
    thread keeps the memory in which it collects entries.
    """

    name = "compiled"

    def __init__(self) -> None:
        self._of_thread = threading.local()

    def row_parts(self, n_rows: int, n_workers: int) -> list[slice]:
        """Return one part of the rows for each thread, because each copies all weights once."""
        n_parts = max(1, min(n_workers, n_rows // FEWEST_ROWS))
        return [slice(part * n_rows // n_parts, (part + 1) * n_rows // n_parts) for part in range(n_parts)]

    def collect(self, X: FloatArray, W: FloatArray, bias: FloatArray, thresholds: FloatArray) -> Codes:
        """See `CodeOps.collect`."""
        # The machine code computes addresses by itself, and knows one kind of array.
        assert all(array.flags.c_contiguous and array.dtype == X.dtype for array in (X, W, bias, thresholds))
        n_rows = len(X)
        if n_rows < FEWEST_ROWS:
            padded = np.zeros((FEWEST_ROWS, X.shape[1]), X.dtype)
            padded[:n_rows] = X
            return self.collect(padded, W, bias, thresholds).of_rows(slice(0, n_rows))
        rows, latents, values = self._room(_FIRST_CAPACITY * n_rows, X.dtype)
        n_entries = kernels.collect(X, W, bias, thresholds, rows, latents, values)
        if n_entries > len(values):
            rows, latents, values = self._room(n_entries, X.dtype)
            kernels.collect(X, W, bias, thresholds, rows, latents, values)
        codes = Codes(np.empty(n_rows + 1, np.int64), np.empty(n_entries, np.int32), np.empty(n_entries, X.dtype))
        kernels.group_by_row(rows[:n_entries], latents[:n_entries], values[:n_entries], *codes)
        return codes

    def largest(self, X: FloatArray, W: FloatArray, bias: FloatArray, k: int, floor: float = 0.0) -> Codes:
        """See `CodeOps.largest`."""
        codes = self.collect(X, W, bias, np.full(len(W), floor, X.dtype))
        short = np.flatnonzero(np.diff(codes.starts) < k) if floor > 0 else np.empty(0, np.intp)
        if len(short):
            codes = _with_rows(codes, short, self.collect(X[short], W, bias, np.zeros(len(W), X.dtype)))
        kernels.keep_largest(*codes, k)
        n_entries = int(codes.starts[-1])
        return Codes(codes.starts, codes.latents[:n_entries], codes.values[:n_entries])

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
        """See `CodeOps.residuals`."""
        kernels.residuals(*codes, rows.start, rows.stop, W, bias, targets, ends, scale, out, errors, derivatives)

    def by_latent(self, codes: Codes, n_latents: int) -> ByLatent:
        """See `CodeOps.by_latent`."""
        n_entries = len(codes.values)
        by_latent = ByLatent(
            np.empty(n_latents + 1, np.int64), np.empty(n_entries, np.int32), np.empty(n_entries, np.int32)
        )
        kernels.transpose(codes.starts, codes.latents, *by_latent)
        return by_latent

    def gather(
        self, by_latent: ByLatent, latents: slice, factors: FloatArray, vectors: FloatArray, out: FloatArray
    ) -> None:
        """See `CodeOps.gather`."""
        starts = by_latent.starts[latents.start : latents.stop + 1]
        kernels.gather_gradients(starts, by_latent.rows, by_latent.entries, factors, vectors, out)

    def project_off_rows(self, gradient: FloatArray, W: FloatArray) -> None:
        """See `CodeOps.project_off_rows`."""
        kernels.project_off_rows(gradient, W)

    def normalise_rows(self, W: FloatArray) -> None:
        """See `CodeOps.normalise_rows`."""
        kernels.normalise_rows(W)

    def _room(self, capacity: int, dtype: np.dtype[np.floating]) -> tuple[Any, Any, FloatArray]:
        """Return memory of this thread for at least so many rows, latents and values of entries."""
        known = getattr(self._of_thread, "room", None)
        if known is None or len(known[2]) < capacity or known[2].dtype != dtype:
            capacity += capacity // 4
            numbers = np.empty((2, capacity), np.int32)
            known = self._of_thread.room = numbers[0], numbers[1], empty_aligned((capacity,), dtype)
        return known


def _with_rows(codes: Codes, rows: NDArray[np.intp], others: Codes) -> Codes:
    """Return codes in which some rows are replaced by those of others."""
    parts, done = [], 0
    for number, row in enumerate(rows):
        parts += [codes.of_rows(slice(done, row)), others.of_rows(slice(number, number + 1))]
        done = row + 1
    return joined([*parts, codes.of_rows(slice(done, codes.n_rows))])
