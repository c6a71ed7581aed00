"""What is done to rows before a dictionary sees them: a common factor, or a scale for each row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray, largest_magnitude
from rhohat.ops import ops_of

__all__ = ["NORMALIZATIONS", "Scaling", "distances", "scaling_of"]

#: What the parameter `normalize` of dictionaries may be.
NORMALIZATIONS = ("mean_norm", "layer_norm", None)

_ROUNDING = 1e-14  # distance of rows from their mean, in units of the largest number, that is rounding alone
_ROWS = 1024  # rows that are looked at in float64 at a time
_SMALLEST = 1e-5  # added to the standard deviation of a row, so that a row of equal numbers stays finite


@dataclass(frozen=True)
class Scaling:
    """Scales rows, which are arrays of NumPy or tensors.

    Attributes
    ----------
    factor : float, default=1
        Factor of all numbers.
    by_rows : bool, default=False
        Whether each row is first centred at its mean and divided by its standard deviation.
    shift : array of shape (n_features,), default=None
        What is subtracted in the end, in scaled units; None means nothing.
    """

    factor: float = 1.0
    by_rows: bool = False
    shift: FloatArray | None = None

    def apply(self, X: FloatArray, out: FloatArray) -> FloatArray:
        """Return scaled rows, in `out` unless nothing is to be done."""
        ops = ops_of(X)
        if self.by_rows:
            mean, scale = self.statistics(X)
            ops.xp.subtract(X, mean, out=out)
            out /= scale
        elif self.factor == 1 and self.shift is None:
            return X
        else:
            ops.xp.multiply(X, float(self.factor), out=out)
        if self.shift is not None:
            out -= ops.asarray(self.shift, ops.dtype_of(X))
        return out

    def undo(self, made: FloatArray, X: FloatArray) -> FloatArray:
        """Return reconstructions in the units of the rows X that they are of."""
        if self.by_rows:
            mean, scale = self.statistics(X)
            return made * scale + mean
        return made if self.factor == 1 else made / float(self.factor)

    def statistics(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the mean and the scale of each row, of shape (n_rows, 1)."""
        xp, fewer = ops_of(X).xp, 1 if X.shape[1] > 1 else 0
        return X.mean(1, keepdims=True), xp.std(X, 1, keepdims=True, correction=fewer) + _SMALLEST


def scaling_of(normalize: str | None, X: FloatArray, center: bool) -> Scaling:
    """Return the scaling that a sample of rows asks for.

    Parameters
    ----------
    normalize : {"mean_norm", "layer_norm", None}
        "mean_norm": one factor for all rows, such that their mean norm is √n_features; about their mean if `center` is
        true; the factor is 1 if all rows are equal. "layer_norm": each row is centred and scaled. None: nothing is
        done.
    X : array of shape (n_rows, n_features)
    center : bool
        Whether the dictionary sees rows about their mean.
    """
    if normalize == "layer_norm":
        return Scaling(by_rows=True)
    if normalize is None:
        return Scaling()
    largest = largest_magnitude(X) or 1.0
    mean_norm = float(distances(X, from_mean=center, unit=largest).mean())
    if mean_norm <= _ROUNDING:
        return Scaling()
    return Scaling(float(np.sqrt(X.shape[1]) / mean_norm / largest))


def distances(X: FloatArray, *, from_mean: bool = True, unit: float = 1.0) -> NDArray[np.float64]:
    """Return the distance of each row from the mean of the rows, or from 0.

    Parameters
    ----------
    X : array of shape (n_rows, n_features)
    from_mean : bool, default=True
        Whether distances are those from the mean.
    unit : float, default=1
        What distances are measured in. In units of the largest number, no square overflows.

    Returns
    -------
    array of shape (n_rows,)
        The distances of equal rows from their mean are exactly 0.
    """
    blocks = [slice(start, start + _ROWS) for start in range(0, len(X), _ROWS)]
    origin = X[0].astype(np.float64) / unit if from_mean else np.zeros(X.shape[1])
    mean = np.zeros(X.shape[1])
    if from_mean:
        mean += sum((X[rows].astype(np.float64) / unit - origin).sum(0) for rows in blocks) / len(X)
    origin += mean
    return np.concatenate([np.linalg.norm(X[rows].astype(np.float64) / unit - origin, axis=1) for rows in blocks])
