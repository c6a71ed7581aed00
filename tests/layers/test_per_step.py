"""An activation of each step: all its derivatives are those of the steps as rows."""

import numpy as np
import pytest

from rhohat.layers.activations import Maxout, ParametricReLU, PerStep, ReLU, Sigmoid, Softmax, Tanh, Units
from rhohat.ops.torch_ops import TORCH

T = 3
each = pytest.mark.parametrize("activation", [Softmax(), Sigmoid(), Tanh()], ids=lambda f: f.name)
NONE = np.empty(0)


@each
def test_all_derivatives_are_those_of_the_steps_as_rows(activation, rng):
    per_step = PerStep(activation, T)
    z, phi, beta, zeta = rng.normal(size=(4, 5, 2 * T))
    steps = [one.reshape(5 * T, 2).copy() for one in (z, phi, beta, zeta)]
    units, of_steps = Units(z, z, NONE), Units(steps[0], steps[0], NONE)
    per_step.forward(units)
    activation.forward(of_steps)
    np.testing.assert_array_equal(z.reshape(-1, 2), of_steps.a)
    for method, given, theirs in (
        ("push_forward", (beta, None), (steps[2], None)),
        ("curvature", (phi, beta, None, NONE), (steps[1], steps[2], None, NONE)),
        ("second_push_forward", (beta, zeta, None), (steps[2], steps[3], None)),
        ("third_order", (phi, beta, zeta), tuple(steps[1:])),
    ):
        found, expected = getattr(per_step, method)(units, *given), getattr(activation, method)(of_steps, *theirs)
        assert found.shape == z.shape
        np.testing.assert_array_equal(found.reshape(-1, 2), expected)
    per_step.pull_back(units, phi, phi, NONE)
    activation.pull_back(of_steps, steps[1], steps[1], NONE)
    np.testing.assert_array_equal(phi.reshape(-1, 2), steps[1])


@each
def test_a_tangent_of_one_row_stands_for_all_rows(activation, rng):
    per_step, z = PerStep(activation, T), rng.normal(size=(5, 2 * T))
    per_step.forward(Units(z, z, NONE))
    beta = rng.normal(size=(1, 2 * T))
    repeated = np.repeat(beta, 5, 0)
    units = Units(z, z, NONE)
    np.testing.assert_array_equal(
        per_step.push_forward(units, beta, None), per_step.push_forward(units, repeated, None)
    )
    np.testing.assert_array_equal(
        per_step.second_push_forward(units, beta, beta, None),
        per_step.second_push_forward(units, repeated, repeated, None),
    )


def test_it_is_known_by_the_activation_of_each_step(rng):
    per_step = PerStep(Softmax(), T)
    assert (per_step.name, per_step.bounds, per_step.in_place, per_step.monotonic) == ("softmax", (0, 1), True, False)
    assert per_step.twice_differentiable
    assert per_step.thrice_differentiable
    z = rng.normal(size=(5, 2 * T))
    assert PerStep(ReLU(), T).distance_from_kinks(z) == np.abs(z).min()
    assert PerStep(ReLU(), T).twice_differentiable == ReLU().twice_differentiable
    assert PerStep(ReLU(), T).thrice_differentiable == ReLU().thrice_differentiable


def test_the_activation_of_each_step_follows_to_another_library():
    per_step = PerStep(Softmax(), T)
    of_tensors = per_step.with_ops(TORCH)
    assert of_tensors == per_step
    assert (of_tensors.ops, of_tensors.activation.ops) == (TORCH, TORCH)
    assert per_step.activation.ops is not TORCH


class OfTwoPieces(Sigmoid):
    """An activation of two pre-activations, though it works in place."""

    def width(self, n_units):
        return 2 * n_units


class WithParameters(Sigmoid):
    """An activation with a parameter for each unit, though it works in place."""

    def n_parameters(self, n_units):
        return n_units


@pytest.mark.parametrize(
    "activation", [Maxout(2), ParametricReLU(), OfTwoPieces(), WithParameters()], ids=lambda f: type(f).__name__
)
def test_activations_with_several_pieces_or_parameters_are_refused(activation):
    with pytest.raises(ValueError, match=f"the activation '{activation.name}' cannot be applied to each step"):
        PerStep(activation, T)
