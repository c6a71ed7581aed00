"""Windows of rows, which give rows in a new random order in every epoch without reading single rows at random places.

An epoch's order is drawn in two steps. First, the rows are cut into chunks of successive rows, the chunks are put into
random order, and this order is cut into windows. A window fits into memory and holds chunks from all over the file.
Second, the rows of each window are shuffled. A window is read chunk by chunk, in the order of the file, while the
previous window is in use.
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

_CHUNK_BYTES = 2**21  # size of a chunk; larger chunks are hardly faster to read, and fewer of them fit into a window
_CHUNKS_IN_A_WINDOW = 16  # fewest chunks in a window, so that it mixes rows from this many places
_LONGEST_WAIT = 1.0  # seconds to wait for a thread that was told to stop


class Window(NamedTuple):
    """Rows in memory, and the order in which they are to be used.

    Attributes
    ----------
    batches : range
        Numbers of the epoch's mini-batches that consist of these rows.
    memory : list of arrays of shape (n_rows, n_columns)
        The rows of each source.
    order : array of shape (n_rows,)
        Indices of the rows in `memory`, in the order in which they are to be used.
    rows : array of shape (n_rows,)
        Numbers of the rows in the source, in the same order.
    """

    batches: range
    memory: list[FloatArray]
    order: NDArray[np.intp]
    rows: NDArray[np.intp]


class RowWindows:
    """A reader of rows of one or more sources, in windows.

    Parameters
    ----------
    sources : sequence of Rows
        Sources with the same number of rows; rows with the same number belong together.
    held_out : array of int
        Numbers of the rows that are left out, in ascending order.
    seed : int
        Seed of the order of the rows.
    window_bytes : int
        Memory in bytes for two windows: one is used while the next is read. A window holds at least one mini-batch.

    Attributes
    ----------
    sources
        The sources, as a list.
    n_rows : int
        Number of rows in an epoch: all rows except those held out.
    """

    def __init__(self, sources: Sequence[Rows], held_out: NDArray[np.intp], *, seed: int, window_bytes: int) -> None:
        self.sources, self._held_out, self._seed = list(sources), held_out, seed
        self._bytes_per_row = bytes_of_a_row(sources)
        self._rows_in_a_window = window_bytes // 2 // self._bytes_per_row
        self.n_rows = sources[0].shape[0] - len(held_out)

    def read(self, epoch: int, borders: NDArray[np.intp], first_batch: int = 0) -> Generator[Window]:
        """Yield the windows of an epoch; while one is in use, a thread reads the next.

        The order of the rows depends on the seed, the epoch, and shapes. Close the generator to stop the thread.

        Parameters
        ----------
        epoch : int
            Number of the epoch, counted from 0.
        borders : array of shape (n_batches + 1,)
            Position in the epoch's order at which each mini-batch begins, followed by the position at which the last
            mini-batch ends. A window holds whole mini-batches.
        first_batch : int, default=0
            Number of the mini-batch whose window is the first to be yielded.

        Yields
        ------
        Window
            A window, whose memory is valid until the next window is requested.

        Raises
        ------
        Exception
            Any error of reading the next window, raised when that window is requested.
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
        """Return all rows except those held out, in the order of the source; `window_bytes` does not limit them."""
        chunks, places = self._cut(self.n_rows), slice(0, self.n_rows)
        return self._read_window(chunks, places, range(1), self._allocate(self.n_rows), None, lambda: False)

    def take(self, rows: NDArray[np.intp]) -> Window:
        """Return the rows with the given numbers as a window."""
        return Window(range(1), [source.take(rows) for source in self.sources], np.arange(len(rows)), rows)

    def _cut(self, rows_in_a_window: int) -> NDArray[np.intp]:
        """Return the first row of each chunk and the end of the chunk, of shape (n_chunks, 2)."""
        n_rows = self.sources[0].shape[0]
        largest = max(1, min(_CHUNK_BYTES // self._bytes_per_row, rows_in_a_window // _CHUNKS_IN_A_WINDOW))
        together = max(source.rows_stored_together for source in self.sources)
        if together > largest:  # otherwise these rows would be unpacked again for each chunk
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
        """Read the rows at positions `places` of an epoch into `memory`, and return them as a window.

        Positions count the rows of all chunks, one chunk after another, without the rows held out. The rows are read
        in the order of the file. The order of the window is a random one from `draw`; if `draw` is None, it is the
        order of the file.
        """
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
                else:  # some of these rows are held out
                    np.take(source.read(start, stop), rows - start, axis=0, out=out, mode="clip")
            done += len(rows)
        rows = np.concatenate(pieces)
        order = np.arange(len(rows)) if draw is None else draw.permutation(len(rows))
        return Window(batches, memory, order, rows if draw is None else rows[order])

    def _pieces(self, chunks: NDArray[np.intp], places: slice) -> list[NDArray[np.intp]]:
        """Return the numbers of the rows at positions `places` of an epoch, an array per chunk, in the file's order."""
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
        """Return the numbers of a chunk's rows, except those held out."""
        held_out = self._held_out[slice(*np.searchsorted(self._held_out, chunk))]
        return np.delete(np.arange(*chunk), held_out - chunk[0])


class _Task:
    """A task that runs in a thread of its own and can be stopped before it is finished.

    Ctrl-C may interrupt the calling thread between any two steps; an operation of `SimpleQueue` is a single step.

    Parameters
    ----------
    function : callable(is_stopped)
        Function that returns a window; it calls `is_stopped()` now and then, and stops early if the result is true.
    """

    def __init__(self, function: Callable[[Callable[[], bool]], Window]) -> None:
        self._function, self._stopped, self._done, self._process = function, False, False, os.getpid()
        self._outcome: SimpleQueue[Window | BaseException] = SimpleQueue()

    def start(self) -> None:
        threading.Thread(target=self._run, name="rhohat reader", daemon=True).start()

    def result(self) -> Window:
        """Wait for the function and return its result, or raise its error; call this only once."""
        if os.getpid() != self._process and self._outcome.empty():  # the thread does not exist after a fork
            self._run()
        outcome = self._outcome.get()
        self._done = True
        try:
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome
        finally:
            del outcome  # avoids a reference cycle of the error and this frame

    def stop(self) -> None:
        """Tell the task to stop, and wait for it, but not for long: it may need a lock that the caller holds."""
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
    """Return the number of bytes that one row takes in all sources together."""
    return sum(source.shape[1] * source.dtype.itemsize for source in sources)


def read_all(source: Rows) -> FloatArray:
    """Return all rows of a source as an array, read in order."""
    out = empty_aligned(source.shape, source.dtype)
    for start in range(0, source.shape[0], source.rows_at_once):
        stop = min(start + source.rows_at_once, source.shape[0])
        source.read(start, stop, out[start:stop])
    return out


def even_edges(n: int, n_parts: int) -> NDArray[np.intp]:
    """Return `n_parts` + 1 edges that cut the range from 0 to n into nearly equal parts, the larger ones first."""
    parts = np.arange(n_parts + 1)
    return parts * (n // n_parts) + np.minimum(parts, n % n_parts)
