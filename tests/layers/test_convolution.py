"""Convolution and its transpose beside their definition, one number after the other."""

import re

import numpy as np
import pytest

from rhohat.layers import ConvolutionLayer, DenseLayer, TransposedConvolutionLayer, Windows
from rhohat.layers.activations import Maxout, ParametricReLU, Sigmoid, Softmax, Tanh
from rhohat.layers.network import Network
from tests.layers.test_windows import every_case, few_or_many_channels, pixels
from tests.tolerances import EXACT, FLOAT32

KINDS = [ConvolutionLayer, TransposedConvolutionLayer]
either = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
in_chunks_or_whole = pytest.mark.parametrize("chunk", [1, 2**18])


def make(kind, windows, channels, n_filters, activation=None):
    activation = activation or Tanh()
    if kind is ConvolutionLayer:
        return ConvolutionLayer(windows, channels, n_filters, activation)
    return TransposedConvolutionLayer(windows, n_filters, channels, activation)


def matrix_by_definition(layer, W):
    """The matrix of the map, of shape (n_inputs, n_outputs), entry by entry."""
    windows, channels, n_filters = layer.windows, layer.n_channels, layer.n_filters
    if isinstance(layer, TransposedConvolutionLayer):
        W = np.transpose(W, (3, 2, 1, 0))
    matrix = np.zeros((*windows.size, channels, *windows.places, n_filters))
    for place, number, pixel in pixels(windows):
        for c, o in np.ndindex(channels, n_filters):
            matrix[(*pixel, c, *place, o)] += W[(*number, c, o)]
    matrix = matrix.reshape(-1, windows.n_places * n_filters)
    return matrix.T if isinstance(layer, TransposedConvolutionLayer) else matrix


def activated(layer, rows, W, b):
    """The activations that the layer computes."""
    network = Network((layer,))
    layers = network.allocate(len(rows), lambda shape: np.full(shape, np.nan, rows.dtype))
    layers.a[0] = rows
    network.forward(network.unpack(np.concatenate([W.ravel(), b])), layers)
    return layers.a[1]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@in_chunks_or_whole
@few_or_many_channels
@every_case
def test_a_convolution_is_what_its_definition_says(windows, channels, chunk, dtype, rng, monkeypatch):
    """z[y, x, o] = Σ_{u, v, c} a[y s + u, x s + v, c] W[u, v, c, o] + b[o]."""
    monkeypatch.setattr("rhohat.layers.windows._CHUNK", chunk)
    layer = ConvolutionLayer(windows, channels, 2, Tanh())
    W, b = rng.normal(size=(*windows.window, channels, 2)).astype(dtype), rng.normal(size=2).astype(dtype)
    images = rng.normal(size=(3, *windows.size, channels)).astype(dtype)
    z = np.zeros((3, *windows.places, 2)) + b
    for (y, x), (u, v), (row, column) in pixels(windows):
        for c, o in np.ndindex(channels, 2):
            z[:, y, x, o] += images[:, row, column, c] * W[u, v, c, o]
    found = activated(layer, images.reshape(3, -1), W, b)
    tolerance = EXACT if dtype == np.float64 else FLOAT32
    assert found.dtype == dtype
    np.testing.assert_allclose(found, np.tanh(z).reshape(3, -1), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@in_chunks_or_whole
@few_or_many_channels
@every_case
def test_a_transposed_convolution_is_what_its_definition_says(windows, channels, chunk, dtype, rng, monkeypatch):
    """Pixel (y, x) of the input adds a[y, x, o] W[o, c, v, u] to number (u, v) of its window."""
    monkeypatch.setattr("rhohat.layers.windows._CHUNK", chunk)
    layer = TransposedConvolutionLayer(windows, 2, channels, Tanh())
    W, b = rng.normal(size=(2, channels, *windows.window[::-1])).astype(dtype), rng.normal(size=channels).astype(dtype)
    given = rng.normal(size=(3, *windows.places, 2)).astype(dtype)
    z = np.zeros((3, *windows.size, channels)) + b
    for (y, x), (u, v), (row, column) in pixels(windows):
        for c, o in np.ndindex(channels, 2):
            z[:, row, column, c] += given[:, y, x, o] * W[o, c, v, u]
    found = activated(layer, given.reshape(3, -1), W, b)
    tolerance = EXACT if dtype == np.float64 else FLOAT32
    assert found.dtype == dtype
    np.testing.assert_allclose(found, np.tanh(z).reshape(3, -1), rtol=tolerance, atol=tolerance)


@in_chunks_or_whole
@few_or_many_channels
@every_case
@either
def test_the_maps_are_those_of_their_matrix(kind, windows, channels, chunk, rng, monkeypatch):
    monkeypatch.setattr("rhohat.layers.windows._CHUNK", chunk)
    layer = make(kind, windows, channels, 2)
    W = rng.normal(size=layer.weight_shape)
    matrix = matrix_by_definition(layer, W)
    assert matrix.shape == (layer.n_inputs, layer.n_outputs)
    rows, delta = rng.normal(size=(4, layer.n_inputs)), rng.normal(size=(4, layer.n_outputs))
    np.testing.assert_allclose(layer.apply(rows, W), rows @ matrix, rtol=EXACT, atol=EXACT)
    np.testing.assert_allclose(layer.apply_transposed(delta, W), delta @ matrix.T, rtol=EXACT, atol=EXACT)
    for apply, given, n in ((layer.apply, rows, layer.n_outputs), (layer.apply_transposed, delta, layer.n_inputs)):
        out = np.full((4, n), np.nan)
        assert apply(given, W, out) is out
        np.testing.assert_array_equal(out, apply(given, W))


@in_chunks_or_whole
@few_or_many_channels
@every_case
@either
def test_the_transposed_map_is_the_transpose(kind, windows, channels, chunk, rng, monkeypatch):
    monkeypatch.setattr("rhohat.layers.windows._CHUNK", chunk)
    layer = make(kind, windows, channels, 3)
    W, rows, delta = (rng.normal(size=s) for s in (layer.weight_shape, (4, layer.n_inputs), (4, layer.n_outputs)))
    forward = np.sum(layer.apply(rows, W) * delta)
    assert forward == pytest.approx(np.sum(rows * layer.apply_transposed(delta, W)), rel=1e-11)


@in_chunks_or_whole
@few_or_many_channels
@every_case
@either
def test_the_gradients_are_the_transposes_of_the_map_by_weights_and_biases(
    kind, windows, channels, chunk, rng, monkeypatch
):
    monkeypatch.setattr("rhohat.layers.windows._CHUNK", chunk)
    layer = make(kind, windows, channels, 2)
    rows, delta = rng.normal(size=(5, layer.n_inputs)), rng.normal(size=(5, layer.n_outputs))
    V, v = rng.normal(size=layer.weight_shape), rng.normal(size=layer.n_biases)
    gradient, ones = np.full(layer.weight_shape, np.nan), np.ones((1, 5))
    layer.weight_gradient(rows, delta, gradient, accumulate=False)
    along = np.sum((rows @ matrix_by_definition(layer, V)) * delta)
    assert np.sum(gradient * V) == pytest.approx(along, rel=1e-11)
    twice = gradient.copy()
    layer.weight_gradient(rows, delta, twice, accumulate=True)
    np.testing.assert_array_equal(twice, 2 * gradient)
    b = np.full(layer.n_biases, np.nan)
    layer.add_bias_gradient(b, delta, ones, accumulate=False)
    assert np.sum(b * v) == pytest.approx(np.sum(layer.bias_row(v) * delta), rel=1e-11)
    np.testing.assert_allclose(b, delta.reshape(-1, layer.output_channels).sum(0), rtol=1e-11)
    layer.add_bias_gradient(b, delta, ones, accumulate=True)
    np.testing.assert_allclose(b, 2 * delta.reshape(-1, layer.output_channels).sum(0), rtol=1e-11)


@either
def test_maps_of_float32_are_in_float32(kind, rng):
    layer = make(kind, Windows((4, 5), (3, 2), (1, 2), "same"), 2, 3)
    W = rng.normal(size=layer.weight_shape).astype(np.float32)
    rows, delta = (rng.normal(size=(2, n)).astype(np.float32) for n in (layer.n_inputs, layer.n_outputs))
    assert layer.apply(rows, W).dtype == layer.apply_transposed(delta, W).dtype == np.float32


@either
def test_bias_gradients_are_added_up_in_the_data_type_of_delta(kind):
    """1 + 2⁻²⁴ is 1 in float32, and 1 + 2⁻²⁴ + 2⁻²⁴ too, which it is not if the sum is rounded at the end."""
    layer = make(kind, Windows((1, 3), (1, 1), (1, 1), "valid"), 1, 1)
    delta = np.array([[1, 2.0**-24, 2.0**-24]])
    for dtype, expected in ((np.float32, 1), (np.float64, 1 + 2.0**-23)):
        b = np.full(1, np.nan, dtype)
        layer.add_bias_gradient(b, delta.astype(dtype), np.ones((1, 1), dtype), accumulate=False)
        assert b[0] == expected


@few_or_many_channels
@every_case
@either
def test_the_parts_of_the_gradient_are_together_the_whole(kind, windows, channels, rng):
    layer = make(kind, windows, channels, 2)
    rows, delta = rng.normal(size=(5, layer.n_inputs)), rng.normal(size=(5, layer.n_outputs))
    whole, together = np.empty(layer.weight_shape), np.full(layer.weight_shape, np.nan)
    layer.weight_gradient(rows, delta, whole, accumulate=False)
    parts = layer.gradient_parts(5)
    assert [i for part in parts for i in range(layer.weight_shape[0])[part]] == list(range(layer.weight_shape[0]))
    for part in parts:
        layer.write_gradient_part(together[part], rows, delta, part)
    np.testing.assert_allclose(together, whole, rtol=1e-11, atol=1e-13)


def test_the_gradient_of_a_transposed_convolution_has_one_part():
    layer = TransposedConvolutionLayer(Windows((4, 5), (3, 2), (1, 2), "same"), 7, 2, Tanh())
    assert layer.gradient_parts(1000) == [slice(0, 7)]


@few_or_many_channels
@every_case
@either
def test_a_tied_layer_adds_its_transposed_gradient_to_parts_of_its_mirror_image(kind, windows, channels, rng):
    """The gradient of the shared weights, in the order of the layer that has them, is the transposed one."""
    layer = make(kind, windows, channels, 2)
    mirror = make(KINDS[1 - KINDS.index(kind)], windows, channels, 2)
    rows, delta = rng.normal(size=(5, layer.n_inputs)), rng.normal(size=(5, layer.n_outputs))
    own, shared = np.empty(layer.weight_shape), np.ones(mirror.weight_shape)
    layer.weight_gradient(rows, delta, own, accumulate=False)
    for part in mirror.gradient_parts(5):
        layer.add_tied_gradient(shared[part], rows, delta, part)
    np.testing.assert_allclose(shared, 1 + own.T, rtol=1e-11, atol=1e-13)


@every_case
def test_a_convolution_and_its_transpose_are_tied_by_the_same_windows(windows, rng):
    network = Network(
        (ConvolutionLayer(windows, 2, 3, Sigmoid()), TransposedConvolutionLayer(windows, 3, 2, Sigmoid())), True
    )
    assert network.layer_sizes[0] == network.layer_sizes[2]
    parameters = network.unpack(rng.normal(size=network.n_parameters))
    assert np.shares_memory(*parameters.weights)
    pairs = zip(network.layers, parameters.weights, strict=True)
    first, second = (layer.apply(np.eye(layer.n_inputs), W) for layer, W in pairs)
    np.testing.assert_allclose(second, first.T, rtol=EXACT, atol=EXACT)


def test_sizes_follow_from_windows_and_channels():
    windows = Windows((28, 20), (5, 3), (2, 1), "same")
    layer = ConvolutionLayer(windows, 3, 16, Tanh())
    assert (layer.n_inputs, layer.n_outputs) == (28 * 20 * 3, 14 * 20 * 16)
    assert (layer.n_biases, layer.output_channels, layer.weight_shape) == (16, 16, (5, 3, 3, 16))
    assert layer.multiply_adds == 14 * 20 * 5 * 3 * 3 * 16
    transposed = TransposedConvolutionLayer(windows, 16, 3, Tanh())
    assert (transposed.n_inputs, transposed.n_outputs) == (layer.n_outputs, layer.n_inputs)
    assert (transposed.n_biases, transposed.output_channels, transposed.weight_shape) == (3, 3, (16, 3, 3, 5))
    assert transposed.multiply_adds == layer.multiply_adds
    assert (layer.fans, transposed.fans) == ((45, 240), (240, 45))


@either
def test_the_scratch_memory_is_that_of_the_largest_chunk(kind, monkeypatch):
    monkeypatch.setattr("rhohat.layers.windows._CHUNK", 1000)
    layer = make(kind, Windows((6, 6), (3, 3), (1, 1), "valid"), 2, 5)
    assert layer.scratch_numbers == 3 * 16 * 9 * 2
    assert make(kind, Windows((6, 6), (3, 3), (1, 1), "valid"), 50, 5).scratch_numbers == 16 * 9 * 50
    assert make(kind, Windows((6, 6), (3, 3), (1, 1), "same"), 2, 5).scratch_numbers == (36 * 9 + 8 * 8) * 2


def test_initial_weights_are_within_the_bound_of_the_fans(rng):
    layer = ConvolutionLayer(Windows((1, 7), (1, 3), (1, 1), "valid"), 2, 30, Tanh())
    W = layer.initial_weights(rng, "uniform")
    assert W.shape == (1, 3, 2, 30)
    assert 0.9 < np.abs(W).max() / np.sqrt(6 / (6 + 90 + 1)) <= 1
    assert np.std(layer.initial_weights(rng, "normal")) == pytest.approx(0.01, rel=0.2)


@pytest.mark.parametrize(
    ("window", "stride", "channels", "n_filters"),
    [
        ((3, 3), (1, 1), 0, 3),
        ((3, 3), (1, 1), 2, 0),
    ],
)
@pytest.mark.parametrize("padding", ["valid", "same"])
@either
def test_a_convolution_without_channels_or_filters_is_refused(kind, padding, window, stride, channels, n_filters):
    with pytest.raises(ValueError, match="a convolution needs at least one channel and one filter; got"):
        make(kind, Windows((5, 6), window, stride, padding), channels, n_filters)


@either
def test_a_kernel_that_is_larger_than_the_image_needs_zeros_around_it(kind):
    for window in ((6, 1), (1, 7)):
        message = (
            rf"^the kernel {re.escape(str(window))} is larger than the image \(5, 6\); use a smaller kernel,"
            r" or padding='same'\.$"
        )
        with pytest.raises(ValueError, match=message):
            make(kind, Windows((5, 6), window, (1, 1), "valid"), 2, 3)
        assert make(kind, Windows((5, 6), window, (1, 1), "same"), 2, 3).n_inputs > 0


@pytest.mark.parametrize("activation", [Maxout(2), ParametricReLU(), Softmax()], ids=lambda f: f.name)
@either
def test_activations_that_mix_units_or_have_parameters_are_refused(kind, activation):
    message = (
        f"^a convolution cannot use the activation '{activation.name}', which does not act on each unit by itself or"
        r" has parameters of its own; use another activation, such as 'relu'\.$"
    )
    with pytest.raises(ValueError, match=message):
        make(kind, Windows((5, 6), (3, 3), (1, 1), "valid"), 2, 3, activation)


def test_a_convolution_cannot_be_tied_to_a_layer_of_another_shape():
    windows = Windows((1, 7), (1, 3), (1, 1), "valid")
    with pytest.raises(ValueError, match="cannot use the transposed weights"):
        Network((ConvolutionLayer(windows, 1, 1, Tanh()), DenseLayer(5, 7, Tanh())), tied=True)
    larger = Windows((1, 7), (1, 5), (1, 1), "same")
    same = Windows((1, 7), (1, 3), (1, 1), "same")
    with pytest.raises(ValueError, match="cannot use the transposed weights"):
        Network((ConvolutionLayer(larger, 1, 1, Tanh()), TransposedConvolutionLayer(same, 1, 1, Tanh())), tied=True)
