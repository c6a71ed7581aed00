"""The base classes of activations: functions of a layer's pre-activations, with their derivatives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.ops import WithOps

__all__ = ["Activation", "ElementwiseActivation", "Units"]


class Units(NamedTuple):
    """Pre-activations and activations of a layer for a block of rows, and the parameters of its activation.

    Attributes
    ----------
    z : array of shape (n_rows, width)
        Pre-activations.
    a : array of shape (n_rows, n_units)
        Activations; they share the memory of z where the activation works in place.
    parameters : array of shape (n_parameters,)
        The activation's own parameters, which are learned together with the weights; empty for most activations.
    mask : array of shape (n_rows, n_units), default=None
        Factors by which dropout multiplies; None where nothing is dropped.
    """

    z: FloatArray
    a: FloatArray
    parameters: FloatArray
    mask: FloatArray | None = None


class Activation(WithOps, ABC):
    """A function from the pre-activations z of a layer to its activations a = f(z).

    `pull_back` and `push_forward` are transposes of each other: φ · push_forward(β) = pull_back(φ) · β.

    Attributes
    ----------
    name : str
        Name by which users select the activation.
    bounds : tuple of two floats
        Smallest and largest activation; infinite where there is no bound. A penalty on mean activations needs two
        finite bounds.
    in_place : bool
        Whether z and a share their memory. If so, `forward` overwrites z, and all derivatives are computed from a.
    monotonic : bool
        Whether each activation depends on a single pre-activation and never decreases as that grows, so that both are
        largest for the same input.
    """

    name: ClassVar[str]
    bounds: ClassVar[tuple[float, float]]
    in_place: ClassVar[bool] = True
    monotonic: ClassVar[bool] = True

    def width(self, n_units: int) -> int:
        """Return the number of pre-activations of a layer with the given number of units."""
        return n_units

    def n_parameters(self, n_units: int) -> int:
        """Return the number of the activation's own parameters in a layer with the given number of units."""
        return 0

    def initial_parameters(self, n_units: int) -> FloatArray:
        """Return the initial values of the activation's own parameters, of shape (n_parameters,)."""
        return np.zeros(self.n_parameters(n_units))

    @property
    def twice_differentiable(self) -> bool:
        """Whether `curvature` is defined, which penalties on derivatives and Hessian-vector products need."""
        return True

    @property
    def thrice_differentiable(self) -> bool:
        """Whether `third_order` is defined, which Hessian-vector products of penalties on derivatives need."""
        return type(self).third_order is not Activation.third_order

    def distance_from_kinks(self, z: FloatArray) -> float:
        """Return the smallest distance of a pre-activation from a point where f has no derivative.

        The distance is infinite if f has a derivative everywhere. Finite differences across such a point say nothing
        about whether a gradient is right.
        """
        return np.inf

    @abstractmethod
    def forward(self, units: Units) -> None:
        """Write f(z) into a, which is z itself if the activation works in place."""

    def forward_with_bias(self, units: Units, bias: FloatArray) -> None:
        """Add a bias, of shape (width,), to z, and write f(z) into a; a subclass may override this for speed."""
        self.ops.add_row(units.z, bias)
        self.forward(units)

    @abstractmethod
    def pull_back(self, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray) -> None:
        """Turn ∂J/∂a into ∂J/∂z, and add ∂J/∂parameters, summed over rows, to `gradient`.

        Parameters
        ----------
        units : Units
            Units as `forward` left them. The content of z and a may be overwritten; it is not needed afterwards.
        delta : array of shape (n_rows, n_units)
            ∂J/∂a; its content may be overwritten.
        out : array of shape (n_rows, width)
            Receives ∂J/∂z. It is delta itself if the activation works in place.
        gradient : array of shape (n_parameters,)
            Gradient with respect to the activation's own parameters, to which ∂J/∂parameters is added.
        """

    @abstractmethod
    def push_forward(self, units: Units, beta: FloatArray, direction: FloatArray | None) -> FloatArray:
        """Return α, the tangent of a, for β, the tangent of z, and a direction in the activation's parameters.

        Parameters
        ----------
        units : Units
            Units as `forward` left them. They are not changed.
        beta : array of shape (n_rows, width)
            The tangent β of z.
        direction : array of shape (n_parameters,), or None
            Direction in the activation's own parameters; None means zero.

        Returns
        -------
        array of shape (n_rows, n_units)
        """

    @abstractmethod
    def curvature(
        self, units: Units, phi: FloatArray, beta: FloatArray, direction: FloatArray | None, gradient: FloatArray
    ) -> FloatArray:
        """Return ∂(φ · push_forward(β))/∂z, and add ∂(φ · push_forward(β))/∂parameters to `gradient`.

        The arguments are those of `push_forward`, together with `phi`, of shape (n_rows, n_units), and `gradient`, of
        shape (n_parameters,).

        Returns
        -------
        array of shape (n_rows, width)
        """

    def second_push_forward(
        self, units: Units, beta: FloatArray, zeta: FloatArray, direction: FloatArray | None
    ) -> FloatArray:
        """Return ∂²a/∂z² · β · ζ, the derivative of push_forward(β) along ζ and a direction in the parameters.

        Parameters
        ----------
        units : Units
            Units as `forward` left them. They are not changed.
        beta, zeta : arrays of shape (n_rows, width)
            Two tangents of z.
        direction : array of shape (n_parameters,), or None
            Direction in the activation's own parameters that belongs to ζ; None means zero.

        Returns
        -------
        array of shape (n_rows, n_units)
        """
        raise NotImplementedError(f"{type(self).__name__} does not define second_push_forward.")

    def third_order(self, units: Units, phi: FloatArray, beta: FloatArray, zeta: FloatArray) -> FloatArray:
        """Return the derivative of curvature(φ, β) along ζ, a second tangent of z.

        Parameters
        ----------
        units : Units
            Units as `forward` left them. They are not changed.
        phi : array of shape (n_rows, n_units)
            Factors φ of the tangent of a.
        beta, zeta : arrays of shape (n_rows, width)
            Two tangents of z.

        Returns
        -------
        array of shape (n_rows, width)
        """
        raise NotImplementedError(f"{type(self).__name__} does not define third_order.")


class ElementwiseActivation(Activation):
    """A function of each unit separately, without parameters, whose derivatives are computed from its output a.

    A subclass defines `name`, `bounds`, `apply` and `derivative`. Penalties on derivatives, and Newton's method without
    such penalties, also need `second_derivative`; Newton's method with such penalties needs `third_derivative` as well.
    A subclass may override `multiply_by_derivative` for speed.
    """

    def __init_subclass__(cls) -> None:
        """Replace fast methods, inherited from a class with another f or f′, by the general methods."""
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
        """Overwrite delta with delta ∘ f′(z), given a = f(z); the content of a may be overwritten."""
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
        """Overwrite z, which is the same array as a, with f(z)."""
        self.apply(units.z)

    def pull_back(self, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray) -> None:
        """Overwrite delta, which is the same array as `out`, with delta ∘ f′(z)."""
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
