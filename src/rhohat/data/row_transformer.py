"""What transformers of rows share."""

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
from rhohat.data.ranges import warn_of_other_scale
from rhohat.data.rows import RowSource, open_rows, remember_columns

__all__ = ["LearnedShapes", "RowTransformer", "check_held"]


#: Names of what a transformer has learned, and the shape of each, given the number of features.
LearnedShapes = Mapping[str, Callable[[int], tuple[int, ...]]]


class RowTransformer(FittedAttributes, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """What transformers of rows share: they check rows, keep their width, and take row sources."""

    def _validate(self, X: ArrayLike, *, reset: bool = False) -> FloatArray:
        with np.errstate(invalid="ignore"):  # of the sum by which scikit-learn sees that numbers are finite
            return as_float_rows(validate_data(self, X, dtype="numeric", reset=reset))

    def _open(self, X: ArrayLike | RowSource) -> RowSource:
        """Return rows to be fitted to as a source, whose `extent` sees that its numbers are finite."""
        if isinstance(X, RowSource):
            remember_columns(self, X)
            return X
        self.__dict__.pop("reading_", None)
        return open_rows(self._validate(X, reset=True))

    @abstractmethod
    def _transform(self, X: FloatArray) -> FloatArray:
        """Return transformed rows; numbers that their dtype does not hold are not finite."""

    def _transform_rows(self, X: FloatArray) -> FloatArray:
        """Return transformed rows, or raise ValueError where their dtype does not hold them."""
        with np.errstate(over="ignore", invalid="ignore"):
            return check_held(self._transform(X), "transformed")

    def transform(self, X: ArrayLike | RowSource) -> Any:
        """Transform rows.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_features), or RowSource
            Of a row source, another one, which transforms what is read of it.

        Raises
        ------
        ValueError
            If X has another number of columns, is not finite, or becomes numbers that its dtype does not hold.

        Warns
        -----
        UserWarning
            If the rows are on another scale than those of the fit.
        """
        check_is_fitted(self)
        if isinstance(X, RowSource):
            if X.shape[1] != self.n_features_in_:
                raise ValueError(
                    f"{X.name} has {X.shape[1]} columns, and {type(self).__name__} was fitted to {self.n_features_in_}."
                )
            warn_of_other_scale(self, X)
            return open_rows(X, transform=self._transform_rows)
        rows = self._validate(X)
        warn_of_other_scale(self, rows)
        return self._transform_rows(rows)

    def _validate_inverse(self, X: ArrayLike) -> FloatArray:
        check_is_fitted(self)
        with np.errstate(invalid="ignore"):
            X = as_float_rows(check_array(X, dtype="numeric", input_name="X"))
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X must have {self.n_features_in_} columns, as the data of the fit had; got {X.shape[1]}."
            )
        return X

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def check_held(rows: FloatArray, done: str) -> FloatArray:
    """Return rows, or raise ValueError where they are more than their dtype holds."""
    if not np.isfinite(rows).all():
        raise ValueError(
            f"rows of X, {done}, are more than {rows.dtype} holds: they are far from those of the fit. Scale them, or"
            " use float64."
        )
    return rows
