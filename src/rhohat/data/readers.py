"""Reading images from folders of image files, and from arrays in files."""

from __future__ import annotations

import warnings
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray, as_float_rows
from rhohat.common.words import Sentence, Setting
from rhohat.data.folders import files_of_data
from rhohat.data.image_files import IMAGE_SUFFIXES, read_image
from rhohat.data.rows.array_files import open_arrays
from rhohat.data.rows.datasets import is_zarr
from rhohat.data.rows.stored import ArrayFile, StoredArray, holds_numbers

__all__ = ["image_files", "read_images"]

_CHANNELS = (1, 3, 4)


def read_images(
    path: str | PathLike[str],
    *,
    variable: str | None = None,
    image_axis: int | str | None = "auto",
    color: bool = False,
    skip_unreadable: bool = False,
) -> list[FloatArray]:
    """Read images from a folder of image files, one image file, or an array in a file.

    Parameters
    ----------
    path : str or path-like
        One of these:

        * a folder, whose image files are read in the order of their names. Files without a suffix of image files, see
          below, are ignored, and so are files that the operating system puts there: hidden files, `._name`,
          `Thumbs.db`;
        * an image file, with a name that ends in .bmp, .gif, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .tiff or .webp;
        * a file with arrays, in any format that `open_rows` reads except tables: `.npy`, `.npz`, IDX, safetensors,
          HDF5, MATLAB, Zarr. If the file holds several arrays that can be images, the name of one follows the path:
          ``"train.mat:/X"``.
    variable : str, default=None
        Name of the array, if it does not follow the path.
    image_axis : int, None or "auto", default="auto"
        Axis of the array that counts the images; None if the array is one image. "auto" infers it from the shape:

        * an array of two dimensions, (height, width), is one image;
        * of four dimensions, the first or the last axis counts images, depending on where the channels are:
          (n, height, width, 3), (height, width, 3, n), or (n, 3, height, width). There may also be 1 or 4 channels;
        * of three dimensions, the axis whose length differs from the two others counts images: (n, 28, 28) or
          (512, 512, n). With `color`, (height, width, 3) is one image;
        * if several axes are still possible, it is the first axis in IDX files, and the last axis in MATLAB files. For
          other files it has to be given.
    color : bool, default=False
        Whether image files are read as RGB instead of grey levels. Arrays keep the channels that they have.
    skip_unreadable : bool, default=False
        Whether files of a folder that cannot be read are left out, with one warning that names them.

    Returns
    -------
    list of arrays of shape (height, width) or (height, width, n_channels)
        The images. Arrays keep their values, as float32 or float64. Image files are scaled to [0, 1], as float64:
        integers of 8 and 16 bits are divided by 255 and 65535; other integers and floats by the smallest of 1, 255,
        65535, 2³¹ − 1, 2³² − 1 and the largest integer of their type that no number in the file exceeds. Palettes and
        CMYK become RGB, transparent pixels are blended with white, and images whose orientation tag says that they are
        rotated or mirrored are turned upright.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If a file cannot be read, holds no images, or holds several arrays although none of them is named; or if the
        axis that counts images cannot be inferred.
    MissingExtraError
        If the package that reads the files is not installed.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "stack.npy"
    >>> np.save(path, np.zeros((16, 16, 3)))
    >>> len(read_images(path)), len(read_images(path, image_axis=None))
    (3, 1)
    """
    text = fspath(path)
    whole = Path(text)
    if whole.is_dir() and not is_zarr(whole):
        return _read_folder(whole, color, skip_unreadable)
    if whole.suffix.lower() in IMAGE_SUFFIXES:
        if not whole.exists():
            raise FileNotFoundError(f"there is no file or folder {text}.")
        return [read_image(whole, color=color)]
    file, key = open_arrays(text, "images")
    with file:
        if key is not None and variable is not None:
            raise ValueError(f"variable must be None if a name follows the path; got {variable!r} and the path {text}.")
        array = file.choose(key if variable is None else variable, _can_be_images).load()
        return _split(array, image_axis, file, text, color)


def image_files(folder: Path) -> list[Path]:
    """Return the files in a folder whose names end in a suffix of image files, such as .png, sorted by name."""
    return [path for path in files_of_data(folder) if path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir()]


def _read_folder(folder: Path, color: bool, skip_unreadable: bool) -> list[FloatArray]:
    paths = image_files(folder)
    if not paths:
        raise ValueError(
            f"the folder {folder} holds no image files; the names of image files end in"
            f" {', '.join(sorted(IMAGE_SUFFIXES)[:-1])} or {max(IMAGE_SUFFIXES)}."
        )
    images, problems = [], []
    for path in paths:
        try:
            images.append(read_image(path, color=color))
        except (ValueError, FileNotFoundError) as error:
            if not skip_unreadable:
                raise ValueError(
                    Sentence(
                        f"{_sentence(error)}; remove this file from the folder, or pass ",
                        Setting("skip_unreadable", True),
                        " to skip unreadable files.",
                    )
                ) from error
            problems.append(_sentence(error))
    if not images:
        raise ValueError(f"no image file in the folder {folder} can be read: {'; '.join(problems)}.")
    if problems:
        listed = "; ".join(problems)
        warnings.warn(f"{len(problems)} of {len(paths)} image files were skipped: {listed}.", stacklevel=3)
    return images


def _sentence(error: Exception) -> str:
    """Return the message of an error without its full stop, so that the sentence can be continued."""
    if isinstance(error, FileNotFoundError):
        return f"{error.filename} cannot be read as an image: it links to a file that does not exist"
    return str(error).removesuffix(".")


def _can_be_images(array: StoredArray) -> bool:
    """Return whether an array holds numbers in two to four dimensions, and is neither a single row nor a column."""
    return holds_numbers(array) and 2 <= len(array.shape) <= 4 and (len(array.shape) > 2 or min(array.shape) > 1)


def _split(array: Any, image_axis: int | str | None, file: ArrayFile, name: str, color: bool) -> list[FloatArray]:
    """Return the images in an array, each with its channels last, or raise ValueError if the array holds no images."""
    if array.dtype.kind not in "buif" or array.ndim not in (2, 3, 4) or array.size == 0:
        raise ValueError(
            f"{name} must hold numbers in two dimensions (one image), or in three or four (several images); got an"
            f" array of shape {array.shape} and dtype {array.dtype}."
        )
    axis = _find_image_axis(array.shape, file, name, color) if image_axis == "auto" else image_axis
    if axis is None and array.ndim == 4:
        raise ValueError(
            Sentence(
                f"{name} holds an array of shape {array.shape}, which is not a single image. Pass the axis that counts"
                " the images as ",
                Setting("image_axis"),
                ".",
            )
        )
    if array.ndim == 2 or axis is None:
        return [as_float_rows(array)]
    if not isinstance(axis, int | np.integer) or not -array.ndim <= axis < array.ndim:
        raise ValueError(
            Sentence(
                Setting("image_axis"),
                f" must be an axis of the array, from 0 to {array.ndim - 1}, None or 'auto'; got {axis!r}, which is out"
                f" of bounds for {name}, an array of shape {array.shape}.",
            )
        )
    return [as_float_rows(_with_channels_last(image)) for image in np.moveaxis(array, axis, 0)]


def _find_image_axis(shape: tuple[int, ...], file: ArrayFile, name: str, color: bool) -> int | None:
    """Return the axis that counts images, inferred from the shape of an array; None if the array is one image."""
    if len(shape) == 2 or (len(shape) == 3 and color and shape[-1] == 3):
        return None
    if file.kind == "IDX":
        return 0
    possible = _axes_by_squares(shape) if len(shape) == 3 else _axes_by_channels(shape)
    if len(possible) == 1:
        return possible.pop()
    if file.is_matlab:
        return -1
    raise ValueError(
        Sentence(
            f"{name} holds an array of shape {shape}, which does not tell which axis counts the images. Pass ",
            Setting("image_axis", 0),
            " for the first axis, or ",
            Setting("image_axis", -1),
            " for the last.",
        )
    )


def _axes_by_squares(shape: tuple[int, ...]) -> set[int]:
    """Return the axes of a three-dimensional array that can count images, if the images are square."""
    first, second, third = shape
    return {axis for axis, is_square in ((0, second == third), (-1, first == second)) if is_square}


def _axes_by_channels(shape: tuple[int, ...]) -> set[int]:
    """Return the axes that can count images, if an axis of length 3, or else of length 1 or 4, holds the channels."""
    layouts = ((3, 0), (2, -1), (1, 0))  # the axis of the channels, and the axis that counts images
    for numbers in ((3,), _CHANNELS):
        found = {axis for channels, axis in layouts if shape[channels] in numbers}
        if found:
            return found
    return set()


def _with_channels_last(image: Any) -> Any:
    """Return an image with its channels moved to the last axis, if its shape shows that they are on the first."""
    channels_first = image.ndim == 3 and image.shape[0] in _CHANNELS and image.shape[2] not in _CHANNELS
    return np.moveaxis(image, 0, -1) if channels_first else image
