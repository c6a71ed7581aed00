"""Where objective, engine and solver meet: a problem and a start in, a solver's result out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rhohat.arrays import FloatArray
from rhohat.compatibility import check_problem, check_second_derivatives
from rhohat.corruption import Corruption, corrupt_rows
from rhohat.data import RowSource
from rhohat.data.rows import ConvertedRows, CorruptedRows
from rhohat.engines import ThreadEngine
from rhohat.losses import Loss
from rhohat.mini_batches import MiniBatches
from rhohat.network import Network
from rhohat.objective import Objective
from rhohat.penalties import Penalty
from rhohat.randomness import keyed_generator
from rhohat.solvers import (
    Callback,
    FullBatchSolver,
    MiniBatchSolver,
    MiniBatchState,
    NewtonCG,
    Solver,
    SolverResult,
)

__all__ = ["Problem", "train"]


@dataclass(frozen=True)
class Problem:
    """What is to be minimised: a network, its cost, and rows.

    Attributes
    ----------
    network : Network
    loss : Loss
    penalties : sequence of Penalty
    X : array or RowSource of shape (n_samples, n_features)
        Clean inputs.
    y : array or RowSource of shape (n_samples, n_outputs), or None
        Targets; None means X.
    sample_weight : array of shape (n_samples,), or None
    tangents : array of shape (n_samples, n_tangents, n_features), or None
    corruption : Corruption or None
        Of the inputs.
    """

    network: Network
    loss: Loss
    penalties: Sequence[Penalty]
    X: Any  # either has shape and dtype, which is all that most ask of it
    y: Any = None
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
        return self.corrupted(seed, epoch).on_rows(engine)

    def corrupted(self, seed: int, epoch: int) -> Problem:
        """Return the problem with its rows corrupted once."""
        if self.corruption is None:
            return self
        X: FloatArray | RowSource
        if isinstance(self.X, RowSource):
            X = CorruptedRows(self.X, self.corruption, seed, epoch)
        else:
            X = corrupt_rows(self.corruption, self.X, seed, epoch)
        return replace(self, X=X, y=self.X if self.y is None else self.y, corruption=None)

    def on_rows(
        self, engine: ThreadEngine, rows: NDArray[np.intp] | None = None, dtype: DTypeLike | None = None
    ) -> Objective:
        """Return J over some rows as they are, or over all; in another precision, if one is given."""

        def chosen(array: FloatArray | RowSource | None) -> Any:
            if array is None:
                return None
            if isinstance(array, RowSource):
                if rows is None:
                    return array if dtype is None or array.dtype == dtype else ConvertedRows(array, dtype)
                taken = array.take(rows)
            else:
                taken = array if rows is None else array[rows]
            with np.errstate(over="ignore"):  # what float32 cannot hold shows in J, and float64 takes over
                return np.asarray(taken, dtype=dtype)

        X = chosen(self.X)
        assert X is not None
        return Objective(
            self.network,
            X,
            chosen(self.y),
            loss=self.loss,
            penalties=self.penalties,
            sample_weight=self.sample_weight
            if self.sample_weight is None or rows is None
            else self.sample_weight[rows],
            tangents=chosen(self.tangents),
            engine=engine,
        )

    def mini_batches(self, engine: ThreadEngine, seed: int, validation_fraction: float) -> MiniBatches:
        """Return J in mini-batches, corrupted afresh in every epoch."""
        assert not isinstance(self.X, RowSource)  # estimators refuse it
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


# The warm-up: so many rows first, then so many times more, while that is less than half of them; each for so many
# iterations. `make bench CASE=patches` shows the same fit without it, which takes about twice as long to the same cost.
_FIRST_ROWS, _GROWTH = 1000, 3
_MOST_WARM_UP_BYTES = 2**28  # that a subset may take
_MOST_WARM_UP_ITERATIONS = 200

# In float32, J is computed to about 1e-7 of itself; what is to be had below this is left to float64.
_FLOAT32_IMPROVEMENT = 1e-5


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
    warm_up: bool = True,
) -> SolverResult:
    """Minimise J over the rows of a problem.

    A solver that sees all rows in every evaluation spends its first iterations on growing random subsets of the rows,
    if it says so, there are more than 2,000, and the start is not known to be good: on 1,000, 3,000, 9,000 and so on,
    each less than half of them, and of 256 MB at most. A subset gets half of `max_iter`, 200 iterations at most. They
    are drawn once, one within the next. Neither callbacks nor the record of J know of them, as the cost of a subset is
    another.

    With `float32_first`, that and the first iterations over all rows are computed in float32; callbacks see the latter.

    Parameters
    ----------
    problem : Problem
    theta : array of shape (n_parameters,)
        Where to start.
    solver : Solver
    engine : ThreadEngine
    seed : int
        Of the corruption, the shuffling, the subsets, and the choice of rows held out.
    max_iter, tol, callbacks
        See `Solver.minimize`.
    n_corruptions : int, default=1
        Solvers that see all rows at once are run so many times, each on a fresh corruption and from where the last one
        ended.
    state : MiniBatchState, default=None
        From which a solver by mini-batches goes on.
    warm_up : bool, default=True
        False where the start is better than what a subset of the rows would lead to.

    Returns
    -------
    SolverResult
        Of all runs over all rows together.
    """
    problem.check(solver)
    settings: dict[str, Any] = {"max_iter": max_iter, "tol": tol, "callbacks": callbacks}
    with engine.session():
        if isinstance(solver, MiniBatchSolver):
            held_out = solver.validation_fraction if solver.early_stopping else 0.0
            batches = problem.mini_batches(engine, seed, held_out)
            return solver.minimize(batches, theta, **settings, state=state)
        results: list[SolverResult] = []
        warm_up_evaluations: dict[int, int] = {}
        for epoch in range(n_corruptions if problem.corruption is not None else 1):
            corrupted = problem.corrupted(seed, epoch)
            if epoch == 0 and warm_up and isinstance(solver, FullBatchSolver) and solver.warm_up:
                theta, warm_up_evaluations = _warm_up(corrupted, theta, solver, engine, seed, max_iter, tol)
            results += _solve(corrupted, results[-1].theta if results else theta, solver, engine, settings)
            if results[-1].status in ("stopped", "not_finite"):
                break
    return _join(results, warm_up_evaluations)


def _warm_up(
    problem: Problem,
    theta: FloatArray,
    solver: FullBatchSolver,
    engine: ThreadEngine,
    seed: int,
    max_iter: int,
    tol: float,
) -> tuple[FloatArray, dict[int, int]]:
    """Return where a few iterations on growing subsets of the rows lead, and evaluations by number of rows."""
    n_samples = problem.X.shape[0]
    order = keyed_generator(seed, "warm-up").permutation(n_samples)
    dtype = np.float32 if solver.float32_first else problem.X.dtype
    evaluations: dict[int, int] = {}
    n_rows = _FIRST_ROWS
    bytes_per_row = problem.X.shape[1] * problem.X.dtype.itemsize
    while 2 * n_rows < n_samples and n_rows * bytes_per_row <= _MOST_WARM_UP_BYTES:
        rows = np.sort(order[:n_rows])
        if problem.sample_weight is None or np.any(problem.sample_weight[rows] > 0):
            objective = problem.on_rows(engine, rows, dtype)
            result = solver.minimize(
                objective, theta, max_iter=min(-(-max_iter // 2), _MOST_WARM_UP_ITERATIONS), tol=tol
            )
            theta, evaluations[n_rows] = result.theta, result.n_evaluations
        n_rows *= _GROWTH
    return theta, evaluations


def _solve(
    problem: Problem, theta: FloatArray, solver: Solver, engine: ThreadEngine, settings: dict[str, Any]
) -> list[SolverResult]:
    """Minimise J over all rows; in float32 first, where the solver says so."""
    results = []
    if isinstance(solver, FullBatchSolver) and solver.float32_first and problem.X.dtype != np.float32:
        coarse = replace(solver, min_improvement=max(solver.min_improvement, _FLOAT32_IMPROVEMENT))
        limit = settings["max_iter"]
        objective = problem.on_rows(engine, dtype=np.float32)
        results.append(coarse.minimize(objective, theta, **{**settings, "max_iter": max(1, limit - 1)}))
        if results[-1].status == "stopped" or results[-1].n_iter == limit:
            return results
        theta = results[-1].theta
        settings = {**settings, "max_iter": limit - results[-1].n_iter}
    results.append(solver.minimize(problem.on_rows(engine), theta, **settings))
    if results[-1].status == "max_iter" and len(results) == 2:
        ours, all_ = (f"{n} iterations" for n in (results[-1].n_iter, sum(result.n_iter for result in results)))
        results[-1] = replace(results[-1], message=results[-1].message.replace(ours, all_, 1))
    return results


def _join(results: Sequence[SolverResult], warm_up_evaluations: dict[int, int]) -> SolverResult:
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
            for name in dict.fromkeys(name for result in results for name in result.terms_curve)
        },
        warm_up_evaluations=warm_up_evaluations,
    )
