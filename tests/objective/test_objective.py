from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhohat import check_gradient
from rhohat.checking.proofs import proof_cases
from rhohat.common.blocks import row_blocks
from rhohat.engines import ThreadEngine
from rhohat.layers.activations import (
    ElementwiseActivation,
    Maxout,
    ParametricReLU,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
    as_activation,
)
from rhohat.layers.dense import DenseLayer
from rhohat.layers.network import Network, dense_network
from rhohat.objective import Problem, make_objective
from rhohat.objective.batch import MiniBatch, make_batch_evaluation
from rhohat.objective.evaluation import BlockEvaluation
from rhohat.objective.objective import Objective
from rhohat.ops.numpy_ops import NumpyOps
from rhohat.terms.corruption import MaskingNoise
from rhohat.terms.jacobian_penalties import Contraction, TangentPropagation
from rhohat.terms.losses import (
    BinaryCrossEntropy,
    GaussianLoss,
    LabelNoiseCrossEntropy,
    Loss,
    SoftmaxCrossEntropy,
    SquaredError,
)
from rhohat.terms.penalties import (
    ActivationPenalty,
    KLSparsity,
    L1Sparsity,
    MeanActivationPenalty,
    Penalty,
    WeightDecay,
    WeightPenalty,
)
from tests import trained
from tests.conftest import relative_difference
from tests.textbook import sparse_cost
from tests.tolerances import EXACT, FLOAT32, FLOAT32_COST, GRADIENT

DEPTHS = {1: (11, 7, 11), 2: (11, 7, 5, 11), 3: (11, 7, 4, 7, 11)}
WEIGHT_DECAY, SPARSITY = 1e-3, 0.1


def make_case(
    layer_sizes, activations, n_samples, sparsity_weight=3.0, dtype=np.float64, seed=0, engine=None, cache_bytes=2**30
):
    rng, engine = np.random.default_rng(seed), engine or ThreadEngine(2)
    network = dense_network(layer_sizes, tuple(as_activation(name) for name in activations))
    X = rng.random((n_samples, layer_sizes[0])).astype(dtype)
    penalties = [WeightDecay(WEIGHT_DECAY), KLSparsity(SPARSITY, sparsity_weight)]
    objective = make_objective(Problem(network, X, penalties=penalties), engine, cache_bytes)
    return objective, X, network.initial_theta(rng)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("hidden", ["sigmoid", "tanh", "identity"])
@pytest.mark.parametrize("output", ["sigmoid", "tanh", "identity"])
@pytest.mark.parametrize("n_samples", [1, 7, 2503])
def test_value_and_gradient_agree_with_the_textbook(depth, hidden, output, n_samples):
    activations = [hidden] * depth + [output]
    sparsity_weight = 0.0 if hidden == "identity" else 3.0
    objective, X, theta = make_case(DEPTHS[depth], activations, n_samples, sparsity_weight)
    value, gradient = objective(theta)
    expected = sparse_cost(theta, X, X, DEPTHS[depth], activations, WEIGHT_DECAY, SPARSITY, sparsity_weight)
    assert abs(value - expected[0]) <= EXACT * abs(expected[0])
    assert relative_difference(gradient, expected[1]) <= EXACT


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_gradient_agrees_with_central_differences(depth, activation):
    objective, _, theta = make_case(DEPTHS[depth], [activation] * (depth + 1), 30)
    assert check_gradient(objective, theta).relative_difference <= GRADIENT


def test_several_blocks_that_do_not_divide_the_rows_agree_with_the_textbook():
    """The last case above has one block; this has several, of different sizes."""
    objective, X, theta = make_case((64, 25, 64), ["sigmoid", "sigmoid"], 6007)
    sizes = {block.stop - block.start for block in row_blocks(6007, (64, 25, 64), 3200, 8)}
    assert len(sizes) == 2
    expected = sparse_cost(theta, X, X, (64, 25, 64), ["sigmoid", "sigmoid"], WEIGHT_DECAY, SPARSITY, 3.0)
    value, gradient = objective(theta)
    assert abs(value - expected[0]) <= EXACT * expected[0]
    assert relative_difference(gradient, expected[1]) <= EXACT


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_number_of_threads_changes_no_bit(dtype):
    results = []
    for n_jobs in (1, 2, 4, 7):
        objective, _, theta = make_case((64, 25, 64), ["sigmoid"] * 2, 9001, dtype=dtype, engine=ThreadEngine(n_jobs))
        results += [objective(theta) for _ in range(3)]
    for value, gradient in results[1:]:
        assert value == results[0][0]
        np.testing.assert_array_equal(gradient, results[0][1])


#: Models whose making differs from that of the sparse autoencoder.
MODELS = {
    "tied": (
        dense_network((8, 5, 3, 5, 8), (Sigmoid(), Tanh(), Sigmoid(), Sigmoid()), tied=True),
        [KLSparsity(0.1, 3.0)],
    ),
    "learned slopes": (dense_network((8, 5, 8), (ParametricReLU(), ParametricReLU())), [L1Sparsity(0.1)]),
    "maxout": (dense_network((8, 5, 8), (Maxout(3), Sigmoid())), [WeightDecay(0.1, include_biases=True)]),
    "softmax": (dense_network((8, 5, 8), (Softmax(), Sigmoid())), [KLSparsity(0.1, 3.0), L1Sparsity(0.1)]),
    "contraction": (dense_network((8, 5, 8), (Sigmoid(), Sigmoid())), [KLSparsity(0.1, 3.0), Contraction(0.1)]),
    "deep contraction": (dense_network((8, 5, 3, 5, 8), (Tanh(),) * 4, tied=True), [Contraction(0.1)]),
    "tangents": (dense_network((8, 5, 8), (Tanh(), ParametricReLU())), [TangentPropagation(0.1)]),
}
every_model = pytest.mark.parametrize("model", MODELS)


def rows_for(network, n_samples, dtype=np.float64, seed=0):
    """θ, inputs, targets, weights and tangents at random."""
    rng = np.random.default_rng(seed)
    X, y = rng.random((2, n_samples, network.layer_sizes[0]))
    tangents = rng.normal(size=(n_samples, 2, network.layer_sizes[0]))
    weights = rng.uniform(0.5, 2.0, n_samples)
    theta = network.initial_theta(rng) + rng.normal(0, 0.3, network.n_parameters)
    return theta, X.astype(dtype), y.astype(dtype), weights, tangents.astype(dtype)


def objective_for(model, X, y, weights, tangents, engine=None, cache_bytes=2**30, **options):
    network, penalties = MODELS[model]
    options = {"penalties": penalties, **options}
    problem = Problem(network, X, y, sample_weight=weights, tangents=tangents, **options)
    return make_objective(problem, engine or ThreadEngine(1), cache_bytes)


def everything_of(objective, theta):
    """All numbers that an objective gives: value, terms, gradient, mean activations, Hessian times a vector."""
    value, gradient, terms = objective.evaluate(theta)
    results = {"value": value, "gradient": gradient, **terms}
    for layer, rho_hat in enumerate(objective.mean_activations(theta)):
        results[f"mean activations {layer}"] = rho_hat
    has_tangents = all(layer.has_tangents for layer in objective.network.layers)
    if has_tangents and not any(name in terms for name in ("contraction", "tangent_propagation")):
        vector = np.random.default_rng(1).normal(size=theta.size)
        results["Hessian times a vector"] = objective.hessian_vector_product(theta, vector)
    return results


def assert_close(found, expected, tolerance=EXACT):
    assert found.keys() == expected.keys()
    for name, value in found.items():
        difference = np.linalg.norm(np.ravel(value) - np.ravel(expected[name]))
        assert difference <= tolerance * np.linalg.norm(expected[name]), name


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_model
def test_the_number_of_threads_changes_no_bit_of_any_model(model, dtype, weighted):
    theta, X, y, weights, tangents = rows_for(MODELS[model][0], 8999, dtype)
    network = MODELS[model][0]
    assert len(row_blocks(8999, network.layer_sizes, network.multiply_adds, X.itemsize)) == 4
    results = []
    for n_jobs in (1, 2, 4, 7):
        objective = objective_for(
            model, X, y, weights if weighted else None, tangents, engine=ThreadEngine(n_jobs), cache_bytes=2**30
        )
        results += [everything_of(objective, theta) for _ in range(2)]
    for result in results[1:]:
        assert result.keys() == results[0].keys()
        for name, value in result.items():
            np.testing.assert_array_equal(value, results[0][name], err_msg=name)


@pytest.mark.parametrize("weighted", [False, True])
@every_model
def test_recomputed_activations_give_the_bits_of_kept_ones_in_any_model(model, weighted):
    theta, X, y, weights, tangents = rows_for(MODELS[model][0], 8999)
    kept, *others = (
        everything_of(objective_for(model, X, y, weights if weighted else None, tangents, cache_bytes=n), theta)
        for n in (2**30, 0, 2**19)
    )
    for recomputed in others:
        for name, value in kept.items():
            np.testing.assert_array_equal(value, recomputed[name], err_msg=name)


@every_model
def test_several_blocks_agree_with_one(model, monkeypatch):
    theta, X, y, weights, tangents = rows_for(MODELS[model][0], 700)
    expected = everything_of(objective_for(model, X, y, weights, tangents), theta)
    cut = [slice(0, 1), slice(1, 300), slice(300, 302), slice(302, 700)]
    monkeypatch.setattr("rhohat.layers.chain.row_blocks", lambda *_: cut)
    assert_close(everything_of(objective_for(model, X, y, weights, tangents), theta), expected)


@every_model
def test_a_weight_of_a_whole_number_is_as_many_rows(model):
    theta, X, y, _, tangents = rows_for(MODELS[model][0], 40)
    times = np.random.default_rng(3).integers(0, 4, 40)
    assert 0 in times
    weighted = objective_for(model, X, y, times.astype(float), tangents)
    repeated = objective_for(
        model, *(np.repeat(rows, times, axis=0) for rows in (X, y)), None, np.repeat(tangents, times, axis=0)
    )
    assert_close(everything_of(weighted, theta), everything_of(repeated, theta))


@every_model
def test_a_weight_of_zero_is_the_absence_of_the_row(model):
    """Whatever the row holds, if it is finite."""
    theta, X, y, weights, tangents = rows_for(MODELS[model][0], 40)
    absent = np.arange(40) % 3 == 0
    without = objective_for(model, X[~absent], y[~absent], weights[~absent], tangents[~absent])
    weights[absent] = 0
    X[absent], tangents[absent] = 30.0, -20.0
    assert_close(everything_of(objective_for(model, X, y, weights, tangents), theta), everything_of(without, theta))


@every_model
def test_only_the_ratios_of_weights_count(model):
    theta, X, y, weights, tangents = rows_for(MODELS[model][0], 40)
    expected = everything_of(objective_for(model, X, y, weights, tangents), theta)
    assert_close(everything_of(objective_for(model, X, y, 7 * weights, tangents), theta), expected)
    alike, none = (objective_for(model, X, y, w, tangents) for w in (np.full(40, 3), None))
    assert_close(everything_of(alike, theta), everything_of(none, theta))
    assert relative_difference(none(theta)[1], expected["gradient"]) > 1e-3


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "penalties",
    [
        [WeightDecay(0.3)],
        [WeightDecay(0.3, include_biases=True), KLSparsity(0.1, 2.0), L1Sparsity(0.1)],
        [WeightDecay(0.3, layers=(0,)), WeightDecay(0.2, include_biases=True, layers=(-1, 2))],
        [WeightDecay(0.3), Contraction(0.2)],
        [Contraction(0.2, layer=0), Contraction(0.2, layer=2), TangentPropagation(0.5)],
    ],
    ids=str,
)
@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "tanh"])
def test_tied_weights_cost_what_their_copies_do_and_their_gradient_is_the_sum_of_both_roles(
    activation, penalties, weighted
):
    sizes, activations = (6, 4, 3, 4, 6), (as_activation(activation),) * 3 + (Sigmoid(),)
    tied, untied = (dense_network(sizes, activations, tied=flag) for flag in (True, False))
    theta, X, y, weights, tangents = rows_for(tied, 30)
    options = {"penalties": penalties, "sample_weight": weights if weighted else None, "tangents": tangents}
    J_tied, J_untied = (
        make_objective(Problem(network, X, y, **options), ThreadEngine(1)) for network in (tied, untied)
    )

    def expand(theta):
        return untied.pack(*tied.unpack(theta))

    def add_roles(gradient):
        (W1, W2, W3, W4), biases, own = untied.unpack(gradient)
        return tied.pack([W1 + W4.T, W2 + W3.T, W3, W4], biases, own)

    found, expected = J_tied.evaluate(theta), J_untied.evaluate(expand(theta))
    np.testing.assert_allclose(found[0], expected[0], rtol=EXACT)
    assert_close(found[2], expected[2])
    assert relative_difference(found[1], add_roles(expected[1])) <= EXACT
    if not any(isinstance(penalty, Contraction) for penalty in penalties):
        vector = np.random.default_rng(1).normal(size=theta.size)
        product = J_untied.hessian_vector_product(expand(theta), expand(vector))
        assert relative_difference(J_tied.hessian_vector_product(theta, vector), add_roles(product)) <= EXACT


CASES = {f"{number}: {case}": case for number, case in enumerate(proof_cases())}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_model_is_computed_on_in_float32_and_summed_in_float64(case, monkeypatch):
    """Nothing asks for memory without saying of which dtype, which would be float64."""
    asked = []
    for name in ("empty", "zeros"):
        made = getattr(NumpyOps, name)
        monkeypatch.setattr(
            NumpyOps, name, lambda self, shape, dtype, made=made: asked.append(dtype) or made(self, shape, dtype)
        )

    def halve(array, dtype):
        return None if array is None else array.astype(np.float32).astype(dtype)

    results = []
    for dtype in (np.float32, np.float64):
        X, y, tangents = (halve(array, dtype) for array in (case.problem.X, case.problem.y, case.problem.tangents))
        J = make_objective(
            replace(case.problem, X=X, y=y, tangents=tangents),
            ThreadEngine(1),
        )
        results.append(everything_of(J, case.theta))
    single, double = results
    assert asked
    assert all(dtype is not None for dtype in asked)
    assert single["gradient"].dtype == np.float64
    assert_close(single, double, FLOAT32)
    for results in (single, double):
        results.pop("Hessian times a vector", None)
    assert_close(single | {"gradient": 1.0}, double | {"gradient": 1.0}, FLOAT32_COST)
    assert relative_difference(single["gradient"], double["gradient"]) > 1e-10


class Watchful(ParametricReLU):
    """A parametric ReLU that refuses a mixture of precisions."""

    def forward(self, units):
        assert units.z.dtype == units.a.dtype == units.parameters.dtype == np.float32
        super().forward(units)

    def pull_back(self, units, delta, out, gradient):
        assert delta.dtype == out.dtype == gradient.dtype == units.parameters.dtype == np.float32
        super().pull_back(units, delta, out, gradient)

    def push_forward(self, units, beta, direction):
        assert beta.dtype == np.float32
        assert direction is None or direction.dtype == np.float32
        return super().push_forward(units, beta, direction)

    def curvature(self, units, phi, beta, direction, gradient):
        assert phi.dtype == beta.dtype == gradient.dtype == np.float32
        return super().curvature(units, phi, beta, direction, gradient)


class WatchfulLayer(DenseLayer):
    """A dense layer that refuses a mixture of precisions."""

    def add_bias_gradient(self, b, delta, ones, *, accumulate):
        assert b.dtype == delta.dtype == ones.dtype == np.float32
        super().add_bias_gradient(b, delta, ones, accumulate=accumulate)


def test_no_layer_of_float32_rows_sees_float64():
    layers = WatchfulLayer(8, 5, Watchful()), WatchfulLayer(5, 8, Watchful())
    network = Network(layers, tied=True)
    theta, X, y, weights, tangents = rows_for(network, 30, np.float32)
    penalties = [WeightDecay(0.1), L1Sparsity(0.1)]
    for added in ([], [Contraction(0.1), TangentPropagation(0.1)]):
        options = {"sample_weight": weights, "tangents": tangents, "penalties": penalties + added}
        problem = Problem(network, X, y, **options)
        everything_of(make_objective(problem, ThreadEngine(1)), theta)
        batch = MiniBatch(make_batch_evaluation(problem, ThreadEngine(1)))
        batch.evaluate_in_parts(theta.astype(np.float32), lambda *_: None)


@every_model
def test_the_hessian_is_symmetric(model):
    theta, X, y, weights, tangents = rows_for(MODELS[model][0], 40)
    penalties = [p for p in MODELS[model][1] if not isinstance(p, Contraction | TangentPropagation)]
    J = objective_for(model, X, y, weights, tangents, penalties=penalties)
    u, v = np.random.default_rng(1).normal(size=(2, theta.size))
    np.testing.assert_allclose(
        u @ J.hessian_vector_product(theta, v), v @ J.hessian_vector_product(theta, u), rtol=1e-9
    )


@pytest.mark.parametrize("depth", DEPTHS)
def test_recomputed_hidden_activations_give_the_bits_of_kept_ones(depth):
    kept, _, theta = make_case(DEPTHS[depth], ["sigmoid"] * (depth + 1), 5003)
    recomputed, _, _ = make_case(DEPTHS[depth], ["sigmoid"] * (depth + 1), 5003, cache_bytes=0)
    assert (kept._evaluation.n_kept, recomputed._evaluation.n_kept) == (5003, 0)
    assert kept(theta)[0] == recomputed(theta)[0]
    np.testing.assert_array_equal(kept(theta)[1], recomputed(theta)[1])


def test_float32_data_is_computed_on_in_float32_and_summed_in_float64():
    single, X, theta = make_case((64, 25, 64), ["sigmoid"] * 2, 5000, dtype=np.float32)
    double = make_objective(
        Problem(single.network, X.astype(np.float64), penalties=[WeightDecay(WEIGHT_DECAY), KLSparsity(SPARSITY, 3.0)]),
        ThreadEngine(1),
    )
    value, gradient = single(theta)
    assert gradient.dtype == np.float64
    assert 0 < relative_difference(gradient, double(theta)[1]) < FLOAT32
    assert value == pytest.approx(double(theta)[0], rel=FLOAT32_COST)


@pytest.mark.parametrize("problem", trained.PROBLEMS)
def test_the_cost_of_float32_rows_at_trained_weights_is_that_of_float64(problem):
    """Where all that is added up is small, most of it very small, and of one sign."""
    theta = trained.trained_theta(problem)
    single, double = (trained.objective_of(problem, dtype) for dtype in (np.float32, np.float64))
    expected = double.evaluate(theta)
    for value, terms in (single.evaluate(theta)[::2], single.cost(theta)):
        assert value == pytest.approx(expected[0], rel=FLOAT32_COST)
        assert terms == pytest.approx(expected[2], rel=FLOAT32_COST)
    for found, rho_hat in zip(single.mean_activations(theta), double.mean_activations(theta), strict=True):
        assert relative_difference(found, rho_hat) < FLOAT32_COST
    assert relative_difference(single(theta)[1], expected[1]) < FLOAT32


@pytest.mark.parametrize("problem", trained.PROBLEMS)
def test_float32_sums_have_the_same_bits_on_any_number_of_threads(problem):
    theta = trained.trained_theta(problem)
    first, *others = (trained.objective_of(problem, np.float32, n_jobs).evaluate(theta) for n_jobs in (1, 2, 4))
    for value, gradient, terms in others:
        assert (value, terms) == (first[0], first[2])
        np.testing.assert_array_equal(gradient, first[1])


def test_the_terms_add_up_and_stand_under_their_names():
    objective, X, theta = make_case((11, 7, 11), ["sigmoid"] * 2, 50)
    value, _, terms = objective.evaluate(theta)
    assert list(terms) == ["squared_error", "weight_decay", "kl_sparsity"]
    assert value == sum(terms.values())
    weights = objective.network.unpack(theta).weights
    np.testing.assert_allclose(terms["weight_decay"], WEIGHT_DECAY / 2 * sum((W**2).sum() for W in weights))
    plain = sparse_cost(theta, X, X, (11, 7, 11), ["sigmoid"] * 2, 0.0, SPARSITY, 0.0)[0]
    np.testing.assert_allclose(terms["squared_error"], plain, rtol=EXACT)


def test_cost_is_the_value_without_the_gradient():
    objective, _, theta = make_case(DEPTHS[2], ["tanh"] * 3, 3000)
    value, _, terms = objective.evaluate(theta)
    assert objective.cost(theta) == (value, terms)


def test_mean_activations_are_the_means_of_every_hidden_layer(rng):
    objective, X, theta = make_case(DEPTHS[2], ["sigmoid", "tanh", "sigmoid"], 3000, sparsity_weight=0.0)
    weights, biases, _ = objective.network.unpack(theta)
    first = 1 / (1 + np.exp(-(X @ weights[0] + biases[0])))
    second = np.tanh(first @ weights[1] + biases[1])
    found = objective.mean_activations(theta)
    np.testing.assert_allclose(found[0], first.mean(axis=0), rtol=EXACT)
    np.testing.assert_allclose(found[1], second.mean(axis=0), rtol=EXACT)


def test_sparsity_may_act_on_chosen_layers_only():
    sizes, rng = DEPTHS[2], np.random.default_rng(0)
    network = dense_network(sizes, tuple(as_activation(name) for name in ("sigmoid", "identity", "sigmoid")))
    X = rng.random((40, 11))
    objective = make_objective(Problem(network, X, penalties=[KLSparsity(0.1, 3.0, layers=(0,))]), ThreadEngine(1))
    theta = network.initial_theta(rng)
    assert check_gradient(objective, theta).relative_difference <= GRADIENT
    rho_hat = objective.mean_activations(theta)[0]
    expected = KLSparsity(0.1, 3.0).value(rho_hat, (0.0, 1.0), X.dtype)
    assert objective.cost(theta)[1]["kl_sparsity"] == expected


def test_two_penalties_of_one_kind_add_up():
    """A penalty in two halves must equal the whole."""
    _, X, theta = make_case((11, 7, 11), ["sigmoid"] * 2, 50)
    network = dense_network((11, 7, 11), (as_activation("sigmoid"),) * 2)
    whole = make_objective(Problem(network, X, penalties=[WeightDecay(0.2), KLSparsity(0.1, 2.0)]), ThreadEngine(1))
    halves = make_objective(
        Problem(network, X, penalties=[WeightDecay(0.1), WeightDecay(0.1), KLSparsity(0.1, 1.0), KLSparsity(0.1, 1.0)]),
        ThreadEngine(1),
    )
    assert abs(whole(theta)[0] - halves(theta)[0]) < EXACT
    assert relative_difference(halves(theta)[1], whole(theta)[1]) < EXACT


def test_targets_may_differ_from_inputs(rng):
    X, y = rng.random((60, 5)), rng.random((60, 3))
    network = dense_network((5, 4, 3), (as_activation("tanh"), as_activation("identity")))
    theta = network.initial_theta(rng)
    value, gradient = make_objective(Problem(network, X, y), ThreadEngine(1))(theta)
    expected = sparse_cost(theta, X, y, (5, 4, 3), ["tanh", "identity"], 0.0, 0.1, 0.0)
    np.testing.assert_allclose(value, expected[0], rtol=EXACT)
    assert relative_difference(gradient, expected[1]) <= EXACT


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_permuting_rows_or_hidden_units_leaves_the_cost(seed):
    rng = np.random.default_rng(seed)
    objective, X, theta = make_case((6, 4, 6), ["sigmoid"] * 2, 40, seed=seed)
    (W1, W2), (b1, b2), _ = objective.network.unpack(theta)
    value = objective(theta)[0]

    units = rng.permutation(4)
    permuted = objective.network.pack([W1[:, units], W2[units]], [b1[units], b2])
    np.testing.assert_allclose(objective(permuted)[0], value, rtol=EXACT)

    shuffled = make_objective(
        Problem(
            objective.network, X[rng.permutation(40)], penalties=[WeightDecay(WEIGHT_DECAY), KLSparsity(SPARSITY, 3.0)]
        ),
        ThreadEngine(1),
    )
    np.testing.assert_allclose(shuffled(theta)[0], value, rtol=EXACT)


@pytest.mark.parametrize("layers", [(0,), (-1,), (0, 1)])
def test_the_gradient_of_a_decay_of_some_layers_agrees_with_central_differences(layers, rng):
    network = dense_network((5, 3, 4), (Sigmoid(), Tanh()))
    X, y, theta = rng.random((9, 5)), rng.random((9, 4)), network.initial_theta(rng)
    plain, decayed = (
        make_objective(Problem(network, X, y, penalties=penalties), ThreadEngine(1))
        for penalties in ([], [WeightDecay(0.3, layers=layers)])
    )
    assert check_gradient(decayed, theta).relative_difference <= GRADIENT
    change = network.unpack(decayed(theta)[1] - plain(theta)[1])
    for layer, W in enumerate(network.unpack(theta).weights):
        np.testing.assert_allclose(
            change.weights[layer], 0.3 * W * (layer in layers or layer - 2 in layers), atol=1e-12
        )


@pytest.mark.parametrize("bias", [-1e4, 1e4])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saturated_units_give_a_finite_cost_and_gradient(bias, activation, dtype):
    objective, _, theta = make_case((6, 4, 6), [activation, "identity"], 30, dtype=dtype)
    objective.network.unpack(theta).biases[0][:] = bias
    value, gradient = objective(theta)
    assert np.isfinite(value)
    assert value > 1
    assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nearly_saturated_units_are_pushed_back(dtype):
    """Activations around 1e-30 have a gradient that points to more activity, however small they are."""
    objective, _, theta = make_case((6, 4, 6), ["sigmoid", "identity"], 30, dtype=dtype)
    objective.network.unpack(theta).biases[0][:] = -70
    bias_gradient = objective.network.unpack(objective(theta)[1]).biases[0]
    np.testing.assert_allclose(bias_gradient, -3.0 * SPARSITY, rtol=1e-3)


def test_an_overflowing_cost_is_infinite_and_warns_of_nothing():
    objective, _, theta = make_case((6, 4, 6), ["sigmoid", "identity"], 30)
    with np.errstate(all="raise"):
        value, _ = objective(np.full_like(theta, 1e200))
    assert not np.isfinite(value)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((4, 5)), None, r"X must have the shape \(n_samples >= 1, 3\)"),
        (np.zeros((0, 3)), None, "n_samples >= 1"),
        (np.zeros(3), None, "n_samples >= 1"),
        (np.zeros((4, 3)), np.zeros((5, 3)), r"y must have the shape \(4, 3\)"),
        (np.zeros((4, 3), dtype=int), None, "both be float32 or both float64"),
        (np.zeros((4, 3)), np.zeros((4, 3), dtype=np.float32), "both be float32 or both float64"),
    ],
)
def test_rows_that_do_not_fit_are_refused(X, y, message):
    network = dense_network((3, 2, 3), (as_activation("sigmoid"),) * 2)
    with pytest.raises(ValueError, match=message):
        make_objective(Problem(network, X, y), ThreadEngine(1))


def objective_of(*activations, sizes=(3, 2, 3), **options):
    """An objective over four rows of zeros."""
    y = options.pop("y", None)
    network = dense_network(sizes, tuple(as_activation(activation) for activation in activations))
    return make_objective(Problem(network, np.zeros((4, sizes[0])), y, **options), ThreadEngine(1))


class Nothing(Penalty):
    name, weight = "nothing", 1.0


class Cubic(ElementwiseActivation):
    name, bounds = "cubic", (-np.inf, np.inf)

    def apply(self, z):
        z **= 3

    def derivative(self, a):
        return 3 * np.cbrt(a) ** 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_weight": np.ones(3)}, r"sample_weight must have the shape \(4,\).*got \(3,\)"),
        ({"sample_weight": np.ones((4, 1))}, r"sample_weight must have the shape \(4,\).*got \(4, 1\)"),
        ({"sample_weight": np.array([1, 1, 1, -1e-9])}, "sample_weight must be finite and at least 0"),
        ({"sample_weight": np.array([1, 1, 1, np.nan])}, "sample_weight must be finite and at least 0"),
        ({"sample_weight": np.array([1, 1, 1, np.inf])}, "sample_weight must be finite and at least 0"),
        ({"sample_weight": np.zeros(4)}, "and not 0 for every row"),
        ({"tangents": np.zeros((4, 3))}, r"tangents must have the shape \(4, n_tangents, 3\).*got \(4, 3\)"),
        ({"tangents": np.zeros((5, 2, 3))}, r"tangents must have the shape.*got \(5, 2, 3\)"),
        ({"tangents": np.zeros((4, 3, 2))}, r"tangents must have the shape.*got \(4, 3, 2\)"),
        ({"tangents": np.zeros((4, 2, 3), np.float32)}, "tangents must have the dtype of X, float64; got float32"),
        ({"penalties": [TangentPropagation(1.0)]}, "tangent_propagation needs tangents of every row"),
        (
            {"penalties": [TangentPropagation(1.0)], "tangents": np.zeros((4, 0, 3))},
            "tangent_propagation needs tangents of every row",
        ),
        (
            {"penalties": [Contraction(1.0, layer=1)]},
            "contraction is set to act on hidden layer 1, but this network has 1",
        ),
        (
            {"penalties": [KLSparsity(0.1, 1.0, layers=(1,))]},
            r"hidden layers \(1,\), but this network has 1 hidden layer; .* counted",
        ),
        (
            {"penalties": [L1Sparsity(1.0, layers=(-1,))]},
            r"hidden layers \(-1,\), but this network has 1 hidden layer; .* counted",
        ),
        (
            {"penalties": [WeightDecay(1.0, layers=(2,))]},
            r"layers of weights \(2,\), but this network has 2 layers of weights; .* from 0 or backwards from -1\.$",
        ),
        (
            {"penalties": [WeightDecay(1.0, layers=(-3,))]},
            r"layers of weights \(-3,\), but this network has 2 layers of weights; .* counted",
        ),
        ({"penalties": [Nothing()]}, "a penalty must be a WeightPenalty, .* or JacobianPenalty; got .*Nothing"),
        ({"loss": SoftmaxCrossEntropy()}, "needs output_activation='softmax', but the output activation is 'sigmoid'"),
        ({"loss": BinaryCrossEntropy(), "y": np.full((4, 3), 1.5)}, r"needs targets in \[0, 1\]"),
        ({"loss": LabelNoiseCrossEntropy(), "y": np.full((4, 3), -0.5)}, r"needs targets in \[0, 1\]"),
        ({"loss": GaussianLoss(np.eye(2))}, r"must have the shape \(3, 3\) for targets of 3 columns; got \(2, 2\)"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        objective_of("sigmoid", "sigmoid", **options)


@pytest.mark.parametrize("hidden", ["identity", "relu", "leaky_relu", "parametric_relu", "maxout"])
def test_kl_sparsity_on_unbounded_units_is_refused_and_its_alternative_named(hidden):
    with pytest.raises(ValueError, match="use 'sigmoid' or 'tanh' for the hidden units, L1Sparsity in place of the KL"):
        objective_of(hidden, "sigmoid", penalties=[KLSparsity(0.1, 1.0)])
    objective_of(hidden, "sigmoid", penalties=[L1Sparsity(1.0), KLSparsity(0.1, 0.0)])


@pytest.mark.parametrize(
    ("loss", "output"),
    [
        (BinaryCrossEntropy(), "softmax"),
        (LabelNoiseCrossEntropy(), "identity"),
        (SoftmaxCrossEntropy(), "sigmoid"),
        (SoftmaxCrossEntropy(), ReLU()),
    ],
    ids=str,
)
def test_a_loss_that_contains_an_activation_refuses_others(loss, output):
    message = f"loss '{loss.name}' needs output_activation='{loss.contains}', but the output activation is"
    with pytest.raises(ValueError, match=message):
        objective_of("sigmoid", output, loss=loss, y=np.full((4, 3), 1 / 3))
    objective_of("sigmoid", loss.contains, loss=loss, y=np.full((4, 3), 1 / 3))


def test_targets_of_softmax_that_do_not_add_up_to_one_are_refused():
    with pytest.raises(ValueError, match="not negative and add up to 1 in every row"):
        objective_of("sigmoid", "softmax", loss=SoftmaxCrossEntropy(), y=np.full((4, 3), 0.5))


def test_penalties_on_derivatives_need_activations_with_second_derivatives():
    with pytest.raises(ValueError, match="contraction needs the second derivative of the activation 'cubic'"):
        objective_of(Cubic(), "sigmoid", penalties=[Contraction(1.0)])
    tangents = np.ones((4, 1, 3))
    with pytest.raises(ValueError, match="tangent_propagation needs the second derivative of the activation 'cubic'"):
        objective_of("sigmoid", Cubic(), penalties=[TangentPropagation(1.0)], tangents=tangents)
    objective_of("sigmoid", Cubic(), penalties=[Contraction(1.0)])


class Softplus(ElementwiseActivation):
    """ln(1 + exp(z)), without a third derivative."""

    name, bounds = "softplus", (0.0, np.inf)

    def apply(self, z):
        np.logaddexp(0, z, out=z)

    def derivative(self, a):
        return -np.expm1(-a)

    def second_derivative(self, a):
        return -np.expm1(-a) * np.exp(-a)


@pytest.mark.parametrize("penalty", [Contraction(1.0), TangentPropagation(1.0)])
def test_newton_is_refused_with_penalties_on_derivatives_where_a_third_derivative_is_missing(penalty, rng):
    J = objective_of(Softplus(), "sigmoid", penalties=[penalty], tangents=np.ones((4, 1, 3)))
    theta = J.network.initial_theta(rng)
    assert check_gradient(J, theta).relative_difference <= GRADIENT
    message = (
        f"the Hessian of {penalty.name} needs the third derivative of the activation 'softplus'.*use solver='lbfgs'"
    )
    with pytest.raises(ValueError, match=message):
        J.check_second_derivative()
    with pytest.raises(ValueError, match=message):
        J.hessian_vector_product(theta, theta)
    objective_of(Softplus(), "sigmoid").hessian_vector_product(theta, theta)


def test_newton_is_refused_with_a_layer_through_which_no_tangents_go():
    class Opaque(DenseLayer):
        has_tangents = False

    J = make_objective(
        Problem(Network((Opaque(3, 2, Sigmoid()), DenseLayer(2, 3, Sigmoid()))), np.zeros((4, 3))), ThreadEngine(1)
    )
    with pytest.raises(ValueError, match=r"^the layer Opaque has no second derivatives; use solver='lbfgs'"):
        J.check_second_derivative()


def test_newton_is_refused_with_an_activation_without_a_second_derivative():
    J = objective_of(Cubic(), "sigmoid")
    with pytest.raises(ValueError, match="the activation 'cubic' has no second derivative; use solver='lbfgs'"):
        J.hessian_vector_product(np.zeros(J.network.n_parameters), np.zeros(J.network.n_parameters))
    objective_of("sigmoid", "sigmoid").check_second_derivative()


@pytest.mark.parametrize(
    "penalty",
    [
        WeightDecay(0.0),
        KLSparsity(0.1, 0.0, layers=(7,)),
        L1Sparsity(0.0, layers=(7,)),
        Contraction(0.0, layer=7),
        TangentPropagation(0.0),
    ],
    ids=str,
)
def test_a_penalty_of_weight_zero_asks_for_nothing_and_adds_nothing(penalty, rng):
    J, plain = (objective_of("parametric_relu", "sigmoid", penalties=penalties) for penalties in ([penalty], []))
    theta = rng.normal(size=J.network.n_parameters)
    value, gradient, terms = J.evaluate(theta)
    assert terms == J.cost(theta)[1] == {"squared_error": plain(theta)[0]}  # what J has not, is not among its terms
    assert value == plain(theta)[0]
    np.testing.assert_array_equal(gradient, plain(theta)[1])
    J.hessian_vector_product(theta, theta)


def test_settings_may_be_numbers_of_numpy(rng):
    """As grids of settings have them: they do not turn float32 into float64."""
    network = dense_network((3, 2, 3), (Tanh(), Sigmoid()))
    X, theta, tangents = rng.random((9, 3), np.float32), network.initial_theta(rng), np.ones((9, 1, 3), np.float32)
    results = []
    for number in (float, np.float64):
        penalties = [
            WeightDecay(number(0.1)),
            KLSparsity(number(0.1), number(3)),
            L1Sparsity(number(0.1)),
            Contraction(number(0.1)),
            TangentPropagation(number(0.1)),
        ]
        J = make_objective(Problem(network, X, penalties=penalties, tangents=tangents), ThreadEngine(1))
        results.append(J.evaluate(theta))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=FLOAT32_COST)
    assert relative_difference(results[0][1], results[1][1]) < FLOAT32


class Shifted(Loss):
    """The squared error beside y + 1: a loss that the objective has never heard of."""

    name = "shifted"

    def value_and_derivative(self, outputs, y, out):
        return SquaredError().value_and_derivative(outputs, y + 1, out)


def test_a_loss_of_ones_own_is_taken_as_it_is(rng):
    X = rng.random((9, 3))
    network = dense_network((3, 2, 3), (Tanh(), Sigmoid()))
    theta = network.initial_theta(rng)
    own, plain = (
        make_objective(Problem(network, X, loss=Shifted()), ThreadEngine(1)),
        make_objective(Problem(network, X, X + 1), ThreadEngine(1)),
    )
    assert own.evaluate(theta)[2] == {"shifted": pytest.approx(plain(theta)[0], rel=EXACT)}
    np.testing.assert_array_equal(own(theta)[1], plain(theta)[1])


@pytest.mark.parametrize("n_jobs", [1, 4])
@pytest.mark.parametrize("weight", [1e200, -1e200])
def test_an_overflow_on_any_thread_shows_in_the_numbers_and_warns_of_nothing(weight, n_jobs, rng):
    network = dense_network((8, 5, 5, 8), (ParametricReLU(), ParametricReLU(), as_activation("identity")))
    J = make_objective(Problem(network, rng.random((8999, 8))), ThreadEngine(n_jobs))
    theta = np.full(network.n_parameters, weight)
    assert not np.isfinite(J(theta)[0])
    assert not np.isfinite(J.cost(theta)[0])
    assert not np.all(np.isfinite(J.mean_activations(theta)[1]))
    assert not np.all(np.isfinite(J.hessian_vector_product(theta, theta)))


class _OnceDifferentiable:
    """What is particular to parts of J that bring their gradient alone."""

    class Error(Loss):
        name = "error"

        def value_and_derivative(self, outputs, y, out):
            out[:] = outputs - y
            return 0.5 * (out**2).sum(1)

    class OfWeights(WeightPenalty):
        name, weight = "of_weights", 1.0

        def value(self, weights):
            return 0.0

        def add_gradient(self, weights, gradients):
            pass

    class OfMeans(MeanActivationPenalty):
        name, weight, layers = "of_means", 1.0, None

        def value(self, mean_activation, bounds, dtype):
            return 0.0

        def derivative(self, mean_activation, bounds, dtype):
            return np.zeros_like(mean_activation)

    class OfRows(ActivationPenalty):
        name, weight, layers = "of_rows", 1.0, None

        def value(self, a):
            return np.zeros(len(a))

        def derivative(self, a):
            return np.zeros_like(a)


@pytest.mark.parametrize("part", ["Error", "OfWeights", "OfMeans", "OfRows"])
def test_a_part_without_a_second_derivative_is_named_before_a_hessian_product(part, rng):
    made = getattr(_OnceDifferentiable, part)()
    loss, penalties = (made, []) if isinstance(made, Loss) else (SquaredError(), [Contraction(0.1), made])
    network = dense_network((5, 3, 5), (as_activation("tanh"),) * 2)
    objective = make_objective(Problem(network, rng.random((8, 5)), loss=loss, penalties=penalties), ThreadEngine(1))
    theta = network.initial_theta(rng)
    objective(theta)
    with pytest.raises(ValueError, match=f"{part} has no second derivative; use solver='lbfgs'"):
        objective.hessian_vector_product(theta, theta)


def test_a_penalty_that_has_the_name_of_the_loss_is_added_to_it(rng):
    class Namesake(WeightDecay):
        name = "squared_error"

    X = rng.random((9, 3))
    network = dense_network((3, 2, 3), (Tanh(), Sigmoid()))
    theta = network.initial_theta(rng)
    J = make_objective(Problem(network, X, penalties=[Namesake(0.5)]), ThreadEngine(1))
    plain = make_objective(Problem(network, X, penalties=[WeightDecay(0.5)]), ThreadEngine(1))
    assert J(theta)[0] == pytest.approx(plain(theta)[0], rel=EXACT)
    assert check_gradient(J, theta).relative_difference < GRADIENT


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cache_bytes", [0, 50_000, 130_000, 10**9])
def test_what_is_kept_for_pass_2_changes_no_bit(cache_bytes, dtype, rng):
    """Nothing, some blocks, or all of them."""
    X = rng.random((5000, 6)).astype(dtype)
    network = dense_network((6, 4, 6), (Sigmoid(), Sigmoid()))
    theta, penalties = network.initial_theta(rng), [KLSparsity(0.1, 3.0)]
    whole = make_objective(Problem(network, X, penalties=penalties), ThreadEngine())
    some = make_objective(Problem(network, X, penalties=penalties), ThreadEngine(), cache_bytes * X.itemsize // 8)
    assert some._evaluation.n_kept in ({0: [0], 10**9: [5000]}.get(cache_bytes, range(1, 5000)))
    assert some.cost(theta) == whole.cost(theta)
    np.testing.assert_array_equal(some(theta)[1], whole(theta)[1])


def test_a_corruption_is_not_passed_over_in_silence(rng):
    network = dense_network((5, 3, 5), (Sigmoid(), Sigmoid()))
    problem = Problem(network, rng.random((8, 5)), corruption=MaskingNoise(0.5))
    with pytest.raises(ValueError, match=r"this problem has the corruption MaskingNoise.*; corrupt the rows"):
        make_objective(problem, ThreadEngine(1))


def test_sums_are_divided_by_the_total_weight_that_is_given(rng):
    """A penalty on ρ̂ counts by the share of these rows in the total, and one on weights as it is."""
    network = dense_network((3, 4, 3), (Sigmoid(), Sigmoid()))
    problem = Problem(network, rng.random((5, 3)), penalties=[WeightDecay(0.1), KLSparsity(0.2, 3.0)])
    theta, evaluation = network.initial_theta(rng), BlockEvaluation(problem, ThreadEngine(1))
    expected, halves = (Objective(evaluation, total).evaluate(theta)[2] for total in (None, 10.0))
    assert halves["weight_decay"] == expected["weight_decay"]
    for name in ("squared_error", "kl_sparsity"):
        assert halves[name] == pytest.approx(expected[name] / 2, rel=EXACT)


class Quartic(WeightPenalty):
    """A quarter of the sum of the fourth powers of weights, whose curvature depends on them."""

    name, weight = "quartic", 1.0

    def value(self, weights):
        return float(sum((W**4).sum() for W in weights)) / 4

    def add_gradient(self, weights, gradients):
        for W, gradient in zip(weights, gradients, strict=True):
            gradient += W**3

    def add_hessian_product(self, weights, tangents, products):
        for W, V, product in zip(weights, tangents, products, strict=True):
            product += 3 * W**2 * V


def test_parameters_of_float32_are_computed_on_in_float64(rng):
    network = dense_network((5, 4, 5), (Tanh(), Sigmoid()))
    J = make_objective(Problem(network, rng.random((7, 5)), penalties=[Quartic()]), ThreadEngine(1))
    theta = network.initial_theta(rng)
    theta, vector = theta.astype(np.float32), rng.normal(size=theta.size).astype(np.float32)
    wide = theta.astype(np.float64)
    assert J.cost(theta) == J.cost(wide)
    assert J.evaluate(theta)[2] == J.evaluate(wide)[2]
    np.testing.assert_array_equal(J(theta)[1], J(wide)[1], strict=True)
    expected = J.hessian_vector_product(wide, vector.astype(np.float64))
    np.testing.assert_array_equal(J.hessian_vector_product(theta, vector), expected, strict=True)


def test_results_are_of_the_library_of_the_parameters(rng):
    """Rows that are tensors take parameters of either library."""
    torch = pytest.importorskip("torch")
    network = dense_network((3, 4, 3), (Sigmoid(), Sigmoid()))
    J = make_objective(Problem(network, torch.tensor(rng.random((5, 3)))), ThreadEngine(1))
    theta = network.initial_theta(rng)
    for point, kind in ((theta, np.ndarray), (torch.tensor(theta), torch.Tensor)):
        results = [
            J(point)[1],
            J.evaluate(point)[1],
            *J.mean_activations(point),
            J.hessian_vector_product(point, point),
        ]
        assert all(isinstance(result, kind) for result in results)
