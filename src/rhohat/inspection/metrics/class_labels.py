"""Labels of rows as numbers of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["check_classes"]


def check_classes(labels: ArrayLike, n_samples: int, of: str = "codes") -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the classes in sorted order, and the number of the class of each row.

    Raises
    ------
    ValueError
        If there is not a number, a boolean or a string for each row, a label is NaN, or there is only one class.
    """
    array = np.asarray(labels)
    if array.dtype.kind == "O" and all(isinstance(label, str) for label in array.flat):
        array = array.astype(str)  # such as a column of pandas
    if array.shape != (n_samples,) or array.dtype.kind not in "biufUS":
        raise ValueError(
            f"labels must hold a number or a string for each of the {n_samples} rows of {of}; got an array of shape"
            f" {array.shape} and dtype {array.dtype}."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("labels contain NaN or infinity; leave out the rows that have no label.")
    classes, numbers = np.unique(array, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"labels must have at least two classes; all are {classes[0]}.")
    return classes, numbers
