"""What is trained may keep something between mini-batches, and constrain θ: through checkpoints, to the same bits."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from rhohat.fitting.checkpoints import Checkpoints
from rhohat.solvers import SGD, Adam, RunState

N_UNITS, N_FEATURES, N_ROWS = 6, 4, 40


class Dictionary:
    """Rows of a matrix as features: ½ ‖x − ReLU(x Dᵀ − 1.8) D‖², mean over rows, with rows of D of the norm 1.

    It counts for how many rows each unit has been silent, and gives units that have been so for long a push, so that θ
    depends on the counter.
    """

    n_samples, dtype = N_ROWS, np.dtype(np.float64)

    def __init__(self):
        self.rows = np.random.default_rng(0).normal(size=(N_ROWS, N_FEATURES))
        self.silent_for = np.zeros(N_UNITS, np.int64)

    def step_state(self):
        return {"silent for": self.silent_for}

    def constrain(self, theta):
        D = theta.reshape(N_UNITS, N_FEATURES)
        D /= np.linalg.norm(D, axis=1, keepdims=True)

    def batches(self, epoch, batch_size, first_batch=0):
        order = np.random.default_rng(epoch).permutation(N_ROWS)
        for rows in np.array_split(order, N_ROWS // batch_size)[first_batch:]:
            yield self._batch(self.rows[rows]), len(rows)

    def __call__(self, theta):
        return self._evaluate(self.rows, theta)[:2]

    def _batch(self, X):
        def evaluate(theta):
            value, gradient, codes = self._evaluate(X, theta)
            gradient.reshape(N_UNITS, N_FEATURES)[self.silent_for > 15] -= 0.1
            active = np.any(codes > 0, axis=0)
            self.silent_for[:] = np.where(active, 0, self.silent_for + len(X))
            return value, gradient

        return evaluate

    def _evaluate(self, X, theta):
        D = theta.reshape(N_UNITS, N_FEATURES)
        codes = np.maximum(X @ D.T - 1.8, 0)
        residual = codes @ D - X
        through = (residual @ D.T) * (codes > 0)
        gradient = codes.T @ residual + through.T @ X
        return 0.5 * float(np.sum(residual**2)) / len(X), gradient.ravel() / len(X), codes


SOLVERS = {"adam": Adam(learning_rate=0.05, batch_size=8), "sgd": SGD(learning_rate=0.05, batch_size=8)}
SETTINGS = {"max_iter": 12, "tol": 0.0}


def start():
    D = np.random.default_rng(1).normal(size=(N_UNITS, N_FEATURES))
    D[0] = [-9, -9, 9, 9]  # hardly ever active
    return (D / np.linalg.norm(D, axis=1, keepdims=True)).ravel()


class OnDisk:
    """Keeps every state in checkpoints."""

    def __init__(self, folder):
        self.checkpoints = Checkpoints(folder)

    def offer(self, progress, capture):
        state = capture()
        self.checkpoints.save(state.record, state.arrays)

    def withdraw(self):
        pass


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_theta_is_brought_back_after_every_step(solver):
    seen = []

    class Watched(Dictionary):
        def constrain(self, theta):
            seen.append(np.linalg.norm(theta.reshape(N_UNITS, N_FEATURES), axis=1))
            super().constrain(theta)

    result = solver.minimize(Watched(), start(), **SETTINGS)
    np.testing.assert_allclose(np.linalg.norm(result.theta.reshape(N_UNITS, N_FEATURES), axis=1), 1, rtol=1e-14)
    assert len(seen) == 12 * 5
    assert any(np.abs(norms - 1).max() > 1e-6 for norms in seen)  # a step leads away


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_the_state_is_that_of_the_batches_that_were_evaluated(solver):
    dictionary = Dictionary()
    solver.minimize(dictionary, start(), **SETTINGS)
    assert dictionary.silent_for.max() > 0
    assert np.all(dictionary.silent_for % 8 == 0)


KILLED = """
    import os, signal, sys
    from tests.solvers.test_step_state import SETTINGS, SOLVERS, Dictionary, OnDisk, start

    name, folder, most = sys.argv[1], sys.argv[2], int(sys.argv[3])

    class Killed(OnDisk):
        def withdraw(self):
            progress = self.n_offers = getattr(self, "n_offers", 0) + 1
            if progress == most:
                os.kill(os.getpid(), signal.SIGKILL)

    SOLVERS[name].minimize(Dictionary(), start(), keeper=Killed(folder), **SETTINGS)
"""


@pytest.mark.parametrize("most", [7, 40, 101])
@pytest.mark.parametrize("name", SOLVERS)
def test_a_run_that_was_killed_goes_on_to_the_same_bits(name, most, tmp_path):
    whole = Dictionary()
    expected = SOLVERS[name].minimize(whole, start(), **SETTINGS)
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), name, str(tmp_path), str(most)],
        capture_output=True,
        check=False,
        cwd=os.path.dirname(os.path.dirname(os.path.dirname(__file__))),
    )
    assert process.returncode == -9, process.stderr
    record, arrays = Checkpoints(tmp_path).newest()
    assert "of the objective: silent for" in arrays
    resumed = Dictionary()
    result = SOLVERS[name].minimize(resumed, start(), resume_from=RunState(record, arrays), **SETTINGS)
    np.testing.assert_array_equal(result.theta, expected.theta)
    np.testing.assert_array_equal(resumed.silent_for, whole.silent_for)
    assert result.loss_curve == expected.loss_curve


def test_without_its_state_a_run_would_come_to_something_else(tmp_path):
    """The counter matters: a resumed run that forgets it ends elsewhere."""
    solver, expected = SOLVERS["adam"], SOLVERS["adam"].minimize(Dictionary(), start(), **SETTINGS)
    keeper = OnDisk(tmp_path)
    solver.minimize(Dictionary(), start(), keeper=keeper, max_iter=6, tol=0.0)
    record, arrays = keeper.checkpoints.newest()
    record["last_epoch"] = 12

    class Forgetful(Dictionary):
        def step_state(self):
            return {}

    result = solver.minimize(Forgetful(), start(), resume_from=RunState(record, arrays), **SETTINGS)
    assert not np.array_equal(result.theta, expected.theta)
