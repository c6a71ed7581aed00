"""Detection of divergence, where steps that are too long raise the cost; the best parameters are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from rhohat.common.arrays import FloatArray

__all__ = ["HOPELESS", "HOPELESS_ON_OTHER_ROWS", "WORSE", "Lowest", "has_risen"]

#: A run has diverged if its cost exceeds the lowest cost by more than this many times the first cost: WORSE applies at
#: the end of a run, HOPELESS at any time. Noise stays below the first limit; runs that recover stay below the second.
WORSE, HOPELESS = 3, 1000

#: The limit HOPELESS for costs that are computed on different rows.
HOPELESS_ON_OTHER_ROWS = 10**6


def has_risen(cost: float, lowest: float, first: float, times: float) -> bool:
    """Return whether cost − lowest is more than `times` the larger of |first| and |lowest|.

    Examples
    --------
    >>> has_risen(0.9, lowest=0.2, first=0.4, times=3), has_risen(2.0, lowest=0.2, first=0.4, times=3)
    (False, True)
    """
    return cost - lowest > times * max(abs(first), abs(lowest))


class Met(Protocol):
    """Protocol of the results of an evaluation of the objective, or of their means over an epoch."""

    @property
    def value(self) -> float:
        """The value of the objective J."""

    @property
    def terms(self) -> dict[str, float]:
        """The named parts of J."""

    @property
    def gradient_norm(self) -> float:
        """The largest absolute component of ∇J."""


class Lowest:
    """The parameters of lowest cost so far, for solvers whose steps may raise the cost.

    Attributes
    ----------
    theta : array of shape (n_parameters,), or None
        The parameters; None before the first cost is known.
    value, gradient_norm : float
        The lowest cost, and the largest absolute component of the gradient that belongs to it.
    terms : dict of str to float
        The named parts of the lowest cost.
    first : float
        The first cost.
    """

    def __init__(self) -> None:
        self.theta: FloatArray | None = None
        self.value = self.gradient_norm = self.first = float("nan")
        self.terms: dict[str, float] = {}

    def note(self, theta: FloatArray, met: Met) -> None:
        """Keep parameters if their cost is the lowest so far; the array is not copied and must not change."""
        if self.theta is None:
            self.first = met.value
        if self.theta is None or met.value < self.value:
            self.theta, self.value, self.terms, self.gradient_norm = theta, met.value, met.terms, met.gradient_norm

    def is_far_below(self, cost: float) -> bool:
        """Return whether `cost`, at the end of a run, is far above the lowest cost; False before any cost is known."""
        return self.theta is not None and has_risen(cost, self.value, self.first, WORSE)

    def add_to(self, record: dict[str, Any], arrays: dict[str, FloatArray]) -> None:
        """Save the attributes in the record and the arrays of a state."""
        if self.theta is not None:
            names = ("first", "value", "gradient_norm", "terms")
            record["lowest cost"] = {name: getattr(self, name) for name in names}
            arrays["lowest cost theta"] = self.theta

    def restore(self, record: Mapping[str, Any], arrays: Mapping[str, FloatArray]) -> None:
        """Restore the attributes that `add_to` saved."""
        self.__dict__.update(record.get("lowest cost", {}))
        self.theta = arrays.get("lowest cost theta")
