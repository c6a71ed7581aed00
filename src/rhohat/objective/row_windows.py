"""Rows that are read in another order in every epoch, and yet not one by one from random places.

An epoch's order is made in two steps. The rows are cut into chunks of successive rows, and the chunks' order is drawn;
it is cut into windows, each of which holds chunks from all over the file and fits memory. Then the rows of a window are
shuffled. A window is read chunk by chunk, in the order of the file, while the one before it is used.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray, empty_aligned
from rhohat.common.blocks import Rows
from rhohat.common.randomness import keyed_generator

__all__ = ["RowWindows", "Window", "bytes_of_a_row", "even_edges", "read_all"]

_CHUNK_BYTES = 2**21  # read at a time: more is hardly faster, and less of it fits a window
_CHUNKS_IN_A_WINDOW = 16  # at least, that it mix rows from so many places
_LONGEST_WAIT = 1.0  # seconds, for a thread that was told to stop


class Window(NamedTuple):
    """Rows in memory, and in which order they are to be used.

    Attributes
    ----------
    batches : range
        Which mini-batches of the epoch are made of them.
    memory : list of arrays of shape (n_rows, n_columns)
        The rows of each source.
    order : array of shape (n_rows,)
        Where the rows stand in memory, in the order in which they are used.
    rows : array of shape (n_rows,)
        Their numbers in the source, in the same order.
    """

    batches: range
    memory: list[FloatArray]
    order: NDArray[np.intp]
    rows: NDArray[np.intp]


class RowWindows:
    """Rows of one or more sources, in windows.

    Parameters
    ----------
    sources : sequence of Rows
        As many rows each, which belong together.
    held_out : array of int
        Rows that are left out, ascending.
    seed : int
    window_bytes : int
        Memory for two windows: one is used while the next is read. A window holds one mini-batch at least.

    Attributes
    ----------
    sources
    n_rows : int
        In an epoch: all but those held out.
    """

    def __init__(self, sources: Sequence[Rows], held_out: NDArray[np.intp], *, seed: int, window_bytes: int) -> None:
        self.sources, self._held_out, self._seed = list(sources), held_out, seed
        self._bytes_per_row = bytes_of_a_row(sources)
        self._rows_in_a_window = window_bytes // 2 // self._bytes_per_row
        self.n_rows = sources[0].shape[0] - len(held_out)

    def read(self, epoch: int, borders: NDArray[np.intp], first_batch: int = 0) -> Generator[Window]:
        """Yield the windows of an epoch, each while the next one is read by a thread.

        The order of the rows depends on the seed, the epoch, and shapes. Close the generator to stop the thread.

        Parameters
        ----------
        epoch : int
        borders : array of shape (n_batches + 1,)
            Where the mini-batches begin in the epoch's order, and the last ends. A window holds whole mini-batches.
        first_batch : int, default=0
            The first window is the one that this mini-batch is in.

        Yields
        ------
        Window
            Its memory is good until the next one is asked for.

        Raises
        ------
        Exception
            What reading the next window raised, where that is asked for.
        """
        n_batches, largest_batch = len(borders) - 1, int(np.diff(borders).max())
        batches_at_once = max(1, self._rows_in_a_window // largest_batch)
        edges = even_edges(n_batches, -(-n_batches // batches_at_once))
        numbers = range(int(np.searchsorted(edges, first_batch, side="right")) - 1, len(edges) - 1)
        longest = int(np.diff(borders[edges]).max())
        memories = [self._allocate(longest) for _ in numbers[:2]]
        chunks = self._cut(max(self._rows_in_a_window, largest_batch))
        chunks = chunks[keyed_generator(self._seed, "order of chunks", epoch).permutation(len(chunks))]

        def task(number: int) -> _Task:
            batches = range(edges[number], edges[number + 1])
            places = slice(int(borders[batches.start]), int(borders[batches.stop]))
            draw = keyed_generator(self._seed, "order within a window", epoch, number)
            return _Task(partial(self._read_window, chunks, places, batches, memories[number % len(memories)], draw))

        ahead = None
        try:
            for number in numbers:
                if ahead is None:
                    ahead = task(number)
                    ahead.start()
                window, ahead = ahead.result(), None
                if number + 1 < numbers.stop:
                    ahead = task(number + 1)
                    ahead.start()
                yield window
        finally:
            if ahead is not None:
                ahead.stop()

    def read_all(self) -> Window:
        """Return all rows but those held out, in the order of the source; they take the memory that they take."""
        chunks, places = self._cut(self.n_rows), slice(0, self.n_rows)
        return self._read_window(chunks, places, range(1), self._allocate(self.n_rows), None, lambda: False)

    def take(self, rows: NDArray[np.intp]) -> Window:
        """Return some rows by their numbers."""
        return Window(range(1), [source.take(rows) for source in self.sources], np.arange(len(rows)), rows)

    def _cut(self, rows_in_a_window: int) -> NDArray[np.intp]:
        """Return where each chunk begins and ends, of shape (n_chunks, 2)."""
        n_rows = self.sources[0].shape[0]
        largest = max(1, min(_CHUNK_BYTES // self._bytes_per_row, rows_in_a_window // _CHUNKS_IN_A_WINDOW))
        together = max(source.rows_stored_together for source in self.sources)
        if together > largest:  # else they would be unpacked again for every chunk
            edges = np.append(np.arange(0, n_rows, together), n_rows)
        else:
            edges = even_edges(n_rows, -(-n_rows // largest))
        return np.column_stack([edges[:-1], edges[1:]])

    def _allocate(self, n_rows: int) -> list[FloatArray]:
        return [empty_aligned((n_rows, source.shape[1]), source.dtype) for source in self.sources]

    def _read_window(
        self,
        chunks: NDArray[np.intp],
        places: slice,
        batches: range,
        memory: list[FloatArray],
        draw: np.random.Generator | None,
        is_stopped: Callable[[], bool],
    ) -> Window:
        """Read what stands at some places of the order that chunks are in, and shuffle it, unless `draw` is None."""
        pieces = self._pieces(chunks, places)
        done = 0
        for rows in pieces:
            if is_stopped():
                break
            start, stop = int(rows[0]), int(rows[-1]) + 1
            for source, array in zip(self.sources, memory, strict=True):
                out = array[done : done + len(rows)]
                if len(rows) == stop - start:
                    source.read(start, stop, out)
                else:  # some are held out
                    np.take(source.read(start, stop), rows - start, axis=0, out=out, mode="clip")
            done += len(rows)
        rows = np.concatenate(pieces)
        order = np.arange(len(rows)) if draw is None else draw.permutation(len(rows))
        return Window(batches, memory, order, rows if draw is None else rows[order])

    def _pieces(self, chunks: NDArray[np.intp], places: slice) -> list[NDArray[np.intp]]:
        """Return the row numbers that stand at some places, by chunks; ascending, as files are read fastest."""
        counts = np.diff(chunks - np.searchsorted(self._held_out, chunks))[:, 0]
        ends = np.cumsum(counts)
        pieces = []
        for index in range(int(np.searchsorted(ends, places.start, side="right")), len(chunks)):
            first = int(ends[index] - counts[index])
            if first >= places.stop:
                break
            rows = self._rows_of(chunks[index])[max(0, places.start - first) : places.stop - first]
            if len(rows):
                pieces.append(rows)
        return sorted(pieces, key=lambda rows: int(rows[0]))

    def _rows_of(self, chunk: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the numbers of a chunk's rows but for those held out."""
        held_out = self._held_out[slice(*np.searchsorted(self._held_out, chunk))]
        return np.delete(np.arange(*chunk), held_out - chunk[0])


class _Task:
    """Something that a thread of its own does, and may be told to leave unfinished.

    Ctrl-C may strike the calling thread between any two steps; `SimpleQueue` is used in one step.

    Parameters
    ----------
    function : callable(is_stopped)
        Asks now and then whether it shall stop, and returns a window.
    """

    def __init__(self, function: Callable[[Callable[[], bool]], Window]) -> None:
        self._function, self._stopped, self._done, self._process = function, False, False, os.getpid()
        self._outcome: SimpleQueue[Window | BaseException] = SimpleQueue()

    def start(self) -> None:
        threading.Thread(target=self._run, name="rhohat reader", daemon=True).start()

    def result(self) -> Window:
        """Wait for what it returns, or raise what it raised; only once."""
        if os.getpid() != self._process and self._outcome.empty():  # the thread did not survive a fork
            self._run()
        outcome = self._outcome.get()
        self._done = True
        try:
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome
        finally:
            del outcome  # an error that refers to this frame, which would refer to it

    def stop(self) -> None:
        """Have it stop. Where that takes long, do not wait: who holds a lock that it needs may be the one who calls."""
        self._stopped = True
        if not self._done:
            with suppress(Empty):
                self._outcome.get(timeout=_LONGEST_WAIT)

    def _run(self) -> None:
        try:
            self._outcome.put(self._function(lambda: self._stopped))
        except BaseException as error:
            self._outcome.put(error)


def bytes_of_a_row(sources: Sequence[Rows]) -> int:
    """Return the memory that a row takes in all sources together."""
    return sum(source.shape[1] * source.dtype.itemsize for source in sources)


def read_all(source: Rows) -> FloatArray:
    """Return all rows of a source, read one after the other."""
    out = empty_aligned(source.shape, source.dtype)
    for start in range(0, source.shape[0], source.rows_at_once):
        stop = min(start + source.rows_at_once, source.shape[0])
        source.read(start, stop, out[start:stop])
    return out


def even_edges(n: int, n_parts: int) -> NDArray[np.intp]:
    """Return where so many nearly equal parts of 0 to n begin, and the last ends; the first are the larger ones."""
    parts = np.arange(n_parts + 1)
    return parts * (n // n_parts) + np.minimum(parts, n % n_parts)
