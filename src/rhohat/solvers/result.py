"""What a run tells: its result, how it ended, and what a callback sees after each iteration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from rhohat.common.arrays import FloatArray

__all__ = [
    "Callback",
    "IterationState",
    "SolverResult",
    "Status",
]

Status: TypeAlias = Literal["converged", "max_iter", "stalled", "stopped", "diverged", "not_finite", "interrupted"]


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
