"""The arrays of .npz files of other libraries, which are checked before room is made for them."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import ModelFileError
from rhohat.models.formats.tensors import Tensors
from rhohat.models.formats.zip_errors import ZIP_ERRORS

__all__ = ["NpzFile"]

_MOST_ENTRIES = 1000
_LONGEST_HEADER = 2**14  # bytes of the description of an array
_FREE, _MOST_TIMES = 2**24, 40  # bytes that arrays may have together, beside so many times those of the file
#: What readers of zip archives and of arrays raise for damaged ones.
_DAMAGED = (*ZIP_ERRORS, zlib.error, TypeError, SyntaxError, KeyError, AttributeError)


class NpzFile(Tensors):
    """The arrays of a .npz file, which are read when they are taken.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ModelFileError
        If the file is not a .npz file, is damaged, or would be far larger when it is unpacked.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with zipfile.ZipFile(path) as archive:
                entries = archive.infolist()
        except _DAMAGED as error:
            raise ModelFileError(f"{path.name} is damaged, or is not a .npz file: {error}.") from None
        self._entries = {one.filename.removesuffix(".npy"): one for one in entries}
        if len(entries) > _MOST_ENTRIES or len(self._entries) != len(entries):
            raise ModelFileError(f"{path.name} has the same array twice, or more than {_MOST_ENTRIES:,} of them.")
        if sum(one.file_size for one in entries) > _FREE + _MOST_TIMES * path.stat().st_size:
            raise ModelFileError(f"{path.name} would be far larger when it is unpacked than arrays of weights are.")
        super().__init__(path.name, self._entries)

    def _read(self, name: str) -> FloatArray:
        entry = self._entries[name]
        try:
            with zipfile.ZipFile(self._path) as archive, archive.open(entry) as part:
                shape, in_columns, dtype = _description(part)  # type: ignore[arg-type]
                n_bytes = math.prod(shape) * dtype.itemsize
                if dtype.kind not in "fiu" or dtype.itemsize > 8 or n_bytes > entry.file_size:
                    raise ValueError(f"it holds {dtype}, or is larger than its part of the file")
                content = part.read(n_bytes + 1)
        except _DAMAGED as error:
            raise ModelFileError(f"the array {name[:60]!r} of {self._path.name} is damaged: {error}.") from None
        if len(content) != n_bytes:
            raise ModelFileError(f"the array {name[:60]!r} of {self._path.name} has not as many numbers as it says.")
        stored = np.frombuffer(content, dtype).reshape(shape, order="F" if in_columns else "C")
        return stored.astype(np.float64 if dtype.itemsize == 8 or dtype.kind in "iu" else np.float32, copy=False)


def _description(part: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return the shape of an array, whether it is stored column by column, and its type."""
    version = np.lib.format.read_magic(part)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, in_columns, dtype = read(part, max_header_size=_LONGEST_HEADER)
    if not all(type(size) is int and 0 <= size < 2**40 for size in shape) or dtype.hasobject:
        raise ValueError("its shape or type is impossible")
    return shape, in_columns, dtype
