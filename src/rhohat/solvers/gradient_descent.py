"""Batch gradient descent with a fixed learning rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rhohat.solvers.base import Run, Solver

__all__ = ["GradientDescent"]


@dataclass(frozen=True)
class GradientDescent(Solver):
    """Batch gradient descent: θ ← θ − α ∇J(θ).

    Parameters
    ----------
    learning_rate : float, default=0.1
        α, positive. Too large a rate diverges, which ends the run with a status and keeps the last finite θ.

    References
    ----------
    Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, section 2.

    Examples
    --------
    >>> result = GradientDescent(learning_rate=0.25).minimize(
    ...     lambda x: (float(x @ x), 2 * x), np.array([4.0]), max_iter=3)
    >>> result.theta, result.status
    (array([0.5]), 'max_iter')
    """

    learning_rate: float = 0.1

    def __post_init__(self) -> None:
        if not (self.learning_rate > 0 and np.isfinite(self.learning_rate)):
            raise ValueError(f"learning_rate must be positive and finite; got {self.learning_rate}.")

    def _iterate(self, run: Run) -> None:
        while True:
            with np.errstate(over="ignore"):  # the run judges what is no longer finite
                theta = run.point.theta - self.learning_rate * run.point.gradient
            run.accept(run.evaluate(theta))
