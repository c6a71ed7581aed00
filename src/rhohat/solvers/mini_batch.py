"""What solvers by mini-batches share: epochs, the schedule, early stopping, and the state to continue from."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rhohat.common.arrays import FloatArray, empty_aligned, largest_magnitude
from rhohat.common.blocks import theta_parts
from rhohat.ops import WithOps
from rhohat.solvers._checks import check_count, check_positive, check_unit_interval
from rhohat.solvers._early_stopping import EarlyStopping
from rhohat.solvers._epoch_sums import EpochSums
from rhohat.solvers._interrupts import HeldInterrupts, interrupts_held
from rhohat.solvers.base import Solver
from rhohat.solvers.divergence import WORSE, Lowest, has_risen
from rhohat.solvers.objectives import (
    ObjectiveFunction,
    ObjectiveWithBatches,
    ObjectiveWithConstraint,
    ObjectiveWithCost,
    ObjectiveWithState,
    ObjectiveWithValidation,
    PartFunction,
)
from rhohat.solvers.result import Callback, SolverResult
from rhohat.solvers.run import Point, Run
from rhohat.solvers.schedules import Schedule, as_schedule
from rhohat.solvers.states import Keeper, RunState

__all__ = ["MiniBatchSolver", "MiniBatchState"]

_OF_OBJECTIVE = "of the objective: "  # before names of arrays that are the objective's, in a state

_Batches: TypeAlias = Iterable[tuple[ObjectiveFunction, int]]


@dataclass
class MiniBatchState:
    """What a solver by mini-batches needs besides θ to go on where it was.

    It is brought up to date in place, and complete whenever an epoch is: during the callbacks and after the run, unless
    that ended as not finite, which leaves no state to go on from.

    Attributes
    ----------
    epoch : int
        Epochs finished.
    step : int
        Updates of θ done.
    moments : dict of str to array of shape (n_parameters,)
        The solver's running sums or means, by name, in the precision in which θ is updated; empty before the first
        epoch.
    """

    epoch: int = 0
    step: int = 0
    moments: dict[str, FloatArray] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MiniBatchSolver(WithOps, Solver):
    """Updates θ after every mini-batch of rows; an iteration is an epoch, in which every row is used once.

    Parameters
    ----------
    learning_rate : float
        α, positive; the schedule multiplies it.
    batch_size : int, default=256
        Most rows in a mini-batch, at least 1; the rows of an epoch are split as evenly as can be.
    schedule : {"constant", "linear", "cosine"} or callable, default="constant"
        Fraction of the epochs that is done, in [0, 1) → factor of the learning rate; see `rhohat.solvers.schedules`.
    early_stopping : bool, default=False
        Whether to evaluate rows held out after every epoch, to stop when their cost no longer falls, and to return
        the θ at which it was lowest, whatever ended the run.
    validation_fraction : float, default=0.1
        Fraction of the rows to hold out, in (0, 1). Whoever builds the objective holds them out.
    patience : int, default=10
        Early stopping waits for so many epochs without improvement, at least 1.

    Notes
    -----
    The objective gives its mini-batches by a method `batches`, see `ObjectiveWithBatches`. The record of an epoch is
    then the mean over its batches, weighted by their rows, each evaluated at the θ that it met; θ itself is that after
    the epoch. So an epoch costs one pass over the rows. The run has converged when no component of the epoch's mean
    gradient exceeds tol: at a minimum that mean vanishes, however noisy single batches are. The start is not
    evaluated, so before the first epoch is over value and gradient are NaN.

    An objective without that method is one batch. It is evaluated at the start and after every update, and the record
    is exact, as it is for other solvers.

    Where the objective has an attribute `dtype`, as float32, θ and the state are kept in that precision within the run.

    A value or gradient of any batch that is not finite ends the run with the θ after the last whole epoch.

    A run has diverged when an epoch's cost lies above the lowest by more than 1,000 times that of the first epoch, or,
    where the run ends, by more than 3 times the first cost. Then, and where numbers that are not finite come after such
    a rise, θ is that from which the epoch of the lowest cost began; with early stopping it is the best one on the rows
    held out. Where the first epoch costs more than 4 times what its first mini-batch did, one more pass over the epoch
    finds out what the start costs, which is the first cost then; like the rows held out, it is not counted among the
    evaluations.
    """

    learning_rate: float
    batch_size: int = 256
    schedule: str | Schedule = "constant"
    early_stopping: bool = False
    validation_fraction: float = 0.1
    patience: int = 10

    #: Names of the running sums or means that the update keeps.
    moment_names: ClassVar[tuple[str, ...]]

    #: What these are called.
    moments_are_called: ClassVar[str] = "running sums of the solver"

    resumable: ClassVar[bool] = True
    in_mini_batches: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive("learning_rate", self.learning_rate)
        check_count("batch_size", self.batch_size, "row")
        as_schedule(self.schedule)
        check_unit_interval("validation_fraction", self.validation_fraction, zero=False)
        check_count("patience", self.patience, "epoch")

    def minimize(
        self,
        objective: ObjectiveFunction,
        theta: FloatArray,
        *,
        max_iter: int = 400,
        tol: float = 1e-5,
        callbacks: Sequence[Callback] = (),
        keeper: Keeper | None = None,
        resume_from: RunState | None = None,
        state: MiniBatchState | None = None,
    ) -> SolverResult:
        """Minimise an objective.

        Parameters
        ----------
        objective : callable
            As in `Solver.minimize`; with the method `batches` for mini-batches, and `validate` for early stopping.
        theta : array of shape (n_parameters,)
            Where to start; left as it is.
        max_iter : int, default=400
            Most epochs.
        tol : float, default=1e-5
            Converged when no component of the epoch's mean gradient exceeds this.
        callbacks : sequence of callable
            Called with an `IterationState` after every epoch; the fit stops if one returns True.
        keeper, resume_from
            See `Solver.minimize`; the state is offered after every update of θ, so within epochs, too. Until the update
            at work is done, Ctrl-C waits.
        state : MiniBatchState, default=None
            To continue an earlier run: pass a new one to the first call, and the same again with the result's θ to
            the next, which then does what a single call would have done, bit for bit. Epochs are numbered on, and a
            schedule goes from epoch 0 to the last one of this call. Early stopping begins anew. None starts afresh.

        Returns
        -------
        SolverResult

        Raises
        ------
        ValueError
            If early stopping is asked of an objective that holds no rows out, or the state is that of another solver
            or another number of parameters.
        """
        self._check_objective(objective)
        state = MiniBatchState() if state is None else state
        if resume_from is not None:
            state.epoch, state.step = resume_from.record["epoch"], resume_from.record["step"]
            state.moments = {name: resume_from.arrays[name] for name in self.moment_names}
        self._prepare(state, np.size(theta), getattr(objective, "dtype", np.float64))
        run = Run(objective, max_iter, tol, callbacks, keeper=keeper, resumed=resume_from, remedy=self.remedy)
        run.lowest = Lowest()
        with contextlib.nullcontext() if keeper is None else interrupts_held() as held:
            return run.carry_out(
                theta,
                partial(self._iterate, state=state, held=held),
                evaluate_start=not isinstance(objective, ObjectiveWithBatches),
            )

    @property
    def fraction_held_out(self) -> float:
        """Fraction of the rows that are held out for early stopping; 0 for none."""
        return self.validation_fraction if self.early_stopping else 0.0

    @property
    def n_vectors_of_state(self) -> int:
        """Number of vectors like θ in a state: two more, the best by the held-out rows, with early stopping."""
        return 9 if self.early_stopping else 7

    @property
    def advice_on_memory(self) -> str:
        """To use smaller batches."""
        return ", or use smaller batches"

    def held(self, n_parameters: int) -> dict[str, int]:
        """Return the bytes of the running sums or means."""
        return {self.moments_are_called: len(self.moment_names) * 8 * n_parameters}

    @property
    def remedy(self) -> str:
        """What a user may do where steps are too long."""
        return f"Lower learning_rate (now {self.learning_rate:g}), or scale the data to about 1."

    @abstractmethod
    def _update(
        self,
        theta: FloatArray,
        gradient: FloatArray,
        moments: Sequence[FloatArray],
        scratch: FloatArray,
        learning_rate: float,
        step: int,
    ) -> None:
        """Update a part of θ and of the moments in place; `step` counts from 1."""

    def _check_objective(self, objective: ObjectiveFunction) -> None:
        if self.early_stopping and not isinstance(objective, ObjectiveWithValidation):
            raise ValueError(
                f"early_stopping=True needs an objective with a method validate(theta); got {objective!r}, which has"
                " none. Set early_stopping=False, or stop the run from a callback."
            )

    def _prepare(self, state: MiniBatchState, size: int, dtype: DTypeLike) -> None:
        """Make the moments, or check those of an earlier run."""
        if not state.moments:
            state.moments.update((name, np.zeros(size, dtype)) for name in self.moment_names)
        for name, moment in state.moments.items():
            state.moments[name] = moment.astype(dtype, copy=False)
        shapes = {name: moment.shape for name, moment in state.moments.items()}
        if shapes != dict.fromkeys(self.moment_names, (size,)):
            raise ValueError(
                f"state must be that of an earlier run of the same solver, whose moments have the shapes"
                f" {dict.fromkeys(self.moment_names, (size,))}; got {shapes}. Pass a new MiniBatchState() to start"
                " afresh."
            )

    def _iterate(self, run: Run, state: MiniBatchState | None = None, held: HeldInterrupts | None = None) -> None:
        assert state is not None  # minimize makes one
        stopping = EarlyStopping(run, self.patience) if self.early_stopping else None
        epochs = _Epochs(self, run, state, stopping, held)
        in_batches = isinstance(run.objective, ObjectiveWithBatches)
        try:
            while True:
                epochs.begin()
                point = epochs.next()
                if stopping is not None:
                    stopping.validate(point)
                run.accept(point, met_on_the_way=in_batches)
                run.stop_if_hopeless()
                if stopping is not None:
                    stopping.check()
        finally:
            if stopping is not None:
                stopping.choose()


class _Epochs:
    """Does epochs one by one; θ and the moments are updated in place, part by part."""

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
        self._moments = [state.moments[name] for name in solver.moment_names]
        self._theta = run.point.theta.astype(self._moments[0].dtype)
        self._gradient_sum = np.zeros_like(self._theta)
        self._sums = EpochSums()
        self._scratch: dict[int, FloatArray] = {}  # of each thread
        objective = run.objective
        self._kept_by_objective: dict[str, NDArray[Any]] = {}
        if isinstance(objective, ObjectiveWithState):
            self._kept_by_objective = objective.step_state()
        self._resumes = run.resumed is not None
        if run.resumed is not None:
            self._restore(run.resumed)

    def next(self) -> Point:
        """Do an epoch, or what is left of it, and return its record."""
        if isinstance(self._run.objective, ObjectiveWithBatches):
            point = self._do_batches(self._run.objective)
        else:
            update = self._step(0.0)
            for part in theta_parts(self._theta.size):
                update(part, self._run.point.gradient[part], 0)
            self._bring_back()
            point = self._run.evaluate(self._theta)
        self._state.epoch += 1
        return point

    def begin(self) -> None:
        """Begin an epoch, unless it is one to go on with."""
        if self._resumes:
            self._resumes = False
        else:
            self._run.withdraw()
            self._sums = EpochSums()
            self._gradient_sum[:] = 0
        self.offer()

    def offer(self) -> None:
        """Offer the state to the run's keeper, and let Ctrl-C through."""
        self._run.offer(
            partial(self._capture, self._state.epoch, self._state.step, replace(self._sums)), self._state.step
        )
        if self._held is not None:
            self._held.release()

    def _capture(self, epoch: int, step: int, sums: EpochSums) -> RunState:
        record = {"epoch": epoch, "step": step, "last_epoch": self._last_epoch, "sums": asdict(sums)}
        arrays = {"theta": self._theta, "gradient sum": self._gradient_sum, **self._state.moments}
        arrays |= {f"{_OF_OBJECTIVE}{name}": array for name, array in self._kept_by_objective.items()}
        state = RunState(record, arrays)
        if self._stopping is not None:
            self._stopping.add_to(state)
        return state

    def _restore(self, state: RunState) -> None:
        self._last_epoch = state.record["last_epoch"]
        self._theta, self._gradient_sum = state.arrays["theta"], state.arrays["gradient sum"]
        self._sums = EpochSums(**state.record["sums"])
        for name, array in self._kept_by_objective.items():
            array[...] = state.arrays[f"{_OF_OBJECTIVE}{name}"]
        if self._stopping is not None:
            self._stopping.restore(state)

    def _do_batches(self, objective: ObjectiveWithBatches) -> Point:
        n_samples = getattr(objective, "n_samples", np.inf)
        sums = self._sums
        where = {"first_batch": sums.n_batches} if sums.n_batches else {}  # whoever is never resumed need not know it
        with _closed(objective.batches(self._state.epoch, self._solver.batch_size, **where)) as batches:
            self._step_through(batches, n_samples)
        if sums.n_rows == 0:
            raise ValueError(f"batches must yield at least one mini-batch; epoch {self._state.epoch} had none.")
        gradient_mean = self._gradient_sum.astype(np.float64)
        gradient_mean *= sums.rows_of_last / sums.n_rows
        point = Point(self._theta.astype(np.float64), sums.mean, gradient_mean, {})
        kept = (point.theta, *self._moments)  # in a narrower precision than the point's
        if not (point.is_finite and all(np.isfinite(largest_magnitude(array)) for array in kept)):
            self._run.stop_as_not_finite(met=sums.mean)
        if self._run.n_iter == 0 and has_risen(sums.mean, sums.first, sums.first, WORSE):
            self._look_back(objective)
        return replace(point, terms=sums.mean_terms)

    def _look_back(self, objective: ObjectiveWithBatches) -> None:
        """Find out what the start costs, in one more pass over the epoch, which seems to have led away from it."""
        theta, sums = self._run.point.theta.astype(self._theta.dtype), EpochSums()
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
        """Take a step for every batch, and add up what it was at."""
        sums = self._sums
        for function, n_rows in batches:
            if n_rows != sums.rows_of_last:
                self._run.withdraw()
                self._gradient_sum *= sums.rows_of_last / n_rows
                sums.rows_of_last = n_rows
            update = self._step(min(sums.n_rows / n_samples, 1.0))
            if self._kept_by_objective:
                self._run.withdraw()  # the evaluation changes what a checkpoint would keep
            value, terms = self._run.call_in_parts(function, self._theta, update)
            if not np.isfinite(value):
                self._run.stop_as_not_finite(met=sums.mean)
            self._bring_back()
            sums.add(n_rows, value, terms)
            self.offer()

    def _bring_back(self) -> None:
        """Bring θ to where it has to be, after a step."""
        if isinstance(self._run.objective, ObjectiveWithConstraint):
            self._run.objective.constrain(self._theta)

    def _step(self, epoch_fraction: float) -> PartFunction:
        """Begin a step, and return what updates a part of θ by a gradient, and adds that to the epoch's sum."""
        self._state.step += 1
        step, progress = self._state.step, (self._state.epoch + epoch_fraction) / self._last_epoch
        learning_rate = self._solver.learning_rate * self._schedule(progress)

        def update(part: slice, gradient: FloatArray, worker: int) -> None:
            self._run.withdraw()
            # A few passes over each number: so few numbers at a time that they stay in the core's cache, and no fewer,
            # as every call pays for Python's lock.
            for small in theta_parts(part.stop - part.start):
                own, place = gradient[small], slice(part.start + small.start, part.start + small.stop)
                scratch = self._scratch.get(worker)
                if scratch is None or scratch.size < own.size:
                    scratch = self._scratch[worker] = empty_aligned((own.size,), self._theta.dtype)
                total = self._gradient_sum[place]
                total += own
                moments = [moment[place] for moment in self._moments]
                # What is no longer finite shows in the next evaluation.
                with np.errstate(over="ignore", invalid="ignore"):
                    self._solver._update(self._theta[place], own, moments, scratch[: own.size], learning_rate, step)

        return update


@contextlib.contextmanager
def _closed(batches: _Batches) -> Iterator[_Batches]:
    """Give mini-batches, and close them in the end: they may be reading ahead."""
    try:
        yield batches
    finally:
        if isinstance(batches, Generator):
            batches.close()
