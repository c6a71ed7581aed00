"""Batch gradient descent: its formula, and the learning rate that finds itself."""

import warnings

import numpy as np
import pytest

from rhohat.solvers import SGD, GradientDescent
from tests.solvers.problems import LogBarrier, Quadratic, Quartic


def test_it_takes_the_step_of_its_formula():
    problem = Quadratic()
    result = GradientDescent(learning_rate=0.3).minimize(problem, problem.start, max_iter=2, tol=0)
    by_hand = problem.start
    for _ in range(2):
        by_hand = by_hand - 0.3 * (problem.A @ by_hand - problem.b)
    np.testing.assert_array_equal(result.theta, by_hand)
    assert result.n_evaluations == 3


def test_momentum_remembers_earlier_gradients():
    """J = ½ θ², α = ½, μ = ½ from θ = 8: v = −4, −2 − 2 = −4, −2 − 0 = −2; θ = 4, 0, −2."""
    thetas = []
    GradientDescent(learning_rate=0.5, momentum=0.5).minimize(
        lambda x: (float(x @ x) / 2, x.copy()),
        np.array([8.0]),
        max_iter=3,
        tol=0,
        callbacks=[lambda state: thetas.append(state.theta[0])],
    )
    # The gradient is 0 at the second point, which tol=0 calls converged.
    assert thetas == [4.0, 0.0]
    result = GradientDescent(learning_rate=0.5, momentum=0.5).minimize(
        lambda x: (float(x @ x) / 2, x.copy()), np.array([8.0, 16.0]), max_iter=3, tol=-1
    )
    np.testing.assert_array_equal(result.theta, [-2.0, -4.0])


def test_with_momentum_it_is_sgd_with_one_batch():
    problem = Quadratic()
    batch, stochastic = (
        kind(learning_rate=0.05, momentum=0.8).minimize(problem, problem.start, max_iter=20, tol=0)
        for kind in (GradientDescent, SGD)
    )
    np.testing.assert_allclose(stochastic.theta, batch.theta, rtol=1e-13)


def test_divergence_is_reported():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        result = GradientDescent(learning_rate=1e3).minimize(Quadratic(), np.ones(6), max_iter=10_000)
    assert result.status == "not_finite"
    assert np.all(np.isfinite(result.theta))
    assert "Lower learning_rate" in result.message


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_adaptive_rate_fits_any_scale_and_never_raises_the_cost(momentum, scale):
    """Whatever the cost is multiplied by, from a rate of 0.1 that is far too small to one that is far too large."""
    problem = Quadratic()

    def scaled(theta):
        value, gradient, _ = problem(theta)
        return scale * value, scale * gradient

    result = GradientDescent("adaptive", momentum).minimize(scaled, problem.start, max_iter=1000, tol=1e-6 * scale)
    assert result.status == "converged"
    np.testing.assert_allclose(result.theta, problem.minimum, atol=1e-5)
    assert np.all(np.diff(result.loss_curve) <= 0)


def test_the_adaptive_rate_grows_by_a_tenth_and_is_halved():
    """J = ½ k θ²: a step at the rate α multiplies θ by 1 − α k, and raises J where α k > 2."""
    tried, thetas = [], []

    def parabola(x):
        tried.append(x[0])
        return 15 * float(x @ x) / 2, 15 * x

    GradientDescent("adaptive").minimize(
        parabola, np.array([1.0]), max_iter=4, tol=0, callbacks=[lambda state: thetas.append(state.theta[0])]
    )
    factors = [1 - 15 * 0.1 * rate for rate in (1, 1.1, 1.21, 1.331, 1.331 / 2)]
    accepted = np.cumprod([factors[0], factors[1], factors[2], factors[3]])
    np.testing.assert_allclose(thetas, accepted, rtol=1e-12)  # 1.331 · 1.5 < 2
    np.testing.assert_allclose(tried[1:], accepted, rtol=1e-12)

    tried.clear()
    GradientDescent("adaptive").minimize(parabola, np.array([1.0]), max_iter=5, tol=0)
    too_far, halved = accepted[-1] * (1 - 1.5 * 1.1**4), accepted[-1] * (1 - 1.5 * 1.1**4 / 2)
    np.testing.assert_allclose(tried[-2:], [too_far, halved], rtol=1e-12)


def test_a_step_taken_back_is_no_iteration_and_forgets_the_velocity():
    problem, tried = Quartic(), []

    def watched(theta):
        tried.append(theta.copy())
        return problem(theta)

    result = GradientDescent("adaptive", momentum=0.9).minimize(watched, 3 * Quartic.start, max_iter=30, tol=0)
    assert result.n_iter == 30
    assert result.n_evaluations == len(tried) > 31
    assert np.all(np.diff(result.loss_curve) <= 0)

    values = [problem(theta)[0] for theta in tried]
    taken_back = next(i for i in range(3, len(tried)) if values[i] > values[i - 1])  # after the velocity has built up
    before, after = tried[taken_back - 1], tried[taken_back + 1]
    rate = 0.1
    for i in range(1, taken_back + 1):
        rate *= 1.1 if values[i] <= min(values[:i]) else 0.5
    np.testing.assert_allclose(after, before - rate * problem(before)[1], rtol=1e-12)


def test_the_adaptive_rate_backs_away_from_points_that_are_not_finite():
    problem = LogBarrier()

    def steep(theta):
        value, gradient = problem(theta)
        return 100 * value, 100 * gradient

    result = GradientDescent("adaptive").minimize(steep, np.array([1.5, 3.0]), max_iter=1000, tol=1e-4)
    assert problem.refused > 0
    assert result.status == "converged"
    np.testing.assert_allclose(result.theta, 1, atol=1e-5)


def test_the_adaptive_rate_stalls_where_no_step_helps():
    """The gradient has the wrong sign: every step along it raises J, however short."""
    result = GradientDescent("adaptive").minimize(lambda x: (float(x @ x), -2 * x), np.array([1.0]))
    assert (result.status, result.n_iter) == ("stalled", 0)
    assert "precision" in result.message
    np.testing.assert_array_equal(result.theta, [1.0])
