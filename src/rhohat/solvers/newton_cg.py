"""Newton's method with inner conjugate gradients in a trust region, computed by SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rhohat.common.arrays import FloatArray, largest_magnitude
from rhohat.solvers._scipy import NO_LIMIT, iterate_with_scipy
from rhohat.solvers.base import FullBatchSolver
from rhohat.solvers.objectives import ObjectiveFunction, ObjectiveWithHessian
from rhohat.solvers.run import LARGEST_GRADIENT, Run

__all__ = ["NewtonCG"]


@dataclass(frozen=True)
class NewtonCG(FullBatchSolver):
    """Truncated Newton method: θ ← θ + s, with s ≈ argmin ∇J·s + ½ s·∇²J s over ‖s‖ ≤ Δ by conjugate gradients.

    The objective needs a method ``hessian_vector_product(theta, v)`` that returns the exact product ∇²J(θ) v.

    Parameters
    ----------
    warm_up, float32_first, min_improvement
        See `FullBatchSolver`; keyword-only.

    Notes
    -----
    The computation is done by SciPy's method trust-ncg. The cost of a network is not convex, so ∇²J has negative
    eigenvalues far from a minimum. There Newton's step leads uphill, and a line search along it can only shorten it. In
    a trust region, the inner conjugate gradients follow the first direction of negative curvature that they find
    downhill to the edge of the region. The cost decreases with every iterate.

    An iteration takes one evaluation, and a number of Hessian products that grows near the minimum, where
    convergence is superlinear. A trial step that does not lower J shrinks Δ and does not count as an iteration. The
    method compares values of J, so once the gradient is below about the square root of the machine epsilon, the run
    ends with the status 'stalled'.

    References
    ----------
    Steihaug, T. (1983). The conjugate gradient method and trust regions in large scale optimization. SIAM Journal on
    Numerical Analysis 20, 626-637.

    Nocedal, J. and Wright, S. J. (2006). Numerical Optimization, 2nd edition, algorithm 7.2.

    Examples
    --------
    >>> class Quartic:
    ...     def __call__(self, x):
    ...         return float(np.sum(x**4) / 4), x**3
    ...     def hessian_vector_product(self, x, v):
    ...         return 3 * x**2 * v
    >>> result = NewtonCG().minimize(Quartic(), np.array([3.0, -4.0]))
    >>> result.status, result.value < 1e-6
    ('converged', True)
    """

    needs_second_derivatives: ClassVar[bool] = True

    def _check_objective(self, objective: ObjectiveFunction) -> None:
        if not isinstance(objective, ObjectiveWithHessian):
            raise ValueError(
                "solver 'newton_cg' needs an objective with a method hessian_vector_product(theta, v); got"
                f" {objective!r}, which has no such method. Use 'lbfgs' or 'conjugate_gradient', which need only the"
                " gradient."
            )

    def _iterate(self, run: Run) -> None:
        objective = run.objective
        assert isinstance(objective, ObjectiveWithHessian)

        def multiply(theta: FloatArray, v: FloatArray) -> FloatArray:
            run.n_hessian_products += 1
            product = np.asarray(objective.hessian_vector_product(theta, v), dtype=np.float64)
            if not largest_magnitude(product) <= LARGEST_GRADIENT:
                run.stop_as_not_finite("The product of the Hessian with a vector")
            return product

        iterate_with_scipy(run, "trust-ncg", {"maxiter": NO_LIMIT, "gtol": 0.0}, multiply)
