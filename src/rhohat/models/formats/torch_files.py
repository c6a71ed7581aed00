"""Files of torch.save, in the layout of today and that before version 1.6, read without PyTorch, and never run."""

from __future__ import annotations

import math
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import ModelFileError
from rhohat.models.formats.precision import bfloat16_as_float32
from rhohat.models.formats.tensors import Tensors
from rhohat.models.formats.torch_pickles import LONGEST, PickledStorage, PickledTensor, read_pickle
from rhohat.models.formats.zip_errors import ZIP_ERRORS

__all__ = ["StateDict", "TorchFile"]

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # with which the older layout begins
_COUNT_BYTES = 8
_MOST_ENTRIES = 100_000
#: NumPy's types of the numbers in a storage; numbers of bfloat16 are read as their bits.
_TYPES = {
    "F64": "f8",
    "F32": "f4",
    "F16": "f2",
    "BF16": "u2",
    "I64": "i8",
    "I32": "i4",
    "I16": "i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "u1",
}


class TorchFile:
    """A file of torch.save: what it holds, and the numbers of its tensors, which are read when they are asked for.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    content : object
        What was saved: containers, numbers and texts, with a `PickledTensor` for each tensor.

    Raises
    ------
    ModelFileError
        If the file is none of torch.save; is damaged; or holds something else than tensors and plain containers.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._storages: _ZippedStorages | _StoragesInARow
        with path.open("rb") as file:
            is_zip = file.read(4) == b"PK\x03\x04"
        if is_zip:
            self._storages = _ZippedStorages(path)
        else:
            self._storages = _StoragesInARow(path)
        self.content = self._storages.content

    def numbers(self, tensor: PickledTensor) -> FloatArray:
        """Return the numbers of a tensor, as float32, or as float64 if they are of this type or whole numbers.

        Raises
        ------
        ModelFileError
            If the storage of the tensor is missing or damaged, or does not hold numbers.
        """
        storage, size = tensor.storage, math.prod(tensor.shape)
        if storage.kind == "BOOL":
            raise ModelFileError(f"{self.name} has truth values where numbers are needed.")
        stored = np.frombuffer(self._storages.read(storage), self._storages.byte_order + _TYPES[storage.kind])
        if stored.size != storage.n_numbers:
            raise ModelFileError(f"{self.name} has {stored.size} numbers where it should have {storage.n_numbers}.")
        strides = [stride * stored.itemsize for stride in tensor.strides]
        placed = np.lib.stride_tricks.as_strided(stored[tensor.offset :] if size else stored[:0], tensor.shape, strides)
        if storage.kind == "BF16":
            return bfloat16_as_float32(placed)
        return placed.astype(np.float64 if storage.kind in ("F64", "I64", "I32") else np.float32, copy=False)


class StateDict(Tensors):
    """The tensors of a state dict in a file of torch.save.

    Parameters
    ----------
    file : TorchFile
    found : object
        The state dict, a part of what the file holds.

    Attributes
    ----------
    others : dict of str to object
        Entries that are no tensors.
    """

    def __init__(self, file: TorchFile, found: Any) -> None:
        if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
            raise ModelFileError(f"{file.name} does not hold tensors by name.")
        self._file = file
        self._found = {name: one for name, one in found.items() if isinstance(one, PickledTensor)}
        self.others = {name: one for name, one in found.items() if name not in self._found}
        super().__init__(file.name, self._found)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return self._found[name].shape

    def _read(self, name: str) -> FloatArray:
        return self._file.numbers(self._found[name])


class _ZippedStorages:
    """The layout since version 1.6: a zip archive, whose parts are not compressed."""

    def __init__(self, path: Path) -> None:
        self._path, self._size = path, path.stat().st_size
        try:
            with zipfile.ZipFile(path) as archive:
                self._entries = archive.infolist()
        except ZIP_ERRORS as error:
            raise ModelFileError(f"{path.name} is damaged: {error}.") from None
        if len(self._entries) > _MOST_ENTRIES:
            raise ModelFileError(f"{path.name} has more than {_MOST_ENTRIES:,} parts.")
        ends = [one.filename for one in self._entries if one.filename.endswith("/data.pkl")]
        if len(ends) != 1:
            raise ModelFileError(f"{path.name} is a zip archive, but not one of torch.save, which has a part data.pkl.")
        self._folder = ends[0].removesuffix("data.pkl")
        self.content = read_pickle(BytesIO(self._part("data.pkl", LONGEST)))
        has_order = any(one.filename == f"{self._folder}byteorder" for one in self._entries)
        self.byte_order = ">" if has_order and self._part("byteorder", 16) == b"big" else "<"

    def read(self, storage: PickledStorage) -> bytes:
        """Return the bytes of a storage."""
        return self._part(f"data/{storage.key}", _bytes_of(storage))

    def _part(self, name: str, most: int) -> bytes:
        """Return a part of the archive, which has at most so many bytes; its checksum is checked."""
        entries = [one for one in self._entries if one.filename == f"{self._folder}{name}"]
        if len(entries) != 1:
            raise ModelFileError(f"{self._path.name} lacks the part {name[:60]!r}, or has it twice.")
        entry = entries[0]
        is_plain = entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & 0x1
        if not is_plain or entry.file_size != entry.compress_size or entry.file_size > min(most, self._size):
            raise ModelFileError(
                f"{self._path.name} has the part {name[:60]!r} in a form that torch.save does not write."
            )
        try:
            with zipfile.ZipFile(self._path) as archive, archive.open(entry) as part:
                return part.read()
        except ZIP_ERRORS as error:
            raise ModelFileError(f"the part {name[:60]!r} of {self._path.name} is damaged: {error}.") from None


class _StoragesInARow:
    """The layout before version 1.6: pickles, and after them the numbers of all storages, one after the other."""

    byte_order = "<"

    def __init__(self, path: Path) -> None:
        self._path, self._size = path, path.stat().st_size
        with path.open("rb") as file:
            head = BytesIO(file.read(LONGEST))
        refused = ModelFileError(f"{path.name} is not a file of torch.save, or it is damaged.")
        try:
            if read_pickle(head) != _MAGIC or read_pickle(head) != _PROTOCOL:
                raise refused
            about = read_pickle(head)
        except ModelFileError:
            raise refused from None
        if not isinstance(about, dict) or about.get("little_endian") is not True:
            raise ModelFileError(f"{path.name} was written on a machine with another order of bytes.")
        self._known: dict[str, PickledStorage] = {}
        self.content = read_pickle(head, self._known)
        keys = read_pickle(head)
        if not isinstance(keys, list) or len(keys) > _MOST_ENTRIES or not all(key in self._known for key in keys):
            raise refused
        self._places = self._places_of(keys, head.tell())

    def read(self, storage: PickledStorage) -> bytes:
        """Return the bytes of a storage."""
        if storage.view is not None:
            raise ModelFileError(f"{self._path.name} has a tensor that is part of another one's numbers.")
        if storage.key not in self._places:
            raise ModelFileError(f"{self._path.name} lacks numbers.")
        with self._path.open("rb") as file:
            file.seek(self._places[storage.key])
            return file.read(_bytes_of(storage))

    def _places_of(self, keys: list[str], start: int) -> dict[str, int]:
        """Return where the numbers of each storage begin; before them, the file says how many there are."""
        places: dict[str, int] = {}
        with self._path.open("rb") as file:
            for key in keys:
                file.seek(start)
                count = int.from_bytes(file.read(_COUNT_BYTES), "little", signed=True)
                places[key] = start + _COUNT_BYTES
                start = places[key] + _bytes_of(self._known[key])
                if count != self._known[key].n_numbers or start > self._size:
                    raise ModelFileError(f"{self._path.name} is truncated, or has other numbers than it says.")
        return places


def _bytes_of(storage: PickledStorage) -> int:
    return storage.n_numbers * np.dtype(_TYPES[storage.kind]).itemsize
