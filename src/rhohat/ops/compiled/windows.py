"""Windows of images, whose numbers a convolution gathers and scatters."""

from __future__ import annotations

from rhohat.common.arrays import FloatArray
from rhohat.ops.compiled.compiling import compiled, inlined

__all__ = ["gather", "scatter"]


@inlined
def _copy(x: FloatArray, out: FloatArray) -> None:
    for i in range(x.size):
        out[i] = x[i]


@inlined
def _add(x: FloatArray, out: FloatArray) -> None:
    for i in range(x.size):
        out[i] += x[i]


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
                    _copy(line[start : start + length], to[image, y, x, u])


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
                    _add(parts[image, y, x, u], line[start : start + length])
