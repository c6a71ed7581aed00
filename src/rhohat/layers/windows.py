"""Windows that move over images and sequences, for convolution and pooling.

A batch of images is an array of shape (n_rows, height, width, channels). A sequence is an image of height 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

from rhohat.common.arrays import FloatArray
from rhohat.common.forks import cached
from rhohat.ops import Ops

__all__ = ["PADDINGS", "Windows"]

PADDINGS = ("valid", "same")

_CHUNK = 2**18  # numbers that the windows of one chunk of rows should have at most, so that they stay in the cache


@dataclass(frozen=True)
class Windows:
    """The places of a window that moves over an image in steps.

    Parameters
    ----------
    size : tuple of two ints
        Height and width of an image.
    window : tuple of two ints
        Height and width of the window.
    stride : tuple of two ints
        Steps by which the window moves, down and to the right.
    padding : {"valid", "same"}
        "valid" means that the window stays inside of the image. "same" means that the image is surrounded by zeros, so
        that the window has ⌈size / stride⌉ places along each axis; of an odd number of zeros, the larger half is below
        or to the right.

    Raises
    ------
    ValueError
        If a number is not an integer of at least 1, or if there is no padding of that name.
    """

    size: tuple[int, int]
    window: tuple[int, int]
    stride: tuple[int, int]
    padding: str

    def __post_init__(self) -> None:
        for numbers in (self.size, self.window, self.stride):
            if len(numbers) != 2 or not all(type(number) is int and number >= 1 for number in numbers):
                raise ValueError(
                    "windows need two integers of at least 1 for each of size, window and stride; got the size"
                    f" {self.size}, the window {self.window} and the stride {self.stride}."
                )
        if self.padding not in PADDINGS:
            raise ValueError(f"padding must be 'valid' or 'same'; got {self.padding!r}.")

    @cached
    def places(self) -> tuple[int, int]:
        """Numbers of places of the window along the two axes."""
        if self.padding == "same":
            return self._along(lambda size, window, stride: -(-size // stride))
        return self._along(lambda size, window, stride: (size - window) // stride + 1)

    @cached
    def before(self) -> tuple[int, int]:
        """Numbers of zeros above and to the left of the image."""
        return self._zeros[0] // 2, self._zeros[1] // 2

    @cached
    def padded(self) -> tuple[int, int]:
        """Height and width of the image with the zeros around it."""
        return self.size[0] + self._zeros[0], self.size[1] + self._zeros[1]

    @cached
    def n_places(self) -> int:
        """Number of places of the window."""
        return prod(self.places)

    def chunks(self, n_rows: int, n_channels: int) -> Iterator[slice]:
        """Yield slices of rows whose windows together stay in the cache."""
        step = max(1, _CHUNK // (self.n_places * prod(self.window) * n_channels))
        for start in range(0, n_rows, step):
            yield slice(start, min(start + step, n_rows))

    def gather(self, ops: Ops, images: FloatArray, rows: slice = slice(None)) -> FloatArray:
        """Return the content of the window at each place, as a new array.

        Parameters
        ----------
        ops : Ops
        images : array of shape (n_rows, height, width, channels)
        rows : slice, default=all
            Rows of the window.

        Returns
        -------
        array of shape (n_rows, places down, places to the right, window's rows, window's columns, channels)
        """
        images = self._with_zeros(ops, images)
        lines = range(*rows.indices(self.window[0]))
        shape = (images.shape[0], *self.places, len(lines), self.window[1], images.shape[3])
        gathered = ops.empty(shape, ops.dtype_of(images))
        ops.gather(images, gathered, lines.start, self.stride)
        return gathered

    def scatter(self, ops: Ops, gathered: FloatArray, out: FloatArray) -> None:
        """Write, for each number of an image, the sum over the windows that contain it; the transpose of `gather`.

        Parameters
        ----------
        ops : Ops
        gathered : array of shape (n_rows, places down, places to the right, window's rows, window's columns, channels)
        out : array of shape (n_rows, height, width, channels)
        """
        is_padded = self.padded != self.size
        shape = (out.shape[0], *self.padded, out.shape[3])
        images = ops.empty(shape, ops.dtype_of(out)) if is_padded else out
        ops.scatter(gathered, images, self.stride)
        if is_padded:
            out[:] = images[:, self._inside[0], self._inside[1]]

    def parts(self) -> Iterator[tuple[slice, slice, slice]]:
        """Yield, for each number of the window, the index of this number at all places in a batch of images.

        The images must not be padded.
        """
        for u in range(self.window[0]):
            for v in range(self.window[1]):
                yield self._at(u, v)

    def _with_zeros(self, ops: Ops, images: FloatArray) -> FloatArray:
        if self.padded == self.size:
            return images
        around = ops.zeros((images.shape[0], *self.padded, images.shape[3]), ops.dtype_of(images))
        around[:, self._inside[0], self._inside[1]] = images
        return around

    @cached
    def _zeros(self) -> tuple[int, int]:
        """Numbers of zeros along the two axes."""
        if self.padding == "valid":
            return 0, 0
        return self._along(lambda size, window, stride: max((-(-size // stride) - 1) * stride + window - size, 0))

    @cached
    def _inside(self) -> tuple[slice, slice]:
        """Slices of the padded image that hold the image."""
        top, left = self.before
        return slice(top, top + self.size[0]), slice(left, left + self.size[1])

    def _at(self, u: int, v: int) -> tuple[slice, slice, slice]:
        """Return the index of number (u, v) of the window, at all places, in a batch of padded images."""
        return (
            slice(None),
            slice(u, u + self._span(0), self.stride[0]),
            slice(v, v + self._span(1), self.stride[1]),
        )

    def _span(self, axis: int) -> int:
        return (self.places[axis] - 1) * self.stride[axis] + 1

    def _along(self, rule: Callable[[int, int, int], int]) -> tuple[int, int]:
        """Return the numbers that a rule gives for the size, window and stride of the two axes."""
        first, second = (rule(*one) for one in zip(self.size, self.window, self.stride, strict=True))
        return first, second
