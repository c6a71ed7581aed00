"""Mini-batches on a device: rows are gathered there, and J and its gradient stay there until they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.blocks import DeviceEngine
from rhohat.objective.batch import Task, UseOfPart
from rhohat.objective.batch_rows import BatchRows, Draws, Filling, Stock, allocated, parts_drawn
from rhohat.objective.evaluation import BlockEvaluation
from rhohat.objective.host_batches import HostBatches
from rhohat.objective.objective import Objective
from rhohat.objective.problem import Problem, bring
from rhohat.ops import NUMPY

__all__ = ["DeviceBatch", "DeviceBatches"]


class DeviceBatches:
    """Makes mini-batches of a problem on a device such as a GPU; these are the batches that `HostBatches` makes.

    The host draws what is random. Rows in memory are put on the device once if they fit there; others are gathered by
    the host and brought batch by batch.

    Parameters
    ----------
    problem : Problem
    engine : DeviceEngine
    draws : Draws
    cache_bytes : int
        Memory in bytes for hidden activations, if a mini-batch is evaluated in blocks of rows.

    Attributes
    ----------
    ops : Ops
        Primitives of the device, with which solvers update θ there.
    dtype : dtype
        Dtype of the arithmetic.
    """

    def __init__(self, problem: Problem, engine: DeviceEngine, draws: Draws, cache_bytes: int) -> None:
        self.ops, self.dtype = engine.device_ops, engine.dtype
        self._host = HostBatches(problem, engine.threads, draws, cache_bytes)
        self._problem = problem.on_device(self.ops, self.dtype, brought=False)
        self._corruption = problem.corruption
        self._engine, self._draws, self._cache_bytes = engine, draws, cache_bytes
        self._evaluations: dict[int, BlockEvaluation] = {}
        self._memories: dict[tuple[int, int], BatchRows] = {}
        self._are_there = False  # whether the rows have been put on the device

    def bring(self, rows: list[Any]) -> list[Any]:
        """Return rows in memory as the arrays that batches are gathered from: on the device, if there is room for them.

        Parameters
        ----------
        rows : list of array or None
            Those of `BatchRows`, without masks. Weights stay on the host, which adds them up.
        """
        X, y, weights, tangents = rows
        arrays = {id(array): array for array in (X, y, tangents) if array is not None}
        itemsize = self.ops.empty((0,), self.dtype).itemsize
        self._are_there = self._engine.has_room_for(itemsize * sum(prod(array.shape) for array in arrays.values()))
        if not self._are_there:
            return rows
        brought = {key: bring(array, self.ops, self.dtype) for key, array in arrays.items()}
        return [weights if array is weights else brought.get(id(array)) for array in rows]

    def stock(self, stock: Stock) -> Stock:
        """Return a stock of rows in memory with indices where the rows are."""
        if not self._are_there:
            return stock
        there, on_host = self.ops.row_numbers(stock.indices[0]), stock.indices[2]
        return stock._replace(indices=[there, there, on_host, there])

    def filling(self, stock: Stock, rows: slice, epoch: int, first: int, place: int) -> Filling:
        """Return memory for a batch, and the task that fills it; see `HostBatches.filling`."""
        if not self._are_there:
            return self._host.filling(stock, rows, epoch, first, place)
        n_rows, n_dropped = rows.stop - rows.start, self._draws.n_dropped
        if (n_rows, place) not in self._memories:
            self._memories[n_rows, place] = allocated(stock.arrays, n_rows, n_dropped, self._empty)
        memory, indices = self._memories[n_rows, place], [index[rows] for index in stock.indices]

        def fill(_: int) -> None:
            for source, index, out in zip(stock.arrays, indices, memory, strict=False):  # all but the masks
                if source is not None and out is not None:
                    (NUMPY if isinstance(source, np.ndarray) else self.ops).take(source, index, out)
            if self._corruption is not None:
                noise = self._drawn(self._draws.noise, memory.X.shape, epoch, first)
                self._corruption.apply(memory.X, noise)
            if memory.masks is not None:
                memory.masks[:] = self._drawn(self._draws.masks, memory.masks.shape, epoch, first)

        return Filling(memory, [fill])

    def fill(self, filling: Filling) -> None:
        """Run the tasks of a filling, which fill its memory."""
        self._host.fill(filling)

    def batch(
        self, memory: BatchRows, total_weight: float | None = None, meanwhile: Sequence[Task] = ()
    ) -> DeviceBatch:
        """Return the objective over rows in memory; mini-batches with equally many rows use the same evaluation."""
        arrays = (memory.X, memory.y, memory.tangents, memory.masks)
        X, y, tangents, masks = (None if array is None else self.ops.asarray(array, self.dtype) for array in arrays)
        problem, n_rows = self._problem.on_rows(X, y, memory.sample_weight, tangents, masks), len(memory.X)
        if n_rows not in self._evaluations:
            self._evaluations[n_rows] = BlockEvaluation(problem, self._engine, self._cache_bytes)
        evaluation = self._evaluations[n_rows]
        evaluation.set_problem(problem)
        return DeviceBatch(evaluation, total_weight)

    def _empty(self, like: Any, shape: tuple[int, ...]) -> Any:
        return np.empty(shape, like.dtype) if isinstance(like, np.ndarray) else self.ops.empty(shape, self.dtype)

    def _drawn(self, draw: Callable[..., None], shape: tuple[int, int], epoch: int, first: int) -> Any:
        """Return what the host draws for the rows of a batch, on the device."""
        numbers = np.empty(shape, self._host.dtype)
        for part in parts_drawn(shape[0]):
            draw(epoch, first + part.start, numbers[part])
        return self.ops.asarray(numbers, self.dtype)


class DeviceBatch:
    """The cost J(θ) of a network on a mini-batch that is on a device.

    Parameters
    ----------
    evaluation : BlockEvaluation
    total_weight : float or None
        The weight by which sums over rows are divided, as for `Objective`.

    Attributes
    ----------
    problem : Problem
        The problem on the rows of the batch.
    objective : Objective
        J and all its derivatives.
    meanwhile_is_done : bool
        False: the host fills the next batch when it has given the device this one to evaluate.
    """

    meanwhile_is_done = False

    def __init__(self, evaluation: BlockEvaluation, total_weight: float | None) -> None:
        self.problem, self.objective = evaluation.problem, Objective(evaluation, total_weight)
        self._ops, self._dtype = self.problem.cost.ops, self.problem.cost.dtype

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return J(θ) and ∇J(θ); see `Objective`."""
        return self.objective(theta)

    def evaluate(self, theta: FloatArray) -> tuple[float, FloatArray, dict[str, float]]:
        """Return J, ∇J and the terms of J; see `Objective.evaluate`."""
        return self.objective.evaluate(theta)

    def cost(self, theta: FloatArray) -> tuple[float, dict[str, float]]:
        """Return the cost J and its terms; see `Objective.cost`."""
        return self.objective.cost(theta)

    def evaluate_in_parts(self, theta: Any, use: UseOfPart) -> tuple[Any, dict[str, Any]]:
        """Return J and its terms as numbers on the device, and pass the whole gradient to `use`.

        The gradient is passed on even if J is not finite, because the host does not wait to know.
        """
        gradient, terms = self.objective.evaluate_there(theta)
        use(slice(0, len(gradient)), self._ops.asarray(gradient, self._dtype), 0)
        return sum(terms.values()), terms
