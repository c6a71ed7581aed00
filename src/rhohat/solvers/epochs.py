"""The epochs of a mini-batch solver: a step for every mini-batch, and the record of each epoch."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray, largest_magnitude
from rhohat.common.blocks import theta_parts
from rhohat.ops import NUMPY, Ops
from rhohat.solvers._early_stopping import EarlyStopping
from rhohat.solvers._epoch_sums import EpochSums
from rhohat.solvers.divergence import WORSE, has_risen
from rhohat.solvers.interrupts import HeldInterrupts
from rhohat.solvers.objectives import (
    ObjectiveFunction,
    ObjectiveWithBatches,
    ObjectiveWithConstraint,
    ObjectiveWithCost,
    ObjectiveWithState,
    PartFunction,
)
from rhohat.solvers.run import Point, Run
from rhohat.solvers.schedules import as_schedule
from rhohat.solvers.states import RunState

if TYPE_CHECKING:
    from rhohat.solvers.mini_batch import MiniBatchSolver, MiniBatchState

__all__ = ["Epochs"]

_OF_OBJECTIVE = "of the objective: "  # prefix of the names of the objective's arrays in a state
_ASKED_AFTER = 256  # batches after which the sums are asked for, to end a run whose cost is no longer finite

_Batches: TypeAlias = Iterable[tuple[ObjectiveFunction, int]]


class Epochs:
    """The epochs of a run, done one by one; θ and the moments are updated in place, part by part."""

    def __init__(
        self,
        solver: MiniBatchSolver,
        run: Run,
        state: MiniBatchState,
        stopping: EarlyStopping | None,
        held: HeldInterrupts | None,
    ) -> None:
        self._solver, self._run, self._state, self._stopping, self._held = solver, run, state, stopping, held
        self._schedule = as_schedule(solver.schedule)
        self._last_epoch = state.epoch + run.max_iter
        self._ops: Ops = getattr(run.objective, "ops", NUMPY)
        ops, self._dtype = self._ops, state.moments[solver.moment_names[0]].dtype
        self._moments = [ops.asarray(state.moments[name]) for name in solver.moment_names]
        self._theta = ops.asarray(run.point.theta.astype(self._dtype))
        self._gradient_sum = ops.zeros(self._theta.shape, self._dtype)
        n_collected = len(self._theta) if solver.max_gradient_norm is not None else 0
        self._collected = ops.empty((n_collected,), self._dtype)
        self._sums = EpochSums()
        self._scratch: dict[int, FloatArray] = {}  # scratch memory, by the index of the thread
        objective = run.objective
        self._kept_by_objective: dict[str, NDArray[Any]] = {}
        self._constrained = objective if isinstance(objective, ObjectiveWithConstraint) else None
        if isinstance(objective, ObjectiveWithState):
            self._kept_by_objective = objective.step_state()
        self._resumes = run.resumed is not None
        if run.resumed is not None:
            self._restore(run.resumed)

    def next(self) -> Point:
        """Do an epoch, or the rest of an epoch that was resumed, and return its record."""
        if isinstance(self._run.objective, ObjectiveWithBatches):
            point = self._do_batches(self._run.objective)
        else:
            self._update_by(self._run.point.gradient.copy(), self._step(0.0))
            self._bring_back()
            point = self._run.evaluate(self._theta)
        self._state.epoch += 1
        return point

    def begin(self) -> None:
        """Reset the sums for a new epoch, unless the run was resumed within one, and offer the state."""
        if self._resumes:
            self._resumes = False
        else:
            self._run.withdraw()
            self._sums = EpochSums()
            self._gradient_sum[:] = 0
        self.offer()

    def offer(self) -> None:
        """Offer the state to the run's keeper, and raise KeyboardInterrupt if Ctrl-C was pressed meanwhile."""
        self._run.offer(
            partial(self._capture, self._state.epoch, self._state.step, replace(self._sums)), self._state.step
        )
        if self._held is not None:
            self._held.release()

    def _capture(self, epoch: int, step: int, sums: EpochSums) -> RunState:
        record = {"epoch": epoch, "step": step, "last_epoch": self._last_epoch, "sums": asdict(sums.on_host())}
        there = {"theta": self._theta, "gradient sum": self._gradient_sum, **self._moments_by_name()}
        arrays = {name: self._ops.to_numpy(array) for name, array in there.items()}
        arrays |= {f"{_OF_OBJECTIVE}{name}": array for name, array in self._kept_by_objective.items()}
        state = RunState(record, arrays)
        if self._stopping is not None:
            self._stopping.add_to(state)
        return state

    def _restore(self, state: RunState) -> None:
        self._last_epoch = state.record["last_epoch"]
        self._theta = self._ops.asarray(state.arrays["theta"], self._dtype)
        self._gradient_sum = self._ops.asarray(state.arrays["gradient sum"], self._dtype)
        self._sums = EpochSums(**state.record["sums"])
        for name, array in self._kept_by_objective.items():
            array[...] = state.arrays[f"{_OF_OBJECTIVE}{name}"]
        if self._stopping is not None:
            self._stopping.restore(state)

    def _do_batches(self, objective: ObjectiveWithBatches) -> Point:
        n_samples = getattr(objective, "n_samples", np.inf)
        sums = self._sums
        where = {"first_batch": sums.n_batches} if sums.n_batches else {}  # only resumable objectives need it
        with _closed(objective.batches(self._state.epoch, self._solver.batch_size, **where)) as batches:
            self._step_through(batches, n_samples)
        if sums.n_rows == 0:
            raise ValueError(
                "the objective's batches() must yield at least one mini-batch; it yielded none in epoch"
                f" {self._state.epoch}."
            )
        sums = self._sums = sums.on_host()
        gradient_mean = self._ops.to_numpy(self._gradient_sum).astype(np.float64)
        gradient_mean *= sums.rows_of_last / sums.n_rows
        point = Point(self._ops.to_numpy(self._theta).astype(np.float64), sums.mean, gradient_mean, {})
        is_finite = point.is_finite and np.isfinite(largest_magnitude(point.theta))
        if not (is_finite and all(self._is_finite(moment) for moment in self._moments)):
            self._run.stop_as_not_finite(met=sums.mean)
        if self._run.n_iter == 0 and has_risen(sums.mean, sums.first, sums.first, WORSE):
            self._look_back(objective)
        return replace(point, terms=sums.mean_terms)

    def _look_back(self, objective: ObjectiveWithBatches) -> None:
        """Compute the cost of the starting point in one more pass over the epoch, whose steps may have diverged."""
        theta, sums = self._run.point.theta.astype(self._dtype), EpochSums()
        with _closed(objective.batches(self._state.epoch, self._solver.batch_size)) as batches:
            for function, n_rows in batches:
                if isinstance(function, ObjectiveWithCost):
                    value, terms = function.cost(theta)
                else:
                    value, _, *rest = function(theta)
                    terms = rest[0] if rest else {}
                sums.add(n_rows, value, terms)
                if self._held is not None:
                    self._held.release()
        self._run.note_start(replace(self._run.point, value=sums.mean, terms=sums.mean_terms))

    def _step_through(self, batches: Iterable[tuple[ObjectiveFunction, int]], n_samples: float) -> None:
        """Take a step for every batch, and add the batch's value and terms to the sums of the epoch."""
        sums = self._sums
        for function, n_rows in batches:
            if n_rows != sums.rows_of_last:
                self._run.withdraw()
                self._gradient_sum *= sums.rows_of_last / n_rows
                sums.rows_of_last = n_rows
            update = self._step(min(sums.n_rows / n_samples, 1.0))
            if self._kept_by_objective:
                self._run.withdraw()  # the evaluation changes arrays that a checkpoint would store
            clips = self._solver.max_gradient_norm is not None
            value, terms = self._run.call_in_parts(function, self._theta, self._collect if clips else update)
            # What a device computes is known later: the sums are asked for at the end of the epoch, and now and then.
            if isinstance(value, float) and not np.isfinite(value):
                self._run.stop_as_not_finite(met=sums.mean)
            if clips:
                self._update_by(self._collected, update)
            self._bring_back()
            sums.add(n_rows, value, terms)
            if sums.n_batches % _ASKED_AFTER == 0 and not np.isfinite(float(sums.value)):
                self._run.stop_as_not_finite(met=float(sums.mean))
            self.offer()

    def _collect(self, part: slice, gradient: FloatArray, worker: int) -> None:
        """Keep a part of the gradient, whose norm is known only when all parts are."""
        self._collected[part] = gradient

    def _update_by(self, gradient: FloatArray, update: PartFunction) -> None:
        """Update θ by a whole gradient, which is overwritten where it is too long."""
        self._solver.clip(gradient)
        for part in self._pieces(len(gradient)):
            update(part, gradient[part], 0)

    def _pieces(self, n_numbers: int) -> list[slice]:
        """Return the pieces in which part of θ is updated, which fit a core's cache; a device takes all at once."""
        return theta_parts(n_numbers) if self._ops.library == "numpy" else [slice(0, n_numbers)]

    def _is_finite(self, array: Any) -> bool:
        """Return whether no number of an array is NaN or infinite."""
        if self._ops.library == "numpy":
            return bool(np.isfinite(largest_magnitude(array)))
        return self._ops.all_finite(array)

    def _moments_by_name(self) -> dict[str, Any]:
        return dict(zip(self._solver.moment_names, self._moments, strict=True))

    def hand_back(self) -> None:
        """Bring the moments back to the state, where a device has changed copies of them."""
        if self._ops.library != "numpy":
            moments = {name: self._ops.to_numpy(moment).copy() for name, moment in self._moments_by_name().items()}
            self._state.moments.update(moments)

    def _bring_back(self) -> None:
        """Make θ satisfy the objective's constraint, if there is one, after a step."""
        if self._constrained is not None:
            self._constrained.constrain(self._theta)

    def _step(self, epoch_fraction: float) -> PartFunction:
        """Begin a step; return a function that updates a part of θ and adds its gradient to the sum of gradients."""
        self._state.step += 1
        step, progress = self._state.step, (self._state.epoch + epoch_fraction) / self._last_epoch
        learning_rate = self._solver.learning_rate * self._schedule(progress)

        def update(part: slice, gradient: FloatArray, worker: int) -> None:
            self._run.withdraw()
            # An update makes several passes over its numbers. The pieces are small enough to stay in the core's cache,
            # and not smaller, because every call pays for Python's lock.
            for small in self._pieces(part.stop - part.start):
                own, place = gradient[small], slice(part.start + small.start, part.start + small.stop)
                scratch = self._scratch.get(worker)
                if scratch is None or len(scratch) < len(own):
                    scratch = self._scratch[worker] = self._ops.empty((len(own),), self._dtype)
                total = self._gradient_sum[place]
                total += own
                moments = [moment[place] for moment in self._moments]
                # The next evaluation detects numbers that are no longer finite.
                with np.errstate(over="ignore", invalid="ignore"):
                    self._solver._update(self._theta[place], own, moments, scratch[: len(own)], learning_rate, step)

        return update


@contextlib.contextmanager
def _closed(batches: _Batches) -> Iterator[_Batches]:
    """Yield the mini-batches, and close their generator at the end, since it may be reading ahead."""
    try:
        yield batches
    finally:
        if isinstance(batches, Generator):
            batches.close()
