"""Figures of predictions: how often each class is found, and errors in the units of the targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rhohat.common.arrays import FloatArray

__all__ = [
    "class_precisions",
    "class_recalls",
    "confusion_counts",
    "mean_absolute_error",
    "root_mean_squared_error",
]


def class_recalls(y: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Return the fraction of the rows of each class for which this class is predicted.

    Parameters
    ----------
    y, predicted : array-like of shape (n_samples,)
        Labels of rows, and those that a classifier predicts.

    Returns
    -------
    dict of str to float
        Recalls by the names of the classes, of those classes alone that `y` has. Their mean is the balanced accuracy.

    Examples
    --------
    >>> class_recalls(["a", "a", "b", "b"], ["a", "b", "b", "b"])
    {'a': 0.5, 'b': 1.0}
    """
    labels, found = np.asarray(y), np.asarray(predicted)
    return {str(label): float(np.mean(found[labels == label] == label)) for label in np.unique(labels)}


def class_precisions(y: ArrayLike, predicted: ArrayLike) -> dict[str, float | None]:
    """Return the fraction of the rows for which each class is predicted that are of this class.

    Parameters
    ----------
    y, predicted : array-like of shape (n_samples,)
        Labels of rows, and those that a classifier predicts.

    Returns
    -------
    dict of str to float or None
        Precisions by the names of the classes, of those classes alone that `y` has; None for a class that is never
        predicted.

    Examples
    --------
    >>> class_precisions(["a", "a", "b", "c"], ["a", "b", "b", "b"])
    {'a': 1.0, 'b': 0.3333333333333333, 'c': None}
    """
    labels, found = np.asarray(y), np.asarray(predicted)
    return {
        str(label): float(np.mean(labels[found == label] == label)) if np.any(found == label) else None
        for label in np.unique(labels)
    }


def confusion_counts(y: ArrayLike, predicted: ArrayLike, classes: ArrayLike) -> NDArray[np.intp]:
    """Return the number of rows of each class for which each class is predicted.

    Parameters
    ----------
    y, predicted : array-like of shape (n_samples,)
        Labels of rows, and those that a classifier predicts. Rows whose label is none of the classes do not count.
    classes : array-like of shape (n_classes,)
        All classes that can be predicted, sorted.

    Returns
    -------
    array of int, of shape (n_classes, n_classes)
        Counts by class, line by line, and by predicted class, column by column.

    Examples
    --------
    >>> confusion_counts(["a", "a", "b", "c"], ["a", "b", "b", "b"], ["a", "b"]).tolist()
    [[1, 1], [0, 1]]
    """
    labels, found, names = np.asarray(y), np.asarray(predicted), np.asarray(classes)
    known = np.isin(labels, names)
    places = [np.searchsorted(names, one[known]) for one in (labels, found)]
    n_classes = len(names)
    counts: NDArray[np.intp] = np.bincount(places[0] * n_classes + places[1], minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes)


def mean_absolute_error(y: ArrayLike, predicted: ArrayLike) -> FloatArray:
    """Return the mean over rows of |y − ŷ| for each target, in its units.

    Parameters
    ----------
    y, predicted : array-like of shape (n_samples,) or (n_samples, n_targets)

    Returns
    -------
    array of shape (n_targets,)

    Examples
    --------
    >>> mean_absolute_error([10.0, 20.0], [11.0, 23.0])
    array([2.])
    """
    return np.asarray(_errors(y, predicted).mean(axis=0))


def root_mean_squared_error(y: ArrayLike, predicted: ArrayLike) -> FloatArray:
    """Return the root of the mean over rows of (y − ŷ)² for each target, in its units.

    Parameters
    ----------
    y, predicted : array-like of shape (n_samples,) or (n_samples, n_targets)

    Returns
    -------
    array of shape (n_targets,)

    Examples
    --------
    >>> root_mean_squared_error([10.0, 20.0], [13.0, 24.0])
    array([3.53553391])
    """
    errors = _errors(y, predicted)
    largest = np.maximum(errors.max(axis=0), np.finfo(np.float64).tiny)  # so that no square overflows
    return np.asarray(largest * np.sqrt(np.mean((errors / largest) ** 2, axis=0)))


def _errors(y: ArrayLike, predicted: ArrayLike) -> NDArray[np.float64]:
    """Return |y − ŷ|, of shape (n_samples, n_targets)."""
    both = [np.asarray(values, dtype=np.float64) for values in (y, predicted)]
    with np.errstate(over="ignore", invalid="ignore"):
        return np.abs(both[0].reshape(len(both[0]), -1) - both[1].reshape(len(both[1]), -1))
