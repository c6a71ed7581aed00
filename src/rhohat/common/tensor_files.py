"""Safetensors files of arrays and a JSON record, written completely or not at all, and checked when they are read.

Arrays are stored as tensors. The record is stored as JSON in the metadata, together with a SHA-256 digest of the record
and the arrays.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rhohat.common.arrays import empty_aligned
from rhohat.common.whole_files import replacing

__all__ = ["read_format", "read_tensor_file", "write_tensor_file"]

_LENGTH_BYTES = 8
_LONGEST_HEADER = 10**8  # bytes; the limit of the safetensors library


def write_tensor_file(
    path: Path,
    file_format: str,
    record: dict[str, Any],
    arrays: Mapping[str, Any],
    unfinished: Path | None = None,
    longest_header: int = _LONGEST_HEADER,
) -> None:
    """Write a record and arrays to a file; if writing fails, an existing file stays as it was.

    Parameters
    ----------
    path : Path
        Path of the file, which is overwritten if it exists.
    file_format : str
        Name of the format, which must be passed to `read_tensor_file` to read the file.
    record : dict
        Values that can be stored as JSON.
    arrays : mapping of str to array
        Arrays by name.
    unfinished : Path, default=None
        Temporary path of the file until it is complete. None stands for a hidden file in the same folder.
    longest_header : int, default=100000000
        Largest length of the header in bytes.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If the record is too long for a header.
    """
    from safetensors.numpy import save

    contiguous = {name: _as_stored(np.asarray(array, order="C")) for name, array in arrays.items()}
    text = json.dumps(record, default=np.generic.item)  # NumPy's scalars are stored as Python's numbers
    metadata = {"format": file_format, "record": text, "sha256": _digest(text, contiguous)}
    content = save(contiguous, metadata=metadata)
    if int.from_bytes(content[:_LENGTH_BYTES], "little") > longest_header:
        raise ValueError(f"{path} would need a header of more than {longest_header} bytes, which could not be read.")
    with replacing(path, unfinished) as beside:
        beside.write_bytes(content)


def read_format(path: Path, longest_header: int = _LONGEST_HEADER) -> str | None:
    """Return the name of the format that a file declares, or None if it is not a safetensors file that declares one.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """
    try:
        with _opened(path, longest_header) as file:
            return (file.metadata() or {}).get("format")
    except OSError:
        raise
    except Exception:  # reading a file in another format can fail in many ways
        return None


def read_tensor_file(
    path: Path, file_format: str, longest_header: int = _LONGEST_HEADER
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the record and the arrays of a file.

    Raises
    ------
    Exception
        OSError if the file cannot be opened; an exception of any class if the file is damaged or has another format
        than `file_format`.
    """
    with _opened(path, longest_header) as file:
        metadata = file.metadata() or {}
        if metadata.get("format") != file_format:
            raise ValueError(f"the format of the file is {metadata.get('format', 'unknown')!r}, not {file_format!r}")
        arrays = {}
        for name in file.keys():  # noqa: SIM118 - the file is not a dict
            stored = file.get_tensor(name)
            arrays[name] = empty_aligned(stored.shape, stored.dtype)
            arrays[name][...] = stored
    if metadata.get("sha256") != _digest(metadata["record"], arrays):
        raise ValueError("the content of the file has changed since it was written, as its SHA-256 digest shows")
    return json.loads(metadata["record"]), arrays


def _as_stored(array: Any) -> Any:
    """Return an array in the native byte order, which safetensors requires."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _opened(path: Path, longest_header: int) -> Any:
    """Open a safetensors file, after checking that its header is short enough to be read into memory."""
    from safetensors import safe_open

    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        size = os.fstat(file.fileno()).st_size
    if not 2 <= length <= min(longest_header, size - _LENGTH_BYTES):
        raise ValueError(
            "the file is not a safetensors file, or it is truncated: the length of its header is impossible"
        )
    return safe_open(path, framework="numpy")


def _digest(text: str, arrays: Mapping[str, Any]) -> str:
    """Return a digest of the record and the arrays of a file."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(arrays[name].reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
