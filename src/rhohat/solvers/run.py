"""The run of a solver, which implements the stopping rules, the history and the callbacks of all solvers.

A solver moves θ and reports each iteration to a `Run`. The run counts evaluations, rejects values that are not finite,
keeps the history, calls the callbacks, and decides when to stop, in the same way for every solver.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn, Protocol

import numpy as np

from rhohat.common.arrays import FloatArray, largest_magnitude
from rhohat.common.words import Sentence, counted
from rhohat.solvers.divergence import HOPELESS, Lowest, has_risen
from rhohat.solvers.flattening import fall_at_end, has_flattened, n_at_end
from rhohat.solvers.messages import ended_at_max_iter
from rhohat.solvers.objectives import ObjectiveFunction, ObjectiveInParts, ObjectiveWithTerms, PartFunction
from rhohat.solvers.result import Callback, IterationState, SolverResult, Status
from rhohat.solvers.states import Keeper, RunState

__all__ = [
    "Point",
    "Run",
    "Stop",
]

LARGEST_GRADIENT = 1e150  # limit on every component, since solvers multiply gradients with one another
_WINDOW = 10  # number of iterations over which the improvement is measured


class Stop(Exception):  # noqa: N818 - a way to leave nested loops, not an error
    """Exception that ends a run from any depth of the solver's calls."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Point:
    """A value of θ, with the value, gradient and terms that the objective returned for it."""

    theta: FloatArray
    value: float
    gradient: FloatArray
    terms: dict[str, float]

    @classmethod
    def from_state(cls, state: RunState, name: str) -> Point:
        """Return the point that was saved in a state under the given name."""
        value, terms = state.record[name]["value"], state.record[name]["terms"]
        return cls(state.arrays[f"{name} theta"], value, state.arrays[f"{name} gradient"], terms)

    def add_to(self, state: RunState, name: str) -> None:
        """Save the point in a state under the given name."""
        state.record[name] = {"value": self.value, "terms": self.terms}
        state.arrays.update({f"{name} theta": self.theta, f"{name} gradient": self.gradient})

    @property
    def gradient_norm(self) -> float:
        """The largest absolute component of the gradient."""
        return largest_magnitude(self.gradient)

    @property
    def is_finite(self) -> bool:
        """Whether the value is finite, and the gradient small enough that sums of its squares are finite."""
        return bool(np.isfinite(self.value) and self.gradient_norm <= LARGEST_GRADIENT)


class Watch(Protocol):
    """What a run over all rows asks of early stopping, see `rhohat.solvers._early_stopping`."""

    def validate(self, point: Point) -> None:
        """Evaluate an iterate before it is accepted."""

    def check(self) -> None:
        """Raise Stop if the run is to end."""

    def add_to(self, state: RunState) -> None:
        """Save in a state what is needed to resume."""


@dataclass
class Run:
    """The bookkeeping of one minimisation.

    Attributes
    ----------
    point : Point
        The current iterate.
    n_iter, n_evaluations, n_hessian_products : int
        Numbers of iterations, evaluations and products with the Hessian so far.
    n_done : int
        Number of iterations of earlier runs that this run continues; messages count them as well.
    keeper : Keeper or None
        Object that is offered the state after every iteration.
    resumed : RunState or None
        State from which the run continues; solvers read their own part of it.
    remedy : str
        Advice for the user if steps lead to numbers that are not finite, or to a larger cost.
    lowest : Lowest or None
        Parameters of lowest cost, for solvers whose steps may raise the cost. If the cost is found to have risen when
        the run ends, the run returns these parameters. None for other solvers.
    keeps_lowest : bool
        Whether the run returns the parameters of lowest cost because the cost has risen.
    watch : Watch or None
        Early stopping that is told of every iteration; solvers in mini-batches have their own.
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
    n_done: int = 0
    keeper: Keeper | None = None
    resumed: RunState | None = None
    remedy: str = ""
    lowest: Lowest | None = None
    keeps_lowest: bool = False
    watch: Watch | None = None
    _last_terms: dict[str, float] = field(default_factory=dict)

    @property
    def _n_iter_in_all(self) -> int:
        """Number of iterations of this run and of the runs before it that it continues."""
        return self.n_done + self.n_iter

    def carry_out(
        self, theta: FloatArray, iterate: Callable[[Run], None], *, evaluate_start: bool = True
    ) -> SolverResult:
        """Call `iterate`, which iterates until a method of the run raises `Stop`, and return the result.

        If `evaluate_start` is False, the value and the gradient of the first point are NaN.
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
        raise AssertionError("the solver returned before its run was stopped; a solver must iterate until then")

    def start(self, theta: FloatArray) -> None:
        """Evaluate the starting point, and stop if it has converged already."""
        self.point = self._evaluate(theta)
        if not self.point.is_finite:
            self.stop_as_not_finite()
        self.note_start(self.point)
        self._check_converged()

    def note_start(self, point: Point) -> None:
        """Make the evaluated starting point the current iterate, and note its cost."""
        self.point = point
        if self.lowest is not None:
            self.lowest.note(point.theta, point)

    def offer(self, own: Callable[[], RunState], progress: int | None = None) -> None:
        """Offer the state to the keeper, if there is one; the run must be between two iterations.

        Parameters
        ----------
        own : callable
            Function that returns the solver's own part of the state; it may be called until `withdraw` is called.
        progress : int, default=None
            Number of updates of θ; None means the number of iterations done.
        """
        if self.keeper is not None:
            capture = partial(self._state, own, self.point, self.n_iter, self.n_evaluations)
            self.keeper.offer(self.n_iter if progress is None else progress, capture)

    def withdraw(self) -> None:
        """Tell the keeper that the solver's own part of the state is about to change."""
        if self.keeper is not None:
            self.keeper.withdraw()

    def _state(self, own: Callable[[], RunState], point: Point, n_iter: int, n_evaluations: int) -> RunState:
        """Return the state after `n_iter` iterations, without anything that was recorded later."""
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
        if self.watch is not None:
            self.watch.add_to(state)
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
        """Return the objective evaluated at θ, or None if the value or the gradient is not finite there.

        The current iterate does not change until `accept` is called.
        """
        point = self._evaluate(theta.copy())
        return point if point.is_finite else None

    def evaluate(self, theta: FloatArray) -> Point:
        """Return the objective evaluated at θ; the current iterate does not change until `accept` is called.

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
        """Call an objective, of all rows or a batch, and count the call; the objective may reuse the returned array."""
        evaluate = function.evaluate if isinstance(function, ObjectiveWithTerms) else function
        value, gradient, *rest = evaluate(theta)
        self.n_evaluations += 1
        self._last_terms = rest[0] if rest else {}
        return float(value), np.asarray(gradient, dtype=np.float64), self._last_terms

    def call_in_parts(
        self, function: ObjectiveFunction, theta: FloatArray, use: PartFunction
    ) -> tuple[float, dict[str, float]]:
        """Call a batch's objective, count the call, and pass the gradient to `use` in parts if the value is finite."""
        if isinstance(function, ObjectiveInParts):
            self.n_evaluations += 1
            value, self._last_terms = function.evaluate_in_parts(theta, use)
            return value, self._last_terms
        value, gradient, terms = self.call(function, theta)
        if np.isfinite(value):
            use(slice(0, theta.size), gradient, 0)
        return value, terms

    def accept(self, point: Point, *, met_on_the_way: bool = False) -> None:
        """Make an evaluated point the current iterate, which completes an iteration.

        Parameters
        ----------
        point : Point
        met_on_the_way : bool, default=False
            Whether the point's value was computed at other θ on the way from the current iterate to the point, as in an
            epoch of mini-batches, and not at the point's θ.

        Raises
        ------
        Stop
            If a callback stops the fit, the point has converged, or this was the last iteration.
        """
        if self.watch is not None:
            self.watch.validate(point)
        if self.lowest is not None:
            self.lowest.note(self.point.theta if met_on_the_way else point.theta, point)
        self.point = point
        self.n_iter += 1
        self.loss_curve.append(point.value)
        for name, value in point.terms.items():
            self.terms_curve.setdefault(name, []).append(value)
        self._call_callbacks()
        self._check_converged()
        if self.watch is not None:
            self.watch.check()
        if self.n_iter >= self.max_iter:
            self.stop_if_diverged()
            if self.lowest is not None and point.value > self.loss_curve[0]:
                raise Stop(
                    "max_iter",
                    f"{self._n_iter_in_all} iterations were done, and the cost in the last iteration,"
                    f" {point.value:.3g}, is above the cost in the first iteration, {self.loss_curve[0]:.3g}."
                    f" {self.remedy}",
                )
            raise Stop("max_iter", self._message_at_max_iter())

    def _message_at_max_iter(self) -> Sentence:
        """Return what is said of a run that ends at `max_iter`."""
        fall = fall_at_end(self.loss_curve, self.validation_curve)
        flat = has_flattened(self.loss_curve, self.validation_curve)
        return ended_at_max_iter(self._n_iter_in_all, n_at_end(self.n_iter), [fall], flat=flat)

    def result(self, status: Status, message: str) -> SolverResult:
        """Return the result of the run."""
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
        """Make this point the result of the run, no matter why the run ends."""
        self.point, self.keeps_lowest = point, False

    def stop_if_hopeless(self) -> None:
        """Stop if the cost has risen by more than `HOPELESS` times the cost of the first iteration."""
        if self.lowest is not None and has_risen(self.point.value, self.lowest.value, self.loss_curve[0], HOPELESS):
            self._stop_as_diverged(self.lowest)

    def stop_if_diverged(self) -> None:
        """Stop as diverged if the cost has risen; called when the run ends in any case."""
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
        """Stop because a computed quantity is not finite, with a message that names the likely cause.

        Parameters
        ----------
        what : str
            Name of the quantity that is not finite, for the message.
        met : float, default=None
            The last finite cost; None means the cost of the current iterate.
        """
        broken = sorted(name for name, value in self._last_terms.items() if not np.isfinite(float(value)))
        subject = f"{what} ({', '.join(broken)})" if broken else what
        if self.n_evaluations == 1:
            raise Stop("not_finite", f"{subject} is not finite at the start; scale the data.")
        curve = self.loss_curve
        if len(curve) > 1 and curve[-1] > min(curve):
            cause = f"The cost had risen from {min(curve):.3g} to {curve[-1]:.3g} before, so the steps are too long."
        elif curve:
            cause = (
                f"The cost was {curve[-1]:.3g} before, so a step was too long for the range of floating-point numbers."
            )
        else:
            cause = "The first evaluation was finite, so the first steps are too long for data of this magnitude."
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
            f"After {counted(self.n_iter, 'iteration')}, no step lowers the cost any more in the precision of the"
            f" arithmetic, although the gradient's largest component is {self.point.gradient_norm:.1e}: scale the data"
            f" to about 1 if the values are much larger or smaller, use float64, raise tol (now {self.tol:g}), or"
            " accept the cost reached.",
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
        # All callbacks are called in every iteration, even if an earlier callback asks to stop.
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
                    f"Converged after {counted(self.n_iter, 'iteration')}: the last {_WINDOW} iterations"
                    f" together lowered the cost by no more than the fraction min_improvement={self.min_improvement:g}."
                    f" The gradient's largest component is {self.point.gradient_norm:.1e}; set the solver's"
                    " min_improvement to 0 to continue.",
                )
