"""Fitting of problems: training within a memory plan, with a journal from which the fit can be resumed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rhohat.common.arrays import FloatArray
from rhohat.common.versions import version_of
from rhohat.common.words import Sentence, Setting
from rhohat.engines import DaskEngine, ThreadEngine, TorchEngine, device_of
from rhohat.engines.group import Group
from rhohat.fitting.checkpoint_settings import Checkpoint, as_checkpoint
from rhohat.fitting.held_out import HeldOut
from rhohat.fitting.journal import AS_IT_WAS, Journal, describe, describe_estimator, describe_rows
from rhohat.fitting.memory import MemoryPlan, order_of_rows, plan_memory
from rhohat.fitting.training import Training, train
from rhohat.objective import Problem
from rhohat.solvers import Callback, MiniBatchState, Solver, SolverResult

__all__ = ["Fit", "Journals", "Start"]


@dataclass(frozen=True)
class Journals:
    """Settings of the journal of a fit, or of the journals of several fits in a row.

    A journal records the progress of a fit, and writes it to checkpoints.

    Attributes
    ----------
    checkpoint : Checkpoint or None, default=None
        Where and how often checkpoints are written. If None, no checkpoints are written.
    description : mapping, default=None
        Description of the estimator. A resumed fit must have the same description, data, network and loss as the
        checkpoint.
    is_part : bool, default=False
        Whether the fit is a part of a larger fit, such as the fit of a stack.
    group : Group or None, default=None
        The processes that have called the fit together, of which the first writes the checkpoints.
    """

    checkpoint: Checkpoint | None = None
    description: Mapping[str, Any] | None = None
    is_part: bool = False
    group: Group | None = None

    @classmethod
    def of(cls, estimator: Any, *, is_part: bool = False) -> Journals:
        """Return the settings that the parameters of an estimator describe."""
        checkpoint, device = as_checkpoint(estimator.checkpoint), device_of(estimator.engine)
        if checkpoint is None:
            return cls(is_part=is_part)
        return cls(checkpoint, describe_estimator(estimator), is_part, None if device is None else device.joined())

    @property
    def resume(self) -> bool:
        """Whether a fit continues from a checkpoint if there is one."""
        return self.checkpoint is not None and bool(self.checkpoint.resume)

    def open(self, part: str, rows: Mapping[str, Any], settings: Mapping[str, Any]) -> Journal:
        """Return the journal of a new fit, or of the fit that is resumed.

        Parameters
        ----------
        part : str
            Name of a folder within the folder of the checkpoints; "" is the folder of the checkpoints itself.
        rows : mapping of str to array or RowSource or None
            Data of the fit.
        settings : mapping of str to object
            Values that must be the same in a resumed fit, in addition to the data and the description.
        """
        if self.checkpoint is None:
            return Journal.of_nothing()
        described = {name: one if one is AS_IT_WAS else describe(one) for name, one in settings.items()}
        writes = self.group is None or self.group.rank == 0
        if self.group is not None:
            self.group.meet()  # the first one has written the checkpoints of an earlier fit
        journal = Journal(
            self.checkpoint.of_part(part),
            {"rhohat": version_of("rhohat"), **(self.description or {}), **described},
            lambda: {name: describe_rows(array) for name, array in rows.items()},
            part=self.is_part or bool(part) or not writes,
            writes=writes,
        )
        if self.group is not None:
            self.group.meet()  # before the first one writes, all have read
        return journal

    def keep_seed(self, rows: Mapping[str, Any], draw: Callable[[], int]) -> int:
        """Return the seed of a fit that consists of several fits with their own checkpoints.

        A resumed fit gets the same seed again.

        Parameters
        ----------
        rows : mapping of str to array or RowSource or None
            Data of the fit.
        draw : callable
            Function without arguments that returns a new seed.
        """
        with self.open("", rows, {}) as journal:
            seed = journal.keep_seed(draw)
            if not journal.found:
                journal.note()
            return seed


@dataclass(frozen=True)
class Start:
    """The parameters and the seed with which a fit starts.

    Attributes
    ----------
    theta : array of shape (n_parameters,), or None
        Initial θ; if None, `draw_theta` draws it.
    draw_theta : callable
        Function that returns an initial θ for a seed.
    draw_seed : callable
        Function without arguments that returns the seed of the fit. It is called at most once.
    was_interrupted : bool, default=False
        Whether θ comes from a fit that Ctrl-C ended. If that fit is resumed, its start is taken from the checkpoint.
    part : str, default=""
        Name of this fit's folder within the folder of the checkpoints, if there are several fits in a row.
    n_corruptions : int, default=1
        Number of corruptions of the rows on which the solver is run; see `Training`.
    """

    theta: FloatArray | None
    draw_theta: Callable[[int], FloatArray]
    draw_seed: Callable[[], int]
    was_interrupted: bool = False
    part: str = ""
    n_corruptions: int = 1


@dataclass(frozen=True)
class Fit:
    """Settings with which problems are fitted; the method `run` fits a problem.

    Attributes
    ----------
    solver : Solver
    max_iter, tol, callbacks
        See `Solver.minimize`.
    n_jobs : int or None
        Number of threads; None means as many as BLAS would use.
    engine : DaskEngine, TorchEngine or None
        Cluster whose workers evaluate J over all rows, or device that computes. If None, threads of this process do.
    memory_limit : int or None
        Largest number of bytes that the fit may hold; None means the defaults of `plan_memory`.
    journals : Journals
    held_out : HeldOut or None
        Rows that are held out for early stopping; None if there are none, or if the solver holds out by itself.

    Raises
    ------
    ValueError
        If checkpoints are to be written, but the solver has no state that can be written.
    """

    solver: Solver
    max_iter: int
    tol: float
    callbacks: Sequence[Callback]
    n_jobs: int | None = None
    engine: DaskEngine | TorchEngine | None = None
    memory_limit: int | None = None
    journals: Journals = Journals()
    held_out: HeldOut | None = None

    def __post_init__(self) -> None:
        checkpoint = self.journals.checkpoint
        if checkpoint is not None and not self.solver.resumable:
            raise ValueError(
                Sentence(
                    Setting("checkpoint", str(checkpoint.folder)),
                    f" needs a solver whose state can be written, and the state of {type(self.solver).__name__} cannot"
                    " be written; use 'lbfgs', 'gradient_descent', 'sgd' or 'adam'.",
                )
            )

    def run(
        self, problem: Problem, start: Start, interrupted: Callable[[SolverResult, MemoryPlan], None]
    ) -> tuple[SolverResult, MemoryPlan]:
        """Fit a problem, and return the solver's result and the memory plan.

        Parameters
        ----------
        problem : Problem
        start : Start
        interrupted : callable
            Function that is called after Ctrl-C with the result so far and the memory plan, if there is a result. Then
            the KeyboardInterrupt is raised again.

        Returns
        -------
        result : SolverResult
        memory : MemoryPlan
            The memory plan, which is also printed to standard error if there is a limit.
        """
        memory = self.plan_memory(problem)
        if memory.limit is not None:
            print(memory, file=sys.stderr)
        theta = start.theta
        settings = {
            "network": problem.network,
            "loss": problem.loss,
            "order": order_of_rows(problem, self.solver, memory),
            "start": AS_IT_WAS if self.journals.resume and start.was_interrupted else theta,
        }
        rows = {name: getattr(problem, name) for name in ("X", "y", "sample_weight", "tangents")}
        with self.journals.open(start.part, rows, settings) as journal:
            if journal.found and journal.found["start"] is None:
                theta = None
            seed = journal.keep_seed(start.draw_seed)
            training = self._training(seed, memory, journal, n_corruptions=start.n_corruptions, warm_up=theta is None)
            try:
                result = train(problem, start.draw_theta(seed) if theta is None else theta, training)
            except KeyboardInterrupt:
                if journal.interrupted is not None:
                    interrupted(journal.interrupted, memory)
                raise
        return result, memory

    def run_epoch(self, problem: Problem, theta: FloatArray, seed: int, state: MiniBatchState) -> SolverResult:
        """Train for one epoch from θ and update the solver's state in place, without a journal."""
        return train(problem, theta, self._training(seed, self.plan_memory(problem), Journal.of_nothing(), state=state))

    def plan_memory(self, problem: Problem) -> MemoryPlan:
        """Return the plan of what will be held in memory; see `rhohat.fitting.memory.plan_memory`."""
        n_workers = ThreadEngine(self.n_jobs).n_workers
        return plan_memory(
            problem,
            self.solver,
            n_workers,
            self.memory_limit,
            checkpoints=self.journals.checkpoint is not None,
            fraction_held_out=0.0 if self.held_out is None else self.held_out.fraction,
        )

    def _training(self, seed: int, memory: MemoryPlan, journal: Journal, **how: Any) -> Training:
        return Training(
            self.solver,
            ThreadEngine(self.n_jobs),
            seed,
            max_iter=self.max_iter,
            tol=self.tol,
            callbacks=self.callbacks,
            memory=memory,
            journal=journal,
            engine=self.engine,
            held_out=self.held_out,
            **how,
        )
