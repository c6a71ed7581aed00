"""Functions of all numbers of an array in one loop: activations with the bias, their pull-backs, and losses.

Arrays are flat. Where a row is added to each row of a matrix, copies of the row are joined until they are long enough
for a loop over them to be fast.

Most are made of the loops in `loops.py`.
"""

from __future__ import annotations

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.ops.compiled import loops
from rhohat.ops.compiled.compiling import Number, compiled, inlined, summing
from rhohat.ops.compiled.elementary import exp_of, sigmoid_of, softplus_tail_of, tanh_of

__all__ = [
    "add_row",
    "all_finite",
    "binary_cross_entropy",
    "relu_pull_back",
    "relu_with_bias",
    "sigmoid",
    "sigmoid_pull_back",
    "sigmoid_with_bias",
    "softmax",
    "softmax_cross_entropy",
    "softplus_tail",
    "squared_error",
    "sum_of_squares",
    "sum_rows",
    "tanh",
    "tanh_pull_back",
    "tanh_with_bias",
]

_ADDED = 4096  # numbers that are added up before their sum is added to others, in float64
_ROWS_ADDED = 256  # rows that are added up before their sum is added to others, in float64


@compiled
def add_row(x: FloatArray, row: FloatArray) -> None:
    """Add a row to each row of x."""
    joined = loops.joined(row)
    for start in range(0, x.size, joined.size):
        loops.add(x[start : start + joined.size], joined)


@compiled
def sigmoid(z: FloatArray, out: FloatArray) -> None:
    """Write 1 / (1 + exp(−z)) into `out`."""
    for i in range(z.size):
        out[i] = sigmoid_of(z[i])


@compiled
def tanh(z: FloatArray, out: FloatArray) -> None:
    """Write tanh(z) into `out`."""
    for i in range(z.size):
        out[i] = tanh_of(z[i])


@compiled
def softplus_tail(z: FloatArray, out: FloatArray) -> None:
    """Write ln(1 + exp(−|z|)) into `out`."""
    for i in range(z.size):
        out[i] = softplus_tail_of(z[i])


@compiled
def sigmoid_with_bias(z: FloatArray, bias: FloatArray) -> None:
    """Overwrite z with the sigmoid of z + bias."""
    joined = loops.joined(bias)
    for start in range(0, z.size, joined.size):
        loops.sigmoid_with_bias(z[start : start + joined.size], joined)


@compiled
def tanh_with_bias(z: FloatArray, bias: FloatArray) -> None:
    """Overwrite z with tanh(z + bias)."""
    joined = loops.joined(bias)
    for start in range(0, z.size, joined.size):
        loops.tanh_with_bias(z[start : start + joined.size], joined)


@compiled
def relu_with_bias(z: FloatArray, bias: FloatArray) -> None:
    """Overwrite z with max(0, z + bias)."""
    joined = loops.joined(bias)
    for start in range(0, z.size, joined.size):
        loops.relu_with_bias(z[start : start + joined.size], joined)


@compiled
def sigmoid_pull_back(a: FloatArray, delta: FloatArray) -> None:
    """Overwrite delta with delta a (1 − a)."""
    loops.sigmoid_pull_back(a, delta)


@compiled
def tanh_pull_back(a: FloatArray, delta: FloatArray) -> None:
    """Overwrite delta with delta (1 − a²)."""
    loops.tanh_pull_back(a, delta)


@compiled
def relu_pull_back(a: FloatArray, delta: FloatArray) -> None:
    """Overwrite delta with 0 where a is 0."""
    loops.relu_pull_back(a, delta)


@compiled
def squared_error(outputs: FloatArray, y: FloatArray, out: FloatArray) -> float:
    """Return the sum of the squares of outputs − y, and write outputs − y into `out`."""
    total = 0.0
    for start in range(0, out.size, _ADDED):
        stop = start + _ADDED
        loops.subtract(outputs[start:stop], y[start:stop], out[start:stop])
        total += loops.total_of_squares(out[start:stop])
    return total


@compiled
def sum_of_squares(x: FloatArray) -> float:
    """Return the sum of the squares of all numbers."""
    total = 0.0
    for start in range(0, x.size, _ADDED):
        total += loops.total_of_squares(x[start : start + _ADDED])
    return total


@summing
def _zeros(x: FloatArray) -> Number:
    """Return the sum of all numbers times 0, which is NaN if one of them is not finite."""
    total, zero = x.dtype.type(0), x.dtype.type(0)
    for i in range(x.size):
        total += x[i] * zero
    return total


@compiled
def all_finite(x: FloatArray) -> bool:
    """Return whether no number is NaN or infinite."""
    total = 0.0
    for start in range(0, x.size, _ADDED):
        total += _zeros(x[start : start + _ADDED])
    return total == 0


@compiled
def sum_rows(x: FloatArray, out: FloatArray) -> None:
    """Write the sum of the rows of x into `out`, whose size is that of a row."""
    n = out.size
    sums, totals = np.empty(loops.joined_size(n), out.dtype), np.zeros(n)
    for first in range(0, x.size, _ROWS_ADDED * n):
        some = x[first : first + _ROWS_ADDED * n]
        sums[:] = 0
        for start in range(0, some.size, sums.size):
            part = some[start : start + sums.size]
            loops.add(sums[: part.size], part)
        for place in range(sums.size):
            totals[place % n] += sums[place]
    for i in range(n):
        out[i] = totals[i]


@inlined
def _exponentials(x: FloatArray) -> None:
    for i in range(x.size):
        x[i] = exp_of(x[i])


@inlined
def _subtract_number(x: FloatArray, number: float, out: FloatArray) -> None:
    for i in range(x.size):
        out[i] = x[i] - number


@inlined
def _divide(x: FloatArray, number: float) -> None:
    for i in range(x.size):
        x[i] /= number


@inlined
def _place_of_largest(x: FloatArray) -> int:
    """Return the place of the first of the largest numbers, or of the last NaN."""
    place = 0
    for i in range(x.size):
        if x[i] > x[place] or x[i] != x[i]:
            place = i
    return place


@compiled
def softmax(z: FloatArray, out: FloatArray, n: int) -> None:
    """Write the softmax of each row of n numbers into `out`."""
    for start in range(0, z.size, n):
        row = z[start : start + n]
        _subtract_number(row, row[_place_of_largest(row)], out[start : start + n])
    _exponentials(out)
    for start in range(0, z.size, n):
        row = out[start : start + n]
        _divide(row, loops.total_of(row))


@compiled
def softmax_cross_entropy(z: FloatArray, y: FloatArray, out: FloatArray, values: FloatArray) -> None:
    """Write ln Σ_k exp(z_k) − Σ_k y_k z_k of each row into `values`, and softmax(z) − y into `out`."""
    n = z.size // values.size
    places = np.empty(values.size, np.int64)
    for i in range(values.size):
        row, differences = z[i * n : (i + 1) * n], out[i * n : (i + 1) * n]
        places[i] = _place_of_largest(row)
        _subtract_number(row, row[places[i]], differences)
        values[i] = -loops.total_of_products(differences, y[i * n : (i + 1) * n])
    _exponentials(out)
    for i in range(values.size):
        row = out[i * n : (i + 1) * n]
        largest = row[places[i]]  # 1, or NaN
        row[places[i]] = 0  # because adding 1 would round the small numbers away
        others = loops.total_of(row)
        row[places[i]] = largest
        values[i] += np.log1p(others)
        _divide(row, largest + others)
    loops.subtract(out, y, out)


@compiled
def binary_cross_entropy(z: FloatArray, y: FloatArray, out: FloatArray, values: FloatArray) -> None:
    """Write Σ_k ln(1 + exp(z_k)) − y_k z_k of each row into `values`, and 1 / (1 + exp(−z)) − y into `out`."""
    n = z.size // values.size
    n_rows = loops.joined_size(n) // n
    terms = np.empty(n_rows * n, z.dtype)
    for first in range(0, values.size, n_rows):
        some = slice(first * n, min(first + n_rows, values.size) * n)
        loops.binary_cross_entropy(z[some], y[some], out[some], terms)
        for i in range(first, min(first + n_rows, values.size)):
            values[i] = loops.total_of(terms[(i - first) * n : (i - first + 1) * n])
