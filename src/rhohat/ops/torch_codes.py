"""What the primitives of sparse codes do with tensors where no kernels are used; arrays are those of `TorchCodeOps`."""

from __future__ import annotations

from typing import Any

import torch

from rhohat.ops.code_ops import Codes

__all__ = [
    "collect",
    "decode",
    "differentiate",
    "keep_largest",
    "largest_of_rows",
    "rows_of_entries",
    "segment_sums",
    "sum_multiples",
]

Tensor = Any

_WITH_SEGMENTS = ("cpu", "cuda")  # types of devices for which PyTorch has sums over segments


def collect(a: Tensor, thresholds: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Return how many numbers of each row exceed the threshold of their latent, and their latents and values.

    Parameters
    ----------
    a : tensor of shape (n_rows, n_latents)
    thresholds : tensor of shape (n_latents,)
    dtype : dtype
        Of the values.
    """
    chosen = a > thresholds
    return chosen.sum(1), chosen.nonzero()[:, 1].to(torch.int32), a[chosen].to(dtype)


def keep_largest(a: Tensor, k: int, latents: Tensor, values: Tensor) -> None:
    """Write the k largest positive numbers of each row, and their columns; see `TorchCodeOps.largest`.

    Parameters
    ----------
    a : tensor of shape (n_rows, n_latents)
    k : int
    latents, values : tensors of shape (n_rows, k)
        Overwritten.
    """
    positive = torch.where(a > 0, a, torch.zeros_like(a))
    chosen = largest_of_rows(positive, k)
    # What is not chosen goes to a place beside those that are kept.
    places = torch.where(chosen, torch.cumsum(chosen, 1) - 1, k)
    columns = torch.arange(a.shape[1], dtype=torch.int32, device=a.device).expand_as(a)
    for source, kept in ((columns, latents), (positive.to(values.dtype), values)):
        room = torch.empty((len(a), k + 1), dtype=kept.dtype, device=a.device)
        kept.copy_(room.scatter_(1, places, source)[:, :k])


def largest_of_rows(a: Tensor, k: int) -> Tensor:
    """Return which numbers are among the k largest of their row, at least one; of equal ones, the first are."""
    least = torch.topk(a, min(k, a.shape[1]), dim=1).values[:, -1:]
    chosen, equal = a > least, a == least
    n_equal = k - chosen.sum(1, keepdim=True)
    chosen |= equal & (torch.cumsum(equal, 1, dtype=torch.int32) <= n_equal)
    return chosen


def decode(
    codes: Codes,
    W: Tensor,
    bias: Tensor,
    targets: Tensor,
    ends: Tensor,
    scale: float,
    out: Tensor,
    errors: Tensor,
    budget: int,
) -> None:
    """Write scale (x̂ − x) of each prefix alone, and half of the squared errors, averaged over prefixes."""
    values: Any = codes.values
    latents: Any = codes.latents
    prefix_of = torch.searchsorted(ends, latents, right=True)
    difference, part = bias - targets, torch.empty_like(targets)
    errors.zero_()
    for prefix in range(len(ends)):
        factors = torch.where(prefix_of == prefix, values, torch.zeros_like(values)) if len(ends) > 1 else values
        sum_multiples(codes.starts, latents, factors, W, part, budget)
        difference += part
        errors += difference.square().sum(1, dtype=errors.dtype)
        out[prefix] = difference * scale
    errors *= 0.5 / len(ends)


def differentiate(codes: Codes, W: Tensor, ends: Tensor, out: Tensor, derivatives: Tensor, budget: int) -> None:
    """Write the product of the residual and the row of the decoder of each entry, some entries at a time."""
    latents: Any = codes.latents
    prefix_of, row_of = torch.searchsorted(ends, latents, right=True), rows_of_entries(codes).long()
    at_once = max(1, budget // (3 * W.itemsize * W.shape[1]))
    for first in range(0, len(latents), at_once):
        part = slice(first, first + at_once)
        derivatives[part] = (out[prefix_of[part], row_of[part]] * W[latents[part]]).sum(1)


def sum_multiples(starts: Any, numbers: Any, factors: Tensor, vectors: Tensor, out: Tensor, budget: int) -> None:
    """Write, for each segment of entries, the sum of factor times vector, some columns at a time.

    Parameters
    ----------
    starts : tensor of shape (n_segments + 1,)
    numbers, factors : tensors of shape (n_entries,)
        Number of the vector, and its factor.
    vectors : tensor of shape (n_vectors, n)
    out : tensor of shape (n_segments, n)
    budget : int
        Bytes that are held meanwhile.
    """
    width = max(1, budget // (2 * out.itemsize * max(1, len(numbers))))
    for first in range(0, out.shape[1], width):
        columns = slice(first, first + width)
        multiples = vectors[:, columns][numbers].to(out.dtype)
        multiples *= factors.to(out.dtype)[:, None]
        out[:, columns] = segment_sums(multiples, starts)


def segment_sums(numbers: Tensor, starts: Any) -> Tensor:
    """Return the sums over successive segments, each in the order of its numbers.

    Parameters
    ----------
    numbers : tensor of shape (n_entries, n)
    starts : tensor of shape (n_segments + 1,)
        Where each segment begins, and where the last one ends.
    """
    if numbers.device.type in _WITH_SEGMENTS:
        return torch.segment_reduce(numbers, "sum", offsets=starts, axis=0, unsafe=True, initial=0)
    segments = torch.searchsorted(starts, torch.arange(len(numbers), device=starts.device), right=True)
    sums = numbers.new_zeros((len(starts) + 1, numbers.shape[1]))  # with those before the first, and after the last
    return sums.index_add_(0, segments, numbers)[1:-1]


def rows_of_entries(codes: Codes) -> Tensor:
    """Return the number of the row of each entry of codes that are tensors, of shape (n_entries,); nobody waits."""
    starts: Any = codes.starts
    numbers = torch.arange(codes.n_rows, dtype=torch.int32, device=starts.device)
    return torch.repeat_interleave(numbers, starts.diff(), output_size=len(codes.latents))
