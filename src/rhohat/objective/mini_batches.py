"""The cost J of mini-batches, for solvers that update θ after each; every epoch shuffles and corrupts rows anew."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import pairwise, zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.blocks import DeviceEngine, Engine, Rows, in_memory, on_device
from rhohat.common.randomness import keyed_generator
from rhohat.objective import Problem
from rhohat.objective.batch import MiniBatch
from rhohat.objective.batch_rows import BatchRows, Draws, Filling, Stock
from rhohat.objective.device_batches import DeviceBatch, DeviceBatches
from rhohat.objective.held_out import count_held_out, draw_by_class
from rhohat.objective.host_batches import HostBatches
from rhohat.objective.row_windows import RowWindows, Window, bytes_of_a_row, even_edges, read_all

__all__ = ["MiniBatches"]

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
    engine : Engine or DeviceEngine
        Engine that computes the mini-batches: threads of this process, or a device such as a GPU.
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
    ops : Ops
        Primitives with which solvers update θ where it is needed.
    dtype : dtype
        Dtype of the arithmetic, and of the parameters during training: on the host, that of the rows.

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
        engine: Engine | DeviceEngine,
        *,
        seed: int,
        validation_fraction: float = 0.0,
        classes: NDArray[np.intp] | None = None,
        window_bytes: int = 2**28,
        cache_bytes: int = 2**30,
    ) -> None:
        problem = problem.with_ops(engine.ops)
        X, y, sample_weight = problem.X, problem.y, problem.sample_weight
        if problem.ops.library != "numpy":
            raise ValueError(
                "MiniBatches needs NumPy arrays, or rows that are read in blocks, but these rows are PyTorch tensors;"
                " pass X.numpy() instead of a tensor X."
            )
        draws = Draws(problem, seed)
        self._maker: HostBatches | DeviceBatches
        if on_device(engine):
            self._maker = DeviceBatches(problem, engine, draws, cache_bytes)
        else:
            self._maker = HostBatches(problem, engine, draws, cache_bytes)
        self.ops, self.dtype, self._seed = self._maker.ops, self._maker.dtype, seed
        to_read: dict[int, Any] = {id(rows): rows for rows in (X, y) if rows is not None and not in_memory(rows)}
        sources: list[Rows] = list(to_read.values())
        if X.shape[0] * bytes_of_a_row(sources) <= window_bytes:
            read = {id(source): read_all(source) for source in sources}  # read only once if y is X
            X, y, sources = read.get(id(X), X), read.get(id(y), y), []
        self._windows: RowWindows | None = None  # None if all rows are in memory
        #: If the inputs of an autoencoder are corrupted, its targets are the clean rows.
        self._rows: list[Any] = [X, X if y is None and problem.corruption else y, sample_weight, problem.tangents]
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
            self._rows = self._maker.bring(self._rows)
        weights = np.ones(1) if sample_weight is None else np.delete(sample_weight, self._held_out)
        #: Mean weight of the rows of an epoch.
        self._mean_weight = float(np.mean(weights, dtype=np.float64))
        self._validation: BatchRows | None = None  # the rows held out, read and corrupted once
        if self._windows is not None and n_held_out:
            self._validation = self._read_held_out(self._windows)

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return J(θ) and ∇J(θ) over all rows except those held out, as one batch, with all of its rows in memory."""
        rows = self._training if self._windows is None else self._windows.read_all()
        value, gradient, _ = self._objective_of(rows, epoch=0, first=0).evaluate(theta)
        return value, gradient

    def batches(
        self, epoch: int, batch_size: int, first_batch: int = 0
    ) -> Iterator[tuple[MiniBatch | DeviceBatch, int]]:
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
        objective : MiniBatch or DeviceBatch
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
                self._maker.fill(fillings[0])
                for filling, following in zip_longest(fillings, fillings[1:]):
                    tasks = [] if following is None else following.parts
                    batch = self._maker.batch(filling.memory, filling.n_rows * self._mean_weight, tasks)
                    yield batch, filling.n_rows
                    if following is not None and not batch.meanwhile_is_done:  # the batch was not evaluated in parts
                        self._maker.fill(following)

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
            return self._maker.batch(self._validation).cost(theta)[0]
        return self._objective_of(self._held_out, epoch=0, first=self.n_samples).cost(theta)[0]

    def _fillings(self, epoch: int, batch_size: int, first_batch: int) -> Generator[list[Filling]]:
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

        def fillings(rows: NDArray[np.intp] | Window, batches: range) -> list[Filling]:
            stock, begin = self._stock(rows), int(borders[batches.start])
            return [
                self._maker.filling(stock, slice(first - begin, stop - begin), epoch, first, number % 2)
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

    def _read_held_out(self, windows: RowWindows) -> BatchRows:
        """Read and corrupt the rows held out, and return them in memory that no mini-batch uses."""
        stock = self._stock(windows.take(self._held_out))
        filling = self._maker.filling(stock, slice(0, stock.n_rows), 0, self.n_samples, 3)
        self._maker.fill(filling)
        return filling.memory._replace(masks=None)

    def _objective_of(self, rows: NDArray[np.intp] | Window, epoch: int, first: int) -> MiniBatch | DeviceBatch:
        """Return the objective over some rows, with means by the weights of these rows alone.

        Nothing is dropped.
        """
        stock = self._stock(rows)
        filling = self._maker.filling(stock, slice(0, stock.n_rows), epoch, first, 2)  # places 0 and 1 may hold batches
        self._maker.fill(filling)
        return self._maker.batch(filling.memory._replace(masks=None))

    def _stock(self, rows: NDArray[np.intp] | Window) -> Stock:
        """Return the `Stock` of rows that are given by their numbers, or by a window that has been read."""
        if not isinstance(rows, Window):
            return self._maker.stock(Stock(BatchRows(*self._rows), [rows] * len(self._rows)))
        assert self._windows is not None
        read = {id(source): array for source, array in zip(self._windows.sources, rows.memory, strict=True)}
        arrays = BatchRows(*(read.get(id(array), array) for array in self._rows))
        return Stock(arrays, [rows.order if id(array) in read else rows.rows for array in self._rows])
