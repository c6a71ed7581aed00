"""Limited-memory BFGS, by SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

import numpy as np
from scipy.optimize import minimize

from rhohat.arrays import FloatArray
from rhohat.solvers.base import Run, Solver, Stop

__all__ = ["LBFGS"]

_NO_LIMIT = 2**31 - 1  # SciPy's own limits are not used: the run has one rule for every solver


@dataclass(frozen=True)
class LBFGS(Solver):
    """Limited-memory BFGS: θ ← θ − α H ∇J(θ), H from the last pairs of steps and gradient differences.

    Parameters
    ----------
    memory : int, default=50
        Number of pairs kept. Each costs two vectors of θ's length, which is little beside an evaluation over many
        rows.

    Notes
    -----
    SciPy's L-BFGS-B does the work, without bounds; its line search satisfies the strong Wolfe conditions. An
    iteration takes one evaluation most of the time.

    References
    ----------
    Liu, D. C. and Nocedal, J. (1989). On the limited memory BFGS method for large scale optimization. Mathematical
    Programming 45, 503-528.

    Examples
    --------
    >>> result = LBFGS().minimize(lambda x: (float(x @ x), 2 * x), np.array([3.0, -4.0]))
    >>> result.status, result.n_iter
    ('converged', 2)
    """

    memory: int = 50

    def __post_init__(self) -> None:
        if not (isinstance(self.memory, Integral) and self.memory >= 1):
            raise ValueError(f"memory must be an integer, at least 1 pair; got {self.memory!r}.")

    def _iterate(self, run: Run) -> None:
        latest = run.point

        def evaluate(theta: FloatArray) -> tuple[float, FloatArray]:
            nonlocal latest
            if not np.array_equal(theta, latest.theta):  # SciPy asks for the starting point, which is known
                latest = run.evaluate(theta)
            return latest.value, latest.gradient.copy()

        def finish_iteration(theta: FloatArray) -> None:
            evaluate(theta)  # the line search ends on the last point it tried, so this costs nothing
            run.accept(latest)

        outcome = minimize(
            evaluate,
            run.point.theta,
            jac=True,
            method="L-BFGS-B",
            callback=finish_iteration,
            options={
                "maxcor": self.memory,
                "maxiter": _NO_LIMIT,
                "maxfun": _NO_LIMIT,
                "gtol": 0.0,
                "ftol": 0.0,
            },
        )
        if outcome.success:
            raise Stop(
                "converged",
                f"Converged after {run.n_iter} iterations: a step no longer changes the cost, in this precision.",
            )
        raise Stop(
            "stalled",
            f"The line search found no lower cost after {run.n_iter} iterations, where the gradient's largest component"
            f" is {run.point.gradient_norm:.1e}, in the precision of the arithmetic. Scale the data to about 1 if they"
            f" are far from it, use float64, raise tol (now {run.tol:g}), or accept the cost reached.",
        )
