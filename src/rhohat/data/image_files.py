"""Reading one image file of any supported format as grey levels or RGB between 0 and 1."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np

from rhohat.common.arrays import FloatArray, as_float_rows
from rhohat.common.exceptions import MissingExtraError
from rhohat.common.extras import import_extra
from rhohat.data.image_samples import Samples, read_samples

__all__ = ["IMAGE_SUFFIXES", "read_image", "to_grey"]

IMAGE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}

#: Bradford's matrix for XYZ, which adapts the white D50 of CIE LAB in files to the white D65 of sRGB.
_D50_TO_D65 = np.array(
    [[0.9555766, -0.0230393, 0.0631636], [-0.0282895, 1.0099416, 0.0210077], [0.0122982, -0.0204830, 1.3299098]]
)


def read_image(path: str | PathLike[str], *, color: bool = False) -> FloatArray:
    """Read one image file, as grey levels or RGB within [0, 1].

    Unsigned integers of up to 16 bits are divided by the largest number with that many bits, such as 255 or 65535.
    Other integers, and floats, are divided by the smallest of 1, 255, 65535, 2³¹ − 1, 2³² − 1 and the largest integer
    of their type that no sample of the file exceeds. Floats within [0, 1] therefore stay unchanged. Negative numbers
    and NaN are refused.

    The indices of a palette image are replaced by its colours. CMYK becomes RGB: R is (1 − C)(1 − K), and G and B
    likewise. CIE LAB is taken to be relative to the white D50. Colour profiles of cameras and printers are not applied.
    Transparent pixels, given by an alpha channel or by a colour that stands for transparency, are blended with white.
    The grey levels of a colour image are 0.2125 R + 0.7154 G + 0.0721 B. An image whose orientation tag says that it is
    rotated or mirrored, as cameras write it, is turned upright.

    Parameters
    ----------
    path : str or path-like
        Path of the image file. The image format is determined by the content of the file, not by its name.
    color : bool, default=False
        Whether to return RGB instead of grey levels.

    Returns
    -------
    array of shape (height, width), or (height, width, 3) with `color`, float64

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not an image, is damaged, or holds several frames or pages, negative numbers or NaN.
    MissingExtraError
        If scikit-image is not installed, which installs Pillow and tifffile as well.

    Notes
    -----
    From PNG files with 16 bits, Pillow reads only the upper 8 bits if they have colours or transparency, and all 16 if
    they are grey. TIFF files keep all of their bits, except for colour images with a compression, such as LZW, that
    tifffile can only read with an additional package.
    """
    import_extra("skimage", "app")
    try:
        with Path(path).open("rb") as file:
            image = _to_grey_or_rgb(read_samples(file))
    except (FileNotFoundError, MissingExtraError):
        raise
    except Exception as error:  # each decoder raises its own types of exceptions
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    if color:
        return as_float_rows(image if image.shape[2] == 3 else np.repeat(image, 3, axis=2))
    return as_float_rows(to_grey(image))


def to_grey(image: FloatArray) -> FloatArray:
    """Return the grey levels of an RGB or grey image, of shape (height, width); other images stay unchanged."""
    if image.ndim == 3 and image.shape[2] == 3:
        return import_extra("skimage.color", "app").rgb2gray(image)
    return image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image


def _to_grey_or_rgb(samples: Samples) -> FloatArray:
    """Return grey levels or RGB, of shape (height, width, 1 or 3), with transparent pixels blended with white."""
    numbers = samples.numbers
    if samples.colors == "CMYK":
        return (1 - numbers[..., :3]) * (1 - numbers[..., 3:4])
    if samples.colors == "LAB":
        colors = import_extra("skimage.color", "app")
        return colors.xyz2rgb(colors.lab2xyz(numbers, illuminant="D50") @ _D50_TO_D65.T)
    if not samples.has_alpha:
        return numbers
    visible, alpha = numbers[..., :-1], numbers[..., -1:]
    return np.clip((1 - alpha) + (visible if samples.is_premultiplied else alpha * visible), 0, 1)
