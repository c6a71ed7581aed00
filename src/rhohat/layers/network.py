"""A network: a chain of layers, their parameters in θ, forward, backward.

A row enters as a^(0), and layer l makes z^(l+1) and a^(l+1) of a^(l); a dense one z^(l+1) = a^(l) W^(l) + b^(l) and
a^(l+1) = f(z^(l+1)). θ is flat: the weights of all layers, each raveled in C order, then all biases, then the
activations' own parameters. With tied weights, the matrices of the second half are the transposed ones of the first and
take no room in θ.

What a layer computes is the layer's business, see `rhohat.layers`; here they are walked one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.forks import cached
from rhohat.layers import Dense, Layer
from rhohat.layers.activations import Activation, Units
from rhohat.layers.layout import Layout, Parameters
from rhohat.ops import Ops

__all__ = ["INITIAL_WEIGHTS", "Layers", "Network", "dense_network", "units_of"]

INITIAL_WEIGHTS = ("uniform", "normal")


class Layers(NamedTuple):
    """What consecutive layers hold for a block of rows, the first of them being given.

    Attributes
    ----------
    z : list of arrays of shape (n_rows, width)
        Pre-activations. The first entry is there so that both lists are counted alike: rows are given as activations.
    a : list of arrays of shape (n_rows, n_units)
        Activations; the same memory as z where the activation works in place.
    """

    z: list[FloatArray]
    a: list[FloatArray]

    def rows(self, rows: slice) -> Layers:
        """Return views of some rows of each."""
        return Layers([z[rows] for z in self.z], [a[rows] for a in self.a])


@dataclass(frozen=True)
class Network:
    """A chain of layers; it holds no parameters.

    Parameters
    ----------
    layers : tuple of Layer
        Each takes what the one before it returns.
    tied : bool, default=False
        Whether the second half of the layers, the decoder, uses the transposed weights of the first half.

    Raises
    ------
    ValueError
        If there is no layer, one does not take what the one before returns, or weights are to be tied that cannot be.

    Examples
    --------
    >>> from rhohat.layers.activations import Sigmoid
    >>> Network((Dense(64, 25, Sigmoid()), Dense(25, 64, Sigmoid()))).n_parameters
    3289
    >>> dense_network((64, 25, 64), (Sigmoid(), Sigmoid()), tied=True).n_parameters
    1689
    """

    layers: tuple[Layer, ...]
    tied: bool = False

    def __post_init__(self) -> None:
        if not self.layers or min(self.layer_sizes) < 1:
            raise ValueError(
                f"a network needs at least one layer, and every layer one unit; got layer_sizes {self.layer_sizes}."
            )
        for below, above in pairwise(self.layers):
            if below.n_outputs != above.n_inputs:
                raise ValueError(
                    f"a layer takes {above.n_inputs} numbers of each row, and the one before it returns"
                    f" {below.n_outputs}: {above!r} after {below!r}."
                )
        if self.tied:
            _check_ties(self)

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return len(self.layers)

    @property
    def ops(self) -> Ops:
        """The primitives of the arrays that its layers compute on."""
        return self.layers[0].ops

    def with_ops(self, ops: Ops) -> Network:
        """Return the same for arrays of another library; itself where it is for them already."""
        if ops == self.ops:
            return self
        return replace(self, layers=tuple(layer.with_ops(ops) for layer in self.layers))

    @cached
    def layer_sizes(self) -> tuple[int, ...]:
        """Numbers of a row: of the input, and after each layer."""
        return (*(layer.n_inputs for layer in self.layers[:1]), *(layer.n_outputs for layer in self.layers))

    @cached
    def activations(self) -> tuple[Activation, ...]:
        """The activation of each layer."""
        return tuple(layer.activation for layer in self.layers)

    @cached
    def layout(self) -> Layout:
        """Where parameters are in θ."""
        return Layout(
            tuple(layer.weight_shape for layer in self.layers),
            tuple(layer.n_biases for layer in self.layers),
            tuple(layer.activation.n_parameters(layer.n_outputs) for layer in self.layers),
            self.n_layers // 2 if self.tied else self.n_layers,
        )

    @property
    def n_parameters(self) -> int:
        """Length of θ."""
        return self.layout.n_parameters

    def unpack(self, theta: FloatArray) -> Parameters:
        """Return the weights, biases and activations' parameters in θ, as views.

        Parameters
        ----------
        theta : array of shape (n_parameters,)

        Returns
        -------
        parameters : Parameters
            Sharing memory with θ; tied weights are transposed views.

        Raises
        ------
        ValueError
            If θ has another shape.
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
            Of all layers; where they are tied, the first half counts.
        biases : sequence of arrays of shape (n_biases of the layer,)
        activation_parameters : sequence of arrays, default=None
            None where no activation has parameters.

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
        """Draw initial parameters: random weights, biases 0, activations' own parameters as they say.

        Parameters
        ----------
        generator : numpy.random.Generator
        rule : {"uniform", "normal"}, default="uniform"
            "uniform": each weight uniform in ±√(6 / (fan_in + fan_out + 1)). "normal": normal(0, 0.01²).

        Returns
        -------
        array of shape (n_parameters,), float64

        Raises
        ------
        ValueError
            If the rule has another name.

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
        for layer, own in zip(self.layers, parameters.activation_parameters, strict=True):
            own[:] = layer.activation.initial_parameters(layer.n_outputs)
        return theta

    def allocate(
        self,
        n_rows: int,
        allocate: Callable[[tuple[int, int]], FloatArray],
        start: int = 0,
        stop: int | None = None,
    ) -> Layers:
        """Return room for what layers compute, after `start` up to `stop`, the output by default.

        Parameters
        ----------
        n_rows : int
        allocate : callable
            Shape → array.
        start, stop : int
            Layers, 0 being the input.

        Returns
        -------
        Layers
            Whose first entries, for what is given, are arrays without rows.
        """
        nothing = allocate((0, self.layer_sizes[start]))
        z, a = [nothing], [nothing]
        for layer in self.layers[start:stop]:
            z.append(allocate((n_rows, layer.width)))
            a.append(z[-1] if layer.in_place else allocate((n_rows, layer.n_outputs)))
        return Layers(z, a)

    def numbers_per_row(self, stop: int | None = None) -> int:
        """Return how many numbers `allocate` makes room for, for each row.

        Parameters
        ----------
        stop : int, default=None
            The last layer; None is the output.

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
        """Compute consecutive layers from the first.

        Parameters
        ----------
        parameters : Parameters
        layers : Layers
            layers.a[0] is given, the others are overwritten.
        start : int, default=0
            What layers.a[0] is: 0 is the input, l the output of the first l layers.
        without_activation : int, default=None
            The layer whose z is wanted, and its activation not applied, counted from 1; None applies all.
        """
        for place, given in enumerate(layers.a[:-1], start=1):
            index = start + place - 1
            own = parameters.of(index)
            units = Units(layers.z[place], layers.a[place], own.own)
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
        """Backpropagate from the output to the gradient, summed over the rows of the block.

        δ_z^(l) = pull-back of (δ_a^(l) + added^(l)) + added_z^(l), and from it the gradient of the layer's parameters
        and δ_a^(l−1).

        Parameters
        ----------
        parameters : Parameters
        layers : Layers
            All of them, as `forward` left them. All but the input are used up.
        delta : Layers
            Like `layers`. At the output, a holds ∂loss/∂a, or z holds ∂loss/∂z with `from_z`; the rest is scratch, and
            its z receive δ_z.
        ones : array of shape (1, n_rows)
            Ones: a sum over rows is a product with them, faster than a reduction.
        added : sequence of n_layers arrays of shape (s_l,) or (n_rows, s_l), or None
            What the penalties add to ∂J/∂a, for every layer but the input.
        added_z : sequence of n_layers arrays of shape (n_rows, width), or None
            What the penalties add to ∂J/∂z, for every layer but the input.
        gradient : Parameters
            Receives the gradient. That of the activations' own parameters is added to what is there. Without arrays
            for weights, it is left at δ_z, of which layers can make the gradient.
        from_z : bool, default=False
            Whether the loss has been pulled back through the output activation already.
        accumulate : bool, default=False
            Whether the whole gradient is added to what is there. It always is where weights are tied.
        """
        for index in reversed(range(self.n_layers)):
            layer, out = self.layers[index], delta.z[index + 1]
            if not (from_z and index == self.n_layers - 1):
                _add_to(self.ops, delta.a[index + 1], added[index])
                units = units_of(parameters, layers, index)
                layer.pull_back(units, delta.a[index + 1], out, gradient.activation_parameters[index])
            extra = added_z[index]
            if extra is not None:
                out += extra
            if gradient.weights:
                W, b = gradient.weights[index], gradient.biases[index]
                layer.add_weight_gradient(W, layers.a[index], out, accumulate=accumulate or self.tied)
                layer.add_bias_gradient(b, out, ones, accumulate=accumulate)
            if index > 0:
                layer.pull_back_to_inputs(parameters.weights[index], out, delta.a[index])


def dense_network(layer_sizes: Sequence[int], activations: Sequence[Activation], tied: bool = False) -> Network:
    """Return a network of dense layers.

    Parameters
    ----------
    layer_sizes : sequence of int
        Units of the input, of each hidden layer and of the output; at least two entries.
    activations : sequence of Activation
        One for every layer but the input.
    tied : bool, default=False

    Raises
    ------
    ValueError
        If a layer is empty, the lengths do not fit, or weights are to be tied that cannot be.
    """
    sizes = tuple(layer_sizes)
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"layer_sizes must name at least an input and an output of 1 unit or more; got {sizes}.")
    if len(activations) != len(sizes) - 1:
        raise ValueError(
            f"a network of layer_sizes {sizes} needs {len(sizes) - 1} activations, one for every layer but the input;"
            f" got {len(activations)}."
        )
    layers = (Dense(*around, f) for around, f in zip(pairwise(sizes), activations, strict=True))
    return Network(tuple(layers), tied)


def units_of(parameters: Parameters, layers: Layers, layer: int) -> Units:
    """Return what a layer holds, counted from 0, and its activation's parameters."""
    return Units(layers.z[layer + 1], layers.a[layer + 1], parameters.activation_parameters[layer])


def _check_ties(network: Network) -> None:
    """Raise ValueError where weights cannot be tied."""
    sizes = network.layer_sizes
    if sizes != sizes[::-1] or network.n_layers % 2:
        raise ValueError(
            f"tied weights need layers that mirror one another, such as (64, 25, 64); got layer_sizes"
            f" {sizes}. Mirror them, or don't tie the weights."
        )
    if [layer.width for layer in network.layers] != list(sizes[1:]):
        raise ValueError(
            "tied weights need one pre-activation per unit, and maxout has several; use another activation, or"
            " don't tie the weights."
        )
    for layer, mirror in zip(network.layers[: network.n_layers // 2], reversed(network.layers), strict=False):
        if not (layer.can_be_tied and mirror.can_be_tied and mirror.weight_shape == layer.weight_shape[::-1]):
            raise ValueError(f"{mirror!r} cannot use the transposed weights of {layer!r}; don't tie the weights.")


def _add_to(ops: Ops, delta: FloatArray, extra: FloatArray | None) -> None:
    """Add what penalties add to ∂J/∂a: something to each row, or the same to all."""
    if extra is None:
        return
    if extra.ndim == 1:
        ops.add_row(delta, extra)
    else:
        delta += extra
