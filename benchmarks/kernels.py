"""`make bench-kernels`: operations beside other forms of the same, on one thread.

The first table has each operation of `rhohat.ops.numpy_kernels` beside its plain form. The second one has each
primitive that Numba compiles beside NumPy's.

Sums of float32 numbers are there to be exact. They take a little longer than the plain form, which adds all numbers up
in float32.

The shapes are those of a block of 10,000 × 64 with 25 hidden units, and of one of 10,000 × 784 with 196.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from rhohat.layers.activations import Sigmoid, Units
from rhohat.ops import NUMPY, Ops, compiled_or_numpy
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


def primitives(n_rows: int, n: int, h: int, dtype: type) -> dict[str, Callable[[Ops], object]]:
    """Return functions of the primitives, by name."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(dtype)

    X, W, delta, z, bias = draw(n_rows, n), draw(n, h), draw(n_rows, h), draw(n_rows, h), draw(h)
    wide, targets, out = draw(n_rows, n), np.full((n_rows, n), 1 / n, dtype), draw(n_rows, n)
    gradient, total, ones = draw(n, h), draw(1, h), np.ones((1, n_rows), dtype)
    theta, step, s, q, scratch = draw(n * h), draw(n * h), draw(n * h), np.abs(draw(n * h)), draw(n * h)
    images, windows = draw(n_rows // 16, 12, 12, 16), draw(n_rows // 16, 8, 8, 5, 5, 16)
    adam = {"betas": (0.9, 0.999), "rate": 1e-9, "epsilon": 1e-8}
    return {
        "X W": lambda ops: ops.multiply(X, W, z),
        "δ Wᵀ": lambda ops: ops.multiply(delta, W.T, out),
        "Xᵀ δ": lambda ops: ops.multiply_transposed(X, delta, gradient),
        "a row added to each": lambda ops: ops.add_row(z, bias),
        "Σ_i x_i": lambda ops: ops.sum_rows(delta, ones, total),
        "bias and sigmoid": lambda ops: (np.copyto(z, delta), ops.sigmoid_with_bias(z, bias)),
        "bias and tanh": lambda ops: (np.copyto(z, delta), ops.tanh_with_bias(z, bias)),
        "bias and ReLU": lambda ops: (np.copyto(z, delta), ops.relu_with_bias(z, bias)),
        "pull-back of the sigmoid": lambda ops: (np.copyto(z, delta), ops.sigmoid_pull_back(z, np.copy(delta))),
        "squared error": lambda ops: ops.squared_error(wide, targets, out),
        "binary cross-entropy": lambda ops: ops.binary_cross_entropy(wide, targets, out),
        "softmax cross-entropy": lambda ops: ops.softmax_cross_entropy(wide, targets, out),
        "a step of Adam": lambda ops: ops.adam_step(theta, step, (s, q), scratch, **adam),
        "windows gathered, 5×5×16": lambda ops: ops.gather(images, windows, 0, (1, 1)),
        "windows scattered, 5×5×16": lambda ops: ops.scatter(windows, images, (1, 1)),
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
    """Print the tables."""
    print("| layer | operation | kernel | plain | saved |\n|---|---|---|---|---|")
    with threadpool_limits(1), np.errstate(all="ignore"):
        for layer, shape in _BLOCKS.items():
            for name, (kernel, plain) in pairs(*shape).items():
                ours, theirs = (statistics.median(measure(function) for _ in range(5)) for function in (kernel, plain))
                print(f"| {layer} | {name} | {1e6 * ours:.0f} µs | {1e6 * theirs:.0f} µs | {1 - ours / theirs:.0%} |")
    compiled = compiled_or_numpy()
    if compiled is NUMPY:
        print("\nNumba is not installed, so no primitive is compiled.")
        return
    print("\n| layer | primitive | compiled | NumPy | times as fast |\n|---|---|---|---|---|")
    with threadpool_limits(1), np.errstate(all="ignore"):
        for dtype in (np.float64, np.float32):
            for layer, shape in _BLOCKS.items():
                for name, function in primitives(*shape, dtype).items():
                    function(compiled)  # compiles
                    ours, theirs = (
                        statistics.median(measure(partial(function, ops)) for _ in range(5))
                        for ops in (compiled, NUMPY)
                    )
                    where = f"{layer}, {np.dtype(dtype)}"
                    print(f"| {where} | {name} | {1e6 * ours:.0f} µs | {1e6 * theirs:.0f} µs | {theirs / ours:.2f} × |")


if __name__ == "__main__":
    main()
