"""Pictures of rows that are no pictures themselves, such as activations of a network: one image file for each row."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.extras import import_extra
from rhohat.common.words import counted
from rhohat.data import RowSource
from rhohat.data.image_files import read_image
from rhohat.data.readers import image_files
from rhohat.inspection.reporting.drawing import Pixels

__all__ = ["SIDE", "RowPictures"]

SIDE = 64  # pixels of the longer side of a picture on the page


class RowPictures:
    """The image files that rows come from, from which small pictures are made.

    Parameters
    ----------
    images : path of a folder, or sequence of paths
        One image file for each row of the source, or for each row that was found before some were left out. The files
        of a folder are taken in the order of their names.
    source : RowSource

    Raises
    ------
    ValueError
        If the number of files is not the number of rows, or `images` are no paths.
    FileNotFoundError
        If there is no such folder, or the first of the files is missing.
    MissingExtraError
        If the package that reads image files is not installed.
    """

    def __init__(self, images: Any, source: RowSource) -> None:
        import_extra("skimage", "app")
        paths = _paths_of(images)
        if source.kept is not None and len(paths) == source.n_rows_found:
            paths = [paths[row] for row in source.kept]
        if len(paths) != len(source):
            raise ValueError(
                f"images must be one image file for each of the {counted(len(source), 'row')} of {source.name}; got"
                f" {counted(len(paths), 'file')}."
            )
        if not paths[0].exists():
            raise FileNotFoundError(f"images: there is no file {paths[0]}.")
        self._paths = paths

    def pixels_of(self, rows: NDArray[np.intp]) -> Pixels:
        """Return small pictures of rows in colour, of shape (n_rows, 64, 64, 3), in the middle of a white square.

        Raises
        ------
        ValueError
            If a file cannot be read as an image.
        FileNotFoundError
            If there is no such file.
        """
        pixels = np.full((len(rows), SIDE, SIDE, 3), 255, np.uint8)
        for place, row in enumerate(rows.tolist()):
            small = _small(read_image(self._paths[row], color=True))
            top, left = ((SIDE - size) // 2 for size in small.shape[:2])
            pixels[place, top : top + small.shape[0], left : left + small.shape[1]] = small
        return pixels


def _paths_of(images: Any) -> list[Path]:
    if isinstance(images, str | PathLike):
        folder = Path(images)
        if not folder.is_dir():
            raise FileNotFoundError(
                f"images must be a folder of image files, or a list of paths; there is no {folder}."
            )
        return image_files(folder)
    if not isinstance(images, Sequence) or not all(isinstance(path, str | PathLike) for path in images):
        raise ValueError("images must be a folder of image files, or a list of paths, one for each row.")
    return [Path(path) for path in images]


def _small(image: NDArray[Any]) -> Pixels:
    """Return an image in [0, 1], of shape (height, width, 3), whose longer side has 64 pixels, as bytes."""
    factor = SIDE / max(image.shape[:2])
    shape = tuple(max(1, round(size * factor)) for size in image.shape[:2])
    resize = import_extra("skimage.transform", "app").resize
    small = resize(image, shape, order=1, anti_aliasing=factor < 1)
    pixels: Pixels = np.rint(255 * small.clip(0, 1)).astype(np.uint8)
    return pixels
