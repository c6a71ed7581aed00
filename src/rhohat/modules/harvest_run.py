"""One run of a harvest: windows of texts pass through the model, and their rows are written until there are enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import SettingError
from rhohat.common.words import Sentence, Setting, counted
from rhohat.data.harvest_folder import HarvestRecord
from rhohat.fitting.memory import show_bytes
from rhohat.modules.harvest_rows import WindowRows, norms_of
from rhohat.modules.harvest_writer import HarvestWriter
from rhohat.modules.windows import Window

__all__ = ["HarvestRun", "HarvestState"]

_PART_BYTES = 2**27  # of the rows that a part of the harvest has
_PART_SECONDS = 120.0  # after which a part is written, however small, so that little is lost if the process is killed
_INDEX_BYTES = 16  # of the index, for each token, roughly


@dataclass(frozen=True)
class HarvestState:
    """How far a harvest is.

    Parameters
    ----------
    n_rows : int
        Number of rows so far.
    n_wanted : int
        Number of rows that are wanted.
    n_before : int
        Number of rows that were there when this run began.
    """

    n_rows: int
    n_wanted: int
    n_before: int


class HarvestRun:
    """One run of a harvest, from where its folder stands to its end.

    Parameters
    ----------
    writer : HarvestWriter
    rows : WindowRows
    n_rows : int
        Number of rows after which the harvest ends.
    context : int
        Largest number of tokens in a window.
    outliers : float or None
        Largest norm of a row, as a multiple of the median.
    progress : callable or None
        Called with a `HarvestState` after each batch.
    """

    def __init__(
        self,
        writer: HarvestWriter,
        rows: WindowRows,
        *,
        n_rows: int,
        context: int,
        outliers: float | None,
        progress: Callable[[HarvestState], None] | None,
    ) -> None:
        self._writer, self._rows, self._n_rows, self._context = writer, rows, n_rows, context
        self._outliers, self._progress, self._n_before = outliers, progress, writer.n_rows

    def __call__(self, windows: Iterator[Window]) -> HarvestRecord:
        """Harvest the windows that are not in the folder yet, and return the record.

        Parameters
        ----------
        windows : iterator of Window
            All windows of the texts, in order.

        Raises
        ------
        ValueError
            For the reasons given in `harvest`.
        """
        with self._writer as writer:
            if writer.n_rows >= self._n_rows:
                return writer.end("rows")
            first = next(windows, None)
            if first is None:
                raise ValueError("the texts hold no words: they are empty, or could not be read.")
            widths = self._rows.widths(first)
            width = sum(widths.values())
            self._check_room(width)
            writer.begin(widths)
            windows = chain([first], windows)
            writer.skip(windows)
            try:
                return writer.end(self._write_parts(windows, width))
            except BaseException:
                with suppress(OSError):  # what was reached is kept, also by Ctrl-C
                    writer.write_part()
                raise

    def _write_parts(self, windows: Iterator[Window], width: int) -> str:
        """Write parts until there are enough rows, and return why the harvest ends."""
        writer, written = self._writer, time.monotonic()
        while (n_wanted := self._n_rows - writer.n_rows) > 0:
            found = self._rows.some(windows, n_wanted, self._context, width, self._note)
            if not found:
                return "texts" if writer.write_part() else "bytes"
            self._set_medians([rows for _, _, rows in found])
            for window, positions, rows in found:
                writer.add(self._rows.finished(window, positions, rows, self._outliers, writer.medians))
                if writer.n_rows >= self._n_rows:
                    break
            if writer.bytes_held >= _PART_BYTES or time.monotonic() - written > _PART_SECONDS:
                if not writer.write_part():
                    return "bytes"
                written = time.monotonic()
        return "rows" if writer.write_part() else "bytes"

    def _set_medians(self, found: Sequence[dict[str, FloatArray]]) -> None:
        """Keep the median norms of the first rows, if they are needed and not yet known."""
        if self._outliers is None or self._writer.medians is not None:
            return
        norms = {name: np.concatenate([norms_of(rows[name]) for rows in found]) for name in found[0]}
        if all(len(some) for some in norms.values()):
            self._writer.medians = {name: float(np.median(some)) for name, some in norms.items()}

    def _note(self, n_more: int) -> None:
        if self._progress is not None:
            self._progress(HarvestState(self._writer.n_rows + n_more, self._n_rows, self._n_before))

    def _check_room(self, width: int) -> None:
        """Raise ValueError if the wanted rows need more than the disk budget, or than the disk has."""
        each = width * self._writer.itemsize + _INDEX_BYTES
        needed, (room, limit) = each * (self._n_rows - self._n_before), self._writer.room()
        if needed > room:
            n_most = self._n_before + max(0, room) // each
            raise SettingError(
                Sentence(
                    f"{counted(self._n_rows, 'row')} need about {show_bytes(needed)}, but {limit} leaves"
                    f" {show_bytes(max(0, room))}; pass at most ",
                    Setting("n_rows", n_most),
                    ".",
                )
            )
