"""Checkpoints on disk: numbers and arrays in a folder, of which a reader sees all or nothing.

A checkpoint is one file, written as a whole or not at all; and then all but the newest two are deleted. So whenever a
process or machine dies, the newest checkpoint is a complete one.
"""

from __future__ import annotations

import os
import re
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from rhohat.common.exceptions import CheckpointError, CheckpointWarning
from rhohat.common.tensor_files import read_tensor_file, write_tensor_file

try:
    import fcntl
except ImportError:  # no locks there
    fcntl = None  # type: ignore[assignment]

__all__ = ["Checkpoints"]

_FORMAT = "rhohat checkpoint 1"
_NAME = re.compile(r"checkpoint-(\d{8})\.safetensors")
_UNFINISHED = "checkpoint.unfinished"
_KEPT = 2


class Checkpoints:
    """The checkpoints of a fit, in a folder of their own.

    Parameters
    ----------
    folder : path
        Made when the first checkpoint is saved.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._lock: int | None = None
        self._damaged: set[Path] = set()

    def paths(self) -> list[Path]:
        """Return the checkpoints, newest first."""
        if not self.folder.is_dir():
            return []
        return sorted((path for path in self.folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)

    def newest(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Return the record and the arrays of the newest checkpoint that can be read, or None where there is none.

        Warns
        -----
        CheckpointWarning
            Where the newest file is damaged, and the one before is taken in its place.

        Raises
        ------
        CheckpointError
            If there are files, and none can be read.
        """
        paths = self.paths()
        for path in paths:
            try:
                found = read_tensor_file(path, _FORMAT)
            except Exception as error:  # a damaged file may fail in many ways
                self._damaged.add(path)
                failure = f"{path} cannot be read: {error}"
                if path != paths[-1]:
                    warnings.warn(f"{failure}; the checkpoint before it is used.", CheckpointWarning, stacklevel=2)
            else:
                return found
        if paths:
            raise CheckpointError(f"{failure}. Delete {self.folder} to start anew.")
        return None

    def save(self, record: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Write a checkpoint, and delete those that are no longer among the newest two.

        Parameters
        ----------
        record : dict
            What JSON holds.
        arrays : dict of str to array

        Raises
        ------
        OSError
            If it cannot be written; earlier ones stay as they are.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        paths = self.paths()
        number = int(_NAME.fullmatch(paths[0].name)[1]) + 1 if paths else 1  # type: ignore[index]
        path = self.folder / f"checkpoint-{number:08d}.safetensors"
        write_tensor_file(path, _FORMAT, record, arrays, self.folder / _UNFINISHED)
        good = [path for path in paths if path not in self._damaged]
        for path in {*good[_KEPT - 1 :], *self._damaged}:
            path.unlink(missing_ok=True)
        self._damaged.clear()

    def lock(self) -> None:
        """Keep other processes from using the folder while this one lives, where the file system knows how.

        Raises
        ------
        CheckpointError
            If another fit uses it.
        OSError
            If the folder cannot be made.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if fcntl is None or self._lock is not None:
            return
        self._lock = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.unlock()
            raise CheckpointError(
                f"another fit writes its checkpoints to {self.folder} at this moment; give each fit a folder."
            ) from None
        except OSError:  # not there
            self.unlock()

    def unlock(self) -> None:
        """Let others use the folder."""
        if self._lock is not None:
            with suppress(OSError):
                fcntl.flock(self._lock, fcntl.LOCK_UN)  # a process that was forked meanwhile has the descriptor, too
            os.close(self._lock)
            self._lock = None
