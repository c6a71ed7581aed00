"""Numbers above thresholds: counted for each row, and then written at their places."""

from typing import Any

import torch
import triton
import triton.language as tl

from rhohat.ops.triton_kernels.launching import accumulator, block_of, device_of, warps_of

__all__ = ["collect"]

Tensor = Any


def collect(a: Tensor, thresholds: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Return how many numbers of each row exceed the threshold of their latent, and their latents and values.

    Parameters
    ----------
    a : tensor of shape (n_rows, n_latents)
    thresholds : tensor of shape (n_latents,)
    dtype : dtype
        Of the values.
    """
    (n_rows, n), block = a.shape, block_of(a.shape[1], 2048)
    counts = torch.empty(n_rows, dtype=torch.int64, device=a.device)
    sizes = {"BLOCK": block, "TYPE": accumulator(a.dtype), "num_warps": warps_of(block)}
    with device_of(a, thresholds):
        _count[(n_rows,)](a, thresholds, counts, n, **sizes)
        stops = torch.cumsum(counts, 0)
        n_entries = int(stops[-1])
        latents = torch.empty(n_entries, dtype=torch.int32, device=a.device)
        values = torch.empty(n_entries, dtype=dtype, device=a.device)
        if n_entries:
            _write[(n_rows,)](a, thresholds, stops - counts, latents, values, n, **sizes)
    return counts, latents, values


@triton.jit
def _count(a, thresholds, counts, n, BLOCK: tl.constexpr, TYPE: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    above = tl.zeros([BLOCK], tl.int32)
    for begin in range(0, n, BLOCK):
        columns = begin + tl.arange(0, BLOCK)
        inside = columns < n
        numbers = tl.load(a + (row * n + columns), mask=inside, other=0).to(TYPE)
        above += (inside & (numbers > tl.load(thresholds + columns, mask=inside, other=0).to(TYPE))).to(tl.int32)
    tl.store(counts + row, tl.sum(above, axis=0))


@triton.jit
def _write(a, thresholds, starts, latents, values, n, BLOCK: tl.constexpr, TYPE: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    start = tl.load(starts + row)
    for begin in range(0, n, BLOCK):
        columns = begin + tl.arange(0, BLOCK)
        inside = columns < n
        numbers = tl.load(a + (row * n + columns), mask=inside, other=0).to(TYPE)
        chosen = inside & (numbers > tl.load(thresholds + columns, mask=inside, other=0).to(TYPE))
        places = start + tl.cumsum(chosen.to(tl.int32), axis=0) - 1
        tl.store(latents + places, columns, mask=chosen)
        tl.store(values + places, numbers, mask=chosen)
        start += tl.sum(chosen.to(tl.int32), axis=0)
