"""Solvers, which minimise a callable from a starting point; they know nothing of networks or data."""

from rhohat.solvers.adam import Adam
from rhohat.solvers.base import FullBatchSolver, Solver
from rhohat.solvers.callbacks import PrintProgress
from rhohat.solvers.conjugate_gradient import ConjugateGradient
from rhohat.solvers.gradient_descent import GradientDescent
from rhohat.solvers.lbfgs import LBFGS
from rhohat.solvers.mini_batch import MiniBatchSolver, MiniBatchState
from rhohat.solvers.newton_cg import NewtonCG
from rhohat.solvers.objectives import (
    ObjectiveFunction,
    ObjectiveInParts,
    ObjectiveWithBatches,
    ObjectiveWithCost,
    ObjectiveWithHessian,
    ObjectiveWithTerms,
    ObjectiveWithValidation,
)
from rhohat.solvers.result import Callback, IterationState, SolverResult
from rhohat.solvers.schedules import SCHEDULES, Schedule, as_schedule
from rhohat.solvers.sgd import SGD
from rhohat.solvers.states import Keeper, RunState

__all__ = [
    "LBFGS",
    "SCHEDULES",
    "SGD",
    "SOLVERS",
    "Adam",
    "Callback",
    "ConjugateGradient",
    "FullBatchSolver",
    "GradientDescent",
    "IterationState",
    "Keeper",
    "MiniBatchSolver",
    "MiniBatchState",
    "NewtonCG",
    "ObjectiveFunction",
    "ObjectiveInParts",
    "ObjectiveWithBatches",
    "ObjectiveWithCost",
    "ObjectiveWithHessian",
    "ObjectiveWithTerms",
    "ObjectiveWithValidation",
    "PrintProgress",
    "RunState",
    "Schedule",
    "Solver",
    "SolverResult",
    "as_schedule",
    "as_solver",
]

SOLVERS: dict[str, type[Solver]] = {
    "lbfgs": LBFGS,
    "conjugate_gradient": ConjugateGradient,
    "newton_cg": NewtonCG,
    "gradient_descent": GradientDescent,
    "sgd": SGD,
    "adam": Adam,
}


def as_solver(solver: str | Solver) -> Solver:
    """Return the solver with the given name and its default settings, or the object itself.

    Parameters
    ----------
    solver : str or Solver
        A name in `SOLVERS`, or a solver.

    Returns
    -------
    Solver

    Raises
    ------
    ValueError
        If no solver has that name.

    Examples
    --------
    >>> as_solver("lbfgs")
    LBFGS(warm_up=True, float32_first=False, min_improvement=1e-08, memory=None)
    """
    if isinstance(solver, Solver):
        return solver
    if solver in SOLVERS:
        return SOLVERS[solver]()
    raise ValueError(f"solver must be one of {sorted(SOLVERS)} or a Solver; got {solver!r}.")
