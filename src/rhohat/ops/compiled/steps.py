"""Steps of optimisers, in one loop over the parameters."""

from __future__ import annotations

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.ops.compiled.compiling import compiled

__all__ = ["adam_step", "momentum_step"]


@compiled
def momentum_step(theta: FloatArray, gradient: FloatArray, velocity: FloatArray, rates: FloatArray) -> None:
    """Take a step with momentum, v ← μ v − α g and θ ← θ + v, where `rates` holds μ and α."""
    momentum, learning_rate = rates[0], rates[1]
    for i in range(theta.size):
        velocity[i] = momentum * velocity[i] - learning_rate * gradient[i]
        theta[i] += velocity[i]


@compiled
def adam_step(
    theta: FloatArray,
    gradient: FloatArray,
    of_gradients: FloatArray,
    of_squares: FloatArray,
    rates: FloatArray,
) -> None:
    """Take an Adam step: s ← β₁ s + g, q ← β₂ q + g², θ ← θ − rate s / (√q + ε).

    `of_gradients` is s, `of_squares` is q, and `rates` holds β₁, β₂, the rate and ε.
    """
    beta_1, beta_2, rate, epsilon = rates[0], rates[1], rates[2], rates[3]
    for i in range(theta.size):
        g = gradient[i]
        s = beta_1 * of_gradients[i] + g
        q = beta_2 * of_squares[i] + g * g
        of_gradients[i] = s
        of_squares[i] = q
        theta[i] -= rate * (s / (np.sqrt(q) + epsilon))
