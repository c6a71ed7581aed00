"""An activation that acts on each step of a sequence by itself, such as a softmax over the classes of each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from rhohat.common.arrays import FloatArray
from rhohat.layers.activations.base import Activation, Units
from rhohat.ops import Ops, WithOps

__all__ = ["PerStep"]


@dataclass(frozen=True)
class PerStep(Activation):
    """An activation without parameters, applied to each step of rows of several steps.

    Parameters
    ----------
    activation : Activation
        An activation that works in place and has no parameters, such as a softmax.
    n_steps : int
        Number of steps of a row.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat.layers.activations import Softmax
    >>> z = np.array([[1.0, 1.0, 3.0, 3.0]])
    >>> PerStep(Softmax(), n_steps=2).forward(Units(z, z, np.empty(0)))
    >>> z
    array([[0.5, 0.5, 0.5, 0.5]])
    """

    activation: Activation
    n_steps: int
    monotonic: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.activation.in_place or self.activation.n_parameters(1) or self.activation.width(1) != 1:
            raise ValueError(f"the activation {self.activation.name!r} cannot be applied to each step.")

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name of the activation of each step."""
        return self.activation.name

    @property
    def bounds(self) -> tuple[float, float]:  # type: ignore[override]
        """Bounds of the activation of each step."""
        return self.activation.bounds

    @property
    def twice_differentiable(self) -> bool:
        """Whether the activation of each step is."""
        return self.activation.twice_differentiable

    @property
    def thrice_differentiable(self) -> bool:
        """Whether the activation of each step is."""
        return self.activation.thrice_differentiable

    def with_ops(self, ops: Ops) -> Self:
        """Return this activation for arrays of another library."""
        other = WithOps.with_ops(self, ops)
        if other is not self:
            object.__setattr__(other, "activation", self.activation.with_ops(ops))
        return other

    def distance_from_kinks(self, z: FloatArray) -> float:
        """Return the distance of the activation of each step from a kink."""
        return self.activation.distance_from_kinks(self._lines(z))

    def forward(self, units: Units) -> None:
        """Overwrite z with the activation of each step."""
        self.activation.forward(self._units(units))

    def pull_back(self, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray) -> None:
        """Overwrite delta with its pull-back at each step."""
        self.activation.pull_back(self._units(units), self._lines(delta), self._lines(out), gradient)

    def push_forward(self, units: Units, beta: FloatArray, direction: FloatArray | None) -> FloatArray:
        """Return the tangent of each step."""
        beta = beta + self.ops.xp.zeros_like(units.z)
        lines = self.activation.push_forward(self._units(units), self._lines(beta), direction)
        return _rows(lines, self.n_steps)

    def curvature(
        self, units: Units, phi: FloatArray, beta: FloatArray, direction: FloatArray | None, gradient: FloatArray
    ) -> FloatArray:
        """Return the curvature of each step."""
        beta = beta + self.ops.xp.zeros_like(units.z)
        one = self._units(units), self._lines(phi), self._lines(beta)
        lines = self.activation.curvature(*one, direction, gradient)
        return _rows(lines, self.n_steps)

    def second_push_forward(
        self, units: Units, beta: FloatArray, zeta: FloatArray, direction: FloatArray | None
    ) -> FloatArray:
        """Return the second derivative along two tangents of each step."""
        zeros = self.ops.xp.zeros_like(units.z)
        one = self._units(units), self._lines(beta + zeros), self._lines(zeta + zeros)
        lines = self.activation.second_push_forward(*one, direction)
        return _rows(lines, self.n_steps)

    def third_order(self, units: Units, phi: FloatArray, beta: FloatArray, zeta: FloatArray) -> FloatArray:
        """Return the third-order term of each step."""
        zeros = self.ops.xp.zeros_like(units.z)
        one = self._units(units), self._lines(phi), self._lines(beta + zeros), self._lines(zeta + zeros)
        lines = self.activation.third_order(*one)
        return _rows(lines, self.n_steps)

    def _units(self, units: Units) -> Units:
        return Units(self._lines(units.z), self._lines(units.a), units.parameters)

    def _lines(self, rows: FloatArray) -> FloatArray:
        """Return rows, each of whose steps becomes a row."""
        lines: FloatArray = rows.reshape(len(rows) * self.n_steps, -1)
        return lines


def _rows(lines: Any, n_steps: int) -> FloatArray:
    """Return rows of several steps each, from an array with a row for each step."""
    rows: FloatArray = lines.reshape(len(lines) // n_steps, -1)
    return rows
