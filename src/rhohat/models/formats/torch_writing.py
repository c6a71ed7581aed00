"""Files that torch.load reads, written without PyTorch."""

from __future__ import annotations

import math
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.whole_files import replacing
from rhohat.models.formats.precision import as_precision

__all__ = ["write_state_dict"]

_FOLDER = "archive"
_STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
}
_DATE = (1980, 1, 1, 0, 0, 0)  # so that the same dictionary gives the same bytes


def write_state_dict(path: Path, arrays: Mapping[str, NDArray[Any]], precision: str) -> None:
    """Write arrays as an ordered dict of tensors, as torch.save does since version 1.6.

    Parameters
    ----------
    path : Path
        Path of the file, which is replaced as a whole.
    arrays : mapping of str to array
    precision : {"float64", "float32", "float16", "bfloat16"}
        Precision of those that hold floats; those of whole numbers stay as they are.

    Raises
    ------
    ValueError
        If a number is too large for the precision.
    """
    kinds = {name: precision if array.dtype.kind == "f" else str(array.dtype) for name, array in arrays.items()}
    stored = {
        name: as_precision(array, precision, name) if array.dtype.kind == "f" else array
        for name, array in arrays.items()
    }
    parts = [("data.pkl", _pickle_of(stored, kinds)), ("byteorder", b"little")]
    parts += [(f"data/{key}", np.ascontiguousarray(array).tobytes()) for key, array in enumerate(stored.values())]
    with replacing(path) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED) as archive:
        for name, content in [*parts, ("version", b"3\n")]:
            archive.writestr(zipfile.ZipInfo(f"{_FOLDER}/{name}", _DATE), content)


def _pickle_of(arrays: Mapping[str, NDArray[Any]], kinds: Mapping[str, str]) -> bytes:
    """Return the pickle of an ordered dict of tensors, whose numbers are in parts of the archive."""
    items = b"".join(
        _text(name) + _tensor(array, kinds[name], str(key)) for key, (name, array) in enumerate(arrays.items())
    )
    return pickle.PROTO + b"\x02" + _empty_dict() + pickle.MARK + items + pickle.SETITEMS + pickle.STOP


def _tensor(array: NDArray[Any], kind: str, key: str) -> bytes:
    """Return the instructions that make a tensor of a storage."""
    storage = _tuple(_text("storage"), _global("torch", _STORAGES[kind]), _text(key), _text("cpu"), _number(array.size))
    strides = [math.prod(array.shape[axis + 1 :]) for axis in range(array.ndim)]
    described = _tuple(
        storage + pickle.BINPERSID,
        _number(0),
        _tuple(*map(_number, array.shape)),
        _tuple(*map(_number, strides)),
        pickle.NEWFALSE,
        _empty_dict(),
    )
    return _global("torch._utils", "_rebuild_tensor_v2") + described + pickle.REDUCE


def _empty_dict() -> bytes:
    return _global("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE


def _tuple(*parts: bytes) -> bytes:
    return pickle.MARK + b"".join(parts) + pickle.TUPLE


def _global(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def _text(text: str) -> bytes:
    content = text.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(content)) + content


def _number(number: int) -> bytes:
    if -(2**31) <= number < 2**31:
        return pickle.BININT + struct.pack("<i", number)
    return pickle.LONG1 + b"\x08" + number.to_bytes(8, "little", signed=True)
