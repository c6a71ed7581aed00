import math
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from rhohat import (
    SGD,
    Adam,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    FeedforwardRegressor,
    SoftmaxRegression,
    SparseAutoencoder,
    StackedAutoencoderClassifier,
    TopKAutoencoder,
    fit_together,
)
from rhohat.callbacks import BestModel
from rhohat.solvers import SOLVERS
from tests.callbacks.states import states

pytestmark = pytest.mark.filterwarnings("ignore:.*iterations? (was|were) done:sklearn.exceptions.ConvergenceWarning")


def third_is_best(state):
    return abs(state.iteration - 3)


def test_the_lowest_value_is_kept():
    best = BestModel()
    for one in states([3, math.nan, 1, 2, 1]):
        assert best(one) is None
    assert (best.best_value_, best.best_iteration_, best.best_theta_.tolist()) == (1, 3, [3])


def test_another_solve_begins_anew():
    best = BestModel(monitor=lambda state: 10 * state.value)
    for values, expected in (([1, 2, 3], (10, 1)), ([9, 8], (80, 2)), ([math.nan], (None, None))):
        for one in states(values):
            best(one)
        assert (best.best_value_, best.best_iteration_) == expected
    assert best.best_theta_ is None


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_best_parameters_of_any_solver_are_restored(rng, solver):
    X = rng.random((40, 5))
    best, thetas = BestModel(monitor=third_is_best), []
    model = SparseAutoencoder(
        n_components=3,
        solver=solver,
        max_iter=6,
        tol=0,
        random_state=0,
        callbacks=[best, lambda state: thetas.append(state.theta)],
    )
    for number in range(2):  # the second fit with the same object starts afresh
        model.set_params(random_state=number).fit(X)
        at_third = thetas[-4]
        assert not np.array_equal(model.theta_, at_third)
        assert best.restore(model) is model
        np.testing.assert_array_equal(model.theta_, at_third)
        assert (best.best_value_, best.best_iteration_) == (0, 3)
    shorter = clone(model).set_params(max_iter=3, callbacks=None).fit(X)
    np.testing.assert_array_equal(model.transform(X), shorter.transform(X))
    np.testing.assert_array_equal(model.reconstruct(X), shorter.reconstruct(X))


def test_the_lowest_cost_is_that_of_the_restored_parameters(rng):
    X = rng.random((40, 5))
    best = BestModel()
    model = SparseAutoencoder(
        n_components=3, solver="gradient_descent", max_iter=6, tol=0, random_state=0, callbacks=[best]
    ).fit(X)
    assert best.best_value_ == min(model.loss_curve_)
    np.testing.assert_allclose(best.restore(model).cost(X)[0], best.best_value_, rtol=1e-12)


def test_a_clone_keeps_its_own(rng):
    model = SparseAutoencoder(n_components=3, max_iter=4, random_state=0, callbacks=[BestModel()])
    fitted = clone(model).fit(rng.random((40, 5)))
    assert model.callbacks[0].best_theta_ is None
    fitted.callbacks[0].restore(fitted)
    again = pickle.loads(pickle.dumps(fitted))  # noqa: S301 - our own
    np.testing.assert_array_equal(again.callbacks[0].best_theta_, fitted.theta_)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "model",
    [
        DenoisingAutoencoder(n_components=3, activation="parametric_relu", n_corruptions=2, solver="lbfgs"),
        ContractiveAutoencoder(n_components=3, tied_weights=True),
        SoftmaxRegression(),
        FeedforwardRegressor(hidden_layer_sizes=[4], activation="tanh"),
        StackedAutoencoderClassifier([SparseAutoencoder(n_components=4, max_iter=3)]),
    ],
    ids=lambda model: type(model).__name__,
)
def test_parameters_keep_their_kind_and_precision(rng, model, dtype):
    X, y = rng.random((40, 5)).astype(dtype), np.arange(40) % 3
    best, thetas = BestModel(monitor=third_is_best), []
    model = clone(model).set_params(
        max_iter=5, tol=0, random_state=0, callbacks=[best, lambda state: thetas.append(state.theta)]
    )
    model.fit(X, y)
    before = [[a.shape for a in part] for part in (model.coefs_, model.intercepts_, model.activation_parameters_)]
    best.restore(model)
    parts = (model.coefs_, model.intercepts_, model.activation_parameters_)
    assert [[a.shape for a in part] for part in parts] == before
    assert {a.dtype for part in parts for a in part} == {np.dtype(dtype)}
    np.testing.assert_array_equal(model.theta_, thetas[-3].astype(dtype))


@pytest.mark.parametrize("solver", [Adam(), SGD()])
def test_partial_fit_goes_on_from_restored_parameters_with_new_moments(rng, solver):
    X = rng.random((40, 5))
    best = BestModel(monitor=third_is_best)
    model = SparseAutoencoder(n_components=3, solver=solver, max_iter=5, tol=0, random_state=0, callbacks=[best])
    model.fit(X)
    kept = best.best_theta_.copy()
    model.partial_fit(X)  # another solve, so what it has kept is of this one
    best.best_theta_ = kept
    best.restore(model)
    np.testing.assert_array_equal(model.theta_, kept)
    expected = SparseAutoencoder(n_components=3, solver=solver, max_iter=3, tol=0, random_state=0).fit(X)
    np.testing.assert_array_equal(model.partial_fit(X).theta_, expected.partial_fit(X).theta_)


def test_restored_parameters_are_a_copy(rng):
    best = BestModel()
    model = SparseAutoencoder(n_components=3, max_iter=4, random_state=0, callbacks=[best]).fit(rng.random((40, 5)))
    best.restore(model)
    kept = best.best_theta_.copy()
    model.coefs_[0][:] = 0
    np.testing.assert_array_equal(best.best_theta_, kept)


def test_what_cannot_be_restored_is_refused(rng):
    X = rng.random((40, 5))
    best = BestModel()
    model = SparseAutoencoder(n_components=3, max_iter=4, random_state=0)
    with pytest.raises(NotFittedError):
        best.restore(model)
    model.fit(X)
    with pytest.raises(ValueError, match="there is nothing to restore"):
        best.restore(model)
    clone(model).set_params(callbacks=[None]).set_params(callbacks=[best]).fit(X[:, :4])
    theta = model.theta_
    with pytest.raises(ValueError, match="with 31 parameters; got a SparseAutoencoder with 38"):
        best.restore(model)
    np.testing.assert_array_equal(model.theta_, theta)
    dictionary = TopKAutoencoder(8, 2, max_iter=2).fit(X)
    with pytest.raises(ValueError, match=r"must be a network; got TopKAutoencoder\. The thresholds and counters"):
        best.restore(dictionary)
    dictionary = TopKAutoencoder(8, 2, callbacks=[best])
    for fit in (dictionary.fit, dictionary.partial_fit, lambda rows: fit_together([dictionary], rows)):
        with pytest.raises(ValueError, match="callbacks of a dictionary must not contain BestModel"):
            fit(X)
    with pytest.raises(ValueError, match="monitor must be None"):
        BestModel(monitor=3)
