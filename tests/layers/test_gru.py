"""The gated recurrent unit beside its definition. `test_recurrent.py` has it beside other implementations."""

import numpy as np
import pytest

from rhohat.layers import GRULayer
from rhohat.layers.network import network_of
from tests.layers.sequences import activations_of, padded_rows
from tests.tolerances import EXACT


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_gated_recurrent_unit_is_what_its_definition_says(bidirectional, rng):
    """h_t = (1 − u) ∘ n + u ∘ h_{t−1}, and r is applied after the product with U_n."""
    layer, lengths = GRULayer(4, 3, 2, True, bidirectional), [4, 2, 1, 3]
    network, X = network_of([layer], (4, 3)), padded_rows(rng, lengths, 4, 3)
    theta = rng.normal(size=network.n_parameters)
    W, b, own = network.unpack(theta).of(0)
    assert own.size == 0
    expected = np.full((4, 4, layer.n_directions, 2), np.nan)
    for row, length in enumerate(lengths):
        for direction in range(layer.n_directions):
            of_columns = W[:, 6 * direction : 6 * direction + 6]
            W_n, W_u, W_r = np.split(of_columns[:3], 3, 1)
            U_u, U_r, U_n = np.split(of_columns[3:], 3, 1)
            b_n, b_u, b_r, b_h = b[8 * direction : 8 * direction + 8].reshape(4, 2)
            h = np.zeros(2)
            for t in range(length) if direction == 0 else range(length - 1, -1, -1):
                x = X[row].reshape(4, 3)[t]
                u, r = sigmoid(x @ W_u + h @ U_u + b_u), sigmoid(x @ W_r + h @ U_r + b_r)
                n = np.tanh(x @ W_n + b_n + r * (h @ U_n + b_h))
                h = expected[row, t, direction] = (1 - u) * n + u * h
    np.testing.assert_allclose(activations_of(network, theta, X)[0], expected.reshape(4, -1), rtol=EXACT)


def test_initial_biases_are_0(rng):
    network = network_of([GRULayer(4, 3, 2, bidirectional=True)], (4, 3))
    W, b, _ = network.unpack(network.initial_theta(rng)).of(0)
    assert W.shape == (5, 12)
    assert b.tolist() == [0] * 16


@pytest.mark.parametrize("wrong", [{"return_sequences": 1}, {"bidirectional": "yes"}])
def test_what_is_true_or_false_is_so(wrong):
    with pytest.raises(ValueError, match=r"return_sequences and bidirectional .* must be True or False"):
        GRULayer(4, 3, 2, **wrong)
