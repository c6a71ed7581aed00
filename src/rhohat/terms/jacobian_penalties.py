"""Penalties on derivatives of the network with respect to its input: contraction and tangent propagation.

Both are sums of squared directional derivatives: a tangent of the input is pushed forward to a layer, and the squared
norm of the resulting tangent of that layer's activations is penalised. The gradient of such a penalty needs second
derivatives of the activations and is propagated backward through the same layers; see `tangents.py`.

To add a penalty, write a class in this module that derives from `JacobianPenalty`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.words import counted
from rhohat.layers import DenseLayer
from rhohat.layers.activations import ElementwiseActivation
from rhohat.layers.layout import Parameters
from rhohat.layers.network import Layers, Network
from rhohat.layers.tangents import TangentPass
from rhohat.terms.penalties import Penalty, check_weight

__all__ = ["Contraction", "JacobianPenalty", "TangentPropagation"]


class JacobianPenalty(Penalty):
    """A penalty weight · factor · Σ_k ‖∂a/∂x · τ_k‖², averaged over rows, on the activations a of a layer.

    x is the input of the network, and the τ_k are tangents of x.

    Attributes
    ----------
    factor : float
        Constant factor in the formula.
    needs_tangents : bool
        Whether the tangents are data that must be given with the rows.
    """

    factor: ClassVar[float]
    needs_tangents: ClassVar[bool] = False

    @abstractmethod
    def penalised_layer(self, n_layers: int) -> int:
        """Return the layer whose activations are penalised: 1 is the first hidden layer, n_layers the output layer."""

    @abstractmethod
    def tangents(self, n_features: int, dtype: np.dtype[Any], tangents: FloatArray | None) -> Iterator[FloatArray]:
        """Yield one array per tangent τ_k: shape (n_rows, n_features), or (1, n_features) if the same for all rows.

        Parameters
        ----------
        n_features : int
        dtype : dtype
        tangents : array of shape (n_rows, n_tangents, n_features), or None
            The tangents that were given with the rows.
        """

    def value(
        self, network: Network, parameters: Parameters, layers: Layers, tangents: FloatArray | None
    ) -> FloatArray:
        """Return the penalty of each row, of shape (n_rows,); see `add` for the arguments."""
        layer, x = self.penalised_layer(network.n_layers), layers.a[0]
        tangent_pass = TangentPass(network, parameters, layers)
        arrived = (
            tangent_pass.push_forward(tangent, stop=layer).a[-1]
            for tangent in self.tangents(x.shape[1], self.ops.dtype_of(x), tangents)
        )
        return self._add_up(arrived, x)

    def add(
        self,
        network: Network,
        parameters: Parameters,
        layers: Layers,
        row_weights: FloatArray | None,
        tangents: FloatArray | None,
        gradient: Parameters,
        added_z: list[FloatArray | None],
    ) -> FloatArray:
        """Return the penalty of each row, of shape (n_rows,), and add its gradient to `gradient` and `added_z`.

        Parameters
        ----------
        network : Network
        parameters : Parameters
        layers : Layers
            Pre-activations and activations as computed by `Network.forward`; they are not changed.
        row_weights : array of shape (n_rows, 1), or None
            Factor for the gradient of each row; None means 1.
        tangents : array of shape (n_rows, n_tangents, n_features), or None
            The tangents that were given with the rows.
        gradient, added_z
            Arrays to which the gradient is added in place; see `TangentPass.pull_back`.
        """
        layer, x = self.penalised_layer(network.n_layers), layers.a[0]
        tangent_pass = TangentPass(network, parameters, layers)

        def arrived() -> Iterator[FloatArray]:
            for tangent in self.tangents(x.shape[1], self.ops.dtype_of(x), tangents):
                pushed = tangent_pass.push_forward(tangent, stop=layer)
                yield pushed.a[-1]
                phi = 2 * self.weight * self.factor * pushed.a[-1]
                if row_weights is not None:
                    phi *= row_weights
                tangent_pass.pull_back(pushed, phi, gradient, added_z)

        return self._add_up(arrived(), x)

    def _add_up(self, arrived: Iterable[FloatArray], x: FloatArray) -> FloatArray:
        """Return the penalty of each row, given the tangents pushed forward to the penalised layer."""
        xp = self.ops.xp
        total: FloatArray = self.ops.zeros((x.shape[0],), np.float64)  # a deep contraction adds one tangent per feature
        for alpha in arrived:
            total += self.ops.row_products(alpha, alpha)
        total *= self.weight * self.factor
        values: FloatArray = xp.asarray(total, dtype=x.dtype)
        return values

    def add_hessian_product(
        self,
        tangent_pass: TangentPass,
        along: Layers,
        row_weights: FloatArray | None,
        tangents: FloatArray | None,
        ones: FloatArray,
        product: Parameters,
    ) -> None:
        """Add the Hessian of the penalty, summed over rows, times the direction of `tangent_pass` to `product`.

        Parameters
        ----------
        tangent_pass : TangentPass
            The block's layers, with a direction in the parameters.
        along : Layers
            The tangents of the layers along that direction, as returned by `push_forward`.
        row_weights : array of shape (n_rows, 1), or None
            Weight of each row; None means 1.
        tangents : array of shape (n_rows, n_tangents, n_features), or None
            The tangents that were given with the rows.
        ones : array of shape (1, n_rows)
            Ones, for sums over rows.
        product : Parameters
            The Hessian-vector product, which is added in place.
        """
        network, x = tangent_pass.network, tangent_pass.layers.a[0]
        layer = self.penalised_layer(network.n_layers)
        inputs_only = replace(tangent_pass, direction=None)
        for tangent in self.tangents(x.shape[1], self.ops.dtype_of(x), tangents):
            pushed = inputs_only.push_forward(tangent, stop=layer)
            second = tangent_pass.second_push_forward(pushed, along)
            scale = 2 * self.weight * self.factor * (1 if row_weights is None else row_weights)
            phi, phi_change = scale * pushed.a[-1], scale * second.a[-1]
            tangent_pass.second_pull_back(pushed, along, second, phi, phi_change, ones, product)


@dataclass(frozen=True)
class Contraction(JacobianPenalty):
    """Contractive penalty λ ‖∂h/∂x‖²_F, averaged over rows: the code h changes little when the input x changes.

    Parameters
    ----------
    weight : float
        Factor λ, which must not be negative.
    layer : int, default=None
        Index of the hidden layer whose activations are h, counted from 0; None means the middle hidden layer.

    Notes
    -----
    For the first hidden layer ‖∂h/∂x‖²_F is Σ_j f′(z_j)² ‖W_j‖², which costs no more than a pass over the activations.
    For a deeper layer every feature of the input gives one tangent, and an evaluation costs as many passes through the
    encoder as there are features.

    References
    ----------
    Rifai, S., Vincent, P., Muller, X., Glorot, X. and Bengio, Y. (2011). Contractive auto-encoders: explicit
    invariance during feature extraction. ICML.
    """

    weight: float
    layer: int | None = None
    name: ClassVar[str] = "contraction"
    factor: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        check_weight(self)

    def penalised_layer(self, n_layers: int) -> int:
        """Return the index of the layer that holds the code, 1 being the first hidden layer."""
        layer = max(n_layers // 2, 1) if self.layer is None else self.layer + 1
        if not 1 <= layer < n_layers:
            need = "needs a hidden layer" if self.layer is None else f"is set to act on hidden layer {self.layer}"
            raise ValueError(
                f"contraction {need}, but this network has {counted(n_layers - 1, 'hidden layer')}; hidden layers are"
                " counted from 0."
            )
        return layer

    def tangents(self, n_features: int, dtype: np.dtype[Any], tangents: FloatArray | None) -> Iterator[FloatArray]:
        """Yield every unit vector of the input space, of shape (1, n_features)."""
        for feature in range(n_features):
            unit = self.ops.zeros((1, n_features), dtype)
            unit[0, feature] = 1
            yield unit

    def value(
        self, network: Network, parameters: Parameters, layers: Layers, tangents: FloatArray | None
    ) -> FloatArray:
        """Return the penalty of each row, computed in closed form if h is the first hidden layer."""
        activation = self._in_closed_form(network)
        if activation is None:
            return super().value(network, parameters, layers, tangents)
        W, derivative = parameters.weights[0], activation.derivative(layers.a[1])
        values: FloatArray = self.weight * (derivative * derivative @ self.ops.column_sums(W * W))
        return values

    def add(
        self,
        network: Network,
        parameters: Parameters,
        layers: Layers,
        row_weights: FloatArray | None,
        tangents: FloatArray | None,
        gradient: Parameters,
        added_z: list[FloatArray | None],
    ) -> FloatArray:
        """Return the penalty of each row and add its gradient, in closed form if h is the first hidden layer."""
        activation = self._in_closed_form(network)
        if activation is None:
            return super().add(network, parameters, layers, row_weights, tangents, gradient, added_z)
        W, a = parameters.weights[0], layers.a[1]
        squared_norms = self.ops.column_sums(W * W)
        derivative = activation.derivative(a)
        squares = derivative * derivative
        values: FloatArray = self.weight * (squares @ squared_norms)
        extra = 2 * self.weight * derivative * activation.second_derivative(a) * squared_norms
        if row_weights is not None:
            squares *= row_weights
            extra *= row_weights
        known = added_z[0]
        added_z[0] = extra if known is None else known + extra
        gradient.weights[0][:] += 2 * self.weight * W * self.ops.column_sums(squares)
        return values

    def add_hessian_product(
        self,
        tangent_pass: TangentPass,
        along: Layers,
        row_weights: FloatArray | None,
        tangents: FloatArray | None,
        ones: FloatArray,
        product: Parameters,
    ) -> None:
        """Add the penalty's Hessian times the direction, in closed form if h is the first hidden layer."""
        network, layers, direction = tangent_pass.network, tangent_pass.layers, tangent_pass.direction
        activation = self._in_closed_form(network)
        if activation is None:
            super().add_hessian_product(tangent_pass, along, row_weights, tangents, ones, product)
            return
        assert direction is not None
        W, V, a, zeta = tangent_pass.parameters.weights[0], direction.weights[0], layers.a[1], along.z[1]
        scale = 2 * self.weight * (1 if row_weights is None else row_weights)
        first, second, third = activation.derivative(a), activation.second_derivative(a), activation.third_derivative(a)
        squared_norms, their_change = self.ops.column_sums(W * W), 2 * self.ops.column_sums(W * V)
        extra_change = (second * second + first * third) * zeta * squared_norms + first * second * their_change
        dense, change = network.layers[0], scale * extra_change
        dense.add_weight_gradient(product.weights[0], layers.a[0], change, accumulate=True)
        dense.add_bias_gradient(product.biases[0], change, ones, accumulate=True)
        of_direction, of_weights = scale * first * first, scale * 2 * first * second * zeta
        product.weights[0][:] += V * self.ops.column_sums(of_direction) + W * self.ops.column_sums(of_weights)

    def _in_closed_form(self, network: Network) -> ElementwiseActivation | None:
        """Return the first hidden layer's activation if the code is there and has a closed form, else None."""
        activation, is_dense = network.activations[0], isinstance(network.layers[0], DenseLayer)
        if self.penalised_layer(network.n_layers) > 1 or not (
            is_dense and isinstance(activation, ElementwiseActivation)
        ):
            return None
        return activation


@dataclass(frozen=True)
class TangentPropagation(JacobianPenalty):
    """Tangent propagation, λ/2 Σ_k ‖∂y/∂x · τ_k‖² averaged over rows: y changes little along each row's tangents τ_k.

    A tangent is the change of an input under a small transformation, such as a shift or a rotation; see
    `rhohat.image_tangents`. y are the network's outputs. The tangents are given together with the rows, to `Problem` or
    to the `fit` of a classifier or regressor.

    Parameters
    ----------
    weight : float
        Factor λ, which must not be negative.

    References
    ----------
    Simard, P., Victorri, B., LeCun, Y. and Denker, J. (1992). Tangent prop: a formalism for specifying selected
    invariances in an adaptive network. NIPS 4.
    Bishop, C. M. (2006). Pattern Recognition and Machine Learning, section 5.5.4 and exercise 5.26.
    """

    weight: float
    name: ClassVar[str] = "tangent_propagation"
    factor: ClassVar[float] = 0.5
    needs_tangents: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_weight(self)

    def penalised_layer(self, n_layers: int) -> int:
        """Return the index of the output layer, which is `n_layers`."""
        return n_layers

    def tangents(self, n_features: int, dtype: np.dtype[Any], tangents: FloatArray | None) -> Iterator[FloatArray]:
        """Yield the k-th tangents of all rows, of shape (n_rows, n_features), for every k."""
        assert tangents is not None  # the objective has checked it
        for k in range(tangents.shape[1]):
            yield tangents[:, k]
