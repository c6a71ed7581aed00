"""Windows of images, whose numbers a convolution gathers and scatters, and of which max pooling takes the largest."""

from __future__ import annotations

from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.ops.compiled import loops
from rhohat.ops.compiled.compiling import compiled, inlined

__all__ = ["gather", "max_pool", "max_pool_back", "scatter"]


@compiled
def gather(images: FloatArray, out: FloatArray, first: int, stride_down: int, stride_across: int) -> None:
    """Write the numbers in a window at each of its places; see `Composed.gather`."""
    n, height, width, channels = images.shape
    n_lines, length = out.shape[3], out.shape[4] * channels
    lines = images.reshape(n, height, width * channels)
    to = out.reshape(n, out.shape[1], out.shape[2], n_lines, length)
    for image in range(n):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                start = x * stride_across * channels
                for u in range(n_lines):
                    line = lines[image, y * stride_down + first + u]
                    loops.copy(line[start : start + length], to[image, y, x, u])


@compiled
def scatter(gathered: FloatArray, out: FloatArray, stride_down: int, stride_across: int) -> None:
    """Write the sum over the windows that contain each number; see `Composed.scatter`."""
    n, height, width, channels = out.shape
    n_lines, length = gathered.shape[3], gathered.shape[4] * channels
    lines = out.reshape(n, height, width * channels)
    parts = gathered.reshape(n, gathered.shape[1], gathered.shape[2], n_lines, length)
    for image in range(n):
        lines[image] = 0
        for y in range(gathered.shape[1]):
            for x in range(gathered.shape[2]):
                start = x * stride_across * channels
                for u in range(n_lines):
                    line = lines[image, y * stride_down + u]
                    loops.add(line[start : start + length], parts[image, y, x, u])


@inlined
def _take_larger(x: FloatArray, largest: FloatArray) -> None:
    """Overwrite the largest numbers so far with the numbers that are larger; NaN counts as the largest."""
    for c in range(x.size):
        is_smaller = x[c] <= largest[c] or largest[c] != largest[c]
        largest[c] = largest[c] if is_smaller else x[c]


@inlined
def _note_larger(x: FloatArray, place: int, largest: FloatArray, places: Any) -> None:
    """Overwrite the largest numbers so far, and their places, where a number is larger; NaN has the place -1."""
    for c in range(x.size):
        if x[c] > largest[c]:
            largest[c] = x[c]
            places[c] = place
        elif x[c] != x[c]:
            largest[c] = x[c]
            places[c] = -1


@compiled
def max_pool(
    images: FloatArray, out: FloatArray, n_lines: int, n_columns: int, stride_down: int, stride_across: int
) -> None:
    """Write the largest number of each channel in each window; see `MaxPooling.forward`."""
    for image in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                largest = out[image, y, x]
                loops.copy(images[image, y * stride_down, x * stride_across], largest)
                for u in range(n_lines):
                    for v in range(n_columns):
                        _take_larger(images[image, y * stride_down + u, x * stride_across + v], largest)


@compiled
def max_pool_back(
    images: FloatArray,
    delta: FloatArray,
    out: FloatArray,
    n_lines: int,
    n_columns: int,
    stride_down: int,
    stride_across: int,
) -> None:
    """Add the delta of each window where it is largest for the first time; see `MaxPooling.pull_back`."""
    largest, places = np.empty(images.shape[3], images.dtype), np.empty(images.shape[3], np.int64)
    for image in range(delta.shape[0]):
        out[image] = 0
        for y in range(delta.shape[1]):
            for x in range(delta.shape[2]):
                top, left = y * stride_down, x * stride_across
                loops.copy(images[image, top, left], largest)
                places[:] = 0
                for u in range(n_lines):
                    for v in range(n_columns):
                        _note_larger(images[image, top + u, left + v], u * n_columns + v, largest, places)
                for c in range(places.size):
                    if places[c] < 0:
                        continue
                    u, v = places[c] // n_columns, places[c] % n_columns
                    out[image, top + u, left + v, c] += delta[image, y, x, c]
