"""Opening of a file of any supported format, or a Zarr store, to get the arrays in it."""

from __future__ import annotations

from pathlib import Path

from rhohat.data.rows.datasets import find_datasets, find_zarr, is_zarr, open_hdf5
from rhohat.data.rows.flat import find_idx, find_npy, find_npz, find_safetensors
from rhohat.data.rows.kinds import TABLES, open_file, path_and_key
from rhohat.data.rows.matlab import find_matlab, find_matlab73
from rhohat.data.rows.positioned import PositionedFile
from rhohat.data.rows.stored import ArrayFile

__all__ = ["arrays_of_file", "arrays_of_folder", "open_arrays"]

_FLAT = {"NumPy": find_npy, "zipped NumPy": find_npz, "IDX": find_idx, "safetensors": find_safetensors}


def open_arrays(text: str, what: str) -> tuple[ArrayFile, str | None]:
    """Open a file, or a Zarr store, that holds arrays.

    Parameters
    ----------
    text : str
        A path, optionally followed by the name of an array: ``"file.h5:/group/array"``.
    what : str
        Name of the expected content in messages, such as "images".

    Returns
    -------
    file : ArrayFile
        The open file, which the caller must close.
    key : str or None
        Name of the array that follows the path; None if there is none.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file holds no arrays, is damaged, or has another format than its name says.
    MissingExtraError
        If the package that reads the format is not installed.
    """
    path, key = path_and_key(text)
    if not text or not path.exists():
        raise FileNotFoundError(f"there is no file or folder {text}.")
    if path.is_dir():
        return arrays_of_folder(path, text), key
    file, kind = open_file(path, text)
    if kind in TABLES:
        file.close()
        raise ValueError(
            f"{text} holds no {what}: it is a {kind} file, but arrays of {what} are read from .npy, .npz, IDX,"
            " safetensors, HDF5, MATLAB and Zarr."
        )
    return arrays_of_file(file, kind, text, key), key


def arrays_of_folder(folder: Path, name: str) -> ArrayFile:
    """Return the arrays of a Zarr store."""
    if not is_zarr(folder):
        raise ValueError(f"{name} is a folder, but not a Zarr store; name a file in it.")
    return ArrayFile(str(folder), "Zarr", find_zarr(folder, name), lambda: None)


def arrays_of_file(file: PositionedFile, kind: str, name: str, key: str | None) -> ArrayFile:
    """Return the arrays of an open file; the file is closed if this fails.

    Parameters
    ----------
    file : PositionedFile
    kind : str
        Format of the file, as `kinds.open_file` returns it; the file must not be a table.
    name : str
        Name of the file in messages.
    key : str or None
        Name of the array that will be requested, so that the others need not be read.
    """
    try:
        if kind in _FLAT:
            return ArrayFile(str(file.path), kind, _FLAT[kind](file, name), file.close)
    except BaseException:
        file.close()
        raise
    path = file.path
    file.close()  # the other readers open the file themselves
    if kind == "MATLAB":
        return ArrayFile(str(path), kind, find_matlab(path, name, key), lambda: None)
    hdf5, items = open_hdf5(path, name, "an HDF5 file" if kind == "HDF5" else "a MATLAB file of version 7.3")
    try:
        if kind == "MATLAB 7.3" or any("MATLAB_class" in item.attrs for item in items.values()):
            return ArrayFile(str(path), "MATLAB 7.3", find_matlab73(hdf5, items, path, name), hdf5.close)
        return ArrayFile(str(path), kind, find_datasets(hdf5, items, path, name), hdf5.close)
    except BaseException:
        hdf5.close()
        raise
