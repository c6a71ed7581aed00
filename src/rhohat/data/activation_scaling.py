"""Preprocessing of the activations of other networks: centring, and one common scale."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from rhohat.common.arrays import FloatArray
from rhohat.data.ranges import remember_range
from rhohat.data.row_transformer import LearnedShapes, RowTransformer, check_held
from rhohat.data.rows import RowSource

__all__ = ["ActivationScaler"]


class ActivationScaler(RowTransformer):
    """Subtract the mean of each column, and divide all numbers by one common scale.

    The scale is the root mean square of the centred numbers of the training rows. Columns keep their sizes relative to
    one another, so that directions in the space of the rows, and angles between them, stay what they are; scaling each
    column by itself would change both.

    Attributes
    ----------
    mean_ : array of shape (n_features,)
        Mean of each column, in the units of the data.
    scale_ : float
        Common scale, in the units of the data; 1 if all rows are equal.
    training_range_ : array of shape (2, n_features)
        Minimum and maximum of each feature in the training rows. It exists only if there were at least 20 rows.
    n_features_in_ : int
        Number of features in the training rows.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Names of the features. It exists only if X has column names that are all strings.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import ActivationScaler
    >>> ActivationScaler().fit_transform(np.array([[1.0, 5.0], [3.0, 5.0]])).round(3)
    array([[-1.414,  0.   ],
           [ 1.414,  0.   ]])
    """

    _set_by_fit = "scale_"
    command_line_name: ClassVar[str | None] = "activations"
    learned_shapes: ClassVar[LearnedShapes] = {
        "mean_": lambda n_features: (n_features,),
        "scale_": lambda n_features: (),
    }

    def fit(self, X: ArrayLike | RowSource, y: object = None) -> Self:
        """Compute the mean of each column, and the common scale.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        self
        """
        rows = self._open(X)
        largest = max(abs(bound) for bound in rows.extent())
        remember_range(self, rows)
        # Squares of numbers in units of a power of two near the largest number neither overflow nor vanish.
        exponent = math.frexp(largest)[1] if largest > 0 else 0
        total: FloatArray = np.zeros(rows.shape[1])
        for some in rows.map_blocks(partial(_sum, exponent)):
            total += some
        mean = total / rows.shape[0]
        squares = sum(rows.map_blocks(partial(_sum_squares, exponent, mean)))
        deviation = math.ldexp(math.sqrt(squares / (rows.shape[0] * rows.shape[1])), exponent)
        rounding = 2 * float(np.finfo(rows.dtype).eps) * largest  # of means of columns that do not vary
        self.mean_, self.scale_ = np.ldexp(mean, exponent), deviation if deviation > rounding else 1.0
        return self

    def _transform(self, X: FloatArray) -> FloatArray:
        out: FloatArray = X - self.mean_.astype(X.dtype)
        out /= X.dtype.type(self.scale_)
        return out

    def inverse_transform(self, X: ArrayLike) -> FloatArray:
        """Map scaled rows back to the scale of the data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Scaled rows.

        Returns
        -------
        array of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            If the result exceeds the range of the dtype of X.
        """
        rows = self._validate_inverse(X)
        with np.errstate(over="ignore", invalid="ignore"):
            return check_held(rows * rows.dtype.type(self.scale_) + self.mean_.astype(rows.dtype), "transformed back")


def _sum(exponent: int, rows: FloatArray, _: int) -> FloatArray:
    """Return the sum of each column, in units of 2 to the power of the exponent."""
    return np.ldexp(rows.astype(np.float64), -exponent).sum(0)


def _sum_squares(exponent: int, mean: FloatArray, rows: FloatArray, _: int) -> float:
    """Return the sum of the squares of centred numbers, in the same units."""
    centred = np.ldexp(rows.astype(np.float64), -exponent) - mean
    return float(np.einsum("ij,ij->", centred, centred))
