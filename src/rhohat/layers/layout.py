"""The layout of the flat parameter vector θ: where in θ the parameters of each layer are.

θ holds the weights of all layers in layer order, each raveled in C order; then all biases; then the activations' own
parameters. With tied weights, the weight matrices of the second half of the layers are transposed views of the matrices
of the first half, and take no room in θ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import NamedTuple

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.forks import cached
from rhohat.layers import LayerParameters
from rhohat.ops import ops_of

__all__ = ["Layout", "Parameters"]


class Parameters(NamedTuple):
    """The parameters of all layers of a network, layer by layer.

    Attributes
    ----------
    weights : list of arrays of the layers' `weight_shape`
        Weights of each layer.
    biases : list of arrays of shape (n_biases of the layer,)
        Biases of each layer.
    activation_parameters : list of arrays of shape (n_parameters of the layer's activation,)
        Parameters of each layer's activation; the arrays are empty for most activations.
    """

    weights: list[FloatArray]
    biases: list[FloatArray]
    activation_parameters: list[FloatArray]

    def of(self, layer: int) -> LayerParameters:
        """Return the parameters of one layer, counted from 0."""
        return LayerParameters(self.weights[layer], self.biases[layer], self.activation_parameters[layer])


@dataclass(frozen=True)
class Layout:
    """The positions of each layer's parameters in θ.

    Attributes
    ----------
    weight_shapes : tuple of tuples of int
        Shapes of the weights of all layers, including layers whose weights are tied.
    n_biases, n_own : tuples of int
        Number of biases, and number of parameters of the activation, for each layer.
    n_free : int
        Number of layers whose weights are in θ. The other layers use the transposed weights of these layers, in reverse
        order.
    """

    weight_shapes: tuple[tuple[int, ...], ...]
    n_biases: tuple[int, ...]
    n_own: tuple[int, ...]
    n_free: int

    @cached
    def parts(self) -> list[slice]:
        """Slices of θ: the free weights of each layer, then the biases, then the activations' parameters."""
        sizes = [prod(shape) for shape in self.weight_shapes[: self.n_free]]
        ends = np.cumsum([0, *sizes, *self.n_biases, *self.n_own]).tolist()
        return [slice(start, stop) for start, stop in pairwise(ends)]

    @cached
    def n_parameters(self) -> int:
        """Length of θ."""
        return int(self.parts[-1].stop)

    @property
    def biases(self) -> slice:
        """Slice of θ that holds all biases."""
        return slice(self.parts[self.n_free].start, self.parts[self.n_free + len(self.n_biases) - 1].stop)

    @property
    def own(self) -> slice:
        """Slice of θ that holds the parameters of all activations."""
        return slice(self.biases.stop, self.n_parameters)

    def weights(self, layer: int, part: slice) -> slice:
        """Return the slice of θ that holds a part of the first axis of a layer's weights."""
        start, row = self.parts[layer].start, prod(self.weight_shapes[layer][1:])
        return slice(start + part.start * row, start + part.stop * row)

    def unpack(self, theta: FloatArray) -> Parameters:
        """Return the weights, biases and activations' parameters in θ, as views."""
        n_free, n_layers, parts = self.n_free, len(self.n_biases), self.parts
        weights = [theta[parts[layer]].reshape(self.weight_shapes[layer]) for layer in range(n_free)]
        if n_free < n_layers:
            transpose = ops_of(theta).transpose
            weights += [transpose(W) for W in reversed(weights)]
        rest = [theta[part] for part in parts[n_free:]]
        return Parameters(weights, rest[:n_layers], rest[n_layers:])

    def unpack_own(self, own: FloatArray) -> list[FloatArray]:
        """Split the last part of θ, which holds the activations' parameters, into one view per layer."""
        ends = [0, *np.cumsum(self.n_own).tolist()]
        return [own[start:stop] for start, stop in pairwise(ends)]

    def pack(
        self,
        weights: Sequence[FloatArray],
        biases: Sequence[FloatArray],
        activation_parameters: Sequence[FloatArray],
    ) -> FloatArray:
        """Return θ for given weights, biases and activations' parameters, as a copy; see `Network.pack`."""
        shapes = [[np.shape(p) for p in group] for group in (weights, biases, activation_parameters)]
        expected = [
            list(self.weight_shapes),
            [(width,) for width in self.n_biases],
            [(size,) for size in self.n_own],
        ]
        if shapes != expected:
            raise ValueError(
                f"weights, biases and activation parameters must have the shapes {expected}; got {shapes}."
            )
        return np.concatenate([np.ravel(p) for p in (*weights[: self.n_free], *biases, *activation_parameters)])
