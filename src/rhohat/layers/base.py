"""The base class of layers: functions from rows to rows, with parameters and derivatives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, Self

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.layers.activations import Activation, Units
from rhohat.ops import Ops, WithOps

__all__ = ["Layer", "LayerParameters", "LayerSizes", "pulled_back"]


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
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the outputs of a row: (height, width, channels) if they are maps, else (n_outputs,)."""
        return (self.n_outputs,)

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
    has_second_tangents : bool
        Whether tangents of tangents can be propagated as well, which Hessian-vector products of penalties on
        derivatives require.
    takes_padding : bool
        Whether the inputs may be sequences of unequal length, whose missing steps are NaN; see `rhohat.layers.padding`.
    can_be_tied : bool
        Whether the layer can use the transposed weights of another layer. The gradient of the other layer's weights
        then includes the contribution of this layer's units.
    """

    has_weights: ClassVar[bool] = True
    has_tangents: ClassVar[bool] = False
    has_second_tangents: ClassVar[bool] = False
    takes_padding: ClassVar[bool] = False
    can_be_tied: ClassVar[bool] = False

    def with_ops(self, ops: Ops) -> Self:
        """Return this layer, together with its activation, for arrays of another library."""
        other = super().with_ops(ops)
        if other is not self and not isinstance(getattr(type(self), "activation", None), property):
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

    # Tangents, which are derivatives along a direction; see `TangentPass`.

    def push_forward(
        self,
        parameters: LayerParameters,
        direction: LayerParameters | None,
        given: FloatArray,
        tangent: FloatArray | None,
        units: Units,
    ) -> tuple[FloatArray, FloatArray]:
        """Return β and α, the tangents of z and of a; a layer that defines `pull_back_along` too has tangents.

        Parameters
        ----------
        parameters : LayerParameters
        direction : LayerParameters or None
            Direction in the parameters; None means zero.
        given : array of shape (n_rows, n_inputs)
            Inputs of the layer.
        tangent : array of shape (n_rows or 1, n_inputs), or None
            Tangent of the inputs, or one tangent for all rows; None means zero.
        units : Units
            Units as `forward` left them. They are not changed.

        Returns
        -------
        beta : array of shape (n_rows or 1, width)
        alpha : array of shape (n_rows, n_outputs)
        """
        raise NotImplementedError(f"no tangents can be propagated through {type(self).__name__}.")

    def pull_back_along(
        self,
        parameters: LayerParameters,
        direction: LayerParameters | None,
        units: Units,
        beta: FloatArray,
        phi: FloatArray,
        gradient: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the pull-back of φ from a to z, and the derivative of this pull-back along the tangents.

        The derivative is taken with φ held fixed. By the symmetry of second derivatives it is also ∂(φ · α)/∂z, the
        part of the gradient of φ · α that backpropagation continues from.

        Parameters
        ----------
        parameters, direction, units
            As for `push_forward`.
        beta : array of shape (n_rows or 1, width)
            The tangent of z that `push_forward` returned.
        phi : array of shape (n_rows, n_outputs)
            Factors φ of a. They are not changed.
        gradient : array of shape (n_own,)
            The derivative of the gradient of the parameters `own` along the tangents is added to it.

        Returns
        -------
        phi_z : array of shape (n_rows, width)
            The pull-back of φ, in the form that `add_weight_gradient` takes together with a tangent of the inputs.
        curved : array of shape (n_rows, width)
            Its derivative, in the form of what is added to ∂J/∂z.
        """
        raise NotImplementedError(f"no tangents can be propagated through {type(self).__name__}.")

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


def pulled_back(
    layer: Layer, parameters: LayerParameters, units: Units, delta: FloatArray, gradient: FloatArray | None = None
) -> FloatArray:
    """Return the pull-back of delta from a layer's a to its z, without changing delta or the units.

    Parameters
    ----------
    layer : Layer
    parameters : LayerParameters
    units : Units
        Units as `forward` left them.
    delta : array of shape (n_rows, n_outputs)
        ∂J/∂a.
    gradient : array of shape (n_own,), default=None
        Gradient of the parameters `own`, to which this layer's gradient is added; None means that it is not wanted.

    Returns
    -------
    array of shape (n_rows, width)
    """
    z, delta = _copy(units.z), _copy(delta)
    a = z if layer.in_place else _copy(units.a)
    out = delta if layer.in_place else layer.ops.xp.empty_like(z)
    unused = _copy(units.parameters) if gradient is None else gradient
    layer.pull_back(parameters, Units(z, a, units.parameters, units.mask), delta, out, unused)
    return out


def _copy(array: FloatArray) -> FloatArray:
    """Return a copy of an array, in the same array library."""
    return array + 0.0
