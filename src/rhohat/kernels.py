"""What the hot loop is made of, each operation in the form in which NumPy and BLAS are fastest.

An evaluation is five matrix products per pair of layers, and a dozen passes over the activations in between. What each
operation saves of the plain form's time, with 64 features and 25 hidden units in float64 (`make bench-kernels`):

- products of narrow layers as stacks of small ones: a fifth to a third;
- a row added to many narrow rows at once: a third;
- 1 / x as a division: half;
- bias and sigmoid, with these two and without a pass to change the sign: a sixth.

Each falls back to the plain form where it does not apply, and for arrays that are not NumPy's. The choice depends on
shapes alone, so the result has the same bits on any number of threads.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from rhohat.arrays import FloatArray, array_namespace

__all__ = ["add_row", "multiply", "multiply_transposed", "reciprocal", "subtract_from_row"]

# BLAS takes a product of at most so many multiply-adds as it is. A larger one is first copied, piece by piece, into
# buffers of BLAS's own; where a layer is narrow that takes longer than multiplying.
_SMALL_PRODUCT = 10**6
_FEWEST_ROWS = 256  # in a small product; flatter ones do not pay

# NumPy starts an inner loop for every row when a vector is added to each, and a loop over 25 numbers is mostly start.
_LONG_ROW = 2**14  # numbers
_MOST_ROWS = 32  # joined to one


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
    if rows == n_rows or type(out) is not np.ndarray:
        array_namespace(out).matmul(A, B, out=out)
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
    if rows == n_rows or type(out) is not np.ndarray:
        array_namespace(out).matmul(A.T, B, out=out)
        return
    whole = n_rows - n_rows % rows
    products = np.matmul(_stack(A[:whole], rows).transpose(0, 2, 1), _stack(B[:whole], rows))
    np.add.reduce(products, axis=0, out=out)
    if whole < n_rows:
        out += A[whole:].T @ B[whole:]


def add_row(X: FloatArray, row: FloatArray) -> None:
    """Add a row, of shape (n,), to each row of X, of shape (n_rows, n), in place."""
    joined = _joined_rows(*X.shape)
    if joined > 1 and type(X) is np.ndarray and X.flags.c_contiguous:
        X = X.reshape(-1, joined * row.size)
        row = _repeat(row, joined)
    X += row


def subtract_from_row(row: FloatArray, X: FloatArray) -> None:
    """Overwrite each row of X, of shape (n_rows, n), with the given row, of shape (n,), minus it."""
    joined = _joined_rows(*X.shape)
    if joined > 1 and type(X) is np.ndarray and X.flags.c_contiguous:
        X = X.reshape(-1, joined * row.size)
        row = _repeat(row, joined)
    array_namespace(X).subtract(row, X, out=X)


def reciprocal(X: FloatArray) -> None:
    """Overwrite X with 1 / X; NumPy's function of that name has no vector instructions and takes twice the time."""
    if type(X) is np.ndarray:
        np.divide(1, X, out=X)
    else:
        array_namespace(X).reciprocal(X, out=X)


@lru_cache
def _rows_of_small_product(n_rows: int, multiply_adds_per_row: int) -> int:
    """Return how many rows each product of a stack has; all of them, where one product is best."""
    n_products = max(-(-n_rows * multiply_adds_per_row // _SMALL_PRODUCT), 1)
    rows = n_rows // n_products
    return n_rows if rows < _FEWEST_ROWS else rows


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
