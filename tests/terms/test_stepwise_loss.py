"""The loss of sequences beside the loss of the steps that exist."""

import numpy as np
import pytest
import torch

from rhohat.ops.torch_ops import TORCH
from rhohat.terms.losses import (
    BinaryCrossEntropy,
    GaussianLoss,
    LabelNoiseCrossEntropy,
    SoftmaxCrossEntropy,
    SquaredError,
)
from rhohat.terms.stepwise_loss import StepwiseLoss
from tests.tolerances import EXACT

T, N = 4, 6
LOSSES = [
    SquaredError(),
    BinaryCrossEntropy(),
    SoftmaxCrossEntropy(),
    LabelNoiseCrossEntropy(0.2),
    GaussianLoss([[2.0, 0.5, 0.1], [0.5, 1.0, 0.3], [0.1, 0.3, 0.5]]),
]
every = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
whole_or_not = pytest.mark.parametrize("missing", [False, True], ids=["whole", "missing"])


def rows(rng, missing):
    """Outputs, targets, and which steps have both: outputs end before targets, targets before outputs, or both."""
    outputs, y = rng.normal(size=(N, T, 3)), rng.random((N, T, 3))
    y /= y.sum(2, keepdims=True)
    exists = np.ones((N, T), bool)
    if missing:
        outputs[0, 1:], y[1, 2:], outputs[2, 3:], y[2, 1:] = (np.nan,) * 4
        y[3, 0], y[4] = np.nan, np.nan  # a target may be missing at any step, and at all of them
        exists[0, 1:], exists[1, 2:], exists[2, 1:], exists[3, 0], exists[4] = (False,) * 5
    return outputs.reshape(N, -1), y.reshape(N, -1), exists


@whole_or_not
@every
def test_the_loss_is_the_sum_over_steps_that_have_an_output_and_a_target(loss, missing, rng):
    outputs, y, exists = rows(rng, missing)
    out = np.full_like(outputs, np.nan)
    values = StepwiseLoss(loss, T).value_and_derivative(outputs, y, out)
    expected, slope = np.zeros((N, T)), np.zeros((N, T, 3))
    for row, step in zip(*np.nonzero(exists), strict=True):
        at = row, slice(3 * step, 3 * step + 3)
        one = np.empty((1, 3))
        expected[row, step] = loss.value_and_derivative(outputs[at][None], y[at][None], one)[0]
        slope[row, step] = one[0]
    np.testing.assert_allclose(values, expected.sum(1), rtol=EXACT)
    np.testing.assert_allclose(out, slope.reshape(N, -1), rtol=EXACT, atol=1e-15)
    again = np.full_like(outputs, np.nan)
    total = StepwiseLoss(loss, T).sum_and_derivative(outputs, y, again)
    assert total == pytest.approx(values.sum(), rel=EXACT)
    np.testing.assert_array_equal(again, out)


@whole_or_not
@every
def test_the_second_derivative_is_0_at_steps_that_do_not_count(loss, missing, rng):
    outputs, y, exists = rows(rng, missing)
    tangent = rng.normal(size=outputs.shape)
    found = StepwiseLoss(loss, T).second_derivative(outputs, y, tangent).reshape(N, T, 3)
    of_steps = [one.reshape(N, T, 3)[exists] for one in (outputs, y, tangent)]
    np.testing.assert_allclose(found[exists], loss.second_derivative(*of_steps), rtol=EXACT)
    np.testing.assert_array_equal(found[~exists], 0)


@whole_or_not
@every
def test_tensors_agree_with_arrays(loss, missing, rng):
    outputs, y, _ = rows(rng, missing)
    tangent, out = rng.normal(size=outputs.shape), np.full_like(outputs, np.nan)
    of_arrays, of_tensors = StepwiseLoss(loss, T), StepwiseLoss(loss, T).with_ops(TORCH)
    assert of_tensors == of_arrays
    assert (of_tensors.loss.ops, of_arrays.loss.ops is TORCH) == (TORCH, False)
    given = [torch.tensor(one) for one in (outputs, y)]
    of_tensor = torch.full(given[0].shape, torch.nan, dtype=torch.float64)
    values = of_tensors.value_and_derivative(*given, of_tensor)
    np.testing.assert_allclose(values, of_arrays.value_and_derivative(outputs, y, out), rtol=EXACT)
    np.testing.assert_allclose(of_tensor, out, rtol=EXACT, atol=1e-15)
    found = of_tensors.second_derivative(*given, torch.tensor(tangent))
    np.testing.assert_allclose(found, of_arrays.second_derivative(outputs, y, tangent), rtol=1e-11, atol=1e-15)


def test_targets_are_checked_where_they_exist():
    loss, nothing = StepwiseLoss(SoftmaxCrossEntropy(), 2), [np.nan, np.nan]
    loss.check_targets(np.array([[0.0, 1.0, 0.5, 0.5], [1.0, 0.0, *nothing]]))
    with pytest.raises(ValueError, match="softmax_cross_entropy needs targets that are not negative and add up to 1"):
        loss.check_targets(np.array([[0.0, 1.0, 0.5, 0.4], [1.0, 0.0, *nothing]]))
    with pytest.raises(ValueError, match=r"needs targets in \[0, 1\]"):
        StepwiseLoss(BinaryCrossEntropy(), 2).check_targets(np.array([[0.0, 2.0, *nothing]]))


def test_it_is_known_by_the_loss_of_each_step():
    assert StepwiseLoss(SoftmaxCrossEntropy(), T).name == "softmax_cross_entropy"
    assert StepwiseLoss(SoftmaxCrossEntropy(), T).contains == "softmax"
    assert StepwiseLoss(SquaredError(), T).contains is None


class OfOnePrecision(BinaryCrossEntropy):
    """A loss that insists on the same data type for all arrays."""

    def value_and_derivative(self, outputs, y, out):
        assert outputs.dtype == y.dtype == out.dtype
        return super().value_and_derivative(outputs, y, out)

    def sum_and_derivative(self, outputs, y, out):
        assert outputs.dtype == y.dtype == out.dtype
        return super().sum_and_derivative(outputs, y, out)


@whole_or_not
def test_work_is_done_in_the_given_precision(missing, rng):
    outputs, y, out = (one.astype(np.float32) for one in (*rows(rng, missing)[:2], np.empty((N, 3 * T))))
    loss = StepwiseLoss(OfOnePrecision(), T)
    assert loss.value_and_derivative(outputs, y, out).dtype == np.float32
    assert loss.second_derivative(outputs, y, outputs).dtype == np.float32
    loss.sum_and_derivative(outputs, y, out)
