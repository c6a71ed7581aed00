"""Tangents of a network's layers: derivatives along a direction, forward, and the gradients of what is made of them.

A tangent of the inputs, or of the parameters, is pushed forward through the layers. What is made of the tangents that
arrive has a gradient by the parameters, which goes backward through the same layers. Along a direction in the inputs
this is tangent propagation; along one in the parameters it is Pearlmutter's R-operator, which gives the product of the
Hessian with the direction.

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
from rhohat.layers import MapLayer
from rhohat.layers.activations import Activation, Units
from rhohat.layers.layout import Parameters
from rhohat.layers.network import Layers, Network, units_of

__all__ = ["TangentPass"]


@dataclass(frozen=True)
class TangentPass:
    """Passes of tangents through a network, for a block of rows.

    Attributes
    ----------
    network : Network
    parameters : Parameters
    layers : Layers
        From the input on, as `Network.forward` left them; left as they are.
    direction : Parameters or None, default=None
        The tangent of the parameters; None means zero.
    """

    network: Network
    parameters: Parameters
    layers: Layers
    direction: Parameters | None = None

    def push_forward(self, tangent: FloatArray | None = None, stop: int | None = None) -> Layers:
        """Return the tangents (β of z, α of a) of the layers.

        β^(l+1) = α^(l) W^(l) + a^(l) V^(l) + v^(l), α^(l+1) = push-forward of β^(l+1), with V and v the direction.

        Parameters
        ----------
        tangent : array of shape (n_rows or 1, s_0), default=None
            Of the inputs; None means zero.
        stop : int, default=None
            The last layer that is wanted; None means the output.

        Returns
        -------
        Layers
            z holds β and a holds α; newly allocated.
        """
        # None stands for zeros, which are not multiplied.
        beta: list[Any] = [tangent]
        alpha: list[Any] = [tangent]
        for layer in range(self.network.n_layers if stop is None else stop):
            terms = []
            if alpha[layer] is not None:
                terms.append(self._map(layer).apply(alpha[layer], self.parameters.weights[layer]))
            if self.direction is not None:
                V, v = self.direction.weights[layer], self._map(layer).bias_row(self.direction.biases[layer])
                terms.append(self._map(layer).apply(self.layers.a[layer], V) + v)
            beta.append(sum(terms[1:], start=terms[0]))
            alpha.append(self._activation(layer).push_forward(self._units(layer), beta[-1], self._own(layer)))
        return Layers(beta, alpha)

    def pull_back(
        self, tangents: Layers, phi: FloatArray, gradient: Parameters, added_z: list[FloatArray | None]
    ) -> None:
        """Backpropagate through `push_forward`: from φ = ∂Ω/∂α at a layer to the gradient of Ω.

        With φ_z the pull-back of φ: ∂Ω/∂z^(l) gets the curvature of f applied to φ and β, for `Network.backward` to
        take further; ∇W^(l) gets α^(l)ᵀ φ_z^(l+1); and φ^(l) = φ_z^(l+1) W^(l)ᵀ.

        Parameters
        ----------
        tangents : Layers
            As `push_forward` returned them for a tangent of the inputs, up to the layer of φ.
        phi : array of shape (n_rows, s_l)
        gradient : Parameters
            What belongs to the tangents is added to it.
        added_z : list of n_layers arrays or None
            Receives, or is increased by, ∂Ω/∂z of each layer.
        """
        for layer in reversed(range(len(tangents.a) - 1)):
            extra, known = self._curvature(layer, tangents, phi, gradient), added_z[layer]
            added_z[layer] = extra if known is None else known + extra
            phi_z = self._pull_back(layer, phi)
            self._add_gradient(gradient, layer, tangents.a[layer], phi_z)
            if layer > 0:
                phi = self._map(layer).apply_transposed(phi_z, self.parameters.weights[layer])

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
        """Backpropagate the derivative of J along the direction: the Hessian times it, summed over rows.

        The R-operator applied to `Network.backward`: φ is what backpropagation calls δ, and δ here is its tangent.

        Parameters
        ----------
        tangents : Layers
            As `push_forward` returned them.
        phi, delta : arrays of shape (n_rows, n_outputs)
            At the output: ∂loss/∂a, and its tangent (∂²loss/∂a²) α; the same by z with `from_z`. Their content is lost.
        ones : array of shape (1, n_rows)
        added, added_tangent : sequences of n_layers arrays or None
            What the penalties add to ∂J/∂a, and the tangents of it.
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
                curved = self._curvature(layer, tangents, phi, product)
                phi_z = self._pull_back(layer, phi)
                delta_z = self._pull_back(layer, delta, product.activation_parameters[layer])
                delta_z += curved
            self._add_gradient(product, layer, self.layers.a[layer], delta_z, ones)
            if tangents.a[layer] is not None:
                self._add_gradient(product, layer, tangents.a[layer], phi_z)
            if layer > 0:
                W, V = self.parameters.weights[layer], self.direction.weights[layer]
                back = self._map(layer).apply_transposed
                phi, delta = back(phi_z, W), back(delta_z, W) + back(phi_z, V)

    def second_push_forward(self, tangents: Layers, along: Layers) -> Layers:
        """Return how the tangents (β, α) of the inputs change along the direction: (β̇, α̇).

        β̇^(l+1) = α̇^(l) W^(l) + α^(l) V^(l), α̇^(l+1) = push-forward of β̇^(l+1) + ∂²a/∂z² · β · ζ.

        Parameters
        ----------
        tangents : Layers
            As `push_forward` returned them for a tangent of the inputs, without the direction.
        along : Layers
            As `push_forward` returned them for the direction alone: z holds ζ. Up to the same layer, or further.

        Returns
        -------
        Layers
            z holds β̇ and a holds α̇.
        """
        assert self.direction is not None
        beta: list[Any] = [None]
        alpha: list[Any] = [None]
        for layer in range(len(tangents.a) - 1):
            apply = self._map(layer).apply
            changed = apply(tangents.a[layer], self.direction.weights[layer])
            if layer > 0:
                changed = changed + apply(alpha[layer], self.parameters.weights[layer])
            beta.append(changed)
            activation, units, own = self._activation(layer), self._units(layer), self._own(layer)
            bent = activation.second_push_forward(units, tangents.z[layer + 1], along.z[layer + 1], own)
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
        """Backpropagate how the gradient that `pull_back` finds changes along the direction.

        The R-operator applied to `pull_back` and to what `Network.backward` makes of its result.

        Parameters
        ----------
        tangents, along, second : Layers
            As for, and as returned by, `second_push_forward`.
        phi, phi_change : arrays of shape (n_rows, s_l)
            ∂Ω/∂α at the last layer that `tangents` has, and its change along the direction.
        ones : array of shape (1, n_rows)
        product : Parameters
            The Hessian of Ω times the direction is added to it.
        """
        assert self.direction is not None
        delta = delta_change = None
        for layer in reversed(range(len(tangents.a) - 1)):
            activation, units = self._activation(layer), self._units(layer)
            own, own_direction = product.activation_parameters[layer], self._own(layer)
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
                W, V = self.parameters.weights[layer], self.direction.weights[layer]
                back = self._map(layer).apply_transposed
                phi, phi_change = back(phi_z, W), back(phi_z_change, W) + back(phi_z, V)
                delta, delta_change = back(delta_z, W), back(delta_z_change, W) + back(delta_z, V)

    def pull_back_to_input(self, delta: FloatArray) -> FloatArray:
        """Return ∂/∂x of delta · a, for activations of the last of `layers`; or of delta · z where that is monotonic.

        A monotonic activation is largest where its pre-activation is, and the latter's derivative does not vanish when
        the unit saturates.

        Parameters
        ----------
        delta : array of shape (n_rows, s_l)

        Returns
        -------
        array of shape (n_rows, s_0)
        """
        top = len(self.layers.a) - 2
        for layer in reversed(range(top + 1)):
            if layer < top or not self._activation(layer).monotonic:
                delta = self._pull_back(layer, delta)
            delta = self.network.layers[layer].pull_back_to_inputs(self.parameters.weights[layer], delta)
        return delta

    def _activation(self, layer: int) -> Activation:
        return self.network.activations[layer]

    def _map(self, layer: int) -> MapLayer:
        """Return a layer that is a linear map with an activation, the only kind that tangents go through."""
        found = self.network.layers[layer]
        assert isinstance(found, MapLayer)  # a problem has checked it
        return found

    def _add_gradient(
        self, gradient: Parameters, layer: int, given: FloatArray, delta: FloatArray, ones: FloatArray | None = None
    ) -> None:
        """Add the gradient of the weights, and with ones that of the biases."""
        self._map(layer).add_weight_gradient(gradient.weights[layer], given, delta, accumulate=True)
        if ones is not None:
            self._map(layer).add_bias_gradient(gradient.biases[layer], delta, ones, accumulate=True)

    def _units(self, layer: int) -> Units:
        return units_of(self.parameters, self.layers, layer)

    def _own(self, layer: int) -> FloatArray | None:
        """Return the direction in the activation's own parameters."""
        return None if self.direction is None else self.direction.activation_parameters[layer]

    def _curvature(self, layer: int, tangents: Layers, phi: FloatArray, gradient: Parameters) -> FloatArray:
        beta, own_gradient = tangents.z[layer + 1], gradient.activation_parameters[layer]
        return self._activation(layer).curvature(self._units(layer), phi, beta, self._own(layer), own_gradient)

    def _pull_back(self, layer: int, delta: FloatArray, gradient: FloatArray | None = None) -> FloatArray:
        """Return the pull-back of delta through a layer's activation, leaving everything else as it is."""
        in_place, (z, a, own) = self._activation(layer).in_place, self._units(layer)
        z, delta = _copy(z), _copy(delta)
        a = z if in_place else _copy(a)
        out = delta if in_place else self.network.ops.xp.empty_like(z)
        unused = _copy(own) if gradient is None else gradient
        self._activation(layer).pull_back(Units(z, a, own), delta, out, unused)
        return out


def _copy(array: FloatArray) -> FloatArray:
    """Return a copy, in the array's own library."""
    return array + 0.0
