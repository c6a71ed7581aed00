"""Tangents of a network's layers, which are derivatives along a direction, and gradients of functions of the tangents.

A tangent of the inputs, or of the parameters, is pushed forward through the layers. A function Ω of the tangents at a
layer has a gradient by the parameters, which is computed by going backward through the same layers. Along a direction
in the inputs, this is tangent propagation; along a direction in the parameters, it is Pearlmutter's R-operator, which
gives the product of the Hessian with the direction.

References
----------
Pearlmutter, B. A. (1994). Fast exact multiplication by the Hessian. Neural Computation 6, 147-160.
Bishop, C. M. (2006). Pattern Recognition and Machine Learning, section 5.4.6 and exercise 5.26.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rhohat.common.arrays import FloatArray
from rhohat.layers import Layer, LayerParameters, MapLayer
from rhohat.layers.activations import Activation, Units
from rhohat.layers.base import pulled_back
from rhohat.layers.layout import Parameters
from rhohat.layers.network import Layers, Network, units_of
from rhohat.layers.padding import missing_steps, without_padding, write_zeros
from rhohat.ops import ops_of

__all__ = ["TangentPass"]


@dataclass(frozen=True)
class TangentPass:
    """Forward and backward passes of tangents through a network, for a block of rows.

    Attributes
    ----------
    network : Network
    parameters : Parameters
    layers : Layers
        Layers from the input on, as `Network.forward` left them. They are not changed.
    direction : Parameters or None, default=None
        The tangent of the parameters; None means zero.
    """

    network: Network
    parameters: Parameters
    layers: Layers
    direction: Parameters | None = None

    def push_forward(self, tangent: FloatArray | None = None, stop: int | None = None) -> Layers:
        """Return the tangents of all layers: β, the tangents of z, and α, the tangents of a.

        For a layer that is a linear map with an activation, β^(l+1) = α^(l) W^(l) + a^(l) V^(l) + v^(l), and α^(l+1) =
        push-forward of β^(l+1), where V and v are the direction in the weights and biases.

        Parameters
        ----------
        tangent : array of shape (n_rows or 1, s_0), default=None
            Tangent of the inputs; None means zero.
        stop : int, default=None
            The last layer to compute, counted from 0, the input; None means the output.

        Returns
        -------
        Layers
            Newly allocated arrays: z holds β, and a holds α.
        """
        # None stands for zeros, so that no product with zeros is computed. Only a linear map is without it: the weights
        # of a recurrent layer act on the outputs of the step before as well, whose tangents are not zero.
        if tangent is None and not isinstance(self.network.layers[0], MapLayer):
            x = self.layers.a[0]
            tangent = self.network.ops.zeros((1, x.shape[1]), self.network.ops.dtype_of(x))
        beta: list[Any] = [tangent]
        alpha: list[Any] = [tangent]
        for layer in range(self.network.n_layers if stop is None else stop):
            given, units, own = self.layers.a[layer], self._units(layer), self.parameters.of(layer)
            pushed = self.network.layers[layer].push_forward(own, self._direction(layer), given, alpha[layer], units)
            beta.append(pushed[0])
            alpha.append(pushed[1])
        return Layers(beta, alpha)

    def pull_back(
        self, tangents: Layers, phi: FloatArray, gradient: Parameters, added_z: list[FloatArray | None]
    ) -> None:
        """Backpropagate through `push_forward`: compute the gradient of Ω from φ = ∂Ω/∂α at a layer.

        Let φ_z be the pull-back of φ. Its derivative along the tangents, which is the curvature of f applied to φ and β
        for a linear map with an activation, is added to ∂Ω/∂z^(l), which `Network.backward` propagates further.
        α^(l)ᵀ φ_z^(l+1) is added to ∇W^(l), and φ^(l) = φ_z^(l+1) W^(l)ᵀ.

        Parameters
        ----------
        tangents : Layers
            Tangents that `push_forward` returned for a tangent of the inputs, up to the layer of φ.
        phi : array of shape (n_rows, s_l)
            ∂Ω/∂α at the last of these layers.
        gradient : Parameters
            The part of the gradient that comes from the tangents is added to it.
        added_z : list of n_layers arrays or None
            ∂Ω/∂z of each layer is added to its entry, or becomes the entry where that is None.
        """
        for layer in reversed(range(len(tangents.a) - 1)):
            phi_z, extra = self._pull_back_along(layer, tangents, phi, gradient)
            known = added_z[layer]
            added_z[layer] = extra if known is None else known + extra
            self._add_gradient(gradient, layer, tangents.a[layer], phi_z)
            if layer > 0:
                phi = self._back(layer, phi_z)

    def backward(
        self,
        tangents: Layers,
        phi: FloatArray,
        delta: FloatArray,
        ones: FloatArray,
        added: Sequence[FloatArray | None],
        added_tangent: Sequence[FloatArray | None],
        product: Parameters,
        *,
        from_z: bool = False,
    ) -> None:
        """Compute the product of the Hessian of J with the direction, summed over rows, by backpropagation.

        This is the R-operator applied to `Network.backward`. Here, φ is the quantity that backpropagation calls δ, and
        δ is the tangent of φ.

        Parameters
        ----------
        tangents : Layers
            Tangents that `push_forward` returned.
        phi, delta : arrays of shape (n_rows, n_outputs)
            ∂loss/∂a at the output, and its tangent (∂²loss/∂a²) α; with `from_z`, the same with z in place of a. Their
            content is lost.
        ones : array of shape (1, n_rows)
            Ones, for sums over rows.
        added, added_tangent : sequences of n_layers arrays or None
            Derivatives of the penalties that are added to ∂J/∂a, and their tangents.
        product : Parameters
            The Hessian times the direction is added to it.
        from_z : bool, default=False
            Whether the loss has been pulled back through the output activation already.
        """
        assert self.direction is not None
        for layer in reversed(range(self.network.n_layers)):
            if from_z and layer == self.network.n_layers - 1:
                phi_z, delta_z = phi, delta
            else:
                for adjoint, extra in ((phi, added[layer]), (delta, added_tangent[layer])):
                    if extra is not None:
                        adjoint += extra
                phi_z, curved = self._pull_back_along(layer, tangents, phi, product)
                delta_z = self._pull_back(layer, delta, product.activation_parameters[layer])
                delta_z += curved
            self._add_gradient(product, layer, self.layers.a[layer], delta_z, ones)
            if tangents.a[layer] is not None:
                self._add_gradient(product, layer, tangents.a[layer], phi_z)
            if layer > 0:
                along = self._back(layer, phi_z, self.direction)
                phi, delta = self._back(layer, phi_z), self._back(layer, delta_z) + along

    def second_push_forward(self, tangents: Layers, along: Layers) -> Layers:
        """Return (β̇, α̇), the derivatives along the parameter direction of the tangents (β, α) of an input tangent.

        β̇^(l+1) = α̇^(l) W^(l) + α^(l) V^(l), and α̇^(l+1) = push-forward of β̇^(l+1) + ∂²a/∂z² · β · ζ.

        Parameters
        ----------
        tangents : Layers
            Tangents that `push_forward` returned for a tangent of the inputs, without the direction.
        along : Layers
            Tangents that `push_forward` returned for the direction alone, at least up to the same layer. z holds ζ.

        Returns
        -------
        Layers
            Newly allocated arrays: z holds β̇, and a holds α̇.
        """
        assert self.direction is not None
        beta: list[Any] = [None]
        alpha: list[Any] = [None]
        for layer in range(len(tangents.a) - 1):
            changed = self._push(layer, tangents.a[layer], self.direction)
            if layer > 0:
                changed = changed + self._push(layer, alpha[layer])
            missing = _missing(self.network.layers[layer], self.layers.a[layer + 1])
            if missing is not None:
                changed = changed + _zeros(self.layers.z[layer + 1])
                write_zeros(changed, missing)
            activation, units = self._activation(layer), _without_padding(self._units(layer), missing)
            own = self.direction.activation_parameters[layer]
            bent = activation.second_push_forward(units, tangents.z[layer + 1], along.z[layer + 1], own)
            beta.append(changed)
            alpha.append(activation.push_forward(units, changed, None) + bent)
        return Layers(beta, alpha)

    def second_pull_back(
        self,
        tangents: Layers,
        along: Layers,
        second: Layers,
        phi: FloatArray,
        phi_change: FloatArray,
        ones: FloatArray,
        product: Parameters,
    ) -> None:
        """Compute the product of the Hessian of Ω with the direction, by differentiating what `pull_back` computes.

        This is the R-operator applied to `pull_back` and to the part of `Network.backward` that continues from its
        result.

        Parameters
        ----------
        tangents, along, second : Layers
            The two arguments of `second_push_forward`, and its result.
        phi, phi_change : arrays of shape (n_rows, s_l)
            ∂Ω/∂α at the last layer of `tangents`, and its derivative along the direction.
        ones : array of shape (1, n_rows)
            Ones, for sums over rows.
        product : Parameters
            The Hessian of Ω times the direction is added to it.
        """
        assert self.direction is not None
        delta = delta_change = None
        for layer in reversed(range(len(tangents.a) - 1)):
            activation, missing = (
                self._activation(layer),
                _missing(self.network.layers[layer], self.layers.a[layer + 1]),
            )
            units = _without_padding(self._units(layer), missing)
            own, own_direction = product.activation_parameters[layer], self.direction.activation_parameters[layer]
            unused = _copy(own)
            beta, zeta, beta_change = tangents.z[layer + 1], along.z[layer + 1], second.z[layer + 1]
            delta_z = activation.curvature(units, phi, beta, None, unused)
            delta_z_change = (
                activation.curvature(units, phi_change, beta, None, own)
                + activation.curvature(units, phi, beta_change, None, own)
                + activation.third_order(units, phi, beta, zeta)
            )
            if delta is not None and delta_change is not None:
                delta_z = delta_z + self._pull_back(layer, delta)
                delta_z_change += self._pull_back(layer, delta_change, own)
                delta_z_change += activation.curvature(units, delta, zeta, own_direction, own)
            phi_z = self._pull_back(layer, phi)
            phi_z_change = self._pull_back(layer, phi_change)
            phi_z_change += activation.curvature(units, phi, zeta, own_direction, unused)
            self._add_gradient(product, layer, self.layers.a[layer], delta_z_change, ones)
            self._add_gradient(product, layer, tangents.a[layer], phi_z_change)
            if layer > 0:
                self._add_gradient(product, layer, along.a[layer], delta_z)
                self._add_gradient(product, layer, second.a[layer], phi_z)
                changes = [self._back(layer, one, self.direction) for one in (phi_z, delta_z)]
                phi, phi_change = self._back(layer, phi_z), self._back(layer, phi_z_change) + changes[0]
                delta, delta_change = self._back(layer, delta_z), self._back(layer, delta_z_change) + changes[1]

    def pull_back_to_input(self, delta: FloatArray) -> FloatArray:
        """Return the gradient by the input x of delta · a, or of delta · z if the activation is monotonic.

        Here, z and a belong to the last of `layers`. A monotonic activation is largest where its pre-activation is
        largest, and the derivative of the pre-activation does not vanish when the unit saturates.

        Parameters
        ----------
        delta : array of shape (n_rows, s_l)
            Factors of the units of the last layer.

        Returns
        -------
        array of shape (n_rows, s_0)
        """
        top = len(self.layers.a) - 2
        for layer in reversed(range(top + 1)):
            if layer < top or not self.network.layers[layer].monotonic:
                delta = self._pull_back(layer, delta)
            W, given = self.parameters.weights[layer], self.layers.a[layer]
            delta = self.network.layers[layer].pull_back_to_inputs(W, given, delta)
        return delta

    def _activation(self, layer: int) -> Activation:
        return self.network.activations[layer]

    def _map(self, layer: int) -> MapLayer:
        """Return a layer as a `MapLayer`, the only kind of layer that has second tangents."""
        found = self.network.layers[layer]
        assert isinstance(found, MapLayer)  # `Problem` has checked this
        return found

    def _direction(self, layer: int) -> LayerParameters | None:
        """Return the direction in the parameters of a layer; None means zero."""
        return None if self.direction is None else self.direction.of(layer)

    def _push(self, layer: int, tangent: FloatArray, parameters: Parameters | None = None) -> FloatArray:
        """Return the tangent of z for a tangent of a layer's inputs, with θ or with a direction as weights."""
        if parameters is not None and not self._map(layer).has_weights:
            return _zeros(self.layers.z[layer + 1])
        W = (self.parameters if parameters is None else parameters).weights[layer]
        return self._map(layer).linear(self.layers.a[layer], tangent, W)

    def _back(self, layer: int, delta: FloatArray, parameters: Parameters | None = None) -> FloatArray:
        """Return the pull-back of delta from z to a layer's inputs, with θ or with a direction as weights."""
        found, given = self.network.layers[layer], self.layers.a[layer]
        if parameters is not None and not found.has_weights:
            return _zeros(given)
        W = (self.parameters if parameters is None else parameters).weights[layer]
        return found.pull_back_to_inputs(W, given, delta)

    def _add_gradient(
        self, gradient: Parameters, layer: int, given: FloatArray, delta: FloatArray, ones: FloatArray | None = None
    ) -> None:
        """Add the gradient of the weights and, if `ones` is given, the gradient of the biases."""
        found = self.network.layers[layer]
        found.add_weight_gradient(gradient.weights[layer], given, delta, accumulate=True)
        if ones is not None:
            found.add_bias_gradient(gradient.biases[layer], delta, ones, accumulate=True)

    def _units(self, layer: int) -> Units:
        return units_of(self.parameters, self.layers, layer)

    def _pull_back_along(
        self, layer: int, tangents: Layers, phi: FloatArray, gradient: Parameters
    ) -> tuple[FloatArray, FloatArray]:
        """Return the pull-back of φ to a layer's z, and its derivative along the tangents."""
        found, own, direction = self.network.layers[layer], self.parameters.of(layer), self._direction(layer)
        of_own = gradient.activation_parameters[layer]
        return found.pull_back_along(own, direction, self._units(layer), tangents.z[layer + 1], phi, of_own)

    def _pull_back(self, layer: int, delta: FloatArray, gradient: FloatArray | None = None) -> FloatArray:
        """Return the pull-back of delta from a layer's a to its z, without changing delta or the layers."""
        return pulled_back(self.network.layers[layer], self.parameters.of(layer), self._units(layer), delta, gradient)


def _missing(layer: Layer, a: FloatArray) -> FloatArray | None:
    """Return which steps of a layer's activations are padding; None if none is."""
    return None if layer.n_padded_steps is None else missing_steps(a, layer.n_padded_steps)


def _without_padding(units: Units, missing: FloatArray | None) -> Units:
    """Return units with zeros at missing steps, where all tangents are 0; the units themselves if none is missing."""
    return units if missing is None else Units(without_padding(units.z), without_padding(units.a), units.parameters)


def _copy(array: FloatArray) -> FloatArray:
    """Return a copy of an array, in the same array library."""
    return array + 0.0


def _zeros(like: FloatArray) -> FloatArray:
    """Return zeros in the shape and dtype of an array, in the same array library."""
    return ops_of(like).zeros(like.shape, ops_of(like).dtype_of(like))
