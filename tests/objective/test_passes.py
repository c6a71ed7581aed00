"""Passes over a block in one call, where primitives have them, by formulas of this file beside those layer by layer."""

from functools import partial

import numpy as np
import pytest
from scipy.special import expit

from rhohat import check_gradient
from rhohat.engines import ThreadEngine
from rhohat.layers.activations import Identity, Sigmoid
from rhohat.layers.network import dense_network
from rhohat.objective import Problem, make_objective
from rhohat.ops import ChainPasses
from rhohat.ops.numpy_ops import NumpyOps
from rhohat.terms.jacobian_penalties import Contraction, TangentPropagation
from rhohat.terms.losses import BinaryCrossEntropy
from rhohat.terms.penalties import KLSparsity, L1Sparsity
from tests.tolerances import EXACT, GRADIENT


class OneCall(ChainPasses):
    """The passes of a network of sigmoid units with one hidden layer, which keep what they were asked."""

    def __init__(self, sizes, taken):
        self.sizes, self.taken, self.asked = sizes, taken, []

    def takes(self, X, n_known):
        self.asked.append(("takes", X.shape, n_known))
        return self.taken

    def sum_activations(self, X, W, b, out, sums):
        self.asked.append("sum_activations")
        out[:] = expit(X @ W + b)
        sums[:] = out.sum(0)

    def sum_loss_and_gradient(self, X, y, hidden, theta, added, sums):
        self.asked.append("sum_loss_and_gradient" if hidden is None else "sum_loss_and_gradient of what is kept")
        n, m, k = self.sizes
        W, V, b, c = np.split(theta, np.cumsum([n * m, m * k, m]))
        W, V = W.reshape(n, m), V.reshape(m, k)
        h = expit(X @ W + b) if hidden is None else hidden
        a = expit(h @ V + c)
        delta = (a - y) * a * (1 - a)
        below = (delta @ V.T + (0 if added is None else added)) * h * (1 - h)
        parts = X.T @ below, h.T @ delta, below.sum(0), delta.sum(0), np.sum((a - y) ** 2, keepdims=True) / 2
        sums[:] = np.concatenate([part.ravel() for part in parts])


class OneCallOps(NumpyOps):
    """NumPy's primitives with passes in one call."""

    def __init__(self, taken):
        self.chain_passes = partial(self._chain_passes, taken)

    def _chain_passes(self, taken, sizes, activations, loss):
        return OneCall(sizes, taken)


def problem_of(rng, sizes=(4, 3, 4), ops=None, **parts):
    network = dense_network(sizes, (Sigmoid(),) * (len(sizes) - 1))
    problem = Problem(network, rng.random((9, 4)), rng.random((9, 4)), **parts)
    if ops is not None:
        problem.__dict__["ops"] = ops
    return problem


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("is_kept", [False, True])
@pytest.mark.parametrize("penalties", [[], [KLSparsity(0.2, 3.0)]], ids=["loss", "sparse"])
def test_passes_in_one_call_give_the_numbers_of_those_layer_by_layer(penalties, is_kept, weighted, taken):
    """They are asked for without weights alone, and told whether the hidden layer is kept from pass 1."""
    parts = {"penalties": penalties, "sample_weight": np.linspace(0.5, 2.0, 9) if weighted else None}
    plain = make_objective(problem_of(np.random.default_rng(4), **parts), ThreadEngine(1))
    problem = problem_of(np.random.default_rng(4), ops=OneCallOps(taken), **parts)
    J = make_objective(problem, ThreadEngine(1), cache_bytes=2**20 if is_kept else 0)
    theta = plain.network.initial_theta(np.random.default_rng(5))
    (value, gradient), expected = J(theta), plain(theta)
    assert value == pytest.approx(expected[0], rel=EXACT)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-11, atol=1e-15)
    n_known = int(is_kept and bool(penalties))
    last, asked = "sum_loss_and_gradient of what is kept" if n_known else "sum_loss_and_gradient", []
    for name in ("sum_activations", last) if penalties else (last,):
        asked += [("takes", (9, 4), n_known), *([name] if taken else [])]
    assert problem.cost.chain_passes.asked == ([] if weighted else asked)


def test_means_of_several_layers_are_computed_layer_by_layer():
    sizes = (4, 3, 2, 4)
    plain = make_objective(problem_of(np.random.default_rng(4), sizes), ThreadEngine(1))
    problem = problem_of(np.random.default_rng(4), sizes, ops=OneCallOps(True))
    theta = plain.network.initial_theta(np.random.default_rng(5))
    found = make_objective(problem, ThreadEngine(1)).mean_activations(theta)
    assert len(found) == 2
    for mean, expected in zip(found, plain.mean_activations(theta), strict=True):
        np.testing.assert_array_equal(mean, expected)
    assert problem.cost.chain_passes.asked == []


def test_penalties_see_the_outputs_that_a_loss_contains(rng):
    """A penalty on derivatives of the outputs needs them, where the loss is computed from pre-activations."""
    problem = problem_of(
        rng, loss=BinaryCrossEntropy(), penalties=[TangentPropagation(0.5)], tangents=np.ones((9, 2, 4))
    )
    J = make_objective(problem, ThreadEngine(1))
    theta = problem.network.initial_theta(rng)
    assert J.cost(theta)[1] == pytest.approx(J.evaluate(theta)[2], rel=EXACT)
    assert check_gradient(J, theta).relative_difference <= GRADIENT


def test_penalties_of_one_name_add_up_with_and_without_the_gradient(rng):
    """Of three kinds: on the derivatives of two layers, on their activations, and on their means."""
    X, theta = rng.random((9, 4)), rng.normal(size=4 * 3 + 3 * 2 + 2 * 4 + 3 + 2 + 4)
    network = dense_network((4, 3, 2, 4), (Sigmoid(),) * 3)
    for kind in (partial(Contraction, 0.5), partial(L1Sparsity, 0.5), partial(KLSparsity, 0.2, 0.5)):
        layers = (0, 1) if kind.func is Contraction else ((0,), (1,))
        one, other = kind(layers[0]), kind(layers[1])
        values = []
        for penalties in ([one], [other], [one, other]):
            J = make_objective(Problem(network, X, penalties=penalties), ThreadEngine(1))
            terms = J.evaluate(theta)[2]
            assert J.cost(theta)[1] == pytest.approx(terms, rel=EXACT)
            values.append(terms[one.name])
        assert values[0] + values[1] == pytest.approx(values[2], rel=EXACT)


class Apart(Sigmoid):
    """A sigmoid whose activations do not overwrite the pre-activations."""

    in_place = False

    def forward(self, units):
        units.a[:] = expit(units.z)

    def forward_with_bias(self, units, bias):
        units.z += bias
        self.forward(units)

    def pull_back(self, units, delta, out, gradient):
        out[:] = delta * units.a * (1 - units.a)


def test_a_loss_takes_pre_activations_that_have_memory_of_their_own(rng):
    X, y, tangents = rng.random((9, 4)), rng.random((9, 4)), rng.normal(size=(9, 2, 4))
    found = []
    for output in (Apart(), Sigmoid()):
        network = dense_network((4, 3, 4), (Sigmoid(), output))
        problem = Problem(network, X, y, BinaryCrossEntropy(), [TangentPropagation(0.5)], tangents=tangents)
        J, theta = make_objective(problem, ThreadEngine(1)), np.linspace(-1, 1, network.n_parameters)
        found.append([*J.cost(theta)[:1], *J(theta), J.hessian_vector_product(theta, theta[::-1].copy())])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-15)


def test_sums_over_rows_of_float32_are_float64(rng):
    """Beside 2²⁴, which is a number of float32, 1 is lost."""
    network, X = dense_network((1, 1, 1), (Identity(), Identity())), np.array([[2**24], [1], [1]], np.float32)
    for weights in (None, np.ones(3, np.float32)):
        problem = Problem(network, X, 0 * X, penalties=[L1Sparsity(1.0)], sample_weight=weights)
        terms = make_objective(problem, ThreadEngine(1)).evaluate(np.array([1.0, 0.0, 0.0, 0.0]))[2]
        assert terms["l1_sparsity"] == (2**24 + 2) / 3


class Namesake(L1Sparsity):
    """A penalty on activations with the name of a loss."""

    name = "squared_error"


def test_a_penalty_on_activations_with_the_name_of_the_loss_is_added_to_it(rng):
    theta, found = rng.normal(size=4 * 3 + 3 * 4 + 3 + 4), []
    X = rng.random((9, 4))
    for penalty in (L1Sparsity(0.5), Namesake(0.5)):
        network = dense_network((4, 3, 4), (Sigmoid(), Sigmoid()))
        found.append(make_objective(Problem(network, X, penalties=[penalty]), ThreadEngine(1)).evaluate(theta)[2])
    assert found[1] == {"squared_error": pytest.approx(sum(found[0].values()), rel=EXACT)}


def test_a_mean_of_what_is_no_number_is_none():
    J = make_objective(Problem(dense_network((2, 1, 2), (Identity(),) * 2), np.array([[10.0, -10.0]])), ThreadEngine(1))
    assert np.isnan(J.mean_activations(np.array([1e308, 1e308, 0, 0, 0, 0, 0]))[0])
