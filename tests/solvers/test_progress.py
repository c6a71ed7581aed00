"""The display of a fit's progress."""

import os
import pty
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_iris

from rhohat import Adam, FeedforwardClassifier, TopKAutoencoder
from rhohat.solvers import IterationState
from rhohat.solvers.progress import ShowProgress


def state(iteration, **more):
    return IterationState(iteration, 0.5 / iteration, {}, 0.1, np.zeros(2), **more)


def test_a_line_is_printed_every_ten_seconds_where_there_is_no_terminal(capsys):
    now = [0.0]
    with ShowProgress(40, clock=lambda: now[0]) as progress:
        progress(state(1, n_rows=1000))
        for iteration in range(1, 31):
            now[0] += 1
            progress(state(iteration))
        now[0] += 10
        progress(state(7, n_rows=3000))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "iteration 10/40  J 0.05  10 s",
        "iteration 20/40  J 0.025  20 s",
        "iteration 30/40  J 0.01667  30 s",
        "warm-up on 3,000 rows, iteration 7  J 0.07143  40 s",
    ]


def test_the_training_of_a_dictionary_is_shown_in_passes_update_by_update(capsys):
    now = [0.0]
    with ShowProgress(None, clock=lambda: now[0]) as progress:
        for n_updates in (10, 20, 30):
            now[0] += 10
            progress.watch(n_updates, 20, 2)
            progress(state(1, measures={"rows": 100.0 * n_updates, "fvu": 0.25, "l0": 3.0, "dead": 0.0}))
    assert capsys.readouterr().err.splitlines() == [
        "pass 1/2 50 %  10 s",
        "pass 1/2 100 %  FVU 0.2500  L0 3.0  dead 0  20 s",
        "pass 2/2 50 %  FVU 0.2500  L0 3.0  dead 0  100 rows/s  30 s",
    ]


@pytest.mark.parametrize("verbose", [0, 1, 5])
def test_it_is_off_by_default_and_larger_numbers_print_lines_as_they_did(verbose, capsys):
    X, y = load_iris(return_X_y=True)
    model = FeedforwardClassifier(hidden_layer_sizes=(3,), max_iter=10, tol=1, random_state=0, verbose=verbose)
    model.set_params(tol=0.0, solver="adam", early_stopping=True, n_iter_no_change=100)
    with pytest.warns(UserWarning, match="10 iterations were done"):
        model.fit(X, y)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == (2 if verbose == 5 else 0)


def test_a_terminal_shows_a_bar_with_the_cost():
    pytest.importorskip("rich")
    program = (
        "from sklearn.datasets import load_iris; from rhohat import SoftmaxRegression;"
        "SoftmaxRegression(max_iter=500, tol=1e-2, random_state=0, verbose=1).fit(*load_iris(return_X_y=True))"
    )
    terminal, inside = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", program], stderr=inside, check=True, env={**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    )
    os.close(inside)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert "/500  J " in shown
    assert "━" in shown


def test_a_larger_number_prints_updates_and_figures_of_a_dictionary(rng, capsys):
    solver = Adam(batch_size=10)
    TopKAutoencoder(8, k=2, solver=solver, max_iter=1, random_state=0, verbose=2).fit(rng.random((1000, 4)))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("update 100, 1,000 rows: J = ")
    assert lines[0].endswith(", dead 0")
    assert ", L0 " in lines[0]
    assert "nan" not in lines[0]
