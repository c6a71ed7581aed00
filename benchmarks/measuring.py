"""What contenders share: the clock around calls and epochs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.tasks import Record, Task

__all__ = ["epochs_record", "time_calls", "time_epochs", "time_evaluations", "time_steps"]

_FEWEST_CALLS = 2


def time_calls(function: Callable[[], Any], seconds: float) -> tuple[Record, Any]:
    """Call a function for so many seconds, and at least twice, after a first call that is a warm-up.

    Returns
    -------
    record : dict
        With the median of the calls in seconds.
    result : object
        What the first call returned.
    """
    result = function()
    each: list[float] = []
    end = time.perf_counter() + seconds
    while len(each) < _FEWEST_CALLS or time.perf_counter() < end:
        start = time.perf_counter()
        function()
        each.append(time.perf_counter() - start)
    return {"seconds": statistics.median(each), "fastest": min(each), "calls": len(each)}, result


def time_evaluations(evaluate: Callable[[], tuple[float, Sequence[Any]]], task: Task) -> Record:
    """Time a function that returns J and the parts of its gradient, arrays of any library.

    Returns
    -------
    dict
        With J and the Euclidean norm of the gradient under "agreement".
    """
    record, (J, gradient) = time_calls(evaluate, task.settings.seconds)
    norm = np.sqrt(sum(float(np.sum(np.asarray(part, np.float64) ** 2)) for part in gradient))
    return {**record, "agreement": {"J": float(J), "norm of the gradient": float(norm)}}


def time_epochs(epoch: Callable[[], float], task: Task) -> Record:
    """Time epochs of training.

    Parameters
    ----------
    epoch : callable
        Does one and returns the mean loss over its rows, each at the parameters that it met.
    task : Task

    Returns
    -------
    dict
        Its time is the median of the epochs after the first, in which compilers compile and pages are touched.
    """
    stamps, losses = [time.perf_counter()], []
    for _ in range(task.settings.epochs):
        losses.append(float(epoch()))
        stamps.append(time.perf_counter())
    return epochs_record(stamps, losses)


def time_steps(step: Callable[[np.ndarray], float], task: Task) -> Record:
    """Time steps of training, batch after batch of the rows, over and over.

    Parameters
    ----------
    step : callable
        Takes a batch and returns the loss that it met.
    task : Task

    Returns
    -------
    dict
        Its time is the median of the steps after the first pass over the rows, in which code is compiled and memory is
        touched first.
    """
    size = task.settings.batch_size
    batches = [task.X[start : start + size] for start in range(0, len(task.X), size)]
    losses = [step(batch) for batch in batches]
    each: list[float] = []
    end = time.perf_counter() + task.settings.seconds
    while len(each) < len(batches) or time.perf_counter() < end:
        start = time.perf_counter()
        step(batches[len(each) % len(batches)])
        each.append(time.perf_counter() - start)
    agreement = {"loss of the first step": losses[0]}
    return {"seconds": statistics.median(each), "fastest": min(each), "steps": len(each), "agreement": agreement}


def epochs_record(stamps: Sequence[float], losses: Sequence[float]) -> Record:
    """Return the record of epochs, given when each began, when the last ended, and the mean losses."""
    each = [stop - start for start, stop in pairwise(stamps)]
    agreement = {"mean loss of the last epoch": losses[-1]}
    return {"seconds": statistics.median(each[1:] or each), "epochs": each, "losses": losses, "agreement": agreement}
