import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhohat import check_gradient
from rhohat.activations import as_activation
from rhohat.engines import ThreadEngine
from rhohat.network import Network
from rhohat.objective import Objective, row_blocks
from rhohat.penalties import KLSparsity, WeightDecay
from tests.conftest import relative_difference
from tests.textbook import sparse_cost
from tests.tolerances import EXACT, FLOAT32, GRADIENT

DEPTHS = {1: (11, 7, 11), 2: (11, 7, 5, 11), 3: (11, 7, 4, 7, 11)}
WEIGHT_DECAY, SPARSITY = 1e-3, 0.1


def make_case(layer_sizes, activations, n_samples, sparsity_weight=3.0, dtype=np.float64, seed=0, **options):
    rng = np.random.default_rng(seed)
    network = Network(layer_sizes, tuple(as_activation(name) for name in activations))
    X = rng.random((n_samples, layer_sizes[0])).astype(dtype)
    options = {"engine": ThreadEngine(2), **options}
    penalties = [WeightDecay(WEIGHT_DECAY), KLSparsity(SPARSITY, sparsity_weight)]
    objective = Objective(network, X, penalties=penalties, **options)
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
    sizes = {block.stop - block.start for block in row_blocks(6007, (64, 25, 64), 8)}
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


@pytest.mark.parametrize("depth", DEPTHS)
def test_recomputed_hidden_activations_give_the_bits_of_kept_ones(depth):
    kept, _, theta = make_case(DEPTHS[depth], ["sigmoid"] * (depth + 1), 5003)
    recomputed, _, _ = make_case(DEPTHS[depth], ["sigmoid"] * (depth + 1), 5003, cache_bytes=0)
    assert kept._cache is not None
    assert recomputed._cache is None
    assert kept(theta)[0] == recomputed(theta)[0]
    np.testing.assert_array_equal(kept(theta)[1], recomputed(theta)[1])


def test_float32_data_is_computed_on_in_float32_and_summed_in_float64():
    single, X, theta = make_case((64, 25, 64), ["sigmoid"] * 2, 5000, dtype=np.float32)
    double = Objective(
        single.network,
        X.astype(np.float64),
        penalties=[WeightDecay(WEIGHT_DECAY), KLSparsity(SPARSITY, 3.0)],
        engine=ThreadEngine(1),
    )
    value, gradient = single(theta)
    assert gradient.dtype == np.float64
    assert 0 < relative_difference(gradient, double(theta)[1]) < FLOAT32
    assert abs(value - double(theta)[0]) < FLOAT32


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
    weights, biases = objective.network.unpack(theta)
    first = 1 / (1 + np.exp(-(X @ weights[0] + biases[0])))
    second = np.tanh(first @ weights[1] + biases[1])
    found = objective.mean_activations(theta)
    np.testing.assert_allclose(found[0], first.mean(axis=0), rtol=EXACT)
    np.testing.assert_allclose(found[1], second.mean(axis=0), rtol=EXACT)


def test_sparsity_may_act_on_chosen_layers_only():
    sizes, rng = DEPTHS[2], np.random.default_rng(0)
    network = Network(sizes, tuple(as_activation(name) for name in ("sigmoid", "identity", "sigmoid")))
    X = rng.random((40, 11))
    objective = Objective(network, X, penalties=[KLSparsity(0.1, 3.0, layers=(0,))], engine=ThreadEngine(1))
    theta = network.initial_theta(rng)
    assert check_gradient(objective, theta).relative_difference <= GRADIENT
    rho_hat = objective.mean_activations(theta)[0]
    expected = KLSparsity(0.1, 3.0).value(rho_hat, (0.0, 1.0), X.dtype)
    assert objective.cost(theta)[1]["kl_sparsity"] == expected


def test_two_penalties_of_one_kind_add_up():
    """A penalty in two halves must equal the whole."""
    _, X, theta = make_case((11, 7, 11), ["sigmoid"] * 2, 50)
    network = Network((11, 7, 11), (as_activation("sigmoid"),) * 2)
    whole = Objective(network, X, penalties=[WeightDecay(0.2), KLSparsity(0.1, 2.0)], engine=ThreadEngine(1))
    halves = Objective(
        network,
        X,
        penalties=[WeightDecay(0.1), WeightDecay(0.1), KLSparsity(0.1, 1.0), KLSparsity(0.1, 1.0)],
        engine=ThreadEngine(1),
    )
    assert abs(whole(theta)[0] - halves(theta)[0]) < EXACT
    assert relative_difference(halves(theta)[1], whole(theta)[1]) < EXACT


def test_targets_may_differ_from_inputs(rng):
    X, y = rng.random((60, 5)), rng.random((60, 3))
    network = Network((5, 4, 3), (as_activation("tanh"), as_activation("identity")))
    theta = network.initial_theta(rng)
    value, gradient = Objective(network, X, y, engine=ThreadEngine(1))(theta)
    expected = sparse_cost(theta, X, y, (5, 4, 3), ["tanh", "identity"], 0.0, 0.1, 0.0)
    np.testing.assert_allclose(value, expected[0], rtol=EXACT)
    assert relative_difference(gradient, expected[1]) <= EXACT


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_permuting_rows_or_hidden_units_leaves_the_cost(seed):
    rng = np.random.default_rng(seed)
    objective, X, theta = make_case((6, 4, 6), ["sigmoid"] * 2, 40, seed=seed)
    (W1, W2), (b1, b2) = objective.network.unpack(theta)
    value = objective(theta)[0]

    units = rng.permutation(4)
    permuted = objective.network.pack([W1[:, units], W2[units]], [b1[units], b2])
    np.testing.assert_allclose(objective(permuted)[0], value, rtol=EXACT)

    shuffled = Objective(
        objective.network,
        X[rng.permutation(40)],
        penalties=[WeightDecay(WEIGHT_DECAY), KLSparsity(SPARSITY, 3.0)],
        engine=ThreadEngine(1),
    )
    np.testing.assert_allclose(shuffled(theta)[0], value, rtol=EXACT)


@given(st.integers(1, 50_000), st.lists(st.integers(1, 2000), min_size=2, max_size=5), st.sampled_from([4, 8]))
def test_blocks_cover_every_row_once_in_order(n_rows, layer_sizes, itemsize):
    blocks = row_blocks(n_rows, layer_sizes, itemsize)
    rows = np.concatenate([np.arange(n_rows)[block] for block in blocks])
    np.testing.assert_array_equal(rows, np.arange(n_rows))
    lengths = [block.stop - block.start for block in blocks]
    assert max(lengths) - min(lengths) <= 1
    assert min(lengths) >= 1


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
    network = Network((3, 2, 3), (as_activation("sigmoid"),) * 2)
    with pytest.raises(ValueError, match=message):
        Objective(network, X, y, engine=ThreadEngine(1))


def test_sparsity_on_unbounded_units_or_missing_layers_is_refused():
    network = Network((3, 2, 3), (as_activation("identity"),) * 2)
    with pytest.raises(ValueError, match="use 'sigmoid' or 'tanh'"):
        Objective(network, np.zeros((4, 3)), penalties=[KLSparsity(0.1, 1.0)], engine=ThreadEngine(1))
    with pytest.raises(ValueError, match="this network has 1, counted from 0"):
        Objective(network, np.zeros((4, 3)), penalties=[KLSparsity(0.1, 1.0, layers=(1,))], engine=ThreadEngine(1))
