"""Weights of rows: whole ones are repetitions, and 0 leaves a row out."""

import warnings
from functools import partial
from typing import Any, NamedTuple

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
    FeedforwardClassifier,
    FeedforwardRegressor,
    L1Sparsity,
    PatchNormalizer,
    SoftmaxRegression,
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


N_COUNTING = 2_100  # so many that there is a warm-up
COUNTS = np.random.default_rng(2).permutation(np.arange(3_000) < N_COUNTING)
SOME_WEIGHTS = np.where(COUNTS, np.random.default_rng(3).uniform(0.5, 2, 3_000), 0.0)
#: Rows that count lie in [0, 1]; others are such that nothing is as before where one of them is looked at.
ROWS = np.where(COUNTS[:, None], np.random.default_rng(4).random((3_000, 4)), 1e200)
LABELS = np.where(COUNTS, np.where(ROWS[:, 0] > 0.5, "much", "little"), "unknown")
TARGETS = np.where(COUNTS, ROWS[:, 0] - ROWS[:, 1], -1e200)
TANGENTS = np.where(COUNTS[:, None, None], 0.1, 1e200) * np.ones((1, 1, 4))
FEW = {"max_iter": 3, "random_state": 0}

FITTED_TO_ROWS = {
    "autoencoder": (SparseAutoencoder(n_components=3, **FEW), None),
    "sigmoid": (SparseAutoencoder(n_components=3, output_activation="sigmoid", **FEW), None),
    "cross-entropy": (SparseAutoencoder(n_components=3, loss="binary_cross_entropy", **FEW), None),
    "denoising": (DenoisingAutoencoder(n_components=3, **FEW), None),
    "adam": (SparseAutoencoder(n_components=3, solver=Adam(0.01, early_stopping=True), **FEW), None),
    "limited": (SparseAutoencoder(n_components=3, memory_limit="60 MB", **FEW), None),
    "stack": (STACK, None),
    "regressor": (FeedforwardRegressor(hidden_layer_sizes=(3,), output_activation="sigmoid", **FEW), TARGETS),
    "noise": (FeedforwardRegressor(hidden_layer_sizes=(3,), noise_covariance="estimate", **FEW), TARGETS),
    "classifier": (FeedforwardClassifier(hidden_layer_sizes=(3,), tangent_weight=0.1, **FEW), LABELS),
    "classifier, limited": (FeedforwardClassifier(hidden_layer_sizes=(3,), memory_limit="60 MB", **FEW), LABELS),
    "softmax": (SoftmaxRegression(solver=Adam(batch_size=100), **FEW), LABELS),
    "stacked classifier": (StackedAutoencoderClassifier([AUTOENCODERS["sparse"]], corruption="masking", **FEW), LABELS),
}


def everything_learned(model):
    """The fitted attributes, those of parts too, but for names."""
    learned = {}
    for name, value in vars(model).items():
        if name.endswith("_") and not name.startswith("_") and name not in ("memory_plan_", "data_name_"):
            parts = value if isinstance(value, list) else [value]
            learned[name] = [everything_learned(part) if hasattr(part, "fit") else part for part in parts]
    return learned


class Rows(NamedTuple):
    """What a fit is given, as keyword arguments."""

    X: Any
    y: Any
    sample_weight: Any
    tangents: Any

    def of(self, model):
        left_out = [name for name in ("y", "tangents") if getattr(self, name) is None]
        left_out += [] if getattr(model, "tangent_weight", 0) else ["tangents"]
        return {name: value for name, value in self._asdict().items() if name not in left_out}

    def read_from_source(self):
        return self._replace(X=open_rows(self.X))


def all_rows_and_those_that_count(y, dtype):
    largest = np.finfo(dtype).max / 2
    X = ROWS.clip(max=largest).astype(dtype)
    rows = Rows(X, y, SOME_WEIGHTS, TANGENTS.clip(max=largest))
    return rows, Rows(*(None if array is None else array[COUNTS] for array in rows))


@pytest.mark.parametrize("from_source", [False, True])
@pytest.mark.parametrize("name", FITTED_TO_ROWS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_row_of_weight_zero_is_as_if_it_were_not_there(name, from_source, dtype):
    """To the last bit, in all that is learned of rows, whatever numbers and labels such a row has."""
    model, y = FITTED_TO_ROWS[name]
    rows, counting = all_rows_and_those_that_count(y, dtype)
    if from_source:
        rows, counting = rows.read_from_source(), counting.read_from_source()
    fitted, expected = clone(model).fit(**rows.of(model)), clone(model).fit(**counting.of(model))
    found, wanted = everything_learned(fitted), everything_learned(expected)
    assert found.keys() == wanted.keys() > {"coefs_", "training_range_"}
    np.testing.assert_equal(found, wanted)
    assert fitted.n_samples_fit_ == N_COUNTING
    if y is None:
        assert fitted.output_activation_ == "sigmoid"
    assert fitted.cost(**rows.of(model)) == expected.cost(**counting.of(model))


@pytest.mark.parametrize("name", ["autoencoder", "adam", "stack", "regressor", "classifier"])
@pytest.mark.parametrize("from_source", [False, True])
def test_a_score_looks_at_no_row_of_weight_zero(name, from_source):
    model, y = FITTED_TO_ROWS[name]
    rows, counting = all_rows_and_those_that_count(y, np.float64)
    fitted = clone(model).fit(**counting.of(model))
    if from_source:
        rows, counting = rows.read_from_source(), counting.read_from_source()
    score = fitted.score(rows.X, y, rows.sample_weight)
    assert score == pytest.approx(fitted.score(counting.X, counting.y, counting.sample_weight), rel=1e-9)


@pytest.mark.parametrize("name", ["adam", "softmax"])
def test_a_call_of_partial_fit_looks_at_no_row_of_weight_zero(name):
    model, y = FITTED_TO_ROWS[name]
    rows, counting = all_rows_and_those_that_count(y, np.float64)
    fitted, expected = clone(model), clone(model)
    for _ in range(2):
        fitted.partial_fit(**rows.of(model))
        expected.partial_fit(**counting.of(model))
    np.testing.assert_equal(everything_learned(fitted), everything_learned(expected))


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["autoencoder", "limited", "stack", "regressor", "classifier", "softmax"])
@pytest.mark.parametrize("from_source", [False, True])
def test_a_row_of_weight_zero_has_to_be_finite(name, from_source, number):
    model, y = FITTED_TO_ROWS[name]
    X = ROWS.clip(max=1)
    fitted = clone(model).fit(**Rows(X, y, SOME_WEIGHTS, TANGENTS).of(model))
    X[np.flatnonzero(~COUNTS)[7], 2] = number
    rows = Rows(open_rows(X) if from_source else X, y, SOME_WEIGHTS, TANGENTS).of(model)
    methods = [clone(model).fit, fitted.cost, fitted.objective]
    methods += [partial(fitted.score, y=y)] if y is None else []
    methods += [clone(model).partial_fit] if hasattr(model, "partial_fit") else []
    for method in methods:
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            method(**rows)


def test_a_class_that_weighs_nothing_is_none():
    y = np.array(["a", "b", "c"])[np.arange(24) % 3]
    model = SoftmaxRegression(**QUICK)
    assert model.fit(X, y, sample_weight=(y != "b") * 1.0).classes_.tolist() == ["a", "c"]
    with pytest.raises(
        ValueError, match="at least two classes among the rows with a weight above 0, but has only one class"
    ):
        model.fit(X, y, sample_weight=(y == "b") * 1.0)
    begun = SoftmaxRegression(solver="adam", random_state=0).partial_fit(X, y, classes=["a", "b", "c"])
    begun.partial_fit(X, np.where(y == "b", "d", y), sample_weight=(y != "b") * 1.0)
    assert begun.classes_.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["classifier", "regressor"])
def test_tangents_that_do_not_fit_are_refused_with_weights_too(name):
    model, y = FITTED_TO_ROWS[name]
    model = clone(model).set_params(tangent_weight=0.1)
    with pytest.raises(ValueError, match=r"tangents must have the shape \(3000, n_tangents, 4\).*got \(2999, 1, 4\)"):
        model.fit(ROWS, y, sample_weight=SOME_WEIGHTS, tangents=np.ones((2999, 1, 4)))


@pytest.mark.parametrize("size", [1e300, 1e308, 1e-300, 5e-324])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_weights_that_leave_no_digits_for_sums_are_refused(size, dtype):
    model, weights = clone(AUTOENCODERS["sparse"]), size * (1 + WEIGHTS / 4)
    with pytest.raises(
        ValueError, match=f"the largest number in sample_weight must be between .* for {np.dtype(dtype)}"
    ):
        model.fit(X.astype(dtype), sample_weight=weights / 2)
    with pytest.raises(ValueError, match="Divide the weights by their mean"):
        model.fit(X).score(X, sample_weight=weights / 2)


@pytest.mark.parametrize("size", [1e25, 1e-25, 1e280, 1e-280])
def test_weights_of_any_other_size_give_what_their_ratios_say(size):
    dtype = np.float32 if 1e-30 < size < 1e30 else np.float64
    model, weights = AUTOENCODERS["sparse"], 1.0 + WEIGHTS
    found = clone(model).fit(X.astype(dtype), sample_weight=size * weights)
    expected = clone(model).fit(X.astype(dtype), sample_weight=weights)
    tolerance = 1e-4 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(found.theta_, expected.theta_, rtol=tolerance, atol=tolerance)


def test_mini_batches_in_which_little_counts_are_trained_as_the_rows_that_count():
    """A few rows of large weights among many of none, or hardly any: the cost is that of the rows that count."""
    weights = np.zeros(400)
    weights[::20] = 10
    rows = np.random.default_rng(0).random((400, 8))
    model = SparseAutoencoder(
        n_components=4, sparsity=0.1, solver=Adam(0.01, batch_size=8), max_iter=60, random_state=0
    )
    for least in (0.0, 1e-9):
        fitted = clone(model).fit(rows, sample_weight=np.maximum(weights, least))
        assert fitted.solver_status_ == "max_iter"
        assert "learning_rate" not in fitted.solver_message_
        assert fitted.loss_curve_[-1] == pytest.approx(fitted.cost(rows, sample_weight=weights)[0], rel=0.5)
        assert fitted.loss_curve_[-1] < fitted.loss_curve_[0]
        stopping = clone(model).set_params(solver__early_stopping=True)
        assert np.diff(stopping.fit(rows, sample_weight=np.maximum(weights, least)).validation_curve_).min() < 0


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
        (open_rows(np.ones((24, 1))), "sample_weight must be an array in memory, as only X may be a row source"),
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
    again = clone(model).set_params(checkpoint__resume=True).fit(X, sample_weight=WEIGHTS)
    np.testing.assert_array_equal(again.theta_, model.theta_)
    with pytest.raises(ValueError, match="sample_weight"):
        clone(model).set_params(checkpoint__resume=True).fit(X)
    with pytest.raises(ValueError, match="the numbers in sample_weight are not the same"):
        clone(model).set_params(checkpoint__resume=True).fit(X, sample_weight=WEIGHTS + 1)


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
