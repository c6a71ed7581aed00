"""What all solvers share: the protocol, the result, and one place for stopping rules, history and callbacks.

A solver is a subclass of `Solver` with one method, `_iterate`, which moves θ and reports each iteration to a `Run`.
The run counts evaluations, refuses values that are not finite, keeps the history, asks the callbacks, and decides
when to stop; so these things are the same for every solver.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from rhohat.arrays import FloatArray

__all__ = ["Callback", "IterationState", "ObjectiveFunction", "Run", "Solver", "SolverResult", "Status", "Stop"]

#: θ → (value, gradient) or (value, gradient, terms), terms being a dict of named parts of the value.
ObjectiveFunction: TypeAlias = Callable[[FloatArray], Any]

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
        The last iterate; one at which value and gradient were finite, unless they were not at the start.
    value : float
        J at θ.
    terms : dict of str to float
        The named parts of J at θ.
    gradient_norm : float
        The largest absolute component of ∇J at θ.
    n_iter : int
        Iterations done.
    n_evaluations : int
        Evaluations of J and ∇J, the first included.
    status : {"converged", "max_iter", "stalled", "stopped", "not_finite"}
        Why it ended: the gradient is small enough; max_iter was reached; no step in the solver's direction lowers J;
        a callback said so; J or ∇J was not finite.
    message : str
        The same as a sentence that says what to do.
    loss_curve : list of float, of length n_iter
        J after each iteration.
    terms_curve : dict of str to list of float, each of length n_iter
        The named parts of J after each iteration.
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

    @property
    def success(self) -> bool:
        """Whether the fit ended as intended: converged, or stopped by a callback."""
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
            θ → (value, gradient) or (value, gradient, terms).
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
        """
        run = Run(objective, max_iter, tol, callbacks)
        try:
            run.start(np.array(theta, dtype=np.float64))
            self._iterate(run)
        except Stop as stop:
            return run.result(stop.status, stop.message)
        raise AssertionError("a solver iterates until its run stops it")

    @abstractmethod
    def _iterate(self, run: Run) -> None:
        """Move from `run.point` on, with `run.evaluate` and `run.accept`, until one of them raises Stop."""


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
        return float(np.max(np.abs(self.gradient), initial=0.0))


@dataclass
class Run:
    """The bookkeeping of one minimisation.

    Attributes
    ----------
    point : Point
        The current iterate.
    n_iter, n_evaluations : int
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

    def start(self, theta: FloatArray) -> None:
        """Evaluate the first point, and stop there if it has converged already."""
        self.point = self._evaluate(theta)
        self._check_finite(self.point)
        self._check_converged()

    def evaluate(self, theta: FloatArray) -> Point:
        """Evaluate the objective at θ; the current iterate stays what it is until `accept`.

        Raises
        ------
        Stop
            If the value or the gradient is not finite.
        """
        point = self._evaluate(theta.copy())
        self._check_finite(point)
        return point

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
        )

    def _evaluate(self, theta: FloatArray) -> Point:
        value, gradient, *rest = self.objective(theta)
        self.n_evaluations += 1
        return Point(theta, float(value), np.array(gradient, dtype=np.float64), rest[0] if rest else {})

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

    def _check_finite(self, point: Point) -> None:
        if not (np.isfinite(point.value) and np.all(np.isfinite(point.gradient))):
            raise Stop(
                "not_finite",
                "The cost or its gradient is not finite at the start; scale the data."
                if self.n_evaluations == 1
                else f"The cost or its gradient stopped being finite at evaluation {self.n_evaluations}, in iteration"
                f" {self.n_iter + 1}; the last finite parameters are kept. Scale the data, or lower the learning rate"
                " of gradient descent.",
            )
