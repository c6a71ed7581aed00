"""Reading bytes of a file at given positions, from several threads, without mapping the file into memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from errno import EACCES, EDQUOT, ENOENT, ENOSPC, EROFS
from gzip import GzipFile
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from rhohat.common.forks import ProcessLock

__all__ = ["PositionedFile", "Stamp"]

_CHUNK = 2**20
_WORTH_ADVICE = 2**18  # bytes; after a read of at least this size, the system is told what will be read next
_AHEAD = 2  # size of the announced read, as a multiple of the last read


class PositionedFile:
    """A file that is open for reading; a change of the file is noticed at the next read.

    It is not mapped into memory: a memory map would count towards the memory of the process, and would end the process
    if the file is truncated meanwhile.

    Parameters
    ----------
    path : Path
        Path of the file, also used in messages.
    file : binary file, default=None
        File that is already open, and is closed with this object. If None, the file at `path` is opened.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """

    def __init__(self, path: Path, file: IO[bytes] | None = None) -> None:
        self.path = path
        self._file: IO[bytes] = open(path, "rb", buffering=0) if file is None else file  # noqa: SIM115 - closed by `close`
        self._lock = ProcessLock()
        self._stamp = self._look()

    @classmethod
    def unpacked(cls, path: Path, packed: IO[bytes] | GzipFile) -> Self:
        """Return a temporary file without a name that holds the unpacked content of a compressed stream."""
        return cls._temporary(path, iter(lambda: packed.read(_CHUNK), b""))

    @classmethod
    def written(cls, path: Path, arrays: Iterable[np.ndarray[Any, Any]]) -> Self:
        """Return a temporary file without a name that holds the bytes of C-ordered arrays, one after the other."""
        return cls._temporary(path, (array.reshape(-1).view(np.uint8).data for array in arrays))

    @classmethod
    def _temporary(cls, path: Path, pieces: Iterable[bytes | memoryview]) -> Self:
        """Return a temporary file with the given bytes; if the disk is full, an OSError names the temporary folder."""
        file: IO[bytes] | None = None
        try:
            file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
            for piece in pieces:
                file.write(piece)
            file.flush()
        except BaseException as error:
            if file is not None:
                with suppress(OSError):  # closing tries to write the remaining bytes again
                    file.close()
            if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT, EROFS, EACCES, ENOENT):
                raise OSError(
                    f"{path} needs a temporary file, which cannot be written to {tempfile.gettempdir()}:"
                    f" {error.strerror}. Make room in this folder, or set the environment variable TMPDIR to another"
                    " one."
                ) from error
            raise
        return cls(path, file)

    @property
    def size(self) -> int:
        """Number of bytes in the file when it was opened."""
        return self._stamp[0]

    def read_into(self, position: int, out: np.ndarray[Any, Any]) -> None:
        """Fill a C-ordered array with the bytes of the file from a position on.

        Raises
        ------
        ValueError
            If the file is closed, has changed since it was opened, or ends before the array is full.
        """
        if self._file.closed:
            raise ValueError(f"{self.path} is closed; read its rows before the with statement ends.")
        if self._look() != self._stamp:
            raise ValueError(f"{self.path} changed while it was in use; start again, and leave the file unchanged.")
        buffer = out.reshape(-1).view(np.uint8).data
        while buffer:
            n_bytes = self._read_some(position, buffer)
            if n_bytes == 0:
                raise ValueError(f"{self.path} is truncated: it ends at byte {position}, within its rows.")
            position, buffer = position + n_bytes, buffer[n_bytes:]
        if out.nbytes >= _WORTH_ADVICE and hasattr(os, "posix_fadvise"):
            # Blocks are usually read in order: the system fetches the next blocks while this block is being processed.
            os.posix_fadvise(self._file.fileno(), position, _AHEAD * out.nbytes, os.POSIX_FADV_WILLNEED)

    def read(self, position: int, n_bytes: int) -> bytes:
        """Return `n_bytes` bytes from a position on, or fewer if the file ends before."""
        out = np.empty(max(0, min(n_bytes, self.size - position)), np.uint8)
        self.read_into(position, out)
        return out.tobytes()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _look(self) -> tuple[int, int]:
        found = os.fstat(self._file.fileno())
        return found.st_size, found.st_mtime_ns

    def _read_some(self, position: int, buffer: memoryview) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [buffer], position)
        with self._lock.here:
            self._file.seek(position)
            return self._file.readinto(buffer) or 0  # type: ignore[attr-defined]


class Stamp:
    """Size and modification time of a file that another library reads, to notice when the file changes.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._path, self._seen = path, self._look(path)

    def check(self) -> None:
        """Raise ValueError if the file has changed or does not exist any more."""
        try:
            same = self._look(self._path) == self._seen
        except OSError:
            same = False
        if not same:
            raise ValueError(f"{self._path} changed while it was in use; start again, and leave the file unchanged.")

    @staticmethod
    def _look(path: Path) -> tuple[int, int]:
        found = path.stat()
        return found.st_size, found.st_mtime_ns
