"""The loop over batches: the record of a training, its callbacks, its checkpoints, and how it ends."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

from rhohat.common.exceptions import DeadLatentsWarning
from rhohat.common.words import Sentence, Setting, counted
from rhohat.dictionaries.rows import BatchSource
from rhohat.dictionaries.step import Evaluated
from rhohat.dictionaries.training import DictionaryState, Trainer
from rhohat.solvers import Callback, IterationState, RunState, SolverResult
from rhohat.solvers.interrupts import interrupts_held
from rhohat.solvers.states import Keeper

__all__ = ["ChangesTraining", "Record", "WatchesUpdates", "joined_curves", "train"]

_BATCHES = 50  # most batches in a block, after which callbacks are called
_MANY_DEAD = 0.5  # fraction of dead latents of which a fit warns


@runtime_checkable
class ChangesTraining(Protocol):
    """A callback that changes the training of a dictionary between two blocks of updates."""

    def change(self, trainer: Trainer) -> None:
        """Change the state of a trainer; called after the callback itself."""


@runtime_checkable
class WatchesUpdates(Protocol):
    """A callback that is told of every update of a dictionary, so that it can show how far the training is."""

    def watch(self, n_updates: int, n_in_pass: int | None, n_passes: int) -> None:
        """Take note of an update.

        Parameters
        ----------
        n_updates : int
            Number of updates of this training so far.
        n_in_pass : int or None
            Number of updates in a pass over the rows; None if it is not known, as with an iterator.
        n_passes : int
            Number of passes of this training.
        """


@dataclass
class Stretch:
    """Sums over the batches of a block of updates.

    Attributes
    ----------
    n_batches, n_rows : int
        Number of batches and of rows.
    terms : dict of str to number
        Terms of J, summed over rows.
    squared_error : number
        Squared error, summed over features and rows.
    n_active : number
        Number of active latents, summed over rows.
    """

    n_batches: int = 0
    n_rows: int = 0
    terms: dict[str, Any] = field(default_factory=dict)
    squared_error: Any = 0.0
    n_active: Any = 0

    def add(self, evaluated: Evaluated) -> None:
        """Add what is known of a batch."""
        n_rows = evaluated.codes.n_rows
        self.n_batches += 1
        self.n_rows += n_rows
        for name, value in evaluated.terms.items():
            self.terms[name] = self.terms.get(name, 0.0) + n_rows * value
        self.squared_error += evaluated.squared_error
        self.n_active += evaluated.n_active

    def in_numbers(self) -> Stretch:
        """Return the same sums as floats, which a device is waited for."""
        terms = {name: float(total) for name, total in self.terms.items()}
        return replace(self, terms=terms, squared_error=float(self.squared_error), n_active=float(self.n_active))


class Record:
    """The record of the training of a dictionary, with an entry for every block of at most 50 updates.

    Parameters
    ----------
    trainer : Trainer
    variance : float
        Mean squared distance of rows from their mean, in the units in which the dictionary sees them.
    callbacks : sequence of callable
        Called with an `IterationState` after every block; those that watch updates, also after every update.

    Attributes
    ----------
    n_in_pass : int or None
        Number of updates in a pass, counted in the first pass over an iterable; None where it is known beforehand.
    """

    def __init__(self, trainer: Trainer, variance: float, callbacks: Sequence[Callback] = ()) -> None:
        self.trainer, self._variance, self._callbacks = trainer, variance, callbacks
        self.stretch = Stretch()
        self.loss_curve: list[float] = []
        self.terms_curve: dict[str, list[float]] = {}
        self.measures_curve: dict[str, list[float]] = {}
        self.n_in_pass: int | None = None
        self._has_warned = False
        self._seconds, self._began = 0.0, time.perf_counter()

    def begin(self) -> None:
        """Take note that the training begins now, which its seconds are counted from."""
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds of the training so far, with those before the checkpoint that it is resumed from."""
        return self._seconds + time.perf_counter() - self._began

    def note_pass(self, n_in_pass: int, n_passes: int) -> None:
        """Take note that the first pass over an iterable had so many updates, and of the number of all passes."""
        self.n_in_pass = n_in_pass
        self.trainer.note_length(n_in_pass * n_passes)

    def show(self, n_updates: int, n_in_pass: int | None, n_passes: int) -> None:
        """Tell the callbacks that watch updates of an update; see `WatchesUpdates`."""
        for callback in self._callbacks:
            if isinstance(callback, WatchesUpdates):
                callback.watch(n_updates, n_in_pass, n_passes)

    def add(self, batch: Sequence[Any]) -> None:
        """Train on a batch, and add what is known of it."""
        self.stretch.add(self.trainer.learn(*batch))

    def close(self, n_passes: float | None) -> bool:
        """Close a block, call the callbacks, and return whether one of them ends the training.

        Parameters
        ----------
        n_passes : float or None
            Number of passes done, with the part of the current one; None if it is not known.

        Raises
        ------
        NotFiniteError
            If J was not finite on a batch, which a device tells now. The state is that before this batch.
        """
        self.trainer.settle()
        stretch, problem = self.stretch.in_numbers(), self.trainer.problem
        terms = {name: total / stretch.n_rows for name, total in stretch.terms.items()}
        n_dead, n_latents = self.trainer.n_dead, problem.layout.n_latents
        measures = {
            "fvu": stretch.squared_error / stretch.n_rows / self._variance if self._variance > 0 else float("nan"),
            "l0": stretch.n_active / stretch.n_rows,
            "dead": float(n_dead),
            "rows": float(self.trainer.n_rows),
        }
        self.loss_curve.append(sum(terms.values()))
        for curve, new in ((self.terms_curve, terms), (self.measures_curve, measures)):
            for name, value in new.items():
                curve.setdefault(name, []).append(value)
        self.stretch = Stretch()
        if n_dead >= _MANY_DEAD * n_latents and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                Sentence(
                    f"{n_dead:,} of {n_latents:,} latents are dead: they have not been active for"
                    f" {problem.dead_after:,} rows. A lower learning rate, a larger weight of the auxiliary loss (",
                    *(Setting("auxiliary_weight"), "), fewer latents (", Setting("n_components"), "),"),
                    " or rows that are centred and scaled help.",
                ),
                DeadLatentsWarning,
                stacklevel=2,
            )
        where = {"updates": float(self.trainer.n_steps), "seconds": self.seconds}
        where |= {} if n_passes is None else {"passes": n_passes}
        return self.trainer.agreed(bool(self._callbacks) and self._call_back(terms, {**measures, **where}))

    def _call_back(self, terms: dict[str, float], measures: dict[str, float]) -> bool:
        """Call the callbacks with the state after a block, and return whether one of them ends the training."""
        theta = self.trainer.theta()  # a callback may keep it
        theta.flags.writeable = False
        iteration = len(self.loss_curve)
        state = IterationState(iteration, self.loss_curve[-1], terms, float("nan"), theta, measures=measures)
        wishes = [bool(callback(state)) for callback in self._callbacks]
        for callback in self._callbacks:
            if isinstance(callback, ChangesTraining):
                callback.change(self.trainer)
        return any(wishes)

    def result(self, status: Any, message: str) -> SolverResult:
        """Return the result of the training."""
        state = self.trainer.read()
        terms = {name: curve[-1] for name, curve in self.terms_curve.items()}
        return SolverResult(
            theta=state.theta,
            value=self.loss_curve[-1] if self.loss_curve else float("nan"),
            terms=terms,
            gradient_norm=float("nan"),
            n_iter=len(self.loss_curve),
            n_evaluations=state.step,
            status=status,
            message=message,
            loss_curve=self.loss_curve,
            terms_curve=self.terms_curve,
            measures_curve=self.measures_curve,
            arrays=state.learned,
        )

    def capture(self, epoch: int, batch: int) -> RunState:
        """Return the state of the training before a batch of a pass, for a checkpoint."""
        self.trainer.settle()
        state = self.trainer.read().as_run_state()
        curves = {name: getattr(self, name) for name in ("loss_curve", "terms_curve", "measures_curve")}
        state.record.update(
            epoch=epoch, batch=batch, stretch=asdict(self.stretch.in_numbers()), seconds=self.seconds, **curves
        )
        state.record["n_in_pass"] = self.n_in_pass
        return state

    def restore(self, state: RunState) -> tuple[int, int]:
        """Take over the state of a checkpoint, and return the pass and the batch that are next."""
        record = state.record
        self.trainer.state.restore(state)
        self.stretch = Stretch(**record["stretch"])
        self.loss_curve, self.terms_curve = record["loss_curve"], record["terms_curve"]
        self.measures_curve = record["measures_curve"]
        self._seconds, self._began = record.get("seconds", 0.0), time.perf_counter()
        self.n_in_pass = record.get("n_in_pass")
        return record["epoch"], record["batch"]


def train(
    records: Sequence[Record],
    source: BatchSource,
    *,
    n_passes: int,
    first_pass: int = 0,
    keeper: Keeper | None = None,
    resume_from: RunState | None = None,
) -> list[SolverResult]:
    """Train dictionaries on the same batches, and return the result of each.

    Ctrl-C takes effect between two batches, so that the states of the trainers stay whole.

    Parameters
    ----------
    records : sequence of Record
        Records of the dictionaries.
    source : BatchSource
    n_passes : int
        Number of passes over the rows.
    first_pass : int, default=0
        Number of the first pass, which the order of the rows depends on.
    keeper : Keeper, default=None
        What is offered the state after every batch; for one dictionary only.
    resume_from : RunState, default=None
        State from which the training of the dictionary goes on.

    Raises
    ------
    NotFiniteError
        If J is not finite on a batch. The states are those before this batch.
    """
    epoch, batch, in_pass, n_done = first_pass, 0, source.n_batches, first_pass
    for record in records:
        record.begin()
    if resume_from is not None:
        epoch, batch = records[0].restore(resume_from)
        if records[0].n_in_pass is not None:
            records[0].note_pass(records[0].n_in_pass, n_passes)
    with interrupts_held() as held:
        for number in range(epoch, first_pass + n_passes):
            with closing(source.batches(number, batch)) as batches:  # type: ignore[type-var]
                for arrays in batches:
                    if keeper is not None:
                        keeper.withdraw()
                    for record in records:
                        record.add(arrays)
                    batch += 1
                    stopped = False
                    if _is_full(records[0].stretch.n_batches, batch, in_pass):
                        wishes = [record.close(number + batch / in_pass if in_pass else None) for record in records]
                        stopped = any(wishes)
                    if keeper is not None:
                        keeper.offer(records[0].trainer.n_steps, partial(records[0].capture, number, batch))
                    for record in records:
                        length = in_pass or record.n_in_pass
                        record.show((number - first_pass) * (length or 0) + batch, length, n_passes)
                    held.release()
                    if stopped:
                        return [record.result("stopped", "A callback ended the training.") for record in records]
            if batch == 0:  # an iterable that could not be read again
                break
            for record in records if in_pass is None else []:
                if record.stretch.n_batches:
                    record.close(None)
                if record.n_in_pass is None:
                    record.note_pass(batch, n_passes)
            batch, n_done = 0, number + 1
    message = _message(records[0].trainer.read(), None if source.n_passes_possible == 1 else n_done)
    return [record.result("max_iter", message) for record in records]


def _message(state: DictionaryState, n_passes: int | None) -> str:
    """Return the sentence on a training that has come to its end."""
    passes = "" if n_passes is None else f" in {counted(n_passes, 'pass', 'passes')}"
    return f"The training has seen {counted(state.n_rows, 'row')}{passes}, with {counted(state.step, 'update')}."


def _is_full(n_batches: int, done: int, in_pass: int | None) -> bool:
    """Return whether a block ends: the blocks of a pass have as equal numbers of batches as possible."""
    if in_pass is None:
        return n_batches >= _BATCHES
    n_blocks = -(-in_pass // _BATCHES)
    return done * n_blocks // in_pass > (done - 1) * n_blocks // in_pass


def joined_curves(before: dict[str, list[float]], after: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return curves of two trainings, one after the other."""
    return {name: [*before.get(name, []), *after.get(name, [])] for name in {**before, **after}}
