"""Activation functions: f forward, and its pull-back, side by side.

Both work in place, so that a block of rows stays in cache. `forward` turns z into a = f(z). `pull_back` turns
∂J/∂a into ∂J/∂z = ∂J/∂a ∘ f′(z), with f′ written through the stored output a; it may use a as scratch, because
when it is called nothing else needs a any more.

To add one: a class here, and its place in `ACTIVATIONS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rhohat.arrays import FloatArray, array_namespace

__all__ = ["ACTIVATIONS", "Activation", "Identity", "Sigmoid", "Tanh", "as_activation"]


class Activation(ABC):
    """A function that is applied to every unit of a layer.

    Attributes
    ----------
    name : str
        By which it is asked for.
    bounds : tuple of two floats
        Smallest and largest output, infinite where there is none. A penalty on mean activations needs both.
    """

    name: ClassVar[str]
    bounds: ClassVar[tuple[float, float]]

    @abstractmethod
    def forward(self, z: FloatArray) -> None:
        """Overwrite z of shape (n_rows, n_units) with f(z)."""

    @abstractmethod
    def pull_back(self, a: FloatArray, delta: FloatArray) -> None:
        """Overwrite delta = ∂J/∂a with ∂J/∂z, given a = f(z); both (n_rows, n_units). The content of a is lost."""


@dataclass(frozen=True)
class Identity(Activation):
    """f(z) = z, f′(z) = 1: linear units.

    Examples
    --------
    >>> z = np.array([[-2.0, 3.0]])
    >>> Identity().forward(z)
    >>> z
    array([[-2.,  3.]])
    """

    name: ClassVar[str] = "identity"
    bounds: ClassVar[tuple[float, float]] = (-np.inf, np.inf)

    def forward(self, z: FloatArray) -> None:
        """Leave z as it is."""

    def pull_back(self, a: FloatArray, delta: FloatArray) -> None:
        """Leave delta as it is."""


@dataclass(frozen=True)
class Sigmoid(Activation):
    """f(z) = 1 / (1 + exp(−z)), f′(z) = a (1 − a).

    Notes
    -----
    exp(−z) overflows to infinity below z = −709 (float64), and 1 / (1 + ∞) is the right answer, 0; so the overflow
    is let through in silence. NumPy's vectorised exp makes this faster than `scipy.special.expit`,
    and it keeps full relative accuracy for small outputs, which tanh-based formulas lose.

    References
    ----------
    Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, section 1.

    Examples
    --------
    >>> z = np.array([[-1000.0, 0.0, 1000.0]])
    >>> Sigmoid().forward(z)
    >>> z
    array([[0. , 0.5, 1. ]])
    """

    name: ClassVar[str] = "sigmoid"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def forward(self, z: FloatArray) -> None:
        """Overwrite z with 1 / (1 + exp(−z))."""
        xp = array_namespace(z)
        xp.negative(z, out=z)
        with np.errstate(over="ignore", under="ignore"):
            xp.exp(z, out=z)
        z += 1
        xp.reciprocal(z, out=z)

    def pull_back(self, a: FloatArray, delta: FloatArray) -> None:
        """Overwrite delta with delta a (1 − a), as delta a − delta a²: three passes, no temporary."""
        delta *= a
        a *= delta
        delta -= a


@dataclass(frozen=True)
class Tanh(Activation):
    """f(z) = tanh(z), f′(z) = 1 − a².

    References
    ----------
    Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, section 1.

    Examples
    --------
    >>> z = np.array([[-1000.0, 0.0, 1000.0]])
    >>> Tanh().forward(z)
    >>> z
    array([[-1.,  0.,  1.]])
    """

    name: ClassVar[str] = "tanh"
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def forward(self, z: FloatArray) -> None:
        """Overwrite z with tanh(z)."""
        array_namespace(z).tanh(z, out=z)

    def pull_back(self, a: FloatArray, delta: FloatArray) -> None:
        """Overwrite delta with delta (1 − a²), as delta − delta a²."""
        a *= a
        a *= delta
        delta -= a


ACTIVATIONS: dict[str, type[Activation]] = {cls.name: cls for cls in (Identity, Sigmoid, Tanh)}


def as_activation(activation: str | Activation) -> Activation:
    """Return the activation with the given name, or the object itself.

    Parameters
    ----------
    activation : str or Activation

    Returns
    -------
    Activation

    Raises
    ------
    ValueError
        If no activation has that name.

    Examples
    --------
    >>> as_activation("tanh")
    Tanh()
    """
    if isinstance(activation, Activation):
        return activation
    if activation in ACTIVATIONS:
        return ACTIVATIONS[activation]()
    raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)} or an Activation; got {activation!r}.")
