"""L-BFGS with its line search; conjugate gradients and Newton's method, which SciPy carries out."""

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from rhohat.solvers import LBFGS, ConjugateGradient, NewtonCG
from rhohat.solvers.lbfgs import _InverseHessian
from rhohat.solvers.line_search import search_line
from rhohat.solvers.run import Run
from tests.solvers.problems import LogBarrier, Quadratic, Rosenbrock

each = pytest.mark.parametrize("solver", [LBFGS(), ConjugateGradient(), NewtonCG()], ids=lambda s: type(s).__name__)


@each
def test_rosenbrocks_valley_is_followed_to_its_end(solver):
    result = solver.minimize(Rosenbrock(), Rosenbrock.start, max_iter=2000)
    assert result.status == "converged"
    np.testing.assert_allclose(result.theta, 1, atol=1e-4)
    assert np.all(np.diff(result.loss_curve) < 0)


@each
def test_a_trial_point_that_is_not_finite_is_backed_away_from(solver):
    """The barrier is so steep at the start that many a step leads far beyond it."""
    problem = LogBarrier()
    result = solver.minimize(problem, np.geomspace(1e-4, 1e3, 20), max_iter=1000, tol=1e-6)
    assert problem.refused > 10  # more in all than the run would endure in a row
    assert result.status == "converged"
    np.testing.assert_allclose(result.theta, 1, atol=1e-5)
    assert np.all(np.isfinite(result.loss_curve))


@each
def test_where_no_neighbour_is_finite_the_run_ends_after_a_few_trials(solver):
    class Alone(Quadratic):
        tried = ()

        def __call__(self, theta):
            value, gradient, terms = super().__call__(theta)
            self.tried += (np.linalg.norm(theta - self.start),)
            return (value if np.array_equal(theta, self.start) else np.inf), gradient, terms

    problem = Alone()
    result = solver.minimize(problem, problem.start)
    assert (result.status, result.n_iter) == ("not_finite", 0)
    assert result.n_evaluations == problem.calls == 11
    np.testing.assert_array_equal(result.theta, problem.start)
    nearer = np.divide(problem.tried[2:], problem.tried[1:-1])
    np.testing.assert_allclose(nearer, 0.25 if solver == NewtonCG() else 0.1, rtol=1e-3)


@each
def test_the_precision_of_the_arithmetic_ends_a_run(solver):
    """A cost that is rounded to thousandths cannot be lowered all the way to the gradient's zero."""

    class Rounded(Rosenbrock):
        def __call__(self, theta):
            return round(float(rosen(theta)), 3), rosen_der(theta)

    result = solver.minimize(Rounded(), np.array([-1.2, 1.0, 0.3]), tol=1e-12)
    assert result.status in ("stalled", "converged")
    assert result.value < round(float(rosen([-1.2, 1.0, 0.3])), 3)
    assert result.status == "converged" or "precision" in result.message


def test_a_longer_memory_of_lbfgs_needs_no_more_iterations():
    short, long = (LBFGS(memory).minimize(Rosenbrock(), Rosenbrock.start, max_iter=2000) for memory in (3, 50))
    assert long.n_iter <= short.n_iter


def test_lbfgs_takes_little_more_than_one_evaluation_an_iteration():
    problem = Quadratic(size=50)
    result = LBFGS().minimize(problem, problem.start, tol=1e-8)
    assert result.n_evaluations <= 1.3 * result.n_iter + 2


def test_conjugate_gradients_solve_a_quadratic_in_as_many_iterations_as_it_has_eigenvalues():
    problem = Quadratic(size=20)
    values, vectors = np.linalg.eigh(problem.A)
    problem.A = vectors @ np.diag(np.where(values < np.median(values), 1.0, 5.0)) @ vectors.T
    result = ConjugateGradient().minimize(problem, problem.start, tol=1e-6)
    assert result.status == "converged"
    assert result.n_iter <= 3  # 2, and 1 for a line search that is not exact
    assert GRADIENT_STEPS_AT_THE_BEST_RATE > 3


#: The error shrinks by (5 − 1) / (5 + 1) in each step of gradient descent.
GRADIENT_STEPS_AT_THE_BEST_RATE = np.log(1e-6) / np.log(4 / 6)


def test_newton_counts_its_hessian_products_and_needs_few_evaluations():
    problem = Quadratic(size=50)
    result = NewtonCG().minimize(problem, problem.start, tol=1e-6)
    assert result.status == "converged"
    assert result.n_hessian_products == problem.products > 0
    assert result.n_evaluations == problem.calls < LBFGS().minimize(problem, problem.start, tol=1e-6).n_evaluations


def test_newton_leaves_a_saddle_by_negative_curvature():
    """x² − y² + ¼ y⁴ has a saddle at 0, where Newton's own step from near it would lead."""

    class Saddle:
        def __call__(self, theta):
            x, y = theta
            return x**2 - y**2 + y**4 / 4, np.array([2 * x, -2 * y + y**3])

        def hessian_vector_product(self, theta, v):
            return np.array([2 * v[0], (-2 + 3 * theta[1] ** 2) * v[1]])

    result = NewtonCG().minimize(Saddle(), np.array([1.0, 1e-3]))
    assert result.status == "converged"
    np.testing.assert_allclose(result.theta, [0, np.sqrt(2)], atol=1e-5)
    assert np.all(np.diff(result.loss_curve) < 0)


def test_newton_without_hessian_products_is_refused_before_any_work():
    problem = Quadratic()
    with pytest.raises(ValueError, match=r"hessian_vector_product.*'lbfgs' or 'conjugate_gradient'"):
        NewtonCG().minimize(lambda theta: problem(theta), problem.start)
    assert problem.calls == 0


def test_a_hessian_product_that_is_not_finite_ends_the_run():
    class BadHessian(Quadratic):
        def hessian_vector_product(self, theta, v):
            product = super().hessian_vector_product(theta, v)
            return product if self.calls < 3 else np.nan * product

    problem = BadHessian()
    result = NewtonCG().minimize(problem, problem.start, tol=1e-9)
    assert result.status == "not_finite"
    assert "product of the Hessian" in result.message
    assert result.n_iter == 2
    assert result.value == problem(result.theta)[0]


def along_a_line(function):
    """Return a run at 0 on a line, for a function that returns value and slope."""

    def objective(theta):
        value, slope = function(float(theta[0]))
        return value, np.array([slope])

    run = Run(objective, max_iter=100, tol=0.0, callbacks=())
    run.start(np.zeros(1))
    return run


@pytest.mark.parametrize("step", [1e-6, 1e-2, 1.0, 30.0])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: ((x - 3) ** 2, 2 * (x - 3)),
        lambda x: (-x * np.exp(-x), (x - 1) * np.exp(-x)),
        lambda x: (np.cos(x) - x / 10, -np.sin(x) - 0.1),
        lambda x: (x**4 - 5 * x, 4 * x**3 - 5),
    ],
    ids=["parabola", "valley before a plain", "waves", "steep"],
)
def test_the_point_found_satisfies_the_strong_wolfe_conditions(function, step):
    run = along_a_line(lambda x: function(max(x, -1.0)))
    start, slope = run.point.value, float(run.point.gradient[0])
    point = search_line(run, np.array([-np.sign(slope)]), step)
    x, slope = float(point.theta[0]), abs(slope)
    assert point.value <= start - 1e-4 * abs(x) * slope
    assert abs(point.gradient[0]) <= 0.9 * slope


def test_a_small_slope_does_not_excuse_a_small_decrease():
    """At 1, J has hardly fallen and is flat; the conditions hold nearer."""

    def function(x):
        return (-1e-5, -0.5) if x >= 1 else (-x * (1 - x) - 1e-5 * x, 2 * x - 1 - 1e-5)

    point = search_line(along_a_line(function), np.ones(1), 1.0)
    assert 0 < point.theta[0] < 1
    assert point.value < -0.1


def test_the_best_point_is_kept_where_all_beyond_it_are_not_finite():
    result = LBFGS().minimize(lambda x: (-float(x[0]) if x[0] <= 1 else np.inf, np.array([-1.0])), np.zeros(1))
    assert result.theta[0] >= 1 - 1e-6
    assert result.n_iter >= 1
    assert result.status == "not_finite"


@pytest.mark.parametrize("scale", [1e-200, 1e-320])
def test_gradients_whose_squares_vanish_end_a_run(scale):
    result = LBFGS().minimize(lambda x: (scale * float(x @ x), 2 * scale * x), np.array([3.0, -4.0]), tol=0.0)
    assert result.status in ("stalled", "converged")


def test_the_compact_form_is_the_two_loop_recursion(rng):
    """With pairs left out for their curvature, with more pairs than the memory holds, and after forgetting them."""

    def two_loops(pairs, g):
        q, alphas = g.copy(), []
        for s, y in reversed(pairs):
            alphas.append(s @ q / (s @ y))
            q -= alphas[-1] * y
        s, y = pairs[-1] if pairs else (np.ones(1), np.ones(1))
        q *= s @ y / (y @ y)
        for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
            q += (alpha - y @ q / (s @ y)) * s
        return q

    n, memory = 8, 4
    hessian, pairs, g = _InverseHessian(memory, n), [], rng.normal(size=n)
    hessian.multiply(g)
    for step in range(40):
        if step % 11 == 10:
            hessian.start_anew(g)
            pairs = []
            np.testing.assert_array_equal(hessian.multiply(g), g)
        s, after = rng.normal(size=n), rng.normal(size=n)
        y = after - g
        if s @ y > 0:
            pairs = [*pairs, (s, y)][-memory:]
        found = hessian.multiply_next(s, y, after)
        np.testing.assert_allclose(found, two_loops(pairs, after), rtol=1e-9, atol=1e-9)
        g = after
    assert hessian.n_pairs == len(pairs)


@pytest.mark.parametrize("size", [2.0**-400, 2.0**256, 2.0**330, 2.0**440])
def test_a_search_does_not_depend_on_the_size_of_the_cost(size):
    """Squares of slopes would overflow, or vanish; a power of two changes no digit."""

    def steps_to(size):
        def cost(theta):
            return size * rosen(theta), size * rosen_der(theta)

        run = Run(cost, 10, 0.0, [])
        run.start(np.array([-1.2, 1.0]))
        return search_line(run, -run.point.gradient, 1 / size).theta

    np.testing.assert_array_equal(steps_to(size), steps_to(1.0))
