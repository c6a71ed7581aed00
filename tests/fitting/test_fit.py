"""A problem is fitted without an estimator: planned, recorded, interrupted and resumed."""

import ast
from pathlib import Path

import numpy as np
import pytest

import rhohat.fitting
from rhohat import LBFGS, Adam, Checkpoint, NewtonCG
from rhohat.fitting.fit import Fit, Journals, Start
from rhohat.layers.activations import Sigmoid
from rhohat.layers.network import dense_network
from rhohat.objective import Problem
from rhohat.solvers import MiniBatchState
from rhohat.terms.penalties import KLSparsity


@pytest.fixture(name="problem")
def small_problem(rng):
    network = dense_network((6, 3, 6), (Sigmoid(), Sigmoid()))
    return Problem(network, rng.random((60, 6)), penalties=[KLSparsity(0.2, 0.5)])


def start_of(problem, theta=None, seed=3, **how):
    draw = np.random.default_rng
    return Start(theta, lambda drawn: problem.network.initial_theta(draw(drawn)), lambda: seed, **how)


def nothing(result, memory):
    raise AssertionError("it was not interrupted")


@pytest.mark.parametrize(
    "solver", [LBFGS(), Adam(batch_size=20, learning_rate=0.05)], ids=lambda one: type(one).__name__
)
def test_a_problem_is_fitted(solver, problem):
    fit = Fit(solver, max_iter=30, tol=0.0, callbacks=[], n_jobs=1)
    result, memory = fit.run(problem, start_of(problem), nothing)
    assert result.loss_curve[-1] < result.loss_curve[0]
    assert memory == fit.plan_memory(problem)
    again, _ = fit.run(problem, start_of(problem), nothing)
    np.testing.assert_array_equal(again.theta, result.theta)
    further, _ = fit.run(problem, start_of(problem, result.theta), nothing)
    assert further.value < result.value
    other, _ = fit.run(problem, start_of(problem, seed=4), nothing)
    assert np.abs(other.theta - result.theta).max() > 0.01


def test_what_ctrl_c_leaves_is_handed_over_and_the_fit_is_resumed_to_the_same_bits(problem, tmp_path):
    def press(state):
        if state.iteration == 5:
            raise KeyboardInterrupt

    handed = []
    expected, _ = Fit(LBFGS(), 12, 0.0, []).run(problem, start_of(problem), nothing)
    kept = Journals(Checkpoint(tmp_path, every=1), {"of": "this test"})
    with pytest.raises(KeyboardInterrupt):
        Fit(LBFGS(), 12, 0.0, [press], journals=kept).run(
            problem, start_of(problem), lambda result, memory: handed.append(result)
        )
    assert [result.status for result in handed] == ["interrupted"]
    resumed = Journals(Checkpoint(tmp_path, every=1, resume=True), {"of": "this test"})
    assert resumed.resume
    result, _ = Fit(LBFGS(), 12, 0.0, [], journals=resumed).run(problem, start_of(problem, seed=9), nothing)
    np.testing.assert_array_equal(result.theta, expected.theta)


def test_a_fit_of_several_keeps_its_seed(problem, tmp_path):
    drawn = iter([5, 6, 7])
    rows = {"X": problem.X}
    assert Journals().keep_seed(rows, lambda: next(drawn)) == 5
    assert Journals(Checkpoint(tmp_path)).keep_seed(rows, lambda: next(drawn)) == 6
    assert Journals(Checkpoint(tmp_path, resume=True)).keep_seed(rows, lambda: next(drawn)) == 6
    assert next(drawn) == 7


def test_an_epoch_brings_the_state_up_to_date(problem):
    fit, state = Fit(Adam(batch_size=20), max_iter=1, tol=0.0, callbacks=[]), MiniBatchState()
    theta = problem.network.initial_theta(np.random.default_rng(0))
    result = fit.run_epoch(problem, theta, 0, state)
    assert (state.epoch, state.step) == (1, 3)
    fit.run_epoch(problem, result.theta, 0, state)
    assert (state.epoch, state.step) == (2, 6)


def test_a_solver_that_cannot_be_resumed_is_refused_with_a_checkpoint(tmp_path):
    with pytest.raises(ValueError, match="needs a solver whose state can be written, and the state of NewtonCG cannot"):
        Fit(NewtonCG(), 10, 0.0, [], journals=Journals(Checkpoint(tmp_path)))


def test_fits_know_no_scikit_learn():
    for path in Path(rhohat.fitting.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.startswith(("sklearn", "rhohat.estimators"))], path
