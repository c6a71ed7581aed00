"""The filters and feature maps of a network of convolutions, as images that the page shows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.estimators.base import BaseNetwork
from rhohat.inspection.feature_maps import (
    as_pictures,
    convolves_images,
    filters_of,
    layer_of_maps,
    maps_of_channels,
    some_channels,
)
from rhohat.inspection.reporting.drawing import as_uri, fractions_between, png
from rhohat.inspection.reporting.shown_rows import ShownRows
from rhohat.inspection.top_rows import runs_of_rows

__all__ = ["Channel", "Convolutions", "MapOfRow", "Picture", "convolutions_of"]

_MOST_FILTERS, _MOST_CHANNELS, _ROWS_OF_A_CHANNEL = 256, 12, 4
_MOST_ROWS = 10_000  # rows among which those with the largest mean activations are looked for


@dataclass(frozen=True)
class Picture:
    """An image as a data URI, with its size in pixels."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class MapOfRow:
    """A row with the mean activation of a channel over all places, the row as an image, and its feature map."""

    row: int
    mean: float
    image: Picture
    map: Picture


@dataclass(frozen=True)
class Channel:
    """A channel with the rows that activate it most."""

    number: int
    rows: list[MapOfRow]


@dataclass(frozen=True)
class Convolutions:
    """Filters of the first layer, and feature maps of the last layer that has maps.

    Attributes
    ----------
    filters : list of tuples of an int and a Picture
        Filters that are shown, with their numbers.
    n_filters, n_channels : int
        Number of filters of the first layer, and number of channels of the layer that has the maps.
    n_input_channels : int
        Number of channels of the rows.
    filter_size, map_size : tuple of int
        Height and width.
    layer : int
        Number of the layer that has the maps, from 0.
    channels : list of Channel
        Channels that are shown.
    is_code : bool
        Whether the maps are the code.
    n_rows : int
        Number of rows among which those with the largest mean activations were looked for.
    """

    filters: list[tuple[int, Picture]]
    n_filters: int
    n_channels: int
    n_input_channels: int
    filter_size: tuple[int, int]
    map_size: tuple[int, int]
    layer: int
    channels: list[Channel]
    is_code: bool
    n_rows: int


def convolutions_of(estimator: BaseNetwork, shown: ShownRows) -> Convolutions | None:
    """Return the filters and feature maps of a network whose first layer is a convolution of images; else None."""
    if not convolves_images(estimator):
        return None
    filters, number = filters_of(estimator).astype(np.float64), layer_of_maps(estimator)
    height, width, n_channels = estimator.network_.layers[number - 1].output_shape
    runs = _within(runs_of_rows(len(shown.looked_at), _MOST_ROWS), shown)
    found = maps_of_channels(
        estimator,
        shown.source,
        some_channels(n_channels, _MOST_CHANNELS),
        layer=number,
        n_rows=_ROWS_OF_A_CHANNEL,
        runs=runs,
    )
    channels = []
    for one in found:
        images = _pictures(fractions_between(one.images, *shown.scale))
        maps = _pictures(fractions_between(one.maps, one.maps.min(), one.maps.max())[..., None])
        parts = zip(shown.numbers_found(one.rows), one.means.tolist(), images, maps, strict=True)
        channels.append(Channel(one.channel, [MapOfRow(*part) for part in parts]))
    numbers = some_channels(len(filters), _MOST_FILTERS)
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    pictures = _pictures((0.5 + 0.5 * filters / np.where(largest > 0, largest, 1))[numbers])
    return Convolutions(
        list(zip(numbers.tolist(), pictures, strict=True)),
        len(filters),
        n_channels,
        filters.shape[-1],
        (filters.shape[1], filters.shape[2]),
        (height, width),
        number - 1,
        channels,
        number == estimator.code_layer_,
        sum(stop - start for start, stop in runs),
    )


def _within(runs: list[tuple[int, int]], shown: ShownRows) -> list[tuple[int, int]]:
    """Return runs of places among the measured rows as runs of rows."""
    rows = shown.looked_at
    found = []
    for start, stop in runs:
        part = rows[start:stop]
        cuts = [0, *(np.flatnonzero(np.diff(part) != 1) + 1).tolist(), len(part)]
        found += [(int(part[a]), int(part[b - 1]) + 1) for a, b in pairwise(cuts)]
    return found


def _pictures(images: FloatArray) -> list[Picture]:
    """Return images of shape (n_images, height, width, n_channels), with numbers between 0 and 1, as PNG files."""
    pixels = np.rint(255 * as_pictures(images)).astype(np.uint8)
    return [Picture(as_uri(png(one)), one.shape[1], one.shape[0]) for one in pixels]
