"""How far pre-activations are from where an activation has no derivative, and what is taken as its derivative there."""

import numpy as np
import pytest

from rhohat.layers.activations import ACTIVATIONS, LeakyReLU, Maxout, ParametricReLU, ReLU, Units


@pytest.mark.parametrize("activation", [ReLU(), LeakyReLU(0.2), ParametricReLU()], ids=str)
def test_the_kink_of_a_rectifier_is_at_zero(activation):
    assert activation.distance_from_kinks(np.array([[3.0, -0.5], [2.0, 1.0]])) == 0.5
    assert activation.distance_from_kinks(np.array([[3.0, -4.0], [0.25, 1.0]])) == 0.25


def test_the_kinks_of_maxout_are_where_its_two_largest_pieces_are_equal():
    """The columns hold piece 0 of both units, then piece 1 of both, and so on."""
    first = [1.0, 5.0, 4.0, 5.5, 2.0, -3.0]  # unit 0 has the pieces 1, 4, 2 and unit 1 has 5, 5.5, -3
    second = [9.0, -1.0, 0.0, -2.25, 3.0, -8.0]  # unit 0 has the pieces 9, 0, 3 and unit 1 has -1, -2.25, -8
    assert Maxout(3).distance_from_kinks(np.array([first])) == 0.5
    assert Maxout(3).distance_from_kinks(np.array([second])) == 1.25
    assert Maxout(3).distance_from_kinks(np.array([second, first, second])) == 0.5
    four = np.array([[1.0, 3.0, 9.0, 7.5]])
    assert Maxout(4).distance_from_kinks(four) == 1.5
    assert Maxout(2).distance_from_kinks(four) == 4.5


@pytest.mark.parametrize("name", ["identity", "sigmoid", "tanh", "softmax"])
def test_smooth_activations_have_no_kinks(name):
    assert ACTIVATIONS[name]().distance_from_kinks(np.zeros((2, 3))) == np.inf


def test_at_the_kink_of_a_parametric_relu_its_slope_is_in_force_for_all_derivatives():
    """∂f/∂z is s there, so that the derivative of ∂f/∂z by s is 1."""
    activation, slopes, direction = ParametricReLU(), np.array([0.3]), np.array([7.0])
    z, a = np.zeros((1, 1)), np.zeros((1, 1))
    units, phi, beta = Units(z, a, slopes), np.array([[2.0]]), np.array([[5.0]])
    gradient = np.zeros(1)
    np.testing.assert_array_equal(activation.curvature(units, phi, beta, direction, gradient), [[14.0]])
    np.testing.assert_array_equal(gradient, [10.0])
    np.testing.assert_array_equal(activation.second_push_forward(units, beta, beta, direction), [[35.0]])


def test_a_leaky_relu_may_have_the_slope_zero():
    z = np.array([[-2.0, 3.0]])
    LeakyReLU(0.0).apply(z)
    np.testing.assert_array_equal(z, [[0.0, 3.0]])
