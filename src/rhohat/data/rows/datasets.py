"""Rows of datasets that can be sliced, such as those of HDF5 and Zarr."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.extras import import_extra
from rhohat.common.forks import ProcessLock
from rhohat.data.rows.base import RowSource
from rhohat.data.rows.conventions import delivered_dtype
from rhohat.data.rows.positioned import Stamp
from rhohat.data.rows.stored import StoredArray, Unreadable

__all__ = ["DatasetArray", "DatasetRows", "find_datasets", "find_zarr", "is_zarr", "open_hdf5"]


class DatasetRows(RowSource):
    """Rows of a dataset, which is any object with a shape, a dtype, and slices that become arrays.

    Only one thread reads at a time: some of the underlying libraries would block other threads anyway, and some would
    fail.

    Parameters
    ----------
    dataset : object
        Dataset of shape (n_samples, ...); axes after the first are raveled.
    name : str
        Name of the dataset in messages.
    close : callable, default=None
        Function that closes the underlying file.
    path : Path, default=None
        Path of the underlying file, which is watched for changes.
    """

    def __init__(
        self, dataset: Any, name: str, close: Callable[[], None] | None = None, path: Path | None = None
    ) -> None:
        self._dataset, self._close, self._lock = dataset, close, ProcessLock()
        self._stamp = None if path is None else Stamp(path)
        super().__init__(name, dataset.shape, delivered_dtype(dataset.dtype, name))

    @property
    def rows_stored_together(self) -> int:
        """Number of rows of a chunk, if the dataset has chunks; else 1."""
        chunks = getattr(self._dataset, "chunks", None)
        return int(np.max(chunks[0])) if chunks else 1

    @property
    def is_watched(self) -> bool:
        """Whether the path of the underlying file is known, so that a change would be noticed."""
        return self._stamp is not None

    def close(self) -> None:
        """Close the file."""
        if self._close is not None:
            self._close()

    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        if self._stamp is not None:
            self._stamp.check()
        try:
            with self._lock.here:
                rows = np.asarray(self._dataset[start:stop])
        except (OSError, RuntimeError, KeyError) as error:
            raise ValueError(f"{self.name} cannot be read from row {start} on: {error}") from error
        if len(rows) != stop - start:
            raise ValueError(f"{self.name} changed while it was in use: rows {start} to {stop} are no longer there.")
        out[:] = rows.reshape(out.shape)


class DatasetArray(StoredArray):
    """A dataset in a file, which has not been read yet.

    Parameters
    ----------
    dataset : object
        Object with a shape, a dtype, and slices that become arrays.
    name : str
        Name of the dataset in messages.
    close : callable, default=None
        Function that closes the underlying file, called when the rows are closed.
    path : Path, default=None
        Path of the underlying file, which is watched for changes.
    """

    def __init__(
        self, dataset: Any, name: str, close: Callable[[], None] | None = None, path: Path | None = None
    ) -> None:
        self.shape, self.dtype = tuple(dataset.shape), np.dtype(dataset.dtype)
        self._dataset, self._name, self._close, self._path = dataset, name, close, path

    def rows(self) -> DatasetRows:
        """Return a source of the rows, which closes the file when it is closed."""
        return DatasetRows(self._dataset, self._name, self._close, self._path)

    def load(self) -> NDArray[Any]:
        """Return the whole array."""
        try:
            return np.asarray(self._dataset[...])
        except (OSError, RuntimeError, KeyError) as error:
            raise ValueError(f"{self._name} cannot be read: {error}") from error


def open_hdf5(path: Path, name: str, what: str) -> tuple[Any, dict[str, Any]]:
    """Open an HDF5 file, and return it with its groups and datasets by their names.

    Parameters
    ----------
    path : Path
    name, what : str
        Name of the file in messages, and the expected file format, such as "an HDF5 file".

    Raises
    ------
    ValueError
        If the file is damaged.
    MissingExtraError
        If h5py is not installed.
    """
    h5py = import_extra("h5py", "formats")
    items: dict[str, Any] = {}
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{name} cannot be read as {what}: {error}") from error
    try:
        file.visititems(items.__setitem__)
    except (OSError, RuntimeError, KeyError) as error:
        file.close()
        raise ValueError(f"{name} cannot be read as {what}: {error}") from error
    return file, items


def find_datasets(file: Any, items: dict[str, Any], path: Path, name: str) -> dict[str, StoredArray]:
    """Return the datasets of an open HDF5 file, by name."""
    return {key: _find_dataset(item, file, path, name) for key, item in items.items() if hasattr(item, "dtype")}


def _find_dataset(dataset: Any, file: Any, path: Path, name: str) -> StoredArray:
    is_text = import_extra("h5py", "formats").check_string_dtype(dataset.dtype) is not None
    if dataset.shape is None or (dataset.dtype.hasobject and not is_text):
        return Unreadable("no array", f"{name} holds neither numbers nor texts in its dataset {dataset.name}.")
    return DatasetArray(dataset.asstr("utf-8") if is_text else dataset, name, file.close, path)


def is_zarr(folder: Path) -> bool:
    """Return whether a folder is a Zarr store."""
    return any((folder / name).exists() for name in (".zarray", ".zgroup", "zarr.json"))


def find_zarr(path: Path, name: str) -> dict[str, StoredArray]:
    """Return the arrays of a Zarr store, including those in nested groups, by name."""
    zarr = import_extra("zarr", "formats")
    try:
        store = zarr.open(str(path), mode="r")
        if hasattr(store, "dtype"):
            return {"": DatasetArray(store, name)}
        members = store.members(max_depth=None)
    except Exception as error:  # the exceptions differ between stores
        raise ValueError(f"{name} cannot be read as a Zarr store: {error}") from error
    return {key: DatasetArray(member, name) for key, member in members if hasattr(member, "dtype")}
