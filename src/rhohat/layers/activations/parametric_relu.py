"""The parametric ReLU, whose slope below zero is learned for each unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.layers.activations.base import Activation, Units

__all__ = ["ParametricReLU"]


@dataclass(frozen=True)
class ParametricReLU(Activation):
    """The parametric ReLU: f(z) = z where z > 0, else s_j z, with a slope s_j that is learned for every unit j.

    ∂f/∂s_j is min(z, 0). As a slope may become 0 or negative, z cannot be recovered from a, so both are kept.

    Parameters
    ----------
    initial_slope : float, default=0.25
        Initial value of every s_j.

    References
    ----------
    He, K., Zhang, X., Ren, S. and Sun, J. (2015). Delving deep into rectifiers. ICCV.

    Examples
    --------
    >>> z, a = np.array([[-2.0, 3.0]]), np.empty((1, 2))
    >>> ParametricReLU().forward(Units(z, a, np.array([0.5, 0.5])))
    >>> a
    array([[-1.,  3.]])
    """

    initial_slope: float = 0.25
    name: ClassVar[str] = "parametric_relu"
    bounds: ClassVar[tuple[float, float]] = (-np.inf, np.inf)
    in_place: ClassVar[bool] = False
    monotonic: ClassVar[bool] = False  # a slope may become negative

    def __post_init__(self) -> None:
        if not np.isfinite(self.initial_slope):
            raise ValueError(f"initial_slope must be finite; got {self.initial_slope}.")

    def n_parameters(self, n_units: int) -> int:
        """Return the number of slopes, which is n_units."""
        return n_units

    def initial_parameters(self, n_units: int) -> FloatArray:
        """Return the initial slope for every unit."""
        return np.full(n_units, float(self.initial_slope))

    def distance_from_kinks(self, z: FloatArray) -> float:
        """Return the smallest magnitude of a pre-activation."""
        return float(np.min(np.abs(z)))

    def forward(self, units: Units) -> None:
        """Write z where z > 0, else s z, into a."""
        z, a, slopes = units.z, units.a, units.parameters
        xp = self.ops.xp
        xp.clip(z, None, 0, out=a)
        a *= slopes
        a += xp.clip(z, 0, None)

    def pull_back(self, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray) -> None:
        """Write delta ∘ f′(z) into out, and add Σ_rows delta min(z, 0) to the slopes' gradient."""
        xp = self.ops.xp
        gradient += self.ops.column_sums(delta * xp.clip(units.z, None, 0))
        xp.multiply(delta, self._derivative(units), out=out)

    def push_forward(self, units: Units, beta: FloatArray, direction: FloatArray | None) -> FloatArray:
        """Return f′(z) ∘ β + min(z, 0) v, where v is the direction in the slopes."""
        alpha = self._derivative(units) * beta
        if direction is not None:
            alpha += self.ops.xp.clip(units.z, None, 0) * direction
        return alpha

    def curvature(
        self, units: Units, phi: FloatArray, beta: FloatArray, direction: FloatArray | None, gradient: FloatArray
    ) -> FloatArray:
        """Return φ ∘ v where z ≤ 0, else 0, and add Σ φ β over rows with z ≤ 0 to the gradient of the slopes.

        This is because ∂²f/∂z∂s is 1 where z ≤ 0, and 0 elsewhere.
        """
        mixed: FloatArray = phi * (units.z <= 0)
        gradient += self.ops.column_sums(mixed * beta)
        return self.ops.xp.zeros_like(mixed) if direction is None else mixed * direction

    def second_push_forward(
        self, units: Units, beta: FloatArray, zeta: FloatArray, direction: FloatArray | None
    ) -> FloatArray:
        """Return β ∘ v where z ≤ 0, else 0."""
        bent: FloatArray = (units.z <= 0) * beta
        return self.ops.xp.zeros_like(bent) if direction is None else bent * direction

    def third_order(self, units: Units, phi: FloatArray, beta: FloatArray, zeta: FloatArray) -> FloatArray:
        """Return zeros: the curvature is constant."""
        return self.ops.xp.zeros_like(units.z)

    def _derivative(self, units: Units) -> FloatArray:
        derivative: FloatArray = units.parameters + (1 - units.parameters) * (units.z > 0)
        return derivative
