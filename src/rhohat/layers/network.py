"""Networks: chains of layers with their parameters in θ, forward passes and backpropagation.

A row enters as a^(0), and layer l computes z^(l+1) and a^(l+1) from a^(l). For a dense layer, these are
z^(l+1) = a^(l) W^(l) + b^(l) and a^(l+1) = f(z^(l+1)). θ is a flat vector: the weights of all layers, each raveled in C
order, then all biases, then the activations' own parameters. With tied weights, the weight matrices of the second half
of the layers are transposed views of the matrices of the first half, and take no room in θ.

The layers themselves, in `rhohat.layers`, define what a layer computes; a network calls them one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.layers import DenseLayer, Layer
from rhohat.layers.activations import Activation, Units
from rhohat.layers.chain import Chain
from rhohat.layers.layout import Parameters
from rhohat.ops import Ops

__all__ = ["INITIAL_WEIGHTS", "Layers", "Network", "dense_network", "network_of", "units_of"]

INITIAL_WEIGHTS = ("uniform", "normal")


class Layers(NamedTuple):
    """Pre-activations and activations of consecutive layers for a block of rows, beginning with the given input.

    Attributes
    ----------
    z : list of arrays of shape (n_rows, width)
        Pre-activations. The first entry is a placeholder, so that both lists have the same indices: the input is given
        as activations.
    a : list of arrays of shape (n_rows, n_units)
        Activations; they share the memory of z where the activation works in place.
    masks : list of arrays of shape (n_rows, n_units) or None, default=None
        Factors by which dropout multiplies in each layer; None means that nothing is dropped in any layer.
    """

    z: list[FloatArray]
    a: list[FloatArray]
    masks: list[FloatArray | None] | None = None

    def rows(self, rows: slice) -> Layers:
        """Return views of some of the rows, for each layer."""
        return Layers([z[rows] for z in self.z], [a[rows] for a in self.a])

    def between(self, start: int, stop: int | None) -> Layers:
        """Return the layers from `start`, whose activations are given, to before `stop`."""
        chosen = slice(start, stop)
        return Layers(self.z[chosen], self.a[chosen], None if self.masks is None else self.masks[chosen])


@dataclass(frozen=True)
class Network(Chain):
    """A chain of layers; it does not hold the parameters, which are passed to its methods.

    Parameters
    ----------
    layers : tuple of Layer
        Layers in order. Each has as many inputs as the layer before it has outputs.
    tied : bool, default=False
        Whether the second half of the layers, the decoder, uses the transposed weights of the first half.
    row_shape : tuple of int, default=None
        Shape of a row, if it has more than one axis, such as (28, 28, 1) for images with one channel.

    Raises
    ------
    ValueError
        If there is no layer, if a layer has another number of inputs than the layer before it has outputs, or if `tied`
        is True and the weights cannot be tied.

    Examples
    --------
    >>> from rhohat.layers.activations import Sigmoid
    >>> Network((DenseLayer(64, 25, Sigmoid()), DenseLayer(25, 64, Sigmoid()))).n_parameters
    3289
    >>> dense_network((64, 25, 64), (Sigmoid(), Sigmoid()), tied=True).n_parameters
    1689
    """

    def with_ops(self, ops: Ops) -> Network:
        """Return this network for arrays of another library; the network itself if it uses that library already."""
        if ops == self.ops:
            return self
        return replace(self, layers=tuple(layer.with_ops(ops) for layer in self.layers))

    def unpack(self, theta: FloatArray) -> Parameters:
        """Return the weights, biases and activations' parameters in θ, as views.

        Parameters
        ----------
        theta : array of shape (n_parameters,)

        Returns
        -------
        parameters : Parameters
            Views that share their memory with θ; tied weights are transposed views.

        Raises
        ------
        ValueError
            If θ does not have the shape (n_parameters,).
        """
        if theta.shape != (self.n_parameters,):
            raise ValueError(
                f"theta must have the shape ({self.n_parameters},) for layer_sizes {self.layer_sizes};"
                f" got {tuple(theta.shape)}."
            )
        return self.layout.unpack(theta)

    def pack(
        self,
        weights: Sequence[FloatArray],
        biases: Sequence[FloatArray],
        activation_parameters: Sequence[FloatArray] | None = None,
    ) -> FloatArray:
        """Return θ for these weights and biases, as a copy; the inverse of `unpack`.

        Parameters
        ----------
        weights : sequence of arrays of the layers' `weight_shape`
            Weights of all layers. If weights are tied, only the weights of the first half of the layers are used.
        biases : sequence of arrays of shape (n_biases of the layer,)
            Biases of all layers.
        activation_parameters : sequence of arrays, default=None
            Parameters of the activations; None if no activation has parameters.

        Returns
        -------
        array of shape (n_parameters,)

        Raises
        ------
        ValueError
            If a shape does not fit.
        """
        if activation_parameters is None:
            activation_parameters = [np.empty(0, np.asarray(weights[0]).dtype)] * self.n_layers
        return self.layout.pack(weights, biases, activation_parameters)

    def initial_theta(self, generator: np.random.Generator, rule: str = "uniform") -> FloatArray:
        """Draw initial parameters: random weights, the layers' initial biases, and their further initial parameters.

        Parameters
        ----------
        generator : numpy.random.Generator
        rule : {"uniform", "normal"}, default="uniform"
            "uniform" draws each weight uniformly from the interval ±√(6 / (fan_in + fan_out + 1)); "normal" draws each
            weight from normal(0, 0.01²).

        Returns
        -------
        array of shape (n_parameters,), float64

        Raises
        ------
        ValueError
            If there is no rule of that name.

        References
        ----------
        Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, section 2 (normal), and the exercise's starter
        code (uniform).
        """
        if rule not in INITIAL_WEIGHTS:
            raise ValueError(f"the rule for initial weights must be one of {INITIAL_WEIGHTS}; got {rule!r}.")
        theta = np.zeros(self.n_parameters)
        parameters = self.unpack(theta)
        for layer, W in zip(self.layers[: self.layout.n_free], parameters.weights, strict=False):
            W[:] = layer.initial_weights(generator, rule)
        for layer, b, own in zip(self.layers, parameters.biases, parameters.activation_parameters, strict=True):
            b[:], own[:] = layer.initial_biases(), layer.initial_own()
        return theta

    def allocate(
        self,
        n_rows: int,
        allocate: Callable[[tuple[int, int]], FloatArray],
        start: int = 0,
        stop: int | None = None,
    ) -> Layers:
        """Allocate arrays for the pre-activations and activations of the layers after `start`, up to `stop`.

        Parameters
        ----------
        n_rows : int
        allocate : callable
            Function that returns an array for a shape.
        start, stop : int
            Indices of layers; layer 0 is the input. By default, from the input to the output.

        Returns
        -------
        Layers
            The first entries of `z` and `a`, which belong to layer `start`, are placeholders without rows, because the
            caller provides the activations of that layer.
        """
        nothing = allocate((0, self.layer_sizes[start]))
        z, a = [nothing], [nothing]
        for layer in self.layers[start:stop]:
            z.append(allocate((n_rows, layer.width)))
            a.append(z[-1] if layer.in_place else allocate((n_rows, layer.n_outputs)))
        return Layers(z, a)

    def numbers_per_row(self, stop: int | None = None) -> int:
        """Return how many numbers `allocate` allocates for each row.

        Parameters
        ----------
        stop : int, default=None
            Index of the last layer; layer 0 is the input, and None stands for the output.

        Returns
        -------
        int

        Examples
        --------
        >>> from rhohat.layers.activations import Sigmoid
        >>> network = dense_network((64, 25, 64), (Sigmoid(), Sigmoid()))
        >>> network.numbers_per_row(stop=1), network.numbers_per_row()
        (25, 89)
        """
        layers = self.layers[:stop]
        own = (0 if layer.in_place else layer.n_outputs for layer in layers)
        return sum(layer.width for layer in layers) + sum(own)

    def forward(
        self, parameters: Parameters, layers: Layers, start: int = 0, without_activation: int | None = None
    ) -> None:
        """Compute consecutive layers in order.

        Parameters
        ----------
        parameters : Parameters
        layers : Layers
            layers.a[0] is the input of the first of these layers; all other arrays are overwritten.
        start : int, default=0
            Number of layers that have already been applied to get layers.a[0]; 0 means that it is the network's input.
        without_activation : int, default=None
            The layer, counted from 1, whose activation is not applied, so that only its z is computed; None applies all
            activations.
        """
        for place, given in enumerate(layers.a[:-1], start=1):
            index = start + place - 1
            own = parameters.of(index)
            mask = None if layers.masks is None else layers.masks[place]
            units = Units(layers.z[place], layers.a[place], own.own, mask)
            self.layers[index].forward(own, given, units, activate=index + 1 != without_activation)

    def backward(
        self,
        parameters: Parameters,
        layers: Layers,
        delta: Layers,
        ones: FloatArray,
        added: Sequence[FloatArray | None],
        added_z: Sequence[FloatArray | None],
        gradient: Parameters,
        *,
        from_z: bool = False,
        accumulate: bool = False,
    ) -> None:
        """Backpropagate from the output, and compute the gradient summed over the rows of the block.

        For each layer, δ_z^(l) = pull-back of (δ_a^(l) + added^(l)) + added_z^(l). The gradient of the layer's
        parameters and δ_a^(l−1) follow from δ_z^(l).

        Parameters
        ----------
        parameters : Parameters
        layers : Layers
            All layers, as `forward` left them. The content of all arrays but the input may be lost.
        delta : Layers
            Arrays of the same shapes as `layers`. At the output, a holds ∂loss/∂a or, with `from_z`, z holds ∂loss/∂z.
            All other arrays are scratch memory. The arrays in z receive δ_z.
        ones : array of shape (1, n_rows)
            Ones. The product with them is a sum over rows, and faster than a reduction.
        added : sequence of n_layers arrays of shape (s_l,) or (n_rows, s_l), or None
            Derivatives of the penalties that are added to ∂J/∂a, for every layer but the input.
        added_z : sequence of n_layers arrays of shape (n_rows, width), or None
            Derivatives of the penalties that are added to ∂J/∂z, for every layer but the input.
        gradient : Parameters
            Receives the gradient. The gradient of the activations' own parameters is always added to the content of its
            arrays. If the list of weights is empty, only δ_z is computed, from which layers can compute the gradient.
        from_z : bool, default=False
            Whether the loss has been pulled back through the output activation already.
        accumulate : bool, default=False
            Whether the gradients of weights and biases are added to the content of their arrays. The gradient of
            weights is always added where weights are tied.
        """
        for index in reversed(range(self.n_layers)):
            layer, out = self.layers[index], delta.z[index + 1]
            if not (from_z and index == self.n_layers - 1):
                _add_to(self.ops, delta.a[index + 1], added[index])
                units = units_of(parameters, layers, index)
                own = gradient.activation_parameters[index]
                layer.pull_back(parameters.of(index), units, delta.a[index + 1], out, own)
            extra = added_z[index]
            if extra is not None:
                out += extra
            if gradient.weights:
                W, b = gradient.weights[index], gradient.biases[index]
                layer.add_weight_gradient(W, layers.a[index], out, accumulate=accumulate or self.tied)
                layer.add_bias_gradient(b, out, ones, accumulate=accumulate)
            if index > 0:
                layer.pull_back_to_inputs(parameters.weights[index], layers.a[index], out, delta.a[index])


def dense_network(layer_sizes: Sequence[int], activations: Sequence[Activation], tied: bool = False) -> Network:
    """Return a network of dense layers.

    Parameters
    ----------
    layer_sizes : sequence of int
        Numbers of units of the input, of each hidden layer and of the output; at least two entries.
    activations : sequence of Activation
        One activation for every layer but the input.
    tied : bool, default=False
        Whether the second half of the layers uses the transposed weights of the first half.

    Raises
    ------
    ValueError
        If a layer has no units, if the lengths do not match, or if `tied` is True and the weights cannot be tied.
    """
    sizes = tuple(layer_sizes)
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"layer_sizes must have at least 2 entries, input and output, all at least 1; got {sizes}.")
    if len(activations) != len(sizes) - 1:
        raise ValueError(
            f"a network of layer_sizes {sizes} needs {len(sizes) - 1} activations, one for each layer except the input;"
            f" got {len(activations)}."
        )
    layers = (DenseLayer(*around, f) for around, f in zip(pairwise(sizes), activations, strict=True))
    return Network(tuple(layers), tied)


def network_of(layers: Sequence[Layer], input_shape: tuple[int, ...], tied: bool = False) -> Network:
    """Return a network of layers for rows of a shape."""
    return Network(tuple(layers), tied, input_shape if len(input_shape) > 1 else None)


def units_of(parameters: Parameters, layers: Layers, layer: int) -> Units:
    """Return the pre-activations, the activations and the parameters of the activation of a layer, counted from 0."""
    mask = None if layers.masks is None else layers.masks[layer + 1]
    return Units(layers.z[layer + 1], layers.a[layer + 1], parameters.activation_parameters[layer], mask)


def _add_to(ops: Ops, delta: FloatArray, extra: FloatArray | None) -> None:
    """Add derivatives of penalties to ∂J/∂a: an array with a row for each sample, or one row for all samples."""
    if extra is None:
        return
    if extra.ndim == 1:
        ops.add_row(delta, extra)
    else:
        delta += extra
