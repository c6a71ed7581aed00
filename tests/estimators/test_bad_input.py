"""Bad input gets a clear error before any work starts."""

import numpy as np
import pytest
from scipy import sparse

from rhohat import SparseAutoencoder
from rhohat.solvers import GradientDescent

GOOD = np.random.default_rng(0).random((20, 4))


def never_called(state):
    raise AssertionError("work was started")


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.where(GOOD > 0.9, np.nan, GOOD), ValueError, "contains NaN"),
        (np.where(GOOD > 0.9, np.inf, GOOD), ValueError, "infinity"),
        (np.empty((0, 4)), ValueError, "0 sample"),
        (np.empty((4, 0)), ValueError, "0 feature"),
        (GOOD[0], ValueError, "Expected 2D array, got 1D array"),
        (GOOD.reshape(5, 4, 4), ValueError, "dim 3|3D"),
        (np.array([["a", "b"], ["c", "d"]]), ValueError, "string"),
        (np.array([["1", "2"], ["3", "4"]]), ValueError, "string"),
        (np.array([["a", "b"]], dtype=object), ValueError, "could not convert string"),
        (sparse.csr_matrix(GOOD), TypeError, "dense data is required"),
        (GOOD + 1j, ValueError, "Complex data not supported"),
    ],
    ids=["nan", "inf", "no rows", "no columns", "1-D", "3-D", "strings", "digits", "objects", "sparse", "complex"],
)
def test_data(X, error, message):
    estimator = SparseAutoencoder(callbacks=[never_called])
    with pytest.raises(error, match=message):
        estimator.fit(X)
    with pytest.raises(error, match=message):
        estimator.objective(X)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sparsity", 0.0),
        ("sparsity", 1.0),
        ("sparsity", -0.1),
        ("sparsity", np.nan),
        ("sparsity_weight", -1.0),
        ("weight_decay", -1e-9),
        ("n_components", 0),
        ("n_components", 2.5),
        ("activation", "swish"),
        ("output_activation", "swish"),
        ("solver", "newton"),
        ("initial_weights", "zeros"),
        ("max_iter", 0),
        ("tol", -1.0),
        ("random_state", "seed"),
        ("n_jobs", 1.5),
        ("warm_start", "yes"),
    ],
)
def test_parameters(name, value):
    estimator = SparseAutoencoder(**{"callbacks": [never_called], name: value})
    with pytest.raises(ValueError, match=f"The '{name}' parameter of SparseAutoencoder must be"):
        estimator.fit(GOOD)


@pytest.mark.parametrize("callbacks", [[1], [never_called, "progress"]])
def test_callbacks_that_cannot_be_called(callbacks):
    with pytest.raises(ValueError, match="callbacks must be a list of callables"):
        SparseAutoencoder(callbacks=callbacks).fit(GOOD)


def test_zero_threads():
    with pytest.raises(ValueError, match="n_jobs must be None"):
        SparseAutoencoder(n_jobs=0, callbacks=[never_called]).fit(GOOD)


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("name", ["sparsity_weight", "weight_decay"])
def test_weights_that_are_not_finite(name, value):
    with pytest.raises(ValueError, match="must be"):
        SparseAutoencoder(**{name: value, "callbacks": [never_called]}).fit(GOOD)


@pytest.mark.parametrize(
    ("output", "X", "interval"),
    [
        ("sigmoid", 2 * GOOD, r"\[0, 1\]"),
        ("sigmoid", GOOD - 0.5, r"\[0, 1\]"),
        ("tanh", 3 * GOOD, r"\[-1, 1\]"),
        ("tanh", GOOD - 2, r"\[-1, 1\]"),
    ],
)
def test_an_output_that_cannot_reach_the_data_names_the_remedy(output, X, interval):
    remedy = f"reaches {interval} only.*use output_activation='identity'.*scale X"
    with pytest.raises(ValueError, match=remedy):
        SparseAutoencoder(output_activation=output, callbacks=[never_called]).fit(X)


def test_sparsity_of_unbounded_units_names_the_alternative():
    with pytest.raises(ValueError, match="use 'sigmoid' or 'tanh' for the hidden units, L1Sparsity"):
        SparseAutoencoder(activation="identity", callbacks=[never_called]).fit(GOOD)


@pytest.mark.parametrize("method", ["transform", "reconstruct", "score", "cost"])
def test_rows_of_another_width_after_the_fit(method):
    fitted = SparseAutoencoder(n_components=2, tol=1.0, random_state=0).fit(GOOD)
    with pytest.raises(ValueError, match="X has 3 features, but SparseAutoencoder is expecting 4"):
        getattr(fitted, method)(GOOD[:, :3])
    with pytest.raises(ValueError, match="H must have 2 columns"):
        fitted.inverse_transform(GOOD)


def interrupt(state):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("parameters", "X", "error"),
    [
        ({}, np.full((5, 4), np.nan), ValueError),
        ({"output_activation": "sigmoid"}, np.full((5, 3), 2.0), ValueError),
        ({"callbacks": [interrupt], "tol": 0.0}, GOOD[:, :3], KeyboardInterrupt),
    ],
    ids=["bad rows", "bad range and width", "Ctrl-C"],
)
def test_a_fit_that_fails_leaves_an_earlier_one_as_it_was(parameters, X, error):
    fitted = SparseAutoencoder(n_components=2, tol=1.0, random_state=0).fit(GOOD)
    before = fitted.transform(GOOD)
    with pytest.raises(error):
        fitted.set_params(**parameters).fit(X)
    np.testing.assert_array_equal(fitted.transform(GOOD), before)


def test_a_misspelt_parameter_is_refused():
    with pytest.raises(TypeError, match="sparsty"):
        SparseAutoencoder(sparsty=0.1)
    with pytest.raises(TypeError, match="rate"):
        GradientDescent(rate=0.1)
