"""Which features of two dictionaries belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from rhohat.common.arrays import FloatArray
from rhohat.inspection.metrics.rows import as_rows, check_finite

__all__ = [
    "DictionaryMatch",
    "match_dictionaries",
]


@dataclass(frozen=True, eq=False)
class DictionaryMatch:
    """Pairs of rows of two dictionaries, as `match_dictionaries` finds them.

    Attributes
    ----------
    rows : array of int, of shape (n_pairs,)
        Rows of the first dictionary, ascending.
    columns : array of int, of shape (n_pairs,)
        The row of the second one that belongs to each.
    cosine : array of shape (n_pairs,)
        The cosine of each pair, in [-1, 1]; its absolute value, where signs are ignored.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    cosine: FloatArray

    @property
    def mean_cosine(self) -> float:
        """The mean over pairs."""
        return float(self.cosine.mean())


def match_dictionaries(A: ArrayLike, B: ArrayLike, *, absolute: bool = False) -> DictionaryMatch:
    """Return the one-to-one matching of the rows of two dictionaries whose summed cosine similarity is largest.

    With it, features of two fits are compared, or learned ones with those that made the data.

    Parameters
    ----------
    A : array-like of shape (n_rows_a, n_features)
    B : array-like of shape (n_rows_b, n_features)
        Of the larger dictionary, some rows are left over.
    absolute : bool, default=False
        Whether signs are ignored, as where w and −w are the same feature.

    Returns
    -------
    DictionaryMatch
        Of min(n_rows_a, n_rows_b) pairs. A row of zeros has the cosine 0 with any other.

    Raises
    ------
    ValueError
        If they are not finite, have no rows, or differ in columns.

    Notes
    -----
    The assignment problem, solved exactly: the time grows with the third power of the number of rows.

    Examples
    --------
    >>> match = match_dictionaries([[1.0, 0.0], [0.0, 2.0]], [[1.0, 3.0], [1.0, 0.1], [-1.0, 0.0]])
    >>> match.rows, match.columns, match.cosine.round(3)
    (array([0, 1]), array([1, 0]), array([0.995, 0.949]))
    """
    first, second = _unit_rows(A, "A"), _unit_rows(B, "B")
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"A and B must have as many columns; got {first.shape[1]} and {second.shape[1]}.")
    cosine = (first @ second.T).clip(-1, 1)
    if absolute:
        cosine = np.abs(cosine)
    rows, columns = linear_sum_assignment(cosine, maximize=True)
    return DictionaryMatch(rows, columns, cosine[rows, columns])


def _unit_rows(array: ArrayLike, name: str) -> FloatArray:
    """Return rows in float64, divided by their norms; rows of zeros as they are."""
    rows = as_rows(array, name).astype(np.float64)
    check_finite(rows, name)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    rows /= np.where(largest > 0, largest, 1)  # so that no square overflows
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(norms > 0, norms, 1)
    return rows
