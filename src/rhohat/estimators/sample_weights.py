"""Checks of sample weights, which are arrays in memory that say how often each row counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from sklearn.utils.validation import _check_sample_weight

from rhohat.common.arrays import FloatArray
from rhohat.data import RowSource
from rhohat.data.rows import select_rows

__all__ = ["check_in_memory", "check_sample_weight", "rows_that_count"]


def check_in_memory(array: ArrayLike | RowSource, name: str) -> None:
    """Raise ValueError if an argument other than X is a row source."""
    if isinstance(array, RowSource):
        raise ValueError(
            f"{name} must be an array in memory, as only X may be a row source; got the row source {array.name}. Pass"
            " source.read(0, len(source)), or a column of that array."
        )


def check_sample_weight(
    sample_weight: ArrayLike | None, X: ArrayLike | RowSource, dtype: DTypeLike
) -> FloatArray | None:
    """Return sample weights in the given dtype, or raise ValueError if they are invalid; None stays None.

    Weights must be finite numbers, one for each row, not negative, and not all 0. The largest weight must be neither so
    large nor so small that sums of weights, or their products with other numbers, lose precision in the dtype.
    """
    if sample_weight is None:
        return None
    check_in_memory(sample_weight, "sample_weight")
    weights: FloatArray = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    largest, held = weights.max(), np.finfo(dtype)
    if not largest > 0:
        raise ValueError("sample_weight must be finite and at least 0, and not 0 for every row.")
    if not held.tiny / held.eps < largest < held.max * held.eps:
        raise ValueError(
            f"the largest number in sample_weight must be between {held.tiny / held.eps:.0e} and"
            f" {held.max * held.eps:.0e} for {np.dtype(dtype)} rows; got {largest:.3g}. Divide the weights by their"
            " mean."
        )
    return weights.astype(dtype, copy=False)


def rows_that_count(X: Any, weights: FloatArray | None, *others: Any) -> tuple[Any, ...]:
    """Return rows, their weights, and other arrays per row, without the rows of weight 0.

    Parameters
    ----------
    X : array or RowSource of shape (n_samples, n_features)
        Rows. If a weight is 0, a row source is read to check that all its numbers are finite, even in rows of weight 0.
    weights : array of shape (n_samples,), or None
    *others : array of shape (n_samples, ...), or None
        Further arrays with an entry for each row.

    Returns
    -------
    tuple
        X, the weights and the other arrays; unchanged if no weight is 0.
    """
    if weights is None or weights.all():
        return X, weights, *others
    if isinstance(X, RowSource):
        X.extent()
    counting = np.flatnonzero(weights)
    return tuple(
        select_rows(one, counting) if isinstance(one, RowSource) else None if one is None else one[counting]
        for one in (X, weights, *others)
    )
