"""PyTorch's primitives agree with NumPy's, and the same passes run on its tensors."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rhohat import Adam
from rhohat.checking.proofs import proof_cases
from rhohat.engines import ThreadEngine
from rhohat.layers import (
    ConvolutionLayer,
    DenseLayer,
    MaxPoolingLayer,
    MeanPoolingLayer,
    TransposedConvolutionLayer,
    Windows,
)
from rhohat.layers.activations import ACTIVATIONS, Identity, LeakyReLU, Maxout, Sigmoid, Tanh, as_activation
from rhohat.layers.network import Network, dense_network
from rhohat.objective import Problem, make_objective
from rhohat.objective.batch import MiniBatch, make_batch_evaluation
from rhohat.objective.mini_batches import MiniBatches
from rhohat.ops import NUMPY, ops_of
from rhohat.ops.torch_ops import TORCH
from rhohat.solvers import SGD, as_solver
from rhohat.terms.corruption import CORRUPTIONS
from rhohat.terms.jacobian_penalties import Contraction, TangentPropagation
from rhohat.terms.losses import LOSSES, GaussianLoss, LabelNoiseCrossEntropy, SquaredError
from rhohat.terms.penalties import KLSparsity, L1Sparsity, WeightDecay
from tests.checking.test_proofs import OTHERS

CASES = {f"{number}, {case}": case for number, case in enumerate(proof_cases())} | OTHERS

#: In float32, and in float64: relative difference of sums in another order.
TOLERANCES = {np.float32: 1e-5, np.float64: 1e-11}


def assert_agree(found, expected, dtype):
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    assert np.linalg.norm(found - expected) <= TOLERANCES[dtype] * np.linalg.norm(expected)


def as_tensors(problem):
    """The same problem, whose rows are tensors."""
    rows = (problem.X, problem.y, problem.sample_weight, problem.tangents)
    X, y, weights, tangents = (None if array is None else torch.tensor(array) for array in rows)
    return replace(problem, X=X, y=y, sample_weight=weights, tangents=tangents)


def in_dtype(problem, dtype):
    X, y, tangents = (
        None if array is None else array.astype(dtype) for array in (problem.X, problem.y, problem.tangents)
    )
    return replace(problem, X=X, y=y, tangents=tangents)


def everything(problem, theta, vector):
    """All that an objective computes."""
    J = make_objective(problem, ThreadEngine(1))
    value, gradient, terms = J.evaluate(theta)
    found = [value, *terms.values(), J.cost(theta)[0], gradient, *J.mean_activations(theta)]
    try:
        J.check_second_derivative()
    except ValueError:
        return found
    return [*found, J.hessian_vector_product(theta, vector)]


def assert_the_same_on_tensors(problem, theta, dtype=np.float64):
    vector = np.random.default_rng(0).normal(size=theta.size)
    expected = everything(problem, theta, vector)
    found = everything(as_tensors(problem), torch.tensor(theta), torch.tensor(vector))
    assert all(isinstance(one, float) or (torch.is_tensor(one) and one.dtype is torch.float64) for one in found)
    for ours, theirs in zip(found, expected, strict=True):
        assert_agree(ours, theirs, dtype)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_model_of_the_table_of_proofs_is_the_same_on_tensors(case):
    """Every activation, loss and penalty, tied or not; corrupted or not, with weights or without."""
    assert_the_same_on_tensors(case.problem, case.theta)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_and_in_float32(case):
    assert_the_same_on_tensors(in_dtype(case.problem, np.float32), case.theta, np.float32)


def test_nothing_is_missing_in_that_table():
    problems = [case.problem for case in CASES.values()]
    assert {f.name for problem in problems for f in problem.network.activations} == set(ACTIVATIONS)
    assert {problem.loss.name for problem in problems} == {*LOSSES, "gaussian"}
    kinds = {type(penalty) for problem in problems for penalty in problem.penalties}
    assert kinds == {WeightDecay, KLSparsity, L1Sparsity, Contraction, TangentPropagation}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_networks_agree_on_many_rows_by_several_threads(name, dtype, rng):
    """The rows are several blocks, and the layers of pass 1 are kept for pass 2 for some of them."""
    f = as_activation(name)
    problem = Problem(
        dense_network((20, 16, 20), (f, Sigmoid())),
        rng.random((5000, 20)).astype(dtype),
        penalties=[KLSparsity(0.2, 1.0)] if np.all(np.isfinite(f.bounds)) else [L1Sparsity(0.1)],
        sample_weight=rng.random(5000),
    )
    theta = problem.network.initial_theta(rng)
    found = [
        make_objective(one, ThreadEngine(2), cache_bytes=3000 * 16 * 8)(theta) for one in (as_tensors(problem), problem)
    ]
    for ours, theirs in zip(*found, strict=True):
        assert_agree(ours, theirs, dtype)


def test_what_is_returned_is_what_theta_is(rng):
    X = torch.tensor(rng.random((10, 4)))
    J = make_objective(Problem(dense_network((4, 3, 4), (Sigmoid(),) * 2), X), ThreadEngine(1))
    theta = J.network.initial_theta(rng)
    of_array = [J(theta)[1], *J.mean_activations(theta), J.hessian_vector_product(theta, theta)]
    assert all(isinstance(one, np.ndarray) for one in of_array)
    requiring = torch.tensor(theta, requires_grad=True)
    of_tensor = [J(requiring)[1], *J.mean_activations(requiring), J.hessian_vector_product(requiring, requiring)]
    for ours, theirs in zip(of_tensor, of_array, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs)


@pytest.mark.parametrize("solver", ["lbfgs", "newton_cg"])
def test_solvers_train_on_tensors(solver, rng):
    problem = Problem(
        dense_network((8, 3, 8), (Sigmoid(), Identity())), rng.random((60, 8)), penalties=[WeightDecay(0.01)]
    )
    theta = problem.network.initial_theta(rng)
    found, expected = (
        as_solver(solver).minimize(make_objective(one, ThreadEngine(1)), theta, max_iter=20)
        for one in (as_tensors(problem), problem)
    )
    assert_agree(found.value, expected.value, np.float64)
    np.testing.assert_allclose(found.theta, expected.theta, rtol=1e-6, atol=1e-8)


SEQUENCE, SQUARE = Windows((1, 8), (1, 3), (1, 1), "valid"), Windows((4, 4), (3, 2), (2, 1), "same")
LAYERS = {
    "convolution": Network((ConvolutionLayer(SEQUENCE, 2, 3, Tanh()), DenseLayer(18, 5, Sigmoid()))),
    "two convolutions": Network(
        (
            ConvolutionLayer(SEQUENCE, 2, 3, Sigmoid()),
            ConvolutionLayer(Windows((1, 6), (1, 2), (1, 1), "valid"), 3, 2, Identity()),
        )
    ),
    "many channels": Network(
        (
            ConvolutionLayer(Windows((1, 2), (1, 2), (1, 1), "same"), 8, 9, Tanh()),
            ConvolutionLayer(Windows((1, 2), (1, 3), (1, 2), "same"), 9, 4, Sigmoid()),
        )
    ),
    "max pooling": Network(
        (
            ConvolutionLayer(SQUARE, 1, 3, Sigmoid()),
            MaxPoolingLayer(Windows((2, 4), (2, 2), (1, 2), "valid"), 3),
            DenseLayer(6, 5, Identity()),
        )
    ),
    "mean pooling": Network(
        (
            MeanPoolingLayer(Windows((4, 4), (2, 2), (1, 1), "valid"), 1),
            MaxPoolingLayer(Windows((3, 3), (2, 2), (1, 1), "valid"), 1),
            DenseLayer(4, 5, Tanh()),
        )
    ),
    "transposed": Network(
        (ConvolutionLayer(SQUARE, 1, 3, Tanh()), TransposedConvolutionLayer(SQUARE, 3, 1, Sigmoid()))
    ),
    "tied": Network(
        (ConvolutionLayer(SQUARE, 1, 3, Sigmoid()), TransposedConvolutionLayer(SQUARE, 3, 1, Identity())), tied=True
    ),
    "dense, maxout": dense_network((16, 5, 7), (Maxout(3), Identity())),
    "dense, tied": dense_network((16, 5, 16), (LeakyReLU(0.2), Identity()), tied=True),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("network", LAYERS.values(), ids=LAYERS)
def test_layers_agree(network, dtype, rng):
    penalties = [WeightDecay(0.1), L1Sparsity(0.1), TangentPropagation(0.2)]
    problem = Problem(
        network,
        rng.random((12, 16)).astype(dtype),
        rng.random((12, network.layer_sizes[-1])).astype(dtype),
        penalties=penalties,
        tangents=rng.normal(size=(12, 2, 16)).astype(dtype),
    )
    assert_the_same_on_tensors(problem, network.initial_theta(rng), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(CORRUPTIONS))
def test_corruptions_agree(name, dtype, rng):
    corruption, X, noise = CORRUPTIONS[name](), rng.random((9, 6)).astype(dtype), np.empty((9, 6), dtype)
    corruption.draw(rng, noise)
    of_tensor = torch.tensor(X)
    corruption.apply(of_tensor, torch.tensor(noise))
    corruption.apply(X, noise)
    assert of_tensor.dtype is (torch.float32 if dtype is np.float32 else torch.float64)
    np.testing.assert_allclose(of_tensor.numpy(), X, rtol=1e-6 if dtype is np.float32 else 1e-15)


@pytest.mark.parametrize(
    "loss", [*(make() for make in LOSSES.values()), GaussianLoss(np.eye(6)), LabelNoiseCrossEntropy(0.0)], ids=str
)
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_losses_agree_where_outputs_are_sure_and_where_not(loss, scale, rng):
    outputs, y, tangent = scale * rng.normal(size=(9, 6)), np.eye(6)[rng.integers(0, 6, 9)], rng.normal(size=(9, 6))
    results = []
    for ops in (TORCH, NUMPY):
        z, targets, v = (ops.asarray(array) for array in (outputs, y, tangent))
        of_library, derivative = loss.with_ops(ops), ops.empty(z.shape, np.float64)
        values = of_library.value_and_derivative(z, targets, derivative)
        total = of_library.sum_and_derivative(z, targets, derivative)
        results.append(
            [np.asarray(part) for part in (values, total, derivative, of_library.second_derivative(z, targets, v))]
        )
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_primitives_agree(dtype, rng):
    A, B, row, ones = rng.normal(size=(700, 30)), rng.normal(size=(30, 20)), rng.normal(size=20), np.ones((1, 700))
    weights = rng.random((1, 700))

    def compute(ops):
        given = [ops.asarray(array.astype(dtype)) for array in (A, B, row, ones, weights)]
        a, b, bias, of_ones, of_weights = given
        product, transposed = ops.empty((700, 20), dtype), ops.empty((30, 20), dtype)
        ops.multiply(a, b, product)
        ops.multiply_transposed(a, product, transposed)
        z = ops.copy(product)
        ops.add_row(z, bias)
        sums = [ops.zeros((1, 20), dtype) for _ in range(2)]
        ops.sum_rows(product, of_ones, sums[0])
        ops.sum_rows(product, of_ones, sums[1], of_weights)
        sigmoid, with_bias, softmax = ops.empty(z.shape, dtype), ops.copy(product), ops.empty(z.shape, dtype)
        ops.sigmoid(z, sigmoid)
        ops.sigmoid_with_bias(with_bias, bias)
        ops.softmax(z, softmax)
        windows, in_steps = ops.windows(a.reshape(100, 7, 30), 3), ops.windows(a.reshape(100, 7, 30), 4, 3)
        assert tuple(windows.shape) == (100, 7, 28, 3)
        assert tuple(in_steps.shape) == (100, 7, 9, 4)
        turned = ops.transpose(a.reshape(10, 70, 6, 5))
        assert tuple(turned.shape) == (5, 6, 70, 10)
        assert all(ops.dtype_of(array) == dtype for array in (product, sigmoid, softmax, windows, turned))
        assert ops.sum_of_squares(z) == pytest.approx(float((z * z).sum()), rel=1e-5)
        of_rows = (ops.row_products(z, product), ops.column_sums(z))
        return [
            product,
            transposed,
            z,
            *sums,
            sigmoid,
            with_bias,
            softmax,
            ops.softplus_tail(z),
            windows,
            in_steps,
            turned,
            *of_rows,
        ]

    for ours, theirs in zip(compute(TORCH), compute(NUMPY), strict=True):
        assert_agree(ours, theirs, dtype)


@pytest.mark.parametrize(
    "solver", [Adam(learning_rate=0.01), SGD(learning_rate=0.1)], ids=lambda solver: type(solver).__name__
)
@pytest.mark.parametrize("penalties", [[], [WeightDecay(0.1)], [Contraction(0.1)]], ids=str)
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_on_mini_batches_agree(solver, penalties, tied, dtype, rng):
    """The gradient is handed over part by part, and θ updated, three times."""
    network = dense_network((12, 5, 12), (Sigmoid(), Identity()), tied)
    problem = Problem(network, rng.random((40, 12)).astype(dtype), loss=SquaredError(), penalties=penalties)
    start = network.initial_theta(rng).astype(dtype)

    def train(problem, ops):
        theta, of_library = ops.asarray(start.copy()), solver.with_ops(ops)
        moments = [ops.zeros(theta.shape, dtype) for _ in solver.moment_names]
        scratch, values = ops.zeros(theta.shape, dtype), []
        batch = MiniBatch(make_batch_evaluation(problem, ThreadEngine(1)))
        for step in range(1, 4):

            def update(part, gradient, worker, step=step):
                of_part = [moment[part] for moment in moments]
                rate = solver.learning_rate
                of_library._update(theta[part], ops.asarray(gradient, dtype), of_part, scratch[part], rate, step)

            values.append(batch.evaluate_in_parts(theta, update)[0])
        return [theta, *moments, *values]

    found, expected = train(as_tensors(problem), TORCH), train(problem, NUMPY)
    assert torch.is_tensor(found[0])
    assert np.abs(np.asarray(found[0]) - start).max() > 1e-3
    for ours, theirs in zip(found, expected, strict=True):
        assert_agree(ours, theirs, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["two convolutions", "max pooling", "tied"])
def test_gradients_in_parts_of_convolutions_with_sparse_channels_agree(name, dtype, rng):
    network = LAYERS[name]
    y = rng.random((12, network.layer_sizes[-1])).astype(dtype)
    penalties = [WeightDecay(0.1), KLSparsity(0.2, 1.5, layers=(0,))]
    problem = Problem(network, rng.random((12, 16)).astype(dtype), y, penalties=penalties)
    theta = network.initial_theta(rng).astype(dtype)

    def in_parts(problem, theta):
        gradient = np.full(network.n_parameters, np.nan)

        def put(part, own, worker):
            gradient[part] = np.asarray(own)

        value, _ = MiniBatch(make_batch_evaluation(problem, ThreadEngine(1))).evaluate_in_parts(theta, put)
        return value, gradient

    found, expected = in_parts(as_tensors(problem), torch.tensor(theta)), in_parts(problem, theta)
    assert np.isfinite(expected[1]).all()
    for ours, theirs in zip(found, expected, strict=True):
        assert_agree(ours, theirs, dtype)
    assert_the_same_on_tensors(problem, theta.astype(np.float64), dtype)


def test_tensors_in_bad_places_are_refused(rng):
    network, X = dense_network((4, 3, 4), (Sigmoid(),) * 2), rng.random((10, 4))
    with pytest.raises(ValueError, match=r"tangents \(if given\) must all be PyTorch tensors, or none of them may"):
        Problem(network, torch.tensor(X), X)
    with pytest.raises(ValueError, match="both be float32 or both float64; got torch"):
        Problem(network, torch.tensor(X).half())
    with pytest.raises(ValueError, match="tensors on meta, where threads cannot compute"):
        make_objective(Problem(network, torch.tensor(X).to("meta")), ThreadEngine(1))
    with pytest.raises(ValueError, match="at least 0, and not 0 for every row"):
        Problem(network, torch.tensor(X), sample_weight=torch.zeros(10))
    with pytest.raises(ValueError, match="needs NumPy arrays, or rows that are read in blocks, but these rows are"):
        MiniBatches(Problem(network, torch.tensor(X)), ThreadEngine(1), seed=0)


def test_parts_are_bound_to_a_library_once():
    network = dense_network((4, 3, 4), (Sigmoid(), Identity()))
    assert network.with_ops(NUMPY) is network
    of_tensors = network.with_ops(TORCH)
    assert [layer.activation.ops for layer in of_tensors.layers] == [TORCH, TORCH]
    assert of_tensors == network
    assert network.layers[0].activation.ops is NUMPY
    assert of_tensors.with_ops(TORCH) is of_tensors
    assert ops_of(torch.zeros(1)) is TORCH
    assert ops_of([1.0]) is NUMPY
