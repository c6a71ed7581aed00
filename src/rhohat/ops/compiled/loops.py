"""Short loops over flat arrays, from which compiled functions are built.

Loops run over arrays from their beginning to their end. Numba then knows that an index is not negative; otherwise LLVM
would not vectorise the loop. To work on a part of an array, pass a slice of it, and no start index. Each activation has
a loop of its own, because a compiled function that takes another function is compiled anew by every process.
"""

from __future__ import annotations

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.ops.compiled.compiling import Number, also_python, inlined, summing
from rhohat.ops.compiled.elementary import sigmoid_of, softplus_tail_of, tanh_of

__all__ = [
    "add",
    "binary_cross_entropy",
    "copy",
    "join",
    "joined",
    "joined_size",
    "multiply",
    "relu_pull_back",
    "relu_with_bias",
    "sigmoid_pull_back",
    "sigmoid_with_bias",
    "subtract",
    "tanh_pull_back",
    "tanh_with_bias",
    "total_of",
    "total_of_products",
    "total_of_squares",
]

_JOINED = 512  # fewest numbers in joined rows


@also_python
def joined_size(n: int) -> int:
    """Return how long joined copies of a row of n numbers are."""
    return n * (-(-_JOINED // n))


@inlined
def join(row: FloatArray, out: FloatArray) -> None:
    """Write copies of a row, one after another."""
    for start in range(0, out.size, row.size):
        for i in range(row.size):
            out[start + i] = row[i]


@inlined
def joined(row: FloatArray) -> FloatArray:
    """Return copies of a row, one after another."""
    out = np.empty(joined_size(row.size), row.dtype)
    join(row, out)
    return out


@summing
def total_of_squares(x: FloatArray) -> Number:
    """Return the sum of the squares of a few numbers, in their dtype."""
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i] * x[i]
    return total


@summing
def total_of(x: FloatArray) -> Number:
    """Return the sum of a few numbers, in their dtype."""
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i]
    return total


@inlined
def add(x: FloatArray, y: FloatArray) -> None:
    """Add the numbers of y to those of x, which may be fewer."""
    for i in range(x.size):
        x[i] += y[i]


@inlined
def sigmoid_with_bias(z: FloatArray, bias: FloatArray) -> None:
    """Overwrite z with the sigmoid of z + bias, whose numbers may be more."""
    for i in range(z.size):
        z[i] = sigmoid_of(z[i] + bias[i])


@inlined
def tanh_with_bias(z: FloatArray, bias: FloatArray) -> None:
    """Overwrite z with tanh(z + bias)."""
    for i in range(z.size):
        z[i] = tanh_of(z[i] + bias[i])


@inlined
def relu_with_bias(z: FloatArray, bias: FloatArray) -> None:
    """Overwrite z with max(0, z + bias)."""
    zero = z.dtype.type(0)
    for i in range(z.size):
        x = z[i] + bias[i]
        z[i] = zero if x < zero else x


@inlined
def subtract(x: FloatArray, y: FloatArray, out: FloatArray) -> None:
    """Write x − y into `out`."""
    for i in range(out.size):
        out[i] = x[i] - y[i]


@summing
def total_of_products(x: FloatArray, y: FloatArray) -> Number:
    """Return the sum of the products of a few numbers, in their dtype."""
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@inlined
def binary_cross_entropy(z: FloatArray, y: FloatArray, out: FloatArray, terms: FloatArray) -> None:
    """Write ln(1 + exp(z)) − y z into `terms`, and 1 / (1 + exp(−z)) − y into `out`."""
    zero = z.dtype.type(0)
    for k in range(z.size):
        above = zero if z[k] < zero else z[k]
        terms[k] = (above - y[k] * z[k]) + softplus_tail_of(z[k])
    for k in range(z.size):
        out[k] = sigmoid_of(z[k]) - y[k]


@inlined
def copy(x: FloatArray, out: FloatArray) -> None:
    """Write x into `out`."""
    for i in range(x.size):
        out[i] = x[i]


@inlined
def multiply(x: FloatArray, y: FloatArray, out: FloatArray) -> None:
    """Write x ∘ y into `out`."""
    for i in range(out.size):
        out[i] = x[i] * y[i]


@inlined
def sigmoid_pull_back(a: FloatArray, delta: FloatArray) -> None:
    """Overwrite delta with delta a (1 − a)."""
    for i in range(a.size):
        delta[i] *= a[i] - a[i] * a[i]


@inlined
def tanh_pull_back(a: FloatArray, delta: FloatArray) -> None:
    """Overwrite delta with delta (1 − a²)."""
    for i in range(a.size):
        delta[i] -= delta[i] * (a[i] * a[i])


@inlined
def relu_pull_back(a: FloatArray, delta: FloatArray) -> None:
    """Overwrite delta with 0 where a is 0, or with NaN where a or delta is not finite there."""
    zero = a.dtype.type(0)
    for i in range(a.size):
        delta[i] = delta[i] if a[i] > zero else a[i] * delta[i]
