import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhohat.activations import Sigmoid, Tanh
from rhohat.network import Network


def network_of(*layer_sizes):
    return Network(layer_sizes, tuple(Sigmoid() for _ in layer_sizes[1:]))


def test_theta_holds_all_weights_then_all_biases_in_layer_order():
    network = network_of(3, 2, 3)
    W1, W2, b1, b2 = np.arange(6.0).reshape(3, 2), 10 + np.arange(6.0).reshape(2, 3), [20.0, 21.0], [30.0, 31.0, 32.0]
    theta = network.pack([W1, W2], [np.array(b1), np.array(b2)])
    np.testing.assert_array_equal(theta, [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 20, 21, 30, 31, 32])


@given(st.lists(st.integers(1, 6), min_size=2, max_size=5))
def test_unpack_undoes_pack(layer_sizes):
    network = network_of(*layer_sizes)
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
    network = Network((2, 2, 1), (Tanh(), Sigmoid()))
    parameters = network.unpack(np.array([1.0, 0, 0, 1, 2, 5, 0, -2, 0.5]))
    a = [np.array([[1.0, 2.0]]), np.empty((1, 2)), np.empty((1, 1))]
    network.forward(parameters, a)
    np.testing.assert_allclose(a[1], [[np.tanh(1), 0]])
    np.testing.assert_allclose(a[2], [[1 / (1 + np.exp(-(2 * np.tanh(1) + 0.5)))]])


def test_forward_may_start_at_any_layer(rng):
    network = network_of(4, 3, 2, 4)
    parameters = network.unpack(rng.normal(size=network.n_parameters))
    a = [rng.random((5, size)) for size in network.layer_sizes]
    network.forward(parameters, a)
    again = [a[1], np.empty((5, 2)), np.empty((5, 4))]
    network.forward(parameters, again, start=1)
    np.testing.assert_array_equal(again[2], a[3])


def test_uniform_initial_weights_fill_the_interval_of_the_rule(rng):
    network = network_of(64, 25, 64)
    parameters = network.unpack(network.initial_theta(rng))
    bound = np.sqrt(6 / (64 + 25 + 1))
    for W in parameters.weights:
        assert 0.98 * bound < np.abs(W).max() <= bound
        assert abs(W.mean()) < 0.05 * bound
    for b in parameters.biases:
        assert not b.any()


def test_normal_initial_weights_have_a_hundredth_as_deviation(rng):
    weights = network_of(100, 100).unpack(network_of(100, 100).initial_theta(rng, "normal")).weights
    np.testing.assert_allclose(weights[0].std(), 0.01, rtol=0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: network_of(3), "at least an input and an output"),
        (lambda: network_of(3, 0, 3), "1 unit or more"),
        (lambda: Network((3, 2), ()), "needs 1 activations"),
        (lambda: network_of(3, 2).unpack(np.zeros(7)), r"theta must have the shape \(8,\)"),
        (lambda: network_of(3, 2).pack([np.zeros((2, 3))], [np.zeros(2)]), "must have the shapes"),
        (lambda: network_of(3, 2).initial_theta(np.random.default_rng(), "zeros"), "got 'zeros'"),
    ],
)
def test_misfits_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
