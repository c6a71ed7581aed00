"""Which rows a solver sees in which precision: the warm-up, float32 first, and that all rows in full come last."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone

from rhohat import (
    LBFGS,
    SGD,
    Adam,
    ConjugateGradient,
    DenoisingAutoencoder,
    GradientDescent,
    NewtonCG,
    SoftmaxRegression,
    SparseAutoencoder,
)
from rhohat.exceptions import ConvergenceWarning

AUTOENCODER = SparseAutoencoder(n_components=3, sparsity=0.2, sparsity_weight=0.1, max_iter=40, random_state=0)


@pytest.fixture(name="X", scope="module")
def many_rows():
    """Enough rows for two subsets: near a surface of two dimensions, within [0, 1]."""
    rng = np.random.default_rng(0)
    return 1 / (1 + np.exp(-rng.normal(size=(6001, 2)) @ rng.normal(size=(2, 6)) + 0.1 * rng.normal(size=(6001, 6))))


def fitted(X, *args, model=AUTOENCODER, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return clone(model).set_params(**parameters).fit(X, *args)


@pytest.mark.parametrize(("n_rows", "subsets"), [(2000, []), (2001, [1000]), (6000, [1000]), (6001, [1000, 3000])])
def test_subsets_grow_threefold_up_to_half_of_the_rows(n_rows, subsets, X):
    model = fitted(X[:n_rows])
    assert list(model.warm_up_evaluations_) == subsets
    assert all(20 <= evaluations <= 40 for evaluations in model.warm_up_evaluations_.values())


@pytest.mark.parametrize("solver", [ConjugateGradient, NewtonCG, GradientDescent, LBFGS])
def test_every_solver_over_all_rows_warms_up_unless_told_not_to(solver, X):
    assert list(fitted(X, solver=solver(), max_iter=3).warm_up_evaluations_) == [1000, 3000]
    assert fitted(X, solver=solver(warm_up=False), max_iter=3).warm_up_evaluations_ == {}


def test_mini_batches_need_no_warm_up(X):
    assert fitted(X, solver=Adam(), max_iter=1).warm_up_evaluations_ == {}


@pytest.mark.parametrize("solver", [LBFGS(), LBFGS(float32_first=True)])
def test_a_fit_ends_at_a_minimum_over_all_rows_in_full_precision(solver, X):
    model = fitted(X, solver=solver, max_iter=2000, tol=1e-6)
    assert model.solver_status_ == "converged"
    value, gradient = model.objective(X)(model.theta_)
    assert np.abs(gradient).max() < 1e-4
    assert model.loss_curve_[-1] == pytest.approx(value, rel=1e-12)
    assert len(model.loss_curve_) == model.n_iter_
    assert all(len(curve) == model.n_iter_ for curve in model.terms_curve_.values())
    assert model.coefs_[0].dtype == np.float64


def test_the_warm_up_saves_evaluations_of_all_rows(X):
    cold = fitted(X, solver=LBFGS(warm_up=False), max_iter=400)
    target = cold.loss_curve_[60]
    warm = fitted(X, max_iter=400, callbacks=[lambda state: state.value <= target])
    assert warm.solver_status_ == "stopped"
    assert warm.n_evaluations_ < 40


def test_callbacks_and_the_record_know_only_iterations_over_all_rows(X):
    seen = []
    model = fitted(X, callbacks=[lambda state: seen.append(state.value)])
    assert seen == model.loss_curve_
    assert len(seen) == model.n_iter_ == 40
    first, _ = model.objective(X)(model.theta_)
    assert seen[0] < 1.5 * first  # the warm-up has led most of the way


@pytest.mark.parametrize("float32_first", [False, True])
def test_the_seed_decides_not_the_number_of_threads(float32_first, X):
    solver = LBFGS(float32_first=float32_first)
    one, two, three = (fitted(X, solver=solver, n_jobs=n_jobs) for n_jobs in (1, 2, 3))
    np.testing.assert_array_equal(one.theta_, two.theta_)
    np.testing.assert_array_equal(one.theta_, three.theta_)
    assert not np.array_equal(one.theta_, fitted(X, solver=solver, random_state=1).theta_)


def test_a_fit_that_continues_does_not_go_back_to_a_few_rows(X):
    model = fitted(X, warm_start=True)
    before = model.cost(X)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.set_params(max_iter=1).fit(X)
    assert model.warm_up_evaluations_ == {}
    assert model.cost(X)[0] <= before


def test_float32_comes_first_where_asked_and_is_seen_by_callbacks(X):
    seen = []
    model = fitted(X, solver=LBFGS(float32_first=True, warm_up=False), max_iter=400, tol=1e-7, callbacks=[seen.append])
    values, iterations = [state.value for state in seen], [state.iteration for state in seen]
    assert values == model.loss_curve_
    restart = iterations.index(1, 1)  # float64 counts from 1 again
    assert 10 <= restart < len(seen) - 1
    # The last value in float32 is that of its θ, but for the precision; the following ones are lower.
    exact = model.objective(X)(seen[restart - 1].theta)[0]
    assert 0 < abs(values[restart - 1] / exact - 1) < 1e-5
    assert values[-1] <= exact


def test_rows_in_float32_stay_there(X):
    plain, first = (fitted(X.astype(np.float32), solver=LBFGS(float32_first=first)) for first in (False, True))
    np.testing.assert_array_equal(plain.theta_, first.theta_)


def test_a_callback_ends_a_fit_while_it_is_in_float32(X):
    calls = []
    model = fitted(X, solver=LBFGS(float32_first=True), callbacks=[lambda state: calls.append(state) or True])
    assert (model.solver_status_, len(calls), model.n_iter_) == ("stopped", 1, 1)


def test_corruption_weights_and_labels_go_with_their_rows(X):
    """A warm-up on the wrong targets would lead away; a subset without any weight is left out."""
    denoising = DenoisingAutoencoder(n_components=4, max_iter=30, random_state=0)
    rebuilt = fitted(X, model=denoising).reconstruct(X)
    assert np.mean((rebuilt - X) ** 2) < 0.5 * X.var()
    labels = (X[:, 0] > 0.5).astype(int)
    classifier = SoftmaxRegression(max_iter=50, random_state=0)
    assert fitted(X, labels, model=classifier).score(X, labels) > 0.9
    weight = np.zeros(len(X))
    weight[:40] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = clone(classifier).fit(X, labels, sample_weight=weight)
    assert model.score(X[:40], labels[:40]) > 0.9


def test_a_tail_that_gains_nothing_is_not_waited_for(X):
    tight = {"tol": 0.0, "max_iter": 5000}
    loose = fitted(X, solver=LBFGS(min_improvement=1e-4), **tight)
    default = fitted(X, **tight)
    assert loose.solver_status_ == default.solver_status_ == "converged"
    assert "min_improvement=0.0001" in loose.solver_message_
    assert loose.n_iter_ < default.n_iter_ < 5000
    assert default.loss_curve_[-1] <= loose.loss_curve_[-1] <= (1 + 1e-2) * default.loss_curve_[-1]
    assert fitted(X, solver=LBFGS(min_improvement=0.0), tol=0.0, max_iter=60).n_iter_ == 60


@pytest.mark.parametrize("value", [-0.1, 1.0, "little"])
def test_an_improvement_is_a_fraction(value):
    with pytest.raises(ValueError, match=r"min_improvement must lie in \[0, 1\)"):
        LBFGS(min_improvement=value)


@pytest.mark.parametrize("max_iter", [1, 2, 5, 30])
def test_float32_first_keeps_to_the_number_of_iterations(max_iter, X):
    model = fitted(X, solver=LBFGS(float32_first=True, warm_up=False), max_iter=max_iter, tol=0.0)
    assert model.n_iter_ == max_iter
    assert f"{max_iter} iterations were done" in model.solver_message_


def test_rows_that_float32_cannot_hold_are_left_to_float64(X):
    model = fitted(1e39 * X, solver=LBFGS(float32_first=True, warm_up=False), output_activation="identity", max_iter=2)
    assert np.all(np.isfinite(model.theta_))


def test_partial_fit_has_the_precision_of_its_rows():
    X = np.random.default_rng(0).random((60, 5))
    model = SparseAutoencoder(n_components=3, sparsity=0.2, solver=Adam(), random_state=0).partial_fit(
        X.astype(np.float32)
    )
    model.partial_fit(X)
    assert model.coefs_[0].dtype == np.float64
    assert not np.array_equal(model.theta_, model.theta_.astype(np.float32))


def test_parameters_that_are_not_finite_are_not_kept():
    X = np.random.default_rng(0).random((60, 5)).astype(np.float32)
    model = SparseAutoencoder(n_components=3, solver=SGD(learning_rate=1e39, momentum=0.0), max_iter=1, random_state=0)
    with pytest.warns(ConvergenceWarning, match="not finite|being finite"):
        model.fit(X)
    assert np.all(np.isfinite(model.theta_))
