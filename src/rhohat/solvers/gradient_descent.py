"""Batch gradient descent, with momentum and an optional adaptive learning rate."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Literal

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.solvers._checks import check_positive, check_unit_interval
from rhohat.solvers.base import FullBatchSolver
from rhohat.solvers.run import Run
from rhohat.solvers.states import RunState

__all__ = ["GradientDescent"]

_FIRST_RATE, _GROWTH, _SHRINKAGE = 0.1, 1.1, 0.5  # start and factors of the adaptive learning rate


@dataclass(frozen=True)
class GradientDescent(FullBatchSolver):
    """Batch gradient descent: v ← μ v − α ∇J(θ), θ ← θ + v.

    Parameters
    ----------
    learning_rate : float or "adaptive", default=0.1
        Learning rate α, positive. If it is too large, the cost rises. The run then returns the θ of lowest cost, with
        the status 'diverged' if the final cost exceeds the lowest cost by more than 3 times the first cost, or
        'not_finite' if the cost is no longer finite. With 'adaptive', α starts at 0.1. A step that does not raise J is
        accepted, and α grows by a tenth. A step that raises J, or leads to a point where J is not finite, is undone; α
        is then halved, and v is set to 0.
    momentum : float, default=0.0
        Momentum μ, in [0, 1); v starts at 0.
    warm_up, float32_first, min_improvement
        See `FullBatchSolver`; keyword-only. The default of `min_improvement` is 0, because small improvements do not
        indicate convergence of a solver as slow as gradient descent.

    Notes
    -----
    A step that is undone costs an evaluation and does not count as an iteration. The adaptive rate compares values of
    J, so once the gradient is below about the square root of the machine epsilon, the run ends with the status
    'stalled'.

    References
    ----------
    Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, section 2.

    Polyak, B. T. (1964). Some methods of speeding up the convergence of iteration methods. USSR Computational
    Mathematics and Mathematical Physics 4, 1-17. (Momentum.)

    Battiti, R. (1989). Accelerated backpropagation learning: two optimization methods. Complex Systems 3, 331-342.
    (The adaptive rate, there called the bold driver.)

    Examples
    --------
    >>> result = GradientDescent(learning_rate=0.25).minimize(
    ...     lambda x: (float(x @ x), 2 * x), np.array([4.0]), max_iter=3)
    >>> result.theta, result.status
    (array([0.5]), 'max_iter')
    """

    learning_rate: float | Literal["adaptive"] = 0.1
    momentum: float = 0.0
    min_improvement: float = field(default=0.0, kw_only=True)

    resumable: ClassVar[bool] = True
    _may_rise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.learning_rate, str):
            if self.learning_rate != "adaptive":
                raise ValueError(
                    f"learning_rate must be positive and finite, or 'adaptive'; got {self.learning_rate!r}."
                )
        else:
            check_positive("learning_rate", self.learning_rate)
        check_unit_interval("momentum", self.momentum, zero=True)

    @property
    def remedy(self) -> str:
        """Advice for the user if steps are too long."""
        return f"Lower learning_rate (now {self.learning_rate}), or scale the data to about 1."

    def _iterate(self, run: Run) -> None:
        velocity = np.zeros_like(run.point.theta)
        rate = _FIRST_RATE if isinstance(self.learning_rate, str) else self.learning_rate
        if run.resumed is not None:
            velocity, rate = run.resumed.arrays["velocity"], run.resumed.record["rate"]
        while True:
            run.offer(partial(_state, velocity, rate))
            if isinstance(self.learning_rate, str):
                velocity, rate = self._step_adaptively(run, velocity, rate)
            else:
                velocity, theta = self._step(run, velocity, rate)
                run.accept(run.evaluate(theta))

    def _step_adaptively(self, run: Run, velocity: FloatArray, rate: float) -> tuple[FloatArray, float]:
        """Do an iteration with the adaptive rate, and return the next velocity and rate."""
        while True:
            next_velocity, theta = self._step(run, velocity, rate)
            point = run.attempt(theta)
            if point is not None and point.value <= run.point.value:
                run.accept(point)
                return next_velocity, rate * _GROWTH
            velocity = np.zeros_like(velocity)
            rate *= _SHRINKAGE
            if np.array_equal(self._step(run, velocity, rate)[1], run.point.theta):  # too small a rate to move
                run.stop_as_not_finite() if point is None else run.stop_as_stalled()

    def _step(self, run: Run, velocity: FloatArray, rate: float) -> tuple[FloatArray, FloatArray]:
        """Return the next velocity, and the θ that it leads to."""
        with np.errstate(over="ignore", invalid="ignore"):  # the run detects numbers that are not finite
            velocity = self.momentum * velocity - rate * run.point.gradient
            return velocity, run.point.theta + velocity


def _state(velocity: FloatArray, rate: float) -> RunState:
    return RunState({"rate": rate}, {"velocity": velocity})
