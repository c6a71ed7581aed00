"""The range of each feature in the rows of a fit, and whether other rows lie far outside of it."""

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

_MOST_ROWS = 512  # that are looked at
_PLACES = 8  # of a source at which they are
_FEWEST_ROWS = 10  # of which it is said that they are small
_FEWEST_TRAINED = 20  # rows that a range is worth comparing with
_VERY_FAR = 50  # widths of the training range
_SMALL = 0.01  # of the largest number of the training
_NEARLY_ALL = 0.95  # of the features


def range_of_features(X: FloatArray | RowSource) -> FloatArray:
    """Return the least and the largest number of each feature.

    Parameters
    ----------
    X : array or RowSource of shape (n_samples, n_features)
        A source is read, unless that was done before.

    Returns
    -------
    array of shape (2, n_features), float64
    """
    low, high = X.known_extents() if isinstance(X, RowSource) else (X.min(axis=0), X.max(axis=0))
    return np.array([low, high], dtype=np.float64)


def joined_ranges(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the range of two sets of rows together, of shape (2, n_features)."""
    return np.array([np.minimum(first[0], second[0]), np.maximum(first[1], second[1])])


def remember_range(fitted: Any, rows: RowSource) -> None:
    """Set the attribute `training_range_` of a transformer, unless it was fitted to too few rows to say anything."""
    fitted.__dict__.pop("training_range_", None)
    if len(rows) >= _FEWEST_TRAINED:
        fitted.training_range_ = range_of_features(rows)


def some_rows(X: Any) -> FloatArray | None:
    """Return some rows from all over an array or a source; None of rows that are on a cluster."""
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
    """Return what is to be said of rows that are on another scale than those of a fit; None where they are not.

    Most of them are far outside: at least half of their numbers that are not 0 are beyond the training range of their
    feature by more than its width, or one is by fifty times its width. (Where a feature did not vary, the width of the
    widest one counts.) Or they are far smaller: in nearly all features, every number is less than a hundredth of the
    largest one of the training.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
    training_range : array of shape (2, n_features)

    Examples
    --------
    >>> training_range = np.array([[0.0, 0.0], [1.0, 1.0]])
    >>> remark_on_scale(np.array([[0.5, 1.2], [0.1, 0.0]]), training_range)
    >>> remark_on_scale(np.array([[128.0, 255.0], [0.0, 3.0]]), training_range)
    'Most of these rows lie far outside of what the model was trained on: they range from 0 to 255, and the rows of \
the training from 0 to 1. Are they in the same units, and prepared in the same way?'
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
        is_small = np.abs(rows).max(axis=0)[largest > 0] < _SMALL * largest[largest > 0]
    ranges = (
        f"they range from {rows.min():.4g} to {rows.max():.4g}, and the rows of the training from {low.min():.4g} to"
        f" {high.max():.4g}. Are they in the same units, and prepared in the same way?"
    )
    if is_far.mean() > 0.5:
        return f"Most of these rows lie far outside of what the model was trained on: {ranges}"
    if len(rows) >= _FEWEST_ROWS and is_small.mean() > _NEARLY_ALL:
        return f"These rows are far smaller than what the model was trained on: {ranges}"
    return None


def warn_of_other_scale(fitted: Any, X: Any, stacklevel: int = 3) -> None:
    """Warn where rows are on another scale than those that something was fitted to, if it remembers these."""
    training_range: FloatArray | None = getattr(fitted, "training_range_", None)
    some = None if getattr(X, "scale_is_known", False) else some_rows(X)
    if training_range is None or some is None or getattr(fitted, "n_samples_fit_", np.inf) < _FEWEST_TRAINED:
        return
    remark = remark_on_scale(some, training_range)
    if remark is not None:
        warnings.warn(remark, stacklevel=stacklevel)
