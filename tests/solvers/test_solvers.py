"""What every solver promises."""

import pickle

import numpy as np
import pytest

from rhohat.solvers import (
    LBFGS,
    SGD,
    SOLVERS,
    Adam,
    ConjugateGradient,
    GradientDescent,
    NewtonCG,
    PrintProgress,
    Solver,
    as_solver,
)
from tests.solvers.problems import Quadratic, Quartic

ADAPTIVE = GradientDescent("adaptive", momentum=0.5)
EACH = {
    "lbfgs": LBFGS(),
    "conjugate_gradient": ConjugateGradient(),
    "newton_cg": NewtonCG(),
    "gradient_descent": GradientDescent(learning_rate=0.05),
    "gradient_descent_adaptive": ADAPTIVE,
    "sgd": SGD(learning_rate=0.05),
    "adam": Adam(learning_rate=0.05, epsilon=0.1),  # with a smaller ε and a constant rate it never quite settles
}
each = pytest.mark.parametrize("solver", EACH.values(), ids=EACH.keys())


def test_every_solver_is_here():
    assert {type(solver) for solver in EACH.values()} == set(SOLVERS.values())


@each
def test_the_minimum_of_a_quadratic_is_found_to_the_tolerance(solver):
    problem = Quadratic()
    # Who compares values sees a gradient of about √ε at the smallest.
    tol = 1e-7 if solver == ADAPTIVE else 1e-9
    result = solver.minimize(problem, problem.start, max_iter=10_000, tol=tol)
    assert result.status == "converged"
    assert result.success
    assert result.gradient_norm <= tol
    np.testing.assert_allclose(result.theta, problem.minimum, atol=10 * tol)


@each
def test_the_record_is_consistent(solver):
    problem = Quartic()
    result = solver.minimize(problem, problem.start, max_iter=10, tol=0)
    assert result.n_evaluations == problem.calls
    assert len(result.loss_curve) == result.n_iter == 10
    assert result.loss_curve[-1] == result.value == problem(result.theta)[0]
    assert result.terms == problem(result.theta)[2]
    np.testing.assert_array_equal(np.add(result.terms_curve["left"], result.terms_curve["right"]), result.loss_curve)
    assert result.gradient_norm == np.abs(problem(result.theta)[1]).max()


@each
@pytest.mark.parametrize("max_iter", [1, 2, 7])
def test_max_iter_means_what_it_says(solver, max_iter):
    problem, seen = Quartic(), []
    result = solver.minimize(problem, problem.start, max_iter=max_iter, tol=0, callbacks=[seen.append])
    assert result.n_iter == max_iter == len(seen)
    assert result.status == "max_iter"
    assert not result.success
    assert result.message.startswith("1 iteration was done" if max_iter == 1 else f"{max_iter} iterations were done")
    assert "try max_iter=" in result.message


@each
def test_callbacks_see_every_iteration(solver):
    problem, states = Quartic(), []
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
    assert result.message == "A callback stopped the fit after 3 iterations."
    result = solver.minimize(problem, problem.start, tol=0, callbacks=[lambda state: True])
    assert result.message == "A callback stopped the fit after 1 iteration."


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
    class TurnsBad(Quadratic):
        def __call__(self, theta):
            value, gradient, terms = super().__call__(theta)
            return (value if self.calls < 4 else poison), gradient, terms

    problem, seen = TurnsBad(), [Quadratic().start]
    result = solver.minimize(problem, problem.start, tol=0, callbacks=[lambda state: seen.append(state.theta)])
    assert result.status == "not_finite"
    assert not result.success
    assert "the last finite parameters are kept" in result.message
    assert result.n_evaluations == problem.calls
    assert result.value == Quadratic()(result.theta)[0]
    np.testing.assert_array_equal(result.theta, seen[-1])


@each
def test_a_gradient_that_is_not_finite_at_the_start_is_reported(solver):
    class Nowhere(Quadratic):
        def __call__(self, theta):
            return 1.0, np.full_like(theta, np.nan)

    result = solver.minimize(Nowhere(), np.ones(6))
    assert (result.status, result.n_iter, result.n_evaluations) == ("not_finite", 0, 1)
    assert "at the start" in result.message
    np.testing.assert_array_equal(result.theta, np.ones(6))


@each
@pytest.mark.parametrize("size", [1e77, 1e103, 1e149, 1e155, 1e300, 1e308])
def test_a_cost_of_any_size_ends_with_a_status(solver, size):
    class Large(Quadratic):
        def __call__(self, theta):
            value, gradient, _ = super().__call__(theta)
            with np.errstate(over="ignore"):
                return size * value, size * gradient

        def hessian_vector_product(self, theta, v):
            with np.errstate(over="ignore", invalid="ignore"):
                return size * super().hessian_vector_product(theta, v)

    problem, seen = Large(), []
    result = solver.minimize(problem, problem.start, max_iter=50, tol=0, callbacks=[seen.append])
    assert np.isfinite(result.theta).all()
    assert np.isfinite(result.loss_curve).all()
    if size >= 1e155:
        assert (result.status, result.n_iter) == ("not_finite", 0)
        assert result.message == "The cost or its gradient is not finite at the start; scale the data."
    else:
        assert result.status in ("converged", "max_iter", "stalled", "not_finite")


@each
def test_an_objective_with_the_method_evaluate_is_evaluated_by_it(solver):
    class Named(Quartic):
        def evaluate(self, theta):
            return super().__call__(theta)

        def __call__(self, theta):
            raise AssertionError("evaluate goes first")

    named = solver.minimize(Named(), Quartic.start, max_iter=3, tol=0)
    plain = solver.minimize(Quartic(), Quartic.start, max_iter=3, tol=0)
    np.testing.assert_array_equal(named.theta, plain.theta)
    assert named.terms == plain.terms


@each
def test_an_objective_may_reuse_the_memory_of_its_gradient(solver):
    class Reuses(Quartic):
        memory = np.empty(6)

        def __call__(self, theta):
            value, self.memory[:], terms = super().__call__(theta)
            return value, self.memory, terms

    # From so far out, the adaptive rate grows until a step has to be taken back, which needs the gradient again.
    start = 2 * Quartic.start
    reused = solver.minimize(Reuses(), start, max_iter=60, tol=0)
    plain = solver.minimize(Quartic(), start, max_iter=60, tol=0)
    if solver == ADAPTIVE:
        assert plain.n_evaluations > plain.n_iter + 1
    np.testing.assert_array_equal(reused.theta, plain.theta)
    assert reused.gradient_norm == plain.gradient_norm


@each
def test_a_solver_can_be_pickled(solver):
    assert pickle.loads(pickle.dumps(solver)) == solver  # noqa: S301 - our own bytes


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
    for name, kind in SOLVERS.items():
        assert as_solver(name) == kind()
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
        (lambda: GradientDescent(learning_rate="fast"), "or 'adaptive'; got 'fast'"),
        (lambda: GradientDescent(momentum=1.0), "momentum must be at least 0 and below 1"),
        (lambda: GradientDescent(momentum=-0.1), "momentum must be at least 0"),
        (lambda: SGD(learning_rate=np.nan), "learning_rate must be positive"),
        (lambda: SGD(learning_rate="adaptive"), "learning_rate must be positive"),
        (lambda: SGD(momentum=1), "momentum must be at least 0 and below 1"),
        (lambda: SGD(batch_size=0), "batch_size must be an integer, at least 1 row"),
        (lambda: SGD(schedule="sine"), "schedule must be one of .*'cosine'.* or a callable; got 'sine'"),
        (lambda: SGD(schedule=None), "schedule must be one of"),
        (lambda: Adam(validation_fraction=0), "validation_fraction must be above 0 and below 1"),
        (lambda: Adam(validation_fraction=1.0), "validation_fraction must be above 0 and below 1"),
        (lambda: Adam(patience=0), "patience must be an integer, at least 1 epoch"),
        (lambda: Adam(learning_rate=-1e-3), "learning_rate must be positive"),
        (lambda: Adam(beta_1=1), "beta_1 must be at least 0"),
        (lambda: Adam(beta_2=-0.5), "beta_2 must be at least 0"),
        (lambda: Adam(epsilon=0), "epsilon must be positive"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
