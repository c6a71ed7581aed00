"""Numerical gradient checking: comparison of a function's gradient with central differences of its value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rhohat.common.arrays import FloatArray, norm
from rhohat.common.randomness import RandomState, keyed_generator, seed_from

__all__ = ["GradientCheck", "check_gradient"]

#: A gradient whose relative difference from central differences is larger than this is not taken to be right.
LARGEST_DIFFERENCE = 1e-8

_SURELY_WRONG = 1e-5  # a relative difference that neither rounding nor a third derivative explains
_MOST_PARAMETERS = 2000  # largest number checked by default, as each parameter costs two evaluations


@dataclass(frozen=True)
class GradientCheck:
    """The result of a comparison of a gradient with central differences; `str()` gives a verdict in a sentence.

    Attributes
    ----------
    relative_difference : float
        ‖numerical − analytical‖ / ‖numerical + analytical‖ over the checked parameters; 0 if both gradients are
        0 there, and infinite if one is the negative of the other.
    analytical, numerical : arrays of shape (n_checked,)
        The gradient that the objective returned, and the central differences.
    indices : array of shape (n_checked,)
        Indices in θ of the checked parameters.
    worst_index : int
        The index in θ of the parameter at which the analytical and the numerical gradient differ most.
    epsilon : float
        Step of the central differences.
    n_parameters : int
        Length of θ.
    """

    relative_difference: float
    analytical: FloatArray
    numerical: FloatArray
    indices: NDArray[np.intp]
    worst_index: int
    epsilon: float
    n_parameters: int

    @property
    def is_right(self) -> bool:
        """Whether the relative difference is at most 1e-8, which is what rounding and the step leave."""
        return self.relative_difference <= LARGEST_DIFFERENCE

    def __str__(self) -> str:
        """Return the verdict in a sentence, with how it was found."""
        found = f"its relative difference from central differences is {self.relative_difference:.1e}"
        how = f"Checked: {len(self.indices):,} of {self.n_parameters:,} parameters, with step {_short(self.epsilon)}."
        if self.is_right:
            return f"The gradient is right: {found}, and up to {_short(LARGEST_DIFFERENCE)} is rounding. {how}"
        worst = int(np.flatnonzero(self.indices == self.worst_index)[0])
        there = f"at parameter {self.worst_index}, where it is {self.analytical[worst]:+.12e} and central differences"
        there += f" are {self.numerical[worst]:+.12e}"
        if self.relative_difference < _SURELY_WRONG:
            return (
                f"The gradient is in doubt {there}: {found}, more than {_short(LARGEST_DIFFERENCE)}; check it again"
                f" with another epsilon. {how}"
            )
        right = f"up to {_short(LARGEST_DIFFERENCE)} would be right"
        return f"The gradient is wrong {there}: {found}, and {right}. {how}"


def _short(number: float) -> str:
    """Return a small number in its shortest form, such as 1e-4."""
    mantissa, exponent = f"{number:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def check_gradient(
    objective: Callable[[FloatArray], Any],
    theta: ArrayLike,
    epsilon: float = 1e-4,
    indices: ArrayLike | None = None,
    *,
    random_state: RandomState = 0,
) -> GradientCheck:
    """Compare a gradient with central differences (J(θ + ε e_i) − J(θ − ε e_i)) / 2ε.

    Parameters
    ----------
    objective : callable
        Function θ → (value, gradient); any further values that it returns are ignored.
    theta : array-like of shape (n_parameters,)
        The point θ at which to check the gradient. The check is done in float64, even if an objective of rhohat has
        rows of float32.
    epsilon : float, default=1e-4
        Step ε of the central differences. With a much smaller step, rounding errors dominate; with a much larger step,
        the third derivative of J dominates.
    indices : array-like of int, or int, default=None
        Indices of the parameters to check, or the number of parameters to draw at random. None means all if there
        are at most 2,000, and otherwise 2,000 drawn at random.
    random_state : int, RandomState, Generator or None, default=0
        Seed or generator for the random choice of parameters.

    Returns
    -------
    GradientCheck
        The relative difference, and both gradients at the checked parameters.

    Raises
    ------
    ValueError
        If θ is not a vector of finite numbers, ε is not positive, an index is out of range, or the objective returns
        a gradient of another shape or values that are not finite.
    TypeError
        If the objective returns something else than a value and a gradient.

    Notes
    -----
    The check evaluates the objective twice for each parameter, and once for the gradient.

    References
    ----------
    Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, section 2.1.

    Examples
    --------
    >>> import numpy as np
    >>> def h(x):
    ...     return x[0]**2 + 3 * x[0] * x[1], np.array([2 * x[0] + 3 * x[1], 3 * x[0]])
    >>> check_gradient(h, [4, 10]).relative_difference < 1e-11
    True
    """
    theta = np.array(theta, dtype=np.float64)
    if theta.ndim != 1 or theta.size == 0 or not np.all(np.isfinite(theta)):
        raise ValueError(f"theta must be a vector of finite numbers; got an array of shape {theta.shape}.")
    if not (epsilon > 0 and np.isfinite(epsilon)):
        raise ValueError(f"epsilon must be a positive, finite step; got {epsilon}.")
    checked = _indices_of(indices, theta.size, random_state)
    if hasattr(objective, "in_float64"):  # in float32, rounding would look like an error of the gradient
        objective = objective.in_float64()
    value, gradient = _value_and_gradient(objective(theta.copy()))
    if gradient.shape != theta.shape:
        raise ValueError(
            f"the gradient must have theta's shape {theta.shape}; the objective returned the shape {gradient.shape}."
        )

    analytical = gradient[checked]  # a copy, since the objective may overwrite the gradient at its next call
    numerical = np.empty(len(checked))
    for k, index in enumerate(checked):
        ahead, behind = theta.copy(), theta.copy()
        ahead[index] += epsilon
        behind[index] -= epsilon
        numerical[k] = (float(objective(ahead)[0]) - float(objective(behind)[0])) / (2 * epsilon)
    if not (np.isfinite(value) and np.all(np.isfinite(numerical)) and np.all(np.isfinite(analytical))):
        raise ValueError(
            "the objective or its gradient is not finite within epsilon of theta; check the gradient at another theta,"
            " or with a smaller epsilon."
        )
    difference = norm(numerical - analytical)
    scale = norm(numerical + analytical)
    relative_difference = difference / scale if scale > 0 else (np.inf if difference > 0 else 0.0)
    return GradientCheck(
        relative_difference=relative_difference,
        analytical=analytical,
        numerical=numerical,
        indices=checked,
        worst_index=int(checked[np.argmax(np.abs(numerical - analytical))]),
        epsilon=epsilon,
        n_parameters=theta.size,
    )


def _value_and_gradient(returned: Any) -> tuple[Any, FloatArray]:
    """Return the value and the gradient in what an objective returned, or say that they are not there."""
    if not isinstance(returned, tuple | list) or len(returned) < 2:
        raise TypeError(f"objective must return (value, gradient); it returned {type(returned).__name__}.")
    return returned[0], np.asarray(returned[1], dtype=np.float64)


def _indices_of(indices: ArrayLike | None, n_parameters: int, random_state: RandomState) -> NDArray[np.intp]:
    """Return the indices of the parameters to check; indices that count from the end are made to count from 0."""
    if indices is None:
        indices = min(n_parameters, _MOST_PARAMETERS)
    chosen = np.asarray(indices)
    if chosen.ndim == 0 and np.issubdtype(chosen.dtype, np.integer) and chosen >= 1:
        generator = keyed_generator(seed_from(random_state), "gradient check")
        return np.sort(generator.choice(n_parameters, min(int(chosen), n_parameters), replace=False))
    in_range = chosen.ndim == 1 and chosen.size > 0 and np.issubdtype(chosen.dtype, np.integer)
    if not in_range or chosen.min() < -n_parameters or chosen.max() >= n_parameters:
        raise ValueError(
            f"indices must be integers below {n_parameters}, the number of parameters, or one integer >= 1 that says"
            f" how many to draw; got {indices!r}."
        )
    return chosen.astype(np.intp) % n_parameters
