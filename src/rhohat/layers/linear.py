"""Layers that consist of a linear map, a bias and an activation: z = L(a; W) + b, a' = f(z).

L is linear in the inputs and linear in the weights. Its derivative along a direction in the inputs or in the weights
is therefore L itself, applied to that direction. The derivatives of a layer need only L and the derivatives of f, which
the activation has.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from rhohat.common.arrays import FloatArray
from rhohat.layers.activations import Units
from rhohat.layers.base import Layer, LayerParameters, pulled_back

__all__ = ["MapLayer"]


class MapLayer(Layer):
    """A layer that consists of a linear map with weights, a bias and an activation.

    If a layer has no weights, its map need not be linear, provided that `linear` and `linear_transposed` are its
    derivative by the inputs and the transpose of this derivative.
    """

    has_tangents: ClassVar[bool] = True
    has_second_tangents: ClassVar[bool] = True

    @abstractmethod
    def apply(self, given: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return L(given; W), of shape (n_rows, width), in `out` if it is given."""

    @abstractmethod
    def apply_transposed(self, delta: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return the transposed map of delta = ∂J/∂z, of shape (n_rows, n_inputs), in `out` if it is given."""

    @abstractmethod
    def weight_gradient(self, given: FloatArray, delta: FloatArray, out: FloatArray, *, accumulate: bool) -> None:
        """Write ∂(delta · L(given; W))/∂W, summed over rows, into `out`, or add it to `out`."""

    def linear(self, at: FloatArray, tangent: FloatArray, W: FloatArray) -> FloatArray:
        """Return the derivative of L along a tangent of the inputs `at`, which is L(tangent; W) if L is linear."""
        return self.apply(tangent, W)

    def linear_transposed(
        self, at: FloatArray, delta: FloatArray, W: FloatArray, out: FloatArray | None = None
    ) -> FloatArray:
        """Return the transpose of the derivative of L at the inputs `at`, applied to delta = ∂J/∂z."""
        return self.apply_transposed(delta, W, out)

    def bias_row(self, b: FloatArray) -> FloatArray:
        """Return the row, of shape (width,), that is added to z of every sample; here, the biases themselves."""
        return b

    def forward(self, parameters: LayerParameters, given: FloatArray, units: Units, *, activate: bool = True) -> None:
        """Write z = L(given; W) + b, and a = f(z)."""
        self.apply(given, parameters.W, units.z)
        if activate:
            self.activation.forward_with_bias(units, self.bias_row(parameters.b))
        else:
            self.ops.add_row(units.z, self.bias_row(parameters.b))

    def pull_back(
        self, parameters: LayerParameters, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray
    ) -> None:
        """Turn ∂J/∂a into ∂J/∂z; see `Activation.pull_back`."""
        self.activation.pull_back(units, delta, out, gradient)

    def pull_back_to_inputs(
        self, W: FloatArray, given: FloatArray, delta: FloatArray, out: FloatArray | None = None
    ) -> FloatArray:
        """Return ∂J/∂inputs, computed from ∂J/∂z."""
        return self.linear_transposed(given, delta, W, out)

    def add_weight_gradient(self, W: FloatArray, given: FloatArray, delta: FloatArray, *, accumulate: bool) -> None:
        """Write the gradient of the weights into `W`, or add it to `W`."""
        if given.shape[0] == 1:  # one tangent is shared by all rows
            delta = self.ops.column_sums(delta)[None]
        self.weight_gradient(given, delta, W, accumulate=accumulate)

    def push_forward(
        self,
        parameters: LayerParameters,
        direction: LayerParameters | None,
        given: FloatArray,
        tangent: FloatArray | None,
        units: Units,
    ) -> tuple[FloatArray, FloatArray]:
        """Return β = L(tangent; W) + L(given; V) + v, with the direction (V, v), and its push-forward α."""
        terms = []
        if tangent is not None:
            terms.append(self.linear(given, tangent, parameters.W))
        if direction is not None and self.has_weights:
            terms.append(self.apply(given, direction.W) + self.bias_row(direction.b))
        beta = sum(terms[1:], start=terms[0]) if terms else self.ops.zeros(units.z.shape, self.ops.dtype_of(units.z))
        return beta, self.activation.push_forward(units, beta, None if direction is None else direction.own)

    def pull_back_along(
        self,
        parameters: LayerParameters,
        direction: LayerParameters | None,
        units: Units,
        beta: FloatArray,
        phi: FloatArray,
        gradient: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the pull-back of φ, and the curvature of f, applied to φ and β."""
        own = None if direction is None else direction.own
        curved = self.activation.curvature(units, phi, beta, own, gradient)
        return pulled_back(self, parameters, units, phi), curved
