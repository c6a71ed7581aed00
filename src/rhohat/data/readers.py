"""Images from files: NumPy, MATLAB, and folders of image files."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from rhohat.arrays import FloatArray, as_float_rows
from rhohat.extras import import_extra

__all__ = ["IMAGE_SUFFIXES", "matlab_arrays", "read_image", "read_images"]

IMAGE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def read_images(
    path: str | PathLike[str],
    *,
    variable: str | None = None,
    image_axis: int | None = -1,
    color: bool = False,
) -> list[FloatArray]:
    """Read images from a `.npy` file, a MATLAB `.mat` file, or a folder of image files.

    Parameters
    ----------
    path : str or path-like
        A folder is read in the order of its file names; files that are no images, by their suffix, are passed over.
    variable : str, default=None
        The variable of a `.mat` file. None: the only one that can hold images.
    image_axis : int or None, default=-1
        The axis of the array that counts images, where it has three dimensions or more. The default reads the
        course's IMAGES, of shape (height, width, n_images). None: the array is a single image.
    color : bool, default=False
        For image files: RGB instead of grey.

    Returns
    -------
    list of arrays of shape (height, width) or (height, width, n_channels)
        Arrays keep their values, as float32 or float64; image files are scaled to [0, 1], float64.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If a file cannot be read as what its name says, or holds no images.
    MissingExtraError
        If image files are to be read and scikit-image is not installed.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "stack.npy"
    >>> np.save(path, np.zeros((16, 16, 3)))
    >>> len(read_images(path)), len(read_images(path, image_axis=None))
    (3, 1)
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}.")
    if path.is_dir():
        return _read_folder(path, color)
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return [read_image(path, color=color)]
    if suffix == ".npy":
        return _split(_load_npy(path), image_axis, path)
    if suffix == ".mat":
        return _split(_load_mat(path, variable), image_axis, path)
    raise ValueError(
        f"{path} is of no known kind; images are read from .npy, .mat, image files"
        f" ({', '.join(sorted(IMAGE_SUFFIXES))}) and folders of image files."
    )


def read_image(path: str | PathLike[str], *, color: bool = False) -> FloatArray:
    """Read one image file, scaled to [0, 1].

    Parameters
    ----------
    path : str or path-like
    color : bool, default=False
        RGB instead of grey. An alpha channel is blended with white.

    Returns
    -------
    array of shape (height, width), or (height, width, 3) with `color`, float64

    Raises
    ------
    ValueError
        If the file is no image, or one of several frames.
    MissingExtraError
        If scikit-image is not installed.
    """
    io = import_extra("skimage.io", "app")
    colors = import_extra("skimage.color", "app")
    util = import_extra("skimage.util", "app")
    is_tiff = Path(path).suffix.lower() in {".tif", ".tiff"}  # has a decoder of its own, found by the name
    try:
        with Path(path).open("rb") as file:  # given a name, decoders leave open what they cannot read
            image = util.img_as_float64(io.imread(path if is_tiff else file))
    except FileNotFoundError:
        raise
    except Exception as error:  # each decoder has exceptions of its own
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    if Path(path).suffix.lower() == ".gif" and image.shape[0] == 1:  # of one frame
        image = image[0]
    if image.ndim == 3 and image.shape[2] == 4:
        image = colors.rgba2rgb(image)
    if image.ndim == 3 and image.shape[2] == 2:  # grey with alpha
        image = image[..., 0] * image[..., 1] + (1 - image[..., 1])
    if image.ndim == 2:
        image = colors.gray2rgb(image) if color else image
    elif image.ndim == 3 and image.shape[2] == 3:
        image = image if color else colors.rgb2gray(image)
    else:
        raise ValueError(f"{path} is not a single grey or colour image; its array has the shape {image.shape}.")
    return as_float_rows(image)


def _read_folder(folder: Path, color: bool) -> list[FloatArray]:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise ValueError(
            f"the folder {folder} holds no image files; names must end in one of {sorted(IMAGE_SUFFIXES)}."
        )
    return [read_image(path, color=color) for path in paths]


def _load_npy(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be read as a NumPy array: {error}") from error


def matlab_arrays(path: Path) -> dict[str, Any]:
    """Return the arrays of real numbers in a MATLAB file, of two dimensions or more, by name.

    Raises
    ------
    ValueError
        If it cannot be read as a MATLAB file of version 7 or earlier.
    """
    from scipy.io import loadmat  # slow to import, and few need it

    try:
        content = loadmat(path)
    except NotImplementedError as error:
        raise ValueError(f"{path} is of MATLAB's version 7.3; save it with -v7 in MATLAB.") from error
    except Exception as error:  # a damaged file may raise anything
        raise ValueError(f"{path} cannot be read as a MATLAB file: {error}") from error
    return {
        name: value
        for name, value in content.items()
        if isinstance(value, np.ndarray) and value.dtype.kind in "buif" and value.ndim >= 2
    }


def _load_mat(path: Path, variable: str | None) -> Any:
    """Return the array of a MATLAB file that can hold images: of those that are no lone row or column."""
    arrays = {name: value for name, value in matlab_arrays(path).items() if min(value.shape[:2]) > 1}
    if variable is None and len(arrays) == 1:
        return next(iter(arrays.values()))
    if variable in arrays:
        return arrays[variable]
    raise ValueError(f"{path} holds the arrays {sorted(arrays)}; name one of them as variable (got {variable!r}).")


def _split(array: Any, image_axis: int | None, path: Path) -> list[FloatArray]:
    """Return the images in an array."""
    if array.dtype.kind not in "buif" or array.ndim not in (2, 3, 4) or array.size == 0:
        raise ValueError(
            f"{path} must hold numbers in two dimensions (one image), three or four (several); got an array of shape"
            f" {array.shape} and dtype {array.dtype}."
        )
    if image_axis is None and array.ndim == 4:
        raise ValueError(f"{path} holds an array of shape {array.shape}, which is no single image; give image_axis.")
    if array.ndim == 2 or image_axis is None:
        return [as_float_rows(array)]
    return [as_float_rows(image) for image in np.moveaxis(array, image_axis, 0)]
