"""Which rows a solver sees in which precision: the warm-up, float32 first, and that all rows in full come last."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone

from rhohat import (
    LBFGS,
    SGD,
    Adam,
    Checkpoint,
    ConjugateGradient,
    DenoisingAutoencoder,
    FeedforwardClassifier,
    FeedforwardRegressor,
    GradientDescent,
    NewtonCG,
    SoftmaxRegression,
    SparseAutoencoder,
    evaluate,
    open_rows,
)
from rhohat.common.exceptions import ConvergenceWarning

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


def test_callbacks_see_the_warm_up_which_has_a_record_of_its_own(X):
    seen = {}
    model = fitted(X, callbacks=[lambda state: seen.setdefault(state.n_rows, []).append(state.value)])
    over_all = seen.pop(None)
    assert over_all == model.loss_curve_
    assert len(over_all) == model.n_iter_ == 40
    assert seen == model.warm_up_curves_
    assert list(seen) == list(model.warm_up_evaluations_)
    assert seen[1000][0] > 2 * seen[1000][-1]  # the cost is seen to fall
    first, _ = model.objective(X)(model.theta_)
    assert over_all[0] < 1.5 * first  # the warm-up has led most of the way


def test_a_callback_that_returns_true_ends_the_iterations_on_a_subset(X):
    model = fitted(X, callbacks=[lambda state: state.n_rows is not None and state.iteration == 3])
    assert {len(curve) for curve in model.warm_up_curves_.values()} == {3}
    assert model.n_iter_ == 40


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
    over_all = [state for state in calls if state.n_rows is None]
    assert (model.solver_status_, len(over_all), model.n_iter_) == ("stopped", 1, 1)


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
    assert model.solver_message_.startswith(f"{max_iter} iteration")


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


# Learning rates that are too high.

UNBOUNDED = SparseAutoencoder(n_components=5, sparsity=0.2, output_activation="identity", max_iter=60, random_state=0)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("learning_rate", [2.0, 5.0, 50.0])
def test_a_fit_that_diverges_names_the_learning_rate_and_keeps_the_best(learning_rate, dtype, early_stopping, X):
    solver = SGD(learning_rate, batch_size=32, early_stopping=early_stopping)
    rows = (30 * X[:600]).astype(dtype)
    model = clone(UNBOUNDED).set_params(solver=solver)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(rows)
    assert model.solver_status_ in ("diverged", "not_finite")
    assert [str(warning.message) for warning in caught] == [model.solver_message_]
    assert f"Lower learning_rate (now {learning_rate:g})" in model.solver_message_
    start = fitted(rows, model=UNBOUNDED, solver=SGD(1e-300, batch_size=32), max_iter=1)
    assert model.cost(rows)[0] <= 1.01 * start.cost(rows)[0]


@pytest.mark.parametrize("n_corruptions", [1, 3])
def test_descent_that_diverges_is_not_gone_on_with(n_corruptions, X):
    model = DenoisingAutoencoder(
        n_components=5,
        n_corruptions=n_corruptions,
        output_activation="identity",
        solver=GradientDescent(3.0),
        max_iter=12,
        random_state=0,
    )
    with pytest.warns(ConvergenceWarning, match=r"Lower learning_rate \(now 3.0\)"):
        model.fit(10 * X[:600])
    assert (model.solver_status_, model.n_iter_) == ("diverged", 12)
    assert model.cost(10 * X[:600])[0] <= min(model.loss_curve_) * 1.01


@pytest.mark.parametrize("batch_size", [600, 32])
def test_partial_fit_that_diverges_is_left_as_it_was(batch_size, X):
    model = clone(UNBOUNDED).set_params(solver=SGD(1e-3, batch_size=batch_size)).partial_fit(10 * X[:600])
    model.set_params(solver=SGD(3.0, batch_size=batch_size))
    refused = 0
    for _ in range(30):
        before = (model.theta_, list(model.loss_curve_), model._solver_state)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.partial_fit(10 * X[:600])
        if caught:
            refused += 1
            assert len(caught) == 1
            assert "Lower learning_rate (now 3)" in str(caught[0].message)
            np.testing.assert_array_equal(model.theta_, before[0])
            assert model.loss_curve_ == before[1]
            assert model._solver_state is before[2]
    assert refused > 15
    assert max(model.loss_curve_) <= 1e6 * model.loss_curve_[0]


def test_a_first_call_of_partial_fit_that_diverges_leaves_the_start(X):
    model = clone(UNBOUNDED).set_params(solver=SGD(1e4, batch_size=32))
    with pytest.warns(ConvergenceWarning, match=r"Lower learning_rate \(now 10000\)"):
        model.partial_fit(10 * X[:600])
    assert model.solver_status_ in ("diverged", "not_finite")
    assert np.abs(model.theta_).max() < 1


def test_float32_first_hides_no_divergence(X):
    with pytest.warns(ConvergenceWarning, match="Lower learning_rate"):
        model = (
            clone(UNBOUNDED).set_params(solver=GradientDescent(3.0, float32_first=True), max_iter=12).fit(10 * X[:600])
        )
    assert model.solver_status_ == "diverged"


def test_partial_fit_takes_rows_on_another_scale(X):
    model = clone(UNBOUNDED).set_params(solver=Adam(0.01, batch_size=32))
    for scale in (0.01, 10, 0.1, 5):
        model.partial_fit(scale * X[:600])
    assert model.n_iter_ == 4


# Numbers of any size: a status with one warning, a right result, or a sentence before work.

SOLVERS = ["lbfgs", "conjugate_gradient", "newton_cg", "gradient_descent", GradientDescent("adaptive"), "sgd", "adam"]
SOLVERS += [LBFGS(float32_first=True), SGD(early_stopping=True, batch_size=8)]
ROWS = np.random.default_rng(0).uniform(-1, 1, (40, 5))
SIZES = [("float64", size) for size in (1e-300, 1e-200, 1e-155, 1e77, 1e103, 1e154, 1e155, 1e200, 1e300)]
SIZES += [("float32", size) for size in (1e-38, 1e-30, 1e18, 1e20, 1e30, 1e38)]
each_size = pytest.mark.parametrize(("dtype", "size"), SIZES)
each_solver = pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s if isinstance(s, str) else type(s).__name__)


def shapes_of_rows(dtype, size):
    """Rows that vary, that are all the same number, and with columns that are constant or depend on others."""
    columns = np.hstack([ROWS[:, :2], ROWS[:, :1] / 2, np.full((40, 1), 0.3), ROWS[:, 4:]])
    return [(size * rows).astype(dtype) for rows in (ROWS, np.full((40, 5), 0.7), columns)]


def fit_with_one_warning_at_most(model, *data):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", "y has a standard deviation of")  # which is said of units before work
        model.fit(*data)
    assert [warning.category for warning in caught] in ([], [ConvergenceWarning])
    assert model.solver_status_ in ("converged", "max_iter", "stalled", "stopped", "diverged", "not_finite")
    assert np.isfinite(model.theta_).all()
    assert np.isfinite(model.loss_curve_).all()
    return model


@each_size
@each_solver
def test_an_autoencoder_takes_rows_of_any_size(solver, dtype, size):
    for X in shapes_of_rows(dtype, size):
        for rows in (X, open_rows(X)):
            model = SparseAutoencoder(n_components=3, sparsity=0.2, solver=solver, max_iter=8, random_state=0)
            fit_with_one_warning_at_most(model, rows)
            assert np.isfinite(model.mean_activation_).all()
            assert np.isfinite(model.transform(rows)).all()
            assert not np.isnan(model.score(rows))
            assert not np.isnan(model.cost(rows)[0])
            assert not np.isnan(evaluate(model, rows).explained_variance)


@each_size
@each_solver
def test_networks_with_targets_take_rows_and_targets_of_any_size(solver, dtype, size):
    settings = {"solver": solver, "max_iter": 8, "random_state": 0}
    labels = np.arange(40) % 3
    for X in shapes_of_rows(dtype, size):
        for kind in (FeedforwardClassifier(hidden_layer_sizes=(3,)), SoftmaxRegression()):
            model = fit_with_one_warning_at_most(kind.set_params(**settings), X, labels)
            assert 0 <= model.score(X, labels) <= 1
            assert np.isfinite(model.predict_proba(X)).all()
        for output in ("identity", "sigmoid"):
            model = FeedforwardRegressor(hidden_layer_sizes=(3,), output_activation=output, **settings)
            fit_with_one_warning_at_most(model, X[:, :3], X[:, 3:])
            assert not np.isnan(model.score(X[:, :3], X[:, 3:]))


@pytest.mark.parametrize("size", [1e-200, 1e155, 1e300])
def test_a_covariance_that_cannot_be_held_is_refused_before_work(size):
    model = FeedforwardRegressor(noise_covariance="estimate", callbacks=[lambda state: pytest.fail("work was started")])
    with pytest.raises(
        ValueError, match="needs targets whose variances are neither too small nor too large for float64"
    ):
        model.fit(ROWS[:, :3], size * ROWS[:, 3:])


@pytest.mark.parametrize("size", [1.0, 1e-200, 1e200, 1e300])
def test_the_score_of_a_regressor_does_not_depend_on_squares_that_fit_a_float(size):
    X, units = ROWS[:, :3], np.array([1.0, size])
    y = units * (ROWS[:, 3:] + 2)
    model = fitted(X, y, model=FeedforwardRegressor(output_activation="sigmoid", max_iter=50, random_state=0))
    targets, residual = y / units, (y - model.predict(X)) / units
    expected = 1 - (residual**2).sum(axis=0) / ((targets - targets.mean(axis=0)) ** 2).sum(axis=0)
    np.testing.assert_allclose(model.score(X, y), expected.mean(), rtol=1e-9)
    assert evaluate(model, X, y).score == model.score(X, y)


@pytest.mark.filterwarnings("ignore:Most of these rows:UserWarning")
def test_activations_that_cannot_be_held_are_refused_with_a_sentence():
    model = fitted(ROWS, activation="identity", sparsity_weight=0.0, max_iter=3)
    with pytest.raises(ValueError, match="the activations of rows 0 to 40 are too large for float32; scale the rows"):
        model.transform(3e38 * np.sign(ROWS.astype(np.float32)))


def test_a_fit_whose_warm_up_a_callback_has_shortened_is_resumed_where_it_was(X, tmp_path):
    def shorten(state):
        return state.n_rows is not None and state.iteration >= 3

    def fit(*callbacks, **checkpoint):
        return fitted(X, callbacks=[shorten, *callbacks], **checkpoint)

    def fail(state):
        if state.n_rows is None and state.iteration == 20:
            raise RuntimeError("the power fails")

    with pytest.raises(RuntimeError, match="power"):
        fit(fail, checkpoint=Checkpoint(tmp_path, every=1))
    seen = []
    resumed = fit(
        lambda state: seen.append((state.n_rows, state.iteration)), checkpoint=Checkpoint(tmp_path, resume=True)
    )
    assert min(iteration for _, iteration in seen) >= 19
    assert {n_rows for n_rows, _ in seen} == {None}
    np.testing.assert_array_equal(resumed.theta_, fit().theta_)
    assert {len(curve) for curve in resumed.warm_up_curves_.values()} == {3}
