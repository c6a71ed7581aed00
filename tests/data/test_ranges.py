"""Rows on another scale than those of a fit are noticed, wherever they come from; others are not."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import rhohat
from rhohat.data.ranges import remark_on_scale

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FAR = "outside of the range of the training rows|far smaller than the training rows"


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16, y


def fitted(kind, X, y):
    if kind == "autoencoder":
        return rhohat.SparseAutoencoder(n_components=4, max_iter=3, random_state=0).fit(X)
    if kind == "classifier":
        return rhohat.FeedforwardClassifier(hidden_layer_sizes=(4,), max_iter=3, random_state=0).fit(X, y)
    return rhohat.FeedforwardRegressor(hidden_layer_sizes=(4,), max_iter=3, random_state=0).fit(X, y)


@pytest.mark.parametrize("scale", [255, 1 / 255, -9, 1000])
@pytest.mark.parametrize("use", ["transform", "reconstruct", "score", "predict", "predict_proba", "source"])
def test_rows_on_another_scale_are_noticed(use, scale, digits):
    X, y = digits
    kind = {"predict": "regressor", "predict_proba": "classifier"}.get(use, "autoencoder")
    model = fitted(kind, X[:900], y[:900])
    call = model.transform if use == "source" else getattr(model, use)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call(rhohat.open_rows(X[900:]) if use == "source" else X[900:])
    with pytest.warns(UserWarning, match=FAR):
        call(rhohat.open_rows(X * scale) if use == "source" else X * scale)


@pytest.mark.parametrize(
    "steps",
    [
        [rhohat.PatchNormalizer()],
        [rhohat.RangeScaler()],
        [rhohat.ZCAWhitening()],
        [MinMaxScaler()],
        [StandardScaler()],
        [StandardScaler(), rhohat.PatchNormalizer()],
    ],
    ids=str,
)
@pytest.mark.parametrize("use", ["evaluate", "report", "transform"])
def test_a_pipeline_notices_it_too(use, steps, digits, tmp_path):
    X, _ = digits
    model = make_pipeline(*steps, rhohat.SparseAutoencoder(n_components=4, max_iter=3, random_state=0)).fit(X[:900])
    rhohat.save(model, tmp_path / "m.safetensors")
    loaded = rhohat.load(tmp_path / "m.safetensors")
    calls = {
        "evaluate": lambda rows: rhohat.evaluate(loaded, rows),
        "report": lambda rows: rhohat.report(loaded, rows),
        "transform": loaded.transform,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        calls[use](X[900:])
    with pytest.warns(UserWarning, match=FAR) as caught:
        calls[use](np.repeat(X, 12, axis=0) * 255)
    assert len({str(one.message) for one in caught}) == 1 or use == "transform"  # where each step speaks for itself


def test_every_estimator_and_transformer_remembers_its_range(digits):
    X, y = digits
    expected = np.array([X.min(axis=0), X.max(axis=0)])
    for kind in ("autoencoder", "classifier", "regressor"):
        assert np.array_equal(fitted(kind, X, y).training_range_, expected)
    for transformer in (rhohat.PatchNormalizer(), rhohat.RangeScaler(), rhohat.ZCAWhitening()):
        assert np.array_equal(transformer.fit(rhohat.open_rows(X)).training_range_, expected)
    stack = rhohat.StackedAutoencoder([rhohat.SparseAutoencoder(n_components=4, max_iter=3)]).fit(X)
    assert np.array_equal(stack.training_range_, expected)


def test_the_range_grows_from_call_to_call(digits):
    X, _ = digits
    model = rhohat.SparseAutoencoder(n_components=4, solver="adam", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for scale in (0.001, 1, 0.001):
            model.partial_fit(X * scale)
    assert np.array_equal(model.training_range_, [X.min(axis=0), X.max(axis=0)])


TRAINED = np.array([[0.0, 0.0, -1.0, 0.0], [1.0, 4.0, 1.0, 4.0]])


@pytest.mark.parametrize(
    ("rows", "is_remarkable"),
    [
        ([[0.5, 3.0, 0.1, 3.0]] * 20, False),  # at ease
        ([[1.9, 7.9, 2.9, 3.9]] * 20, False),  # beyond, but not by the width of the range, and not in each feature
        ([[1.9, 7.9, 2.9, 7.9]] * 20, True),  # beyond in each feature
        ([[1.9, 7.9, 2.9, 7.9]] * 9, False),  # but too few to tell
        ([[2.1, 8.1, 0.5, 1.0]] * 20 + [[0.0] * 4], True),
        ([[2.1, 8.1, 0.0, 0.0]] * 20, True),  # all that is not 0
        ([[2.1, 8.1, 0.5, 1.0]] * 5 + [[0.0, 1.0, 0.0, 1.0]] * 6, False),  # some rows alone
        ([[2.5, 0.0, 0.5, 1.0]] * 20, False),  # in one of three that are not 0
        ([[60.0, 0.0, 0.5, 1.0]] * 20, True),  # in one, but very far
        ([[0.002, 0.01, 0.009, 0.03]] * 10 + [[0.001, 0.02, -0.003, 0.0]] * 10, True),  # far smaller
        ([[0.5, 0.01, 0.001, 0.01]] * 20, False),  # but not in every feature
        ([[0.001, 0.01, 0.001, 0.01]] * 2, False),  # too few to tell
    ],
)
def test_what_is_remarkable_is_said(rows, is_remarkable):
    assert (remark_on_scale(np.array(rows), TRAINED) is not None) == is_remarkable


def test_patches_that_were_not_normalised_are_noticed():
    """They lie close to 0, and normalised ones from 0.1 to 0.9: distances are less than the width of the range."""
    images = [rhohat.whiten_image(image, boundary="reflect") for image in rhohat.photographs()]
    patches = rhohat.sample_patches(images, 8, 500, 0)
    model = fitted("autoencoder", rhohat.PatchNormalizer().fit_transform(patches), None)
    with pytest.warns(UserWarning, match=r"Nearly all numbers of these rows lie outside .* prepared in the same way\?"):
        model.transform(patches)


def test_some_features_that_hardly_varied_do_not_hide_the_scale(rng):
    """As the pixels at the border of digits."""
    X = rng.integers(0, 256, (500, 100)).astype(float)
    X[:, :4] = rng.integers(0, 8, (500, 4))
    training_range = np.array([X.min(axis=0), X.max(axis=0)])
    assert remark_on_scale(X / 255, training_range) is not None
    assert remark_on_scale(X, training_range) is None


def test_all_parts_of_a_source_are_looked_at(digits):
    """A file may begin with other rows than it goes on with."""
    X, _ = digits
    model = fitted("autoencoder", X, None)
    mixed = np.concatenate([X[:600], 255 * np.repeat(X, 2, axis=0)])
    with pytest.warns(UserWarning, match=FAR):
        model.transform(rhohat.open_rows(mixed))


def test_the_range_of_few_rows_says_nothing(digits):
    X, _ = digits
    for transformer in (rhohat.PatchNormalizer(), rhohat.RangeScaler(), rhohat.ZCAWhitening()):
        transformer.fit(X).fit(X[:19])
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            transformer.transform(X * 255)


def test_features_that_never_varied_say_nothing_of_a_scale():
    assert remark_on_scale(np.full((20, 2), 9.0), np.zeros((2, 2))) is None
    training_range = np.array([[0.0, 5.0], [1.0, 5.0]])
    varied = np.linspace(0, 1, 20)[:, None] * [1, 0] + [0, 5.5]
    assert remark_on_scale(varied, training_range) is None


def test_models_without_a_range_are_silent(digits):
    X, y = digits
    model = fitted("autoencoder", X, y)
    del model.training_range_
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.transform(X * 255)
