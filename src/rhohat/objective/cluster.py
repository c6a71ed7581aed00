"""Evaluations over rows that the workers of a cluster hold.

The rows are cut into parts. A worker runs passes over the blocks of each part that it holds, and the sums are added up
by the cluster's engine. All else, such as ρ̂ and the penalties, is done where the solver is. The cut depends on shapes
and on the pieces that rows on a cluster are in.
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
from rhohat.common.blocks import ClusterEngine, Engine, Rows, row_blocks
from rhohat.common.forks import ProcessLock
from rhohat.objective.evaluation import BlockEvaluation, ScratchPool, scratch_of
from rhohat.objective.passes import Pass, SumActivations, Sums
from rhohat.objective.problem import Problem

__all__ = ["ClusterEvaluation"]

_WORK = 10**9  # multiply-adds in a forward pass over a part: some tenths of a second for an evaluation of it
_FEWEST_PARTS, _MOST_PARTS = 8, 256

_numbers = count()


class ClusterEvaluation:
    """Runs passes over rows that the workers of a cluster hold.

    Parameters
    ----------
    problem : Problem
        Rows that are opened by a path are opened by each worker, and held in its memory if all of them take no more
        than half of the workers' memory; else they are read in every pass. Those of a Dask array stay where they are.
        Others are sent to the workers.
    engine : ClusterEngine
        Holds the parts and adds up their sums, as a `DaskEngine` does.
    cache_bytes : int, default=1 GiB
        Memory that each worker may use to keep hidden activations from pass 1 to pass 2.

    Attributes
    ----------
    edges : list of int
        Where the parts of the rows begin, and the last one ends.

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
                for block in row_blocks(stop - start, problem.network.layer_sizes, self._dtype.itemsize)
            ),
            n_bytes <= sum(memory) / 2,
            engine.local_engine,
        )
        arrays = (problem.X, problem.y, problem.sample_weight, problem.tangents)
        parts = zip(*(_recipes(array, edges) for array in arrays), strict=True)
        self._held = engine.hold(partial(_Part.made, recipe), list(parts))

    def at(self, *vectors: FloatArray) -> Sums:
        """Return what runs a pass and adds up its sums; see `Evaluation`. The vectors are sent once."""
        return partial(self._sum, _Vectors(next(_numbers), [np.asarray(v, dtype=self._dtype) for v in vectors]))

    def _sum(self, vectors: _Vectors, function: Pass) -> FloatArray:
        return self._held.sum(_sum_of_part, vectors, function, n_sums=function.n_sums(self.problem.cost))


def _cut(problem: Problem) -> list[int]:
    """Return where the parts of the rows begin, and the last one ends."""
    for rows in (problem.X, problem.targets):
        own = None if isinstance(rows, np.ndarray) else rows.edges
        if own is not None:
            return list(own)
    sizes, n_samples = problem.network.layer_sizes, problem.n_samples
    blocks = row_blocks(n_samples, sizes, problem.X.dtype.itemsize)
    multiply_adds = sum(fan_in * fan_out for fan_in, fan_out in pairwise(sizes))
    n_parts = int(np.clip(n_samples * multiply_adds // _WORK, _FEWEST_PARTS, _MOST_PARTS))
    n_parts = min(2 ** int(np.log2(n_parts)), len(blocks))
    chosen = np.linspace(0, len(blocks), n_parts + 1).round().astype(int)
    edges = [*(block.start for block in blocks), n_samples]
    return [edges[index] for index in chosen]


@dataclass(frozen=True)
class _Recipe:
    """What the parts of an evaluation have in common.

    Attributes
    ----------
    token : str
        Tells evaluations apart.
    problem : Problem
        Without rows.
    cache_bytes : int
        For one part.
    longest_block : int
        In rows, of any part.
    holds : bool
        Whether rows are kept in memory.
    local_engine : callable
    """

    token: str
    problem: Problem
    cache_bytes: int
    longest_block: int
    holds: bool
    local_engine: Callable[[], Engine]


class _Vectors:
    """θ, or vectors like it, as they are sent to workers; there they are aligned, wherever they arrived.

    Parameters
    ----------
    number : int
        Another one for each time that vectors are sent.
    vectors : sequence of arrays of shape (n_parameters,)
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
    """Some of the rows in a worker. What is sent to another worker is the rows, or how to open them.

    Tasks that were given up may still be at work when the next one comes: they take turns.
    """

    def __init__(self, recipe: _Recipe, X: Any, y: Any, sample_weight: FloatArray | None, tangents: Any) -> None:
        self._recipe, self._rows = recipe, (X, y, sample_weight, tangents)
        self._begin()

    @classmethod
    def made(cls, recipe: _Recipe, X: Any, y: Any, sample_weight: FloatArray | None, tangents: Any) -> _Part:
        """Make the part of arrays or recipes, as row sources give them."""
        keep = partial(_keep, holds=recipe.holds)
        return cls(recipe, keep(X), None if y is None else keep(y), sample_weight, tangents)

    def _begin(self) -> None:
        self._lock = ProcessLock()
        self._evaluation: BlockEvaluation | None = None
        self._kept_for: int | None = None  # the vectors whose layers the evaluation keeps

    def __getstate__(self) -> tuple[Any, ...]:
        return self._recipe, self._rows

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._recipe, self._rows = state
        self._begin()

    def __sizeof__(self) -> int:
        return 1000 + sum(rows.nbytes for rows in self._rows if isinstance(rows, np.ndarray))

    def sum(self, vectors: _Vectors, function: Pass) -> FloatArray:
        """Return the sums of a pass over the rows of this part.

        Pass 2 looks for the layers of pass 1. They are computed again where the part was somewhere else then.
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
        """Return the evaluation over this part, in memory that it shares with other parts in the same worker."""
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
    """Return what the parts of an evaluation share in this process."""
    with _POOLS_LOCK.here:
        pool = _POOLS.get(recipe.token)
        if pool is None:
            pool = _POOLS[recipe.token] = ScratchPool(scratch_of(problem, recipe.longest_block))
    return pool


def _recipes(rows: FloatArray | Rows | None, edges: Sequence[int]) -> list[Any]:
    """Return what rows are made of in a worker, for each part."""
    if rows is None:
        return [None] * (len(edges) - 1)
    if isinstance(rows, np.ndarray):
        return [rows[start:stop] for start, stop in pairwise(edges)]
    return rows.recipes(edges)


def _keep(rows: Any, *, holds: bool) -> Any:
    """Return an array of rows where they are one, or are to be held; else what opens them."""
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
