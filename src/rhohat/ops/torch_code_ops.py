"""The primitives of sparse codes for PyTorch's tensors on any device, with kernels that Triton compiles for GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch

from rhohat.ops import torch_codes as plain
from rhohat.ops.code_ops import ByLatent, CodeOps, Codes
from rhohat.ops.torch_code_numbers import TorchCodeNumbers, codes_of, starts_of
from rhohat.ops.torch_code_parts import TorchCodeParts
from rhohat.ops.torch_learning import AdamStep, LearnedRows, take_step
from rhohat.ops.torch_ops import PRODUCTS

__all__ = ["TorchCodeOps"]

Tensor = Any

_BYTES_OF_SELECTION = 32  # of each pre-activation, while PyTorch finds the largest of a row
_LONG = 256  # entries of a latent that a kernel adds up one after another, at least
_MOST_IN_REGISTERS = 8192  # numbers of a row of weights that one program of a kernel holds


class TorchCodeOps(TorchCodeParts, TorchCodeNumbers, CodeOps):
    """Primitives of sparse codes for tensors; they agree with `CodeOps` up to rounding, but for what `largest` says.

    All arrays are tensors on one device: in `Codes` and `ByLatent`, `starts` is of int64 and the numbers of rows,
    latents and entries are of int32. The host waits for the device in `collect` alone. On CPUs and CUDA
    devices the same call gives the same bits: no sum depends on which thread comes first.

    Parameters
    ----------
    kernels : bool, default=None
        Whether Triton's kernels are used. None stands for True where tensors are on a CUDA device and Triton is
        installed. On a CPU they run where Triton was imported with ``TRITON_INTERPRET=1``, for tests.
    budget : int, default=2**30
        Bytes that an array of (rows, latents), or one of (entries, features), takes at most; batches of more rows are
        computed some rows at a time, at least one.
    products : {"exact", "tf32", "bfloat16"}, default="exact"
        In what float32 numbers are multiplied by the encoder. With "bfloat16" their products are rounded to it after
        they are summed in float32; "tf32" makes a difference on CUDA devices only. Products of float64 stay float64.

    Raises
    ------
    ValueError
        If `products` is none of these, or `budget` is not positive.
    """

    name = "torch"
    makes_use_of_floor = False
    pads_with_zeros = True

    def __init__(
        self,
        *,
        kernels: bool | None = None,
        budget: int = 2**30,
        products: Literal["exact", "tf32", "bfloat16"] = "exact",
    ) -> None:
        if products not in PRODUCTS:
            raise ValueError(f"products must be one of {PRODUCTS}; got {products!r}.")
        if budget < 1:
            raise ValueError(f"budget must be a positive number of bytes, not {budget}.")
        self.kernels, self.budget, self.products = kernels, budget, products

    def row_parts(self, n_rows: int, n_workers: int) -> list[slice]:
        """Return all rows as one part: a device shares them among its own threads."""
        return [slice(0, n_rows)]

    def rows_at_once(self, n_rows: int, n_numbers: int) -> int:
        """Return how many rows of so many numbers fit into the budget while their largest are found."""
        return max(1, self.budget // (_BYTES_OF_SELECTION * max(1, n_numbers)))

    def collect(self, X: Tensor, W: Tensor, bias: Tensor, thresholds: Tensor) -> Codes:
        """See `CodeOps.collect`. The host waits for the number of entries."""
        kernels = self._kernels("collecting", X)
        parts = []
        for _, a in self._products(X, W, bias, bytes_of_each=0 if kernels else 2 * X.itemsize + 17):
            parts.append((kernels or plain).collect(a, thresholds, X.dtype))
        counts, latents, values = (torch.cat(one) for one in zip(*parts, strict=True))
        return codes_of(starts_of(counts), latents, values)

    def largest(self, X: Tensor, W: Tensor, bias: Tensor, k: int, floor: float = 0.0) -> Codes:
        """Return, for each row, the k largest numbers of X Wᵀ + bias, with 0 in place of those that are not positive.

        Every row has min(k, n_latents) entries, sorted by latent, so that the host need not wait for their number. Of
        equal numbers those of lower latents are taken, also of those that are not positive; NaN is not positive.
        `floor` has no effect. See `CodeOps.largest` for the parameters.
        """
        n_rows, k = len(X), min(k, len(W))
        latents = torch.empty((n_rows, k), dtype=torch.int32, device=X.device)
        values = torch.empty((n_rows, k), dtype=X.dtype, device=X.device)
        kernels = self._kernels("largest", X)
        for rows, a in self._products(X, W, bias, bytes_of_each=0 if kernels else _BYTES_OF_SELECTION):
            (kernels or plain).keep_largest(a, k, latents[rows], values[rows])
        return codes_of(torch.arange(n_rows + 1, device=X.device) * k, latents.view(-1), values.view(-1))

    def residuals(
        self,
        codes: Codes,
        rows: slice,
        W: Tensor,
        bias: Tensor,
        targets: Tensor,
        ends: Tensor,
        scale: float,
        out: Tensor,
        errors: Tensor,
        derivatives: Tensor,
    ) -> None:
        """See `CodeOps.residuals`; `rows` are all rows, and `ends` a tensor of int64 on the device.

        Entries that are 0 have derivatives as well, which the caller has to set to 0 where 0 stands for no entry.
        """
        assert (rows.start, rows.stop) == (0, codes.n_rows)
        n_prefixes = len(ends)
        if kernels := self._kernels("decoding", W):
            kernels.decode(codes, W, bias, targets, ends, scale / n_prefixes, out, errors, derivatives)
            if kernels.has_differentiated(W, n_prefixes):
                return
        else:
            plain.decode(codes, W, bias, targets, ends, scale / n_prefixes, out, errors, self.budget)
        for prefix in range(n_prefixes - 2, -1, -1):
            out[prefix] += out[prefix + 1]
        self.differentiate(codes, W, ends, out, derivatives)

    def by_latent(self, codes: Codes, n_latents: int) -> ByLatent:
        """See `CodeOps.by_latent`."""
        given: Any = codes.latents
        latents, entries = torch.sort(given, stable=True)
        numbers = torch.arange(n_latents + 1, dtype=latents.dtype, device=latents.device)
        arrays: Any = (
            torch.searchsorted(latents, numbers),
            plain.rows_of_entries(codes)[entries],
            entries.to(torch.int32),
        )
        return ByLatent(*arrays)

    def gather(self, by_latent: ByLatent, latents: slice, factors: Tensor, vectors: Tensor, out: Tensor) -> None:
        """See `CodeOps.gather`; the vectors may have fewer digits than `out`, in whose dtype they are added up."""
        if kernels := self._kernels("gathering", out):
            chunk = self._chunk(by_latent, out)
            kernels.gather(by_latent, latents, factors, vectors, out, chunk)
            return
        starts = by_latent.starts[latents.start : latents.stop + 1]
        entries: Any = by_latent.entries
        plain.sum_multiples(starts, by_latent.rows, factors[entries], vectors, out, self.budget)

    def decode(self, codes: Codes, W: Tensor) -> Tensor:
        """See `CodeOps.decode`."""
        made = torch.empty((codes.n_rows, W.shape[1]), dtype=W.dtype, device=W.device)
        latents: Any = codes.latents
        order: Any = torch.arange(len(latents), dtype=torch.int32, device=W.device)
        self.gather(ByLatent(codes.starts, latents, order), slice(0, codes.n_rows), codes.values, W, made)
        return made

    def learn(
        self,
        by_latent: ByLatent,
        latents: slice,
        rows: LearnedRows,
        step: AdamStep,
        finite: Tensor | None = None,
    ) -> None:
        """Compute the gradients of some rows of weights, and take a step of Adam; `gather` and `adam_step` in one.

        With kernels, each row of weights and moments is read once and written once, and no gradient is kept.

        Parameters
        ----------
        by_latent : ByLatent
        latents : slice
            Successive latents, whose rows are changed.
        rows : LearnedRows
            The whole encoder or decoder, its moments, and what the gradient consists of.
        step : AdamStep
        finite : tensor of shape (), bool, default=None
            Where it is false nothing is changed, so that the host need not wait for it. None stands for true.
        """
        n = rows.weights.shape[1]
        if (kernels := self._kernels("learning", rows.weights)) and n <= _MOST_IN_REGISTERS:
            chunk = self._chunk(by_latent, rows.weights)
            kernels.learn(by_latent, latents, rows, step, finite, chunk)
            return
        gradient = torch.empty_like(rows.weights[latents])
        self.gather(by_latent, latents, rows.factors, rows.vectors, gradient)
        take_step(rows, latents, gradient, step, finite)

    def project_off_rows(self, gradient: Tensor, W: Tensor) -> None:
        """See `CodeOps.project_off_rows`."""
        gradient -= (gradient * W).sum(1, keepdim=True) * W

    def normalise_rows(self, W: Tensor) -> None:
        """See `CodeOps.normalise_rows`."""
        norms = W.square().sum(1, keepdim=True).sqrt()
        W /= torch.where(norms > 0, norms, torch.ones_like(norms))

    def _products(self, X: Tensor, W: Tensor, bias: Tensor, bytes_of_each: int) -> Iterator[tuple[slice, Tensor]]:
        """Yield X Wᵀ + bias for as many rows at a time as the budget allows, with the slice of the rows.

        Parameters
        ----------
        X, W, bias : tensors
        bytes_of_each : int
            Bytes that are held for each number beside itself.
        """
        if self.products == "bfloat16" and X.dtype == torch.float32:
            X, W, bias = X.bfloat16(), W.bfloat16(), bias.bfloat16()
        at_once = max(1, self.budget // ((X.itemsize + bytes_of_each) * max(1, len(W))))
        for start in range(0, max(1, len(X)), at_once):
            rows = slice(start, min(start + at_once, len(X)))
            with _precision(self.products, X):
                a = torch.addmm(bias, X[rows], W.T)
            yield rows, a

    def _chunk(self, by_latent: ByLatent, like: Tensor) -> int:
        """Return how many entries of long lists are added up by one program, so that the sums fit the budget."""
        chunk = _LONG
        while len(by_latent.rows) // chunk * like.shape[1] * like.itemsize > self.budget:
            chunk *= 2
        return chunk


@contextmanager
def _precision(products: str, like: Tensor) -> Iterator[None]:
    """Set how CUDA multiplies float32 numbers and adds up others, and set it back afterwards."""
    if not like.is_cuda:
        yield
        return
    settings: Any = torch.backends.cuda.matmul
    known = settings.fp32_precision, settings.allow_bf16_reduced_precision_reduction
    settings.fp32_precision = "tf32" if products == "tf32" else "ieee"
    settings.allow_bf16_reduced_precision_reduction = False
    try:
        yield
    finally:
        settings.fp32_precision, settings.allow_bf16_reduced_precision_reduction = known
