"""Training on sequences: threads, interruptions, mini-batches, parts of fits, and what callbacks see."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from rhohat import SGD, Adam, Checkpoint, DaskEngine, SparseAutoencoder, open_rows
from rhohat.callbacks import JSONLinesHistory
from tests.estimators.sequences import (
    KINDS,
    LABELS,
    LENGTHS,
    SEQUENCES,
    STEP_LABELS,
    autoencoder,
    classifier,
    padded,
    regressor,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:The code is the same for every row:UserWarning"),
]

ADAM = Adam(learning_rate=0.01, batch_size=8)
MANY = np.random.default_rng(2).permutation(np.arange(3000) % 40)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["lbfgs", ADAM], ids=["lbfgs", "adam"])
def test_the_number_of_threads_changes_no_bit(kind, solver):
    model, targets = KINDS[kind]
    X = [SEQUENCES[one] for one in MANY]  # several blocks, and a warm-up
    y = [[part[one] for one in MANY] if isinstance(part, list) else part[MANY] for part in targets]
    fits = [clone(model).set_params(solver=solver, max_iter=2, n_jobs=n_jobs).fit(X, *y) for n_jobs in (1, 2, 4)]
    for other in fits[1:]:
        np.testing.assert_array_equal(fits[0].theta_, other.theta_)
        np.testing.assert_array_equal(fits[0].codes(padded().reshape(40, 14)), other.codes(padded().reshape(40, 14)))


KILLED = """
    import os, signal, sys
    from tests.estimators.test_sequences_training import checkpointed

    def kill(state):
        if state.iteration == 4:
            os.kill(os.getpid(), signal.SIGKILL)

    model, targets = checkpointed(sys.argv[1], sys.argv[2], callbacks=[kill])
    model.fit(*targets)
"""


def checkpointed(kind, folder, **parameters):
    model, targets = KINDS[kind]
    keeping = Checkpoint(folder, every=1, resume=False) if folder else None
    settings = {"solver": ADAM, "max_iter": 7, "checkpoint": keeping, **parameters}
    return clone(model).set_params(**settings), (SEQUENCES, *targets)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_that_was_killed_is_resumed_to_the_same_bits(kind, tmp_path):
    model, arguments = checkpointed(kind, None)
    expected = model.fit(*arguments)
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), kind, str(tmp_path / "checkpoints")],
        capture_output=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert process.returncode == -9, process.stderr
    resumed = clone(model).set_params(checkpoint=Checkpoint(tmp_path / "checkpoints", resume=True)).fit(*arguments)
    np.testing.assert_array_equal(resumed.theta_, expected.theta_)
    assert resumed.loss_curve_ == expected.loss_curve_


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", [ADAM, SGD(learning_rate=0.05, batch_size=16)], ids=["adam", "sgd"])
def test_partial_fits_are_the_epochs_of_a_fit(kind, solver):
    model, targets = KINDS[kind]
    expected = clone(model).set_params(solver=solver, max_iter=3, tol=0.0).fit(SEQUENCES, *targets)
    for X in (SEQUENCES, padded()):
        parts = clone(model).set_params(solver=solver)
        for _ in range(3):
            parts.partial_fit(X, *targets)
        np.testing.assert_array_equal(parts.theta_, expected.theta_)


def test_the_first_part_decides_on_the_number_of_steps_unless_it_is_given():
    short = np.flatnonzero(LENGTHS < 6)
    X, y = [SEQUENCES[one] for one in short], LABELS[short]
    model = classifier(solver=ADAM).partial_fit(X, y)
    assert model.input_shape_ == (5, 2)
    with pytest.raises(ValueError, match="sequence 1 of X has more than 5 steps"):
        model.partial_fit(SEQUENCES, LABELS)
    model = classifier(solver=ADAM, input_shape=(7, 2)).partial_fit(X, y).partial_fit(SEQUENCES, LABELS)
    assert model.input_shape_ == (7, 2)
    labels = [np.full(len(one), "up") for one in X]
    steps = classifier(per_step=True, solver=ADAM, input_shape=(7, 2))
    steps.partial_fit(X, labels, classes=["down", "up"]).partial_fit(SEQUENCES, STEP_LABELS)
    np.testing.assert_array_equal(steps.classes_, ["down", "up"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_warm_start_goes_on_where_the_last_fit_ended(kind):
    model, targets = KINDS[kind]
    fitted = clone(model).set_params(warm_start=True, max_iter=3).fit(SEQUENCES, *targets)
    theta, J = fitted.theta_.copy(), fitted.cost(SEQUENCES, *targets)[0]
    np.testing.assert_array_equal(fitted.initial_theta(SEQUENCES, *targets), theta)
    fitted.fit(SEQUENCES, *targets)
    assert fitted.cost(SEQUENCES, *targets)[0] < J
    short = np.flatnonzero(LENGTHS < 4)  # fewer steps than in the first fit
    y = [[part[one] for one in short] if isinstance(part, list) else part[short] for part in targets]
    fitted.fit([SEQUENCES[one] for one in short], *y)
    assert fitted.input_shape_ == (7, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_held_out_for_early_stopping(kind):
    model, targets = KINDS[kind]
    solver = Adam(learning_rate=0.02, batch_size=8, early_stopping=True, validation_fraction=0.25)
    fitted = clone(model).set_params(solver=solver, max_iter=4).fit(SEQUENCES, *targets)
    assert len(fitted.validation_curve_) == fitted.n_iter_
    assert np.isfinite(fitted.validation_curve_).all()
    again = clone(model).set_params(solver=solver, max_iter=4).fit(padded(), *targets)
    assert again.validation_curve_ == fitted.validation_curve_


@pytest.mark.parametrize("kind", KINDS)
def test_callbacks_see_every_iteration(kind, tmp_path):
    model, targets = KINDS[kind]
    seen, file = [], tmp_path / "history.jsonl"
    fitted = clone(model).set_params(callbacks=[lambda s: seen.append(s.value), JSONLinesHistory(file)])
    fitted.set_params(max_iter=3).fit(SEQUENCES, *targets)
    assert seen == fitted.loss_curve_
    assert len(file.read_text().splitlines()) == len(seen)


def test_an_interrupted_fit_keeps_its_last_iterate():
    def interrupt(state):
        if state.iteration == 2:
            raise KeyboardInterrupt

    fitted = autoencoder(callbacks=[interrupt], warm_start=True)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(SEQUENCES)
    assert fitted.solver_status_ == "interrupted"
    assert np.isfinite(fitted.theta_).all()


@pytest.mark.parametrize("solver", ["conjugate_gradient", "gradient_descent", "sgd", "adam"])
def test_every_solver_learns_from_sequences(solver):
    fitted = regressor(solver=solver, max_iter=4).fit(SEQUENCES, [one.sum() for one in SEQUENCES])
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0]


def test_a_cluster_gives_what_threads_give():
    pytest.importorskip("distributed")
    import dask.array as da
    from distributed import Client, LocalCluster

    chunks = da.from_array(padded(), chunks=(10, 7, 2))
    expected = autoencoder().fit(SEQUENCES)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        fitted = autoencoder(engine=DaskEngine(client)).fit(chunks)
    np.testing.assert_allclose(fitted.theta_, expected.theta_, rtol=1e-6, atol=1e-8)


def test_a_source_that_was_read_as_sequences_is_read_as_rows_afterwards():
    rows = open_rows(padded())
    autoencoder().fit(rows)
    with pytest.raises(ValueError, match="the array contains NaN or infinity, first in row 0, column 6"):
        SparseAutoencoder(n_components=2, max_iter=2).fit(rows)
    autoencoder().fit(rows)
