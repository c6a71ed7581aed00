import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from threadpoolctl import threadpool_info, threadpool_limits

from rhohat import SparseAutoencoder, check_gradient
from rhohat.common.exceptions import ConvergenceWarning
from rhohat.layers.activations import Sigmoid
from rhohat.solvers import LBFGS, GradientDescent
from tests.textbook import sparse_cost
from tests.tolerances import EXACT, FLOAT32_COST, GRADIENT


def fit(X, **parameters):
    """Fit a small autoencoder; how far it gets is not what these tests are about."""
    parameters = {"n_components": 4, "sparsity": 0.1, "max_iter": 30, "random_state": 0, **parameters}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return SparseAutoencoder(**parameters).fit(X)


@pytest.fixture(name="X")
def rows(rng):
    return rng.random((300, 9))


def test_parameters_are_keyword_only():
    with pytest.raises(TypeError, match="positional"):
        SparseAutoencoder(25)


def test_defaults_are_those_of_the_lecture():
    expected = {
        "n_components": 25,
        "activation": "sigmoid",
        "output_activation": "auto",
        "sparsity": 0.01,
        "sparsity_weight": 3.0,
        "weight_decay": 1e-4,
        "solver": "lbfgs",
        "max_iter": 400,
    }
    assert expected.items() <= SparseAutoencoder().get_params().items()


def test_fitted_attributes_have_their_shapes_and_meanings(X):
    fitted = fit(X)
    assert [W.shape for W in fitted.coefs_] == [(9, 4), (4, 9)]
    assert [b.shape for b in fitted.intercepts_] == [(4,), (9,)]
    np.testing.assert_array_equal(fitted.components_, fitted.coefs_[0].T)
    np.testing.assert_allclose(fitted.mean_activation_, fitted.transform(X).mean(axis=0), rtol=EXACT)
    assert fitted.n_features_in_ == 9
    assert fitted.n_iter_ == len(fitted.loss_curve_) == 30
    assert fitted.n_evaluations_ >= 31
    np.testing.assert_allclose(np.sum(list(fitted.terms_curve_.values()), axis=0), fitted.loss_curve_, rtol=EXACT)
    assert fitted.solver_status_ == "max_iter"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_transform_reconstruct_and_inverse_are_the_two_halves_of_the_network(X):
    fitted = fit(X)
    (W1, W2), (b1, b2) = fitted.coefs_, fitted.intercepts_
    H = 1 / (1 + np.exp(-(X @ W1 + b1)))
    reconstruction = 1 / (1 + np.exp(-(H @ W2 + b2)))
    np.testing.assert_allclose(fitted.transform(X), H, rtol=EXACT)
    np.testing.assert_allclose(fitted.inverse_transform(H), reconstruction, rtol=EXACT)
    np.testing.assert_allclose(fitted.reconstruct(X), reconstruction, rtol=EXACT)
    np.testing.assert_array_equal(fitted.predict(X), fitted.reconstruct(X))
    np.testing.assert_array_equal(fit(X).transform(X), SparseAutoencoder(**fitted.get_params()).fit_transform(X))


def test_score_is_the_variance_explained_about_the_column_means(X):
    fitted = fit(X + 5, output_activation="identity")
    residual = X + 5 - fitted.reconstruct(X + 5)
    np.testing.assert_allclose(fitted.score(X + 5), 1 - residual.var(axis=0).sum() / X.var(axis=0).sum(), atol=0.01)
    exact = 1 - (residual**2).sum() / ((X - X.mean(axis=0)) ** 2).sum()
    np.testing.assert_allclose(fitted.score(X + 5), exact, rtol=1e-10)


def test_score_of_rows_without_variance_is_one_if_they_are_rebuilt_and_else_zero(X):
    fitted = fit(X, output_activation="identity")
    fitted.coefs_[1][:] = 0
    assert fitted.score(np.tile(fitted.intercepts_[1], (3, 1))) == 1
    assert fitted.score(np.tile(fitted.intercepts_[1] + 1, (3, 1))) == 0


def test_cost_agrees_with_the_textbook_and_its_terms_add_up(X):
    fitted = fit(X, weight_decay=0.01, sparsity_weight=2.0)
    value, terms = fitted.cost(X)
    expected = sparse_cost(fitted.theta_, X, X, (9, 4, 9), ["sigmoid", "sigmoid"], 0.01, 0.1, 2.0)[0]
    np.testing.assert_allclose(value, expected, rtol=EXACT)
    np.testing.assert_allclose(value, fitted.loss_curve_[-1], rtol=EXACT)
    assert set(terms) == {"squared_error", "weight_decay", "kl_sparsity"}
    assert value == sum(terms.values())


def test_the_objective_is_at_hand_before_and_after_a_fit(X, rng):
    unfitted = SparseAutoencoder(n_components=3, activation="tanh", sparsity=0.2)
    objective = unfitted.objective(X)
    assert check_gradient(objective, objective.network.initial_theta(rng)).relative_difference <= GRADIENT
    assert not hasattr(unfitted, "n_features_in_")
    fitted = fit(X)
    assert fitted.objective(X)(fitted.theta_)[0] == fitted.cost(X)[0]


def test_maximal_inputs_have_norm_one_and_activate_their_unit_most(X, rng):
    fitted = fit(X)
    inputs = fitted.maximal_inputs()
    np.testing.assert_allclose(np.linalg.norm(inputs, axis=1), 1, rtol=EXACT)
    others = rng.normal(size=(1000, 9))
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    assert np.all(np.diag(fitted.transform(inputs)) >= fitted.transform(others).max(axis=0))


def test_a_unit_without_weights_has_a_maximal_input_of_zeros(X):
    fitted = fit(X)
    fitted.coefs_[0][:, 1] = 0
    assert not fitted.maximal_inputs()[1].any()


@pytest.mark.parametrize(("shift", "chosen"), [(0.0, "sigmoid"), (0.1, "identity"), (-0.1, "identity")])
def test_auto_chooses_sigmoid_within_the_unit_interval_and_identity_elsewhere(X, shift, chosen):
    X = (X - X.min()) / (X.max() - X.min()) + shift
    assert fit(X, max_iter=2).output_activation_ == chosen


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "identity", Sigmoid()])
def test_every_activation_trains(X, activation):
    weight = 0.0 if activation == "identity" else 3.0
    fitted = fit(X, activation=activation, sparsity_weight=weight, max_iter=100)
    assert fitted.loss_curve_[-1] < 0.9 * fitted.loss_curve_[0]


def test_sparsity_holds_mean_activations_near_their_target(X):
    for activation, low in (("sigmoid", 0.0), ("tanh", -1.0)):
        fitted = fit(X, activation=activation, sparsity=0.2, sparsity_weight=100.0, max_iter=200)
        target = low + (1 - low) * 0.2
        np.testing.assert_allclose(fitted.mean_activation_, target, atol=0.02)


def test_a_linear_autoencoder_explains_what_principal_components_explain(rng):
    X = rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6))
    linear = {"activation": "identity", "output_activation": "identity", "sparsity_weight": 0.0, "weight_decay": 0.0}
    fitted = fit(X, n_components=2, max_iter=2000, tol=1e-8, **linear)
    np.testing.assert_allclose(fitted.score(X), PCA(2).fit(X).explained_variance_ratio_.sum(), rtol=1e-6)


def test_the_same_seed_gives_the_same_bits_for_any_number_of_threads(rng):
    X = rng.random((9000, 64))
    fits = [fit(X, n_components=25, n_jobs=n_jobs, max_iter=15) for n_jobs in (1, 2, 4, 1)]
    for other in fits[1:]:
        np.testing.assert_array_equal(other.theta_, fits[0].theta_)
        np.testing.assert_array_equal(other.transform(X), fits[0].transform(X))
        assert other.loss_curve_ == fits[0].loss_curve_
    assert not np.array_equal(fit(X, n_components=25, random_state=1, max_iter=1).theta_, fits[0].theta_)


def test_global_random_state_is_left_alone(X):
    np.random.seed(3)  # noqa: NPY002 - the global state is what this is about
    expected = np.random.RandomState(3).rand()
    fit(X, random_state=None, max_iter=1)
    assert np.random.rand() == expected  # noqa: NPY002


def test_float32_stays_float32(X):
    single, double = fit(X.astype(np.float32), max_iter=20), fit(X, max_iter=20)
    assert {p.dtype for p in (*single.coefs_, *single.intercepts_)} == {np.dtype(np.float32)}
    assert single.transform(X.astype(np.float32)).dtype == np.float32
    assert single.transform(X).dtype == np.float64
    assert fit((10 * X).astype(int), max_iter=1).coefs_[0].dtype == np.float64
    np.testing.assert_allclose(single.loss_curve_[0], double.loss_curve_[0], rtol=FLOAT32_COST)


def test_warm_start_continues_where_the_last_fit_ended(X):
    fitted = fit(X, warm_start=True, max_iter=20)
    first = fitted.loss_curve_[-1]
    with pytest.warns(ConvergenceWarning):
        fitted.fit(X)
    assert fitted.loss_curve_[0] <= first
    assert fitted.loss_curve_[-1] < first


def test_warm_start_refuses_parameters_of_another_shape(X):
    fitted = fit(X, warm_start=True, max_iter=2)
    with pytest.raises(ValueError, match=r"continues a network of layer sizes \(9, 4, 9\)"):
        fitted.set_params(n_components=5).fit(X)
    with pytest.raises(ValueError, match=r"now require \(9, 4, 9\) and \(Tanh\(\), Sigmoid\(\)\)"):
        fitted.set_params(n_components=4, activation="tanh").fit(X)
    with pytest.raises(ValueError, match="8 features"):
        fitted.set_params(activation="sigmoid").fit(X[:, :8])


def test_not_converging_warns_and_says_what_to_try(X):
    with pytest.warns(ConvergenceWarning, match="3 iterations were done.*try max_iter"):
        SparseAutoencoder(max_iter=3, random_state=0).fit(X)


def test_converging_does_not_warn(X):
    fitted = SparseAutoencoder(n_components=2, sparsity=0.2, tol=1e-3, max_iter=5000, random_state=0).fit(X)
    assert fitted.solver_status_ == "converged"


def test_a_callback_stops_the_fit_without_a_warning(X):
    fitted = SparseAutoencoder(callbacks=[lambda state: state.iteration >= 4], random_state=0).fit(X)
    assert (fitted.n_iter_, fitted.solver_status_) == (4, "stopped")


def test_diverging_warns_and_keeps_finite_parameters(X):
    solver = GradientDescent(learning_rate=1e200)
    with pytest.warns(ConvergenceWarning, match="Lower learning_rate|not finite at the start"):
        fitted = SparseAutoencoder(solver=solver, output_activation="identity", random_state=0).fit(1e150 * X)
    assert fitted.solver_status_ == "not_finite"
    assert np.all(np.isfinite(fitted.theta_))


def test_gradient_descent_lowers_the_cost(X):
    fitted = fit(X, solver=GradientDescent(learning_rate=0.5), max_iter=50)
    assert np.all(np.diff(fitted.loss_curve_) < 0)


def test_blas_is_held_to_one_thread_for_the_whole_of_a_fit(X):
    seen = set()

    def look(state):
        seen.update(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")

    with threadpool_limits(2, user_api="blas"):
        fit(X, callbacks=[look], max_iter=3)
    assert seen == {1}


@pytest.mark.filterwarnings("ignore:(Most of these|These) rows:UserWarning")
@pytest.mark.parametrize("scale", [1e-100, 1e25, 1e200])
def test_the_score_does_not_depend_on_squares_that_fit_a_float(X, scale):
    fitted = fit(X, output_activation="identity")
    expected = np.sum((scale * X - fitted.reconstruct(scale * X)).astype(np.longdouble) ** 2)
    expected /= np.sum((scale * (X - X.mean(axis=0))).astype(np.longdouble) ** 2)
    np.testing.assert_allclose(fitted.score(scale * X), float(1 - expected), rtol=1e-6)


def test_verbose_prints_progress_to_standard_error(X, capsys):
    fit(X, verbose=10, max_iter=20)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["iteration 10", "iteration 20"]


def test_constant_columns_and_few_rows_are_fine(rng):
    X = rng.random((3, 5))
    X[:, 2] = 0.5
    assert np.all(np.isfinite(fit(X).transform(X)))
    assert np.all(np.isfinite(fit(X[:1]).transform(X)))
    assert np.all(np.isfinite(fit(np.zeros((4, 5))).transform(X)))


def test_data_are_left_as_they_are(X):
    before = X.copy()
    fitted = fit(X)
    fitted.transform(X), fitted.reconstruct(X), fitted.score(X), fitted.cost(X)
    np.testing.assert_array_equal(X, before)
    X.flags.writeable = False
    np.testing.assert_array_equal(fit(X).theta_, fitted.theta_)


def test_memory_layout_does_not_matter(X):
    np.testing.assert_array_equal(fit(np.asfortranarray(X)).theta_, fit(X).theta_)
    np.testing.assert_array_equal(fit(np.repeat(X, 2, axis=0)[::2]).theta_, fit(X).theta_)


def test_pickling_and_cloning(X):
    fitted = fit(X, solver=LBFGS(memory=7))
    again = pickle.loads(pickle.dumps(fitted))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
    copy = clone(fitted)
    assert copy.get_params()["solver"] == LBFGS(memory=7)
    with pytest.raises(NotFittedError):
        copy.transform(X)


def test_changing_parameters_after_a_fit_changes_nothing_until_the_next(X):
    fitted = fit(X)
    before = fitted.transform(X)
    fitted.set_params(n_components=7, activation="tanh")
    np.testing.assert_array_equal(fitted.transform(X), before)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_it_works_in_a_pipeline_and_a_grid_search(X):
    pipeline = make_pipeline(MinMaxScaler(), SparseAutoencoder(n_components=3, max_iter=10, random_state=0))
    assert pipeline.fit_transform(100 * X).shape == (300, 3)
    search = GridSearchCV(pipeline, {"sparseautoencoder__n_components": [1, 6]}, cv=3, n_jobs=2).fit(X)
    assert np.all(np.isfinite(search.cv_results_["mean_test_score"]))
    assert search.best_estimator_.predict(X).shape == X.shape


def test_pandas_in_and_out(X):
    frame = pd.DataFrame(X, columns=[f"pixel {k}" for k in range(9)])
    fitted = fit(frame).set_output(transform="pandas")
    codes = fitted.transform(frame)
    assert isinstance(codes, pd.DataFrame)
    assert list(codes.columns) == list(fitted.get_feature_names_out())
    assert list(codes.columns) == [f"sparseautoencoder{k}" for k in range(4)]
    assert list(fitted.feature_names_in_) == list(frame.columns)
    with pytest.raises(ValueError, match="feature names"):
        fitted.transform(frame.rename(columns={"pixel 0": "other"}))


@pytest.mark.parametrize("method", ["transform", "inverse_transform", "reconstruct", "score", "cost"])
def test_methods_ask_for_a_fit_first(method, X):
    with pytest.raises(NotFittedError):
        getattr(SparseAutoencoder(), method)(X)
    with pytest.raises(NotFittedError):
        SparseAutoencoder().maximal_inputs()
