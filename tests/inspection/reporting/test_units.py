import numpy as np
import pytest

from rhohat import DeepAutoencoder, Maxout, SparseAutoencoder, gabor_fit
from rhohat.inspection.reporting.units import MOST_UNITS_FITTED, describe_units, most_similar


@pytest.mark.parametrize("n_vectors", [1, 2, 7, 1100])
def test_the_most_similar_vectors_have_the_largest_cosines(n_vectors, rng):
    vectors = rng.normal(size=(n_vectors, 12)) * rng.uniform(0.1, 9, (n_vectors, 1))
    others, cosines = most_similar(vectors)
    lengths = np.linalg.norm(vectors, axis=1)
    expected = vectors @ vectors.T / np.outer(lengths, lengths)
    np.fill_diagonal(expected, -2)
    order = np.argsort(-expected, axis=1)[:, : min(6, n_vectors - 1)]
    np.testing.assert_array_equal(others, order)
    np.testing.assert_allclose(cosines, np.take_along_axis(expected, order, axis=1), atol=1e-12)


def test_a_vector_of_zeros_is_similar_to_none():
    _, cosines = most_similar(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]), 2)
    np.testing.assert_array_equal(cosines[0], [0, 0])


@pytest.fixture
def small(rng):
    X = rng.random((60, 16))
    return SparseAutoencoder(n_components=3, sparsity=0.2, max_iter=500, tol=1e-2, random_state=0).fit(X)


def test_units_have_the_norms_of_their_weights_and_gabor_fits_of_their_images(small):
    units = describe_units(small, (4, 4))
    np.testing.assert_allclose(units.norms, np.linalg.norm(small.components_, axis=1))
    np.testing.assert_allclose(units.inputs, small.maximal_inputs())
    np.testing.assert_allclose(units.gabor_r2, gabor_fit(small.components_, (4, 4)), atol=1e-6)


@pytest.mark.parametrize("shape", [None, (2, 8)])
def test_gabor_functions_are_fitted_to_images_only(shape, small):
    assert (describe_units(small, shape).gabor_r2 is None) == (shape is None)


def test_gabor_functions_are_not_fitted_to_many_units(rng):
    X = rng.random((20, 16))
    many = SparseAutoencoder(n_components=MOST_UNITS_FITTED + 1, sparsity=0.2, tol=10, random_state=0).fit(X)
    assert describe_units(many, (4, 4)).gabor_r2 is None


def test_gabor_functions_are_fitted_or_not_as_somebody_asks(small, rng):
    assert describe_units(small, (4, 4), gabor=False).gabor_r2 is None
    assert describe_units(small, None, gabor=True).gabor_r2 is None
    X = rng.random((20, 17 * 17))
    large = SparseAutoencoder(n_components=1, sparsity=0.2, tol=10, random_state=0).fit(X)
    assert describe_units(large, (17, 17)).gabor_r2 is None
    assert describe_units(large, (17, 17), gabor=True).gabor_r2.shape == (1,)


def test_norms_of_deep_and_of_maxout_units_are_those_of_the_weights_that_come_in(rng):
    X = rng.random((60, 8))
    deep = DeepAutoencoder(hidden_layer_sizes=(6, 3), tol=1e-1, random_state=0).fit(X)
    np.testing.assert_allclose(describe_units(deep, None).norms, np.linalg.norm(deep.coefs_[1], axis=0))
    maxout = SparseAutoencoder(
        n_components=3, activation=Maxout(n_pieces=2), sparsity_weight=0.0, tol=1e-1, random_state=0
    ).fit(X)
    both = maxout.coefs_[0]  # the columns of piece 0 for all units, then those of piece 1
    expected = np.sqrt((both[:, :3] ** 2).sum(axis=0) + (both[:, 3:] ** 2).sum(axis=0))
    np.testing.assert_allclose(describe_units(maxout, None).norms, expected)
