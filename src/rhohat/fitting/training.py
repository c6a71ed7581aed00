"""Training: minimisation of the objective of a problem with a solver and an engine, from a start to a result."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.randomness import keyed_generator
from rhohat.data import RowSource, open_rows
from rhohat.engines import DaskEngine, ThreadEngine, TorchEngine
from rhohat.engines.group import Group
from rhohat.engines.processes import followed
from rhohat.fitting.held_out import HeldOut, hold_out
from rhohat.fitting.journal import Journal
from rhohat.fitting.memory import MemoryPlan, bytes_per_row, warm_up_sizes
from rhohat.fitting.problems import check_solver, choose_rows, corrupt
from rhohat.objective import Problem, make_objective
from rhohat.objective.mini_batches import MiniBatches
from rhohat.solvers import (
    Callback,
    IterationState,
    MiniBatchSolver,
    MiniBatchState,
    RunState,
    Solver,
    SolverResult,
)
from rhohat.solvers.run import Point

__all__ = ["Training", "train"]


# In float32, J has a relative precision of about 1e-7. Below this relative improvement, the fit goes on in float64.
_FLOAT32_IMPROVEMENT = 1e-5

_MOST_WARM_UP_ITERATIONS = 200
_WARM_UP = "warm-up on"


@dataclass(frozen=True)
class Training:
    """Settings with which a problem is trained.

    Attributes
    ----------
    solver : Solver
    threads : ThreadEngine
    seed : int
        Seed of the corruption, the shuffling, the subsets of a warm-up, and the choice of held-out rows.
    max_iter, tol, callbacks
        See `Solver.minimize`.
    memory : MemoryPlan
    journal : Journal
    engine : DaskEngine, TorchEngine or None
        Cluster whose workers evaluate J over all rows, or device that computes. If None, `threads` do.
    n_corruptions : int
        Number of runs of a solver that sees all rows at once. Each run uses a fresh corruption of the rows, and starts
        where the previous run ended.
    state : MiniBatchState or None
        State from which a solver that works in mini-batches continues.
    warm_up : bool
        Whether to warm up on subsets of the rows; False if a warm-up cannot improve the start.
    held_out : HeldOut or None
        Rows that are held out for early stopping. If None, there is none, or the solver does it by itself.
    """

    solver: Solver
    threads: ThreadEngine
    seed: int
    max_iter: int
    tol: float
    callbacks: Sequence[Callback]
    memory: MemoryPlan
    journal: Journal
    engine: DaskEngine | TorchEngine | None = None
    n_corruptions: int = 1
    state: MiniBatchState | None = None
    warm_up: bool = True
    held_out: HeldOut | None = None

    @property
    def device(self) -> TorchEngine | None:
        """The engine of the device that computes, if there is one."""
        return self.engine if isinstance(self.engine, TorchEngine) else None

    def of_followers(self) -> Training:
        """Return these settings for processes that follow this one, which write nothing and call nothing back."""
        return replace(self, callbacks=(), journal=self.journal.of_followers(), threads=ThreadEngine(1))


def train(problem: Problem, theta: FloatArray, training: Training) -> SolverResult:
    """Minimise the cost J over the rows of a problem.

    A solver that sees all rows in every evaluation first warms up on growing random subsets of the rows, if `warm_up`
    is True for the solver and for `training`, and if there are more than 2,000 rows. The subsets have 1,000, 3,000,
    9,000 rows and so on; each has less than half of all rows, and is no larger than the memory plan allows. On each
    subset, the solver takes at most half of `max_iter` iterations, and at most 200. The subsets are drawn once, and
    each contains the previous one. The costs of the warm-up are recorded separately, by number of rows, as the cost on
    a subset differs from the cost on all rows; callbacks find this number in the state of the iteration.

    If `float32_first` of the solver is True, the warm-up and the first iterations over all rows are computed in
    float32; callbacks are called after these iterations over all rows as well.

    Every run of a solver is a stage of the journal. After Ctrl-C, `journal.interrupted` is the result so far.

    Parameters
    ----------
    problem : Problem
    theta : array of shape (n_parameters,)
        Start of the minimisation.
    training : Training

    Returns
    -------
    SolverResult
        Result of the last run over all rows, with the joined records of all runs over all rows.
    """
    device = training.device
    if device is None or device.devices is None or device.group is not None or training.journal.result is not None:
        return _train(problem, theta, training)
    with followed(list(device.devices), follow, (problem, theta, training.of_followers())) as group:
        own = device.devices[group.rank]
        wishes = [Wishes(group, own, training.callbacks)]
        return _train(problem, theta, replace(training, engine=device.in_group(group, own), callbacks=wishes))


def follow(group: Group, device: str, problem: Problem, theta: FloatArray, training: Training) -> None:
    """Run the training of another process in this one, which computes a part of the rows."""
    assert training.device is not None
    engine = training.device.in_group(group, device)
    _train(problem, theta, replace(training, engine=engine, callbacks=[Wishes(group, device, [])]))


@dataclass(frozen=True)
class Wishes:
    """A callback of each process of a group, which ends the training in all when a callback of the first ends it."""

    group: Group
    device: str
    callbacks: Sequence[Callback]

    def __call__(self, state: IterationState) -> bool:
        """Call the callbacks, and return what the first process is told to do."""
        return self.group.told(_any_wishes(self.callbacks, state), self.device)


def _any_wishes(callbacks: Sequence[Callback], state: IterationState) -> bool:
    """Call all callbacks, and return whether one of them ends the training."""
    wishes = [bool(callback(state)) for callback in callbacks]
    return any(wishes)


def _train(problem: Problem, theta: FloatArray, training: Training) -> SolverResult:
    """Minimise the cost J over the rows of a problem in this process; see `train`."""
    solver, journal = training.solver, training.journal
    results: list[SolverResult] = []
    warm_up: dict[int, SolverResult] = {}
    check_solver(problem, solver)
    if training.memory.by_blocks and not isinstance(problem.X, RowSource):
        problem = replace(problem, X=open_rows(problem.X))
    if journal.result is not None:
        return journal.result
    with training.threads.session(), nullcontext() if training.engine is None else training.engine.session():
        try:
            if solver.in_mini_batches:
                assert isinstance(solver, MiniBatchSolver)
                results.append(_solve_in_batches(problem, theta, solver, training))
            else:
                for epoch in range(training.n_corruptions if problem.corruption is not None else 1):
                    corrupted, held_out = hold_out(
                        corrupt(problem, training.seed, epoch), training.held_out, training.seed
                    )
                    if epoch == 0 and training.warm_up and solver.warm_up:
                        theta = _warm_up(corrupted, theta, solver, training, warm_up)
                    _solve(corrupted, held_out, theta, solver, training, epoch, results)
                    theta = results[-1].theta
                    if results[-1].status in ("stopped", "diverged", "not_finite"):
                        break
        except KeyboardInterrupt:
            journal.interrupted = _interrupted(journal, results, warm_up)
            raise
        result = _join(results, warm_up)
        journal.finish(result)
    return result


def _interrupted(
    journal: Journal, results: Sequence[SolverResult], warm_up: dict[int, SolverResult]
) -> SolverResult | None:
    """Return the result so far of a fit that Ctrl-C has ended; None if only the start is known."""
    state, in_warm_up = journal.state(), journal.stage.startswith(_WARM_UP)
    if state is not None and not in_warm_up:
        results = [*results, _result_of(state)]
    elif not results:
        theta = journal.last_theta if state is None else state.arrays["theta"]
        if theta is None:
            return None
        results = [_no_iterations(theta)]
    n_iter = sum(result.n_iter for result in results)
    message = f"The fit was interrupted after {n_iter} iterations over all rows."
    return replace(_join(results, warm_up), status="interrupted", message=message)


def _result_of(state: RunState) -> SolverResult:
    """Return the state of a solver's run as a result."""
    record, point = state.record, Point.from_state(state, "point")
    return SolverResult(
        theta=state.arrays["theta"].astype(np.float64),
        value=point.value,
        terms=point.terms,
        gradient_norm=point.gradient_norm,
        n_iter=record["n_iter"],
        n_evaluations=record["n_evaluations"],
        status="interrupted",
        message="",
        loss_curve=record["loss_curve"],
        terms_curve=record["terms_curve"],
        validation_curve=record["validation_curve"],
    )


def _no_iterations(theta: FloatArray) -> SolverResult:
    """Return the result of a run that has not done an iteration over all rows."""
    nan = float("nan")
    return SolverResult(theta.astype(np.float64), nan, {}, nan, 0, 0, "interrupted", "", [], {})


def _solve_in_batches(problem: Problem, theta: FloatArray, solver: MiniBatchSolver, training: Training) -> SolverResult:
    memory, device = training.memory, training.device
    batches = MiniBatches(
        problem,
        device or training.threads,
        seed=training.seed,
        validation_fraction=solver.fraction_held_out,
        classes=None if training.held_out is None else training.held_out.classes,
        window_bytes=memory.window_bytes,
        cache_bytes=memory.cache_bytes,
    )
    solver = solver.with_ops(problem.with_ops(training.threads.ops).ops if device is None else device.device_ops)
    return training.journal.solve(
        "epochs", partial(solver.minimize, batches, theta, **_limits(training), state=training.state)
    )


def _limits(training: Training) -> dict[str, Any]:
    return {"max_iter": training.max_iter, "tol": training.tol, "callbacks": training.callbacks}


def _warm_up(
    problem: Problem,
    theta: FloatArray,
    solver: Solver,
    training: Training,
    results: dict[int, SolverResult],
) -> FloatArray:
    """Return the θ after some iterations on growing subsets of the rows, and put the results into `results`.

    The keys of `results` are the numbers of rows in the subsets. In the benchmark `make bench CASE=patches`, the
    same fit without a warm-up takes about twice as long to reach the same cost.
    """
    n_samples, memory = problem.X.shape[0], training.memory
    order = keyed_generator(training.seed, "warm-up").permutation(n_samples)
    dtype = np.float32 if solver.float32_first else problem.X.dtype
    max_iter = min(-(-training.max_iter // 2), _MOST_WARM_UP_ITERATIONS)
    for n_rows in warm_up_sizes(n_samples, bytes_per_row(problem), memory.subset_bytes):
        rows = np.sort(order[:n_rows])

        def minimise(rows: NDArray[np.intp] = rows, start: FloatArray = theta, **kept: Any) -> SolverResult:
            engine = training.device or training.threads
            objective = make_objective(choose_rows(problem, rows, dtype), engine, memory.cache_bytes)
            callbacks = [partial(_call_in_warm_up, callback, len(rows)) for callback in training.callbacks]
            return solver.minimize(objective, start, max_iter=max_iter, tol=training.tol, callbacks=callbacks, **kept)

        result = training.journal.solve(f"{_WARM_UP} {n_rows} rows", minimise, goes_on=True)
        theta, results[n_rows] = result.theta, result
    return theta


def _call_in_warm_up(callback: Callback, n_rows: int, state: IterationState) -> object:
    """Call a callback with the state of an iteration of the warm-up."""
    return callback(replace(state, n_rows=n_rows))


def _solve(
    problem: Problem,
    held_out: Problem | None,
    theta: FloatArray,
    solver: Solver,
    training: Training,
    epoch: int,
    results: list[SolverResult],
) -> None:
    """Minimise the cost J over all rows, first in float32 if the solver asks for it; append results to `results`."""
    cache_bytes, limit = training.memory.cache_bytes, training.max_iter
    limits = _limits(training)

    def minimise(
        solver: Solver, dtype: DTypeLike | None, start: FloatArray, limits: dict[str, Any], **kept: Any
    ) -> Any:
        chosen = choose_rows(problem, dtype=dtype)
        objective = make_objective(chosen, training.engine or training.threads, cache_bytes)
        return solver.minimize(objective, start, **limits, **kept)

    if solver.float32_first and problem.X.dtype != np.float32:
        coarse_limits = {**limits, "max_iter": max(1, limit - 1)}
        first = training.journal.solve(
            f"corruption {epoch}, float32",
            partial(minimise, solver.until(_FLOAT32_IMPROVEMENT), np.float32, theta, coarse_limits),
        )
        results.append(first)
        if first.status in ("stopped", "diverged") or first.n_iter == limit:
            return
        theta, limits = first.theta, {**limits, "max_iter": limit - first.n_iter, "n_done": first.n_iter}
    if held_out is not None and training.held_out is not None:
        cost = make_objective(held_out, training.device or training.threads, cache_bytes).cost
        limits |= {"validate": lambda theta: cost(theta)[0], "patience": training.held_out.patience}
    results.append(training.journal.solve(f"corruption {epoch}", partial(minimise, solver, None, theta, limits)))


def _join(results: Sequence[SolverResult], warm_up: dict[int, SolverResult]) -> SolverResult:
    """Return the last of several results, with the joined records of all results."""
    last = results[-1]
    return replace(
        last,
        n_iter=sum(result.n_iter for result in results),
        n_evaluations=sum(result.n_evaluations for result in results),
        n_hessian_products=sum(result.n_hessian_products for result in results),
        loss_curve=[value for result in results for value in result.loss_curve],
        terms_curve={
            name: [value for result in results for value in result.terms_curve.get(name, [])]
            for name in dict.fromkeys(name for result in results for name in result.terms_curve)
        },
        warm_up_evaluations={n_rows: result.n_evaluations for n_rows, result in warm_up.items()},
        warm_up_curves={n_rows: result.loss_curve for n_rows, result in warm_up.items()},
    )
