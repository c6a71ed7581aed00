"""What a fit says that it will hold, what it holds, and that a limit is kept."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from rhohat import (
    LBFGS,
    Adam,
    DenoisingAutoencoder,
    FeedforwardClassifier,
    SparseAutoencoder,
    StackedAutoencoder,
    open_rows,
)
from rhohat.estimators.stacked_autoencoder import FlatRows
from rhohat.fitting.memory import as_bytes, plan_memory, warm_up_sizes
from rhohat.solvers import as_solver
from tests.peak_memory import PEAK

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(name="X", scope="module")
def rows():
    return np.random.default_rng(0).random((30_000, 20), dtype=np.float32)


def plan_of(model, X, limit=None, n_workers=2):
    problem = model._make_problem(X, model._choose_network(X, continues=False))
    return plan_memory(problem, as_solver(model.solver), n_workers, limit)


@pytest.mark.parametrize(
    ("limit", "n_bytes"),
    [(512, 512), ("512 MB", 512_000_000), ("512MB", 512_000_000), ("1.5 GiB", 3 * 2**29), ("4096", 4096)],
)
def test_limits_are_bytes_or_texts(limit, n_bytes):
    assert as_bytes(limit) == n_bytes


@pytest.mark.parametrize("limit", ["much", "", "0 MB", "-5 MB", "5 mb", "5 MB 3", 0, -1])
def test_limits_that_are_neither_are_refused(limit, X):
    with pytest.raises(ValueError, match="memory_limit"):
        SparseAutoencoder(n_components=2, memory_limit=limit).fit(X)


def test_a_plan_names_what_will_be_held(X):
    plan = plan_of(SparseAutoencoder(n_components=10, sparsity=0.1), open_rows(X))
    parts = dict(plan.parts)
    n_parameters = 2 * 20 * 10 + 30
    assert parts["the 50 pairs of L-BFGS"] == 100 * 8 * n_parameters
    assert parts["hidden activations kept for pass 2"] == 30_000 * 10 * 4
    assert plan.total == sum(parts.values())
    lines = str(plan).splitlines()
    assert lines[0].startswith("memory that the fit will hold: ")
    assert len(lines) == 1 + len(parts)


def test_hidden_activations_that_do_not_fit_are_computed_twice(X):
    model, rows = SparseAutoencoder(n_components=30, sparsity=0.1), open_rows(X)
    least = int(float(re.search(r"too low: ([\d.]+) MB would be enough", refusal(model, rows))[1]) * 10**6)
    for more in (1.01, 1.05):
        plan = plan_of(model, rows, limit=int(more * least))
        share = int(re.search(r"kept for pass 2, of (\d+) % of the rows", str(plan))[1])
        assert share == plan.cache_bytes * 100 // (30_000 * 30 * 4) < 100
        assert plan.total <= plan.limit


def refusal(model, rows):
    with pytest.raises(ValueError, match=r"is too low: .* would be enough") as error:
        plan_of(model, rows, limit=1000)
    return str(error.value)


def test_a_limit_that_is_too_low_is_refused_before_work_with_what_would_do(X):
    model, calls = SparseAutoencoder(n_components=10, sparsity=0.1, memory_limit="1 MB"), []
    with pytest.raises(ValueError, match=r"memory_limit=1 MB is too low: .*solver=LBFGS\(memory=10\)"):
        model.set_params(callbacks=[calls.append]).fit(open_rows(X))
    assert calls == []
    message = refusal(SparseAutoencoder(n_components=10, solver=Adam()), open_rows(X))
    assert "smaller batches" in message


def test_the_plan_is_shown_before_the_fit_and_kept(X, capsys):
    seen = []
    model = SparseAutoencoder(
        n_components=3, max_iter=2, memory_limit="50 MB", callbacks=[lambda state: seen.append(capsys.readouterr().err)]
    ).fit(open_rows(X))
    assert seen[0].strip() == str(model.memory_plan_)
    assert "of the 50 MB allowed" in seen[0]


@pytest.mark.parametrize("n_corruptions", [1, 2])
def test_rows_in_memory_are_not_copied_where_copies_do_not_fit(n_corruptions, X):
    """Corrupted block by block as they are read, to the same bits."""
    parameters = {
        "n_components": 3,
        "solver": LBFGS(warm_up=False),
        "n_corruptions": n_corruptions,
        "max_iter": 3,
        "random_state": 0,
    }
    model = DenoisingAutoencoder(**parameters)
    assert plan_of(model, X).by_blocks is False
    assert plan_of(model, X, limit=5 * 10**6).by_blocks is True
    limited = DenoisingAutoencoder(**parameters, memory_limit="5 MB").fit(X)
    assert limited.memory_plan_.by_blocks
    np.testing.assert_array_equal(limited.theta_, model.fit(X).theta_)


def test_float32_first_converts_block_by_block_where_copies_do_not_fit(X):
    solver = LBFGS(float32_first=True, warm_up=False)
    model = SparseAutoencoder(n_components=3, solver=solver, max_iter=4, random_state=0)
    whole = model.fit(X.astype(np.float64)).theta_
    limited = model.set_params(memory_limit="6 MB").fit(X.astype(np.float64))
    assert limited.memory_plan_.by_blocks
    np.testing.assert_array_equal(limited.theta_, whole)


def test_sizes_of_a_warm_up_keep_to_the_bytes_given():
    assert warm_up_sizes(2000, 8, 10**9) == []
    assert warm_up_sizes(2001, 8, 10**9) == [1000]
    assert warm_up_sizes(10**6, 8, 10**9) == [1000, 3000, 9000, 27_000, 81_000, 243_000]
    assert warm_up_sizes(10**6, 8, 80_000) == [1000, 3000, 9000]
    assert warm_up_sizes(10**6, 8, 7000) == []


def test_a_stack_passes_the_limit_on_and_keeps_codes_in_files(X, monkeypatch):
    written, write = [], FlatRows.written
    monkeypatch.setattr(FlatRows, "written", lambda *arguments: written.append(arguments) or write(*arguments))
    layers = [SparseAutoencoder(n_components=n, max_iter=2) for n in (5, 3)]
    whole = StackedAutoencoder(layers, random_state=0).fit(X)
    assert written == []
    limited = StackedAutoencoder(layers, random_state=0, memory_limit="100 MB").fit(X)
    assert len(written) == 1
    assert [layer.memory_limit for layer in limited.autoencoders_] == ["100 MB", "100 MB"]
    np.testing.assert_array_equal(limited.theta_, whole.theta_)


def test_classifiers_have_plans_too(X):
    model = FeedforwardClassifier(hidden_layer_sizes=(4,), max_iter=2, memory_limit="50 MB")
    model.fit(open_rows(X), np.arange(len(X)) % 3)
    assert model.memory_plan_.total <= 50_000_000


def test_the_cost_keeps_to_the_limit_too(X):
    """It may keep hidden activations from pass 1 to pass 2, in half of it; for the same bits."""
    model = SparseAutoencoder(n_components=30, sparsity=0.1, max_iter=2, random_state=0).fit(X)
    cost = model.cost(X)
    limited = model.set_params(memory_limit="2 MB")
    assert 0 < limited.objective(X)._evaluation.n_kept < len(X)
    assert limited.cost(X) == cost


def test_partial_fit_shows_no_plan_at_every_call(X, capsys):
    model = SparseAutoencoder(n_components=3, solver="adam", memory_limit="50 MB")
    model.partial_fit(X).partial_fit(X)
    assert capsys.readouterr().err == ""


def test_without_a_limit_nothing_is_shown(X, capsys):
    model = SparseAutoencoder(n_components=3, max_iter=2, verbose=1).fit(X)
    assert "memory" not in capsys.readouterr().err
    assert model.memory_plan_.cache_bytes == 2**30


MEASURED = (
    PEAK
    + """
import json

def fit(rows, limit, folder):
    return {fit}.set_params(memory_limit=limit, checkpoint=folder).fit(rows)

path, limit, folder = sys.argv[1:]
fit(np.random.default_rng(0).random((2500, 100), dtype=np.float32), None, None)  # what is allocated once
before = peak()
with rhohat.open_rows(path) as rows:
    plan = fit(rows, limit, folder).memory_plan_
print(json.dumps([peak() - before, plan.total]))
"""
)

FITS = {
    "lbfgs": "rhohat.SparseAutoencoder(n_components=64, sparsity=0.1, max_iter=3)",
    "lbfgs, corrupted": "rhohat.DenoisingAutoencoder(n_components=64, solver='lbfgs', max_iter=3)",
    "adam": "rhohat.SparseAutoencoder(n_components=64, solver='adam', max_iter=2)",
    "wide, early stopping": (
        "rhohat.SparseAutoencoder(n_components=300, solver=rhohat.Adam(early_stopping=True), max_iter=1)"
    ),
    "adam, early stopping": (
        "rhohat.DenoisingAutoencoder(n_components=64, solver=rhohat.Adam(early_stopping=True), max_iter=2)"
    ),
}


@pytest.mark.parametrize("name", FITS)
def test_a_fit_keeps_to_its_limit(name, tmp_path):
    """A file of 200 MB, within 100 MB: the smaller twin of `make bench-out-of-core`."""
    pytest.importorskip("resource", reason="peak memory is not to be had here")
    path = tmp_path / "rows.npy"
    np.save(path, np.random.default_rng(0).random((500_000, 100), dtype=np.float32))
    command = [sys.executable, "-c", MEASURED.replace("{fit}", FITS[name]), path, "100 MB", tmp_path / "checkpoints"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    used, planned = json.loads(run.stdout)
    assert used <= 100_000_000
    assert planned <= 100_000_000
