"""Early stopping of estimators: rows are held out, the best parameters are kept, with every solver."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.preprocessing import StandardScaler

from rhohat import (
    SGD,
    Adam,
    Checkpoint,
    FeedforwardClassifier,
    FeedforwardRegressor,
    SoftmaxRegression,
    SparseAutoencoder,
    StackedAutoencoderClassifier,
    open_rows,
)
from rhohat.common.randomness import keyed_generator
from rhohat.objective.held_out import draw_by_class, draw_held_out

SOLVERS = ["lbfgs", "conjugate_gradient", "newton_cg", "gradient_descent", "sgd", "adam"]
pytestmark = pytest.mark.filterwarnings("ignore:.*done.* and J was still falling:sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X), np.array(["malignant", "benign"])[y]


def overfitting(solver="lbfgs", **parameters):
    """Return a classifier that overfits without early stopping."""
    how = {"hidden_layer_sizes": (20,), "weight_decay": 0.0, "max_iter": 60, "tol": 0.0, "random_state": 0}
    return FeedforwardClassifier(solver=solver, early_stopping=True, **{**how, **parameters})


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_parameters_with_the_lowest_cost_on_held_out_rows_are_kept(solver, cancer):
    X, y = cancer
    seen = []
    model = overfitting(solver, n_iter_no_change=3, callbacks=[lambda state: seen.append(state)]).fit(X, y)
    full = [state for state in seen if state.n_rows is None]
    assert len(model.validation_curve_) == model.n_iter_ == len(full)
    best = int(np.argmin(model.validation_curve_))
    np.testing.assert_array_equal(model.theta_, full[best].theta)
    if model.solver_status_ == "stopped":
        assert model.n_iter_ == best + 1 + 3
        assert (
            f"has not fallen for 3 {'epochs' if solver in ('sgd', 'adam') else 'iterations'}" in model.solver_message_
        )


def test_the_cost_is_that_of_rows_which_the_fit_has_not_seen(cancer):
    X, y = cancer
    model = overfitting(max_iter=5, validation_fraction=0.2).fit(X, y)
    classes = np.unique(y, return_inverse=True)[1]
    held_out = draw_held_out(keyed_generator(0, "rows held out"), len(X), 0.2, classes)
    rest = np.delete(np.arange(len(X)), held_out)
    best = int(np.argmin(model.validation_curve_))
    assert model.cost(X[held_out], y[held_out])[0] == pytest.approx(model.validation_curve_[best], rel=1e-12)
    assert model.cost(X[rest], y[rest])[0] == pytest.approx(model.loss_curve_[best], rel=1e-12)


def test_a_solver_with_early_stopping_of_its_own_gives_the_same(cancer):
    X, y = load_diabetes(return_X_y=True)
    y = (y - y.mean()) / y.std()
    own = Adam(early_stopping=True, validation_fraction=0.2, patience=4)
    parts = {"hidden_layer_sizes": (8,), "max_iter": 30, "random_state": 3}
    one = FeedforwardRegressor(solver=own, **parts).fit(X, y)
    other = FeedforwardRegressor(
        solver=Adam(), early_stopping=True, validation_fraction=0.2, n_iter_no_change=4, **parts
    ).fit(X, y)
    np.testing.assert_array_equal(one.theta_, other.theta_)
    assert one.validation_curve_ == other.validation_curve_
    with pytest.raises(ValueError, match="both hold out rows"):
        FeedforwardRegressor(solver=own, early_stopping=True).fit(X, y)


def test_classes_are_held_out_in_their_proportions():
    classes = np.repeat([0, 1, 2, 3], [70, 25, 4, 1])
    for seed in range(20):
        held_out = draw_by_class(np.random.default_rng(seed), np.arange(100), 10, classes)
        assert len(set(held_out)) == 10
        counts = np.bincount(classes[held_out], minlength=4)
        assert counts[0] == 7
        assert counts[1] in (2, 3)
        assert counts[3] == 0, "the only row of a class is learned from"
    assert len(draw_by_class(np.random.default_rng(0), np.arange(4), 2, np.arange(4))) == 2


def test_early_stopping_helps_where_a_network_overfits():
    X, y = load_digits(return_X_y=True)
    X, test, y, truth = X[:200] / 16, X[200:] / 16, y[:200], y[200:]
    noisy = np.where(np.random.default_rng(0).random(200) < 0.3, 0, y)
    scores = []
    for early in (False, True):
        model = overfitting(hidden_layer_sizes=(60,), max_iter=90, validation_fraction=0.2)
        scores.append(model.set_params(early_stopping=early).fit(X, noisy).score(test, truth))
    assert scores[1] > scores[0]


def test_autoencoders_and_rows_from_files_are_held_out_too(tmp_path):
    X = load_digits().data[:300] / 16
    np.save(tmp_path / "rows.npy", X)

    def fitted(rows):
        model = SparseAutoencoder(n_components=5, early_stopping=True, max_iter=15, random_state=0)
        return model.fit(rows)

    in_memory = fitted(X)
    with open_rows(tmp_path / "rows.npy") as rows:
        from_file = fitted(rows)
    assert len(in_memory.validation_curve_) == in_memory.n_iter_
    np.testing.assert_allclose(from_file.theta_, in_memory.theta_, rtol=1e-6, atol=1e-8)


def test_all_steps_of_a_stacked_classifier_after_the_layers_stop_early(cancer):
    X, y = cancer
    model = StackedAutoencoderClassifier(
        [SparseAutoencoder(n_components=4, output_activation="identity", max_iter=3)],
        early_stopping=True,
        max_iter=8,
        random_state=0,
    ).fit(X, y)
    assert model.validation_curve_
    assert model.softmax_.validation_curve_
    assert not model.autoencoder_.autoencoders_[0].validation_curve_


@pytest.mark.parametrize("solver", ["lbfgs", "gradient_descent", SGD(0.1)])
def test_a_fit_that_was_interrupted_is_resumed_with_the_same_bits(solver, cancer, tmp_path):
    X, y = cancer
    whole = overfitting(solver, max_iter=25, n_iter_no_change=4).fit(X, y)

    def interrupt(state):
        if state.iteration == 9 and state.n_rows is None:
            raise RuntimeError("the power fails")

    checkpoint = Checkpoint(tmp_path / "states", every=1, resume=True)
    model = overfitting(solver, max_iter=25, n_iter_no_change=4, checkpoint=checkpoint)
    with pytest.raises(RuntimeError, match="power"):
        model.set_params(callbacks=[interrupt]).fit(X, y)
    resumed = model.set_params(callbacks=None).fit(X, y)
    np.testing.assert_array_equal(resumed.theta_, whole.theta_)
    assert resumed.validation_curve_ == whole.validation_curve_


def test_impossible_settings_are_refused():
    X, y = np.eye(4), [0, 1, 0, 1]
    with pytest.raises(ValueError, match="validation_fraction"):
        SoftmaxRegression(early_stopping=True, validation_fraction=1.0).fit(X, y)
    with pytest.raises(ValueError, match="no row is left for training"):
        SparseAutoencoder(n_components=2, early_stopping=True).fit(X[:1])
