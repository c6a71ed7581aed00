"""What all solvers share: the protocol, the result, and one place for stopping rules, history and callbacks.

A solver is a subclass of `Solver` with one method, `_iterate`, which moves θ and reports each iteration to a `Run`.
The run counts evaluations, refuses values that are not finite, keeps the history, asks the callbacks, and decides
when to stop; so these things are the same for every solver.

What a solver minimises is a callable. What else it can do, it says by having a method: see the protocols below.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal, NoReturn, Protocol, TypeAlias, runtime_checkable

import numpy as np

from rhohat.arrays import FloatArray

__all__ = [
    "Callback",
    "FullBatchSolver",
    "IterationState",
    "ObjectiveFunction",
    "ObjectiveInParts",
    "ObjectiveWithBatches",
    "ObjectiveWithHessian",
    "ObjectiveWithTerms",
    "ObjectiveWithValidation",
    "PartFunction",
    "Point",
    "Run",
    "Solver",
    "SolverResult",
    "Status",
    "Stop",
]

#: θ → (value, gradient) or (value, gradient, terms), terms being a dict of named parts of the value.
ObjectiveFunction: TypeAlias = Callable[[FloatArray], Any]


@runtime_checkable
class ObjectiveWithTerms(Protocol):
    """An objective that names the parts of its value; `evaluate` is called instead of the objective itself."""

    def evaluate(self, theta: FloatArray) -> tuple[float, FloatArray, dict[str, float]]:
        """Return the value, the gradient and the terms at θ."""


@runtime_checkable
class ObjectiveWithHessian(Protocol):
    """An objective that knows its second derivatives, one product at a time."""

    def hessian_vector_product(self, theta: FloatArray, v: FloatArray) -> FloatArray:
        """Return ∇²J(θ) v, of shape (n_parameters,)."""


#: Called with a part of θ's places, the gradient there, and the number of the thread that calls.
PartFunction: TypeAlias = Callable[[slice, FloatArray, int], None]


@runtime_checkable
class ObjectiveInParts(Protocol):
    """An objective of a mini-batch that can hand its gradient over part by part, by several threads."""

    def evaluate_in_parts(self, theta: FloatArray, use: PartFunction) -> tuple[float, dict[str, float]]:
        """Return the value and its terms, having called `use` for every part, unless the value is not finite."""


@runtime_checkable
class ObjectiveWithBatches(Protocol):
    """An objective that is a mean over rows and can be had a few rows at a time.

    With an attribute `n_samples`, the number of rows in an epoch, schedules of the learning rate go on within an
    epoch; without, from epoch to epoch. With an attribute `dtype`, θ is kept in that precision while it is trained.
    """

    def batches(self, epoch: int, batch_size: int) -> Iterable[tuple[ObjectiveFunction, int]]:
        """Yield a pair for every mini-batch of an epoch: its objective, and its number of rows.

        The rows are shuffled by whoever implements this; the same epoch, counted from 0, gives the same batches.
        The θ that a batch's objective gets is changed in place afterwards.
        """


@runtime_checkable
class ObjectiveWithValidation(Protocol):
    """An objective that holds rows out."""

    def validate(self, theta: FloatArray) -> float:
        """Return the cost at θ on the rows held out."""


_WINDOW = 10  # iterations whose improvement is looked at together

Status: TypeAlias = Literal["converged", "max_iter", "stalled", "stopped", "not_finite"]


@dataclass(frozen=True)
class IterationState:
    """What a callback sees after an iteration.

    Attributes
    ----------
    iteration : int
        Counted from 1.
    value : float
        J at θ.
    terms : dict of str to float
        The named parts of J; empty where the objective does not name any.
    gradient_norm : float
        The largest absolute component of ∇J, which convergence is judged by.
    theta : array of shape (n_parameters,)
        A copy, read-only.
    """

    iteration: int
    value: float
    terms: dict[str, float]
    gradient_norm: float
    theta: FloatArray


#: Called after every iteration; the fit stops if it returns True.
Callback: TypeAlias = Callable[[IterationState], object]


@dataclass(frozen=True)
class SolverResult:
    """What a solver found, and how it went.

    Attributes
    ----------
    theta : array of shape (n_parameters,)
        The last iterate; one at which value and gradient were finite, unless they were not at the start. With early
        stopping, the best one on the rows held out.
    value : float
        J at θ. Solvers by mini-batches report means over the last epoch, here and below; see `MiniBatchSolver`.
    terms : dict of str to float
        The named parts of J at θ.
    gradient_norm : float
        The largest absolute component of ∇J at θ.
    n_iter : int
        Iterations done; epochs, for solvers by mini-batches.
    n_evaluations : int
        Evaluations of J and ∇J, the first included; those of a mini-batch count as one each.
    status : {"converged", "max_iter", "stalled", "stopped", "not_finite"}
        Why it ended: the gradient, or what J still improves by, is small enough; max_iter was reached; no step in the
        solver's direction lowers J; a callback or early stopping said so; J or ∇J was not finite.
    message : str
        The same as a sentence that says what to do.
    loss_curve : list of float, of length n_iter
        J after each iteration.
    terms_curve : dict of str to list of float, each of length n_iter
        The named parts of J after each iteration.
    n_hessian_products : int
        Products of the Hessian with a vector, for solvers that use them.
    validation_curve : list of float
        With early stopping, the cost on the rows held out after each iteration; else empty.
    warm_up_evaluations : dict of int to int
        Where an estimator warmed up: the evaluations before those above, by number of rows.
    """

    theta: FloatArray
    value: float
    terms: dict[str, float]
    gradient_norm: float
    n_iter: int
    n_evaluations: int
    status: Status
    message: str
    loss_curve: list[float]
    terms_curve: dict[str, list[float]]
    n_hessian_products: int = 0
    validation_curve: list[float] = field(default_factory=list)
    warm_up_evaluations: dict[int, int] = field(default_factory=dict)

    @property
    def success(self) -> bool:
        """Whether the fit ended as intended: converged, or stopped by a callback or early stopping."""
        return self.status in ("converged", "stopped")


class Solver(ABC):
    """Minimises a function of θ, given as a callable that returns its value and gradient."""

    def minimize(
        self,
        objective: ObjectiveFunction,
        theta: FloatArray,
        *,
        max_iter: int = 400,
        tol: float = 1e-5,
        callbacks: Sequence[Callback] = (),
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

        Returns
        -------
        SolverResult

        Raises
        ------
        ValueError
            If the objective lacks a method that the solver needs.
        """
        self._check_objective(objective)
        return Run(objective, max_iter, tol, callbacks).carry_out(theta, self._iterate)

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
        the subsets, see `rhohat.estimators.training.train`; a callable that is minimised as it is has none.
    float32_first : bool, default=False
        Whether to compute in float32 until that precision is exhausted, and in float64 from there on. It is ignored
        where the rows are float32. Whoever builds the objective converts the rows.
    min_improvement : float, default=1e-8
        Converged, too, when ten iterations together lower J by no more than this fraction of it; at least 0.
    """

    warm_up: bool = True
    float32_first: bool = False
    min_improvement: float = 1e-8

    def __post_init__(self) -> None:
        if not (isinstance(self.min_improvement, Real) and 0 <= self.min_improvement < 1):
            raise ValueError(f"min_improvement must lie in [0, 1); got {self.min_improvement!r}.")

    def minimize(
        self,
        objective: ObjectiveFunction,
        theta: FloatArray,
        *,
        max_iter: int = 400,
        tol: float = 1e-5,
        callbacks: Sequence[Callback] = (),
    ) -> SolverResult:
        """Minimise an objective; see `Solver.minimize`."""
        self._check_objective(objective)
        run = Run(objective, max_iter, tol, callbacks, min_improvement=self.min_improvement)
        return run.carry_out(theta, self._iterate)


class Stop(Exception):  # noqa: N818 - a way to leave nested loops, not an error
    """Ends a run, from whichever depth of the solver's calls."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Point:
    """A θ with what the objective returned there."""

    theta: FloatArray
    value: float
    gradient: FloatArray
    terms: dict[str, float]

    @property
    def gradient_norm(self) -> float:
        """The largest absolute component of the gradient."""
        return largest_magnitude(self.gradient)

    @property
    def is_finite(self) -> bool:
        """Whether the value and every component of the gradient are."""
        return bool(np.isfinite(self.value) and np.isfinite(self.gradient_norm))


@dataclass
class Run:
    """The bookkeeping of one minimisation.

    Attributes
    ----------
    point : Point
        The current iterate.
    n_iter, n_evaluations, n_hessian_products : int
        So far.
    """

    objective: ObjectiveFunction
    max_iter: int
    tol: float
    callbacks: Sequence[Callback]
    n_iter: int = 0
    n_evaluations: int = 0
    loss_curve: list[float] = field(default_factory=list)
    terms_curve: dict[str, list[float]] = field(default_factory=dict)
    n_hessian_products: int = 0
    validation_curve: list[float] = field(default_factory=list)
    min_improvement: float = 0.0

    def carry_out(
        self, theta: FloatArray, iterate: Callable[[Run], None], *, evaluate_start: bool = True
    ) -> SolverResult:
        """Run `iterate` until it is stopped, and return the record.

        Without `evaluate_start`, nothing is known of the first point but θ.
        """
        theta = np.array(theta, dtype=np.float64)
        try:
            if evaluate_start:
                self.start(theta)
            else:
                self.point = Point(theta, np.nan, np.full_like(theta, np.nan), {})
            iterate(self)
        except Stop as stop:
            return self.result(stop.status, stop.message)
        raise AssertionError("a solver iterates until its run stops it")

    def start(self, theta: FloatArray) -> None:
        """Evaluate the first point, and stop there if it has converged already."""
        self.point = self._evaluate(theta)
        if not self.point.is_finite:
            self.stop_as_not_finite()
        self._check_converged()

    def attempt(self, theta: FloatArray) -> Point | None:
        """Evaluate the objective at θ, or return None if the value or the gradient is not finite there.

        The current iterate stays what it is until `accept`.
        """
        point = self._evaluate(theta.copy())
        return point if point.is_finite else None

    def evaluate(self, theta: FloatArray) -> Point:
        """Evaluate the objective at θ; the current iterate stays what it is until `accept`.

        Raises
        ------
        Stop
            If the value or the gradient is not finite.
        """
        point = self.attempt(theta)
        if point is None:
            self.stop_as_not_finite()
        return point

    def call(self, function: ObjectiveFunction, theta: FloatArray) -> tuple[float, FloatArray, dict[str, float]]:
        """Call an objective, or that of a batch, and count it; the gradient may be the objective's own memory."""
        evaluate = function.evaluate if isinstance(function, ObjectiveWithTerms) else function
        value, gradient, *rest = evaluate(theta)
        self.n_evaluations += 1
        return float(value), np.asarray(gradient, dtype=np.float64), rest[0] if rest else {}

    def call_in_parts(
        self, function: ObjectiveFunction, theta: FloatArray, use: PartFunction
    ) -> tuple[float, dict[str, float]]:
        """Call a batch's objective, count it, and hand its gradient on in parts, unless the value is not finite."""
        if isinstance(function, ObjectiveInParts):
            self.n_evaluations += 1
            return function.evaluate_in_parts(theta, use)
        value, gradient, terms = self.call(function, theta)
        if np.isfinite(value):
            use(slice(0, theta.size), gradient, 0)
        return value, terms

    def accept(self, point: Point) -> None:
        """Make an evaluated point the current iterate: one iteration is done.

        Raises
        ------
        Stop
            If a callback says so, the point has converged, or it was the last iteration.
        """
        self.point = point
        self.n_iter += 1
        self.loss_curve.append(point.value)
        for name, value in point.terms.items():
            self.terms_curve.setdefault(name, []).append(value)
        self._call_callbacks()
        self._check_converged()
        if self.n_iter >= self.max_iter:
            raise Stop(
                "max_iter",
                f"{self.max_iter} iterations were done and the gradient's largest component is still"
                f" {point.gradient_norm:.1e}; raise max_iter, raise tol (now {self.tol:g}), or accept the cost"
                " reached.",
            )

    def result(self, status: Status, message: str) -> SolverResult:
        """Return the record of the run."""
        return SolverResult(
            theta=self.point.theta,
            value=self.point.value,
            terms=self.point.terms,
            gradient_norm=self.point.gradient_norm,
            n_iter=self.n_iter,
            n_evaluations=self.n_evaluations,
            status=status,
            message=message,
            loss_curve=self.loss_curve,
            terms_curve=self.terms_curve,
            n_hessian_products=self.n_hessian_products,
            validation_curve=self.validation_curve,
        )

    def stop_as_not_finite(self, what: str = "The cost or its gradient") -> NoReturn:
        """Stop because what was computed last is not finite."""
        raise Stop(
            "not_finite",
            f"{what} is not finite at the start; scale the data."
            if self.n_evaluations == 1
            else f"{what} stopped being finite at evaluation {self.n_evaluations}, in iteration {self.n_iter + 1}; the"
            " last finite parameters are kept. Scale the data, or lower the learning rate if the solver has one.",
        )

    def stop_as_stalled(self) -> NoReturn:
        """Stop because no step in the solver's direction lowers the cost."""
        raise Stop(
            "stalled",
            f"No step lowers the cost after {self.n_iter} iterations, where the gradient's largest component"
            f" is {self.point.gradient_norm:.1e}, in the precision of the arithmetic. Scale the data to about 1 if they"
            f" are far from it, use float64, raise tol (now {self.tol:g}), or accept the cost reached.",
        )

    def _evaluate(self, theta: FloatArray) -> Point:
        value, gradient, terms = self.call(self.objective, theta)
        return Point(theta, value, gradient.copy(), terms)

    def _call_callbacks(self) -> None:
        if not self.callbacks:
            return
        theta = self.point.theta.copy()
        theta.flags.writeable = False
        state = IterationState(self.n_iter, self.point.value, dict(self.point.terms), self.point.gradient_norm, theta)
        # Every callback sees every iteration, also the one at which an earlier callback asks to stop.
        answers = [callback(state) for callback in self.callbacks]
        if any(isinstance(answer, bool | np.bool_) and answer for answer in answers):
            raise Stop("stopped", f"A callback stopped the fit after {self.n_iter} iterations.")

    def _check_converged(self) -> None:
        if self.point.gradient_norm <= self.tol:
            raise Stop(
                "converged",
                f"Converged after {self.n_iter} iterations: no component of the gradient exceeds tol={self.tol:g}.",
            )
        if self.min_improvement > 0 and self.n_iter > _WINDOW:
            before = self.loss_curve[-1 - _WINDOW]
            if 0 <= before - self.point.value <= self.min_improvement * abs(before):
                raise Stop(
                    "converged",
                    f"Converged after {self.n_iter} iterations: the last {_WINDOW} lowered the cost by no more than"
                    f" min_improvement={self.min_improvement:g} of it. The gradient's largest component is"
                    f" {self.point.gradient_norm:.1e}; set the solver's min_improvement to 0 to go on.",
                )


def largest_magnitude(array: FloatArray) -> float:
    """Return max |array|, 0 for none, in no further memory; it is finite if, and only if, every number is."""
    return float(np.maximum(np.max(array, initial=0.0), -np.min(array, initial=0.0)))
