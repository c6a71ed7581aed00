"""The base classes of all solvers.

A solver is a subclass of `Solver` that implements one method, `_iterate`, which moves θ and reports each iteration to a
`Run`. `rhohat.solvers.run` describes the run, and `rhohat.solvers.result` describes the result that it returns.

A solver minimises a callable. The callable may have methods for further abilities; the protocols in
`rhohat.solvers.objectives` define them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from typing import ClassVar

from rhohat.common.arrays import FloatArray
from rhohat.solvers._early_stopping import EarlyStopping
from rhohat.solvers.divergence import Lowest
from rhohat.solvers.objectives import ObjectiveFunction
from rhohat.solvers.result import Callback, SolverResult
from rhohat.solvers.run import Run
from rhohat.solvers.states import Keeper, RunState

__all__ = [
    "FullBatchSolver",
    "Solver",
]


class Solver(ABC):
    """Base class of solvers, which minimise a function of θ given as a callable that returns value and gradient."""

    #: Whether the solver offers its states to a `Keeper`, which stores them, and can resume from a stored state.
    resumable: ClassVar[bool] = False
    #: Whether the objective must have a method `hessian_vector_product`.
    needs_second_derivatives: ClassVar[bool] = False
    #: Whether the solver takes a step after every mini-batch, for which the objective needs a method `batches`.
    in_mini_batches: ClassVar[bool] = False

    @property
    def warm_up(self) -> bool:
        """Whether the solver may begin on random subsets of the rows; see `FullBatchSolver`."""
        return False

    @property
    def float32_first(self) -> bool:
        """Whether the solver may begin in float32; see `FullBatchSolver`."""
        return False

    @property
    def fraction_held_out(self) -> float:
        """Fraction of the rows that are held out for early stopping; 0 for none."""
        return 0.0

    @property
    def n_vectors_of_state(self) -> int:
        """Number of vectors of θ's length in a state that the solver offers, besides those counted by `held`."""
        return 6

    @property
    def advice_on_memory(self) -> str:
        """Advice on reducing the solver's memory, as the end of a sentence; empty if there is none."""
        return ""

    def until(self, min_improvement: float) -> Solver:
        """Return a solver that stops when J falls by less than this fraction, or this solver if it has no such rule."""
        return self

    def held(self, n_parameters: int) -> dict[str, int]:
        """Return the number of bytes that the solver keeps between iterations, by a description of the data kept.

        Parameters
        ----------
        n_parameters : int
            Length of θ.
        """
        return {"vectors of the solver": 8 * 8 * n_parameters}

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
    ) -> SolverResult:
        """Minimise an objective.

        Parameters
        ----------
        objective : callable
            θ → (value, gradient) or (value, gradient, terms). If the objective has a method ``evaluate(theta)``, see
            `ObjectiveWithTerms`, that method is called instead.
        theta : array of shape (n_parameters,)
            Starting point; it is not modified.
        max_iter : int, default=400
            Maximum number of iterations.
        tol : float, default=1e-5
            The run has converged when no component of the gradient exceeds this value.
        callbacks : sequence of callable
            Functions that are called with an `IterationState` after every iteration; the fit stops if one of them
            returns True. An exception raised by a callback is not caught.
        keeper : Keeper, default=None
            Object that is offered the state of the run after every iteration.
        resume_from : RunState, default=None
            State from which to continue, instead of starting at `theta`. The objective and all settings must be the
            same as in the run that offered the state; the result then equals the result of an uninterrupted run bit for
            bit.

        Returns
        -------
        SolverResult

        Raises
        ------
        ValueError
            If the objective lacks a method that the solver needs, or if `resume_from` is given and the solver cannot
            resume.
        """
        self._check_objective(objective)
        run = Run(objective, max_iter, tol, callbacks, keeper=keeper, resumed=self._checked(resume_from))
        run.remedy = self.remedy
        return run.carry_out(theta, self._iterate)

    def _checked(self, state: RunState | None) -> RunState | None:
        if state is not None and not self.resumable:
            raise ValueError(
                f"{type(self).__name__} cannot be resumed, because its state cannot be saved. Start a new run"
                " without resume_from, or use a solver that can be resumed, such as 'lbfgs'."
            )
        return state

    @property
    def remedy(self) -> str:
        """Advice for the user if steps lead to numbers that are not finite."""
        return "Scale the data to about 1, or use float64."

    def _check_objective(self, objective: ObjectiveFunction) -> None:  # noqa: B027 - most solvers take any callable
        """Raise ValueError if the objective lacks a method that the solver needs."""

    @abstractmethod
    def _iterate(self, run: Run) -> None:
        """Iterate from `run.point`, using `run.evaluate` and `run.accept`, until one of them raises Stop."""


@dataclass(frozen=True, kw_only=True)
class FullBatchSolver(Solver):
    """Base class of solvers that use all rows in every evaluation.

    Parameters
    ----------
    warm_up : bool, default=True
        Whether to begin on growing random subsets of the rows if there are many rows. Evaluations of a subset cost
        proportionally less, and the first iterations need no more rows. The last run always uses all rows. The code
        that builds the objective draws the subsets, see `rhohat.fitting.training.train`; if a plain callable is
        minimised directly, there is no warm-up.
    float32_first : bool, default=False
        Whether to compute in float32 until that precision is exhausted, and in float64 afterwards. This setting is
        ignored if the rows are float32. The code that builds the objective converts the rows.
    min_improvement : float, default=1e-8
        The run has also converged when ten successive iterations together lower J by no more than this fraction of J.
        The value must lie in [0, 1).
    """

    warm_up: bool = True
    float32_first: bool = False
    min_improvement: float = 1e-8

    #: Whether the solver may accept steps that raise the cost.
    _may_rise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not (isinstance(self.min_improvement, Real) and 0 <= self.min_improvement < 1):
            raise ValueError(f"min_improvement must lie in [0, 1); got {self.min_improvement!r}.")

    def until(self, min_improvement: float) -> Solver:
        """Return a copy that stops when ten iterations together lower J by no more than this fraction of it."""
        return replace(self, min_improvement=max(self.min_improvement, min_improvement))

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
        n_done: int = 0,
        validate: Callable[[FloatArray], float] | None = None,
        patience: int = 10,
    ) -> SolverResult:
        """Minimise an objective.

        Parameters
        ----------
        objective, theta, max_iter, tol, callbacks, keeper, resume_from
            See `Solver.minimize`.
        n_done : int, default=0
            Number of iterations of an earlier run that this run continues. The message of the result includes them in
            its count; `max_iter` limits the iterations of this run alone.
        validate : callable, default=None
            Function that returns the cost on held-out rows at θ. If it is given, the run stops early when this cost no
            longer falls, and the result is the iterate at which it was lowest, no matter why the run ended.
        patience : int, default=10
            Number of iterations in which the cost on the held-out rows does not fall, after which the run stops.

        Returns
        -------
        SolverResult
        """
        self._check_objective(objective)
        run = Run(objective, max_iter, tol, callbacks, keeper=keeper, resumed=self._checked(resume_from))
        run.min_improvement, run.remedy, run.n_done = self.min_improvement, self.remedy, n_done
        run.lowest = Lowest() if self._may_rise else None
        if validate is None:
            return run.carry_out(theta, self._iterate)
        return run.carry_out(theta, partial(self._iterate_watched, validate=validate, patience=patience))

    def _iterate_watched(self, run: Run, validate: Callable[[FloatArray], float], patience: int) -> None:
        """Iterate as `_iterate` does, with early stopping."""
        stopping = EarlyStopping(run, patience, validate, "iteration")
        if run.resumed is not None:
            stopping.restore(run.resumed)
        run.watch = stopping
        try:
            self._iterate(run)
        finally:
            stopping.choose()
