"""Where objective, engine and solver meet: a problem and a start in, a solver's result out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rhohat.arrays import FloatArray
from rhohat.compatibility import check_problem, check_second_derivatives
from rhohat.corruption import Corruption, corrupt_rows
from rhohat.engines import ThreadEngine
from rhohat.losses import Loss
from rhohat.mini_batches import MiniBatches
from rhohat.network import Network
from rhohat.objective import Objective
from rhohat.penalties import Penalty
from rhohat.solvers import Callback, MiniBatchSolver, MiniBatchState, NewtonCG, Solver, SolverResult

__all__ = ["Problem", "train"]


@dataclass(frozen=True)
class Problem:
    """What is to be minimised: a network, its cost, and rows.

    Attributes
    ----------
    network : Network
    loss : Loss
    penalties : sequence of Penalty
    X : array of shape (n_samples, n_features)
        Clean inputs.
    y : array of shape (n_samples, n_outputs), or None
        Targets; None means X.
    sample_weight : array of shape (n_samples,), or None
    tangents : array of shape (n_samples, n_tangents, n_features), or None
    corruption : Corruption or None
        Of the inputs.
    """

    network: Network
    loss: Loss
    penalties: Sequence[Penalty]
    X: FloatArray
    y: FloatArray | None = None
    sample_weight: FloatArray | None = None
    tangents: FloatArray | None = None
    corruption: Corruption | None = None

    def check(self, solver: Solver) -> None:
        """Raise ValueError where the parts do not fit together, or the solver needs more than they bring."""
        y = self.X if self.y is None else self.y
        check_problem(self.network, self.loss, self.penalties, self.X, y, self.sample_weight, self.tangents)
        if isinstance(solver, NewtonCG):
            check_second_derivatives(self.network, self.loss, self.penalties)

    def objective(self, engine: ThreadEngine, seed: int = 0, epoch: int = 0) -> Objective:
        """Return J over all rows, corrupted once, as the seed and the epoch say."""
        X, y = self.X, self.y
        if self.corruption is not None:
            X, y = corrupt_rows(self.corruption, X, seed, epoch), X if y is None else y
        return Objective(
            self.network,
            X,
            y,
            loss=self.loss,
            penalties=self.penalties,
            sample_weight=self.sample_weight,
            tangents=self.tangents,
            engine=engine,
        )

    def mini_batches(self, engine: ThreadEngine, seed: int, validation_fraction: float) -> MiniBatches:
        """Return J in mini-batches, corrupted afresh in every epoch."""
        return MiniBatches(
            self.network,
            self.X,
            self.y,
            loss=self.loss,
            penalties=self.penalties,
            sample_weight=self.sample_weight,
            tangents=self.tangents,
            corruption=self.corruption,
            engine=engine,
            seed=seed,
            validation_fraction=validation_fraction,
        )


def train(
    problem: Problem,
    theta: FloatArray,
    solver: Solver,
    *,
    engine: ThreadEngine,
    seed: int,
    max_iter: int,
    tol: float,
    callbacks: Sequence[Callback],
    n_corruptions: int = 1,
    state: MiniBatchState | None = None,
) -> SolverResult:
    """Minimise J over the rows of a problem.

    Parameters
    ----------
    problem : Problem
    theta : array of shape (n_parameters,)
        Where to start.
    solver : Solver
    engine : ThreadEngine
    seed : int
        Of the corruption, the shuffling and the choice of rows held out.
    max_iter, tol, callbacks
        See `Solver.minimize`.
    n_corruptions : int, default=1
        Solvers that see all rows at once are run so many times, each on a fresh corruption and from where the last one
        ended.
    state : MiniBatchState, default=None
        From which a solver by mini-batches goes on.

    Returns
    -------
    SolverResult
        Of all runs together.
    """
    problem.check(solver)
    settings: dict[str, Any] = {"max_iter": max_iter, "tol": tol, "callbacks": callbacks}
    with engine.session():
        if isinstance(solver, MiniBatchSolver):
            held_out = solver.validation_fraction if solver.early_stopping else 0.0
            batches = problem.mini_batches(engine, seed, held_out)
            return solver.minimize(batches, theta, **settings, state=state)
        results: list[SolverResult] = []
        for epoch in range(n_corruptions if problem.corruption is not None else 1):
            objective = problem.objective(engine, seed, epoch)
            results.append(solver.minimize(objective, results[-1].theta if results else theta, **settings))
            if results[-1].status in ("stopped", "not_finite"):
                break
    return _join(results)


def _join(results: Sequence[SolverResult]) -> SolverResult:
    """Return the last result with the record of all."""
    last = results[-1]
    return replace(
        last,
        n_iter=sum(result.n_iter for result in results),
        n_evaluations=sum(result.n_evaluations for result in results),
        n_hessian_products=sum(result.n_hessian_products for result in results),
        loss_curve=[value for result in results for value in result.loss_curve],
        terms_curve={
            name: [value for result in results for value in result.terms_curve.get(name, [])]
            for name in last.terms_curve
        },
    )
