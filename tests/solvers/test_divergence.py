"""Steps that are too long raise the cost: a run says so, names the learning rate, and keeps the best parameters."""

from dataclasses import replace

import numpy as np
import pytest

from rhohat.solvers import SGD, Adam, GradientDescent
from rhohat.solvers.divergence import has_risen
from tests.solvers.problems import LeastSquares, Quadratic


def mean_cost(problem, theta):
    return problem.over(slice(None), theta)[0]


@pytest.mark.parametrize(
    ("costs", "risen"),
    [
        ([1.0, 4.1], True),
        ([1.0, 3.9], False),
        ([1.0, 0.2, 3.1], False),
        ([1.0, 0.2, 3.3], True),
        ([-1.0, -5.0, 9.0], False),  # as a cost may be that is not a sum of squares
        ([-1.0, -5.0, 11.0], True),
        ([1.0, np.nan], False),
    ],
)
def test_a_cost_has_risen_when_it_lies_above_the_lowest_by_more_than_three_times_the_first(costs, risen):
    assert has_risen(costs[-1], min(costs[:-1]), costs[0], times=3) == risen


@pytest.mark.parametrize("solver", [SGD(30.0, batch_size=16), SGD(3.0, momentum=0.0, batch_size=10)])
def test_a_run_by_mini_batches_that_diverges_keeps_where_its_best_epoch_began(solver):
    problem, thetas = LeastSquares(), [LeastSquares().start]
    result = solver.minimize(problem, problem.start, max_iter=100, callbacks=[lambda state: thetas.append(state.theta)])
    assert result.status == "diverged"
    assert not result.success
    assert result.n_iter < 20  # what is hopeless is not gone on with
    costs = [mean_cost(problem, problem.start), *result.loss_curve[1:]]  # of the epochs that began at each θ
    np.testing.assert_array_equal(result.theta, thetas[int(np.argmin(costs))])
    assert result.value == result.terms["squared_error"] == pytest.approx(min(costs))
    assert f"Lower learning_rate (now {solver.learning_rate:g})" in result.message
    assert "try max_iter" not in result.message


@pytest.mark.parametrize("solver", [SGD(1.9, momentum=0.0), GradientDescent(1.9), GradientDescent(1.6, momentum=0.3)])
def test_a_run_over_all_rows_that_diverges_keeps_the_parameters_of_the_lowest_cost(solver):
    problem, thetas, values = Quadratic(), [], []

    def shifted(theta):  # whose minimum is above 0, as costs are
        value, gradient, _ = problem(theta)
        thetas.append(theta.copy())
        values.append(value + 10)
        return value + 10, gradient

    result = solver.minimize(shifted, problem.minimum + 0.3, max_iter=15, tol=0)
    assert result.status == "diverged"
    assert result.value == min(values)
    np.testing.assert_array_equal(result.theta, thetas[int(np.argmin(values))])
    assert result.gradient_norm == np.abs(problem(result.theta)[1]).max()
    assert f"Lower learning_rate (now {solver.learning_rate:g})" in result.message


@pytest.mark.parametrize("solver", [SGD(1e4, batch_size=16), SGD(1.5, batch_size=16), Adam(1e4, batch_size=16)])
def test_early_stopping_tells_divergence_from_the_best_that_can_be_had(solver):
    class HoldsOut(LeastSquares):
        def validate(self, theta):
            return mean_cost(self, theta)

    problem = HoldsOut()
    solver = replace(solver, early_stopping=True, patience=3)
    result = solver.minimize(problem, problem.start, max_iter=100, tol=0)
    assert result.status == "diverged"
    assert f"the best parameters are kept. Lower learning_rate (now {solver.learning_rate:g})" in result.message
    assert mean_cost(problem, result.theta) <= mean_cost(problem, problem.start)


@pytest.mark.parametrize("solver", [Adam(1e4, batch_size=5), SGD(2.0, batch_size=5)])
@pytest.mark.parametrize("max_iter", [1, 30])
def test_a_first_epoch_that_leads_far_off_is_measured_by_the_start(solver, max_iter):
    """However its later epochs compare with it."""
    problem = LeastSquares()
    result = solver.minimize(problem, problem.start, max_iter=max_iter, tol=0)
    assert result.status == "diverged"
    np.testing.assert_array_equal(result.theta, problem.start)
    assert result.value == pytest.approx(mean_cost(problem, problem.start))


def test_a_first_mini_batch_that_costs_little_is_no_divergence():
    """The rows of one may be unlike all others: then the start is looked at over all rows, once."""

    class Uneven(LeastSquares):
        def over(self, rows, theta):
            value, gradient, _ = super().over(rows, theta)
            cheap = len(self.epochs) < 3 and len(rows) == 25 and rows[0] == self.rows(0, 25)[0][0]
            value = 1e-6 if cheap else value
            return value, gradient, {"squared_error": value}

    problem, plain = Uneven(), LeastSquares()
    result = SGD(0.05, batch_size=25).minimize(problem, problem.start, max_iter=4, tol=0)
    assert result.status == "max_iter"
    assert problem.epochs == [0, 0, 1, 2, 3]
    assert result.n_evaluations == 8
    expected = SGD(0.05, batch_size=25).minimize(plain, plain.start, max_iter=4, tol=0)
    assert plain.epochs == [0, 1, 2, 3]
    np.testing.assert_array_equal(result.theta, expected.theta)


def test_an_end_above_the_first_epoch_is_said_where_noise_may_be_the_cause():
    problem = LeastSquares()

    class Rising(LeastSquares):
        def over(self, rows, theta):
            _, gradient, terms = super().over(rows, theta)
            return 1.0 + len(self.epochs), gradient, terms

    result = SGD(1e-3, batch_size=16).minimize(Rising(), problem.start, max_iter=2, tol=0)
    assert result.status == "max_iter"
    comparison = "the cost in the last iteration, 3, is above the cost in the first iteration, 2."
    assert f"{comparison} Lower learning_rate (now 0.001)" in result.message


@pytest.mark.parametrize("kind", [SGD, Adam])
@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_noise_is_not_divergence(kind, batch_size):
    for noise in (0.1, 1.0, 10.0):
        problem = LeastSquares(noise=noise)
        for start in (problem.start, problem.minimum):
            result = kind(0.02, batch_size=batch_size).minimize(problem, start, max_iter=60, tol=0)
            assert result.status == "max_iter", result.message
            assert len(result.loss_curve) == 60


def test_a_run_may_recover():
    """As those do that leave a narrow valley for a wide one."""
    costs = [1.0, 30.0, 900.0, 300.0, 2.0, 0.5]

    class Recovers(LeastSquares):
        def over(self, rows, theta):
            _, gradient, terms = super().over(rows, theta)
            return costs[len(self.epochs) - 1], gradient, terms

    thetas = []
    result = SGD(1e-3, batch_size=16).minimize(
        Recovers(), np.zeros(5), max_iter=6, tol=0, callbacks=[lambda state: thetas.append(state.theta)]
    )
    assert result.status == "max_iter"
    np.testing.assert_array_equal(result.theta, thetas[-1])
    assert result.loss_curve == costs


@pytest.mark.parametrize("solver", [SGD(3.0, momentum=0.0), GradientDescent(3.0)], ids=lambda s: type(s).__name__)
def test_numbers_that_are_not_finite_after_a_rise_lead_back_to_the_best(solver):
    problem, calls = Quadratic(), []

    def fragile(theta):
        value, gradient, _ = problem(theta)
        calls.append((value + 10, theta.copy()))
        return (value + 10 if value < 300 else np.inf), gradient

    result = solver.minimize(fragile, problem.minimum + 0.3, max_iter=100, tol=0)
    assert result.status == "not_finite"
    assert "the best parameters are kept" in result.message
    np.testing.assert_array_equal(result.theta, min(calls, key=lambda call: call[0])[1])


def test_a_first_batch_without_a_cost_leads_back_to_the_best():
    """What an epoch ended at has no finite cost: the epoch's start is better."""

    class Cliff(LeastSquares):
        def over(self, rows, theta):
            value, gradient, terms = super().over(rows, theta)
            return (value if len(self.epochs) < 2 else np.inf), gradient, terms

    result = SGD(0.1, batch_size=50).minimize(Cliff(), np.zeros(5), tol=0)
    assert (result.status, result.n_iter) == ("not_finite", 1)
    np.testing.assert_array_equal(result.theta, np.zeros(5))
