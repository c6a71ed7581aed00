"""Tangent passes against differences or their transpose; tests/checking/test_proofs.py has the rest."""

import numpy as np

from rhohat.layers.activations import as_activation
from rhohat.layers.network import Layers, dense_network
from rhohat.layers.tangents import TangentPass
from tests.layers.test_network import every, layers_of, random_theta, tied_or_not


@tied_or_not
def test_push_forward_is_the_derivative_along_inputs_and_parameters(name, tied, rng):
    network = dense_network((4, 3, 4), (as_activation(name), as_activation(name)), tied)
    theta, X, step = random_theta(network, rng), rng.random((5, 4)), 1e-6
    direction, tangent = rng.normal(size=theta.size), rng.normal(size=(5, 4))
    layers = layers_of(network, theta, X)
    for v, t in ((direction, tangent), (direction, None), (None, tangent), (None, tangent[:1])):
        dtheta, dX = (0 * theta if v is None else step * v), (0 * X if t is None else step * t)
        ahead, behind = (layers_of(network, theta + sign * dtheta, X + sign * dX) for sign in (1, -1))
        along = None if v is None else network.unpack(v)
        pushed = TangentPass(network, network.unpack(theta), layers, along).push_forward(t)
        for layer in (1, 2):
            numerical = (ahead.a[layer] - behind.a[layer]) / (2 * step)
            np.testing.assert_allclose(pushed.a[layer], numerical, rtol=1e-6, atol=1e-8)


@every
def test_push_forward_may_stop_at_any_layer(name, rng):
    network = dense_network((4, 3, 2, 4), (as_activation(name),) * 3)
    theta, X, tangent = random_theta(network, rng), rng.random((5, 4)), rng.random((5, 4))
    layers, parameters = layers_of(network, theta, X), network.unpack(theta)
    everything = TangentPass(network, parameters, layers).push_forward(tangent)
    some = TangentPass(network, parameters, layers).push_forward(tangent, stop=2)
    assert len(some.a) == 3
    np.testing.assert_array_equal(some.a[-1], everything.a[2])


@every
def test_the_gradient_by_the_input_is_the_transpose_of_push_forward(name, rng):
    """Of z where the last activation is monotonic, of a where it is not."""
    network = dense_network((4, 3, 5), (as_activation(name),) * 2)
    theta, X = random_theta(network, rng), rng.random((6, 4))
    delta, tangent = rng.normal(size=(6, 5)), rng.normal(size=(6, 4))
    layers, parameters = layers_of(network, theta, X), network.unpack(theta)
    kept = [part.copy() for part in (*layers.z, *layers.a)]
    for stop in (1, 2):
        some = Layers(layers.z[: stop + 1], layers.a[: stop + 1])
        phi = delta[:, : network.layer_sizes[stop]]
        pushed = TangentPass(network, parameters, some).push_forward(tangent, stop=stop)
        seen = pushed.z[-1] if network.activations[0].monotonic else pushed.a[-1]
        pulled = TangentPass(network, parameters, some).pull_back_to_input(phi.copy())
        np.testing.assert_allclose((pulled * tangent).sum(1), (phi * seen).sum(1), rtol=1e-11, atol=1e-13)
    for now, before in zip((*layers.z, *layers.a), kept, strict=True):
        np.testing.assert_array_equal(now, before)
