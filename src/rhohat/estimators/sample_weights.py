"""Weights of rows: arrays in memory, which say how often each row counts."""

from __future__ import annotations

from numpy.typing import ArrayLike, DTypeLike
from sklearn.utils.validation import _check_sample_weight

from rhohat.arrays import FloatArray
from rhohat.data import RowSource

__all__ = ["check_in_memory", "check_sample_weight"]


def check_in_memory(array: ArrayLike | RowSource, name: str) -> None:
    """Raise ValueError where something that only X may be is a row source."""
    if isinstance(array, RowSource):
        raise ValueError(
            f"{name} must be an array in memory, only X may be a row source; got {array.name}: pass source.read(0,"
            " len(source)), or a column of it."
        )


def check_sample_weight(
    sample_weight: ArrayLike | None, X: ArrayLike | RowSource, dtype: DTypeLike
) -> FloatArray | None:
    """Return weights of rows in a dtype, or raise ValueError where they are none; None stays None.

    They must be finite numbers, one for each row, at least 0, and not 0 for every row.
    """
    if sample_weight is None:
        return None
    check_in_memory(sample_weight, "sample_weight")
    weights: FloatArray = _check_sample_weight(sample_weight, X, dtype=dtype, ensure_non_negative=True)
    if not weights.any():
        raise ValueError("sample_weight must be finite and at least 0, and not 0 for every row.")
    return weights
