"""Pooling, which takes the largest number or the mean of each channel in each window, and its reverse, upsampling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.layers.weightless import WeightlessLayer
from rhohat.layers.windows import Windows

__all__ = ["MaxPoolingLayer", "MeanPoolingLayer", "UpsamplingLayer"]


@dataclass(frozen=True)
class _Pooling(WeightlessLayer):
    """A layer without parameters that computes one number from each channel of each window.

    Parameters
    ----------
    windows : Windows
        Places of the window in the input, without padding. Pixels at the end that no window reaches are left out.
    n_channels : int
        Numbers per pixel.

    Raises
    ------
    ValueError
        If the window is larger than the image, or if the image is to be padded.
    """

    windows: Windows
    n_channels: int

    def __post_init__(self) -> None:
        if self.n_channels < 1 or any(
            size < window for size, window in zip(self.windows.size, self.windows.window, strict=True)
        ):
            raise ValueError(
                f"pooling needs at least one channel, and a window no larger than the image, {self.windows.size}; got"
                f" {self.n_channels} channels and the window {self.windows.window}."
            )
        if self.windows.padding != "valid":
            raise ValueError(f"pooling cannot use padding={self.windows.padding!r}; use padding='valid'.")

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Number of inputs per row: pixels times channels."""
        return prod(self.windows.size) * self.n_channels

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        """Number of outputs per row: places of the window times channels."""
        return self.windows.n_places * self.n_channels

    @property
    def output_channels(self) -> int:
        """Number of channels of the output."""
        return self.n_channels

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Height, width and number of channels of the output."""
        return *self.windows.places, self.n_channels

    @property
    def fans(self) -> tuple[int, int]:
        """Fan-in and fan-out, which have no effect, since there are no weights to draw."""
        return prod(self.windows.window), 1

    @property
    def multiply_adds(self) -> int:
        """Number of operations per row: one for each number of each window."""
        return self.windows.n_places * self.n_channels * prod(self.windows.window)

    def _room(self, rows: FloatArray, n_numbers: int, out: FloatArray | None) -> FloatArray:
        return self.ops.empty((len(rows), n_numbers), self.ops.dtype_of(rows)) if out is None else out

    def _pictures(self, rows: FloatArray) -> FloatArray:
        pictures: FloatArray = rows.reshape(len(rows), *self.windows.size, self.n_channels)
        return pictures

    def _pooled(self, rows: FloatArray) -> FloatArray:
        pooled: FloatArray = rows.reshape(len(rows), *self.windows.places, self.n_channels)
        return pooled


@dataclass(frozen=True)
class MeanPoolingLayer(_Pooling):
    """Mean pooling: the mean of each channel in each window."""

    def apply(self, given: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return the mean of each channel in each window."""
        out = self._room(given, self.n_outputs, out)
        pictures, pooled = self._pictures(given), self._pooled(out)
        pooled[:] = 0
        for part in self.windows.parts():
            pooled += pictures[part]
        pooled *= 1 / prod(self.windows.window)
        return out

    def apply_transposed(self, delta: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return, for each pixel, the sum of delta over the windows that contain it, divided by the window's size."""
        out = self._room(delta, self.n_inputs, out)
        pictures, pooled = self._pictures(out), self._pooled(delta) * (1 / prod(self.windows.window))
        pictures[:] = 0
        for part in self.windows.parts():
            pictures[part] += pooled
        return out


@dataclass(frozen=True)
class MaxPoolingLayer(_Pooling):
    """Max pooling: the largest number of each channel in each window; where several are equal, the first one counts."""

    def apply(self, given: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return the largest number of each channel in each window."""
        out = self._room(given, self.n_outputs, out)
        pictures, pooled = self._pictures(given), self._pooled(out)
        if self.ops.max_pooling is not None:
            self.ops.max_pooling.forward(pictures, pooled, self.windows.window, self.windows.stride)
            return out
        pooled[:] = -np.inf
        for part in self.windows.parts():
            self.ops.xp.maximum(pooled, pictures[part], out=pooled)
        return out

    def distance_from_kinks(self, given: FloatArray, z: FloatArray) -> float:
        """Return the smallest difference between the two largest numbers of a window.

        Windows whose two largest numbers are exactly 0 do not count: ReLU units that are 0 stay so until one of them
        crosses a kink of its own.
        """
        windows = self.windows.gather(self.ops, self._pictures(given))
        numbers = np.sort(windows.reshape(-1, prod(self.windows.window), self.n_channels), axis=1)
        if numbers.shape[1] == 1:
            return np.inf
        largest, second = numbers[:, -1], numbers[:, -2]
        return float(np.min((largest - second)[(largest != 0) | (second != 0)], initial=np.inf))

    def linear(self, at: FloatArray, tangent: FloatArray, W: FloatArray) -> FloatArray:
        """Return, for each window, the number of the tangent at the place where the input `at` is largest."""
        out = self.ops.zeros((len(at), self.n_outputs), self.ops.dtype_of(at))
        pictures, pooled = self._pictures(tangent), self._pooled(out)
        for part, is_largest in self._largest(at):
            pooled += pictures[part] * is_largest
        return out

    def linear_transposed(
        self, at: FloatArray, delta: FloatArray, W: FloatArray, out: FloatArray | None = None
    ) -> FloatArray:
        """Return zeros to which each window has added its delta, at the place where the input `at` is largest."""
        out = self._room(delta, self.n_inputs, out)
        pictures, pooled = self._pictures(out), self._pooled(delta)
        if self.ops.max_pooling is not None and len(at) == len(delta):
            back = self.ops.max_pooling.pull_back
            back(self._pictures(at), pooled, pictures, self.windows.window, self.windows.stride)
            return out
        pictures[:] = 0
        for part, is_largest in self._largest(at):
            pictures[part] += pooled * is_largest
        return out

    def apply_transposed(self, delta: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Raise an error, as the transposed map depends on the inputs; see `linear_transposed`."""
        raise NotImplementedError("the transposed map of max pooling depends on the inputs; use linear_transposed.")

    def _largest(self, at: FloatArray) -> Iterator[tuple[tuple[slice, slice, slice], FloatArray]]:
        """Yield each item of `Windows.parts`, and whether it holds the (first) largest number of each window."""
        pictures, largest = self._pictures(at), self._pooled(self.apply(at, at))
        is_open = largest == largest  # all True
        for part in self.windows.parts():
            is_here = (pictures[part] == largest) & is_open
            is_open &= ~is_here
            yield part, is_here


@dataclass(frozen=True)
class UpsamplingLayer(_Pooling):
    """Upsampling: each number is repeated in its window of the output; where windows overlap, the numbers are added.

    It is the transpose of mean pooling, times the size of the window. The windows lie in the output.
    """

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Number of inputs per row: places of the window times channels."""
        return self.windows.n_places * self.n_channels

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        """Number of outputs per row: pixels times channels."""
        return prod(self.windows.size) * self.n_channels

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Height, width and number of channels of the output."""
        return *self.windows.size, self.n_channels

    def apply(self, given: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return each number, repeated in its window."""
        out = self._room(given, self.n_outputs, out)
        pictures, pooled = self._pictures(out), self._pooled(given)
        pictures[:] = 0
        for part in self.windows.parts():
            pictures[part] += pooled
        return out

    def apply_transposed(self, delta: FloatArray, W: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return the sum of delta over each window."""
        out = self._room(delta, self.n_inputs, out)
        pictures, pooled = self._pictures(delta), self._pooled(out)
        pooled[:] = 0
        for part in self.windows.parts():
            pooled += pictures[part]
        return out
