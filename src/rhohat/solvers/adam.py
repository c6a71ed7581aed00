"""The solver Adam, whose steps are scaled by running means of the gradient and of its square."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rhohat.common.arrays import FloatArray
from rhohat.solvers._checks import check_positive, check_unit_interval
from rhohat.solvers.mini_batch import MiniBatchSolver

__all__ = ["Adam"]


@dataclass(frozen=True)
class Adam(MiniBatchSolver):
    """Adaptive moment estimation: θ ← θ − α m̂ / (√v̂ + ε), for the t-th mini-batch with the gradient g.

    Here m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ), all componentwise.

    Parameters
    ----------
    learning_rate : float, default=1e-3
        Learning rate α, positive; about the largest change of a parameter in one step. It is multiplied by the factor
        from the schedule.
    beta_1 : float, default=0.9
        Decay rate β₁ of the running mean of the gradient, in [0, 1).
    beta_2 : float, default=0.999
        Decay rate β₂ of the running mean of the squared gradient, in [0, 1).
    epsilon : float, default=1e-8
        Constant ε, positive; gradients far below it lead to small steps.
    batch_size, schedule, early_stopping, validation_fraction, patience, max_gradient_norm
        See `MiniBatchSolver`; keyword-only.

    Notes
    -----
    With a constant learning rate, the iterates finally fluctuate around the minimum by about α; a schedule that falls
    to 0 prevents that.

    References
    ----------
    Kingma, D. P. and Ba, J. (2015). Adam: a method for stochastic optimization. ICLR, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> result = Adam(learning_rate=0.5, schedule="cosine").minimize(
    ...     lambda x: (float(x @ x), 2 * x), np.array([3.0, -4.0]), max_iter=200)
    >>> result.theta.round(4) + 0
    array([0., 0.])
    """

    learning_rate: float = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    moment_names: ClassVar[tuple[str, ...]] = ("sum", "sum_of_squares")
    moments_are_called: ClassVar[str] = "moments of Adam"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_unit_interval("beta_1", self.beta_1, zero=True)
        check_unit_interval("beta_2", self.beta_2, zero=True)
        check_positive("epsilon", self.epsilon)

    def _update(
        self,
        theta: FloatArray,
        gradient: FloatArray,
        moments: Sequence[FloatArray],
        scratch: FloatArray,
        learning_rate: float,
        step: int,
    ) -> None:
        rate, epsilon = self._rate_and_epsilon(learning_rate, step)
        sums, betas = (moments[0], moments[1]), (self.beta_1, self.beta_2)
        self.ops.adam_step(theta, gradient, sums, scratch, betas=betas, rate=rate, epsilon=epsilon)

    def _rate_and_epsilon(self, learning_rate: float, step: int) -> tuple[float, float]:
        """Return the learning rate and ε of a step for moments that are sums; steps count from 1.

        The moments are kept as the sums m / (1 − β₁) and v / (1 − β₂), which saves two passes over each of them.
        """
        root = math.sqrt((1 - self.beta_2) / (1 - self.beta_2**step))  # √v̂ = root √(sum of squares)
        rate = learning_rate / root * (1 - self.beta_1) / (1 - self.beta_1**step)
        return rate, self.epsilon / root
