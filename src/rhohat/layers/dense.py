"""The dense layer, in which every unit depends on all inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rhohat.common.arrays import FloatArray
from rhohat.common.blocks import shared_parts
from rhohat.layers.activations import Activation
from rhohat.layers.linear import MapLayer

__all__ = ["DenseLayer"]


@dataclass(frozen=True)
class DenseLayer(MapLayer):
    """A fully connected layer: z = a W + b, with W of shape (n_inputs, width).

    Parameters
    ----------
    n_inputs, n_outputs : int
        Numbers of input units and of output units, at least 1 each.
    activation : Activation
        Function that is applied to z.
    """

    n_inputs: int
    n_outputs: int
    activation: Activation
    can_be_tied: ClassVar[bool] = True

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weights: (n_inputs, width)."""
        return self.n_inputs, self.width

    @property
    def n_biases(self) -> int:
        """Number of biases: one for each pre-activation."""
        return self.width

    @property
    def fans(self) -> tuple[int, int]:
        """Fan-in and fan-out: (n_inputs, width)."""
        return self.n_inputs, self.width

    @property
    def multiply_adds(self) -> int:
        """Number of multiplications per row: one for each weight."""
        return self.n_inputs * self.width

    def apply(self, given: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return the matrix product of `given` and W."""
        if out is None:
            return self.ops.product(given, W)
        self.ops.multiply(given, W, out)
        return out

    def apply_transposed(self, delta: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return the matrix product of delta and Wᵀ."""
        return self.apply(delta, W.T, out)

    def weight_gradient(self, given: FloatArray, delta: FloatArray, out: FloatArray, *, accumulate: bool) -> None:
        """Write the matrix product of `given` transposed and delta into `out`, or add it to `out`."""
        if accumulate:
            out += self.ops.product(given.T, delta)
        else:
            self.ops.multiply_transposed(given, delta, out)

    def add_bias_gradient(self, b: FloatArray, delta: FloatArray, ones: FloatArray, *, accumulate: bool) -> None:
        """Write the sum of delta over rows into `b`, or add it to `b`."""
        row = b.reshape(1, -1)
        total = self.ops.xp.empty_like(row) if accumulate else row
        self.ops.sum_rows(delta, ones, total)
        if accumulate:
            row += total

    def gradient_parts(self, n_rows: int) -> list[slice]:
        """Cut the input units into parts that are large enough to be computed by separate threads."""
        return shared_parts(self.n_inputs, n_rows * self.width)

    def write_gradient_part(self, W: FloatArray, given: FloatArray, delta: FloatArray, part: slice) -> None:
        """Write the gradient of the weights of a part of the input units into `W`."""
        self.ops.multiply_transposed(given[:, part], delta, W)

    def add_tied_gradient(self, W: FloatArray, given: FloatArray, delta: FloatArray, part: slice) -> None:
        """Add the gradient of the weights of a part of the output units, transposed, to `W`."""
        W += self.ops.product(delta[:, part].T, given)
