"""The base class of recurrent layers, which go through the steps of a sequence with a state.

Backpropagation through time goes through the steps in reverse. It needs, at each step, the outputs of the step before.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.blocks import shared_parts
from rhohat.layers.activations import Units
from rhohat.layers.base import LayerParameters
from rhohat.layers.padding import missing_steps, overflow_to_infinity, without_padding
from rhohat.layers.recurrent_sizes import Direction, RecurrentArrays, State

__all__ = ["Direction", "RecurrentLayer", "State"]

_FEWEST_ROWS_OF_WEIGHTS = 32  # fewest rows of the weights in a part, as there is a product for each of many steps


@dataclass(frozen=True)
class RecurrentLayer(RecurrentArrays):
    """The base class of recurrent layers: h_t is a function of x_t and of the state after the step before.

    A row is a sequence of shape (n_steps, n_channels), raveled. Once a sequence has ended, the state does not change.
    For each step, the layer keeps `n_gates` × `n_units` numbers, and then the state that cannot be computed from these.
    The array of ∂J/∂z has the same shape: in place of the state, it keeps the outputs of the step before, which the
    gradient of the weights needs.

    Parameters
    ----------
    n_steps, n_channels, n_units : int
        Number of steps, numbers per step of the input, and number of units.
    return_sequences : bool, default=False
        Whether the output has the units of all steps, in place of those of the last step of the sequence.
    bidirectional : bool, default=False
        Whether as many further units go through the steps in reverse. The output has the units that go forward, and
        then those that go backward, at each step.
    truncate : int, default=None
        Number of steps after which the gradient is not propagated further back, while the state is carried on: a
        direction is cut into runs of so many steps, counted from its first step that exists. None propagates through
        all steps.
    """

    @property
    def has_exact_gradient(self) -> bool:
        """Whether the gradient is propagated through all steps."""
        return self.truncate is None or self.truncate >= self.n_steps

    @abstractmethod
    def step(self, at: Direction, x: FloatArray, state: State, kept: FloatArray) -> State:
        """Compute one step.

        Parameters
        ----------
        at : Direction
            Parameters.
        x : array of shape (n_rows, n_channels)
            Inputs of the step.
        state : State
            State after the step before.
        kept : array of shape (n_rows, (n_gates + 1) × n_units)
            Receives what the way back needs.

        Returns
        -------
        State
        """

    @abstractmethod
    def step_back(
        self, at: Direction, kept: FloatArray, before: State, delta: State, out: FloatArray, gradient: FloatArray
    ) -> State:
        """Pull ∂J/∂state after a step back to the state before it.

        Parameters
        ----------
        at : Direction
            Parameters.
        kept : array
            What `step` has kept.
        before : State
            State before the step.
        delta : State
            ∂J/∂state after the step.
        out : array of shape (n_rows, n_gates × n_units)
            Receives ∂J/∂z: derivatives by what the biases are added to.
        gradient : array
            Gradient of the parameters beside weights and biases, to which that of the step is added.

        Returns
        -------
        State
            ∂J/∂state before the step, without the part through U, which the caller adds.
        """

    @abstractmethod
    def state_of(self, kept: FloatArray) -> State:
        """Return the state after a step from what was kept of it."""

    def forward(self, parameters: LayerParameters, given: FloatArray, units: Units, *, activate: bool = True) -> None:
        """Write what each step keeps into z, and the outputs into a."""
        missing = missing_steps(given, self.n_steps)
        x = given.reshape(-1, self.n_steps, self.n_channels)
        kept, a = self._by_step(units.z), self._outputs_by_step(units.a)
        for direction, steps in enumerate(self._orders()):
            at, state = self._direction(parameters, direction), self.first_state(len(x), given)
            for t in steps:
                after = self.step(at, x[:, t], state, kept[:, t, direction])
                if missing is not None:
                    after = self._where(missing[:, t], state, after)
                    kept[:, t, direction, -self.n_units :][missing[:, t]] = np.nan
                state = after
                if self.return_sequences:
                    a[:, t, direction] = state[0]
            if not self.return_sequences:
                a[:, 0, direction] = state[0]
        if self.return_sequences:
            if missing is not None:
                a[missing] = np.nan
            overflow_to_infinity(units.a, missing)

    def pull_back(
        self, parameters: LayerParameters, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray
    ) -> None:
        """Turn ∂J/∂a into ∂J/∂z and the outputs of the step before, and add to the gradient of further parameters."""
        kept, delta, backward = self._by_step(units.z), self._outputs_by_step(delta), self._by_step(out)
        own = gradient.reshape(self.n_directions, -1)
        for direction, steps in enumerate(self._orders()):
            at, columns = self._direction(parameters, direction), (slice(None), slice(None), direction)
            self._back_through_time(at, steps, kept[columns], delta[columns], backward[columns], own[direction])

    def _back_through_time(
        self,
        at: Direction,
        steps: Sequence[int],
        kept: FloatArray,
        delta: FloatArray,
        out: FloatArray,
        gradient: FloatArray,
    ) -> None:
        """Propagate ∂J/∂a back through the steps of one direction."""
        n_z, nothing = self.n_gates * self.n_units, self.first_state(len(kept), kept)
        of_z = self.ops.empty((len(kept), n_z), self.ops.dtype_of(kept))
        ended = self.ops.xp.isnan(kept[:, :, -1])
        some_ended = bool(ended.any())
        skipped = ended.sum(1) if some_ended and steps[0] > 0 else 0  # in reverse, padding comes before the sequence
        adjoint = held = nothing
        for place in reversed(range(self.n_steps)):
            t = steps[place]
            if self.return_sequences or place == self.n_steps - 1:
                adjoint = (adjoint[0] + delta[:, t if self.return_sequences else 0], *adjoint[1:])
            before, now = nothing if place == 0 else self.state_of(kept[:, steps[place - 1]]), kept[:, t]
            if some_ended:
                adjoint, held = self._held(ended[:, t], adjoint)
                before, now = tuple(without_padding(one) for one in before), without_padding(now)
            earlier = self.step_back(at, now, before, adjoint, of_z, gradient)
            out[:, t, :n_z], out[:, t, n_z:] = of_z, before[0]
            through = self.ops.product(of_z[:, self._columns(self.recurrent_gates)], at.U.T)
            adjoint = (earlier[0] + through, *earlier[1:])
            if self.truncate is not None:
                adjoint = self._cut(adjoint, (place - skipped) % self.truncate == 0)
            if some_ended:
                adjoint = tuple(one + kept_one for one, kept_one in zip(adjoint, held, strict=True))

    def _held(self, ended: FloatArray, adjoint: State) -> tuple[State, State]:
        """Return the part of ∂J/∂state that goes through the step, and the part that goes past it.

        The last state of a sequence is passed on through its padding, while outputs at padding depend on nothing.
        """
        nothing = self.first_state(len(ended), adjoint[0])
        held = nothing if self.return_sequences else self._where(ended, adjoint, nothing)
        return self._where(ended, nothing, adjoint), held

    def pull_back_to_inputs(
        self, W: FloatArray, given: FloatArray, delta: FloatArray, out: FloatArray | None = None
    ) -> FloatArray:
        """Return ∂J/∂inputs, computed from ∂J/∂z."""
        if out is None:
            out = self.ops.empty((len(delta), self.n_inputs), self.ops.dtype_of(delta))
        by_step, of_inputs = self._lines(delta), out.reshape(-1, self.n_channels)
        self.ops.multiply(by_step[:, 0, self._columns(self.input_gates)], self._of_inputs(W, 0).T, of_inputs)
        if self.bidirectional:
            of_z = by_step[:, 1, self._columns(self.input_gates)]
            of_inputs += self.ops.product(of_z, self._of_inputs(W, 1).T)
        return out

    def add_weight_gradient(self, W: FloatArray, given: FloatArray, delta: FloatArray, *, accumulate: bool) -> None:
        """Write the gradient of the weights, summed over rows and steps, into `W`, or add it to `W`."""
        part = slice(0, self.weight_shape[0])
        if accumulate:
            added = self.ops.empty(self.weight_shape, self.ops.dtype_of(delta))
            self.write_gradient_part(added, given, delta, part)
            W += added
        else:
            self.write_gradient_part(W, given, delta, part)

    def add_bias_gradient(self, b: FloatArray, delta: FloatArray, ones: FloatArray, *, accumulate: bool) -> None:
        """Write the sum of ∂J/∂z over rows and steps into `b`, or add it to `b`."""
        by_step, total = self._lines(delta), b.reshape(self.n_directions, -1)
        for direction in range(self.n_directions):
            found = self.ops.column_sums(by_step[:, direction, : total.shape[1]])
            total[direction] = total[direction] + found if accumulate else found

    def gradient_parts(self, n_rows: int) -> list[slice]:
        """Cut the inputs and the units of the step before into parts that threads can compute."""
        rows, columns = self.weight_shape
        return shared_parts(rows, n_rows * self.n_steps * columns, _FEWEST_ROWS_OF_WEIGHTS)

    def write_gradient_part(self, W: FloatArray, given: FloatArray, delta: FloatArray, part: slice) -> None:
        """Write the gradient of the weights of some inputs, and of some units of the step before, into `W`."""
        by_step, n_inputs = self._lines(delta), max(0, min(part.stop, self.n_channels) - part.start)
        if len(given) < len(delta):  # one tangent is shared by all rows
            given = self.ops.xp.broadcast_to(given, (len(delta), self.n_inputs))
        x = without_padding(given).reshape(-1, self.n_channels)[:, part.start : part.stop]
        units = slice(max(part.start - self.n_channels, 0) - self.n_units, part.stop - self.weight_shape[0] or None)
        for direction in range(self.n_directions):
            to, lines = self._of_direction(W, direction), by_step[:, direction]
            if n_inputs:
                self.ops.multiply_transposed(x, lines[:, self._columns(self.input_gates)], to[:n_inputs])
            if part.stop > self.n_channels:
                of_z = lines[:, self._columns(self.recurrent_gates)]
                self.ops.multiply_transposed(lines[:, units], of_z, to[n_inputs:])
