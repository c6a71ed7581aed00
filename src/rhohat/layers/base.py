"""What a layer is: a function from rows to rows, with parameters, and with what derivatives need of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, Self

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.layers.activations import Activation, Units
from rhohat.ops import Ops, WithOps

__all__ = ["Layer", "LayerParameters"]


class LayerParameters(NamedTuple):
    """Parameters of one layer, or a direction in them, or a gradient by them.

    Attributes
    ----------
    W : array of the layer's `weight_shape`
        Weights, which penalties on weights act on.
    b : array of shape (n_biases,)
    own : array of shape (n_parameters of the activation,)
        Those of the activation; empty for most.
    """

    W: FloatArray
    b: FloatArray
    own: FloatArray


class Layer(WithOps, ABC):
    """A function from rows of `n_inputs` numbers to rows of `n_outputs` numbers.

    For every row it computes pre-activations z, of `width` numbers, and of them its activations a = f(z). What has a
    shape, such as an image, is a row that is raveled in C order; a layer knows the shape.

    Attributes
    ----------
    n_inputs, n_outputs : int
    activation : Activation
        f.
    has_tangents : bool
        Whether tangents go through it, as penalties on derivatives and Hessian-vector products need it.
    can_be_tied : bool
        Whether it can use the transposed weights of another one, which then makes its gradient from the units of the
        layer that is given.
    """

    n_inputs: int
    n_outputs: int
    activation: Activation
    has_tangents: ClassVar[bool] = False
    can_be_tied: ClassVar[bool] = False

    def with_ops(self, ops: Ops) -> Self:
        """Return the same, with its activation, for arrays of another library."""
        other = super().with_ops(ops)
        if other is not self:
            object.__setattr__(other, "activation", self.activation.with_ops(ops))
        return other

    # What it is.

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
        """How many inputs a pre-activation depends on, and how many pre-activations an input acts on."""

    @property
    @abstractmethod
    def multiply_adds(self) -> int:
        """Number of multiplications in a forward pass of one row."""

    @property
    def width(self) -> int:
        """Number of pre-activations of a row."""
        return self.activation.width(self.n_outputs)

    @property
    def in_place(self) -> bool:
        """Whether z and a share their memory."""
        return self.activation.in_place and self.width == self.n_outputs

    def initial_weights(self, generator: np.random.Generator, rule: str) -> FloatArray:
        """Draw weights to start from.

        Parameters
        ----------
        generator : numpy.random.Generator
        rule : {"uniform", "normal"}
            "uniform": each weight uniform in ±√(6 / (fan_in + fan_out + 1)). "normal": normal(0, 0.01²).
        """
        if rule == "normal":
            return generator.normal(0, 0.01, self.weight_shape)
        bound = np.sqrt(6 / (sum(self.fans) + 1))
        return generator.uniform(-bound, bound, self.weight_shape)

    # Forward, and back.

    @abstractmethod
    def forward(self, parameters: LayerParameters, given: FloatArray, units: Units, *, activate: bool = True) -> None:
        """Write z and a of a block of rows; without the activation, z alone.

        Parameters
        ----------
        parameters : LayerParameters
        given : array of shape (n_rows, n_inputs)
        units : Units
            Room for z and a.
        activate : bool, default=True
        """

    @abstractmethod
    def pull_back(self, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray) -> None:
        """Turn ∂J/∂a into ∂J/∂z, and add the gradient of the activation's parameters; see `Activation.pull_back`."""

    @abstractmethod
    def pull_back_to_inputs(self, W: FloatArray, delta: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return ∂J/∂inputs for ∂J/∂z, in `out` if that is given."""

    @abstractmethod
    def add_weight_gradient(self, W: FloatArray, given: FloatArray, delta: FloatArray, *, accumulate: bool) -> None:
        """Write the gradient of the weights, summed over rows, or add it.

        Parameters
        ----------
        W : array of the layer's `weight_shape`
            Receives the gradient.
        given : array of shape (n_rows or 1, n_inputs)
        delta : array of shape (n_rows, width)
            ∂J/∂z.
        accumulate : bool
        """

    @abstractmethod
    def add_bias_gradient(self, b: FloatArray, delta: FloatArray, ones: FloatArray, *, accumulate: bool) -> None:
        """Write the gradient of the biases, summed over rows, or add it; `ones` has the shape (1, n_rows)."""

    # In parts, which several threads compute.

    def gradient_parts(self, n_rows: int) -> list[slice]:
        """Return which parts of the first axis of the weights' gradient are worth a thread each."""
        return [slice(0, self.weight_shape[0])]

    def write_gradient_part(self, W: FloatArray, given: FloatArray, delta: FloatArray, part: slice) -> None:
        """Write the gradient of some of the weights, summed over rows; `W` receives that part alone."""
        self.add_weight_gradient(W, given, delta, accumulate=False)
