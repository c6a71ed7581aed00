"""The range of each feature in the training rows, and warnings about other rows that lie far outside of this range."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.data.rows import RowSource

__all__ = [
    "joined_ranges",
    "range_of_features",
    "remark_on_scale",
    "remember_range",
    "some_rows",
    "warn_of_other_scale",
]

_MOST_ROWS = 512  # largest number of rows that are examined
_PLACES = 8  # number of places in a row source from which these rows are read
_FEWEST_ROWS = 10  # smallest number of rows that are reported as far smaller than, or outside of, the training rows
_FEWEST_TRAINED = 20  # smallest number of training rows whose range is used for a comparison
_VERY_FAR = 50  # distance from the training range, in widths of this range
_SMALL = 0.01  # fraction of the largest absolute training number of a feature
_NEARLY_ALL = 0.95  # fraction of the features, or of the numbers
_OUTSIDE = 0.01  # distance from the training range, in widths of this range, above which a number lies outside of it


def range_of_features(X: FloatArray | RowSource, may_miss_steps: bool = False) -> FloatArray:
    """Return the minimum and maximum of each feature.

    Parameters
    ----------
    X : array or RowSource of shape (n_samples, n_features)
        The rows. A row source is read completely, unless it already knows the minima and maxima of its columns.
    may_miss_steps : bool, default=False
        Whether numbers may be NaN, as the rows are sequences; these are left out.

    Returns
    -------
    array of shape (2, n_features), float64
    """
    if isinstance(X, RowSource):
        low, high = X.known_extents()
    elif may_miss_steps:
        low, high = (np.nan_to_num(end.reduce(X, axis=0), nan=0.0) for end in (np.fmin, np.fmax))
    else:
        low, high = X.min(axis=0), X.max(axis=0)
    return np.array([low, high], dtype=np.float64)


def joined_ranges(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the joint range of two sets of rows, of shape (2, n_features), from the range of each set."""
    return np.array([np.minimum(first[0], second[0]), np.maximum(first[1], second[1])])


def remember_range(fitted: Any, rows: RowSource) -> None:
    """Set the attribute `training_range_` of a transformer if it was fitted to enough rows for a comparison."""
    fitted.__dict__.pop("training_range_", None)
    if len(rows) >= _FEWEST_TRAINED:
        fitted.training_range_ = range_of_features(rows)


def some_rows(X: Any) -> FloatArray | None:
    """Return some rows, evenly spread over an array or a row source; None if the rows are on a cluster."""
    if not isinstance(X, RowSource):
        some: FloatArray = X[:: -(-len(X) // _MOST_ROWS)]
        return some
    if X.edges is not None:
        return None
    if len(X) <= _MOST_ROWS:
        return X.read(0, len(X))
    at_once = _MOST_ROWS // _PLACES
    starts = np.linspace(0, len(X) - at_once, _PLACES).astype(int)
    return np.concatenate([X.read(start, start + at_once) for start in starts])


def remark_on_scale(rows: FloatArray, training_range: FloatArray) -> str | None:
    """Return a remark if the scale of rows differs from the scale of the training rows; None if it does not.

    The scale differs in three cases. In the first, most rows lie far outside of the training range. A row does so if at
    least half of its numbers that are not 0 lie outside of the range of their feature, at a distance of more than the
    width of that range. It also does so if one number lies outside at more than fifty times the width. (If a feature
    did not vary, the width of the widest range is used.) In the second case, the rows are far smaller: in nearly all
    features, every number is less than a hundredth of the largest training number. In the third, nearly all numbers
    that are not 0 lie outside of the range of their feature, by more than a hundredth of its width.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
        The rows that are compared with the training range.
    training_range : array of shape (2, n_features)
        Minimum and maximum of each feature in the training rows.

    Examples
    --------
    >>> training_range = np.array([[0.0, 0.0], [1.0, 1.0]])
    >>> remark_on_scale(np.array([[0.5, 1.2], [0.1, 0.0]]), training_range)
    >>> remark_on_scale(np.array([[128.0, 255.0], [0.0, 3.0]]), training_range)
    'Most of these rows lie far outside of the range of the training rows: these rows range from 0 to 255, the \
training rows from 0 to 1. Are they in the same units, and prepared in the same way?'
    """
    low, high = training_range
    with np.errstate(over="ignore", invalid="ignore"):
        width, largest = high - low, np.maximum(abs(low), abs(high))
        widest = float(width.max(initial=0.0))
        if not 0 < widest < np.inf:
            return None
        beyond = np.maximum(low - rows, rows - high) / np.where(width > 0, width, widest)
        is_far = 2 * ((beyond > 1) & (rows != 0)).sum(axis=1) >= np.maximum(1, (rows != 0).sum(axis=1))
        is_far |= (beyond[:, width > 0] > _VERY_FAR).any(axis=1)
        n_outside, n_numbers = ((beyond > _OUTSIDE) & (rows != 0)).sum(), (rows != 0).sum()
        is_small = np.abs(rows).max(axis=0)[largest > 0] < _SMALL * largest[largest > 0]
    ranges = (
        f"these rows range from {rows.min():.4g} to {rows.max():.4g}, the training rows from {low.min():.4g} to"
        f" {high.max():.4g}. Are they in the same units, and prepared in the same way?"
    )
    if is_far.mean() > 0.5:
        return f"Most of these rows lie far outside of the range of the training rows: {ranges}"
    if len(rows) >= _FEWEST_ROWS and is_small.mean() > _NEARLY_ALL:
        return f"These rows are far smaller than the training rows: {ranges}"
    if len(rows) >= _FEWEST_ROWS and n_outside > _NEARLY_ALL * n_numbers:
        return f"Nearly all numbers of these rows lie outside of the range of the training rows: {ranges}"
    return None


def warn_of_other_scale(fitted: Any, X: Any, stacklevel: int = 3) -> None:
    """Warn if the scale of rows differs from the scale of the training rows, whose range a fitted object may know."""
    training_range: FloatArray | None = getattr(fitted, "training_range_", None)
    some = None if getattr(X, "scale_is_known", False) else some_rows(X)
    if training_range is None or some is None or getattr(fitted, "n_samples_fit_", np.inf) < _FEWEST_TRAINED:
        return
    missing = np.isnan(some)  # steps past the end of sequences
    exists = ~missing.all(axis=0)
    remark = remark_on_scale(np.where(missing, 0, some)[:, exists], training_range[:, exists])
    if remark is not None:
        warnings.warn(remark, stacklevel=stacklevel)
