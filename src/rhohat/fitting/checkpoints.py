"""Checkpoints on disk: files in a folder, each of which is complete or does not exist.

A checkpoint is one file of numbers and arrays, which is written completely or not at all. After that, all checkpoints
but the newest two are deleted. So whenever a process or machine dies, the newest checkpoint is complete.
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
except ImportError:  # the platform has no such locks
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
        Folder of the checkpoints. It is created by `lock`, or when the first checkpoint is saved.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._lock: int | None = None
        self._damaged: set[Path] = set()

    def paths(self) -> list[Path]:
        """Return the paths of the checkpoints, newest first."""
        if not self.folder.is_dir():
            return []
        return sorted((path for path in self.folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)

    def newest(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Return the record and the arrays of the newest readable checkpoint, or None if there are no checkpoints.

        Warns
        -----
        CheckpointWarning
            If the newest file is damaged, and the checkpoint before it is used instead.

        Raises
        ------
        CheckpointError
            If there are checkpoint files, but none of them can be read.
        """
        paths = self.paths()
        for path in paths:
            try:
                found = read_tensor_file(path, _FORMAT)
            except Exception as error:  # reading a damaged file may raise any exception
                self._damaged.add(path)
                failure = f"{path} cannot be read: {error}"
                if path != paths[-1]:
                    warnings.warn(f"{failure}; the previous checkpoint is used.", CheckpointWarning, stacklevel=2)
            else:
                return found
        if paths:
            raise CheckpointError(f"{failure}. Delete {self.folder} to start anew.")
        return None

    def save(self, record: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Write a checkpoint, and delete all checkpoints but the newest two.

        Parameters
        ----------
        record : dict
            Values that JSON can represent.
        arrays : dict of str to array

        Raises
        ------
        OSError
            If the checkpoint cannot be written; earlier checkpoints stay unchanged.
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
        """Lock the folder against other fits, if the operating system and the file system support locks.

        The lock is held until `unlock` is called or the process ends.

        Raises
        ------
        CheckpointError
            If another fit uses the folder.
        OSError
            If the folder cannot be created.
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
                f"another fit is writing its checkpoints to {self.folder}; give each fit a folder of its own."
            ) from None
        except OSError:  # the file system does not support locks
            self.unlock()

    def unlock(self) -> None:
        """Release the lock on the folder, so that other fits can use it."""
        if self._lock is not None:
            with suppress(OSError):
                fcntl.flock(self._lock, fcntl.LOCK_UN)  # closing is not enough if a forked process has a copy
            os.close(self._lock)
            self._lock = None
