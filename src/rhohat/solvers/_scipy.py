"""SciPy's optimisers behind the rules of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np
from scipy.optimize import minimize

from rhohat.common.arrays import FloatArray
from rhohat.solvers.run import Point, Run

__all__ = ["NO_LIMIT", "iterate_with_scipy"]

NO_LIMIT = 2**31 - 1  # SciPy's own limits are not used: the run has one rule for every solver

_LARGEST_EXPONENT = 200  # of a component of a gradient, base 2
_MOST_REFUSALS = 10  # points in a row that are not finite, each ten times nearer than the one before


def iterate_with_scipy(
    run: Run,
    method: str,
    options: Mapping[str, Any],
    hessp: Callable[[FloatArray, FloatArray], FloatArray] | None = None,
) -> NoReturn:
    """Move from the run's point on with a method of `scipy.optimize.minimize`, until one of the two stops.

    Parameters
    ----------
    run : Run
    method : str
        One that takes a gradient and calls back after every iteration.
    options : mapping
        SciPy's options for the method; those that make it stop by itself are best switched off.
    hessp : callable, default=None
        (θ, v) → ∇²J(θ) v, for methods that use it.

    Raises
    ------
    Stop
        Always.

    Notes
    -----
    The methods have no notion of a cost that is not finite. Where a trial point has none, they are shown the parabola
    that has J and the slope of the current iterate and its minimum at a tenth of the step:
    J + 4 |∇J·s| with the gradient −9 ∇J. A line search goes to that minimum, and a trust region shrinks. Such a point
    never becomes an iterate, and ten of them in a row end the run.
    """
    latest = run.point
    refusals = 0
    # Their products of three gradients would overflow: they are shown a cost in units of a power of two.
    unit = max(0, math.frexp(run.point.gradient_norm)[1] - _LARGEST_EXPONENT)

    def known_at(theta: FloatArray) -> Point | None:
        """SciPy asks again for the starting point, and for the one that a line search ended on."""
        return latest if np.array_equal(theta, latest.theta) else None

    def evaluate(theta: FloatArray) -> tuple[float, FloatArray]:
        nonlocal latest, refusals
        point = known_at(theta) or run.attempt(theta)
        if point is not None:
            latest, refusals = point, 0
            return math.ldexp(point.value, -unit), np.ldexp(point.gradient, -unit)
        refusals += 1
        slope = abs(float(run.point.gradient @ (theta - run.point.theta)))
        value, gradient = run.point.value + 4 * slope, -9 * run.point.gradient
        if refusals == _MOST_REFUSALS or not np.isfinite(value):
            run.stop_as_not_finite()
        return math.ldexp(value, -unit), np.ldexp(gradient, -unit)

    def multiply(theta: FloatArray, v: FloatArray) -> FloatArray:
        assert hessp is not None
        return np.ldexp(hessp(theta, v), -unit)

    def finish_iteration(theta: FloatArray) -> None:
        if not np.array_equal(theta, run.point.theta):  # a trust region that only shrinks stays where it is
            run.accept(known_at(theta) or run.evaluate(theta))

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # the run judges what is no longer finite
        minimize(
            evaluate,
            run.point.theta,
            jac=True,
            method=method,
            hessp=None if hessp is None else multiply,
            callback=finish_iteration,
            options=dict(options),
        )
    run.stop_as_stalled()  # whatever SciPy calls it: the gradient is larger than tol, or the run had stopped before
