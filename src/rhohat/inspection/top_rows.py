"""The rows that activate units most, and the runs of rows among which they are looked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.data import RowSource

__all__ = ["TopRows", "blocks_of_runs", "runs_of_rows"]

_N_RUNS = 64  # number of runs in which rows are read if not all rows are measured
_BYTES_AT_ONCE = 2**25  # size of a block of rows or of their activations, whichever is larger


class TopRows:
    """The rows that activate each unit most, kept up to date block by block.

    Parameters
    ----------
    n_units : int
        Number of units.
    n_top : int
        Number of rows to keep for each unit.

    Attributes
    ----------
    rows : array of int, of shape (n_units, n_top)
        Row numbers, in descending order of activation; among equal activations, the earlier row comes first. Entries
        are −1 if there were fewer rows.
    activations : array of shape (n_units, n_top), float64
        Activations of these rows; −∞ if there were fewer rows.

    Examples
    --------
    >>> top = TopRows(n_units=2, n_top=2)
    >>> top.update(np.array([[0.1, 0.9], [0.5, 0.2]]), first=0)
    >>> top.update(np.array([[0.3, 0.2]]), first=2)
    >>> top.rows
    array([[1, 2],
           [0, 1]])
    """

    def __init__(self, n_units: int, n_top: int) -> None:
        self.rows: NDArray[np.intp] = np.full((n_units, n_top), -1)
        self.activations: FloatArray = np.full((n_units, n_top), -np.inf)

    def update(self, activations: FloatArray, first: int) -> None:
        """Add the activations of successive rows, which must come after the rows seen before.

        Parameters
        ----------
        activations : array of shape (n_rows, n_units)
            Activations of all units.
        first : int
            Number of the first row of the block.
        """
        n_top = self.rows.shape[1]
        # After a few blocks, a new block changes the top rows of few units; only these units are updated.
        units = np.flatnonzero(activations.max(axis=0) > self.activations[:, -1])
        pool = np.concatenate([self.activations[units], activations.T[units]], axis=1)  # (n_units, n_top + n_rows)
        kept, each = self.rows[units], np.arange(len(units))
        for place in range(n_top):
            # The first of equal activations wins: an earlier top row, then the earliest row of the block.
            winner = pool.argmax(axis=1)
            value = pool[each, winner]
            number = np.where(winner < n_top, kept[each, np.minimum(winner, n_top - 1)], first + winner - n_top)
            self.activations[units, place] = value
            self.rows[units, place] = np.where(value > -np.inf, number, -1)
            pool[each, winner] = -np.inf


def runs_of_rows(n_rows: int, most: int | None) -> list[tuple[int, int]]:
    """Return runs (start, stop) of successive rows to measure: `most` rows in total, or all rows if it is None.

    The runs are spread evenly over all rows, because the first rows may all be of one kind. There are few runs, because
    single rows of a compressed or a text file are slow to read.

    Examples
    --------
    >>> runs_of_rows(1000, None), runs_of_rows(1000, 3)
    ([(0, 1000)], [(0, 1), (333, 334), (666, 667)])
    """
    if most is None or most >= n_rows:
        return [(0, n_rows)]
    n_runs = min(_N_RUNS, most)
    edges = [number * most // n_runs for number in range(n_runs + 1)]
    skipped = [number * (n_rows - most) // n_runs for number in range(n_runs)]
    return [(skip + edges[number], skip + edges[number + 1]) for number, skip in enumerate(skipped)]


def blocks_of_runs(
    source: RowSource, runs: Sequence[tuple[int, int]], n_units: int
) -> Iterator[tuple[int, FloatArray]]:
    """Yield the rows of ranges, some at a time, so that their activations take little memory.

    Parameters
    ----------
    source : RowSource
        Rows.
    runs : sequence of tuples of two int
        Runs (start, stop) of successive rows.
    n_units : int
        Number of activations that are computed for each row.

    Yields
    ------
    first : int
        Number of the first row of the block.
    rows : array of shape (n_rows, n_features)
        The rows.
    """
    widest = max(source.shape[1], n_units) * source.dtype.itemsize
    at_once = int(np.clip(_BYTES_AT_ONCE // widest, 1, 8192))
    for begin, end in runs:
        for start in range(begin, end, at_once):
            yield start, source.read(start, min(start + at_once, end))
