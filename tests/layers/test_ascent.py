"""Where the search for maximal inputs starts, and which steps it takes."""

import numpy as np
import pytest

from rhohat.layers.activations import Identity, ParametricReLU, Tanh
from rhohat.layers.maximal_inputs import ascend_to_maximal_inputs
from rhohat.layers.network import dense_network
from tests.tolerances import EXACT


def on_sphere(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_half_of_the_starts_lie_near_the_weights_of_units_drawn_at_random(rng):
    """Without any steps, the starts themselves come back; with one start each, half of them are of the first units."""
    network = dense_network((6, 3, 4000), (Tanh(), Tanh()))
    parameters = network.unpack(rng.normal(size=network.n_parameters))
    starts = ascend_to_maximal_inputs(network, parameters, 2, rng, n_starts=1, max_iter=0)
    np.testing.assert_allclose(np.linalg.norm(starts, axis=1), 1, rtol=EXACT)
    cosines = starts @ on_sphere(parameters.weights[0].T).T
    near, others = cosines[:2000], cosines[2000:]
    assert near.max(axis=1).min() > 0.9
    assert np.all(np.bincount(near.argmax(axis=1), minlength=3) > 500)
    # The noise has the deviation 1 in each of 6 directions, beside 10 √6 along the weights.
    tangents_squared = 1 / near.max(axis=1) ** 2 - 1
    np.testing.assert_allclose(tangents_squared.mean(), 5 / 600, rtol=0.07)
    np.testing.assert_allclose((others**2).mean(axis=0), 1 / 6, rtol=0.1)
    assert np.all(np.abs(others.mean(axis=0)) < 0.05)


@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_steps_that_rise_follow_the_direction_of_the_gradient_and_grow_by_a_half(scale, rng):
    network = dense_network((6, 4), (Identity(),))
    parameters = network.unpack(scale * rng.normal(size=network.n_parameters))

    def found(max_iter):
        draw = np.random.default_rng(5)
        return ascend_to_maximal_inputs(network, parameters, 1, draw, n_starts=1, max_iter=max_iter)

    x, w = found(0), on_sphere(parameters.weights[0].T)
    for n_steps, step in enumerate((1, 1.5, 2.25), start=1):
        x = on_sphere(x + step * w)
        np.testing.assert_allclose(found(n_steps), x, rtol=EXACT, atol=1e-14)


def test_a_search_that_cannot_rise_stops_when_its_step_is_tiny(rng):
    calls = []

    class Counted(Identity):
        monotonic = False

        def forward(self, units):
            calls.append(len(units.z))

    network = dense_network((6, 4), (Counted(),))
    found = ascend_to_maximal_inputs(network, network.unpack(np.zeros(network.n_parameters)), 1, rng)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=EXACT)
    assert len(calls) == 1 + 20  # 1 / 2²⁰ is the first below a millionth
    assert set(calls) == {4 * 10}


def test_a_monotonic_activation_need_not_work_in_place(rng):
    class Rising(ParametricReLU):
        monotonic = True

    network = dense_network((6, 5), (Rising(0.5),))
    parameters = network.unpack(network.initial_theta(rng))
    found = ascend_to_maximal_inputs(network, parameters, 1, rng)
    np.testing.assert_array_less(0.9999, np.sum(found * on_sphere(parameters.weights[0].T), axis=1))


def test_by_default_there_are_ten_starts_for_each_unit_and_at_most_two_hundred_steps(rng):
    calls = []

    class Rising(Identity):
        monotonic = False

        def forward(self, units):
            calls.append(len(units.z))
            units.z[:] = len(calls)  # so that every step rises

    network = dense_network((6, 4), (Rising(),))
    ascend_to_maximal_inputs(network, network.unpack(np.zeros(network.n_parameters)), 1, rng)
    assert calls == [4 * 10] * (1 + 200)
