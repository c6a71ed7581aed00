"""The activation above which a unit counts as active."""

from __future__ import annotations

import math

from rhohat.layers.activations.base import Activation

__all__ = ["default_threshold"]

_ACTIVE = 0.1  # fraction of the range of a bounded unit above which it is active


def default_threshold(activation: Activation) -> float:
    """Return the default activation above which a unit counts as active.

    A unit with a lower and an upper bound never quite reaches its lower bound: a sigmoid is never exactly 0. Such a
    unit counts as active above a tenth of its range, low + 0.1 (high − low). All other units count as active above 0.

    Parameters
    ----------
    activation : Activation
        Activation function of the unit.

    Returns
    -------
    float

    Examples
    --------
    >>> from rhohat.layers.activations import as_activation
    >>> [round(default_threshold(as_activation(name)), 6) for name in ("sigmoid", "tanh", "relu")]
    [0.1, -0.8, 0.0]
    """
    low, high = activation.bounds
    return low + _ACTIVE * (high - low) if math.isfinite(low) and math.isfinite(high) else 0.0
