"""Labels from files of arrays."""

from __future__ import annotations

from os import PathLike, fspath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.data.rows.array_files import open_arrays
from rhohat.data.rows.stored import StoredArray

__all__ = ["open_labels"]


def open_labels(path: str | PathLike[str]) -> NDArray[Any]:
    """Read what is to be predicted for each row: a label, a number, or several numbers.

    Parameters
    ----------
    path : str or path-like
        A file with arrays, of any kind that `open_rows` reads: `.npy`, `.npz`, IDX (MNIST's format, gzipped or not),
        safetensors, HDF5, MATLAB, Zarr; told by its content. Where it holds several arrays, the name of one follows the
        path, as in ``"train.mat:/y"``; without a name, the labels are the only array of one dimension or one column.

    Returns
    -------
    array of shape (n_rows,) or (n_rows, n_targets)
        Integers as int64, floats and truth values as they are, texts as str. An array of one column, and MATLAB's
        vectors of one row, become (n_rows,). MATLAB's labels keep their numbers, which often begin at 1.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds no labels, or several arrays of which none was named, is damaged, or is a table.
    MissingExtraError
        If the package that reads the format is not installed.

    Examples
    --------
    >>> import tempfile
    >>> path = f"{tempfile.mkdtemp()}/digits.npz"
    >>> np.savez(path, images=np.zeros((3, 8, 8)), y=np.array([7, 2, 1], np.uint8))
    >>> open_labels(path), open_labels(f"{path}:/y")
    (array([7, 2, 1]), array([7, 2, 1]))
    """
    name = fspath(path)
    file, key = open_arrays(name, "labels")
    try:
        with file:
            array = file.choose(key, lambda array: _can_be_labels(array, file.is_matlab))
            labels = _as_labels(array.load(), name)
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} holds texts that are not in UTF-8: {error}.") from error
    if file.is_matlab and labels.ndim == 2 and len(labels) == 1:
        labels = labels[0]
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim not in (1, 2):
        raise ValueError(f"{name} holds an array of shape {labels.shape}; labels are one or several for each row.")
    return labels


def _can_be_labels(array: StoredArray, is_matlab: bool) -> bool:
    """Return whether an array is a vector, or a column; in MATLAB, where all vectors are matrices, perhaps a row."""
    shape = array.shape[1:] if is_matlab and array.shape[:1] == (1,) else array.shape
    return array.dtype.kind in "biufSUOT" and (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)) and shape[0] > 1


def _as_labels(labels: NDArray[Any], name: str) -> NDArray[Any]:
    """Return integers as int64, floats in the byte order of this machine, and texts as str."""
    kind = labels.dtype.kind
    if kind == "S" or (kind == "O" and all(isinstance(one, bytes) for one in labels.flat)):
        return np.char.decode(labels.astype(np.bytes_), "utf-8")
    if kind in "UT" or (kind == "O" and all(isinstance(one, str) for one in labels.flat)):
        return labels.astype(np.str_)
    if kind in "iu":
        if labels.size and labels.max() > np.iinfo(np.int64).max:
            raise ValueError(f"{name} holds integers that are too large for labels, up to {labels.max()}.")
        return labels.astype(np.int64)
    if kind in "bf":
        return labels.astype(labels.dtype.newbyteorder("="))
    raise ValueError(f"{name} holds neither numbers nor texts; its dtype is {labels.dtype}.")
