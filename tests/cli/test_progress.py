"""What a user sees of a training: a live line of a terminal of 80 columns, and lines in a log."""

import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest

from rhohat.cli import progress
from rhohat.cli.progress import FitProgress
from rhohat.solvers import IterationState


def state(iteration, value=0.44111, **more):
    return IterationState(iteration, value, {"squared_error": value}, 0.1, np.zeros(2), **more)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def test_a_log_gets_a_line_every_ten_seconds_with_the_time_left(clock, capsys):
    with FitProgress(100) as shown:
        shown.announce("training")
        for iteration in range(1, 26):
            clock.seconds += 1
            shown(state(iteration))
    assert capsys.readouterr().err.splitlines() == [
        "10 s  iteration 10/100  J 0.4411  at most 90 s left",
        "20 s  iteration 20/100  J 0.4411  at most 80 s left",
    ]


def test_iterations_of_the_warm_up_are_shown_with_j_and_do_not_count_for_the_time_left(clock, capsys):
    with FitProgress(100) as shown:
        shown.announce("training")
        for seconds, one in ((10, state(3, n_rows=2000)), (30, state(1)), (10, state(2))):
            clock.seconds += seconds
            shown(one)
    assert capsys.readouterr().err.splitlines() == [
        "10 s  warm-up on 2,000 rows, iteration 3  J 0.4411",
        "40 s  iteration 1/100  J 0.4411",
        "50 s  iteration 2/100  J 0.4411  at most 16 min left",
    ]


def test_a_dictionary_shows_its_figures(clock, capsys):
    measures = {"rows": 2e6, "fvu": 0.1234, "l0": 32.0, "dead": 12}
    with FitProgress() as shown:
        shown.announce("training")
        for number in range(1, 5):
            clock.seconds += 5
            if number > 1:
                shown(state(number, measures={**measures, "rows": number * 1e6}))
            shown.watch(30 * number, 80, 3)
    assert capsys.readouterr().err.splitlines() == [
        "10 s  pass 1/3 75 %  FVU 0.1234  L0 32.0  dead 12  at most 30 s left",
        "20 s  pass 2/3 50 %  FVU 0.1234  L0 32.0  dead 12  200,000 rows/s  at most 20 s left",
    ]


def test_the_progress_of_a_dictionary_moves_within_a_block_of_updates(clock, capsys):
    with FitProgress() as shown:
        for n_updates in (1, 2):
            clock.seconds += 10
            shown.watch(n_updates, 40, 1)
    assert capsys.readouterr().err.splitlines()[1] == "20 s  pass 1/1 5 %  at most 6 min left"


def test_the_length_of_an_iterator_is_not_known(clock, capsys):
    with FitProgress() as shown:
        clock.seconds += 10
        shown(state(1, measures={"rows": 12800.0, "fvu": 0.5, "l0": 4.0, "dead": 0.0}))
        shown.watch(50, None, 1)
    assert capsys.readouterr().err == "10 s  12,800 rows  FVU 0.5000  L0 4.0  dead 0\n"


def test_the_length_of_a_pass_is_not_known_in_the_first_of_several(clock, capsys):
    with FitProgress() as shown:
        clock.seconds += 10
        shown(state(1, measures={"rows": 12800.0, "fvu": 0.5, "l0": 4.0, "dead": 0.0}))
        shown.watch(50, None, 3)
        clock.seconds += 10
        shown.watch(100, 80, 3)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "10 s  pass 1/3 12,800 rows  FVU 0.5000  L0 4.0  dead 0"
    assert said[1].startswith("20 s  pass 2/3 25 %  FVU 0.5000")


def test_nothing_is_printed_with_quiet(clock, capsys):
    with FitProgress(100, quiet=True) as shown:
        clock.seconds += 60
        shown(state(2))
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(os.name == "nt", reason="there are no such terminals on Windows")
def test_the_live_line_fits_a_terminal_of_80_columns(tmp_path):
    import pty  # which Windows has not

    np.save(tmp_path / "rows.npy", np.random.default_rng(0).random((3000, 64), np.float32))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "rhohat", "train", "rows.npy", "-o", "m.safetensors", "--max-iter", "300"]
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm-256color"}
    written = b""
    with subprocess.Popen(
        [*command, "--set", "tol=0"], stderr=theirs, stdout=subprocess.DEVNULL, env=environment, cwd=tmp_path
    ):
        os.close(theirs)
        with suppress(OSError):  # which says that the other end is closed
            while piece := os.read(ours, 4096):
                written += piece
                time.sleep(0.01)
    os.close(ours)
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.decode()).replace("\r", "\n").split("\n")
    live = [line for line in lines if re.search(r"iteration \d+/300  J \d\.\d{4} .*━.* \d+:\d\d", line)]
    assert live
    assert max(len(line.rstrip()) for line in live) <= 80
