"""What all solvers share: the protocol, the result, and one place for stopping rules, history and callbacks.

A solver is a subclass of `Solver` with one method, `_iterate`, which moves θ and reports each iteration to a `Run`.
The run counts evaluations, refuses values that are not finite, keeps the history, asks the callbacks, and decides
when to stop; so these things are the same for every solver.

What a solver minimises is a callable. What else it can do, it says by having a method: see the protocols below.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from numbers import Real
from typing import Any, ClassVar, Literal, NoReturn, Protocol, TypeAlias

import numpy as np

from rhohat.common.arrays import FloatArray, largest_magnitude
from rhohat.common.words import counted
from rhohat.solvers.divergence import HOPELESS, Lowest, has_risen
from rhohat.solvers.objectives import ObjectiveFunction, ObjectiveInParts, ObjectiveWithTerms, PartFunction

__all__ = [
    "Callback",
    "FullBatchSolver",
    "IterationState",
    "Keeper",
    "Point",
    "Run",
    "RunState",
    "Solver",
    "SolverResult",
    "Status",
    "Stop",
]

LARGEST_GRADIENT = 1e150  # in any component: solvers multiply gradients with one another
_WINDOW = 10  # iterations whose improvement is looked at together

Status: TypeAlias = Literal["converged", "max_iter", "stalled", "stopped", "diverged", "not_finite", "interrupted"]


@dataclass(frozen=True)
class RunState:
    """A run as it stands between two iterations: all that it takes to go on to the same bits.

    Attributes
    ----------
    record : dict
        Numbers, texts, lists and dicts, as JSON holds them, by name.
    arrays : dict of str to array
        By name; θ among them. They may be the run's own memory, which changes when the run goes on.
    """

    record: dict[str, Any]
    arrays: dict[str, FloatArray]


class Keeper(Protocol):
    """Who keeps the states of a run, to resume it from."""

    def offer(self, progress: int, capture: Callable[[], RunState]) -> None:
        """Say that the run stands between two iterations.

        Parameters
        ----------
        progress : int
            Iterations done, or updates of θ by mini-batches.
        capture : callable
            Returns the state at this point, until `withdraw` or the next `offer` is called.
        """

    def withdraw(self) -> None:
        """Say that what was offered last is about to change; several threads may call it."""


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
        The last iterate; one at which value and gradient were finite, unless they were not at the start. Where the cost
        has risen, that of the lowest cost; with early stopping, the best one on the rows held out.
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
    status : {"converged", "max_iter", "stalled", "stopped", "diverged", "not_finite"}
        Why it ended: the gradient, or what J still improves by, is small enough; max_iter was reached; no step in the
        solver's direction lowers J; a callback or early stopping said so; J has risen, by steps that are too long; J or
        ∇J was not finite. ("interrupted" is for the record of a fit that Ctrl-C ended.)
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

    @classmethod
    def from_state(cls, state: RunState, name: str) -> Point:
        """Return the point that was saved by a name."""
        value, terms = state.record[name]["value"], state.record[name]["terms"]
        return cls(state.arrays[f"{name} theta"], value, state.arrays[f"{name} gradient"], terms)

    def add_to(self, state: RunState, name: str) -> None:
        """Save the point by a name."""
        state.record[name] = {"value": self.value, "terms": self.terms}
        state.arrays.update({f"{name} theta": self.theta, f"{name} gradient": self.gradient})

    @property
    def gradient_norm(self) -> float:
        """The largest absolute component of the gradient."""
        return largest_magnitude(self.gradient)

    @property
    def is_finite(self) -> bool:
        """Whether the value is, and the gradient, so far that sums of its squares are."""
        return bool(np.isfinite(self.value) and self.gradient_norm <= LARGEST_GRADIENT)


@dataclass
class Run:
    """The bookkeeping of one minimisation.

    Attributes
    ----------
    point : Point
        The current iterate.
    n_iter, n_evaluations, n_hessian_products : int
        So far.
    keeper : Keeper or None
        Who is offered the state after every iteration.
    resumed : RunState or None
        What the run goes on from; solvers find their own part there.
    remedy : str
        What a user may do where steps lead to numbers that are not finite, or to a larger cost.
    lowest : Lowest or None
        Of solvers whose steps may raise the cost: which it judges as diverged when they end, and then returns these
        parameters.
    keeps_lowest : bool
        Whether it has judged so.
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
    keeper: Keeper | None = None
    resumed: RunState | None = None
    remedy: str = ""
    lowest: Lowest | None = None
    keeps_lowest: bool = False
    _last_terms: dict[str, float] = field(default_factory=dict)

    def carry_out(
        self, theta: FloatArray, iterate: Callable[[Run], None], *, evaluate_start: bool = True
    ) -> SolverResult:
        """Run `iterate` until it is stopped, and return the record.

        Without `evaluate_start`, nothing is known of the first point but θ.
        """
        theta = np.array(theta, dtype=np.float64)
        try:
            if self.resumed is not None:
                self._restore(self.resumed)
            elif evaluate_start:
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
        self.note_start(self.point)
        self._check_converged()

    def note_start(self, point: Point) -> None:
        """Take in what the start costs."""
        self.point = point
        if self.lowest is not None:
            self.lowest.note(point.theta, point)

    def offer(self, own: Callable[[], RunState], progress: int | None = None) -> None:
        """Say that an iteration is done and the next has not begun.

        Parameters
        ----------
        own : callable
            Returns what the solver holds beside the run, until `withdraw` is called.
        progress : int, default=None
            Updates of θ; None means the iterations done.
        """
        if self.keeper is not None:
            capture = partial(self._state, own, self.point, self.n_iter, self.n_evaluations)
            self.keeper.offer(self.n_iter if progress is None else progress, capture)

    def withdraw(self) -> None:
        """Say that what the solver holds is about to change."""
        if self.keeper is not None:
            self.keeper.withdraw()

    def _state(self, own: Callable[[], RunState], point: Point, n_iter: int, n_evaluations: int) -> RunState:
        """Return the state after so many iterations, whatever has been recorded since."""
        state = own()
        point.add_to(state, "point")
        state.arrays.setdefault("theta", point.theta)
        state.record.update(
            n_iter=n_iter,
            n_evaluations=n_evaluations,
            loss_curve=self.loss_curve[:n_iter],
            terms_curve={name: values[:n_iter] for name, values in self.terms_curve.items()},
            validation_curve=self.validation_curve[:n_iter],
        )
        if self.lowest is not None:
            self.lowest.add_to(state.record, state.arrays)
        return state

    def _restore(self, state: RunState) -> None:
        record = state.record
        self.point = Point.from_state(state, "point")
        self.n_iter, self.n_evaluations = record["n_iter"], record["n_evaluations"]
        self.loss_curve, self.validation_curve = list(record["loss_curve"]), list(record["validation_curve"])
        self.terms_curve = {name: list(values) for name, values in record["terms_curve"].items()}
        if self.lowest is not None:
            self.lowest.restore(record, state.arrays)

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
        self._last_terms = rest[0] if rest else {}
        return float(value), np.asarray(gradient, dtype=np.float64), self._last_terms

    def call_in_parts(
        self, function: ObjectiveFunction, theta: FloatArray, use: PartFunction
    ) -> tuple[float, dict[str, float]]:
        """Call a batch's objective, count it, and hand its gradient on in parts, unless the value is not finite."""
        if isinstance(function, ObjectiveInParts):
            self.n_evaluations += 1
            value, self._last_terms = function.evaluate_in_parts(theta, use)
            return value, self._last_terms
        value, gradient, terms = self.call(function, theta)
        if np.isfinite(value):
            use(slice(0, theta.size), gradient, 0)
        return value, terms

    def accept(self, point: Point, *, met_on_the_way: bool = False) -> None:
        """Make an evaluated point the current iterate: one iteration is done.

        Parameters
        ----------
        point : Point
        met_on_the_way : bool, default=False
            Whether its value is not that at its θ, but was met between the current iterate and this one.

        Raises
        ------
        Stop
            If a callback says so, the point has converged, or it was the last iteration.
        """
        if self.lowest is not None:
            self.lowest.note(self.point.theta if met_on_the_way else point.theta, point)
        self.point = point
        self.n_iter += 1
        self.loss_curve.append(point.value)
        for name, value in point.terms.items():
            self.terms_curve.setdefault(name, []).append(value)
        self._call_callbacks()
        self._check_converged()
        if self.n_iter >= self.max_iter:
            self.stop_if_diverged()
            if self.lowest is not None and point.value > self.loss_curve[0]:
                raise Stop(
                    "max_iter",
                    f"{self.max_iter} iterations were done, and the cost of the last, {point.value:.3g}, is above that"
                    f" of the first, {self.loss_curve[0]:.3g}. {self.remedy}",
                )
            raise Stop(
                "max_iter",
                f"{self.max_iter} iterations were done and the gradient's largest component is still"
                f" {point.gradient_norm:.1e}; raise max_iter, raise tol (now {self.tol:g}), or accept the cost"
                " reached.",
            )

    def result(self, status: Status, message: str) -> SolverResult:
        """Return the record of the run."""
        kept: Any = self.lowest if self.keeps_lowest else self.point
        return SolverResult(
            theta=kept.theta,
            value=kept.value,
            terms=kept.terms,
            gradient_norm=kept.gradient_norm,
            n_iter=self.n_iter,
            n_evaluations=self.n_evaluations,
            status=status,
            message=message,
            loss_curve=self.loss_curve,
            terms_curve=self.terms_curve,
            n_hessian_products=self.n_hessian_products,
            validation_curve=self.validation_curve,
        )

    def keep(self, point: Point) -> None:
        """Return this point at the end of the run, however it ends."""
        self.point, self.keeps_lowest = point, False

    def stop_if_hopeless(self) -> None:
        """Stop if the cost is out of all proportion to that of the first iteration."""
        if self.lowest is not None and has_risen(self.point.value, self.lowest.value, self.loss_curve[0], HOPELESS):
            self._stop_as_diverged(self.lowest)

    def stop_if_diverged(self) -> None:
        """Stop if the cost has risen, where the run ends in any case."""
        if self.lowest is not None and self.lowest.is_far_below(self.point.value):
            self._stop_as_diverged(self.lowest)

    def _stop_as_diverged(self, lowest: Lowest) -> NoReturn:
        self.keeps_lowest = True
        raise Stop(
            "diverged",
            f"The cost rose from {lowest.value:.3g} to {self.point.value:.3g} within"
            f" {counted(self.n_iter, 'iteration')}, so the steps are too long; the best parameters are"
            f" kept. {self.remedy}",
        )

    def stop_as_not_finite(self, what: str = "The cost or its gradient", *, met: float | None = None) -> NoReturn:
        """Stop because what was computed last is not finite, and say what the likely cause is.

        Parameters
        ----------
        what : str
            What is not finite.
        met : float, default=None
            The last cost that was; None means that of the current iterate.
        """
        broken = sorted(name for name, value in self._last_terms.items() if not np.isfinite(value))
        subject = f"{what} ({', '.join(broken)})" if broken else what
        if self.n_evaluations == 1:
            raise Stop("not_finite", f"{subject} is not finite at the start; scale the data.")
        curve = self.loss_curve
        if len(curve) > 1 and curve[-1] > min(curve):
            cause = f"The cost had risen from {min(curve):.3g} to {curve[-1]:.3g} before, so the steps are too long."
        elif curve:
            cause = f"The cost was {curve[-1]:.3g} before, so a step was too long for the arithmetic."
        else:
            cause = "It was finite at first, so the first steps are too long for data of this size."
        met = self.point.value if met is None else met
        self.keeps_lowest = self.lowest is not None and self.lowest.is_far_below(met)
        kept = "best parameters" if self.keeps_lowest or self.validation_curve else "last finite parameters"
        raise Stop(
            "not_finite",
            f"{subject} stopped being finite at evaluation {self.n_evaluations}, in iteration {self.n_iter + 1}; the"
            f" {kept} are kept. {cause} {self.remedy}",
        )

    def stop_as_stalled(self) -> NoReturn:
        """Stop because no step in the solver's direction lowers the cost."""
        raise Stop(
            "stalled",
            f"No step lowers the cost after {counted(self.n_iter, 'iteration')}, where the gradient's largest component"
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
            raise Stop("stopped", f"A callback stopped the fit after {counted(self.n_iter, 'iteration')}.")

    def _check_converged(self) -> None:
        if self.point.gradient_norm <= self.tol:
            raise Stop(
                "converged",
                f"Converged after {counted(self.n_iter, 'iteration')}: no component of the gradient exceeds"
                f" tol={self.tol:g}.",
            )
        if self.min_improvement > 0 and self.n_iter > _WINDOW:
            before = self.loss_curve[-1 - _WINDOW]
            if 0 <= before - self.point.value <= self.min_improvement * abs(before):
                raise Stop(
                    "converged",
                    f"Converged after {counted(self.n_iter, 'iteration')}: the last {_WINDOW} lowered the cost by no"
                    f" more than min_improvement={self.min_improvement:g} of it. The gradient's largest component is"
                    f" {self.point.gradient_norm:.1e}; set the solver's min_improvement to 0 to go on.",
                )
