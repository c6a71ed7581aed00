"""Evaluations over rows that are held by the workers of a cluster.

The rows are cut into parts. A worker runs passes over the blocks of each part that it holds, and the cluster's engine
adds up the sums. Everything else, such as ρ̂ and the penalties, is computed in the process of the solver. Where the
rows are cut depends on shapes and, for rows that are on a cluster already, on the pieces they are stored in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, pairwise
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

import numpy as np

from rhohat.common.arrays import FloatArray, empty_aligned
from rhohat.common.blocks import ClusterEngine, Engine, Rows
from rhohat.common.forks import ProcessLock
from rhohat.objective.evaluation import BlockEvaluation, ScratchPool, scratch_of
from rhohat.objective.passes import Pass, SumActivations, Sums
from rhohat.objective.problem import Problem

__all__ = ["ClusterEvaluation"]

_WORK = 10**9  # multiply-adds of a forward pass over one part; an evaluation of it takes some tenths of a second
_FEWEST_PARTS, _MOST_PARTS = 8, 256

_numbers = count()


class ClusterEvaluation:
    """An evaluation that runs passes over rows held by the workers of a cluster.

    Parameters
    ----------
    problem : Problem
        The problem. If its rows were opened by a path, each worker opens that path. The workers then hold the rows in
        memory if all rows take no more than half of the workers' memory, and otherwise read them in every pass. Rows of
        a Dask array stay where they are. Any other rows are sent to the workers.
    engine : ClusterEngine
        Engine that holds the parts and adds up their sums, such as a `DaskEngine`.
    cache_bytes : int, default=1 GiB
        Memory in bytes in which each worker may keep hidden activations from pass 1, which computes mean activations,
        to pass 2, which computes the loss and the gradient.

    Attributes
    ----------
    edges : list of int
        First row of each part, followed by the number of rows.

    Raises
    ------
    ClusterError
        If the cluster cannot be used; see `DaskEngine`.
    """

    def __init__(self, problem: Problem, engine: ClusterEngine, cache_bytes: int = 2**30) -> None:
        engine.check()
        self.problem, self._dtype = problem, problem.X.dtype
        self.edges = edges = _cut(problem)
        memory = engine.memory_of_workers()
        rows = [one for one in (problem.X, problem.y) if one is not None]
        n_bytes = sum(problem.n_samples * one.shape[1] * self._dtype.itemsize for one in rows)
        recipe = _Recipe(
            uuid4().hex,
            problem.on_rows(None),
            cache_bytes * len(memory) // (len(edges) - 1),
            max(
                block.stop - block.start
                for start, stop in pairwise(edges)
                for block in problem.network.row_blocks(stop - start, self._dtype.itemsize)
            ),
            n_bytes <= sum(memory) / 2,
            engine.local_engine,
        )
        arrays = (problem.X, problem.y, problem.sample_weight, problem.tangents)
        parts = zip(*(_recipes(array, edges) for array in arrays), strict=True)
        self._held = engine.hold(partial(_Part.made, recipe), list(parts))

    def at(self, *vectors: FloatArray) -> Sums:
        """Return a function that runs a pass and adds up its sums; the vectors are sent once. See `Evaluation`."""
        return partial(self._sum, _Vectors(next(_numbers), [np.asarray(v, dtype=self._dtype) for v in vectors]))

    def _sum(self, vectors: _Vectors, function: Pass) -> FloatArray:
        return self._held.sum(_sum_of_part, vectors, function, n_sums=function.n_sums(self.problem.cost))


def _cut(problem: Problem) -> list[int]:
    """Return the first row of each part, followed by the number of rows."""
    for rows in (problem.X, problem.targets):
        own = None if isinstance(rows, np.ndarray) else rows.edges
        if own is not None:
            return list(own)
    network, n_samples = problem.network, problem.n_samples
    blocks, multiply_adds = network.row_blocks(n_samples, problem.X.dtype.itemsize), network.multiply_adds
    n_parts = int(np.clip(n_samples * multiply_adds // _WORK, _FEWEST_PARTS, _MOST_PARTS))
    n_parts = min(2 ** int(np.log2(n_parts)), len(blocks))
    chosen = np.linspace(0, len(blocks), n_parts + 1).round().astype(int)
    edges = [*(block.start for block in blocks), n_samples]
    return [edges[index] for index in chosen]


@dataclass(frozen=True)
class _Recipe:
    """Settings that all parts of an evaluation have in common.

    Attributes
    ----------
    token : str
        Unique identifier of the evaluation.
    problem : Problem
        The problem without its rows.
    cache_bytes : int
        Memory in bytes in which one part may keep hidden activations.
    longest_block : int
        Number of rows of the longest block of any part.
    holds : bool
        Whether workers keep the rows in memory.
    local_engine : callable
        Returns the engine with which a worker computes.
    """

    token: str
    problem: Problem
    cache_bytes: int
    longest_block: int
    holds: bool
    local_engine: Callable[[], Engine]


class _Vectors:
    """θ, and other vectors of its shape, in the form in which they are sent to workers.

    The vectors are copied into aligned memory here, and again when a worker receives them.

    Parameters
    ----------
    number : int
        Identifier that is different each time vectors are sent.
    vectors : sequence of arrays of shape (n_parameters,)
        The vectors.
    """

    def __init__(self, number: int, vectors: Sequence[FloatArray]) -> None:
        self.number = number
        self.vectors = [empty_aligned(vector.shape, vector.dtype) for vector in vectors]
        for aligned, vector in zip(self.vectors, vectors, strict=True):
            aligned[:] = vector

    def __reduce__(self) -> tuple[Any, ...]:
        return _Vectors, (self.number, self.vectors)

    def __sizeof__(self) -> int:
        return sum(vector.nbytes for vector in self.vectors)


class _Part:
    """A part of the rows, held by a worker, and the evaluation over them.

    Pickling a part keeps only the rows, or how to open them. A task that the engine has given up on may still be
    running when the next task starts, so a lock makes them take turns.
    """

    def __init__(self, recipe: _Recipe, X: Any, y: Any, sample_weight: FloatArray | None, tangents: Any) -> None:
        self._recipe, self._rows = recipe, (X, y, sample_weight, tangents)
        self._begin()

    @classmethod
    def made(cls, recipe: _Recipe, X: Any, y: Any, sample_weight: FloatArray | None, tangents: Any) -> _Part:
        """Return the part that consists of the given arrays, or of the rows that the given recipes open."""
        keep = partial(_keep, holds=recipe.holds)
        return cls(recipe, keep(X), None if y is None else keep(y), sample_weight, tangents)

    def _begin(self) -> None:
        self._lock = ProcessLock()
        self._evaluation: BlockEvaluation | None = None
        self._kept_for: int | None = None  # number of the vectors whose layers the evaluation keeps

    def __getstate__(self) -> tuple[Any, ...]:
        return self._recipe, self._rows

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._recipe, self._rows = state
        self._begin()

    def __sizeof__(self) -> int:
        return 1000 + sum(rows.nbytes for rows in self._rows if isinstance(rows, np.ndarray))

    def sum(self, vectors: _Vectors, function: Pass) -> FloatArray:
        """Return the sums of a pass over the rows of this part.

        Pass 2 uses the layers that pass 1 computed. They are computed again if this part was on another worker during
        pass 1.
        """
        with self._lock.here, np.errstate(all="ignore"):
            if self._evaluation is None:
                self._evaluation = self._make_evaluation()
            evaluation, depth = self._evaluation, self._recipe.problem.cost.depth
            sums_at = evaluation.at(*vectors.vectors)
            if function.takes_layers and depth and evaluation.n_kept and self._kept_for != vectors.number:
                sums_at(SumActivations(depth))
                self._kept_for = vectors.number
            sums = sums_at(function)
            if not function.takes_layers:
                self._kept_for = vectors.number if function.leaves_layers else None
            return sums

    def _make_evaluation(self) -> BlockEvaluation:
        """Return the evaluation over this part, whose scratch memory is shared with other parts on the same worker."""
        recipe, (X, y, sample_weight, tangents) = self._recipe, self._rows
        X = X() if callable(X) else X
        y = y() if callable(y) else y
        problem = recipe.problem.on_rows(X, y, sample_weight, tangents)
        return BlockEvaluation(problem, recipe.local_engine(), recipe.cache_bytes, _scratch_pool(recipe, problem))


def _sum_of_part(part: _Part, vectors: _Vectors, function: Pass) -> FloatArray:
    return part.sum(vectors, function)


_POOLS: WeakValueDictionary[str, ScratchPool] = WeakValueDictionary()
_POOLS_LOCK = ProcessLock()


def _scratch_pool(recipe: _Recipe, problem: Problem) -> ScratchPool:
    """Return the scratch memory that all parts of an evaluation share in this process."""
    with _POOLS_LOCK.here:
        pool = _POOLS.get(recipe.token)
        if pool is None:
            pool = _POOLS[recipe.token] = ScratchPool(scratch_of(problem, recipe.longest_block))
    return pool


def _recipes(rows: FloatArray | Rows | None, edges: Sequence[int]) -> list[Any]:
    """Return, for each part, an array of its rows or a recipe from which a worker makes them; see `Rows.recipes`."""
    if rows is None:
        return [None] * (len(edges) - 1)
    if isinstance(rows, np.ndarray):
        return [rows[start:stop] for start, stop in pairwise(edges)]
    return rows.recipes(edges)


def _keep(rows: Any, *, holds: bool) -> Any:
    """Return rows as an array if they are an array or are to be held, else the function that opens them."""
    if not callable(rows):
        return np.ascontiguousarray(rows)
    if not holds:
        return rows
    source = rows()
    held = empty_aligned(source.shape, source.dtype)
    for start in range(0, len(held), source.rows_at_once):
        stop = min(start + source.rows_at_once, len(held))
        source.read(start, stop, held[start:stop])
    return held
