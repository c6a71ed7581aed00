"""Autoencoders learn from row sources what they learn from the same rows in memory, to the last bit."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from rhohat import (
    LBFGS,
    ContractiveAutoencoder,
    DeepAutoencoder,
    DenoisingAutoencoder,
    FeedforwardRegressor,
    SoftmaxRegression,
    SparseAutoencoder,
    StackedAutoencoder,
    StackedAutoencoderClassifier,
    check_gradient,
    open_rows,
)
from tests.data.test_rows import WRITERS, write_csv, write_hdf5, write_npy, write_parquet

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


@pytest.fixture(name="X")
def rows_in_the_unit_interval(rng):
    """More than 2,000, so that there is a warm-up."""
    return rng.random((2600, 6)).round(4)


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


# Bad input.


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_refused_with_their_number(value, X, tmp_path):
    good = SparseAutoencoder(n_components=2, max_iter=2).fit(X)
    X[1234, 3] = value
    with open_rows(write_npy(tmp_path, X)) as rows:
        for method in ("fit", "score", "cost"):
            with pytest.raises(ValueError, match="NaN or infinity, first in row 1234"):
                getattr(SparseAutoencoder(n_components=2) if method == "fit" else good, method)(rows)
        with pytest.raises(ValueError, match="NaN or infinity, in rows"):
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


def test_estimators_that_take_rows_in_memory_only_say_so(X):
    y = np.arange(len(X)) % 2
    for estimator in (SoftmaxRegression(), FeedforwardRegressor(), StackedAutoencoderClassifier()):
        with pytest.raises(ValueError, match="takes rows in memory"):
            estimator.fit(open_rows(X), y)


def test_outputs_that_cannot_reach_the_rows_are_refused(X):
    for parameters in ({"output_activation": "sigmoid"}, {"loss": "binary_cross_entropy"}):
        with pytest.raises(ValueError, match=r"sigmoid.*reaches \[0, 1\]|takes targets in \[0, 1\]"):
            SparseAutoencoder(n_components=2, **parameters).fit(open_rows(3 * X))


def test_solvers_by_mini_batches_say_what_to_do(X):
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match="takes its mini-batches from rows in memory"):
            getattr(SparseAutoencoder(n_components=2, solver="adam"), method)(open_rows(X))


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


MEASURED = """
import resource, sys, warnings
import rhohat
warnings.simplefilter("ignore")

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

def fit(path):
    with rhohat.open_rows(path) as rows:
        model = rhohat.SparseAutoencoder(n_components=8, sparsity=0.1, max_iter=2, random_state=0).fit(rows)
        model.score(rows)

fit(sys.argv[1])  # what is allocated once
before = peak()
fit(sys.argv[2])
print(peak() - before)
"""


def test_a_fit_holds_a_part_of_the_rows_only(tmp_path):
    """The largest subset of the warm-up, here a fifth of them, and the hidden activations, are all that is held."""
    pytest.importorskip("resource", reason="peak memory is not to be had here")
    rng = np.random.default_rng(0)
    for name, n_rows in (("few", 3_000), ("many", 400_000)):
        np.save(tmp_path / f"{name}.npy", rng.random((n_rows, 100), dtype=np.float32))
    paths = [str(tmp_path / f"{name}.npy") for name in ("few", "many")]
    run = subprocess.run([sys.executable, "-c", MEASURED, *paths], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 0.5 * 400_000 * 100 * 4
