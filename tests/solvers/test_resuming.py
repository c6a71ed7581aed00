"""Solvers that are stopped anywhere and resumed from what they offered find what they would have found."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from rhohat.solvers import LBFGS, SGD, SOLVERS, Adam, GradientDescent, RunState
from tests.solvers.problems import Quadratic

SOLVERS_THAT_RESUME = {
    "lbfgs": LBFGS(),
    "lbfgs, few pairs": LBFGS(memory=2),
    "gradient descent": GradientDescent(learning_rate=1e-4, momentum=0.5),
    "adaptive": GradientDescent(learning_rate="adaptive", momentum=0.5),
    "adam": Adam(learning_rate=0.1, schedule="cosine"),
    "sgd": SGD(learning_rate=1e-4),
}


class Rosenbrock:
    """A valley that takes every solver many iterations, and line searches several evaluations."""

    def __call__(self, x):
        a, b = x[:-1], x[1:]
        gradient = np.zeros_like(x)
        gradient[:-1] = -400 * a * (b - a**2) - 2 * (1 - a)
        gradient[1:] += 200 * (b - a**2)
        return float(np.sum(100 * (b - a**2) ** 2 + (1 - a) ** 2)), gradient


class InBatches:
    """A sum of squares about points that come in mini-batches, in another order in every epoch."""

    def __init__(self, dtype=np.float64):
        self.points = np.random.default_rng(0).normal(size=(10, 4)).astype(dtype)
        self.n_samples, self.dtype = 10, np.dtype(dtype)

    def __call__(self, x):
        return self._objective(range(10))(x)

    def _objective(self, rows):
        chosen = self.points[list(rows)]
        return lambda x: (float(np.mean((x - chosen) ** 2)), 2 * np.mean(x - chosen, axis=0), {"square": float(x @ x)})

    def batches(self, epoch, batch_size, first_batch=0):
        order = np.random.default_rng(epoch).permutation(10)
        for rows in np.array_split(order, -(-10 // batch_size))[first_batch:]:
            yield self._objective(rows), len(rows)

    def validate(self, x):
        return float(np.sum((x - 0.05) ** 2))


class Keeper:
    """Keeps a copy of every state."""

    def __init__(self):
        self.states = []

    def offer(self, progress, capture):
        state = capture()
        self.states.append(RunState(dict(state.record), {name: a.copy() for name, a in state.arrays.items()}))

    def withdraw(self):
        pass


def same(a, b):
    a, b = asdict(a), asdict(b)
    np.testing.assert_array_equal(a.pop("theta"), b.pop("theta"))
    assert repr(a) == repr(b)


def check_every_state(solver, objective, start, **settings):
    keeper = Keeper()
    whole = solver.minimize(objective, start, **settings)
    same(solver.minimize(objective, start, **settings, keeper=keeper), whole)
    assert len(keeper.states) >= whole.n_iter
    for state in keeper.states:
        copy = RunState(dict(state.record), {name: array.copy() for name, array in state.arrays.items()})
        same(solver.minimize(objective, np.full_like(start, np.nan), **settings, resume_from=copy), whole)
    return keeper


@pytest.mark.parametrize("name", SOLVERS_THAT_RESUME)
@pytest.mark.parametrize("objective", [Quadratic(), Rosenbrock()])
def test_every_state_leads_to_the_same_end(name, objective):
    check_every_state(SOLVERS_THAT_RESUME[name], objective, np.full(6, 0.3), max_iter=25, tol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", [Adam(learning_rate=0.1, batch_size=4, schedule="linear"), SGD(batch_size=3)])
def test_states_within_epochs_lead_to_the_same_end(dtype, solver):
    keeper = check_every_state(solver, InBatches(dtype), np.ones(4), max_iter=6, tol=0.0)
    assert len({state.record["step"] for state in keeper.states}) > 6  # more than one in each epoch


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", [Adam(1e4, batch_size=4, patience=2), SGD(3.0, batch_size=4, patience=2)])
def test_a_run_that_diverges_knows_the_best_from_every_state(solver, early_stopping):
    solver = replace(solver, early_stopping=early_stopping)
    keeper = check_every_state(solver, InBatches(), np.ones(4), max_iter=12, tol=0.0)
    assert solver.minimize(InBatches(), np.ones(4), max_iter=12, tol=0.0).status == "diverged"
    assert any("lowest cost" in state.record for state in keeper.states)


def test_descent_that_diverges_knows_the_best_from_every_state():
    solver = GradientDescent(learning_rate=1.9)
    check_every_state(solver, Quadratic(), Quadratic().minimum + 0.3, max_iter=12, tol=0.0)
    assert solver.minimize(Quadratic(), Quadratic().minimum + 0.3, max_iter=12, tol=0.0).status == "diverged"


def test_early_stopping_goes_on_from_its_best():
    solver = Adam(learning_rate=0.2, batch_size=5, early_stopping=True, patience=3)
    keeper = check_every_state(solver, InBatches(), np.ones(4), max_iter=40, tol=0.0)
    assert any(state.record["best_epoch"] > 0 for state in keeper.states)


def test_callbacks_go_on_with_the_numbers_of_iterations():
    keeper, seen = Keeper(), []
    LBFGS().minimize(Rosenbrock(), np.zeros(4), max_iter=9, keeper=keeper)
    LBFGS().minimize(
        Rosenbrock(), np.zeros(4), max_iter=9, resume_from=keeper.states[5],
        callbacks=[lambda state: seen.append(state.iteration)],
    )  # fmt: skip
    assert seen == [6, 7, 8, 9]


@pytest.mark.parametrize("name", [name for name, solver in SOLVERS.items() if not solver.resumable])
def test_solvers_that_cannot_be_resumed_say_so(name):
    state = RunState({}, {})
    with pytest.raises(ValueError, match="cannot be resumed"):
        SOLVERS[name]().minimize(Quadratic(), np.ones(6), resume_from=state)
