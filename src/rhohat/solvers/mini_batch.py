"""The base class of mini-batch solvers: epochs, schedule, early stopping, and the state from which a run resumes."""

from __future__ import annotations

import contextlib
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from rhohat.common.arrays import FloatArray
from rhohat.common.blocks import theta_parts
from rhohat.ops import WithOps
from rhohat.solvers._checks import check_count, check_positive, check_unit_interval
from rhohat.solvers._early_stopping import EarlyStopping
from rhohat.solvers.base import Solver
from rhohat.solvers.divergence import Lowest
from rhohat.solvers.epochs import Epochs
from rhohat.solvers.interrupts import HeldInterrupts, interrupts_held
from rhohat.solvers.objectives import (
    ObjectiveFunction,
    ObjectiveWithBatches,
    ObjectiveWithValidation,
)
from rhohat.solvers.result import Callback, SolverResult
from rhohat.solvers.run import Run
from rhohat.solvers.schedules import Schedule, as_schedule
from rhohat.solvers.states import Keeper, RunState

__all__ = ["MiniBatchSolver", "MiniBatchState"]


@dataclass
class MiniBatchState:
    """The state of a mini-batch solver besides θ, from which an earlier run can be continued.

    The solver updates the state in place. The state is consistent between epochs, that is, during the callbacks and
    after the run. The state of a run that ended because numbers were not finite cannot be used to continue.

    Attributes
    ----------
    epoch : int
        Number of finished epochs.
    step : int
        Number of updates of θ done.
    moments : dict of str to array of shape (n_parameters,)
        The solver's running sums or means, by name, in the precision in which θ is updated; empty before the first
        epoch.
    """

    epoch: int = 0
    step: int = 0
    moments: dict[str, FloatArray] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MiniBatchSolver(WithOps, Solver):
    """Base class of solvers that update θ after every mini-batch; an iteration is an epoch, one pass over all rows.

    Parameters
    ----------
    learning_rate : float
        Learning rate α, positive; it is multiplied by the factor from the schedule.
    batch_size : int, default=256
        Maximum number of rows in a mini-batch, at least 1; the rows of an epoch are split as evenly as possible.
    schedule : {"constant", "linear", "cosine", "trapezoid"} or callable, default="constant"
        Name of a schedule, or a function that takes the completed fraction of the epochs, in [0, 1), and returns the
        factor of the learning rate; see `rhohat.solvers.schedules`.
    early_stopping : bool, default=False
        Whether to evaluate the cost on held-out rows after every epoch, to stop when that cost no longer falls, and to
        return the θ at which it was lowest, no matter why the run ended.
    validation_fraction : float, default=0.1
        Fraction of the rows to hold out, in (0, 1). The code that builds the objective holds them out.
    patience : int, default=10
        Number of epochs without improvement after which early stopping ends the run, at least 1.
    max_gradient_norm : float, default=None
        Largest norm of the gradient of a mini-batch, over all parameters together; a larger gradient is scaled down to
        this norm, as recurrent networks need. None means no limit.

    Notes
    -----
    The objective provides its mini-batches through a method `batches`, see `ObjectiveWithBatches`. The values recorded
    for an epoch are then means over its batches, weighted by their numbers of rows. Each batch is evaluated at the θ
    that is current at that time; the recorded θ is the θ after the epoch. So an epoch costs one pass over the rows. The
    run has converged when no component of the epoch's mean gradient exceeds tol: at a minimum that mean vanishes,
    however noisy single batches are. The starting point is not evaluated, so value and gradient are NaN until the first
    epoch is finished.

    An objective without a method `batches` is treated as one batch. It is evaluated at the start and after every
    update, and the recorded values are exact, as they are for other solvers.

    If the objective has an attribute `dtype`, such as float32, θ and the state are kept in that precision during the
    run.

    If the value or gradient of any batch is not finite, the run ends with the θ after the last complete epoch.

    A run has diverged when the cost of an epoch exceeds the lowest cost by more than 1,000 times the cost of the first
    epoch, or when the final cost exceeds the lowest cost by more than 3 times the first cost. In these cases, and if
    numbers that are not finite follow such a rise, the θ returned is the θ at which the epoch of lowest cost began;
    with early stopping, it is the θ of lowest cost on the held-out rows. If the cost of the first epoch is more than 4
    times the cost of its first mini-batch, one more pass over the epoch computes the cost of the starting point, which
    is then the first cost. Neither this pass nor the evaluations on held-out rows count as evaluations.
    """

    learning_rate: float
    batch_size: int = 256
    schedule: str | Schedule = "constant"
    early_stopping: bool = False
    validation_fraction: float = 0.1
    patience: int = 10
    max_gradient_norm: float | None = None

    #: Names of the running sums or means that the update keeps.
    moment_names: ClassVar[tuple[str, ...]]

    #: Description of these running sums or means, for reports on memory.
    moments_are_called: ClassVar[str] = "running sums of the solver"

    resumable: ClassVar[bool] = True
    in_mini_batches: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive("learning_rate", self.learning_rate)
        check_count("batch_size", self.batch_size, "row")
        as_schedule(self.schedule)
        check_unit_interval("validation_fraction", self.validation_fraction, zero=False)
        check_count("patience", self.patience, "epoch")
        if self.max_gradient_norm is not None:
            check_positive("max_gradient_norm", self.max_gradient_norm)

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
            As in `Solver.minimize`; it needs the method `batches` for mini-batches, and `validate` for early stopping.
        theta : array of shape (n_parameters,)
            Starting point; it is not modified.
        max_iter : int, default=400
            Maximum number of epochs.
        tol : float, default=1e-5
            The run has converged when no component of the epoch's mean gradient exceeds this value.
        callbacks : sequence of callable
            Functions that are called with an `IterationState` after every epoch; the fit stops if one returns True.
        keeper, resume_from
            See `Solver.minimize`. The state is offered after every update of θ, also within an epoch. With a keeper,
            Ctrl-C takes effect only when the current update is finished.
        state : MiniBatchState, default=None
            State for continuing an earlier run. Pass a new state to the first call, and the same state, together with
            the θ of the result, to the next call; the two calls then give bit for bit the result of a single call. The
            numbering of epochs continues, and a schedule extends from epoch 0 to the last epoch of this call. Early
            stopping starts anew. If None, a new run starts.

        Returns
        -------
        SolverResult

        Raises
        ------
        ValueError
            If early stopping is set and the objective has no held-out rows, or if the state belongs to another solver
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
        """Fraction of the rows that are held out for early stopping; 0 without early stopping."""
        return self.validation_fraction if self.early_stopping else 0.0

    @property
    def n_vectors_of_state(self) -> int:
        """Number of vectors of θ's length in a state; early stopping adds two, for the iterate that it keeps."""
        return 9 if self.early_stopping else 7

    def clip(self, gradient: FloatArray) -> None:
        """Scale a gradient down, in place, if its norm exceeds `max_gradient_norm`.

        References
        ----------
        Pascanu, R., Mikolov, T. and Bengio, Y. (2013). On the difficulty of training recurrent neural networks. ICML.
        """
        if self.max_gradient_norm is not None:
            norm = math.sqrt(sum(self.ops.sum_of_squares(gradient[part]) for part in theta_parts(len(gradient))))
            if norm > self.max_gradient_norm:
                gradient *= self.max_gradient_norm / norm

    @property
    def advice_on_memory(self) -> str:
        """Advice to use smaller batches."""
        return ", or use smaller batches"

    def held(self, n_parameters: int) -> dict[str, int]:
        """Return the number of bytes of the running sums or means, by their description."""
        return {self.moments_are_called: len(self.moment_names) * 8 * n_parameters}

    @property
    def remedy(self) -> str:
        """Advice for the user if steps are too long."""
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
                " no such method. Set early_stopping=False, or stop the run from a callback."
            )

    def _prepare(self, state: MiniBatchState, size: int, dtype: DTypeLike) -> None:
        """Create the moments (running sums or means) of the state, or convert and check those of an earlier run."""
        if not state.moments:
            state.moments.update((name, np.zeros(size, dtype)) for name in self.moment_names)
        for name, moment in state.moments.items():
            state.moments[name] = moment.astype(dtype, copy=False)
        shapes = {name: moment.shape for name, moment in state.moments.items()}
        if shapes != dict.fromkeys(self.moment_names, (size,)):
            raise ValueError(
                f"state must come from an earlier run of the same solver, and contain arrays of the shapes"
                f" {dict.fromkeys(self.moment_names, (size,))} in state.moments; got arrays of the shapes {shapes}."
                " Pass a new MiniBatchState() to start from the beginning."
            )

    def _iterate(self, run: Run, state: MiniBatchState | None = None, held: HeldInterrupts | None = None) -> None:
        assert state is not None  # `minimize` creates a state if none is given
        stopping = EarlyStopping(run, self.patience) if self.early_stopping else None
        epochs = Epochs(self, run, state, stopping, held)
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
            epochs.hand_back()
            if stopping is not None:
                stopping.choose()
