"""J in mini-batches of rows, for solvers that take a step after each: shuffled, and corrupted afresh in every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate, zip_longest
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rhohat.arrays import FloatArray, empty_aligned
from rhohat.batch_objective import BatchObjective
from rhohat.blocks import Engine
from rhohat.compatibility import check_problem
from rhohat.corruption import Corruption
from rhohat.losses import Loss, SquaredError
from rhohat.network import Network
from rhohat.penalties import Penalty
from rhohat.randomness import keyed_generator

__all__ = ["MiniBatches"]

_ROWS_FILLED = 128  # at once, by a thread


class MiniBatches:
    """The cost J(θ) of a network, one mini-batch of rows after another.

    Parameters
    ----------
    network : Network
    X : array of shape (n_samples, n_features), float32 or float64
        Clean inputs.
    y : array of shape (n_samples, n_outputs), default=None
        Targets; None means X itself, clean.
    loss, penalties, tangents, engine
        As for `Objective`. Means over rows, ρ̂ among them, are taken over the mini-batch.
    sample_weight : array of shape (n_samples,), default=None
        How often each row counts. The mean over a mini-batch divides by the mean weight of all rows, not of its own,
        so that batches add up to the whole.
    seed : int
        Of the shuffling, the corruption and the choice of rows held out.
    corruption : Corruption, default=None
        What is done to the inputs, afresh in every epoch.
    validation_fraction : float, default=0
        Fraction of the rows that is held out of every mini-batch, for `validate`; at least one row where it is not 0.

    Attributes
    ----------
    n_samples : int
        Rows in an epoch: all but those held out.
    dtype : dtype
        Of the rows, the arithmetic and the parameters while they are trained.

    Raises
    ------
    ValueError
        As `Objective` does; or if holding rows out leaves none.
    """

    def __init__(
        self,
        network: Network,
        X: FloatArray,
        y: FloatArray | None = None,
        *,
        loss: Loss | None = None,
        penalties: Sequence[Penalty] = (),
        sample_weight: FloatArray | None = None,
        tangents: FloatArray | None = None,
        engine: Engine,
        seed: int,
        corruption: Corruption | None = None,
        validation_fraction: float = 0.0,
    ) -> None:
        self._network, self._engine = network, engine
        self.dtype = X.dtype
        self._loss: Loss = SquaredError() if loss is None else loss
        self._penalties = tuple(penalties)
        check_problem(network, self._loss, penalties, X, X if y is None else y, sample_weight, tangents)
        #: An autoencoder that sees corrupted rows gives the clean ones back.
        self._rows = _Rows(X, X if y is None and corruption else y, sample_weight, tangents)
        self._seed, self._corruption = seed, corruption
        order = np.arange(X.shape[0])
        n_held_out = int(np.ceil(validation_fraction * X.shape[0])) if validation_fraction > 0 else 0
        if n_held_out >= X.shape[0]:
            raise ValueError(
                f"early stopping holds out {n_held_out} of {X.shape[0]} rows, which leaves none to learn from; set"
                " early_stopping=False, or give more rows."
            )
        if n_held_out:
            order = keyed_generator(seed, "rows held out").permutation(order)
        self._held_out, self._training = np.sort(order[:n_held_out]), np.sort(order[n_held_out:])
        self.n_samples = len(self._training)
        self._mean_weight = 1.0 if sample_weight is None else float(np.mean(sample_weight, dtype=np.float64))
        self._objectives: dict[int, BatchObjective] = {}
        self._memories: dict[tuple[int, int], _Rows] = {}
        shape = (_ROWS_FILLED, X.shape[1])
        self._noise = [empty_aligned(shape, X.dtype) for _ in range(engine.n_workers if corruption else 0)]

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return J(θ) and ∇J(θ) over all rows but those held out, as one batch."""
        value, gradient, _ = self._objective_of(self._training, epoch=0, first=0).evaluate(theta)
        return value, gradient

    def batches(self, epoch: int, batch_size: int) -> Iterator[tuple[BatchObjective, int]]:
        """Yield the objective of every mini-batch of an epoch, and its number of rows.

        Parameters
        ----------
        epoch : int
            Counted from 0; says how rows are shuffled and corrupted.
        batch_size : int
            Most rows in a mini-batch; the rows are split as evenly as can be.

        Yields
        ------
        objective : BatchObjective
            Good until the next one is asked for, which may use its memory.
        n_rows : int
        """
        order = keyed_generator(self._seed, "shuffling", epoch).permutation(self._training)
        # Nearly equal batches: a rest of a few rows would make as large a step as a whole batch does.
        batches = np.array_split(order, -(-len(order) // batch_size))
        firsts = accumulate((len(rows) for rows in batches), initial=0)
        fillings = [
            self._filling(rows, epoch, first, place % 2)
            for place, (rows, first) in enumerate(zip(batches, firsts, strict=False))
        ]
        self._fill(fillings[0])
        for filling, following in zip_longest(fillings, fillings[1:]):
            objective = self._objective_over(filling.memory)
            if following is not None:
                objective.meanwhile = following.parts
            yield objective, filling.n_rows
            if objective.meanwhile and following is not None:  # it was not evaluated in parts
                objective.meanwhile = []
                self._fill(following)

    def validate(self, theta: FloatArray) -> float:
        """Return J(θ) on the rows held out, corrupted the same way each time.

        Parameters
        ----------
        theta : array of shape (n_parameters,)

        Returns
        -------
        float
        """
        return self._objective_of(self._held_out, epoch=0, first=self.n_samples).cost(theta)[0]

    def _objective_of(self, rows: NDArray[np.intp], epoch: int, first: int) -> BatchObjective:
        """Return the objective over some rows; see `_filling` for the arguments."""
        filling = self._filling(rows, epoch, first, 2)  # a batch may be waiting in the other places
        self._fill(filling)
        return self._objective_over(filling.memory)

    def _objective_over(self, memory: _Rows) -> BatchObjective:
        """Return the objective over rows in memory: made once for each number of rows."""
        n_rows = len(memory.X)
        if n_rows not in self._objectives:
            self._objectives[n_rows] = BatchObjective(
                self._network,
                memory.X,
                memory.y,
                loss=self._loss,
                penalties=self._penalties,
                tangents=memory.tangents,
                engine=self._engine,
            )
        objective = self._objectives[n_rows]
        objective.meanwhile = []
        objective.set_rows(*memory, total_weight=n_rows * self._mean_weight)
        return objective

    def _filling(self, rows: NDArray[np.intp], epoch: int, first: int, place: int) -> _Filling:
        """Return how to gather rows into memory, and to corrupt the inputs, part by part.

        Parameters
        ----------
        rows : array of int
        epoch, first : int
            The epoch, and where in its order the first of these rows stands: they choose the corruption.
        place : {0, 1, 2}
            Which memory to use. A batch is filled while another is worked on; other rows than an epoch's have the last.
        """
        key = len(rows), place
        if key not in self._memories:
            self._memories[key] = self._rows.allocate(len(rows))
        memory = self._memories[key]

        def fill(part: slice, worker: int) -> None:
            for source, out in zip(self._rows, memory, strict=True):
                if source is not None and out is not None:
                    np.take(source, rows[part], axis=0, out=out[part], mode="clip")  # in range; "raise" would buffer
            if self._corruption is not None:
                generator = keyed_generator(self._seed, "corruption of a batch", epoch, first + part.start)
                noise = self._noise[worker][: part.stop - part.start]
                self._corruption.draw(generator, noise)
                self._corruption.apply(memory.X[part], noise)

        starts = range(0, len(rows), _ROWS_FILLED)
        parts = [slice(start, min(start + _ROWS_FILLED, len(rows))) for start in starts]
        return _Filling(memory, [partial(fill, part) for part in parts])

    def _fill(self, filling: _Filling) -> None:
        """Fill memory at once; threads share the parts."""
        indices = [slice(index, index + 1) for index in range(len(filling.parts))]
        self._engine.for_each(lambda index, worker: filling.parts[index.start](worker), indices)


class _Filling(NamedTuple):
    """Memory for the rows of a batch, and what fills it: functions of the worker that calls them."""

    memory: _Rows
    parts: list[Callable[[int], None]]

    @property
    def n_rows(self) -> int:
        return len(self.memory.X)


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
