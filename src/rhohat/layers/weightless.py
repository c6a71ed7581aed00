"""Layers without weights and biases, such as pooling."""

from __future__ import annotations

from typing import ClassVar

from rhohat.common.arrays import FloatArray
from rhohat.layers.activations import Activation, Identity, Units
from rhohat.layers.base import LayerParameters
from rhohat.layers.linear import MapLayer

__all__ = ["WeightlessLayer"]


class WeightlessLayer(MapLayer):
    """A layer without weights, biases and activation, which consists of a map of its inputs alone."""

    has_weights: ClassVar[bool] = False
    can_be_tied: ClassVar[bool] = True

    @property
    def activation(self) -> Activation:  # type: ignore[override]
        """The identity."""
        return Identity().with_ops(self.ops)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weights, (0,): there are none."""
        return (0,)

    @property
    def n_biases(self) -> int:
        """Number of biases, 0: there are none."""
        return 0

    def bias_row(self, b: FloatArray) -> FloatArray:
        """Return zeros, as there are no biases."""
        return self.ops.zeros((self.n_outputs,), self.ops.dtype_of(b))

    def forward(self, parameters: LayerParameters, given: FloatArray, units: Units, *, activate: bool = True) -> None:
        """Write the map of the inputs into z, which a shares."""
        self.apply(given, parameters.W, units.z)

    def weight_gradient(self, given: FloatArray, delta: FloatArray, out: FloatArray, *, accumulate: bool) -> None:
        """Do nothing, as there are no weights."""

    def add_weight_gradient(self, W: FloatArray, given: FloatArray, delta: FloatArray, *, accumulate: bool) -> None:
        """Do nothing, as there are no weights."""

    def add_bias_gradient(self, b: FloatArray, delta: FloatArray, ones: FloatArray, *, accumulate: bool) -> None:
        """Do nothing, as there are no biases."""

    def gradient_parts(self, n_rows: int) -> list[slice]:
        """Return no parts, as there are no weights."""
        return []
