"""J of networks with convolutions and pooling: derivatives beside differences, parts beside the whole, threads, ρ̂."""

import numpy as np
import pytest

from rhohat import Contraction, check_gradient
from rhohat.common.blocks import row_blocks
from rhohat.engines import ThreadEngine
from rhohat.layers import ConvolutionLayer, DenseLayer, MaxPoolingLayer, MeanPoolingLayer, Windows
from rhohat.layers.activations import ReLU, Sigmoid, Softmax, Tanh
from rhohat.layers.network import Network
from rhohat.objective import Problem, make_objective
from rhohat.objective.mini_batches import MiniBatches
from rhohat.solvers import LBFGS, Adam
from rhohat.terms.jacobian_penalties import TangentPropagation
from rhohat.terms.losses import SoftmaxCrossEntropy
from rhohat.terms.penalties import KLSparsity, L1Sparsity, WeightDecay
from tests.conftest import relative_difference
from tests.objective.convolutional import N_INPUTS, NETWORKS, SIGMOID
from tests.tolerances import EXACT, FLOAT32, FLOAT32_COST, GRADIENT, HESSIAN

every_network = pytest.mark.parametrize("name", NETWORKS)
weighted_or_not = pytest.mark.parametrize("weighted", [False, True])

PENALTIES = {
    "none": lambda name: [],
    "sparse": lambda name: [
        WeightDecay(0.1, include_biases=True),
        KLSparsity(0.2, 2.0, layers=(SIGMOID[name],)),
        L1Sparsity(0.1, layers=(SIGMOID[name],)),
    ],
    "contraction": lambda name: [Contraction(0.3, layer=0), Contraction(0.2, layer=NETWORKS[name].n_layers - 2)],
    "tangents": lambda name: [TangentPropagation(0.4)],
}
every_penalty = pytest.mark.parametrize("penalties", PENALTIES)


def make_problem(name, penalties, weighted, rng, n_rows=7, dtype=np.float64):
    return Problem(
        NETWORKS[name],
        rng.random((n_rows, N_INPUTS)).astype(dtype),
        penalties=PENALTIES[penalties](name),
        sample_weight=rng.uniform(0.5, 2.0, n_rows) if weighted else None,
        tangents=rng.normal(size=(n_rows, 2, N_INPUTS)).astype(dtype) if penalties == "tangents" else None,
    )


def random_theta(network, rng):
    return rng.normal(0, 0.4, network.n_parameters)


@weighted_or_not
@every_penalty
@every_network
def test_all_derivatives_are_those_of_central_differences(name, penalties, weighted, rng):
    problem = make_problem(name, penalties, weighted, rng)
    J, theta = make_objective(problem, ThreadEngine(1)), random_theta(problem.network, rng)
    vector = random_theta(problem.network, rng)
    assert check_gradient(J, theta).relative_difference <= GRADIENT
    step = 1e-5
    along = (J(theta + step * vector)[1] - J(theta - step * vector)[1]) / (2 * step)
    assert relative_difference(J.hessian_vector_product(theta, vector), along) <= HESSIAN
    assert J.cost(theta) == (J.evaluate(theta)[0], J.evaluate(theta)[2])


@weighted_or_not
@every_penalty
@every_network
def test_hessian_products_are_symmetric(name, penalties, weighted, rng):
    problem = make_problem(name, penalties, weighted, rng)
    J = make_objective(problem, ThreadEngine(1))
    theta, u, v = (random_theta(problem.network, rng) for _ in range(3))
    assert u @ J.hessian_vector_product(theta, v) == pytest.approx(v @ J.hessian_vector_product(theta, u), rel=1e-9)


@pytest.mark.parametrize("penalties", ["none", "sparse"])
@weighted_or_not
@every_network
def test_the_gradient_in_parts_is_that_of_the_whole(name, weighted, penalties, rng):
    problem = make_problem(name, penalties, weighted, rng, n_rows=40)
    theta, gradient = random_theta(problem.network, rng), np.full(problem.network.n_parameters, np.nan)
    ((batch, _),) = MiniBatches(problem, ThreadEngine(2), seed=0).batches(0, 40)

    def put(part, own, worker):
        assert np.all(np.isnan(gradient[part]))
        gradient[part] = own

    value, terms = batch.evaluate_in_parts(theta.copy(), put)
    expected = make_objective(problem, ThreadEngine(1)).evaluate(theta)
    assert value == pytest.approx(expected[0], rel=EXACT)
    assert terms == pytest.approx(expected[2], rel=EXACT)
    assert relative_difference(gradient, expected[1]) <= EXACT


@pytest.mark.parametrize("penalties", ["sparse", "contraction", "tangents"])
@every_network
def test_several_chunks_and_blocks_agree_with_one(name, penalties, rng, monkeypatch):
    problem = make_problem(name, penalties, True, rng, n_rows=40)
    theta, vector = random_theta(problem.network, rng), random_theta(problem.network, rng)

    def computed():
        J = make_objective(problem, ThreadEngine(1))
        return [*J.evaluate(theta)[:2], *J.mean_activations(theta), J.hessian_vector_product(theta, vector)]

    expected = computed()
    monkeypatch.setattr("rhohat.layers.windows._CHUNK", 2000)
    cut = [slice(0, 1), slice(1, 30), slice(30, 32), slice(32, 40)]
    monkeypatch.setattr("rhohat.layers.chain.row_blocks", lambda *_: cut)
    for ours, theirs in zip(computed(), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_network
def test_the_number_of_threads_changes_no_bit(name, dtype, rng):
    problem = make_problem(name, "sparse", True, rng, n_rows=3200, dtype=dtype)
    network = problem.network
    assert len(row_blocks(3200, network.layer_sizes, network.multiply_adds, problem.X.itemsize)) >= 4
    theta, results = random_theta(network, rng), []
    for n_threads in (1, 2, 4):
        J = make_objective(problem, ThreadEngine(n_threads))
        value, gradient, terms = J.evaluate(theta)
        ((batch, _),) = MiniBatches(problem, ThreadEngine(n_threads), seed=0).batches(0, 3200)
        in_parts = np.empty(network.n_parameters)

        def put(part, own, worker, in_parts=in_parts):
            in_parts[part] = own

        of_batch, _ = batch.evaluate_in_parts(theta.astype(dtype), put)
        product = J.hessian_vector_product(theta, gradient)
        results.append([value, *terms.values(), gradient, product, of_batch, in_parts, *J.mean_activations(theta)])
    for result in results[1:]:
        for ours, theirs in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(ours, theirs)


@every_penalty
@every_network
def test_float32_agrees_with_float64(name, penalties, rng):
    of_float32 = make_problem(name, penalties, True, rng, n_rows=50, dtype=np.float32)
    rows, tangents = of_float32.X.astype(np.float64), of_float32.tangents
    exact = Problem(
        of_float32.network,
        rows,
        penalties=of_float32.penalties,
        sample_weight=of_float32.sample_weight,
        tangents=None if tangents is None else tangents.astype(np.float64),
    )
    theta = random_theta(exact.network, rng).astype(np.float32).astype(np.float64)
    found, expected = (make_objective(one, ThreadEngine(1)) for one in (of_float32, exact))
    assert found(theta)[0] == pytest.approx(expected(theta)[0], rel=FLOAT32_COST)
    assert relative_difference(found(theta)[1], expected(theta)[1]) <= FLOAT32
    vector = random_theta(exact.network, rng)
    products = (J.hessian_vector_product(theta, vector) for J in (found, expected))
    assert relative_difference(*products) <= FLOAT32


@weighted_or_not
@every_network
def test_the_mean_activation_of_a_channel_is_its_mean_over_rows_and_places(name, weighted, rng):
    problem = make_problem(name, "none", weighted, rng, n_rows=30)
    network, theta = problem.network, random_theta(problem.network, rng)
    layers = network.allocate(30, np.empty)
    layers.a[0] = problem.X
    network.forward(network.unpack(theta), layers)
    means = make_objective(problem, ThreadEngine(1)).mean_activations(theta)
    assert len(means) == network.n_layers - 1
    for layer, a, mean in zip(network.layers, layers.a[1:], means, strict=False):
        n_channels = layer.n_biases if layer.has_weights else layer.n_channels
        of_rows = a.reshape(30, -1, n_channels).mean(axis=1)
        np.testing.assert_allclose(mean, np.average(of_rows, axis=0, weights=problem.sample_weight), rtol=1e-11)


@weighted_or_not
def test_kl_sparsity_counts_a_channel_once(weighted, rng):
    """β Σ KL(ρ‖ρ̂) has a term for each channel, not for each place."""
    rho, beta, name = 0.2, 2.0, "tied"
    problem = make_problem(name, "sparse", weighted, rng, n_rows=30)
    theta = random_theta(problem.network, rng)
    J = make_objective(problem, ThreadEngine(1))
    (mean,) = J.mean_activations(theta)
    assert mean.shape == (3,)
    divergence = rho * np.log(rho / mean) + (1 - rho) * np.log((1 - rho) / (1 - mean))
    assert J.evaluate(theta)[2]["kl_sparsity"] == pytest.approx(beta * divergence.sum(), rel=EXACT)


def test_sparsity_of_pooled_activations_is_refused_as_their_bounds_are_not_known(rng):
    name = "convolution, max pooling, convolution, dense"
    with pytest.raises(ValueError, match="KL sparsity needs hidden units with bounded activations"):
        Problem(NETWORKS[name], rng.random((4, N_INPUTS)), penalties=[KLSparsity(0.1, 1.0, layers=(1,))])


@pytest.mark.parametrize("pooling", [MaxPoolingLayer, MeanPoolingLayer])
def test_a_convolutional_network_classifies_with_every_kind_of_solver(pooling, rng):
    """Images with a bright line across or down, at any place."""
    X, y = 0.3 * rng.random((120, 6, 6)), np.arange(120) % 2
    for image, label, place in zip(X, y, rng.integers(0, 6, 120), strict=True):
        (image[place] if label else image[:, place])[:] += 0.7
    network = Network(
        (
            ConvolutionLayer(Windows((6, 6), (3, 3), (1, 1), "valid"), 1, 4, ReLU()),
            pooling(Windows((4, 4), (2, 2), (2, 2), "valid"), 4),
            DenseLayer(16, 2, Softmax()),
        )
    )
    problem = Problem(
        network, X.reshape(120, 36), np.eye(2)[y], loss=SoftmaxCrossEntropy(), penalties=[WeightDecay(1e-3)]
    )
    J, theta = make_objective(problem, ThreadEngine(2)), network.initial_theta(rng)
    assert LBFGS().minimize(J, theta, max_iter=100).value < 0.3 * J(theta)[0]
    batches = MiniBatches(problem, ThreadEngine(2), seed=0)
    found = Adam(learning_rate=0.02, batch_size=30).minimize(batches, theta, max_iter=60, tol=0).theta
    assert J(found)[0] < 0.5 * J(theta)[0]


def test_a_sequence_is_an_image_of_height_1_or_of_width_1(rng):
    """The two have the same numbers in the same order, weights included."""
    X, found = rng.random((20, 24)), []
    for turn in (lambda pair: pair, lambda pair: pair[::-1]):
        windows = Windows(turn((1, 12)), turn((1, 3)), turn((1, 2)), "same")
        network = Network((ConvolutionLayer(windows, 2, 3, Tanh()), DenseLayer(18, 24, Sigmoid())))
        theta = np.random.default_rng(0).normal(size=network.n_parameters)
        found.append(make_objective(Problem(network, X), ThreadEngine(1)).evaluate(theta)[:2])
    assert found[0][0] == pytest.approx(found[1][0], rel=EXACT)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-9, atol=1e-13)
