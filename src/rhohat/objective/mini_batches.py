"""J in mini-batches of rows, for solvers that take a step after each: shuffled, and corrupted afresh in every epoch."""

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
from rhohat.objective.row_windows import RowWindows, Window, bytes_of_a_row, even_edges, read_all
from rhohat.ops import NUMPY

__all__ = ["MiniBatches"]

_ROWS_FILLED = 128  # at once, by a thread
_HELD_OUT = 4  # one part in so many of the memory for windows is for rows held out


class MiniBatches:
    """The cost J(θ) of a network, one mini-batch of rows after another.

    Parameters
    ----------
    problem : Problem
        Its corruption is done to the inputs afresh in every epoch. Means over rows, ρ̂ among them, are taken over the
        mini-batch; with weights see the notes. Rows that are not in memory are read: all of them once, where they fit
        `window_bytes`; else in every epoch, a window at a time, while the window before is used.
    engine : Engine
    seed : int
        Of the shuffling, the corruption and the choice of rows held out.
    validation_fraction : float, default=0
        Fraction of the rows that is held out of every mini-batch, for `validate`; at least one row where it is not 0.
        Rows of weight 0 are neither counted nor held out. Of rows that are read in windows, at most so many are as fit
        a quarter of `window_bytes`, which they then take.
    window_bytes : int, default=256 MiB
        Memory for rows that are to be read, for all windows together; a window holds one mini-batch at least.

    Attributes
    ----------
    n_samples : int
        Rows in an epoch: all but those held out.
    dtype : dtype
        Of the rows, the arithmetic and the parameters while they are trained.

    Raises
    ------
    ValueError
        If the rows are tensors of PyTorch, or holding rows out leaves none.

    Notes
    -----
    With weights, a mini-batch counts by what its rows weigh. Let w̄ be the mean weight of the rows of an epoch. A batch
    B of m rows, which weigh W_B together, has

        J_B = 1/(m w̄) Σ_{i in B} w_i loss_i  +  W_B/(m w̄) × (penalties on ρ̂_B)  +  (penalties on weights)

    where ρ̂_B = 1/W_B Σ_{i in B} w_i a_i. So the mean of J_B over the rows of an epoch is made of the weighted mean of
    the loss over all rows, of the mean of the penalties on ρ̂_B, weighted by W_B, and of the penalties on weights. A
    batch that weighs nothing has no mean activation, and costs no penalty on it.

    Rows in windows are shuffled less than others: a mini-batch is drawn from the chunks of rows that its window holds,
    which are from all over the file, see `row_windows`. Where the file's order says something of the rows, as when they
    are sorted by class, a large window is a good one.
    """

    def __init__(
        self,
        problem: Problem,
        engine: Engine,
        *,
        seed: int,
        validation_fraction: float = 0.0,
        window_bytes: int = 2**28,
        cache_bytes: int = 2**30,
    ) -> None:
        self._problem, self._engine = problem, engine
        X, y, sample_weight = problem.X, problem.y, problem.sample_weight
        if problem.cost.ops != NUMPY:
            raise ValueError(
                "mini-batches are made of NumPy's arrays, or of rows to read: give X.numpy() for a tensor X."
            )
        self.dtype = X.dtype
        to_read: dict[int, Any] = {id(rows): rows for rows in (X, y) if rows is not None and not in_memory(rows)}
        sources: list[Rows] = list(to_read.values())
        if X.shape[0] * bytes_of_a_row(sources) <= window_bytes:
            read = {id(source): read_all(source) for source in sources}  # once, also where y is X
            X, y, sources = read.get(id(X), X), read.get(id(y), y), []
        self._windows: RowWindows | None = None  # where rows are read as they are needed
        #: An autoencoder that sees corrupted rows gives the clean ones back.
        self._rows: list[Any] = [X, X if y is None and problem.corruption else y, sample_weight, problem.tangents]
        self._seed, self._cache_bytes = seed, cache_bytes
        counting = np.arange(X.shape[0]) if sample_weight is None else np.flatnonzero(sample_weight)
        n_held_out = self._count_held_out(len(counting), validation_fraction, sources, window_bytes)
        self.n_samples = X.shape[0] - n_held_out
        draw = keyed_generator(seed, "rows held out")
        if sources:
            self._held_out = np.sort(draw.choice(counting, n_held_out, replace=False, shuffle=False))
            window_bytes -= n_held_out * bytes_of_a_row(sources)
            self._windows = RowWindows(sources, self._held_out, seed=seed, window_bytes=window_bytes)
        else:
            self._held_out = np.sort(draw.permutation(counting)[:n_held_out])
            self._training = np.delete(np.arange(X.shape[0]), self._held_out)
        weights = np.ones(1) if sample_weight is None else np.delete(sample_weight, self._held_out)
        #: Of the rows of an epoch.
        self._mean_weight = float(np.mean(weights, dtype=np.float64))
        self._evaluations: dict[int, BatchEvaluation] = {}
        self._memories: dict[tuple[int, int], _Rows] = {}
        shape = (_ROWS_FILLED, X.shape[1])
        self._noise = [empty_aligned(shape, X.dtype) for _ in range(engine.n_workers if problem.corruption else 0)]
        self._validation: _Rows | None = None  # the rows held out, read and corrupted once
        if self._windows is not None and n_held_out:
            self._validation = self._read_held_out(self._windows)

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return J(θ) and ∇J(θ) over all rows but those held out, as one batch, for which all of them are in memory."""
        rows = self._training if self._windows is None else self._windows.read_all()
        value, gradient, _ = self._objective_of(rows, epoch=0, first=0).evaluate(theta)
        return value, gradient

    def batches(self, epoch: int, batch_size: int, first_batch: int = 0) -> Iterator[tuple[MiniBatch, int]]:
        """Yield the objective of every mini-batch of an epoch, and its number of rows.

        Parameters
        ----------
        epoch : int
            Counted from 0; says how rows are shuffled and corrupted.
        batch_size : int
            Most rows in a mini-batch; the rows are split as evenly as can be.
        first_batch : int, default=0
            Which mini-batch to begin with, counted from 0. It and those that follow are what they are in the whole
            epoch, to the last bit.

        Yields
        ------
        objective : MiniBatch
            Good until the next one is asked for, which may use its memory.
        n_rows : int

        Raises
        ------
        ValueError
            If the epoch has fewer mini-batches than `first_batch`.
        Exception
            What reading rows raised, where the first mini-batch that needs them is asked for.
        """
        with closing(self._fillings(epoch, batch_size, first_batch)) as windows:
            for fillings in windows:
                self._fill(fillings[0])
                for filling, following in zip_longest(fillings, fillings[1:]):
                    tasks = [] if following is None else following.parts
                    batch = self._batch_over(filling.memory, filling.n_rows * self._mean_weight, tasks)
                    yield batch, filling.n_rows
                    if following is not None and not batch.meanwhile_is_done:  # it was not evaluated in parts
                        self._fill(following)

    def validate(self, theta: FloatArray) -> float:
        """Return J(θ) on the rows held out, by their own weights, corrupted the same way each time.

        Parameters
        ----------
        theta : array of shape (n_parameters,)

        Returns
        -------
        float
        """
        if self._validation is not None:
            return self._batch_over(self._validation).cost(theta)[0]
        return self._objective_of(self._held_out, epoch=0, first=self.n_samples).cost(theta)[0]

    def _fillings(self, epoch: int, batch_size: int, first_batch: int) -> Generator[list[_Filling]]:
        """Yield what fills the mini-batches of an epoch: those of each window, or all where all rows are in memory."""
        n_batches = -(-self.n_samples // batch_size)
        if not 0 <= first_batch <= n_batches:
            raise ValueError(f"first_batch must lie in [0, {n_batches}], the epoch's mini-batches; got {first_batch}.")
        if first_batch == n_batches:
            return
        # Nearly equal batches: a rest of a few rows would make as large a step as a whole batch does.
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
        """Return how many rows are to be held out, of which those in windows take a part of the memory for these."""
        n_held_out = int(np.ceil(fraction * n_rows)) if fraction > 0 else 0
        if sources and n_held_out:
            n_held_out = min(n_held_out, max(1, window_bytes // _HELD_OUT // bytes_of_a_row(sources)))
        if n_held_out >= n_rows:
            raise ValueError(
                f"early stopping holds out {n_held_out} of {n_rows} rows, which leaves none to learn from; set"
                " early_stopping=False, or give more rows."
            )
        return n_held_out

    def _read_held_out(self, windows: RowWindows) -> _Rows:
        """Return the rows held out as they are evaluated, corrupted, in memory of their own."""
        stock, place = self._stock(windows.take(self._held_out)), 2
        self._fill(self._filling(stock, slice(0, stock.n_rows), 0, self.n_samples, place))
        return self._memories.pop((stock.n_rows, place))

    def _objective_of(self, rows: NDArray[np.intp] | Window, epoch: int, first: int) -> MiniBatch:
        """Return the objective over some rows, by their own weights; see `_filling` for the arguments."""
        stock = self._stock(rows)
        filling = self._filling(stock, slice(0, stock.n_rows), epoch, first, 2)  # a batch may wait in the other places
        self._fill(filling)
        return self._batch_over(filling.memory)

    def _batch_over(
        self, memory: _Rows, total_weight: float | None = None, meanwhile: Sequence[Task] = ()
    ) -> MiniBatch:
        """Return the objective over rows in memory; what evaluates it is made once for each number of rows."""
        problem, n_rows = self._problem.on_rows(*memory), len(memory.X)
        if n_rows not in self._evaluations:
            self._evaluations[n_rows] = make_batch_evaluation(problem, self._engine, self._cache_bytes)
        evaluation = self._evaluations[n_rows]
        evaluation.set_problem(problem)
        return MiniBatch(evaluation, total_weight, meanwhile)

    def _stock(self, rows: NDArray[np.intp] | Window) -> _Stock:
        """Return what rows are gathered from: given by their numbers, or read already as far as they have to be."""
        if not isinstance(rows, Window):
            return _Stock(_Rows(*self._rows), [rows] * len(self._rows))
        assert self._windows is not None
        read = {id(source): array for source, array in zip(self._windows.sources, rows.memory, strict=True)}
        arrays = _Rows(*(read.get(id(array), array) for array in self._rows))
        return _Stock(arrays, [rows.order if id(array) in read else rows.rows for array in self._rows])

    def _filling(self, stock: _Stock, rows: slice, epoch: int, first: int, place: int) -> _Filling:
        """Return how to gather rows into memory, and to corrupt the inputs, part by part.

        Parameters
        ----------
        stock : _Stock
        rows : slice
            Which of the stock.
        epoch, first : int
            The epoch, and where in its order the first of these rows stands: they choose the corruption.
        place : {0, 1, 2}
            Which memory to use. A batch is filled while another is worked on; other rows than an epoch's have the last.
        """
        n_rows = rows.stop - rows.start
        if (n_rows, place) not in self._memories:
            self._memories[n_rows, place] = stock.arrays.allocate(n_rows)
        memory, indices = self._memories[n_rows, place], [index[rows] for index in stock.indices]
        corruption = self._problem.corruption

        def fill(part: slice, worker: int) -> None:
            for source, index, out in zip(stock.arrays, indices, memory, strict=True):
                if source is not None and out is not None:
                    np.take(source, index[part], axis=0, out=out[part], mode="clip")  # in range; "raise" would buffer
            if corruption is not None:
                generator = keyed_generator(self._seed, "corruption of a batch", epoch, first + part.start)
                noise = self._noise[worker][: part.stop - part.start]
                corruption.draw(generator, noise)
                corruption.apply(memory.X[part], noise)

        starts = range(0, n_rows, _ROWS_FILLED)
        parts = [slice(start, min(start + _ROWS_FILLED, n_rows)) for start in starts]
        return _Filling(memory, [partial(fill, part) for part in parts])

    def _fill(self, filling: _Filling) -> None:
        """Fill memory at once; threads share the parts."""
        indices = [slice(index, index + 1) for index in range(len(filling.parts))]
        self._engine.for_each(lambda index, worker: filling.parts[index.start](worker), indices)


class _Filling(NamedTuple):
    """Memory for the rows of a batch, and what fills it: functions of the worker that calls them."""

    memory: _Rows
    parts: list[Task]

    @property
    def n_rows(self) -> int:
        return len(self.memory.X)


class _Stock(NamedTuple):
    """Arrays that rows are gathered from, and where in each of them the rows stand, in the order of their use."""

    arrays: _Rows
    indices: list[NDArray[np.intp]]

    @property
    def n_rows(self) -> int:
        return len(self.indices[0])


class _Rows(NamedTuple):
    """Arrays that have a first axis in common: the rows."""

    X: FloatArray
    y: FloatArray | None
    sample_weight: FloatArray | None
    tangents: FloatArray | None

    def allocate(self, n_rows: int) -> _Rows:
        """Return arrays like these, for so many rows."""
        arrays: list[Any] = [a if a is None else empty_aligned((n_rows, *a.shape[1:]), a.dtype) for a in self]
        return _Rows(*arrays)
