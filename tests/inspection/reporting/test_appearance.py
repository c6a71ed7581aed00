import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from rhohat import SparseAutoencoder, TopKAutoencoder, open_rows
from rhohat.inspection.reporting.appearance import choose_image_shape, choose_names


def fitted(X):
    return SparseAutoencoder(n_components=2, tol=1e-1, max_iter=1000, random_state=0).fit(X)


@pytest.mark.parametrize(
    ("row_shape", "expected"),
    [
        ((36,), (6, 6)),
        ((108,), (6, 6, 3)),
        ((20,), None),
        ((9,), None),
        ((5, 4), (5, 4)),
        ((5, 4, 3), (5, 4, 3)),
        ((3, 5, 4), (3, 5, 4)),
        ((1, 5, 4), (5, 4)),
        ((5, 4, 1), (5, 4)),
        ((1, 36), (6, 6)),
        ((6, 6, 4), None),
        ((2, 3, 6), None),
    ],
)
def test_a_model_is_drawn_in_the_shape_of_the_rows_of_its_fit_or_as_squares(row_shape, expected, rng):
    with open_rows(rng.random((30, *row_shape))) as rows:
        model = fitted(rows)
        assert choose_image_shape("auto", model, None, rows) == expected
    assert choose_image_shape("auto", model, None) == expected
    assert choose_image_shape(None, model, None) is None


def test_rows_that_are_drawn_say_their_own_shape(rng):
    images = rng.random((30, 4, 9))
    with open_rows(images) as rows:
        model = fitted(rows)
    with open_rows(images.reshape(30, 9, 4)) as others:
        assert choose_image_shape("auto", model, None, others) == (9, 4)


@pytest.mark.filterwarnings("ignore::UserWarning")  # the training is short
def test_activations_of_a_dictionary_are_pictures_only_if_they_have_a_shape(rng):
    X = rng.random((50, 36))
    flat = TopKAutoencoder(n_components=8, k=2, max_iter=1, random_state=0).fit(X)
    assert choose_image_shape("auto", flat, None) is None
    assert choose_image_shape((6, 6), flat, None) == (6, 6)
    with open_rows(X.reshape(50, 6, 6)) as images:
        assert choose_image_shape("auto", flat, None, images) == (6, 6)


def test_named_columns_and_what_a_pca_makes_of_images_are_no_pictures(rng):
    X = rng.random((50, 36))
    reduced = make_pipeline(PCA(16), SparseAutoencoder(n_components=2, tol=1e-1, max_iter=1000)).fit(X)
    assert choose_image_shape("auto", reduced, None) is None
    assert choose_image_shape((4, 4), reduced, None) == (4, 4)
    names = [f"c{number}" for number in range(36)]
    assert choose_image_shape("auto", fitted(X), names) is None
    assert choose_names(fitted(X)) is None


@pytest.mark.parametrize("asked", ["square", (3, 5), (2, 3, 6, 1), (0, 36)])
def test_other_shapes_are_refused(asked, rng):
    with pytest.raises(ValueError, match="image_shape must be"):
        choose_image_shape(asked, fitted(rng.random((30, 36))), None)


def test_names_are_those_of_the_fit_or_of_the_rows(rng):
    model = fitted(rng.random((30, 2)))
    with open_rows(rng.random((30, 2))) as rows:
        rows.feature_names = ["a", "b"]
        assert choose_names(model, rows) == ["a", "b"]
        model.feature_names_in_ = np.array(["x", "y"], dtype=object)
        assert choose_names(model, rows) == ["x", "y"]
