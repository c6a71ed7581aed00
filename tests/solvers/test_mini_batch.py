"""Solvers by mini-batches: their formulas, the record of an epoch, schedules, early stopping, continuing."""

import copy
from itertools import pairwise

import numpy as np
import pytest

from rhohat.common.blocks import _THETA_PART
from rhohat.solvers import SGD, Adam, MiniBatchState
from tests.solvers.problems import LeastSquares, Quadratic

KINDS = {"sgd": SGD, "adam": Adam}
each = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


def gradients_met(solver, problem, n_steps):
    """Return the gradients at every θ that a solver met, and the θ after them."""
    thetas = [problem.start]
    result = solver.minimize(
        problem, problem.start, max_iter=n_steps, tol=0, callbacks=[lambda state: thetas.append(state.theta)]
    )
    return [problem(theta)[1] for theta in thetas[:-1]], thetas, result


def test_sgd_moves_by_decaying_sums_of_gradients():
    """v_t = −α Σᵢ μ^(t−i) gᵢ."""
    g, thetas, _ = gradients_met(SGD(learning_rate=0.03, momentum=0.8), Quadratic(), 3)
    for t, (before, after) in enumerate(pairwise(thetas)):
        velocity = -0.03 * sum(0.8 ** (t - i) * g[i] for i in range(t + 1))
        np.testing.assert_allclose(after, before + velocity, rtol=1e-14)


def test_adam_moves_by_weighted_means_of_gradients_and_their_squares():
    """The corrected moments are weighted means: m̂_t = Σᵢ β₁^(t−i) gᵢ / Σᵢ β₁^(t−i), and v̂ likewise of g²."""
    solver = Adam(learning_rate=0.03, beta_1=0.7, beta_2=0.9, epsilon=1e-3)
    g, thetas, _ = gradients_met(solver, Quadratic(), 3)
    for t, (before, after) in enumerate(pairwise(thetas)):
        mean = np.average(g[: t + 1], axis=0, weights=[0.7 ** (t - i) for i in range(t + 1)])
        square = np.average(np.square(g[: t + 1]), axis=0, weights=[0.9 ** (t - i) for i in range(t + 1)])
        np.testing.assert_allclose(after, before - 0.03 * mean / (np.sqrt(square) + 1e-3), rtol=1e-13)


def test_adams_first_step_is_the_learning_rate_whatever_the_scale_of_the_gradient():
    result = Adam(learning_rate=0.01).minimize(lambda x: (0.0, np.array([1e-3, -1e6])), np.zeros(2), max_iter=1)
    np.testing.assert_allclose(result.theta, [-0.01, 0.01], rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("in_batches", [False, True], ids=["whole", "batches"])
def test_a_gradient_that_is_too_long_is_scaled_to_the_largest_norm(kind, in_batches):
    """The steps are those of a problem whose gradients are shortened by hand."""
    problem = LeastSquares() if in_batches else Quadratic()
    met = []

    class Shortened:
        """The same problem, whose gradients have at most the norm 0.5."""

        def __call__(self, theta):
            value, gradient, *_ = problem(theta)
            met.append(np.linalg.norm(gradient))
            return value, gradient * min(1.0, 0.5 / met[-1])

    class ShortenedInBatches(Shortened):
        def batches(self, epoch, batch_size):
            for function, n_rows in problem.batches(epoch, batch_size):

                def shortened(theta, function=function):
                    value, gradient, *_ = function(theta)
                    met.append(np.linalg.norm(gradient))
                    return value, gradient * min(1.0, 0.5 / met[-1])

                yield shortened, n_rows

    clipping, plain = kind(learning_rate=0.05, max_gradient_norm=0.5), kind(learning_rate=0.05)
    expected = plain.minimize((ShortenedInBatches if in_batches else Shortened)(), problem.start, max_iter=6, tol=0)
    result = clipping.minimize(problem, problem.start, max_iter=6, tol=0)
    np.testing.assert_allclose(result.theta, expected.theta, rtol=1e-12)
    assert max(met) > 0.5
    if kind is SGD:
        without = plain.minimize(problem, problem.start, max_iter=6, tol=0)
        assert not np.allclose(result.theta, without.theta)


def test_a_largest_norm_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="max_gradient_norm"):
        Adam(max_gradient_norm=0.0)


@each
def test_theta_is_updated_whole_however_long_it_is(kind):
    size = 2 * _THETA_PART + 3
    curvature = np.linspace(1, 2, size)

    def result(part):
        return kind(learning_rate=0.1).minimize(
            lambda x: (0.0, curvature[part] * (x - 1)), np.zeros(len(curvature[part])), max_iter=3
        )

    whole = result(slice(None)).theta
    for part in (slice(0, 5), slice(_THETA_PART - 2, _THETA_PART + 2), slice(2 * _THETA_PART - 1, None)):
        np.testing.assert_allclose(whole[part], result(part).theta, rtol=1e-15)


def test_the_record_of_an_epoch_is_the_mean_over_its_batches_weighted_by_rows():
    problem = LeastSquares(n_samples=50)
    result = SGD(learning_rate=0.1, momentum=0.0, batch_size=16).minimize(problem, problem.start, max_iter=2, tol=0)
    theta = problem.start
    for epoch in range(2):
        values, gradients, n_rows = [], [], []
        for rows in problem.rows(epoch, 16):
            value, gradient, _ = problem.over(rows, theta)
            theta = theta - 0.1 * gradient
            values.append(value)
            gradients.append(gradient)
            n_rows.append(len(rows))
        assert n_rows == [16, 16, 16, 2]
        np.testing.assert_allclose(result.loss_curve[epoch], np.average(values, weights=n_rows), rtol=1e-14)
    np.testing.assert_allclose(result.theta, theta, rtol=1e-14)
    mean_gradient = np.average(gradients, axis=0, weights=n_rows)
    np.testing.assert_allclose(result.gradient_norm, np.abs(mean_gradient).max(), rtol=1e-13)
    assert result.value == result.loss_curve[-1]
    assert result.terms == {"squared_error": result.value}
    assert result.terms_curve == {"squared_error": result.loss_curve}
    assert (result.n_iter, result.n_evaluations, problem.epochs) == (2, 8, [0, 1])


@pytest.mark.parametrize("solver", [SGD(0.1, batch_size=16), Adam(0.05, batch_size=16)], ids=KINDS.keys())
def test_a_falling_rate_reaches_the_minimum_that_a_constant_one_wanders_about(solver):
    problem = LeastSquares(noise=1e-5)
    distances = {}
    for schedule in ("constant", "cosine"):
        scheduled = type(solver)(solver.learning_rate, batch_size=16, schedule=schedule)
        result = scheduled.minimize(problem, problem.start, max_iter=500, tol=0)
        distances[schedule] = np.abs(result.theta - problem.minimum).max()
    assert distances["cosine"] < 1e-6
    assert distances["constant"] > 5 * distances["cosine"]


@each
def test_the_mean_gradient_of_an_epoch_decides_convergence(kind):
    problem = LeastSquares(noise=0)
    solver = kind(learning_rate=0.05, batch_size=16, schedule="linear")
    result = solver.minimize(problem, problem.start, max_iter=2000, tol=1e-4)
    assert result.status == "converged"
    assert result.n_iter < 2000
    assert result.gradient_norm <= 1e-4
    np.testing.assert_allclose(result.theta, problem.minimum, atol=1e-3)


def test_schedules_go_on_within_an_epoch_where_its_rows_are_known():
    problem, seen = LeastSquares(n_samples=50), []

    def record(progress):
        seen.append(progress)
        return 1.0

    solver = SGD(batch_size=20, schedule=record)
    solver.minimize(problem, problem.start, max_iter=2, tol=0)
    np.testing.assert_allclose(seen, [0, 0.2, 0.4, 0.5, 0.7, 0.9])
    seen.clear()
    del problem.n_samples
    problem.rows = lambda epoch, batch_size: [np.arange(25), np.arange(25, 50)]
    solver.minimize(problem, problem.start, max_iter=2, tol=0)
    assert seen == [0, 0, 0.5, 0.5]


@each
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("batched", [True, False])
def test_a_run_continues_where_another_stopped_bit_for_bit(kind, schedule, batched):
    problem = LeastSquares()
    objective = problem if batched else problem.__call__
    solver = kind(learning_rate=0.02, batch_size=16, schedule=schedule)
    whole_state, state, kept = MiniBatchState(), MiniBatchState(), []
    whole = solver.minimize(objective, problem.start, max_iter=4, tol=0, state=whole_state)

    def stop_after_two(step):
        kept.append(copy.deepcopy(state))
        return step.iteration == 2

    first = solver.minimize(objective, problem.start, max_iter=4, tol=0, state=state, callbacks=[stop_after_two])
    first_theta = first.theta.copy()
    second = solver.minimize(objective, first.theta, max_iter=2, tol=0, state=state)
    np.testing.assert_array_equal(second.theta, whole.theta)
    np.testing.assert_array_equal(first.theta, first_theta)
    assert first.loss_curve + second.loss_curve == whole.loss_curve
    assert (state.epoch, state.step) == (whole_state.epoch, whole_state.step) == (4, 16 if batched else 4)
    for name in solver.moment_names:
        np.testing.assert_array_equal(state.moments[name], whole_state.moments[name])
    # What a callback keeps is as good.
    from_kept = solver.minimize(objective, first.theta, max_iter=2, tol=0, state=kept[-1])
    np.testing.assert_array_equal(from_kept.theta, whole.theta)


@each
def test_one_epoch_and_one_epoch_are_two(kind):
    problem, state = LeastSquares(), MiniBatchState()
    solver = kind(batch_size=16)
    theta = problem.start
    for _ in range(2):
        theta = solver.minimize(problem, theta, max_iter=1, tol=0, state=state).theta
    np.testing.assert_array_equal(theta, solver.minimize(problem, problem.start, max_iter=2, tol=0).theta)


def test_a_state_of_another_solver_or_size_is_refused():
    problem, state = LeastSquares(), MiniBatchState()
    SGD().minimize(problem, problem.start, max_iter=1, state=state)
    with pytest.raises(ValueError, match=r"state must come from .*'sum'.* got .*'velocity': \(5,\)"):
        Adam().minimize(problem, problem.start, state=state)
    with pytest.raises(ValueError, match=r"'velocity': \(6,\).* got .*'velocity': \(5,\)"):
        SGD().minimize(problem, np.zeros(6), state=state)
    assert problem.epochs == [0]


class HoldsOut(LeastSquares):
    """Reports the given costs on rows held out, one after every epoch."""

    def __init__(self, *costs):
        super().__init__()
        self.costs = list(costs)

    def validate(self, theta):
        return self.costs.pop(0)


@pytest.mark.parametrize(
    ("costs", "max_iter", "status", "best"),
    [
        ([5, 3, 4, 3, 9], 10, "stopped", 2),  # an equal cost is no improvement
        ([5, 3, 4, 2, 3, 4], 10, "stopped", 4),
        ([5, 4, 3], 3, "max_iter", 3),
        ([5, 3, 4], 3, "max_iter", 2),
        ([3, 4, 5], 10, "stopped", 1),
    ],
)
@each
def test_early_stopping_returns_the_best_parameters(kind, costs, max_iter, status, best):
    problem, states = HoldsOut(*costs), []
    solver = kind(batch_size=16, early_stopping=True, patience=2)
    result = solver.minimize(problem, problem.start, max_iter=max_iter, tol=0, callbacks=[states.append])
    assert result.status == status
    assert result.validation_curve == costs[: result.n_iter]
    assert result.n_iter == len(states) == (max_iter if status == "max_iter" else best + 2)
    np.testing.assert_array_equal(result.theta, states[best - 1].theta)
    assert result.value == states[best - 1].value
    if status == "stopped":
        assert result.success
        assert f"after epoch {best} of {best + 2} are kept" in result.message


@each
def test_early_stopping_works_for_a_plain_function_that_validates(kind):
    class Plain(Quadratic):
        def validate(self, theta):
            return float(np.abs(theta - self.start).max())  # the further from the start, the worse

    problem, states = Plain(), []
    solver = kind(early_stopping=True, patience=3)
    result = solver.minimize(problem, problem.start, tol=0, callbacks=[states.append])
    assert (result.status, result.n_iter) == ("stopped", 4)
    np.testing.assert_array_equal(result.theta, states[0].theta)


def test_a_cost_on_held_out_rows_that_is_not_finite_ends_the_run():
    problem = HoldsOut(5, 3, np.nan)
    result = SGD(early_stopping=True).minimize(problem, problem.start, tol=0)
    assert (result.status, result.n_iter, result.validation_curve) == ("not_finite", 2, [5, 3])
    assert "rows kept back for early stopping" in result.message


def test_early_stopping_without_held_out_rows_is_refused_before_any_work():
    problem = LeastSquares()
    with pytest.raises(ValueError, match=r"early_stopping=True needs an objective with a method validate"):
        SGD(early_stopping=True).minimize(problem, problem.start)
    assert problem.epochs == []
    assert SGD().minimize(problem, problem.start, max_iter=2).validation_curve == []


@each
@pytest.mark.parametrize("poisoned", ["value", "gradient"])
@pytest.mark.parametrize("bad_epoch", [0, 2])
def test_a_batch_that_is_not_finite_ends_the_run_with_the_last_whole_epoch(kind, poisoned, bad_epoch):
    class TurnsBad(LeastSquares):
        def over(self, rows, theta):
            value, gradient, terms = super().over(rows, theta)
            if len(self.epochs) > bad_epoch and len(rows) == 2:  # the last batch
                value, gradient = (np.nan, gradient) if poisoned == "value" else (value, gradient * np.inf)
            return value, gradient, terms

    problem, thetas = TurnsBad(n_samples=50), [LeastSquares().start]
    solver = kind(batch_size=16)
    result = solver.minimize(problem, problem.start, tol=0, callbacks=[lambda state: thetas.append(state.theta)])
    assert (result.status, result.n_iter, result.n_evaluations) == ("not_finite", bad_epoch, 4 * (bad_epoch + 1))
    np.testing.assert_array_equal(result.theta, thetas[-1])
    assert len(thetas) == bad_epoch + 1
    assert np.isnan(result.value) == (bad_epoch == 0)


def test_moments_that_overflow_end_the_run():
    """In float32, squares of gradients of 1e20 do, and Adam would stand still."""
    problem = LeastSquares()
    problem.dtype, problem.y = np.float32, 1e20 * problem.y
    with np.errstate(over="ignore"):
        result = Adam(batch_size=16).minimize(problem, problem.start.astype(np.float32), tol=0)
    assert (result.status, result.n_iter) == ("not_finite", 0)
    np.testing.assert_array_equal(result.theta, problem.start)


def test_an_interrupt_within_an_epoch_passes_through():
    class Interrupted(LeastSquares):
        def over(self, rows, theta):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SGD().minimize(Interrupted(), np.zeros(5))


def test_an_epoch_without_batches_is_an_error():
    problem = LeastSquares()
    problem.batches = lambda epoch, batch_size: iter(())
    with pytest.raises(ValueError, match="at least one mini-batch; it yielded none in epoch 0"):
        SGD().minimize(problem, problem.start)
