"""A line search for the strong Wolfe conditions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.solvers.run import Point, Run

__all__ = ["search_line"]

_DECREASE, _CURVATURE = 1e-4, 0.9  # c₁ and c₂
_MOST_TRIALS = 25
_GROWTH = (2.0, 5.0)  # smallest and largest factor by which a step that is too short grows
_MOST_REFUSALS = 10  # maximum number of points that are not finite
_NOT_FINITE = 0.1  # factor by which a step shrinks if J is not finite at its end
_ROUNDING = 4 * float(np.finfo(np.float64).eps)  # relative rounding error of J; smaller differences mean nothing


@dataclass(frozen=True)
class _Trial:
    """A step length with the value of J and its slope along the line there."""

    step: float
    value: float
    slope: float


def search_line(run: Run, direction: FloatArray, step: float) -> Point | None:
    """Return a point along a direction that satisfies the strong Wolfe conditions, or None if none is found.

    The conditions are ``J(θ + αd) ≤ J(θ) + c₁ α ∇J(θ)·d`` and ``|∇J(θ + αd)·d| ≤ c₂ |∇J(θ)·d|``, with c₁ = 1e-4 and
    c₂ = 0.9. If the values of J differ only by rounding, a condition on the slope replaces the first condition: ∇J(θ +
    αd)·d ≤ (2c₁ − 1) ∇J(θ)·d.

    Parameters
    ----------
    run : Run
        The run whose current point is the start of the line.
    direction : array of shape (n_parameters,)
        Direction d, along which J falls.
    step : float
        The first step length α to try.

    Returns
    -------
    Point or None
        A point that satisfies the conditions. If the trials are used up before such a point is found, the best point
        tried, or None if no trial lowers J.

    Raises
    ------
    Stop
        If J is not finite at ten points, and no other point lowers J.

    References
    ----------
    Nocedal, J. and Wright, S. J. (2006). Numerical Optimization, algorithms 3.5 and 3.6.

    Hager, W. W. and Zhang, H. (2005). A new conjugate gradient method with guaranteed descent and an efficient line
    search. SIAM Journal on Optimization 16, 170-192. (The condition on slopes alone, equation 4.1.)
    """
    start = _Trial(0.0, run.point.value, float(run.point.gradient @ direction))
    rounding = _ROUNDING * abs(start.value)
    low, high = start, math.inf  # the best trial so far, and the other end of the bracket
    upper: _Trial | None = None  # the trial at `high`, if J is finite there
    best: Point | None = None
    refusals = 0
    for _ in range(_MOST_TRIALS):
        point = run.attempt(run.point.theta + step * direction)
        if point is None:
            refusals += 1
            if refusals == _MOST_REFUSALS:
                if best is None:
                    run.stop_as_not_finite()
                break
            high, upper = step, None
            step = low.step + _NOT_FINITE * (step - low.step)
            continue
        trial = _Trial(step, point.value, float(point.gradient @ direction))
        if abs(trial.slope) <= _CURVATURE * -start.slope:
            falls_enough = trial.value <= start.value + _DECREASE * step * start.slope
            same = abs(trial.value - start.value) <= rounding
            if falls_enough or (same and trial.slope <= (2 * _DECREASE - 1) * start.slope):
                return point
        if trial.value > start.value + _DECREASE * step * start.slope or trial.value >= low.value:
            high, upper = step, trial
        else:
            best = point
            if trial.slope * (step - low.step) >= 0:
                high, upper = low.step, low
            low = trial
        if high == math.inf:
            longest = _GROWTH[1] * step
            step = float(np.clip(_cubic_minimum(start, trial, longest), _GROWTH[0] * step, longest))
        else:
            middle = (low.step + high) / 2
            found = middle if upper is None else _cubic_minimum(low, upper, middle)
            margin = 0.1 * abs(high - low.step)
            step = float(np.clip(found, min(low.step, high) + margin, max(low.step, high) - margin))
        if step == low.step or not math.isfinite(step):
            break
    return best if best is not None and best.value < start.value else None


def _cubic_minimum(a: _Trial, b: _Trial, otherwise: float) -> float:
    """Return where the cubic through the values and slopes of two trials is smallest; `otherwise` if nowhere."""
    width = b.step - a.step
    if width == 0:
        return otherwise
    # This is equation 3.59 of Nocedal and Wright, scaled by a power of two so that no square overflows.
    d1 = a.slope + b.slope - 3 * (b.value - a.value) / width
    if not math.isfinite(d1):
        return otherwise
    exponent = math.frexp(max(abs(d1), abs(a.slope), abs(b.slope)))[1]
    d1, of_a, of_b = (math.ldexp(slope, -exponent) for slope in (d1, a.slope, b.slope))
    square = d1 * d1 - of_a * of_b
    if square < 0:
        return otherwise
    d2 = math.copysign(math.sqrt(square), width)
    divisor = of_b - of_a + 2 * d2
    return otherwise if divisor == 0 else b.step - width * (of_b + d2 - d1) / divisor
