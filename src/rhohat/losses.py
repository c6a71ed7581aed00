"""Losses: the value and its derivative at the output, side by side.

A loss sees a block of outputs a and targets y. The mean over all rows is taken once, by the objective, so what a
loss returns is a sum over the rows of its block.

To add one: a class here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from rhohat.arrays import FloatArray, array_namespace

__all__ = ["Loss", "SquaredError"]


class Loss(ABC):
    """What an output costs, given its target.

    Attributes
    ----------
    name : str
        Under which its value stands among the terms of J.
    """

    name: ClassVar[str]

    @abstractmethod
    def value_and_derivative(self, a: FloatArray, y: FloatArray, out: FloatArray) -> float:
        """Return the loss summed over features and rows, and write ∂loss/∂a into `out`.

        Parameters
        ----------
        a : array of shape (n_rows, n_outputs)
            Outputs of the network; left as they are.
        y : array of shape (n_rows, n_outputs)
            Targets.
        out : array of shape (n_rows, n_outputs)
            Receives the derivative, row by row (not divided by the number of rows).
        """


@dataclass(frozen=True)
class SquaredError(Loss):
    """½ ‖a − y‖², summed over features; the derivative is a − y.

    References
    ----------
    Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> a, y, derivative = np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]]), np.empty((1, 2))
    >>> SquaredError().value_and_derivative(a, y, derivative)
    2.5
    >>> derivative
    array([[ 1., -2.]])
    """

    name: ClassVar[str] = "squared_error"

    def value_and_derivative(self, a: FloatArray, y: FloatArray, out: FloatArray) -> float:
        """Return ½ Σ (a − y)² and write a − y into `out`."""
        xp = array_namespace(a)
        xp.subtract(a, y, out=out)
        residual = out.reshape(-1)
        return 0.5 * float(xp.vdot(residual, residual))
