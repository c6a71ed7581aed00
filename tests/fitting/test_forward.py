"""Activations of some blocks at a time are those of all rows at once."""

import numpy as np
import pytest

from rhohat import FeedforwardClassifier, open_rows
from rhohat.fitting import forward

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(name="fitted", scope="module")
def rows_and_a_classifier():
    X = np.random.default_rng(0).random((9001, 7))
    return X, FeedforwardClassifier(hidden_layer_sizes=(5, 4), max_iter=2, random_state=0).fit(X, np.arange(9001) % 3)


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
@pytest.mark.parametrize("at_once", [1, 4])
@pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, 2), (0, 3), (2, 3)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_blocks_have_the_bits_of_all_rows(n_jobs, at_once, start, stop, dtype, fitted, monkeypatch):
    monkeypatch.setattr(forward, "_BLOCKS_AT_ONCE", at_once)
    X, model = fitted
    model.set_params(n_jobs=n_jobs)
    rows = np.ascontiguousarray(X[:, : model.network_.layer_sizes[start]], dtype=dtype)
    expected = model._forward(rows, start, stop)
    for given in (rows, open_rows(rows)):
        places, parts = zip(*((r, a.copy()) for r, a in model.forward_pass(given, start, stop).in_order()), strict=True)
        np.testing.assert_array_equal(np.vstack(parts), expected)
        assert [place.start for place in places] == [0, *(place.stop for place in places[:-1])]
        assert places[-1].stop == len(rows)
        assert (len(parts) == 1) == (at_once * n_jobs >= 4)  # the rows are cut into four


def test_the_class_predicted_is_the_most_probable_one(fitted):
    X, model = fitted
    np.testing.assert_array_equal(model.predict(X), model.predict_proba(X).argmax(axis=1))


def test_rows_that_are_not_finite_are_refused(fitted):
    X, model = fitted
    spoilt = X.copy()
    spoilt[8000, 2] = np.inf
    with pytest.raises(ValueError, match="NaN or infinity, first in row 8000, column 2"):
        model.predict(open_rows(spoilt))
