"""Codes decoded and differentiated: residuals and errors, a program for each row, and derivatives by the entries."""

from typing import Any

import torch
import triton
import triton.language as tl

from rhohat.ops.code_ops import Codes
from rhohat.ops.triton_kernels.launching import accumulator, at_once, block_of, device_of, warps_of
from rhohat.ops.triton_kernels.summing import add_multiples

__all__ = ["decode", "differentiate", "has_differentiated"]

Tensor = Any

_ENTRIES_COUNTED = 64  # entries of a row that are compared with the end of a prefix at a time


def decode(
    codes: Codes,
    W: Tensor,
    bias: Tensor,
    targets: Tensor,
    ends: Tensor,
    scale: float,
    out: Tensor,
    errors: Tensor,
    derivatives: Tensor,
) -> None:
    """Write scale (x̂ − x) of each prefix alone, and half of the squared errors, averaged over prefixes.

    Where `has_differentiated` says so, the derivatives by the entries are written as well. See `CodeOps.residuals` for
    the parameters.
    """
    (n_rows, n), block = targets.shape, block_of(W.shape[1])
    with device_of(*codes, W, bias, targets, ends, out, errors, derivatives):
        _decode[(n_rows,)](
            *codes,
            W,
            bias,
            targets,
            ends,
            out,
            errors,
            derivatives,
            torch.full((), scale, dtype=torch.float64, device=W.device),
            n_rows,
            n,
            N_PREFIXES=len(ends),
            DIFFERENTIATE=has_differentiated(W, len(ends)),
            BLOCK=block,
            AT_ONCE=at_once(block),
            COUNTED=_ENTRIES_COUNTED,
            TYPE=accumulator(W.dtype),
            num_warps=warps_of(block),
        )


def has_differentiated(W: Tensor, n_prefixes: int) -> bool:
    """Return whether `decode` writes derivatives: the residual of a row has to stay in the registers of a program."""
    return n_prefixes == 1 and W.shape[1] <= block_of(W.shape[1])


def differentiate(codes: Codes, W: Tensor, ends: Tensor, out: Tensor, derivatives: Tensor) -> None:
    """Write the product of the residual and the row of the decoder of each entry; see `CodeOps.residuals`."""
    _, n_rows, n = out.shape
    block = block_of(n)
    with device_of(*codes, W, ends, out, derivatives):
        _differentiate[(n_rows,)](
            codes.starts,
            codes.latents,
            W,
            ends,
            out,
            derivatives,
            n_rows,
            n,
            N_PREFIXES=len(ends),
            BLOCK=block,
            AT_ONCE=at_once(block),
            TYPE=accumulator(W.dtype),
            num_warps=warps_of(block),
        )


@triton.jit
def _decode(
    starts,
    latents,
    values,
    W,
    bias,
    targets,
    ends,
    out,
    errors,
    derivatives,
    scale,
    n_rows,
    n,
    N_PREFIXES: tl.constexpr,
    DIFFERENTIATE: tl.constexpr,
    BLOCK: tl.constexpr,
    AT_ONCE: tl.constexpr,
    COUNTED: tl.constexpr,
    TYPE: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    first = tl.load(starts + row).to(tl.int32)
    last = tl.load(starts + row + 1).to(tl.int32)
    factor = tl.load(scale).to(TYPE)
    squares = tl.zeros([BLOCK], TYPE)
    for begin in range(0, n, BLOCK):
        columns = begin + tl.arange(0, BLOCK)
        inside = columns < n
        difference = tl.load(bias + columns, mask=inside, other=0).to(TYPE)
        difference -= tl.load(targets + row * n + columns, mask=inside, other=0).to(TYPE)
        start = first
        for prefix in range(N_PREFIXES):
            stop = last
            if N_PREFIXES > 1:
                stop = first + _n_below(tl.load(ends + prefix), latents, first, last, COUNTED)
            difference = add_multiples(difference, start, stop, latents, values, W, columns, inside, n, AT_ONCE, TYPE)
            squares += difference * difference
            place = (prefix * n_rows + row) * n + columns
            tl.store(out + place, difference * factor, mask=inside)
            start = stop
        if DIFFERENTIATE:  # there is one block of columns, and one prefix
            residual = difference * factor
            for entry in range(first, last, AT_ONCE):
                entries = entry + tl.arange(0, AT_ONCE)
                there = entries < last
                latent = tl.load(latents + entries, mask=there, other=0).to(tl.int64)
                places = latent[:, None] * n + columns[None, :]
                weights = tl.load(W + places, mask=there[:, None] & inside[None, :], other=0).to(TYPE)
                tl.store(derivatives + entries, tl.sum(residual[None, :] * weights, axis=1), mask=there)
    tl.store(errors + row, tl.sum(squares.to(tl.float64), axis=0) * (0.5 / N_PREFIXES))


@triton.jit
def _n_below(end, latents, first, last, COUNTED: tl.constexpr):
    """Return how many entries of a row belong to latents below `end`."""
    below = tl.zeros([COUNTED], tl.int32)
    for begin in range(first, last, COUNTED):
        entries = begin + tl.arange(0, COUNTED)
        there = entries < last
        below += (there & (tl.load(latents + entries, mask=there, other=0) < end)).to(tl.int32)
    return tl.sum(below, axis=0)


@triton.jit
def _differentiate(
    starts,
    latents,
    W,
    ends,
    out,
    derivatives,
    n_rows,
    n,
    N_PREFIXES: tl.constexpr,
    BLOCK: tl.constexpr,
    AT_ONCE: tl.constexpr,
    TYPE: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    first = tl.load(starts + row).to(tl.int32)
    last = tl.load(starts + row + 1).to(tl.int32)
    for entry in range(first, last, AT_ONCE):
        entries = entry + tl.arange(0, AT_ONCE)
        there = entries < last
        latent = tl.load(latents + entries, mask=there, other=0).to(tl.int64)
        prefix = tl.zeros([AT_ONCE], tl.int64)
        for number in range(N_PREFIXES - 1):
            prefix += (latent >= tl.load(ends + number)).to(tl.int64)
        total = tl.zeros([AT_ONCE], TYPE)
        for begin in range(0, n, BLOCK):
            columns = begin + tl.arange(0, BLOCK)
            both = there[:, None] & (columns < n)[None, :]
            weights = tl.load(W + (latent[:, None] * n + columns[None, :]), mask=both, other=0).to(TYPE)
            places = (prefix * n_rows + row)[:, None] * n + columns[None, :]
            total += tl.sum(weights * tl.load(out + places, mask=both, other=0).to(TYPE), axis=1)
        tl.store(derivatives + entries, total, mask=there)
