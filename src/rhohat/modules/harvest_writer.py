"""Writing of a harvest to its folder, part by part, so that a harvest that was killed can go on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rhohat.common.whole_files import replacing
from rhohat.common.words import Sentence, Setting
from rhohat.data.harvest_folder import (
    FORMAT,
    RECORD,
    ROWS,
    HarvestRecord,
    folder_of_layer,
    index_name,
    is_harvest,
    read_harvest_record,
    rows_name,
)
from rhohat.data.harvested import IndexedText, index_line
from rhohat.modules.windows import Window

try:
    import fcntl
except ImportError:  # the platform has no such locks
    fcntl = None  # type: ignore[assignment]

__all__ = ["HarvestWriter", "Harvested"]

_UNFINISHED = ".unfinished"  # name of a file until it is complete
_KEPT_FREE = 2**26  # bytes of the disk that are left to others
_HEADER = 2**10  # bytes, more than the header of a file of rows has


@dataclass(frozen=True)
class Harvested:
    """What a window of a text gave.

    Parameters
    ----------
    window : Window
    positions : list of int
        Places of its tokens that have rows, or [-1] for a row of the whole window; empty if it has none.
    rows : dict of str to array of shape (n_positions, n_features)
        Rows of each layer, in the dtype in which they are stored.
    n_outliers : int
        Number of rows that were left out because their norms are large.
    """

    window: Window
    positions: list[int]
    rows: dict[str, NDArray[Any]]
    n_outliers: int = 0

    @property
    def n_bytes(self) -> int:
        """Number of bytes of its rows."""
        return sum(array.nbytes for array in self.rows.values())


class HarvestWriter:
    """The folder of a harvest that is being written, to be used in a ``with`` statement.

    What is added is held in memory until `write_part` writes it: a file of rows for each layer, a file of the index,
    and then the record, which names complete parts only. Each file appears when it is whole. So whenever the process
    is killed, the harvest can go on from its last part.

    Parameters
    ----------
    folder : Path
        It is created if it does not exist.
    settings : dict
        What makes a harvest this one. If the folder has one already, its settings must be the same.
    model : str
        Name of the model.
    max_bytes : int, default=None
        Largest number of bytes of all files together; None if only the disk limits them.

    Raises
    ------
    ValueError
        If the folder holds something else, a harvest with other settings, or one that another process is writing.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], model: str, max_bytes: int | None = None) -> None:
        self.folder, self._settings, self._max_bytes = folder, settings, max_bytes
        self._held: list[Harvested] = []
        self._digest = hashlib.sha256()
        self._lock: int | None = None
        self._n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        self._content: dict[str, Any] = {
            "format": FORMAT,
            "model": model,
            "dtype": settings["dtype"],
            "layers": [],
            "shards": [],
            "n_rows": 0,
            "n_texts": 0,
            "n_windows": 0,
            "n_outliers": 0,
            "medians": None,
            "ended": None,
            "settings": settings,
            "texts_sha256": self._digest.hexdigest(),
        }
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder} is a file; name a folder for the harvest.")
        if is_harvest(folder):
            record = read_harvest_record(folder)
            if record.shards:  # one without rows is begun anew, perhaps with other settings
                _check_same(folder, record.content.get("settings"), settings)
                self._content = record.content
        elif folder.is_dir() and any(path.name != _UNFINISHED for path in folder.iterdir()):
            raise ValueError(f"{folder} holds something else than a harvest; name another folder.")

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.folder)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._lock is not None:
            os.close(self._lock)

    @property
    def n_rows(self) -> int:
        """Number of rows of each layer, those in memory included."""
        return int(self._content["n_rows"]) + sum(len(one.positions) for one in self._held)

    @property
    def bytes_held(self) -> int:
        """Number of bytes of the rows in memory."""
        return sum(one.n_bytes for one in self._held)

    @property
    def itemsize(self) -> int:
        """Number of bytes of a number that is stored."""
        return np.dtype(self._settings["dtype"]).itemsize

    def room(self) -> tuple[int, str]:
        """Return how many bytes may still be written, and what limits them."""
        there = next(path for path in (self.folder, *self.folder.absolute().parents) if path.is_dir())
        free = shutil.disk_usage(there).free - _KEPT_FREE
        if self._max_bytes is None or free < self._max_bytes - self._n_bytes:
            return free, "the disk"
        return self._max_bytes - self._n_bytes, "the disk budget"

    @property
    def medians(self) -> dict[str, float] | None:
        """Median norm of the rows of each layer, by which outliers are told; None until it is set."""
        return self._content["medians"]

    @medians.setter
    def medians(self, medians: dict[str, float]) -> None:
        self._content["medians"] = medians

    def begin(self, widths: dict[str, int]) -> None:
        """Write the record of a new harvest, before any other file; one that had ended is marked as going on.

        Parameters
        ----------
        widths : dict of str to int
            Number of columns of the rows of each layer.
        """
        if not self._content["layers"]:
            layers = [
                {"name": name, "folder": folder_of_layer(name), "n_features": width} for name, width in widths.items()
            ]
            self._commit({**self._content, "layers": layers})
        elif self._content["ended"] is not None:
            self._commit({**self._content, "ended": None})

    def skip(self, windows: Iterator[Window]) -> None:
        """Take the windows that are in the harvest already from an iterator of all.

        Raises
        ------
        ValueError
            If they are not the windows that were harvested.
        """
        for _ in range(self._content["n_windows"]):
            window = next(windows, None)
            if window is None:
                break
            _digest_window(self._digest, window)
        if self._digest.hexdigest() != self._content["texts_sha256"]:
            raise ValueError(
                f"the texts are not those that {self.folder} was begun with, so that it cannot go on; name another"
                " folder, or give it the same texts again. Further files may only come after the others."
            )

    def add(self, harvested: Harvested) -> None:
        """Hold what the next window gave in memory."""
        self._held.append(harvested)

    def write_part(self) -> bool:
        """Write what is held in memory as the next part, and return whether all of it fitted into the room.

        The rest stays in memory.
        """
        held, lines = self._fitting(self.room()[0])
        digest = self._digest.copy()
        for one in held:
            _digest_window(digest, one.window)
        content = {
            **self._content,
            "n_windows": self._content["n_windows"] + len(held),
            "n_outliers": self._content["n_outliers"] + sum(one.n_outliers for one in held),
            "texts_sha256": digest.hexdigest(),
        }
        if lines:
            self._write_files(held, lines)
            n_rows = sum(len(one.positions) for one in held)
            content["shards"] = [*content["shards"], {"n_rows": n_rows, "n_texts": len(lines)}]
            content["n_rows"], content["n_texts"] = content["n_rows"] + n_rows, content["n_texts"] + len(lines)
        fits = len(held) == len(self._held)
        self._commit(content)
        self._held, self._digest = self._held[len(held) :], digest
        return fits

    def end(self, reason: str) -> HarvestRecord:
        """Write why the harvest has ended into the record, and return it.

        Parameters
        ----------
        reason : {"rows", "texts", "bytes"}
            It has as many rows as wanted; there are no further texts; or there is no further room.

        Raises
        ------
        ValueError
            If the harvest has no rows.
        """
        if not self._content["shards"]:
            raise ValueError(
                "the disk budget has no room for any rows."
                if reason == "bytes"
                else "the texts gave no rows: they are empty, could not be read, or all of their rows are outliers."
            )
        self._commit({**self._content, "ended": reason})
        return read_harvest_record(self.folder)

    def _fitting(self, room: int) -> tuple[list[Harvested], list[bytes]]:
        """Return as many of the windows in memory as fit into so many bytes, and the lines of the index for them."""
        text, row = self._content["n_texts"], self._content["n_rows"]
        room -= _HEADER * (1 + max((len(one.rows) for one in self._held), default=0))
        lines: list[bytes] = []
        for number, one in enumerate(self._held):
            if not one.positions:
                continue
            window = one.window
            indexed = IndexedText(text, window.name, window.number, row, one.positions, window.tokens)
            line = index_line(indexed).encode("utf-8", "replace")  # half of a surrogate pair has no UTF-8
            room -= len(line) + one.n_bytes
            if room < 0:
                return self._held[:number], lines
            lines.append(line)
            text, row = text + 1, row + len(one.positions)
        return list(self._held), lines

    def _write_files(self, held: Sequence[Harvested], lines: Sequence[bytes]) -> None:
        from safetensors.numpy import save

        number = len(self._content["shards"])
        for name in held[0].rows:
            folder = self.folder / folder_of_layer(name)
            folder.mkdir(exist_ok=True)
            rows = np.concatenate([one.rows[name] for one in held])
            self._write(folder / rows_name(number), save({ROWS: rows}))
        self._write(self.folder / index_name(number), b"".join(lines))

    def _commit(self, content: dict[str, Any]) -> None:
        """Write the record, which makes it the state of the harvest."""
        self._write(self.folder / RECORD, json.dumps(content, indent=1).encode())
        self._content = content

    def _write(self, path: Path, content: bytes) -> None:
        before = path.stat().st_size if path.exists() else 0
        with replacing(path, path.with_name(_UNFINISHED)) as unfinished:
            unfinished.write_bytes(content)
        self._n_bytes += len(content) - before


def _digest_window(digest: Any, window: Window) -> None:
    """Add a window to a digest of all windows."""
    ids = np.array(window.inputs["input_ids"], "<i8").tobytes()
    digest.update(f"{window.number} {len(window)} ".encode() + ids)


def _check_same(folder: Path, theirs: Any, ours: dict[str, Any]) -> None:
    """Raise ValueError if a folder has a harvest with other settings."""
    theirs = theirs if isinstance(theirs, dict) else {}
    for name, value in ours.items():
        if theirs.get(name) != value:
            what = "model" if name.startswith("model") else name
            there = "" if what == "model" else f", which is {theirs.get(name)!r} there, and {value!r} now"
            raise ValueError(
                Sentence(f"{folder} holds a harvest with another ", Setting(what), there, "; name another folder.")
            )


def _locked(folder: Path) -> int | None:
    """Lock a folder against other processes, and return what must be closed; None where there are no locks."""
    if fcntl is None:
        return None
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise ValueError(f"another process is writing a harvest to {folder}; name another folder.") from None
    except OSError:  # the file system does not support locks
        with suppress(OSError):
            os.close(lock)
        return None
    return lock
