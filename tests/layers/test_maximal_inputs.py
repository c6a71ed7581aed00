"""The inputs of norm 1 that activate units most."""

import numpy as np
import pytest

from rhohat.layers.activations import Identity, LeakyReLU, Maxout, ParametricReLU, ReLU, Sigmoid, Softmax, Tanh
from rhohat.layers.maximal_inputs import ascend_to_maximal_inputs
from rhohat.layers.network import dense_network
from tests.tolerances import EXACT

SMOOTH = [Sigmoid(), Tanh(), Identity()]
PIECEWISE_LINEAR = [ReLU(), LeakyReLU(), Maxout(2), ParametricReLU()]


def draw(network, rng, scale=1.0):
    theta = network.initial_theta(rng)
    return network.unpack(scale * (theta + 0.2 * rng.normal(size=theta.size)))


def activations_of(network, parameters, layer, x):
    layers = network.allocate(len(x), np.empty, stop=layer)
    layers.a[0] = x
    network.forward(parameters, layers)
    return layers.a[-1].copy()


def on_sphere(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def check_heights(activation, layer, rng, n_starts):
    network = dense_network((6, 5, 4, 3), (activation,) * 3)
    parameters = draw(network, rng)
    found = ascend_to_maximal_inputs(network, parameters, layer, rng, n_starts=n_starts)
    assert found.shape == (network.layer_sizes[layer], 6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=EXACT)
    heights = np.diag(activations_of(network, parameters, layer, found))
    others = activations_of(network, parameters, layer, on_sphere(rng.normal(size=(1000, 6)))).max(axis=0)
    assert np.all(heights >= others - 1e-9)


@pytest.mark.parametrize("activation", SMOOTH, ids=str)
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_inputs_have_norm_one_and_beat_random_ones(activation, layer, rng):
    check_heights(activation, layer, rng, n_starts=10)


@pytest.mark.parametrize("activation", PIECEWISE_LINEAR, ids=str)
@pytest.mark.parametrize("layer", [1, 2])
def test_inputs_of_units_with_kinks_need_more_starts(activation, layer, rng):
    """Ascent may end on a kink; with three such layers, that is common."""
    check_heights(activation, layer, rng, n_starts=100)


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_inputs_of_softmax_units_beat_random_ones(layer, rng):
    check_heights(Softmax(), layer, rng, n_starts=100)


@pytest.mark.parametrize("activation", [Sigmoid(), Tanh(), Identity()], ids=str)
@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_a_single_layer_of_monotonic_units_looks_for_its_weights(activation, scale, rng):
    """x = w / ‖w‖, also where the unit saturates all over the sphere."""
    network = dense_network((6, 5, 6), (activation, Identity()))
    parameters = draw(network, rng, scale)
    found = ascend_to_maximal_inputs(network, parameters, 1, rng)
    known = on_sphere(parameters.weights[0].T)
    np.testing.assert_array_less(0.9999, np.sum(found * known, axis=1))


def test_linear_layers_look_for_their_product(rng):
    network = dense_network((6, 5, 4), (Identity(), Sigmoid()))
    parameters = draw(network, rng)
    known = on_sphere((parameters.weights[0] @ parameters.weights[1]).T)
    found = ascend_to_maximal_inputs(network, parameters, 2, rng)
    np.testing.assert_array_less(0.9999, np.sum(found * known, axis=1))


def test_what_is_found_is_a_maximum_on_the_sphere(rng):
    """No small step along the sphere leads higher."""
    network = dense_network((6, 5, 4), (Sigmoid(), Tanh()))
    parameters = draw(network, rng, 3.0)
    found = ascend_to_maximal_inputs(network, parameters, 2, rng)
    heights = np.diag(activations_of(network, parameters, 2, found))
    for _ in range(200):
        nearby = on_sphere(found + 1e-2 * rng.normal(size=found.shape))
        assert np.all(np.diag(activations_of(network, parameters, 2, nearby)) <= heights + 1e-9)


def test_more_starts_find_no_less_and_the_same_generator_the_same(rng):
    network = dense_network((6, 8, 4), (Tanh(), Tanh()))
    parameters = draw(network, rng, 3.0)

    def heights(seed, **options):
        found = ascend_to_maximal_inputs(network, parameters, 2, np.random.default_rng(seed), **options)
        return found, np.diag(activations_of(network, parameters, 2, found))

    np.testing.assert_array_equal(heights(0)[0], heights(0)[0])
    few = np.max([heights(seed, n_starts=1)[1] for seed in range(3)], axis=0)
    assert np.all(heights(0, n_starts=30)[1] >= few - 1e-6)
    assert np.all(heights(0, max_iter=200)[1] >= heights(0, max_iter=1)[1])


def test_a_unit_without_weights_gets_some_input_of_norm_one(rng):
    network = dense_network((6, 5, 4), (Sigmoid(), Sigmoid()))
    parameters = draw(network, rng)
    parameters.weights[1][:, 2] = 0
    found = ascend_to_maximal_inputs(network, parameters, 2, rng)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=EXACT)


def test_parameters_are_left_as_they_are(rng):
    network = dense_network((6, 5, 4), (Sigmoid(), Maxout(2)))
    parameters = draw(network, rng)
    kept = [part.copy() for group in parameters for part in group]
    ascend_to_maximal_inputs(network, parameters, 2, rng)
    for now, before in zip([part for group in parameters for part in group], kept, strict=True):
        np.testing.assert_array_equal(now, before)
