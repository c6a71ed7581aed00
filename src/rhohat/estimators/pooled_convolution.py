"""The encoder of an autoencoder at every place of images, and pooling over regions of places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray, empty_aligned
from rhohat.layers import ConvolutionLayer, DenseLayer, LayerParameters, Windows
from rhohat.layers.activations import Units

__all__ = ["PooledConvolution"]

_NUMBERS_AT_ONCE = 2**18  # windows and activations that a thread holds at a time, so that they stay in the cache


@dataclass(frozen=True)
class PooledConvolution:
    """The encoder at every place of images, and the pooling over regions.

    Parameters
    ----------
    kernel : array of shape (patch_height, patch_width, n_channels, n_units)
    bias : array of shape (n_units,)
    activation : ElementwiseActivation
        Activation of the first layer.
    further : list of tuple of DenseLayer and LayerParameters
        The other layers of the encoder.
    stride : tuple of two int
    edges : tuple of two lists of int
        Places down and across at which regions begin, and the number of places.
    """

    kernel: FloatArray
    bias: FloatArray
    activation: Any
    further: list[tuple[DenseLayer, LayerParameters]]
    stride: tuple[int, int]
    edges: tuple[list[int], list[int]]

    @property
    def n_units(self) -> int:
        """Number of units of the last layer."""
        return self.further[-1][0].n_outputs if self.further else len(self.bias)

    def of_dtype(self, dtype: Any) -> PooledConvolution:
        """Return this encoder with parameters of another dtype."""
        further = [(layer, LayerParameters(*(part.astype(dtype) for part in own))) for layer, own in self.further]
        kernel, bias = self.kernel.astype(dtype), self.bias.astype(dtype)
        return PooledConvolution(kernel, bias, self.activation, further, self.stride, self.edges)

    def write(self, images: FloatArray, pooling: str, out: FloatArray) -> None:
        """Write the pooled features of images, of shape (n, n_regions * n_units)."""
        regions = [(down, across) for down in pairwise(self.edges[0]) for across in pairwise(self.edges[1])]
        pooled = out.reshape(len(images), len(regions), self.n_units)
        for number, (down, across) in enumerate(regions):
            step = self._at_once(across)
            n_images = max(1, step // (down[1] - down[0]))
            for start in range(0, len(images), n_images):
                some = slice(start, start + n_images)
                bands = self._bands(images[some], (down[0], down[1]), (across[0], across[1]), step)
                if pooling == "max":
                    pooled[some, number] = np.maximum.reduce([maps.max(axis=1) for maps in bands])
                else:  # in float64, so that large regions lose nothing
                    total = sum(maps.sum(axis=1).astype(np.float64) for maps in bands)
                    pooled[some, number] = total / ((down[1] - down[0]) * (across[1] - across[0]))

    def _at_once(self, across: tuple[int, int]) -> int:
        """Return the number of lines of places whose windows and activations stay in the cache together."""
        per_place = prod(self.kernel.shape[:3]) + self.kernel.shape[3] + sum(layer.width for layer, _ in self.further)
        return max(1, _NUMBERS_AT_ONCE // (per_place * (across[1] - across[0])))

    def _bands(
        self, images: FloatArray, down: tuple[int, int], across: tuple[int, int], n_lines: int
    ) -> Iterator[FloatArray]:
        """Yield the activations in a region, some lines of places at a time, of shape (n, n_places, n_units)."""
        for first in range(*down, n_lines):
            yield self._maps(images, (first, min(first + n_lines, down[1])), across)

    def _maps(self, images: FloatArray, down: tuple[int, int], across: tuple[int, int]) -> FloatArray:
        """Return the activations at a rectangle of places, of shape (n, n_places, n_units)."""
        lines, columns = (
            slice(begin * step, (end - 1) * step + size)
            for (begin, end), step, size in zip((down, across), self.stride, self.kernel.shape[:2], strict=True)
        )
        parts = np.ascontiguousarray(images[:, lines, columns])
        windows = Windows((parts.shape[1], parts.shape[2]), self._window, self.stride, "valid")
        layer = ConvolutionLayer(windows, self.kernel.shape[2], self.kernel.shape[3], self.activation)
        parameters = LayerParameters(self.kernel, self.bias, self.bias[:0])
        maps = empty_aligned((len(parts), layer.n_outputs), parts.dtype)
        layer.forward(parameters, parts.reshape(len(parts), -1), Units(maps, maps, parameters.own))
        maps = maps.reshape(-1, self.kernel.shape[3])
        for above, parameters in self.further:
            given, maps = maps, empty_aligned((len(maps), above.n_outputs), maps.dtype)
            above.forward(parameters, given, Units(maps, maps, parameters.own))
        return maps.reshape(len(images), -1, self.n_units)

    @property
    def _window(self) -> tuple[int, int]:
        return self.kernel.shape[0], self.kernel.shape[1]
