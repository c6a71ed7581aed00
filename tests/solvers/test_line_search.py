"""L-BFGS, conjugate gradients and Newton's method, which SciPy carries out."""

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from rhohat.solvers import LBFGS, ConjugateGradient, NewtonCG
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
