"""From images to rows: whitening of whole images, and cutting out patches."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np
import scipy  # which imports its parts when they are used
from numpy.typing import ArrayLike

from rhohat.common.arrays import FloatArray, as_float_rows
from rhohat.common.randomness import RandomState, keyed_generator, seed_from

__all__ = ["sample_patches", "whiten_image"]

_BOUNDARIES = ("periodic", "reflect")


def whiten_image(
    image: ArrayLike, cutoff: float = 0.4, exponent: float = 4.0, boundary: str = "periodic"
) -> FloatArray:
    """Flatten the spectrum of a natural image: a 1/f whitening filter with a low-pass.

    The filter is ``|f| exp(−(|f|/f₀)ⁿ)``, with zero phase. The amplitudes of natural images fall off as ``1/|f|``, so
    the first factor makes all frequencies equally strong. The second factor removes the highest frequencies, which
    contain noise.

    Parameters
    ----------
    image : array-like of shape (height, width) or (height, width, n_channels)
        The image. Each channel is filtered separately.
    cutoff : float, default=0.4
        Cutoff frequency f₀ in cycles per pixel, positive.
    exponent : float, default=4.0
        Steepness n of the low-pass, positive.
    boundary : {"periodic", "reflect"}, default="periodic"
        How the image is continued beyond its border. "periodic", as in Olshausen and Field, creates a false edge
        wherever opposite borders differ. "reflect" mirrors the image at its borders, which is better for photographs.

    Returns
    -------
    array of the image's shape, float32 for float32 and else float64
        The whitened image, with a mean near 0. It is not rescaled.

    Raises
    ------
    ValueError
        If the image is not a finite array of two or three dimensions, or a parameter is out of its range.

    References
    ----------
    Olshausen, B. A. and Field, D. J. (1997). Sparse coding with an overcomplete basis set: a strategy employed by V1?
    Vision Research 37, 3311-3325.

    Examples
    --------
    >>> ramp = np.tile(np.arange(32.0), (32, 1))
    >>> whiten_image(ramp).shape
    (32, 32)
    """
    pixels = _check_image(image, "image")
    if not (cutoff > 0 and exponent > 0):
        raise ValueError(f"cutoff and exponent must be positive; got {cutoff} and {exponent}.")
    if boundary not in _BOUNDARIES:
        raise ValueError(f"boundary must be one of {_BOUNDARIES}; got {boundary!r}.")
    height, width = pixels.shape[:2]
    unit = np.frexp(np.abs(pixels).max())[1]  # exponent of 2; in units of this power, sums over all pixels are finite
    pixels = np.ldexp(pixels, -unit)
    if boundary == "reflect":
        margins = [(size // 2, size // 2) for size in (height, width)] + [(0, 0)] * (pixels.ndim - 2)
        pixels = np.pad(pixels, margins, mode="symmetric")
    f_y = scipy.fft.fftfreq(pixels.shape[0])[:, np.newaxis]
    f_x = scipy.fft.rfftfreq(pixels.shape[1])[np.newaxis, :]
    f = np.hypot(f_y, f_x)
    transfer = (f * np.exp(-((f / cutoff) ** exponent))).astype(pixels.dtype)
    if pixels.ndim == 3:
        transfer = transfer[:, :, np.newaxis]
    spectrum = scipy.fft.rfft2(pixels, axes=(0, 1))
    whitened = scipy.fft.irfft2(spectrum * transfer, s=pixels.shape[:2], axes=(0, 1))
    if boundary == "reflect":
        whitened = whitened[height // 2 : height // 2 + height, width // 2 : width // 2 + width]
    return np.ascontiguousarray(np.ldexp(whitened, unit))


def sample_patches(
    images: Sequence[ArrayLike] | FloatArray,
    patch_size: int | tuple[int, int] = 8,
    n_patches: int = 10_000,
    random_state: RandomState = None,
) -> FloatArray:
    """Cut random patches out of images.

    Every position in every image is equally likely, and may be drawn more than once.

    Parameters
    ----------
    images : sequence of arrays of shape (height, width) or (height, width, n_channels)
        The images may differ in size, but not in their number of channels. A single grey image may be given as an
        array of two dimensions. An array of four dimensions is taken as (n_images, height, width, n_channels). An
        array of three dimensions is ambiguous and is refused.
    patch_size : int or tuple of two int, default=8
        Height and width of a patch in pixels; an integer stands for both.
    n_patches : int, default=10000
        Number of patches, at least 1.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    array of shape (n_patches, patch_height * patch_width * n_channels)
        The patches, one in each row, raveled in C order (row, column, channel), with the values that they have in the
        images. The dtype is float32 if all images are float32, else float64.

    Raises
    ------
    ValueError
        If there is no image, an image does not have two or three dimensions or has values that are not finite, the
        images differ in their numbers of channels, or a patch is larger than an image.

    Examples
    --------
    >>> images = [np.zeros((20, 30)), np.ones((40, 10))]
    >>> sample_patches(images, patch_size=8, n_patches=5, random_state=0).shape
    (5, 64)
    """
    checked = _check_images(images)
    patch_shape = _check_patch_size(patch_size, checked)
    if not isinstance(n_patches, Integral) or n_patches < 1:
        raise ValueError(f"n_patches must be an integer >= 1; got {n_patches!r}.")
    windows = [np.lib.stride_tricks.sliding_window_view(image, patch_shape, axis=(0, 1)) for image in checked]
    ends = np.cumsum([window.shape[0] * window.shape[1] for window in windows])
    generator = keyed_generator(seed_from(random_state), "patches")
    positions = generator.integers(ends[-1], size=int(n_patches))
    owners = np.searchsorted(ends, positions, side="right")

    n_channels = 1 if checked[0].ndim == 2 else checked[0].shape[2]
    patches = np.empty((int(n_patches), *patch_shape, n_channels), dtype=np.result_type(*checked))
    for index, window in enumerate(windows):
        mine = owners == index
        offsets = positions[mine] - (ends[index - 1] if index else 0)
        rows, columns = np.divmod(offsets, window.shape[1])
        found = window[rows, columns]  # (n, height, width), or (n, n_channels, height, width)
        patches[mine] = found[..., np.newaxis] if found.ndim == 3 else np.moveaxis(found, 1, -1)
    return patches.reshape(int(n_patches), -1)


def _check_image(image: ArrayLike, name: str) -> FloatArray:
    """Return an image as an array of floats, or raise ValueError."""
    pixels = np.asarray(image)
    if pixels.ndim not in (2, 3) or pixels.size == 0:
        raise ValueError(
            f"{name} must have the shape (height, width) or (height, width, n_channels); got {pixels.shape}."
        )
    if pixels.dtype.kind not in "buif":
        raise ValueError(f"{name} must hold real numbers; got dtype {pixels.dtype}.")
    pixels = as_float_rows(pixels)
    if not np.all(np.isfinite(pixels)):
        raise ValueError(f"{name} holds NaN or infinite values; replace them first.")
    return pixels


def _check_images(images: Sequence[ArrayLike] | FloatArray) -> list[FloatArray]:
    """Return images as a list of float arrays with equal numbers of channels, or raise ValueError."""
    if isinstance(images, np.ndarray):
        if images.ndim == 2:
            images = [images]
        elif images.ndim == 3:
            raise ValueError(
                f"images of shape {images.shape} could be one colour image or a stack of grey images; pass a list of"
                " images: [image] for one, list(stack) for (n_images, height, width), and list(np.moveaxis(stack, -1,"
                " 0)) for (height, width, n_images), as in IMAGES.mat of the UFLDL tutorial."
            )
    checked = [_check_image(image, f"images[{index}]") for index, image in enumerate(images)]
    if not checked:
        raise ValueError("images must hold at least one image; got none.")
    channels = {image.shape[2:] for image in checked}
    if len(channels) > 1:
        raise ValueError(
            "images must all be grey, or all have the same number of channels; got a mixture. Convert the images first,"
            " for example with skimage.color.rgb2gray."
        )
    return checked


def _check_patch_size(patch_size: int | tuple[int, int], images: list[FloatArray]) -> tuple[int, int]:
    """Return the height and width of a patch, or raise ValueError if it does not fit into every image."""
    sizes = tuple(patch_size) if np.iterable(patch_size) else (patch_size, patch_size)
    if len(sizes) != 2 or not all(isinstance(size, Integral) and size >= 1 for size in sizes):
        raise ValueError(f"patch_size must be an integer >= 1 or a pair of such integers; got {patch_size!r}.")
    height, width = int(sizes[0]), int(sizes[1])
    for index, image in enumerate(images):
        if image.shape[0] < height or image.shape[1] < width:
            raise ValueError(
                f"a patch of {height}×{width} pixels does not fit into images[{index}], which has"
                f" {image.shape[0]}×{image.shape[1]} pixels; choose a smaller patch_size or leave that image out."
            )
    return height, width
