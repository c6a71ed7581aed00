"""The base class of layers: functions from rows to rows, with parameters and derivatives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, Self

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.layers.activations import Activation, Units
from rhohat.ops import Ops, WithOps

__all__ = ["Layer", "LayerParameters", "LayerSizes"]


class LayerParameters(NamedTuple):
    """The parameters of one layer, or a direction or gradient in the space of these parameters.

    Attributes
    ----------
    W : array of the layer's `weight_shape`
        Weights. Penalties on weights apply to these alone.
    b : array of shape (n_biases,)
        Biases.
    own : array of the layer's length `n_own`
        Parameters of the activation, or other parameters of the layer; empty for most layers.
    """

    W: FloatArray
    b: FloatArray
    own: FloatArray


class LayerSizes(ABC):
    """The sizes of a layer: shapes of its parameters and outputs, number of multiplications, and scratch memory.

    Attributes
    ----------
    n_inputs, n_outputs : int
        Length of a row before and after the layer.
    activation : Activation
        The function that turns pre-activations into activations.
    """

    n_inputs: int
    n_outputs: int
    activation: Activation

    @property
    @abstractmethod
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weights."""

    @property
    @abstractmethod
    def n_biases(self) -> int:
        """Number of biases."""

    @property
    @abstractmethod
    def fans(self) -> tuple[int, int]:
        """Fan-in and fan-out: inputs per pre-activation, and pre-activations that each input contributes to."""

    @property
    @abstractmethod
    def multiply_adds(self) -> int:
        """Number of multiplications in the forward pass of one row."""

    @property
    def output_channels(self) -> int:
        """Number of channels of the output, or `n_outputs` without channels; a channel has one mean activation ρ̂_j."""
        return self.n_outputs

    @property
    def n_padded_steps(self) -> int | None:
        """Number of steps of the output that may be NaN, as a sequence has ended; None if the output has no steps."""
        return None

    @property
    def scratch_numbers(self) -> int:
        """Number of numbers of scratch memory that one thread needs, whatever the number of rows."""
        return 0

    @property
    def n_own(self) -> int:
        """Number of parameters beside weights and biases; here, those of the activation."""
        return self.activation.n_parameters(self.n_outputs)

    @property
    def numbers_in_memory(self) -> int:
        """Number of numbers per row by which rows are cut into blocks that fit into the cache."""
        return self.n_outputs

    @property
    def fewest_rows(self) -> int | None:
        """Fewest rows in a block, if few rows are enough because each has products of its own; None for most layers."""
        return None

    @property
    def has_exact_gradient(self) -> bool:
        """Whether the gradients are the derivatives of the outputs, and not an approximation."""
        return True

    @property
    def monotonic(self) -> bool:
        """Whether each output grows with a single pre-activation; see `Activation.monotonic`."""
        return self.activation.monotonic

    @property
    def width(self) -> int:
        """Number of pre-activations per row."""
        return self.activation.width(self.n_outputs)

    @property
    def in_place(self) -> bool:
        """Whether the pre-activations z and the activations a share their memory."""
        return self.activation.in_place and self.width == self.n_outputs


class Layer(WithOps, LayerSizes):
    """A function from rows of `n_inputs` numbers to rows of `n_outputs` numbers.

    For every row, the layer computes `width` pre-activations z, and from these the activations a = f(z). Inputs and
    outputs that have a shape, such as images, are raveled into rows in C order; the layer knows the shape.

    Attributes
    ----------
    n_inputs, n_outputs : int
        Numbers that a row has before and after the layer.
    activation : Activation
        The function f.
    n_padded_steps : int or None
        Number of steps of the output, which are NaN where a sequence has ended; None if the output has no steps.
    has_weights : bool
        Whether the layer has weights. Penalties on hidden layers leave out layers without weights, such as pooling,
        unless the parameter `layers` of the penalty names them.
    has_tangents : bool
        Whether tangents can be propagated through the layer, which penalties on derivatives and Hessian-vector products
        require.
    takes_padding : bool
        Whether the inputs may be sequences of unequal length, whose missing steps are NaN; see `rhohat.layers.padding`.
    can_be_tied : bool
        Whether the layer can use the transposed weights of another layer. The gradient of the other layer's weights
        then includes the contribution of this layer's units.
    """

    has_weights: ClassVar[bool] = True
    has_tangents: ClassVar[bool] = False
    takes_padding: ClassVar[bool] = False
    can_be_tied: ClassVar[bool] = False

    def with_ops(self, ops: Ops) -> Self:
        """Return this layer, together with its activation, for arrays of another library."""
        other = super().with_ops(ops)
        if other is not self:
            object.__setattr__(other, "activation", self.activation.with_ops(ops))
        return other

    def initial_weights(self, generator: np.random.Generator, rule: str) -> FloatArray:
        """Draw initial weights.

        Parameters
        ----------
        generator : numpy.random.Generator
        rule : {"uniform", "normal"}
            "uniform" draws each weight uniformly from the interval ±√(6 / (fan_in + fan_out + 1)); "normal" draws each
            weight from normal(0, 0.01²).
        """
        if rule == "normal":
            return generator.normal(0, 0.01, self.weight_shape)
        bound = np.sqrt(6 / (sum(self.fans) + 1))
        return generator.uniform(-bound, bound, self.weight_shape)

    def initial_biases(self) -> FloatArray:
        """Return the initial biases, which are 0 for most layers."""
        return np.zeros(self.n_biases)

    def initial_own(self) -> FloatArray:
        """Return the initial values of the parameters beside weights and biases."""
        return self.activation.initial_parameters(self.n_outputs)

    def distance_from_kinks(self, given: FloatArray, z: FloatArray) -> float:
        """Return the distance from the nearest point where the outputs have no derivative; infinite if there is none.

        Finite differences across such a point say nothing about whether a gradient is right.

        Parameters
        ----------
        given : array of shape (n_rows, n_inputs)
            Inputs of the layer.
        z : array of shape (n_rows, width)
            Pre-activations that belong to these inputs.
        """
        return self.activation.distance_from_kinks(z)

    # Forward pass and backpropagation.

    @abstractmethod
    def forward(self, parameters: LayerParameters, given: FloatArray, units: Units, *, activate: bool = True) -> None:
        """Write the pre-activations z and, unless `activate` is False, the activations a of a block of rows.

        Parameters
        ----------
        parameters : LayerParameters
        given : array of shape (n_rows, n_inputs)
            Inputs of the layer.
        units : Units
            Arrays that receive z and a.
        activate : bool, default=True
            Whether the activation is applied. If False, only z is written, with the bias added.
        """

    @abstractmethod
    def pull_back(
        self, parameters: LayerParameters, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray
    ) -> None:
        """Turn ∂J/∂a into ∂J/∂z, and add to the gradient of the parameters `own`; see `Activation.pull_back`."""

    @abstractmethod
    def pull_back_to_inputs(
        self, W: FloatArray, given: FloatArray, delta: FloatArray, out: FloatArray | None = None
    ) -> FloatArray:
        """Return ∂J/∂inputs, computed from ∂J/∂z and the inputs, in `out` if it is given."""

    @abstractmethod
    def add_weight_gradient(self, W: FloatArray, given: FloatArray, delta: FloatArray, *, accumulate: bool) -> None:
        """Write the gradient of the weights, summed over rows, into `W`, or add it to `W`.

        Parameters
        ----------
        W : array of the layer's `weight_shape`
            Receives the gradient.
        given : array of shape (n_rows or 1, n_inputs)
            Inputs of the layer; a single row stands for all rows.
        delta : array of shape (n_rows, width)
            ∂J/∂z.
        accumulate : bool
            Whether the gradient is added to the content of `W`, rather than replacing it.
        """

    @abstractmethod
    def add_bias_gradient(self, b: FloatArray, delta: FloatArray, ones: FloatArray, *, accumulate: bool) -> None:
        """Write the gradient of the biases, summed over rows, or add it; `ones` is an array of ones, (1, n_rows)."""

    # Parts of the gradient, which several threads compute.

    def gradient_parts(self, n_rows: int) -> list[slice]:
        """Cut the first axis of the weights into parts that are large enough to be computed by separate threads."""
        return [slice(0, self.weight_shape[0])]

    def write_gradient_part(self, W: FloatArray, given: FloatArray, delta: FloatArray, part: slice) -> None:
        """Write the gradient of one part of the weights, summed over rows, into `W`, an array for that part alone."""
        self.add_weight_gradient(W, given, delta, accumulate=False)

    def add_tied_gradient(self, W: FloatArray, given: FloatArray, delta: FloatArray, part: slice) -> None:
        """Add to `W` what this layer contributes to the gradient of the weights that it shares with a mirrored layer.

        Parameters
        ----------
        W : array
            An array for a part of the first axis of the mirrored layer's weights.
        given, delta : arrays
            Inputs and ∂J/∂z of this layer.
        part : slice
            The part.
        """
        raise NotImplementedError(f"the weights of {type(self).__name__} cannot be tied.")
