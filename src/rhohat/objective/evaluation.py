"""Evaluations over blocks of rows, which run a pass over all rows and add up the sums of its blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.blocks import Engine, Rows, blocks_within, in_memory
from rhohat.layers.layout import Parameters
from rhohat.layers.network import Layers, Network
from rhohat.objective.passes import Block, Pass, Sums
from rhohat.objective.problem import Problem
from rhohat.ops import Ops

__all__ = ["BlockEvaluation", "Evaluation", "ScratchPool", "column_of_weights", "masks_of", "scratch_of"]


_MOST_MADE = 64  # blocks that are kept; if there are more, each is made again, which takes little time


class Evaluation(Protocol):
    """Protocol of objects that compute sums over all rows of a problem; a `Pass` defines what is summed."""

    @property
    def problem(self) -> Problem:
        """The problem whose rows are evaluated."""

    def at(self, *vectors: FloatArray) -> Sums:
        """Return a function that runs a pass at θ, and other vectors of its shape, and adds up the sums in float64."""


class BlockEvaluation:
    """An evaluation that computes sums over the rows of a problem block by block; a `Pass` defines what is summed.

    Parameters
    ----------
    problem : Problem
        The problem. Rows that are not in memory are read in each pass: every thread reads its own blocks, while other
        threads compute.
    engine : Engine
        Engine that computes the blocks and adds up their sums, such as a `ThreadEngine`.
    cache_bytes : int, default=1 GiB
        Memory in bytes for hidden activations. Pass 1, which computes mean activations, keeps them for pass 2, which
        computes the loss and the gradient. The activations of rows that do not fit are computed in both passes.
    pool : ScratchPool, default=None
        Pool from which scratch memory for blocks is taken, to share it with other evaluations. If None, the evaluation
        has its own pool.

    Attributes
    ----------
    blocks : list of slice
        The blocks of rows, in order.
    n_kept : int
        Number of rows, counted from the first, whose hidden activations are kept from pass 1 to pass 2.
    """

    def __init__(
        self, problem: Problem, engine: Engine, cache_bytes: int = 2**30, pool: ScratchPool | None = None
    ) -> None:
        self.engine = engine
        network, self._ops, self._dtype = problem.network, problem.cost.ops, problem.cost.dtype
        self.blocks = _blocks(network, problem.n_samples, self._dtype.itemsize, engine)
        longest = max(block.stop - block.start for block in self.blocks)
        self._pool = ScratchPool(scratch_of(problem, longest)) if pool is None else pool
        self._n_workers = min(engine.n_workers, len(self.blocks))
        depth = problem.cost.depth
        per_row = network.numbers_per_row(depth) * self._dtype.itemsize
        self.n_kept = max((block.stop for block in self.blocks if block.stop * per_row <= cache_bytes), default=0)
        self._cache = network.allocate(self.n_kept, partial(self._ops.empty, dtype=self._dtype), stop=depth)
        self._ones = self._ops.ones((1, longest), self._dtype)
        self.set_problem(problem)

    def set_problem(self, problem: Problem) -> None:
        """Replace the rows by the rows of another problem, of the same shapes and dtypes."""
        self.problem, self._row_weights = problem, column_of_weights(problem)
        #: The blocks made so far, by their first row and scratch memory; kept only if the rows are in memory.
        self._made: dict[tuple[int, _Scratch], Block] = {}
        at_hand = all(is_at_hand(rows, self._ops) for rows in (problem.X, problem.targets))
        self._makes_once = at_hand and len(self.blocks) <= _MOST_MADE

    def at(self, *vectors: FloatArray) -> Sums:
        """Return a function that runs a pass and adds up its sums; see `Evaluation`."""
        return partial(self._sum, [self.problem.network.unpack(self._ops.asarray(v, self._dtype)) for v in vectors])

    def _sum(self, vectors: Sequence[Parameters], function: Pass) -> FloatArray:
        scratch = self._pool.take(self._n_workers)
        try:
            run = partial(self._run, function, vectors, scratch)
            return self.engine.sum_blocks(run, self.blocks, function.n_sums(self.problem.cost), self._dtype)
        finally:
            self._pool.put(scratch)

    def _run(
        self,
        function: Pass,
        vectors: Sequence[Parameters],
        scratch: Sequence[_Scratch],
        rows: slice,
        worker: int,
        sums: FloatArray,
    ) -> None:
        """Run a pass over a block of rows, in the scratch memory of the worker."""
        key = rows.start, scratch[worker]
        block = self._made.get(key)
        if block is None:
            block = self._block(rows, scratch[worker])
            if self._makes_once:
                self._made[key] = block
        function(self.problem.cost, vectors, block, self._ops.asarray(sums, self._dtype))
        scratch[worker].release()

    def _block(self, rows: slice, scratch: _Scratch) -> Block:
        problem, depth = self.problem, self.problem.cost.depth
        layers, deltas = scratch.layers_and_deltas(rows.stop - rows.start)
        layers.a[0] = scratch.rows_of(problem.X, rows, 0)
        is_kept = rows.stop <= self.n_kept
        if is_kept:
            for layer in range(1, depth + 1):
                layers.z[layer], layers.a[layer] = self._cache.z[layer][rows], self._cache.a[layer][rows]

        def read_targets() -> FloatArray:
            return layers.a[0] if problem.y is None else scratch.rows_of(problem.y, rows, 1)

        return Block(
            layers._replace(masks=masks_of(problem, rows)),
            deltas,
            n_known=depth if is_kept else 0,
            read_targets=read_targets,
            weights=None if self._row_weights is None else self._row_weights[rows],
            tangents=None if problem.tangents is None else self._ops.asarray(problem.tangents[rows], self._dtype),
            ones=self._ones[:, : rows.stop - rows.start],
        )


def _blocks(network: Network, n_rows: int, itemsize: int, engine: Engine) -> list[slice]:
    """Cut rows into blocks that fit the cache of a core, or the memory that the engine has for layers and deltas."""
    if engine.block_bytes is None:
        return network.row_blocks(n_rows, itemsize)
    return blocks_within(n_rows, 2 * network.numbers_per_row() * itemsize, engine.block_bytes, engine.n_parts)


def is_at_hand(rows: Any, ops: Ops) -> bool:
    """Return whether rows are an array that can be computed with as it is, and need not be read or brought."""
    return in_memory(rows) and ops.holds(rows)


def column_of_weights(problem: Problem) -> FloatArray | None:
    """Return the weights of rows, of shape (n_samples, 1), in the dtype of the arithmetic; None if there are none."""
    weights = problem.sample_weight
    return None if weights is None else problem.cost.ops.asarray(weights, problem.cost.dtype).reshape(-1, 1)


def masks_of(problem: Problem, rows: slice) -> list[FloatArray | None] | None:
    """Return the masks of dropout of some rows, for each layer and the input; None if nothing is dropped."""
    if problem.masks is None:
        return None
    masks: list[FloatArray | None] = [None] * (problem.network.n_layers + 1)
    for layer, columns, _ in problem.network.dropped:
        masks[layer] = problem.masks[rows, columns]
    return masks


class ScratchPool:
    """A pool of scratch memory for workers, which grows to the largest number of workers in use at a time.

    Parameters
    ----------
    make : callable
        Returns new scratch memory for one worker.
    """

    def __init__(self, make: Callable[[], _Scratch]) -> None:
        self._make, self._free = make, list[_Scratch]()

    def take(self, n_workers: int) -> list[_Scratch]:
        """Take scratch memory for `n_workers` workers out of the pool, and allocate more if the pool has too little."""
        return [self._take() for _ in range(n_workers)]

    def put(self, scratch: Sequence[_Scratch]) -> None:
        """Put scratch memory back into the pool."""
        self._free += scratch

    def _take(self) -> _Scratch:
        try:
            return self._free.pop()
        except IndexError:
            return self._make()


def scratch_of(problem: Problem, longest_block: int) -> Callable[[], _Scratch]:
    """Return a function that allocates a worker's scratch memory for blocks of at most `longest_block` rows."""
    ops = problem.cost.ops
    to_read = [None if one is None or is_at_hand(one, ops) else one for one in (problem.X, problem.y)]
    return partial(_Scratch, problem, longest_block, to_read)


class _Scratch:
    """One worker's memory for a block: layers, their deltas, and the inputs and targets that are read from a file."""

    def __init__(self, problem: Problem, rows: int, to_read: Sequence[Any]) -> None:
        network, ops, dtype = problem.network, problem.cost.ops, problem.cost.dtype
        allocate = partial(ops.empty, dtype=dtype)
        self._rooms = [None if one is None else ops.room((rows, one.shape[1]), dtype, one.dtype) for one in to_read]
        self._layers, self._deltas = network.allocate(rows, allocate), network.allocate(rows, allocate)
        self._views: dict[int, tuple[Layers, Layers]] = {}  # by number of rows, which takes few values

    def layers_and_deltas(self, n_rows: int) -> tuple[Layers, Layers]:
        """Return memory for `n_rows` rows; the lists of layers are copies, so that the caller may replace arrays."""
        if n_rows not in self._views:
            rows = slice(n_rows)
            self._views[n_rows] = self._layers.rows(rows), self._deltas.rows(rows)
        layers, deltas = self._views[n_rows]
        return Layers(layers.z.copy(), layers.a.copy()), deltas

    def rows_of(self, source: FloatArray | Rows, rows: slice, place: int) -> FloatArray:
        """Return a block of rows of `source`, brought to where they are computed if they are not there."""
        room, n_rows = self._rooms[place], rows.stop - rows.start
        if room is None:
            assert in_memory(source)
            return source[rows]
        if in_memory(source):
            room.host()[:n_rows] = source[rows]
        else:
            assert not isinstance(source, np.ndarray)
            source.read(rows.start, rows.stop, room.host()[:n_rows])
        brought: FloatArray = room.bring(n_rows)
        return brought

    def release(self) -> None:
        """Say that all computations with the rows of the block have been started."""
        for room in self._rooms:
            if room is not None:
                room.release()
