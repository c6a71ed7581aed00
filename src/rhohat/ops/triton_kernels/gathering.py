"""Gradients gathered by latent: sums over the entries of each latent, long ones of which are first cut into chunks."""

from typing import Any

import torch
import triton
import triton.language as tl

from rhohat.ops.code_ops import ByLatent
from rhohat.ops.triton_kernels.launching import accumulator, at_once, block_of, device_of, warps_of
from rhohat.ops.triton_kernels.summing import add_multiples

__all__ = ["gather", "sum_of_latent", "sums_of_chunks"]

Tensor = Any


def gather(by_latent: ByLatent, latents: slice, factors: Tensor, vectors: Tensor, out: Tensor, chunk: int) -> None:
    """Write the sums over the entries of each of some latents; see `CodeOps.gather`.

    Parameters
    ----------
    by_latent, latents, factors, vectors, out
        As there.
    chunk : int
        Number of entries that one program adds up one after another.
    """
    (n_latents, n), block = out.shape, block_of(vectors.shape[1])
    if n_latents == 0:
        return
    factors, chunks = sums_of_chunks(by_latent, latents, factors, vectors, out.dtype, chunk)
    with device_of(*by_latent, factors, vectors, out):
        _gather[(n_latents, triton.cdiv(n, block))](
            by_latent.starts,
            by_latent.rows,
            factors,
            vectors,
            chunks,
            out,
            latents.start,
            chunk,
            n,
            BLOCK=block,
            AT_ONCE=at_once(block),
            TYPE=accumulator(out.dtype),
            num_warps=warps_of(block),
        )


def sums_of_chunks(
    by_latent: ByLatent, latents: slice, factors: Tensor, vectors: Tensor, dtype: torch.dtype, chunk: int
) -> tuple[Tensor, Tensor]:
    """Return the factors sorted by latent, and the sums over every chunk of entries within one of the latents.

    A latent that is active in nearly all rows would keep one program at work long after the others have finished.
    Entries are cut into chunks of equal size, which as many programs add up. The chunks that cross the border of a
    latent are left as they are.

    Returns
    -------
    factors : tensor of shape (n_entries,)
    chunks : tensor of shape (n_entries // chunk, n)
    """
    entries: Any = by_latent.entries
    factors = factors[entries]
    n, n_chunks, block = vectors.shape[1], len(factors) // chunk, block_of(vectors.shape[1])
    chunks = torch.empty((n_chunks, n), dtype=dtype, device=vectors.device)
    if n_chunks:
        firsts = torch.arange(n_chunks, device=vectors.device) * chunk
        starts: Any = by_latent.starts
        owners = torch.searchsorted(starts, firsts, right=True) - 1
        with device_of(*by_latent, factors, vectors):
            _add_chunks[(n_chunks, triton.cdiv(n, block))](
                starts,
                owners,
                by_latent.rows,
                factors,
                vectors,
                chunks,
                latents.start,
                latents.stop,
                chunk,
                n,
                BLOCK=block,
                AT_ONCE=at_once(block),
                TYPE=accumulator(dtype),
                num_warps=warps_of(block),
            )
    return factors, chunks


@triton.jit
def _add_chunks(
    starts,
    owners,
    rows,
    factors,
    vectors,
    chunks,
    first_latent,
    last_latent,
    chunk,
    n,
    BLOCK: tl.constexpr,
    AT_ONCE: tl.constexpr,
    TYPE: tl.constexpr,
):
    number = tl.program_id(0)
    first = number * chunk
    owner = tl.load(owners + number)
    is_within = (tl.load(starts + owner + 1) >= first + chunk) & (owner >= first_latent) & (owner < last_latent)
    if is_within:
        columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        inside = columns < n
        total = tl.zeros([BLOCK], TYPE)
        total = add_multiples(total, first, first + chunk, rows, factors, vectors, columns, inside, n, AT_ONCE, TYPE)
        tl.store(chunks + number.to(tl.int64) * n + columns, total, mask=inside)


@triton.jit
def sum_of_latent(
    latent,
    starts,
    rows,
    factors,
    vectors,
    chunks,
    chunk,
    columns,
    inside,
    n,
    BLOCK: tl.constexpr,
    AT_ONCE: tl.constexpr,
    TYPE: tl.constexpr,
):
    """Return the sum over the entries of a latent, for some columns: those before its chunks, its chunks, the rest."""
    first = tl.load(starts + latent).to(tl.int32)
    last = tl.load(starts + latent + 1).to(tl.int32)
    begin = tl.cdiv(first, chunk)
    end = last // chunk
    has_chunks = end > begin
    begin = tl.where(has_chunks, begin, end)
    middle = tl.where(has_chunks, begin * chunk, last)
    after = tl.where(has_chunks, end * chunk, last)
    total = tl.zeros([BLOCK], TYPE)
    total = add_multiples(total, first, middle, rows, factors, vectors, columns, inside, n, AT_ONCE, TYPE)
    for number in range(begin, end):
        total += tl.load(chunks + (tl.cast(number, tl.int64) * n + columns), mask=inside, other=0).to(TYPE)
    return add_multiples(total, after, last, rows, factors, vectors, columns, inside, n, AT_ONCE, TYPE)


@triton.jit
def _gather(
    starts,
    rows,
    factors,
    vectors,
    chunks,
    out,
    first_latent,
    chunk,
    n,
    BLOCK: tl.constexpr,
    AT_ONCE: tl.constexpr,
    TYPE: tl.constexpr,
):
    number = tl.program_id(0)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < n
    total = sum_of_latent(
        number + first_latent,
        starts,
        rows,
        factors,
        vectors,
        chunks,
        chunk,
        columns,
        inside,
        n,
        BLOCK,
        AT_ONCE,
        TYPE,
    )
    tl.store(out + number.to(tl.int64) * n + columns, total, mask=inside)
