"""Mini-batches made in the memory of the host, by its threads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from rhohat.common.arrays import empty_aligned
from rhohat.common.blocks import Engine
from rhohat.objective.batch import BatchEvaluation, MiniBatch, Task, make_batch_evaluation
from rhohat.objective.batch_rows import ROWS_DRAWN, BatchRows, Draws, Filling, Stock, allocated, parts_drawn
from rhohat.objective.problem import Problem
from rhohat.ops import NUMPY

__all__ = ["HostBatches"]


class HostBatches:
    """Makes mini-batches of a problem in the memory of the host.

    Parameters
    ----------
    problem : Problem
    engine : Engine
        Engine that fills and evaluates the batches.
    draws : Draws
    cache_bytes : int
        Memory in bytes for hidden activations, if a mini-batch is evaluated in blocks of rows.

    Attributes
    ----------
    ops : Ops
        Primitives with which solvers update θ.
    dtype : dtype
        Dtype of the arithmetic.
    """

    ops = NUMPY

    def __init__(self, problem: Problem, engine: Engine, draws: Draws, cache_bytes: int) -> None:
        self.dtype: np.dtype[Any] = problem.X.dtype
        self._problem, self._engine, self._draws, self._cache_bytes = problem, engine, draws, cache_bytes
        self._evaluations: dict[int, BatchEvaluation] = {}
        self._memories: dict[tuple[int, int], BatchRows] = {}
        shape = (ROWS_DRAWN, problem.X.shape[1])
        self._noise = [empty_aligned(shape, self.dtype) for _ in range(engine.n_workers if problem.corruption else 0)]

    def bring(self, rows: list[Any]) -> list[Any]:
        """Return rows in memory as the arrays that batches are gathered from: themselves."""
        return rows

    def stock(self, stock: Stock) -> Stock:
        """Return a stock of rows in memory with indices where the rows are: itself."""
        return stock

    def filling(self, stock: Stock, rows: slice, epoch: int, first: int, place: int) -> Filling:
        """Return memory for a batch, and the tasks that gather its rows there and corrupt the inputs, part by part.

        Parameters
        ----------
        stock : Stock
            Arrays that the rows are gathered from.
        rows : slice
            Positions of the rows in the indices of the stock.
        epoch, first : int
            The epoch, and the position of the first of these rows in its order; they determine the corruption.
        place : {0, 1, 2, 3}
            Which memory to use. Mini-batches alternate between 0 and 1, as one is filled while another is evaluated;
            rows that are not a mini-batch of an epoch use 2, and those held out, if they stay in memory, 3.
        """
        n_rows = rows.stop - rows.start
        if (n_rows, place) not in self._memories:
            self._memories[n_rows, place] = allocated(stock.arrays, n_rows, self._draws.n_dropped, _empty)
        memory, indices = self._memories[n_rows, place], [index[rows] for index in stock.indices]
        corruption = self._problem.corruption

        def fill(part: slice, worker: int) -> None:
            for source, index, out in zip(stock.arrays, indices, memory, strict=False):  # all but the masks
                if source is not None and out is not None:
                    NUMPY.take(source, index[part], out[part])
            if corruption is not None:
                noise = self._noise[worker][: part.stop - part.start]
                self._draws.noise(epoch, first + part.start, noise)
                corruption.apply(memory.X[part], noise)
            if memory.masks is not None:
                self._draws.masks(epoch, first + part.start, memory.masks[part])

        return Filling(memory, [partial(fill, part) for part in parts_drawn(n_rows)])

    def fill(self, filling: Filling) -> None:
        """Run the tasks of a filling, which fill its memory, divided among threads; return when all are done."""
        indices = [slice(index, index + 1) for index in range(len(filling.parts))]
        self._engine.for_each(lambda index, worker: filling.parts[index.start](worker), indices)

    def batch(self, memory: BatchRows, total_weight: float | None = None, meanwhile: Sequence[Task] = ()) -> MiniBatch:
        """Return the objective over rows in memory; mini-batches with equally many rows use the same evaluation."""
        problem, n_rows = self._problem.on_rows(*memory), len(memory.X)
        if n_rows not in self._evaluations:
            self._evaluations[n_rows] = make_batch_evaluation(problem, self._engine, self._cache_bytes)
        evaluation = self._evaluations[n_rows]
        evaluation.set_problem(problem)
        return MiniBatch(evaluation, total_weight, meanwhile)


def _empty(like: Any, shape: tuple[int, ...]) -> Any:
    return empty_aligned(shape, like.dtype)
