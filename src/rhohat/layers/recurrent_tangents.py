"""Tangents through recurrent layers: each step, and each step back, differentiated along a direction.

α, the tangent of the outputs along a direction v in the inputs or parameters, is pushed forward through the steps with
the tangents of the states. What is needed for the way back follows from it: as second derivatives are symmetric, the
gradient of φ · α is the derivative along v of the gradient of φ · a, that is, of what backpropagation through time
computes from φ. It goes through the steps in reverse together with backpropagation itself.

In the code of the cells, a name that ends in `_dot` is the tangent of what the rest of the name stands for, and
`of_x_dot` is the tangent of `of_x`, which is ∂(φ · a)/∂x.

References
----------
Pearlmutter, B. A. (1994). Fast exact multiplication by the Hessian. Neural Computation 6, 147-160, section 4.3.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rhohat.common.arrays import FloatArray
from rhohat.layers.activations import Units
from rhohat.layers.base import LayerParameters
from rhohat.layers.padding import missing_steps, without_padding
from rhohat.layers.recurrent import Direction, RecurrentLayer, State

__all__ = ["RecurrentLayerWithTangents", "Step"]


class Step(NamedTuple):
    """What the way back needs of a step, or the tangents of it.

    Attributes
    ----------
    kept : array of shape (n_rows, (n_gates + 1) × n_units)
        What `RecurrentLayer.step` has kept.
    before : State
        State before the step.
    """

    kept: FloatArray
    before: State


class _Pulled(NamedTuple):
    """The pull-back of φ and its derivative: views of both, for one direction through the steps."""

    phi_z: FloatArray
    curved: FloatArray


@dataclass(frozen=True)
class RecurrentLayerWithTangents(RecurrentLayer):
    """A recurrent layer whose step, and step back, can be differentiated along a direction.

    If `truncate` leaves out a part of the gradient, the layer has no tangents: the gradient is not the derivative of
    the outputs then, and second derivatives would not be symmetric.

    Parameters
    ----------
    n_steps, n_channels, n_units, return_sequences, bidirectional, truncate
        See `RecurrentLayer`.
    """

    @property
    def has_tangents(self) -> bool:  # type: ignore[override]
        """Whether the gradient is propagated through all steps."""
        return self.has_exact_gradient

    # What a cell defines.

    @abstractmethod
    def push_step(
        self, at: Direction, own: FloatArray, step: Step, before: State, zeta: FloatArray, out: FloatArray
    ) -> State:
        """Compute the tangents of what `step` computes.

        Parameters
        ----------
        at : Direction
            Parameters.
        own : array
            Direction in the parameters beside weights and biases.
        step : Step
            The step.
        before : State
            Tangent of the state before the step.
        zeta : array of shape (n_rows, n_gates × n_units)
            Tangents of the sums to which the biases are added: x_t W + b, h_{t−1} U + b, or both together. The content
            may be overwritten.
        out : array of shape (n_rows, (n_gates + 1) × n_units)
            Receives the tangents of what `step` has kept.

        Returns
        -------
        State
            Tangent of the state after the step.
        """

    @abstractmethod
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
        """Compute the tangents of what `step_back` computes.

        Parameters
        ----------
        at, own, step
            As for `push_step`.
        tangent : Step
            Tangents of the step.
        delta, delta_dot : State
            The argument `delta` of `step_back`, and its tangent.
        of_z : array of shape (n_rows, n_gates × n_units)
            What `step_back` has written into `out`.
        out : array of shape (n_rows, n_gates × n_units)
            Receives the tangent of that.
        gradient : array
            The tangent of what `step_back` adds to the gradient of the parameters `own` is added to it.

        Returns
        -------
        State
            Tangent of what `step_back` returns.
        """

    @abstractmethod
    def push_state_of(self, kept: FloatArray, tangent: FloatArray) -> State:
        """Return the tangent of the state after a step from what was kept of it and the tangents of that."""

    # Through all steps.

    def push_forward(
        self,
        parameters: LayerParameters,
        direction: LayerParameters | None,
        given: FloatArray,
        tangent: FloatArray | None,
        units: Units,
    ) -> tuple[FloatArray, FloatArray]:
        """Return β, the tangents of all that each step has kept, and α; both are 0 at missing steps."""
        missing, kept = missing_steps(given, self.n_steps), self._by_step(without_padding(units.z))
        beta, alpha = (self.ops.zeros(one.shape, self.ops.dtype_of(one)) for one in (units.z, units.a))
        pushed, outputs = self._by_step(beta), self._outputs_by_step(alpha)
        to_recurrent = self._columns(self.recurrent_gates)
        for number, steps in enumerate(self._orders()):
            at, along, own = self._directions(parameters, direction, number)
            zeta = self._push_inputs(at, along, given, tangent, len(units.z))
            state = self.first_state(len(units.z), units.z)
            for place, t in enumerate(steps):
                step = self._step(kept[:, :, number], steps, place)
                zeta[:, t, to_recurrent] += self.ops.product(state[0], at.U)
                if along is not None:
                    zeta[:, t, to_recurrent] += self.ops.product(step.before[0], along.U)
                after = self.push_step(at, own, step, state, zeta[:, t], pushed[:, t, number])
                if missing is not None:
                    after = self._where(missing[:, t], state, after)
                    pushed[:, t, number][missing[:, t]] = 0
                state = after
                if self.return_sequences:
                    outputs[:, t, number] = state[0]
            if not self.return_sequences:
                outputs[:, 0, number] = state[0]
        if self.return_sequences and missing is not None:
            outputs[missing] = 0
        return beta, alpha

    def pull_back_along(
        self,
        parameters: LayerParameters,
        direction: LayerParameters | None,
        units: Units,
        beta: FloatArray,
        phi: FloatArray,
        gradient: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the pull-back of φ, and its derivative along the tangents.

        In place of the outputs of the step before, the pull-back has their tangents, and its derivative has zeros: the
        gradient of the weights, δᵀ of the outputs of the step before, is differentiated by the product rule.
        """
        phi_z, curved = (self.ops.empty(units.z.shape, self.ops.dtype_of(units.z)) for _ in range(2))
        ended = self.ops.xp.isnan(self._by_step(units.z)[:, :, 0, -1])
        by_step = [self._by_step(one) for one in (without_padding(units.z), beta, phi_z, curved)]
        outputs, of_own = self._outputs_by_step(phi), gradient.reshape(self.n_directions, -1)
        for number, steps in enumerate(self._orders()):
            kept, pushed, *out = (one[:, :, number] for one in by_step)
            directions = self._directions(parameters, direction, number)
            self._push_back_through_time(
                directions, steps, (kept, pushed), ended, outputs[:, :, number], _Pulled(*out), of_own[number]
            )
        return phi_z, curved

    def _push_back_through_time(
        self,
        directions: tuple[Direction, Direction | None, FloatArray],
        steps: Sequence[int],
        arrays: tuple[FloatArray, FloatArray],
        ended: FloatArray,
        phi: FloatArray,
        out: _Pulled,
        gradient: FloatArray,
    ) -> None:
        """Propagate φ, and the tangent of this propagation, back through the steps of one direction."""
        (at, along, own), (kept, pushed) = directions, arrays
        n_z, to_recurrent = self.n_gates * self.n_units, self._columns(self.recurrent_gates)
        of_z, of_z_dot = (self.ops.empty((len(kept), n_z), self.ops.dtype_of(kept)) for _ in range(2))
        delta = delta_dot = self.first_state(len(kept), kept)
        unused, some_ended = self.ops.copy(gradient), bool(ended.any())
        for place in reversed(range(self.n_steps)):
            t = steps[place]
            if self.return_sequences or place == self.n_steps - 1:
                delta = (delta[0] + phi[:, t if self.return_sequences else 0], *delta[1:])
            held = None
            if some_ended:
                delta, held = self._held(ended[:, t], delta)
                delta_dot, _ = self._held(ended[:, t], delta_dot)  # nothing passes the padding: φ is fixed at the end
            step = self._step(kept, steps, place)
            tangent = self._tangent_of_step(kept, pushed, steps, place)
            earlier = self.step_back(at, step.kept, step.before, delta, of_z, unused)
            earlier_dot = self.push_step_back(at, own, step, tangent, delta, delta_dot, of_z, of_z_dot, gradient)
            out.phi_z[:, t, :n_z], out.phi_z[:, t, n_z:] = of_z, tangent.before[0]
            out.curved[:, t, :n_z], out.curved[:, t, n_z:] = of_z_dot, 0
            through, through_dot = (self.ops.product(one[:, to_recurrent], at.U.T) for one in (of_z, of_z_dot))
            if along is not None:
                through_dot += self.ops.product(of_z[:, to_recurrent], along.U.T)
            delta = _sum((earlier[0] + through, *earlier[1:]), held)
            delta_dot = (earlier_dot[0] + through_dot, *earlier_dot[1:])

    def _push_inputs(
        self,
        at: Direction,
        along: Direction | None,
        given: FloatArray,
        tangent: FloatArray | None,
        n_rows: int,
    ) -> FloatArray:
        """Return the tangents of x_t W + b at all steps, of shape (n_rows, n_steps, n_gates × n_units)."""
        zeta: FloatArray = self.ops.zeros((n_rows, self.n_steps, self.n_gates * self.n_units), self.ops.dtype_of(given))
        of_inputs = zeta[:, :, self._columns(self.input_gates)]
        if tangent is not None:
            of_inputs += tangent.reshape(-1, self.n_steps, self.n_channels) @ at.W[: self.n_channels]
        if along is not None:
            x = without_padding(given).reshape(-1, self.n_steps, self.n_channels)
            of_inputs += x @ along.W[: self.n_channels]
            zeta += along.b
        return zeta

    def _directions(
        self, parameters: LayerParameters, direction: LayerParameters | None, number: int
    ) -> tuple[Direction, Direction | None, FloatArray]:
        """Return, for one direction through the steps, the parameters, the direction in them, and that in `own`."""
        at, along = self._direction(parameters, number), None
        if direction is None:
            return at, along, self.ops.zeros(at.own.shape, self.ops.dtype_of(at.own))
        along = self._direction(direction, number)
        return at, along, along.own

    def _step(self, kept: FloatArray, steps: Sequence[int], place: int) -> Step:
        """Return a step of one direction, from what all steps have kept."""
        nothing = self.first_state(len(kept), kept)
        return Step(kept[:, steps[place]], nothing if place == 0 else self.state_of(kept[:, steps[place - 1]]))

    def _tangent_of_step(self, kept: FloatArray, pushed: FloatArray, steps: Sequence[int], place: int) -> Step:
        """Return the tangents of a step, from what all steps have kept and the tangents of that."""
        if place == 0:
            return Step(pushed[:, steps[0]], self.first_state(len(kept), kept))
        t = steps[place - 1]
        return Step(pushed[:, steps[place]], self.push_state_of(kept[:, t], pushed[:, t]))


def _sum(state: State, other: State | None) -> State:
    """Return the sum of two states; None stands for zeros."""
    return state if other is None else tuple(one + another for one, another in zip(state, other, strict=True))
