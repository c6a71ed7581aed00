"""What the hot loop is made of, in the form in which NumPy and BLAS are fastest, and sums in an exact one.

An evaluation is five matrix products per pair of layers, and a dozen passes over the activations in between. What each
operation saves of the plain form's time, with 64 features and 25 hidden units in float64 (`make bench-kernels`):

- products of narrow layers as stacks of small ones: a fifth to a third;
- a row added to many narrow rows at once: a third;
- 1 / x as a division: half;
- bias and sigmoid, with these two and without a pass to change the sign: a sixth.

Each falls back to the plain form where it does not apply. The choice depends on shapes and dtypes alone, so the result
has the same bits on any number of threads.

The sums, from `sum_of_squares` on, are there to be exact. BLAS, and NumPy where it adds rows up, add float32 numbers
one after another, in float32. The larger the sum has become, the more of every further number is rounded away, and
where all are of one sign these errors add up: the squares of 400,000 residuals came out wrong in the fifth digit. So
some hundreds of numbers are added up at once, and then their sums: in float64 where there may be many. This takes one
to three microseconds a block. Sums of float64 numbers are taken as they were: their errors are a billion times smaller.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from rhohat.common.arrays import FloatArray

__all__ = [
    "add_row",
    "column_sums",
    "multiply",
    "multiply_transposed",
    "reciprocal",
    "row_products",
    "subtract_from_row",
    "sum_of_squares",
    "sum_rows",
]

# BLAS takes a product of at most so many multiply-adds as it is. A larger one is first copied, piece by piece, into
# buffers of BLAS's own; where a layer is narrow that takes longer than multiplying.
_SMALL_PRODUCT = 10**6
_FEWEST_ROWS = 256  # in a small product; flatter ones do not pay

# NumPy starts an inner loop for every row when a vector is added to each, and a loop over 25 numbers is mostly start.
_LONG_ROW = 2**14  # numbers
_MOST_ROWS = 32  # joined to one

# Of float32 numbers, at most so many are added up at once. BLAS has dozens of sums under way where it adds up squares,
# and fewer where it adds up rows; einsum has eight.
_SQUARES_ADDED = 4096
_PRODUCTS_ADDED = 1024
_ROWS_ADDED = 256


def multiply(A: FloatArray, B: FloatArray, out: FloatArray) -> None:
    """Write A B into `out`.

    Parameters
    ----------
    A : array of shape (n_rows, k)
    B : array of shape (k, n)
    out : array of shape (n_rows, n)
    """
    n_rows = len(A)
    rows = _rows_of_small_product(n_rows, B.shape[0] * B.shape[1])
    if rows == n_rows:
        np.matmul(A, B, out=out)
        return
    whole = n_rows - n_rows % rows
    B = np.ascontiguousarray(B)  # small products of a transposed matrix are slow
    np.matmul(_stack(A[:whole], rows), B, out=_stack(out[:whole], rows))
    if whole < n_rows:
        np.matmul(A[whole:], B, out=out[whole:])


def multiply_transposed(A: FloatArray, B: FloatArray, out: FloatArray) -> None:
    """Write Aᵀ B, a sum over rows, into `out`.

    Parameters
    ----------
    A : array of shape (n_rows, k)
    B : array of shape (n_rows, n)
    out : array of shape (k, n)
    """
    n_rows = len(A)
    rows = _rows_of_small_product(n_rows, A.shape[1] * B.shape[1])
    if rows == n_rows:
        np.matmul(A.T, B, out=out)
        return
    whole = n_rows - n_rows % rows
    products = np.matmul(_stack(A[:whole], rows).transpose(0, 2, 1), _stack(B[:whole], rows))
    np.add.reduce(products, axis=0, out=out)
    if whole < n_rows:
        out += A[whole:].T @ B[whole:]


def add_row(X: FloatArray, row: FloatArray) -> None:
    """Add a row, of shape (n,), to each row of X, of shape (n_rows, n), in place."""
    joined = _joined_rows(*X.shape)
    if joined > 1 and X.flags.c_contiguous:
        X = X.reshape(-1, joined * row.size)
        row = _repeat(row, joined)
    X += row


def subtract_from_row(row: FloatArray, X: FloatArray) -> None:
    """Overwrite each row of X, of shape (n_rows, n), with the given row, of shape (n,), minus it."""
    joined = _joined_rows(*X.shape)
    if joined > 1 and X.flags.c_contiguous:
        X = X.reshape(-1, joined * row.size)
        row = _repeat(row, joined)
    np.subtract(row, X, out=X)


def reciprocal(X: FloatArray) -> None:
    """Overwrite X with 1 / X; NumPy's function of that name has no vector instructions and takes twice the time."""
    np.divide(1, X, out=X)


def sum_of_squares(X: FloatArray) -> float:
    """Return the sum of the squares of all numbers in an array of any shape."""
    flat = X.reshape(-1)
    if not _is_long(flat, _SQUARES_ADDED):
        return float(np.vdot(flat, flat))
    pieces, rest = _cut(flat, _SQUARES_ADDED)
    total = sum(np.vecdot(pieces, pieces).tolist())  # unlike NumPy's, this sum does not hand Python's lock on
    return total + float(np.vdot(rest, rest)) if rest.size else total


def row_products(A: FloatArray, B: FloatArray) -> FloatArray:
    """Return Σ_j a_ij b_ij for each row, of shape (n_rows,), in the dtype of the arrays.

    Parameters
    ----------
    A, B : arrays of shape (n_rows, n)
    """
    if not _is_long(A, _PRODUCTS_ADDED):
        products: FloatArray = np.einsum("ij,ij->i", A, B)
        return products
    (pieces, rest), (others, their_rest) = _cut(A, _PRODUCTS_ADDED), _cut(B, _PRODUCTS_ADDED)
    total = np.vecdot(pieces, others).sum(axis=-1, dtype=np.float64)
    total += np.vecdot(rest, their_rest)
    return total.astype(A.dtype)


def sum_rows(X: FloatArray, ones: FloatArray, out: FloatArray, weights: FloatArray | None = None) -> None:
    """Write the sum of all rows, or a weighted one, into `out`, by products: BLAS is faster than NumPy adding rows up.

    Parameters
    ----------
    X : array of shape (n_rows, n)
    ones : array of shape (1, n_rows)
    out : array of shape (1, n)
    weights : array of shape (1, n_rows), default=None
        How often each row counts; None means 1.
    """
    n_rows, n = X.shape
    factors = ones if weights is None else weights
    if X.dtype != np.float32 or n_rows <= _ROWS_ADDED:
        np.matmul(factors, X, out=out)
        return
    rows, n_sums = _rows_added(n_rows)
    whole = rows * n_sums
    fitting = X if whole == n_rows else X[:whole]
    if weights is None:
        sums = np.matmul(ones[:, :rows], fitting.reshape(rows, -1))  # of rows n_sums apart, side by side
    else:
        sums = np.matmul(weights[:, :whole].reshape(-1, 1, rows), _stack(fitting, rows))
    np.matmul(ones[:, :n_sums], sums.reshape(n_sums, n), out=out)
    if whole < n_rows:
        out += factors[:, whole:] @ X[whole:]


def column_sums(X: FloatArray) -> FloatArray:
    """Return the sum of all rows of X, of shape (n_rows, n), in its dtype, where no ones are at hand for `sum_rows`."""
    if X.dtype != np.float32:
        total: FloatArray = X.sum(0)
        return total
    out = np.empty((1, X.shape[1]), X.dtype)
    sum_rows(X, np.ones((1, len(X)), X.dtype), out)
    return out[0]


def _is_long(A: FloatArray, most: int) -> bool:
    """Return whether the last axis has more float32 numbers than may be added up at once."""
    return A.dtype == np.float32 and A.shape[-1] > most


def _cut(A: FloatArray, length: int) -> tuple[FloatArray, FloatArray]:
    """Return pieces of the last axis, of the given length, side by side on one more axis, and the rest."""
    whole = A.shape[-1] - A.shape[-1] % length
    return A[..., :whole].reshape(*A.shape[:-1], -1, length), A[..., whole:]


@lru_cache
def _rows_of_small_product(n_rows: int, multiply_adds_per_row: int) -> int:
    """Return how many rows each product of a stack has; all of them, where one product is best."""
    n_products = max(-(-n_rows * multiply_adds_per_row // _SMALL_PRODUCT), 1)
    rows = n_rows // n_products
    return n_rows if rows < _FEWEST_ROWS else rows


@lru_cache
def _rows_added(n_rows: int) -> tuple[int, int]:
    """Return how many rows are added up at once, and how often: so that none are left over, where that is possible."""
    fitting = (rows for rows in range(_ROWS_ADDED, _ROWS_ADDED // 8, -1) if n_rows % rows == 0)
    rows = next(fitting, _ROWS_ADDED)
    return rows, n_rows // rows


def _stack(A: FloatArray, rows: int) -> FloatArray:
    """Return a view of shape (n_products, rows, n_columns)."""
    return A.reshape(-1, rows, A.shape[1])


@lru_cache
def _joined_rows(n_rows: int, n_columns: int) -> int:
    """Return how many rows are taken as one: a power of two that divides their number."""
    joined = 1
    while joined < _MOST_ROWS and n_rows % (2 * joined) == 0 and 2 * joined * n_columns <= _LONG_ROW:
        joined *= 2
    return joined


def _repeat(row: FloatArray, times: int) -> FloatArray:
    return row[np.newaxis].repeat(times, axis=0).reshape(-1)
