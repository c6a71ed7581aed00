"""Estimators learn from row sources what they learn from the same rows in memory, to the last bit."""

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from rhohat import (
    LBFGS,
    Adam,
    ContractiveAutoencoder,
    DeepAutoencoder,
    DenoisingAutoencoder,
    FeedforwardClassifier,
    FeedforwardRegressor,
    SoftmaxRegression,
    SparseAutoencoder,
    StackedAutoencoder,
    StackedAutoencoderClassifier,
    check_gradient,
    open_rows,
)
from rhohat.data import RowSource
from rhohat.engines import ThreadEngine
from rhohat.estimators.stacked_autoencoder import HasLayers
from rhohat.objective import make_objective
from rhohat.objective.mini_batches import MiniBatches
from rhohat.ops import compiled_or_numpy
from tests.data.test_rows import WRITERS, write_csv, write_hdf5, write_npy, write_parquet
from tests.peak_memory import PEAK

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

AUTOENCODERS = {
    "sparse": SparseAutoencoder(n_components=4, sparsity=0.1, max_iter=8, random_state=0),
    "float32 first": SparseAutoencoder(
        n_components=4, sparsity=0.1, solver=LBFGS(float32_first=True), max_iter=8, random_state=0
    ),
    "denoising": DenoisingAutoencoder(n_components=4, solver="lbfgs", n_corruptions=2, max_iter=4, random_state=0),
    "contractive": ContractiveAutoencoder(n_components=4, max_iter=4, random_state=0),
    "deep": DeepAutoencoder(hidden_layer_sizes=(5, 3), sparsity=0.2, sparsity_weight=0.1, max_iter=4, random_state=0),
    "newton": SparseAutoencoder(n_components=3, sparsity=0.1, solver="newton_cg", max_iter=2, random_state=0),
    "stacked": StackedAutoencoder(
        [SparseAutoencoder(n_components=size, sparsity=0.2, max_iter=4) for size in (5, 3)], random_state=0
    ),
    "cross-entropy": SparseAutoencoder(n_components=3, loss="binary_cross_entropy", max_iter=4, random_state=0),
}


LAYERS = [SparseAutoencoder(n_components=size, sparsity=0.2, max_iter=3) for size in (5, 3)]

CLASSIFIERS = {
    "softmax": SoftmaxRegression(max_iter=5, random_state=0),
    "one hidden layer": FeedforwardClassifier(hidden_layer_sizes=(4,), max_iter=5, random_state=0),
    "float32 first": FeedforwardClassifier(
        hidden_layer_sizes=(4,), solver=LBFGS(float32_first=True), max_iter=6, random_state=0
    ),
    "tanh": FeedforwardClassifier(hidden_layer_sizes=(4,), output_activation="tanh", max_iter=4, random_state=0),
    "sigmoid": FeedforwardClassifier(
        hidden_layer_sizes=(4, 3), loss="binary_cross_entropy", max_iter=4, random_state=0
    ),
    "corrupted": FeedforwardClassifier(hidden_layer_sizes=(4,), corruption="masking", max_iter=4, random_state=0),
    "newton": SoftmaxRegression(solver="newton_cg", max_iter=2, random_state=0),
    "conjugate gradient": FeedforwardClassifier(
        hidden_layer_sizes=(3,), solver="conjugate_gradient", max_iter=3, random_state=0
    ),
    "gradient descent": FeedforwardClassifier(
        hidden_layer_sizes=(3,), solver="gradient_descent", max_iter=3, random_state=0
    ),
    "adam": FeedforwardClassifier(
        hidden_layer_sizes=(4,), solver=Adam(early_stopping=True), corruption="masking", max_iter=2, random_state=0
    ),
    "stacked": StackedAutoencoderClassifier(LAYERS, corruption="masking", max_iter=4, random_state=0),
}

REGRESSORS = {
    "identity": FeedforwardRegressor(hidden_layer_sizes=(4,), max_iter=5, random_state=0),
    "sigmoid": FeedforwardRegressor(hidden_layer_sizes=(4,), output_activation="sigmoid", max_iter=4, random_state=0),
    "float32 first": FeedforwardRegressor(
        hidden_layer_sizes=(4,), solver=LBFGS(float32_first=True), max_iter=6, random_state=0
    ),
    "sgd": FeedforwardRegressor(hidden_layer_sizes=(4,), solver="sgd", max_iter=2, random_state=0),
    "given covariance": FeedforwardRegressor(
        hidden_layer_sizes=(3,), noise_covariance=[[2.0, 0.5], [0.5, 1.0]], max_iter=4, random_state=0
    ),
    "estimated covariance": FeedforwardRegressor(
        hidden_layer_sizes=(3,), noise_covariance="estimate", max_covariance_updates=2, max_iter=3, random_state=0
    ),
}


@pytest.fixture(name="X")
def rows_in_the_unit_interval(rng):
    """More than 2,000, so that there is a warm-up."""
    return rng.random((2600, 6)).round(4)


@pytest.fixture(name="labels")
def three_classes(X):
    return np.array(["high", "low", "middle"])[np.digitize(X[:, 0] + X[:, 1] * X[:, 2], [0.5, 1.0])]


@pytest.fixture(name="targets")
def two_targets(X, rng):
    return np.column_stack([np.sin(3 * X[:, 0]), X[:, 1] - X[:, 2]]) + 0.1 * rng.normal(size=(len(X), 2))


@pytest.mark.parametrize("write", WRITERS)
def test_the_same_rows_give_the_same_bits_wherever_they_are(write, X, tmp_path):
    in_memory = AUTOENCODERS["sparse"]
    theta, cost = in_memory.fit(X).theta_, in_memory.cost(X)
    with open_rows(write(tmp_path, X)) as rows:
        from_source = SparseAutoencoder(**in_memory.get_params()).fit(rows)
        np.testing.assert_array_equal(from_source.theta_, theta)
        assert from_source.cost(rows) == cost
        assert from_source.n_features_in_ == 6


@pytest.mark.parametrize("name", AUTOENCODERS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_autoencoder_takes_row_sources(name, dtype, X, tmp_path):
    X = X.astype(dtype)
    in_memory = AUTOENCODERS[name].fit(X)
    theta, mean_activation, score = in_memory.theta_, in_memory.mean_activation_, in_memory.score(X)
    codes, reconstruction = in_memory.transform(X), in_memory.reconstruct(X)
    with open_rows(write_npy(tmp_path, X)) as rows:
        from_source = AUTOENCODERS[name].fit(rows)
        np.testing.assert_array_equal(from_source.theta_, theta)
        np.testing.assert_array_equal(from_source.mean_activation_, mean_activation)
        np.testing.assert_array_equal(from_source.transform(rows), codes)
        np.testing.assert_array_equal(from_source.reconstruct(rows), reconstruction)
        assert from_source.score(rows) == pytest.approx(score, rel=1e-5 if dtype == np.float32 else 1e-12)
        out = np.empty_like(codes)
        assert from_source.transform(rows, out=out) is out


def test_threads_change_no_bit(X, tmp_path):
    thetas = []
    with open_rows(write_hdf5(tmp_path, X)) as rows:
        for n_jobs in (1, 2, 3):
            model = SparseAutoencoder(n_components=4, sparsity=0.1, max_iter=5, random_state=0, n_jobs=n_jobs)
            thetas.append(model.fit(rows).theta_)
    assert all(np.array_equal(theta, thetas[0]) for theta in thetas)


def test_the_objective_on_a_source_has_the_right_gradient(X, tmp_path):
    with open_rows(write_npy(tmp_path, X)) as rows:
        J = SparseAutoencoder(n_components=3).objective(rows)
        theta = J.network.initial_theta(np.random.default_rng(0))
        assert check_gradient(J, theta, indices=20).relative_difference < 1e-8


def test_a_fit_goes_on_from_a_source(X, tmp_path):
    model = SparseAutoencoder(n_components=3, sparsity=0.1, max_iter=5, warm_start=True, random_state=0).fit(X)
    before = model.cost(X)[0]
    with open_rows(write_npy(tmp_path, X)) as rows:
        assert model.fit(rows).cost(X)[0] < before


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_names_of_columns_are_remembered(write, X, tmp_path):
    with open_rows(write(tmp_path, X)) as rows:
        model = SparseAutoencoder(n_components=2, max_iter=2).fit(rows)
        assert list(model.feature_names_in_) == rows.feature_names
    model.fit(X)
    assert not hasattr(model, "feature_names_in_")


def test_a_transform_on_the_way_is_part_of_the_rows(X, tmp_path):
    scaled = SparseAutoencoder(n_components=2, max_iter=3, random_state=0).fit(X / 2).theta_
    with open_rows(write_npy(tmp_path, X), transform=lambda block: block / 2) as rows:
        model = SparseAutoencoder(n_components=2, max_iter=3, random_state=0).fit(rows)
    np.testing.assert_array_equal(model.theta_, scaled)


# Classifiers and regressors.


def same_fits(estimator, X, y, path, **rows):
    """Return the estimator fitted in memory and from a file, having seen that both say the same of themselves."""
    in_memory = clone(estimator).fit(X, y, **rows)
    with open_rows(write_npy(path, X)) as source:
        from_source = clone(estimator).fit(source, y, **rows)
        np.testing.assert_array_equal(from_source.theta_, in_memory.theta_)
        assert from_source.theta_.dtype == X.dtype
        for name in ("loss_curve_", "terms_curve_", "validation_curve_", "n_evaluations_", "warm_up_evaluations_"):
            assert getattr(from_source, name) == getattr(in_memory, name)
        for method in ("predict", "predict_proba", "predict_log_proba"):
            if hasattr(in_memory, method):
                np.testing.assert_array_equal(getattr(from_source, method)(source), getattr(in_memory, method)(X))
        assert from_source.score(source, y) == in_memory.score(X, y)
    return in_memory, from_source


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_classifier_takes_row_sources(name, dtype, X, labels, tmp_path):
    in_memory, from_source = same_fits(CLASSIFIERS[name], X.astype(dtype), labels, tmp_path)
    assert list(from_source.classes_) == ["high", "low", "middle"]
    assert bool(in_memory.warm_up_evaluations_) == (name not in ("adam", "stacked"))
    if name == "stacked":
        assert from_source.accuracy_before_ == in_memory.accuracy_before_
        assert from_source.accuracy_after_ == in_memory.accuracy_after_ == in_memory.score(X.astype(dtype), labels)


@pytest.mark.parametrize("name", ["softmax", "tanh", "sigmoid", "stacked"])
def test_two_classes_from_row_sources(name, X, labels, tmp_path):
    _, from_source = same_fits(CLASSIFIERS[name], X, labels == "low", tmp_path)
    assert from_source.n_outputs_ == (1 if name in ("tanh", "sigmoid") else 2)


@pytest.mark.parametrize("name", REGRESSORS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_regressor_takes_row_sources(name, dtype, X, targets, tmp_path):
    in_memory, from_source = same_fits(REGRESSORS[name], X.astype(dtype), targets, tmp_path)
    if "covariance" in name:
        np.testing.assert_array_equal(from_source.noise_covariance_, in_memory.noise_covariance_)
        assert from_source.log_likelihood_curve_ == in_memory.log_likelihood_curve_


def test_a_vector_of_targets_comes_back_as_one(X, targets, tmp_path):
    _, from_source = same_fits(REGRESSORS["identity"], X, targets[:, 0], tmp_path)
    assert from_source.predict(open_rows(X)).shape == (len(X),)


@pytest.mark.parametrize(
    "estimator", [CLASSIFIERS["corrupted"], CLASSIFIERS["stacked"], REGRESSORS["estimated covariance"]], ids=str
)
def test_weights_and_tangents_go_with_row_sources(estimator, X, labels, targets, rng, tmp_path):
    estimator = clone(estimator).set_params(tangent_weight=0.1)
    y = targets if isinstance(estimator, FeedforwardRegressor) else labels
    rows = {"sample_weight": rng.integers(0, 3, len(X)), "tangents": rng.normal(size=(len(X), 2, 6))}
    in_memory, _ = same_fits(estimator, X, y, tmp_path, **rows)
    unweighted = clone(estimator).fit(X, y, tangents=rows["tangents"])
    assert not np.array_equal(in_memory.theta_, unweighted.theta_)


@pytest.mark.parametrize("name", ["one hidden layer", "stacked", "identity"])
def test_supervised_fits_go_on_from_a_source(name, X, labels, targets):
    y = targets if name in REGRESSORS else labels
    models = [clone({**CLASSIFIERS, **REGRESSORS}[name]).set_params(warm_start=True).fit(X, y) for _ in range(2)]
    before = models[0].theta_
    models[0].fit(X, y)
    models[1].fit(open_rows(X), y)
    np.testing.assert_array_equal(models[0].theta_, models[1].theta_)
    assert not np.array_equal(models[0].theta_, before)
    with pytest.raises(ValueError, match="X has 4 features"):
        models[1].fit(open_rows(X[:, :4]), y)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_epochs_of_supervised_estimators_on_row_sources(name, X, labels, targets, tmp_path):
    y = targets if name in REGRESSORS else labels
    in_memory, from_source = (clone({**CLASSIFIERS, **REGRESSORS}[name]) for _ in range(2))
    with open_rows(write_csv(tmp_path, X)) as rows:
        for _ in range(2):
            np.testing.assert_array_equal(from_source.partial_fit(rows, y).theta_, in_memory.partial_fit(X, y).theta_)
        assert list(from_source.feature_names_in_) == rows.feature_names
    with pytest.raises(ValueError, match="X has 4 features"):
        from_source.partial_fit(open_rows(X[:, :4]), y)
    X[1234, 3] = np.nan
    with pytest.raises(ValueError, match="first in row 1234"):
        from_source.partial_fit(open_rows(X), y)


IN_MINI_BATCHES = {
    "adam": SparseAutoencoder(n_components=4, sparsity=0.1, solver="adam", max_iter=2, random_state=0),
    "sgd": SparseAutoencoder(n_components=4, solver="sgd", max_iter=2, random_state=0),
    "early stopping": SparseAutoencoder(n_components=4, solver=Adam(early_stopping=True), max_iter=3, random_state=0),
    "denoising": DenoisingAutoencoder(n_components=4, solver=Adam(early_stopping=True), max_iter=2, random_state=0),
    "cross-entropy": SparseAutoencoder(
        n_components=3, loss="binary_cross_entropy", solver="adam", max_iter=2, random_state=0
    ),
    "deep": DeepAutoencoder(hidden_layer_sizes=(5, 3), solver="adam", max_iter=2, random_state=0),
    "stacked": StackedAutoencoder(
        [SparseAutoencoder(n_components=size, solver="adam", max_iter=2) for size in (5, 3)], random_state=0
    ),
}


@pytest.mark.parametrize("write", WRITERS)
def test_mini_batches_from_any_source_are_those_in_memory(write, X, tmp_path):
    in_memory, from_source = (clone(IN_MINI_BATCHES["adam"]) for _ in range(2))
    with open_rows(write(tmp_path, X)) as rows:
        np.testing.assert_array_equal(from_source.fit(rows).theta_, in_memory.fit(X).theta_)
        np.testing.assert_array_equal(from_source.mean_activation_, in_memory.mean_activation_)


@pytest.mark.parametrize("name", IN_MINI_BATCHES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_autoencoder_takes_mini_batches_from_row_sources(name, dtype, X, tmp_path):
    X = X.astype(dtype)
    in_memory, from_source = (clone(IN_MINI_BATCHES[name]) for _ in range(2))
    with open_rows(write_npy(tmp_path, X)) as rows:
        np.testing.assert_array_equal(from_source.fit(rows).theta_, in_memory.fit(X).theta_)
        if name != "stacked":
            assert from_source.validation_curve_ == in_memory.validation_curve_


def test_epochs_of_autoencoders_on_row_sources(X, tmp_path):
    in_memory, from_source = (clone(IN_MINI_BATCHES["adam"]) for _ in range(2))
    with open_rows(write_csv(tmp_path, X)) as rows:
        for _ in range(2):
            np.testing.assert_array_equal(from_source.partial_fit(rows).theta_, in_memory.partial_fit(X).theta_)
        assert list(from_source.feature_names_in_) == rows.feature_names
    with pytest.raises(ValueError, match="X has 4 features"):
        from_source.partial_fit(open_rows(X[:, :4]))


@pytest.mark.parametrize("early_stopping", [False, True])
def test_windows_of_rows_that_are_sorted_serve_about_as_well_as_all_rows(early_stopping, X, tmp_path):
    X = X[np.argsort(X[:, 0])]
    problem = SparseAutoencoder(n_components=4)._make_problem(X, SparseAutoencoder(n_components=4).objective(X).network)
    theta = problem.network.initial_theta(np.random.default_rng(0))
    engine = ThreadEngine(1)
    J = make_objective(problem, engine)
    solver = Adam(learning_rate=0.01, batch_size=50, early_stopping=early_stopping)
    costs = []
    with open_rows(write_npy(tmp_path, X)) as rows:
        for source, window_bytes in ((X, 2**28), (rows, X.nbytes // 5)):
            batches = MiniBatches(
                replace(problem, X=source),
                engine,
                seed=0,
                validation_fraction=0.05 * early_stopping,
                window_bytes=window_bytes,
            )
            result = solver.minimize(batches, theta, max_iter=30, tol=0)
            assert bool(result.validation_curve) == early_stopping
            costs.append(J(result.theta)[0])
    start = J(theta)[0]
    assert costs[0] < 0.7 * start
    assert start - costs[1] == pytest.approx(start - costs[0], rel=0.05)


def test_supervised_fits_remember_names_of_columns(X, labels, targets, tmp_path):
    with open_rows(write_csv(tmp_path, X)) as rows:
        for model, y in ((CLASSIFIERS["stacked"], labels), (REGRESSORS["identity"], targets)):
            model = clone(model).fit(rows, y)
            assert list(model.feature_names_in_) == rows.feature_names
            with pytest.raises(ValueError, match="in this order"):
                model.predict(open_rows(pd.DataFrame(X, columns=rows.feature_names[::-1])))


# Codes of a stack that are too many for memory.


@pytest.fixture(name="files")
def temporary_files(monkeypatch, tmp_path_factory):
    """The temporary files that are made."""
    make, made = tempfile.TemporaryFile, []

    def remember(*arguments, **options):
        made.append(make(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
    monkeypatch.setattr(tempfile, "TemporaryFile", remember)
    return made


def is_gone(file):
    return file.closed and not any(entry.is_file() for entry in Path(tempfile.tempdir).iterdir())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("most_bytes", "n_files"), [(0, 2), (2600 * 3 * 8, 1), (2**28, 0)])
def test_codes_in_a_file_are_the_codes_in_memory(most_bytes, n_files, dtype, X, labels, files, monkeypatch):
    X = X.astype(dtype)
    stack, classifier = AUTOENCODERS["stacked"], CLASSIFIERS["stacked"]
    theta, tuned = clone(stack).fit(X).theta_, clone(classifier).fit(X, labels).theta_
    monkeypatch.setattr(HasLayers, "_most_bytes_of_codes", most_bytes * X.dtype.itemsize // 8)
    assert not files
    np.testing.assert_array_equal(clone(stack).fit(open_rows(X)).theta_, theta)
    assert len(files) == (n_files > 0)
    np.testing.assert_array_equal(clone(classifier).fit(open_rows(X), labels).theta_, tuned)
    assert len(files) == (n_files > 0) + n_files
    clone(classifier).fit(X, labels)  # codes of rows in memory stay there
    assert len(files) == (n_files > 0) + n_files
    assert all(is_gone(file) for file in files)


def test_a_fit_that_fails_leaves_no_file(X, labels, files, monkeypatch):
    monkeypatch.setattr(HasLayers, "_most_bytes_of_codes", 0)

    def fail(state):
        raise RuntimeError("enough")

    for fails in (
        StackedAutoencoder([LAYERS[0], clone(LAYERS[1]).set_params(callbacks=[fail])]),
        StackedAutoencoderClassifier(LAYERS, callbacks=[fail]),
    ):
        with pytest.raises(RuntimeError, match="enough"):
            fails.fit(open_rows(X), labels)
        assert files
        assert all(is_gone(file) for file in files)
        assert not hasattr(fails, "coefs_")
        files.clear()


def test_a_full_disk_leaves_no_file(X, files, monkeypatch):
    monkeypatch.setattr(HasLayers, "_most_bytes_of_codes", 0)
    make = tempfile.TemporaryFile

    def make_full():
        file = make()
        file.flush = lambda: (_ for _ in ()).throw(OSError(28, "No space left on device"))
        return file

    monkeypatch.setattr(tempfile, "TemporaryFile", make_full)
    with pytest.raises(OSError, match="No space left"):
        StackedAutoencoder(LAYERS).fit(open_rows(X))
    assert all(is_gone(file) for file in files)


# Bad input.


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_refused_with_their_number(value, X, tmp_path):
    good = SparseAutoencoder(n_components=2, max_iter=2).fit(X)
    X[1234, 3] = value
    with open_rows(write_npy(tmp_path, X)) as rows:
        for method in ("fit", "score", "cost"):
            with pytest.raises(ValueError, match="NaN or infinity, first in row 1234"):
                getattr(SparseAutoencoder(n_components=2) if method == "fit" else good, method)(rows)
        with pytest.raises(ValueError, match="NaN or infinity, first in row 1234, column 3"):
            good.transform(rows)


def test_rows_of_another_width_are_refused(X):
    model = SparseAutoencoder(n_components=2, max_iter=2).fit(X)
    for method in ("transform", "reconstruct", "score", "cost"):
        with pytest.raises(ValueError, match="X has 4 features, but SparseAutoencoder is expecting 6"):
            getattr(model, method)(open_rows(X[:, :4]))


def test_an_array_that_changed_is_looked_at_again(X):
    sources = open_rows(X), open_rows(X, transform=lambda block: 0.5 * block)
    for rows in sources:
        SparseAutoencoder(n_components=2, max_iter=2).fit(rows)
    X[7, 0] = np.nan
    for rows in sources:
        with pytest.raises(ValueError, match="first in row 7"):
            SparseAutoencoder(n_components=2, max_iter=2).fit(rows)


def test_columns_in_another_order_are_refused(X):
    frame = pd.DataFrame(X, columns=list("abcdef"))
    model = SparseAutoencoder(n_components=2, max_iter=2).fit(open_rows(frame))
    with pytest.raises(ValueError, match="in this order"):
        model.transform(open_rows(frame[list("bacdef")]))


@pytest.mark.parametrize("name", ["softmax", "stacked", "identity"])
def test_supervised_fits_refuse_rows_that_are_not_finite_with_their_number(name, X, tmp_path):
    y = np.arange(len(X)) % 2
    model = {**CLASSIFIERS, **REGRESSORS}[name]
    good = clone(model).fit(X, y)
    X[1234, 3] = np.nan
    with open_rows(write_npy(tmp_path, X)) as rows:
        with pytest.raises(ValueError, match="NaN or infinity, first in row 1234"):
            clone(model).fit(rows, y)
        with pytest.raises(ValueError, match="NaN or infinity, first in row 1234, column 3"):
            good.predict(rows)


@pytest.mark.parametrize(
    ("make", "spoil", "message"),
    [
        (SoftmaxRegression, lambda y: y[:-1], "y must have an entry for each of the 2600 rows of X; got 2599"),
        (SoftmaxRegression, lambda y: np.where(y, np.nan, 1.0), "y contains NaN"),
        (SoftmaxRegression, np.zeros_like, "only one class"),
        (SoftmaxRegression, lambda y: y + 0.5 * np.arange(len(y)), "class labels"),
        (SoftmaxRegression, lambda y: None, "requires y"),
        (SoftmaxRegression, lambda y: open_rows(y[:, None]), "y must be an array in memory"),
        (StackedAutoencoderClassifier, np.zeros_like, "only one class"),
        (FeedforwardRegressor, lambda y: y[:-1], "y must have an entry for each of the 2600 rows of X"),
        (FeedforwardRegressor, lambda y: np.where(y, np.inf, 1.0), "y contains infinity"),
        (FeedforwardRegressor, lambda y: open_rows(y[:, None]), "y must be an array in memory"),
    ],
)
def test_bad_targets_are_refused_before_rows_are_read(make, spoil, message, X):
    class Unread(RowSource):
        def _read_into(self, start, stop, out):
            raise AssertionError("rows are read")

    with pytest.raises(ValueError, match=message):
        make().fit(Unread("rows", X.shape, X.dtype), spoil(np.arange(len(X)) % 2))


def test_weights_and_tangents_are_arrays(X, labels):
    for name in ("sample_weight", "tangents"):
        with pytest.raises(ValueError, match=f"{name} must be an array in memory"):
            SoftmaxRegression().fit(open_rows(X), labels, **{name: open_rows(X)})
    with pytest.raises(ValueError, match=r"sample_weight\.shape"):
        SoftmaxRegression().fit(open_rows(X), labels, np.ones(7))


def test_outputs_that_cannot_reach_the_rows_are_refused(X):
    for parameters in ({"output_activation": "sigmoid"}, {"loss": "binary_cross_entropy"}):
        with pytest.raises(ValueError, match=r"sigmoid.*reaches the range \[0, 1\]|needs targets in \[0, 1\]"):
            SparseAutoencoder(n_components=2, **parameters).fit(open_rows(3 * X))


def test_a_file_that_changes_in_mid_fit_ends_it_and_leaves_the_estimator_as_it_was(X, tmp_path):
    path = write_npy(tmp_path, X)

    def spoil(state):
        if state.iteration == 3:
            with path.open("r+b") as file:
                file.truncate(5000)

    model = SparseAutoencoder(n_components=2, max_iter=5, random_state=0).fit(X)
    before = model.theta_
    with open_rows(path) as rows, pytest.raises(ValueError, match="changed while it was in use"):
        model.set_params(callbacks=[spoil]).fit(rows)
    np.testing.assert_array_equal(model.theta_, before)


MEASURED = (
    PEAK
    + """
from rhohat.estimators.stacked_autoencoder import HasLayers

def fit(path):
    with rhohat.open_rows(path) as rows:
        y = np.arange(len(rows)) % 50
        {fit}

fit(sys.argv[1])  # what is allocated once
before = peak()
fit(sys.argv[2])
print(peak() - before)
"""
)

FITS = {
    "autoencoder": "rhohat.SparseAutoencoder(n_components=8, sparsity=0.1, max_iter=2).fit(rows).score(rows)",
    "classifier": "rhohat.FeedforwardClassifier(hidden_layer_sizes=(8,), max_iter=2).fit(rows, y).score(rows, y)",
    "stack": (
        "HasLayers._most_bytes_of_codes = 2**20;"
        " layers = [rhohat.SparseAutoencoder(n_components=n, sparsity_weight=0.0, max_iter=1) for n in (60, 50)];"
        " rhohat.StackedAutoencoderClassifier(layers, max_iter=1).fit(rows, y % 10)"
    ),
}


@pytest.mark.parametrize("name", FITS)
def test_a_fit_holds_a_part_of_the_rows_only(name, tmp_path):
    """The largest subset of the warm-up, here a fifth of them, and the hidden activations, are all that is held."""
    pytest.importorskip("resource", reason="peak memory is not to be had here")
    rng = np.random.default_rng(0)
    for file, n_rows in (("few", 3_000), ("many", 400_000)):
        np.save(tmp_path / f"{file}.npy", rng.random((n_rows, 100), dtype=np.float32))
    paths = [str(tmp_path / f"{file}.npy") for file in ("few", "many")]
    command = [sys.executable, "-c", MEASURED.replace("{fit}", FITS[name]), *paths]
    # Compiling takes memory, too, which has nothing to do with rows: the fit on few rows is compiled as well.
    environment = os.environ | {"RHOHAT_OPS": compiled_or_numpy().name}
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert int(run.stdout) < 0.5 * 400_000 * 100 * 4
