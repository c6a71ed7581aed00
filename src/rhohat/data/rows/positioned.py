"""Bytes of a file by their position, read by several threads at a time, without mapping the file into memory."""

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
_WORTH_ADVICE = 2**18  # bytes read at a time, that make it worth to say what will be read next
_AHEAD = 2  # times as many


class PositionedFile:
    """A file that is open for reading, and watched: what changes it is noticed at the next read.

    A memory map would count towards the memory of the process, and end it where the file is cut short meanwhile.

    Parameters
    ----------
    path : Path
        For messages.
    file : binary file, default=None
        Already open, to be closed with this object. None opens the path.

    Raises
    ------
    OSError
        If it cannot be opened.
    """

    def __init__(self, path: Path, file: IO[bytes] | None = None) -> None:
        self.path = path
        self._file: IO[bytes] = open(path, "rb", buffering=0) if file is None else file  # noqa: SIM115 - closed by `close`
        self._lock = ProcessLock()
        self._stamp = self._look()

    @classmethod
    def unpacked(cls, path: Path, packed: IO[bytes] | GzipFile) -> Self:
        """Return a temporary file, without a name, of what a compressed stream holds."""
        return cls._temporary(path, iter(lambda: packed.read(_CHUNK), b""))

    @classmethod
    def written(cls, path: Path, arrays: Iterable[np.ndarray[Any, Any]]) -> Self:
        """Return a temporary file, without a name, of the bytes of C-ordered arrays, one after the other."""
        return cls._temporary(path, (array.reshape(-1).view(np.uint8).data for array in arrays))

    @classmethod
    def _temporary(cls, path: Path, pieces: Iterable[bytes | memoryview]) -> Self:
        """Return a temporary file of pieces of bytes; a full disk is an OSError that says which folder it is in."""
        file: IO[bytes] | None = None
        try:
            file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
            for piece in pieces:
                file.write(piece)
            file.flush()
        except BaseException as error:
            if file is not None:
                with suppress(OSError):  # what could not be written cannot be written now either
                    file.close()
            if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT, EROFS, EACCES, ENOENT):
                raise OSError(
                    f"{path} needs a temporary file, and it cannot be written to {tempfile.gettempdir()}:"
                    f" {error.strerror}. Make room there, or name another folder in the environment variable TMPDIR."
                ) from error
            raise
        return cls(path, file)

    @property
    def size(self) -> int:
        """Bytes in the file, as it was opened."""
        return self._stamp[0]

    def read_into(self, position: int, out: np.ndarray[Any, Any]) -> None:
        """Overwrite a C-ordered array with bytes from a position on.

        Raises
        ------
        ValueError
            If the file changed since it was opened, or ends before.
        """
        if self._file.closed:
            raise ValueError(f"{self.path} is closed; read its rows before the with statement ends.")
        if self._look() != self._stamp:
            raise ValueError(f"{self.path} changed while it was in use; start again with a file that stays as it is.")
        buffer = out.reshape(-1).view(np.uint8).data
        while buffer:
            n_bytes = self._read_some(position, buffer)
            if n_bytes == 0:
                raise ValueError(f"{self.path} ends at byte {position}, within its rows; it is truncated.")
            position, buffer = position + n_bytes, buffer[n_bytes:]
        if out.nbytes >= _WORTH_ADVICE and hasattr(os, "posix_fadvise"):
            # Blocks are read in order, as a rule: the system fetches the next ones while this one is computed on.
            os.posix_fadvise(self._file.fileno(), position, _AHEAD * out.nbytes, os.POSIX_FADV_WILLNEED)

    def read(self, position: int, n_bytes: int) -> bytes:
        """Return so many bytes, or as many as there are."""
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
    """Size and time of a file, to notice that it changed; for files that others read.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._path, self._seen = path, self._look(path)

    def check(self) -> None:
        """Raise ValueError where the file changed or is gone."""
        try:
            same = self._look(self._path) == self._seen
        except OSError:
            same = False
        if not same:
            raise ValueError(f"{self._path} changed while it was in use; start again with a file that stays as it is.")

    @staticmethod
    def _look(path: Path) -> tuple[int, int]:
        found = path.stat()
        return found.st_size, found.st_mtime_ns
