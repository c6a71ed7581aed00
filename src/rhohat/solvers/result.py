"""The result of a solver, and the state of an iteration that is passed to callbacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from rhohat.common.arrays import FloatArray
from rhohat.solvers.flattening import has_flattened

__all__ = [
    "Callback",
    "IterationState",
    "SolverResult",
    "Status",
]

Status: TypeAlias = Literal["converged", "max_iter", "stalled", "stopped", "diverged", "not_finite", "interrupted"]


@dataclass(frozen=True)
class IterationState:
    """The state of a run after an iteration, as it is passed to callbacks.

    Attributes
    ----------
    iteration : int
        Number of the iteration, counted from 1; of a dictionary, that of the block of at most 50 updates.
    value : float
        J at θ.
    terms : dict of str to float
        The named parts of J; empty if the objective names none.
    gradient_norm : float
        The largest absolute component of ∇J, which decides on convergence.
    theta : array of shape (n_parameters,)
        Read-only copy of θ.
    n_rows : int or None, default=None
        Number of rows on which J was computed, if this is an iteration of the warm-up, which uses some rows only. None
        means all rows. The values of J on other rows differ, so callbacks that compare them leave out the warm-up.
    measures : dict of str to float
        Figures of the training of a dictionary, and empty for other models. Means over the updates of the block are
        "fvu", the fraction of variance unexplained, and "l0", the number of active latents of a row. "dead" is the
        number of dead latents. "rows", "updates", "passes" and "seconds" say how much has been done since the start;
        "passes" is not known, and left out, for rows from an iterator.
    """

    iteration: int
    value: float
    terms: dict[str, float]
    gradient_norm: float
    theta: FloatArray
    n_rows: int | None = None
    measures: dict[str, float] = field(default_factory=dict)


#: Function that is called after every iteration; the fit stops if it returns True. In the warm-up, this ends the
#: iterations on the current subset of the rows.
Callback: TypeAlias = Callable[[IterationState], object]


@dataclass(frozen=True)
class SolverResult:
    """The result of a minimisation: the parameters found, and a record of the run.

    Attributes
    ----------
    theta : array of shape (n_parameters,)
        The last iterate at which value and gradient were finite, or the starting point if they were not finite there.
        If steps that were too long have raised the cost, the iterate of lowest cost; with early stopping, the iterate
        of lowest cost on the held-out rows.
    value : float
        J at θ. Mini-batch solvers report means over the last epoch, here and below; see `MiniBatchSolver`.
    terms : dict of str to float
        The named parts of J at θ.
    gradient_norm : float
        The largest absolute component of ∇J at θ.
    n_iter : int
        Number of iterations done; for mini-batch solvers, the number of epochs.
    n_evaluations : int
        Number of evaluations of J and ∇J, including the first. Each evaluation of a mini-batch counts as one.
    status : {"converged", "max_iter", "stalled", "stopped", "diverged", "not_finite"}
        Why the run ended. "converged": the gradient or the improvement of J is small enough. "max_iter": max_iter was
        reached. "stalled": no step in the solver's direction lowers J. "stopped": a callback or early stopping ended
        the run. "diverged": steps that were too long have raised J. "not_finite": J or ∇J was not finite.
        ("interrupted" occurs in the record of a fit that Ctrl-C ended.)
    message : str
        Why the run ended, as a sentence, with advice.
    loss_curve : list of float, of length n_iter
        J after each iteration.
    terms_curve : dict of str to list of float, each of length n_iter
        The named parts of J after each iteration.
    n_hessian_products : int
        Number of products of the Hessian with a vector, for solvers that use them.
    validation_curve : list of float
        With early stopping, the cost on the held-out rows after each iteration; otherwise empty.
    warm_up_evaluations : dict of int to int
        Number of evaluations on subsets of rows during warm-up, by number of rows. They are not included in
        `n_evaluations`.
    warm_up_curves : dict of int to list of float
        J on subsets of rows after each iteration of the warm-up, by number of rows.
    measures_curve : dict of str to list of float
        Figures beside J after each iteration, such as the mean number of active latents of a dictionary; empty for
        other models.
    arrays : dict of str to array
        What was learned beside θ, such as the threshold of a dictionary; empty for other models.
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
    warm_up_curves: dict[int, list[float]] = field(default_factory=dict)
    measures_curve: dict[str, list[float]] = field(default_factory=dict)
    arrays: dict[str, FloatArray] = field(default_factory=dict)

    @property
    def success(self) -> bool:
        """Whether the fit converged, or was stopped by a callback or early stopping."""
        return self.status in ("converged", "stopped")

    @property
    def has_flattened(self) -> bool:
        """Whether the cost had flattened when the run ended; see `rhohat.solvers.flattening.has_flattened`."""
        return has_flattened(self.loss_curve, self.validation_curve)
