"""Rows of datasets that give slices of themselves, such as those of HDF5 and Zarr."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rhohat.arrays import FloatArray
from rhohat.data.rows.base import RowSource, choose, delivered_dtype
from rhohat.data.rows.positioned import Stamp
from rhohat.extras import import_extra
from rhohat.forks import ProcessLock

__all__ = ["DatasetRows", "open_hdf5", "open_zarr"]


class DatasetRows(RowSource):
    """Rows of a dataset: something with a shape, a dtype, and slices that become arrays.

    One thread reads at a time: of the libraries behind, some would hold the others up anyway, and some would fail.

    Parameters
    ----------
    dataset : object
        Of shape (n_samples, ...); axes after the first are raveled.
    name : str
    close : callable, default=None
        Closes the file behind.
    path : Path, default=None
        Of the file behind, which is watched for changes.
    """

    def __init__(
        self, dataset: Any, name: str, close: Callable[[], None] | None = None, path: Path | None = None
    ) -> None:
        self._dataset, self._close, self._lock = dataset, close, ProcessLock()
        self._stamp = None if path is None else Stamp(path)
        super().__init__(name, dataset.shape, delivered_dtype(dataset.dtype, name))

    @property
    def rows_stored_together(self) -> int:
        """Rows of a chunk, where the dataset has chunks."""
        chunks = getattr(self._dataset, "chunks", None)
        return int(np.max(chunks[0])) if chunks else 1

    @property
    def is_watched(self) -> bool:
        """Whether the path of the file behind is known."""
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
            raise ValueError(f"{self.name} cannot be read, from row {start} on: {error}") from error
        if len(rows) != stop - start:
            raise ValueError(f"{self.name} changed while it was in use: rows {start} to {stop} are no longer there.")
        out[:] = rows.reshape(out.shape)


def open_hdf5(path: Path, name: str, key: str | None) -> DatasetRows:
    """Return the rows of a dataset in an HDF5 file."""
    h5py = import_extra("h5py", "formats")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{name} cannot be read as an HDF5 file: {error}") from error
    try:
        found: list[str] = []
        file.visititems(
            lambda key, item: found.append(key) if isinstance(item, h5py.Dataset) and item.ndim > 1 else None
        )
        return DatasetRows(file[choose(key, found, name)], name, file.close, path)
    except BaseException:
        file.close()
        raise


def open_zarr(path: Path, name: str, key: str | None) -> DatasetRows:
    """Return the rows of an array in a Zarr store."""
    zarr = import_extra("zarr", "formats")
    try:
        store = zarr.open(str(path), mode="r")
    except Exception as error:  # stores differ in what they raise
        raise ValueError(f"{name} cannot be read as a Zarr store: {error}") from error
    if hasattr(store, "dtype"):
        return DatasetRows(store, name)
    try:
        found = store[key.removeprefix("/")] if key is not None else None
    except KeyError:
        found = None
    if not hasattr(found, "dtype"):
        found = store[choose(key, [member for member, _ in store.arrays()], name)]
    return DatasetRows(found, name)
