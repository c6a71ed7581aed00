"""Files in which rows lie one after the other as plain numbers: .npy, .npz, IDX, safetensors; gzipped ones too."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from rhohat.arrays import FloatArray
from rhohat.data.rows.base import RowSource, choose, delivered_dtype
from rhohat.data.rows.positioned import PositionedFile

__all__ = ["FlatRows", "is_idx", "is_safetensors", "open_idx", "open_npy", "open_npz", "open_safetensors"]

_IDX_DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_BFLOAT16 = "BF16"
_SAFETENSORS_DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8",
    "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8", _BFLOAT16: "<u2",
}  # fmt: skip
_LONGEST_HEADER = 100_000_000  # bytes; what the safetensors library allows
_LONGEST_NPY_HEADER = 2**16 + 12  # NumPy refuses longer ones than 10,000


class FlatRows(RowSource):
    """Rows that lie one after the other in a file.

    Parameters
    ----------
    file : PositionedFile
        Closed with this source.
    name : str
    position : int
        Of the first row's first byte.
    shape : sequence of int
        (n_samples, ...); axes after the first are raveled.
    stored : dtype-like
        Of the numbers in the file.
    bfloat16 : bool, default=False
        Whether what is stored is the upper half of a float32 each.
    feature_names : sequence of str, default=None

    Raises
    ------
    ValueError
        If they are no real numbers, or the file is too short for them.
    """

    def __init__(
        self,
        file: PositionedFile,
        name: str,
        position: int,
        shape: Sequence[int],
        stored: DTypeLike,
        *,
        bfloat16: bool = False,
        feature_names: Sequence[str] | None = None,
    ) -> None:
        self._file, self._position, self._stored, self._bfloat16 = file, position, np.dtype(stored), bfloat16
        dtype = np.dtype(np.float32) if bfloat16 else delivered_dtype(self._stored, name)
        super().__init__(name, shape, dtype, feature_names)
        end = position + prod(self.shape) * self._stored.itemsize
        if end > file.size:
            raise ValueError(
                f"{name} is truncated: {self.shape[0]} rows of {self.shape[1]} numbers end at byte {end}, and the file"
                f" has {file.size}."
            )

    @classmethod
    def written(cls, blocks: Iterable[FloatArray], name: str, shape: tuple[int, int], dtype: DTypeLike) -> Self:
        """Write rows into a temporary file without a name, to read them from there; it is gone when this is closed.

        Parameters
        ----------
        blocks : iterable of arrays of shape (n_rows, n_features)
            Successive rows, C-ordered.
        name : str
        shape : tuple of two int
            Of all rows together.
        dtype : dtype-like
            float32 or float64, that of the blocks.
        """
        file = PositionedFile.written(Path(name), blocks)
        try:
            return cls(file, name, 0, shape, dtype)
        except BaseException:
            file.close()
            raise

    @classmethod
    def written_to_the_end(
        cls,
        blocks: Iterable[FloatArray],
        name: str,
        n_features: int,
        dtype: DTypeLike,
        feature_names: Sequence[str] | None = None,
    ) -> Self:
        """Do what `written` does, for rows whose number is known only when the last block is there.

        Raises
        ------
        ValueError
            If there are none.
        """
        n_rows = 0

        def counted() -> Iterator[FloatArray]:
            nonlocal n_rows
            for block in blocks:
                n_rows += len(block)
                yield block

        file = PositionedFile.written(Path(name), counted())
        try:
            if n_rows == 0:
                raise ValueError(f"{name} has no row without missing values.")
            return cls(file, name, 0, (n_rows, n_features), dtype, feature_names=feature_names)
        except BaseException:
            file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read_into(self, start: int, stop: int, out: FloatArray) -> None:
        position = self._position + start * self.shape[1] * self._stored.itemsize
        if self._stored == out.dtype:
            self._file.read_into(position, out)
            return
        numbers = np.empty(out.shape, self._stored)
        self._file.read_into(position, numbers)
        out[:] = (numbers.astype(np.uint32) << 16).view(np.float32) if self._bfloat16 else numbers


def open_npy(file: PositionedFile, name: str) -> FlatRows:
    """Return the rows of a `.npy` file."""
    return _npy_at(file, name, 0)


def open_npz(file: PositionedFile, name: str, key: str | None) -> FlatRows:
    """Return the rows of an array in a `.npz` file; a compressed one is unpacked into a temporary file first."""
    try:
        with open(file.path, "rb") as stream, zipfile.ZipFile(stream) as archive:
            members = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            entry = members[choose(key, list(members), name)]
            if entry.compress_type == zipfile.ZIP_STORED:
                # Behind the local header, which repeats the name and may have other extras than the directory.
                name_length, extra_length = struct.unpack("<HH", file.read(entry.header_offset + 26, 4))
                return _npy_at(file, name, entry.header_offset + 30 + name_length + extra_length)
            with archive.open(entry) as packed:
                unpacked = PositionedFile.unpacked(file.path, packed)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, struct.error) as error:
        raise ValueError(f"{name} cannot be read as a .npz file: {error}.") from error
    try:
        rows = _npy_at(unpacked, name, 0)
    except BaseException:
        unpacked.close()
        raise
    file.close()
    return rows


def open_idx(file: PositionedFile, name: str) -> FlatRows:
    """Return the rows of an IDX file, the format of MNIST: images are raveled."""
    _, _, kind, n_axes = file.read(0, 4)
    header = file.read(4, 4 * n_axes)
    if kind not in _IDX_DTYPES or len(header) < 4 * n_axes:
        raise ValueError(f"{name} is no IDX file, or its header is damaged.")
    return FlatRows(file, name, 4 + 4 * n_axes, np.frombuffer(header, ">u4").tolist(), _IDX_DTYPES[kind])


def open_safetensors(file: PositionedFile, name: str, key: str | None) -> FlatRows:
    """Return the rows of a tensor in a safetensors file."""
    (length,) = struct.unpack("<Q", file.read(0, 8))
    if length > min(_LONGEST_HEADER, file.size - 8):
        raise ValueError(f"{name} is no safetensors file, or it is truncated.")
    try:
        header: dict[str, Any] = json.loads(file.read(8, length))
        header.pop("__metadata__", None)
        tensor = header[choose(key, list(header), name)]
        kind, shape, offsets = tensor["dtype"], tensor["shape"], tensor["data_offsets"]
    except (UnicodeDecodeError, json.JSONDecodeError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{name} has a damaged safetensors header: {error!r}.") from error
    if kind not in _SAFETENSORS_DTYPES:
        raise ValueError(f"{name} holds numbers of the type {kind}; known are {', '.join(_SAFETENSORS_DTYPES)}.")
    stored = np.dtype(_SAFETENSORS_DTYPES[kind])
    if len(offsets) != 2 or offsets[0] < 0 or offsets[1] - offsets[0] != prod(shape) * stored.itemsize:
        raise ValueError(f"{name} has a damaged safetensors header: {shape} of {kind} do not lie at {offsets}.")
    return FlatRows(file, name, 8 + length + offsets[0], shape, stored, bfloat16=kind == _BFLOAT16)


def _npy_at(file: PositionedFile, name: str, position: int) -> FlatRows:
    """Return the rows of an array in NumPy's format that begins at a position."""
    stream = io.BytesIO(file.read(position, _LONGEST_NPY_HEADER))
    try:
        version = np.lib.format.read_magic(stream)
        # Version 3 differs from 2 in the names of fields, and an array of records is refused anyway.
        read_header = np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
        shape, fortran_order, stored = read_header(stream)
    except (ValueError, EOFError, SyntaxError, TokenError) as error:
        raise ValueError(f"{name} cannot be read as a NumPy array: {error}") from error
    if fortran_order and sum(size > 1 for size in shape) > 1:
        raise ValueError(
            f"{name} is in Fortran order, so that a row is scattered over the file; save it anew with"
            " numpy.save(path, numpy.ascontiguousarray(array))."
        )
    return FlatRows(file, name, position + stream.tell(), shape, stored)


def is_idx(start: bytes) -> bool:
    """Return whether a file that starts with these bytes may be one of IDX."""
    return len(start) >= 4 and start[:2] == b"\0\0" and start[2] in _IDX_DTYPES and 1 <= start[3] <= 4


def is_safetensors(start: bytes) -> bool:
    """Return whether a file that starts with these bytes may be one of safetensors."""
    return len(start) >= 9 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= _LONGEST_HEADER
