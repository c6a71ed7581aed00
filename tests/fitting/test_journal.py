"""Fits that are killed, interrupted or out of disk: what was done is kept, and goes on to the same bits."""

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from functools import partial

import numpy as np
import pytest
from sklearn.base import clone

from rhohat import (
    LBFGS,
    SGD,
    Adam,
    Checkpoint,
    ContractiveAutoencoder,
    DeepAutoencoder,
    DenoisingAutoencoder,
    FeedforwardClassifier,
    FeedforwardRegressor,
    GradientDescent,
    MaskingNoise,
    SoftmaxRegression,
    SparseAutoencoder,
    StackedAutoencoder,
    StackedAutoencoderClassifier,
    open_rows,
)
from rhohat.common.exceptions import CheckpointError, CheckpointWarning
from rhohat.fitting.checkpoints import Checkpoints
from rhohat.objective import Objective
from rhohat.solvers import lbfgs
from rhohat.solvers.run import Run
from rhohat.terms.penalties import WeightPenalty

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N_ROWS = 2300  # there is a warm-up

ADAM = Adam(batch_size=100, schedule="cosine")

AUTOENCODERS = {
    "sparse": SparseAutoencoder(n_components=4, sparsity=0.1, max_iter=12, random_state=0),
    "float32 first": SparseAutoencoder(
        n_components=4, sparsity=0.1, solver=LBFGS(float32_first=True), max_iter=12, random_state=0
    ),
    "corrupted twice": DenoisingAutoencoder(n_components=4, n_corruptions=2, max_iter=8, random_state=0),
    "adam": DenoisingAutoencoder(n_components=4, solver=ADAM, max_iter=4, random_state=0),
    "early stopping": DenoisingAutoencoder(
        n_components=4, solver=Adam(early_stopping=True, patience=2), max_iter=8, random_state=0
    ),
    "sgd": SparseAutoencoder(n_components=4, solver=SGD(learning_rate=0.01), max_iter=4, random_state=0),
    "descent": SparseAutoencoder(n_components=4, solver=GradientDescent("adaptive"), max_iter=9, random_state=0),
    "contractive": ContractiveAutoencoder(n_components=3, max_iter=5, random_state=0),
    "deep": DeepAutoencoder(hidden_layer_sizes=(5, 3), max_iter=6, random_state=0),
    "stacked": StackedAutoencoder([SparseAutoencoder(n_components=n, max_iter=5) for n in (5, 3)], random_state=0),
}  # fmt: skip
SUPERVISED = {
    "classifier": FeedforwardClassifier(
        hidden_layer_sizes=(5,), corruption=MaskingNoise(0.2), max_iter=8, random_state=0
    ),
    "classifier, adam": FeedforwardClassifier(hidden_layer_sizes=(5,), solver=ADAM, max_iter=4, random_state=0),
    "softmax": SoftmaxRegression(max_iter=8, random_state=0),
    "regressor": FeedforwardRegressor(hidden_layer_sizes=(4,), max_iter=8, random_state=0),
    "covariance": FeedforwardRegressor(
        hidden_layer_sizes=(4,), noise_covariance="estimate", max_covariance_updates=2, max_iter=6, random_state=0
    ),
    "stacked classifier": StackedAutoencoderClassifier(
        [SparseAutoencoder(n_components=4, max_iter=4)], max_iter=5, random_state=0
    ),
}
ALL = AUTOENCODERS | SUPERVISED


class Enough(Exception):  # noqa: N818 - it is thrown to get out of a fit
    """Thrown by a callback."""


@pytest.fixture(name="X", scope="module")
def rows():
    return np.random.default_rng(0).random((N_ROWS, 6))


def targets(model, X):
    if isinstance(model, FeedforwardRegressor):
        return X[:, :2] ** 2
    return (X[:, 0] > 0.5).astype(int) + (X[:, 1] > 0.5)


def fit(model, X, **parameters):
    return clone(model).set_params(**parameters).fit(X, targets(model, X))


def set_callback(model, callback):
    """Return a clone of an estimator that calls back, from its last layer where it has layers of their own."""
    model = clone(model)
    if "callbacks" in model.get_params():
        return model.set_params(callbacks=[callback])
    model.layers[-1].set_params(callbacks=[callback])
    return model


def same_fit(a, b):
    np.testing.assert_array_equal(a.theta_, b.theta_)
    curves = ("loss_curve_", "terms_curve_", "validation_curve_", "n_iter_", "n_evaluations_", "warm_up_evaluations_")
    for name in (*curves, "solver_status_", "solver_message_"):
        assert getattr(a, name, None) == getattr(b, name, None), name


@pytest.mark.parametrize("name", ALL)
def test_a_fit_that_fails_in_the_middle_goes_on_to_the_same_bits(name, X, tmp_path):
    model = ALL[name]
    whole = fit(model, X)
    same_fit(fit(model, X, checkpoint=Checkpoint(tmp_path / "undisturbed", every=1)), whole)
    for number, last in enumerate((1, 3)):
        folder, calls = tmp_path / f"{number}", []

        def fail(state, calls=calls, last=last):
            calls.append(state)
            if len(calls) == last:
                raise Enough

        with pytest.raises(Enough):
            fit(set_callback(model, fail), X, checkpoint=folder)
        resumed = fit(model, X, checkpoint=Checkpoint(folder, resume=True), n_jobs=1)
        same_fit(resumed, whole)
        # And once more, when all is done.
        same_fit(fit(model, X, checkpoint=Checkpoint(folder, resume=True)), whole)


@pytest.mark.parametrize("name", ["sparse", "adam", "stacked", "covariance"])
def test_a_seed_that_was_drawn_is_kept(name, X, tmp_path, monkeypatch):
    def fail(state):
        raise Enough

    model = clone(ALL[name]).set_params(random_state=None)
    with pytest.raises(Enough):
        fit(set_callback(model, fail), X, checkpoint=tmp_path / "a")
    seed = Checkpoints(tmp_path / "a").newest()[0]["seed"]
    resumed = fit(model, X, checkpoint=Checkpoint(tmp_path / "a", resume=True))
    for module in ("base", "feedforward_regressor"):
        monkeypatch.setattr(f"rhohat.estimators.{module}.seed_from", lambda given: seed if given is None else given)
    same_fit(resumed, fit(model, X))


def test_a_fit_from_a_file_goes_on_in_memory_and_back(X, tmp_path):
    np.save(tmp_path / "rows.npy", X)
    model, whole = AUTOENCODERS["sparse"], fit(AUTOENCODERS["sparse"], X)

    def fail(state):
        if state.iteration == 4:
            raise Enough

    with open_rows(tmp_path / "rows.npy") as source:
        with pytest.raises(Enough):
            set_callback(model, fail).set_params(checkpoint=tmp_path / "a").fit(source)
        same_fit(fit(model, X, checkpoint=Checkpoint(tmp_path / "a", resume=True)), whole)
        with pytest.raises(Enough):
            fit(set_callback(model, fail), X, checkpoint=tmp_path / "b")
        same_fit(clone(model).set_params(checkpoint=Checkpoint(tmp_path / "b", resume=True)).fit(source), whole)


def test_a_fit_that_a_callback_stopped_goes_on(X, tmp_path):
    for name in ("sparse", "adam"):
        model, folder = AUTOENCODERS[name], tmp_path / name
        stopped = fit(
            set_callback(model, lambda state: state.n_rows is None and state.iteration == 2), X, checkpoint=folder
        )
        assert stopped.solver_status_ == "stopped"
        same_fit(fit(model, X, checkpoint=Checkpoint(folder, resume=True)), fit(model, X))


def test_a_finished_fit_that_is_resumed_says_so(X, tmp_path, capsys):
    whole = fit(AUTOENCODERS["sparse"], X, checkpoint=tmp_path)
    assert capsys.readouterr().err == ""
    same_fit(fit(AUTOENCODERS["sparse"], X, checkpoint=Checkpoint(tmp_path, resume=True)), whole)
    said = capsys.readouterr().err
    assert said.startswith(f"rhohat: the fit that {tmp_path} holds is finished, so its result is taken over")
    assert said.count("\n") == 1


def test_without_a_checkpoint_a_fit_starts_and_says_so(X, tmp_path, capsys):
    same_fit(
        fit(AUTOENCODERS["sparse"], X, checkpoint=Checkpoint(tmp_path / "a", resume=True)),
        fit(AUTOENCODERS["sparse"], X),
    )
    assert (
        capsys.readouterr().err
        == f"rhohat: {tmp_path / 'a'} contains no checkpoint yet; the fit starts from the beginning.\n"
    )


# Refusals.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_components": 5}, r"n_components was 4 in that fit and is 5 now"),
        ({"random_state": 1}, r"random_state was 0 in that fit and is 1 now"),
        ({"solver": LBFGS(memory=7)}, r"solver"),
        ({"max_iter": 13}, r"max_iter was 12 in that fit and is 13 now"),
        ({"weight_decay": 0.5}, r"weight_decay was .* in that fit and is 0\.5 now"),
    ],
)
def test_other_settings_are_refused_by_name(changes, message, X, tmp_path):
    fit(AUTOENCODERS["sparse"], X, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match=rf"holds checkpoints of another fit: .*{message}"):
        fit(AUTOENCODERS["sparse"], X, checkpoint=Checkpoint(tmp_path, resume=True), **changes)


def test_a_setting_of_the_solver_is_named(X, tmp_path):
    fit(AUTOENCODERS["adam"], X, checkpoint=tmp_path)
    solver = Adam(batch_size=100, schedule="cosine", learning_rate=0.01)
    with pytest.raises(CheckpointError, match=r"solver\.learning_rate was 0\.001 in that fit and is 0\.01 now"):
        fit(AUTOENCODERS["adam"], X, checkpoint=Checkpoint(tmp_path, resume=True), solver=solver)


def test_another_estimator_is_refused(X, tmp_path):
    fit(AUTOENCODERS["sparse"], X, checkpoint=tmp_path)
    with pytest.raises(
        CheckpointError, match=r"class was 'SparseAutoencoder' in that fit and is 'ContractiveAutoencoder'"
    ):
        fit(AUTOENCODERS["contractive"], X, checkpoint=Checkpoint(tmp_path, resume=True))


@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        (lambda p: 1.0, lambda p: 1 - p, "schedule"),
        (partial(pow, 1), partial(pow, 0.5), "arguments"),
    ],
)
def test_functions_are_told_apart_by_what_they_do(before, now, message, X, tmp_path):
    model = AUTOENCODERS["adam"]
    fit(model, X, solver=Adam(schedule=before), checkpoint=tmp_path)
    fit(model, X, solver=Adam(schedule=before), checkpoint=Checkpoint(tmp_path, resume=True))
    with pytest.raises(CheckpointError, match=message):
        fit(model, X, solver=Adam(schedule=now), checkpoint=Checkpoint(tmp_path, resume=True))


class Secretive(WeightPenalty):
    """A penalty that keeps its settings to itself, refers to itself, and has a NumPy number."""

    name = "secretive"

    def __init__(self, power):
        self.weight = np.float32(0.1)
        self._power, self._self = power, self

    def value(self, weights):
        return self.weight * sum(float(np.sum(np.abs(w) ** self._power)) for w in weights)

    def add_gradient(self, weights, gradients):
        for w, gradient in zip(weights, gradients, strict=True):
            gradient += self.weight * self._power * np.abs(w) ** (self._power - 1) * np.sign(w)


def test_settings_of_a_users_penalty_count(X, tmp_path):
    model = AUTOENCODERS["sparse"]
    whole = fit(model, X, penalties=[Secretive(2)], checkpoint=tmp_path)
    same_fit(fit(model, X, penalties=[Secretive(2)], checkpoint=Checkpoint(tmp_path, resume=True)), whole)
    with pytest.raises(CheckpointError, match=r"penalties\[0\]\._power was 2 in that fit and is 3 now"):
        fit(model, X, penalties=[Secretive(3)], checkpoint=Checkpoint(tmp_path, resume=True))


def test_what_changes_no_bit_is_not_compared(X, tmp_path):
    whole = fit(AUTOENCODERS["sparse"], X, checkpoint=tmp_path, solver="lbfgs", max_iter=np.int64(12))
    for changes in (
        {"solver": LBFGS()},
        {"warm_start": True},
        {"memory_limit": "300 MB"},
        {"n_jobs": 1},
        {"verbose": 1},
    ):
        same_fit(fit(AUTOENCODERS["sparse"], X, checkpoint=Checkpoint(tmp_path, resume=True), **changes), whole)


def test_another_order_of_the_rows_is_refused(X, tmp_path):
    """From a file, window by window, mini-batches have other rows than in memory, or in larger windows."""
    X = np.vstack([X] * 40)
    np.save(tmp_path / "rows.npy", X)
    model = clone(AUTOENCODERS["adam"]).set_params(checkpoint=tmp_path / "a", max_iter=1)
    with open_rows(tmp_path / "rows.npy") as source:
        limited = model.set_params(memory_limit="12 MB").fit(source)
        same_fit(clone(model).set_params(checkpoint__resume=True, n_jobs=1).fit(source), limited)
        with pytest.raises(CheckpointError, match="order"):
            clone(model).set_params(checkpoint__resume=True, memory_limit="50 MB").fit(source)
    with pytest.raises(CheckpointError, match="order"):
        clone(model).set_params(checkpoint__resume=True).fit(X)


def test_other_data_are_refused(X, tmp_path, capsys):
    fit(AUTOENCODERS["sparse"], X, checkpoint=tmp_path / "a")
    other = X.copy()
    other[1234, 3] = np.nextafter(other[1234, 3], 1)
    with pytest.raises(CheckpointError, match="another fit: the values in the rows differ"):
        fit(AUTOENCODERS["sparse"], other, checkpoint=Checkpoint(tmp_path / "a", resume=True))
    with pytest.raises(CheckpointError, match="fit had 2,300 rows, this one has 2,299; the values in the rows"):
        fit(AUTOENCODERS["sparse"], X[:-1], checkpoint=Checkpoint(tmp_path / "a", resume=True))
    assert capsys.readouterr().err == ""  # not that the result was taken over
    model = SUPERVISED["classifier"]
    fit(model, X, checkpoint=tmp_path / "b")
    y = targets(model, X)
    y[5] = (y[5] + 1) % 3
    with pytest.raises(CheckpointError, match="the numbers in y are not the same"):
        clone(model).set_params(checkpoint=Checkpoint(tmp_path / "b", resume=True)).fit(X, y)
    model = clone(model).set_params(checkpoint=Checkpoint(tmp_path / "b", resume=True))
    with pytest.raises(CheckpointError, match="sample_weight"):
        model.fit(X, targets(model, X), sample_weight=np.full(len(X), 2.0))


def test_earlier_checkpoints_are_not_overwritten(X, tmp_path):
    fit(AUTOENCODERS["sparse"], X, checkpoint=tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    message = r"Pass checkpoint=Checkpoint\(folder, resume=True\) to continue that fit, name another folder, or delete"
    with pytest.raises(CheckpointError, match=message):
        fit(AUTOENCODERS["sparse"], X, checkpoint=tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_solvers_that_cannot_be_resumed_are_refused(X, tmp_path):
    for solver in ("conjugate_gradient", "newton_cg"):
        with pytest.raises(ValueError, match="needs a solver whose state can be written"):
            fit(AUTOENCODERS["sparse"], X, solver=solver, checkpoint=tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_times_count_from_checkpoint_to_checkpoint(X, tmp_path):
    seen = []

    def look(state):
        seen.append(Checkpoints(tmp_path / "a").paths()[0].name)
        time.sleep(0.15)

    fit(set_callback(AUTOENCODERS["sparse"], look), X, checkpoint=Checkpoint(tmp_path / "a", every="0.5 s"))
    assert 2 < len(set(seen)) < len(seen)


# Interruptions.


def interrupt_at(iteration):
    def interrupt(state):
        in_warm_up = state.n_rows is not None
        if state.iteration == iteration and not in_warm_up and state.theta.size > 20:  # not a softmax within a stack
            os.kill(os.getpid(), signal.SIGINT)

    return interrupt


@pytest.mark.parametrize("name", [name for name in ALL if name != "stacked"])
def test_ctrl_c_leaves_the_last_iterate_where_the_start_is_warm(name, X, tmp_path):
    model = set_callback(ALL[name], interrupt_at(3)).set_params(warm_start=True, checkpoint=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, targets(model, X))
    assert model.solver_status_ == "interrupted"
    assert 2 <= model.n_iter_ <= 3
    assert np.all(np.isfinite(model.theta_))
    start = clone(model).set_params(max_iter=1, callbacks=None, checkpoint=None).fit(X, targets(model, X))
    assert model.loss_curve_[-1] < start.loss_curve_[0]
    interrupted = model.theta_
    model.set_params(callbacks=None, checkpoint=None).fit(X, targets(model, X))  # goes on
    assert not np.array_equal(model.theta_, interrupted)


@pytest.mark.parametrize("name", ["sparse", "adam"])
def test_ctrl_c_leaves_a_complete_checkpoint(name, X, tmp_path):
    model = set_callback(AUTOENCODERS[name], interrupt_at(3)).set_params(checkpoint=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X)
    assert not hasattr(model, "coefs_")
    record, _ = Checkpoints(tmp_path).newest()
    assert record["run"]["n_iter"] >= 2
    same_fit(fit(AUTOENCODERS[name], X, checkpoint=Checkpoint(tmp_path, resume=True)), fit(AUTOENCODERS[name], X))


def test_ctrl_c_while_the_state_changes_waits_until_it_is_whole(X, tmp_path, monkeypatch):
    """In the middle of an update by a mini-batch, and of taking a pair into L-BFGS."""
    for name, target, method in (("adam", Adam, "_update"), ("sparse", lbfgs._InverseHessian, "multiply_next")):
        calls, original = [], getattr(target, method)

        def strike(*arguments, calls=calls, original=original):
            calls.append(1)
            if len(calls) == 9:
                os.kill(os.getpid(), signal.SIGINT)
            return original(*arguments)

        model = clone(AUTOENCODERS[name]).set_params(warm_start=True, n_jobs=1, checkpoint=tmp_path / name)
        model.set_params(solver=Adam(batch_size=100) if name == "adam" else LBFGS(warm_up=False))
        whole = clone(model).set_params(checkpoint=None).fit(X)
        with monkeypatch.context() as patch:
            patch.setattr(target, method, strike)
            with pytest.raises(KeyboardInterrupt):
                model.fit(X)
        assert model.solver_status_ == "interrupted"
        record, _ = Checkpoints(tmp_path / name).newest()
        assert record["run"].get("step", record["run"]["n_iter"]) == {"adam": 5, "sparse": 9}[name]
        same_fit(clone(model).set_params(checkpoint__resume=True).fit(X), whole)


def test_an_error_while_the_state_changes_writes_no_mixture(X, tmp_path, monkeypatch):
    for name, target, method in (("adam", Adam, "_update"), ("sparse", lbfgs._InverseHessian, "multiply_next")):
        calls, original = [], getattr(target, method)

        def fail(*arguments, calls=calls, original=original):
            calls.append(1)
            found = original(*arguments)
            if len(calls) == 9:
                raise Enough
            return found

        whole = fit(AUTOENCODERS[name], X)
        with monkeypatch.context() as patch:
            patch.setattr(target, method, fail)
            with pytest.raises(Enough):
                fit(AUTOENCODERS[name], X, checkpoint=tmp_path / name, n_jobs=1)
        same_fit(fit(AUTOENCODERS[name], X, checkpoint=Checkpoint(tmp_path / name, resume=True)), whole)


@pytest.mark.parametrize("n_corruptions", [1, 2])
def test_ctrl_c_between_two_stages_keeps_those_that_are_finished(n_corruptions, X, tmp_path, monkeypatch):
    """Here in the first evaluation over all rows, after the warm-up or a first corruption."""
    model = clone(AUTOENCODERS["corrupted twice"]).set_params(n_corruptions=n_corruptions)
    whole = fit(model, X)
    n_first = fit(model, X, n_corruptions=1).n_evaluations_
    calls, evaluate = [], Objective.evaluate

    def strike(self, theta):
        if self.n_samples == N_ROWS:
            calls.append(1)
            if len(calls) == (1 if n_corruptions == 1 else n_first + 1):
                raise KeyboardInterrupt
        return evaluate(self, theta)

    model.set_params(checkpoint=tmp_path, warm_start=True)
    with monkeypatch.context() as patch:
        patch.setattr(Objective, "evaluate", strike)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X)
    record, _ = Checkpoints(tmp_path).newest()
    assert [done["stage"] for done in record["finished"]] == ["warm-up on 1000 rows", "corruption 0"][:n_corruptions]
    assert model.n_iter_ == (0 if n_corruptions == 1 else model.max_iter)
    assert model.warm_up_evaluations_ == whole.warm_up_evaluations_
    same_fit(clone(model).set_params(checkpoint__resume=True).fit(X), whole)


@pytest.mark.parametrize("name", ["sparse", "adam", "classifier", "covariance", "stacked classifier"])
def test_an_interrupted_warm_start_goes_on_from_its_checkpoint(name, X, tmp_path):
    model = set_callback(ALL[name], interrupt_at(3)).set_params(warm_start=True, checkpoint=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, targets(model, X))
    assert "With checkpoint=Checkpoint(folder, resume=True), fit continues from the checkpoint" in model.solver_message_
    model.set_params(callbacks=None)
    with pytest.raises(CheckpointError, match=r"Pass checkpoint=Checkpoint\(folder, resume=True\)"):
        model.fit(X, targets(model, X))
    if name == "covariance":  # of which the part that was interrupted is one of several
        model = clone(model)
    same_fit(model.set_params(checkpoint__resume=True).fit(X, targets(model, X)), fit(ALL[name], X))


def test_ctrl_c_in_the_warm_up_records_no_iterations_over_all_rows(X):
    model = set_callback(AUTOENCODERS["sparse"], lambda state: None).set_params(warm_start=True)
    calls, accept = [], Run.accept

    def strike(self, point):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        accept(self, point)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "accept", strike)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X)
    assert (model.n_iter_, model.loss_curve_, model.terms_curve_) == (0, [], {})
    assert np.all(np.isfinite(model.theta_))


def test_a_fit_that_ends_before_it_begins_leaves_no_lock(X, tmp_path, monkeypatch):
    model = clone(AUTOENCODERS["sparse"]).set_params(checkpoint=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(SparseAutoencoder, "_draw_theta", lambda *_: (_ for _ in ()).throw(Enough))
        with pytest.raises(Enough):
            model.fit(X)
    model.fit(X)


def test_layers_may_have_checkpoints_of_their_own(X, tmp_path):
    layers = [
        SparseAutoencoder(n_components=n, max_iter=4, checkpoint=Checkpoint(tmp_path / f"{n}", resume=True))
        for n in (5, 3)
    ]
    stack = StackedAutoencoder(layers, random_state=0)
    same = clone(stack).fit(X)
    np.testing.assert_array_equal(clone(stack).fit(X).theta_, same.theta_)
    assert Checkpoints(tmp_path / "3").paths()


def test_a_stack_says_once_that_it_starts(X, tmp_path, capsys):
    fit(SUPERVISED["stacked classifier"], X, checkpoint=Checkpoint(tmp_path, resume=True))
    assert capsys.readouterr().err.count("the fit starts") == 1


PRESSED = """
import sys, warnings
import numpy as np
from rhohat import Adam, Checkpoint, DenoisingAutoencoder

warnings.simplefilter("ignore")
X = np.random.default_rng(0).random((20_000, 50))
model = DenoisingAutoencoder(n_components=40, solver=Adam(batch_size=50), max_iter=10**6, warm_start=True,
                             random_state=0, checkpoint=Checkpoint(sys.argv[1], every="1 h"))
try:
    print("ready", flush=True)
    model.fit(X)
except KeyboardInterrupt:
    print(model.solver_status_, np.isfinite(model.theta_).all())
"""


def take_interrupts():
    """Undo what a shell does to what it starts in the background: that ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_within_an_epoch_keeps_the_updates_done(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", PRESSED, tmp_path], stdout=subprocess.PIPE, text=True, preexec_fn=take_interrupts
    )
    assert process.stdout.readline() == "ready\n"
    while not Checkpoints(tmp_path).paths():
        time.sleep(0.02)
    before = Checkpoints(tmp_path).newest()[0]["run"]["step"]
    time.sleep(0.5)  # for some updates more, however slow the machine is
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[0] == "interrupted True\n"
    record, arrays = Checkpoints(tmp_path).newest()
    assert record["run"]["step"] > before
    assert np.isfinite(arrays["run theta"]).all()


# Numbers that are not finite.


def test_a_learning_rate_that_is_too_high_is_named_as_the_cause(X, tmp_path):
    solver = Adam(learning_rate=1e200)
    model = clone(AUTOENCODERS["sparse"]).set_params(solver=solver, output_activation="identity", checkpoint=tmp_path)
    with np.errstate(all="ignore"):
        model.fit(X)
    assert model.solver_status_ == "not_finite"
    assert "Lower learning_rate (now 1e+200)" in model.solver_message_
    assert np.all(np.isfinite(model.theta_))
    same_fit(clone(model).set_params(checkpoint__resume=True).fit(X), model)


def test_data_that_are_too_large_are_named_as_the_cause(X):
    model = clone(AUTOENCODERS["sparse"]).set_params(output_activation="identity").fit(1e200 * X)
    assert (
        model.solver_message_ == "The cost or its gradient (squared_error) is not finite at the start; scale the data."
    )


# Disks.


def test_a_folder_that_cannot_be_is_an_error_before_work(X, tmp_path):
    (tmp_path / "file").write_text("")
    calls = []
    model = AUTOENCODERS["sparse"].set_params(callbacks=None).fit(X)
    before = model.theta_
    with pytest.raises(OSError, match=r"No checkpoint can be written to .*file.*: Not a directory"):
        model.set_params(checkpoint=tmp_path / "file" / "folder", callbacks=[calls.append]).fit(X)
    model.set_params(checkpoint=None, callbacks=None)
    assert calls == []
    np.testing.assert_array_equal(model.theta_, before)


@pytest.fixture(name="limit_files")
def files_of_limited_size():
    """Whatever is written to a file beyond so many bytes fails, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda n_bytes: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_an_error_at_the_first_checkpoint(X, tmp_path, limit_files):
    calls = []
    limit_files(1000)
    with pytest.raises(OSError, match=r"No checkpoint can be written to .*Choose another folder, or free space there"):
        fit(set_callback(AUTOENCODERS["sparse"], calls.append), X, checkpoint=tmp_path)
    assert calls == []
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_later_does_no_harm_to_the_fit(X, tmp_path, limit_files):
    model = set_callback(AUTOENCODERS["sparse"], lambda state: limit_files(1000) if state.iteration == 3 else None)
    with pytest.warns(CheckpointWarning, match="The fit continues; the last checkpoint stays unchanged"):
        fitted = fit(model, X, checkpoint=Checkpoint(tmp_path, every=1))
    whole = fit(AUTOENCODERS["sparse"], X)
    same_fit(fitted, whole)
    limit_files(resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    same_fit(fit(AUTOENCODERS["sparse"], X, checkpoint=Checkpoint(tmp_path, resume=True)), whole)


READ_ONLY = """
import os, sys
import numpy as np
from rhohat import SparseAutoencoder

if os.getuid() == 0:
    os.setuid(65534)  # what is read-only is not so to root
try:
    SparseAutoencoder(n_components=2, checkpoint=sys.argv[1]).fit(np.random.default_rng(0).random((20, 3)))
except OSError as error:
    print(type(error).__name__, error.strerror)
"""


def test_a_disk_that_fills_up_in_one_part_does_no_harm_to_the_next(X, tmp_path, limit_files):
    layers = [SparseAutoencoder(n_components=n, max_iter=5) for n in (5, 3)]
    layers[0].set_params(callbacks=[lambda state: limit_files(1000) if state.iteration == 3 else None])
    with pytest.warns(CheckpointWarning, match="The fit continues"):
        fitted = StackedAutoencoder(layers, random_state=0, checkpoint=tmp_path).fit(X)
    np.testing.assert_array_equal(fitted.theta_, fit(AUTOENCODERS["stacked"], X).theta_)


def test_a_read_only_folder_is_an_error_before_work(tmp_path):
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    for path in (tmp_path, *tmp_path.parents[:3]):
        if path.stat().st_uid == os.getuid() and os.getuid() == 0:
            path.chmod(path.stat().st_mode | 0o055)
    run = subprocess.run(
        [sys.executable, "-c", READ_ONLY, folder], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert run.stdout.startswith(f"PermissionError No checkpoint can be written to {folder}: Permission denied. Choose")


# SIGKILL.

KILLED = {
    "mini-batches": DenoisingAutoencoder(
        n_components=30, solver=Adam(batch_size=50, schedule="linear"), max_iter=8, random_state=0
    ),
    "L-BFGS": DenoisingAutoencoder(n_components=30, solver="lbfgs", n_corruptions=2, max_iter=20, random_state=0),
}
MANY = np.random.default_rng(0).random((6000, 40))


def fit_to_be_killed(name, folder):
    warnings.simplefilter("ignore")
    model = clone(KILLED[name]).set_params(checkpoint=Checkpoint(folder, every=2, resume=True), n_jobs=1)
    np.save(folder + ".npy", model.fit(MANY).theta_)


@pytest.fixture(name="server", scope="module")
def processes_that_start_fast():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.fitting.test_journal"])
    return context


@pytest.mark.parametrize("name", KILLED)
def test_fits_killed_at_random_moments_go_on_to_the_same_bits(name, server, tmp_path):
    """Ten of each kind: killed once or several times, then resumed until they come to their end."""
    begin = time.perf_counter()
    whole = clone(KILLED[name]).fit(MANY).theta_
    duration = time.perf_counter() - begin
    moments = np.random.default_rng()
    n_killed = 0
    for number in range(10):
        folder = str(tmp_path / f"{number}")
        for attempt in range(100):
            process = server.Process(target=fit_to_be_killed, args=(name, folder))
            process.start()
            process.join(moments.uniform(0, 1.5 * duration) if attempt < 3 else None)
            if process.exitcode is None:
                process.kill()
                process.join()
                n_killed += 1
            elif process.exitcode == 0:
                break
            if Checkpoints(folder).paths():
                with warnings.catch_warnings():
                    warnings.simplefilter("error")  # not one of the files may be damaged
                    Checkpoints(folder).newest()
        np.testing.assert_array_equal(np.load(folder + ".npy"), whole)
    assert n_killed >= 5
