"""Conversion of small images to PNG files that a page embeds as text, with many images side by side in one file."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rhohat.common.arrays import FloatArray, in_safe_units
from rhohat.common.image_shapes import as_images

__all__ = [
    "Pixels",
    "Sheets",
    "as_uri",
    "fractions_between",
    "in_sheets",
    "pixels_about_0",
    "pixels_between",
    "png",
]

#: Images of 8-bit pixels, of shape (n_images, height, width) or (n_images, height, width, 3).
Pixels = NDArray[np.uint8]

_SHEET_WIDTH, _SHEET_HEIGHT = 1024, 2048  # in pixels; every browser decodes sheets of this size
_GREY, _COLOUR = 0, 2  # colour types of the PNG format


@dataclass(frozen=True)
class Sheets:
    """PNG files ("sheets") that hold images of one size, row by row from the top left, sheet after sheet.

    Attributes
    ----------
    columns : int
        Number of images in a row of a sheet.
    per_sheet : int
        Number of images in a sheet; the last sheet may have fewer.
    files : list of bytes
        Contents of the PNG files, one for each sheet.
    """

    columns: int
    per_sheet: int
    files: list[bytes]

    @property
    def n_bytes(self) -> int:
        """Total size of all files in bytes."""
        return sum(len(file) for file in self.files)

    def as_record(self) -> dict[str, Any]:
        """Return the files as data URIs, with the numbers that the script of the page needs to find an image."""
        return {"columns": self.columns, "perSheet": self.per_sheet, "files": [as_uri(file) for file in self.files]}


def in_sheets(images: Pixels) -> Sheets:
    """Return images packed into a few PNG files, each small enough that browsers draw from it quickly.

    Parameters
    ----------
    images : array of uint8, of shape (n_images, height, width) or (n_images, height, width, 3)
        Images in grey, or in red, green and blue.

    Returns
    -------
    Sheets
    """
    height, width = images.shape[1:3]
    columns = max(1, min(_SHEET_WIDTH // width, len(images)))
    per_sheet = columns * max(1, _SHEET_HEIGHT // height)
    files = []
    for start in range(0, len(images), per_sheet):
        some = images[start : start + per_sheet]
        n_rows = -(-len(some) // columns)
        tiles = np.zeros((n_rows * columns, *images.shape[1:]), np.uint8)
        tiles[: len(some)] = some
        rows = tiles.reshape(n_rows, columns, *images.shape[1:]).swapaxes(1, 2)  # (n_rows, height, columns, width, …)
        files.append(png(rows.reshape(n_rows * height, columns * width, *images.shape[3:])))
    return Sheets(columns, per_sheet, files)


def png(pixels: Pixels) -> bytes:
    r"""Return an image as the contents of a PNG file.

    Parameters
    ----------
    pixels : array of uint8, of shape (height, width) or (height, width, 3)
        Image in grey, or in red, green and blue.

    Returns
    -------
    bytes

    References
    ----------
    W3C (2003). Portable Network Graphics specification, second edition, sections 5 and 11.

    Examples
    --------
    >>> png(np.zeros((2, 3), np.uint8))[:8]
    b'\x89PNG\r\n\x1a\n'
    """
    height, width = pixels.shape[:2]
    colour = _GREY if pixels.ndim == 2 else _COLOUR
    lines = np.zeros((height, 1 + pixels[0].size), np.uint8)  # each line starts with its filter type: 0, none
    lines[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def as_uri(file: bytes) -> str:
    """Return a PNG file as a data URI, which a page can use as the address of an image."""
    return f"data:image/png;base64,{b64encode(file).decode('ascii')}"


def pixels_about_0(rows: FloatArray, image_shape: tuple[int, ...]) -> Pixels:
    """Return rows as images in which 0 is mid-grey and the largest absolute value of each row is black or white."""
    largest = np.abs(rows).max(axis=1, keepdims=True)
    return _as_bytes(0.5 + 0.5 * rows / np.where(largest > 0, largest, 1), image_shape)


def pixels_between(rows: FloatArray, scale: tuple[float, float], image_shape: tuple[int, ...]) -> Pixels:
    """Return rows as images on a scale from black to white; values beyond the scale are clipped."""
    return _as_bytes(fractions_between(rows, *scale), image_shape)


def fractions_between(values: FloatArray, low: ArrayLike, high: ArrayLike) -> FloatArray:
    """Return (values − low) / (high − low), clipped to [0, 1].

    Where `high` is not larger than `low`, `low` + 1 takes its place. No finite input makes the computation overflow.

    Parameters
    ----------
    values, low, high : arrays that are broadcast together
        Values, and the ends of the ranges that are mapped to 0 and 1.

    Examples
    --------
    >>> fractions_between(np.array([-1.5e308, 0.0, 7.5e307, 1.7e308]), -1.5e308, 1.5e308)
    array([0.  , 0.5 , 0.75, 1.  ])
    """
    start, stop = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    stop = np.where(stop > start, stop, start + 1)
    (start, stop, numbers), _ = in_safe_units(np.array(np.broadcast_arrays(start, stop, np.clip(values, start, stop))))
    width = stop - start
    fractions: FloatArray = (numbers - start) / np.where(width > 0, width, 1)
    return fractions


def _as_bytes(fractions: FloatArray, image_shape: tuple[int, ...]) -> Pixels:
    return np.rint(255 * as_images(fractions, image_shape)).astype(np.uint8)
