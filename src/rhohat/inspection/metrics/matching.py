"""One-to-one matching of the features of two dictionaries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # which imports its parts when they are used
from numpy.typing import ArrayLike, NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.words import counted
from rhohat.inspection.metrics.rows import check_same_columns, unit_rows

__all__ = [
    "ALIKE",
    "DictionaryMatch",
    "match_dictionaries",
]

#: Cosine above which two features count as alike.
ALIKE = 0.9


@dataclass(frozen=True, eq=False, repr=False)
class DictionaryMatch:
    """Pairs of rows of two dictionaries, found by `match_dictionaries`.

    Attributes
    ----------
    rows : array of int, of shape (n_pairs,)
        Row numbers in the first dictionary, ascending.
    columns : array of int, of shape (n_pairs,)
        Row numbers in the second dictionary that are matched to `rows`.
    cosine : array of shape (n_pairs,)
        Cosine similarity of each pair, in [-1, 1]; its absolute value if signs were ignored.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    cosine: FloatArray

    @property
    def mean_cosine(self) -> float:
        """Mean cosine similarity over all pairs."""
        return float(self.cosine.mean())

    @property
    def alike_fraction(self) -> float:
        """Fraction of the pairs whose cosine similarity is above 0.9: both dictionaries have learned these features."""
        return float((self.cosine > ALIKE).mean())

    def __repr__(self) -> str:
        return (
            f"DictionaryMatch({counted(len(self.rows), 'pair')}, mean cosine {self.mean_cosine:.3f},"
            f" {self.alike_fraction:.1%} above {ALIKE})"
        )


def match_dictionaries(A: ArrayLike, B: ArrayLike, *, absolute: bool = False) -> DictionaryMatch:
    """Match the rows of two dictionaries one to one, so that the sum of the pairs' cosine similarities is largest.

    Use it to compare the features of two fits, or learned features with the features that generated the data.

    Parameters
    ----------
    A : array-like of shape (n_rows_a, n_features)
        First dictionary, one feature per row.
    B : array-like of shape (n_rows_b, n_features)
        Second dictionary. Some rows of the larger dictionary remain unmatched.
    absolute : bool, default=False
        Whether to ignore signs, for models in which w and −w are the same feature.

    Returns
    -------
    DictionaryMatch
        A match of min(n_rows_a, n_rows_b) pairs. A row of zeros has cosine similarity 0 with any row.

    Raises
    ------
    ValueError
        If A or B is not finite or has no rows, or if they differ in their number of columns.

    Notes
    -----
    The assignment problem is solved exactly; the time grows with the third power of the number of rows.

    Some of many directions are similar by chance: compare the mean with that of random directions of the same shapes.
    Fit the two models with different `random_state`: with the same seed and the same number of latents, both begin at
    the same random directions, so that they are more alike than chance.

    Examples
    --------
    >>> match = match_dictionaries([[1.0, 0.0], [0.0, 2.0]], [[1.0, 3.0], [1.0, 0.1], [-1.0, 0.0]])
    >>> match.rows, match.columns, match.cosine.round(3)
    (array([0, 1]), array([1, 0]), array([0.995, 0.949]))
    >>> match
    DictionaryMatch(2 pairs, mean cosine 0.972, 100.0% above 0.9)
    """
    first, second = unit_rows(A, "A"), unit_rows(B, "B")
    check_same_columns(first, second, "A and B")
    cosine = (first @ second.T).clip(-1, 1)
    if absolute:
        cosine = np.abs(cosine)
    rows, columns = scipy.optimize.linear_sum_assignment(cosine, maximize=True)
    return DictionaryMatch(rows, columns, cosine[rows, columns])
