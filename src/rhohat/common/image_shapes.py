"""In which shape a row is drawn as a picture, and rows as pictures of such a shape."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt, prod

from rhohat.common.arrays import FloatArray

__all__ = ["as_images", "check_image_shape", "image_size", "is_image_shape", "square_image_shape"]


def as_images(rows: FloatArray, image_shape: tuple[int, ...]) -> FloatArray:
    """Return rows as pictures, the colours of a pixel side by side.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
        Each is a picture, raveled in C order.
    image_shape : tuple of int
        (height, width) of a grey picture; of one in colour (height, width, 3), where the red, the green and the blue of
        a pixel follow each other, or (3, height, width), where all red comes first, then all green, then all blue.

    Returns
    -------
    array of shape (n_rows, height, width) or (n_rows, height, width, 3)

    Examples
    --------
    >>> import numpy as np
    >>> as_images(np.arange(12).reshape(1, 12), (3, 1, 4))[0, 0].tolist()
    [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7, 11]]
    """
    images = rows.reshape(-1, *image_shape)
    return images.transpose(0, 2, 3, 1) if _is_in_planes(image_shape) else images


def image_size(image_shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (height, width) of pictures of a shape.

    Examples
    --------
    >>> image_size((28, 20)), image_size((28, 20, 3)), image_size((3, 28, 20))
    ((28, 20), (28, 20), (28, 20))
    """
    height, width = image_shape[1:] if _is_in_planes(image_shape) else image_shape[:2]
    return height, width


def is_image_shape(shape: Sequence[int]) -> bool:
    """Return whether rows of a shape can be drawn: (height, width), (height, width, 3), or (3, height, width)."""
    return len(shape) == 2 or (len(shape) == 3 and 3 in (shape[0], shape[2]))


def check_image_shape(image_shape: Sequence[int], n_features: int) -> tuple[int, ...]:
    """Return a shape that somebody has given, without the axis of a single channel.

    Parameters
    ----------
    image_shape : sequence of int
    n_features : int
        How many numbers a row has.

    Raises
    ------
    ValueError
        If rows of so many numbers cannot be drawn in it.

    Examples
    --------
    >>> check_image_shape((3, 28, 28), 2352), check_image_shape((1, 28, 28), 784)
    ((3, 28, 28), (28, 28))
    """
    shape = tuple(int(size) for size in image_shape)
    if len(shape) == 3 and 1 in (shape[0], shape[2]) and not is_image_shape(shape):
        shape = shape[:2] if shape[2] == 1 else shape[1:]
    if not is_image_shape(shape) or min(shape) < 1 or prod(shape) != n_features:
        raise ValueError(
            f"image_shape must be (height, width), (height, width, 3), or (3, height, width), with {n_features} values;"
            f" got {tuple(image_shape)}."
        )
    return shape


def square_image_shape(n_features: int) -> tuple[int, ...] | None:
    """Return the shape of square pictures of so many numbers: grey, or else (height, width, 3); None if there is none.

    Examples
    --------
    >>> square_image_shape(784), square_image_shape(3072), square_image_shape(10)
    ((28, 28), (32, 32, 3), None)
    """
    for n_channels, tail in ((1, ()), (3, (3,))):
        side = isqrt(n_features // n_channels)
        if side * side * n_channels == n_features:
            return (side, side, *tail)
    return None


def _is_in_planes(image_shape: tuple[int, ...]) -> bool:
    """Return whether all red comes before all green: where the last axis can be the colours, it is."""
    return len(image_shape) == 3 and image_shape[2] != 3
