"""Divergence: steps that are too long raise the cost, and what was best is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from rhohat.common.arrays import FloatArray

__all__ = ["HOPELESS", "HOPELESS_ON_OTHER_ROWS", "WORSE", "Lowest", "has_risen"]

#: How often the first cost may be added to the lowest: at the end of a run, and at any time. Noise stays below the
#: former, and a run that recovers below the latter.
WORSE, HOPELESS = 3, 1000

#: The same for costs of different rows.
HOPELESS_ON_OTHER_ROWS = 10**6


def has_risen(cost: float, lowest: float, first: float, times: float) -> bool:
    """Return whether a cost lies above the lowest by more than so many times the first, which sets the scale.

    Examples
    --------
    >>> has_risen(0.9, lowest=0.2, first=0.4, times=3), has_risen(2.0, lowest=0.2, first=0.4, times=3)
    (False, True)
    """
    return cost - lowest > times * max(abs(first), abs(lowest))


class Met(Protocol):
    """What an objective has returned, or an epoch's mean of it."""

    @property
    def value(self) -> float:
        """J."""

    @property
    def terms(self) -> dict[str, float]:
        """The named parts of J."""

    @property
    def gradient_norm(self) -> float:
        """The largest absolute component of ∇J."""


class Lowest:
    """The parameters at which the cost was lowest so far, for solvers whose steps may raise it.

    Attributes
    ----------
    theta : array of shape (n_parameters,), or None
        None before the first cost is known.
    value, gradient_norm : float
    terms : dict of str to float
    first : float
        The first cost.
    """

    def __init__(self) -> None:
        self.theta: FloatArray | None = None
        self.value = self.gradient_norm = self.first = float("nan")
        self.terms: dict[str, float] = {}

    def note(self, theta: FloatArray, met: Met) -> None:
        """Take in parameters, which will not be changed, and what was met at them."""
        if self.theta is None:
            self.first = met.value
        if self.theta is None or met.value < self.value:
            self.theta, self.value, self.terms, self.gradient_norm = theta, met.value, met.terms, met.gradient_norm

    def is_far_below(self, cost: float) -> bool:
        """Return whether a cost has risen, as at the end of a run; never, before the first is known."""
        return self.theta is not None and has_risen(cost, self.value, self.first, WORSE)

    def add_to(self, record: dict[str, Any], arrays: dict[str, FloatArray]) -> None:
        """Save what it knows."""
        if self.theta is not None:
            names = ("first", "value", "gradient_norm", "terms")
            record["lowest cost"] = {name: getattr(self, name) for name in names}
            arrays["lowest cost theta"] = self.theta

    def restore(self, record: Mapping[str, Any], arrays: Mapping[str, FloatArray]) -> None:
        """Take over what was saved."""
        self.__dict__.update(record.get("lowest cost", {}))
        self.theta = arrays.get("lowest cost theta")
