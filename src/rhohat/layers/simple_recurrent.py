"""The simple recurrent layer, whose state is its output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.layers.activations import Activation, ElementwiseActivation, Identity, ReLU, Sigmoid, Tanh
from rhohat.layers.base import Layer
from rhohat.layers.recurrent import Direction, State
from rhohat.layers.recurrent_tangents import RecurrentLayerWithTangents, Step
from rhohat.ops import Ops
from rhohat.ops.fused import SimpleSteps

__all__ = ["SimpleRecurrentLayer"]

#: The activations that primitives may know by their names; a class of a user may have inherited the name of one.
_PLAIN_ACTIVATIONS = (Identity, Sigmoid, Tanh, ReLU)


@dataclass(frozen=True)
class SimpleRecurrentLayer(RecurrentLayerWithTangents):
    """The simple recurrent layer of Elman: h_t = f(x_t W + h_{t−1} U + b).

    Parameters
    ----------
    n_steps, n_channels, n_units, return_sequences, bidirectional, truncate
        See `RecurrentLayer`.
    activation : Activation, default=Tanh()
        The function f, which acts on each unit by itself and has no parameters.

    References
    ----------
    Elman, J. L. (1990). Finding structure in time. Cognitive Science 14, 179-211.
    """

    activation: Activation = Tanh()  # noqa: RUF009
    n_gates: ClassVar[int] = 1
    input_gates: ClassVar[slice] = slice(1)
    recurrent_gates: ClassVar[slice] = slice(1)

    def with_ops(self, ops: Ops) -> Self:
        """Return this layer, together with its activation, for arrays of another library."""
        return Layer.with_ops(self, ops)

    def step(self, at: Direction, x: FloatArray, state: State, kept: FloatArray) -> State:
        """Compute h_t = f(x_t W + h_{t−1} U + b), which is kept."""
        h, through = self.ops.product(x, at.W[: self.n_channels]), self.ops.product(state[0], at.U)
        if self._steps is not None:
            return (self._steps.step(h, through, at.b, kept),)
        h += through
        h += at.b
        kept[:, : self.n_units] = h
        self._f.apply(h)
        kept[:, self.n_units :] = h
        return (h,)

    def step_back(
        self, at: Direction, kept: FloatArray, before: State, delta: State, out: FloatArray, gradient: FloatArray
    ) -> State:
        """Write ∂J/∂z = f′(z) ∘ ∂J/∂h into `out`."""
        if self._steps is not None:
            self._steps.step_back(kept, delta[0], out)
            return self.first_state(len(kept), kept)
        out[:] = delta[0]
        self._f.multiply_by_derivative(self.ops.copy(kept[:, self.n_units :]), out)
        return self.first_state(len(kept), kept)

    def state_of(self, kept: FloatArray) -> State:
        """Return h_t."""
        return (kept[:, self.n_units :],)

    # The same along a tangent.

    def push_step(
        self, at: Direction, own: FloatArray, step: Step, before: State, zeta: FloatArray, out: FloatArray
    ) -> State:
        """Return the tangent f′(z) ∘ ζ of h_t, which is kept."""
        (h,) = self.state_of(step.kept)
        out[:, : self.n_units], out[:, self.n_units :] = zeta, self._f.derivative(h) * zeta
        return self.push_state_of(step.kept, out)

    def push_step_back(
        self,
        at: Direction,
        own: FloatArray,
        step: Step,
        tangent: Step,
        delta: State,
        delta_dot: State,
        of_z: FloatArray,
        out: FloatArray,
        gradient: FloatArray,
    ) -> State:
        """Write the tangent of f′(z) ∘ δ into `out`: f″(z) ∘ ζ ∘ δ + f′(z) ∘ tangent of δ."""
        (h,), zeta = self.state_of(step.kept), tangent.kept[:, : self.n_units]
        out[:] = self._f.second_derivative(h) * zeta * delta[0] + self._f.derivative(h) * delta_dot[0]
        return self.first_state(len(h), h)

    def push_state_of(self, kept: FloatArray, tangent: FloatArray) -> State:
        """Return the tangent of h_t."""
        return (tangent[:, self.n_units :],)

    def distance_from_kinks(self, given: FloatArray, z: FloatArray) -> float:
        """Return the smallest distance of a pre-activation from a kink of f."""
        found = self._by_step(z)[..., : self.n_units]
        return self.activation.distance_from_kinks(found[~np.isnan(self._by_step(z)[..., -1])])

    @property
    def _steps(self) -> SimpleSteps | None:
        """The steps in one call each, if the primitives have them for this activation."""
        return self.ops.simple_steps(self.activation.name) if type(self.activation) in _PLAIN_ACTIVATIONS else None

    @property
    def _f(self) -> ElementwiseActivation:
        assert isinstance(self.activation, ElementwiseActivation)
        return self.activation
