"""Use of SciPy's optimisers under the stopping rules of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np
import scipy  # which imports its parts when they are used

from rhohat.common.arrays import FloatArray
from rhohat.solvers.run import Point, Run

__all__ = ["NO_LIMIT", "iterate_with_scipy"]

NO_LIMIT = 2**31 - 1  # SciPy's own limits are not used, since the run applies the same rules to every solver

_LARGEST_EXPONENT = 200  # largest binary exponent of a component of the gradient that SciPy is given
_MOST_REFUSALS = 10  # maximum number of successive points that are not finite, each ten times nearer than the last


def iterate_with_scipy(
    run: Run,
    method: str,
    options: Mapping[str, Any],
    hessp: Callable[[FloatArray, FloatArray], FloatArray] | None = None,
) -> NoReturn:
    """Iterate from the run's point with a method of `scipy.optimize.minimize`, until the run or SciPy stops.

    Parameters
    ----------
    run : Run
    method : str
        Name of a method that uses the gradient and calls a callback after every iteration.
    options : mapping
        SciPy's options for the method; SciPy's own stopping criteria should be switched off.
    hessp : callable, default=None
        Function (θ, v) → ∇²J(θ) v, for methods that use it.

    Raises
    ------
    Stop
        Always.

    Notes
    -----
    The methods cannot handle a cost that is not finite. If the cost at a trial point is not finite, they are given the
    value and gradient of a parabola instead: J + 4 |∇J·s| with the gradient −9 ∇J, where s is the step. At the current
    iterate, the parabola has the value and slope of the cost; its minimum is at a tenth of the step. A line search goes
    to that minimum, and a trust region shrinks. Such a point never becomes an iterate, and ten of them in a row end the
    run.
    """
    latest = run.point
    refusals = 0
    # SciPy's products of three gradients could overflow, so it is given a cost that is scaled by a power of two.
    unit = max(0, math.frexp(run.point.gradient_norm)[1] - _LARGEST_EXPONENT)

    def known_at(theta: FloatArray) -> Point | None:
        """Return the latest point if θ is the same; SciPy evaluates the start and ends of line searches again."""
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
        if not np.array_equal(theta, run.point.theta):  # θ does not change if the trust region only shrinks
            run.accept(known_at(theta) or run.evaluate(theta))

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # the run detects numbers that are not finite
        scipy.optimize.minimize(
            evaluate,
            run.point.theta,
            jac=True,
            method=method,
            hessp=None if hessp is None else multiply,
            callback=finish_iteration,
            options=dict(options),
        )
    run.stop_as_stalled()  # whatever SciPy's reason is, the gradient exceeds tol, or the run would have stopped before
