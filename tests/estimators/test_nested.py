"""Parameters of parameters go by nested names, as scikit-learn's searches ask for."""

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from rhohat import (
    LBFGS,
    SGD,
    Adam,
    Checkpoint,
    DeepAutoencoder,
    DenoisingAutoencoder,
    FeedforwardClassifier,
    GaussianNoise,
    KLSparsity,
    L1Sparsity,
    LeakyReLU,
    MaskingNoise,
    SparseAutoencoder,
    StackedAutoencoder,
    StackedAutoencoderClassifier,
    WeightDecay,
)
from rhohat.data import RangeScaler

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_parameters_of_parts_are_listed_deep_only():
    model = DenoisingAutoencoder(
        solver=Adam(0.01), corruption=MaskingNoise(0.3), penalties=[WeightDecay(0.1), KLSparsity(0.2, 3.0)]
    )
    deep = model.get_params()
    expected = {
        "solver__learning_rate": 0.01,
        "solver__batch_size": 256,
        "solver__beta_2": 0.999,
        "corruption__q": 0.3,
        "penalties__0__weight": 0.1,
        "penalties__1__sparsity": 0.2,
        "penalties__1__weight": 3.0,
    }
    assert expected.items() <= deep.items()
    assert set(model.get_params(deep=False)) == {name for name in deep if "__" not in name}


@pytest.mark.parametrize(
    ("model", "changes", "name", "expected"),
    [
        (SparseAutoencoder(solver=SGD(0.5)), {"solver__learning_rate": 0.01}, "solver", SGD(0.01)),
        (SparseAutoencoder(solver="sgd"), {"solver__learning_rate": 0.01}, "solver", SGD(0.01)),
        (SparseAutoencoder(), {"solver__memory": 5}, "solver", LBFGS(memory=5)),
        (SparseAutoencoder(), {"solver": "adam", "solver__epsilon": 0.1}, "solver", Adam(epsilon=0.1)),
        (SparseAutoencoder(), {"solver__epsilon": 0.1, "solver": Adam(0.5)}, "solver", Adam(0.5, epsilon=0.1)),
        (
            SparseAutoencoder(solver=Adam()),
            {"solver__learning_rate": 0.5, "solver__beta_1": 0.0},
            "solver",
            Adam(0.5, beta_1=0.0),
        ),
        (DenoisingAutoencoder(), {"corruption__q": 0.5}, "corruption", MaskingNoise(0.5)),
        (DenoisingAutoencoder(corruption="gaussian"), {"corruption__scale": 2.0}, "corruption", GaussianNoise(2.0)),
        (SparseAutoencoder(activation="leaky_relu"), {"activation__slope": 0.2}, "activation", LeakyReLU(0.2)),
        (
            DeepAutoencoder(activation=["tanh", LeakyReLU(0.1)]),
            {"activation__1__slope": 0.3},
            "activation",
            ["tanh", LeakyReLU(0.3)],
        ),
        (
            SparseAutoencoder(checkpoint=Checkpoint("a", every=3)),
            {"checkpoint__resume": True},
            "checkpoint",
            Checkpoint("a", every=3, resume=True),
        ),
        (SparseAutoencoder(checkpoint="auto"), {"checkpoint__every": 2}, "checkpoint", Checkpoint("auto", every=2)),
        (
            SparseAutoencoder(checkpoint=Path("a")),
            {"checkpoint__every": 2, "checkpoint__resume": True},
            "checkpoint",
            Checkpoint(Path("a"), every=2, resume=True),
        ),
        (SparseAutoencoder(penalties=L1Sparsity(0.1)), {"penalties__weight": 0.2}, "penalties", L1Sparsity(0.2)),
        (
            SparseAutoencoder(penalties=(L1Sparsity(0.1), WeightDecay(0.1))),
            {"penalties__1__include_biases": True, "penalties__0": WeightDecay(0.3)},
            "penalties",
            (WeightDecay(0.3), WeightDecay(0.1, include_biases=True)),
        ),
    ],
    ids=str,
)
def test_setting_one_puts_a_changed_copy_in_place(model, changes, name, expected):
    model, before = clone(model), model.get_params(deep=False)
    original = before[name]
    assert model.set_params(**changes) is model
    assert getattr(model, name) == expected
    assert type(getattr(model, name)) is type(expected)
    assert original == before[name]  # parts do not change
    others = {key: value for key, value in before.items() if key != name}
    assert {key: model.get_params(deep=False)[key] for key in others} == others


def test_parameters_of_layers_and_of_their_solvers_are_reached():
    layers = [SparseAutoencoder(n_components=4, solver=Adam(0.1)), DenoisingAutoencoder()]
    for stack in (StackedAutoencoder(layers), StackedAutoencoderClassifier(layers)):
        stack = clone(stack)
        assert stack.get_params()["layers__0__solver__learning_rate"] == 0.1
        stack.set_params(layers__0__solver__learning_rate=0.3, layers__1__corruption__q=0.5, layers__1__max_iter=7)
        assert stack.layers[0].solver == Adam(0.3)
        assert stack.layers[1].corruption == MaskingNoise(0.5)
        assert stack.layers[1].max_iter == 7
    assert layers[0].solver == Adam(0.1)


@pytest.mark.parametrize(
    ("model", "name", "message"),
    [
        (SparseAutoencoder(), "solver__learning_rate", "'solver__learning_rate': .*solver has .*memory"),
        (SparseAutoencoder(solver=Adam()), "solver__momentum", "'solver__momentum': .*solver has .*beta_1"),
        (SparseAutoencoder(), "n_components__x", "n_components is 25, which has no parameters of its own"),
        (SparseAutoencoder(), "corruption__q", "corruption is None, which has no parameters of its own; set it to an"),
        (SparseAutoencoder(), "checkpoint__every", "checkpoint is None, which has no parameters of its own; set it to"),
        (
            SparseAutoencoder(checkpoint="a"),
            "checkpoint__evry",
            "'checkpoint__evry': checkpoint has no item or parameter 'evry', only folder, every",
        ),
        (SparseAutoencoder(), "output_activation__slope", "output_activation is 'auto', which has no parameters"),
        (
            SparseAutoencoder(),
            "solve__memory",
            "'solve__memory': the parameters of SparseAutoencoder are activation, call",
        ),
        (SparseAutoencoder(), "solver__schedule__x", "'solver__schedule__x'"),
        (
            SparseAutoencoder(),
            "penalties__0__weight",
            "'penalties__0__weight': penalties has no item or parameter '0'.$",
        ),
        (SparseAutoencoder(), "sparsty", "Invalid parameter 'sparsty'"),
        (StackedAutoencoder([SparseAutoencoder()]), "layers__1__sparsity", "Invalid parameter 'layers__1__sparsity'"),
        (StackedAutoencoder([SparseAutoencoder()]), "layers__0__x", "Invalid parameter 'x'"),
        (StackedAutoencoder(), "layers__0__sparsity", "layers is None, which has no parameters of its own"),
    ],
)
def test_names_that_there_are_not_raise_what_scikit_learn_raises(model, name, message):
    with pytest.raises(ValueError, match="Invalid parameter") as caught:
        clone(model).set_params(**{name: 1})

    assert re.search(message, str(caught.value))


def test_a_value_that_a_part_refuses_is_refused_when_it_is_set():
    model = SparseAutoencoder(solver=Adam(0.1))
    with pytest.raises(ValueError, match="learning_rate must be positive"):
        model.set_params(solver__learning_rate=-1)
    assert model.solver == Adam(0.1)


def test_a_grid_search_tries_settings_of_solvers_within_a_pipeline(rng):
    X, y = rng.random((60, 4)), np.arange(60) % 2
    pipeline = make_pipeline(
        RangeScaler(), FeedforwardClassifier(hidden_layer_sizes=(3,), solver="adam", max_iter=3, random_state=0)
    )
    grid = {
        "feedforwardclassifier__solver__learning_rate": [0.01, 0.1],
        "feedforwardclassifier__solver__batch_size": [8, 16],
    }
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    best = search.best_estimator_[-1].solver
    assert (best.learning_rate, best.batch_size) == tuple(search.best_params_[name] for name in grid)
    assert pipeline[-1].solver == "adam"
    by_hand = clone(pipeline).set_params(
        feedforwardclassifier__solver=Adam(best.learning_rate, batch_size=best.batch_size)
    )
    np.testing.assert_array_equal(by_hand.fit(X, y)[-1].theta_, search.best_estimator_[-1].theta_)


def test_a_clone_has_the_nested_values():
    model = SparseAutoencoder(solver=Adam(0.1)).set_params(solver__learning_rate=0.3)
    assert clone(model).get_params() == model.get_params()
