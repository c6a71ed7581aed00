"""Shapes of pictures, and the conversion of rows to pictures of a given shape."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt, prod

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import SettingError
from rhohat.common.words import Sentence, Setting

__all__ = ["as_images", "check_image_shape", "image_size", "is_image_shape", "square_image_shape"]


def as_images(rows: FloatArray, image_shape: tuple[int, ...]) -> FloatArray:
    """Return rows as pictures, with the colours of a pixel on the last axis.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
        Pictures, each raveled in C order.
    image_shape : tuple of int
        Shape of a picture: (height, width) for a grey picture. For a colour picture, either (height, width, 3), where
        the red, green and blue of a pixel follow one another, or (3, height, width), where all red values come first,
        then all green values, then all blue values.

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
    """Return the height and width of pictures of the given shape.

    Examples
    --------
    >>> image_size((28, 20)), image_size((28, 20, 3)), image_size((3, 28, 20))
    ((28, 20), (28, 20), (28, 20))
    """
    height, width = image_shape[1:] if _is_in_planes(image_shape) else image_shape[:2]
    return height, width


def is_image_shape(shape: Sequence[int]) -> bool:
    """Return whether a shape is one of a picture: (height, width), (height, width, 3), or (3, height, width)."""
    return len(shape) == 2 or (len(shape) == 3 and 3 in (shape[0], shape[2]))


def check_image_shape(image_shape: Sequence[int], n_features: int) -> tuple[int, ...]:
    """Check a shape of pictures, and return it without the axis for the channels if there is only one channel.

    Parameters
    ----------
    image_shape : sequence of int
        Shape of a picture.
    n_features : int
        Number of values in a row.

    Raises
    ------
    ValueError
        If the shape is not one of pictures, or if its product is not `n_features`.

    Examples
    --------
    >>> check_image_shape((3, 28, 28), 2352), check_image_shape((1, 28, 28), 784)
    ((3, 28, 28), (28, 28))
    """
    shape = tuple(int(size) for size in image_shape)
    if len(shape) == 3 and 1 in (shape[0], shape[2]) and not is_image_shape(shape):
        shape = shape[:2] if shape[2] == 1 else shape[1:]
    if not is_image_shape(shape) or min(shape) < 1 or prod(shape) != n_features:
        raise SettingError(
            Sentence(
                Setting("image_shape"),
                " must be (height, width), (height, width, 3), or (3, height, width), and its product must be"
                f" {n_features}, the number of features; got {tuple(image_shape)}.",
            )
        )
    return shape


def square_image_shape(n_features: int) -> tuple[int, ...] | None:
    """Return the shape of square pictures with `n_features` values, or None if there is no such shape.

    The shape is (height, width) if `n_features` is a square number, and otherwise (height, width, 3).

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
    """Return whether a shape has three axes and the first holds the colours; a last axis of length 3 holds them."""
    return len(image_shape) == 3 and image_shape[2] != 3
