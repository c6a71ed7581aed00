"""The base class of all transformers of rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from rhohat.common.arrays import FloatArray, as_float_rows
from rhohat.common.fitted import FittedAttributes
from rhohat.common.pieces import check_flat
from rhohat.data.ranges import warn_of_other_scale
from rhohat.data.rows import RowSource, open_rows, remember_columns

__all__ = ["LearnedShapes", "RowTransformer", "check_held"]


#: From the name of each learned attribute of a transformer to a function of n_features that returns its shape.
LearnedShapes = Mapping[str, Callable[[int], tuple[int, ...]]]


class RowTransformer(FittedAttributes, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Base class of transformers that check rows, keep the number of columns, and accept row sources."""

    def _validate(self, X: ArrayLike, *, reset: bool = False) -> FloatArray:
        check_flat(X)
        with np.errstate(invalid="ignore"):  # for the sum by which scikit-learn checks that all numbers are finite
            return as_float_rows(validate_data(self, X, dtype="numeric", reset=reset))

    def _open(self, X: ArrayLike | RowSource) -> RowSource:
        """Return training rows as a row source, whose method `extent` checks that all numbers are finite."""
        if isinstance(X, RowSource):
            remember_columns(self, X)
            return X
        self.__dict__.pop("reading_", None)
        return open_rows(self._validate(X, reset=True))

    @abstractmethod
    def _transform(self, X: FloatArray) -> FloatArray:
        """Return transformed rows, in which numbers that exceed the range of the dtype are infinite or NaN."""

    def _transform_rows(self, X: FloatArray) -> FloatArray:
        """Return transformed rows, or raise ValueError if a number exceeds the range of their dtype."""
        with np.errstate(over="ignore", invalid="ignore"):
            return check_held(self._transform(X), "transformed")

    def transform(self, X: ArrayLike | RowSource) -> Any:
        """Transform rows.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
            Rows with the same columns as the training rows.

        Returns
        -------
        array of shape (n_samples, n_features), or RowSource
            The transformed rows. If X is a row source, the result is a row source too, which transforms rows when they
            are read.

        Raises
        ------
        ValueError
            If X differs from the training rows in the number of columns, contains numbers that are not finite, or is
            transformed to numbers that exceed the range of its dtype.

        Warns
        -----
        UserWarning
            If the scale of the rows differs from the scale of the training rows.
        """
        check_is_fitted(self)
        if isinstance(X, RowSource):
            if X.shape[1] != self.n_features_in_:
                raise ValueError(
                    f"{X.name} has {X.shape[1]} columns, but {type(self).__name__} was fitted to rows of"
                    f" {self.n_features_in_} columns."
                )
            warn_of_other_scale(self, X)
            return open_rows(X, transform=self._transform_rows)
        rows = self._validate(X)
        warn_of_other_scale(self, rows)
        return self._transform_rows(rows)

    def _validate_inverse(self, X: ArrayLike) -> FloatArray:
        check_is_fitted(self)
        check_flat(X)
        with np.errstate(invalid="ignore"):
            X = as_float_rows(check_array(X, dtype="numeric", input_name="X"))
        if X.shape[1] != self.n_features_in_:
            raise ValueError(f"X must have {self.n_features_in_} columns, as the training rows had; got {X.shape[1]}.")
        return X

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def check_held(rows: FloatArray, done: str) -> FloatArray:
    """Return rows unchanged, or raise ValueError if a number exceeded the range of their dtype."""
    if not np.isfinite(rows).all():
        raise ValueError(
            f"the {done} rows of X exceed the range of {rows.dtype}, because X is far from the rows of the fit. Scale"
            " X, or use float64."
        )
    return rows
