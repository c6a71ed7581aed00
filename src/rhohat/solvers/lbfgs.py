"""Limited-memory BFGS, by SciPy."""

from __future__ import annotations

from dataclasses import dataclass

from rhohat.solvers._checks import check_count
from rhohat.solvers._scipy import NO_LIMIT, iterate_with_scipy
from rhohat.solvers.base import Run, Solver

__all__ = ["LBFGS"]


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
    >>> import numpy as np
    >>> result = LBFGS().minimize(lambda x: (float(x @ x), 2 * x), np.array([3.0, -4.0]))
    >>> result.status, result.n_iter
    ('converged', 2)
    """

    memory: int = 50

    def __post_init__(self) -> None:
        check_count("memory", self.memory, "pair")

    def _iterate(self, run: Run) -> None:
        limits = {"maxiter": NO_LIMIT, "maxfun": NO_LIMIT, "gtol": 0.0, "ftol": 0.0}
        iterate_with_scipy(run, "L-BFGS-B", {"maxcor": self.memory, **limits})
