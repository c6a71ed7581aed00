"""Gradients gathered by latent and used at once: projection, a step of Adam and normalisation, a program per latent."""

from typing import Any

import triton
import triton.language as tl

from rhohat.ops.code_ops import ByLatent
from rhohat.ops.torch_learning import AdamStep, LearnedRows, scalar
from rhohat.ops.triton_kernels.gathering import sum_of_latent, sums_of_chunks
from rhohat.ops.triton_kernels.launching import accumulator, at_once, block_of, device_of, warps_of

__all__ = ["learn"]

_MOST_NUMBERS = 2**15  # of a row that a program holds; the caller decides how many it may be


def learn(by_latent: ByLatent, latents: slice, rows: LearnedRows, step: AdamStep, finite: Any, chunk: int) -> None:
    """Take a step for some rows of weights; see `TorchCodeOps.learn`.

    Parameters
    ----------
    by_latent, latents, rows, step, finite
        As there.
    chunk : int
        Number of entries that one program adds up one after another.
    """
    n_latents, n = latents.stop - latents.start, rows.weights.shape[1]
    if n_latents == 0:
        return
    block = block_of(n, _MOST_NUMBERS)
    factors, chunks = sums_of_chunks(by_latent, latents, rows.factors, rows.vectors, rows.weights.dtype, chunk)
    arrays = rows.weights, rows.sums, rows.sums_of_squares, rows.vectors, rows.multiples, rows.extra, rows.extra_of
    with device_of(*by_latent, *arrays):
        _learn[(n_latents,)](
            rows.weights,
            rows.sums,
            rows.sums_of_squares,
            by_latent.starts,
            by_latent.rows,
            factors,
            rows.vectors,
            chunks,
            rows.multiples,
            rows.extra,
            rows.extra_of,
            scalar(step.rate, rows.weights),
            scalar(step.epsilon, rows.weights),
            finite,
            latents.start,
            chunk,
            n,
            BETA_1=step.betas[0],
            BETA_2=step.betas[1],
            ON_SPHERE=rows.on_sphere,
            BLOCK=block,
            AT_ONCE=at_once(block),
            TYPE=accumulator(rows.weights.dtype),
            num_warps=warps_of(block),
        )


@triton.jit
def _learn(
    weights,
    sums,
    squares,
    starts,
    rows,
    factors,
    vectors,
    chunks,
    multiples,
    extra,
    extra_of,
    rate,
    epsilon,
    finite,
    first_latent,
    chunk,
    n,
    BETA_1: tl.constexpr,
    BETA_2: tl.constexpr,
    ON_SPHERE: tl.constexpr,
    BLOCK: tl.constexpr,
    AT_ONCE: tl.constexpr,
    TYPE: tl.constexpr,
):
    latent = tl.program_id(0).to(tl.int64) + first_latent
    columns = tl.arange(0, BLOCK)
    inside = columns < n
    places = latent * n + columns
    gradient = sum_of_latent(
        latent, starts, rows, factors, vectors, chunks, chunk, columns, inside, n, BLOCK, AT_ONCE, TYPE
    )
    weight = tl.load(weights + places, mask=inside, other=0).to(TYPE)
    if multiples is not None:
        gradient += tl.load(multiples + latent).to(TYPE) * weight
    if extra is not None:
        number = tl.load(extra_of + latent).to(tl.int64)
        gradient += tl.load(extra + (number * n + columns), mask=columns < tl.where(number >= 0, n, 0), other=0).to(
            TYPE
        )
    if ON_SPHERE:
        gradient -= tl.sum(gradient * weight, axis=0) * weight
    moment = tl.load(sums + places, mask=inside, other=0).to(TYPE) * BETA_1 + gradient
    square = tl.load(squares + places, mask=inside, other=0).to(TYPE) * BETA_2 + gradient * gradient
    weight -= tl.load(rate).to(TYPE) * moment / (tl.sqrt(square) + tl.load(epsilon).to(TYPE))
    if ON_SPHERE:
        norm = tl.sqrt(tl.sum(weight * weight, axis=0))
        weight = weight / tl.where(norm > 0, norm, 1)
    kept = inside
    if finite is not None:
        kept = columns < tl.where(tl.load(finite), n, 0)
    tl.store(weights + places, weight, mask=kept)
    tl.store(sums + places, moment, mask=kept)
    tl.store(squares + places, square, mask=kept)
