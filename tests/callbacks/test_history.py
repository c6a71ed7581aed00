import csv
import json
import math
import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone

from rhohat import Adam, DenoisingAutoencoder, SparseAutoencoder, TopKAutoencoder
from rhohat.callbacks import CSVHistory, JSONLinesHistory
from tests.callbacks.states import state

pytestmark = pytest.mark.filterwarnings("ignore:.*iterations? (was|were) done:sklearn.exceptions.ConvergenceWarning")

FIXED = ("solve", "rows", "iteration", "value", "gradient_norm", "seconds")


def read(path):
    """The lines of either kind of history, as dicts of numbers with the terms among them; NaN for null or nothing."""
    text = path.read_text(encoding="utf-8")
    assert text == "" or text.endswith("\n")
    if path.suffix == ".csv":
        rows = csv.DictReader(text.splitlines())
        return [{name: float(value or "nan") for name, value in row.items()} for row in rows]
    lines = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    lines = [{**line.pop("terms"), **line} for line in lines]
    return [{name: math.nan if value is None else value for name, value in line.items()} for line in lines]


@pytest.fixture(params=[JSONLinesHistory, CSVHistory])
def kind(request):
    return request.param


@pytest.fixture
def path(tmp_path, kind):
    return tmp_path / ("fit.csv" if kind is CSVHistory else "fit.jsonl")


def places(path):
    return [(line["solve"], line["iteration"]) for line in read(path)]


@pytest.mark.filterwarnings("ignore:only .* made:UserWarning")
def test_the_history_of_a_dictionary_has_its_figures_and_says_how_far_the_training_was(rng, kind, path):
    model = TopKAutoencoder(
        12, k=3, solver=Adam(batch_size=10), max_iter=2, random_state=0, callbacks=[kind(path)]
    ).fit(rng.random((600, 5)))
    lines = read(path)
    assert len(lines) == model.n_iter_ == 4
    for column, curve in (("rows_seen", "rows"), ("fvu", "fvu"), ("l0", "l0"), ("dead", "dead")):
        assert [line[column] for line in lines] == model.measures_curve_[curve]
    assert [line["updates"] for line in lines] == [30, 60, 90, 120]
    assert [line["passes"] for line in lines] == [0.5, 1, 1.5, 2]
    assert not {"rows", "gradient_norm"} & set(lines[0])  # which dictionaries do not have
    seconds = [line["seconds"] for line in lines]
    assert seconds[0] > 0
    assert seconds == sorted(seconds)
    added = kind(path, append=True)
    TopKAutoencoder(12, k=3, max_iter=1, random_state=0, callbacks=[added]).fit(iter([rng.random((600, 5))]))
    assert len(read(path)) > 4
    assert math.isnan(read(path)[-1].get("passes", math.nan))


@pytest.mark.parametrize("solver", ["lbfgs", "gradient_descent", "adam"])
def test_every_iteration_is_a_line_with_the_numbers_of_the_fit(rng, kind, path, solver):
    seen = []
    model = SparseAutoencoder(
        n_components=3, solver=solver, max_iter=6, tol=0, random_state=0, callbacks=[kind(path), seen.append]
    )
    model.fit(rng.random((40, 5)))
    lines = read(path)
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert {line["solve"] for line in lines} == {1}
    assert [line["value"] for line in lines] == model.loss_curve_
    assert [line["gradient_norm"] for line in lines] == [one.gradient_norm for one in seen]
    for name, curve in model.terms_curve_.items():
        assert [line[name] for line in lines] == curve
    assert all(set(line) == {*FIXED, *model.terms_curve_} for line in lines)
    seconds = [line["seconds"] for line in lines]
    assert seconds[0] == 0
    assert seconds == sorted(seconds)


def test_the_columns_of_a_table_stand_in_a_known_order(tmp_path):
    history = CSVHistory(tmp_path / "fit.csv")
    history(state(1, 0.75, {"squared_error": 0.5, "weight, decay": 0.25}))
    header, line = csv.reader((tmp_path / "fit.csv").read_text().splitlines())
    terms = ["squared_error", "weight, decay"]
    assert header == ["solve", "rows", "iteration", "value", *terms, "gradient_norm", "seconds"]
    assert line == ["1", "", "1", "0.75", "0.5", "0.25", "0.1", "0.0"]


def test_the_solves_that_a_fit_consists_of_are_numbered(rng, kind, path):
    model = DenoisingAutoencoder(
        n_components=3, n_corruptions=3, max_iter=4, tol=0, solver="lbfgs", random_state=0, callbacks=[kind(path)]
    )
    model.fit(rng.random((40, 5)))
    assert len(read(path)) == model.n_iter_
    assert {solve for solve, _ in places(path)} == {1, 2, 3}
    model.fit(rng.random((40, 5)))
    assert {solve for solve, _ in places(path)} == {1, 2, 3, 4, 5, 6}


def test_every_call_of_partial_fit_is_a_solve(rng, kind, path):
    model = SparseAutoencoder(n_components=3, solver=Adam(), random_state=0, callbacks=[kind(path)])
    X = rng.random((40, 5))
    model.partial_fit(X).partial_fit(X)
    assert places(path) == [(1, 1), (2, 1)]


def test_numbers_that_are_not_finite_leave_lines_that_can_be_read(kind, path):
    history = kind(path)
    history(state(1, math.nan, {"loss": math.inf}, -math.inf))
    history(state(2, np.float64(0.5), {"loss": np.float32(0.5)}, np.float64(0.25)))
    first, second = read(path)
    assert math.isnan(first["value"])
    assert not math.isfinite(first["loss"])
    assert (second["value"], second["loss"], second["gradient_norm"]) == (0.5, 0.5, 0.25)


def test_a_file_is_emptied_when_the_history_is_made(kind, path):
    path.write_text("something else\n")
    kind(path)
    assert path.read_text() == ""


def test_lines_are_added_to_a_history_and_solves_numbered_on(kind, path):
    first = kind(path)
    for iteration in (1, 2, 3):
        first(state(iteration, terms={"loss": 0.5}))
    second = kind(path, append=True)
    second(state(1, terms={"loss": 0.5}))
    resumed = kind(path, append=True)  # as a fit that goes on from a checkpoint
    resumed(state(2, terms={"loss": 0.5}))
    assert places(path) == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]
    assert kind(path.with_name("new" + path.suffix), append=True).path.read_text() == ""


@pytest.mark.parametrize("text", ["something else\n", "[1]\n", '{"solve": 1}\n', "solve,iteration,value\n1,2\n", "\n"])
def test_lines_are_added_to_no_other_file(kind, path, text):
    path.write_text(text)
    with pytest.raises(ValueError, match="was not written by"):
        kind(path, append=True)
    assert path.read_text() == text


def test_what_cannot_be_written_is_refused_before_a_fit(tmp_path, kind):
    with pytest.raises(FileNotFoundError, match="path must lie in a folder that exists"):
        kind(tmp_path / "no such folder" / "fit")
    with pytest.raises(IsADirectoryError):
        kind(tmp_path)


def test_a_clone_and_a_pickle_add_to_the_same_file(rng, kind, path):
    X = rng.random((40, 5))
    model = SparseAutoencoder(n_components=3, max_iter=2, tol=0, random_state=0, callbacks=[kind(path)])
    clones = [clone(model), clone(model)]
    for one in clones:
        assert one.callbacks[0] is not model.callbacks[0]
        one.fit(X)
    pickle.loads(pickle.dumps(clones[0])).fit(X)  # noqa: S301 - our own
    assert places(path) == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)]
    assert all(line["seconds"] == 0 for line in read(path) if line["iteration"] == 1)


def test_a_table_takes_terms_that_it_has_columns_for(tmp_path):
    history = CSVHistory(tmp_path / "fit.csv")
    history(state(1, terms={"loss": 0.5, "penalty": 0.25}))
    history(state(1, terms={"loss": 0.5}))
    assert (tmp_path / "fit.csv").read_text().splitlines()[2].startswith("2,,1,0.5,0.5,,0.1,")
    for other in (history, CSVHistory(tmp_path / "fit.csv", append=True)):
        with pytest.raises(
            ValueError, match=r"columns for the terms \['loss', 'penalty'\], but J also has the terms \['new'\]"
        ):
            other(state(1, terms={"new": 1.0}))
    JSONLinesHistory(tmp_path / "fit.jsonl")(state(1, terms={"new": 1.0}))


def test_a_fit_that_is_killed_leaves_whole_lines(kind, path):
    code = (
        "import os, signal, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from rhohat import SparseAutoencoder\n"
        f"from rhohat.callbacks import {kind.__name__}\n"
        "def kill(state):\n"
        "    if state.iteration == 4: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"callbacks = [{kind.__name__}(Path(sys.argv[1])), kill]\n"
        "SparseAutoencoder(tol=0, random_state=0, callbacks=callbacks).fit(np.eye(9))"
    )
    outcome = subprocess.run([sys.executable, "-c", code, os.fspath(path)])
    assert outcome.returncode == -signal.SIGKILL
    assert places(path) == [(1, 1), (1, 2), (1, 3), (1, 4)]


def test_a_path_is_that_of_the_folder_in_which_the_history_was_made(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    history = kind("fit")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    history(state(1))
    assert len((tmp_path / "fit").read_text()) > 0
    assert repr(history) == f"{kind.__name__}({str(tmp_path / 'fit')!r}, append=False)"
