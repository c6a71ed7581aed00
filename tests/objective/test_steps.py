"""Penalties on hidden sequences count the steps that exist, beside plain formulas of NumPy."""

import numpy as np
import pytest

from rhohat.engines import ThreadEngine
from rhohat.layers import ConvolutionLayer, DenseLayer, GRULayer, LSTMLayer, StepwiseDenseLayer, Windows
from rhohat.layers.activations import Identity, Sigmoid, Tanh
from rhohat.layers.network import network_of
from rhohat.objective import Problem
from rhohat.objective.batch import MiniBatch, make_batch_evaluation
from rhohat.objective.steps import existing_steps, layers_with_steps, penalise_steps, tangent_of_penalty
from rhohat.terms.penalties import KLSparsity, L1Sparsity
from tests.layers.sequences import activations_of, loss_for, objective_of, padded_rows
from tests.tolerances import EXACT

T, LENGTHS = 5, [2, 5, 1, 3, 5, 4]
whole_or_padded = pytest.mark.parametrize("lengths", [[T] * 6, LENGTHS], ids=["whole", "padded"])
weighted_or_not = pytest.mark.parametrize("weighted", [False, True])

#: Hidden sequences whose units are in [−1, 1] and in [0, 1], and a last hidden layer that has no steps.
NETWORK = network_of(
    [
        LSTMLayer(T, 3, 4, return_sequences=True, bidirectional=True),
        StepwiseDenseLayer(T, 8, 3, Sigmoid()),
        GRULayer(T, 3, 2),
        DenseLayer(2, 2, Identity()),
    ],
    (T, 3),
)


def rows_for(rng, lengths, weighted):
    X, y = padded_rows(rng, lengths, T, 3), rng.normal(size=(6, 2))
    weights = rng.uniform(0.2, 3.0, 6) if weighted else None
    return X, y, weights, rng.normal(0, 0.6, NETWORK.n_parameters)


def means_of(a, lengths, weights, n_units):
    """The mean over rows and over the steps that exist, where a row counts by its weight at each of its steps."""
    total, count = np.zeros(n_units), 0.0
    for row, length in enumerate(lengths):
        weight = 1.0 if weights is None else weights[row]
        for t in range(length):
            total += weight * a[row].reshape(T, n_units)[t]
            count += weight
    return total / count


@weighted_or_not
@whole_or_padded
def test_mean_activations_are_means_over_rows_and_steps_that_exist(lengths, weighted, rng):
    X, y, weights, theta = rows_for(rng, lengths, weighted)
    found = objective_of(NETWORK, X, y, sample_weight=weights).mean_activations(theta)
    hidden = activations_of(NETWORK, theta, X)
    for layer, n_units in ((0, 8), (1, 3)):
        np.testing.assert_allclose(found[layer], means_of(hidden[layer], lengths, weights, n_units), rtol=EXACT)
    np.testing.assert_allclose(found[2], np.average(hidden[2], 0, weights), rtol=EXACT)


@weighted_or_not
@whole_or_padded
def test_penalties_on_hidden_sequences_are_those_of_the_formulas(lengths, weighted, rng):
    """KL takes ρ̂ over steps, within [0, 1]; L1 is a sum over steps and units, and a mean over rows."""
    X, y, weights, theta = rows_for(rng, lengths, weighted)
    hidden = activations_of(NETWORK, theta, X)
    rho, kl, l1 = 0.2, 0.0, 0.0
    for layer, n_units in ((0, 8), (1, 3)):
        rho_hat = means_of(hidden[layer], lengths, weights, n_units)
        rho_hat = (1 + rho_hat) / 2 if layer == 0 else rho_hat
        kl += np.sum(rho * np.log(rho / rho_hat) + (1 - rho) * np.log((1 - rho) / (1 - rho_hat)))
        l1 += np.average(np.nansum(np.abs(hidden[layer]), 1), weights=weights)
    penalties = [KLSparsity(rho, 1.5, layers=(0, 1)), L1Sparsity(0.3, layers=(0, 1))]
    J = objective_of(NETWORK, X, y, penalties=penalties, sample_weight=weights)
    value, gradient, terms = J.evaluate(theta)
    assert terms["kl_sparsity"] == pytest.approx(1.5 * kl, rel=EXACT)
    assert terms["l1_sparsity"] == pytest.approx(0.3 * l1, rel=EXACT)
    assert J.cost(theta) == (value, terms)
    batch = MiniBatch(make_batch_evaluation(J.problem, ThreadEngine(1)))
    assert batch.evaluate(theta)[2] == pytest.approx(terms, rel=EXACT)
    direction = rng.normal(size=theta.size)
    ahead, behind = (J.cost(theta + step * direction)[0] for step in (1e-5, -1e-5))
    assert gradient @ direction == pytest.approx((ahead - behind) / 2e-5, rel=1e-7)


@whole_or_padded
def test_penalties_on_single_hidden_sequences_add_up_to_that_on_all(lengths, rng):
    X, y, _, theta = rows_for(rng, lengths, weighted=False)
    values = []
    for layers in ((0,), (1,), (0, 1)):
        J = objective_of(NETWORK, X, y, penalties=[KLSparsity(0.2, 1.5, layers=layers)])
        values.append(J.evaluate(theta)[2]["kl_sparsity"])
    assert values[0] + values[1] == pytest.approx(values[2], rel=EXACT)


@whole_or_padded
def test_a_weight_of_a_whole_number_is_as_many_rows(lengths, rng):
    X, y, _, theta = rows_for(rng, lengths, weighted=False)
    times = np.array([0, 1, 3, 2, 1, 2])
    settings = {"penalties": [KLSparsity(0.2, 1.5), L1Sparsity(0.3)]}
    weighted = objective_of(NETWORK, X, y, sample_weight=times.astype(float), **settings)
    repeated = objective_of(NETWORK, np.repeat(X, times, 0), np.repeat(y, times, 0), **settings)
    found, expected = weighted.evaluate(theta), repeated.evaluate(theta)
    assert found[2] == pytest.approx(expected[2], rel=EXACT)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-9, atol=1e-13)


def test_rows_without_any_step_have_no_mean_but_a_cost(rng):
    """If no row has a step, sums of activations are divided by 1."""
    X, y, _, theta = rows_for(rng, [0] * 6, weighted=False)
    J = objective_of(NETWORK, X, y)
    assert np.isfinite(J.evaluate(theta)[0])
    assert [mean.tolist() for mean in J.mean_activations(theta)[:2]] == [[0.0] * 8, [0.0] * 3]


@pytest.mark.parametrize("n_units", [1, 2])
def test_a_single_step_that_may_be_missing_is_averaged_over_the_rows_that_have_it(n_units, rng):
    network = network_of([GRULayer(1, 3, n_units, return_sequences=True), GRULayer(1, n_units, 2)], (1, 3))
    X, y = padded_rows(rng, [1, 0, 1, 1], 1, 3), rng.normal(size=(4, 2))
    theta, direction = rng.normal(size=(2, network.n_parameters))
    J = objective_of(network, X, y, penalties=[KLSparsity(0.2, 2.0, layers=(0,))])
    (ahead, slope_ahead), (behind, slope_behind) = (J(theta + step * direction) for step in (1e-5, -1e-5))
    assert J(theta)[1] @ direction == pytest.approx((ahead - behind) / 2e-5, rel=1e-7)
    expected = (slope_ahead - slope_behind) / 2e-5
    found = J.hessian_vector_product(theta, direction)
    assert np.linalg.norm(found - expected) <= 1e-7 * np.linalg.norm(expected)


@pytest.mark.parametrize("n_units", [1, 2])
def test_penalties_of_missing_steps_are_0(n_units, rng):
    a, penalty = padded_rows(rng, LENGTHS, T, n_units), L1Sparsity(0.5)
    exists = existing_steps(a, T)
    np.testing.assert_array_equal(exists.sum(1), LENGTHS)
    values, derivative = penalise_steps(penalty, a, T)
    np.testing.assert_allclose(values, 0.5 * np.nansum(np.abs(a), 1), rtol=EXACT)
    np.testing.assert_array_equal(derivative, 0.5 * np.sign(np.nan_to_num(a)))
    whole = np.nan_to_num(a)
    for n_steps in (T, None):
        values, derivative = penalise_steps(penalty, whole, n_steps)
        np.testing.assert_array_equal(values, penalty.value(whole))
        np.testing.assert_array_equal(derivative, penalty.derivative(whole))


def test_means_over_steps_that_overflow_warn_of_nothing():
    """The sum over the steps of 1e308 is too large, and that of ∞ and −∞ is no number."""
    network = network_of([StepwiseDenseLayer(2, 1, 1, Identity()), DenseLayer(2, 1, Identity())], (2, 1))
    for X, expected in (([[1.0, 1.0]], np.inf), ([[10.0, -10.0]], np.nan)):
        J = objective_of(network, np.array(X), np.zeros((1, 1)))
        np.testing.assert_array_equal(J.mean_activations(np.array([1e308, 1.0, 1.0, 0.0, 0.0]))[0], [expected])


class Squares(L1Sparsity):
    """Half the weighted sum of the squares of activations, which has a curvature in place of a kink."""

    def value(self, a):
        return 0.5 * self.weight * (a**2).sum(1)

    def derivative(self, a):
        return self.weight * a

    def second_derivative(self, a):
        return self.weight + 0 * a


@weighted_or_not
@whole_or_padded
def test_penalties_on_the_same_activations_add_up_in_every_derivative(lengths, weighted, rng):
    X, y, weights, theta = rows_for(rng, lengths, weighted)
    J = objective_of(NETWORK, X, y, penalties=[Squares(0.5), Squares(2.0)], sample_weight=weights)
    direction = rng.normal(size=theta.size)
    (ahead, slope_ahead), (behind, slope_behind) = (J(theta + step * direction) for step in (1e-5, -1e-5))
    assert J(theta)[1] @ direction == pytest.approx((ahead - behind) / 2e-5, rel=1e-7)
    expected = (slope_ahead - slope_behind) / 2e-5
    assert np.linalg.norm(J.hessian_vector_product(theta, direction) - expected) <= 1e-7 * np.linalg.norm(expected)


class Cubes(L1Sparsity):
    """A penalty with a curvature, 6 a, in place of a kink."""

    def second_derivative(self, a):
        return 6 * a


def test_tangents_of_penalties_are_0_at_missing_steps(rng):
    a, alpha = padded_rows(rng, LENGTHS, T, 2), padded_rows(rng, LENGTHS, T, 2)
    np.testing.assert_array_equal(tangent_of_penalty(Cubes(1.0), a, alpha, T), np.nan_to_num(6 * a * alpha))
    np.testing.assert_array_equal(tangent_of_penalty(Cubes(1.0), a, alpha, None), 6 * a * alpha)


def test_layers_with_steps_are_those_whose_rows_may_end():
    assert layers_with_steps(NETWORK, 3) == [(0, T), (1, T)]
    assert layers_with_steps(NETWORK, 1) == [(0, T)]
    assert NETWORK.n_steps_of_rows == T
    windows = Windows((1, T), (1, 2), (1, 1), "valid")
    convolution = network_of([ConvolutionLayer(windows, 3, 2, Tanh()), DenseLayer(8, 2, Identity())], (T, 3))
    assert layers_with_steps(convolution, 1) == []
    assert convolution.n_steps_of_rows is None
    flattened = network_of([GRULayer(T, 3, 2, return_sequences=True), DenseLayer(2 * T, 2, Identity())], (T, 3))
    assert flattened.n_steps_of_rows is None


@pytest.mark.parametrize("n_jobs", [1, 2, 4])
def test_blocks_of_rows_add_up_to_the_whole(n_jobs, rng, monkeypatch):
    """The counts of steps that exist add up over blocks as the sums of activations do."""
    X, y, weights, theta = rows_for(rng, LENGTHS, weighted=True)
    settings = {"penalties": [KLSparsity(0.2, 1.5), L1Sparsity(0.3)], "sample_weight": weights}
    expected = objective_of(NETWORK, X, y, **settings).evaluate(theta)
    cut = [slice(0, 1), slice(1, 4), slice(4, 6)]
    monkeypatch.setattr("rhohat.layers.chain.row_blocks", lambda *_: cut)
    found = objective_of(NETWORK, X, y, n_jobs=n_jobs, **settings).evaluate(theta)
    assert found[2] == pytest.approx(expected[2], rel=EXACT)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-9, atol=1e-13)


def test_a_loss_of_steps_takes_penalties_and_weights_as_well(rng):
    network = network_of([LSTMLayer(T, 3, 4, return_sequences=True), StepwiseDenseLayer(T, 4, 2, Identity())], (T, 3))
    X, y, weights = padded_rows(rng, LENGTHS, T, 3), rng.normal(size=(6, 2 * T)), rng.uniform(0.5, 2.0, 6)
    theta = rng.normal(size=network.n_parameters)
    problem = Problem(network, X, y, loss=loss_for(network), sample_weight=weights)
    outputs = activations_of(network, theta, X)[-1]
    expected = np.average(0.5 * np.nansum((outputs - y) ** 2, 1), weights=weights)
    value, _, terms = MiniBatch(make_batch_evaluation(problem, ThreadEngine(1))).evaluate(theta)
    assert value == pytest.approx(expected, rel=EXACT)
    assert list(terms) == ["squared_error"]
