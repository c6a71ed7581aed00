"""The rows of a mini-batch: the arrays that they are gathered from, the memory that they fill, and what is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.randomness import keyed_generator
from rhohat.objective.batch import Task
from rhohat.objective.problem import Problem

__all__ = ["ROWS_DRAWN", "BatchRows", "Draws", "Filling", "Stock", "allocated", "parts_drawn"]

#: Rows whose random numbers are drawn together, and that a thread fills at a time.
ROWS_DRAWN = 128


class BatchRows(NamedTuple):
    """The arrays of a problem; the first axis of each counts rows."""

    X: FloatArray
    y: FloatArray | None
    sample_weight: FloatArray | None
    tangents: FloatArray | None
    masks: FloatArray | None = None


class Stock(NamedTuple):
    """Arrays from which rows are gathered, and the indices of the rows in each array, in the order of their use."""

    arrays: BatchRows
    indices: list[NDArray[np.intp]]

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.indices[0])


class Filling(NamedTuple):
    """Memory for the rows of a batch, and the tasks that fill it, each of which takes the worker's index."""

    memory: BatchRows
    parts: list[Task]

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.memory.X)


@dataclass(frozen=True)
class Draws:
    """What is drawn at random for the rows of mini-batches, by the seed, the epoch and the place of a row.

    Attributes
    ----------
    problem : Problem
        The problem, whose corruption and whose layers of dropout need the numbers.
    seed : int
    """

    problem: Problem
    seed: int

    @property
    def n_dropped(self) -> int:
        """Number of units that dropout acts on."""
        return max((columns.stop for _, columns, _ in self.problem.network.dropped), default=0)

    def noise(self, epoch: int, first: int, out: FloatArray) -> None:
        """Overwrite the noise that corrupts some rows, at most 128; `first` is the place of the first in the epoch."""
        assert self.problem.corruption is not None
        self.problem.corruption.draw(keyed_generator(self.seed, "corruption of a batch", epoch, first), out)

    def masks(self, epoch: int, first: int, out: FloatArray) -> None:
        """Overwrite the masks of some rows: 0 where an activation is dropped, else 1 / (1 − probability)."""
        generator = keyed_generator(self.seed, "dropout in a batch", epoch, first)
        generator.random(dtype=out.dtype, out=out)
        for _, columns, rate in self.problem.network.dropped:
            out[:, columns] = (out[:, columns] >= rate) / (1 - rate)


def parts_drawn(n_rows: int) -> list[slice]:
    """Return the parts of a batch whose random numbers are drawn together."""
    return [slice(start, min(start + ROWS_DRAWN, n_rows)) for start in range(0, n_rows, ROWS_DRAWN)]


def allocated(arrays: BatchRows, n_rows: int, n_dropped: int, empty: Any) -> BatchRows:
    """Return uninitialised arrays like some, for `n_rows` rows, with masks for `n_dropped` activations a row.

    Parameters
    ----------
    arrays : BatchRows
    n_rows, n_dropped : int
    empty : callable(array, shape)
        Returns an uninitialised array of a shape that is otherwise like the given array.
    """
    made: list[Any] = [None if a is None else empty(a, (n_rows, *a.shape[1:])) for a in arrays[:-1]]
    made.append(empty(arrays.X, (n_rows, n_dropped)) if n_dropped else None)
    return BatchRows(*made)
