"""Reading the samples of each pixel in an image file: with all their bits, upright, and scaled to [0, 1]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.extras import import_extra

__all__ = ["Samples", "read_samples"]

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: Candidates for the largest possible sample, used if the type of the samples does not determine it.
_LARGEST = (1, 255, 65535, 2**31 - 1, 2**32 - 1)
_ROUNDING = 1e-6  # relative tolerance by which floats may lie outside of their range because of rounding
#: Functions that turn an image upright, by the number of its orientation in EXIF and TIFF.
_UPRIGHT: dict[int, Callable[[Any], Any]] = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: np.rot90(image),
}
_ORIENTATION, _BITS = 274, 258  # numbers of TIFF tags
#: Colour space and number of colour samples for each photometric interpretation of TIFF.
_TIFF_COLORS = {
    "MINISWHITE": ("grey", 1),
    "MINISBLACK": ("grey", 1),
    "RGB": ("RGB", 3),
    "PALETTE": ("RGB", 3),
    "SEPARATED": ("CMYK", 4),
    "CIELAB": ("LAB", 3),
    "ICCLAB": ("LAB", 3),
}


@dataclass
class Samples:
    """The samples of all pixels of an image, and the meaning of these samples.

    Parameters
    ----------
    numbers : array of shape (height, width, n_samples), float64
        The samples, within [0, 1]; for LAB in its own units, with L* within [0, 100].
    colors : {"grey", "RGB", "CMYK", "LAB"}
        Colour space of the samples.
    has_alpha : bool, default=False
        Whether the last sample of each pixel is its opacity.
    is_premultiplied : bool, default=False
        Whether the other samples are already multiplied by the opacity.
    """

    numbers: FloatArray
    colors: str
    has_alpha: bool = False
    is_premultiplied: bool = False


def read_samples(file: IO[bytes]) -> Samples:
    """Read the pixel values, called samples, of the image in an open file.

    TIFF files are read by tifffile, which keeps floats and integers of more than 8 bits; all others by Pillow.

    Raises
    ------
    Exception
        An exception of any type, if the file cannot be read: each decoder raises its own types of exceptions.
    """
    start = file.read(4)
    if not start:
        raise ValueError("it is empty.")
    file.seek(0)
    samples = _read_tiff(file) if start in _TIFF_STARTS else None
    file.seek(0)
    return samples or _read_with_pillow(file)


def _refuse_frames(n_frames: int) -> None:
    if n_frames > 1:
        raise ValueError(
            f"it holds {n_frames} frames or pages; save each as a file of its own, or all of them as an array of shape"
            " (n_frames, height, width) in a .npy file."
        )


def _read_with_pillow(file: IO[bytes]) -> Samples:
    pillow = import_extra("PIL.Image", "app")
    try:
        picture = pillow.open(file)
    except pillow.UnidentifiedImageError:
        raise ValueError("it is not an image of a known format, or its beginning is damaged.") from None
    if picture.format != "MPO":  # a format of cameras, in which further images belong to the first
        _refuse_frames(getattr(picture, "n_frames", 1))
    largest = _largest_in(picture)
    image = import_extra("PIL.ImageOps", "app").exif_transpose(picture)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        numbers = np.asarray(image)
        levels = _to_unit_range(numbers, largest)
        transparent = image.info.get("transparency")  # the grey level that stands for transparent pixels
        return Samples(np.where(numbers == transparent, 1.0, levels)[..., np.newaxis], "grey")
    if image.mode == "LAB":
        return Samples(_lab(np.asarray(image), "CIELAB"), "LAB")
    if image.mode not in ("1", "L", "LA", "RGB", "RGBA", "CMYK") or "transparency" in image.info:
        is_grey = image.mode in ("1", "L", "La")
        image = image.convert(("LA" if is_grey else "RGBA") if image.has_transparency_data else "RGB")
    colors = {"1": "grey", "L": "grey", "LA": "grey", "CMYK": "CMYK"}.get(image.mode, "RGB")
    return Samples(_to_unit_range(_with_axis(np.asarray(image)), None), colors, image.mode in ("LA", "RGBA"))


def _largest_in(picture: Any) -> int | None:
    """Return the largest value that a sample of more than 8 bits can have; None if it must be inferred."""
    if picture.mode.startswith("I;16"):
        bits = picture.tag_v2[_BITS][0] if hasattr(picture, "tag_v2") else 16
        return int(2**bits - 1)
    return 65535 if picture.mode == "I" and picture.format in ("PNG", "PPM") else None


def _read_tiff(file: IO[bytes]) -> Samples | None:
    """Read a TIFF file with all of its bits, or return None if Pillow has to read it."""
    tifffile = import_extra("tifffile", "app")
    with tifffile.TiffFile(file) as tiff:
        pages = [page for page in tiff.pages if not (page.is_reduced or page.is_mask)] or [tiff.pages[0]]
        page = pages[0]
        _refuse_frames(max(len(pages), tiff.series[0].size // page.size))
        meaning = tifffile.PHOTOMETRIC(page.photometric).name
        largest = 2 ** int(np.max(page.bitspersample)) - 1
        if meaning == "YCBCR" or (meaning == "PALETTE" and largest <= 255):  # only 8 of a palette's 16 bits matter
            return None
        try:
            numbers = page.asarray()
        except (ValueError, ImportError):  # tifffile needs another package for this compression
            if meaning == "MINISWHITE" and largest > 255:  # Pillow would not invert these grey levels
                raise
            return None
        if tiff.is_shaped and page.planarconfig == 2 and page.shape[-1] in (3, 4):
            # scikit-image wrote this file, and declared the rows of the image as channels because there are 3 or 4.
            return Samples(_to_unit_range(numbers, None), "RGB", has_alpha=page.shape[-1] == 4)
        is_unsigned = page.sampleformat == tifffile.SAMPLEFORMAT.UINT
        return _samples_of_page(numbers, page, meaning, largest if is_unsigned and largest <= 65535 else None)


def _samples_of_page(numbers: NDArray[Any], page: Any, meaning: str, largest: int | None) -> Samples:
    if meaning not in _TIFF_COLORS:
        raise ValueError(f"its samples are of the kind {meaning}, which cannot be read; save the image as RGB.")
    colors, n_colors = _TIFF_COLORS[meaning]
    if page.planarconfig == 2 and numbers.ndim == 3:  # channels are stored one after the other
        numbers = np.moveaxis(numbers, 0, -1)
    if meaning == "PALETTE":
        numbers = np.moveaxis(page.colormap, 0, -1)[numbers]
    numbers = _with_axis(_UPRIGHT.get(_tag(page, _ORIENTATION), lambda image: image)(numbers))
    if numbers.ndim != 3 or numbers.shape[2] < n_colors or (colors == "grey" and 0 in page.extrasamples):
        raise ValueError(f"it is not a single grey or colour image; its array has the shape {numbers.shape}.")
    if colors == "LAB":
        return Samples(_lab(numbers[..., :3], meaning), colors)
    alpha = next(iter(page.extrasamples), 0) if meaning != "PALETTE" else 0  # 0: none; 1: premultiplied; 2: plain
    levels = _to_unit_range(numbers[..., : n_colors + (alpha > 0)], largest)
    if meaning == "MINISWHITE":
        levels[..., 0] = 1 - levels[..., 0]
    return Samples(levels, colors, alpha > 0, alpha == 1)


def _tag(page: Any, number: int) -> int:
    tag = page.tags.get(number)
    return 0 if tag is None else int(tag.value)


def _with_axis(numbers: NDArray[Any]) -> NDArray[Any]:
    """Return samples with a last axis for the channels, which is added to an array of two dimensions."""
    return numbers[..., np.newaxis] if numbers.ndim == 2 else numbers


def _to_unit_range(numbers: NDArray[Any], largest: int | None) -> FloatArray:
    """Return pixel values divided by the largest value that they can have."""
    if numbers.dtype.kind == "b":
        return numbers.astype(np.float64)
    if largest is None and numbers.dtype in (np.uint8, np.uint16):
        largest = np.iinfo(numbers.dtype).max
    if largest is not None:
        return np.multiply(numbers, 1.0 / largest, dtype=np.float64)
    return np.clip(np.multiply(numbers, 1.0 / _largest_like(numbers), dtype=np.float64), 0, 1)


def _largest_like(numbers: NDArray[Any]) -> int:
    """Return the smallest usual maximum of samples, such as 1, 255 or 65535, that no sample exceeds."""
    if numbers.dtype.kind not in "iuf":
        raise ValueError(f"it holds samples of the type {numbers.dtype}, which cannot be grey levels.")
    low, high = float(numbers.min()), float(numbers.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("it holds NaN or infinite numbers; replace them, or read them as an array from a .npy file.")
    is_float = numbers.dtype.kind == "f"
    rounding = _ROUNDING if is_float else 0
    if low < -rounding * max(high, 1):
        raise ValueError(
            f"it holds negative numbers, the smallest of which is {low:g}, but levels begin at 0; add a constant to all"
            " numbers, or save them as an array in a .npy file, which is read unchanged."
        )
    possible = _LARGEST if is_float else sorted({*_LARGEST, int(np.iinfo(numbers.dtype).max)})
    for largest in possible:
        if high <= largest * (1 + rounding):
            return largest
    raise ValueError(f"it holds numbers of up to {high:g}; divide them by a constant, so that they lie within [0, 1].")


def _lab(numbers: NDArray[Any], meaning: str) -> FloatArray:
    """Return L*, a* and b* decoded from samples of 8 or 16 bits, as TIFF defines them."""
    if numbers.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"it holds LAB colours as {numbers.dtype}; only samples of 8 or 16 bits can be read.")
    unit = 256.0 if numbers.dtype == np.uint16 else 1.0
    axes = numbers[..., 1:].astype(np.float64)
    if meaning == "CIELAB":  # a* and b* are signed integers
        largest = 256 * unit - 1
        axes -= 256 * unit * (axes >= 128 * unit)
    else:
        largest = 255 * unit
        axes -= 128 * unit
    return np.concatenate([numbers[..., :1] * (100 / largest), axes / unit], axis=-1)
