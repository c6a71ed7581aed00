"""What convolutions have learned: their filters, and feature maps, which show where each channel is active."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from rhohat.common.arrays import FloatArray
from rhohat.data import RowSource
from rhohat.estimators.base import BaseNetwork
from rhohat.inspection.top_rows import TopRows, blocks_of_runs
from rhohat.layers import ConvolutionLayer
from rhohat.models.pipelines import estimator_of, open_model_rows, prepare_rows

__all__ = [
    "ChannelMaps",
    "as_pictures",
    "convolves_images",
    "feature_maps",
    "filters_of",
    "layer_of_maps",
    "maps_of_channels",
    "some_channels",
]


@dataclass(frozen=True)
class ChannelMaps:
    """The rows that activate a channel most, and their feature maps.

    Attributes
    ----------
    channel : int
        Number of the channel, from 0.
    rows : array of int, of shape (n_rows,)
        Numbers of the rows with the largest mean activation of the channel over all places, the largest first.
    means : array of shape (n_rows,)
        These mean activations.
    images : array of shape (n_rows, height, width, n_input_channels)
        The rows as images.
    maps : array of shape (n_rows, map_height, map_width)
        Activations of the channel at all places.
    """

    channel: int
    rows: NDArray[np.intp]
    means: FloatArray
    images: FloatArray
    maps: FloatArray


def feature_maps(model: Any, data: Any, *, layer: int | None = None) -> FloatArray:
    """Return the feature maps of images: the activations of each channel of a layer at all places.

    Parameters
    ----------
    model : fitted estimator, or Pipeline that ends in one
        A network in which a layer of convolution, pooling or upsampling has maps.
    data : path, array, Dask array or RowSource
        Images in the form that the model was fitted to: anything that `open_rows` opens.
    layer : int, default=None
        Number of the layer, from 0. None means the code or, if the code is dense, the last layer before it that has
        maps. `Flatten` is no layer of the network.

    Returns
    -------
    array of shape (n_samples, height, width, n_channels)
        A sequence has maps of height 1.

    Raises
    ------
    ValueError
        If the layer has no maps, or in the cases in which `open_rows` raises it.
    NotFittedError
        If the model is not fitted.

    Examples
    --------
    >>> from rhohat import Convolution, ConvolutionalAutoencoder, MaxPooling
    >>> X = np.random.default_rng(0).random((50, 8, 8))
    >>> autoencoder = ConvolutionalAutoencoder(layers=[Convolution(4, 3), MaxPooling(2)], tol=10, random_state=0).fit(X)
    >>> feature_maps(autoencoder, X).shape, feature_maps(autoencoder, X, layer=0).shape
    ((50, 3, 3, 4), (50, 6, 6, 4))
    """
    estimator = estimator_of(model)
    check_is_fitted(estimator)
    number = layer_of_maps(estimator, layer)
    source = open_model_rows(model, data)
    try:
        rows = prepare_rows(model, source)
        forward = estimator.forward_pass(rows, 0, number)
        out = np.empty(forward.shape, rows.dtype)
        forward.write(forward.blocks, out)
    finally:
        if source is not data:
            source.close()
    return out.reshape(-1, *estimator.network_.layers[number - 1].output_shape)


def filters_of(model: Any) -> FloatArray:
    """Return the filters of a network whose first layer is a convolution, as images.

    Parameters
    ----------
    model : fitted estimator, or Pipeline that ends in one
        A network of images or sequences.

    Returns
    -------
    array of shape (n_filters, height, width, n_channels)
        Filters of sequences have the height 1.

    Raises
    ------
    ValueError
        If the first layer is not a convolution.
    NotFittedError
        If the model is not fitted.
    """
    estimator = estimator_of(model)
    check_is_fitted(estimator)
    first = estimator.network_.layers[0]
    if not isinstance(first, ConvolutionLayer):
        raise ValueError(
            f"{type(estimator).__name__} has no filters, as its first layer is a {type(first).__name__} and not a"
            " convolution; what its units look for are its maximal_inputs()."
        )
    return np.moveaxis(estimator.coefs_[0], -1, 0)


def convolves_images(estimator: BaseNetwork) -> bool:
    """Return whether the first layer of a fitted estimator is a convolution of images."""
    network = estimator.network_
    return len(network.input_shape) == 3 and isinstance(network.layers[0], ConvolutionLayer)


def layer_of_maps(estimator: BaseNetwork, layer: int | None = None) -> int:
    """Return the number of a layer that has feature maps, counted from 1; see `feature_maps`."""
    layers = estimator.network_.layers
    if layer is None:
        numbers = [number for number in range(estimator.code_layer_) if len(layers[number].output_shape) == 3]
        if not numbers:
            raise ValueError(f"{type(estimator).__name__} has no feature maps, as none of its layers is a convolution.")
        return numbers[-1] + 1
    if not (isinstance(layer, int | np.integer) and 0 <= layer < len(layers)):
        raise ValueError(f"layer must be an integer from 0 to {len(layers) - 1}; got {layer!r}.")
    if len(layers[layer].output_shape) != 3:
        raise ValueError(
            f"layer {layer} of {type(estimator).__name__} is a {type(layers[layer]).__name__}, which has no feature"
            " maps; choose a layer of convolution or pooling."
        )
    return int(layer) + 1


def some_channels(n_channels: int, most: int) -> NDArray[np.intp]:
    """Return the numbers of all channels, or of `most` of them, spread evenly.

    Examples
    --------
    >>> some_channels(3, 5), some_channels(100, 3)
    (array([0, 1, 2]), array([ 0, 33, 66]))
    """
    n_chosen = min(n_channels, most)
    return np.arange(n_chosen) * n_channels // n_chosen


def maps_of_channels(
    estimator: BaseNetwork,
    source: RowSource,
    channels: Sequence[int] | NDArray[np.intp],
    *,
    layer: int,
    n_rows: int,
    runs: Sequence[tuple[int, int]],
) -> list[ChannelMaps]:
    """Return, for some channels, the rows with the largest mean activation of the channel, and their feature maps.

    Parameters
    ----------
    estimator : fitted estimator
        A network of images.
    source : RowSource
        Rows as the network sees them, after preprocessing.
    channels : sequence of int
        Numbers of the channels, from 0.
    layer : int
        Layer that has the maps, counted from 1.
    n_rows : int
        Number of rows for each channel.
    runs : sequence of tuples of two int
        Runs (start, stop) of rows among which those rows are looked for.
    """
    network = estimator.network_
    n_channels = network.layers[layer - 1].output_channels
    top = TopRows(n_channels, n_rows)
    for first, rows in blocks_of_runs(source, runs, network.layer_sizes[layer]):
        top.update(_maps(estimator, rows, layer).mean(axis=(1, 2), dtype=np.float64), first)
    found = []
    for channel in channels:
        numbers = top.rows[channel][top.rows[channel] >= 0]
        rows = source.take(numbers)
        maps = _maps(estimator, rows, layer)[..., channel]
        images = rows.reshape(-1, *network.input_shape)
        found.append(ChannelMaps(int(channel), numbers, top.activations[channel][: len(numbers)], images, maps))
    return found


def as_pictures(images: FloatArray) -> FloatArray:
    """Return images with any number of channels as images in grey or in colour.

    Parameters
    ----------
    images : array of shape (n_images, height, width, n_channels)
        Numbers between 0 and 1.

    Returns
    -------
    array of shape (n_images, height, width), (n_images, height, width, 3), or (n_images, height, wider)
        In grey for 1 channel, and in colour for 3 channels. Otherwise, the channels stand side by side in grey, with
        lines of 1 mid-grey pixel between them.
    """
    n_images, height, width, n_channels = images.shape
    if n_channels == 1:
        return images[..., 0]
    if n_channels == 3:
        return images
    pictures = np.full((n_images, height, n_channels, width + 1), 0.5, images.dtype)
    pictures[..., :-1] = np.moveaxis(images, -1, 2)
    return pictures.reshape(n_images, height, -1)[..., :-1]


def _maps(estimator: BaseNetwork, rows: FloatArray, layer: int) -> FloatArray:
    """Return the feature maps of rows, of shape (n_rows, height, width, n_channels)."""
    forward = estimator.forward_pass(rows, 0, layer)
    out = np.empty(forward.shape, rows.dtype)
    forward.write(forward.blocks, out)
    return out.reshape(-1, *estimator.network_.layers[layer - 1].output_shape)
