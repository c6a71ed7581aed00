"""Safetensors files of other libraries, read and written in precisions that NumPy need not know."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import ModelFileError
from rhohat.common.whole_files import replacing
from rhohat.models.formats.precision import as_precision, bfloat16_as_float32
from rhohat.models.formats.tensors import Tensors

__all__ = ["TensorFile", "write_tensors"]

_LENGTH_BYTES = 8
_LONGEST_HEADER = 2**22  # bytes
_ALIGNMENT = 8

#: NumPy's types of the numbers in a file, by their names there; numbers of bfloat16 are read as their bits.
_TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
}
_WRITTEN = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}


class TensorFile(Tensors):
    """The tensors of a safetensors file, which are read when they are taken.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ModelFileError
        If the file is not a safetensors file, or is truncated or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.is_file():
            raise ModelFileError(f"the file {path.name}, which has the weights, is missing.")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            if not 2 <= length <= min(_LONGEST_HEADER, size - _LENGTH_BYTES):
                raise self._damaged("the length of its header is impossible")
            header = _parsed(file.read(length), path.name)
        self.metadata = header.pop("__metadata__", {})
        if not isinstance(self.metadata, dict) or not all(isinstance(one, str) for one in self.metadata.values()):
            raise self._damaged("its metadata are not texts")
        self._start = _LENGTH_BYTES + length
        self._places = self._checked(header, size - self._start)
        super().__init__(path.name, self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return self._places[name][1]

    def _read(self, name: str) -> FloatArray:
        kind, shape, start = self._places[name]
        if kind == "BOOL":
            raise ModelFileError(f"in {self.source}, the tensor {name!r} holds truth values instead of numbers.")
        with self._path.open("rb") as file:
            file.seek(self._start + start)
            stored = np.fromfile(file, _TYPES[kind], math.prod(shape)).reshape(shape)
        if kind == "BF16":
            return bfloat16_as_float32(stored)
        return stored.astype(np.float64 if kind in ("F64", "I64", "I32") else np.float32, copy=False)

    def _checked(self, header: dict[str, Any], n_bytes: int) -> dict[str, tuple[str, tuple[int, ...], int]]:
        """Return the type, the shape and the place of each tensor, which together are all bytes of the file."""
        places = {}
        for name, one in header.items():
            if not isinstance(one, dict) or set(one) != {"dtype", "shape", "data_offsets"}:
                raise self._damaged(f"its entry {name[:60]!r} does not describe a tensor")
            shape, offsets = one["shape"], one["data_offsets"]
            if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2 or len(shape) > 8:
                raise self._damaged(f"the shape or the place of the tensor {name[:60]!r} is impossible")
            if one["dtype"] not in _TYPES:
                raise ModelFileError(
                    f"in {self._path.name}, the tensor {name[:60]!r} holds numbers of the type"
                    f" {str(one['dtype'])[:20]!r}; rhohat reads {', '.join(_TYPES)}."
                )
            if offsets[1] - offsets[0] != math.prod(shape) * np.dtype(_TYPES[one["dtype"]]).itemsize:
                raise self._damaged(f"the size of the tensor {name[:60]!r} does not fit its shape")
            places[name] = (one["dtype"], tuple(shape), offsets)
        end = 0
        for start, stop in sorted(offsets for _, _, offsets in places.values()):
            if start != end:
                raise self._damaged("its tensors overlap, or leave gaps")
            end = stop
        if end != n_bytes:
            raise self._damaged("its tensors do not fill it; it may be truncated")
        return {name: (kind, shape, offsets[0]) for name, (kind, shape, offsets) in places.items()}

    def _damaged(self, why: str) -> ModelFileError:
        return ModelFileError(f"{self._path.name} is damaged, or is not a safetensors file: {why}.")


def write_tensors(
    path: Path, arrays: Mapping[str, FloatArray], precision: str, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors to a safetensors file, in a precision that NumPy need not know.

    Parameters
    ----------
    path : Path
        Path of the file, which is replaced as a whole.
    arrays : mapping of str to array
    precision : {"float64", "float32", "float16", "bfloat16"}
    metadata : mapping of str to str, default=None
        Texts that the header holds beside the tensors.

    Raises
    ------
    ValueError
        If a number is too large for the precision.
    """
    stored = {name: as_precision(array, precision, name) for name, array in arrays.items()}
    header: dict[str, Any] = {} if not metadata else {"__metadata__": dict(metadata)}
    start = 0
    for name, array in stored.items():
        place = [start, start + array.nbytes]
        header[name] = {"dtype": _WRITTEN[precision], "shape": list(array.shape), "data_offsets": place}
        start += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with replacing(path) as beside, beside.open("wb") as file:
        file.write(len(text).to_bytes(_LENGTH_BYTES, "little") + text)
        for array in stored.values():
            file.write(np.ascontiguousarray(array).data)


def _parsed(text: bytes, name: str) -> dict[str, Any]:
    """Return the header of a file."""

    def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        known = dict(pairs)
        if len(known) != len(pairs):
            raise ValueError("a name occurs twice")
        return known

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=without_repeats)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{name} is damaged, or is not a safetensors file: {error}") from None
    if not isinstance(header, dict):
        raise ModelFileError(f"{name} is damaged, or is not a safetensors file: its header does not name tensors.")
    return header


def _are_counts(numbers: Any) -> bool:
    return isinstance(numbers, list) and all(type(number) is int and 0 <= number < 2**48 for number in numbers)
