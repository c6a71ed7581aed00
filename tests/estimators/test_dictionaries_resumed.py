"""Dictionaries learn the same bits wherever rows come from, with any number of threads, and after any interruption."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from rhohat import Adam, Checkpoint, fit_together, open_rows
from rhohat.common.exceptions import CheckpointError
from rhohat.common.randomness import keyed_generator
from tests.estimators.dictionaries import KINDS, dictionary, rows, same
from tests.tolerances import EXACT, FLOAT32

pytestmark = pytest.mark.filterwarnings("ignore:in the last updates a row had:UserWarning")

X = rows()
#: Of every kind one that goes through several iterations in each pass, with a weight or a threshold that changes.
LONG = {
    kind: dictionary(kind, batch_size=2, max_iter=2, **({"target_l0": 3.0} if kind in ("l1", "gated") else {}))
    for kind in KINDS
}

KILLED = """
    import os, signal, sys
    from rhohat import Checkpoint
    from tests.estimators.test_dictionaries_resumed import LONG, X

    def kill(state):
        if state.iteration == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)

    LONG[sys.argv[1]].set_params(checkpoint=Checkpoint(sys.argv[2], every=1), callbacks=[kill]).fit(X)
"""


@pytest.fixture(name="file")
def file_of_rows(tmp_path):
    np.save(tmp_path / "rows.npy", X)
    return tmp_path / "rows.npy"


# Wherever rows come from.


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_fits_the_window_gives_the_bits_of_the_array(kind, file):
    with open_rows(file) as source:
        same(dictionary(kind).fit(source), dictionary(kind).fit(X))


@pytest.mark.parametrize("kind", ["topk", "jumprelu"])
def test_a_file_in_windows_gives_the_same_bits_every_time(kind, tmp_path, capsys):
    """The order is that of the windows, and so another one than that of the array."""
    many = rows(120_000, 32)
    np.save(tmp_path / "many.npy", many)
    fits = []
    for n_jobs in (1, 2):
        model = dictionary(kind, batch_size=400, max_iter=2, memory_limit="48MB", n_jobs=n_jobs)
        with open_rows(tmp_path / "many.npy") as source:
            fits.append(model.fit(source))
    same(*fits)
    parts = dict(fits[0].memory_plan_.parts)
    assert parts["windows in which rows are shuffled"] < many.nbytes
    assert f"{fits[0].memory_plan_}" in capsys.readouterr().err
    in_memory = dictionary(kind, batch_size=400, max_iter=2).fit(many)
    assert in_memory.loss_curve_[0] != fits[0].loss_curve_[0]
    assert in_memory.loss_curve_[0] == pytest.approx(fits[0].loss_curve_[0], rel=0.05)
    assert in_memory.n_samples_fit_ == fits[0].n_samples_fit_


@pytest.mark.filterwarnings("ignore:only .* made:UserWarning")
@pytest.mark.parametrize("kind", ["topk", "batch_topk", "matryoshka"])
@pytest.mark.parametrize("lengths", [(240,), (7, 1, 100, 132)])
def test_an_iterator_in_the_order_of_a_shuffled_pass_gives_the_bits_of_the_array(kind, lengths, monkeypatch):
    """The sums of whole numbers, by which the start is chosen, are the same in any order."""
    monkeypatch.setenv("RHOHAT_OPS", "numpy")  # for an iterator of unknown length, those for many rows would be chosen
    whole = np.random.default_rng(0).integers(-8, 9, (240, 6)).astype(float)
    solver = Adam(learning_rate=0.01, batch_size=20)
    model = dictionary(kind, solver=solver, max_iter=1, normalize=None)
    shuffled = whole[keyed_generator(0, "shuffling", 0).permutation(240)]
    pieces = np.split(shuffled, np.cumsum(lengths)[:-1])
    same(clone(model).fit(iter(pieces)), clone(model).fit(whole), fvu=EXACT)


@pytest.mark.parametrize("from_file", [False, True])
def test_dictionaries_that_are_fitted_together_learn_what_each_learns_alone(from_file, file):
    models = [dictionary(kind) for kind in KINDS] + [dictionary("topk", 40, dead_after=50)]
    with open_rows(file) as source:
        together = fit_together([clone(model) for model in models], source if from_file else X)
        for one, model in zip(together, models, strict=True):
            same(one, model.fit(X))


@pytest.mark.parametrize("ops", ["numpy", "compiled"])
@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_threads_learns_and_makes_the_same_bits(kind, ops, monkeypatch):
    if ops == "compiled":
        pytest.importorskip("numba", reason="the extra 'fast' is not installed")
    monkeypatch.setenv("RHOHAT_OPS", ops)
    some = rows(700, 20, np.float32)
    fits = [dictionary(kind, 130, batch_size=300, n_jobs=n_jobs).fit(some) for n_jobs in (1, 2, 3, 5)]
    for other in fits[1:]:
        same(fits[0], other)
        for a, b in zip(fits[0].encode(some), other.encode(some), strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(fits[0].reconstruct(some), other.reconstruct(some))


def test_compiled_primitives_learn_what_the_reference_learns_up_to_rounding(monkeypatch):
    pytest.importorskip("numba", reason="the extra 'fast' is not installed")
    fits = []
    for ops in ("numpy", "compiled"):
        monkeypatch.setenv("RHOHAT_OPS", ops)
        fits.append(dictionary("topk").fit(X))
    np.testing.assert_allclose(fits[0].loss_curve_, fits[1].loss_curve_, rtol=1e-9)


# In parts.


@pytest.mark.parametrize("kind", ["topk", "batch_topk", "matryoshka"])
def test_passes_one_by_one_learn_what_as_many_passes_learn(kind):
    solver = Adam(learning_rate=0.01, batch_size=20)
    whole = dictionary(kind, solver=solver, max_iter=3).fit(X)
    parts = dictionary(kind, solver=solver)
    for _ in range(3):
        parts.partial_fit(X)
    same(parts, whole)

    again = dictionary(kind, solver=solver, max_iter=1, warm_start=True).fit(X)
    again.set_params(max_iter=2).fit(X)
    np.testing.assert_array_equal(again._state.theta, whole._state.theta)
    assert again.loss_curve_ == whole.loss_curve_[1:]
    assert (again.n_steps_, again.n_samples_fit_) == (whole.n_steps_, whole.n_samples_fit_)


@pytest.mark.parametrize("first", [np.float32, np.float64])
@pytest.mark.parametrize("ops", ["numpy", "compiled"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_training_goes_on_with_rows_of_another_dtype(kind, ops, first, monkeypatch):
    if ops == "compiled":
        pytest.importorskip("numba", reason="the extra 'fast' is not installed")
    monkeypatch.setenv("RHOHAT_OPS", ops)
    second = np.float64 if first == np.float32 else np.float32
    some = rows(dtype=np.float32)  # whose numbers are those of both dtypes
    mixed = dictionary(kind).partial_fit(some.astype(first)).partial_fit(some.astype(second))
    same(mixed, dictionary(kind).partial_fit(some.astype(first)).partial_fit(some.astype(first)), FLOAT32)
    assert mixed.coefs_[0].dtype == first


def test_the_schedule_of_a_warm_start_begins_anew():
    model = dictionary("topk", warm_start=True, max_iter=20).fit(X)
    theta, loss = model._state.theta.copy(), model.loss_curve_[-1]
    model.set_params(max_iter=1).fit(X)
    moved = np.abs(model._state.theta - theta).max()
    assert moved > 1e-3
    assert model.loss_curve_[-1] < 1.2 * loss


def test_a_warm_start_heeds_parameters_that_were_changed():
    model = dictionary("topk", warm_start=True).fit(X).set_params(k=2, dead_after=10**6, auxiliary_weight=0).fit(X)
    assert model.transform(X).nnz <= 2 * 240
    assert model.measures_curve_["l0"][-1] <= 2
    assert set(model.terms_curve_) == {"loss"}
    assert set(model.measures_curve_["dead"]) == {0.0}
    weighted = dictionary("l1", warm_start=True, max_iter=30, dead_after=10**6).fit(X)
    before = weighted.measures_curve_["l0"][-1]
    assert weighted.set_params(sparsity_weight=3.0).fit(X).measures_curve_["l0"][-1] < 0.5 * before


def test_a_fit_anew_forgets_the_one_before():
    model = dictionary("batch_topk").fit(rows(100, 3))
    same(model.fit(X), dictionary("batch_topk").fit(X))


# After an interruption.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("last", [1, 2, 5])
def test_a_fit_that_ctrl_c_ends_goes_on_to_the_same_bits(kind, last, tmp_path):
    model = LONG[kind]
    whole = clone(model).fit(X)
    assert whole.n_iter_ == 6  # so that some of them end within a pass

    def interrupt(state):
        if state.iteration == last:
            os.kill(os.getpid(), signal.SIGINT)

    interrupted = clone(model).set_params(checkpoint=Checkpoint(tmp_path, every=1), callbacks=[interrupt])
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(X)
    assert not hasattr(interrupted, "coefs_")
    resume = Checkpoint(tmp_path, resume=True)
    same(clone(model).set_params(checkpoint=resume, n_jobs=1).fit(X), whole)
    same(clone(model).set_params(checkpoint=resume).fit(X), whole)  # and once more, when all is done


def test_with_warm_start_ctrl_c_leaves_what_was_learned():
    def interrupt(state):
        if state.iteration == 2:
            os.kill(os.getpid(), signal.SIGINT)

    model = clone(LONG["batch_topk"]).set_params(warm_start=True, callbacks=[interrupt])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X)
    assert (model.solver_status_, model.n_iter_, model.n_steps_) == ("interrupted", 2, 80)
    assert model.transform(X).nnz > 0
    model.set_params(callbacks=None).fit(X)
    assert (model.solver_status_, model.n_steps_) == ("max_iter", 80 + 240)


@pytest.mark.parametrize(
    ("kind", "last"), [("topk", 2), ("batch_topk", 4), ("l1", 5), ("gated", 2), ("jumprelu", 4), ("matryoshka", 3)]
)
def test_a_fit_that_is_killed_goes_on_to_the_same_bits(kind, last, tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), kind, str(tmp_path), str(last)],
        capture_output=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert process.returncode == -9, process.stderr
    resumed = clone(LONG[kind]).set_params(checkpoint=Checkpoint(tmp_path, resume=True))
    calls = []
    same(resumed.set_params(callbacks=[lambda state: calls.append(state.iteration)]).fit(X), clone(LONG[kind]).fit(X))
    assert calls[0] > 1  # it did not begin anew
    assert calls[-1] == 6


@pytest.mark.parametrize("kind", ["topk", "l1"])
def test_a_fit_that_a_callback_stopped_goes_on(kind, tmp_path):
    stopped = clone(LONG[kind]).set_params(checkpoint=tmp_path, callbacks=[lambda state: state.iteration == 2]).fit(X)
    assert (stopped.solver_status_, stopped.n_iter_) == ("stopped", 2)
    resumed = clone(LONG[kind]).set_params(checkpoint=Checkpoint(tmp_path, resume=True)).fit(X)
    same(resumed, clone(LONG[kind]).fit(X))


def test_a_fit_from_a_file_goes_on_in_memory(file, tmp_path):
    class Enough(Exception):  # noqa: N818 - it is thrown to get out of a fit
        pass

    def fail(state):
        if state.iteration == 3:
            raise Enough

    model = LONG["batch_topk"]
    with open_rows(file) as source, pytest.raises(Enough):
        clone(model).set_params(checkpoint=Checkpoint(tmp_path, every=1), callbacks=[fail]).fit(source)
    same(clone(model).set_params(checkpoint=Checkpoint(tmp_path, resume=True)).fit(X), clone(model).fit(X))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 2}, r"k was 3 in that fit and is 2 now"),
        ({"max_iter": 3}, r"max_iter was 2 in that fit and is 3 now"),
        ({"normalize": None}, r"normalize was 'mean_norm' in that fit and is None now"),
        ({"solver__learning_rate": 0.1}, r"solver\.learning_rate was 0\.01 in that fit and is 0\.1 now"),
    ],
)
def test_other_settings_are_refused_by_name(changes, message, tmp_path):
    clone(LONG["topk"]).set_params(checkpoint=tmp_path).fit(X)
    other = clone(LONG["topk"]).set_params(checkpoint=Checkpoint(tmp_path, resume=True), **changes)
    with pytest.raises(CheckpointError, match=rf"holds checkpoints of another fit: .*{message}"):
        other.fit(X)


def test_other_rows_are_refused(tmp_path):
    clone(LONG["topk"]).set_params(checkpoint=tmp_path).fit(X)
    with pytest.raises(CheckpointError, match="rows"):
        clone(LONG["topk"]).set_params(checkpoint=Checkpoint(tmp_path, resume=True)).fit(X + 1)
