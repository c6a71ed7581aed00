"""Functions of all numbers of an array in one loop: activations with the bias, their pull-backs, and losses.

Arrays are flat. Where a row is added to each row of a matrix, copies of the row are joined until they are long enough
for a loop over them to be fast.

Loops run over slices from their beginning to their end. Numba then knows that an index is not negative, without which
LLVM does not make vectors of a loop.
"""

from __future__ import annotations

import numpy as np

from rhohat.common.arrays import FloatArray
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

_JOINED = 512  # fewest numbers in joined rows
_ADDED = 4096  # numbers that are added up before their sum is added to others, in float64
_ROWS_ADDED = 256  # rows that are added up before their sum is added to others, in float64


@inlined
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
def _join(row: FloatArray) -> FloatArray:
    """Return copies of a row, one after another."""
    joined = np.empty(joined_size(row.size), row.dtype)
    join(row, joined)
    return joined


@summing
def _sum_of_squares(x: FloatArray) -> Number:
    """Return the sum of the squares of a few numbers, in their dtype."""
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i] * x[i]
    return total


@summing
def _sum(x: FloatArray) -> Number:
    """Return the sum of a few numbers, in their dtype."""
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i]
    return total


@inlined
def _add(x: FloatArray, y: FloatArray) -> None:
    """Add the numbers of y to those of x, which may be fewer."""
    for i in range(x.size):
        x[i] += y[i]


@compiled
def add_row(x: FloatArray, row: FloatArray) -> None:
    """Add a row to each row of x."""
    joined = _join(row)
    for start in range(0, x.size, joined.size):
        _add(x[start : start + joined.size], joined)


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


@inlined
def _sigmoid_with_bias(z: FloatArray, bias: FloatArray) -> None:
    for i in range(z.size):
        z[i] = sigmoid_of(z[i] + bias[i])


@compiled
def sigmoid_with_bias(z: FloatArray, bias: FloatArray) -> None:
    """Overwrite z with the sigmoid of z + bias."""
    joined = _join(bias)
    for start in range(0, z.size, joined.size):
        _sigmoid_with_bias(z[start : start + joined.size], joined)


@inlined
def _tanh_with_bias(z: FloatArray, bias: FloatArray) -> None:
    for i in range(z.size):
        z[i] = tanh_of(z[i] + bias[i])


@compiled
def tanh_with_bias(z: FloatArray, bias: FloatArray) -> None:
    """Overwrite z with tanh(z + bias)."""
    joined = _join(bias)
    for start in range(0, z.size, joined.size):
        _tanh_with_bias(z[start : start + joined.size], joined)


@inlined
def _relu_with_bias(z: FloatArray, bias: FloatArray) -> None:
    zero = z.dtype.type(0)
    for i in range(z.size):
        x = z[i] + bias[i]
        z[i] = zero if x < zero else x


@compiled
def relu_with_bias(z: FloatArray, bias: FloatArray) -> None:
    """Overwrite z with max(0, z + bias)."""
    joined = _join(bias)
    for start in range(0, z.size, joined.size):
        _relu_with_bias(z[start : start + joined.size], joined)


@compiled
def sigmoid_pull_back(a: FloatArray, delta: FloatArray) -> None:
    """Overwrite delta with delta a (1 − a)."""
    for i in range(a.size):
        delta[i] *= a[i] - a[i] * a[i]


@compiled
def tanh_pull_back(a: FloatArray, delta: FloatArray) -> None:
    """Overwrite delta with delta (1 − a²)."""
    for i in range(a.size):
        delta[i] -= delta[i] * (a[i] * a[i])


@compiled
def relu_pull_back(a: FloatArray, delta: FloatArray) -> None:
    """Overwrite delta with 0 where a is 0; where one of them is not finite there, the result is NaN, as it is not."""
    zero = a.dtype.type(0)
    for i in range(a.size):
        delta[i] = delta[i] if a[i] > zero else a[i] * delta[i]


@inlined
def _subtract(x: FloatArray, y: FloatArray, out: FloatArray) -> None:
    for i in range(out.size):
        out[i] = x[i] - y[i]


@compiled
def squared_error(outputs: FloatArray, y: FloatArray, out: FloatArray) -> float:
    """Return the sum of the squares of outputs − y, and write outputs − y into `out`."""
    total = 0.0
    for start in range(0, out.size, _ADDED):
        stop = start + _ADDED
        _subtract(outputs[start:stop], y[start:stop], out[start:stop])
        total += _sum_of_squares(out[start:stop])
    return total


@compiled
def sum_of_squares(x: FloatArray) -> float:
    """Return the sum of the squares of all numbers."""
    total = 0.0
    for start in range(0, x.size, _ADDED):
        total += _sum_of_squares(x[start : start + _ADDED])
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
    sums, totals = np.empty(joined_size(n), out.dtype), np.zeros(n)
    for first in range(0, x.size, _ROWS_ADDED * n):
        some = x[first : first + _ROWS_ADDED * n]
        sums[:] = 0
        for start in range(0, some.size, sums.size):
            part = some[start : start + sums.size]
            _add(sums[: part.size], part)
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
        _divide(row, _sum(row))


@summing
def _product(x: FloatArray, y: FloatArray) -> Number:
    """Return the sum of the products of a few numbers, in their dtype."""
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@compiled
def softmax_cross_entropy(z: FloatArray, y: FloatArray, out: FloatArray, values: FloatArray) -> None:
    """Write ln Σ_k exp(z_k) − Σ_k y_k z_k of each row into `values`, and softmax(z) − y into `out`."""
    n = z.size // values.size
    places = np.empty(values.size, np.int64)
    for i in range(values.size):
        row, differences = z[i * n : (i + 1) * n], out[i * n : (i + 1) * n]
        places[i] = _place_of_largest(row)
        _subtract_number(row, row[places[i]], differences)
        values[i] = -_product(differences, y[i * n : (i + 1) * n])
    _exponentials(out)
    for i in range(values.size):
        row = out[i * n : (i + 1) * n]
        largest = row[places[i]]  # 1, or NaN
        row[places[i]] = 0  # because adding 1 would round the small numbers away
        others = _sum(row)
        row[places[i]] = largest
        values[i] += np.log1p(others)
        _divide(row, largest + others)
    _subtract(out, y, out)


@inlined
def _binary_cross_entropy(z: FloatArray, y: FloatArray, out: FloatArray, terms: FloatArray) -> None:
    zero = z.dtype.type(0)
    for k in range(z.size):
        above = zero if z[k] < zero else z[k]
        terms[k] = (above - y[k] * z[k]) + softplus_tail_of(z[k])
    for k in range(z.size):
        out[k] = sigmoid_of(z[k]) - y[k]


@compiled
def binary_cross_entropy(z: FloatArray, y: FloatArray, out: FloatArray, values: FloatArray) -> None:
    """Write Σ_k ln(1 + exp(z_k)) − y_k z_k of each row into `values`, and 1 / (1 + exp(−z)) − y into `out`."""
    n = z.size // values.size
    n_rows = -(-_JOINED // n)
    terms = np.empty(n_rows * n, z.dtype)
    for first in range(0, values.size, n_rows):
        some = slice(first * n, min(first + n_rows, values.size) * n)
        _binary_cross_entropy(z[some], y[some], out[some], terms)
        for i in range(first, min(first + n_rows, values.size)):
            values[i] = _sum(terms[(i - first) * n : (i - first + 1) * n])
