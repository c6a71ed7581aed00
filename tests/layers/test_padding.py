"""Which steps of rows are padding."""

import numpy as np
import pytest
import torch

from rhohat.engines import ThreadEngine
from rhohat.layers import SimpleRecurrentLayer, StepwiseDenseLayer
from rhohat.layers.activations import Identity, Sigmoid
from rhohat.layers.network import network_of
from rhohat.layers.padding import missing_steps, without_padding
from rhohat.objective import Problem, make_objective
from rhohat.terms.losses import BinaryCrossEntropy
from rhohat.terms.stepwise_loss import StepwiseLoss

ROWS = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, np.nan, 3.0, 4.0, np.nan, np.nan]])


@pytest.mark.parametrize("of", [np.asarray, torch.tensor])
def test_a_step_is_missing_if_its_first_number_is(of):
    found = missing_steps(of(ROWS), 3)
    np.testing.assert_array_equal(np.asarray(found), [[False, False, False], [False, False, True]])
    found = missing_steps(of(ROWS), 6)
    np.testing.assert_array_equal(np.asarray(found), np.isnan(ROWS))


@pytest.mark.parametrize("of", [np.asarray, torch.tensor])
def test_rows_without_padding_have_no_missing_steps_and_are_themselves(of):
    rows = of(ROWS[:1])
    assert missing_steps(rows, 3) is None
    assert without_padding(rows) is rows


@pytest.mark.parametrize("of", [np.asarray, torch.tensor])
def test_zeros_replace_padding_in_a_copy(of):
    rows = of(ROWS)
    np.testing.assert_array_equal(np.asarray(without_padding(rows)), np.nan_to_num(ROWS))
    np.testing.assert_array_equal(np.asarray(rows), ROWS)
    assert without_padding(of(ROWS.astype(np.float32))).dtype == of(ROWS.astype(np.float32)).dtype


@pytest.mark.parametrize("stack", ["one layer", "two layers"])
def test_steps_whose_numbers_overflow_are_not_taken_for_missing_ones(stack):
    """The states are finite, then 1e200, then too large: J is not that of the first two steps."""
    first = SimpleRecurrentLayer(4, 1, 2, return_sequences=True, activation=Identity())
    middle = [StepwiseDenseLayer(4, 2, 2, Identity())] if stack == "two layers" else []
    network = network_of([first, *middle, StepwiseDenseLayer(4, 2, 1, Sigmoid())], (4, 1))
    weights = [np.array([[1.0, -1.0], [1e200, -1e200], [-1e200, 1e200]]), *([np.eye(2)] * len(middle))]
    biases = [np.zeros(2)] * (1 + len(middle))
    theta = network.pack([*weights, np.full((2, 1), 1e-200)], [*biases, np.zeros(1)])
    problem = Problem(network, np.ones((3, 4)), np.ones((3, 4)), StepwiseLoss(BinaryCrossEntropy(), 4))
    J = make_objective(problem, ThreadEngine(1))
    assert not np.isfinite(J.cost(theta)[0])
    assert not np.isfinite(J(theta)[0])
