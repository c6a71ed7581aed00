"""Search for the input of norm 1 that activates a unit of a deep network most, by constrained gradient ascent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.layers.base import Layer
from rhohat.layers.convolution import ConvolutionLayer
from rhohat.layers.dense import DenseLayer
from rhohat.layers.layout import Parameters
from rhohat.layers.network import Network
from rhohat.layers.pooling import MaxPoolingLayer, MeanPoolingLayer
from rhohat.layers.tangents import TangentPass
from rhohat.layers.windows import Windows

__all__ = ["ascend_to_maximal_inputs"]

_SMALLEST_STEP = 1e-6


def ascend_to_maximal_inputs(
    network: Network,
    parameters: Parameters,
    layer: int,
    generator: np.random.Generator,
    *,
    units: Sequence[int] | NDArray[np.intp] | None = None,
    n_starts: int = 10,
    max_iter: int = 200,
) -> FloatArray:
    """Maximise the activation of units of a layer over inputs x with ‖x‖ = 1.

    The search starts from random points of the unit sphere. Each step follows the gradient and then returns to the
    sphere: x ← (x + η ∇) / ‖x + η ∇‖, with ∇ scaled to norm 1. A step that does not raise the activation is rejected,
    and η is halved; after an accepted step, η is multiplied by 1.5. The best point found from all starts is returned.
    It is, in general, a local maximum.

    Parameters
    ----------
    network : Network
    parameters : Parameters
    layer : int
        Layer whose units are considered; 1 is the first hidden layer.
    generator : numpy.random.Generator
        Generator that draws the starting points.
    units : sequence of int, default=None
        Numbers of the units, from 0; there may be none. The default, None, means all units of the layer. If they are at
        the same place of feature maps, the search is among images that are 0 but for the pixels that these units
        depend on.
    n_starts : int, default=10
        Number of starting points for each unit. If the first layer is dense, half of them lie near the weights of
        randomly chosen units of this layer, with random noise added. The others are uniformly random.
    max_iter : int, default=200
        Largest number of steps.

    Returns
    -------
    array of shape (n_units, n_features)

    Notes
    -----
    If the layer's activation is monotonic, the pre-activation is maximised instead, because its gradient does not
    vanish where a unit saturates.

    References
    ----------
    Erhan, D., Bengio, Y., Courville, A. and Vincent, P. (2009). Visualizing higher-layer features of a deep network.
    Université de Montréal, technical report 1341.
    """
    n_features, asked = network.layer_sizes[0], np.arange(network.layer_sizes[layer])
    if units is not None:
        asked = asked[np.asarray(units, np.intp)]
        if len(asked) == 0:
            return np.empty((0, n_features))
        field = _field_of(network.layers[:layer], asked)
        if field is not None:
            how: dict[str, Any] = {"units": field.units, "n_starts": n_starts, "max_iter": max_iter}
            return field.embed(ascend_to_maximal_inputs(field.network, parameters, layer, generator, **how))
    n_units = len(asked)
    starts = generator.normal(size=(n_units * n_starts, n_features))
    if isinstance(network.layers[0], DenseLayer):
        first = parameters.weights[0].T.astype(np.float64)
        from_units = generator.integers(0, len(first), len(starts) // 2)
        starts[: len(starts) // 2] += 10 * _on_sphere(first)[from_units] * np.sqrt(n_features)
    x = _on_sphere(starts)
    number = np.tile(np.arange(n_units), n_starts)
    chosen = np.zeros((len(x), network.layer_sizes[layer]))
    chosen[np.arange(len(x)), asked[number]] = 1
    step = np.ones((len(x), 1))
    height, gradient = _climb(network, parameters, layer, x, chosen)
    for _ in range(max_iter):
        trial = _on_sphere(x + step * _on_sphere(gradient))
        trial_height, trial_gradient = _climb(network, parameters, layer, trial, chosen)
        higher = trial_height > height
        x[higher], height[higher], gradient[higher] = trial[higher], trial_height[higher], trial_gradient[higher]
        step = np.where(higher[:, None], step * 1.5, step / 2)
        if step.max() < _SMALLEST_STEP:
            break
    best = np.array([np.flatnonzero(number == one)[np.argmax(height[number == one])] for one in range(n_units)])
    return x[best]


def _climb(
    network: Network, parameters: Parameters, layer: int, x: FloatArray, chosen: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return, for each row, the quantity to maximise at its chosen unit, and the gradient of that quantity."""
    layers = network.allocate(len(x), np.empty, stop=layer)
    layers.a[0] = x
    monotonic = network.layers[layer - 1].monotonic
    network.forward(parameters, layers, without_activation=layer if monotonic else None)
    top = layers.z[-1] if monotonic else layers.a[-1]
    height: FloatArray = np.einsum("ij,ij->i", top, chosen)
    return height, TangentPass(network, parameters, layers).pull_back_to_input(chosen)


def _on_sphere(x: FloatArray) -> FloatArray:
    """Return the rows, each scaled to norm 1; a row of zeros stays unchanged."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    scaled: FloatArray = x / np.where(norms > 0, norms, 1)
    return scaled


@dataclass(frozen=True)
class _Field:
    """The pixels that units at one place of feature maps depend on, as the input of a smaller network.

    Attributes
    ----------
    network : Network
        The network for these pixels, whose maps have this place only.
    rows, columns : range
        Where the pixels are in an image.
    shape : tuple of int
        Height, width and channels of an image.
    units : array of int
        The units in the smaller network.
    """

    network: Network
    rows: range
    columns: range
    shape: tuple[int, ...]
    units: NDArray[np.intp]

    def embed(self, pixels: FloatArray) -> FloatArray:
        """Return rows of the whole network that have the given pixels, and 0 elsewhere."""
        images = np.zeros((len(pixels), *self.shape))
        place = slice(self.rows.start, self.rows.stop), slice(self.columns.start, self.columns.stop)
        images[:, place[0], place[1]] = pixels.reshape(len(pixels), len(self.rows), len(self.columns), -1)
        return images.reshape(len(pixels), -1)


def _field_of(layers: Sequence[Layer], units: NDArray[np.intp]) -> _Field | None:
    """Return what units depend on; None if they are not all at one place, or depend on what padding has added.

    It is None, too, if they depend on all pixels, or if there are other layers than convolution and pooling.
    """
    convolving = [layer for layer in layers if isinstance(layer, ConvolutionLayer | MaxPoolingLayer | MeanPoolingLayer)]
    if len(convolving) < len(layers):
        return None
    _, width, n_channels = layers[-1].output_shape
    places = units // n_channels
    if np.any(places != places[0]):
        return None
    row, column = divmod(int(places[0]), width)
    rows, columns = range(row, row + 1), range(column, column + 1)
    inner: list[Layer] = []
    for layer in reversed(convolving):
        windows = layer.windows
        rows, columns = _seen(windows, rows, 0), _seen(windows, columns, 1)
        if min(rows.start, columns.start) < 0 or rows.stop > windows.size[0] or columns.stop > windows.size[1]:
            return None
        smaller = Windows((len(rows), len(columns)), windows.window, windows.stride, "valid")
        inner.insert(0, replace(layer, windows=smaller))
    size = convolving[0].windows.size
    if (len(rows), len(columns)) == size:
        return None
    shape = (*size, layers[0].n_inputs // prod(size))
    return _Field(Network(tuple(inner)), rows, columns, shape, units % n_channels)


def _seen(windows: Windows, places: range, axis: int) -> range:
    """Return the pixels along an axis that successive places of a window see; padding has added those below 0."""
    start = places.start * windows.stride[axis] - windows.before[axis]
    return range(start, start + (len(places) - 1) * windows.stride[axis] + windows.window[axis])
