"""Conventions that all row sources share: shapes, types of numbers, digests, and names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from rhohat.common.arrays import FloatArray, float_dtype

__all__ = [
    "ROWS_IN_A_DIGEST",
    "as_rows",
    "delivered_dtype",
    "digest_of",
    "notes_on_dropped",
    "without_folders",
]

ROWS_IN_A_DIGEST = 4096


def as_rows(shape: Sequence[int], name: str) -> tuple[int, int]:
    """Return (n_samples, n_features) for an array of two or more dimensions, whose first axis counts rows.

    Raises
    ------
    ValueError
        If the array has fewer than two dimensions.
    """
    if len(shape) < 2:
        raise ValueError(f"{name} must have two dimensions, rows and columns, or more; its shape is {tuple(shape)}.")
    return int(shape[0]), int(np.prod(shape[1:], dtype=np.int64))


def delivered_dtype(dtype: DTypeLike, name: str) -> np.dtype[Any]:
    """Return the dtype, float32 or float64, in which rows that are stored with `dtype` are read; see `float_dtype`.

    Raises
    ------
    ValueError
        If `dtype` is not a type of real numbers.
    """
    kind = np.dtype(dtype)
    if kind.kind not in "buif":
        raise ValueError(f"{name} must hold real numbers; its dtype is {kind}.")
    return float_dtype(kind)


def digest_of(rows: FloatArray) -> bytes:
    """Return the SHA-256 digest of the bytes of some rows."""
    return hashlib.sha256(np.ascontiguousarray(rows).data).digest()


def without_folders(name: str) -> str:
    """Return the name of a source without its folders, but with the name of the array that may follow the path.

    Examples
    --------
    >>> without_folders("/home/jane/rows.npy[10:20]"), without_folders("data/all.h5:/group/rows")
    ('rows.npy[10:20]', 'all.h5:/group/rows')
    """
    file, colon, key = name.rpartition(":/")
    return f"{os.path.basename(file)}:/{key}" if colon else os.path.basename(name)


def notes_on_dropped(rows: Any, *, only_unlabelled: bool = False) -> tuple[str, ...]:
    """Return the note that some rows of a table were left out; an empty tuple if all rows were kept.

    Parameters
    ----------
    rows : RowSource
        The rows that were kept.
    only_unlabelled : bool, default=False
        Whether only rows without a target were left out.
    """
    n_dropped = rows.n_rows_found - len(rows)
    if n_dropped == 0:
        return ()
    have, are = ("has", "is") if n_dropped == 1 else ("have", "are")
    what = "missing values"
    if only_unlabelled:
        targets = rows.target_names or (rows.reading.targets if rows.reading else None) or ()
        what = f"no value in the column {' or '.join(map(repr, targets))}, which is to be predicted,"
    found = f"{n_dropped} of the {rows.n_rows_found} rows of {without_folders(rows.name)}"
    return (f"{found} {have} {what} and {are} left out.",)
