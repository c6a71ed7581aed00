"""Training in parts: `partial_fit`, which does one epoch per call and continues from the state of the call before."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import ConvergenceWarning
from rhohat.common.randomness import RandomState, seed_from
from rhohat.data import RowSource
from rhohat.data.ranges import joined_ranges
from rhohat.fitting.fit import Fit
from rhohat.layers.network import Network
from rhohat.objective import Problem
from rhohat.solvers import MiniBatchSolver, MiniBatchState, Solver, SolverResult, as_solver
from rhohat.solvers.divergence import HOPELESS_ON_OTHER_ROWS, has_risen

__all__ = ["PartialFitState", "PartialFitting"]


class PartialFitState(NamedTuple):
    """State from which the next call of `partial_fit` continues.

    Attributes
    ----------
    seed : int
        Seed that the first call drew.
    theta : array of shape (n_parameters,)
        Parameters of the network in full precision.
    solver : MiniBatchState
    """

    seed: int
    theta: FloatArray
    solver: MiniBatchState


class _Record(NamedTuple):
    """Record of the iterations and evaluations of a solve."""

    loss_curve: list[float]
    terms_curve: dict[str, list[float]]
    validation_curve: list[float]
    n_iter: int
    n_evaluations: int
    warm_up_evaluations: dict[int, int]
    warm_up_curves: dict[int, list[float]]


class PartialFitting(ABC):
    """The part of an estimator that trains one epoch per call, and that joins the records of successive calls."""

    solver: str | Solver
    random_state: RandomState
    loss_curve_: list[float]
    terms_curve_: dict[str, list[float]]
    validation_curve_: list[float]
    n_iter_: int
    n_evaluations_: int
    warm_up_evaluations_: dict[int, int]
    warm_up_curves_: dict[int, list[float]]
    training_range_: FloatArray
    #: Seed, solver state and θ from which the next call of `partial_fit` continues.
    _seed: int
    _solver_state: MiniBatchState
    _solver_theta: FloatArray

    @property
    @abstractmethod
    def theta_(self) -> FloatArray:
        """All parameters of the network as one flat vector."""

    @abstractmethod
    def _fit(self, solver: Solver | None = None, **changed: Any) -> Fit:
        """Return the `Fit` that the parameters describe, with some of its settings replaced."""

    @abstractmethod
    def _draw_theta(self, network: Network, seed: int) -> FloatArray:
        """Draw the initial parameters of a network."""

    @abstractmethod
    def _remember_columns(self, X: ArrayLike | RowSource, *, reset: bool) -> None:
        """Set the number and the names of the columns if `reset`; otherwise check them."""

    @abstractmethod
    def _take_over(self, problem: Problem, result: SolverResult, also: Mapping[str, Any] | None = None) -> None:
        """Set the fitted attributes from the result of a solver."""

    @property
    def partial_fit_state(self) -> PartialFitState | None:
        """State from which the next call of `partial_fit` continues; None if it has not been called."""
        if not hasattr(self, "_solver_state"):
            return None
        return PartialFitState(self._seed, self._solver_theta, self._solver_state)

    @partial_fit_state.setter
    def partial_fit_state(self, state: PartialFitState | None) -> None:
        if state is None:
            self.__dict__.pop("_solver_state", None)
        else:
            self._seed, self._solver_theta, self._solver_state = state

    def _train_an_epoch(self, problem: Problem, X: ArrayLike | RowSource) -> None:
        """Train the network for one epoch from its current parameters and solver state."""
        solver = as_solver(self.solver)
        assert isinstance(solver, MiniBatchSolver)
        fitted, begun = hasattr(self, "coefs_"), hasattr(self, "_solver_state")
        seed = self._seed if begun else seed_from(self.random_state)
        state = deepcopy(self._solver_state) if begun else MiniBatchState()
        if begun and set(state.moments) != set(solver.moment_names):
            raise ValueError(
                f"partial_fit was begun with another solver, and {solver!r} cannot use the state of that solver;"
                " restore the earlier solver, or begin anew with fit or with a clone of this estimator."
            )
        start = self.theta_ if fitted else self._draw_theta(problem.network, seed)
        if begun and np.array_equal(self._solver_theta.astype(start.dtype), start):
            start = self._solver_theta  # with float32 rows, the fitted attributes are rounded
        solver = replace(solver, schedule="constant", early_stopping=False)
        fit = self._fit(solver, max_iter=1, tol=0.0)
        result = fit.run_epoch(problem, start.astype(np.float64), seed, state)
        if fitted:
            result = self._compared_with_calls_before(result, solver)
        self._remember_columns(X, reset=not fitted)
        failed = result.status in ("diverged", "not_finite")
        if failed:
            warnings.warn(result.message, ConvergenceWarning, stacklevel=3)
            if fitted:
                return  # everything stays as before this call, the solver's state included
        record, range_before = (self._record(), getattr(self, "training_range_", None)) if fitted else (None, None)
        self._take_over(problem, result)
        if range_before is not None:
            self.training_range_ = joined_ranges(range_before, self.training_range_)
        if not failed:
            self._seed, self._solver_state, self._solver_theta = seed, state, result.theta
        if record is not None:
            self._prepend(record)

    def _compared_with_calls_before(self, result: SolverResult, solver: MiniBatchSolver) -> SolverResult:
        """Return the result of an epoch, marked as diverged if its cost is far above the cost of earlier calls."""
        costs = [cost for cost in self.loss_curve_ if np.isfinite(cost)]
        if not costs or not has_risen(result.value, min(costs), costs[0], HOPELESS_ON_OTHER_ROWS):
            return result
        message = (
            f"The cost in this call is {result.value:.3g}, but in the first call it was {costs[0]:.3g}, so the steps"
            f" are too long, or these rows are on another scale; the parameters stay as they were before this call."
            f" {solver.remedy}"
        )
        return replace(result, status="diverged", message=message)

    def _record(self) -> _Record:
        return _Record(
            self.loss_curve_,
            self.terms_curve_,
            self.validation_curve_,
            self.n_iter_,
            self.n_evaluations_,
            self.warm_up_evaluations_,
            getattr(self, "warm_up_curves_", {}),
        )

    def _prepend(self, record: _Record) -> None:
        """Put the record of an earlier solve before the record of the last solve."""
        loss_curve, terms_curve, validation_curve, n_iter, n_evaluations, evaluations, curves = record
        names = [*terms_curve, *(name for name in self.terms_curve_ if name not in terms_curve)]
        without = [0.0] * len(loss_curve), [0.0] * len(self.loss_curve_)  # for a term that J did not have
        self.terms_curve_ = {
            name: [*terms_curve.get(name, without[0]), *self.terms_curve_.get(name, without[1])] for name in names
        }
        self.loss_curve_ = [*loss_curve, *self.loss_curve_]
        self.validation_curve_ = [*validation_curve, *self.validation_curve_]
        self.n_iter_ += n_iter
        self.n_evaluations_ += n_evaluations
        # A solve that continues another has no warm-up.
        self.warm_up_evaluations_, self.warm_up_curves_ = evaluations, curves
