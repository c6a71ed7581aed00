"""What all autoencoders promise, each promise asked of every one of them, and what is special to each."""

import pickle
import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from rhohat import (
    LBFGS,
    SGD,
    Adam,
    Contraction,
    ContractiveAutoencoder,
    DeadLatentsWarning,
    DeepAutoencoder,
    DenoisingAutoencoder,
    KLSparsity,
    L1Sparsity,
    MaskingNoise,
    Maxout,
    SparseAutoencoder,
    StackedAutoencoder,
    WeightDecay,
    check_gradient,
)
from rhohat.common.blocks import row_blocks
from rhohat.common.randomness import keyed_generator
from rhohat.engines import ThreadEngine
from rhohat.estimators.stacked_autoencoder import check_layers
from rhohat.layers.maximal_inputs import ascend_to_maximal_inputs
from rhohat.objective import Problem, make_objective
from rhohat.objective.mini_batches import MiniBatches
from rhohat.solvers import MiniBatchState
from rhohat.terms.corruption import corrupt_rows
from tests.tolerances import EXACT, FLOAT32_COST, GRADIENT

# How far a fit gets is not what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

QUICK = {"max_iter": 12, "tol": 0.0, "random_state": 0}
ADAM = Adam(learning_rate=0.01, batch_size=16)

SIMPLE = {
    "sparse": SparseAutoencoder(n_components=4, sparsity=0.1, **QUICK),
    "sparse, tied": SparseAutoencoder(n_components=4, sparsity=0.1, tied_weights=True, **QUICK),
    "denoising": DenoisingAutoencoder(n_components=4, **QUICK),
    "contractive": ContractiveAutoencoder(n_components=4, **QUICK),
    "deep": DeepAutoencoder(hidden_layer_sizes=(6, 3), sparsity_weight=0.1, **QUICK),
    "deep, tied": DeepAutoencoder(hidden_layer_sizes=(6, 3), tied_weights=True, corruption="gaussian", **QUICK),
}
FAMILY = {
    **SIMPLE,
    "stack": StackedAutoencoder([SIMPLE["sparse"], DenoisingAutoencoder(n_components=2, **QUICK)], random_state=0),
    "stack of deep ones": StackedAutoencoder([SIMPLE["deep"], SIMPLE["contractive"]], random_state=0),
}

every = pytest.mark.parametrize("autoencoder", FAMILY.values(), ids=FAMILY)
every_simple = pytest.mark.parametrize("autoencoder", SIMPLE.values(), ids=SIMPLE)


@pytest.fixture(name="X")
def rows(rng):
    """Rows near a surface of two dimensions, within [0, 1]."""
    return 1 / (1 + np.exp(-rng.normal(size=(60, 2)) @ rng.normal(size=(2, 8)) + 0.1 * rng.normal(size=(60, 8))))


def fitted(autoencoder, X, **parameters):
    """Fit a copy."""
    return clone(autoencoder).set_params(**parameters).fit(X)


def in_mini_batches(autoencoder, **parameters):
    return clone(autoencoder).set_params(**{"solver": ADAM, "max_iter": 3, **parameters})


def forward(network, weights, biases, a):
    for layer, activation in enumerate(network.activations):
        z = a @ weights[layer] + biases[layer]
        a = z if activation.name == "identity" else 1 / (1 + np.exp(-z))
        yield a


# What every one of them promises.


@every
def test_encoder_and_decoder_are_the_two_halves_of_one_network(autoencoder, X):
    model = fitted(autoencoder, X)
    sizes = model.network_.layer_sizes
    assert sizes == sizes[::-1]
    middle = len(sizes) // 2
    assert [W.shape for W in model.coefs_] == list(pairwise(sizes))
    assert [b.shape for b in model.intercepts_] == [(size,) for size in sizes[1:]]
    np.testing.assert_array_equal(model.components_, model.coefs_[0].T)
    layers = list(forward(model.network_, model.coefs_, model.intercepts_, X))
    codes, reconstruction = model.transform(X), model.reconstruct(X)
    assert codes.shape == (60, sizes[middle])
    np.testing.assert_allclose(codes, layers[middle - 1], rtol=EXACT)
    np.testing.assert_allclose(reconstruction, layers[-1], rtol=EXACT)
    np.testing.assert_allclose(model.inverse_transform(codes), reconstruction, rtol=EXACT)
    np.testing.assert_array_equal(model.predict(X), reconstruction)
    np.testing.assert_array_equal(clone(autoencoder).fit_transform(X), codes)
    np.testing.assert_allclose(model.mean_activation_, codes.mean(axis=0), rtol=EXACT)
    variance = np.sum((X - X.mean(axis=0)) ** 2)
    np.testing.assert_allclose(model.score(X), 1 - np.sum((X - reconstruction) ** 2) / variance, atol=EXACT)


TERMS = {
    "sparse": ["squared_error", "weight_decay", "kl_sparsity"],
    "sparse, tied": ["squared_error", "weight_decay", "kl_sparsity"],
    "denoising": ["squared_error"],
    "contractive": ["squared_error", "contraction"],
    "deep": ["squared_error", "weight_decay", "kl_sparsity"],
    "deep, tied": ["squared_error", "weight_decay"],
    "stack": ["squared_error"],
    "stack of deep ones": ["squared_error"],
}


@pytest.mark.parametrize("name", FAMILY)
def test_the_terms_of_the_cost_are_named_and_add_up(name, X):
    model = fitted(FAMILY[name], X)
    value, terms = model.cost(X)
    assert list(terms) == TERMS[name]
    assert value == sum(terms.values())
    assert value == model.objective(X)(model.theta_)[0]
    if name in SIMPLE:
        np.testing.assert_allclose(value, model.loss_curve_[-1], rtol=EXACT)
        assert list(model.terms_curve_) == TERMS[name]
        np.testing.assert_allclose(np.sum(list(model.terms_curve_.values()), axis=0), model.loss_curve_, rtol=EXACT)
        assert model.n_iter_ == len(model.loss_curve_) == 12
        assert model.loss_curve_[-1] < model.loss_curve_[0]


def test_a_term_that_comes_later_was_0_before(X):
    model = in_mini_batches(SIMPLE["denoising"])
    model.partial_fit(X).set_params(weight_decay=0.1).partial_fit(X).set_params(weight_decay=0.0).partial_fit(X)
    assert list(model.terms_curve_) == ["squared_error", "weight_decay"]
    decay = model.terms_curve_["weight_decay"]
    assert (decay[0], decay[2]) == (0, 0)
    assert decay[1] > 0
    np.testing.assert_allclose(np.sum(list(model.terms_curve_.values()), axis=0), model.loss_curve_, rtol=EXACT)


def test_what_the_cost_is_made_of(X):
    """Every parameter of the cost is worth what the class says it is, with the weights' squares by hand."""
    model = fitted(
        SIMPLE["sparse"], X, weight_decay=0.3, sparsity=0.2, sparsity_weight=0.7, penalties=[L1Sparsity(0.5)]
    )
    terms, H, rho = model.cost(X)[1], model.transform(X), 0.2
    np.testing.assert_allclose(terms["weight_decay"], 0.15 * sum(np.sum(W**2) for W in model.coefs_), rtol=EXACT)
    means = H.mean(axis=0)
    divergence = rho * np.log(rho / means) + (1 - rho) * np.log((1 - rho) / (1 - means))
    np.testing.assert_allclose(terms["kl_sparsity"], 0.7 * divergence.sum(), rtol=EXACT)
    np.testing.assert_allclose(terms["l1_sparsity"], 0.5 * H.sum(axis=1).mean(), rtol=EXACT)
    np.testing.assert_allclose(terms["squared_error"], 0.5 * np.sum((X - model.reconstruct(X)) ** 2) / 60, rtol=EXACT)
    crossed = fitted(SIMPLE["denoising"], X, loss="binary_cross_entropy", corruption=None)
    a = crossed.reconstruct(X)
    expected = -np.sum(X * np.log(a) + (1 - X) * np.log(1 - a)) / 60
    np.testing.assert_allclose(crossed.cost(X)[1]["binary_cross_entropy"], expected, rtol=EXACT)


def test_sparsity_acts_on_the_chosen_layers_of_a_deep_autoencoder_only(X):
    def term(layers):
        return fitted(SIMPLE["deep"], X, sparsity_layers=layers, max_iter=1, tol=1e9).cost(X)[1]["kl_sparsity"]

    alone = [term([layer]) for layer in range(3)]
    assert min(alone) > 0
    np.testing.assert_allclose(term(None), sum(alone), rtol=EXACT)
    np.testing.assert_allclose(term((0, 2)), alone[0] + alone[2], rtol=EXACT)
    assert term([]) == 0


CHECKED = {
    **FAMILY,
    "tied, corrupted, L1, cross-entropy": SparseAutoencoder(
        n_components=4,
        tied_weights=True,
        corruption="gaussian",
        penalties=[L1Sparsity(0.1)],
        loss="binary_cross_entropy",
        **QUICK,
    ),
    "tanh to a linear decoder": SparseAutoencoder(
        n_components=4, activation="tanh", output_activation="identity", sparsity=0.3, **QUICK
    ),
    "two of a kind": SparseAutoencoder(
        n_components=4, penalties=[KLSparsity(0.3, 0.5), WeightDecay(0.1, include_biases=True)], **QUICK
    ),
    "masked, cross-entropy": DenoisingAutoencoder(n_components=4, loss="binary_cross_entropy", **QUICK),
    "contractive, untied": ContractiveAutoencoder(n_components=4, tied_weights=False, activation="tanh", **QUICK),
    "contractive, cross-entropy": ContractiveAutoencoder(n_components=4, loss="binary_cross_entropy", **QUICK),
    "deep, tied, contracted": DeepAutoencoder(
        hidden_layer_sizes=(5, 3),
        activation=["tanh", "sigmoid"],
        tied_weights=True,
        penalties=[Contraction(0.1), L1Sparsity(0.1, (1,))],
        sparsity_weight=0.5,
        sparsity_layers=[1],
        **QUICK,
    ),
    "deep, salted, cross-entropy": DeepAutoencoder(
        hidden_layer_sizes=(5, 3), corruption="salt_and_pepper", loss="binary_cross_entropy", **QUICK
    ),
    "parametric relu": DeepAutoencoder(hidden_layer_sizes=(5, 3), activation="parametric_relu", **QUICK),
    "maxout": DeepAutoencoder(hidden_layer_sizes=(5, 3), activation=[Maxout(3), "tanh"], **QUICK),
}


@pytest.mark.parametrize("autoencoder", CHECKED.values(), ids=CHECKED)
def test_the_objective_has_the_gradient_that_it_says_before_and_after_the_fit(autoencoder, X, rng):
    if isinstance(autoencoder, StackedAutoencoder):
        model = fitted(autoencoder, X)
    else:
        unfitted = clone(autoencoder)
        before = unfitted.objective(X[:20])
        start = before.network.initial_theta(rng)
        assert check_gradient(before, start).relative_difference <= GRADIENT
        assert not hasattr(unfitted, "coefs_")
        assert not hasattr(unfitted, "n_features_in_")
        model = fitted(autoencoder, X, max_iter=2)
    after = model.objective(X[:20])
    # Near a minimum the gradient is small, and the differences' third derivatives must be smaller.
    assert check_gradient(after, model.theta_, epsilon=2e-5).relative_difference <= GRADIENT


@pytest.mark.parametrize("name", ["denoising", "deep, tied"])
def test_the_objective_of_a_seed_is_corrupted_the_same_way_each_time(name, X, rng):
    objectives = [clone(SIMPLE[name]).set_params(random_state=seed).objective(X) for seed in (3, 3, 4)]
    theta = objectives[0].network.initial_theta(rng)
    first, again, other = ([objective(theta)[0] for _ in range(2)] for objective in objectives)
    assert first == again == [first[0]] * 2
    assert other[0] != first[0]


def test_a_seed_that_is_a_numpy_integer_corrupts_as_in_the_fit(X):
    model = fitted(SIMPLE["denoising"], X, random_state=np.int64(3))
    np.testing.assert_allclose(model.cost(X)[0], model.loss_curve_[-1], rtol=EXACT)


@every_simple
@pytest.mark.parametrize("solver", ["lbfgs", Adam(batch_size=1700)], ids=["lbfgs", "adam"])
def test_the_same_seed_gives_the_same_bits_for_any_number_of_threads(autoencoder, solver, rng):
    X = rng.random((2000, 64))
    models = [fitted(autoencoder, X, solver=solver, max_iter=2, n_jobs=n_jobs) for n_jobs in (1, 2)]
    network = models[0].network_
    assert len(row_blocks(1700, network.layer_sizes, network.multiply_adds, 8)) > 1
    np.testing.assert_array_equal(models[1].theta_, models[0].theta_)
    np.testing.assert_array_equal(models[1].transform(X), models[0].transform(X))
    np.testing.assert_array_equal(models[1].mean_activation_, models[0].mean_activation_)
    assert models[1].loss_curve_ == models[0].loss_curve_
    assert not np.array_equal(fitted(models[0], X[:100], random_state=1, max_iter=1).theta_, models[0].theta_)


@every
def test_float32_stays_float32(autoencoder, X):
    models = [autoencoder]
    if not isinstance(autoencoder, StackedAutoencoder):
        models.append(in_mini_batches(autoencoder))
    for model in models:
        single, double = fitted(model, X.astype(np.float32)), fitted(model, X)
        assert {p.dtype for p in (*single.coefs_, *single.intercepts_)} == {np.dtype(np.float32)}
        assert {p.dtype for p in (*double.coefs_, *double.intercepts_)} == {np.dtype(np.float64)}
        H = single.transform(X.astype(np.float32))
        assert {H.dtype, single.inverse_transform(H).dtype, single.maximal_inputs().dtype} == {np.dtype(np.float32)}
        assert single.transform(X).dtype == np.float64
        np.testing.assert_allclose(single.cost(X.astype(np.float32))[0], single.cost(X)[0], rtol=0.3)


def test_costs_in_float32_are_those_in_float64(X):
    for name in ("sparse", "contractive", "deep"):
        single, double = (fitted(SIMPLE[name], X.astype(dtype), max_iter=1) for dtype in (np.float32, np.float64))
        np.testing.assert_allclose(single.loss_curve_, double.loss_curve_, rtol=FLOAT32_COST)


@every
def test_columns_have_names(autoencoder, X):
    frame = pd.DataFrame(X, columns=[f"pixel {k}" for k in range(8)])
    model = fitted(autoencoder, frame).set_output(transform="pandas")
    codes = model.transform(frame)
    prefix = type(autoencoder).__name__.lower()
    assert list(codes.columns) == [
        f"{prefix}{k}" for k in range(model.network_.layer_sizes[model.network_.n_layers // 2])
    ]
    assert list(model.feature_names_in_) == list(frame.columns)
    with pytest.raises(ValueError, match="feature names"):
        model.transform(frame[frame.columns[::-1]])


@every
def test_pickling_keeps_everything(autoencoder, X):
    model = fitted(autoencoder, X)
    again = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    np.testing.assert_array_equal(again.theta_, model.theta_)
    assert again.cost(X) == model.cost(X)
    assert again.network_ == model.network_
    with pytest.raises(NotFittedError):
        clone(model).transform(X)


@every
def test_methods_ask_for_a_fit_first(autoencoder, X):
    unfitted = clone(autoencoder)
    for method in ("transform", "inverse_transform", "reconstruct", "predict", "score", "cost"):
        with pytest.raises(NotFittedError):
            getattr(unfitted, method)(X)
    with pytest.raises(NotFittedError):
        unfitted.maximal_inputs()
    if isinstance(autoencoder, StackedAutoencoder):  # what the layers will be is known when they are trained
        with pytest.raises(NotFittedError):
            unfitted.objective(X)


@every
def test_few_rows_and_constant_columns_are_fine(autoencoder, X):
    constant = np.where(np.arange(8) == 2, 0.5, X)[:3]
    for few in (X[:1], constant, np.zeros((4, 8))):
        assert np.all(np.isfinite(fitted(autoencoder, few).transform(few)))


@every
def test_data_are_left_as_they_are(autoencoder, X):
    before = X.copy()
    X.flags.writeable = False
    model = fitted(autoencoder, X)
    model.transform(X), model.reconstruct(X), model.score(X), model.cost(X)
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(fitted(autoencoder, np.asfortranarray(X)).theta_, model.theta_)


@every_simple
def test_warm_start_continues_where_the_last_fit_ended(autoencoder, X):
    model = fitted(autoencoder, X, warm_start=True)
    before = model.theta_
    values = []
    model.set_params(callbacks=[lambda state: values.append(state.value)], max_iter=1).fit(X)
    np.testing.assert_allclose(values[0], model.objective(X)(model.theta_)[0], rtol=EXACT)
    assert values[0] <= model.objective(X)(before)[0]
    sizes = {"hidden_layer_sizes": (5, 3)} if "hidden_layer_sizes" in model.get_params() else {"n_components": 5}
    kept = model.theta_
    with pytest.raises(ValueError, match=r"continues a network of layer sizes .* now require"):
        clone_of_fitted(model).set_params(**sizes).fit(X)
    with pytest.raises(ValueError, match=r"continues a network of layer sizes .* and activations .* now require"):
        clone_of_fitted(model).set_params(activation="tanh", output_activation="identity").fit(X)
    with pytest.raises(ValueError, match="features"):
        model.fit(X[:, :7])
    np.testing.assert_array_equal(model.theta_, kept)


def clone_of_fitted(model):
    return pickle.loads(pickle.dumps(model.set_params(callbacks=None)))  # noqa: S301 - our own bytes


def interrupt(state):
    raise KeyboardInterrupt


@every
def test_an_interrupted_fit_leaves_everything_as_it_was(autoencoder, X):
    def interrupted(model):
        if isinstance(model, StackedAutoencoder):  # in its second layer
            return model.set_params(layers=[model.layers[0], clone(model.layers[1]).set_params(callbacks=[interrupt])])
        return model.set_params(callbacks=[interrupt])

    model = interrupted(clone(autoencoder))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X[:, :5])
    assert not [name for name in vars(model) if name.endswith("_")]
    with pytest.raises(NotFittedError):
        model.transform(X)
    model = fitted(autoencoder, X)
    before, record = model.transform(X), dict(vars(model))
    with pytest.raises(KeyboardInterrupt):
        interrupted(model).fit(X[:, :5])
    np.testing.assert_array_equal(model.transform(X), before)
    assert {name: id(value) for name, value in vars(model).items() if name.endswith("_")} == {
        name: id(value) for name, value in record.items() if name.endswith("_")
    }


@every
def test_a_pipeline_takes_it(autoencoder, X):
    pipeline = make_pipeline(MinMaxScaler(), clone(autoencoder))
    codes = pipeline.fit_transform(100 * X - 7)
    np.testing.assert_array_equal(pipeline.transform(100 * X - 7), codes)
    np.testing.assert_allclose(pipeline.inverse_transform(codes).mean(), (100 * X - 7).mean(), rtol=0.5)


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("sparse", {"loss": ["squared_error", "binary_cross_entropy"], "tied_weights": [False, True]}),
        ("denoising", {"corruption": [None, "gaussian", MaskingNoise(0.5)]}),
        ("contractive", {"contraction_weight": [0.0, 1.0]}),
        ("deep", {"hidden_layer_sizes": [(6, 2), (4,)], "solver": ["lbfgs", Adam()]}),
        ("stack", {"layers": [[SIMPLE["sparse"]], [SIMPLE["deep"], SIMPLE["sparse"]]]}),
    ],
)
def test_a_grid_search_chooses_among_parameters(name, grid, X):
    search = GridSearchCV(clone(FAMILY[name]), grid, cv=2, error_score="raise").fit(X)
    assert np.all(np.isfinite(search.cv_results_["mean_test_score"]))
    assert search.best_estimator_.predict(X).shape == X.shape


# Tied weights, activations, corruption.


@pytest.mark.parametrize("solver", ["lbfgs", ADAM], ids=["lbfgs", "adam"])
@pytest.mark.parametrize("name", ["sparse", "denoising", "contractive", "deep"])
def test_tied_weights_are_the_same_numbers_in_encoder_and_decoder(name, solver, X):
    model = fitted(SIMPLE[name], X, tied_weights=True, solver=solver)
    for W, mirrored in zip(model.coefs_, reversed(model.coefs_), strict=True):
        np.testing.assert_array_equal(mirrored, W.T)
    assert model.theta_.size == sum(W.size for W in model.coefs_) // 2 + sum(b.size for b in model.intercepts_)
    untied = fitted(SIMPLE[name], X, tied_weights=False, solver=solver)
    assert not np.allclose(untied.coefs_[-1], untied.coefs_[0].T)


def test_a_list_of_activations_is_for_the_encoder_and_mirrored_by_the_decoder(X):
    settings = {"hidden_layer_sizes": (6, 5, 3), "activation": ["tanh", "sigmoid", "identity"], "sparsity_weight": 0.0}
    model = fitted(SIMPLE["deep"], X, **settings)
    names = [activation.name for activation in model.network_.activations]
    assert names == ["tanh", "sigmoid", "identity", "sigmoid", "tanh", "sigmoid"]
    assert model.network_.layer_sizes == (8, 6, 5, 3, 5, 6, 8)
    first = np.tanh(X @ model.coefs_[0] + model.intercepts_[0])
    second = 1 / (1 + np.exp(-(first @ model.coefs_[1] + model.intercepts_[1])))
    np.testing.assert_allclose(model.transform(X), second @ model.coefs_[2] + model.intercepts_[2], rtol=1e-10)


@pytest.mark.filterwarnings("ignore::rhohat.DeadLatentsWarning")
@pytest.mark.parametrize(
    "activation", ["maxout", Maxout(3), "parametric_relu", "relu", "leaky_relu", "tanh", "identity"]
)
@pytest.mark.parametrize("solver", ["lbfgs", Adam(learning_rate=0.02, batch_size=16)], ids=["lbfgs", "adam"])
def test_every_kind_of_unit_trains(activation, solver, X):
    for name in ("sparse", "deep"):
        weights = {"sparsity_weight": 0.0, "weight_decay": 0.0}
        model = fitted(SIMPLE[name], X, activation=activation, solver=solver, max_iter=40, **weights)
        assert model.loss_curve_[-1] < 0.7 * model.loss_curve_[0]
        assert np.all(np.isfinite(model.maximal_inputs()))
        np.testing.assert_allclose(np.linalg.norm(model.maximal_inputs(), axis=1), 1, rtol=EXACT)


def test_the_slopes_of_parametric_relu_units_are_learned(X):
    start = fitted(SIMPLE["deep"], X, activation="parametric_relu", sparsity_weight=0.0, max_iter=1, tol=1e9)
    model = fitted(SIMPLE["deep"], X, activation="parametric_relu", sparsity_weight=0.0)
    assert [len(slopes) for slopes in model.activation_parameters_] == [6, 3, 6, 0]
    for before, after in zip(start.activation_parameters_[:3], model.activation_parameters_[:3], strict=True):
        np.testing.assert_array_equal(before, 0.25)
        assert not np.allclose(after, 0.25)
    z = X @ model.coefs_[0] + model.intercepts_[0]
    first = np.where(z > 0, z, model.activation_parameters_[0] * z)
    z = first @ model.coefs_[1] + model.intercepts_[1]
    np.testing.assert_allclose(model.transform(X), np.where(z > 0, z, model.activation_parameters_[1] * z), rtol=EXACT)


def test_more_corruptions_go_on_from_where_the_last_ended_on_rows_corrupted_afresh(X):
    one, three = (fitted(SIMPLE["denoising"], X, n_corruptions=n) for n in (1, 3))
    assert three.n_iter_ == len(three.loss_curve_) == len(three.terms_curve_["squared_error"]) == 3 * one.n_iter_ == 36
    assert three.n_evaluations_ > 36
    assert three.loss_curve_[:12] == one.loss_curve_
    theta = one.theta_
    for epoch in (1, 2):
        corrupted = corrupt_rows(MaskingNoise(), X, seed=0, epoch=epoch)
        objective = make_objective(Problem(one.network_, corrupted, X), ThreadEngine())
        result = LBFGS().minimize(objective, theta, max_iter=12, tol=0.0)
        np.testing.assert_allclose(three.loss_curve_[12 * epoch : 12 * epoch + 12], result.loss_curve, rtol=EXACT)
        theta = result.theta
    np.testing.assert_allclose(three.theta_, theta, rtol=1e-9, atol=1e-12)


def test_a_callback_ends_all_corruptions(X):
    model = fitted(SIMPLE["denoising"], X, n_corruptions=3, callbacks=[lambda state: state.iteration == 5])
    assert (model.n_iter_, model.solver_status_) == (5, "stopped")


def test_without_corruption_one_run_is_enough(X):
    model = fitted(SIMPLE["denoising"], X, corruption=None, n_corruptions=3)
    assert model.n_iter_ == 12


def test_codes_are_those_of_clean_rows(X):
    model = fitted(SIMPLE["denoising"], X, corruption=MaskingNoise(0.9))
    np.testing.assert_allclose(model.transform(X), 1 / (1 + np.exp(-(X @ model.coefs_[0] + model.intercepts_[0]))))
    np.testing.assert_allclose(model.mean_activation_, model.transform(X).mean(axis=0), rtol=EXACT)


def test_denoising_rebuilds_corrupted_rows_better_than_learning_from_clean_ones_does(rng):
    X = 1 / (1 + np.exp(-rng.normal(size=(400, 2)) @ rng.normal(size=(2, 12))))
    noisy = corrupt_rows(MaskingNoise(0.5), X, seed=99)
    errors = {}
    for corruption in (None, MaskingNoise(0.5)):
        model = DenoisingAutoencoder(
            n_components=8, corruption=corruption, n_corruptions=4, max_iter=60, random_state=0
        )
        errors[corruption] = np.mean((model.fit(X).reconstruct(noisy) - X) ** 2)
    assert errors[MaskingNoise(0.5)] < 0.8 * errors[None]


def jacobian_norm(model, X, step=1e-5):
    """Return the mean squared Frobenius norm of ∂h/∂x, by central differences."""
    columns = [(model.transform(X + shift) - model.transform(X - shift)) / (2 * step) for shift in step * np.eye(8)]
    return np.mean(np.sum(np.square(columns), axis=(0, 2)))


@pytest.mark.parametrize("tied", [True, False])
def test_contraction_keeps_codes_still_at_little_cost_to_the_reconstruction(tied, X):
    free, contracted = (
        fitted(SIMPLE["contractive"], X, contraction_weight=weight, tied_weights=tied, max_iter=300)
        for weight in (0.0, 0.02)
    )
    assert jacobian_norm(contracted, X) < 0.75 * jacobian_norm(free, X)
    assert contracted.score(X) > free.score(X) - 0.1
    np.testing.assert_allclose(contracted.cost(X)[1]["contraction"], 0.02 * jacobian_norm(contracted, X), rtol=1e-6)


def test_contraction_of_a_deep_code_is_that_of_its_jacobian(X):
    model = fitted(SIMPLE["deep"], X, penalties=[Contraction(0.3)])
    np.testing.assert_allclose(model.cost(X)[1]["contraction"], 0.3 * jacobian_norm(model, X), rtol=1e-6)


@pytest.mark.parametrize("name", ["contractive", "contractive, untied", "deep, tied, contracted"])
def test_newtons_method_lowers_the_cost_of_contraction_too(name, X):
    model = fitted(CHECKED[name], X, solver="newton_cg")
    assert np.all(np.diff(model.loss_curve_) < 0)
    assert model.loss_curve_[-1] < 0.9 * model.loss_curve_[0]


# Mini-batches.


def test_partial_fit_is_there_where_the_solver_works_in_mini_batches():
    for name, autoencoder in FAMILY.items():
        assert not hasattr(autoencoder, "partial_fit")
        if name in SIMPLE:
            assert hasattr(in_mini_batches(autoencoder), "partial_fit")
            assert hasattr(in_mini_batches(autoencoder, solver="sgd"), "partial_fit")
    with pytest.raises(AttributeError, match=r"has no attribute 'partial_fit'.* such as solver='adam'; got .*'lbfgs'"):
        SIMPLE["sparse"].partial_fit([[0.5]])
    with pytest.raises(AttributeError, match=r"partial_fit'.*its layers are trained one after the other"):
        FAMILY["stack"].partial_fit([[0.5]])


@every
def test_one_penalty_is_as_good_as_a_list_of_it(autoencoder, X):
    if isinstance(autoencoder, StackedAutoencoder):
        return
    one, listed = (fitted(autoencoder, X, penalties=penalties) for penalties in (L1Sparsity(0.1), [L1Sparsity(0.1)]))
    np.testing.assert_array_equal(one.theta_, listed.theta_)
    assert one.cost(X) == listed.cost(X)
    assert "l1_sparsity" in one.cost(X)[1]


# The start.


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("initial_weights", ["uniform", "normal"])
@every_simple
def test_the_initial_theta_is_where_a_fit_starts(autoencoder, initial_weights, dtype, X):
    """To the last bit."""
    rows = X.astype(dtype)
    model = clone(autoencoder).set_params(initial_weights=initial_weights)
    theta = model.initial_theta(rows)
    assert theta.dtype == np.float64
    assert not hasattr(model, "coefs_")
    model.set_params(tol=1e9).fit(rows)  # which ends where it starts
    assert model.n_iter_ == 0
    np.testing.assert_array_equal(model.theta_, theta.astype(dtype))
    np.testing.assert_array_equal(model.initial_theta(rows), theta)
    again = clone(autoencoder).set_params(initial_weights=initial_weights, random_state=1).initial_theta(rows)
    assert not np.array_equal(again, theta)


def test_the_initial_theta_of_a_warm_start_is_that_of_the_last_fit(X):
    model = fitted(SIMPLE["sparse"], X, warm_start=True)
    np.testing.assert_array_equal(model.initial_theta(X), model.theta_)
    with pytest.raises(ValueError, match="restore the parameters and data, or fit anew"):
        model.set_params(n_components=7).initial_theta(X)


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(3), np.random.default_rng(3)])
def test_an_initial_theta_advances_no_generator(random_state, X):
    before = repr(getattr(random_state, "bit_generator", None) and random_state.bit_generator.state)
    model = SIMPLE["sparse"].__class__(n_components=4, random_state=random_state)
    np.testing.assert_array_equal(model.initial_theta(X), model.initial_theta(X))
    assert before == repr(getattr(random_state, "bit_generator", None) and random_state.bit_generator.state)


def test_a_stack_has_no_start_as_a_whole(X):
    with pytest.raises(
        ValueError, match=r"its layers are trained one after the other.*use initial_theta of the first layer"
    ):
        FAMILY["stack"].initial_theta(X)


def test_the_gradient_is_checked_before_training(X):
    for name, autoencoder in SIMPLE.items():
        check = check_gradient(autoencoder.objective(X), autoencoder.initial_theta(X))
        assert check.relative_difference <= GRADIENT, name


@pytest.mark.parametrize("solver", [ADAM, SGD(learning_rate=0.1, batch_size=16)], ids=["adam", "sgd"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_simple
def test_partial_fits_on_the_same_rows_are_the_epochs_of_a_fit(autoencoder, solver, dtype, X):
    """Moments, shuffling and corruption go on from call to call; so does θ in full precision."""
    X = X.astype(dtype)
    model = in_mini_batches(autoencoder, solver=solver)
    for epochs in (1, 2, 3):
        assert model.partial_fit(X) is model
        assert model.n_iter_ == len(model.loss_curve_) == epochs
        assert model.n_evaluations_ == 4 * epochs
    whole = in_mini_batches(autoencoder, solver=solver).fit(X)
    np.testing.assert_array_equal(model.theta_, whole.theta_)
    np.testing.assert_array_equal(model.mean_activation_, whole.mean_activation_)
    assert model.loss_curve_ == whole.loss_curve_
    assert model.terms_curve_ == whole.terms_curve_
    assert model.n_features_in_ == 8


def test_partial_fit_is_a_solver_that_goes_on_with_its_state(X):
    model = in_mini_batches(SIMPLE["deep, tied"])
    theta = model.objective(X).network.initial_theta(keyed_generator(0, "initial weights"))
    state = MiniBatchState()
    for rows in (X, X[:40], X[20:]):
        model.partial_fit(rows)
        problem = model._make_problem(rows, model.network_)
        batches = MiniBatches(
            Problem(problem.network, rows, penalties=problem.penalties, corruption=problem.corruption),
            ThreadEngine(),
            seed=0,
        )
        theta = ADAM.minimize(batches, theta, max_iter=1, tol=0.0, state=state).theta
        np.testing.assert_array_equal(model.theta_, theta)
    afresh = ADAM.minimize(batches, theta, max_iter=1, tol=0.0).theta
    assert not np.array_equal(model.partial_fit(X[20:]).theta_, afresh)


def test_a_pickled_partial_fit_goes_on_bit_for_bit(X):
    model = in_mini_batches(SIMPLE["denoising"], random_state=np.random.RandomState(5)).partial_fit(X)
    again = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(again.partial_fit(X).theta_, model.partial_fit(X).theta_)


def test_partial_fit_after_a_fit_starts_from_its_weights(X):
    model = in_mini_batches(SIMPLE["sparse"]).fit(X)
    before = model.theta_
    model.partial_fit(X)
    assert model.n_iter_ == len(model.loss_curve_) == 4
    assert 0 < np.abs(model.theta_ - before).max() < 5 * 0.01 * 4


def test_an_interrupted_partial_fit_leaves_everything_as_it_was(X):
    whole = in_mini_batches(SIMPLE["sparse"]).partial_fit(X).partial_fit(X)
    model = in_mini_batches(SIMPLE["sparse"]).partial_fit(X)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(callbacks=[interrupt]).partial_fit(X)
    model.set_params(callbacks=None).partial_fit(X)
    np.testing.assert_array_equal(model.theta_, whole.theta_)


@every_simple
def test_rows_held_out_are_never_trained_on(autoencoder, X):
    """A row is held out just where another in its place changes no training cost, but the validation."""
    X = X[:20]
    model = in_mini_batches(autoencoder, solver=Adam(batch_size=7, early_stopping=True, validation_fraction=0.15))
    plain = fitted(model, X)
    assert len(plain.validation_curve_) == plain.n_iter_ == 3
    held_out = []
    for row in range(20):
        changed = X.copy()
        changed[row] = 1 - changed[row]
        other = fitted(model, changed)
        if other.loss_curve_ == plain.loss_curve_:
            held_out.append(row)
            assert np.all(np.array(other.validation_curve_) != plain.validation_curve_)
        else:
            assert other.validation_curve_ != plain.validation_curve_
    assert len(held_out) == 3


def test_early_stopping_keeps_the_weights_that_were_best_on_the_rows_held_out(X):
    solver = Adam(learning_rate=0.3, batch_size=8, early_stopping=True, validation_fraction=0.3, patience=4)
    thetas = []
    model = fitted(
        SIMPLE["sparse"], X, solver=solver, max_iter=500, callbacks=[lambda state: thetas.append(state.theta.copy())]
    )
    assert model.solver_status_ == "stopped"
    assert model.n_iter_ == len(model.validation_curve_) == len(thetas)
    best = int(np.argmin(model.validation_curve_))
    assert best == model.n_iter_ - 5
    np.testing.assert_array_equal(model.theta_, thetas[best])
    assert fitted(SIMPLE["sparse"], X).validation_curve_ == []


@every_simple
@pytest.mark.parametrize("n_rows", [1, 2, 17, 60])
def test_any_number_of_rows_makes_mini_batches(autoencoder, n_rows, X):
    for batch_size in (1, 16, 1000):
        model = fitted(in_mini_batches(autoencoder), X[:n_rows], solver=Adam(batch_size=batch_size), max_iter=2)
        assert model.n_evaluations_ == 2 * -(-n_rows // batch_size)
        assert np.all(np.isfinite(model.reconstruct(X)))


@every_simple
@pytest.mark.parametrize("solver", [Adam(0.02, batch_size=20), SGD(0.5, batch_size=20)], ids=["adam", "sgd"])
def test_mini_batches_train(autoencoder, solver, X):
    model = fitted(autoencoder, X, solver=solver, max_iter=100)
    start = fitted(autoencoder, X, max_iter=1, tol=1e9)
    assert model.cost(X)[0] < 0.7 * start.cost(X)[0]
    assert model.score(X) > start.score(X)


@every_simple
def test_the_terms_of_mini_batches_are_recorded_and_add_up(autoencoder, X):
    seen = []
    model = in_mini_batches(autoencoder, callbacks=[lambda state: seen.append(state.terms)]).fit(X)
    assert list(model.terms_curve_) == list(model.cost(X)[1])
    assert [list(terms) for terms in seen] == [list(model.terms_curve_)] * 3
    np.testing.assert_allclose(np.sum(list(model.terms_curve_.values()), axis=0), model.loss_curve_, rtol=EXACT)


# What units look for.


def test_maximal_inputs_of_float32_have_norm_one_however_many_features_there_are(rng):
    X = rng.random((5, 20_000)).astype(np.float32)
    model = SparseAutoencoder(n_components=2, max_iter=1, tol=1.0, weight_decay=0, random_state=0).fit(X)
    model.coefs_[0][:] = np.where(rng.random((20_000, 2)) < 0.02, 1, 0.01 * rng.random((20_000, 2)))
    norms = np.linalg.norm(model.maximal_inputs().astype(np.float64), axis=1)
    np.testing.assert_allclose(norms, 1, rtol=FLOAT32_COST / 4)


@pytest.mark.parametrize("name", ["deep", "deep, tied", "stack", "stack of deep ones"])
def test_maximal_inputs_of_deep_units_have_norm_one_and_beat_any_other(name, X, rng):
    model = fitted(FAMILY[name], X)
    inputs = model.maximal_inputs()
    np.testing.assert_allclose(np.linalg.norm(inputs, axis=1), 1, rtol=EXACT)
    others = rng.normal(size=(1000, 8))
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    assert np.all(np.diag(model.transform(inputs)) > model.transform(others).max(axis=0))
    np.testing.assert_array_equal(model.maximal_inputs(), inputs)


@pytest.mark.parametrize("name", ["sparse", "sparse, tied", "denoising", "contractive"])
def test_ascent_finds_what_is_known_in_closed_form_for_a_single_layer(name, X, rng):
    model = fitted(SIMPLE[name], X)
    found = ascend_to_maximal_inputs(model.network_, model.network_.unpack(model.theta_), 1, rng)
    known = model.maximal_inputs()
    np.testing.assert_array_less(0.999, np.sum(found * known, axis=1))
    np.testing.assert_allclose(known, model.components_ / np.linalg.norm(model.components_, axis=1, keepdims=True))


# The stack.


def test_a_stack_is_its_autoencoders_one_upon_the_other(X):
    for name in ("stack", "stack of deep ones"):
        model = fitted(FAMILY[name], X)
        codes = X
        for autoencoder in model.autoencoders_:
            codes = autoencoder.transform(codes)
        np.testing.assert_allclose(model.transform(X), codes, rtol=EXACT)
        rebuilt = codes
        for autoencoder in reversed(model.autoencoders_):
            rebuilt = autoencoder.inverse_transform(rebuilt)
        np.testing.assert_allclose(model.inverse_transform(codes), rebuilt, rtol=EXACT)
        np.testing.assert_allclose(model.reconstruct(X), rebuilt, rtol=EXACT)
    assert model.network_.layer_sizes == (8, 6, 3, 4, 3, 6, 8)


def test_each_layer_of_a_stack_learns_from_the_codes_below_it(X):
    model = fitted(FAMILY["stack"], X)
    first = clone(FAMILY["stack"].layers[0]).fit(X)
    second = clone(FAMILY["stack"].layers[1]).fit(first.transform(X))
    np.testing.assert_array_equal(model.autoencoders_[0].theta_, first.theta_)
    np.testing.assert_array_equal(model.autoencoders_[1].theta_, second.theta_)
    np.testing.assert_array_equal(model.mean_activation_, second.mean_activation_)


def test_the_layers_given_to_a_stack_are_left_as_they_are(X):
    layers = [SparseAutoencoder(n_components=4, max_iter=3), DenoisingAutoencoder(n_components=2, max_iter=3)]
    before = [layer.get_params() for layer in layers]
    model = StackedAutoencoder(layers, random_state=0).fit(X)
    assert model.layers is layers
    assert [layer.get_params() for layer in layers] == before
    for layer, used in zip(layers, model.autoencoders_, strict=True):
        assert layer is not used
        assert not hasattr(layer, "coefs_")


def test_layers_without_a_seed_get_one_each_from_that_of_the_stack(X):
    same = SparseAutoencoder(n_components=8, max_iter=1, tol=1e9)
    own = SparseAutoencoder(n_components=8, max_iter=1, tol=1e9, random_state=5)
    stacks = [StackedAutoencoder([same, same, own], random_state=seed).fit(X) for seed in (0, 0, 1)]
    starts = [[autoencoder.coefs_[0] for autoencoder in stack.autoencoders_] for stack in stacks]
    assert not np.allclose(starts[0][0], starts[0][1])
    for first, again, other in zip(*starts, strict=True):
        np.testing.assert_array_equal(first, again)
        assert np.array_equal(first, other) == (first is starts[0][2])


def test_a_stack_may_be_a_layer_of_another(X):
    inner = StackedAutoencoder([SIMPLE["sparse"], SIMPLE["denoising"]])
    model = StackedAutoencoder([inner, SIMPLE["contractive"]], random_state=0).fit(X)
    codes = model.autoencoders_[1].transform(model.autoencoders_[0].transform(X))
    np.testing.assert_allclose(model.transform(X), codes, rtol=EXACT)
    assert model.network_.layer_sizes == (8, 4, 4, 4, 4, 4, 8)


def test_a_stack_of_units_with_parameters_of_their_own(X):
    layers = [
        SparseAutoencoder(n_components=4, activation=kind, sparsity_weight=0.0, **QUICK)
        for kind in ("parametric_relu", "maxout")
    ]
    model = StackedAutoencoder(layers).fit(X)
    codes = model.autoencoders_[1].transform(model.autoencoders_[0].transform(X))
    np.testing.assert_allclose(model.transform(X), codes, rtol=EXACT)
    assert [len(own) for own in model.activation_parameters_] == [4, 0, 0, 0]


def test_a_stack_without_layers_named_has_two_sparse_ones_as_in_the_course():
    layers = check_layers(None)
    assert [type(layer) for layer in layers] == [SparseAutoencoder] * 2
    for layer in layers:
        assert (layer.n_components, layer.sparsity, layer.sparsity_weight, layer.weight_decay) == (200, 0.1, 3.0, 3e-3)


def test_a_layer_of_a_stack_may_take_rows_that_add_up_to_one(X):
    rows = X / X.sum(axis=1, keepdims=True)
    layer = clone(SIMPLE["denoising"]).set_params(loss="softmax_cross_entropy")
    assert layer.fit(rows).output_activation_ == "softmax"
    assert StackedAutoencoder([layer, SIMPLE["sparse"]]).fit(rows).output_activation_ == "softmax"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ["sigmoid", Maxout(2)])
def test_transform_and_reconstruct_write_where_they_are_told(activation, dtype, tmp_path, rng):
    X = rng.random((5000, 12)).astype(dtype)
    model = SparseAutoencoder(
        n_components=7, activation=activation, sparsity_weight=0.0, max_iter=2, tol=0.0, random_state=0
    )
    model = fitted(model, X)
    codes, rows = np.full((5000, 7), np.nan, dtype), np.memmap(tmp_path / "rows", dtype, "w+", shape=(5000, 12))
    assert model.transform(X, out=codes) is codes
    assert model.reconstruct(X, out=rows) is rows
    np.testing.assert_array_equal(codes, model.transform(X))
    np.testing.assert_array_equal(rows, model.reconstruct(X))
    np.testing.assert_array_equal(rows, model.inverse_transform(codes))


@pytest.mark.parametrize(
    "out",
    [np.empty((6, 4)), np.empty((5, 5)), np.empty((5, 4), np.float32), np.empty((4, 5)).T, np.empty((5, 8))[:, ::2]],
)
def test_another_shape_or_order_of_out_is_refused(out, rng):
    model = fitted(SparseAutoencoder(n_components=4, max_iter=2, random_state=0), rng.random((5, 6)))
    with pytest.raises(ValueError, match=r"out must be a C-ordered, writeable NumPy array of shape \(5, 4\)"):
        model.transform(rng.random((5, 6)), out=out)


def test_rows_are_not_reconstructed_onto_themselves(rng):
    X = rng.random((5, 6))
    model = fitted(SparseAutoencoder(n_components=4, max_iter=2, random_state=0), X)
    with pytest.raises(ValueError, match="out must not share memory with X"):
        model.reconstruct(X, out=X)
    memory = np.zeros(40)
    with pytest.raises(ValueError, match="out must not share memory with X"):
        model.transform(memory[:30].reshape(5, 6), out=memory[20:].reshape(5, 4))


def collapses(model, X):
    """Return how often a fit warns that its code is the same for every row."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X)
    return sum("The code is the same for every row" in str(warning.message) for warning in caught)


def test_a_code_that_tells_nothing_is_warned_of_and_named_with_the_remedy(rng):
    """Weight decay that outweighs what a few features can gain flattens every code; the cost converges all the same."""
    X = rng.random((200, 13))
    flat = SparseAutoencoder(n_components=5, sparsity=0.1, weight_decay=3.0, random_state=0)
    with pytest.warns(UserWarning, match=r"Try a smaller weight_decay \(now 3\), a smaller sparsity_weight, or rows"):
        flat.fit(X)
    assert np.ptp(flat.transform(X), axis=0).max() < 1e-4
    assert collapses(clone(flat).set_params(weight_decay=1e-4), X) == 0
    assert collapses(clone(flat), np.tile(X[:1], (50, 1))) == 0  # rows that are the same have the same code
    assert collapses(clone(flat), X[:10]) == 0  # too few to tell


def test_a_stack_warns_of_the_first_layer_that_tells_nothing(rng):
    X = rng.random((200, 13))
    layers = [SparseAutoencoder(n_components=n, sparsity=0.1, weight_decay=3.0, random_state=0) for n in (6, 5, 4)]
    assert collapses(StackedAutoencoder(layers, random_state=0), X) == 1
    assert collapses(StackedAutoencoder([clone(one).set_params(weight_decay=1e-5) for one in layers]), X) == 0


def test_a_fit_warns_of_units_that_are_active_on_no_row():
    X = np.random.default_rng(0).standard_normal((300, 8))
    model = SparseAutoencoder(n_components=8, activation="relu", sparsity_weight=0, max_iter=25, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeadLatentsWarning)
        model.set_params(warm_start=True).fit(X)
    model.intercepts_[0][:5] = -1e3
    with pytest.warns(DeadLatentsWarning, match="5 of 8 units are dead"):
        model.fit(X)
