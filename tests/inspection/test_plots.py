from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import pyplot
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from rhohat import (
    Adam,
    Convolution,
    ConvolutionalAutoencoder,
    Dense,
    MaxPooling,
    TopKAutoencoder,
    feature_maps,
    open_rows,
)
from rhohat.estimators import SparseAutoencoder
from rhohat.inspection.plots import plot_feature_maps, plot_filters, plot_kl, plot_loss_curve, plot_reconstructions


@pytest.fixture(autouse=True)
def _nothing_is_shown(monkeypatch):
    monkeypatch.setattr(pyplot, "show", lambda *args, **kwargs: pytest.fail("show was called"))


def drawn(ax):
    """The one image on the axes, as it will look: values in [0, 1]."""
    (image,) = ax.images
    assert image.get_clim() == (0, 1)
    return np.asarray(image.get_array())


@pytest.mark.parametrize("border", [0, 1, 3])
@pytest.mark.parametrize("shape", [(4, 4), (2, 5), (3, 2, 3), (4, 2, 3)])
@pytest.mark.parametrize(("n_filters", "columns", "n_rows", "n_columns"), [(7, 3, 3, 3), (7, None, 3, 3), (5, 5, 1, 5)])
def test_tiles_stand_in_rows_from_the_top_left(shape, border, n_filters, columns, n_rows, n_columns, rng):
    height, width = shape[:2]
    filters = rng.random((n_filters, np.prod(shape)))
    ax = plot_filters(filters, shape, normalize=(0, 1), columns=columns, border=border)
    expected = np.full((n_rows * (height + border) + border, n_columns * (width + border) + border, *shape[2:]), 0.5)
    for index, row in enumerate(filters):
        top = border + index // n_columns * (height + border)
        left = border + index % n_columns * (width + border)
        expected[top : top + height, left : left + width] = row.reshape(shape)
    np.testing.assert_array_equal(drawn(ax), expected)


def test_colours_that_come_plane_by_plane_look_like_those_that_come_pixel_by_pixel(rng):
    images = rng.random((5, 4, 6, 3))
    planes = images.transpose(0, 3, 1, 2).reshape(5, -1)
    pixels = images.reshape(5, -1)
    for draw in (plot_filters, lambda rows, shape: plot_reconstructions(rows, rows / 2, shape)):
        expected = drawn(draw(pixels, (4, 6, 3)))
        np.testing.assert_array_equal(drawn(draw(planes, (3, 4, 6))), expected)
        assert (drawn(draw(pixels, (3, 4, 6))) != expected).any()


@pytest.mark.parametrize("shape", [(1, 4, 6), (4, 6, 1)])
def test_an_axis_of_a_single_channel_makes_no_difference(shape, rng):
    rows = rng.random((5, 24))
    np.testing.assert_array_equal(drawn(plot_filters(rows, shape)), drawn(plot_filters(rows, (4, 6))))


@pytest.mark.parametrize(("n_features", "side", "tail"), [(64, 8, ()), (48, 4, (3,)), (1, 1, ())])
def test_square_filters_need_no_shape(n_features, side, tail, rng):
    assert drawn(plot_filters(rng.random((1, n_features)), border=0)).shape == (side, side, *tail)


@pytest.mark.parametrize(
    ("normalize", "expected"),
    [
        ("each", [[0.5, 1.0, 0.25, 0.5], [0.5, 0.5, 0.5, 0.0], [0.5, 0.5, 0.5, 0.5]]),
        ("all", [[0.5, 0.75, 0.375, 0.5], [0.5, 0.5, 0.5, 0.0], [0.5, 0.5, 0.5, 0.5]]),
        ((-2, 2), [[0.5, 1.0, 0.25, 0.5], [0.5, 0.5, 0.5, 0.0], [0.5, 0.5, 0.5, 0.5]]),
        ((0, 8), [[0.0, 0.25, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]),
    ],
)
def test_grey_levels_follow_normalize(normalize, expected):
    filters = [[0, 2, -1, 0], [0, 0, 0, -4], [0, 0, 0, 0]]
    pixels = drawn(plot_filters(filters, normalize=normalize, columns=3, border=0))
    np.testing.assert_array_equal(pixels.reshape(2, 3, 2).swapaxes(0, 1).reshape(3, 4), expected)


def test_title_colormap_and_given_axes_are_used():
    ax = pyplot.subplots()[1]
    assert plot_filters(np.eye(4), title="units", colormap="viridis", ax=ax) is ax
    assert ax.get_title() == "units"
    assert ax.images[0].get_cmap().name == "viridis"
    assert not ax.axison
    assert len(pyplot.get_fignums()) == 1


@pytest.mark.parametrize(
    ("filters", "options", "message"),
    [
        (np.ones(9), {}, r"an array of shape \(n_filters >= 1, n_features\), without NaN or .*; got .* \(9,\)"),
        (np.ones((0, 9)), {}, "without NaN or infinity"),
        ([[np.nan]], {}, "without NaN or infinity"),
        (np.ones((2, 10)), {}, "10 features do not form a square image"),
        (np.ones((2, 9)), {"image_shape": (2, 4)}, "image_shape must be .* its product must be 9"),
        (np.ones((2, 16)), {"image_shape": (4, 2, 2)}, "image_shape must be"),
        (np.ones((2, 9)), {"image_shape": (-3, -3)}, "image_shape must be"),
        (np.ones((2, 9)), {"image_shape": (9,)}, "image_shape must be"),
        (np.ones((2, 9)), {"normalize": "none"}, "normalize must be 'each', 'all' or a pair"),
        (np.ones((2, 9)), {"columns": 0}, "columns must be >= 1"),
        (np.ones((2, 9)), {"border": -1}, "border >= 0"),
    ],
)
def test_filters_that_cannot_be_drawn_are_refused(filters, options, message):
    with pytest.raises(ValueError, match=message):
        plot_filters(filters, **options)


@pytest.mark.parametrize(("n_images", "expected"), [(3, 3), (12, 5)])
def test_originals_stand_above_reconstructions_on_one_scale(n_images, expected, rng):
    X = rng.normal(size=(5, 4))
    ax = plot_reconstructions(X, 0.5 * X, n_images=n_images)
    above, below = X[:expected], 0.5 * X[:expected]
    low, high = X[:expected].min(), X[:expected].max()
    pixels = drawn(ax)
    assert pixels.shape == (7, 3 * expected + 1)
    for index in range(expected):
        left = 1 + 3 * index
        np.testing.assert_allclose(pixels[1:3, left : left + 2].ravel(), (above[index] - low) / (high - low))
        np.testing.assert_allclose(pixels[4:6, left : left + 2].ravel(), (below[index] - low) / (high - low))
    assert "originals above" in ax.get_title()


@pytest.mark.parametrize("other", [np.ones((3, 9)), np.ones((4, 4)), np.ones(9)])
def test_reconstructions_of_another_shape_are_refused(other):
    with pytest.raises(ValueError, match="must have the same shape"):
        plot_reconstructions(np.ones((4, 9)), other)


def test_j_and_its_terms_are_drawn_over_the_iterations():
    fitted = SimpleNamespace(
        loss_curve_=[3.0, 2.0, 1.5],
        terms_curve_={"squared_error": [2.0, 2.0, 1.5], "kl": [1, 0, 0]},
        warm_up_curves_={},
    )
    ax = plot_loss_curve(fitted)
    assert [line.get_label() for line in ax.lines] == ["J", "squared error", "kl"]
    for line, values in zip(ax.lines, [fitted.loss_curve_, *fitted.terms_curve_.values()], strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_array_equal(line.get_ydata(), values)
    assert ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["J", "squared error", "kl"]


def test_the_curve_begins_with_the_first_iteration_of_the_warm_up():
    fitted = SimpleNamespace(
        loss_curve_=[1.0, 0.5], terms_curve_={}, warm_up_curves_={1000: [4.0, 3.0, 2.0], 3000: [2.5, 1.5]}
    )
    first, second, over_all = plot_loss_curve(fitted).lines
    assert [line.get_label() for line in (first, second, over_all)] == [
        "J on 1,000 rows, the warm-up",
        "J on 3,000 rows, the warm-up",
        "J on all rows",
    ]
    assert first.get_xdata().tolist() == [1, 2, 3]
    assert first.get_ydata().tolist() == [4.0, 3.0, 2.0]
    assert second.get_xdata().tolist() == [4, 5]
    assert over_all.get_xdata().tolist() == [6, 7]


def test_the_loss_curve_of_an_unfitted_estimator_is_refused():
    with pytest.raises(AttributeError, match="loss_curve_"):
        plot_loss_curve(SparseAutoencoder())


@pytest.mark.parametrize(("rho", "weight"), [(0.2, 1.0), (0.05, 3.0), (0.7, 1.0)])
def test_the_kl_curve_is_0_at_rho_and_rises_on_both_sides(rho, weight):
    ax = plot_kl(rho, weight)
    rho_hat, values = ax.lines[0].get_data()
    lowest = np.argmin(values)
    np.testing.assert_allclose([rho_hat[lowest], values[lowest]], [rho, 0], atol=1e-9)
    assert np.all(np.diff(values[: lowest + 1]) < 0)
    assert np.all(np.diff(values[lowest:]) > 0)
    at_half = weight * (rho * np.log(rho / 0.5) + (1 - rho) * np.log((1 - rho) / 0.5))
    np.testing.assert_allclose(np.interp(0.5, rho_hat, values), at_half, rtol=1e-9)


def test_a_kl_curve_needs_rho_between_0_and_1():
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        plot_kl(1.0)


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: plot_kl(ax=ax),
        lambda ax: plot_reconstructions(np.eye(4), np.eye(4), ax=ax),
        lambda ax: plot_loss_curve(SimpleNamespace(loss_curve_=[2.0, 1.0], terms_curve_={}, warm_up_curves_={}), ax=ax),
    ],
)
def test_every_plot_uses_the_given_axes(draw):
    ax = pyplot.subplots()[1]
    assert draw(ax) is ax
    assert draw(None) is not ax


def convolutional(X, layers=None):
    layers = layers or [Convolution(5, (3, 2)), MaxPooling(2)]
    return ConvolutionalAutoencoder(layers=layers, tol=1e9, random_state=0).fit(X)


@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_filters_of_a_model_are_drawn_by_the_number_of_their_channels(n_channels, rng):
    X = rng.random((20, 9, 8, n_channels))
    model = convolutional(X)
    filters = np.moveaxis(model.coefs_[0], -1, 0)  # (5, 3, 2, n_channels)
    scaled = 0.5 + 0.5 * filters / np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    pixels = drawn(plot_filters(model, columns=5))
    if n_channels == 2:
        assert pixels.shape == (5, 31)
        for number in range(5):
            left = 1 + 6 * number
            np.testing.assert_allclose(pixels[1:4, left : left + 2], scaled[number, ..., 0])
            np.testing.assert_allclose(pixels[1:4, left + 2], 0.5)
            np.testing.assert_allclose(pixels[1:4, left + 3 : left + 5], scaled[number, ..., 1])
        return
    assert pixels.shape == ((5, 16) if n_channels == 1 else (5, 16, 3))
    for number in range(5):
        found = pixels[1:4, 1 + 3 * number : 3 + 3 * number]
        np.testing.assert_allclose(found.reshape(3, 2, n_channels), scaled[number])
    pipeline = make_pipeline(MinMaxScaler(), model)
    np.testing.assert_array_equal(drawn(plot_filters(pipeline, columns=5)), pixels)


def test_filters_of_a_model_have_their_own_shape(rng):
    with pytest.raises(ValueError, match="image_shape must be None"):
        plot_filters(convolutional(rng.random((20, 9, 8))), (3, 2))
    with pytest.raises(ValueError, match="its first layer is a DenseLayer"):
        plot_filters(SparseAutoencoder(n_components=2, tol=10).fit(rng.random((20, 9))))


@pytest.mark.parametrize("shape", [(12, 10), (12, 10, 2), (12, 10, 3)])
def test_each_image_stands_beside_its_map(shape, rng):
    X = rng.random((20, *shape))
    model = convolutional(X)
    maps = feature_maps(model, X)  # of 5 × 4 places
    pixels = drawn(plot_feature_maps(model, X, [4, 1], n_rows=3))
    height, width = 12, 21 if shape[2:] == (2,) else 10
    assert pixels.shape[:2] == (2 * 13 + 1, 6 * (width + 1) + 1)
    shown = [np.argsort(-maps[..., channel].mean(axis=(1, 2)), kind="stable")[:3] for channel in (4, 1)]
    low, high = X[np.concatenate(shown)].min(), X[np.concatenate(shown)].max()
    for line, (channel, rows) in enumerate(zip((4, 1), shown, strict=True)):
        of_channel = maps[rows, :, :, channel]
        for place, row in enumerate(rows):
            top, left = 1 + 13 * line, 1 + 2 * place * (width + 1)
            image = pixels[top : top + height, left : left + width]
            expected = (X[row] - low) / (high - low)
            if shape[2:] == (2,):
                np.testing.assert_allclose(image[:, :10], expected[..., 0])
                np.testing.assert_allclose(image[:, 11:], expected[..., 1])
            else:
                np.testing.assert_allclose(image, expected)
            beside = pixels[top : top + height, left + width + 1 : left + 2 * width + 1]
            scaled = (maps[row, :, :, channel] - of_channel.min()) / (of_channel.max() - of_channel.min())
            at = np.ix_(np.arange(height) * 5 // height, np.arange(width) * 4 // width)
            for colour in range(3) if beside.ndim == 3 else [...]:
                np.testing.assert_allclose(beside[..., colour] if beside.ndim == 3 else beside, scaled[at])


def test_maps_are_drawn_of_all_channels_up_to_8_and_of_rows_that_stay_open(rng):
    X = rng.random((20, 8, 8))
    many = convolutional(X, [Convolution(20, 3)])
    rows = open_rows(X)
    ax = plot_feature_maps(many, rows, n_rows=1, title="maps", ax=pyplot.subplots()[1])
    assert drawn(ax).shape == (8 * 9 + 1, 2 * 9 + 1)
    assert ax.get_title() == "maps"
    assert len(rows.read(0, 20)) == 20
    dense = convolutional(X, [Convolution(3, 3), MaxPooling(2), Dense(4)])
    assert drawn(plot_feature_maps(dense, X, n_rows=2)).shape == (3 * 9 + 1, 4 * 9 + 1)
    assert drawn(plot_feature_maps(dense, X, layer=0, n_rows=30)).shape == (3 * 9 + 1, 40 * 9 + 1)


@pytest.mark.parametrize(
    "options", [{"channels": [5]}, {"channels": [-1]}, {"channels": []}, {"n_rows": 0}, {"border": -1}]
)
def test_maps_that_cannot_be_drawn_are_refused(options, rng):
    X = rng.random((20, 9, 8))
    with pytest.raises(ValueError, match="channels must be numbers from 0 to 4, n_rows must be >= 1"):
        plot_feature_maps(convolutional(X), X, **options)


def test_maps_of_other_than_images_are_refused(rng):
    X = rng.random((20, 12))
    with pytest.raises(ValueError, match=r"must be a convolution of images.* rows have the shape \(12,\)"):
        plot_feature_maps(SparseAutoencoder(n_components=2, tol=10).fit(X), X)
    with pytest.raises(ValueError, match=r"rows have the shape \(12, 1\)"):
        plot_feature_maps(convolutional(X, [Convolution(2, 3)]), X)


def test_the_cost_of_a_dictionary_is_drawn_over_updates_without_terms_of_0():
    X = np.random.default_rng(0).random((600, 5))
    model = TopKAutoencoder(12, k=3, solver=Adam(batch_size=10), max_iter=2, random_state=0).fit(X)
    assert not any(model.terms_curve_["auxiliary"])
    ax = plot_loss_curve(model)
    assert ax.get_xlabel() == "updates"
    assert [line.get_label() for line in ax.lines] == ["J", "loss"]
    np.testing.assert_allclose(ax.lines[0].get_xdata(), [30, 60, 90, 120])
