"""Weights of classes, which multiply the weights of their rows."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rhohat.common.exceptions import SettingError

__all__ = ["numbers_of_classes", "weights_by_class"]


def weights_by_class(
    class_weight: Mapping[Any, float] | str | None, labels: NDArray[Any], sample_weight: ArrayLike | None
) -> ArrayLike | None:
    """Return sample weights, multiplied by the weight of the class of each row.

    Parameters
    ----------
    class_weight : "balanced", mapping of label to weight, or None
        "balanced" gives class c the weight Σ w / (n_classes Σ_{i in c} w_i), with which all classes count equally. None
        leaves the sample weights as they are. A class that a mapping does not name has the weight 1.
    labels : array of shape (n_samples,) or (n_samples, n_steps)
        Class labels. Rows with a label at each step must not have weights of classes.
    sample_weight : array-like of shape (n_samples,), or None
        Weights of rows, which are checked later; None means 1 for each.

    Returns
    -------
    array-like of shape (n_samples,), or None

    Raises
    ------
    ValueError
        If a weight is negative or not a finite number, if the mapping names labels that y does not have while others
        have no weight, or if there is a label at each step.
    """
    if class_weight is None:
        return sample_weight
    if labels.ndim > 1:
        raise SettingError(
            "class_weight must be None for a classifier with per_step=True, because the steps of a row may have"
            " different labels; use sample_weight to weight whole sequences."
        )
    classes, numbers = np.unique(labels, return_inverse=True)
    rows = np.ones(len(labels)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if rows.shape != labels.shape:
        return sample_weight  # which raises an error when it is checked
    if isinstance(class_weight, str):
        sums = np.bincount(numbers, rows, len(classes))
        occurring = sums > 0
        factors = np.zeros(len(classes))
        factors[occurring] = sums.sum() / (np.count_nonzero(occurring) * sums[occurring])
    else:
        factors = _given(class_weight, classes)
    weights: NDArray[Any] = rows * factors[numbers]
    return weights


def _given(class_weight: Mapping[Any, float], classes: NDArray[Any]) -> NDArray[np.float64]:
    """Return the weight of each class of a mapping; 1 for a class that it does not name."""
    wrong = {label: weight for label, weight in class_weight.items() if not _is_weight(weight)}
    if wrong:
        raise SettingError(f"class_weight must have finite numbers that are not negative; got {wrong}.")
    labels = classes.tolist()
    unknown = [label for label in class_weight if label not in labels]
    missing = [label for label in labels if label not in class_weight]
    if unknown and missing:
        raise SettingError(
            f"class_weight must have classes of y as its keys; {unknown} are not among them, and {missing} have no"
            " weight. Write the labels as they are in y."
        )
    return np.array([float(class_weight.get(label, 1.0)) for label in labels])


def _is_weight(weight: object) -> bool:
    return isinstance(weight, Real) and 0 <= float(weight) < np.inf


def numbers_of_classes(labels: NDArray[Any]) -> NDArray[np.intp] | None:
    """Return the number of the class of each row; None if each step of a row has a label of its own."""
    return None if labels.ndim > 1 else np.unique(labels, return_inverse=True)[1]
