"""The softmax, with which the activations of a layer are probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rhohat.common.arrays import FloatArray
from rhohat.layers.activations.base import Activation, Units

__all__ = ["Softmax"]


@dataclass(frozen=True)
class Softmax(Activation):
    """The softmax: a_k = exp(z_k) / Σ_j exp(z_j), so that the activations of a layer are probabilities.

    Its Jacobian is ∂a_k/∂z_j = a_k (1[j=k] − a_j).

    References
    ----------
    Bishop, C. M. (2006). Pattern Recognition and Machine Learning, equation 4.104 and section 5.2.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.array([[1000.0, 1000.0]])
    >>> Softmax().forward(Units(z, z, np.empty(0)))
    >>> z
    array([[0.5, 0.5]])
    """

    name: ClassVar[str] = "softmax"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    monotonic: ClassVar[bool] = False  # a unit's activation falls with the pre-activations of the others

    def forward(self, units: Units) -> None:
        """Overwrite z, which is the same array as a, with the softmax of each row."""
        self.ops.softmax(units.z, units.z)

    def pull_back(self, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray) -> None:
        """Overwrite delta, which is the same array as `out`, with a ∘ (delta − Σ_k delta_k a_k)."""
        self._multiply_by_jacobian(units.a, delta)

    def push_forward(self, units: Units, beta: FloatArray, direction: FloatArray | None) -> FloatArray:
        """Return a ∘ (β − Σ_k β_k a_k), as for `pull_back`, because the Jacobian is symmetric."""
        alpha: FloatArray = beta + self.ops.xp.zeros_like(units.a)
        self._multiply_by_jacobian(units.a, alpha)
        return alpha

    def curvature(
        self, units: Units, phi: FloatArray, beta: FloatArray, direction: FloatArray | None, gradient: FloatArray
    ) -> FloatArray:
        """Return the pull-back of ∂/∂a [Σ φ a β − (Σ φ a)(Σ β a)] = φ ∘ β − φ (Σ β a) − β (Σ φ a)."""
        by_a = self._bend(units.a, phi, beta)
        self._multiply_by_jacobian(units.a, by_a)
        return by_a

    def second_push_forward(
        self, units: Units, beta: FloatArray, zeta: FloatArray, direction: FloatArray | None
    ) -> FloatArray:
        """Return the derivative of a ∘ (β − Σ_k β_k a_k) along ζ, with β fixed: a changes by α = push_forward(ζ)."""
        alpha = self.push_forward(units, zeta, None)
        return self._turn(units.a, alpha, beta)

    def third_order(self, units: Units, phi: FloatArray, beta: FloatArray, zeta: FloatArray) -> FloatArray:
        """Return the derivative along ζ of the pull-back of φ ∘ β − φ (Σ β a) − β (Σ φ a).

        Here, a changes by α = push_forward(ζ).
        """
        alpha = self.push_forward(units, zeta, None)
        changed = -phi * (beta * alpha).sum(1)[:, None] - beta * (phi * alpha).sum(1)[:, None]
        self._multiply_by_jacobian(units.a, changed)
        return changed + self._turn(units.a, alpha, self._bend(units.a, phi, beta))

    def _bend(self, a: FloatArray, phi: FloatArray, beta: FloatArray) -> FloatArray:
        """Return the derivative of φ · J β with respect to a, where J is the Jacobian."""
        return phi * beta - phi * (beta * a).sum(1)[:, None] - beta * (phi * a).sum(1)[:, None]

    def _turn(self, a: FloatArray, alpha: FloatArray, vector: FloatArray) -> FloatArray:
        """Return the derivative, along α, the tangent of a, of the Jacobian times a vector."""
        return alpha * (vector - (a * vector).sum(1)[:, None]) - a * (alpha * vector).sum(1)[:, None]

    def _multiply_by_jacobian(self, a: FloatArray, delta: FloatArray) -> None:
        delta -= self.ops.xp.einsum("ij,ij->i", delta, a)[:, None]
        delta *= a
