"""The dense layer: every unit sees all inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rhohat.common.arrays import FloatArray
from rhohat.common.blocks import shared_parts
from rhohat.layers.activations import Activation
from rhohat.layers.linear import MapLayer

__all__ = ["Dense"]


@dataclass(frozen=True)
class Dense(MapLayer):
    """z = a W + b, with W of shape (n_inputs, width).

    Parameters
    ----------
    n_inputs, n_outputs : int
        Numbers of units, at least 1.
    activation : Activation
    """

    n_inputs: int
    n_outputs: int
    activation: Activation
    can_be_tied: ClassVar[bool] = True

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(n_inputs, width)."""
        return self.n_inputs, self.width

    @property
    def n_biases(self) -> int:
        """One for each pre-activation."""
        return self.width

    @property
    def fans(self) -> tuple[int, int]:
        """(n_inputs, width)."""
        return self.n_inputs, self.width

    @property
    def multiply_adds(self) -> int:
        """One for each weight."""
        return self.n_inputs * self.width

    def apply(self, given: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return given W."""
        if out is None:
            product: FloatArray = given @ W
            return product
        self.ops.multiply(given, W, out)
        return out

    def apply_transposed(self, delta: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return delta Wᵀ."""
        return self.apply(delta, W.T, out)

    def weight_gradient(self, given: FloatArray, delta: FloatArray, out: FloatArray, *, accumulate: bool) -> None:
        """Write, or add, givenᵀ delta."""
        if accumulate:
            out += given.T @ delta
        else:
            self.ops.multiply_transposed(given, delta, out)

    def add_bias_gradient(self, b: FloatArray, delta: FloatArray, ones: FloatArray, *, accumulate: bool) -> None:
        """Write, or add, the sum of delta over rows."""
        row = b.reshape(1, -1)
        total = self.ops.xp.empty_like(row) if accumulate else row
        self.ops.sum_rows(delta, ones, total)
        if accumulate:
            row += total

    def gradient_parts(self, n_rows: int) -> list[slice]:
        """Return the input units, in parts that are worth a thread each."""
        return shared_parts(self.n_inputs, n_rows * self.width)

    def write_gradient_part(self, W: FloatArray, given: FloatArray, delta: FloatArray, part: slice) -> None:
        """Write the gradient of the weights that lead from some of the input units."""
        self.ops.multiply_transposed(given[:, part], delta, W)
