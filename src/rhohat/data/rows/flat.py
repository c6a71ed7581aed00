"""Files that store rows one after the other as plain numbers: .npy, .npz, IDX, safetensors, which may be gzipped."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rhohat.common.arrays import FloatArray
from rhohat.data.folders import is_of_the_system
from rhohat.data.rows.base import RowSource
from rhohat.data.rows.conventions import delivered_dtype
from rhohat.data.rows.positioned import PositionedFile
from rhohat.data.rows.stored import StoredArray, Unreadable

__all__ = [
    "FlatArray",
    "FlatRows",
    "find_idx",
    "find_npy",
    "find_npz",
    "find_safetensors",
    "is_idx",
    "is_safetensors",
]

_IDX_DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_BFLOAT16 = "BF16"
_BYTES_AT_ONCE = 2**27  # size of a block of an array in Fortran order, whose rows are scattered over the file
_SAFETENSORS_DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8",
    "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8", _BFLOAT16: "<u2",
}  # fmt: skip
_LONGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors library
_LONGEST_NPY_HEADER = 2**16 + 12  # bytes; NumPy refuses headers that are longer than 10,000 bytes


class FlatRows(RowSource):
    """Rows that are stored one after the other in a file.

    Parameters
    ----------
    file : PositionedFile
        File with the rows, which is closed with this source.
    name : str
        Name of the rows in messages.
    position : int
        Position of the first row's first byte in the file.
    shape : sequence of int
        (n_samples, ...); axes after the first are raveled.
    stored : dtype-like
        The dtype of the numbers in the file.
    bfloat16 : bool, default=False
        Whether each stored number is the upper half of a float32.
    feature_names : sequence of str, default=None
        Names of the columns, if they have names.

    Raises
    ------
    ValueError
        If the numbers in the file are not real, or the file is too short for the rows.
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
                f"{name} is truncated: {self.shape[0]} rows of {self.shape[1]} numbers end at byte {end}, but the file"
                f" has only {file.size} bytes."
            )

    @classmethod
    def written(cls, blocks: Iterable[FloatArray], name: str, shape: Sequence[int], dtype: DTypeLike) -> Self:
        """Write rows to a temporary file without a name, and return its source; closing the source removes the file.

        Parameters
        ----------
        blocks : iterable of arrays of shape (n_rows, n_features)
            Successive rows, C-ordered.
        name : str
            Name of the rows in messages.
        shape : sequence of int
            Shape of all rows together.
        dtype : dtype-like
            The dtype of the blocks: float32 or float64.
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
        """Write rows to a temporary file as `written` does, if their number is known only after the last block.

        Raises
        ------
        ValueError
            If there are no rows.
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
        out[:] = _widened(numbers) if self._bfloat16 else numbers


class FlatArray(StoredArray):
    """An array whose numbers are stored one after the other in a file.

    Parameters
    ----------
    file : PositionedFile
        File with the numbers, which is closed with the rows of this array.
    name : str
        Name of the array in messages.
    position : int
        Position of the first number's first byte in the file.
    shape : sequence of int
    stored : dtype-like
        The dtype of the numbers in the file.
    fortran_order : bool, default=False
        Whether the index of the first axis varies fastest.
    bfloat16 : bool, default=False
        Whether each stored number is the upper half of a float32.
    """

    def __init__(
        self,
        file: PositionedFile,
        name: str,
        position: int,
        shape: Sequence[int],
        stored: DTypeLike,
        *,
        fortran_order: bool = False,
        bfloat16: bool = False,
    ) -> None:
        self.shape, self._stored = tuple(shape), np.dtype(stored)
        self.dtype = np.dtype(np.float32) if bfloat16 else self._stored
        self._file, self._name, self._position, self._bfloat16 = file, name, position, bfloat16
        self._fortran_order = fortran_order and sum(size > 1 for size in shape) > 1

    def rows(self) -> FlatRows:
        """Return a source of the rows, which closes the file when it is closed."""
        if self._fortran_order:
            dtype = delivered_dtype(self._stored, self._name)
            rows = FlatRows.written(self._blocks_of_columns(dtype), self._name, self.shape, dtype)
            self._file.close()
            return rows
        return FlatRows(self._file, self._name, self._position, self.shape, self._stored, bfloat16=self._bfloat16)

    def _blocks_of_columns(self, dtype: np.dtype[Any]) -> Iterator[FloatArray]:
        """Yield blocks of successive rows of an array in Fortran order, whose rows are scattered over the file."""
        self._check_length()
        n_rows, *inner = self.shape
        n_columns, size = prod(inner), self._stored.itemsize
        at_once = max(1, _BYTES_AT_ONCE // max(1, n_columns * size))
        for start in range(0, n_rows, at_once):
            columns = np.empty((n_columns, min(at_once, n_rows - start)), self._stored)
            for number, column in enumerate(columns):
                self._file.read_into(self._position + (number * n_rows + start) * size, column)
            rows = columns.reshape(*inner[::-1], -1).T.reshape(columns.shape[::-1])
            yield np.ascontiguousarray(rows, dtype=dtype)

    def _check_length(self) -> None:
        """Raise ValueError if the file is too short for the array."""
        end = self._position + prod(self.shape) * self._stored.itemsize
        if end > self._file.size:
            raise ValueError(
                f"{self._name} cannot be read: it is truncated; an array of shape {self.shape} ends at byte {end}, but"
                f" the file has only {self._file.size} bytes."
            )

    def load(self) -> NDArray[Any]:
        """Return the whole array."""
        if self._stored.hasobject:
            raise ValueError(
                f"{self._name} cannot be read as a NumPy array: it holds Python objects, which are never unpickled;"
                " save an array of numbers or texts instead."
            )
        self._check_length()
        numbers = np.empty(self.shape[::-1] if self._fortran_order else self.shape, self._stored)
        self._file.read_into(self._position, numbers)
        if self._bfloat16:
            numbers = _widened(numbers)
        return numbers.T if self._fortran_order else numbers


class _PackedArray(StoredArray):
    """A compressed array in a `.npz` file, which is unpacked into a temporary file to be read."""

    def __init__(self, file: PositionedFile, name: str, entry: zipfile.ZipInfo) -> None:
        self._file, self._name, self._entry = file, name, entry
        with open(file.path, "rb") as stream, zipfile.ZipFile(stream) as archive, archive.open(entry) as packed:
            array = _npy_at(file, name, 0, packed.read(_LONGEST_NPY_HEADER))
        self.shape, self.dtype = array.shape, array.dtype

    def rows(self) -> FlatRows:
        """Return a source of the rows, which closes the file when it is closed."""
        unpacked = self._unpacked()
        try:
            rows = _npy_at(unpacked, self._name, 0).rows()
        except BaseException:
            unpacked.close()
            raise
        self._file.close()
        return rows

    def load(self) -> NDArray[Any]:
        """Return the whole array."""
        unpacked = self._unpacked()
        try:
            return _npy_at(unpacked, self._name, 0).load()
        finally:
            unpacked.close()

    def _unpacked(self) -> PositionedFile:
        path = self._file.path
        with (
            _zip_errors(self._name),
            open(path, "rb") as stream,
            zipfile.ZipFile(stream) as archive,
            archive.open(self._entry) as packed,
        ):
            return PositionedFile.unpacked(path, packed)


def find_npy(file: PositionedFile, name: str) -> dict[str, StoredArray]:
    """Return the array of a `.npy` file."""
    return {"": _npy_at(file, name, 0)}


def find_npz(file: PositionedFile, name: str) -> dict[str, StoredArray]:
    """Return the arrays of a `.npz` file, by name."""
    with _zip_errors(name), open(file.path, "rb") as stream, zipfile.ZipFile(stream) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir() and not is_of_the_system(entry.filename)]
    if any(entry.filename == "[Content_Types].xml" for entry in entries):
        raise ValueError(
            f"{name} is an Excel workbook, or another document of an office program; save its table as CSV."
        )
    return {entry.filename.removesuffix(".npy"): _find_member(file, name, entry) for entry in entries}


def _find_member(file: PositionedFile, name: str, entry: zipfile.ZipInfo) -> StoredArray:
    try:
        with _zip_errors(name):
            if entry.compress_type != zipfile.ZIP_STORED:
                return _PackedArray(file, name, entry)
            # The array follows the local header, which repeats the name; its extra fields may differ from the entry's.
            name_length, extra_length = struct.unpack("<HH", file.read(entry.header_offset + 26, 4))
            return _npy_at(file, name, entry.header_offset + 30 + name_length + extra_length)
    except ValueError as error:
        return Unreadable("damaged", str(error))


@contextmanager
def _zip_errors(name: str) -> Iterator[None]:
    """Turn errors about a damaged archive into a ValueError that names the file."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, struct.error) as error:
        raise ValueError(f"{name} cannot be read as a .npz file: {error}.") from error


def find_idx(file: PositionedFile, name: str) -> dict[str, StoredArray]:
    """Return the array of an IDX file, the format of MNIST."""
    _, _, kind, n_axes = file.read(0, 4)
    header = file.read(4, 4 * n_axes)
    if kind not in _IDX_DTYPES or len(header) < 4 * n_axes:
        raise ValueError(f"{name} is not an IDX file, or its header is damaged.")
    return {"": FlatArray(file, name, 4 + 4 * n_axes, np.frombuffer(header, ">u4").tolist(), _IDX_DTYPES[kind])}


def find_safetensors(file: PositionedFile, name: str) -> dict[str, StoredArray]:
    """Return the tensors of a safetensors file, by name."""
    (length,) = struct.unpack("<Q", file.read(0, 8))
    if length > min(_LONGEST_HEADER, file.size - 8):
        raise ValueError(f"{name} is not a safetensors file, or it is truncated.")
    try:
        header: dict[str, Any] = json.loads(file.read(8, length))
        header.pop("__metadata__", None)
        return {key: _find_tensor(file, name, 8 + length, tensor) for key, tensor in header.items()}
    except (UnicodeDecodeError, json.JSONDecodeError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{name} has a damaged safetensors header: {error!r}.") from error


def _find_tensor(file: PositionedFile, name: str, start: int, tensor: dict[str, Any]) -> StoredArray:
    kind, shape, offsets = tensor["dtype"], tensor["shape"], tensor["data_offsets"]
    if kind not in _SAFETENSORS_DTYPES:
        known = ", ".join(_SAFETENSORS_DTYPES)
        return Unreadable(
            f"of the type {kind}", f"{name} holds numbers of the type {kind}; the known types are {known}."
        )
    stored = np.dtype(_SAFETENSORS_DTYPES[kind])
    if len(offsets) != 2 or offsets[0] < 0 or offsets[1] - offsets[0] != prod(shape) * stored.itemsize:
        raise ValueError(
            f"{name} has a damaged safetensors header: a tensor of shape {shape} and type {kind} does not fit the"
            f" offsets {offsets}."
        )
    return FlatArray(file, name, start + offsets[0], shape, stored, bfloat16=kind == _BFLOAT16)


def _npy_at(file: PositionedFile, name: str, position: int, header: bytes | None = None) -> FlatArray:
    """Return the array in NumPy's format that begins at a position; its header may be given if it was already read."""
    stream = io.BytesIO(file.read(position, _LONGEST_NPY_HEADER) if header is None else header)
    try:
        version = np.lib.format.read_magic(stream)
        # Version 3 differs from version 2 only in the names of fields, and arrays of records are refused anyway.
        read_header = np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
        shape, fortran_order, stored = read_header(stream)
    except (ValueError, EOFError, SyntaxError, TokenError) as error:
        raise ValueError(f"{name} cannot be read as a NumPy array: {error}") from error
    return FlatArray(file, name, position + stream.tell(), shape, stored, fortran_order=fortran_order)


def _widened(halves: NDArray[Any]) -> NDArray[np.float32]:
    """Return bfloat16 numbers, given as unsigned integers of 16 bits, as float32."""
    return (halves.astype(np.uint32) << 16).view(np.float32)


def is_idx(start: bytes) -> bool:
    """Return whether a file that starts with these bytes may be an IDX file."""
    return len(start) >= 4 and start[:2] == b"\0\0" and start[2] in _IDX_DTYPES and 1 <= start[3] <= 4


def is_safetensors(start: bytes) -> bool:
    """Return whether a file that starts with these bytes may be a safetensors file."""
    return len(start) >= 9 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= _LONGEST_HEADER
