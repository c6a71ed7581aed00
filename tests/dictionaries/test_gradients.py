"""Gradients of dictionaries beside central differences, where J has derivatives.

While the same latents are selected, J is smooth. What is held fixed, and what jumps, has pseudo-gradients, which
central differences cannot show; the reference by automatic differentiation does.
"""

import numpy as np
import pytest

from rhohat import check_gradient
from rhohat.dictionaries.step import Step
from rhohat.engines import ThreadEngine
from rhohat.ops import NUMPY, code_ops_of
from tests.dictionaries.test_step_by_step import CASES, batches, start, trainer_of

SMOOTH = ("TopK", "BatchTopK", "Matryoshka", "L1")


def objective_of(name, center):
    _, selection, _, weight = CASES[name]
    layout = trainer_of(selection, weight, ops="numpy").problem.layout
    step = Step(selection, layout, center, False, None, ThreadEngine(1), code_ops_of(NUMPY))
    X = batches(1)[0]

    def objective(theta):
        gradient = np.full_like(theta, np.nan)

        def keep(part, values, worker):
            gradient[part] = values

        terms = step(theta.copy(), X, np.empty(0, np.intp), weight, keep).terms
        return sum(terms.values()), gradient

    return objective, layout.pack(start(selection))


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_agree_with_central_differences(name, center):
    objective, theta = objective_of(name, center)
    assert check_gradient(objective, theta).relative_difference < 1e-8


@pytest.mark.parametrize("name", SMOOTH)
def test_every_parameter_gets_a_gradient(name):
    objective, theta = objective_of(name, True)
    assert np.isfinite(objective(theta)[1]).all()


def test_a_wrong_factor_would_be_seen():
    objective, theta = objective_of("TopK", True)

    def wrong(at):
        value, gradient = objective(at)
        gradient[:100] *= 1.001
        return value, gradient

    assert check_gradient(wrong, theta).relative_difference > 1e-6
