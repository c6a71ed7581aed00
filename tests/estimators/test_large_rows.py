"""Rows from 0 to 255 under units with bounds are remarked on where a person looks: in messages and in the report."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits

from rhohat import FeedforwardClassifier, SparseAutoencoder, StackedAutoencoder, open_rows, report
from rhohat.common.exceptions import ConvergenceWarning
from rhohat.estimators.large_rows import remark_on_large_rows

X, y = load_digits(return_X_y=True)
X, y = X[:300] * (255 / 16), y[:300]
SMALL = {"max_iter": 3, "random_state": 0}


def said_of(fit):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit()
    return " ".join(str(one.message) for one in caught if issubclass(one.category, ConvergenceWarning))


@pytest.mark.parametrize(
    "fit",
    [
        SparseAutoencoder(n_components=5, **SMALL).fit,
        SparseAutoencoder(n_components=5, activation="tanh", **SMALL).fit,
        StackedAutoencoder([SparseAutoencoder(n_components=5, max_iter=3)], random_state=0).fit,
        lambda X: FeedforwardClassifier(hidden_layer_sizes=(5,), activation="sigmoid", **SMALL).fit(X, y),
    ],
)
def test_the_convergence_message_says_that_rows_are_large_and_what_to_do(fit):
    said = said_of(lambda: fit(X))
    assert "The rows hold large numbers, with a root mean square of 12" in said
    assert "units are saturated and learn little: scale the rows first, with rhohat.RangeScaler" in said
    assert "large numbers" not in said_of(lambda: fit(X / 255))


def test_units_without_bounds_see_rows_of_any_size():
    assert "large" not in said_of(lambda: SparseAutoencoder(activation="relu", sparsity_weight=0, **SMALL).fit(X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rows_from_a_source_and_rows_beyond_squares_are_measured():
    network = SparseAutoencoder(n_components=5, **SMALL).fit(X).network_
    assert remark_on_large_rows(network, open_rows(X)) == remark_on_large_rows(network, X)
    assert "a root mean square of 1e+200," in remark_on_large_rows(network, np.full((30, 64), 1e200))
    assert remark_on_large_rows(network, np.full((30, 64), 10.0)) is None
    outlier = np.zeros((300, 64))
    outlier[0, 0] = 1000.0
    assert remark_on_large_rows(network, outlier) is None


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_report_has_the_remark():
    large, small = (SparseAutoencoder(n_components=5, **SMALL).fit(rows) for rows in (X, X / 255))
    assert "The rows hold large numbers" in report(large, X)
    assert "The rows hold large numbers" not in report(small, X / 255)
