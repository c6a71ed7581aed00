import numpy as np
import pytest
from scipy.signal import correlate
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import rhohat
from rhohat import (
    Convolution,
    ConvolutionalAutoencoder,
    ConvolutionalClassifier,
    Dense,
    FeedforwardClassifier,
    Flatten,
    MaxPooling,
    MeanPooling,
    SparseAutoencoder,
    TransposedConvolution,
    Upsampling,
    feature_maps,
    open_rows,
)
from rhohat.inspection.feature_maps import as_pictures, filters_of, layer_of_maps, maps_of_channels, some_channels
from rhohat.layers.architecture import build_layers
from tests.tolerances import EXACT


def autoencoder(X, layers, **parameters):
    defaults = {"activation": "tanh", "solver": "lbfgs", "max_iter": 2, "random_state": 0}
    return ConvolutionalAutoencoder(layers=layers, **{**defaults, **parameters}).fit(X)


pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def maps_by_hand(model, images):
    """The maps of the first layer, by SciPy's correlation."""
    W, b = model.coefs_[0], model.intercepts_[0]
    return np.array(
        [
            [np.tanh(sum(correlate(image[..., c], W[..., c, o], "valid") for c in range(W.shape[2])) + b[o])
             for o in range(W.shape[3])]
            for image in images
        ]
    ).transpose(0, 2, 3, 1)  # fmt: skip


@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_maps_are_correlations_of_images_and_filters(n_channels, rng):
    X = rng.random((30, 9, 8, n_channels))
    model = autoencoder(X, [Convolution(5, (3, 2)), MaxPooling(2)])
    found = feature_maps(model, X, layer=0)
    np.testing.assert_allclose(found, maps_by_hand(model, X), rtol=EXACT, atol=EXACT)
    pooled = found[:, :6, :6].reshape(30, 3, 2, 3, 2, 5).max(axis=(2, 4))
    np.testing.assert_array_equal(feature_maps(model, X)[:, :3, :3], pooled)
    filters = filters_of(model)
    assert filters.shape == (5, 3, 2, n_channels)
    for number in range(5):
        np.testing.assert_array_equal(filters[number], model.coefs_[0][..., number])


def test_maps_of_a_pipeline_are_those_of_preprocessed_rows(rng, tmp_path):
    X = 255 * rng.random((40, 36))
    model = make_pipeline(
        MinMaxScaler(),
        ConvolutionalAutoencoder(layers=[Convolution(2, 3)], input_shape=(6, 6, 1), tol=10, random_state=0),
    ).fit(X)
    expected = feature_maps(model[-1], model[0].transform(X))
    np.testing.assert_array_equal(feature_maps(model, X), expected)
    np.save(tmp_path / "rows.npy", X)
    np.testing.assert_array_equal(feature_maps(model, tmp_path / "rows.npy"), expected)
    rows = open_rows(X)
    np.testing.assert_array_equal(feature_maps(model, rows), expected)
    assert rows.read(0, 1).shape == (1, 36)  # the source is still open
    np.testing.assert_array_equal(filters_of(model), filters_of(model[-1]))


def test_the_code_has_the_maps_or_else_the_last_layer_before_it(rng):
    X, y = rng.random((60, 8, 8)), np.arange(60) % 3
    layers = [Convolution(4, 3), MeanPooling(2), Flatten(), Dense(5), Dense(4)]
    classifier = ConvolutionalClassifier(layers=layers, tol=10, random_state=0).fit(X, y)
    assert layer_of_maps(classifier) == 2
    assert feature_maps(classifier, X).shape == (60, 3, 3, 4)
    assert layer_of_maps(classifier, 0) == 1
    assert layer_of_maps(autoencoder(X, [Convolution(4, 3), Convolution(2, 3)])) == 2


def test_sequences_have_maps_of_height_1(rng):
    X = rng.random((30, 24))
    assert feature_maps(autoencoder(X, [Convolution(3, 4)], input_shape=(12, 2)), X).shape == (30, 1, 9, 3)


@pytest.mark.parametrize("layer", [2, -1, 4, 1.0, "0"])
def test_a_layer_without_maps_is_refused(layer, rng):
    X, y = rng.random((60, 8, 8)), np.arange(60) % 3
    model = ConvolutionalClassifier(layers=[Convolution(4, 3), MaxPooling(2), Dense(5)], tol=10, random_state=0)
    with pytest.raises(NotFittedError):
        feature_maps(model, X)
    with pytest.raises(NotFittedError):
        filters_of(model)
    message = (
        "layer 2 of ConvolutionalClassifier is a DenseLayer" if layer == 2 else "layer must be an integer from 0 to 3"
    )
    with pytest.raises(ValueError, match=message):
        feature_maps(model.fit(X, y), X, layer=layer)


def test_a_dense_network_has_neither_filters_nor_maps(rng):
    X = rng.random((50, 16))
    model = SparseAutoencoder(n_components=2, tol=10, random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"no filters, as its first layer is a DenseLayer .* maximal_inputs\(\)"):
        filters_of(model)
    with pytest.raises(ValueError, match="SparseAutoencoder has no feature maps"):
        feature_maps(model, X)
    described = FeedforwardClassifier(layers=[Convolution(2, 3)], input_shape=(4, 4, 1), tol=10, random_state=0)
    assert feature_maps(described.fit(X, np.arange(50) % 2), X).shape == (50, 2, 2, 2)


@pytest.mark.parametrize(
    "description",
    [
        *(Convolution(3, 3, 2), Convolution(3, 2, padding="same"), TransposedConvolution(4, 3, 2), MaxPooling(2)),
        *(MeanPooling((2, 3)), Upsampling(2), Dense(7)),
    ],
    ids=str,
)
def test_layers_know_the_shape_of_their_outputs(description):
    (layer,), shapes = build_layers([description], (6, 7, 2), "tanh")
    assert layer.output_shape == shapes[-1]
    assert np.prod(layer.output_shape) == layer.n_outputs


@pytest.mark.parametrize("runs", [[(0, 200)], [(0, 30), (100, 160)]], ids=["all", "some"])
def test_rows_of_a_channel_are_those_with_the_largest_means(runs, rng, monkeypatch):
    monkeypatch.setattr("rhohat.inspection.top_rows._BYTES_AT_ONCE", 20_000)  # several blocks
    X = rng.random((200, 8, 8, 2))
    model = autoencoder(X, [Convolution(4, 3)])
    found = maps_of_channels(model, open_rows(X), [3, 0], layer=1, n_rows=5, runs=runs)
    maps = maps_by_hand(model, X)
    rows = np.concatenate([np.arange(*run) for run in runs])
    assert [one.channel for one in found] == [3, 0]
    for one in found:
        means = maps[rows, :, :, one.channel].mean(axis=(1, 2))
        np.testing.assert_array_equal(one.rows, rows[np.argsort(-means)[:5]])
        np.testing.assert_allclose(one.means, np.sort(means)[::-1][:5], rtol=EXACT)
        np.testing.assert_array_equal(one.images, X[one.rows])
        np.testing.assert_allclose(one.maps, maps[one.rows, :, :, one.channel], rtol=EXACT, atol=EXACT)


def test_a_channel_has_as_many_rows_as_there_are(rng):
    X = rng.random((3, 8, 8))
    (one,) = maps_of_channels(autoencoder(X, [Convolution(4, 3)]), open_rows(X), [1], layer=1, n_rows=5, runs=[(0, 3)])
    assert sorted(one.rows) == [0, 1, 2]
    assert one.maps.shape == (3, 6, 6)


@pytest.mark.parametrize(("n_channels", "most"), [(1, 4), (4, 4), (5, 4), (100, 8)])
def test_channels_are_spread_evenly(n_channels, most):
    channels = some_channels(n_channels, most)
    assert len(channels) == min(n_channels, most)
    assert channels[0] == 0
    assert np.ptp(np.diff(channels)) <= 1 if len(channels) > 1 else True
    assert channels[-1] < n_channels


@pytest.mark.parametrize(("n_channels", "shape"), [(1, (4, 5)), (3, (4, 5, 3)), (2, (4, 11)), (4, (4, 23))])
def test_images_of_any_number_of_channels_become_pictures(n_channels, shape, rng):
    images = rng.random((3, 4, 5, n_channels))
    pictures = as_pictures(images)
    assert pictures.shape == (3, *shape)
    if n_channels in (1, 3):
        np.testing.assert_array_equal(pictures.reshape(images.shape), images)
        return
    for channel in range(n_channels):
        np.testing.assert_array_equal(pictures[..., 6 * channel : 6 * channel + 5], images[..., channel])
    np.testing.assert_array_equal(pictures[..., 5::6], 0.5)


def test_maximal_inputs_of_some_units_are_those_of_all(rng):
    X = rng.random((60, 36))
    dense = SparseAutoencoder(n_components=5, tol=10, random_state=0).fit(X)
    np.testing.assert_array_equal(dense.maximal_inputs([3, 0]), dense.maximal_inputs()[[3, 0]])
    model = autoencoder(X.reshape(60, 6, 6), [Convolution(2, 3)], activation="sigmoid")
    units = np.arange(2) + 2 * (4 * 2 + 1)  # at place (2, 1)
    images = model.maximal_inputs(units).reshape(2, 6, 6)
    expected = np.zeros((2, 6, 6))
    expected[:, 2:5, 1:4] = filters_of(model)[..., 0]
    expected /= np.linalg.norm(expected, axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(images, expected, atol=1e-4)


def test_they_are_public():
    assert rhohat.feature_maps is feature_maps
