"""Weights of rows: whole ones are repetitions, and 0 leaves a row out."""

import warnings

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline

from rhohat import (
    Adam,
    ContractiveAutoencoder,
    DeepAutoencoder,
    DenoisingAutoencoder,
    L1Sparsity,
    PatchNormalizer,
    SparseAutoencoder,
    StackedAutoencoder,
    StackedAutoencoderClassifier,
    open_rows,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).random((24, 5))
WEIGHTS = np.random.default_rng(1).integers(0, 4, 24)
REPEATED = X.repeat(WEIGHTS, axis=0)
QUICK = {"max_iter": 5, "tol": 0.0, "random_state": 0}

AUTOENCODERS = {
    "sparse": SparseAutoencoder(n_components=3, sparsity=0.2, **QUICK),
    "tanh": SparseAutoencoder(n_components=3, activation="tanh", sparsity=0.2, tied_weights=True, **QUICK),
    "l1": SparseAutoencoder(n_components=3, sparsity_weight=0, penalties=L1Sparsity(0.1), **QUICK),
    "cross-entropy": SparseAutoencoder(n_components=3, sparsity=0.2, loss="binary_cross_entropy", **QUICK),
    "contractive": ContractiveAutoencoder(n_components=3, **QUICK),
    "deep": DeepAutoencoder(hidden_layer_sizes=(4, 2), sparsity_weight=0.3, **QUICK),
    "denoising": DenoisingAutoencoder(n_components=3, corruption=None, **QUICK),
}
STACK = StackedAutoencoder([AUTOENCODERS["sparse"], AUTOENCODERS["contractive"]], random_state=0)
each = pytest.mark.parametrize("name", AUTOENCODERS)


@each
@pytest.mark.parametrize("rows", [X, open_rows(X)], ids=["array", "source"])
def test_whole_weights_are_repetitions_in_the_cost_and_its_gradient(name, rows):
    model = AUTOENCODERS[name]
    theta = model.initial_theta(X)
    value, gradient, terms = model.objective(rows, sample_weight=WEIGHTS).evaluate(theta)
    expected = model.objective(REPEATED).evaluate(theta)
    np.testing.assert_allclose(value, expected[0], rtol=1e-10)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-10, atol=1e-12)
    assert list(terms) == list(expected[2])


@each
def test_a_weight_of_zero_leaves_a_row_out(name):
    model, kept = AUTOENCODERS[name], np.arange(24) % 3 > 0
    theta = model.initial_theta(X)
    value, gradient, _ = model.objective(X, sample_weight=kept).evaluate(theta)
    expected = model.objective(X[kept]).evaluate(theta)
    np.testing.assert_allclose(value, expected[0], rtol=1e-10)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [*AUTOENCODERS, "stack"])
@pytest.mark.parametrize("from_source", [False, True])
def test_a_fit_with_whole_weights_is_one_to_repeated_rows(name, from_source):
    model = STACK if name == "stack" else AUTOENCODERS[name]
    rows = open_rows(X) if from_source else X
    weighted, repeated = clone(model).fit(rows, sample_weight=WEIGHTS), clone(model).fit(REPEATED)
    np.testing.assert_allclose(weighted.theta_, repeated.theta_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(weighted.mean_activation_, repeated.mean_activation_, rtol=1e-6)
    codes = np.average(weighted.transform(X), axis=0, weights=WEIGHTS)
    np.testing.assert_allclose(weighted.mean_activation_, codes, rtol=1e-10)
    np.testing.assert_allclose(weighted.cost(X, sample_weight=WEIGHTS)[0], weighted.cost(REPEATED)[0], rtol=1e-10)
    np.testing.assert_allclose(weighted.score(rows, None, WEIGHTS), weighted.score(REPEATED), rtol=1e-10)


@pytest.mark.parametrize("name", [*AUTOENCODERS, "stack"])
def test_equal_weights_are_none(name):
    model = STACK if name == "stack" else AUTOENCODERS[name]
    weighted, plain = clone(model).fit(X, sample_weight=np.full(24, 3.0)), clone(model).fit(X)
    np.testing.assert_allclose(weighted.theta_, plain.theta_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(weighted.score(X, sample_weight=np.full(24, 0.5)), plain.score(X), rtol=1e-6)


def test_weights_reach_mini_batches_and_partial_fit():
    model = clone(AUTOENCODERS["sparse"]).set_params(solver=Adam(0.01, batch_size=24))
    weighted, repeated = clone(model), clone(model).set_params(solver__batch_size=len(REPEATED))
    for _ in range(3):
        weighted.partial_fit(X, sample_weight=WEIGHTS)
        repeated.partial_fit(REPEATED)
    np.testing.assert_allclose(weighted.theta_, repeated.theta_, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(weighted.mean_activation_, repeated.mean_activation_, rtol=1e-9)
    fitted = clone(model).set_params(max_iter=3).fit(X, sample_weight=WEIGHTS)
    np.testing.assert_array_equal(fitted.theta_, weighted.theta_)


def test_the_layers_of_a_classifier_are_trained_with_the_weights_too():
    y = np.arange(24) % 2
    model = StackedAutoencoderClassifier([AUTOENCODERS["sparse"]], **QUICK)
    weighted = clone(model).fit(X, y, sample_weight=WEIGHTS)
    repeated = clone(model).fit(REPEATED, y.repeat(WEIGHTS))
    np.testing.assert_allclose(weighted.autoencoder_.theta_, repeated.autoencoder_.theta_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(weighted.theta_, repeated.theta_, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-5)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-np.ones(24), "Negative values in data passed to `sample_weight`"),
        (np.zeros(24), "at least one non-zero number|not 0 for every row"),
        (np.ones(23), r"sample_weight.shape == \(23,\), expected \(24,\)"),
        (np.full(24, np.nan), "contains NaN"),
        (np.full(24, np.inf), "infinity"),
        (np.ones((24, 2)), "Sample weights must be 1D"),
        (open_rows(np.ones((24, 1))), "sample_weight must be an array in memory, only X may be a row source"),
    ],
    ids=["negative", "zero", "too few", "nan", "inf", "2-D", "source"],
)
@pytest.mark.parametrize("model", [AUTOENCODERS["sparse"], STACK], ids=["sparse", "stack"])
@pytest.mark.parametrize("rows", [X, open_rows(X)], ids=["array", "source"])
def test_weights_that_are_none_are_refused_before_work(model, weights, message, rows):
    def never_called(state):
        raise AssertionError("work was started")

    model = clone(model)
    for layer in getattr(model, "layers", [model]):
        layer.set_params(callbacks=[never_called])
    with pytest.raises(ValueError, match=message):
        model.fit(rows, sample_weight=weights)
    fitted = clone(AUTOENCODERS["sparse"]).fit(X)
    for method in (fitted.score, fitted.cost, fitted.objective):
        with pytest.raises(ValueError, match=message):
            method(rows, sample_weight=weights)


def test_a_resumed_fit_has_to_have_the_same_weights(tmp_path):
    model = clone(AUTOENCODERS["sparse"]).set_params(checkpoint=tmp_path / "a").fit(X, sample_weight=WEIGHTS)
    again = clone(model).set_params(resume=True).fit(X, sample_weight=WEIGHTS)
    np.testing.assert_array_equal(again.theta_, model.theta_)
    with pytest.raises(ValueError, match="sample_weight"):
        clone(model).set_params(resume=True).fit(X)
    with pytest.raises(ValueError, match="the numbers in sample_weight are not the same"):
        clone(model).set_params(resume=True).fit(X, sample_weight=WEIGHTS + 1)


def test_float32_stays_float32():
    model = clone(AUTOENCODERS["sparse"]).fit(X.astype(np.float32), sample_weight=WEIGHTS.tolist())
    assert model.coefs_[0].dtype == np.float32
    expected = clone(AUTOENCODERS["sparse"]).fit(X, sample_weight=WEIGHTS)
    np.testing.assert_allclose(model.cost(X)[0], expected.cost(X)[0], rtol=1e-3)


def test_weights_are_routed_to_fits_and_scores():
    with config_context(enable_metadata_routing=True), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = clone(AUTOENCODERS["sparse"]).set_fit_request(sample_weight=True)
        pipeline = make_pipeline(PatchNormalizer(), model)
        weighted = pipeline.fit(X, sample_weight=WEIGHTS)
        by_hand = clone(AUTOENCODERS["sparse"]).fit(PatchNormalizer().fit_transform(X), sample_weight=WEIGHTS)
        np.testing.assert_array_equal(weighted[-1].theta_, by_hand.theta_)
        scored = clone(model).set_score_request(sample_weight=True)
        results = cross_validate(scored, X, params={"sample_weight": 1 + WEIGHTS}, cv=2, return_estimator=True)
        second = np.arange(24) >= 12
        expected = clone(AUTOENCODERS["sparse"]).fit(X[second], sample_weight=1 + WEIGHTS[second])
        np.testing.assert_array_equal(results["estimator"][0].theta_, expected.theta_)
        score = expected.score(X[~second], sample_weight=1 + WEIGHTS[~second])
        assert results["test_score"][0] == score
        search = GridSearchCV(scored, {"sparsity": [0.1, 0.3]}, cv=2).fit(X, sample_weight=1 + WEIGHTS)
        assert search.best_params_["sparsity"] in (0.1, 0.3)
