"""Nonlinear conjugate gradients, computed by SciPy."""

from __future__ import annotations

from dataclasses import dataclass

from rhohat.solvers._scipy import NO_LIMIT, iterate_with_scipy
from rhohat.solvers.base import FullBatchSolver
from rhohat.solvers.run import Run

__all__ = ["ConjugateGradient"]


@dataclass(frozen=True)
class ConjugateGradient(FullBatchSolver):
    """Nonlinear conjugate gradients of Polak and Ribière: θ ← θ + α d, with d ← −∇J(θ) + β d.

    Here β = max(0, ∇Jₖ₊₁·(∇Jₖ₊₁ − ∇Jₖ) / ‖∇Jₖ‖²); if β is 0, the method restarts along the negative gradient.

    Parameters
    ----------
    warm_up, float32_first, min_improvement
        See `FullBatchSolver`; keyword-only.

    Notes
    -----
    The computation is done by SciPy's method CG, whose line search satisfies the strong Wolfe conditions. It keeps a
    handful of vectors of θ's length, and takes about two evaluations per iteration. L-BFGS usually needs fewer
    iterations and fewer evaluations.

    References
    ----------
    Polak, E. and Ribière, G. (1969). Note sur la convergence de méthodes de directions conjuguées. Revue française
    d'informatique et de recherche opérationnelle 3, 35-43.

    Nocedal, J. and Wright, S. J. (2006). Numerical Optimization, 2nd edition, section 5.2.

    Examples
    --------
    >>> import numpy as np
    >>> result = ConjugateGradient().minimize(lambda x: (float(x @ x), 2 * x), np.array([3.0, -4.0]))
    >>> result.status, result.theta.round(6) + 0
    ('converged', array([0., 0.]))
    """

    def _iterate(self, run: Run) -> None:
        iterate_with_scipy(run, "CG", {"maxiter": NO_LIMIT, "gtol": 0.0})
