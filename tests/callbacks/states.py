"""Iterations without a fit."""

import numpy as np

from rhohat.solvers import IterationState


def state(iteration, value=0.5, terms=None, gradient_norm=0.1, theta=(0.0, 0.0)):
    return IterationState(iteration, value, {} if terms is None else terms, gradient_norm, np.array(theta))


def states(values):
    """Iterations from 1 on, with these values and θ = (iteration,)."""
    return [state(number, value, theta=[number]) for number, value in enumerate(values, start=1)]
