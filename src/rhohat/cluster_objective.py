"""J(θ) and ∇J(θ) over rows that the workers of a cluster hold.

The rows are cut into parts. A worker makes an ordinary objective of each part that it holds, and the sums that those
write are added up by the cluster's engine. All else, such as ρ̂ and the penalties, is done where the solver is, as
`Objective` does it. The cut depends on shapes and on the pieces that rows on a cluster are in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count, pairwise
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

import numpy as np

from rhohat.arrays import FloatArray, empty_aligned
from rhohat.blocks import ClusterEngine, Engine, Rows, row_blocks
from rhohat.forks import ProcessLock
from rhohat.losses import Loss
from rhohat.network import Network, Parameters
from rhohat.objective import Objective, Scratch
from rhohat.penalties import Penalty

__all__ = ["ClusterObjective"]

_WORK = 10**9  # multiply-adds in a forward pass over a part: some tenths of a second for an evaluation of it
_FEWEST_PARTS, _MOST_PARTS = 8, 256

_numbers = count()


class ClusterObjective(Objective):
    """The cost J(θ) of a network on rows that the workers of a cluster hold, with its gradient.

    Parameters
    ----------
    network, X, y, loss, penalties, sample_weight, tangents
        As for `Objective`. Rows that are opened by a path are opened by each worker, and held in its memory if all of
        them take no more than half of the workers' memory; else they are read in every pass. Those of a Dask array stay
        where they are. Others are sent to the workers.
    engine : ClusterEngine
        Holds the parts and adds up their sums, as a `DaskEngine` does.
    cache_bytes : int, default=1 GiB
        Memory that each worker may use to keep hidden activations from pass 1 to pass 2.

    Raises
    ------
    ValueError
        As `Objective` does.
    ClusterError
        If the cluster cannot be used; see `DaskEngine`.
    """

    def __init__(
        self,
        network: Network,
        X: FloatArray | Rows,
        y: FloatArray | Rows | None = None,
        *,
        loss: Loss | None = None,
        penalties: Sequence[Penalty] = (),
        sample_weight: FloatArray | None = None,
        tangents: FloatArray | None = None,
        engine: ClusterEngine,
        cache_bytes: int = 2**30,
    ) -> None:
        self._cluster = engine
        self._cache_bytes: int | None = None
        engine.check()
        super().__init__(
            network,
            X,
            y,
            loss=loss,
            penalties=penalties,
            sample_weight=sample_weight,
            tangents=tangents,
            engine=engine.threads,
            cache_bytes=cache_bytes,
        )

    def set_rows(self, *rows: Any, **weights: Any) -> None:
        """Put other rows in the place of those given; see `Objective.set_rows`."""
        super().set_rows(*rows, **weights)
        if self._cache_bytes is not None:  # else they are sent a moment later
            self._allocate(self._cache_bytes)

    def _allocate(self, cache_bytes: int) -> None:
        """Have the workers make their parts of the rows."""
        self._cache_bytes = cache_bytes
        self._n_kept = 0  # what workers keep, they know
        self._sent: tuple[list[Parameters], _Vectors] | None = None
        edges = self._cut()
        memory = self._cluster.memory_of_workers()
        n_bytes = sum(
            self.n_samples * rows.shape[1] * self._dtype.itemsize
            for rows in ([self._X] if self._y is self._X else [self._X, self._y])
        )
        recipe = _Recipe(
            uuid4().hex,
            self.network,
            self._loss,
            self._penalties,
            cache_bytes * len(memory) // (len(edges) - 1),
            max(
                block.stop - block.start
                for start, stop in pairwise(edges)
                for block in row_blocks(stop - start, self.network.layer_sizes, self._dtype.itemsize)
            ),
            n_bytes <= sum(memory) / 2,
            self._cluster.local_engine,
        )
        X = _recipes(self._X, edges)
        y = [None] * len(X) if self._y is self._X else _recipes(self._y, edges)
        weights, tangents = (
            [None] * len(X) if array is None else [array[start:stop] for start, stop in pairwise(edges)]
            for array in (self._row_weights, self._tangents)
        )
        self._held = self._cluster.hold(partial(_Part.made, recipe), list(zip(X, y, weights, tangents, strict=True)))

    def _cut(self) -> list[int]:
        """Return where the parts of the rows begin, and the last one ends."""
        for rows in (self._X, self._y):
            own = None if isinstance(rows, np.ndarray) else rows.edges
            if own is not None:
                return list(own)
        multiply_adds = sum(fan_in * fan_out for fan_in, fan_out in pairwise(self.network.layer_sizes))
        n_parts = int(np.clip(self.n_samples * multiply_adds // _WORK, _FEWEST_PARTS, _MOST_PARTS))
        n_parts = min(2 ** int(np.log2(n_parts)), len(self._blocks))
        chosen = np.linspace(0, len(self._blocks), n_parts + 1).round().astype(int)
        edges = [*(block.start for block in self._blocks), self.n_samples]
        return [edges[index] for index in chosen]

    def _sum(self, function: str, n_sums: int, *arguments: Any) -> FloatArray:
        """Return the sums over all rows of what a method of `Objective` writes for each block, from all parts."""
        leading = [argument for argument in arguments if isinstance(argument, Parameters)]
        if self._sent is None or any(a is not b for a, b in zip(self._sent[0], leading, strict=False)):
            self._sent = leading, _Vectors(next(_numbers), [self.network.pack(*one) for one in leading])
        others = arguments[len(leading) :]
        return self._held.sum("sum", self._sent[1], function, n_sums, others, n_sums=n_sums)


@dataclass(frozen=True)
class _Recipe:
    """What the parts of an objective have in common.

    Attributes
    ----------
    token : str
        Tells objectives apart.
    network, loss, penalties
    cache_bytes : int
        For one part.
    longest_block : int
        In rows, of any part.
    holds : bool
        Whether rows are kept in memory.
    local_engine : callable
    """

    token: str
    network: Network
    loss: Loss
    penalties: Sequence[Penalty]
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
    vectors : list of arrays of shape (n_parameters,)
    """

    def __init__(self, number: int, vectors: list[FloatArray]) -> None:
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

    def __init__(self, recipe: _Recipe, X: Any, y: Any, row_weights: FloatArray | None, tangents: Any) -> None:
        self._recipe, self._rows = recipe, (X, y, row_weights, tangents)
        self._begin()

    @classmethod
    def made(cls, recipe: _Recipe, X: Any, y: Any, row_weights: FloatArray | None, tangents: Any) -> _Part:
        """Make the part of arrays or recipes, as row sources give them."""
        keep = partial(_keep, holds=recipe.holds)
        return cls(recipe, keep(X), None if y is None else keep(y), row_weights, tangents)

    def _begin(self) -> None:
        self._lock = ProcessLock()
        self._objective: _PartObjective | None = None
        self._cached_for: int | None = None  # the θ whose hidden activations are in the cache

    def __getstate__(self) -> tuple[Any, ...]:
        return self._recipe, self._rows

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._recipe, self._rows = state
        self._begin()

    def __sizeof__(self) -> int:
        return 1000 + sum(rows.nbytes for rows in self._rows if isinstance(rows, np.ndarray))

    def sum(self, vectors: _Vectors, function: str, n_sums: int, others: Sequence[Any]) -> FloatArray:
        """Return the sums over the rows of this part; see `Objective._sum`.

        Pass 2 looks for the hidden activations of pass 1. They are computed again where the part was somewhere else
        then.
        """
        with self._lock.here, np.errstate(all="ignore"):
            if self._objective is None:
                self._objective = self._make_objective()
            objective = self._objective
            leading = [objective.network.unpack(vector) for vector in vectors.vectors]
            if function in ("_sum_loss", "_sum_loss_and_gradient"):
                if objective.keeps_activations and self._cached_for != vectors.number:
                    objective.keep_activations(leading[0])
                    self._cached_for = vectors.number
            else:
                self._cached_for = None
            sums = objective._sum(function, n_sums, *leading, *others)
            if function == "_sum_activations":
                self._cached_for = vectors.number
            return sums

    def _make_objective(self) -> _PartObjective:
        X, y, row_weights, tangents = self._rows
        X = X() if callable(X) else X
        y = y() if callable(y) else y
        return _PartObjective(self._recipe, X, y, row_weights, tangents)


class _PartObjective(Objective):
    """The objective over one part. It writes into memory that it shares with other parts in the same worker."""

    def __init__(self, recipe: _Recipe, X: Any, y: Any, row_weights: FloatArray | None, tangents: Any) -> None:
        self._recipe = recipe
        super().__init__(
            recipe.network,
            X,
            y,
            loss=recipe.loss,
            penalties=recipe.penalties,
            sample_weight=None if row_weights is None else row_weights[:, 0],
            tangents=tangents,
            engine=recipe.local_engine(),
            cache_bytes=recipe.cache_bytes,
        )

    @property
    def keeps_activations(self) -> bool:
        """Whether pass 2 finds what pass 1 computed."""
        return self._depth > 0 and self._n_kept > 0

    def keep_activations(self, parameters: Parameters) -> None:
        """Run pass 1 for what it leaves in the cache."""
        sizes = self.network.layer_sizes[1 : self._depth + 1]
        self._sum("_sum_activations", sum(sizes), parameters, self._depth)

    def _check(self, *_: Any) -> None:
        """Nothing: what is right for all rows need not be for some, whose weights may all be 0."""

    def _make_scratch(self, n_workers: int, largest_block: int, to_read: Sequence[int]) -> list[Scratch]:
        """Return no scratch: it is lent for each sum."""
        self._pool = _scratch_pool(self._recipe, self._dtype, to_read)
        return []

    def _sum(self, function: str, n_sums: int, *arguments: Any) -> FloatArray:
        self._scratch = [self._pool.take()]
        try:
            return super()._sum(function, n_sums, *arguments)
        finally:
            self._pool.put(self._scratch.pop())


class _ScratchPool:
    """Scratch for as many sums as are made at a time."""

    def __init__(self, make: Callable[[], Scratch]) -> None:
        self._make, self._free = make, list[Scratch]()

    def take(self) -> Scratch:
        with suppress(IndexError):
            return self._free.pop()
        return self._make()

    def put(self, scratch: Scratch) -> None:
        self._free.append(scratch)


_POOLS: WeakValueDictionary[str, _ScratchPool] = WeakValueDictionary()
_POOLS_LOCK = ProcessLock()


def _scratch_pool(recipe: _Recipe, dtype: np.dtype[Any], to_read: Sequence[int]) -> _ScratchPool:
    """Return what the parts of an objective share in this process."""
    with _POOLS_LOCK.here:
        pool = _POOLS.get(recipe.token)
        if pool is None:
            make = partial(Scratch, recipe.network, recipe.longest_block, dtype, to_read)
            pool = _POOLS[recipe.token] = _ScratchPool(make)
    return pool


def _recipes(rows: FloatArray | Rows, edges: Sequence[int]) -> list[Any]:
    """Return what rows are made of in a worker, for each part."""
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
