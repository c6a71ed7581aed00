"""Pooling beside its definition, one window after the other."""

import numpy as np
import pytest

from rhohat.layers import (
    ConvolutionLayer,
    MaxPoolingLayer,
    MeanPoolingLayer,
    TransposedConvolutionLayer,
    UpsamplingLayer,
    Windows,
)
from rhohat.layers.activations import Identity, Sigmoid
from rhohat.layers.network import Network
from rhohat.layers.tangents import TangentPass
from tests.tolerances import EXACT, FLOAT32

CASES = {
    "windows side by side": Windows((4, 6), (2, 3), (2, 3), "valid"),
    "windows that overlap": Windows((5, 6), (3, 2), (1, 1), "valid"),
    "pixels left over": Windows((5, 7), (2, 3), (2, 3), "valid"),
    "steps longer than the window": Windows((7, 6), (2, 1), (3, 4), "valid"),
    "everything": Windows((3, 4), (3, 4), (1, 1), "valid"),
    "sequence": Windows((1, 9), (1, 3), (1, 2), "valid"),
}
every_case = pytest.mark.parametrize("windows", CASES.values(), ids=CASES)
either = pytest.mark.parametrize("kind", [MaxPoolingLayer, MeanPoolingLayer], ids=lambda kind: kind.__name__)
NO_WEIGHTS = np.empty(0)


def windows_of(windows, images):
    """Yield each place, its corner of the image, and the content of the window there."""
    for y, x in np.ndindex(*places(windows)):
        top, left = y * windows.stride[0], x * windows.stride[1]
        yield (y, x), (top, left), images[:, top : top + windows.window[0], left : left + windows.window[1]]


def places(windows):
    axes = zip(windows.size, windows.window, windows.stride, strict=True)
    return tuple((size - window) // step + 1 for size, window, step in axes)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@every_case
@either
def test_pooling_is_what_its_definition_says(kind, windows, dtype, rng):
    layer, images = kind(windows, 3), rng.normal(size=(4, *windows.size, 3)).astype(dtype)
    reduce = np.max if kind is MaxPoolingLayer else np.mean
    expected = np.zeros((4, *places(windows), 3))
    for place, _, content in windows_of(windows, images.astype(np.float64)):
        expected[:, *place] = reduce(content, axis=(1, 2))
    network = Network((layer,))
    layers = network.allocate(4, lambda shape: np.full(shape, np.nan, dtype))
    layers.a[0] = images.reshape(4, -1)
    network.forward(network.unpack(np.empty(0, dtype)), layers)
    assert layers.a[1].dtype == dtype
    tolerance = EXACT if dtype == np.float64 else FLOAT32
    np.testing.assert_allclose(layers.a[1], expected.reshape(4, -1), rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(layers.z[1], layers.a[1])
    np.testing.assert_array_equal(layer.apply(images.reshape(4, -1), NO_WEIGHTS), layers.a[1])


@every_case
def test_the_largest_number_of_a_window_has_all_of_its_derivative(windows, rng):
    layer, images = MaxPoolingLayer(windows, 2), rng.normal(size=(3, *windows.size, 2))
    delta, expected = rng.normal(size=(3, *places(windows), 2)), np.zeros(images.shape)
    for (y, x), (top, left), content in windows_of(windows, images):
        for i, c in np.ndindex(3, 2):
            u, v = np.unravel_index(content[i, :, :, c].argmax(), windows.window)
            expected[i, top + u, left + v, c] += delta[i, y, x, c]
    found = layer.linear_transposed(images.reshape(3, -1), delta.reshape(3, -1), NO_WEIGHTS)
    np.testing.assert_allclose(found, expected.reshape(3, -1), rtol=EXACT, atol=1e-15)


@every_case
def test_the_first_of_equal_numbers_has_the_derivative(windows, rng):
    """Images of few different numbers, so that every window has ties; NumPy's argmax finds the first one."""
    layer, images = MaxPoolingLayer(windows, 2), rng.integers(0, 2, size=(3, *windows.size, 2)).astype(float)
    delta, expected = rng.normal(size=(3, *places(windows), 2)), np.zeros(images.shape)
    tangent, along = rng.normal(size=images.shape), np.zeros(delta.shape)
    for (y, x), (top, left), content in windows_of(windows, images):
        for i, c in np.ndindex(3, 2):
            u, v = np.unravel_index(content[i, :, :, c].argmax(), windows.window)
            expected[i, top + u, left + v, c] += delta[i, y, x, c]
            along[i, y, x, c] = tangent[i, top + u, left + v, c]
    at = images.reshape(3, -1)
    out = np.full(at.shape, np.nan)
    assert layer.linear_transposed(at, delta.reshape(3, -1), NO_WEIGHTS, out) is out
    np.testing.assert_allclose(out, expected.reshape(3, -1), rtol=EXACT, atol=1e-15)
    np.testing.assert_array_equal(layer.linear(at, tangent.reshape(3, -1), NO_WEIGHTS), along.reshape(3, -1))


@every_case
@either
def test_the_transpose_of_the_derivative_is_its_transpose(kind, windows, rng):
    layer = kind(windows, 3)
    at, tangent = rng.normal(size=(2, 4, layer.n_inputs))
    delta = rng.normal(size=(4, layer.n_outputs))
    along = np.sum(layer.linear(at, tangent, NO_WEIGHTS) * delta)
    assert along == pytest.approx(np.sum(tangent * layer.linear_transposed(at, delta, NO_WEIGHTS)), rel=1e-11)
    back = layer.pull_back_to_inputs(NO_WEIGHTS, at, delta)
    np.testing.assert_array_equal(back, layer.linear_transposed(at, delta, NO_WEIGHTS))
    step = 1e-7
    difference = layer.apply(at + step * tangent, NO_WEIGHTS) - layer.apply(at - step * tangent, NO_WEIGHTS)
    np.testing.assert_allclose(layer.linear(at, tangent, NO_WEIGHTS), difference / (2 * step), rtol=1e-6, atol=1e-7)


@either
def test_one_tangent_stands_for_all_rows(kind, rng):
    layer = kind(CASES["windows that overlap"], 2)
    at, tangent = rng.normal(size=(4, layer.n_inputs)), rng.normal(size=(1, layer.n_inputs))
    found = np.broadcast_to(layer.linear(at, tangent, NO_WEIGHTS), (4, layer.n_outputs))
    np.testing.assert_array_equal(found, layer.linear(at, np.repeat(tangent, 4, axis=0), NO_WEIGHTS))


def test_mean_pooling_of_ones_is_one_and_gives_back_shares():
    layer = MeanPoolingLayer(Windows((5, 5), (2, 2), (2, 2), "valid"), 1)
    np.testing.assert_array_equal(layer.apply(np.ones((1, 25)), NO_WEIGHTS), np.ones((1, 4)))
    shares = layer.apply_transposed(np.ones((1, 4)), NO_WEIGHTS).reshape(5, 5)
    np.testing.assert_array_equal(shares[:4, :4], np.full((4, 4), 0.25))
    np.testing.assert_array_equal(shares[4], np.zeros(5))  # that no window reaches
    np.testing.assert_array_equal(shares[:, 4], np.zeros(5))


@every_case
def test_upsampling_repeats_each_number_in_its_window_and_its_transpose_adds_up_the_window(windows, rng):
    """Where windows overlap, the numbers are added; pixels that no window reaches are 0."""
    layer, given = UpsamplingLayer(windows, 2), rng.normal(size=(3, *places(windows), 2))
    delta = rng.normal(size=(3, *windows.size, 2))
    expected, sums, is_reached = np.zeros(delta.shape), np.zeros(given.shape), np.zeros(windows.size, bool)
    for (y, x), (top, left), content in windows_of(windows, delta):
        window = slice(top, top + windows.window[0]), slice(left, left + windows.window[1])
        expected[:, *window] += given[:, y : y + 1, x : x + 1]
        sums[:, y, x] = content.sum((1, 2))
        is_reached[window] = True
    for found, wanted in (
        (layer.apply(given.reshape(3, -1), NO_WEIGHTS, np.full((3, layer.n_outputs), np.nan)), expected),
        (layer.apply_transposed(delta.reshape(3, -1), NO_WEIGHTS, np.full((3, layer.n_inputs), np.nan)), sums),
    ):
        np.testing.assert_allclose(found, wanted.reshape(3, -1), rtol=EXACT, atol=1e-14)
    pixels = layer.apply(given.reshape(3, -1), NO_WEIGHTS).reshape(delta.shape)
    np.testing.assert_array_equal((pixels != 0).all((0, 3)), is_reached)


def test_maps_and_derivatives_keep_the_data_type(rng):
    windows = CASES["windows that overlap"]
    for kind in (MaxPoolingLayer, MeanPoolingLayer, UpsamplingLayer):
        layer = kind(windows, 2)
        at, tangent = rng.normal(size=(2, 3, layer.n_inputs)).astype(np.float32)
        delta = rng.normal(size=(3, layer.n_outputs)).astype(np.float32)
        along, back = layer.linear(at, tangent, NO_WEIGHTS), layer.linear_transposed(at, delta, NO_WEIGHTS)
        assert {array.dtype for array in (layer.apply(at, NO_WEIGHTS), along, back)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("channels", [1, 3])
@every_case
def test_the_kinks_of_max_pooling_are_where_the_two_largest_numbers_of_a_window_are_equal(windows, channels, rng):
    images, distances = rng.normal(size=(4, *windows.size, channels)), []
    for _, _, content in windows_of(windows, images):
        for i, c in np.ndindex(4, channels):
            second, largest = sorted(content[i, :, :, c].ravel())[-2:]
            distances.append(largest - second)
    layer = MaxPoolingLayer(windows, channels)
    given = images.reshape(4, -1)
    assert layer.distance_from_kinks(given, layer.apply(given, NO_WEIGHTS)) == min(distances)


def test_windows_of_one_number_have_no_kinks(rng):
    layer, given = MaxPoolingLayer(Windows((4, 4), (1, 1), (1, 1), "valid"), 2), rng.normal(size=(3, 32))
    assert layer.distance_from_kinks(given, layer.apply(given, NO_WEIGHTS)) == np.inf


def test_windows_whose_two_largest_numbers_are_zero_are_at_no_kink():
    layer = MaxPoolingLayer(Windows((1, 6), (1, 3), (1, 3), "valid"), 1)

    def distance(*numbers):
        given = np.array([numbers])
        return layer.distance_from_kinks(given, layer.apply(given, NO_WEIGHTS))

    assert distance(0.0, 0.0, -1.0, 0.0, 0.0, 0.0) == np.inf
    assert distance(0.0, 0.0, -1.0, 0.0, 3.0, 0.0) == 3
    assert distance(0.0, 0.0, 0.0, -0.25, -7.0, 0.0) == 0.25
    assert distance(0.0, 0.0, 0.0, 1.0, -7.0, 1.0) == 0


@either
def test_numbers_that_are_not_finite_stay_so(kind):
    layer = kind(Windows((2, 4), (2, 2), (2, 2), "valid"), 1)
    images = np.array([[1.0, np.nan, -np.inf, -np.inf, 2.0, 3.0, -np.inf, -np.inf]])
    np.testing.assert_array_equal(layer.apply(images, NO_WEIGHTS), [[np.nan, -np.inf]])


@either
def test_pooling_has_no_parameters(kind):
    layer = kind(Windows((5, 7), (2, 3), (2, 3), "valid"), 4)
    network = Network((layer,))
    assert network.n_parameters == 0
    assert (layer.n_inputs, layer.n_outputs, layer.output_channels) == (140, 16, 4)
    assert (layer.n_biases, layer.weight_shape, layer.gradient_parts(10)) == (0, (0,), [])
    assert layer.multiply_adds == 16 * 6
    assert layer.fans == (6, 1)
    assert layer.activation == Identity()
    assert not layer.has_weights
    np.testing.assert_array_equal(layer.bias_row(np.empty(0)), np.zeros(16))
    W, b = np.empty(0), np.empty(0)
    layer.weight_gradient(np.ones((2, 140)), np.ones((2, 16)), W, accumulate=False)
    layer.add_bias_gradient(b, np.ones((2, 16)), np.ones((1, 2)), accumulate=True)


def test_the_transpose_of_max_pooling_needs_the_inputs():
    layer = MaxPoolingLayer(Windows((4, 4), (2, 2), (2, 2), "valid"), 1)
    message = r"^the transposed map of max pooling depends on the inputs; use linear_transposed\.$"
    with pytest.raises(NotImplementedError, match=message):
        layer.apply_transposed(np.ones((1, 4)), NO_WEIGHTS)


def test_layers_are_tied_past_pooling_which_has_no_weights():
    windows, pooled = Windows((4, 4), (3, 3), (1, 1), "same"), Windows((4, 4), (1, 1), (1, 1), "valid")
    layers = (
        ConvolutionLayer(windows, 1, 2, Sigmoid()),
        MaxPoolingLayer(pooled, 2),
        MeanPoolingLayer(pooled, 2),
        TransposedConvolutionLayer(windows, 2, 1, Identity()),
    )
    assert Network(layers).layer_sizes == (16, 32, 32, 32, 16)
    assert Network(layers).n_parameters - Network(layers, tied=True).n_parameters == 3 * 3 * 2


@pytest.mark.parametrize(
    ("window", "stride", "channels"),
    [((6, 1), (1, 1), 1), ((1, 7), (1, 1), 1), ((2, 2), (1, 1), 0)],
)
@either
def test_windows_that_do_not_fit_are_refused(kind, window, stride, channels):
    with pytest.raises(ValueError, match=r"a window no larger than the image, \(5, 6\); got"):
        kind(Windows((5, 6), window, stride, "valid"), channels)


@either
def test_pooling_with_zeros_around_the_image_is_refused(kind):
    with pytest.raises(ValueError, match="pooling cannot use padding='same'"):
        kind(Windows((5, 6), (2, 2), (2, 2), "same"), 1)


@pytest.mark.parametrize("kind", [MaxPoolingLayer, MeanPoolingLayer])
def test_a_direction_in_the_parameters_of_others_goes_round_a_layer_without_weights(kind, rng):
    layer = kind(Windows((4, 4), (2, 2), (2, 2), "valid"), 1)
    network = Network((layer,))
    layers = network.allocate(3, np.zeros)
    layers.a[0] = rng.normal(size=(3, 16))
    parameters = network.unpack(np.empty(0))
    network.forward(parameters, layers)
    along = TangentPass(network, parameters, layers, parameters)
    assert not along._push(0, rng.normal(size=(3, 16)), parameters).any()
    assert not along._back(0, rng.normal(size=(3, 4)), parameters).any()
    assert along._push(0, rng.normal(size=(3, 16))).any()
    assert along._back(0, rng.normal(size=(3, 4))).any()
