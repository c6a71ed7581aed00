"""Coordinates and maps of the directions of latents."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from rhohat import Adam, TopKAutoencoder, report
from rhohat.inspection.reporting.dictionaries import geometry
from rhohat.inspection.reporting.dictionaries.geometry import geometry_of


def unit(directions):
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def cosines_of(found):
    coordinates = found.coordinates.astype(np.float64) * found.scale / 127
    return coordinates @ coordinates.T


def test_the_cosines_of_few_directions_are_exact_to_the_rounding(rng):
    directions = 7 * rng.normal(size=(50, 30))
    found = geometry_of(directions, "pca")
    assert found.share == 1
    assert found.record()["isExact"]
    np.testing.assert_allclose(cosines_of(found), unit(directions) @ unit(directions).T, atol=0.015)


def test_of_many_directions_the_leading_coordinates_are_kept(rng, monkeypatch):
    monkeypatch.setattr(geometry, "_MOST_NUMBERS", 80 * 5)
    low = rng.normal(size=(80, 4)) @ rng.normal(size=(4, 40)) + 0.01 * rng.normal(size=(80, 40))
    found = geometry_of(low, "pca")
    assert found.coordinates.shape == (80, 5)
    assert 0.99 < found.share < 1
    assert not found.record()["isExact"]
    np.testing.assert_allclose(cosines_of(found), unit(low) @ unit(low).T, atol=0.03)


def test_the_map_is_that_of_the_first_two_principal_components(rng):
    directions = rng.normal(size=(60, 10)) * [5, 3, *[1] * 8]
    found = geometry_of(directions, "pca")
    centred = unit(directions) - unit(directions).mean(axis=0)
    expected = centred @ np.linalg.svd(centred)[2][:2].T
    places = found.places - found.places.mean(axis=0)
    ratio = places / expected
    np.testing.assert_allclose(np.abs(ratio), np.abs(ratio).mean(), rtol=1e-3)  # the same scale in both directions
    assert found.method == "pca"
    assert found.places.min() == pytest.approx(0, abs=1e-6)
    assert found.places.max() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("directions", [np.ones((1, 4)), np.zeros((3, 4)), np.ones((3, 1)), np.eye(2)])
def test_directions_without_a_map_worth_drawing_have_one(directions):
    found = geometry_of(directions)
    assert np.isfinite(found.places).all()
    assert ((found.places >= 0) & (found.places <= 1)).all()
    assert found.coordinates.shape[0] == len(directions)


def test_umap_makes_the_map_where_it_is_installed(rng, monkeypatch):
    asked = {}

    class Mapper:
        def __init__(self, **parameters):
            asked.update(parameters)

        def fit_transform(self, units):
            return units[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Mapper, __spec__=SimpleNamespace()))
    directions = rng.normal(size=(50, 8))
    assert geometry_of(directions).method == "umap"
    assert (asked["metric"], asked["random_state"], asked["n_components"]) == ("cosine", 0, 2)
    assert geometry_of(directions, "pca").method == "pca"
    assert geometry_of(directions[:10]).method == "pca"  # too few
    assert geometry_of(directions[:10], "umap").method == "umap"


@pytest.mark.parametrize(
    ("projection", "said"),
    [
        ("tsne", "projection must be one of 'auto', 'pca', 'umap'; got 'tsne'"),
        ("umap", "needs the package umap-learn, which is not installed"),
    ],
)
def test_a_projection_that_cannot_be_used_is_refused_before_work(projection, said, rng, tmp_path, monkeypatch):
    monkeypatch.setattr(geometry, "_has_umap", lambda: False)
    X = rng.normal(size=(40, 4))
    dictionary = TopKAutoencoder(5, k=2, max_iter=1, random_state=0, solver=Adam(batch_size=10)).fit(X)
    with pytest.raises(ValueError, match=said):
        report(dictionary, "no such file", tmp_path / "page.html", projection=projection)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("method", "said"), [("pca", "two principal components"), ("umap", "made by UMAP")])
def test_the_page_says_how_the_map_was_made(method, said, rng, monkeypatch):
    monkeypatch.setattr(geometry, "_method", lambda *_: method)
    monkeypatch.setattr(geometry, "_by_umap", geometry._by_pca)
    X = rng.normal(size=(40, 4))
    dictionary = TopKAutoencoder(5, k=2, max_iter=1, random_state=0, solver=Adam(batch_size=10)).fit(X)
    assert said in report(dictionary, X)
