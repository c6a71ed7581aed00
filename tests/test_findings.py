"""What theory says of these models, reproduced; what was published of them is in `reproductions`."""

import warnings

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from rhohat import (
    SGD,
    Adam,
    ConjugateGradient,
    GradientDescent,
    NewtonCG,
    SoftmaxRegression,
    SparseAutoencoder,
)
from rhohat.common.exceptions import ConvergenceWarning

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def one_thread():
    """Several tests at a time would otherwise wait for one another's threads; the results are the same bits."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def digits():
    """1,797 digits of 8×8 pixels in [0, 1], and their classes."""
    X, y = load_digits(return_X_y=True)
    return X / 16, y


# Softmax regression: one minimum, whichever way leads to it.

DECAY = 3e-2
# Nine batches, nearly equal: each makes one step, so a rest of a few rows would disturb as much as a whole batch.
BATCHES = {"batch_size": 200, "schedule": "cosine"}
SOLVERS = {
    "conjugate gradient": (ConjugateGradient(), 2000),
    "newton cg": (NewtonCG(), 100),
    "gradient descent, fixed rate": (GradientDescent(1.0), 3000),
    "gradient descent, adaptive rate": (GradientDescent("adaptive"), 4000),
    "gradient descent, momentum": (GradientDescent(0.3, momentum=0.9), 2000),
    "sgd": (SGD(0.1, momentum=0.9, **BATCHES), 500),
    "adam": (Adam(0.01, **BATCHES), 500),
}


def fit_softmax(digits, solver, max_iter, tol):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return SoftmaxRegression(weight_decay=DECAY, solver=solver, max_iter=max_iter, tol=tol, random_state=0).fit(
            *digits
        )


def softmax_cost(fitted, digits):
    X, y = digits
    log_likelihood = np.mean(fitted.predict_log_proba(X)[np.arange(len(y)), y])
    return -log_likelihood + DECAY / 2 * np.sum(fitted.coefs_[0] ** 2)


@pytest.fixture(scope="module")
def at_the_minimum(digits):
    fitted = fit_softmax(digits, "lbfgs", 2000, 1e-8)
    assert fitted.solver_status_ == "converged"
    return fitted


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_finds_the_minimum_of_softmax_regression(digits, at_the_minimum, name):
    """Its cost with weight decay is strictly convex in the weights, so all solvers end at the cost of L-BFGS."""
    solver, max_iter = SOLVERS[name]
    fitted = fit_softmax(digits, solver, max_iter, 1e-6)
    assert softmax_cost(fitted, digits) / softmax_cost(at_the_minimum, digits) - 1 == pytest.approx(0, abs=1e-6)


def test_softmax_regression_is_scikit_learns_logistic_regression(digits, at_the_minimum):
    """λ/2 ‖W‖² beside the mean loss is what C = 1 / (λ n_samples) is beside the sum; both leave the biases free."""
    X, y = digits
    theirs = LogisticRegression(C=1 / (DECAY * len(X)), solver="newton-cg", tol=1e-7, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(at_the_minimum.predict_proba(X), theirs.predict_proba(X), atol=1e-4)


# The linear autoencoder: principal components, up to a change of basis.


def fit_linear(X, n_components, tol):
    autoencoder = SparseAutoencoder(
        n_components=n_components,
        activation="identity",
        output_activation="identity",
        sparsity_weight=0.0,
        weight_decay=0.0,
        max_iter=2000,
        tol=tol,
        random_state=0,
    ).fit(X)
    assert autoencoder.solver_status_ == "converged"
    return autoencoder


@pytest.mark.parametrize("n_components", [1, 5])
def test_a_linear_autoencoder_spans_the_principal_subspace(digits, n_components):
    """Baldi and Hornik (1989): all minima of the linear autoencoder are the projection on the principal components."""
    X, _ = digits
    autoencoder, pca = fit_linear(X, n_components, tol=1e-5), PCA(n_components).fit(X)
    assert subspace_angles(autoencoder.coefs_[1].T, pca.components_.T).max() < 1e-3
    assert autoencoder.score(X) == pytest.approx(pca.explained_variance_ratio_.sum(), abs=1e-6)


def test_what_is_independent_cannot_be_compressed(digits):
    """Of n independent features, h units explain h/n of the variance; of correlated ones far more.

    On the training rows it is a little more than h/n, for the h largest sample variances are at most about
    (1 + √(n/m))² (Marchenko and Pastur, 1967). On fresh rows it is h/n up to sampling, whose standard deviation is
    √(2p(1 − p) / (m n)) with p = h/n, that of a beta distribution.
    """
    m, n, h = 20_000, 20, 5
    rng = np.random.default_rng(0)
    training, fresh = rng.normal(size=(2, m, n))
    independent = fit_linear(training, h, tol=1e-3)
    deviation = np.sqrt(2 * (h / n) * (1 - h / n) / (m * n))
    assert h / n < independent.score(training) < h / n * (1 + np.sqrt(n / m)) ** 2
    assert abs(independent.score(fresh) - h / n) < 4 * deviation

    X, _ = digits
    assert fit_linear(X, h, tol=1e-3).score(X) > 6 * h / X.shape[1]
