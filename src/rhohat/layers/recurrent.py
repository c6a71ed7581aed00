"""The base class of recurrent layers, which go through the steps of a sequence with a state.

Backpropagation through time goes through the steps in reverse. It needs, at each step, the outputs of the step before.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.blocks import shared_parts
from rhohat.layers.activations import Activation, ElementwiseActivation, Tanh, Units
from rhohat.layers.base import Layer, LayerParameters
from rhohat.layers.padding import missing_steps, without_padding

__all__ = ["Direction", "RecurrentLayer", "State"]

_FEWEST_ROWS_OF_WEIGHTS = 32  # fewest rows of the weights in a part, as there is a product for each of many steps

#: The arrays that a layer passes from one step to the next, of shape (n_rows, n_units) each; the first is the output.
State = tuple[FloatArray, ...]


class Direction(NamedTuple):
    """The parameters of one direction through the steps.

    Attributes
    ----------
    W : array of shape (n_channels + n_units, n_columns)
        Weights of the inputs of a step, and then of the outputs of the step before.
    U : array of shape (n_units, n_columns)
        The second part of W.
    b : array of shape (n_gates × n_units,)
        Biases.
    own : array
        Further parameters, such as peepholes.
    """

    W: FloatArray
    U: FloatArray
    b: FloatArray
    own: FloatArray


@dataclass(frozen=True)
class RecurrentLayer(Layer):
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
        Number of steps after which the gradient is not propagated further back, while the state is carried on. None
        propagates through all steps.
    """

    n_steps: int
    n_channels: int
    n_units: int
    return_sequences: bool = False
    bidirectional: bool = False
    truncate: int | None = None
    takes_padding: ClassVar[bool] = True
    #: Number of groups of n_units numbers that are computed at each step, each with its own biases.
    n_gates: ClassVar[int]
    #: The groups that the inputs, and the outputs of the step before, contribute to.
    input_gates: ClassVar[slice]
    recurrent_gates: ClassVar[slice]
    #: Number of arrays of the state.
    n_state: ClassVar[int] = 1
    #: Number of parameters of each unit beside its weights and biases.
    n_own_of_unit: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if min(self.n_steps, self.n_channels, self.n_units) < 1 or (self.truncate or 1) < 1:
            raise ValueError(
                "a recurrent layer needs at least one step, one channel and one unit, and truncate must be None or at"
                f" least 1; got {self!r}."
            )
        if not isinstance(self.activation, ElementwiseActivation):
            raise ValueError(
                f"a recurrent layer cannot use the activation {self.activation.name!r}, which does not act on each"
                " unit by itself or has parameters of its own; use another activation, such as 'tanh'."
            )

    # Sizes.

    @property
    def activation(self) -> Activation:  # type: ignore[override]
        """The function that bounds the outputs: tanh, unless a layer has another."""
        return Tanh().with_ops(self.ops)

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Number of inputs per row: steps times channels."""
        return self.n_steps * self.n_channels

    @property
    def n_directions(self) -> int:
        """Number of directions through the steps: 2 for a bidirectional layer, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def output_channels(self) -> int:
        """Number of units, in both directions together."""
        return self.n_directions * self.n_units

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        """Number of outputs per row: units, times steps for an output with all steps."""
        return (self.n_steps if self.return_sequences else 1) * self.output_channels

    @property
    def width(self) -> int:
        """Number of numbers that are kept per row."""
        return self.n_steps * self.n_directions * (self.n_gates + 1) * self.n_units

    @property
    def n_columns(self) -> int:
        """Number of columns of the weights of one direction."""
        return len(range(self.n_gates)[self.input_gates]) * self.n_units

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weights: a row for each channel of the input, and then one for each unit of the step before."""
        return self.n_channels + self.n_units, self.n_directions * self.n_columns

    @property
    def n_biases(self) -> int:
        """Number of biases."""
        return self.n_directions * self.n_gates * self.n_units

    @property
    def n_own(self) -> int:
        """Number of parameters beside weights and biases."""
        return self.n_directions * self.n_own_of_unit * self.n_units

    @property
    def fans(self) -> tuple[int, int]:
        """Fan-in and fan-out of the weights of the inputs for one group of units."""
        return self.n_channels, self.n_units

    @property
    def multiply_adds(self) -> int:
        """Number of multiplications per row: one for each weight and step."""
        rows, columns = self.weight_shape
        return self.n_steps * rows * columns

    @property
    def has_exact_gradient(self) -> bool:
        """Whether the gradient is propagated through all steps."""
        return self.truncate is None or self.truncate >= self.n_steps

    @property
    def monotonic(self) -> bool:
        """Whether outputs grow with single pre-activations, which they do not."""
        return False

    @property
    def numbers_in_memory(self) -> int:
        """Number of numbers that are kept per row, with the outputs."""
        return self.width + self.n_outputs

    @property
    def fewest_rows(self) -> int:
        """Fewest rows in a block, each of which has products at every step."""
        return 32

    @property
    def n_padded_steps(self) -> int | None:
        """Number of steps of the output; None if it has the last step only."""
        return self.n_steps if self.return_sequences else None

    # Parameters at the start.

    def initial_weights(self, generator: np.random.Generator, rule: str) -> FloatArray:
        """Draw initial weights; with the rule "uniform", those of the step before are orthogonal matrices.

        References
        ----------
        Saxe, A. M., McClelland, J. L. and Ganguli, S. (2014). Exact solutions to the nonlinear dynamics of learning in
        deep linear neural networks. ICLR.
        """
        if rule == "normal":
            return super().initial_weights(generator, rule)
        weights = np.empty(self.weight_shape)
        bound = np.sqrt(6 / (sum(self.fans) + 1))
        weights[: self.n_channels] = generator.uniform(-bound, bound, (self.n_channels, self.weight_shape[1]))
        for start in range(0, self.weight_shape[1], self.n_units):
            square, upper = np.linalg.qr(generator.normal(size=(self.n_units, self.n_units)))
            weights[self.n_channels :, start : start + self.n_units] = square * np.sign(np.diag(upper))
        return weights

    def initial_own(self) -> FloatArray:
        """Return zeros for further parameters, such as peepholes."""
        return np.zeros(self.n_own)

    # Forward pass and backpropagation.

    def first_state(self, n_rows: int, like: FloatArray) -> State:
        """Return the state before the first step: arrays of zeros."""
        zeros = self.ops.zeros((n_rows, self.n_units), self.ops.dtype_of(like))
        return (zeros,) * self.n_state

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
        x = (given if missing is None else without_padding(given)).reshape(-1, self.n_steps, self.n_channels)
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
        if self.return_sequences and missing is not None:
            a[missing] = np.nan

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
        adjoint = held = nothing
        for place in reversed(range(self.n_steps)):
            t = steps[place]
            if self.return_sequences or place == self.n_steps - 1:
                adjoint = (adjoint[0] + delta[:, t if self.return_sequences else 0], *adjoint[1:])
            before, now = nothing if place == 0 else self.state_of(kept[:, steps[place - 1]]), kept[:, t]
            if some_ended:
                # The last state of a sequence is passed through its padding; outputs at padding depend on nothing.
                held = nothing if self.return_sequences else self._where(ended[:, t], adjoint, nothing)
                adjoint = self._where(ended[:, t], nothing, adjoint)
                before, now = tuple(without_padding(one) for one in before), without_padding(now)
            earlier = self.step_back(at, now, before, adjoint, of_z, gradient)
            out[:, t, :n_z], out[:, t, n_z:] = of_z, before[0]
            through = of_z[:, self._columns(self.recurrent_gates)] @ at.U.T
            adjoint = (earlier[0] + through, *earlier[1:])
            if some_ended:
                adjoint = tuple(one + kept_one for one, kept_one in zip(adjoint, held, strict=True))
            if self.truncate is not None and place % self.truncate == 0:
                adjoint = nothing

    def pull_back_to_inputs(
        self, W: FloatArray, given: FloatArray, delta: FloatArray, out: FloatArray | None = None
    ) -> FloatArray:
        """Return ∂J/∂inputs, computed from ∂J/∂z."""
        if out is None:
            out = self.ops.empty((len(delta), self.n_inputs), self.ops.dtype_of(delta))
        by_step, of_inputs = self._lines(delta), out.reshape(-1, self.n_channels)
        self.ops.multiply(by_step[:, 0, self._columns(self.input_gates)], self._of_inputs(W, 0).T, of_inputs)
        if self.bidirectional:
            of_inputs += by_step[:, 1, self._columns(self.input_gates)] @ self._of_inputs(W, 1).T
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
        x = without_padding(given).reshape(-1, self.n_channels)[:, part.start : part.stop]
        units = slice(max(part.start - self.n_channels, 0) - self.n_units, part.stop - self.weight_shape[0] or None)
        for direction in range(self.n_directions):
            to, lines = self._of_direction(W, direction), by_step[:, direction]
            if n_inputs:
                self.ops.multiply_transposed(x, lines[:, self._columns(self.input_gates)], to[:n_inputs])
            if part.stop > self.n_channels:
                of_z = lines[:, self._columns(self.recurrent_gates)]
                self.ops.multiply_transposed(lines[:, units], of_z, to[n_inputs:])

    # Views of the arrays, and of the parameters.

    def _orders(self) -> list[range]:
        """Return the steps in the order in which each direction goes through them."""
        forward = range(self.n_steps)
        return [forward, forward[::-1]][: self.n_directions]

    def _by_step(self, z: FloatArray) -> FloatArray:
        """Return z, or ∂J/∂z, in the shape (n_rows, n_steps, n_directions, (n_gates + 1) × n_units)."""
        view: FloatArray = z.reshape(-1, self.n_steps, self.n_directions, (self.n_gates + 1) * self.n_units)
        return view

    def _lines(self, z: FloatArray) -> FloatArray:
        """Return z, or ∂J/∂z, in the shape (n_rows × n_steps, n_directions, (n_gates + 1) × n_units)."""
        view: FloatArray = z.reshape(-1, self.n_directions, (self.n_gates + 1) * self.n_units)
        return view

    def _outputs_by_step(self, a: FloatArray) -> FloatArray:
        """Return a, or ∂J/∂a, in the shape (n_rows, n_steps or 1, n_directions, n_units)."""
        n_places = self.n_steps if self.return_sequences else 1
        view: FloatArray = a.reshape(-1, n_places, self.n_directions, self.n_units)
        return view

    def _columns(self, gates: slice) -> slice:
        """Return the columns of groups of units."""
        start, stop, _ = gates.indices(self.n_gates)
        return slice(start * self.n_units, stop * self.n_units)

    def _of_direction(self, W: FloatArray, direction: int) -> FloatArray:
        """Return the columns of weights that belong to one direction."""
        return W[:, direction * self.n_columns : (direction + 1) * self.n_columns]

    def _of_inputs(self, W: FloatArray, direction: int) -> FloatArray:
        """Return the weights of the inputs of one direction."""
        return self._of_direction(W, direction)[: self.n_channels]

    def _direction(self, parameters: LayerParameters, direction: int) -> Direction:
        W = self._of_direction(parameters.W, direction)
        b, own = (one.reshape(self.n_directions, -1)[direction] for one in (parameters.b, parameters.own))
        return Direction(W, W[self.n_channels :], b, own)

    def _where(self, ended: FloatArray, first: State, second: State) -> State:
        """Return the first state in rows that have ended, and the second state in the others."""
        where, ended = self.ops.xp.where, ended[:, None]
        return tuple(where(ended, one, other) for one, other in zip(first, second, strict=True))
