"""scikit-learn's own checks of the estimator contract, for every estimator, with the exceptions named."""

import pytest
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from rhohat import (
    SGD,
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
)

# The checks fit toy data for a handful of iterations, and a warning about that is the right answer.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LAYERS = [
    SparseAutoencoder(n_components=8, sparsity=0.1, sparsity_weight=0.1, max_iter=30),
    DenoisingAutoencoder(n_components=6, max_iter=30),
]
ADAM = Adam(learning_rate=0.05, batch_size=32)

#: Small and fast. Solvers by mini-batches are among them, with which the checks of partial_fit run too.
ESTIMATORS = [
    SparseAutoencoder(n_components=5, max_iter=50),
    SparseAutoencoder(n_components=5, activation="tanh", output_activation="identity", max_iter=50),
    SparseAutoencoder(n_components=5, solver="adam", max_iter=10),
    DenoisingAutoencoder(n_components=5, max_iter=50),
    DenoisingAutoencoder(n_components=5, solver=SGD(batch_size=16), max_iter=10),
    ContractiveAutoencoder(n_components=5, max_iter=50),
    DeepAutoencoder(hidden_layer_sizes=(8, 3), max_iter=50),
    StackedAutoencoder(LAYERS),
    FeedforwardClassifier(hidden_layer_sizes=(10,), max_iter=100),
    FeedforwardClassifier(hidden_layer_sizes=(10,), solver=ADAM, max_iter=60),
    FeedforwardRegressor(hidden_layer_sizes=(10,), max_iter=20),
    FeedforwardRegressor(hidden_layer_sizes=(10,), max_iter=200),
    FeedforwardRegressor(hidden_layer_sizes=(10,), solver=ADAM, max_iter=30),
    SoftmaxRegression(max_iter=100),
    SoftmaxRegression(solver=ADAM, max_iter=60),
    StackedAutoencoderClassifier(LAYERS[:1], max_iter=100),
]


def expected_failures(estimator):
    """Return the checks that an estimator cannot pass, by name, each with the reason."""
    name = "check_sample_weight_equivalence_on_dense_data"
    if isinstance(estimator, StackedAutoencoderClassifier):
        return {name: "unsupervised pre-training counts every row once, and the cost of fine-tuning is not convex"}
    if isinstance(estimator, FeedforwardRegressor) and estimator.max_iter == 200:  # with 20 it passes
        return {name: "the cost is not convex: over many iterations, what rounding does to sums of another order grows"}
    return {}


@parametrize_with_checks([SparseAutoencoder(), *ESTIMATORS], expected_failed_checks=expected_failures)
def test_each_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_check_estimator_passes_whole(estimator):
    results = check_estimator(estimator, on_skip=None, expected_failed_checks=expected_failures(estimator))
    found = {status: {r["check_name"] for r in results if r["status"] == status} for status in ("skipped", "xfail")}
    assert {result["status"] for result in results} <= {"passed", *found}
    assert found["skipped"] <= {"check_array_api_input"}
    assert found["xfail"] == set(expected_failures(estimator))


def test_partial_fit_is_checked_where_the_solver_works_in_mini_batches():
    checked = {
        str(estimator): any(
            "partial_fit" in result["check_name"] for result in check_estimator(estimator, on_skip=None)
        )
        for estimator in (ESTIMATORS[0], ESTIMATORS[2])
    }
    assert list(checked.values()) == [False, True]
