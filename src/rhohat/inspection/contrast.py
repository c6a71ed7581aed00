"""A choice of images to show, from strong contrasts to faint ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray

__all__ = ["of_varied_contrast"]


def of_varied_contrast(rows: FloatArray, most: int) -> NDArray[np.intp]:
    """Return the numbers of at most `most` rows, whose contrasts fall in even steps from the strongest to the faintest.

    Most patches of images are faint. If rows were drawn at random, few of them would show anything.

    Parameters
    ----------
    rows : array of shape (n_rows, n_pixels)
        Images without missing values. The contrast is the standard deviation of the numbers of a row.
    most : int

    Examples
    --------
    >>> of_varied_contrast(np.array([[0.0, 0.1], [0.0, 1.0], [0.5, 0.7], [0.0, 0.5]]), 3).tolist()
    [1, 3, 0]
    """
    largest = float(np.abs(rows).max())
    contrasts = (rows / (np.float64(largest) if largest > 0 else 1.0)).std(axis=1)  # squares must not overflow
    left, chosen = list(np.argsort(-contrasts, kind="stable")), []
    for wanted in np.linspace(contrasts.max(), contrasts.min(), min(most, len(rows))):
        nearest = min(left, key=lambda row: abs(contrasts[row] - wanted))
        left.remove(nearest)
        chosen.append(nearest)
    numbers = np.array(chosen, np.intp)
    ordered: NDArray[np.intp] = numbers[np.argsort(-contrasts[numbers], kind="stable")]
    return ordered
