"""What every solver promises, and what is particular to each."""

import warnings

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from rhohat.solvers import LBFGS, GradientDescent, PrintProgress, Solver, as_solver

SOLVERS = {"lbfgs": LBFGS(), "gradient_descent": GradientDescent(learning_rate=0.05)}
each = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS.keys())


class Quadratic:
    """½ θᵀAθ − bᵀθ in two named terms, counting its evaluations."""

    def __init__(self, seed=0, size=6):
        rng = np.random.default_rng(seed)
        root = rng.normal(size=(size, size))
        self.A, self.b = root @ root.T / size + np.eye(size), rng.normal(size=size)
        self.minimum = np.linalg.solve(self.A, self.b)
        self.start = rng.normal(size=size)
        self.calls = 0

    def __call__(self, theta):
        self.calls += 1
        terms = {"curved": 0.5 * theta @ self.A @ theta, "straight": -self.b @ theta}
        return sum(terms.values()), self.A @ theta - self.b, terms


@each
def test_the_minimum_of_a_quadratic_is_found_to_the_tolerance(solver):
    problem = Quadratic()
    result = solver.minimize(problem, problem.start, max_iter=10_000, tol=1e-9)
    assert result.status == "converged"
    assert result.success
    assert result.gradient_norm <= 1e-9
    np.testing.assert_allclose(result.theta, problem.minimum, atol=1e-8)


@each
def test_the_record_is_consistent(solver):
    problem = Quadratic()
    result = solver.minimize(problem, problem.start, max_iter=10, tol=0)
    assert result.n_evaluations == problem.calls
    assert len(result.loss_curve) == result.n_iter == 10
    assert result.loss_curve[-1] == result.value == problem(result.theta)[0]
    assert result.terms == problem(result.theta)[2]
    np.testing.assert_array_equal(
        np.add(result.terms_curve["curved"], result.terms_curve["straight"]), result.loss_curve
    )
    assert result.gradient_norm == np.abs(problem(result.theta)[1]).max()


@each
@pytest.mark.parametrize("max_iter", [1, 2, 7])
def test_max_iter_means_what_it_says(solver, max_iter):
    problem, seen = Quadratic(), []
    result = solver.minimize(problem, problem.start, max_iter=max_iter, tol=0, callbacks=[seen.append])
    assert result.n_iter == max_iter == len(seen)
    assert result.status == "max_iter"
    assert not result.success
    assert f"{max_iter} iterations were done" in result.message
    assert "raise max_iter" in result.message


@each
def test_callbacks_see_every_iteration(solver):
    problem, states = Quadratic(), []
    result = solver.minimize(problem, problem.start, max_iter=5, tol=0, callbacks=[states.append])
    assert [state.iteration for state in states] == [1, 2, 3, 4, 5]
    assert [state.value for state in states] == result.loss_curve
    for state in states:
        value, gradient, terms = problem(state.theta)
        assert (state.value, state.terms, state.gradient_norm) == (value, terms, np.abs(gradient).max())
        with pytest.raises(ValueError, match="read-only"):
            state.theta[0] = 0


@each
def test_a_callback_stops_the_run_by_returning_true(solver):
    problem, seen = Quadratic(), []
    stop_at_three = [lambda state: state.iteration == 3, lambda state: seen.append(state.iteration)]
    result = solver.minimize(problem, problem.start, tol=0, callbacks=stop_at_three)
    assert result.status == "stopped"
    assert result.success
    assert result.n_iter == 3
    assert seen == [1, 2, 3]


@each
@pytest.mark.parametrize(("answer", "n_iter"), [(np.True_, 1), (np.False_, 4), (1, 4), ("yes", 4), (None, 4)])
def test_only_a_true_answer_stops_a_run(solver, answer, n_iter):
    problem = Quadratic()
    result = solver.minimize(problem, problem.start, max_iter=4, tol=0, callbacks=[lambda state: answer])
    assert result.n_iter == n_iter


@each
def test_an_exception_in_a_callback_passes_through(solver):
    problem = Quadratic()

    def fail(state):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solver.minimize(problem, problem.start, callbacks=[fail])


@each
def test_the_start_is_left_as_it_is_and_returned_where_it_is_the_minimum(solver):
    problem = Quadratic()
    start = problem.minimum.copy()
    result = solver.minimize(problem, start, tol=1e-6)
    assert (result.status, result.n_iter, result.n_evaluations, result.loss_curve) == ("converged", 0, 1, [])
    np.testing.assert_array_equal(start, problem.minimum)
    solver.minimize(problem, problem.start, max_iter=3)
    np.testing.assert_array_equal(problem.start, Quadratic().start)


@each
@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_values_that_are_not_finite_end_the_run_at_the_last_finite_point(solver, poison):
    problem = Quadratic()

    def turns_bad(theta):
        value, gradient, _ = problem(theta)
        return (value, gradient) if problem.calls < 4 else (poison, gradient)

    result = solver.minimize(turns_bad, problem.start, tol=0)
    assert result.status == "not_finite"
    assert not result.success
    assert "the last finite parameters are kept" in result.message
    assert np.isfinite(result.value)
    assert result.value == problem(result.theta)[0]


@each
def test_a_gradient_that_is_not_finite_at_the_start_is_reported(solver):
    result = solver.minimize(lambda x: (1.0, np.full_like(x, np.nan)), np.ones(3))
    assert (result.status, result.n_iter) == ("not_finite", 0)
    np.testing.assert_array_equal(result.theta, np.ones(3))


def test_lbfgs_solves_rosenbrock_and_a_longer_memory_needs_no_more_iterations():
    start = np.tile([-1.2, 1.0], 10)
    results = [LBFGS(memory).minimize(lambda x: (rosen(x), rosen_der(x)), start, max_iter=2000) for memory in (3, 50)]
    for result in results:
        assert result.status == "converged"
        np.testing.assert_allclose(result.theta, 1, atol=1e-4)
    assert results[1].n_iter <= results[0].n_iter


def test_lbfgs_takes_little_more_than_one_evaluation_an_iteration():
    problem = Quadratic(size=50)
    result = LBFGS().minimize(problem, problem.start, tol=1e-8)
    assert result.n_evaluations <= 1.3 * result.n_iter + 2


def test_lbfgs_says_when_precision_is_reached():
    """A cost that is rounded to thousandths cannot be lowered all the way to the gradient's zero."""
    start = np.array([-1.2, 1.0, 0.3])
    result = LBFGS().minimize(lambda x: (round(float(rosen(x)), 3), rosen_der(x)), start, tol=1e-12)
    assert result.status in ("stalled", "converged")
    assert result.gradient_norm > 1e-12
    assert "precision" in result.message


def test_gradient_descent_takes_the_step_of_its_formula():
    problem = Quadratic()
    result = GradientDescent(learning_rate=0.3).minimize(problem, problem.start, max_iter=2, tol=0)
    by_hand = problem.start
    for _ in range(2):
        by_hand = by_hand - 0.3 * (problem.A @ by_hand - problem.b)
    np.testing.assert_array_equal(result.theta, by_hand)
    assert result.n_evaluations == 3


def test_gradient_descent_that_diverges_says_so():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        result = GradientDescent(learning_rate=1e3).minimize(Quadratic(), np.ones(6), max_iter=10_000)
    assert result.status == "not_finite"
    assert np.all(np.isfinite(result.theta))
    assert "lower the learning rate" in result.message


def test_progress_is_printed_to_standard_error_every_so_often(capsys):
    problem = Quadratic()
    LBFGS().minimize(problem, problem.start, max_iter=5, tol=0, callbacks=[PrintProgress(every=2)])
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["iteration 2", "iteration 4"]
    assert "curved" in lines[0]


def test_solvers_go_by_name_or_object():
    assert as_solver("lbfgs") == LBFGS()
    assert as_solver("gradient_descent") == GradientDescent()
    custom = LBFGS(memory=7)
    assert as_solver(custom) is custom
    assert isinstance(custom, Solver)
    with pytest.raises(ValueError, match="solver must be one of"):
        as_solver("newton")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LBFGS(memory=0), "memory must be an integer, at least 1"),
        (lambda: LBFGS(memory=2.5), "memory must be an integer"),
        (lambda: PrintProgress(every=0), "every must be at least 1"),
        (lambda: GradientDescent(learning_rate=0), "learning_rate must be positive"),
        (lambda: GradientDescent(learning_rate=np.inf), "learning_rate must be positive"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
