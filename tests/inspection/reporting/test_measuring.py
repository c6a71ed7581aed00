import numpy as np
import pytest

from rhohat import FeedforwardClassifier, SparseAutoencoder, open_rows
from rhohat.inspection.metrics import ActivationStatistics, ReconstructionStatistics
from rhohat.inspection.reporting.measuring import measure
from rhohat.inspection.top_rows import TopRows, runs_of_rows


@pytest.mark.parametrize("n_top", [1, 3, 12])
@pytest.mark.parametrize("sizes", [[40], [1] * 5, [2, 17, 1, 20], [5000, 300]])
def test_top_rows_do_not_depend_on_the_blocks_and_of_equals_the_first_wins(sizes, n_top, rng):
    activations = rng.integers(0, 6, (sum(sizes), 7)).astype(np.float64)  # many are equal
    activations[:, 3] = 0
    top = TopRows(7, n_top)
    for start, stop in zip(np.cumsum([0, *sizes[:-1]]), np.cumsum(sizes), strict=True):
        top.update(activations[start:stop], int(start))
    order = np.argsort(-activations, axis=0, kind="stable")[:n_top].T
    n_rows = order.shape[1]
    np.testing.assert_array_equal(top.rows[:, :n_rows], order)
    np.testing.assert_array_equal(top.activations[:, :n_rows], np.take_along_axis(activations.T, order, axis=1))
    assert np.all(top.rows[:, n_rows:] == -1)


@pytest.mark.parametrize(
    ("n_rows", "most"), [(10, None), (10, 10), (10, 25), (10, 1), (10, 9), (66, 65), (1000, 64), (1000, 777), (99, 65)]
)
def test_runs_are_ascending_and_have_as_many_rows_as_asked_for(n_rows, most):
    rows = np.concatenate([np.arange(start, stop) for start, stop in runs_of_rows(n_rows, most)])
    assert len(rows) == min(n_rows, most or n_rows)
    assert np.all(np.diff(rows) > 0)
    assert rows[0] == 0
    assert rows[-1] < n_rows


def test_runs_are_spread_over_all_rows():
    rows = np.concatenate([np.arange(start, stop) for start, stop in runs_of_rows(100_000, 1000)])
    shares = np.histogram(rows, bins=10, range=(0, 100_000))[0]
    assert shares.min() > 80
    assert shares.max() < 120


def histograms_of(codes, n_bins=24):
    ends = [(unit.min(), unit.max() if np.ptp(unit) else unit.min() + 1) for unit in codes.T]
    return np.array([np.histogram(unit, n_bins, end)[0] for unit, end in zip(codes.T, ends, strict=True)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ["sigmoid", "relu", "tanh"])
@pytest.mark.parametrize("max_rows", [None, 130])
def test_what_is_measured_is_what_the_formulas_say_of_all_rows_at_once(max_rows, activation, dtype, rng):
    X = rng.random((700, 9)).astype(dtype)
    autoencoder = SparseAutoencoder(
        n_components=5, activation=activation, sparsity_weight=0.0, max_iter=30, tol=1e-2, random_state=0
    ).fit(X)
    autoencoder.coefs_[0][:, 2], autoencoder.intercepts_[0][2] = 0, -2.0  # always the same; dead, if ReLU
    measured = measure(autoencoder, open_rows(X), threshold=0.1, max_rows=max_rows, n_top=4)
    rows = measured.rows
    codes, made = autoencoder.transform(X[rows]), autoencoder.reconstruct(X[rows])
    assert len(rows) == (max_rows or 700)
    order = np.argsort(-codes, axis=0, kind="stable")[:4].T
    np.testing.assert_allclose(measured.top.activations, np.take_along_axis(codes.T, order, axis=1), rtol=1e-6)
    varied = [0, 1, 3, 4]
    np.testing.assert_array_equal(measured.top.rows[varied], rows[order[varied]])
    np.testing.assert_array_equal(measured.top.rows[2], rows[:4])
    np.testing.assert_array_equal(measured.histograms, histograms_of(codes))
    assert measured.histograms.sum() == 5 * len(rows)
    activations, reconstructions = ActivationStatistics(0.1), ReconstructionStatistics()
    activations.update(codes)
    reconstructions.update(X[rows], made)
    np.testing.assert_allclose(measured.activations.mean_activation, activations.mean_activation, rtol=1e-6)
    assert measured.activations.l0 == activations.l0
    assert measured.reconstructions.explained_variance == pytest.approx(reconstructions.explained_variance, rel=1e-6)


def test_supervised_models_have_no_reconstructions(rng):
    X, y = rng.random((50, 6)), np.arange(50) % 3
    classifier = FeedforwardClassifier(hidden_layer_sizes=(7, 4), max_iter=1000, tol=1e-2, random_state=0).fit(X, y)
    measured = measure(classifier, open_rows(X), threshold=0.0)
    assert measured.reconstructions is None
    assert measured.histograms.shape == (4, 24)


def test_rows_that_are_not_finite_are_refused(rng):
    X = rng.random((50, 6))
    autoencoder = SparseAutoencoder(n_components=2, sparsity=0.2, max_iter=500, tol=1e-2, random_state=0).fit(X)
    X[40, 3] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity, first in row 40, column 3"):
        measure(autoencoder, open_rows(X), threshold=0.1)
