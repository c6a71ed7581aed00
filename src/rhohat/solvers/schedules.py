"""Schedules of the learning rate, which are functions from the progress p in [0, 1) of the training to a factor."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["SCHEDULES", "Schedule", "as_schedule", "constant", "cosine", "linear", "trapezoid"]

#: Function from the completed fraction of the epochs to the factor by which the learning rate is multiplied.
Schedule: TypeAlias = Callable[[float], float]


def constant(progress: float) -> float:
    """Return 1, the factor of a constant learning rate.

    Parameters
    ----------
    progress : float
        Completed fraction of the training, in [0, 1); p in formulas.
    """
    return 1.0


def linear(progress: float) -> float:
    """Return 1 − p, the factor of a linearly falling learning rate.

    Parameters
    ----------
    progress : float
        Completed fraction of the training, in [0, 1); p in formulas.

    Examples
    --------
    >>> linear(0.25)
    0.75
    """
    return 1 - progress


def cosine(progress: float) -> float:
    """Return ½ (1 + cos πp), the factor of a learning rate that falls slowly at the start and at the end.

    Parameters
    ----------
    progress : float
        Completed fraction of the training, in [0, 1); p in formulas.

    References
    ----------
    Loshchilov, I. and Hutter, F. (2017). SGDR: Stochastic gradient descent with warm restarts. ICLR, equation 5.

    Examples
    --------
    >>> cosine(0), cosine(0.5)
    (1.0, 0.5)
    """
    return 0.5 * (1 + math.cos(math.pi * progress))


def trapezoid(progress: float) -> float:
    """Return a factor that rises to 1 over the first twentieth of the training, and falls to 0 over the last fifth.

    Parameters
    ----------
    progress : float
        Completed fraction of the training, in [0, 1); p in formulas.

    Examples
    --------
    >>> trapezoid(0.025), trapezoid(0.5), round(trapezoid(0.9), 6)
    (0.5, 1.0, 0.5)
    """
    return min(1.0, progress / _RISE, (1 - progress) / _FALL)


_RISE, _FALL = 0.05, 0.2  # fractions of the training in which the factor of `trapezoid` changes

SCHEDULES: dict[str, Schedule] = {"constant": constant, "linear": linear, "cosine": cosine, "trapezoid": trapezoid}


def as_schedule(schedule: str | Schedule) -> Schedule:
    """Return the schedule with the given name, or the callable itself.

    Parameters
    ----------
    schedule : {"constant", "linear", "cosine", "trapezoid"} or callable
        Name of a schedule, or a callable that takes the progress, in [0, 1), and returns the factor.

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        If `schedule` is neither a callable nor the name of a schedule.

    Examples
    --------
    >>> as_schedule("linear")(0.5)
    0.5
    """
    if callable(schedule):
        return schedule
    if schedule in SCHEDULES:
        return SCHEDULES[schedule]
    raise ValueError(f"schedule must be one of {sorted(SCHEDULES)} or a callable; got {schedule!r}.")
