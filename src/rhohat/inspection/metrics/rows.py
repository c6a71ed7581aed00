"""Opening and validation of the rows, codes and dictionaries that metrics are computed from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array, issparse

from rhohat.common.arrays import FloatArray, as_float_rows, float_dtype, largest_magnitude
from rhohat.data import RowSource, open_rows

__all__ = [
    "as_codes",
    "as_rows",
    "check_finite",
    "check_finite_codes",
    "check_same_columns",
    "check_seen",
    "opened",
    "unit_rows",
]


@contextmanager
def opened(data: Any) -> Iterator[RowSource]:
    """Open data as a row source, and close it at the end, unless the data are a row source that is already open."""
    source = open_rows(data)
    try:
        yield source
    finally:
        if source is not data:
            source.close()


def as_rows(array: ArrayLike, name: str) -> FloatArray:
    """Return rows as floats; raise ValueError unless they are a two-dimensional, non-empty array of numbers."""
    rows = np.asarray(array)
    _check_numbers(rows, name)
    return as_float_rows(rows)


def as_codes(array: Any, name: str) -> Any:
    """Return codes as floats: a sparse array of any format as `csr_array`, anything else as an array in memory.

    In a `csr_array` that is returned, no element is stored twice, and the elements of a row are sorted by column. Zeros
    may be stored. The array that was passed in remains unchanged.

    Raises
    ------
    ValueError
        If the codes are not a two-dimensional, non-empty array of numbers.
    """
    if not issparse(array):
        return as_rows(array, name)
    _check_numbers(array, name)
    codes = csr_array(array, dtype=float_dtype(array.dtype))
    if not codes.has_canonical_format:
        codes = codes.copy()
        codes.sum_duplicates()
    return codes


def _check_numbers(array: Any, name: str) -> None:
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "buif":
        raise ValueError(
            f"{name} must be an array of numbers, of shape (n_rows, n_columns), with at least one row and one column;"
            f" got an array of shape {array.shape} and dtype {array.dtype}."
        )


def check_finite(rows: FloatArray, name: str) -> float:
    """Return the largest magnitude in the rows; raise ValueError if the rows contain NaN or infinity."""
    largest = largest_magnitude(rows)
    if not math.isfinite(largest):
        raise ValueError(f"{name} contains NaN or infinity; metrics need finite numbers.")
    return largest


def check_finite_codes(codes: Any, name: str) -> None:
    """Raise ValueError if codes that `as_codes` has returned contain NaN or infinity."""
    check_finite(codes.data if issparse(codes) else codes, name)


def check_same_columns(first: Any, second: Any, names: str) -> None:
    """Raise ValueError unless two arrays, whose names are given for the message, have as many columns."""
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"{names} must have the same number of columns; got {first.shape[1]} and {second.shape[1]}.")


def check_seen(n_samples: int) -> None:
    """Raise ValueError if no rows were seen yet."""
    if n_samples == 0:
        raise ValueError("there are no rows to compute a metric from; call update with rows first.")


def unit_rows(array: ArrayLike, name: str) -> FloatArray:
    """Return rows as float64, each divided by its norm; rows of zeros stay zero.

    Raises
    ------
    ValueError
        If the rows are not a two-dimensional, non-empty array of finite numbers.
    """
    rows = as_rows(array, name).astype(np.float64)
    check_finite(rows, name)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    rows /= np.where(largest > 0, largest, 1)  # so that no square overflows
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(norms > 0, norms, 1)
    return rows
