"""What contenders share that go down to a given cost: a watch, and SciPy's L-BFGS-B on anybody's gradients."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from benchmarks.tasks import Record, Task

__all__ = ["Finished", "Watch", "descend_with_scipy", "iterations_allowed"]

#: How many times the iterations of the descent that set the target others may take to reach it.
_PATIENCE = 3


class Finished(Exception):  # noqa: N818 - a way out of an optimiser's loops, not an error
    """A descent has reached its target, or its time is over."""


class Watch:
    """Counts the evaluations of a descent, and ends it at the first one that is low enough.

    Parameters
    ----------
    task : Task
        Whose settings say the cost to reach, if any, and the time after which to break off, if any.

    Attributes
    ----------
    evaluations : int
    reached : bool
        Whether the cost to reach was seen.
    seconds : float
        From the creation of this object to the last evaluation.
    cost : float
        J at the last evaluation.
    theta : array of shape (n_parameters,), float64
        Where that was.
    """

    def __init__(self, task: Task) -> None:
        self._settings = task.settings
        self.evaluations, self.reached, self.cost, self.theta = 0, False, np.inf, task.theta
        self._start = time.perf_counter()
        self.seconds = 0.0

    def see(self, cost: float, theta: Any) -> None:
        """Take an evaluation in.

        Raises
        ------
        Finished
            If it was the last.
        """
        self.seconds = time.perf_counter() - self._start
        self.evaluations += 1
        self.cost, self.theta = cost, theta
        target, limit = self._settings.target_cost, self._settings.limit
        self.reached = target is not None and cost <= target
        if self.reached or (limit is not None and self.seconds >= limit):
            raise Finished

    def record(self, start_cost: float) -> Record:
        """Return what the descent came to; θ is not in it where the target was not reached."""
        record = {
            "seconds": self.seconds,
            "evaluations": self.evaluations,
            "reached": self.reached,
            "cost": self.cost,
            "agreement": {"J at the start": start_cost},
        }
        return {**record, "theta": np.asarray(self.theta, np.float64)} if self.reached else record


def descend_with_scipy(
    objective: Callable[[np.ndarray], tuple[float, np.ndarray]], task: Task, *, one_blas_thread: bool
) -> Record:
    """Minimise with SciPy's L-BFGS-B until J is low enough, or for the iterations of the settings.

    The objective is called once before the clock starts, so that what is compiled and started at the first call is
    not counted. What stops a descent early is switched off, as a script does that wants a number of iterations.

    Parameters
    ----------
    objective : callable
        θ → (J, ∇J), in float64.
    task : Task
    one_blas_thread : bool
        Whether to hold BLAS to one thread. SciPy has little for it to do, and the threads of BLAS spin for a while
        afterwards: where the objective has threads of its own, that may triple its time.

    Returns
    -------
    dict
    """
    start_cost, _ = objective(task.theta)
    settings = task.settings
    watch = Watch(task)

    def watched(theta: np.ndarray) -> tuple[float, np.ndarray]:
        J, gradient = objective(theta)
        watch.see(J, theta)
        return J, gradient

    options = {
        "maxiter": iterations_allowed(task),
        "maxfun": 2**31 - 1,
        "maxcor": settings.memory,
        "ftol": 0.0,
        "gtol": 0.0,
    }
    try:
        with threadpool_limits(1 if one_blas_thread else None, user_api="blas"):
            result = minimize(watched, task.theta, jac=True, method="L-BFGS-B", options=options)
    except Finished:
        return watch.record(start_cost)
    record = watch.record(start_cost)
    return {**record, "cost": float(result.fun), "message": str(result.message), "iterations": int(result.nit)}


def iterations_allowed(task: Task) -> int:
    """Return how many iterations a descent may take: more than the settings say where it has a cost to reach."""
    return task.settings.max_iter * (1 if task.settings.target_cost is None else _PATIENCE)
