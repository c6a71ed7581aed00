"""Activations that act on each unit separately: identity, sigmoid, tanh, ReLU and leaky ReLU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.layers.activations.base import ElementwiseActivation, Units

__all__ = ["Identity", "LeakyReLU", "ReLU", "Sigmoid", "Tanh"]


@dataclass(frozen=True)
class Identity(ElementwiseActivation):
    """The identity, for linear units: f(z) = z, f′(z) = 1.

    Examples
    --------
    >>> z = np.array([[-2.0, 3.0]])
    >>> Identity().apply(z)
    >>> z
    array([[-2.,  3.]])
    """

    name: ClassVar[str] = "identity"
    bounds: ClassVar[tuple[float, float]] = (-np.inf, np.inf)

    def apply(self, z: FloatArray) -> None:
        """Leave z unchanged."""

    def derivative(self, a: FloatArray) -> FloatArray:
        """Return ones."""
        return self.ops.xp.ones_like(a)

    def second_derivative(self, a: FloatArray) -> FloatArray:
        """Return zeros."""
        return self.ops.xp.zeros_like(a)

    third_derivative = second_derivative

    def multiply_by_derivative(self, a: FloatArray, delta: FloatArray) -> None:
        """Leave delta unchanged."""


@dataclass(frozen=True)
class Sigmoid(ElementwiseActivation):
    """The logistic sigmoid: f(z) = 1 / (1 + exp(−z)), f′(z) = a (1 − a), f″(z) = f′(z) (1 − 2a).

    Notes
    -----
    exp(−z) overflows to infinity below z = −709 (float64). The result, 1 / (1 + ∞) = 0, is right, so no warning about
    the overflow is raised. NumPy's vectorised exp makes this formula faster than `scipy.special.expit`, and it keeps
    full relative accuracy for small outputs, which formulas based on tanh lose.

    References
    ----------
    Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, section 1.

    Examples
    --------
    >>> z = np.array([[-1000.0, 0.0, 1000.0]])
    >>> Sigmoid().apply(z)
    >>> z
    array([[0. , 0.5, 1. ]])
    """

    name: ClassVar[str] = "sigmoid"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def apply(self, z: FloatArray) -> None:
        """Overwrite z with 1 / (1 + exp(−z))."""
        self.ops.sigmoid(z, z)

    def forward_with_bias(self, units: Units, bias: FloatArray) -> None:
        """Overwrite z with f(z + bias)."""
        self.ops.sigmoid_with_bias(units.z, bias)

    def derivative(self, a: FloatArray) -> FloatArray:
        """Return a (1 − a)."""
        return a - a * a

    def second_derivative(self, a: FloatArray) -> FloatArray:
        """Return a (1 − a) (1 − 2a)."""
        return (a - a * a) * (1 - 2 * a)

    def third_derivative(self, a: FloatArray) -> FloatArray:
        """Return a (1 − a) (1 − 6 a (1 − a))."""
        derivative = a - a * a
        return derivative * (1 - 6 * derivative)

    def multiply_by_derivative(self, a: FloatArray, delta: FloatArray) -> None:
        """Overwrite delta with delta a (1 − a), where a = f(z) are the activations; a may be overwritten as well."""
        self.ops.sigmoid_pull_back(a, delta)


@dataclass(frozen=True)
class Tanh(ElementwiseActivation):
    """The hyperbolic tangent: f(z) = tanh(z), f′(z) = 1 − a², f″(z) = −2 a (1 − a²).

    References
    ----------
    Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, section 1.

    Examples
    --------
    >>> z = np.array([[-1000.0, 0.0, 1000.0]])
    >>> Tanh().apply(z)
    >>> z
    array([[-1.,  0.,  1.]])
    """

    name: ClassVar[str] = "tanh"
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def apply(self, z: FloatArray) -> None:
        """Overwrite z with tanh(z)."""
        self.ops.tanh(z, z)

    def forward_with_bias(self, units: Units, bias: FloatArray) -> None:
        """Overwrite z with tanh(z + bias)."""
        self.ops.tanh_with_bias(units.z, bias)

    def derivative(self, a: FloatArray) -> FloatArray:
        """Return 1 − a²."""
        return 1 - a * a

    def second_derivative(self, a: FloatArray) -> FloatArray:
        """Return −2 a (1 − a²)."""
        return -2 * a * (1 - a * a)

    def third_derivative(self, a: FloatArray) -> FloatArray:
        """Return (1 − a²) (6 a² − 2)."""
        square = a * a
        return (1 - square) * (6 * square - 2)

    def multiply_by_derivative(self, a: FloatArray, delta: FloatArray) -> None:
        """Overwrite delta with delta (1 − a²); a may be overwritten as well."""
        self.ops.tanh_pull_back(a, delta)


@dataclass(frozen=True)
class ReLU(ElementwiseActivation):
    """The rectified linear unit: f(z) = max(0, z), f′(z) = 1 where a > 0, else 0; f″ = 0.

    At the kink, z = 0, the derivative is taken as 0.

    References
    ----------
    Nair, V. and Hinton, G. E. (2010). Rectified linear units improve restricted Boltzmann machines. ICML.

    Examples
    --------
    >>> z = np.array([[-2.0, 3.0]])
    >>> ReLU().apply(z)
    >>> z
    array([[0., 3.]])
    """

    name: ClassVar[str] = "relu"
    bounds: ClassVar[tuple[float, float]] = (0.0, np.inf)

    def distance_from_kinks(self, z: FloatArray) -> float:
        """Return the smallest magnitude of a pre-activation, since the kink is at 0."""
        return float(np.min(np.abs(z)))

    def apply(self, z: FloatArray) -> None:
        """Overwrite z with max(0, z)."""
        self.ops.xp.clip(z, 0, None, out=z)

    def forward_with_bias(self, units: Units, bias: FloatArray) -> None:
        """Overwrite z with max(0, z + bias)."""
        self.ops.relu_with_bias(units.z, bias)

    def derivative(self, a: FloatArray) -> FloatArray:
        """Return 1 where a > 0, else 0."""
        return self.ops.xp.sign(a)

    def second_derivative(self, a: FloatArray) -> FloatArray:
        """Return zeros."""
        return self.ops.xp.zeros_like(a)

    third_derivative = second_derivative

    def multiply_by_derivative(self, a: FloatArray, delta: FloatArray) -> None:
        """Overwrite delta with 0 where a is 0; a may be overwritten as well."""
        self.ops.relu_pull_back(a, delta)


@dataclass(frozen=True)
class LeakyReLU(ElementwiseActivation):
    """The leaky ReLU: f(z) = z where z > 0, else s z, with a fixed slope s; f′ is 1 or s, f″ = 0.

    At the kink, z = 0, the derivative is taken as s.

    Parameters
    ----------
    slope : float, default=0.01
        Slope s below zero, in [0, 1).

    References
    ----------
    Maas, A. L., Hannun, A. Y. and Ng, A. Y. (2013). Rectifier nonlinearities improve neural network acoustic models.
    ICML.

    Examples
    --------
    >>> z = np.array([[-2.0, 3.0]])
    >>> LeakyReLU(slope=0.1).apply(z)
    >>> z
    array([[-0.2,  3. ]])
    """

    slope: float = 0.01
    name: ClassVar[str] = "leaky_relu"
    bounds: ClassVar[tuple[float, float]] = (-np.inf, np.inf)

    def __post_init__(self) -> None:
        if not 0 <= self.slope < 1:
            raise ValueError(f"slope of a leaky ReLU must lie in [0, 1); got {self.slope}.")

    def distance_from_kinks(self, z: FloatArray) -> float:
        """Return the smallest magnitude of a pre-activation, since the kink is at 0."""
        return float(np.min(np.abs(z)))

    def apply(self, z: FloatArray) -> None:
        """Overwrite z with max(z, s z)."""
        self.ops.xp.maximum(z, self.slope * z, out=z)

    def derivative(self, a: FloatArray) -> FloatArray:
        """Return 1 where a > 0, else s."""
        derivative = self.ops.xp.clip(self.ops.xp.sign(a), 0, None)
        derivative *= 1 - self.slope
        derivative += self.slope
        return derivative

    def second_derivative(self, a: FloatArray) -> FloatArray:
        """Return zeros."""
        return self.ops.xp.zeros_like(a)

    third_derivative = second_derivative
