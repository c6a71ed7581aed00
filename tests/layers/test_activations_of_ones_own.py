"""Activations that users write: which methods they get with those that they define.

The classes are made in the tests, since a class takes over methods when it is made.
"""

import numpy as np
import pytest

from rhohat.layers.activations import Activation, ElementwiseActivation, Sigmoid, Units
from tests.tolerances import EXACT

Z, BIAS = np.array([[0.5, -1.0], [2.0, 0.25]]), np.array([0.25, -0.5])


def with_bias(activation):
    z = Z.copy()
    activation.forward_with_bias(Units(z, z, np.empty(0)), BIAS)
    return z


def pulled_back(activation):
    z = Z.copy()
    units, delta = Units(z, z, np.empty(0)), np.array([[1.0, -2.0], [3.0, 0.5]])
    activation.forward(units)
    expected = delta * activation.derivative(z)
    activation.pull_back(units, delta, delta, np.empty(0))
    return delta, expected


def test_a_forward_pass_of_ones_own_is_used_with_a_bias_too():
    class Shifted(Sigmoid):
        def forward(self, units):
            super().forward(units)
            units.z[:] += 10

    np.testing.assert_allclose(with_bias(Shifted()), 10 + 1 / (1 + np.exp(-(Z + BIAS))), rtol=EXACT)


def test_a_fast_forward_pass_with_a_bias_is_kept_and_inherited():
    class Fast(Sigmoid):
        def apply(self, z):
            z[:] = 1

        def forward_with_bias(self, units, bias):
            units.z[:] = 2

    class Heir(Fast):
        def second_derivative(self, a):
            return 0 * a

    class OfHeir(Heir):
        def apply(self, z):
            z[:] = 3

    np.testing.assert_array_equal(with_bias(Fast()), np.full_like(Z, 2))
    np.testing.assert_array_equal(with_bias(Heir()), np.full_like(Z, 2))
    np.testing.assert_array_equal(with_bias(OfHeir()), np.full_like(Z, 3))


def test_a_derivative_of_ones_own_is_used_in_backpropagation():
    class Straight(Sigmoid):
        def derivative(self, a):
            return 1 + a

    found, expected = pulled_back(Straight())
    np.testing.assert_allclose(found, expected, rtol=EXACT)


def test_a_fast_product_with_the_derivative_is_kept_and_inherited():
    class Fast(Sigmoid):
        def derivative(self, a):
            return 1 + a

        def multiply_by_derivative(self, a, delta):
            delta[:] = 5

    class Heir(Fast):
        def second_derivative(self, a):
            return 0 * a

    for activation in (Fast(), Heir()):
        np.testing.assert_array_equal(pulled_back(activation)[0], np.full_like(Z, 5))


def test_parameters_of_ones_own_are_zero_at_first():
    class Scaled(Sigmoid):
        def n_parameters(self, n_units):
            return 2 * n_units

    np.testing.assert_array_equal(Scaled().initial_parameters(3), np.zeros(6))


class Bare(Activation):
    """An activation that defines what it has to, and nothing else."""

    name = "bare"
    bounds = (-np.inf, np.inf)

    def forward(self, units):
        pass

    def pull_back(self, units, delta, out, gradient):
        pass

    def push_forward(self, units, beta, direction):
        return beta

    def curvature(self, units, phi, beta, direction, gradient):
        return 0 * phi


class BareElementwise(ElementwiseActivation):
    """A function of each unit, of which no more than the first derivative is known."""

    name = "bare_elementwise"
    bounds = (-np.inf, np.inf)

    def apply(self, z):
        pass

    def derivative(self, a):
        return np.ones_like(a)


def test_what_an_activation_does_not_define_is_said_by_its_name():
    assert not Bare().thrice_differentiable
    units = Units(Z, Z, np.empty(0))
    with pytest.raises(NotImplementedError, match=r"^Bare does not define second_push_forward\.$"):
        Bare().second_push_forward(units, Z, Z, None)
    with pytest.raises(NotImplementedError, match=r"^Bare does not define third_order\.$"):
        Bare().third_order(units, Z, Z, Z)
    with pytest.raises(NotImplementedError, match=r"^BareElementwise has no second derivative\.$"):
        BareElementwise().second_push_forward(units, Z, Z, None)
    with pytest.raises(NotImplementedError, match=r"^BareElementwise has no third derivative\.$"):
        BareElementwise().third_order(units, Z, Z, Z)
