"""Features of an autoencoder of patches at every place of images: the same as cutting, encoding and pooling by hand."""

import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, MinMaxScaler, Normalizer, StandardScaler

from rhohat import (
    Convolution,
    ConvolutionalAutoencoder,
    ConvolvedFeatures,
    DeepAutoencoder,
    MeanImputer,
    PatchNormalizer,
    RangeScaler,
    SoftmaxRegression,
    SparseAutoencoder,
    StackedAutoencoder,
    ZCAWhitening,
    open_rows,
    sample_patches,
)
from rhohat.data import RowSource

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:The code is the same for every row:UserWarning"),
]
HAND = 1e-10  # largest difference from what is done patch by patch, in float64


def without_means(rows):
    return rows - rows.mean(axis=1, keepdims=True)


PREPROCESSING = {
    "nothing": [],
    "whitening": [ZCAWhitening(epsilon=0.01)],
    "range": [RangeScaler(low=0.1, high=0.9)],
    "minmax": [MinMaxScaler()],
    "standard": [StandardScaler()],
    "standard without means": [StandardScaler(with_mean=False)],
    "principal components": [PCA(7, whiten=True)],
    "means of patches, whitening": [FunctionTransformer(without_means), ZCAWhitening()],
    "many": [MeanImputer(), "passthrough", RangeScaler(), MaxAbsScaler(), StandardScaler(), ZCAWhitening()],
}
ENCODERS = {
    "sparse": SparseAutoencoder(n_components=5, output_activation="identity", max_iter=5, n_jobs=1, random_state=0),
    "relu": SparseAutoencoder(
        n_components=5,
        activation="relu",
        output_activation="identity",
        sparsity_weight=0,
        max_iter=5,
        n_jobs=1,
        random_state=0,
    ),
    "deep": DeepAutoencoder(
        hidden_layer_sizes=(7, 6, 4),
        activation="tanh",
        output_activation="identity",
        max_iter=5,
        n_jobs=1,
        random_state=0,
    ),
    "tied": DeepAutoencoder(
        hidden_layer_sizes=(6, 3), tied_weights=True, output_activation="identity", max_iter=5, n_jobs=1, random_state=0
    ),
    "stacked": StackedAutoencoder(
        [SparseAutoencoder(n_components=size, max_iter=5, n_jobs=1) for size in (6, 4)], random_state=0
    ),
}


@pytest.fixture
def images(rng):
    """Images of 13×11 pixels in three colours, brighter in one than in another."""
    return rng.random((9, 13, 11, 3)) * [1.0, 2.0, 0.5] + [0.0, 0.3, 0.1]


def fitted(images, steps=(), autoencoder=ENCODERS["sparse"], patch_size=4):
    """Return a pipeline that is fitted to patches of images."""
    patches = sample_patches(images, patch_size, 300, random_state=0)
    return make_pipeline(*(step if step == "passthrough" else clone(step) for step in steps), clone(autoencoder)).fit(
        patches
    )


def given(W, activation):
    """Return an autoencoder whose encoder has given weights."""
    coefs, intercepts = [W, W.T], [np.zeros(W.shape[1]), np.zeros(W.shape[0])]
    how = {"activation": activation, "output_activation": "identity", "sparsity_weight": 0}
    return SparseAutoencoder.from_weights(coefs, intercepts, **how)


def by_hand(images, model, patch_shape=(4, 4), regions=(3, 3), stride=(1, 1), pool=np.mean):
    """Cut every patch, prepare and encode it with the pipeline, and pool."""
    n, height, width = images.shape[:3]
    down = range(0, height - patch_shape[0] + 1, stride[0])
    across = range(0, width - patch_shape[1] + 1, stride[1])
    patches = np.array(
        [[images[:, y : y + patch_shape[0], x : x + patch_shape[1]].reshape(n, -1) for x in across] for y in down]
    )
    codes = model.transform(patches.reshape(-1, patches.shape[-1])).reshape(*patches.shape[:3], -1)
    parts = [
        pool(part, axis=(0, 1))
        for band in np.array_split(codes, regions[0], axis=0)
        for part in np.array_split(band, regions[1], axis=1)
    ]
    return np.concatenate(parts, axis=1)


# What is computed.


@pytest.mark.parametrize("steps", PREPROCESSING.values(), ids=PREPROCESSING)
def test_features_are_those_of_every_patch_that_the_pipeline_prepares_and_encodes(images, steps):
    model = fitted(images, steps)
    found = ConvolvedFeatures(model).fit_transform(images)
    assert found.shape == (9, 3 * 3 * 5)
    np.testing.assert_allclose(found, by_hand(images, model), rtol=0, atol=HAND)


@pytest.mark.parametrize("autoencoder", ENCODERS.values(), ids=ENCODERS)
def test_all_layers_of_an_encoder_act_at_every_place(images, autoencoder):
    steps = [RangeScaler()] if isinstance(autoencoder, StackedAutoencoder) else [ZCAWhitening()]
    model = fitted(images, steps, autoencoder)
    np.testing.assert_allclose(ConvolvedFeatures(model).fit_transform(images), by_hand(images, model), atol=HAND)


@pytest.mark.parametrize(
    ("how", "parts"),
    [
        ({"regions": 1}, {"regions": (1, 1)}),
        ({"regions": (10, 8)}, {"regions": (10, 8)}),
        ({"regions": [2, 3], "pooling": "max"}, {"regions": (2, 3), "pool": np.max}),
        ({"stride": 2}, {"stride": (2, 2)}),
        ({"stride": (3, 2), "pooling": "max"}, {"stride": (3, 2), "pool": np.max}),
    ],
)
def test_places_and_regions_may_be_other_ones(images, how, parts):
    model = fitted(images, [ZCAWhitening()])
    found = ConvolvedFeatures(model, **how).fit_transform(images)
    np.testing.assert_allclose(found, by_hand(images, model, **parts), atol=HAND)


def test_patches_need_not_be_square(images):
    model = fitted(images, [ZCAWhitening()], patch_size=(5, 2))
    features = ConvolvedFeatures(model, patch_shape=(5, 2, 3)).fit(images)
    assert features.patch_shape_ == (5, 2, 3)
    assert features.kernel_.shape == (5, 2, 3, 5)
    np.testing.assert_allclose(features.transform(images), by_hand(images, model, (5, 2)), atol=HAND)


@pytest.mark.parametrize("axis", [(), (1,)])
def test_grey_images_need_no_axis_for_channels(images, axis):
    grey = images[..., 0].reshape(9, 13, 11, *axis)
    model = fitted(images[..., :1], [ZCAWhitening()])
    found = ConvolvedFeatures(model, patch_shape=(4, 4)).fit_transform(grey)
    np.testing.assert_allclose(found, by_hand(images[..., :1], model), atol=HAND)


def test_images_of_any_number_of_channels_are_convolved(rng):
    spectra = rng.random((4, 9, 9, 10))
    model = fitted(spectra, [ZCAWhitening()], patch_size=3)
    np.testing.assert_allclose(
        ConvolvedFeatures(model).fit_transform(spectra), by_hand(spectra, model, (3, 3)), atol=HAND
    )


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_a_large_image_is_convolved_some_lines_at_a_time(rng, pooling):
    large = rng.random((2, 150, 140))
    model = fitted(large[..., None], [ZCAWhitening()])
    found = ConvolvedFeatures(model, regions=1, pooling=pooling).fit_transform(large)
    pool = {"mean": np.mean, "max": np.max}[pooling]
    np.testing.assert_allclose(found, by_hand(large[..., None], model, regions=(1, 1), pool=pool), atol=HAND)


def test_float32_images_have_float32_features(images):
    model = fitted(images, [ZCAWhitening()])
    features = ConvolvedFeatures(model).fit(images)
    single = features.transform(images.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, features.transform(images), atol=1e-5)
    assert features.transform(np.rint(images * 10).astype(np.uint8) / np.float64(10)).dtype == np.float64


def test_the_kernel_and_the_bias_contain_the_preprocessing(images):
    model = fitted(images, [ZCAWhitening(epsilon=0.01)])
    features = ConvolvedFeatures(model).fit(images)
    whitening, autoencoder = model[0], model[-1]
    W = whitening.whitening_ @ autoencoder.coefs_[0]
    np.testing.assert_allclose(features.kernel_.reshape(48, 5), W, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(features.bias_, autoencoder.intercepts_[0] - whitening.mean_ @ W, atol=1e-12)


def test_features_stay_those_of_the_fit_if_the_autoencoder_changes(images):
    model = fitted(images, [ZCAWhitening()], ENCODERS["deep"])
    features = ConvolvedFeatures(model).fit(images)
    before = features.transform(images)
    for W, b in zip(model[-1].coefs_, model[-1].intercepts_, strict=True):
        W *= 2
        b += 1
    np.testing.assert_array_equal(features.transform(images), before)
    assert not np.allclose(features.fit_transform(images), before)


# Where images come from.


def test_flat_rows_are_images_of_a_given_shape(images):
    features = ConvolvedFeatures(fitted(images))
    expected = features.fit_transform(images)
    features.set_params(image_shape=(13, 11, 3))
    flat = images.reshape(9, -1)
    np.testing.assert_array_equal(features.fit_transform(flat), expected)
    np.testing.assert_array_equal(features.fit_transform(pd.DataFrame(flat)), expected)
    np.testing.assert_array_equal(features.fit_transform(images), expected)


def test_colours_may_come_in_planes(images):
    features = ConvolvedFeatures(fitted(images))
    expected = features.fit_transform(images)
    planes = np.moveaxis(images, -1, 1)
    features.set_params(image_shape=(3, 13, 11))
    assert features.fit(planes).image_shape_ == (13, 11, 3)
    np.testing.assert_array_equal(features.transform(planes), expected)
    np.testing.assert_array_equal(features.fit_transform(planes.reshape(9, -1)), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_images_of_a_source_have_the_features_of_images_in_memory(images, tmp_path, dtype):
    numbers = np.rint(images * 100).astype(dtype)
    np.save(tmp_path / "images.npy", numbers)
    np.save(tmp_path / "flat.npy", numbers.reshape(9, -1))
    model = fitted(numbers.astype(float), [ZCAWhitening()])
    expected = ConvolvedFeatures(model).fit_transform(numbers)
    with open_rows(tmp_path / "images.npy") as rows:
        np.testing.assert_array_equal(ConvolvedFeatures(model).fit_transform(rows), expected)
    with open_rows(tmp_path / "flat.npy") as rows:
        features = ConvolvedFeatures(model, image_shape=(13, 11, 3))
        np.testing.assert_array_equal(features.fit_transform(rows), expected)


class CountedRows(RowSource):
    """Rows that remember how many of them were read at a time."""

    def __init__(self, images):
        self._images, self.read_at_once = images, []
        super().__init__("counted", images.shape, images.dtype)

    def _read_into(self, start, stop, out):
        self.read_at_once.append(stop - start)
        out[:] = self._images[start:stop].reshape(out.shape)


def test_a_source_is_not_read_by_fit_and_then_block_by_block(images):
    rows = CountedRows(np.tile(images, (20, 1, 1, 1)))
    features = ConvolvedFeatures(fitted(images)).fit(rows)
    assert rows.read_at_once == []
    features.transform(rows)
    assert max(rows.read_at_once) < len(rows) / 7


def test_memory_does_not_grow_with_images_or_places(rng):
    model = fitted(
        rng.random((1, 20, 20, 1)), [], SparseAutoencoder(n_components=50, max_iter=1, n_jobs=1, random_state=0)
    )
    features = ConvolvedFeatures(model, n_jobs=1)
    for shape in ((60, 64, 64), (1, 460, 460)):  # all activations of either would take more than 75 MB
        images = rng.random(shape)
        features.fit(images)
        tracemalloc.start()
        try:
            features.transform(images)
            assert tracemalloc.get_traced_memory()[1] < 15e6
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_change_no_bit(images, dtype):
    many = np.tile(images, (5, 1, 1, 1)).astype(dtype)
    model = fitted(images, [ZCAWhitening()], ENCODERS["deep"])
    one, three = (ConvolvedFeatures(model, n_jobs=n_jobs).fit_transform(many) for n_jobs in (1, 3))
    np.testing.assert_array_equal(one, three)
    assert len(np.unique(one)) > 100


# What is refused.


def refused(match, autoencoder, images, kind=ValueError, **how):
    with pytest.raises(kind, match=match):
        ConvolvedFeatures(autoencoder, **how).fit(images)


@pytest.mark.parametrize(
    ("step", "match"),
    [
        (PatchNormalizer(), "PatchNormalizer .*truncates numbers at 3 standard deviations.*use ZCAWhitening"),
        (MinMaxScaler(clip=True), r"MinMaxScaler .*no affine function.*clip=False"),
        (Normalizer(), "Normalizer .*no affine function"),
        (FunctionTransformer(np.sqrt), "FunctionTransformer .*no affine function"),
        (FunctionTransformer(np.tanh), "FunctionTransformer .*no affine function"),
        (FunctionTransformer(lambda rows: np.clip(rows, -1e4, 1e4)), "FunctionTransformer .*no affine function"),
        (FunctionTransformer(lambda rows: np.where(abs(rows) < 1e-4, 0, rows)), "FunctionTransformer .*no affine"),
        (
            FunctionTransformer(lambda rows: np.where((rows > 1e3) & (rows < 1e6), 0, rows)),
            "FunctionTransformer .*no affine",
        ),
        (FunctionTransformer(lambda rows: rows if len(rows) > 1 else 2 * rows), "FunctionTransformer .*no affine"),
        (FunctionTransformer(lambda rows: rows - rows.mean(axis=0)), "FunctionTransformer .*no affine function"),
    ],
    ids=["normalizer", "clip", "norm", "sqrt", "tanh", "far clip", "dead zone", "gap", "alone", "of all rows"],
)
def test_steps_that_are_not_affine_are_refused_by_name(images, step, match):
    refused(match, fitted(images, [step]), images)


@pytest.mark.parametrize("activation", ["maxout", "parametric_relu", "softmax"])
def test_activations_that_are_not_elementwise_are_refused_by_name(images, activation):
    autoencoder = SparseAutoencoder(
        n_components=4, activation=activation, sparsity_weight=0, output_activation="identity", max_iter=1
    )
    refused(f"SparseAutoencoder .*the activation '{activation}' of layer 0", fitted(images, [], autoencoder), images)


def test_layers_that_are_not_dense_are_refused_by_name(images):
    patches = sample_patches(images, 4, 20, random_state=0).reshape(-1, 4, 4, 3)
    autoencoder = ConvolutionalAutoencoder(layers=[Convolution(2, 3)], max_iter=1, n_jobs=1).fit(patches)
    refused("ConvolutionalAutoencoder .*layer 0 of its encoder is a ConvolutionLayer", autoencoder, images)


@pytest.mark.parametrize("model", [SoftmaxRegression(), make_pipeline(StandardScaler()), 3, None])
def test_what_is_no_autoencoder_is_refused(images, model):
    refused("autoencoder must be a fitted autoencoder of rhohat", model, images)


def test_an_autoencoder_that_is_not_fitted_is_refused(images):
    for model in (SparseAutoencoder(), make_pipeline(ZCAWhitening(), SparseAutoencoder())):
        refused("its SparseAutoencoder is not fitted", model, images, NotFittedError)
    model = make_pipeline(ZCAWhitening(), fitted(images)[-1])
    refused("its ZCAWhitening is not fitted", model, images, NotFittedError)


def test_images_that_do_not_suit_the_patches_are_refused(images):
    model = fitted(images)
    refused("patches of 4×4 pixels are larger than the images of 3×11 pixels", model, images[:, :3])
    refused("no square patch of images with 1 channel has this size", model, images[..., 0])
    refused("no square patch of images with 2 channels has this size", model, images[..., :2])
    refused("have 3 channels, but the images have 1 channel", model, images[..., 0], patch_shape=(4, 4, 3))
    refused("patch_shape=\\(4, 4\\) means 16 numbers .*of 48 numbers", model, images, patch_shape=(4, 4))
    refused("regions must be at most 10 down and 8 across, because a patch fits", model, images, regions=(10, 9))


def test_images_of_no_shape_are_refused(images):
    model, flat = fitted(images), images.reshape(9, -1)
    refused("flat rows of 429 numbers; set image_shape", model, flat)
    refused(
        "means 432 numbers in an image, but each row of X has the shape \\(429,\\)",
        model,
        flat,
        image_shape=(12, 12, 3),
    )
    refused("each row of X has the shape \\(13, 11, 3\\)", model, images, image_shape=(11, 13, 3))
    refused("X must be images of the shape", model, flat[0])
    refused("X must be images of the shape", model, images[None])


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("pooling", "sum"),
        ("regions", 0),
        ("regions", (2, 2, 2)),
        ("regions", (2, 1.5)),
        ("stride", 0),
        ("stride", (1, 0)),
        ("image_shape", (13, 0, 3)),
        ("image_shape", 13),
        ("patch_shape", (4,)),
        ("patch_shape", "4"),
        ("n_jobs", 0),
        ("n_jobs", 1.5),
    ],
)
def test_parameters_out_of_their_range_are_refused(images, parameter, value):
    refused(parameter, fitted(images), images, **{parameter: value})


def test_images_of_another_shape_than_those_of_the_fit_are_refused(images):
    features = ConvolvedFeatures(fitted(images)).fit(images)
    with pytest.raises(
        ValueError, match=r"must have the shape \(13, 11, 3\), as those of the fit had; got \(12, 11, 3\)"
    ):
        features.transform(images[:, :12])
    with pytest.raises(ValueError, match="flat rows of 428 numbers"):
        features.transform(images.reshape(9, -1)[:, 1:])


def test_flat_rows_are_taken_as_images_of_the_fit(images):
    features = ConvolvedFeatures(fitted(images)).fit(images)
    np.testing.assert_array_equal(features.transform(images.reshape(9, -1)), features.transform(images))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 37, 44])
def test_numbers_that_are_not_finite_are_refused(images, bad, place):
    many = np.tile(images, (5, 1, 1, 1))
    features = ConvolvedFeatures(fitted(images)).fit(many)
    many[place, 5, 5, 1] = bad
    with pytest.raises(ValueError, match=f"contains NaN or infinity, first in row {place}"):
        features.transform(many)


@pytest.mark.filterwarnings("ignore:Most of these rows lie far outside:UserWarning")
def test_features_that_are_too_large_are_refused(images):
    features = ConvolvedFeatures(given(10 * np.ones((48, 2)), "relu"), n_jobs=1).fit(images)
    with pytest.raises(ValueError, match="too large for float32"):
        features.transform((images * 1e38).astype(np.float32))


@pytest.mark.parametrize("steps", [[], [RangeScaler()], [StandardScaler(), ZCAWhitening()]], ids=["none", "one", "two"])
def test_images_on_another_scale_than_the_patches_cause_a_warning(images, steps):
    features = ConvolvedFeatures(fitted(images, steps)).fit(images)
    with pytest.warns(UserWarning, match="outside of the range of the training rows"):
        features.transform(images * 255)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features.transform(images)


# The contract of scikit-learn.


def test_a_clone_keeps_the_fitted_autoencoder(images):
    features = ConvolvedFeatures(fitted(images), regions=2).set_output(transform="pandas").fit(images)
    copied = clone(features)
    assert not hasattr(copied, "kernel_")
    assert copied.autoencoder is features.autoencoder
    assert copied.get_params() == features.get_params()
    pd.testing.assert_frame_equal(copied.fit_transform(images), features.transform(images))


def test_it_says_that_it_is_not_fitted(images):
    with pytest.raises(NotFittedError, match="not fitted"):
        ConvolvedFeatures(fitted(images)).transform(images)


def test_names_of_features_count_them(images):
    features = ConvolvedFeatures(fitted(images), regions=2).fit(images)
    names = features.get_feature_names_out()
    assert len(names) == features.transform(images).shape[1] == 20
    assert names[-1] == "convolvedfeatures19"


def test_parameters_of_the_fitted_autoencoder_cannot_be_set(images):
    features = ConvolvedFeatures(fitted(images))
    assert sorted(features.get_params()) == sorted(
        ["autoencoder", "image_shape", "n_jobs", "patch_shape", "pooling", "regions", "stride"]
    )
    with pytest.raises(ValueError, match="autoencoder__max_iter cannot be set, because the autoencoder is fitted"):
        features.set_params(autoencoder__max_iter=3)
    assert features.set_params(regions=1).fit(images).regions_ == (1, 1)


def test_a_search_over_a_pipeline_finds_the_number_of_regions(rng):
    """The class says in which half of the image the bright pixels are, which a single region cannot tell."""
    images, y = rng.random((60, 8, 8)) * 0.2, np.arange(60) % 2
    images[y == 0, :4] += 0.7
    images[y == 1, 4:] += 0.7
    features = ConvolvedFeatures(given(np.ones((9, 1)), "identity"), n_jobs=1)
    softmax = SoftmaxRegression(weight_decay=1e-6, max_iter=50, n_jobs=1)
    pipeline = Pipeline([("features", features), ("softmax", softmax)])
    search = GridSearchCV(pipeline, {"features__regions": [1, (2, 1)]}, cv=3).fit(images, y)
    assert search.best_params_ == {"features__regions": (2, 1)}
    assert search.best_score_ == 1
    assert search.cv_results_["mean_test_score"][0] < 0.8
