"""Whether the cost was still falling when a fit ended, judged by the last tenth of its iterations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["FLAT", "fall_at_end", "has_flattened", "n_at_end"]

#: A cost that falls by less than this fraction of itself in the last tenth of the iterations has flattened.
FLAT = 1e-3

_FEWEST_ITERATIONS = 10  # with fewer iterations, a tenth of them is less than one


def n_at_end(n_iter: int) -> int:
    """Return the number of iterations that the end of a fit consists of: a tenth of all, and at least one."""
    return max(1, n_iter // 10)


def fall_at_end(loss_curve: Sequence[float], validation_curve: Sequence[float] = ()) -> float:
    """Return the fraction by which the cost fell in the last tenth of the iterations.

    If there is a curve of the cost on held-out rows, it is the fall of the lowest cost so far. Otherwise J is smoothed:
    the mean of the last tenth of the curve is compared with the mean of the tenth before it, as the cost of
    mini-batches is noisy. For curves of fewer than 20 iterations these are the last two values.

    Parameters
    ----------
    loss_curve : sequence of float
        J after each iteration.
    validation_curve : sequence of float, default=()
        The cost on held-out rows after each iteration.

    Returns
    -------
    float
        The fraction, negative if the cost rose, and NaN if there are fewer than two iterations.

    Examples
    --------
    >>> fall_at_end([4.0, 3.0, 2.0, 1.5])
    0.25
    """
    if len(validation_curve) > 1:
        before = float(np.min(validation_curve[: -n_at_end(len(validation_curve))]))
        after = float(np.min(validation_curve))
    elif len(loss_curve) > 1:
        n = n_at_end(len(loss_curve))
        before, after = float(np.mean(loss_curve[-2 * n : -n])), float(np.mean(loss_curve[-n:]))
    else:
        return math.nan
    if before == after:
        return 0.0
    return (before - after) / abs(before) if before else math.copysign(math.inf, before - after)


def has_flattened(loss_curve: Sequence[float], validation_curve: Sequence[float] = ()) -> bool:
    """Return whether the cost had flattened when a fit ended: more iterations would have changed little.

    Reports and messages ask this of fits that end at `max_iter`: such an end is nothing to worry about if the cost had
    flattened. For a fitted estimator, pass ``loss_curve_`` and ``validation_curve_``.

    Parameters
    ----------
    loss_curve : sequence of float
        J after each iteration.
    validation_curve : sequence of float, default=()
        The cost on held-out rows after each iteration, which decides if it is given.

    Returns
    -------
    bool
        True if there are at least ten iterations, the cost fell by less than 1e-3 of itself in the last tenth of them,
        see `fall_at_end`, and J is not above J after the first iteration.

    Examples
    --------
    >>> has_flattened([1 + 2.0**-k for k in range(100)]), has_flattened([100.0 - k for k in range(100)])
    (True, False)
    """
    if len(loss_curve) < _FEWEST_ITERATIONS or not loss_curve[-1] <= loss_curve[0]:
        return False
    return fall_at_end(loss_curve, validation_curve) < FLAT
