"""The loss of sequences: a loss of each step, summed over the steps that exist."""

from __future__ import annotations

from dataclasses import dataclass

from rhohat.common.arrays import FloatArray
from rhohat.ops import Ops, WithOps
from rhohat.terms.losses import Loss

__all__ = ["StepwiseLoss"]


@dataclass(frozen=True)
class StepwiseLoss(Loss):
    """A loss of each step of a sequence, summed over steps. A step whose output or target is NaN does not count.

    Parameters
    ----------
    loss : Loss
        Loss of each step.
    n_steps : int
        Number of steps of a row.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat.terms.losses import SquaredError
    >>> a, y, derivative = np.array([[1.0, 5.0]]), np.array([[3.0, np.nan]]), np.empty((1, 2))
    >>> StepwiseLoss(SquaredError(), n_steps=2).value_and_derivative(a, y, derivative)
    array([2.])
    >>> derivative
    array([[-2.,  0.]])
    """

    loss: Loss
    n_steps: int

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name of the loss of each step."""
        return self.loss.name

    @property
    def contains(self) -> str | None:  # type: ignore[override]
        """Name of the output activation that is part of the loss of each step."""
        return self.loss.contains

    def with_ops(self, ops: Ops) -> StepwiseLoss:
        """Return this loss for arrays of another library."""
        other = WithOps.with_ops(self, ops)
        if other is not self:
            object.__setattr__(other, "loss", self.loss.with_ops(ops))
        return other

    def check_targets(self, y: FloatArray) -> None:
        """Raise ValueError if the targets of the steps that exist are not valid for the loss."""
        steps = self._steps(y)
        self.loss.check_targets(steps[~self.ops.xp.isnan(steps[:, 0])])

    def value_and_derivative(self, outputs: FloatArray, y: FloatArray, out: FloatArray) -> FloatArray:
        """Return the loss of each row, summed over the steps that exist, and write its derivative into `out`."""
        exists = self._exists(outputs, y)
        if exists is None:
            values = self.loss.value_and_derivative(self._steps(outputs), self._steps(y), self._steps(out))
        else:
            derivative = self.ops.empty((int(exists.sum()), self._steps(y).shape[1]), self.ops.dtype_of(out))
            found = self.loss.value_and_derivative(self._steps(outputs)[exists], self._steps(y)[exists], derivative)
            self._write(out, exists, derivative)
            values = self.ops.zeros((len(exists),), self.ops.dtype_of(found))
            values[exists] = found
        total: FloatArray = values.reshape(-1, self.n_steps).sum(1)
        return total

    def sum_and_derivative(self, outputs: FloatArray, y: FloatArray, out: FloatArray) -> float:
        """Return the loss summed over rows and the steps that exist, and write its derivative into `out`."""
        exists = self._exists(outputs, y)
        if exists is None:
            return self.loss.sum_and_derivative(self._steps(outputs), self._steps(y), self._steps(out))
        derivative = self.ops.empty((int(exists.sum()), self._steps(y).shape[1]), self.ops.dtype_of(out))
        total = self.loss.sum_and_derivative(self._steps(outputs)[exists], self._steps(y)[exists], derivative)
        self._write(out, exists, derivative)
        return total

    def second_derivative(self, outputs: FloatArray, y: FloatArray, tangent: FloatArray) -> FloatArray:
        """Return the second derivative of the loss of each step, applied to the tangent."""
        exists = self._exists(outputs, y)
        arrays = [self._steps(outputs), self._steps(y), self._steps(tangent)]
        if exists is None:
            return self.loss.second_derivative(*arrays).reshape(len(outputs), -1)
        result = self.ops.zeros(tangent.shape, self.ops.dtype_of(tangent))
        self._write(result, exists, self.loss.second_derivative(*(one[exists] for one in arrays)))
        return result

    def _steps(self, rows: FloatArray) -> FloatArray:
        """Return rows as an array with a row for each step."""
        steps: FloatArray = rows.reshape(len(rows) * self.n_steps, -1)
        return steps

    def _exists(self, outputs: FloatArray, y: FloatArray) -> FloatArray | None:
        """Return which steps have both an output and a target; None if all have."""
        isnan = self.ops.xp.isnan
        missing = isnan(self._steps(outputs)[:, 0]) | isnan(self._steps(y)[:, 0])
        return ~missing if bool(missing.any()) else None

    def _write(self, out: FloatArray, exists: FloatArray, derivative: FloatArray) -> None:
        """Write derivatives of the steps that exist into `out`, and zeros for the others."""
        out[:] = 0
        self._steps(out)[exists] = derivative
