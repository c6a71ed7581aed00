from typing import ClassVar

import numpy as np
import pytest

from rhohat.engines import ThreadEngine
from rhohat.layers import ConvolutionLayer, DenseLayer, Windows
from rhohat.layers.activations import ACTIVATIONS, Identity, LeakyReLU, ParametricReLU, Sigmoid, Tanh, as_activation
from rhohat.layers.network import Layers, Network, dense_network
from rhohat.objective import Problem, make_objective
from rhohat.terms.jacobian_penalties import Contraction, TangentPropagation
from tests.tolerances import EXACT

every = pytest.mark.parametrize("name", sorted(ACTIVATIONS))


class Rows:
    """Rows that have been through a network, with a place for what a penalty adds."""

    def __init__(self, network, rng, n_rows=8):
        self.network = network
        theta = network.initial_theta(rng) + rng.normal(0, 0.3, network.n_parameters)
        self.parameters = network.unpack(theta)
        self.layers = network.allocate(n_rows, np.zeros)
        self.layers.a[0] = rng.normal(size=(n_rows, network.layer_sizes[0]))
        network.forward(self.parameters, self.layers)
        self.weights = rng.uniform(0.5, 2.0, (n_rows, 1))
        #: Something that other penalties have added before.
        self.known = rng.normal(size=network.n_parameters), rng.normal(size=(n_rows, network.layers[0].width))

    def add(self, function, *, weighted=False, tangents=None, known=False):
        """The values of the rows, the flat gradient, and what is added to ∂J/∂z of each layer."""
        flat = self.known[0].copy() if known else np.zeros(self.network.n_parameters)
        added_z = [None] * self.network.n_layers
        if known:
            added_z[0] = self.known[1].copy()
        weights = self.weights if weighted else None
        gradient = self.network.unpack(flat)
        values = function(self.network, self.parameters, self.layers, weights, tangents, gradient, added_z)
        return values, flat, added_z


def assert_equal(found, expected):
    np.testing.assert_allclose(found[0], expected[0], rtol=EXACT)
    np.testing.assert_allclose(found[1], expected[1], rtol=EXACT, atol=1e-13)
    for ours, theirs in zip(found[2], expected[2], strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_allclose(ours, theirs, rtol=EXACT, atol=1e-13)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("name", "tied"),
    [(name, tied) for name in sorted(ACTIVATIONS) for tied in (False, True) if not (tied and name == "maxout")],
)
def test_the_closed_form_is_the_sum_over_all_unit_vectors(name, tied, weighted, known, rng):
    rows = Rows(dense_network((5, 4, 5), (as_activation(name), Sigmoid()), tied), rng)
    penalty = Contraction(0.7)
    found = rows.add(penalty.add, weighted=weighted, known=known)
    general = super(Contraction, penalty).add
    assert_equal(found, rows.add(general, weighted=weighted, known=known))


@pytest.mark.parametrize("layer", [0, 1, None])
def test_contraction_of_linear_layers_is_the_norm_of_the_product_of_their_weights(layer, rng):
    rows = Rows(dense_network((5, 4, 3, 5), (Identity(),) * 3), rng)
    W1, W2, _ = rows.parameters.weights
    values = rows.add(Contraction(0.7, layer).add)[0]
    expected = np.sum((W1 @ W2) ** 2) if layer == 1 else np.sum(W1**2)
    np.testing.assert_allclose(values, 0.7 * expected, rtol=EXACT)


@pytest.mark.parametrize("layer", [0, 1])
@every
def test_contraction_is_the_norm_of_the_jacobian_of_the_code(name, layer, rng):
    """The Jacobian by differences of the code along every input."""
    network = dense_network((5, 4, 3, 5), (as_activation(name), Tanh(), Sigmoid()))
    rows, step = Rows(network, rng), 1e-6
    by_input = []
    for shift in step * np.eye(5):
        codes = []
        for sign in (1, -1):
            layers = network.allocate(8, np.zeros)
            layers.a[0] = rows.layers.a[0] + sign * shift
            network.forward(rows.parameters, layers)
            codes.append(layers.a[layer + 1])
        by_input.append((codes[0] - codes[1]) / (2 * step))
    expected = 0.7 * np.sum(np.square(by_input), axis=(0, 2))
    np.testing.assert_allclose(rows.add(Contraction(0.7, layer).add)[0], expected, rtol=1e-7, atol=1e-9)


def test_tangent_propagation_of_linear_layers_is_half_the_norm_of_what_comes_out(rng):
    rows = Rows(dense_network((5, 4, 3), (Identity(),) * 2), rng)
    tangents = rng.normal(size=(8, 2, 5))
    W1, W2 = rows.parameters.weights
    expected = 0.35 * np.sum((tangents @ W1 @ W2) ** 2, axis=(1, 2))
    np.testing.assert_allclose(rows.add(TangentPropagation(0.7).add, tangents=tangents)[0], expected, rtol=EXACT)


@pytest.mark.parametrize("weighted", [False, True])
@every
def test_unit_vectors_as_tangents_make_half_a_contraction_of_the_output(name, weighted, rng):
    """∂y/∂x along every unit vector is all of ∂y/∂x, which a deeper network whose code is y contracts."""
    shallow = Rows(dense_network((5, 4, 3), (as_activation(name), Sigmoid())), rng)
    deep = Rows(dense_network((5, 4, 3, 5), (as_activation(name), Sigmoid(), Identity())), rng)
    for group in range(3):
        for ours, theirs in zip(shallow.parameters[group], deep.parameters[group], strict=False):
            theirs[:] = ours
    deep.layers.a[0], deep.weights = shallow.layers.a[0], shallow.weights
    deep.network.forward(deep.parameters, deep.layers)
    tangents = np.broadcast_to(np.eye(5), (8, 5, 5))
    values, flat, added_z = shallow.add(TangentPropagation(0.6).add, weighted=weighted, tangents=tangents)
    expected, expected_flat, expected_z = deep.add(Contraction(0.3, layer=1).add, weighted=weighted)
    np.testing.assert_allclose(values, expected, rtol=EXACT)
    for group in range(3):
        ours, theirs = shallow.network.unpack(flat)[group], deep.network.unpack(expected_flat)[group]
        for found, wanted in zip(ours, theirs, strict=False):
            np.testing.assert_allclose(found, wanted, rtol=EXACT, atol=1e-13)
    for found, wanted in zip(added_z, expected_z, strict=False):
        np.testing.assert_allclose(found, wanted, rtol=EXACT, atol=1e-13)


@pytest.mark.parametrize("penalty", [Contraction(0.7), Contraction(0.7, layer=1), TangentPropagation(0.3)], ids=str)
@every
def test_layers_are_left_as_they_are(penalty, name, rng):
    rows = Rows(dense_network((5, 4, 3, 5), (as_activation(name),) * 3), rng)
    kept = [part.copy() for group in rows.layers[:2] for part in group]
    rows.add(penalty.add, tangents=rng.normal(size=(8, 2, 5)))
    for now, before in zip([part for group in rows.layers[:2] for part in group], kept, strict=True):
        np.testing.assert_array_equal(now, before)


@pytest.mark.parametrize("activation", [Sigmoid(), LeakyReLU(), ParametricReLU()], ids=str)
def test_work_is_done_in_the_given_precision(activation, rng):
    rows = Rows(dense_network((5, 4, 3, 5), (activation,) * 3), rng)
    network = rows.network
    rows.parameters = network.unpack(network.pack(*rows.parameters).astype(np.float32))
    rows.layers = Layers(*([part.astype(np.float32) for part in group] for group in rows.layers[:2]))
    rows.weights = rows.weights.astype(np.float32)
    for penalty in (Contraction(0.7), Contraction(0.7, layer=1), TangentPropagation(0.3)):
        tangents = rng.normal(size=(8, 2, 5)).astype(np.float32)
        values, _, added_z = rows.add(penalty.add, weighted=True, tangents=tangents)
        assert {part.dtype for part in (values, *added_z) if part is not None} == {np.dtype(np.float32)}


@pytest.mark.parametrize(("n_layers", "middle"), [(2, 1), (3, 1), (4, 2), (6, 3)])
def test_contraction_acts_on_the_hidden_layer_in_the_middle_unless_told(n_layers, middle):
    assert Contraction(1.0).penalised_layer(n_layers) == middle
    for layer in range(n_layers - 1):
        assert Contraction(1.0, layer).penalised_layer(n_layers) == layer + 1
    assert TangentPropagation(1.0).penalised_layer(n_layers) == n_layers


@pytest.mark.parametrize(("layer", "n_layers"), [(1, 2), (-1, 2), (5, 4), (None, 1), (0, 1)])
def test_contraction_of_a_layer_that_is_not_hidden_is_refused(layer, n_layers):
    need = "needs a hidden layer" if layer is None else f"is set to act on hidden layer {layer}"
    message = (
        f"contraction {need}, but this network has {n_layers - 1} hidden layers?; hidden layers are counted from 0"
    )
    with pytest.raises(ValueError, match=message):
        Contraction(1.0, layer).penalised_layer(n_layers)


def assert_hessian_is_the_derivative_of_the_gradient(problem, rng):
    J, network = make_objective(problem, ThreadEngine(1)), problem.network
    theta, direction = network.initial_theta(rng), rng.normal(size=network.n_parameters)
    step = 1e-5
    expected = (J(theta + step * direction)[1] - J(theta - step * direction)[1]) / (2 * step)
    found = J.hessian_vector_product(theta, direction)
    assert np.linalg.norm(found - expected) <= 1e-8 * np.linalg.norm(expected)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_the_hessian_of_contraction_is_the_derivative_of_its_gradient(name, weighted, rng):
    network = dense_network((5, 4, 3), (as_activation(name), Identity()))
    weights = rng.uniform(0.5, 2.0, 12) if weighted else None
    X, y = rng.normal(size=(12, 5)), rng.normal(size=(12, 3))
    problem = Problem(network, X, y, penalties=[Contraction(2.0)], sample_weight=weights)
    assert_hessian_is_the_derivative_of_the_gradient(problem, rng)


def test_the_hessian_of_contraction_is_added_to_that_of_a_penalty_before_it(rng):
    network = dense_network((5, 4, 3), (Sigmoid(), Tanh()))
    X, y, tangents = rng.normal(size=(12, 5)), rng.normal(size=(12, 3)), rng.normal(size=(12, 2, 5))
    penalties = [TangentPropagation(3.0), Contraction(2.0)]
    assert_hessian_is_the_derivative_of_the_gradient(
        Problem(network, X, y, penalties=penalties, tangents=tangents), rng
    )


def test_a_dense_layer_is_contracted_whichever_layer_follows(rng):
    after = ConvolutionLayer(Windows((3, 2), (2, 2), (1, 1), "same"), 1, 2, Tanh())
    network = Network((DenseLayer(5, 6, Sigmoid()), after))
    X, y = rng.normal(size=(12, 5)), rng.normal(size=(12, 12))
    assert_hessian_is_the_derivative_of_the_gradient(Problem(network, X, y, penalties=[Contraction(2.0)]), rng)


class Spying(Contraction):
    """A contraction that keeps the data types in which its tangents were asked for."""

    asked: ClassVar[list[np.dtype]] = []

    def tangents(self, n_features, dtype, tangents):
        self.asked.append(dtype)
        return super().tangents(n_features, dtype, tangents)


def test_tangents_are_asked_for_in_the_precision_of_the_rows(rng):
    network = dense_network((5, 4, 3, 5), (Sigmoid(),) * 3)
    X = rng.normal(size=(12, 5)).astype(np.float32)
    J = make_objective(Problem(network, X, X, penalties=[Spying(0.7, layer=1)]), ThreadEngine(1))
    theta = network.initial_theta(rng)
    for evaluate in (J.cost, J, lambda theta: J.hessian_vector_product(theta, theta)):
        Spying.asked.clear()
        evaluate(theta)
        assert set(Spying.asked) == {np.dtype(np.float32)}
