"""The textbook in NumPy: whole batch, one line per formula; SciPy's L-BFGS-B with its defaults."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.measuring import time_evaluations
from benchmarks.tasks import Job, Record, Task
from tests.textbook import sparse_cost

__all__ = ["cost_in_float64", "descent", "evaluation"]


def evaluation(task: Task) -> Record:
    """Time J and its gradient."""
    theta = task.theta.astype(task.settings.dtype)

    def evaluate() -> tuple[float, list[np.ndarray]]:
        J, gradient = _cost(task, theta)
        return J, [gradient]

    return time_evaluations(evaluate, task)


def descent(task: Task) -> Record:
    """Go down for the iterations of the settings, or to the cost that they give."""
    from benchmarks.descents import descend_with_scipy

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        J, gradient = _cost(task, theta.astype(task.settings.dtype))
        return float(J), gradient.astype(np.float64)

    return descend_with_scipy(objective, task, one_blas_thread=False)


def cost_in_float64(job: Job, theta: np.ndarray) -> float:
    """Return J at θ on all rows of a job, in float64 whatever the job works in."""
    task = Task.load(replace(job, settings=replace(job.settings, dtype="float64")))
    return float(_cost(task, theta)[0])


def _cost(task: Task, theta: np.ndarray) -> tuple[float, np.ndarray]:
    settings = task.settings
    penalties = settings.weight_decay, settings.sparsity, settings.sparsity_weight
    J, gradient = sparse_cost(theta, task.X, task.X, task.layer_sizes, ["sigmoid", "sigmoid"], *penalties)
    return J, gradient
