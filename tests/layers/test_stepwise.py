"""The dense layer at each step beside a dense layer of single steps."""

import numpy as np
import pytest

from rhohat.layers import DenseLayer, LayerParameters, PerStep, StepwiseDenseLayer
from rhohat.layers.activations import Identity, Maxout, ParametricReLU, ReLU, Sigmoid, Softmax, Tanh, Units
from rhohat.layers.network import network_of
from rhohat.terms.losses import SquaredError
from rhohat.terms.penalties import L1Sparsity
from rhohat.terms.stepwise_loss import StepwiseLoss
from tests.layers.sequences import activations_of, objective_of, padded_rows
from tests.tolerances import EXACT

T, LENGTHS = 4, [4, 2, 1, 3, 4]


def networks(activation):
    """Two layers at each of several steps, and for rows that are one step."""
    of_steps = PerStep(activation, T) if isinstance(activation, Softmax) else activation
    return (
        network_of([StepwiseDenseLayer(T, 3, 5, of_steps), StepwiseDenseLayer(T, 5, 2, of_steps)], (T, 3)),
        network_of([DenseLayer(3, 5, activation), DenseLayer(5, 2, activation)], (3,)),
    )


@pytest.mark.parametrize("lengths", [[T] * 5, LENGTHS], ids=["whole", "padded"])
@pytest.mark.parametrize("activation", [Identity(), Sigmoid(), Tanh(), ReLU(), Softmax()], ids=lambda f: f.name)
def test_each_step_is_a_row_of_a_dense_layer(activation, lengths, rng):
    """J is a mean over rows of sums over steps; without rows of its own, a step counts as one of fewer rows."""
    stepwise, dense = networks(activation)
    X, y, theta = padded_rows(rng, lengths, T, 3), rng.normal(size=(5, 2 * T)), rng.normal(size=dense.n_parameters)
    exists = ~np.isnan(X.reshape(-1, 3)[:, 0])
    steps, targets = X.reshape(-1, 3)[exists], y.reshape(-1, 2)[exists]
    for ours, theirs in zip(activations_of(stepwise, theta, X), activations_of(dense, theta, steps), strict=True):
        np.testing.assert_array_equal(np.isnan(ours.reshape(5 * T, -1)).all(1), ~exists)
        np.testing.assert_allclose(ours.reshape(5 * T, -1)[exists], theirs, rtol=EXACT)
    penalties = [L1Sparsity(0.1)]
    value, gradient = objective_of(stepwise, X, y, loss=StepwiseLoss(SquaredError(), T), penalties=penalties)(theta)
    expected, slope = objective_of(dense, steps, targets, penalties=penalties)(theta)
    assert value == pytest.approx(expected * len(steps) / 5, rel=EXACT)
    np.testing.assert_allclose(gradient, slope * len(steps) / 5, rtol=1e-10, atol=1e-13)


def test_padding_leaves_the_distance_from_kinks_as_it_is(rng):
    layer, z = StepwiseDenseLayer(T, 3, 2, ReLU()), padded_rows(rng, LENGTHS, T, 2)
    assert layer.distance_from_kinks(None, z) == np.nanmin(np.abs(z))
    whole = rng.normal(size=(5, 2 * T))
    assert layer.distance_from_kinks(None, whole) == np.abs(whole).min()
    assert StepwiseDenseLayer(T, 3, 2, PerStep(Softmax(), T)).distance_from_kinks(None, z) == np.inf


def test_sizes_are_those_of_a_step_but_for_the_rows():
    layer = StepwiseDenseLayer(7, 3, 5, Tanh())
    assert (layer.n_inputs, layer.n_outputs, layer.width) == (21, 35, 35)
    assert (layer.output_channels, layer.n_padded_steps, layer.weight_shape, layer.n_biases) == (5, 7, (3, 5), 5)
    assert (layer.fans, layer.multiply_adds) == ((3, 5), 7 * 15)


@pytest.mark.parametrize("sizes", [(0, 3, 4), (5, 0, 4), (5, 3, 0)])
def test_a_layer_without_steps_channels_or_units_is_refused(sizes):
    with pytest.raises(ValueError, match="a layer needs at least one step, one channel and one unit; got"):
        StepwiseDenseLayer(*sizes, Tanh())


@pytest.mark.parametrize("activation", [Maxout(2), ParametricReLU(), Softmax()], ids=lambda f: f.name)
def test_activations_that_mix_units_or_have_parameters_are_refused(activation):
    with pytest.raises(ValueError, match=f"at each step cannot use the activation '{activation.name}', which"):
        StepwiseDenseLayer(5, 3, 4, activation)


def test_a_layer_activates_unless_it_is_told_not_to(rng):
    layer, given = StepwiseDenseLayer(T, 3, 2, Tanh()), rng.normal(size=(5, 3 * T))
    W, nothing, found = rng.normal(size=(3, 2)), np.zeros(0), np.empty((2, 5, 2 * T))
    parameters = LayerParameters(W, np.zeros(2), nothing)
    layer.forward(parameters, given, Units(found[0], found[0], nothing))
    layer.forward(parameters, given, Units(found[1], found[1], nothing), activate=False)
    np.testing.assert_allclose(found[0], np.tanh(found[1]), rtol=EXACT)
