"""Layers that are a linear map, a bias, and a function of each unit: z = L(a; W) + b, a' = f(z).

L is linear in the inputs and in the weights. So its derivatives by either are itself, and all that derivatives of a
layer need beyond it is what the activation knows of f.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from rhohat.common.arrays import FloatArray
from rhohat.layers.activations import Units
from rhohat.layers.base import Layer, LayerParameters

__all__ = ["MapLayer"]


class MapLayer(Layer):
    """A linear map with weights, a bias, and an activation."""

    has_tangents: ClassVar[bool] = True

    @abstractmethod
    def apply(self, given: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return L(given; W), of shape (n_rows, width), in `out` if that is given."""

    @abstractmethod
    def apply_transposed(self, delta: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return what the transposed map makes of ∂J/∂z, of shape (n_rows, n_inputs), in `out` if that is given."""

    @abstractmethod
    def weight_gradient(self, given: FloatArray, delta: FloatArray, out: FloatArray, *, accumulate: bool) -> None:
        """Write, or add, Σ over rows of the derivative of delta · L(given; W) by W."""

    def bias_row(self, b: FloatArray) -> FloatArray:
        """Return what is added to z of every row, of shape (width,)."""
        return b

    def forward(self, parameters: LayerParameters, given: FloatArray, units: Units, *, activate: bool = True) -> None:
        """Write z = L(given; W) + b, and a = f(z)."""
        self.apply(given, parameters.W, units.z)
        if activate:
            self.activation.forward_with_bias(units, self.bias_row(parameters.b))
        else:
            self.ops.add_row(units.z, self.bias_row(parameters.b))

    def pull_back(self, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray) -> None:
        """Turn ∂J/∂a into ∂J/∂z; see `Activation.pull_back`."""
        self.activation.pull_back(units, delta, out, gradient)

    def pull_back_to_inputs(self, W: FloatArray, delta: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return ∂J/∂inputs for ∂J/∂z."""
        return self.apply_transposed(delta, W, out)

    def add_weight_gradient(self, W: FloatArray, given: FloatArray, delta: FloatArray, *, accumulate: bool) -> None:
        """Write, or add, the gradient of the weights."""
        if given.shape[0] == 1:  # one tangent for all rows
            delta = self.ops.column_sums(delta)[None]
        self.weight_gradient(given, delta, W, accumulate=accumulate)
