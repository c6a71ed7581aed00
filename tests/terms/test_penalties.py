import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import kl_div

from rhohat.terms.jacobian_penalties import Contraction, TangentPropagation
from rhohat.terms.penalties import (
    ActivationPenalty,
    KLSparsity,
    L1Sparsity,
    MeanActivationPenalty,
    WeightDecay,
    WeightPenalty,
)
from tests.tolerances import EXACT, FLOAT32_COST

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


def test_weight_decay_of_large_matrices_of_float32_is_exact(rng):
    """Trained weights are small but for some."""
    W = (rng.normal(size=(784, 1000)) * np.where(rng.random((784, 1000)) < 0.02, 1, 0.01)).astype(np.float32)
    expected = 0.15 * np.sum(W.astype(float) ** 2)
    assert WeightDecay(0.3).value([W]) == pytest.approx(expected, rel=FLOAT32_COST)
    assert WeightDecay(0.3).value([W.T, W[:10]]) == pytest.approx(
        expected + 0.15 * np.sum(W[:10].astype(float) ** 2), rel=FLOAT32_COST
    )


def test_l1_of_wide_layers_of_float32_is_exact(rng):
    a = (rng.random((3, 100_000)) ** 20).astype(np.float32)
    expected = 0.3 * np.abs(a.astype(float)).sum(axis=1)
    np.testing.assert_allclose(L1Sparsity(0.3).value(a), expected, rtol=FLOAT32_COST)


@pytest.mark.parametrize("include_biases", [False, True])
@pytest.mark.parametrize(
    ("layers", "chosen"), [((0,), [0]), ((-1,), [2]), ((0, 2), [0, 2]), ((1, -2), [1]), ((), []), (None, [0, 1, 2])]
)
def test_weight_decay_acts_on_the_layers_that_it_is_told(layers, chosen, include_biases, rng):
    weights = [rng.normal(size=shape) for shape in ((3, 4), (4, 2), (2, 5))]
    biases = [rng.normal(size=n) for n in (4, 2, 5)] if include_biases else []
    decay = WeightDecay(0.3, include_biases, layers)
    arrays = [*weights, *biases]
    acted_on = [3 * group + layer for group in range(len(arrays) // 3) for layer in chosen]
    np.testing.assert_allclose(decay.value(arrays), 0.15 * sum((arrays[k] ** 2).sum() for k in acted_on), rtol=EXACT)
    for add in (decay.add_gradient, decay.add_hessian_product):
        results = [np.ones_like(array) for array in arrays]
        add(arrays, *([results] if add == decay.add_gradient else [arrays, results]))
        for k, result in enumerate(results):
            np.testing.assert_allclose(result, 1 + 0.3 * arrays[k] * (k in acted_on), rtol=EXACT)


@pytest.mark.parametrize("layers", [1, "01", (0.5,), ("0",)])
def test_layers_of_weights_that_are_no_integers_are_refused(layers):
    with pytest.raises(
        ValueError, match="layers of weight_decay must be a tuple of integers, where 0 is the first layer of"
    ):
        WeightDecay(0.3, layers=layers)


def test_the_hessian_of_weight_decay_is_lambda(rng):
    weights, tangents = [rng.normal(size=(3, 4)), rng.normal(size=4)], [rng.normal(size=(3, 4)), rng.normal(size=4)]
    products = [np.ones_like(W) for W in weights]
    WeightDecay(0.3).add_hessian_product(weights, tangents, products)
    for V, product in zip(tangents, products, strict=True):
        np.testing.assert_allclose(product, 1 + 0.3 * V, rtol=EXACT)


def test_l1_is_beta_times_the_sum_of_absolute_activations_of_each_row(rng):
    a, step = rng.normal(size=(7, 5)), 1e-6
    penalty = L1Sparsity(0.3)
    kept = a.copy()
    np.testing.assert_allclose(penalty.value(a), 0.3 * np.abs(a).sum(axis=1), rtol=EXACT)
    for unit in range(5):
        ahead, behind = (penalty.value(a + sign * step * np.eye(5)[unit]) for sign in (1, -1))
        np.testing.assert_allclose(penalty.derivative(a)[:, unit], (ahead - behind) / (2 * step), rtol=1e-8)
    np.testing.assert_array_equal(penalty.second_derivative(a), 0)
    np.testing.assert_array_equal(a, kept)


def test_l1_leaves_units_alone_that_are_silent():
    np.testing.assert_array_equal(L1Sparsity(2.0).derivative(np.array([[0.0, -0.0, 1.0, -1.0]])), [[0, 0, 2, -2]])


def test_l1_acts_on_units_of_any_bounds():
    L1Sparsity(1.0).check_bounds((-np.inf, np.inf))


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


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0)])
def test_second_kl_derivative_agrees_with_a_difference_quotient(bounds, rng):
    low, high = bounds
    mean = low + (high - low) * rng.uniform(0.05, 0.95, 6)
    penalty, step = KLSparsity(0.2, 3.0), 1e-6
    ahead, behind = (penalty.derivative(mean + sign * step, bounds, FLOAT64) for sign in (1, -1))
    second = penalty.second_derivative(mean, bounds, FLOAT64)
    np.testing.assert_allclose((ahead - behind) / (2 * step), second, rtol=1e-6, atol=1e-6)


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
    with pytest.raises(ValueError, match=r"sparsity \(ρ\), a mean activation, must lie strictly between 0 and 1"):
        KLSparsity(sparsity, 1.0)


MAKERS = [WeightDecay, lambda weight: KLSparsity(0.1, weight), L1Sparsity, Contraction, TangentPropagation]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("weight", [-1e-9, np.inf, np.nan])
def test_a_weight_that_is_negative_or_not_finite_is_refused(make, weight):
    with pytest.raises(ValueError, match=rf"the weight of \w+ must be a finite number, at least 0; got {weight}"):
        make(weight)


@pytest.mark.parametrize("make", MAKERS)
def test_a_weight_may_be_zero(make):
    assert make(0).weight == 0


def test_unbounded_units_are_refused_with_the_alternative():
    with pytest.raises(ValueError, match=r"use 'sigmoid' or 'tanh' for the hidden units, L1Sparsity in place"):
        KLSparsity(0.1, 1.0).check_bounds((-np.inf, np.inf))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_mean_of_saturated_tanh_units_is_trusted_to_half_a_rounding(dtype):
    """−1 + ε/2 cannot be told from −1, so no derivative exceeds that of ρ̂ = ε/2; sigmoid units go down to 1e-300."""
    floor = np.finfo(dtype).eps / 2
    derivative = KLSparsity(0.1, 1.0).derivative(np.array([-1.0]), (-1.0, 1.0), np.dtype(dtype))
    np.testing.assert_allclose(derivative, 0.5 * (-0.1 / floor + 0.9), rtol=1e-6)
    derivative = KLSparsity(0.1, 1.0).derivative(np.array([0.0]), (0.0, 1.0), np.dtype(dtype))
    np.testing.assert_allclose(derivative, -0.1 / 1e-300, rtol=1e-6)


class Once(WeightPenalty):
    name, weight = "once", 1.0

    def value(self, weights):
        return 0.0

    def add_gradient(self, weights, gradients):
        pass


class OnceOnMeans(MeanActivationPenalty):
    name, weight, layers = "once_on_means", 1.0, None

    def value(self, mean_activation, bounds, dtype):
        return 0.0

    def derivative(self, mean_activation, bounds, dtype):
        return 0 * mean_activation


class OnceOnRows(ActivationPenalty):
    name, weight, layers = "once_on_rows", 1.0, None

    def value(self, a):
        return a.sum(axis=1)

    def derivative(self, a):
        return 0 * a + 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: Once().add_hessian_product([], [], []),
        lambda: OnceOnMeans().second_derivative(np.zeros(1), (0.0, 1.0), FLOAT64),
        lambda: OnceOnRows().second_derivative(np.zeros((1, 1))),
    ],
)
def test_a_penalty_of_ones_own_needs_no_second_derivative_until_newton_asks(call):
    with pytest.raises(NotImplementedError, match=r"Once\w* has no second derivative"):
        call()


def test_l1_has_no_second_derivative_but_zeros(rng):
    a = rng.normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_array_equal(L1Sparsity(0.1).second_derivative(a), np.zeros_like(a), strict=True)


def test_kl_takes_bounded_activations_and_says_what_else_to_use():
    KLSparsity(0.1, 1.0).check_bounds((-1.0, 1.0))
    with pytest.raises(ValueError, match="unbounded") as caught:
        KLSparsity(0.1, 1.0).check_bounds((0.0, np.inf))
    assert str(caught.value) == (
        "KL sparsity needs hidden units with bounded activations, but the activations of these units are unbounded;"
        " use 'sigmoid' or 'tanh' for the hidden units, L1Sparsity in place of the KL penalty (sparsity_weight=0,"
        " penalties=L1Sparsity(0.1)), or no penalty on activations (sparsity_weight=0)."
    )


def test_mean_activations_in_float32_become_fractions_in_float64():
    means = np.array([0.1, 0.7], np.float32)
    found = KLSparsity(0.2, 0.5).derivative(means, (-1.0, 2.0), np.dtype(np.float32))
    expected = KLSparsity(0.2, 0.5).derivative(means.astype(np.float64), (-1.0, 2.0), np.dtype(np.float32))
    np.testing.assert_array_equal(found, expected, strict=True)


def test_weights_and_layers_become_numbers_of_python():
    for penalty in (
        WeightDecay(np.float32(0.5), layers=[np.int64(1)]),
        L1Sparsity(np.float32(0.5), layers=[np.int64(1)]),
    ):
        assert (penalty.weight, penalty.layers) == (0.5, (1,))
        assert (type(penalty.weight), type(penalty.layers), type(penalty.layers[0])) == (float, tuple, int)


@pytest.mark.parametrize(("kind", "first"), [(WeightDecay, "layer of weights"), (L1Sparsity, "hidden layer")])
def test_layers_that_are_no_integers_are_refused(kind, first):
    for layers in (0.5, ["a"]):
        with pytest.raises(ValueError, match=f"integers, where 0 is the first {first}, or None for all layers; got"):
            kind(0.1, layers=layers)
