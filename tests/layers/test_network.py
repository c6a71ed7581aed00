import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhohat.layers.activations import (
    ACTIVATIONS,
    Identity,
    Maxout,
    ParametricReLU,
    Sigmoid,
    Softmax,
    Tanh,
    as_activation,
)
from rhohat.layers.network import dense_network
from tests.tolerances import EXACT

every = pytest.mark.parametrize("name", sorted(ACTIVATIONS))
tied_or_not = pytest.mark.parametrize(
    ("name", "tied"),
    [(name, tied) for name in sorted(ACTIVATIONS) for tied in (False, True) if not (tied and name == "maxout")],
)


def network_of(*layer_sizes, tied=False):
    return dense_network(layer_sizes, tuple(Sigmoid() for _ in layer_sizes[1:]), tied)


def random_theta(network, rng):
    return network.initial_theta(rng) + rng.normal(0, 0.3, network.n_parameters)


def layers_of(network, theta, X, **options):
    """All layers for inputs X."""
    layers = network.allocate(len(X), np.zeros)
    layers.a[0] = X
    network.forward(network.unpack(theta), layers, **options)
    return layers


def backward(network, theta, X, phi, *, gradient=None, added=None, added_z=None, **options):
    """∂/∂θ of φ · outputs, summed over rows."""
    layers, delta = layers_of(network, theta, X), network.allocate(len(X), np.zeros)
    (delta.z if options.get("from_z") else delta.a)[-1][:] = phi
    gradient = np.zeros_like(theta) if gradient is None else gradient
    nothing = [None] * network.n_layers
    network.backward(
        network.unpack(theta),
        layers,
        delta,
        np.ones((1, len(X))),
        added or nothing,
        added_z or nothing,
        network.unpack(gradient),
        **options,
    )
    return gradient


def by_differences(function, theta, step=1e-6):
    """∂function/∂θ, by central differences."""
    gradient = np.empty_like(theta)
    for index in range(theta.size):
        shift = step * (np.arange(theta.size) == index)
        gradient[index] = (function(theta + shift) - function(theta - shift)) / (2 * step)
    return gradient


def test_theta_holds_all_weights_then_all_biases_in_layer_order():
    network = network_of(3, 2, 3)
    W1, W2, b1, b2 = np.arange(6.0).reshape(3, 2), 10 + np.arange(6.0).reshape(2, 3), [20.0, 21.0], [30.0, 31.0, 32.0]
    theta = network.pack([W1, W2], [np.array(b1), np.array(b2)])
    np.testing.assert_array_equal(theta, [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 20, 21, 30, 31, 32])


def test_theta_ends_with_the_activations_own_parameters():
    network = dense_network((3, 2, 3), (ParametricReLU(), ParametricReLU()))
    theta = np.arange(network.n_parameters, dtype=float)
    own = network.unpack(theta).activation_parameters
    np.testing.assert_array_equal(np.concatenate(own), theta[-5:])
    assert [len(part) for part in own] == list(network.layout.n_own) == [2, 3]


def test_tied_weights_are_in_theta_once_and_transposed_in_the_second_half():
    network = network_of(5, 4, 3, 4, 5, tied=True)
    theta = np.arange(network.n_parameters, dtype=float)
    weights, biases, _ = network.unpack(theta)
    assert network.n_parameters == 5 * 4 + 4 * 3 + 4 + 3 + 4 + 5
    assert [W.shape for W in weights] == list(network.layout.weight_shapes) == [(5, 4), (4, 3), (3, 4), (4, 5)]
    np.testing.assert_array_equal(weights[0].ravel(), theta[:20])
    np.testing.assert_array_equal(weights[1].ravel(), theta[20:32])
    np.testing.assert_array_equal(weights[2], weights[1].T)
    np.testing.assert_array_equal(weights[3], weights[0].T)
    np.testing.assert_array_equal(np.concatenate(biases), theta[32:])
    weights[3][2, 1] = -7
    assert weights[0][1, 2] == -7
    assert theta[1 * 4 + 2] == -7


def test_maxout_has_weights_and_a_bias_for_every_piece():
    network = dense_network((5, 4, 3), (Maxout(3), Sigmoid()))
    weights, biases, _ = network.unpack(np.zeros(network.n_parameters))
    assert [W.shape for W in weights] == [(5, 12), (4, 3)]
    assert [b.shape for b in biases] == [(12,), (3,)]


@given(st.lists(st.integers(1, 6), min_size=2, max_size=5), st.sampled_from(sorted(ACTIVATIONS)))
def test_unpack_undoes_pack(layer_sizes, name):
    network = dense_network(tuple(layer_sizes), (as_activation(name),) * (len(layer_sizes) - 1))
    theta = np.arange(network.n_parameters, dtype=float)
    np.testing.assert_array_equal(network.pack(*network.unpack(theta)), theta)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=3), st.integers(1, 6))
def test_unpack_undoes_pack_where_weights_are_tied(half, code):
    network = network_of(*half, code, *half[::-1], tied=True)
    theta = np.arange(network.n_parameters, dtype=float)
    parameters = network.unpack(theta)
    np.testing.assert_array_equal(network.pack(parameters.weights, parameters.biases), theta)


def test_unpack_gives_views():
    network = network_of(3, 2)
    theta = np.zeros(network.n_parameters)
    network.unpack(theta).weights[0][2, 1] = 7
    assert theta[5] == 7


def test_forward_by_hand():
    # z2 = [1, 2] W1 + b1 = [1*1 + 2*0 + 0, 1*0 + 2*1 - 2] = [1, 0]; a2 = tanh: [0.76159, 0]
    # z3 = 0.76159*2 + 0*5 + 0.5 = 2.02319; a3 = sigmoid: 0.88320
    network = dense_network((2, 2, 1), (Tanh(), Sigmoid()))
    parameters = network.unpack(np.array([1.0, 0, 0, 1, 2, 5, 0, -2, 0.5]))
    layers = network.allocate(1, np.empty)
    layers.a[0] = np.array([[1.0, 2.0]])
    network.forward(parameters, layers)
    np.testing.assert_allclose(layers.a[1], [[np.tanh(1), 0]])
    np.testing.assert_allclose(layers.a[2], [[1 / (1 + np.exp(-(2 * np.tanh(1) + 0.5)))]])


@every
def test_forward_may_start_and_stop_at_any_layer(name, rng):
    network = dense_network((4, 3, 2, 4), (as_activation(name),) * 3)
    theta, X = random_theta(network, rng), rng.random((5, 4))
    everything = layers_of(network, theta, X)
    for start in range(3):
        for stop in range(start + 1, 4):
            some = network.allocate(5, np.empty, start, stop)
            assert len(some.z) == len(some.a) == stop - start + 1
            assert some.a[0].shape == (0, network.layer_sizes[start])
            some.a[0] = everything.a[start]
            network.forward(network.unpack(theta), some, start)
            np.testing.assert_array_equal(some.a[-1], everything.a[stop])


@every
def test_forward_may_leave_out_the_last_activation(name, rng):
    network = dense_network((4, 3, 5), (as_activation(name),) * 2)
    theta, X = random_theta(network, rng), rng.random((6, 4))
    parameters = network.unpack(theta)
    layers = layers_of(network, theta, X, without_activation=2)
    np.testing.assert_allclose(layers.z[2], layers.a[1] @ parameters.weights[1] + parameters.biases[1], rtol=EXACT)


@every
def test_pre_activations_share_the_memory_of_activations_where_possible(name):
    activation = as_activation(name)
    network = dense_network((4, 3, 5), (activation,) * 2)
    layers = network.allocate(6, np.zeros)
    for layer, size in ((1, 3), (2, 5)):
        assert layers.z[layer].shape == (6, activation.width(size))
        assert layers.a[layer].shape == (6, size)
        assert np.shares_memory(layers.z[layer], layers.a[layer]) == activation.in_place


@tied_or_not
def test_backward_agrees_with_a_difference_quotient(name, tied, rng):
    """Everything that can be added to ∂J/∂a and ∂J/∂z belongs to a sum of that with a and z."""
    network = dense_network((4, 3, 4), (as_activation(name), Tanh()), tied)
    theta, X, phi = random_theta(network, rng), rng.random((5, 4)), rng.normal(size=(5, 4))
    added = [rng.normal(size=(5, 3)), rng.normal(size=4)]
    added_z = [rng.normal(size=(5, network.layers[0].width)), None]

    def function(theta):
        layers, (weights, biases, _) = layers_of(network, theta, X), network.unpack(theta)
        z = X @ weights[0] + biases[0]
        of_a = np.sum(layers.a[1] * added[0]) + np.sum(layers.a[2] * (phi + added[1]))
        return of_a + np.sum(z * added_z[0])

    gradient = backward(network, theta, X, phi, added=added, added_z=added_z)
    np.testing.assert_allclose(gradient, by_differences(function, theta), rtol=1e-7, atol=1e-8)


def test_backward_may_start_from_the_outputs_pre_activations(rng):
    network = dense_network((4, 3, 4), (Tanh(), Softmax()))
    theta, X, phi = random_theta(network, rng), rng.random((5, 4)), rng.normal(size=(5, 4))
    linear = dense_network((4, 3, 4), (Tanh(), Identity()))
    np.testing.assert_allclose(
        backward(network, theta, X, phi, from_z=True), backward(linear, theta, X, phi), rtol=EXACT, atol=1e-14
    )


@pytest.mark.parametrize("tied", [False, True])
def test_backward_writes_over_what_is_there_or_adds_to_it(tied, rng):
    """Sums of tied weights, and of activations' parameters, are always added to."""
    network = dense_network((4, 3, 4), (ParametricReLU(), Sigmoid()), tied)
    theta, X, phi = random_theta(network, rng), rng.random((5, 4)), rng.normal(size=(5, 4))
    there = rng.normal(size=theta.size)
    plain = backward(network, theta, X, phi)
    accumulated = backward(network, theta, X, phi, gradient=there.copy(), accumulate=True)
    np.testing.assert_allclose(accumulated, there + plain, rtol=EXACT, atol=1e-14)
    expected, kept = network.unpack(plain), network.unpack(there)
    written = network.unpack(backward(network, theta, X, phi, gradient=there.copy()))
    np.testing.assert_allclose(np.concatenate(written.biases), np.concatenate(expected.biases), rtol=EXACT)
    W = expected.weights[0] + kept.weights[0] if tied else expected.weights[0]
    np.testing.assert_allclose(written.weights[0], W, rtol=EXACT, atol=1e-14)
    slopes = expected.activation_parameters[0] + kept.activation_parameters[0]
    np.testing.assert_allclose(written.activation_parameters[0], slopes, rtol=EXACT)


def test_uniform_initial_weights_fill_the_interval_of_the_rule(rng):
    network = network_of(64, 25, 64)
    parameters = network.unpack(network.initial_theta(rng))
    bound = np.sqrt(6 / (64 + 25 + 1))
    for W in parameters.weights:
        assert 0.98 * bound < np.abs(W).max() <= bound
        assert abs(W.mean()) < 0.05 * bound
    for b in parameters.biases:
        assert not b.any()


def test_initial_slopes_are_those_of_the_activation_and_tied_weights_those_of_the_first_half(rng):
    network = dense_network((30, 20, 30), (ParametricReLU(0.1), ParametricReLU(-0.2)), tied=True)
    parameters = network.unpack(network.initial_theta(rng))
    np.testing.assert_array_equal(parameters.activation_parameters[0], np.full(20, 0.1))
    np.testing.assert_array_equal(parameters.activation_parameters[1], np.full(30, -0.2))
    bound = np.sqrt(6 / (30 + 20 + 1))
    assert 0.95 * bound < np.abs(parameters.weights[0]).max() <= bound
    np.testing.assert_array_equal(parameters.weights[1], parameters.weights[0].T)


def test_normal_initial_weights_have_a_hundredth_as_deviation(rng):
    weights = network_of(100, 100).unpack(network_of(100, 100).initial_theta(rng, "normal")).weights
    np.testing.assert_allclose(weights[0].std(), 0.01, rtol=0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: network_of(3), r"at least 2 entries, input and output, .* got \(3,\)"),
        (lambda: network_of(3, 0, 3), r"all at least 1; got \(3, 0, 3\)"),
        (lambda: dense_network((3, 2), ()), "needs 1 activations"),
        (lambda: network_of(3, 2).unpack(np.zeros(7)), r"theta must have the shape \(8,\)"),
        (lambda: network_of(3, 2).pack([np.zeros((2, 3))], [np.zeros(2)]), "must have the shapes"),
        (
            lambda: dense_network((3, 2), (ParametricReLU(),)).pack([np.zeros((3, 2))], [np.zeros(2)]),
            "must have the shapes",
        ),
        (lambda: network_of(3, 2, 4, tied=True), r"layer_sizes that are symmetric.*got layer_sizes \(3, 2, 4\)"),
        (lambda: network_of(3, 2, 2, 3, tied=True), "layer_sizes that are symmetric"),
        (lambda: network_of(4, 3, 2, 2, 4, tied=True), "layer_sizes that are symmetric"),
        (lambda: dense_network((4, 2, 4), (Maxout(), Sigmoid()), tied=True), "maxout has several"),
        (lambda: dense_network((4, 2, 4), (Sigmoid(), Maxout()), tied=True), "maxout has several"),
        (lambda: network_of(3, 2).initial_theta(np.random.default_rng(), "zeros"), "got 'zeros'"),
    ],
)
def test_misfits_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_some_of_the_layers_begin_with_their_input_and_end_before_the_next():
    layers = network_of(3, 2, 4, 5).allocate(6, np.zeros)
    some = layers.between(1, 3)
    assert [a.shape[1] for a in some.a] == [2, 4]
    assert [z.shape[1] for z in some.z] == [2, 4]
    assert some.masks is None
    assert [a.shape[1] for a in layers.between(1, None).a] == [2, 4, 5]
