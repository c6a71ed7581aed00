"""What the page shows of networks of convolutions."""

import re

import numpy as np
import pytest

from rhohat import Convolution, ConvolutionalAutoencoder, ConvolutionalClassifier, Dense, MaxPooling, feature_maps
from rhohat.inspection.reporting import report
from tests.inspection.reporting.pages import figures_of, image_of, pixels_of, record_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fitted(X, layers, **parameters):
    defaults = {"activation": "sigmoid", "max_iter": 2, "random_state": 0}
    return ConvolutionalAutoencoder(layers=layers, **{**defaults, **parameters}).fit(X)


def pictures_of(page):
    """The pictures of the page by their descriptions; of several with the same one, a list in their order."""
    found = {}
    for uri, name in re.findall(r'<img src="(data:[^"]*)" width="\d+" height="\d+" alt="([^"]*)"', page):
        found.setdefault(name, []).append(pixels_of(uri))
    return found


@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_filters_are_shown_on_a_scale_of_their_own(n_channels, rng):
    X = rng.random((60, 8, 8, n_channels))
    model = fitted(X, [Convolution(4, 3), MaxPooling(2)])
    page = report(model, X)
    pictures = pictures_of(page)
    for number in range(4):
        kernel = model.coefs_[0][..., number]
        expected = np.rint(255 * (0.5 + 0.5 * kernel / np.abs(kernel).max()))
        (picture,) = pictures[f"Filter {number}"]
        if n_channels == 2:
            np.testing.assert_array_equal(picture[:, :3], expected[..., 0])
            np.testing.assert_array_equal(picture[:, 4:], expected[..., 1])
        else:
            np.testing.assert_array_equal(picture.reshape(3, 3, n_channels), expected)
    assert "The 4 filters of the first layer, 3 × 3 pixels" in page
    assert ("one tile for each of the 2 channels" in page) == (n_channels == 2)
    assert ("pixels, in colour" in page) == (n_channels == 3)
    assert 'href="#filters"' in page


def test_rows_of_a_channel_stand_above_their_maps(rng):
    X = rng.random((80, 8, 8))
    model = fitted(X, [Convolution(14, 3), MaxPooling(2)])
    page = report(model, X, n_reconstructions=0)
    maps, pictures = feature_maps(model, X), pictures_of(page)
    shown = [int(number) for number in re.findall(r"<h4>Channel (\d+)</h4>", page)]
    assert shown == [number * 14 // 12 for number in range(12)]
    low, high = np.quantile(X, [0.005, 0.995])
    for channel in shown:
        means = maps[..., channel].mean(axis=(1, 2))
        best = np.argsort(-means)[:4]
        of_channel = maps[best, :, :, channel]
        for row, one in zip(best, of_channel, strict=True):
            (picture,) = pictures[f"Map of channel {channel} for row {row}"]
            expected = (one - of_channel.min()) / np.ptp(of_channel)
            np.testing.assert_array_equal(picture, np.rint(255 * expected))
            expected = np.clip((X[row] - low) / (high - low), 0, 1)
            np.testing.assert_array_equal(pictures[f"Row {row}"][0], np.rint(255 * expected))
    assert "12 of the 14 channels of layer 1, the code" in page
    assert "over all 3 × 3 places, among 80 rows" in page


def test_rows_are_looked_for_among_the_measured_ones(rng):
    X = rng.random((90, 8, 8))
    model = fitted(X, [Convolution(3, 3), Dense(5)])
    page = report(model, X, max_rows=70, n_reconstructions=0)
    measured = np.concatenate(
        [np.arange(a * 70 // 64 + a * 20 // 64, (a + 1) * 70 // 64 + a * 20 // 64) for a in range(64)]
    )
    maps = feature_maps(model, X)
    for channel in range(3):
        rows = [int(row) for row in re.findall(rf"Map of channel {channel} for row (\d+)", page)]
        means = maps[measured, :, :, channel].mean(axis=(1, 2))
        assert rows == measured[np.argsort(-means)[:4]].tolist()
    assert "among 70 rows" in page
    assert "All 3 channels of layer 0. For" in page


def test_one_unit_in_the_middle_stands_for_each_channel(rng):
    X = rng.random((100, 8, 8))
    model = fitted(X, [Convolution(4, 3), MaxPooling(2)])
    page = report(model, X)
    record, codes = record_of(page), model.transform(X)
    units = (1 * 3 + 1) * 4 + np.arange(4)
    assert (record["n"], record["noun"]) == (4, "channel")
    by_key = {measure["key"]: measure["values"] for measure in record["measures"]}
    np.testing.assert_allclose(by_key["mean"], codes[:, units].mean(axis=0), rtol=1e-3)
    np.testing.assert_allclose(by_key["norm"], np.linalg.norm(model.coefs_[0].reshape(9, 4), axis=0), rtol=1e-3)
    for channel, unit in enumerate(units):
        best = np.argsort(-codes[:, unit], kind="stable")[:12]
        found = [record["rows"]["numbers"][place] for place in record["top"]["places"][channel]]
        assert found == best.tolist()
        assert sum(record["histogram"]["counts"][channel]) == 100
        image = image_of(record["inputs"], channel, 8, 8).astype(int)
        seen = np.zeros((8, 8), bool)
        seen[2:6, 2:6] = True  # the pixels of a window of 2 × 2 places of 3 × 3 pixels
        assert np.all(image[~seen] == 128)
        assert (image[seen] != 128).any()
    assert "All 3 × 3 units of a channel look for the same" in page
    assert "the unit at place (1, 1) in the middle of its map" in page
    assert figures_of(page)["dead units"] == 0
    assert "out of 36" in page
    assert '<h2 id="units-heading">Channels</h2>' in page


def test_mean_activations_of_channels_are_drawn_over_their_target(rng):
    X = rng.random((100, 8, 8))
    model = fitted(X, [Convolution(4, 3)], sparsity=0.3, sparsity_weight=1.0)
    page = report(model, X)
    means = model.transform(X).reshape(100, 36, 4).mean(axis=(0, 1))
    assert "Each dot is a channel, whose activations are averaged over rows and places." in page
    assert "channels, from the least to the most active" in page
    assert f"4 channels in ascending order, from {means.min():.4g} to {means.max():.4g}" in page


def test_a_page_of_dense_units_is_about_units(rng):
    X, y = rng.random((90, 8, 8)), np.arange(90) % 3
    model = ConvolutionalClassifier(layers=[Convolution(3, 3), Dense(5)], max_iter=2, random_state=0).fit(X, y)
    page = report(model, X, y=y)
    record = record_of(page)
    assert (record["n"], record["noun"]) == (5, "unit")
    assert "Each dot is a unit." in page
    assert '<h2 id="units-heading">Units</h2>' in page
    assert "Filter 2" in page


def test_sequences_have_no_pictures_of_filters(rng):
    X = rng.random((60, 24))
    page = report(fitted(X, [Convolution(3, 4)], input_shape=(12, 2)), X)
    assert 'id="filters"' not in page
    assert record_of(page)["noun"] == "channel"
