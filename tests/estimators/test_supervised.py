"""Classifiers and regressors: what they learn, what they say about it, and how labels, weights and tangents count."""

import pickle
import warnings
from functools import partial

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, minmax_scale

from rhohat import (
    LBFGS,
    SGD,
    Adam,
    ConjugateGradient,
    DenoisingAutoencoder,
    FeedforwardClassifier,
    FeedforwardRegressor,
    GaussianLoss,
    GradientDescent,
    L1Sparsity,
    LabelNoiseCrossEntropy,
    MaskingNoise,
    NewtonCG,
    SoftmaxRegression,
    SparseAutoencoder,
    StackedAutoencoder,
    StackedAutoencoderClassifier,
    WeightDecay,
)
from rhohat.common.exceptions import ConvergenceWarning
from rhohat.common.randomness import keyed_generator
from rhohat.estimators.stacked_autoencoder import check_layers
from rhohat.terms.corruption import corrupt_rows
from tests.tolerances import EXACT

# How far a fit gets is not what these tests are about, unless they say so.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X_IRIS, Y_IRIS = load_iris(return_X_y=True)
X_IRIS = minmax_scale(X_IRIS)
BINARY = (Y_IRIS == 1).astype(int)
ADAM = Adam(learning_rate=0.02, batch_size=32)


def classifier(**parameters):
    return FeedforwardClassifier(**{"hidden_layer_sizes": (5,), "max_iter": 60, "random_state": 0, **parameters})


def regressor(**parameters):
    return FeedforwardRegressor(
        **{"hidden_layer_sizes": (6,), "activation": "tanh", "max_iter": 100, "random_state": 0, **parameters}
    )


@pytest.fixture(name="curve")
def rows_and_two_targets(rng):
    """Rows and two noisy targets, whose noise is correlated."""
    X = rng.uniform(-1, 1, (150, 2))
    Y = np.column_stack([np.sin(3 * X[:, 0]), X[:, 0] * X[:, 1]])
    return X, Y + 0.1 * rng.normal(size=(150, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])


def outputs(model, X):
    a = X
    for W, b, activation in zip(model.coefs_, model.intercepts_, model.network_.activations, strict=True):
        z = a @ W + b
        functions = {
            "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
            "tanh": np.tanh,
            "identity": lambda z: z,
            "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
        }
        a = functions[activation.name](z)
    return a


# Classifiers.

HEADS = {
    "softmax": ({}, "softmax_cross_entropy"),
    "softmax, squared": ({"loss": "squared_error"}, "squared_error"),
    "sigmoid": ({"output_activation": "sigmoid"}, "squared_error"),
    "sigmoid, cross-entropy": (
        {"output_activation": "sigmoid", "loss": "binary_cross_entropy"},
        "binary_cross_entropy",
    ),
    "cross-entropy, auto": ({"output_activation": "auto", "loss": "binary_cross_entropy"}, "binary_cross_entropy"),
    "noisy labels": ({"output_activation": "auto", "loss": LabelNoiseCrossEntropy(0.1)}, "label_noise_cross_entropy"),
    "tanh": ({"output_activation": "tanh"}, "squared_error"),
    "identity": ({"output_activation": "identity"}, "squared_error"),
}


@pytest.mark.parametrize(("parameters", "loss"), HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("y", [Y_IRIS, BINARY], ids=["three classes", "two classes"])
def test_every_output_gives_probabilities_and_learns(parameters, loss, y):
    model = classifier(max_iter=150, **parameters).fit(X_IRIS, y)
    probabilities = model.predict_proba(X_IRIS)
    n_classes = len(np.unique(y))
    single = n_classes == 2 and model.network_.activations[-1].name != "softmax"
    assert model.n_outputs_ == (1 if single else n_classes)
    assert probabilities.shape == (150, n_classes)
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=EXACT)
    np.testing.assert_array_equal(model.predict(X_IRIS), model.classes_[probabilities.argmax(axis=1)])
    positive = probabilities > 0
    np.testing.assert_array_equal(
        np.exp(model.predict_log_proba(X_IRIS))[positive], np.exp(np.log(probabilities[positive]))
    )
    assert list(model.terms_curve_) == [loss, "weight_decay"]
    assert model.score(X_IRIS, y) > 0.9


@pytest.mark.parametrize(
    ("output", "low", "high"), [("sigmoid", 0, 1), ("tanh", -1, 1), ("identity", 0, 1), ("softmax", 0, 1)]
)
@pytest.mark.parametrize("y", [Y_IRIS, BINARY], ids=["three classes", "two classes"])
def test_targets_lie_at_the_ends_that_the_output_can_reach(output, low, high, y):
    """The cost at the fitted weights, worked out by hand from the targets that the class names."""
    model = classifier(output_activation=output, loss="squared_error", weight_decay=0.0, max_iter=5).fit(X_IRIS, y)
    targets = np.where(y[:, None] == np.unique(y), high, low)
    if model.n_outputs_ == 1:
        targets = targets[:, 1:]
    a = outputs(model, X_IRIS)
    np.testing.assert_allclose(model.loss_curve_[-1], 0.5 * np.sum((a - targets) ** 2) / 150, rtol=EXACT)
    if output != "softmax":
        scaled = np.clip((a - low) / (high - low), 0, 1)
        expected = (
            np.hstack([1 - scaled, scaled]) if model.n_outputs_ == 1 else scaled / scaled.sum(axis=1, keepdims=True)
        )
        np.testing.assert_allclose(model.predict_proba(X_IRIS), expected, rtol=1e-10)


def test_rows_that_no_unit_claims_are_shared_by_all_classes():
    model = classifier(output_activation="identity", max_iter=5).fit(X_IRIS, Y_IRIS)
    model.intercepts_[-1][:] = -1e3
    np.testing.assert_array_equal(model.predict_proba(X_IRIS), np.full((150, 3), 1 / 3))


@pytest.mark.parametrize(
    "names", [["setosa", "versicolor", "virginica"], [30, -2, 7], np.array([2.0, 0.0, 1.0]), ["b", "a", "c"]]
)
def test_classes_may_be_called_anything(names):
    names = np.asarray(names)
    plain = classifier().fit(X_IRIS, np.argsort(np.argsort(names))[Y_IRIS])
    model = classifier().fit(X_IRIS, names[Y_IRIS])
    np.testing.assert_array_equal(model.classes_, np.sort(names))
    np.testing.assert_array_equal(model.predict(X_IRIS), np.sort(names)[plain.predict(X_IRIS)])
    np.testing.assert_array_equal(model.theta_, plain.theta_)
    truths = classifier().fit(X_IRIS, BINARY.astype(bool))
    assert truths.predict(X_IRIS).dtype == bool


def test_digits_are_told_apart():
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X[:900] / 16, y[:900], random_state=0)
    model = classifier(hidden_layer_sizes=(30,), weight_decay=1e-3, max_iter=100).fit(X, y)
    assert model.score(X_test, y_test) > 0.93
    adam = clone(model).set_params(solver=Adam(learning_rate=0.01, batch_size=32), max_iter=25).fit(X, y)
    assert adam.score(X_test, y_test) > 0.93


@pytest.mark.parametrize("sizes", [(), (4,), (6, 4), [5, 4, 3], np.array([4, 3])], ids=str)
def test_networks_of_any_depth(sizes):
    model = classifier(hidden_layer_sizes=sizes, activation=["tanh"] * len(sizes)).fit(X_IRIS, Y_IRIS)
    assert model.network_.layer_sizes == (4, *sizes, 3)
    assert [a.name for a in model.network_.activations] == ["tanh"] * len(sizes) + ["softmax"]
    np.testing.assert_allclose(model.predict_proba(X_IRIS), outputs(model, X_IRIS), rtol=1e-10)


def test_a_network_that_expects_wrong_labels_is_less_sure_of_them(rng):
    """Of flipped labels a fifth: ε says so, and the probabilities of the truth come out cleaner."""
    X = rng.normal(size=(600, 2))
    truth = (X[:, 0] > 0).astype(int)
    y = np.where(rng.random(600) < 0.2, 1 - truth, truth)
    surprise = {}
    for loss in ("binary_cross_entropy", LabelNoiseCrossEntropy(0.2)):
        model = classifier(hidden_layer_sizes=(), output_activation="auto", loss=loss, weight_decay=1e-3).fit(X, y)
        surprise[str(loss)] = -model.predict_log_proba(X)[np.arange(600), truth].mean()
    assert surprise["LabelNoiseCrossEntropy(epsilon=0.2)"] < 0.5 * surprise["binary_cross_entropy"]


@pytest.mark.parametrize(
    "make",
    [
        classifier,
        lambda **settings: classifier(output_activation="sigmoid", **settings),
        lambda **settings: classifier(penalties=[L1Sparsity(0.01)], **settings),
        lambda **settings: SoftmaxRegression(random_state=0, **settings),
        regressor,
    ],
    ids=["softmax", "sigmoid", "L1", "linear", "regressor"],
)
def test_rows_of_weight_zero_count_as_much_as_rows_that_are_not_there(make, rng):
    y = X_IRIS[:, :2] - 0.5 if make is regressor else Y_IRIS
    weights = rng.integers(0, 2, 150)
    weights[[0, 60, 120]] = 1
    model = make(max_iter=10).fit(X_IRIS, y, sample_weight=weights)
    without = make(max_iter=10).fit(X_IRIS[weights > 0], y[weights > 0])
    np.testing.assert_allclose(model.theta_, without.theta_, rtol=1e-7, atol=1e-9)
    everything = make(max_iter=10).fit(X_IRIS, y)
    assert not np.allclose(model.theta_, everything.theta_, rtol=1e-3)
    np.testing.assert_allclose(make(max_iter=10).fit(X_IRIS, y, 3 * np.ones(150)).theta_, everything.theta_, rtol=1e-8)


def test_a_weight_is_how_often_a_row_counts(rng):
    weights = rng.integers(0, 4, 150)
    settings = {"max_iter": 5000, "tol": 1e-10, "weight_decay": 1e-2, "random_state": 0}
    weighted = SoftmaxRegression(**settings).fit(X_IRIS, Y_IRIS, weights)
    repeated = SoftmaxRegression(**settings).fit(np.repeat(X_IRIS, weights, axis=0), np.repeat(Y_IRIS, weights))
    np.testing.assert_allclose(weighted.predict_proba(X_IRIS), repeated.predict_proba(X_IRIS), atol=1e-6)
    np.testing.assert_allclose(weighted.coefs_[0], repeated.coefs_[0], atol=1e-6)


def test_mini_batches_skip_rows_of_weight_zero():
    weights = (np.arange(150) % 50 < 25).astype(float)
    for y, make in ((Y_IRIS, classifier), (X_IRIS[:, :2], regressor)):
        model = make(solver=ADAM, max_iter=5).fit(X_IRIS, y, weights)
        poisoned = np.where(weights[:, None] > 0, X_IRIS, 1e3)
        np.testing.assert_array_equal(make(solver=ADAM, max_iter=5).fit(poisoned, y, weights).theta_, model.theta_)


@pytest.mark.parametrize("batch_size", [15, 32], ids=["as many as held out", "more"])
def test_early_stopping_survives_that_all_rows_held_out_have_weight_zero(batch_size):
    weights = np.ones(150)
    weights[keyed_generator(0, "rows held out").permutation(150)[:15]] = 0
    solver = Adam(batch_size=batch_size, early_stopping=True)
    assert classifier(solver=solver, max_iter=5).fit(X_IRIS, Y_IRIS, weights).solver_status_ != "not_finite"


def change_along(model, X, tangents, step=1e-5):
    """Return Σ_k ‖∂p/∂x · τ_k‖² of each row, averaged, by central differences."""
    function = model.predict_proba if hasattr(model, "predict_proba") else model.predict
    change = 0.0
    for k in range(tangents.shape[1]):
        ahead, behind = (function(X + sign * step * tangents[:, k]) for sign in (1, -1))
        change += np.mean(np.sum(np.square((ahead - behind) / (2 * step)).reshape(len(X), -1), axis=1))
    return change


@pytest.mark.parametrize("make", [classifier, regressor, lambda **p: SoftmaxRegression(random_state=0, **p)])
def test_outputs_change_less_along_tangents(make, rng):
    y = X_IRIS[:, :2] if make is regressor else Y_IRIS
    tangents = rng.normal(size=(150, 2, 4))
    if make is regressor:
        make = partial(make, scale_targets=False)  # the penalty is on the outputs
    free = make(max_iter=80).fit(X_IRIS, y)
    unmoved = make(max_iter=80, tangent_weight=0.5).fit(X_IRIS, y, tangents=tangents)
    assert change_along(unmoved, X_IRIS, tangents) < 0.7 * change_along(free, X_IRIS, tangents)
    expected = 0.25 * change_along(unmoved, X_IRIS, tangents)
    np.testing.assert_allclose(unmoved.terms_curve_["tangent_propagation"][-1], expected, rtol=1e-6)
    unused = make(max_iter=80).fit(X_IRIS, y, tangents=tangents)
    np.testing.assert_array_equal(unused.theta_, free.theta_)
    assert "tangent_propagation" not in free.terms_curve_
    epoch = make(solver=ADAM, tangent_weight=0.5).partial_fit(X_IRIS, y, tangents=tangents)
    assert not np.array_equal(epoch.theta_, make(solver=ADAM).partial_fit(X_IRIS, y).theta_)


def test_a_corruption_is_of_the_rows_that_are_learned_from_alone():
    """A solver that sees all rows at once sees one corruption of them, that of the first epoch."""
    noise = MaskingNoise(0.4)
    noisy = classifier(corruption=noise).fit(X_IRIS, Y_IRIS)
    corrupted = corrupt_rows(noise, X_IRIS, seed=0, epoch=0)
    by_hand = classifier().fit(corrupted, Y_IRIS)
    np.testing.assert_array_equal(noisy.theta_, by_hand.theta_)
    np.testing.assert_allclose(noisy.predict_proba(X_IRIS), outputs(by_hand, X_IRIS), rtol=EXACT)


def test_mini_batches_are_corrupted_afresh_in_every_epoch():
    settings = {"corruption": "gaussian", "solver": ADAM}
    whole = classifier(max_iter=3, **settings).fit(X_IRIS, Y_IRIS)
    step_by_step = classifier(**settings)
    for _ in range(3):
        step_by_step.partial_fit(X_IRIS, Y_IRIS)
    np.testing.assert_array_equal(whole.theta_, step_by_step.theta_)


def test_every_epoch_sees_another_corruption():
    """Rows that are all alike: nothing but the mask tells epochs apart."""

    class Recording(MaskingNoise):
        def apply(self, rows, draws):
            super().apply(rows, draws)
            seen.append(rows.copy())

    seen = []
    X, y = np.ones((2, 50)), np.array([0, 1])
    classifier(max_iter=4, solver=ADAM, corruption=Recording(0.5)).fit(X, y)
    masks = np.stack(seen).reshape(len(seen), -1)
    assert len(seen) >= 4
    assert len(np.unique(masks, axis=0)) == len(masks)


def test_a_corruption_that_is_none_is_refused():
    with pytest.raises(ValueError, match="'corruption' parameter of FeedforwardClassifier must be"):
        classifier(corruption=0.3).fit(X_IRIS, Y_IRIS)


def test_a_corruption_goes_with_weights_and_tangents(rng):
    model = classifier(corruption="gaussian", tangent_weight=0.1, solver=ADAM, max_iter=3)
    tangents = rng.normal(size=(len(X_IRIS), 1, X_IRIS.shape[1]))
    model.fit(X_IRIS, Y_IRIS, sample_weight=rng.random(len(X_IRIS)), tangents=tangents)
    assert np.all(np.isfinite(model.theta_))
    assert model.terms_curve_["tangent_propagation"][-1] > 0


@pytest.mark.parametrize("make", [classifier, regressor, lambda **p: SoftmaxRegression(random_state=0, **p)])
def test_warm_start_continues_where_the_last_fit_ended(make):
    y = X_IRIS[:, :2] if make is regressor else Y_IRIS
    model = make(max_iter=10, warm_start=True).fit(X_IRIS, y)
    first = model.loss_curve_[-1]
    model.set_params(max_iter=5).fit(X_IRIS, y)
    assert model.loss_curve_[-1] < model.loss_curve_[0] <= first
    cold = make(max_iter=5).fit(X_IRIS, y)
    assert cold.loss_curve_[0] > first
    with pytest.raises(ValueError, match="features"):
        model.fit(X_IRIS[:, :3], y)
    if make is not classifier:
        return
    with pytest.raises(ValueError, match=r"layer sizes \(4, 5, 3\) .* now require \(4, 6, 3\)"):
        model.set_params(hidden_layer_sizes=(6,)).fit(X_IRIS, y)


@pytest.mark.parametrize("solver", [ADAM, SGD(batch_size=40)], ids=["adam", "sgd"])
@pytest.mark.parametrize("make", [classifier, regressor, lambda **p: SoftmaxRegression(random_state=0, **p)])
def test_partial_fits_on_the_same_rows_are_the_epochs_of_a_fit(make, solver):
    y = X_IRIS[:, :2] if make is regressor else Y_IRIS
    weights = np.linspace(0.5, 2, 150)
    model = make(solver=solver)
    for epochs in (1, 2, 3):
        model.partial_fit(X_IRIS, y, sample_weight=weights)
        assert model.n_iter_ == len(model.loss_curve_) == epochs
    whole = make(solver=solver, max_iter=3, tol=0.0).fit(X_IRIS, y, weights)
    np.testing.assert_array_equal(model.theta_, whole.theta_)
    assert model.loss_curve_ == whole.loss_curve_
    again = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(again.partial_fit(X_IRIS, y).theta_, model.partial_fit(X_IRIS, y).theta_)
    assert not hasattr(make(), "partial_fit")


def test_partial_fit_of_a_classifier_knows_classes_that_a_batch_lacks():
    model = classifier(solver=ADAM)
    model.partial_fit(X_IRIS[:50], Y_IRIS[:50], classes=[2, 0, 1])
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])
    assert model.n_outputs_ == 3
    model.partial_fit(X_IRIS[60:], Y_IRIS[60:]).partial_fit(X_IRIS, Y_IRIS, classes=[0, 1, 2])
    before = model.theta_
    with pytest.raises(ValueError, match=r"y has the classes \[4\]"):
        model.partial_fit(X_IRIS, np.where(Y_IRIS == 2, 4, Y_IRIS))
    np.testing.assert_array_equal(model.theta_, before)
    for _ in range(60):
        model.partial_fit(X_IRIS, Y_IRIS)
    assert model.score(X_IRIS, Y_IRIS) > 0.9
    names = np.array(["setosa", "versicolor", "virginica"])
    named = classifier(solver=ADAM).partial_fit(X_IRIS[:100], names[Y_IRIS[:100]], classes=names)
    assert named.predict_proba(X_IRIS).shape == (150, 3)


def test_a_failed_first_partial_fit_leaves_nothing():
    model = classifier(solver=ADAM)
    with pytest.raises(ValueError, match="among"):
        model.partial_fit(X_IRIS, Y_IRIS, classes=[0, 1])
    assert not [name for name in vars(model) if name.endswith("_")]


def interrupt(state):
    raise KeyboardInterrupt


@pytest.mark.parametrize("make", [classifier, regressor])
def test_an_interrupted_fit_leaves_everything_as_it_was(make):
    y = X_IRIS[:, :2] if make is regressor else Y_IRIS
    model = make(callbacks=[interrupt])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X_IRIS, y)
    with pytest.raises(NotFittedError):
        model.predict(X_IRIS)
    model.set_params(callbacks=None).fit(X_IRIS, y)
    before = model.predict(X_IRIS)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(callbacks=[interrupt]).fit(X_IRIS[:, :2], BINARY if make is classifier else Y_IRIS)
    np.testing.assert_array_equal(model.predict(X_IRIS), before)


@pytest.mark.parametrize("make", [classifier, regressor])
def test_float32_stays_float32_and_threads_change_no_bit(make, rng):
    X = rng.random((5000, 64))
    y = X[:, :2] if make is regressor else (X[:, 0] + X[:, 1] > 1).astype(int)
    models = [make(max_iter=3, n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2)]
    np.testing.assert_array_equal(models[0].theta_, models[1].theta_)
    np.testing.assert_array_equal(models[0].predict(X), models[1].predict(X))
    single = make(max_iter=3).fit(X[:500].astype(np.float32), y[:500])
    assert {p.dtype for p in (*single.coefs_, *single.intercepts_)} == {np.dtype(np.float32)}
    outcome = single.predict if make is regressor else single.predict_proba
    # Targets may need more digits than float32 has.
    assert outcome(X.astype(np.float32)).dtype == (np.float64 if make is regressor else np.float32)
    assert outcome(X).dtype == np.float64


def test_tools_of_scikit_learn_take_them():
    grid = {"feedforwardclassifier__hidden_layer_sizes": [(), (4,)], "feedforwardclassifier__solver": ["lbfgs", ADAM]}
    search = GridSearchCV(make_pipeline(StandardScaler(), classifier(max_iter=20)), grid, cv=3).fit(X_IRIS, Y_IRIS)
    assert search.best_score_ > 0.9
    assert cross_val_score(SoftmaxRegression(max_iter=50), X_IRIS, Y_IRIS, cv=3).min() > 0.85
    assert (
        cross_val_score(
            regressor(), X_IRIS[:, :3], X_IRIS[:, 3], cv=KFold(3, shuffle=True), scoring="neg_mean_squared_error"
        ).min()
        > -0.1
    )


# Regressors.


def test_targets_of_one_or_several_columns_come_back_as_they_were(curve):
    X, Y = curve
    assert regressor().fit(X, Y[:, 0]).predict(X).shape == (150,)
    assert regressor().fit(X, Y[:, :1]).predict(X).shape == (150, 1)
    both = regressor(max_iter=300).fit(X, Y)
    assert both.predict(X).shape == (150, 2)
    assert both.n_outputs_ == 2
    np.testing.assert_allclose(both.predict(X), outputs(both, X) * Y.std(axis=0) + Y.mean(axis=0), rtol=1e-10)
    assert both.score(X, Y) > 0.85
    error = np.sum(((Y - both.predict(X)) / Y.std(axis=0)) ** 2)
    np.testing.assert_allclose(both.loss_curve_[-1], 0.5 * error / 150 + both.terms_curve_["weight_decay"][-1])
    np.testing.assert_allclose(both.target_shift_, Y.mean(axis=0))
    np.testing.assert_allclose(both.target_scale_, Y.std(axis=0))
    as_they_are = regressor(scale_targets=False, max_iter=300).fit(X, Y)
    np.testing.assert_allclose(as_they_are.predict(X), outputs(as_they_are, X), rtol=1e-10)
    np.testing.assert_array_equal([as_they_are.target_shift_, as_they_are.target_scale_], [[0, 0], [1, 1]])
    integers = regressor().fit(X, (10 * Y[:, 0]).astype(int))
    assert integers.predict(X).dtype == np.float64


def test_targets_of_any_units_are_learned_alike(curve):
    X, Y = curve
    known = regressor(max_iter=40).fit(X, Y)
    for unit, origin in ((1024.0, 0.0), (2.0**-30, 0.0), (2.0**600, 0.0), (1e5, -3e5)):
        model = regressor(max_iter=40).fit(X, Y * unit + origin)
        np.testing.assert_allclose(model.score(X, Y * unit + origin), known.score(X, Y), rtol=1e-6)
        np.testing.assert_allclose((model.predict(X) - origin) / unit, known.predict(X), rtol=1e-5, atol=1e-6)
        # How a Gaussian noise weighs the errors is said in the units of the targets.
        noise = 0.01 * np.array([[1, 0.5], [0.5, 1]])
        one, other = (
            regressor(max_iter=40, noise_covariance=noise * scale**2).fit(X, Y * scale) for scale in (1.0, 1024.0)
        )
        np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-9)


def test_constant_targets_and_rows_that_count_twice_are_scaled_soundly(curve):
    X, Y = curve
    constant = regressor(max_iter=40).fit(X, np.full(150, 0.1))
    np.testing.assert_allclose(constant.predict(X), 0.1, atol=0.01)
    assert constant.target_scale_ == [1.0]
    weights = np.arange(150) % 3
    weighted = regressor(max_iter=1).fit(X, Y, weights)
    repeated = regressor(max_iter=1).fit(np.repeat(X, weights, axis=0), np.repeat(Y, weights, axis=0))
    np.testing.assert_allclose(weighted.target_shift_, repeated.target_shift_, rtol=1e-12)
    np.testing.assert_allclose(weighted.target_scale_, repeated.target_scale_, rtol=1e-12)


def test_outputs_that_are_not_negative_are_scaled_without_a_shift(curve):
    X, Y = curve
    positive = 1000 * np.abs(Y)
    model = regressor(output_activation="relu", max_iter=100, random_state=1).fit(X, positive)
    np.testing.assert_array_equal(model.target_shift_, 0)
    assert model.predict(X).min() >= 0
    assert model.score(X, positive) > 0.3


def test_without_hidden_layers_it_is_linear_regression(curve):
    X, Y = curve
    model = regressor(hidden_layer_sizes=(), weight_decay=0.0, tol=1e-10, max_iter=500).fit(X, Y, np.arange(150))
    expected = LinearRegression().fit(X, Y, np.arange(150))
    np.testing.assert_allclose(model.predict(X), expected.predict(X), atol=1e-7)


@pytest.mark.parametrize("output", ["sigmoid", "tanh"])
def test_bounded_outputs_are_scaled_to_the_targets_and_back(output, curve):
    X, Y = curve
    far = Y * [1000.0, 0.01] + [5000.0, -3.0]
    model = regressor(output_activation=output, weight_decay=0.0, max_iter=300).fit(X, far)
    assert model.score(X, far) > 0.85
    plain = regressor(output_activation=output, weight_decay=0.0, max_iter=300).fit(X, Y)
    np.testing.assert_allclose(plain.loss_curve_[0], model.loss_curve_[0], rtol=1e-8)
    low, width = far.min(axis=0), np.ptp(far, axis=0)
    with pytest.warns(UserWarning, match="far outside"):
        anywhere = model.predict(1e6 * np.random.default_rng(0).normal(size=(500, 2)))
    assert np.all(anywhere >= low - 0.125 * width - 1e-9)
    assert np.all(anywhere <= low + 1.125 * width + 1e-9)
    ends = []
    for sign in (1, -1):
        model.coefs_[-1][:], model.intercepts_[-1][:] = 0, sign * 100
        ends.append(model.predict(X[:1])[0])
    np.testing.assert_allclose(ends, [low + 1.125 * width, low - 0.125 * width], rtol=1e-10)


def test_targets_that_are_all_alike_are_learned_by_bounded_outputs(curve):
    X, _ = curve
    model = regressor(output_activation="sigmoid", weight_decay=0.0, max_iter=300).fit(X, np.full(150, 7.0))
    np.testing.assert_allclose(model.predict(X), 7, atol=0.01)


def log_likelihood(residual, covariance):
    return multivariate_normal(np.zeros(2), covariance).logpdf(residual).sum()


@pytest.mark.parametrize("output", ["identity", "sigmoid"])
def test_a_given_noise_covariance_weighs_the_residuals(output, curve):
    X, Y = curve
    covariance = np.array([[2.0, 0.3], [0.3, 0.1]])
    model = regressor(noise_covariance=covariance, output_activation=output, weight_decay=0.0).fit(X, Y)
    residual = Y - model.predict(X)
    quadratic = 0.5 * np.einsum("ij,jk,ik->i", residual, np.linalg.inv(covariance), residual).mean()
    np.testing.assert_allclose(model.terms_curve_["gaussian"][-1], quadratic, rtol=1e-9)
    np.testing.assert_array_equal(model.noise_covariance_, covariance)
    np.testing.assert_allclose(model.log_likelihood_, log_likelihood(residual, covariance), rtol=1e-9)
    assert model.log_likelihood_curve_ == [model.log_likelihood_]


def test_unit_covariance_and_the_gaussian_loss_are_the_squared_error(curve):
    X, Y = curve
    plain, given, loss = (
        regressor(max_iter=10, **settings).fit(X, Y)
        for settings in (
            {"scale_targets": False},
            {"noise_covariance": np.eye(2), "scale_targets": False},
            {"loss": GaussianLoss(np.eye(2)), "scale_targets": False},
        )
    )
    for model in (given, loss):
        np.testing.assert_allclose(model.theta_, plain.theta_, rtol=1e-9)
    assert not hasattr(plain, "noise_covariance_")
    assert not hasattr(given.set_params(noise_covariance=None).fit(X, Y), "log_likelihood_")


@pytest.mark.parametrize("output", ["identity", "tanh"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_noise_covariance_is_estimated(output, weighted, curve):
    X, Y = curve
    weights = np.arange(150) % 3 if weighted else None
    model = regressor(noise_covariance="estimate", output_activation=output, max_iter=60).fit(X, Y, weights)
    counts = np.ones(150) if weights is None else weights
    residual = Y - model.predict(X)
    expected = (residual * counts[:, None]).T @ residual / counts.sum()
    np.testing.assert_allclose(model.noise_covariance_, expected, rtol=1e-8)
    np.testing.assert_allclose(model.noise_covariance_, 0.01 * np.array([[1, 0.8], [0.8, 1]]), atol=0.006)
    likelihood = (counts * multivariate_normal(np.zeros(2), expected).logpdf(residual)).sum()
    np.testing.assert_allclose(model.log_likelihood_, likelihood, rtol=1e-9)
    assert model.log_likelihood_ == model.log_likelihood_curve_[-1]
    assert 1 <= len(model.log_likelihood_curve_) <= 10
    assert np.all(np.diff(model.log_likelihood_curve_[:-1]) > 0)
    first = regressor(noise_covariance="estimate", output_activation=output, max_iter=60, max_covariance_updates=1)
    first.fit(X, Y, weights)
    assert len(first.log_likelihood_curve_) == 1
    assert first.log_likelihood_curve_ == model.log_likelihood_curve_[:1]
    assert len(first.loss_curve_) == first.n_iter_ <= 120


def test_an_interrupted_estimate_of_the_covariance_leaves_everything_as_it_was(curve):
    X, Y = curve
    model = regressor(noise_covariance="estimate", max_iter=5).fit(X, Y)
    before, calls = model.predict(X), []

    def interrupt_the_second_solve(state):
        calls.append(state)
        if len(calls) == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.set_params(callbacks=[interrupt_the_second_solve], random_state=1, tol=0.0).fit(X, Y)
    np.testing.assert_array_equal(model.predict(X), before)


def test_partial_fit_of_a_regressor_learns_and_keeps_the_scaling_of_its_first_targets(curve):
    X, Y = curve
    model = regressor(solver=ADAM, output_activation="sigmoid")
    model.partial_fit(X, Y)
    ceiling = Y.min(axis=0) + 1.125 * np.ptp(Y, axis=0)
    for _ in range(60):
        model.partial_fit(X, Y)
    assert model.score(X, Y) > 0.5
    model.partial_fit(X[:20], Y[:20] / 2)
    with pytest.raises(ValueError, match="y lies outside of the range that output_activation='sigmoid' reaches"):
        model.partial_fit(X, 10 * Y)
    model.coefs_[-1][:], model.intercepts_[-1][:] = 0, 100
    np.testing.assert_allclose(model.predict(X[:1])[0], ceiling, rtol=1e-10)
    vector = regressor(solver=ADAM).partial_fit(X, Y[:, 0])
    assert vector.predict(X).shape == (150,)


@pytest.mark.parametrize(("unit", "is_usual"), [(1, True), (100, True), (0.2, True), (1e5, False), (1e-3, False)])
def test_targets_in_units_that_do_not_suit_the_penalty_are_said(unit, is_usual, rng):
    X = rng.standard_normal((60, 3))
    y = unit * StandardScaler().fit_transform(X @ rng.standard_normal((3, 2)))
    # Into the range of a sigmoid, targets are mapped in any case.
    kinds = {("identity", False): is_usual, ("sigmoid", False): True, ("identity", True): True}
    settings = {"hidden_layer_sizes": (3,), "max_iter": 3, "random_state": 0}
    for (output, scales), is_silent in kinds.items():
        model = FeedforwardRegressor(output_activation=output, scale_targets=scales, **settings)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            model.fit(X, y)
        assert any("standardise y" in str(one.message) for one in caught) != is_silent


# Softmax regression.


def test_every_solver_finds_the_minimum_of_a_convex_cost():
    settings = {"weight_decay": 0.05, "random_state": 0, "tol": 1e-9}
    solvers = {
        "lbfgs": (LBFGS(), 500),
        "cg": (ConjugateGradient(), 500),
        "newton": (NewtonCG(), 100),
        "descent": (GradientDescent(learning_rate=1.0), 2000),
        "sgd": (SGD(learning_rate=0.5, momentum=0.9, batch_size=150), 500),
        "adam": (Adam(learning_rate=0.1, batch_size=150, schedule="cosine"), 500),
        "sgd, batches": (SGD(learning_rate=0.5, batch_size=50, schedule="cosine"), 600),
    }
    models = {
        name: SoftmaxRegression(solver=solver, max_iter=max_iter, **settings).fit(X_IRIS, Y_IRIS)
        for name, (solver, max_iter) in solvers.items()
    }
    for name, model in models.items():
        np.testing.assert_allclose(model.coefs_[0], models["lbfgs"].coefs_[0], atol=1e-3 if "batches" in name else 1e-5)
    # The other program decays the sum of rows: C = 1 / (λ n_samples).
    other = LogisticRegression(C=1 / (0.05 * 150), tol=1e-10, max_iter=10000).fit(X_IRIS, Y_IRIS)
    np.testing.assert_allclose(models["lbfgs"].predict_proba(X_IRIS), other.predict_proba(X_IRIS), atol=1e-6)


def test_softmax_regression_is_a_classifier_without_hidden_layers():
    model = SoftmaxRegression(random_state=0, max_iter=20).fit(X_IRIS, Y_IRIS)
    same = classifier(hidden_layer_sizes=(), max_iter=20).fit(X_IRIS, Y_IRIS)
    np.testing.assert_array_equal(model.theta_, same.theta_)


# The stacked autoencoder as a classifier.

LAYERS = [
    SparseAutoencoder(n_components=8, sparsity=0.2, sparsity_weight=0.05, max_iter=60),
    DenoisingAutoencoder(n_components=5, activation="tanh", max_iter=60),
]


def stacked(**parameters):
    return StackedAutoencoderClassifier(**{"layers": LAYERS, "max_iter": 100, "random_state": 0, **parameters})


def test_fine_tuning_starts_from_the_softmax_on_the_codes():
    """A step too small to see, and the network is what pre-training and softmax made of it."""
    model = stacked(solver=SGD(learning_rate=1e-15, batch_size=1000), max_iter=1).fit(X_IRIS, Y_IRIS)
    expected = model.softmax_.predict_proba(model.autoencoder_.transform(X_IRIS))
    np.testing.assert_allclose(model.predict_proba(X_IRIS), expected, rtol=1e-10)
    start = stacked(max_iter=1, tol=1e9).fit(X_IRIS, Y_IRIS)
    codes = start.autoencoder_.transform(X_IRIS)
    np.testing.assert_allclose(start.predict_proba(X_IRIS), start.softmax_.predict_proba(codes), rtol=1e-10)
    assert start.accuracy_before_ == start.accuracy_after_ == start.score(X_IRIS, Y_IRIS)
    assert start.network_.layer_sizes == (4, 8, 5, 3)


def test_fine_tuning_raises_the_accuracy_and_leaves_the_record_of_what_was_before():
    model = stacked().fit(X_IRIS, Y_IRIS)
    codes = model.autoencoder_.transform(X_IRIS)
    assert model.accuracy_before_ == model.softmax_.score(codes, Y_IRIS)
    assert model.accuracy_after_ == model.score(X_IRIS, Y_IRIS)
    assert model.accuracy_before_ <= model.accuracy_after_
    assert model.accuracy_after_ > 0.93
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert [type(layer) for layer in model.autoencoder_.autoencoders_] == [type(layer) for layer in LAYERS]
    assert not np.allclose(model.coefs_[0], model.autoencoder_.coefs_[0])
    assert not any(hasattr(layer, "coefs_") for layer in LAYERS)
    np.testing.assert_array_equal(stacked(n_jobs=1).fit(X_IRIS, Y_IRIS).theta_, model.theta_)
    assert not np.array_equal(stacked(random_state=1).fit(X_IRIS, Y_IRIS).coefs_[0], model.coefs_[0])


def test_a_corruption_is_for_the_fine_tuning_alone():
    clean, noisy = (stacked(corruption=noise).fit(X_IRIS, Y_IRIS) for noise in (None, "masking"))
    np.testing.assert_array_equal(clean.autoencoder_.theta_, noisy.autoencoder_.theta_)
    np.testing.assert_array_equal(clean.softmax_.theta_, noisy.softmax_.theta_)
    assert not np.allclose(clean.theta_, noisy.theta_)


def test_the_softmax_has_a_decay_of_its_own():
    light, heavy = (stacked(softmax_weight_decay=decay, max_iter=20).fit(X_IRIS, Y_IRIS) for decay in (0.0, 10.0))
    assert np.abs(heavy.softmax_.coefs_[0]).max() < 0.1 * np.abs(light.softmax_.coefs_[0]).max()
    np.testing.assert_array_equal(heavy.autoencoder_.theta_, light.autoencoder_.theta_)


@pytest.mark.filterwarnings("ignore:The code is the same for every row:UserWarning")
def test_pre_training_softmax_and_fine_tuning_have_weight_decays_of_their_own():
    """Each acts on its part, and leaves what was before as it is."""
    layers = [SparseAutoencoder(n_components=8, sparsity=0.2, sparsity_weight=0.05, max_iter=30)]
    plain = stacked(layers=layers, max_iter=30).fit(X_IRIS, Y_IRIS)
    heavy = stacked(layers=layers, max_iter=30, fine_tuning_weight_decay=1.0).fit(X_IRIS, Y_IRIS)
    np.testing.assert_array_equal(heavy.autoencoder_.theta_, plain.autoencoder_.theta_)
    np.testing.assert_array_equal(heavy.softmax_.theta_, plain.softmax_.theta_)
    assert np.abs(heavy.coefs_[-1]).max() < 0.1 * np.abs(plain.coefs_[-1]).max()
    decayed = stacked(layers=layers, max_iter=30).set_params(layers__0__weight_decay=1.0).fit(X_IRIS, Y_IRIS)
    first, usual = decayed.autoencoder_.coefs_[0], plain.autoencoder_.coefs_[0]
    assert np.linalg.norm(first) < 0.2 * np.linalg.norm(usual)


def test_the_weight_decay_of_the_fine_tuning_acts_on_the_softmax_and_a_penalty_on_all_layers():
    model = stacked(max_iter=5, fine_tuning_weight_decay=0.3).fit(X_IRIS, Y_IRIS)
    squares = [np.sum(W**2) for W in model.coefs_]
    assert model.terms_curve_["weight_decay"][-1] == pytest.approx(0.15 * squares[-1], rel=EXACT)
    model = stacked(max_iter=5, fine_tuning_weight_decay=0.0, penalties=[WeightDecay(0.3)]).fit(X_IRIS, Y_IRIS)
    squares = [np.sum(W**2) for W in model.coefs_]
    assert model.terms_curve_["weight_decay"][-1] == pytest.approx(0.15 * sum(squares), rel=EXACT)


def test_a_stack_is_by_default_that_of_the_course():
    """Two layers of 200, ρ = 0.1, β = 3, λ = 3e-3; 1e-4 for the softmax; 3e-3 for its weights in the fine-tuning."""
    rng = np.random.default_rng(0)
    X, y = rng.random((20, 6)), np.arange(20) % 2
    model = StackedAutoencoderClassifier(max_iter=1, tol=1e9, random_state=0)
    model.set_params(layers=[layer.set_params(max_iter=1) for layer in check_layers(None)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    assert model.network_.layer_sizes == (6, 200, 200, 2)
    for layer in model.autoencoder_.autoencoders_:
        assert (layer.sparsity, layer.sparsity_weight, layer.weight_decay) == (0.1, 3.0, 3e-3)
    assert (model.softmax_.weight_decay, model.fine_tuning_weight_decay) == (1e-4, 3e-3)
    for default in (StackedAutoencoder(), StackedAutoencoderClassifier()):
        assert default.layers is None
        assert [repr(layer) for layer in check_layers(default.layers)] == [repr(layer) for layer in check_layers(None)]


def test_weights_tangents_and_names_reach_the_fine_tuning(rng):
    weights = rng.integers(0, 3, 150)
    names = np.array(["setosa", "versicolor", "virginica"])[Y_IRIS]
    model = stacked(max_iter=20).fit(X_IRIS, names, weights)
    assert model.accuracy_after_ == model.score(X_IRIS, names, weights)
    counting = weights > 0
    codes, labels, weights = model.autoencoder_.transform(X_IRIS[counting]), names[counting], weights[counting]
    assert model.accuracy_before_ == model.softmax_.score(codes, labels, weights)
    np.testing.assert_array_equal(clone(model.softmax_).fit(codes, labels, weights).theta_, model.softmax_.theta_)
    tangents = rng.normal(size=(150, 1, 4))
    free, unmoved = (
        stacked(max_iter=40, tangent_weight=weight).fit(X_IRIS, Y_IRIS, tangents=tangents) for weight in (0.0, 1.0)
    )
    assert change_along(unmoved, X_IRIS, tangents) < 0.7 * change_along(free, X_IRIS, tangents)


def test_a_stack_that_is_fitted_warm_is_trained_further_as_a_whole():
    model = stacked(max_iter=10, warm_start=True).fit(X_IRIS, Y_IRIS)
    first, autoencoder = model.loss_curve_[-1], model.autoencoder_
    model.fit(X_IRIS, Y_IRIS)
    assert model.loss_curve_[-1] < model.loss_curve_[0] <= first
    assert model.autoencoder_ is autoencoder
    assert model.accuracy_after_ == model.score(X_IRIS, Y_IRIS)


def test_an_interrupted_fine_tuning_leaves_everything_as_it_was():
    model = stacked(max_iter=10).fit(X_IRIS, Y_IRIS)
    record = dict(vars(model))
    with pytest.raises(KeyboardInterrupt):
        model.set_params(callbacks=[interrupt], random_state=1).fit(X_IRIS, Y_IRIS)
    fitted = [name for name in record if name.endswith("_")]
    assert "autoencoder_" in fitted
    assert all(getattr(model, name) is record[name] for name in fitted)


def test_partial_fit_of_a_stack_tunes_what_was_pre_trained_and_is_not_there_before():
    assert not hasattr(stacked(solver=ADAM), "partial_fit")
    assert not hasattr(stacked(max_iter=5).fit(X_IRIS, Y_IRIS), "partial_fit")
    model = stacked(solver=ADAM, max_iter=5).fit(X_IRIS, Y_IRIS)
    autoencoder, before = model.autoencoder_, model.theta_
    model.partial_fit(X_IRIS, Y_IRIS)
    assert model.autoencoder_ is autoencoder
    assert 0 < np.abs(model.theta_ - before).max() < 0.5


@pytest.mark.parametrize(
    "estimator",
    [
        SparseAutoencoder(n_components=3, max_iter=1),
        FeedforwardClassifier(hidden_layer_sizes=(3,), max_iter=1),
        FeedforwardRegressor(hidden_layer_sizes=(3,), max_iter=1),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_warning_that_is_an_error_finds_the_estimator_fitted_whole(estimator, rng):
    X = rng.random((30, 4))
    fitted = clone(estimator)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning, match="1 iteration was done"):
            fitted.fit(X, (X[:, 0] > 0.5).astype(int))
    fitted.predict(X)


def test_the_layers_of_a_stack_are_searched_by_their_names(rng):
    X = rng.random((60, 4))
    y = (X[:, 0] > 0.5).astype(int)
    layers = [SparseAutoencoder(n_components=3, sparsity=0.2, max_iter=5)]
    stack = StackedAutoencoderClassifier(layers, max_iter=5, random_state=0)
    assert stack.get_params()["layers__0__n_components"] == 3
    assert "layers__0__n_components" not in stack.get_params(deep=False)
    search = GridSearchCV(stack, {"layers__0__n_components": [2, 4], "fine_tuning_weight_decay": [1e-4]}, cv=2).fit(
        X, y
    )
    assert search.best_estimator_.network_.layer_sizes[1] == search.best_params_["layers__0__n_components"]
    assert layers[0].n_components == 3  # the search works on clones
    assert stack.set_params(layers__0__sparsity=0.3, max_iter=7).layers[0].sparsity == 0.3
    with pytest.raises(ValueError, match="Invalid parameter 'layers__1__sparsity'"):
        stack.set_params(layers__1__sparsity=0.3)
