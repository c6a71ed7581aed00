"""The rows that dictionaries learn from, batch by batch: of arrays, of row sources, and of iterators."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rhohat.common.arrays import FloatArray, empty_aligned, float_dtype, without_tensors
from rhohat.common.blocks import in_memory
from rhohat.common.pieces import piece_of_rows
from rhohat.common.randomness import keyed_generator
from rhohat.objective.row_windows import RowWindows, bytes_of_a_row, even_edges, read_all

__all__ = ["MOST_SAMPLED", "BatchSource", "ShuffledBatches", "StreamedBatches", "width_of"]

#: Most rows of which means and norms are taken.
MOST_SAMPLED = 32_768


@runtime_checkable
class BatchSource(Protocol):
    """Where batches come from.

    Attributes
    ----------
    n_batches : int or None
        Number of batches in a pass over the rows; None if it is not known.
    n_passes_possible : int or None
        Number of passes that are possible; None if there may be any number of them.
    dtype : dtype
        Dtype of the batches, float32 or float64.
    widths : tuple of int
        Numbers of columns of the arrays in a batch.
    """

    n_batches: int | None
    n_passes_possible: int | None
    dtype: np.dtype[Any]
    widths: tuple[int, ...]

    def sample(self) -> list[FloatArray]:
        """Return some rows of each array, by which the start is chosen."""

    def batches(self, epoch: int, first_batch: int = 0) -> Iterator[list[FloatArray]]:
        """Yield the batches of a pass, from one on; an array is valid until the next batch is requested."""


class ShuffledBatches:
    """Batches of rows in random order, which differs in every pass.

    Rows that are not in memory are read once if they fit into `window_bytes`. Otherwise they are read in every pass,
    one window at a time, while the previous window is in use; see `RowWindows`.

    Parameters
    ----------
    sources : sequence of array or RowSource of shape (n_rows, n_columns)
        Input, and in a transcoder the output; all are arrays, or all are row sources.
    seed : int
        Seed of the order of the rows.
    batch_size : int
        Largest number of rows in a batch; the rows are shared as evenly as possible.
    window_bytes : int
        Memory for the rows that are read.

    Attributes
    ----------
    borders : array of shape (n_batches + 1,)
        Where each batch begins in the order of a pass, and then the number of rows.
    """

    def __init__(self, sources: list[Any], *, seed: int, batch_size: int, window_bytes: int = 2**28) -> None:
        n_rows = sources[0].shape[0]
        to_read: list[Any] = [source for source in sources if not in_memory(source)]
        if to_read and n_rows * bytes_of_a_row(to_read) <= window_bytes:
            sources, to_read = [read_all(source) for source in to_read], []
        self._sources: list[Any] = sources
        self._seed, self._windows = seed, None
        if to_read:
            self._windows = RowWindows(to_read, np.empty(0, np.intp), seed=seed, window_bytes=window_bytes)
        self.dtype = np.result_type(*(float_dtype(source.dtype) for source in sources))
        self.widths = tuple(source.shape[1] for source in sources)
        self.n_batches: int | None = -(-n_rows // batch_size)
        self.n_passes_possible: int | None = None
        self.borders = even_edges(n_rows, self.n_batches)
        self._memory: dict[int, list[FloatArray]] = {}

    @property
    def arrays(self) -> list[FloatArray] | None:
        """The arrays that batches are gathered from; None if rows are read window by window."""
        return self._sources if self._windows is None else None

    def order(self, epoch: int) -> NDArray[np.intp]:
        """Return the numbers of the rows in the order of a pass, for rows in memory."""
        return keyed_generator(self._seed, "shuffling", epoch).permutation(self._sources[0].shape[0])

    def sample(self) -> list[FloatArray]:
        """Return at most 32,768 of the rows, drawn at random, in the order in which they are stored."""
        n_rows = self._sources[0].shape[0]
        rows = np.arange(n_rows)
        if n_rows > MOST_SAMPLED:
            draw = keyed_generator(self._seed, "sample of rows")
            rows = draw.choice(n_rows, MOST_SAMPLED, replace=False, shuffle=False)
            rows.sort()
        taken = [source[rows] if in_memory(source) else source.take(rows) for source in self._sources]
        return [some.astype(self.dtype, copy=False) for some in taken]

    def batches(self, epoch: int, first_batch: int = 0) -> Iterator[list[FloatArray]]:
        """Yield the batches of a pass, from one on; an array is valid until the next batch is requested."""
        if self._windows is None:
            order = self.order(epoch)
            for start, stop in pairwise(self.borders[first_batch:].tolist()):
                yield self._gathered(self._sources, order[start:stop])
            return
        with closing(self._windows.read(epoch, self.borders, first_batch)) as windows:
            for window in windows:
                begin = self.borders[window.batches.start]
                for batch in window.batches:
                    if batch >= first_batch:
                        start, stop = self.borders[batch : batch + 2] - begin
                        yield self._gathered(window.memory, window.order[start:stop])

    def _gathered(self, arrays: Iterable[Any], rows: NDArray[np.intp]) -> list[FloatArray]:
        if len(rows) not in self._memory:
            self._memory[len(rows)] = [empty_aligned((len(rows), width), self.dtype) for width in self.widths]
        memory = self._memory[len(rows)]
        for array, out in zip(arrays, memory, strict=True):
            if array.dtype == self.dtype:
                # All indices are in range. With mode="raise", NumPy would write into a buffer first.
                np.take(array, rows, axis=0, out=out, mode="clip")
            else:
                out[:] = array[rows]
        return memory


class StreamedBatches:
    """Batches from an iterable that yields rows in pieces of any length, such as activations made on the fly.

    The rows are used in the order in which they come: once if they come from an iterator, and in every pass anew from
    an iterable that can be read again, such as PyTorch's DataLoader.

    Parameters
    ----------
    pieces : iterable of array-like of shape (any, n_columns)
    batch_size : int
        Number of rows in a batch; the last batch may have fewer.

    Raises
    ------
    ValueError
        If the iterator yields nothing, or something that is no two-dimensional array of real numbers with as many
        columns as the first.
    """

    def __init__(self, pieces: Iterable[Any], *, batch_size: int) -> None:
        self._all, self._batch_size = pieces, batch_size
        self._pieces: Iterator[Any] | None = iter(pieces)
        self.n_batches: int | None = None
        self.n_passes_possible: int | None = 1 if isinstance(pieces, Iterator) else None
        self._kept: list[FloatArray] = []
        self._n_seen, self._n_kept, self._width = 0, 0, 0
        self._dtype: np.dtype[Any] | None = None
        while self._n_kept < max(batch_size, min(MOST_SAMPLED, 8 * batch_size)) and self._take():
            pass
        if not self._kept:
            raise ValueError("the iterator of batches ended before it yielded any rows.")
        self.dtype, self.widths = self._kept[0].dtype, (self._width,)

    def sample(self) -> list[FloatArray]:
        """Return the rows that were read ahead, at most 32,768."""
        return [np.concatenate(self._kept)[:MOST_SAMPLED]]

    def batches(self, epoch: int, first_batch: int = 0) -> Generator[list[FloatArray]]:
        """Yield the batches of a pass; those of the first pass that is asked for begin with the rows read ahead.

        Warns
        -----
        UserWarning
            If the iterable yields no rows when it is read again.
        """
        number = 0
        if self._pieces is None:
            self._kept, self._n_kept, self._pieces = [], 0, iter(self._all)
        while True:
            while self._n_kept < self._batch_size and self._take():
                pass
            if not self._kept:
                self._pieces = None
                if number == 0:
                    self._warn_of_no_rows()
                return
            rows = np.concatenate(self._kept) if len(self._kept) > 1 else self._kept[0]
            batch, rest = rows[: self._batch_size], rows[self._batch_size :]
            self._kept, self._n_kept = [rest] if len(rest) else [], len(rest)
            if number >= first_batch:
                yield [np.ascontiguousarray(batch)]
            number += 1

    def _warn_of_no_rows(self) -> None:
        warnings.warn(
            f"the {type(self._all).__name__} of batches yielded no rows when it was read again, so that the training"
            " ends here. To read rows in several passes, pass an array, or an iterable that begins anew whenever iter()"
            " is called on it.",
            UserWarning,
            stacklevel=2,
        )

    def _take(self) -> bool:
        """Keep the next piece of rows, and return whether there was one."""
        assert self._pieces is not None
        try:
            piece = next(self._pieces)
        except StopIteration:
            return False
        rows = _as_rows(piece, self._dtype)
        self._dtype, self._width = rows.dtype, self._width or rows.shape[1]
        if rows.shape[1] != self._width:
            raise ValueError(
                f"the iterator of batches yielded rows of {rows.shape[1]} columns after row {self._n_seen:,}, but the"
                f" rows before had {self._width}."
            )
        if len(rows):
            self._kept.append(rows)
            self._n_seen, self._n_kept = self._n_seen + len(rows), self._n_kept + len(rows)
        return True


def width_of(source: Any) -> int:
    """Return the number of columns of rows, or of the first array in each batch of a source of batches."""
    return int(source.widths[0] if isinstance(source, BatchSource) else source.shape[1])


def _as_rows(piece: Any, dtype: DTypeLike | None) -> FloatArray:
    """Return a piece of an iterator as rows of floats."""
    rows = np.asarray(without_tensors(piece_of_rows(piece)))
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(
            f"the iterator of batches must yield two-dimensional arrays, with a row for each sample and at least one"
            f" column; got one of shape {rows.shape}."
        )
    if rows.dtype.kind not in "biufO":
        raise ValueError(f"the iterator of batches must yield real numbers; got an array of {rows.dtype}.")
    return np.ascontiguousarray(rows, dtype=float_dtype(rows.dtype) if dtype is None else dtype)
