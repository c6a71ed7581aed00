"""What the literature reports of these models, found again. The examples do the work where there is one."""

import importlib
import sys
import warnings
from pathlib import Path

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
from rhohat.exceptions import ConvergenceWarning

pytestmark = pytest.mark.usefixtures("one_thread")
EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def one_thread():
    """Several tests at a time would otherwise wait for one another's threads; the results are the same bits."""
    with threadpool_limits(1):
        yield


def example(name):
    """The example of that name as a module; its folder is importable then, as it is for who runs the script."""
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))
    return importlib.import_module(name)


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


# Denoising.


def check_that_noise_widens_strokes(X, image_shape, picture, **settings):
    filters_of = example("denoising_filters")
    filters = filters_of.learn_filters(X, **settings)
    widths = [filters_of.stroke_width(filters[q], image_shape).mean() for q in (0.0, 0.25, 0.5)]
    assert widths[0] + 0.03 < widths[1] < widths[2] - 0.03
    filters_of.draw(filters, image_shape, picture)
    assert picture.stat().st_size > 0


def test_the_stroke_width_is_that_of_stripes():
    filters_of = example("denoising_filters")
    y, x = np.mgrid[:200, :200] - 99.5
    stripes = np.cos(np.pi * x / 10) * np.exp(-(x**2 + y**2) / (2 * 25**2))
    assert filters_of.stroke_width(stripes.reshape(1, -1), (200, 200))[0] == pytest.approx(10, rel=0.02)
    assert filters_of.area(np.array([[0, 2, -2, 2, 0]]))[0] == pytest.approx(3)


def test_noise_makes_the_strokes_of_small_digits_wider(digits, tmp_path):
    """The more of a digit's pixels are masked, the wider are the strokes that units look for."""
    check_that_noise_widens_strokes(digits[0], (8, 8), tmp_path / "filters.png", n_components=60, epochs=40)


def test_noise_makes_the_strokes_of_digits_wider(data_dir, tmp_path):
    """The same on MNIST: Vincent et al. (2010), section 5.2."""
    images, _ = example("_mnist").load_mnist()
    check_that_noise_widens_strokes(images[:5000], (28, 28), tmp_path / "filters.png", epochs=10)


def test_noise_finds_edges_in_photographs_and_weight_decay_does_not(tmp_path):
    """Vincent et al. (2010), section 5.1. Principal components are no edges either.

    The weight decay leaves about as much of the patches' variance as the noise does.
    """
    photographs_of = example("denoising_photographs")
    noise, decay = "Gaussian noise, σ = 2", "weight decay, λ = 0.14"
    learned = photographs_of.learn_filters(
        photographs_of.make_patches(), n_components=64, epochs=10, ways=(noise, decay)
    )
    figures = photographs_of.measure(learned)
    r2 = {way: figure[0] for way, figure in figures.items()}
    assert r2[noise] > 0.8
    assert max(r2[decay], r2["principal components"]) < 0.7
    assert figures[decay][1] == pytest.approx(figures[noise][1], abs=0.08)
    photographs_of.draw(learned, figures, tmp_path / "filters.png")
    assert (tmp_path / "filters.png").stat().st_size > 0


# Labels and targets with noise.


def test_a_loss_that_expects_wrong_labels_learns_better_from_them(tmp_path):
    """Bishop (2006), exercise 5.4: with 30 % of the labels flipped, it beats cross-entropy on clean test labels."""
    labels_of = example("noisy_labels")
    accuracy = labels_of.compare(weight_decay=3e-3)
    plain, robust = accuracy.values()
    assert np.mean(robust) > np.mean(plain) + 0.04
    assert np.all(robust > plain)  # with each of the five seeds
    labels_of.draw({1e-3: accuracy, 3e-3: accuracy}, tmp_path / "labels.png")
    assert (tmp_path / "labels.png").stat().st_size > 0


def test_the_covariance_of_the_noise_is_recovered(tmp_path):
    """Bishop (2006), exercise 5.3: Σ is found within 10 % by maximum likelihood, together with the function.

    Without weight decay, each half of an iteration can only raise the likelihood.
    """
    noise_of = example("noise_covariance")
    X, y = noise_of.make_data(2000, seed=0)
    X_new, y_new = noise_of.make_data(2000, seed=1000)
    full, plain = (noise_of.fit(X, y, covariance, seed=0) for covariance in ("estimate", np.eye(3)))
    assert max(noise_of.errors(full.noise_covariance_)) < 0.1
    assert len(full.log_likelihood_curve_) > 1
    assert np.all(np.diff(full.log_likelihood_curve_) > -1e-9 * abs(full.log_likelihood_))
    assert full.log_likelihood_ > plain.log_likelihood_
    estimate = full.noise_covariance_
    likelihoods = [
        noise_of.log_likelihood_per_row(plain, np.eye(3), X_new, y_new),
        noise_of.log_likelihood_per_row(full, np.diag(np.diag(estimate)), X_new, y_new),
        noise_of.log_likelihood_per_row(full, estimate, X_new, y_new),
    ]
    assert likelihoods == sorted(likelihoods)
    noise_of.draw(y_new - full.predict(X_new), estimate, tmp_path / "noise.png")
    assert (tmp_path / "noise.png").stat().st_size > 0


# Tangents.


def check_that_tangents_help(images, labels, image_shape, weight, picture, **settings):
    tangents_of = example("tangent_propagation")
    weights = (0, weight)
    errors, derivatives = tangents_of.compare(images, labels, image_shape, weights, **settings)
    assert errors[1].mean() < errors[0].mean()
    assert np.all(derivatives[1] < 0.8 * derivatives[0])  # with each of the five seeds
    tangents_of.draw(images[0], image_shape, weights, errors, picture)
    assert picture.stat().st_size > 0
    return errors


def test_tangents_of_shifts_lower_the_error_on_small_digits(digits, tmp_path):
    """Simard et al. (1992): a network that is told not to mind shifts makes fewer errors, and minds them less."""
    check_that_tangents_help(*digits, (8, 8), 1.0, tmp_path / "tangents.png", n_test=797)


def test_tangents_of_shifts_lower_the_error_on_digits(data_dir, tmp_path):
    """The same with 1,000 digits of MNIST, where there is more to gain: with each of the five seeds."""
    images, labels = example("_mnist").load_mnist()
    errors = check_that_tangents_help(
        images, labels, (28, 28), 100.0, tmp_path / "tangents.png", n_test=2000, max_iter=50
    )
    assert np.all(errors[1] < errors[0])
