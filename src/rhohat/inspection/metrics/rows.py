"""Rows that metrics are computed of: opened where they are, and refused where they are no finite numbers."""

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
    """Open rows, and close them afterwards, unless they were open already."""
    source = open_rows(data)
    try:
        yield source
    finally:
        if source is not data:
            source.close()


def as_rows(array: ArrayLike, name: str) -> FloatArray:
    """Return rows as floats, or raise ValueError where they are none."""
    rows = np.asarray(array)
    if rows.ndim != 2 or rows.size == 0 or rows.dtype.kind not in "buif":
        raise ValueError(
            f"{name} must be numbers of shape (n_rows, n_columns), at least one of each; got an array of shape"
            f" {rows.shape} and dtype {rows.dtype}."
        )
    return as_float_rows(rows)


def check_finite(rows: FloatArray, name: str) -> float:
    """Return the largest magnitude, or raise ValueError where there are NaN or infinite numbers."""
    largest = largest_magnitude(rows)
    if not math.isfinite(largest):
        raise ValueError(f"{name} contains NaN or infinity; metrics are of finite numbers.")
    return largest


def check_seen(n_samples: int) -> None:
    """Raise ValueError where no rows were seen."""
    if n_samples == 0:
        raise ValueError("no rows were seen yet; call update with some first.")
