"""What an activation is: a function of a layer's pre-activations, with what derivatives need of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.ops import WithOps

__all__ = ["Activation", "ElementwiseActivation", "Units"]


class Units(NamedTuple):
    """What the units of a layer hold for a block of rows.

    Attributes
    ----------
    z : array of shape (n_rows, width)
        Pre-activations.
    a : array of shape (n_rows, n_units)
        Activations; the same memory as z where the activation works in place.
    parameters : array of shape (n_parameters,)
        The activation's own, learned with the weights; empty for most.
    """

    z: FloatArray
    a: FloatArray
    parameters: FloatArray


class Activation(WithOps, ABC):
    """A function from the pre-activations z of a layer to its activations a = f(z).

    `pull_back` and `push_forward` are transposes of each other: φ · push_forward(β) = pull_back(φ) · β.

    Attributes
    ----------
    name : str
        By which it is asked for.
    bounds : tuple of two floats
        Smallest and largest activation, infinite where there is none. A penalty on mean activations needs both.
    in_place : bool
        Whether z and a share their memory: `forward` overwrites z, and everything else is written through a.
    monotonic : bool
        Whether each activation depends on one pre-activation alone and never falls with it, so that both are largest
        for the same input.
    """

    name: ClassVar[str]
    bounds: ClassVar[tuple[float, float]]
    in_place: ClassVar[bool] = True
    monotonic: ClassVar[bool] = True

    def width(self, n_units: int) -> int:
        """Return the number of pre-activations that a layer of so many units has."""
        return n_units

    def n_parameters(self, n_units: int) -> int:
        """Return the number of the function's own parameters in a layer of so many units."""
        return 0

    def initial_parameters(self, n_units: int) -> FloatArray:
        """Return the parameters to start from, of shape (n_parameters,)."""
        return np.zeros(self.n_parameters(n_units))

    @property
    def twice_differentiable(self) -> bool:
        """Whether `curvature` is there, which penalties on derivatives and Hessian-vector products need."""
        return True

    @property
    def thrice_differentiable(self) -> bool:
        """Whether `third_order` is there, which Hessian-vector products of penalties on derivatives need."""
        return type(self).third_order is not Activation.third_order

    def distance_from_kinks(self, z: FloatArray) -> float:
        """Return how far the nearest pre-activation is from where f has no derivative; infinity if it always has one.

        Differences across such a point prove nothing about a gradient.
        """
        return np.inf

    @abstractmethod
    def forward(self, units: Units) -> None:
        """Write f(z) into a, which is z itself where the function works in place."""

    def forward_with_bias(self, units: Units, bias: FloatArray) -> None:
        """Add a bias, of shape (width,), to z, and write f(z) into a; there to be made faster."""
        self.ops.add_row(units.z, bias)
        self.forward(units)

    @abstractmethod
    def pull_back(self, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray) -> None:
        """Turn ∂J/∂a into ∂J/∂z, and add ∂J/∂parameters, summed over rows, to `gradient`.

        Parameters
        ----------
        units : Units
            As `forward` left them. The content of z and a may be lost: nothing else needs it any more.
        delta : array of shape (n_rows, n_units)
            ∂J/∂a; its content may be lost.
        out : array of shape (n_rows, width)
            Receives ∂J/∂z; delta itself where the function works in place.
        gradient : array of shape (n_parameters,)
        """

    @abstractmethod
    def push_forward(self, units: Units, beta: FloatArray, direction: FloatArray | None) -> FloatArray:
        """Return α, the tangent of a, for β, the tangent of z, and a direction in the parameters (None: zero).

        Parameters
        ----------
        units : Units
            As `forward` left them; left as they are.
        beta : array of shape (n_rows, width)
        direction : array of shape (n_parameters,), or None

        Returns
        -------
        array of shape (n_rows, n_units)
        """

    @abstractmethod
    def curvature(
        self, units: Units, phi: FloatArray, beta: FloatArray, direction: FloatArray | None, gradient: FloatArray
    ) -> FloatArray:
        """Return ∂/∂z of φ · push_forward(β), and add its derivative by the parameters to `gradient`.

        Arguments as for `push_forward`; phi has the shape (n_rows, n_units).

        Returns
        -------
        array of shape (n_rows, width)
        """

    def second_push_forward(
        self, units: Units, beta: FloatArray, zeta: FloatArray, direction: FloatArray | None
    ) -> FloatArray:
        """Return ∂²a/∂z² · β · ζ: the derivative of push_forward(β) along ζ, a second tangent of z, and the direction.

        Parameters
        ----------
        units : Units
        beta, zeta : arrays of shape (n_rows, width)
        direction : array of shape (n_parameters,), or None
            Belongs to ζ.

        Returns
        -------
        array of shape (n_rows, n_units)
        """
        raise NotImplementedError(f"{type(self).__name__} has no derivative of its curvature.")

    def third_order(self, units: Units, phi: FloatArray, beta: FloatArray, zeta: FloatArray) -> FloatArray:
        """Return the derivative of curvature(φ, β) along ζ, a second tangent of z.

        Parameters
        ----------
        units : Units
        phi : array of shape (n_rows, n_units)
        beta, zeta : arrays of shape (n_rows, width)

        Returns
        -------
        array of shape (n_rows, width)
        """
        raise NotImplementedError(f"{type(self).__name__} has no derivative of its curvature.")


class ElementwiseActivation(Activation):
    """A function of each unit by itself, without parameters, whose derivatives are written through its output a.

    A subclass has `name`, `bounds`, `apply` and `derivative`; with `second_derivative` it serves penalties on
    derivatives, and Newton's method without them; with `third_derivative` Newton's method with them.
    `multiply_by_derivative` is there to be made faster.
    """

    def __init_subclass__(cls) -> None:
        """Give a subclass that has a function of its own the plain forms of it, and not the fast ones of another."""
        super().__init_subclass__()
        if {"apply", "forward"} & cls.__dict__.keys() and "forward_with_bias" not in cls.__dict__:
            cls.forward_with_bias = Activation.forward_with_bias  # type: ignore[method-assign]
        if "derivative" in cls.__dict__ and "multiply_by_derivative" not in cls.__dict__:
            plain = ElementwiseActivation.multiply_by_derivative
            cls.multiply_by_derivative = plain  # type: ignore[method-assign]

    @abstractmethod
    def apply(self, z: FloatArray) -> None:
        """Overwrite z with f(z)."""

    @abstractmethod
    def derivative(self, a: FloatArray) -> FloatArray:
        """Return f′(z), given a = f(z)."""

    def second_derivative(self, a: FloatArray) -> FloatArray:
        """Return f″(z), given a = f(z)."""
        raise NotImplementedError(f"{type(self).__name__} has no second derivative.")

    def third_derivative(self, a: FloatArray) -> FloatArray:
        """Return f‴(z), given a = f(z)."""
        raise NotImplementedError(f"{type(self).__name__} has no third derivative.")

    def multiply_by_derivative(self, a: FloatArray, delta: FloatArray) -> None:
        """Overwrite delta with delta ∘ f′(z), given a = f(z), whose content may be lost."""
        delta *= self.derivative(a)

    @property
    def twice_differentiable(self) -> bool:
        """Whether `second_derivative` is defined."""
        return type(self).second_derivative is not ElementwiseActivation.second_derivative

    @property
    def thrice_differentiable(self) -> bool:
        """Whether `third_derivative` is defined."""
        return type(self).third_derivative is not ElementwiseActivation.third_derivative

    def forward(self, units: Units) -> None:
        """Overwrite z, which is a, with f(z)."""
        self.apply(units.z)

    def pull_back(self, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray) -> None:
        """Overwrite delta, which is out, with delta ∘ f′(z)."""
        self.multiply_by_derivative(units.a, delta)

    def push_forward(self, units: Units, beta: FloatArray, direction: FloatArray | None) -> FloatArray:
        """Return f′(z) ∘ β."""
        return self.derivative(units.a) * beta

    def curvature(
        self, units: Units, phi: FloatArray, beta: FloatArray, direction: FloatArray | None, gradient: FloatArray
    ) -> FloatArray:
        """Return f″(z) ∘ φ ∘ β."""
        return self.second_derivative(units.a) * phi * beta

    def second_push_forward(
        self, units: Units, beta: FloatArray, zeta: FloatArray, direction: FloatArray | None
    ) -> FloatArray:
        """Return f″(z) ∘ β ∘ ζ."""
        return self.second_derivative(units.a) * beta * zeta

    def third_order(self, units: Units, phi: FloatArray, beta: FloatArray, zeta: FloatArray) -> FloatArray:
        """Return f‴(z) ∘ φ ∘ β ∘ ζ."""
        return self.third_derivative(units.a) * phi * beta * zeta
