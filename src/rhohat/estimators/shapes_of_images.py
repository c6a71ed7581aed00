"""Shapes of images and of the patches that move over them, as users give them or as rows have them."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt, prod
from numbers import Integral
from typing import Any

import numpy as np

from rhohat.common.words import counted
from rhohat.data import RowSource

__all__ = ["in_planes", "pair_of", "row_shape_of", "shape_of_images", "shape_of_patches"]


def pair_of(name: str, value: int | Sequence[int]) -> tuple[int, int]:
    """Return a number for each of the two axes, given one for both or a sequence of two."""
    numbers = (value, value) if isinstance(value, int | np.integer) else tuple(value)
    if len(numbers) != 2 or not all(isinstance(number, Integral) and number >= 1 for number in numbers):
        raise ValueError(f"{name} must be an integer of at least 1, or two of them, down and across; got {value!r}.")
    return int(numbers[0]), int(numbers[1])


def row_shape_of(X: Any) -> tuple[int, ...]:
    """Return the shape of each image, or (n_features,) for flat rows."""
    shape = (len(X), *X.row_shape) if isinstance(X, RowSource) else tuple(np.shape(X))
    if len(shape) not in (2, 3, 4):
        raise ValueError(
            "X must be images of the shape (n_samples, height, width) or (n_samples, height, width, n_channels), or"
            f" flat rows of the shape (n_samples, n_features) together with image_shape; got the shape {shape}."
        )
    return shape[1:]


def in_planes(image_shape: Sequence[int] | None) -> bool:
    """Return whether a shape has three axes with the colours on the first: it has length 3, and the last has not."""
    return image_shape is not None and len(image_shape) == 3 and image_shape[0] == 3 and image_shape[2] != 3


def shape_of_images(image_shape: Sequence[int] | None, row_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return height, width and number of channels of images, or raise ValueError if the shapes contradict each other.

    Parameters
    ----------
    image_shape : sequence of int or None
        What the user gave.
    row_shape : tuple of int
        Shape of each row of X.
    """
    if image_shape is None:
        if len(row_shape) == 1:
            raise ValueError(
                f"X has flat rows of {counted(row_shape[0], 'number')}; set image_shape to the shape of an image, such"
                " as (32, 32, 3)."
            )
        shape = row_shape
    else:
        shape = _checked_shape("image_shape", image_shape)
        if row_shape not in ((prod(shape),), tuple(image_shape), shape, (*shape, 1)):
            raise ValueError(
                f"image_shape={tuple(image_shape)} means {counted(prod(shape), 'number')} in an image, but each row of"
                f" X has the shape {row_shape}; give the shape of the images in X."
            )
        if in_planes(image_shape):
            shape = (*shape[1:], shape[0])
    height, width, n_channels = (*shape, 1)[:3]
    return height, width, n_channels


def shape_of_patches(
    patch_shape: Sequence[int] | None, n_features: int, image_shape: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Return height, width and number of channels of patches, or raise ValueError if they do not fit the images."""
    n_channels = image_shape[2]
    if patch_shape is None:
        side = isqrt(n_features // n_channels)
        shape: tuple[int, ...] = (side, side, n_channels)
        if prod(shape) != n_features:
            raise ValueError(
                f"the autoencoder was fitted to patches of {counted(n_features, 'number')}, but no square patch of"
                f" images with {counted(n_channels, 'channel')} has this size; pass images with the channels of the"
                " patches, or set patch_shape to the shape of a patch."
            )
    else:
        shape = (*_checked_shape("patch_shape", patch_shape), 1)[:3]
        if prod(shape) != n_features:
            raise ValueError(
                f"patch_shape={tuple(patch_shape)} means {counted(prod(shape), 'number')} in a patch, but the"
                f" autoencoder was fitted to patches of {counted(n_features, 'number')}."
            )
    if shape[2] != n_channels:
        raise ValueError(
            f"the patches have {counted(shape[2], 'channel')}, but the images have {counted(n_channels, 'channel')};"
            " both must have the same channels."
        )
    if shape[0] > image_shape[0] or shape[1] > image_shape[1]:
        raise ValueError(
            f"the patches of {shape[0]}×{shape[1]} pixels are larger than the images of"
            f" {image_shape[0]}×{image_shape[1]} pixels; use larger images, or an autoencoder of smaller patches."
        )
    return shape[0], shape[1], shape[2]


def _checked_shape(name: str, given: Sequence[int]) -> tuple[int, ...]:
    shape = tuple(given)
    if len(shape) not in (2, 3) or not all(isinstance(size, Integral) and size >= 1 for size in shape):
        raise ValueError(f"{name} must be two or three integers of at least 1; got {given!r}.")
    return tuple(map(int, shape))
