"""Filling in missing values."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags
from sklearn.utils.validation import validate_data

from rhohat.common.arrays import FloatArray, as_float_rows
from rhohat.common.pieces import check_flat
from rhohat.data.row_transformer import LearnedShapes, RowTransformer
from rhohat.data.rows import RowSource, open_rows, remember_columns

__all__ = ["MeanImputer"]

_LARGE_EXPONENT = 64  # in units of 2 to this power, no sum of float64 numbers overflows


class MeanImputer(RowTransformer):
    """Fill in missing values with the means of their columns over the training rows.

    Missing values are NaN, both in arrays and in tables that are opened with ``open_rows(path, missing="keep")``.
    scikit-learn's `SimpleImputer` does the same for rows in memory.

    Attributes
    ----------
    means_ : array of shape (n_features,), float64
        Mean of the known values in each column.
    n_features_in_ : int
        Number of features in the training rows.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Names of the features. It exists only if X has column names that are all strings.

    Raises
    ------
    ValueError
        From `fit`, if a column consists of missing values only, or if there are infinite numbers.

    Examples
    --------
    >>> MeanImputer().fit_transform(np.array([[1.0, 5.0], [np.nan, 7.0], [3.0, np.nan]]))
    array([[1., 5.],
           [2., 7.],
           [3., 6.]])
    """

    learned_shapes: ClassVar[LearnedShapes] = {"means_": lambda n_features: (n_features,)}
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {}
    _set_by_fit: ClassVar[str] = "means_"

    def fit(self, X: ArrayLike | RowSource, y: object = None) -> Self:
        """Compute the mean of each column.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
            Training rows, with NaN for missing values.
        y : ignored

        Returns
        -------
        self
        """
        if isinstance(X, RowSource):
            rows = X
            remember_columns(self, X)
        else:
            self.__dict__.pop("reading_", None)
            rows = open_rows(self._validate(X, reset=True))
        for exponent in (0, _LARGE_EXPONENT):  # the larger exponent is tried only if sums in units of 1 overflow
            total, count = np.zeros(rows.shape[1]), np.zeros(rows.shape[1], np.int64)
            for some_total, some_count in rows.map_blocks(partial(_sum_numbers, exponent)):
                with np.errstate(over="ignore", invalid="ignore"):
                    total += some_total
                count += some_count
            if np.isfinite(total).all():
                break
        else:
            raise ValueError(f"{rows.name} contains infinite numbers in column {int(np.argmin(np.isfinite(total)))}.")
        if not count.all():
            empty = int(np.argmin(count))
            name = repr(rows.feature_names[empty]) if rows.feature_names is not None else str(empty)
            raise ValueError(
                f"column {name} of {rows.name} has no number at all, so it has no mean; leave this column out."
            )
        self.means_ = np.ldexp(total / count, exponent)
        return self

    def _transform(self, X: FloatArray) -> FloatArray:
        filled: FloatArray = np.where(np.isnan(X), self.means_.astype(X.dtype), X)
        return filled

    def inverse_transform(self, X: ArrayLike) -> FloatArray:
        """Return the rows unchanged, because imputed values cannot be told from values that were known.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows without missing values.

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        return self._validate_inverse(X)

    def _validate(self, X: ArrayLike, *, reset: bool = False) -> FloatArray:
        check_flat(X)
        with np.errstate(invalid="ignore"):  # for the sum by which scikit-learn checks that all numbers are finite
            return as_float_rows(validate_data(self, X, dtype="numeric", ensure_all_finite="allow-nan", reset=reset))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _sum_numbers(exponent: int, rows: FloatArray, _: int) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return the sum of the known values in each column, in units of 2 to the power of `exponent`, and their count."""
    known = ~np.isnan(rows)
    numbers = np.where(known, rows, 0)
    if exponent:
        numbers = np.ldexp(numbers.astype(np.float64), -exponent)
    with np.errstate(over="ignore", invalid="ignore"):
        total: FloatArray = numbers.sum(axis=0, dtype=np.float64)
    counts: Any = np.count_nonzero(known, axis=0)
    return total, counts
