"""Real images, and figures that other programs published; needs the data files (see conftest.data_dir)."""

import warnings

import numpy as np
import pytest

from rhohat import (
    PatchNormalizer,
    SparseAutoencoder,
    gabor_fit,
    read_images,
    sample_patches,
    whiten_image,
)
from rhohat.common.exceptions import ConvergenceWarning
from tests.tolerances import ORACLE

# What the CRAN package autoencoder 1.1 reports for its own trained weights, and the textbook cost there.
ORACLE_FIGURES = {25: (3.9877819229, 2.2456820439), 100: (3.1404532803, 2.0265400791)}


@pytest.fixture(scope="module")
def cran(data_dir):
    with np.load(data_dir / "cran_autoencoder.npz") as stored:
        return dict(stored)


def at_the_oracles_optimum(cran, n_components):
    """An autoencoder with the weights that the other program trained, and the rows it trained on."""
    X = 0.001 + 0.998 * cran["X"]
    autoencoder = oracle_autoencoder(n_components, max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        autoencoder.fit(X)
    autoencoder.coefs_ = [cran[f"W1_{n_components}"].T, cran[f"W2_{n_components}"].T]
    autoencoder.intercepts_ = [cran[f"b1_{n_components}"].ravel(), cran[f"b2_{n_components}"].ravel()]
    return autoencoder, X


def oracle_autoencoder(n_components, **parameters):
    return SparseAutoencoder(
        n_components=n_components, sparsity=0.01, sparsity_weight=6.0, weight_decay=2e-4, random_state=0
    ).set_params(**parameters)


@pytest.mark.parametrize("n_components", ORACLE_FIGURES)
def test_cost_and_error_at_another_programs_optimum_are_its_own(cran, n_components):
    autoencoder, X = at_the_oracles_optimum(cran, n_components)
    error, cost = ORACLE_FIGURES[n_components]
    np.testing.assert_allclose(np.mean(np.sum((autoencoder.reconstruct(X) - X) ** 2, axis=1)), error, rtol=ORACLE)
    np.testing.assert_allclose(autoencoder.cost(X)[0], cost, rtol=ORACLE)


@pytest.mark.parametrize("n_components", ORACLE_FIGURES)
def test_the_gradient_nearly_vanishes_at_another_programs_optimum(cran, n_components):
    autoencoder, X = at_the_oracles_optimum(cran, n_components)
    _, gradient = autoencoder.objective(X)(autoencoder.theta_)
    assert np.abs(gradient).max() < 2e-5


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_training_from_scratch_ends_no_higher_than_the_other_program(cran, seed):
    """Some seeds find a slightly lower minimum; much lower would mean another cost."""
    X = 0.001 + 0.998 * cran["X"]
    fitted = oracle_autoencoder(25, max_iter=20_000, tol=3e-5, random_state=seed).fit(X)
    assert fitted.solver_status_ == "converged"
    assert 0.995 <= fitted.cost(X)[0] / ORACLE_FIGURES[25][1] <= 1.001


def test_the_courses_images_give_edges(data_dir):
    images = read_images(data_dir / "IMAGES.npy")
    assert [image.shape for image in images] == [(512, 512)] * 10
    patches = PatchNormalizer().fit_transform(sample_patches(images, 8, 10_000, random_state=0).astype(np.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = SparseAutoencoder(random_state=0).fit(patches)
    assert fitted.n_iter_ <= 400
    assert fitted.cost(patches)[0] <= 0.430
    assert np.median(gabor_fit(fitted.components_, (8, 8))) >= 0.90


def test_whitening_the_raw_images_gives_the_courses_images_up_to_one_factor(data_dir):
    raw = read_images(data_dir / "IMAGES_RAW.mat", variable="IMAGESr")
    whitened = np.array([whiten_image(image) for image in raw])
    course = np.array(read_images(data_dir / "IMAGES.npy"))
    assert np.corrcoef(whitened.ravel(), course.ravel())[0, 1] > 0.999
    factor = np.vdot(whitened, course) / np.vdot(whitened, whitened)
    assert np.abs(factor * whitened - course).max() < 0.01 * course.std()
