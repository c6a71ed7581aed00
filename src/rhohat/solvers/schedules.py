"""Schedules of the learning rate: progress p in [0, 1) through the epochs → a factor."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["SCHEDULES", "Schedule", "as_schedule", "constant", "cosine", "linear"]

#: Fraction of max_iter that is done → what the learning rate is multiplied by.
Schedule: TypeAlias = Callable[[float], float]


def constant(progress: float) -> float:
    """Return 1 throughout.

    Parameters
    ----------
    progress : float
        The part of the training that is over, in [0, 1); p in formulas.
    """
    return 1.0


def linear(progress: float) -> float:
    """Return 1 − p.

    Parameters
    ----------
    progress : float
        The part of the training that is over, in [0, 1); p in formulas.

    Examples
    --------
    >>> linear(0.25)
    0.75
    """
    return 1 - progress


def cosine(progress: float) -> float:
    """Return ½ (1 + cos πp): slow at both ends.

    Parameters
    ----------
    progress : float
        The part of the training that is over, in [0, 1); p in formulas.

    References
    ----------
    Loshchilov, I. and Hutter, F. (2017). SGDR: Stochastic gradient descent with warm restarts. ICLR, equation 5.

    Examples
    --------
    >>> cosine(0), cosine(0.5)
    (1.0, 0.5)
    """
    return 0.5 * (1 + math.cos(math.pi * progress))


SCHEDULES: dict[str, Schedule] = {"constant": constant, "linear": linear, "cosine": cosine}


def as_schedule(schedule: str | Schedule) -> Schedule:
    """Return the schedule with the given name, or the callable itself.

    Parameters
    ----------
    schedule : {"constant", "linear", "cosine"} or callable
        A callable takes the progress, in [0, 1), and returns the factor.

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        If it is neither.

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
