"""The simple recurrent layer beside its definition, and how far it is from kinks."""

import numpy as np
import pytest

from rhohat.layers import SimpleRecurrentLayer
from rhohat.layers.activations import ACTIVATIONS, ElementwiseActivation, Identity, LeakyReLU, ReLU, Sigmoid, Tanh
from rhohat.layers.network import network_of
from rhohat.ops.torch_ops import TORCH
from tests.layers.sequences import activations_of, padded_rows
from tests.tolerances import EXACT

FUNCTIONS = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, LeakyReLU().slope * z),
}


def by_definition(layer, theta, X):
    """h_t = f(x_t W + h_{t−1} U + b), in both directions, and the pre-activations; NaN past the ends."""
    W, b, _ = network_of([layer], (layer.n_steps, layer.n_channels)).unpack(theta).of(0)
    n, f = layer.n_units, FUNCTIONS[layer.activation.name]
    h, z = (np.full((len(X), layer.n_steps, layer.n_directions, n), np.nan) for _ in range(2))
    for row, x in enumerate(X.reshape(len(X), layer.n_steps, -1)):
        length = int((~np.isnan(x[:, 0])).sum())
        for direction in range(layer.n_directions):
            columns = slice(direction * n, direction * n + n)
            before = np.zeros(n)
            for t in range(length) if direction == 0 else range(length - 1, -1, -1):
                z[row, t, direction] = (
                    x[t] @ W[: layer.n_channels, columns] + before @ W[layer.n_channels :, columns] + b[columns]
                )
                before = h[row, t, direction] = f(z[row, t, direction])
    return h, z


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_simple_recurrent_layer_is_what_its_definition_says(name, bidirectional, rng):
    layer = SimpleRecurrentLayer(4, 3, 2, True, bidirectional, activation=ACTIVATIONS[name]())
    network, X = network_of([layer], (4, 3)), padded_rows(rng, [4, 2, 1, 3], 4, 3)
    theta = rng.normal(size=network.n_parameters)
    expected, _ = by_definition(layer, theta, X)
    np.testing.assert_allclose(activations_of(network, theta, X)[0], expected.reshape(4, -1), rtol=EXACT)


def test_every_activation_of_each_unit_by_itself_is_allowed():
    assert FUNCTIONS.keys() == {name for name, f in ACTIVATIONS.items() if issubclass(f, ElementwiseActivation)}
    assert SimpleRecurrentLayer(4, 3, 2).activation == Tanh()


@pytest.mark.parametrize("lengths", [[4, 4, 4], [4, 2, 1]], ids=["whole", "padded"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("activation", [ReLU(), LeakyReLU()], ids=lambda f: f.name)
def test_the_distance_from_kinks_is_that_of_the_steps_that_exist(activation, bidirectional, lengths, rng):
    layer = SimpleRecurrentLayer(4, 3, 2, True, bidirectional, activation=activation)
    network, X = network_of([layer], (4, 3)), padded_rows(rng, lengths, 4, 3)
    theta = rng.normal(size=network.n_parameters)
    _, z = by_definition(layer, theta, X)
    layers = network.allocate(3, np.empty)
    layers.a[0] = X
    network.forward(network.unpack(theta), layers)
    assert layer.distance_from_kinks(X, layers.z[1]) == pytest.approx(np.nanmin(np.abs(z)), rel=1e-10)


def test_what_is_computed_for_missing_steps_is_no_distance_from_kinks():
    """Past the end, the pre-activation is the bias, which is nearer to the kink than that of the step before."""
    layer = SimpleRecurrentLayer(2, 1, 1, True, activation=ReLU())
    network = network_of([layer], (2, 1))
    for second, distance in ((np.nan, 1.125), (0.0, 0.125)):
        X, layers = np.array([[1.0, second]]), network.allocate(1, np.empty)
        layers.a[0] = X
        network.forward(network.unpack(np.array([1.0, 0.0, 0.125])), layers)
        assert layer.distance_from_kinks(X, layers.z[1]) == distance


def test_smooth_layers_have_no_kinks():
    for activation in (Identity(), Sigmoid(), Tanh()):
        layer = SimpleRecurrentLayer(2, 3, 2, activation=activation)
        assert layer.distance_from_kinks(np.zeros((1, 6)), np.zeros((1, layer.width))) == np.inf


def test_the_activation_follows_to_another_library():
    layer = SimpleRecurrentLayer(2, 3, 2, activation=Sigmoid())
    of_tensors = layer.with_ops(TORCH)
    assert of_tensors == layer
    assert (of_tensors.ops, of_tensors.activation.ops) == (TORCH, TORCH)
    assert of_tensors.activation == Sigmoid()
    assert layer.activation.ops is not TORCH
