"""Dropout, which sets random activations to 0 during training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rhohat.common.arrays import FloatArray
from rhohat.layers.activations import Units
from rhohat.layers.base import LayerParameters
from rhohat.layers.weightless import WeightlessLayer

__all__ = ["DropoutLayer"]


@dataclass(frozen=True)
class DropoutLayer(WeightlessLayer):
    """A layer that multiplies its inputs by a mask in training: 0 with a probability, else 1 / (1 − probability).

    The masks are given together with the rows. Where there are none, as after training, the layer changes nothing.

    Parameters
    ----------
    n_units : int
        Number of inputs and of outputs per row.
    n_channels : int
        Number of channels of the input.
    rate : float
        Probability that a number is set to 0, in [0, 1).
    n_steps : int or None, default=None
        Number of steps, if the inputs are sequences.

    References
    ----------
    Srivastava, N. et al. (2014). Dropout: a simple way to prevent neural networks from overfitting. Journal of Machine
    Learning Research 15, 1929-1958.
    """

    n_units: int
    n_channels: int
    rate: float
    n_steps: int | None = None
    has_tangents: ClassVar[bool] = False
    takes_padding: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ValueError(f"rate, the probability that a number is set to 0, must lie in [0, 1); got {self.rate}.")

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Number of inputs per row."""
        return self.n_units

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        """Number of outputs per row."""
        return self.n_units

    @property
    def output_channels(self) -> int:
        """Number of channels of the output."""
        return self.n_channels

    @property
    def n_padded_steps(self) -> int | None:
        """Number of steps of the output; None if it has no steps."""
        return self.n_steps

    @property
    def fans(self) -> tuple[int, int]:
        """Fan-in and fan-out, which no weights depend on."""
        return 1, 1

    @property
    def multiply_adds(self) -> int:
        """Number of multiplications per row."""
        return self.n_units

    def forward(self, parameters: LayerParameters, given: FloatArray, units: Units, *, activate: bool = True) -> None:
        """Write the inputs times the mask into z, which a shares."""
        if units.mask is None:
            units.z[:] = given
        else:
            self.ops.xp.multiply(given, units.mask, out=units.z)

    def pull_back(
        self, parameters: LayerParameters, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray
    ) -> None:
        """Turn ∂J/∂a into ∂J/∂inputs, in the same memory, which `pull_back_to_inputs` passes on."""
        if units.mask is not None:
            delta *= units.mask

    def apply(self, given: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return a copy of the inputs."""
        if out is None:
            return self.ops.copy(given)
        out[:] = given
        return out

    def apply_transposed(self, delta: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return a copy of delta."""
        return self.apply(delta, W, out)
