"""Penalties, which are added to the mean loss in the cost J: the value and the gradient of each penalty, side by side.

Three kinds of penalty are defined here: penalties on the weights, on the mean activation of every hidden unit, and on
the activations of each row. A fourth kind, in `jacobian_penalties.py`, penalises derivatives of the network with
respect to its input. The objective evaluates each kind as soon as the quantities that it depends on are known.

To add a penalty, write a class in this module that derives from the class of its kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.ops import WithOps

__all__ = [
    "ActivationPenalty",
    "HiddenLayerPenalty",
    "KLSparsity",
    "L1Sparsity",
    "MeanActivationPenalty",
    "Penalty",
    "WeightDecay",
    "WeightPenalty",
    "check_weight",
]


class Penalty(WithOps, ABC):
    """Base class of penalties: terms that are added to the cost J.

    Attributes
    ----------
    name : str
        Key of the penalty's value among the terms of J.
    weight : float
        Factor of the penalty, which must not be negative; a penalty of weight 0 is not evaluated.
    """

    name: ClassVar[str]
    weight: float


class WeightPenalty(Penalty):
    """A penalty on the weight matrices and, if a subclass sets `include_biases`, on the biases.

    With tied weights, a matrix that two layers share is given twice, the second time transposed, because J is a
    function of the layers' matrices.

    Attributes
    ----------
    include_biases : bool
        Whether the biases are penalised as well.
    layers : tuple of int or None
        The layers whose weights are penalised: 0 is the layer after the input, −1 the output layer; None means all. The
        methods are given the weights of all layers and select the weights to be penalised.
    separable : bool
        Whether the gradient at a weight depends on that weight alone. `add_gradient` may then be called with parts of
        the matrices: some rows of some matrices, and no rows of others.
    """

    include_biases: bool = False
    layers: tuple[int, ...] | None = None
    separable: ClassVar[bool] = False

    @abstractmethod
    def value(self, weights: Sequence[FloatArray]) -> float:
        """Return the penalty of `weights`: a (fan_in, fan_out) matrix per layer, then the biases, if included."""

    @abstractmethod
    def add_gradient(self, weights: Sequence[FloatArray], gradients: Sequence[FloatArray]) -> None:
        """Add the penalty's gradient in place to `gradients`, which has one array for each array of `weights`."""

    def add_hessian_product(
        self, weights: Sequence[FloatArray], tangents: Sequence[FloatArray], products: Sequence[FloatArray]
    ) -> None:
        """Add the penalty's Hessian times the tangents to `products`, in place."""
        raise NotImplementedError(f"{type(self).__name__} has no second derivative.")


class HiddenLayerPenalty(Penalty):
    """A penalty on the activations of hidden layers.

    Attributes
    ----------
    layers : tuple of int or None
        Indices of the penalised hidden layers, counted from 0; None means all hidden layers.
    """

    layers: tuple[int, ...] | None

    def check_bounds(self, bounds: tuple[float, float]) -> None:
        """Raise ValueError if the penalty is not defined for units whose activations have these bounds."""


class MeanActivationPenalty(HiddenLayerPenalty):
    """A penalty on ρ̂, the activation of each hidden unit averaged over all rows."""

    @abstractmethod
    def value(self, mean_activation: FloatArray, bounds: tuple[float, float], dtype: np.dtype[Any]) -> float:
        """Return the penalty of one layer, summed over its units.

        Parameters
        ----------
        mean_activation : array of shape (n_units,), float64
        bounds : tuple of two floats
            Smallest and largest activation that the layer's units can have.
        dtype : dtype
            Dtype in which the activations were computed; it limits how accurate a mean close to its bounds is.
        """

    @abstractmethod
    def derivative(self, mean_activation: FloatArray, bounds: tuple[float, float], dtype: np.dtype[Any]) -> FloatArray:
        """Return ∂value/∂(mean activation), of shape (n_units,), for the same arguments as `value`."""

    def second_derivative(
        self, mean_activation: FloatArray, bounds: tuple[float, float], dtype: np.dtype[Any]
    ) -> FloatArray:
        """Return ∂²value/∂(mean activation)², of shape (n_units,), for the same arguments as `value`."""
        raise NotImplementedError(f"{type(self).__name__} has no second derivative.")


class ActivationPenalty(HiddenLayerPenalty):
    """A penalty on the activations of the hidden units for each row, averaged over rows."""

    @abstractmethod
    def value(self, a: FloatArray) -> FloatArray:
        """Return the penalty of each row, of shape (n_rows,), for activations a of shape (n_rows, n_units)."""

    @abstractmethod
    def derivative(self, a: FloatArray) -> FloatArray:
        """Return ∂value/∂a, of shape (n_rows, n_units)."""

    def second_derivative(self, a: FloatArray) -> FloatArray:
        """Return ∂²value/∂a², unit by unit, of shape (n_rows, n_units)."""
        raise NotImplementedError(f"{type(self).__name__} has no second derivative.")


@dataclass(frozen=True)
class WeightDecay(WeightPenalty):
    """Weight decay λ/2 Σ_l ‖W^(l)‖²; its gradient is λ W^(l). Biases are decayed only with `include_biases`.

    Parameters
    ----------
    weight : float
        Factor λ, which must not be negative.
    include_biases : bool, default=False
        Whether λ/2 Σ_l ‖b^(l)‖² is added.
    layers : tuple of int, default=None
        The layers l over which the sum runs: 0 is the layer after the input, −1 the output layer; None means all.

    References
    ----------
    Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, section 2.

    Examples
    --------
    >>> WeightDecay(0.5).value([np.array([[1.0, 2.0]]), np.array([[3.0]])])
    3.5
    >>> WeightDecay(0.5, layers=(-1,)).value([np.array([[1.0, 2.0]]), np.array([[3.0]])])
    2.25
    """

    weight: float
    include_biases: bool = False
    layers: tuple[int, ...] | None = None
    name: ClassVar[str] = "weight_decay"
    separable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_weight(self)
        _check_layers(self)

    def value(self, weights: Sequence[FloatArray]) -> float:
        """Return λ/2 Σ ‖W‖²."""
        return 0.5 * self.weight * sum(self.ops.sum_of_squares(W) for W in self._decayed(weights))

    def add_gradient(self, weights: Sequence[FloatArray], gradients: Sequence[FloatArray]) -> None:
        """Add λ W to each gradient."""
        for W, gradient in zip(self._decayed(weights), self._decayed(gradients), strict=True):
            gradient += self.weight * W

    def add_hessian_product(
        self, weights: Sequence[FloatArray], tangents: Sequence[FloatArray], products: Sequence[FloatArray]
    ) -> None:
        """Add λ V to each product."""
        self.add_gradient(tangents, products)

    def _decayed(self, arrays: Sequence[FloatArray]) -> Sequence[FloatArray]:
        """Return the weights, and the biases if they are included, of the layers that are decayed."""
        if self.layers is None:
            return arrays
        n_layers = len(arrays) // 2 if self.include_biases else len(arrays)
        chosen = sorted({layer % n_layers for layer in self.layers})
        return [arrays[start + layer] for start in range(0, len(arrays), n_layers) for layer in chosen]


@dataclass(frozen=True)
class L1Sparsity(ActivationPenalty):
    """L1 penalty β ‖a‖₁ = β Σ_j abs(a_j) on hidden activations, averaged over rows; it makes many of them small.

    Its derivative is β sign(a_j), taken as 0 at 0.

    Parameters
    ----------
    weight : float
        Factor β, which must not be negative.
    layers : tuple of int, default=None
        Indices of the penalised hidden layers, counted from 0; None means all hidden layers.

    Examples
    --------
    >>> L1Sparsity(0.5).value(np.array([[1.0, -2.0], [0.0, 4.0]]))
    array([1.5, 2. ])
    """

    weight: float
    layers: tuple[int, ...] | None = None
    name: ClassVar[str] = "l1_sparsity"

    def __post_init__(self) -> None:
        check_weight(self)
        _check_layers(self)

    def value(self, a: FloatArray) -> FloatArray:
        """Return β ‖a‖₁ for each row."""
        values: FloatArray = self.ops.xp.abs(a).sum(1)
        values *= self.weight
        return values

    def derivative(self, a: FloatArray) -> FloatArray:
        """Return β sign(a)."""
        derivative: FloatArray = self.ops.xp.sign(a)
        derivative *= self.weight
        return derivative

    def second_derivative(self, a: FloatArray) -> FloatArray:
        """Return zeros with the same shape as `a`."""
        return self.ops.xp.zeros_like(a)


@dataclass(frozen=True)
class KLSparsity(MeanActivationPenalty):
    """KL sparsity penalty β Σ_j KL(ρ ‖ ρ̂_j), with KL(ρ‖ρ̂) = ρ log(ρ/ρ̂) + (1−ρ) log((1−ρ)/(1−ρ̂)).

    Its derivative with respect to ρ̂_j is β (−ρ/ρ̂_j + (1−ρ)/(1−ρ̂_j)).

    Parameters
    ----------
    sparsity : float
        ρ, the target for the mean activation of every hidden unit, in (0, 1).
    weight : float
        Factor β, which must not be negative.
    layers : tuple of int, default=None
        Indices of the penalised hidden layers, counted from 0; None means all hidden layers.

    Notes
    -----
    The penalty is defined for ρ̂ in (0, 1). Activations with other bounds are mapped linearly to that interval: a tanh
    unit counts as inactive at −1, so the penalty acts on (1+a)/2.

    A unit that saturates on every row would give log(0). ρ̂ is therefore kept away from 0 and 1 by the precision of the
    arithmetic: half of the spacing of floating-point numbers at that bound. For a lower bound of 0, where
    floating-point numbers are dense, the distance is 1e-300.

    References
    ----------
    Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, section 3.

    Examples
    --------
    >>> rho_hat = np.array([0.2, 0.5])
    >>> penalty = KLSparsity(sparsity=0.2, weight=1.0)
    >>> round(penalty.value(rho_hat, (0, 1), rho_hat.dtype), 6)
    0.192745
    >>> penalty.derivative(rho_hat, (0, 1), rho_hat.dtype)
    array([0. , 1.2])
    """

    sparsity: float
    weight: float
    layers: tuple[int, ...] | None = None
    name: ClassVar[str] = "kl_sparsity"

    def __post_init__(self) -> None:
        check_weight(self)
        _check_layers(self)
        if not 0 < self.sparsity < 1:
            raise ValueError(
                f"sparsity (ρ), a mean activation, must lie strictly between 0 and 1; got {self.sparsity}."
            )

    def check_bounds(self, bounds: tuple[float, float]) -> None:
        """Raise ValueError if the activations are unbounded, as their mean cannot be mapped to (0, 1) then."""
        if not np.all(np.isfinite(bounds)):
            raise ValueError(
                "KL sparsity needs hidden units with bounded activations, but the activations of these units are"
                " unbounded; use 'sigmoid' or 'tanh' for the hidden units, L1Sparsity in place of the KL penalty"
                " (sparsity_weight=0, penalties=L1Sparsity(0.1)), or no penalty on activations (sparsity_weight=0)."
            )

    def value(self, mean_activation: FloatArray, bounds: tuple[float, float], dtype: np.dtype[Any]) -> float:
        """Return β Σ_j KL(ρ ‖ ρ̂_j)."""
        rho, rho_hat, log = self.sparsity, self._fraction(mean_activation, bounds, dtype), self.ops.xp.log
        divergence = rho * log(rho / rho_hat) + (1 - rho) * log((1 - rho) / (1 - rho_hat))
        value: float = self.weight * self.ops.number(divergence.sum())
        return value

    def derivative(self, mean_activation: FloatArray, bounds: tuple[float, float], dtype: np.dtype[Any]) -> FloatArray:
        """Return β (−ρ/ρ̂ + (1−ρ)/(1−ρ̂)), divided by the width of the activation's bounds."""
        low, high = bounds
        rho, rho_hat = self.sparsity, self._fraction(mean_activation, bounds, dtype)
        return self.weight / (high - low) * (-rho / rho_hat + (1 - rho) / (1 - rho_hat))

    def second_derivative(
        self, mean_activation: FloatArray, bounds: tuple[float, float], dtype: np.dtype[Any]
    ) -> FloatArray:
        """Return β (ρ/ρ̂² + (1−ρ)/(1−ρ̂)²), divided by the squared width of the activation's bounds."""
        low, high = bounds
        rho, rho_hat = self.sparsity, self._fraction(mean_activation, bounds, dtype)
        return self.weight / (high - low) ** 2 * (rho / rho_hat**2 + (1 - rho) / (1 - rho_hat) ** 2)

    def _fraction(self, mean_activation: FloatArray, bounds: tuple[float, float], dtype: np.dtype[Any]) -> FloatArray:
        """Map mean activations from the interval between their bounds to the open interval (0, 1), in float64."""
        low, high = bounds
        half_spacing = float(np.finfo(dtype).eps) / 2
        smallest = 1e-300 if low == 0 else half_spacing
        fraction = (self.ops.asarray(mean_activation, np.float64) - low) / (high - low)
        return self.ops.xp.clip(fraction, smallest, 1 - half_spacing, out=fraction)


def _check_layers(penalty: HiddenLayerPenalty | WeightPenalty) -> None:
    """Raise ValueError unless `layers` is None or a sequence of integers, which is converted to a tuple."""
    layers = penalty.layers
    if layers is None:
        return
    if not (np.iterable(layers) and all(isinstance(layer, Integral) for layer in layers)):
        first = "hidden layer" if isinstance(penalty, HiddenLayerPenalty) else "layer of weights"
        raise ValueError(
            f"layers of {penalty.name} must be a tuple of integers, where 0 is the first {first}, or None for all"
            f" layers; got {layers!r}."
        )
    object.__setattr__(penalty, "layers", tuple(int(layer) for layer in layers))


def check_weight(penalty: Penalty) -> None:
    """Raise ValueError unless the weight of a penalty is finite and at least 0, and convert it to a Python float.

    Parameters
    ----------
    penalty : Penalty
        A frozen dataclass with the attribute `weight`.
    """
    if not (isinstance(penalty.weight, Real) and 0 <= penalty.weight < np.inf):
        raise ValueError(f"the weight of {penalty.name} must be a finite number, at least 0; got {penalty.weight!r}.")
    object.__setattr__(penalty, "weight", float(penalty.weight))  # a NumPy scalar would impose its precision on J
