"""Sparse codes of dictionaries: found in a product while its parts are in the cache, decoded, and differentiated.

The arrays of a code are those of a matrix in compressed sparse row format, sorted by row and then by latent: `starts`,
of shape (m + 1,), says where each row begins in `latents` and `values`. Matrices of weights have a row for each latent,
so that everything that belongs to a latent lies together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.ops.compiled.bits import N_COMPARED, bits_above, lowest_bit
from rhohat.ops.compiled.compiling import Number, compiled, inlined, shared
from rhohat.ops.compiled.loops import total_of_products, total_of_squares
from rhohat.ops.compiled.products import copied_size, copy_columns, write_product

__all__ = [
    "collect",
    "gather_gradients",
    "group_by_row",
    "keep_largest",
    "normalise_rows",
    "project_off_rows",
    "residuals",
    "transpose",
]

_LATENTS = 256  # latents whose weights are copied at a time, so that they stay in the cache
_ROWS = 64  # rows whose products with these weights are computed at a time
_MOST_ADDED = 256  # terms of a product that are added up at a time


@compiled
def collect(
    X: FloatArray,
    W: FloatArray,
    bias: FloatArray,
    thresholds: FloatArray,
    rows: NDArray[np.int32],
    latents: NDArray[np.int32],
    values: FloatArray,
) -> int:
    """Write the numbers of X Wᵀ + bias that exceed the threshold of their column, with their rows and columns.

    Parameters
    ----------
    X : array of shape (m, n)
        At least 8 rows.
    W : array of shape (n_latents, n)
    bias, thresholds : arrays of shape (n_latents,)
    rows, latents, values : arrays of shape (capacity,)
        Overwritten with what is found, tile by tile; the numbers of a row are in the order of the latents.

    Returns
    -------
    int
        How many numbers exceed their thresholds. If there are more than fit, the others are only counted.
    """
    n_rows, n_columns = X.shape
    n_latents, size = W.shape[0], X.itemsize
    copy = np.empty(copied_size(np.int64(n_columns), _LATENTS, size), X.dtype)
    product = np.empty(_ROWS * _LATENTS, X.dtype)
    n_blocks = -(-n_rows // _ROWS)
    found = 0
    for first in range(0, n_latents, _LATENTS):
        n_there = min(_LATENTS, n_latents - first)
        place = 0
        for start in range(0, n_columns, _MOST_ADDED):
            n_added = min(_MOST_ADDED, n_columns - start)
            length = copied_size(np.int64(n_added), n_there, size)
            copy_columns(W[first : first + n_there], np.int64(start), n_added, copy[place : place + length])
            place += length
        some_bias, some_thresholds = bias[first : first + n_there], thresholds[first : first + n_there]
        for block in range(n_blocks):
            # Blocks of nearly equal size, none of which has fewer rows than a tile.
            begin, end = block * n_rows // n_blocks, (block + 1) * n_rows // n_blocks
            out = product[: (end - begin) * n_there].reshape((end - begin, n_there))
            place = 0
            for start in range(0, n_columns, _MOST_ADDED):
                n_added = min(_MOST_ADDED, n_columns - start)
                a = X.ctypes.data + (begin * n_columns + start) * size
                b = copy.ctypes.data + place * size
                write_product(
                    a, np.int64(n_columns), np.int64(1), b, np.int64(0), np.int64(n_added), out, np.bool_(start > 0)
                )
                place += copied_size(np.int64(n_added), n_there, size)
            for row in range(end - begin):
                found = _collect_row(
                    out[row], some_bias, some_thresholds, begin + row, first, rows, latents, values, found
                )
    return found


@inlined
def _collect_row(
    z: FloatArray,
    bias: FloatArray,
    thresholds: FloatArray,
    row: int,
    first: int,
    rows: NDArray[np.int32],
    latents: NDArray[np.int32],
    values: FloatArray,
    found: int,
) -> int:
    """Write what exceeds its threshold among successive numbers of a row, and return how many were found in all."""
    size, like = z.itemsize, z.dtype.type(0)
    n_whole = z.size - z.size % N_COMPARED
    for start in range(0, n_whole, N_COMPARED):
        bits = bits_above(
            like, z.ctypes.data + start * size, bias.ctypes.data + start * size, thresholds.ctypes.data + start * size
        )
        while bits != 0:
            place = start + lowest_bit(bits)
            bits &= bits - 1
            if found < values.size:
                rows[found], latents[found], values[found] = row, first + place, z[place] + bias[place]
            found += 1
    for place in range(n_whole, z.size):
        value = z[place] + bias[place]
        if value > thresholds[place]:
            if found < values.size:
                rows[found], latents[found], values[found] = row, first + place, value
            found += 1
    return found


@compiled
def group_by_row(
    rows: NDArray[np.int32],
    latents: NDArray[np.int32],
    values: FloatArray,
    starts: NDArray[np.int64],
    sorted_latents: NDArray[np.int32],
    sorted_values: FloatArray,
) -> None:
    """Sort the entries that `collect` found by rows, which keeps the order of a row's latents.

    Parameters
    ----------
    rows, latents, values : arrays of shape (n_entries,)
    starts : array of shape (m + 1,)
        Overwritten with the place at which each row begins.
    sorted_latents, sorted_values : arrays of shape (n_entries,)
        Overwritten.
    """
    starts[:] = 0
    for row in rows:
        starts[row + 1] += 1
    for row in range(starts.size - 1):
        starts[row + 1] += starts[row]
    places = starts.copy()
    for entry in range(rows.size):
        row = rows[entry]
        place = places[row]
        sorted_latents[place], sorted_values[place] = latents[entry], values[entry]
        places[row] = place + 1


@compiled
def keep_largest(starts: NDArray[np.int64], latents: NDArray[np.int32], values: FloatArray, k: int) -> None:
    """Keep the k largest entries of each row, the first of equal ones, and move them to the front of the arrays.

    Parameters
    ----------
    starts : array of shape (m + 1,)
        Where each row begins; overwritten with where it begins afterwards.
    latents, values : arrays of shape (n_entries,)
        Changed in place; what comes after the last row is not defined.
    k : int
    """
    longest = 0
    for row in range(starts.size - 1):
        longest = max(longest, starts[row + 1] - starts[row])
    scratch = np.empty(longest, values.dtype)
    end, begin = 0, starts[0]
    for row in range(starts.size - 1):
        stop = starts[row + 1]
        count = stop - begin
        starts[row] = end
        if count <= k:
            for entry in range(begin, stop):
                latents[end], values[end] = latents[entry], values[entry]
                end += 1
        else:
            for i in range(count):
                scratch[i] = values[begin + i]
            least = _kth_largest(scratch[:count], k)
            n_equal = k
            for i in range(count):
                if values[begin + i] > least:
                    n_equal -= 1
            for entry in range(begin, stop):
                value = values[entry]
                if value > least or (value == least and n_equal > 0):
                    if value == least:
                        n_equal -= 1
                    latents[end], values[end] = latents[entry], value
                    end += 1
        begin = stop
    starts[starts.size - 1] = end


@shared
def _kth_largest(x: FloatArray, k: int) -> Number:
    """Return the k-th largest number, by Hoare's selection, which changes the order of the numbers."""
    low, high, wanted = 0, x.size - 1, k - 1
    while low < high:
        pivot = x[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while x[i] > pivot:
                i += 1
            while x[j] < pivot:
                j -= 1
            if i <= j:
                x[i], x[j] = x[j], x[i]
                i += 1
                j -= 1
        if wanted <= j:
            high = j
        elif wanted >= i:
            low = i
        else:
            break
    return x[wanted]


@compiled
def residuals(
    starts: NDArray[np.int64],
    latents: NDArray[np.int32],
    values: FloatArray,
    first: int,
    stop: int,
    W: FloatArray,
    bias: FloatArray,
    targets: FloatArray,
    ends: NDArray[np.int64],
    scale: float,
    out: FloatArray,
    errors: NDArray[np.float64],
    derivatives: FloatArray,
) -> None:
    """Decode rows `first` to `stop` of codes, and differentiate the error by them; see `CodeOps.residuals`."""
    n_prefixes, n_columns = ends.size, W.shape[1]
    factor = W.dtype.type(scale / n_prefixes)
    for row in range(first, stop):
        made, target = bias.copy(), targets[row]
        entry, end = starts[row], starts[row + 1]
        error = 0.0
        for prefix in range(n_prefixes):
            begin = entry
            while entry < end and latents[entry] < ends[prefix]:
                entry += 1
            _add_multiples(W, latents[begin:entry], values[begin:entry], made)
            residual = out[prefix, row]
            for i in range(n_columns):
                residual[i] = made[i] - target[i]
            error += total_of_squares(residual)
            for i in range(n_columns):
                residual[i] *= factor
        errors[row] = 0.5 * error / n_prefixes
        for prefix in range(n_prefixes - 2, -1, -1):
            shorter, longer = out[prefix, row], out[prefix + 1, row]
            for i in range(n_columns):
                shorter[i] += longer[i]
        entry = starts[row]
        for prefix in range(n_prefixes):
            residual = out[prefix, row]
            while entry < end and latents[entry] < ends[prefix]:
                derivatives[entry] = total_of_products(residual, W[latents[entry]])
                entry += 1


@inlined
def _add_multiples(W: FloatArray, rows: NDArray[np.int32], factors: FloatArray, out: FloatArray) -> None:
    """Add multiples of some rows of a matrix to a vector, four at a time."""
    n_whole = rows.size - rows.size % 4
    for k in range(0, n_whole, 4):
        a, b, c, d = factors[k], factors[k + 1], factors[k + 2], factors[k + 3]
        w, x, y, z = W[rows[k]], W[rows[k + 1]], W[rows[k + 2]], W[rows[k + 3]]
        for i in range(out.size):
            out[i] += (a * w[i] + b * x[i]) + (c * y[i] + d * z[i])
    for k in range(n_whole, rows.size):
        a, w = factors[k], W[rows[k]]
        for i in range(out.size):
            out[i] += a * w[i]


@compiled
def transpose(
    starts: NDArray[np.int64],
    latents: NDArray[np.int32],
    starts_of_latents: NDArray[np.int64],
    rows: NDArray[np.int32],
    entries: NDArray[np.int32],
) -> None:
    """Find the entries of each latent in a code, in the order of the rows.

    Parameters
    ----------
    starts : array of shape (m + 1,)
        Where each row begins in `latents`.
    latents : array of shape (n_entries,)
    starts_of_latents : array of shape (n_latents + 1,)
        Overwritten with where each latent begins in `rows` and `entries`.
    rows, entries : arrays of shape (n_entries,)
        Overwritten with the row of each entry, and with its place in the code.
    """
    starts_of_latents[:] = 0
    for latent in latents:
        starts_of_latents[latent + 1] += 1
    for latent in range(starts_of_latents.size - 1):
        starts_of_latents[latent + 1] += starts_of_latents[latent]
    places = starts_of_latents.copy()
    for row in range(starts.size - 1):
        for entry in range(starts[row], starts[row + 1]):
            latent = latents[entry]
            place = places[latent]
            rows[place], entries[place] = row, entry
            places[latent] = place + 1


@compiled
def gather_gradients(
    starts: NDArray[np.int64],
    rows: NDArray[np.int32],
    entries: NDArray[np.int32],
    factors: FloatArray,
    vectors: FloatArray,
    out: FloatArray,
) -> None:
    """Add, to the row of each latent, the multiples of the vectors of the rows in which the latent is active.

    Parameters
    ----------
    starts : array of shape (n_latents + 1,)
        Where each of these latents begins in `rows` and `entries`.
    rows, entries : arrays of shape (n_entries,)
        See `transpose`.
    factors : array of shape (n_entries,)
        A factor for each entry, at its place in the code.
    vectors : array of shape (m, n)
        A vector for each row; the numbers of a vector are contiguous.
    out : array of shape (n_latents, n)
        Overwritten.
    """
    longest = 0
    for latent in range(out.shape[0]):
        longest = max(longest, starts[latent + 1] - starts[latent])
    some = np.empty(longest, factors.dtype)
    for latent in range(out.shape[0]):
        begin, stop = starts[latent], starts[latent + 1]
        for i in range(stop - begin):
            some[i] = factors[entries[begin + i]]
        total = out[latent]
        total[:] = 0
        _add_multiples(vectors, rows[begin:stop], some[: stop - begin], total)


@compiled
def project_off_rows(gradient: FloatArray, W: FloatArray) -> None:
    """Subtract from each row of a gradient its part along the row of W, which has norm 1."""
    for row in range(W.shape[0]):
        w, g = W[row], gradient[row]
        along = total_of_products(w, g)
        for i in range(w.size):
            g[i] -= along * w[i]


@compiled
def normalise_rows(W: FloatArray) -> None:
    """Divide each row by its norm; a row of zeros stays."""
    for row in range(W.shape[0]):
        w = W[row]
        square = total_of_squares(w)
        if square > 0:
            factor = W.dtype.type(1 / np.sqrt(square))
            for i in range(w.size):
                w[i] *= factor
