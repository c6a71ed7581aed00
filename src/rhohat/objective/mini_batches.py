"""The cost J of mini-batches, for solvers that update θ after each; every epoch shuffles and corrupts rows anew."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import pairwise, zip_longest
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray, empty_aligned
from rhohat.common.blocks import Engine, Rows, in_memory
from rhohat.common.randomness import keyed_generator
from rhohat.objective import Problem
from rhohat.objective.batch import BatchEvaluation, MiniBatch, Task, make_batch_evaluation
from rhohat.objective.held_out import count_held_out, draw_by_class
from rhohat.objective.row_windows import RowWindows, Window, bytes_of_a_row, even_edges, read_all

__all__ = ["MiniBatches"]

_ROWS_FILLED = 128  # rows that a thread fills at a time
_HELD_OUT = 4  # the rows held out take at most the memory for windows divided by this number


class MiniBatches:
    """The cost J(θ) of a network, one mini-batch of rows after another.

    Parameters
    ----------
    problem : Problem
        The problem. Its corruption is applied to the inputs anew in every epoch. Means over rows, including ρ̂, are
        taken over the mini-batch; for weighted rows see the notes. Rows that are not in memory are read once if all of
        them fit into `window_bytes`. Otherwise they are read in every epoch, one window at a time, while the previous
        window is in use.
    engine : Engine
        Engine that computes the mini-batches.
    seed : int
        Seed of the shuffling, of the corruption, and of the choice of rows held out.
    validation_fraction : float, default=0
        Fraction of the rows that is held out of every mini-batch for `validate`; at least one row is held out if the
        fraction is not 0. Rows of weight 0 are neither counted nor held out. If rows are read in windows, the rows held
        out are limited to a quarter of `window_bytes`, and their memory is taken from it.
    classes : array of int of shape (n_samples,), default=None
        Class of each row; if given, the rows held out have the classes in the proportions of all rows.
    window_bytes : int, default=256 MiB
        Memory in bytes for rows that are read, for all windows together; a window holds at least one mini-batch.
    cache_bytes : int, default=1 GiB
        Memory in bytes for hidden activations, if a mini-batch is evaluated in blocks of rows.

    Attributes
    ----------
    n_samples : int
        Number of rows in an epoch: all rows except those held out.
    dtype : dtype
        Dtype of the rows, of the arithmetic, and of the parameters during training.

    Raises
    ------
    ValueError
        If the rows are PyTorch tensors, or if no rows remain after holding some out.

    Notes
    -----
    If rows have weights, a mini-batch counts in proportion to the weight of its rows. Let w̄ be the mean weight of the
    rows of an epoch. A mini-batch B of m rows, whose weights add up to W_B, has the cost

        J_B = 1/(m w̄) Σ_{i in B} w_i loss_i  +  W_B/(m w̄) × (penalties on ρ̂_B)  +  (penalties on weights)

    where ρ̂_B = 1/W_B Σ_{i in B} w_i a_i. So the mean of J_B over the rows of an epoch is the sum of the weighted mean
    of the loss over all rows, the mean of the penalties on ρ̂_B, weighted by W_B, and the penalties on weights. A batch
    of total weight 0 has no mean activation, and no penalty on it.

    Rows that are read in windows are shuffled less thoroughly than rows in memory: a mini-batch is drawn from the
    chunks of rows in its window, which come from all over the file; see `row_windows`. If the order of the rows in the
    file is not random, for example because they are sorted by class, choose a large window.
    """

    def __init__(
        self,
        problem: Problem,
        engine: Engine,
        *,
        seed: int,
        validation_fraction: float = 0.0,
        classes: NDArray[np.intp] | None = None,
        window_bytes: int = 2**28,
        cache_bytes: int = 2**30,
    ) -> None:
        problem = problem.with_ops(engine.ops)
        self._problem, self._engine = problem, engine
        X, y, sample_weight = problem.X, problem.y, problem.sample_weight
        if problem.ops.library != "numpy":
            raise ValueError(
                "MiniBatches needs NumPy arrays, or rows that are read in blocks, but these rows are PyTorch tensors;"
                " pass X.numpy() instead of a tensor X."
            )
        self.dtype = X.dtype
        to_read: dict[int, Any] = {id(rows): rows for rows in (X, y) if rows is not None and not in_memory(rows)}
        sources: list[Rows] = list(to_read.values())
        if X.shape[0] * bytes_of_a_row(sources) <= window_bytes:
            read = {id(source): read_all(source) for source in sources}  # read only once if y is X
            X, y, sources = read.get(id(X), X), read.get(id(y), y), []
        self._windows: RowWindows | None = None  # None if all rows are in memory
        #: If the inputs of an autoencoder are corrupted, its targets are the clean rows.
        self._rows: list[Any] = [X, X if y is None and problem.corruption else y, sample_weight, problem.tangents]
        self._n_dropped = max((columns.stop for _, columns, _ in problem.network.dropped), default=0)
        self._seed, self._cache_bytes = seed, cache_bytes
        counting = np.arange(X.shape[0]) if sample_weight is None else np.flatnonzero(sample_weight)
        n_held_out = self._count_held_out(len(counting), validation_fraction, sources, window_bytes)
        self.n_samples = X.shape[0] - n_held_out
        draw = keyed_generator(seed, "rows held out")
        if classes is not None:
            self._held_out = draw_by_class(draw, counting, n_held_out, classes)
        elif sources:
            self._held_out = np.sort(draw.choice(counting, n_held_out, replace=False, shuffle=False))
        else:
            self._held_out = np.sort(draw.permutation(counting)[:n_held_out])
        if sources:
            window_bytes -= n_held_out * bytes_of_a_row(sources)
            self._windows = RowWindows(sources, self._held_out, seed=seed, window_bytes=window_bytes)
        else:
            self._training = np.delete(np.arange(X.shape[0]), self._held_out)
        weights = np.ones(1) if sample_weight is None else np.delete(sample_weight, self._held_out)
        #: Mean weight of the rows of an epoch.
        self._mean_weight = float(np.mean(weights, dtype=np.float64))
        self._evaluations: dict[int, BatchEvaluation] = {}
        self._memories: dict[tuple[int, int], _Rows] = {}
        shape = (_ROWS_FILLED, X.shape[1])
        self._noise = [empty_aligned(shape, X.dtype) for _ in range(engine.n_workers if problem.corruption else 0)]
        self._validation: _Rows | None = None  # the rows held out, read and corrupted once
        if self._windows is not None and n_held_out:
            self._validation = self._read_held_out(self._windows)

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return J(θ) and ∇J(θ) over all rows except those held out, as one batch, with all of its rows in memory."""
        rows = self._training if self._windows is None else self._windows.read_all()
        value, gradient, _ = self._objective_of(rows, epoch=0, first=0).evaluate(theta)
        return value, gradient

    def batches(self, epoch: int, batch_size: int, first_batch: int = 0) -> Iterator[tuple[MiniBatch, int]]:
        """Yield the objective of every mini-batch of an epoch, and the number of rows of the mini-batch.

        Parameters
        ----------
        epoch : int
            Number of the epoch, counted from 0; it determines how rows are shuffled and corrupted.
        batch_size : int
            Largest number of rows in a mini-batch; the rows are divided among mini-batches as evenly as possible.
        first_batch : int, default=0
            Number of the mini-batch to begin with, counted from 0. The mini-batches are bit-identical to those that the
            whole epoch has from this number on.

        Yields
        ------
        objective : MiniBatch
            The objective over the mini-batch; valid until the next one is requested, which may use the same memory.
        n_rows : int
            Number of rows in the mini-batch.

        Raises
        ------
        ValueError
            If the epoch has fewer mini-batches than `first_batch`.
        Exception
            Any error of reading rows, raised when the first mini-batch that needs these rows is requested.
        """
        with closing(self._fillings(epoch, batch_size, first_batch)) as windows:
            for fillings in windows:
                self._fill(fillings[0])
                for filling, following in zip_longest(fillings, fillings[1:]):
                    tasks = [] if following is None else following.parts
                    batch = self._batch_over(filling.memory, filling.n_rows * self._mean_weight, tasks)
                    yield batch, filling.n_rows
                    if following is not None and not batch.meanwhile_is_done:  # the batch was not evaluated in parts
                        self._fill(following)

    def validate(self, theta: FloatArray) -> float:
        """Return J(θ) over the rows held out; means are weighted by the weights of these rows alone.

        The rows are corrupted in the same way at every call.

        Parameters
        ----------
        theta : array of shape (n_parameters,)

        Returns
        -------
        float
            J(θ) over the rows held out.
        """
        if self._validation is not None:
            return self._batch_over(self._validation).cost(theta)[0]
        return self._objective_of(self._held_out, epoch=0, first=self.n_samples).cost(theta)[0]

    def _fillings(self, epoch: int, batch_size: int, first_batch: int) -> Generator[list[_Filling]]:
        """Yield lists of fillings for an epoch's mini-batches: one per window, or a single one for rows in memory."""
        n_batches = -(-self.n_samples // batch_size)
        if not 0 <= first_batch <= n_batches:
            raise ValueError(
                f"first_batch must lie in [0, {n_batches}], where {n_batches} is the number of mini-batches of an"
                f" epoch; got {first_batch}."
            )
        if first_batch == n_batches:
            return
        # Batches of nearly equal size: a last batch of a few rows would cause as large a step as a full batch does.
        borders = even_edges(self.n_samples, n_batches)

        def fillings(rows: NDArray[np.intp] | Window, batches: range) -> list[_Filling]:
            stock, begin = self._stock(rows), int(borders[batches.start])
            return [
                self._filling(stock, slice(first - begin, stop - begin), epoch, first, number % 2)
                for number, (first, stop) in zip(batches, pairwise(borders[batches.start :].tolist()), strict=False)
                if number >= first_batch
            ]

        if self._windows is None:
            order = keyed_generator(self._seed, "shuffling", epoch).permutation(self._training)
            yield fillings(order, range(n_batches))
            return
        with closing(self._windows.read(epoch, borders, first_batch)) as windows:
            for window in windows:
                yield fillings(window, window.batches)

    def _count_held_out(self, n_rows: int, fraction: float, sources: Sequence[Rows], window_bytes: int) -> int:
        """Return how many rows to hold out; rows read in windows may fill at most a quarter of `window_bytes`."""
        most = window_bytes // _HELD_OUT // bytes_of_a_row(sources) if sources else n_rows
        return count_held_out(n_rows, fraction, most)

    def _read_held_out(self, windows: RowWindows) -> _Rows:
        """Read and corrupt the rows held out, and return them in memory that no mini-batch uses."""
        stock, place = self._stock(windows.take(self._held_out)), 2
        self._fill(self._filling(stock, slice(0, stock.n_rows), 0, self.n_samples, place))
        return self._memories.pop((stock.n_rows, place))._replace(masks=None)

    def _objective_of(self, rows: NDArray[np.intp] | Window, epoch: int, first: int) -> MiniBatch:
        """Return the objective over some rows, with means by the weights of these rows alone; see `_filling`.

        Nothing is dropped.
        """
        stock = self._stock(rows)
        filling = self._filling(stock, slice(0, stock.n_rows), epoch, first, 2)  # places 0 and 1 may hold batches
        self._fill(filling)
        return self._batch_over(filling.memory._replace(masks=None))

    def _batch_over(
        self, memory: _Rows, total_weight: float | None = None, meanwhile: Sequence[Task] = ()
    ) -> MiniBatch:
        """Return the objective over rows in memory; mini-batches with equally many rows use the same evaluation."""
        problem, n_rows = self._problem.on_rows(*memory), len(memory.X)
        if n_rows not in self._evaluations:
            self._evaluations[n_rows] = make_batch_evaluation(problem, self._engine, self._cache_bytes)
        evaluation = self._evaluations[n_rows]
        evaluation.set_problem(problem)
        return MiniBatch(evaluation, total_weight, meanwhile)

    def _stock(self, rows: NDArray[np.intp] | Window) -> _Stock:
        """Return the `_Stock` of rows that are given by their numbers, or by a window that has been read."""
        if not isinstance(rows, Window):
            return _Stock(_Rows(*self._rows), [rows] * len(self._rows))
        assert self._windows is not None
        read = {id(source): array for source, array in zip(self._windows.sources, rows.memory, strict=True)}
        arrays = _Rows(*(read.get(id(array), array) for array in self._rows))
        return _Stock(arrays, [rows.order if id(array) in read else rows.rows for array in self._rows])

    def _filling(self, stock: _Stock, rows: slice, epoch: int, first: int, place: int) -> _Filling:
        """Return memory for a batch, and the tasks that gather its rows there and corrupt the inputs, part by part.

        Parameters
        ----------
        stock : _Stock
            Arrays that the rows are gathered from.
        rows : slice
            Positions of the rows in the indices of the stock.
        epoch, first : int
            The epoch, and the position of the first of these rows in its order; they determine the corruption.
        place : {0, 1, 2}
            Which memory to use. Mini-batches alternate between 0 and 1, as one is filled while another is evaluated;
            rows that are not a mini-batch of an epoch use 2.
        """
        n_rows = rows.stop - rows.start
        if (n_rows, place) not in self._memories:
            self._memories[n_rows, place] = stock.arrays.allocate(n_rows, self._n_dropped)
        memory, indices = self._memories[n_rows, place], [index[rows] for index in stock.indices]
        corruption = self._problem.corruption

        def fill(part: slice, worker: int) -> None:
            for source, index, out in zip(stock.arrays, indices, memory, strict=False):  # all but the masks
                if source is not None and out is not None:
                    # All indices are in range. With mode="raise", NumPy would write into a buffer first.
                    np.take(source, index[part], axis=0, out=out[part], mode="clip")
            if corruption is not None:
                generator = keyed_generator(self._seed, "corruption of a batch", epoch, first + part.start)
                noise = self._noise[worker][: part.stop - part.start]
                corruption.draw(generator, noise)
                corruption.apply(memory.X[part], noise)
            if memory.masks is not None:
                generator = keyed_generator(self._seed, "dropout in a batch", epoch, first + part.start)
                self._draw_masks(generator, memory.masks[part])

        starts = range(0, n_rows, _ROWS_FILLED)
        parts = [slice(start, min(start + _ROWS_FILLED, n_rows)) for start in starts]
        return _Filling(memory, [partial(fill, part) for part in parts])

    def _draw_masks(self, generator: np.random.Generator, masks: FloatArray) -> None:
        """Overwrite the masks of some rows: 0 where an activation is dropped, else 1 / (1 − probability)."""
        generator.random(dtype=masks.dtype, out=masks)
        for _, columns, rate in self._problem.network.dropped:
            masks[:, columns] = (masks[:, columns] >= rate) / (1 - rate)

    def _fill(self, filling: _Filling) -> None:
        """Run the tasks of a filling, which fill its memory, divided among threads; return when all are done."""
        indices = [slice(index, index + 1) for index in range(len(filling.parts))]
        self._engine.for_each(lambda index, worker: filling.parts[index.start](worker), indices)


class _Filling(NamedTuple):
    """Memory for the rows of a batch, and the tasks that fill it, each of which takes the worker's index."""

    memory: _Rows
    parts: list[Task]

    @property
    def n_rows(self) -> int:
        return len(self.memory.X)


class _Stock(NamedTuple):
    """Arrays from which rows are gathered, and the indices of the rows in each array, in the order of their use."""

    arrays: _Rows
    indices: list[NDArray[np.intp]]

    @property
    def n_rows(self) -> int:
        return len(self.indices[0])


class _Rows(NamedTuple):
    """The arrays of a problem; the first axis of each counts rows."""

    X: FloatArray
    y: FloatArray | None
    sample_weight: FloatArray | None
    tangents: FloatArray | None
    masks: FloatArray | None = None

    def allocate(self, n_rows: int, n_dropped: int) -> _Rows:
        """Return uninitialised arrays like these for `n_rows` rows, with masks for `n_dropped` activations a row."""
        arrays: list[Any] = [a if a is None else empty_aligned((n_rows, *a.shape[1:]), a.dtype) for a in self[:-1]]
        arrays.append(empty_aligned((n_rows, n_dropped), self.X.dtype) if n_dropped else None)
        return _Rows(*arrays)
