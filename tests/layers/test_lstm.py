"""The long short-term memory at the start, and its peepholes; for other implementations see `test_recurrent.py`."""

import numpy as np
import pytest

from rhohat.layers import LSTMLayer
from rhohat.layers.activations import Tanh
from rhohat.layers.network import network_of
from rhohat.ops.torch_ops import TORCH
from tests.layers.sequences import activations_of, padded_rows
from tests.tolerances import EXACT

in_one_or_both = pytest.mark.parametrize("bidirectional", [False, True])


@pytest.mark.parametrize("rule", ["uniform", "normal"])
@pytest.mark.parametrize("peepholes", [False, True])
@in_one_or_both
def test_forget_biases_are_1_at_the_start_and_everything_else_beside_weights_is_0(bidirectional, peepholes, rule, rng):
    layer = LSTMLayer(4, 3, 2, bidirectional=bidirectional, peepholes=peepholes)
    network = network_of([layer], (4, 3))
    W, b, own = network.unpack(network.initial_theta(rng, rule)).of(0)
    assert b.tolist() == [0, 0, 1, 1, 0, 0, 0, 0] * layer.n_directions
    assert own.tolist() == [0] * (6 * layer.n_directions if peepholes else 0)
    assert W.shape == (5, 8 * layer.n_directions)
    assert np.all(W != 0)


@in_one_or_both
def test_peepholes_of_0_change_nothing(bidirectional, rng):
    plain, with_peepholes = (
        LSTMLayer(4, 3, 2, True, bidirectional, peepholes=peepholes) for peepholes in (False, True)
    )
    X = padded_rows(rng, [4, 2, 1], 4, 3)
    theta = rng.normal(size=network_of([plain], (4, 3)).n_parameters)
    with_zeros = np.concatenate([theta, np.zeros(with_peepholes.n_own)])
    (expected,) = activations_of(network_of([plain], (4, 3)), theta, X)
    (found,) = activations_of(network_of([with_peepholes], (4, 3)), with_zeros, X)
    np.testing.assert_allclose(found, expected, rtol=EXACT)
    other = np.concatenate([theta, rng.normal(size=with_peepholes.n_own)])
    (changed,) = activations_of(network_of([with_peepholes], (4, 3)), other, X)
    assert np.nanmin(np.abs(changed - expected)[:, 2:]) > 0


def test_a_cell_that_forgets_nothing_and_reads_everything_adds_up(rng):
    """With i = f = o = 1, to rounding, the cell is the sum of the block inputs."""
    layer = LSTMLayer(5, 1, 1, return_sequences=True)
    network, X = network_of([layer], (5, 1)), rng.normal(size=(3, 5))
    W, b = np.array([[0, 0, 0, 0.2], [0, 0, 0, 0]]), np.array([40.0, 40, 40, 0])
    (found,) = activations_of(network, network.pack([W], [b]), X)
    np.testing.assert_allclose(found, np.tanh(np.cumsum(np.tanh(0.2 * X), 1)), rtol=EXACT)


def test_the_layer_and_its_activation_follow_to_another_library():
    layer = LSTMLayer(2, 3, 2, peepholes=True)
    of_tensors = layer.with_ops(TORCH)
    assert of_tensors == layer
    assert of_tensors.activation == layer.activation == Tanh()
    assert (of_tensors.ops, of_tensors.activation.ops) == (TORCH, TORCH)
    assert layer.activation.ops is not TORCH
    assert layer.distance_from_kinks(np.zeros((1, 6)), np.zeros((1, layer.width))) == np.inf
