"""A fully connected layer that acts on each step of a sequence by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rhohat.common.arrays import FloatArray
from rhohat.common.blocks import shared_parts
from rhohat.layers.activations import Activation, ElementwiseActivation, PerStep, Units
from rhohat.layers.base import LayerParameters
from rhohat.layers.linear import MapLayer
from rhohat.layers.padding import missing_steps, overflow_to_infinity, without_padding, write_zeros

__all__ = ["StepwiseDenseLayer"]


@dataclass(frozen=True)
class _StepwiseSizes(MapLayer):
    """The sizes of a layer with the same weights at each step."""

    n_steps: int
    n_channels: int
    n_units: int
    activation: Activation
    takes_padding: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if min(self.n_steps, self.n_channels, self.n_units) < 1:
            raise ValueError(f"a layer needs at least one step, one channel and one unit; got {self!r}.")
        if not isinstance(self.activation, ElementwiseActivation | PerStep):
            raise ValueError(
                f"a layer with the same weights at each step cannot use the activation {self.activation.name!r}, which"
                " does not act on each unit by itself or has parameters of its own; use another, such as 'relu'."
            )

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Number of inputs per row: steps times channels."""
        return self.n_steps * self.n_channels

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        """Number of outputs per row: steps times units."""
        return self.n_steps * self.n_units

    @property
    def output_channels(self) -> int:
        """Number of units of each step."""
        return self.n_units

    @property
    def n_padded_steps(self) -> int | None:
        """Number of steps of the output."""
        return self.n_steps

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weights: (n_channels, n_units)."""
        return self.n_channels, self.n_units

    @property
    def n_biases(self) -> int:
        """Number of biases: one for each unit."""
        return self.n_units

    @property
    def fans(self) -> tuple[int, int]:
        """Fan-in and fan-out: (n_channels, n_units)."""
        return self.n_channels, self.n_units

    @property
    def multiply_adds(self) -> int:
        """Number of multiplications per row: one for each weight and step."""
        return self.n_steps * self.n_channels * self.n_units


@dataclass(frozen=True)
class StepwiseDenseLayer(_StepwiseSizes):
    """A fully connected layer with the same weights at each step: z_t = a_t W + b.

    Parameters
    ----------
    n_steps, n_channels, n_units : int
        Number of steps, numbers per step of the input, and numbers per step of the output.
    activation : Activation
        An activation that acts on each unit by itself and has no parameters, or one `PerStep`.
    """

    def bias_row(self, b: FloatArray) -> FloatArray:
        """Return the biases, repeated for each step."""
        row: FloatArray = self.ops.xp.tile(b, (self.n_steps,))
        return row

    def forward(self, parameters: LayerParameters, given: FloatArray, units: Units, *, activate: bool = True) -> None:
        """Write z and, unless `activate` is False, a; both are NaN at missing steps, and nowhere else."""
        super().forward(parameters, given, units, activate=activate)
        overflow_to_infinity(units.a if activate else units.z, missing_steps(given, self.n_steps))

    def apply(self, given: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return the products of all steps with W; steps that are NaN remain NaN."""
        if out is None:
            out = self.ops.empty((len(given), self.n_outputs), self.ops.dtype_of(given))
        self.ops.multiply(given.reshape(-1, self.n_channels), W, out.reshape(-1, self.n_units))
        return out

    def apply_transposed(self, delta: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return the products of delta with Wᵀ at all steps."""
        if out is None:
            out = self.ops.empty((len(delta), self.n_inputs), self.ops.dtype_of(delta))
        self.ops.multiply(delta.reshape(-1, self.n_units), W.T, out.reshape(-1, self.n_channels))
        return out

    def distance_from_kinks(self, given: FloatArray, z: FloatArray) -> float:
        """Return the smallest distance of a step that exists from a kink of its activation."""
        steps = z.reshape(-1, self.n_units)
        exists = ~self.ops.xp.isnan(steps[:, 0])
        one = self.activation.activation if isinstance(self.activation, PerStep) else self.activation
        return one.distance_from_kinks(steps[exists])

    def pull_back(
        self, parameters: LayerParameters, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray
    ) -> None:
        """Turn ∂J/∂a into ∂J/∂z, which is 0 at missing steps."""
        missing = missing_steps(units.a, self.n_steps)
        super().pull_back(parameters, units, delta, out, gradient)
        write_zeros(out, missing)

    def push_forward(
        self,
        parameters: LayerParameters,
        direction: LayerParameters | None,
        given: FloatArray,
        tangent: FloatArray | None,
        units: Units,
    ) -> tuple[FloatArray, FloatArray]:
        """Return β and α, the tangents of z and of a, which are 0 at missing steps."""
        beta, alpha = super().push_forward(parameters, direction, given, tangent, units)
        missing = missing_steps(units.a, self.n_steps)
        if missing is not None:
            beta = beta + self.ops.xp.zeros_like(units.z)  # one tangent for all rows becomes one for each row
            write_zeros(beta, missing)
            write_zeros(alpha, missing)
        return beta, alpha

    def pull_back_along(
        self,
        parameters: LayerParameters,
        direction: LayerParameters | None,
        units: Units,
        beta: FloatArray,
        phi: FloatArray,
        gradient: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the pull-back of φ and its derivative along the tangents, which are 0 at missing steps."""
        phi_z, curved = super().pull_back_along(parameters, direction, units, beta, phi, gradient)
        write_zeros(curved, missing_steps(units.a, self.n_steps))
        return phi_z, curved

    def weight_gradient(self, given: FloatArray, delta: FloatArray, out: FloatArray, *, accumulate: bool) -> None:
        """Write the product of the inputs, transposed, and delta, summed over rows and steps, or add it."""
        x, of_z = without_padding(given).reshape(-1, self.n_channels), delta.reshape(-1, self.n_units)
        if accumulate:
            out += x.T @ of_z
        else:
            self.ops.multiply_transposed(x, of_z, out)

    def add_bias_gradient(self, b: FloatArray, delta: FloatArray, ones: FloatArray, *, accumulate: bool) -> None:
        """Write the sum of delta over rows and steps into `b`, or add it to `b`."""
        over_rows = self.ops.empty((1, self.n_outputs), self.ops.dtype_of(delta))
        self.ops.sum_rows(delta, ones, over_rows)
        total = over_rows.reshape(-1, self.n_units).sum(0)
        b[:] = b + total if accumulate else total

    def gradient_parts(self, n_rows: int) -> list[slice]:
        """Cut the input channels into parts that are large enough to be computed by separate threads."""
        return shared_parts(self.n_channels, n_rows * self.n_steps * self.n_units)

    def write_gradient_part(self, W: FloatArray, given: FloatArray, delta: FloatArray, part: slice) -> None:
        """Write the gradient of the weights of a part of the input channels into `W`."""
        x, of_z = without_padding(given).reshape(-1, self.n_channels), delta.reshape(-1, self.n_units)
        self.ops.multiply_transposed(x[:, part], of_z, W)
