"""A fit: a problem is trained within its memory plan, with a journal of what it has done so far."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from rhohat.common.arrays import FloatArray
from rhohat.engines import DaskEngine, ThreadEngine
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.fitting.journal import AS_IT_WAS, Journal, describe, describe_rows
from rhohat.fitting.memory import MemoryPlan, order_of_rows, plan_memory
from rhohat.fitting.training import Training, train
from rhohat.objective import Problem
from rhohat.solvers import Callback, MiniBatchState, Solver, SolverResult

__all__ = ["Fit", "Journals", "Start"]


@dataclass(frozen=True)
class Journals:
    """Where a fit, or each of several in a row, keeps its journal.

    Attributes
    ----------
    checkpoint : Checkpoint or None, default=None
        None keeps none.
    description : mapping, default=None
        What a checkpoint compares, beside the data, the network and the loss: that of the estimator.
    is_part : bool, default=False
        Whether this is a part of a larger fit.
    """

    checkpoint: Checkpoint | None = None
    description: Mapping[str, Any] | None = None
    is_part: bool = False

    @property
    def resume(self) -> bool:
        """Whether a fit goes on from the state that it finds."""
        return self.checkpoint is not None and bool(self.checkpoint.resume)

    def open(self, part: str, rows: Mapping[str, Any], settings: Mapping[str, Any]) -> Journal:
        """Return the record of a fit to come, or of the one that is resumed.

        Parameters
        ----------
        part : str
            Names a folder within that of the checkpoints; "" is that itself.
        rows : mapping of str to array or RowSource or None
            The data.
        settings : mapping of str to object
            What makes the fit what it is, beside its data and the description.
        """
        if self.checkpoint is None:
            return Journal.of_nothing()
        described = {name: one if one is AS_IT_WAS else describe(one) for name, one in settings.items()}
        return Journal(
            self.checkpoint.of_part(part),
            {"rhohat": version("rhohat"), **(self.description or {}), **described},
            lambda: {name: describe_rows(array) for name, array in rows.items()},
            part=self.is_part or bool(part),
        )

    def keep_seed(self, rows: Mapping[str, Any], draw: Callable[[], int]) -> int:
        """Return the seed of a fit that consists of several, each with checkpoints of its own; resumed, the same.

        Parameters
        ----------
        rows : mapping of str to array or RowSource or None
            The data.
        draw : callable
        """
        with self.open("", rows, {}) as journal:
            seed = journal.keep_seed(draw)
            if not journal.found:
                journal.note()
            return seed


@dataclass(frozen=True)
class Start:
    """Where a fit begins.

    Attributes
    ----------
    theta : array of shape (n_parameters,), or None
        None draws it.
    draw_theta : callable
        Returns θ for a seed.
    draw_seed : callable
        Returns the seed of the fit; called once.
    was_interrupted : bool, default=False
        Whether Ctrl-C has left θ. Where the fit is resumed, its checkpoint knows from where it had started.
    part : str, default=""
        Names the folder within that of the checkpoints, where there are several fits in a row.
    n_corruptions : int, default=1
        See `Training`.
    """

    theta: FloatArray | None
    draw_theta: Callable[[int], FloatArray]
    draw_seed: Callable[[], int]
    was_interrupted: bool = False
    part: str = ""
    n_corruptions: int = 1


@dataclass(frozen=True)
class Fit:
    """How problems are fitted.

    Attributes
    ----------
    solver : Solver
    max_iter, tol, callbacks
        See `Solver.minimize`.
    n_jobs : int or None
        Threads; None means as many as BLAS would use.
    cluster : DaskEngine or None
        Evaluates J over all rows in the place of the threads.
    memory_limit : int or None
        Bytes.
    journals : Journals

    Raises
    ------
    ValueError
        If checkpoints are asked for, and the solver cannot be resumed from them.
    """

    solver: Solver
    max_iter: int
    tol: float
    callbacks: Sequence[Callback]
    n_jobs: int | None = None
    cluster: DaskEngine | None = None
    memory_limit: int | None = None
    journals: Journals = Journals()

    def __post_init__(self) -> None:
        checkpoint = self.journals.checkpoint
        if checkpoint is not None and not self.solver.resumable:
            raise ValueError(
                f"checkpoint={str(checkpoint.folder)!r} needs a solver whose state can be written, and that of"
                f" {type(self.solver).__name__} cannot; use 'lbfgs', 'gradient_descent', 'sgd' or 'adam'."
            )

    def run(
        self, problem: Problem, start: Start, interrupted: Callable[[SolverResult, MemoryPlan], None]
    ) -> tuple[SolverResult, MemoryPlan]:
        """Fit a problem.

        Parameters
        ----------
        problem : Problem
        start : Start
        interrupted : callable
            Called with what was reached and the memory plan, where there is anything, before Ctrl-C goes on.

        Returns
        -------
        result : SolverResult
        memory : MemoryPlan
            Which is printed to standard error where there is a limit.
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
        """Do one epoch from θ, of which the state is brought up to date; without a journal."""
        return train(problem, theta, self._training(seed, self.plan_memory(problem), Journal.of_nothing(), state=state))

    def plan_memory(self, problem: Problem) -> MemoryPlan:
        """Decide what will be held in memory; see `plan_memory` of `rhohat.fitting.memory`."""
        n_workers = ThreadEngine(self.n_jobs).n_workers
        return plan_memory(
            problem, self.solver, n_workers, self.memory_limit, checkpoints=self.journals.checkpoint is not None
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
            cluster=self.cluster,
            **how,
        )
