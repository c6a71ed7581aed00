"""The operations of the inner loop, written so that NumPy and BLAS are fastest, and sums that are accurate in float32.

An evaluation of the objective consists of five matrix products per pair of layers, and a dozen passes over the
activations in between. With 64 features and 25 hidden units in float64, the operations here save the following
fractions of the time that the plain form, a single NumPy expression, takes (`make bench-kernels`):

- products of narrow layers, computed as stacks of small products: a fifth to a third;
- adding a row to many narrow rows at once: a third;
- 1 / x, computed as a division: half;
- bias and sigmoid, which use the last two and need no separate pass to change the sign: a sixth.

Each operation falls back to the plain form where the fast form does not apply. The choice depends on shapes and dtypes
alone, so that the result has the same bits on any number of threads.

The sums, from `sum_of_squares` on, are written for accuracy. BLAS, and NumPy where it adds up rows, add float32 numbers
one after another in float32. The larger the sum has become, the more of every further number is rounded away, and where
all numbers have the same sign these errors accumulate: the sum of the squares of 400,000 residuals was wrong in the
fifth digit. The functions here therefore add up some hundreds of numbers at a time and then add up these partial sums,
in float64 where there may be many of them. This takes one to three microseconds per block. Sums of float64 numbers are
computed in the plain form, because their errors are a billion times smaller.
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

# BLAS computes a product of at most this many multiply-adds directly. It first copies the matrices of a larger product,
# piece by piece, into buffers of its own; for a narrow layer, this takes longer than the multiplications.
_SMALL_PRODUCT = 10**6
_FEWEST_ROWS = 256  # fewest rows of a small product; products with fewer rows save no time

# When NumPy adds a vector to each row, it starts an inner loop for every row. A loop over 25 numbers spends most of its
# time on starting.
_LONG_ROW = 2**14  # most numbers in a row that is made by joining several rows
_MOST_ROWS = 32  # most rows that are joined into one

# The most float32 numbers that are added up in one partial sum. The limits differ because BLAS keeps dozens of running
# sums when it adds up squares and fewer when it adds up rows, and einsum keeps eight.
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
    B = np.ascontiguousarray(B)  # because small products with a transposed matrix are slow
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
    """Overwrite each row x of X, of shape (n_rows, n), with row − x, where `row` has the shape (n,)."""
    joined = _joined_rows(*X.shape)
    if joined > 1 and X.flags.c_contiguous:
        X = X.reshape(-1, joined * row.size)
        row = _repeat(row, joined)
    np.subtract(row, X, out=X)


def reciprocal(X: FloatArray) -> None:
    """Overwrite X with 1 / X.

    This is faster than `numpy.reciprocal`, which uses no vector instructions and takes twice the time.
    """
    np.divide(1, X, out=X)


def sum_of_squares(X: FloatArray) -> float:
    """Return the sum of the squares of all numbers in an array of any shape."""
    flat = X.reshape(-1)
    if not _is_long(flat, _SQUARES_ADDED):
        return float(np.vdot(flat, flat))
    pieces, rest = _cut(flat, _SQUARES_ADDED)
    total = sum(np.vecdot(pieces, pieces).tolist())  # Python's sum, unlike NumPy's, keeps the interpreter lock
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
    """Write the sum, or a weighted sum, of all rows into `out`.

    The sum is computed by matrix products, because BLAS is faster than NumPy at adding up rows.

    Parameters
    ----------
    X : array of shape (n_rows, n)
    ones : array of shape (1, n_rows)
    out : array of shape (1, n)
    weights : array of shape (1, n_rows), default=None
        Weight of each row in the sum; None means 1 for every row.
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
        sums = np.matmul(ones[:, :rows], fitting.reshape(rows, -1))  # sums of rows that are n_sums apart, side by side
    else:
        sums = np.matmul(weights[:, :whole].reshape(-1, 1, rows), _stack(fitting, rows))
    np.matmul(ones[:, :n_sums], sums.reshape(n_sums, n), out=out)
    if whole < n_rows:
        out += factors[:, whole:] @ X[whole:]


def column_sums(X: FloatArray) -> FloatArray:
    """Return the sum of all rows of X, which has the shape (n_rows, n), in the dtype of X.

    Unlike `sum_rows`, it needs no array of ones.
    """
    if X.dtype != np.float32:
        total: FloatArray = X.sum(0)
        return total
    out = np.empty((1, X.shape[1]), X.dtype)
    sum_rows(X, np.ones((1, len(X)), X.dtype), out)
    return out[0]


def _is_long(A: FloatArray, most: int) -> bool:
    """Return whether A is float32 and its last axis is longer than `most`, the limit of one partial sum."""
    return A.dtype == np.float32 and A.shape[-1] > most


def _cut(A: FloatArray, length: int) -> tuple[FloatArray, FloatArray]:
    """Cut the last axis into pieces of the given length, stacked along an added axis, and a shorter rest."""
    whole = A.shape[-1] - A.shape[-1] % length
    return A[..., :whole].reshape(*A.shape[:-1], -1, length), A[..., whole:]


@lru_cache
def _rows_of_small_product(n_rows: int, multiply_adds_per_row: int) -> int:
    """Return the number of rows of each product of a stack; all rows, if a single product is fastest."""
    n_products = max(-(-n_rows * multiply_adds_per_row // _SMALL_PRODUCT), 1)
    rows = n_rows // n_products
    return n_rows if rows < _FEWEST_ROWS else rows


@lru_cache
def _rows_added(n_rows: int) -> tuple[int, int]:
    """Return the rows per partial sum and the number of partial sums, leaving no rows over where that is possible."""
    fitting = (rows for rows in range(_ROWS_ADDED, _ROWS_ADDED // 8, -1) if n_rows % rows == 0)
    rows = next(fitting, _ROWS_ADDED)
    return rows, n_rows // rows


def _stack(A: FloatArray, rows: int) -> FloatArray:
    """Return a view of A as a stack of blocks of rows, of shape (n_products, rows, n_columns)."""
    return A.reshape(-1, rows, A.shape[1])


@lru_cache
def _joined_rows(n_rows: int, n_columns: int) -> int:
    """Return how many rows are joined into one: a power of two that divides the number of rows."""
    joined = 1
    while joined < _MOST_ROWS and n_rows % (2 * joined) == 0 and 2 * joined * n_columns <= _LONG_ROW:
        joined *= 2
    return joined


def _repeat(row: FloatArray, times: int) -> FloatArray:
    return row[np.newaxis].repeat(times, axis=0).reshape(-1)
