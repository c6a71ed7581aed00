"""Layers beside what they are by definition, and a network of them beside central differences."""

import numpy as np
import pytest

from rhohat import Contraction, check_gradient
from rhohat.engines import ThreadEngine
from rhohat.layers import Convolution1D, Dense
from rhohat.layers.activations import Identity, Maxout, ParametricReLU, ReLU, Sigmoid, Softmax, Tanh, Units
from rhohat.layers.network import Network
from rhohat.objective import Problem, make_objective
from rhohat.objective.mini_batches import MiniBatches
from rhohat.solvers import LBFGS, Adam
from rhohat.terms.jacobian_penalties import TangentPropagation
from rhohat.terms.losses import SoftmaxCrossEntropy
from rhohat.terms.penalties import KLSparsity, L1Sparsity, WeightDecay
from tests.conftest import relative_difference
from tests.tolerances import EXACT, FLOAT32, GRADIENT, HESSIAN

N_STEPS, N_CHANNELS = 7, 2
CONVOLVED = Network(
    (
        Convolution1D(N_STEPS, N_CHANNELS, 3, 3, Tanh()),
        Convolution1D(5, 3, 2, 2, Sigmoid()),
        Dense(8, N_STEPS * N_CHANNELS, Sigmoid()),
    )
)


def by_definition(rows, W, b, n_taps):
    """z[t, o] = Σ_{u, c} a[t + u, c] W[u, c, o] + b[o], one number after the other."""
    sequences = rows.reshape(len(rows), -1, W.shape[1])
    z = np.zeros((len(rows), sequences.shape[1] - n_taps + 1, W.shape[2]))
    for i, t, o in np.ndindex(*z.shape):
        z[i, t, o] = b[o] + sum(sequences[i, t + u, c] * W[u, c, o] for u, c in np.ndindex(*W.shape[:2]))
    return z.reshape(len(rows), -1)


@pytest.mark.parametrize("n_taps", [1, 3, 7])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_convolution_is_what_its_definition_says(n_taps, dtype, rng):
    layer = Convolution1D(N_STEPS, N_CHANNELS, 3, n_taps, Tanh())
    network = Network((layer,))
    rows, theta = rng.normal(size=(5, 14)).astype(dtype), rng.normal(size=network.n_parameters).astype(dtype)
    parameters = network.unpack(theta)
    layers = network.allocate(5, lambda shape: np.empty(shape, dtype))
    layers.a[0] = rows
    network.forward(parameters, layers)
    expected = np.tanh(by_definition(rows, parameters.weights[0], parameters.biases[0], n_taps))
    tolerance = EXACT if dtype == np.float64 else FLOAT32
    np.testing.assert_allclose(layers.a[1], expected, rtol=tolerance, atol=tolerance)


def test_the_transposed_map_of_a_convolution_is_that_of_its_matrix(rng):
    layer = Convolution1D(N_STEPS, N_CHANNELS, 3, 3, Tanh())
    W = rng.normal(size=layer.weight_shape)
    matrix = layer.apply(np.eye(layer.n_inputs), W)  # row i is the image of the i-th unit vector
    delta = rng.normal(size=(4, layer.n_outputs))
    np.testing.assert_allclose(layer.apply_transposed(delta, W), delta @ matrix.T, rtol=EXACT)
    rows = rng.normal(size=(4, layer.n_inputs))
    gradient = np.empty_like(W)
    layer.weight_gradient(rows, delta, gradient, accumulate=False)
    direction = rng.normal(size=W.shape)
    np.testing.assert_allclose(np.sum(gradient * direction), np.sum(delta * layer.apply(rows, direction)), rtol=EXACT)


PENALTIES = {
    "none": [],
    "sparse": [WeightDecay(0.1, include_biases=True), KLSparsity(0.2, 2.0, layers=(1,)), L1Sparsity(0.1, layers=(1,))],
    "contraction": [Contraction(0.3, layer=0), Contraction(0.2, layer=1)],
    "tangents": [TangentPropagation(0.4)],
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalties", PENALTIES.values(), ids=PENALTIES)
def test_all_derivatives_of_a_network_with_convolutions_are_right(penalties, weighted, rng):
    X, tangents = rng.random((9, 14)), rng.normal(size=(9, 2, 14))
    weights = rng.uniform(0.5, 2.0, 9) if weighted else None
    J = make_objective(
        Problem(CONVOLVED, X, penalties=penalties, sample_weight=weights, tangents=tangents), ThreadEngine(1)
    )
    theta, vector = rng.normal(0, 0.5, (2, CONVOLVED.n_parameters))
    assert check_gradient(J, theta).relative_difference <= GRADIENT
    step = 1e-5
    along = (J(theta + step * vector)[1] - J(theta - step * vector)[1]) / (2 * step)
    assert relative_difference(J.hessian_vector_product(theta, vector), along) <= HESSIAN
    assert J.cost(theta) == (J.evaluate(theta)[0], J.evaluate(theta)[2])


def test_a_convolution_classifies_and_learns_with_every_kind_of_solver(rng):
    X = rng.random((90, 14))
    y = np.eye(3)[X.reshape(90, 7, 2)[:, :, 0].argmax(axis=1) // 3]
    network = Network((Convolution1D(7, 2, 4, 2, ReLU()), Dense(24, 3, Softmax())))
    problem = Problem(network, X, y, loss=SoftmaxCrossEntropy(), penalties=[WeightDecay(1e-3)])
    J, theta = make_objective(problem, ThreadEngine(2)), network.initial_theta(rng)
    assert LBFGS().minimize(J, theta, max_iter=100).value < 0.3 * J(theta)[0]
    batches = MiniBatches(problem, ThreadEngine(2), seed=0)
    found = Adam(learning_rate=0.02, batch_size=30).minimize(batches, theta, max_iter=60, tol=0).theta
    assert J(found)[0] < 0.5 * J(theta)[0]


def test_the_gradient_in_parts_is_that_of_the_whole(rng):
    problem = Problem(CONVOLVED, rng.random((40, 14)), penalties=PENALTIES["sparse"])
    theta, gradient = CONVOLVED.initial_theta(rng), np.full(CONVOLVED.n_parameters, np.nan)
    ((batch, _),) = MiniBatches(problem, ThreadEngine(2), seed=0).batches(0, 40)

    def put(part, own, worker):
        gradient[part] = own

    value, _ = batch.evaluate_in_parts(theta.copy(), put)
    expected = make_objective(problem, ThreadEngine(1))(theta)
    assert value == pytest.approx(expected[0], rel=EXACT)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-9, atol=1e-14)


def test_initial_weights_are_within_the_bound_of_the_fans(rng):
    layer = Convolution1D(N_STEPS, N_CHANNELS, 30, 3, Tanh())
    W = layer.initial_weights(rng, "uniform")
    assert W.shape == (3, 2, 30)
    assert 0.9 < np.abs(W).max() / np.sqrt(6 / (6 + 90 + 1)) <= 1
    assert np.std(layer.initial_weights(rng, "normal")) == pytest.approx(0.01, rel=0.2)


@pytest.mark.parametrize("sizes", [(7, 2, 3, 8), (7, 2, 3, 0), (7, 0, 3, 2), (7, 2, 0, 2)])
def test_a_convolution_that_does_not_fit_its_sequence_is_refused(sizes):
    with pytest.raises(ValueError, match=r"n_taps in \[1, 7\], where 7 is the number of steps of a sequence; got"):
        Convolution1D(*sizes, Tanh())


@pytest.mark.parametrize("activation", [Maxout(2), ParametricReLU()])
def test_a_convolution_takes_activations_without_parameters(activation):
    with pytest.raises(ValueError, match="a convolution cannot use the activation"):
        Convolution1D(7, 2, 3, 2, activation)


def test_layers_that_do_not_follow_one_another_are_refused():
    with pytest.raises(ValueError, match=r"which has 9 inputs, after .*, which has 8 outputs"):
        Network((Dense(5, 8, Tanh()), Dense(9, 5, Tanh())))
    with pytest.raises(ValueError, match="cannot use the transposed weights"):
        Network((Convolution1D(7, 1, 1, 3, Tanh()), Dense(5, 7, Identity())), tied=True)
    with pytest.raises(ValueError, match="at least one layer"):
        Network(())


def test_a_dense_layer_is_what_its_definition_says(rng):
    layer, parameters = Dense(4, 3, Tanh()), Network((Dense(4, 3, Tanh()),)).unpack(rng.normal(size=15)).of(0)
    rows, z = rng.normal(size=(6, 4)), np.empty((6, 3))
    layer.forward(parameters, rows, Units(z, z, parameters.own))
    np.testing.assert_allclose(z, np.tanh(rows @ parameters.W + parameters.b), rtol=EXACT)
