"""Solvers: a callable and a start in, the minimiser and a record out. They know nothing of networks or data."""

from rhohat.solvers.base import Callback, IterationState, Solver, SolverResult
from rhohat.solvers.callbacks import PrintProgress
from rhohat.solvers.gradient_descent import GradientDescent
from rhohat.solvers.lbfgs import LBFGS

__all__ = [
    "LBFGS",
    "SOLVERS",
    "Callback",
    "GradientDescent",
    "IterationState",
    "PrintProgress",
    "Solver",
    "SolverResult",
    "as_solver",
]

SOLVERS: dict[str, type[Solver]] = {"lbfgs": LBFGS, "gradient_descent": GradientDescent}


def as_solver(solver: str | Solver) -> Solver:
    """Return the solver with the given name and its default settings, or the object itself.

    Parameters
    ----------
    solver : str or Solver

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
    LBFGS(memory=50)
    """
    if isinstance(solver, Solver):
        return solver
    if solver in SOLVERS:
        return SOLVERS[solver]()
    raise ValueError(f"solver must be one of {sorted(SOLVERS)} or a Solver; got {solver!r}.")
