import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from rhohat import (
    Adam,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    FeedforwardClassifier,
    SparseAutoencoder,
    StackedAutoencoder,
    TopKAutoencoder,
    open_rows,
)
from rhohat.callbacks import BestModel, EarlyStopping, held_out_cost
from tests.callbacks.states import state
from tests.tolerances import EXACT

pytestmark = pytest.mark.filterwarnings("ignore:.*iterations? (was|were) done:sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def rows(rng):
    return rng.random((90, 6))


MODELS = [
    SparseAutoencoder(n_components=4, output_activation="sigmoid", max_iter=6, tol=0, random_state=0),
    SparseAutoencoder(n_components=4, loss="binary_cross_entropy", max_iter=6, tol=0, random_state=0),
    ContractiveAutoencoder(n_components=4, output_activation="identity", max_iter=6, tol=0, random_state=0),
]


@pytest.mark.parametrize("model", MODELS, ids=["squared error", "cross entropy", "contractive"])
def test_on_the_rows_of_the_fit_it_is_the_cost_of_the_fit(rows, model):
    costs = []
    model = clone(model)
    cost = held_out_cost(model, rows)
    model.set_params(callbacks=[lambda state: costs.append(cost(state))]).fit(rows)
    np.testing.assert_allclose(costs, model.loss_curve_, rtol=EXACT)


@pytest.mark.parametrize("model", MODELS, ids=["squared error", "cross entropy", "contractive"])
def test_on_other_rows_it_is_their_cost(rows, model):
    model = clone(model)
    best = BestModel(monitor=held_out_cost(model, rows[60:]))
    model.set_params(callbacks=[best]).fit(rows[:60])
    np.testing.assert_allclose(best.restore(model).cost(rows[60:])[0], best.best_value_, rtol=EXACT)


def test_rows_that_are_corrupted_are_corrupted_the_same_way_every_time(rows):
    model = DenoisingAutoencoder(n_components=4, output_activation="sigmoid", corruption="masking", random_state=3)
    cost = held_out_cost(model, rows)
    theta = np.full(model.objective(rows).network.n_parameters, 0.1)
    assert cost(state(1, theta=theta)) == cost(state(2, theta=theta.copy())) == model.objective(rows).cost(theta)[0]


def test_a_fitted_estimator_counts_as_one_that_is_fitted_anew(rows):
    model = clone(MODELS[0]).fit(rows[:, :5])
    costs = []
    cost = held_out_cost(model, rows)  # rows of another width than those of the last fit
    model.set_params(callbacks=[lambda state: costs.append(cost(state))]).fit(rows)
    np.testing.assert_allclose(costs, model.loss_curve_, rtol=EXACT)


def test_early_stopping_with_mini_batches_keeps_the_best_epoch(rows):
    model = SparseAutoencoder(
        n_components=20, sparsity_weight=0, output_activation="sigmoid", solver=Adam(0.1, batch_size=10), random_state=0
    )
    cost, costs = held_out_cost(model, rows[70:]), []
    best = BestModel(monitor=cost)
    callbacks = [best, EarlyStopping(patience=4, monitor=cost), lambda state: costs.append(cost(state))]
    model.set_params(callbacks=callbacks).fit(rows[:70])
    assert model.solver_status_ == "stopped"
    assert len(costs) == best.best_iteration_ + 4
    assert best.best_value_ == min(costs)
    np.testing.assert_allclose(best.restore(model).cost(rows[70:])[0], min(costs), rtol=EXACT)


def test_rows_of_a_file_do_as_well(rows, tmp_path):
    np.save(tmp_path / "rows.npy", rows)
    theta = np.full(MODELS[0].objective(rows).network.n_parameters, 0.1)
    with open_rows(tmp_path / "rows.npy") as source:
        cost = held_out_cost(MODELS[0], source)
        assert cost(state(1, theta=theta)) == held_out_cost(MODELS[0], rows)(state(1, theta=theta))
        assert copy.deepcopy(cost)(state(1, theta=theta)) == cost(state(1, theta=theta))


def test_an_iteration_is_evaluated_once_however_many_ask(rows, monkeypatch):
    model = clone(MODELS[0])
    cost = held_out_cost(model, rows)
    calls = []
    evaluate = cost._objective.cost
    monkeypatch.setattr(cost._objective, "cost", lambda theta: calls.append(1) or evaluate(theta))
    model.set_params(callbacks=[BestModel(monitor=cost), EarlyStopping(monitor=cost)]).fit(rows)
    assert len(calls) == model.n_iter_


def test_copies_and_pickles_give_the_same_numbers(rows):
    cost = held_out_cost(MODELS[0], rows)
    theta = np.full(MODELS[0].objective(rows).network.n_parameters, 0.1)
    expected = cost(state(1, theta=theta))
    copied, unpickled = copy.deepcopy(cost), pickle.loads(pickle.dumps(cost))  # noqa: S301 - our own
    assert copied._X is rows  # which may be many
    assert expected == copied(state(1, theta=theta)) == unpickled(state(1, theta=theta))


def test_a_grid_search_stops_early(rows):
    model = clone(MODELS[0]).set_params(max_iter=400)
    stopping = EarlyStopping(patience=1, min_improvement=1e9, monitor=held_out_cost(model, rows[:10]))
    search = GridSearchCV(model.set_params(callbacks=[stopping]), {"weight_decay": [0, 1e-3]}, cv=2, n_jobs=2)
    assert search.fit(rows[10:]).best_estimator_.n_iter_ == 2


def test_what_has_no_cost_on_rows_held_out_is_refused(rows):
    with pytest.raises(ValueError, match="must be an autoencoder, whose cost takes no targets; got FeedforwardClass"):
        held_out_cost(FeedforwardClassifier(), rows)
    with pytest.raises(ValueError, match=r"must be a network; got TopKAutoencoder\. A callback cannot measure"):
        held_out_cost(TopKAutoencoder(8, 2), rows)
    with pytest.raises(ValueError, match="StackedAutoencoder has none, because its layers are trained one by one"):
        held_out_cost(StackedAutoencoder(), rows)
    with pytest.raises(ValueError, match="output_activation='auto' chooses the activation by the range"):
        held_out_cost(SparseAutoencoder(), rows)
    with pytest.raises(ValueError, match="output_activation='sigmoid' only reaches"):
        held_out_cost(MODELS[0], 2 * rows)
    with pytest.raises(ValueError, match="NaN"):
        held_out_cost(MODELS[0], np.full((3, 6), np.nan))


def test_a_fit_of_another_size_is_refused(rows):
    model = clone(MODELS[0])
    stopping = EarlyStopping(monitor=held_out_cost(model, rows[:, :5]))
    with pytest.raises(ValueError, match=r"the fit has 58 parameters, but the estimator .* has 49 for rows of 5 col"):
        model.set_params(callbacks=[stopping]).fit(rows)
