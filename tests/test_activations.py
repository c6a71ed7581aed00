import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from rhohat.activations import ACTIVATIONS, Activation, Sigmoid, as_activation
from tests.tolerances import EXACT

names = pytest.mark.parametrize("name", sorted(ACTIVATIONS))


def outputs(activation, z):
    a = np.array(z, dtype=float)
    activation.forward(a)
    return a


@given(st.lists(st.floats(-700, 700), min_size=1, max_size=40))
def test_sigmoid_agrees_with_scipy_to_full_relative_accuracy(z):
    z = np.array([z])
    np.testing.assert_allclose(outputs(Sigmoid(), z), expit(z), rtol=1e-14, atol=0)


@names
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_inputs_give_the_bounds_and_no_warning(name, dtype):
    activation = as_activation(name)
    z = np.array([[-1e30, 1e30]], dtype=dtype)
    activation.forward(z)
    low, high = activation.bounds
    np.testing.assert_array_equal(z, [[max(low, dtype(-1e30)), min(high, dtype(1e30))]])


@names
def test_pull_back_agrees_with_a_difference_quotient(name, rng):
    activation = as_activation(name)
    z, cotangent, step = rng.normal(size=(7, 5)), rng.normal(size=(7, 5)), 1e-6
    numerical = cotangent * (outputs(activation, z + step) - outputs(activation, z - step)) / (2 * step)
    delta = cotangent.copy()
    activation.pull_back(outputs(activation, z), delta)
    np.testing.assert_allclose(delta, numerical, rtol=1e-8, atol=1e-10)


@names
def test_pull_back_is_linear_in_delta(name, rng):
    activation = as_activation(name)
    z, u, v = rng.normal(size=(3, 4, 5))

    def pulled(delta):
        delta = delta.copy()
        activation.pull_back(outputs(activation, z), delta)
        return delta

    np.testing.assert_allclose(pulled(2 * u - 3 * v), 2 * pulled(u) - 3 * pulled(v), rtol=EXACT, atol=1e-14)


@names
def test_outputs_lie_within_the_bounds(name, rng):
    activation = as_activation(name)
    a = outputs(activation, 100 * rng.normal(size=(50, 5)))
    assert a.min() >= activation.bounds[0]
    assert a.max() <= activation.bounds[1]


@names
def test_work_is_done_in_place_in_the_given_precision(name, rng):
    activation = as_activation(name)
    z = rng.normal(size=(3, 4)).astype(np.float32)
    delta = z.copy()
    activation.forward(z)
    activation.pull_back(z, delta)
    assert z.dtype == delta.dtype == np.float32


def test_a_name_or_an_object_is_accepted_and_nothing_else():
    sigmoid = Sigmoid()
    assert as_activation(sigmoid) is sigmoid
    assert isinstance(as_activation("tanh"), Activation)
    with pytest.raises(ValueError, match=r"activation must be one of \['identity', 'sigmoid', 'tanh'\].*got 'relu'"):
        as_activation("relu")
