"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rhohat.common.arrays import FloatArray
from rhohat.solvers._checks import check_unit_interval
from rhohat.solvers.mini_batch import MiniBatchSolver

__all__ = ["SGD"]


@dataclass(frozen=True)
class SGD(MiniBatchSolver):
    """Stochastic gradient descent with momentum: v ← μ v − α ∇J_B(θ), θ ← θ + v, for every mini-batch B.

    Parameters
    ----------
    learning_rate : float, default=0.1
        Learning rate α, positive; it is multiplied by the factor from the schedule.
    momentum : float, default=0.9
        Momentum μ, in [0, 1); 0 is plain stochastic gradient descent.
    batch_size, schedule, early_stopping, validation_fraction, patience, max_gradient_norm
        See `MiniBatchSolver`; keyword-only.

    Notes
    -----
    The velocity v contains α, so a change of the learning rate takes effect over the next 1 / (1 − μ) steps. (In some
    libraries, the velocity is a sum of gradients instead, and a change takes effect at once.)

    References
    ----------
    Robbins, H. and Monro, S. (1951). A stochastic approximation method. Annals of Mathematical Statistics 22, 400-407.

    Sutskever, I., Martens, J., Dahl, G. and Hinton, G. (2013). On the importance of initialization and momentum in
    deep learning. ICML, equations 1 and 2.

    Examples
    --------
    >>> import numpy as np
    >>> result = SGD(learning_rate=0.25, momentum=0.0).minimize(
    ...     lambda x: (float(x @ x), 2 * x), np.array([4.0]), max_iter=3)
    >>> result.theta, result.status
    (array([0.5]), 'max_iter')
    """

    learning_rate: float = 0.1
    momentum: float = 0.9

    moment_names: ClassVar[tuple[str, ...]] = ("velocity",)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_unit_interval("momentum", self.momentum, zero=True)

    def _update(
        self,
        theta: FloatArray,
        gradient: FloatArray,
        moments: Sequence[FloatArray],
        scratch: FloatArray,
        learning_rate: float,
        step: int,
    ) -> None:
        (velocity,) = moments
        self.ops.momentum_step(theta, gradient, velocity, scratch, momentum=self.momentum, learning_rate=learning_rate)
