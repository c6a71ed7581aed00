"""The display of a fit's progress."""

import os
import pty
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_iris

from rhohat import FeedforwardClassifier
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
