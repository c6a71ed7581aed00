"""The inputs of norm 1 that activate units most."""

import numpy as np
import pytest

from rhohat.layers import TransposedConvolutionLayer, Windows
from rhohat.layers.activations import Identity, LeakyReLU, Maxout, ParametricReLU, ReLU, Sigmoid, Softmax, Tanh
from rhohat.layers.architecture import Convolution, Dense, MaxPooling, MeanPooling, build_layers
from rhohat.layers.maximal_inputs import _field_of, ascend_to_maximal_inputs
from rhohat.layers.network import dense_network, network_of
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


def convolutions(described, shape, activation="tanh"):
    return network_of(build_layers(described, shape, activation)[0], shape)


def test_some_units_may_be_asked_for(rng):
    network = dense_network((6, 5, 4, 3), (Tanh(),) * 3)
    parameters = draw(network, rng)
    found = ascend_to_maximal_inputs(network, parameters, 2, rng, units=[3, 1])
    everything = ascend_to_maximal_inputs(network, parameters, 2, rng)
    heights = activations_of(network, parameters, 2, found)[[0, 1], [3, 1]]
    np.testing.assert_allclose(heights, np.diag(activations_of(network, parameters, 2, everything))[[3, 1]], rtol=1e-6)


@pytest.mark.parametrize(
    ("described", "shape", "place", "pixels"),
    [
        ([Convolution(3, (3, 5))], (9, 12, 2), (4, 2), (slice(4, 7), slice(2, 7))),
        ([Convolution(3, 3, (2, 3), "same")], (10, 12, 1), (2, 1), (slice(4, 7), slice(3, 6))),
        ([Convolution(2, 3), MaxPooling(2), Convolution(3, 3, 2)], (20, 20, 1), (1, 2), (slice(4, 12), slice(8, 16))),
        ([Convolution(2, 4, padding="same"), MeanPooling(3, 2)], (14, 14, 2), (2, 3), (slice(3, 9), slice(5, 11))),
        ([Convolution(2, 5)], (30, 2), (0, 7), (slice(0, 1), slice(7, 12))),
    ],
    ids=["convolution", "stride and padding", "pooling", "even window", "sequence"],
)
def test_only_the_pixels_that_units_at_one_place_depend_on_are_searched(described, shape, place, pixels, rng):
    network = convolutions(described, shape)
    parameters, layer = draw(network, rng, 2.0), network.n_layers
    _, width, n_channels = network.layers[-1].output_shape
    units = (place[0] * width + place[1]) * n_channels + np.arange(n_channels)
    found = ascend_to_maximal_inputs(network, parameters, layer, rng, units=units)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=EXACT)
    images = found.reshape(len(units), *((1, *shape) if len(shape) == 2 else shape)).copy()
    assert np.all(images[:, pixels[0], pixels[1]] != 0)
    images[:, pixels[0], pixels[1]] = 0
    assert not images.any()
    each = np.arange(len(units))
    heights = activations_of(network, parameters, layer, found)[each, units]
    rows = on_sphere(rng.normal(size=(1000, network.layer_sizes[0])))
    assert np.all(heights > activations_of(network, parameters, layer, rows)[:, units].max(axis=0))
    # As good as a search over all pixels, for the same units twice at different places are not at one place.
    others = np.append(units, 0)
    everywhere = ascend_to_maximal_inputs(network, parameters, layer, rng, units=others)[:-1]
    np.testing.assert_allclose(
        activations_of(network, parameters, layer, everywhere)[each, units], heights, rtol=0.05, atol=1e-3
    )


@pytest.mark.parametrize(
    ("described", "unit"),
    [([Convolution(2, 3, padding="same")], 0), ([Convolution(2, 3), Dense(4)], 1), ([Convolution(2, 6)], 1)],
    ids=["at the edge", "dense", "all pixels"],
)
def test_units_that_depend_on_other_than_some_pixels_are_searched_for_as_ever(described, unit, rng):
    network = convolutions(described, (6, 6, 1))
    parameters, layer = draw(network, rng), network.n_layers
    found = ascend_to_maximal_inputs(network, parameters, layer, np.random.default_rng(0), units=[unit])
    rows = on_sphere(rng.normal(size=(1000, 36)))
    assert (
        activations_of(network, parameters, layer, found)[0, unit]
        > activations_of(network, parameters, layer, rows)[:, unit].max()
    )


def test_units_of_a_transposed_convolution_are_searched_for_over_all_pixels(rng):
    layer = TransposedConvolutionLayer(Windows((6, 6), (3, 3), (1, 1), "valid"), 2, 1, Tanh())
    network = network_of([layer], (4, 4, 2))
    found = ascend_to_maximal_inputs(network, draw(network, rng), 1, rng, units=[14, 15])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=EXACT)


def test_no_unit_has_no_input(rng):
    network = dense_network((6, 5), (Tanh(),))
    assert ascend_to_maximal_inputs(network, draw(network, rng), 1, rng, units=[]).shape == (0, 6)


def test_each_unit_at_a_place_gets_an_input_of_its_own(rng):
    network = convolutions([Convolution(4, 3)], (6, 7, 1))
    parameters, units = draw(network, rng, 2.0), [4 * 9 + 3, 4 * 9 + 1]
    found = ascend_to_maximal_inputs(network, parameters, 1, rng, units=units)
    heights = activations_of(network, parameters, 1, found)[:, units]
    assert heights.shape == (2, 2)
    assert np.all(heights[[0, 1], [0, 1]] > heights[[1, 0], [0, 1]])


@pytest.mark.parametrize(
    "described",
    [
        [Convolution(2, (2, 3))],
        [Convolution(2, 3, padding="same")],
        [Convolution(2, (4, 2), padding="same")],
        [Convolution(2, (2, 3), (1, 2)), MaxPooling((2, 1)), Convolution(3, 2)],
        [MeanPooling(2, 1), Convolution(2, (3, 2), padding="same")],
    ],
    ids=["valid", "same", "even windows", "three layers", "pooling first"],
)
def test_a_smaller_network_computes_the_units_at_every_place_whose_window_lies_within_the_image(described, rng):
    """Whether it does is found by images of ones: those cut out where padding has added zeros have smaller sums."""
    shape = (9, 8, 2)
    layers = build_layers(described, shape, "identity")[0]
    network, image = network_of(layers, shape), rng.normal(size=(1, 144))
    parameters = draw(network, rng)
    height, width, n_channels = layers[-1].output_shape
    whole = activations_of(network, parameters, network.n_layers, image).reshape(height * width, n_channels)
    ones = network.unpack(np.zeros(network.n_parameters))
    for W in ones.weights:
        W[:] = 1
    sums = activations_of(network, ones, network.n_layers, np.ones((1, 144))).reshape(height * width, n_channels)[:, 0]
    n_found = 0
    for place in range(height * width):
        units = place * n_channels + np.arange(n_channels)[::-1]
        field = _field_of(layers, units)
        assert (field is not None) == (sums[place] == sums.max())
        if field is not None:
            pixels = image.reshape(shape)[field.rows.start : field.rows.stop, field.columns.start : field.columns.stop]
            small = activations_of(field.network, parameters, network.n_layers, pixels.reshape(1, -1))
            np.testing.assert_allclose(small[0, field.units], whole[place][::-1], rtol=EXACT)
            n_found += 1
    assert n_found > 5
    first_and_last = np.array([0, len(sums) * n_channels - 1])
    assert _field_of(layers, first_and_last) is None
