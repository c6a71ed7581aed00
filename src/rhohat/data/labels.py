"""Reading labels from files: text tables, Parquet files, and files of arrays in any supported format."""

from __future__ import annotations

from contextlib import closing
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.data.rows.array_files import open_arrays
from rhohat.data.rows.kinds import open_file, path_and_key
from rhohat.data.rows.parquet import ParquetRows
from rhohat.data.rows.stored import StoredArray
from rhohat.data.tables.cells import is_missing_label
from rhohat.data.tables.labels import as_labels, read_text_labels

__all__ = ["open_labels"]


def open_labels(
    path: str | PathLike[str], *, n_samples: int | None = None, encoding: str | None = None, per_step: bool = False
) -> NDArray[Any]:
    """Read the target of each row from a file: a label, a number, or several numbers.

    Parameters
    ----------
    path : str or path-like
        A file in any format that `open_rows` reads, recognised by its content: `.npy`, `.npz`, IDX (MNIST's format,
        gzipped or not), safetensors, HDF5, MATLAB, Zarr; or a table, such as CSV or Parquet, with a line for each row.
        If the file holds several arrays or columns, the name of one can follow the path, as in ``"train.mat:/y"`` and
        ``"table.csv:/y"``. Without a name, the labels are the only array of one dimension or one column, or all columns
        of a table.
    n_samples : int, default=None
        Number of rows, if it is known. It decides whether the first line of a text file is a label or a column name.
    encoding : str, default=None
        Encoding of a text file; see `open_rows`.
    per_step : bool, default=False
        Whether each row is a sequence with targets for its steps. An array may then have the shape (n_rows, n_steps,
        n_targets), and numbers may be NaN for steps without targets.

    Returns
    -------
    array of shape (n_rows,) or (n_rows, n_targets); with `per_step`, also (n_rows, n_steps, n_targets)
        Integers are returned as int64, floats and booleans in their own dtype, and strings as str. An array of one
        column, and a MATLAB vector of one row, become (n_rows,). MATLAB's labels keep their numbers, which often begin
        at 1. Labels in a text file become numbers if all of them are plain numbers, such as 7 or -0.5, and if different
        labels stay different as numbers. Otherwise, as with 007 or 1E3, all of them remain strings.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file holds no labels, holds several arrays although the path names none of them, lacks a label, or is
        damaged.
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
    place, key = path_and_key(name)
    if place.is_file():
        file, kind = open_file(place, name, is_text=encoding is not None)
        with closing(file):
            if kind == "text":
                return read_text_labels(file, name, n_samples, key, encoding)
        if kind == "Parquet":
            return _parquet_labels(place, name, key)
    return _array_labels(name, per_step)


def _parquet_labels(path: Path, name: str, key: str | None) -> NDArray[Any]:
    values = ParquetRows.values_of(path, name, None if key is None else key.removeprefix("/"))
    return as_labels(values, name, are_texts=False)


def _array_labels(name: str, per_step: bool) -> NDArray[Any]:
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
    if per_step and labels.ndim in (2, 3):
        return labels
    if labels.ndim not in (1, 2):
        raise ValueError(
            f"{name} holds an array of shape {labels.shape}; labels must have one axis, or two if each row has several"
            " labels."
        )
    missing = np.flatnonzero([is_missing_label(label) for label in labels.flat])
    if len(missing):
        row = int(missing[0]) // (labels.size // len(labels))
        raise ValueError(
            f"y has missing values: {name} has no label for row {row}. Fill in missing labels, or leave out rows"
            " without a label."
        )
    return labels


def _can_be_labels(array: StoredArray, is_matlab: bool) -> bool:
    """Return whether an array is a vector or a column, or a row in a MATLAB file, where all vectors are matrices."""
    shape = array.shape[1:] if is_matlab and array.shape[:1] == (1,) else array.shape
    return array.dtype.kind in "biufSUOT" and (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)) and shape[0] > 1


def _as_labels(labels: NDArray[Any], name: str) -> NDArray[Any]:
    """Return integers as int64, floats and booleans in native byte order, and strings as str."""
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
