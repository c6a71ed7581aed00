"""Matrix products, computed in tiles that stay in registers."""

from __future__ import annotations

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.ops.compiled import tiles
from rhohat.ops.compiled.compiling import Number, also_python, compiled, inlined, not_inlined, shared
from rhohat.ops.compiled.tiles import copy_vector, transpose_tile

__all__ = ["FEWEST_ROWS", "HAS_AVX512", "copied_size", "copy_columns", "copy_rows", "multiply", "write_product"]

#: A product of fewer rows has no tile.
FEWEST_ROWS = max(tiles.ROWS)
HAS_AVX512 = tiles.LANES == 8

_LANES = tiles.LANES
_ROWS = tiles.ROWS
_MOST_VECTORS = len(tiles.TILES)
_tile_1, _tile_2, _tile_3, _tile_4 = (*tiles.TILES, tiles.TILES[-1])[:4]

#: The most terms that are added up before their sum is added to others. The rows of B that they need stay in the cache,
#: and few digits of a float32 sum are lost.
_MOST_ADDED = 256
#: Rows of a product from which it is worth copying the right matrix; see `_is_worth_copying`.
_WORTH_COPYING = 512
_WORTH_COPYING_PAGES = 64


@also_python
def vectors_of(n_columns: int, itemsize: int) -> tuple[int, int, int]:
    """Return the numbers in a vector, the vectors in a row of n columns, and the groups that they are divided into."""
    lanes = _LANES * 8 // itemsize
    n_vectors = -(-n_columns // lanes)
    return lanes, n_vectors, -(-n_vectors // _MOST_VECTORS)


@also_python
def copied_size(n_rows: Number, n_columns: int, itemsize: int) -> int:
    """Return how many numbers `copy_rows` writes."""
    lanes, n_vectors, _ = vectors_of(n_columns, itemsize)
    return n_rows * n_vectors * lanes


@shared
def copy_rows(B: FloatArray, out: FloatArray) -> None:
    """Copy rows so that those of each group of columns lie together, and fill the last vectors with zeros."""
    not_inlined()
    n_rows, n_columns = B.shape
    like, size = B.dtype.type(0), B.itemsize
    lanes, n_vectors, n_groups = vectors_of(n_columns, size)
    for row in range(n_rows):
        column = 0
        for group in range(n_groups):
            width = n_vectors // n_groups + (1 if group < n_vectors % n_groups else 0)
            at_b = B.ctypes.data + row * B.strides[0] + column * size
            at_copy = out.ctypes.data + (column * n_rows + row * width * lanes) * size
            for vector in range(width):
                place = vector * lanes
                copy_vector(like, at_b + place * size, at_copy + place * size, n_columns - column - place)
            column += width * lanes


@shared
def write_product(
    a: Number,
    a_row: Number,
    a_k: Number,
    b: Number,
    b_k: Number,
    n_k: Number,
    out: FloatArray,
    add: Number,
) -> None:
    """Write a matrix product into `out`, or add it, group by group and tile by tile.

    The columns are shared as evenly as possible between groups of at most 4 vectors. The last tile of a group begins
    early enough to be whole, and leaves the rows that it shares with the tile before as they are.

    Parameters
    ----------
    a : int
        Address of the left matrix, of shape (m, n_k).
    a_row, a_k : int
        Distances, in numbers, of successive rows and columns of the left matrix.
    b : int
        Address of the right matrix, of shape (n_k, n).
    b_k : int
        Distance, in numbers, of successive rows of the right matrix, which is read in whole vectors; these may end
        after the end of the matrix. 0 if the matrix is as `copy_rows` wrote it.
    n_k : int
        Number of columns of the left matrix, and of rows of the right one.
    out : array of shape (m, n)
        It has at least `FEWEST_ROWS` rows.
    add : bool
        Whether the product is added to `out`.
    """
    not_inlined()
    n_rows, n_columns = out.shape
    size = out.itemsize
    like = out.dtype.type(0)
    lanes, n_vectors, n_groups = vectors_of(n_columns, size)
    column = 0
    for group in range(n_groups):
        width = n_vectors // n_groups + (1 if group < n_vectors % n_groups else 0)
        height = _ROWS[width]
        tail = min(n_columns - column - (width - 1) * lanes, lanes)
        at_b = b + column * (1 if b_k > 0 else n_k) * size
        distance = b_k if b_k > 0 else width * lanes
        done = 0
        while done < n_rows:
            row = min(done, n_rows - height)
            at_a, at_c = a + row * a_row * size, out.ctypes.data + (row * n_columns + column) * size
            if width == 4:
                _tile_4(like, at_a, a_row, a_k, at_b, distance, at_c, n_columns, n_k, tail, done - row, add)
            elif width == 3:
                _tile_3(like, at_a, a_row, a_k, at_b, distance, at_c, n_columns, n_k, tail, done - row, add)
            elif width == 2:
                _tile_2(like, at_a, a_row, a_k, at_b, distance, at_c, n_columns, n_k, tail, done - row, add)
            else:
                _tile_1(like, at_a, a_row, a_k, at_b, distance, at_c, n_columns, n_k, tail, done - row, add)
            done = row + height
        column += width * lanes


@shared
def copy_columns(B: FloatArray, first: Number, n_rows: int, out: FloatArray) -> None:
    """Copy some rows of the transpose of B as `copy_rows` does; they are columns of B, from the given one on."""
    not_inlined()
    n_columns, size = B.shape[0], B.itemsize
    like = B.dtype.type(0)
    lanes, n_vectors, n_groups = vectors_of(n_columns, size)
    whole = n_rows - n_rows % lanes
    column = 0
    for group in range(n_groups):
        length = (n_vectors // n_groups + (1 if group < n_vectors % n_groups else 0)) * lanes
        copy = out[column * n_rows : (column + length) * n_rows].reshape(n_rows, length)
        for start in range(0, length, lanes):
            row = 0
            if column + start + lanes <= n_columns:
                at_b = B.ctypes.data + (column + start) * B.strides[0] + first * size
                while row < whole:
                    at_copy = copy.ctypes.data + (row * length + start) * size
                    transpose_tile(like, at_b + row * size, B.strides[0] // size, at_copy, length)
                    row += lanes
            for i in range(start, start + lanes):
                for rest in range(row, n_rows):
                    copy[rest, i] = B[column + i, first + rest] if column + i < n_columns else 0
        column += length


@compiled
def multiply(A: FloatArray, B: FloatArray, out: FloatArray, transposed: bool, b_transposed: bool) -> None:
    """Write A B into `out`, or Aᵀ B, or A Bᵀ.

    Where that is faster, the rows of B are copied first, so that those of each group of columns lie together.

    Parameters
    ----------
    A : array of shape (m, k), or (k, m) if transposed
    B : array of shape (k, n), or (n, k) if transposed
        The rows of A and of B are contiguous, but need not follow one another.
    out : array of shape (m, n)
        It has at least `FEWEST_ROWS` rows.
    transposed, b_transposed : bool
        Whether A is transposed, and whether B is.
    """
    n_rows, n_columns = out.shape
    n_k, size = B.shape[1] if b_transposed else B.shape[0], out.itemsize
    copy = np.empty(copied_size(min(n_k, _MOST_ADDED), n_columns, size), out.dtype)
    stride, b_row = A.strides[0] // size, B.strides[0] // size
    a_row, a_k = (1, stride) if transposed else (stride, 1)
    # Reading whole vectors where B is, one reads beyond its end in its last rows.
    beyond = -(-(copied_size(np.int64(1), n_columns, size) - n_columns) // n_columns)
    in_place = not b_transposed and not _is_worth_copying(n_rows, b_row * size)
    start = 0
    while start < n_k:
        a = A.ctypes.data + start * a_k * size
        n_added = min(n_k - start, _MOST_ADDED)
        if in_place and start < n_k - beyond:
            n_added = min(n_added, n_k - beyond - start)
            b = B.ctypes.data + start * b_row * size
            write_product(a, a_row, a_k, b, b_row, n_added, out, start > 0)
        else:
            if b_transposed:
                copy_columns(B, np.int64(start), n_added, copy)
            else:
                copy_rows(B[start : start + n_added], copy)
            write_product(a, a_row, a_k, np.int64(copy.ctypes.data), np.int64(0), n_added, out, start > 0)
        start += n_added


@inlined
def _is_worth_copying(n_rows: int, row_size: int) -> bool:
    """Return whether it is faster to copy the right matrix of a product with so many rows than to read it where it is.

    Rows whose distance is a multiple of a page's size would have the same places in the cache.
    """
    return n_rows >= _WORTH_COPYING or (n_rows >= _WORTH_COPYING_PAGES and row_size % 4096 == 0)
