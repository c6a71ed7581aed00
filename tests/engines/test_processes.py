"""Several processes compute what one computes; one of them may be killed, and all end with the fit."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import rhohat
from rhohat import ClusterError, SparseAutoencoder, TorchEngine
from rhohat.common.blocks import blocks_within
from rhohat.terms.penalties import L1Sparsity

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # fits are short

ONE = TorchEngine("cpu", dtype="float64")
TWO = TorchEngine(devices=["cpu", "cpu"], dtype="float64")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16, y


def followers():
    """Numbers of the processes that this one has started."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [int(child) for child in children if b"rhohat.engines.processes" in command_of(child)]


def command_of(process):
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


FITS = {
    "all rows, after a warm-up": lambda e: SparseAutoencoder(n_components=9, max_iter=15, random_state=0, engine=e),
    "mini-batches, corrupted": lambda e: rhohat.DenoisingAutoencoder(
        n_components=9, max_iter=3, solver="adam", random_state=0, engine=e
    ),
    "held out": lambda e: rhohat.FeedforwardClassifier(
        hidden_layer_sizes=(9,), max_iter=4, solver="adam", early_stopping=True, random_state=0, engine=e
    ),
}


@pytest.mark.parametrize("kind", FITS)
def test_two_processes_compute_what_one_computes(kind, digits):
    X, y = digits
    rows = np.concatenate([X, X[::2]])  # enough for a warm-up
    labels = np.concatenate([y, y[::2]])
    found, expected = (FITS[kind](engine).fit(rows, labels) for engine in (TWO, ONE))
    np.testing.assert_allclose(found.theta_, expected.theta_, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-12)
    assert followers() == []


def test_float32_is_near(digits):
    single, double = TorchEngine("cpu"), TorchEngine(devices=["cpu", "cpu"])
    found, expected = (FITS["mini-batches, corrupted"](engine).fit(digits[0]) for engine in (double, single))
    np.testing.assert_allclose(found.theta_, expected.theta_, rtol=1e-5, atol=1e-6)


def test_a_process_that_is_killed_is_named_and_the_checkpoint_resumed_by_one(digits, tmp_path):
    def kill(state):
        if state.iteration == 4:
            (follower,) = followers()
            os.kill(follower, signal.SIGKILL)

    how = {"n_components": 6, "max_iter": 9, "random_state": 0, "solver": "adam"}
    begun = SparseAutoencoder(**how, engine=TWO, checkpoint=rhohat.Checkpoint(tmp_path, every=1), callbacks=[kill])
    with pytest.raises(
        ClusterError, match=r"process 1 of 2, which computed on 'cpu', was killed by the signal SIGKILL"
    ):
        begun.fit(digits[0])
    assert followers() == []
    resumed = SparseAutoencoder(**how, engine=ONE, checkpoint=rhohat.Checkpoint(tmp_path, resume=True)).fit(digits[0])
    whole = SparseAutoencoder(**how, engine=ONE).fit(digits[0])
    assert len(resumed.loss_curve_) == 9
    np.testing.assert_allclose(resumed.theta_, whole.theta_, rtol=1e-10, atol=1e-12)


def test_a_checkpoint_of_one_is_resumed_by_two(digits, tmp_path):
    def stop(state):
        return state.iteration == 4

    how = {"n_components": 6, "max_iter": 9, "random_state": 0}
    checkpoint = {"checkpoint": rhohat.Checkpoint(tmp_path, every=1)}
    SparseAutoencoder(**how, engine=ONE, callbacks=[stop], **checkpoint).fit(digits[0])
    resumed = SparseAutoencoder(**how, engine=TWO, checkpoint=rhohat.Checkpoint(tmp_path, resume=True)).fit(digits[0])
    whole = SparseAutoencoder(**how, engine=ONE).fit(digits[0])
    np.testing.assert_allclose(resumed.theta_, whole.theta_, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("how", ["stops", "interrupts"])
def test_all_end_when_a_callback_ends_the_first(how, digits):
    def end(state):
        if state.iteration == 3 and how == "interrupts":
            raise KeyboardInterrupt
        return state.iteration == 3

    model = SparseAutoencoder(n_components=5, warm_start=True, engine=TWO, random_state=0, callbacks=[end])
    if how == "stops":
        assert model.fit(digits[0]).solver_status_ == "stopped"
    else:
        with pytest.raises(KeyboardInterrupt):
            model.fit(digits[0])
    assert model.n_iter_ in (2, 3)
    assert followers() == []


#: A program that runs in each of two processes, which are a group before the fits begin.
_IN_A_GROUP = """
import sys, warnings
import numpy as np, torch
from tests.engines.test_processes import TWO, fits_of_a_group
rank, port = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
warnings.simplefilter("ignore")
np.savez(f"fitted{rank}.npz", **fits_of_a_group(np.load("X.npy"), TWO))
torch.distributed.destroy_process_group()
"""


def fits_of_a_group(X, engine):
    """Parameters of a network, and of a dictionary of each selection, some of whose latents are dead meanwhile."""
    network = SparseAutoencoder(n_components=6, max_iter=3, solver="adam", random_state=0, engine=engine).fit(X)
    found = {"network": network.theta_}
    how = {"n_components": 50, "max_iter": 2, "random_state": 0, "dead_after": 500, "engine": engine}
    without_dead = {**how, "dead_after": 10**6}
    for kind in (
        rhohat.TopKAutoencoder(k=3, **how),
        rhohat.BatchTopKAutoencoder(k=3, **how),
        rhohat.MatryoshkaAutoencoder(k=3, **how),
        rhohat.JumpReLUAutoencoder(**how),
        rhohat.L1Autoencoder(**without_dead),
        rhohat.GatedAutoencoder(**without_dead),
    ):
        kind.fit(X)
        found[type(kind).__name__] = np.concatenate([one.ravel() for one in (*kind.coefs_, *kind.intercepts_)])
    return found


@pytest.mark.filterwarnings("ignore::UserWarning")  # the trainings are short
def test_processes_that_are_a_group_already_compute_together(digits, tmp_path):
    np.save(tmp_path / "X.npy", digits[0])
    (tmp_path / "fit.py").write_text(_IN_A_GROUP)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    root = str(Path(__file__).parents[2])
    started = [
        subprocess.Popen(
            [sys.executable, "fit.py", rank, port],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root}/src"},
            stderr=subprocess.PIPE,
        )
        for rank in ("0", "1")
    ]
    said = [process.communicate(timeout=300)[1].decode() for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    for name, expected in fits_of_a_group(digits[0], ONE).items():
        for rank in (0, 1):
            found = np.load(tmp_path / f"fitted{rank}.npz")[name]
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_process_of_a_dictionary_that_is_killed_is_named_and_the_training_resumed(digits, tmp_path):
    def kill(state):
        if state.iteration == 4:
            (follower,) = followers()
            os.kill(follower, signal.SIGKILL)

    how = {"n_components": 40, "k": 3, "max_iter": 8, "random_state": 0}
    begun = rhohat.TopKAutoencoder(**how, engine=TWO, checkpoint=rhohat.Checkpoint(tmp_path, every=1), callbacks=[kill])
    with pytest.raises(ClusterError, match=r"process 1 of 2, .* was killed by the signal SIGKILL"):
        begun.fit(digits[0])
    assert followers() == []
    resumed = rhohat.TopKAutoencoder(**how, engine=ONE, checkpoint=rhohat.Checkpoint(tmp_path, resume=True))
    whole = rhohat.TopKAutoencoder(**how, engine=ONE)
    found, expected = (one.fit(digits[0]).coefs_[1] for one in (resumed, whole))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_what_several_devices_cannot_do_for_a_dictionary_is_refused(digits):
    model = rhohat.TopKAutoencoder(n_components=40, k=3, engine=TWO)
    with pytest.raises(ValueError, match="several devices cannot share an iterator of batches"):
        model.fit(iter([digits[0]]))
    with pytest.raises(ValueError, match="fit_together trains on one device; set engine to one of cpu, cpu"):
        rhohat.fit_together([model], digits[0])
    model.set_params(callbacks=[rhohat.callbacks.ResampleDeadLatents(every=100)])
    with pytest.raises(
        ValueError, match="changes the training, which is possible on one device, or on several with split='latents'"
    ):
        model.fit(digits[0])


_WITH_A_PENALTY = """
import sys, warnings
import numpy as np
from rhohat import L1Sparsity, SparseAutoencoder, TorchEngine
warnings.simplefilter("ignore")
{definition}
engine = TorchEngine(devices=["cpu", "cpu"])
model = SparseAutoencoder(n_components=4, penalties=[Mine(0.1)], solver="adam", max_iter=2, engine=engine)
print(model.fit(np.random.default_rng(0).random((50, 6))).n_iter_)
"""
_PENALTY = "class Mine(L1Sparsity): pass"


@pytest.mark.parametrize("is_in_a_module", [False, True])
def test_a_class_of_the_program_is_refused_at_once_and_one_of_a_module_beside_it_is_found(is_in_a_module, tmp_path):
    """The module is found by the folder of the program, which is not that in which Python is started."""
    (tmp_path / "mine.py").write_text(f"from rhohat import L1Sparsity\n{_PENALTY}\n")
    definition = "from mine import Mine" if is_in_a_module else _PENALTY
    (tmp_path / "program.py").write_text(_WITH_A_PENALTY.format(definition=definition))
    source = {**os.environ, "PYTHONPATH": str(Path(rhohat.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")],
        env=source,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if is_in_a_module:
        assert (done.returncode, done.stdout.strip()) == (0, "2"), done.stderr
    else:
        assert "ClusterError: process 1 of 2, which computed on 'cpu', ended with the code 1" in done.stderr
        assert "Can't get attribute 'Mine'" in done.stderr
        assert "The fit has not begun." in done.stderr


def test_what_cannot_be_sent_is_refused(digits):
    class Mine(L1Sparsity):
        """A penalty that is defined within a function."""

    model = SparseAutoencoder(n_components=5, penalties=[Mine(0.1)], engine=TWO, solver="adam", max_iter=1)
    with pytest.raises(ValueError, match=r"is sent to other processes, and a part of it cannot be.*into a module"):
        model.fit(digits[0])
    assert followers() == []


@pytest.mark.parametrize("devices", [["cpu"], "cpu", ["cpu", "tpu"], ["cpu", "cuda:0"], []])
def test_devices_are_at_least_two_names(devices):
    with pytest.raises(ValueError, match="devices must be at least two names or numbers of devices"):
        TorchEngine(devices=devices)


def test_a_process_of_a_group_has_the_device_of_its_number(monkeypatch):
    engine = TorchEngine(devices=[0, 1])
    assert engine.here().device == "cuda:0"
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    assert engine.here().device == "cuda:1"
    assert engine.device == TorchEngine("cuda:0").here().device == "cuda:0"


def test_numbers_are_those_of_cuda_devices():
    engine = TorchEngine(devices=[0, 1])
    assert (engine.device, engine.devices) == ("cuda:0", ("cuda:0", "cuda:1"))
    assert repr(engine) == "TorchEngine(devices=['cuda:0', 'cuda:1'])"


def test_blocks_are_a_multiple_of_the_parts_unless_there_are_fewer_rows():
    assert [len(blocks_within(100, 8, n_bytes, 3)) for n_bytes in (10_000, 800, 400, 100)] == [3, 3, 3, 9]
    assert blocks_within(2, 8, 100, 3) == [slice(0, 1), slice(1, 2)]
