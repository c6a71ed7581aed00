"""What all solvers share: they minimise a callable, by iterations that a run keeps the books of.

A solver is a subclass of `Solver` with one method, `_iterate`, which moves θ and reports each iteration to a `Run`; see
`rhohat.solvers.run` for what that does, and `rhohat.solvers.result` for what comes of it.

What a solver minimises is a callable. What else it can do, it says by having a method: see the protocols in
`rhohat.solvers.objectives`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import ClassVar

from rhohat.common.arrays import FloatArray
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
    """Minimises a function of θ, given as a callable that returns its value and gradient."""

    #: Whether the solver offers its states to a keeper, and goes on from one.
    resumable: ClassVar[bool] = False
    #: Whether the objective must have a method `hessian_vector_product`.
    needs_second_derivatives: ClassVar[bool] = False
    #: Whether it takes a step after every mini-batch, and needs an objective with a method `batches`.
    in_mini_batches: ClassVar[bool] = False

    @property
    def warm_up(self) -> bool:
        """Whether it may begin on random subsets of the rows; see `FullBatchSolver`."""
        return False

    @property
    def float32_first(self) -> bool:
        """Whether it may begin in float32; see `FullBatchSolver`."""
        return False

    @property
    def fraction_held_out(self) -> float:
        """Fraction of the rows that are held out for early stopping; 0 for none."""
        return 0.0

    @property
    def n_vectors_of_state(self) -> int:
        """Number of vectors like θ in a state that it offers, beside what it holds."""
        return 6

    @property
    def advice_on_memory(self) -> str:
        """What a user may do so that it holds less, as the end of a sentence; empty where there is nothing."""
        return ""

    def until(self, min_improvement: float) -> Solver:
        """Return one that ends where iterations lower J by less than this fraction; itself where none can tell it."""
        return self

    def held(self, n_parameters: int) -> dict[str, int]:
        """Return the bytes of what it holds of earlier iterations, by what that is called.

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
            θ → (value, gradient) or (value, gradient, terms). One that has a method ``evaluate(theta)``, see
            `ObjectiveWithTerms`, is evaluated by that.
        theta : array of shape (n_parameters,)
            Where to start; left as it is.
        max_iter : int, default=400
            Most iterations.
        tol : float, default=1e-5
            Converged when no component of the gradient exceeds this.
        callbacks : sequence of callable
            Called with an `IterationState` after every iteration; the fit stops if one returns True. An exception
            that a callback raises passes through.
        keeper : Keeper, default=None
            Who is offered the state of the run after every iteration.
        resume_from : RunState, default=None
            To go on from, in the place of `theta`. The objective and all settings must be those of the run that it was
            offered by; then the result is that of an uninterrupted run, bit for bit.

        Returns
        -------
        SolverResult

        Raises
        ------
        ValueError
            If the objective lacks a method that the solver needs, or a state is to be resumed by a solver that cannot.
        """
        self._check_objective(objective)
        run = Run(objective, max_iter, tol, callbacks, keeper=keeper, resumed=self._checked(resume_from))
        run.remedy = self.remedy
        return run.carry_out(theta, self._iterate)

    def _checked(self, state: RunState | None) -> RunState | None:
        if state is not None and not self.resumable:
            raise ValueError(
                f"{type(self).__name__} cannot be resumed: what does its work does not give its state away."
            )
        return state

    @property
    def remedy(self) -> str:
        """What a user may do where steps lead to numbers that are not finite."""
        return "Scale the data to about 1, or use float64."

    def _check_objective(self, objective: ObjectiveFunction) -> None:  # noqa: B027 - most solvers take any callable
        """Raise ValueError where the objective lacks a method that the solver needs."""

    @abstractmethod
    def _iterate(self, run: Run) -> None:
        """Move from `run.point` on, with `run.evaluate` and `run.accept`, until one of them raises Stop."""


@dataclass(frozen=True, kw_only=True)
class FullBatchSolver(Solver):
    """A solver that sees all rows in every evaluation.

    Parameters
    ----------
    warm_up : bool, default=True
        Whether to begin on growing random subsets of the rows, where there are many: an evaluation costs as much less,
        and the first iterations need no more. The last run is always over all rows. Whoever builds the objective draws
        the subsets, see `rhohat.fitting.training.train`; a callable that is minimised as it is has none.
    float32_first : bool, default=False
        Whether to compute in float32 until that precision is exhausted, and in float64 from there on. It is ignored
        where the rows are float32. Whoever builds the objective converts the rows.
    min_improvement : float, default=1e-8
        Converged, too, when ten iterations together lower J by no more than this fraction of it; at least 0.
    """

    warm_up: bool = True
    float32_first: bool = False
    min_improvement: float = 1e-8

    #: Whether steps are taken that raise the cost.
    _may_rise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not (isinstance(self.min_improvement, Real) and 0 <= self.min_improvement < 1):
            raise ValueError(f"min_improvement must lie in [0, 1); got {self.min_improvement!r}.")

    def until(self, min_improvement: float) -> Solver:
        """Return one that ends where ten iterations together lower J by no more than this fraction of it."""
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
    ) -> SolverResult:
        """Minimise an objective; see `Solver.minimize`."""
        self._check_objective(objective)
        run = Run(objective, max_iter, tol, callbacks, keeper=keeper, resumed=self._checked(resume_from))
        run.min_improvement, run.remedy = self.min_improvement, self.remedy
        run.lowest = Lowest() if self._may_rise else None
        return run.carry_out(theta, self._iterate)
