"""The sizes of recurrent layers, their parameters at the start, and views of their arrays by step and direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.layers.activations import Activation, ElementwiseActivation, Tanh
from rhohat.layers.base import Layer, LayerParameters
from rhohat.ops import Ops, WithOps

__all__ = ["Direction", "RecurrentArrays", "RecurrentSizes", "State"]

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
class RecurrentSizes(Layer):
    """The settings and sizes of a recurrent layer.

    Parameters
    ----------
    n_steps, n_channels, n_units, return_sequences, bidirectional, truncate
        See `RecurrentLayer`.
    """

    n_steps: int
    n_channels: int
    n_units: int
    return_sequences: bool = False
    bidirectional: bool = False
    truncate: int | None = None
    takes_padding: ClassVar[bool] = True
    monotonic: ClassVar[bool] = False
    #: Fewest rows in a block, each of which has products at every step.
    fewest_rows: ClassVar[int | None] = 32
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
        if min(self.n_steps, self.n_channels, self.n_units) < 1 or (self.truncate is not None and self.truncate < 1):
            raise ValueError(
                "a recurrent layer needs at least one step, one channel and one unit, and truncate must be None or at"
                f" least 1; got {self!r}."
            )
        if not (isinstance(self.return_sequences, bool) and isinstance(self.bidirectional, bool)):
            raise ValueError(
                "return_sequences and bidirectional of a recurrent layer must be True or False; got"
                f" {self.return_sequences!r} and {self.bidirectional!r}."
            )
        if not isinstance(self.activation, ElementwiseActivation):
            raise ValueError(
                f"a recurrent layer cannot use the activation {self.activation.name!r}, which does not act on each"
                " unit by itself or has parameters of its own; use another activation, such as 'tanh'."
            )

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
    def numbers_in_memory(self) -> int:
        """Number of numbers that are kept per row, with the outputs."""
        return self.width + self.n_outputs

    @property
    def n_padded_steps(self) -> int | None:
        """Number of steps of the output; None if it has the last step only."""
        return self.n_steps if self.return_sequences else None


@dataclass(frozen=True)
class RecurrentArrays(RecurrentSizes):
    """The parameters of a recurrent layer at the start, and views of its arrays by step and direction.

    Parameters
    ----------
    n_steps, n_channels, n_units, return_sequences, bidirectional, truncate
        See `RecurrentLayer`.
    """

    def with_ops(self, ops: Ops) -> Self:
        """Return this layer for arrays of another library; its activation follows."""
        return WithOps.with_ops(self, ops)

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

    def first_state(self, n_rows: int, like: FloatArray) -> State:
        """Return the state before the first step: arrays of zeros."""
        zeros = self.ops.zeros((n_rows, self.n_units), self.ops.dtype_of(like))
        return (zeros,) * self.n_state

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

    def _cut(self, adjoint: State, cut: FloatArray | bool) -> State:
        """Return zeros in place of ∂J/∂state, in all rows or in those where `cut` is True."""
        nothing = self.first_state(len(adjoint[0]), adjoint[0])
        if isinstance(cut, bool):
            return nothing if cut else adjoint
        return self._where(cut, nothing, adjoint)

    def _where(self, ended: FloatArray, first: State, second: State) -> State:
        """Return the first state in rows that have ended, and the second state in the others."""
        where, ended = self.ops.xp.where, ended[:, None]
        return tuple(where(ended, one, other) for one, other in zip(first, second, strict=True))
