import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import kl_div

from rhohat.penalties import KLSparsity, WeightDecay
from tests.tolerances import EXACT

FLOAT64 = np.dtype(np.float64)
fractions = st.floats(1e-6, 1 - 1e-6)


def test_weight_decay_is_half_lambda_times_the_squared_norm(rng):
    weights = [rng.normal(size=(3, 4)), rng.normal(size=(4, 2))]
    gradients = [np.ones_like(W) for W in weights]
    decay = WeightDecay(0.3)
    decay.add_gradient(weights, gradients)
    np.testing.assert_allclose(decay.value(weights), 0.15 * sum((W**2).sum() for W in weights), rtol=EXACT)
    for W, gradient in zip(weights, gradients, strict=True):
        np.testing.assert_allclose(gradient, 1 + 0.3 * W, rtol=EXACT)


@given(fractions, st.lists(fractions, min_size=1, max_size=10), st.floats(0.01, 100))
def test_kl_agrees_with_scipy(rho, rho_hat, weight):
    rho_hat = np.array(rho_hat)
    expected = weight * np.sum(kl_div(rho, rho_hat) + kl_div(1 - rho, 1 - rho_hat))
    value = KLSparsity(rho, weight).value(rho_hat, (0.0, 1.0), FLOAT64)
    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-12 * weight)


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0)])
def test_kl_derivative_agrees_with_a_difference_quotient(bounds, rng):
    low, high = bounds
    mean = low + (high - low) * rng.uniform(0.05, 0.95, 6)
    penalty, step = KLSparsity(0.2, 3.0), 1e-6
    derivative = penalty.derivative(mean, bounds, FLOAT64)
    for unit in range(6):
        shift = step * np.eye(6)[unit]
        ahead, behind = (penalty.value(mean + sign * shift, bounds, FLOAT64) for sign in (1, -1))
        np.testing.assert_allclose((ahead - behind) / (2 * step), derivative[unit], rtol=1e-6, atol=1e-6)


def test_kl_of_tanh_units_is_that_of_their_distance_from_minus_one(rng):
    fraction = rng.uniform(0.05, 0.95, 6)
    penalty = KLSparsity(0.1, 2.0)
    np.testing.assert_allclose(
        penalty.value(2 * fraction - 1, (-1.0, 1.0), FLOAT64), penalty.value(fraction, (0.0, 1.0), FLOAT64), rtol=EXACT
    )


def test_kl_vanishes_at_its_target_and_nowhere_else():
    penalty = KLSparsity(0.25, 1.0)
    assert penalty.value(np.array([0.25]), (0.0, 1.0), FLOAT64) == 0
    assert penalty.value(np.array([0.26]), (0.0, 1.0), FLOAT64) > 0
    assert penalty.derivative(np.array([0.24]), (0.0, 1.0), FLOAT64) < 0
    assert penalty.derivative(np.array([0.26]), (0.0, 1.0), FLOAT64) > 0


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saturated_units_give_a_large_finite_penalty(bounds, dtype):
    penalty = KLSparsity(0.01, 3.0)
    saturated = np.array(bounds)
    assert np.isfinite(penalty.value(saturated, bounds, np.dtype(dtype)))
    assert penalty.value(saturated, bounds, np.dtype(dtype)) > 1
    derivative = penalty.derivative(saturated, bounds, np.dtype(dtype))
    assert np.all(np.isfinite(derivative))
    assert derivative[0] < 0 < derivative[1]


@pytest.mark.parametrize("sparsity", [0, 1, -0.1, 1.5, np.nan])
def test_sparsity_outside_the_open_interval_is_refused(sparsity):
    with pytest.raises(ValueError, match=r"sparsity \(ρ\) must lie strictly between 0 and 1"):
        KLSparsity(sparsity, 1.0)


@pytest.mark.parametrize("make", [WeightDecay, lambda weight: KLSparsity(0.1, weight)])
@pytest.mark.parametrize("weight", [-1e-9, np.inf, np.nan])
def test_a_weight_that_is_negative_or_not_finite_is_refused(make, weight):
    with pytest.raises(ValueError, match="must be finite and at least 0"):
        make(weight)


def test_unbounded_units_are_refused_with_the_alternative():
    with pytest.raises(ValueError, match="use 'sigmoid' or 'tanh'"):
        KLSparsity(0.1, 1.0).check_bounds((-np.inf, np.inf))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_mean_of_saturated_tanh_units_is_trusted_to_half_a_rounding(dtype):
    """−1 + ε/2 cannot be told from −1, so no derivative exceeds that of ρ̂ = ε/2; sigmoid units go down to 1e-300."""
    floor = np.finfo(dtype).eps / 2
    derivative = KLSparsity(0.1, 1.0).derivative(np.array([-1.0]), (-1.0, 1.0), np.dtype(dtype))
    np.testing.assert_allclose(derivative, 0.5 * (-0.1 / floor + 0.9), rtol=1e-6)
    derivative = KLSparsity(0.1, 1.0).derivative(np.array([0.0]), (0.0, 1.0), np.dtype(dtype))
    np.testing.assert_allclose(derivative, -0.1 / 1e-300, rtol=1e-6)
