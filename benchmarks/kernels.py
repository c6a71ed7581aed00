"""`make bench-kernels`: each operation of `rhohat.ops.numpy_kernels` beside the plain form of the same, on one thread.

Sums of float32 numbers are there to be exact. They take a little longer than the plain form, which adds all numbers up
in float32.

The shapes are those of a block of 10,000 × 64 with 25 hidden units, and of one of 10,000 × 784 with 196.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from rhohat.layers.activations import Sigmoid, Units
from rhohat.ops import numpy_kernels as kernels

_REPEATS = 60
_BLOCKS = {"64 → 25": (2496, 64, 25), "784 → 196": (512, 784, 196)}


def pairs(n_rows: int, n: int, h: int) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Return what is compared by name: the kernel, and the plain form."""
    rng = np.random.default_rng(0)
    X, W = rng.random((n_rows, n)), rng.normal(size=(n, h))
    delta, z, back = rng.normal(size=(n_rows, h)), np.empty((n_rows, h)), np.empty((n_rows, n))
    gradient, bias, none = np.empty((n, h)), rng.normal(size=h), np.empty(0)

    single, ones, total = delta.astype(np.float32), np.ones((1, n_rows), np.float32), np.empty((1, h), np.float32)
    wide, weights = X.astype(np.float32), rng.random((1, n_rows), np.float32)

    def plain_sigmoid() -> None:
        np.add(delta, bias, out=z)
        np.negative(z, out=z)
        np.exp(z, out=z)
        np.add(z, 1, out=z)
        np.reciprocal(z, out=z)

    def sigmoid() -> None:
        np.copyto(z, delta)
        Sigmoid().forward_with_bias(Units(z, z, none), bias)

    return {
        "X W": (lambda: kernels.multiply(X, W, z), lambda: np.matmul(X, W, out=z)),
        "δ Wᵀ": (lambda: kernels.multiply(delta, W.T, back), lambda: np.matmul(delta, W.T, out=back)),
        "Xᵀ δ": (
            lambda: kernels.multiply_transposed(X, delta, gradient),
            lambda: np.matmul(X.T, delta, out=gradient),
        ),
        "a row added to each": (lambda: kernels.add_row(z, bias), lambda: np.add(z, bias, out=z)),
        "1 / x": (lambda: kernels.reciprocal(z), lambda: np.reciprocal(z, out=z)),
        "bias and sigmoid": (sigmoid, plain_sigmoid),
        "Σ x², float32": (lambda: kernels.sum_of_squares(wide), lambda: np.vdot(wide, wide)),
        "Σ_j x_ij², float32": (
            lambda: kernels.row_products(wide, wide),
            lambda: np.einsum("ij,ij->i", wide, wide),
        ),
        "Σ_i x_i, float32": (
            lambda: kernels.sum_rows(single, ones, total),
            lambda: np.matmul(ones, single, out=total),
        ),
        "Σ_i w_i x_i, float32": (
            lambda: kernels.sum_rows(single, ones, total, weights),
            lambda: np.matmul(weights, single, out=total),
        ),
        "Σ_i x_i without ones, float32": (lambda: kernels.column_sums(single), lambda: single.sum(axis=0)),
    }


def measure(function: Callable[[], object]) -> float:
    """Return the median seconds of a call."""
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    """Print a table."""
    print("| layer | operation | kernel | plain | saved |\n|---|---|---|---|---|")
    with threadpool_limits(1), np.errstate(all="ignore"):
        for layer, shape in _BLOCKS.items():
            for name, (kernel, plain) in pairs(*shape).items():
                ours, theirs = (statistics.median(measure(function) for _ in range(5)) for function in (kernel, plain))
                print(f"| {layer} | {name} | {1e6 * ours:.0f} µs | {1e6 * theirs:.0f} µs | {1 - ours / theirs:.0%} |")


if __name__ == "__main__":
    main()
