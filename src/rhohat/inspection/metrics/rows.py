"""Opening and validation of the rows that metrics are computed from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rhohat.common.arrays import FloatArray, as_float_rows, largest_magnitude
from rhohat.data import RowSource, open_rows

__all__ = ["as_rows", "check_finite", "check_seen", "opened"]


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
    if rows.ndim != 2 or rows.size == 0 or rows.dtype.kind not in "buif":
        raise ValueError(
            f"{name} must be an array of numbers, of shape (n_rows, n_columns), with at least one row and one column;"
            f" got an array of shape {rows.shape} and dtype {rows.dtype}."
        )
    return as_float_rows(rows)


def check_finite(rows: FloatArray, name: str) -> float:
    """Return the largest magnitude in the rows; raise ValueError if the rows contain NaN or infinity."""
    largest = largest_magnitude(rows)
    if not math.isfinite(largest):
        raise ValueError(f"{name} contains NaN or infinity; metrics need finite numbers.")
    return largest


def check_seen(n_samples: int) -> None:
    """Raise ValueError if no rows were seen yet."""
    if n_samples == 0:
        raise ValueError("there are no rows to compute a metric from; call update with rows first.")
