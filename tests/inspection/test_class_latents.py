"""Correlations of codes with classes, beside NumPy's own."""

import numpy as np
import pytest
from scipy import sparse

from rhohat.inspection.metrics import ClassStatistics, class_latents


@pytest.fixture
def codes(rng):
    codes = rng.random((300, 12)) * (rng.random((300, 12)) < 0.3)
    codes[:, 4], codes[:, 5] = 0, 0.1  # a latent that is dead and one that is constant
    return codes


@pytest.fixture
def labels(codes, rng):
    labels = rng.integers(0, 3, 300)
    labels[codes[:, 7] > 0.5] = 2
    return labels


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array, sparse.coo_array])
def test_correlations_are_those_of_numpy(kind, codes, labels):
    found = class_latents(kind(codes), np.array(["x", "y", "z"])[labels], 12)
    assert found.classes.tolist() == ["x", "y", "z"]
    for number in range(3):
        of_class = labels == number
        expected = [
            0 if latent in (4, 5) else np.corrcoef(codes[:, latent], of_class)[0, 1] for latent in found.latents[number]
        ]
        np.testing.assert_allclose(found.correlation[number], expected, atol=1e-12)
        assert (np.diff(found.correlation[number]) <= 0).all()
        active = codes[:, found.latents[number]] > 0
        np.testing.assert_allclose(found.density_inside[number], active[of_class].mean(axis=0))
        np.testing.assert_allclose(found.density_outside[number], active[~of_class].mean(axis=0))
    assert found.latents[2, 0] == 7


@pytest.mark.parametrize("n_rows", [1, 37, 300])
def test_statistics_do_not_depend_on_the_blocks(n_rows, codes, labels):
    whole, parts = ClassStatistics(3), ClassStatistics(3)
    whole.update(codes, labels)
    for start in range(0, 300, n_rows):
        some = slice(start, start + n_rows)
        parts.update(sparse.csr_array(codes[some]), labels[some])
    np.testing.assert_allclose(parts.correlation, whole.correlation, atol=1e-12)
    np.testing.assert_array_equal(parts.n_rows, np.bincount(labels))


def test_a_class_without_rows_has_no_correlations(codes):
    statistics = ClassStatistics(3)
    statistics.update(codes, np.arange(300) % 2)
    assert (statistics.correlation[2] == 0).all()
    assert (statistics.densities[0][2] == 0).all()
    with pytest.raises(ValueError, match="no rows"):
        _ = ClassStatistics(3).correlation


@pytest.mark.parametrize(
    ("labels", "n_latents", "said"),
    [
        (["a"] * 300, 3, "at least two classes; all are a"),
        (["a", "b"], 3, "for each of the 300 rows"),
        ([np.nan] * 300, 3, "labels contain NaN"),
        ([0, 1] * 150, 0, "n_latents must be a positive integer; got 0"),
        ([0, 1] * 150, 2.0, "n_latents must be a positive integer"),
    ],
)
def test_what_cannot_be_used_is_refused(labels, n_latents, said, codes):
    with pytest.raises(ValueError, match=said):
        class_latents(codes, labels, n_latents)
    codes[3, 2] = np.inf
    with pytest.raises(ValueError, match="codes contains NaN or infinity"):
        class_latents(codes, labels, n_latents)
