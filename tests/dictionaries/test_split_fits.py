"""Fits of dictionaries whose latents are split over processes: checkpoints, callbacks, Ctrl-C, and what is refused."""

import os
import signal

import numpy as np
import pytest
import torch
from sklearn.base import clone

import rhohat
from rhohat import Checkpoint, ClusterError, SparseAutoencoder, TorchEngine, Transcoder
from rhohat.callbacks import ResampleDeadLatents
from rhohat.cli.training_setup import connected
from rhohat.dictionaries.device_training import DeviceTrainer
from rhohat.dictionaries.selections import Matryoshka, TopK
from rhohat.dictionaries.split_training import SplitTrainer
from rhohat.dictionaries.training import NotFiniteError
from rhohat.engines.group import Group
from rhohat.fitting.device_memory import explaining_memory_of_device, plan_memory_of_device
from tests.dictionaries.test_on_device import near
from tests.dictionaries.test_split_steps import check_steps
from tests.dictionaries.test_split_steps import in_each_process as steps_of_this_process
from tests.dictionaries.test_step_by_step import CASES, batches, trainer_of
from tests.engines.test_processes import followers
from tests.estimators.dictionaries import dictionary, rows
from tests.groups import in_a_group

pytestmark = [
    pytest.mark.filterwarnings("ignore:in the last updates a row had:UserWarning"),
    pytest.mark.filterwarnings("ignore:only .* updates were made:UserWarning"),
    pytest.mark.filterwarnings("ignore::rhohat.common.exceptions.DeadLatentsWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

X = rows()
ONE = TorchEngine("cpu", dtype="float64")
SPLIT = {size: TorchEngine(devices=["cpu"] * size, dtype="float64", split="latents") for size in (2, 3)}
HOW = {"n_components": 50, "dead_after": 30}
FEW = X[:120]
LONG = {**HOW, "batch_size": 10, "max_iter": 4, "random_state": 0}  # four blocks of updates on these


class StopAt:
    """A callback that ends a fit after a block of updates."""

    def __init__(self, iteration):
        self.iteration = iteration

    def __call__(self, state):
        return state.iteration == self.iteration


def arrays_of(model):
    arrays = {"theta": model._state.theta, "since": model.rows_since_fired_, "J": np.array(model.loss_curve_)}
    return {**arrays, "dead": np.array(model.measures_curve_["dead"]), "steps": np.array(model.n_steps_)}


# In a group that was there before.


def fits(several):
    """Arrays of dictionaries that are fitted with callbacks, with outputs, and from checkpoints, by name."""
    Y = X @ np.random.default_rng(1).standard_normal((X.shape[1], 4))
    transcoder = Transcoder(dictionary("topk", engine=several, **HOW), skip=True).fit(X, Y)
    resampling = ResampleDeadLatents(150)
    how = {**HOW, "auxiliary_weight": 0.0, "max_iter": 6, "callbacks": [resampling]}
    found = {
        "transcoder": transcoder.dictionary_,
        "resampled": dictionary("topk", engine=several, **how).fit(X),
        "solver": dictionary("batch_topk", engine=several, **HOW).set_params(solver=rhohat.SGD(0.02, batch_size=20)),
    }
    found["solver"].fit(X)
    return {f"{name} {key}": one for name, model in found.items() for key, one in arrays_of(model).items()}


def checkpointed(kind, engine):
    """A model that is fitted from a checkpoint in this folder, which the fit of another one wrote."""
    if kind == "network":
        model = SparseAutoencoder(n_components=5, solver="adam", max_iter=8, random_state=0)
    else:
        model = dictionary(kind, **LONG)
    folder = f"{kind} {engine.split}"
    model.set_params(engine=engine)
    clone(model).set_params(callbacks=[StopAt(3)], checkpoint=Checkpoint(folder, every=7)).fit(FEW)
    return model.set_params(checkpoint=Checkpoint(folder, resume=True)).fit(FEW)


def in_each_process():
    rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()
    found = fits(SPLIT[size])
    for kind, split in (("topk", "latents"), ("topk", "rows"), ("network", "rows")):
        model = checkpointed(kind, TorchEngine(devices=["cpu"] * size, dtype="float64", split=split))
        found[f"resumed {kind} {split}"] = model.theta_ if kind == "network" else model._state.theta
    engine = SPLIT[size].in_group(Group(rank, size, is_joined=True), "cpu")
    start = trainer_of(CASES["TopK"][1], 0.0, ops="numpy")
    found |= after_large_rows(SplitTrainer(start.problem, start._solver, start.state, engine))
    return {**found, **{f"steps {name}": array for name, array in steps_of_this_process().items()}}


def after_large_rows(trainer):
    """State after five batches of which the fourth is so large that J is not finite."""
    for number, batch in enumerate(batches(5)):
        trainer.learn(1e200 * batch if number == 3 else batch)
    with pytest.raises(NotFiniteError) as error:
        trainer.settle()
    trainer.come_home()
    state = trainer.read()
    return {"kept theta": state.theta, "kept steps": np.array([state.step, state.n_rows, error.value.n_rows])}


def test_processes_that_are_a_group_already_fit_what_one_fits(tmp_path, monkeypatch):
    """Checkpoints are written by the first; callbacks may change the latents of all."""
    monkeypatch.chdir(tmp_path)
    returned = in_a_group(in_each_process, 2, tmp_path)
    steps = [{name[6:]: one.pop(name) for name in [*one] if name.startswith("steps ")} for one in returned]
    check_steps(steps, 2)
    expected = fits(ONE)
    assert len(expected) == 15
    start = trainer_of(CASES["TopK"][1], 0.0, ops="numpy")
    expected |= after_large_rows(DeviceTrainer(start.problem, start._solver, start.state, ONE))
    expected["resumed topk latents"] = expected["resumed topk rows"] = (
        dictionary("topk", engine=ONE, **LONG).fit(FEW)._state.theta
    )
    network = SparseAutoencoder(n_components=5, solver="adam", max_iter=8, random_state=0, engine=ONE).fit(FEW)
    expected["resumed network rows"] = network.theta_
    for found in returned:
        assert found.keys() == expected.keys()
        for name, array in found.items():
            np.testing.assert_allclose(array, expected[name], rtol=0, atol=1e-9, err_msg=name)


# In processes that the fit starts.


def test_a_process_is_killed_and_one_goes_on_and_then_three(tmp_path):
    def kill(state):
        if state.iteration == 2:
            (follower,) = followers()
            os.kill(follower, signal.SIGKILL)

    kind, checkpoint = "batch_topk", Checkpoint(tmp_path, every=7)
    begun = dictionary(kind, **LONG, engine=SPLIT[2], checkpoint=checkpoint, callbacks=[kill])
    with pytest.raises(ClusterError, match=r"process 1 of 2, .* was killed by the signal SIGKILL"):
        begun.fit(FEW)
    assert followers() == []
    resuming = Checkpoint(tmp_path, every=7, resume=True)
    alone = dictionary(kind, **LONG, engine=ONE, checkpoint=resuming, callbacks=[StopAt(3)]).fit(FEW)
    assert alone.n_iter_ == 3
    resumed = dictionary(kind, **LONG, engine=SPLIT[3], checkpoint=resuming).fit(FEW)
    whole = dictionary(kind, **LONG, engine=ONE).fit(FEW)
    assert len(whole.loss_curve_) == 4
    near(resumed, whole)
    assert followers() == []


def test_ctrl_c_leaves_what_was_learned_and_a_model_encodes_by_threads(monkeypatch):
    def interrupt(state):
        if state.iteration == 2:
            os.kill(os.getpid(), signal.SIGINT)

    model = dictionary("matryoshka", **LONG, engine=SPLIT[2], warm_start=True, callbacks=[interrupt])
    with pytest.raises(KeyboardInterrupt):
        model.fit(FEW)
    assert followers() == []
    assert (model.solver_status_, model.n_iter_) == ("interrupted", 2)
    near(model, clone(model).set_params(engine=ONE, callbacks=[StopAt(2)]).fit(FEW))
    monkeypatch.setattr(TorchEngine, "device_ops", property(lambda _: pytest.fail("no device is asked")))
    codes = model.transform(X)
    np.testing.assert_array_equal(codes.toarray(), model.set_params(engine=None).transform(X).toarray())


# What is planned, and what is refused.


SIZES = {"n_parameters": 3000, "n_latents": 120, "n_moments": 2, "n_batch": 8, "width": 20, "l0": 4}


def test_each_device_is_planned_to_hold_its_slice():
    whole, part = (dict(plan_memory_of_device(SIZES, engine)) for engine in (ONE, SPLIT[3]))
    assert (whole["parameters"], part["parameters of a slice of the latents"]) == (8 * 3000, 8 * 1000)
    moments, rows_of_some = "moments of the solver, 2 for each parameter", "pre-activations of some rows"
    for name in (moments, rows_of_some):
        assert part[name] == whole[name] // 3
    assert len(part) == len(whole) + 1


@pytest.mark.parametrize(("split", "remedy"), [("rows", "split='latents'"), ("latents", "name more devices")])
def test_too_little_memory_is_explained(split, remedy):
    engine = TorchEngine(devices=["cpu", "cpu"], split=split)
    with pytest.raises(MemoryError, match=f"too little memory.*{remedy}"), explaining_memory_of_device(SIZES, engine):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_what_cannot_be_split_is_refused():
    for split in ("latents", "rows"):
        engine = TorchEngine(devices=["cpu", "cpu"], split=split)
        with pytest.raises(ValueError, match="several devices cannot share an iterator of batches"):
            dictionary("topk", engine=engine, max_iter=1).fit(iter([X]))
    with pytest.raises(ValueError, match=r"n_components must be at least the number of devices.*got 2 and 3 devices"):
        dictionary("topk", 2, engine=SPLIT[3]).fit(X)
    with pytest.raises(ValueError, match="split='latents', which is for dictionaries; use split='rows'"):
        SparseAutoencoder(n_components=2, engine=SPLIT[2]).fit(X)
    with pytest.raises(ValueError, match="fit_together trains on one device"):
        rhohat.fit_together([dictionary("topk", engine=SPLIT[2])], X)
    with pytest.raises(ValueError, match="split='latents' needs several devices"):
        TorchEngine("cpu", split="latents")
    with pytest.raises(ValueError, match=r"split must be one of \('rows', 'latents'\); got 'columns'"):
        TorchEngine(devices=["cpu", "cpu"], split="columns")


def test_the_split_is_a_setting_of_the_engine():
    assert repr(SPLIT[2]) == "TorchEngine(devices=['cpu', 'cpu'], dtype='float64', split='latents')"
    assert SPLIT[2] != TorchEngine(devices=["cpu", "cpu"], dtype="float64")
    assert SPLIT[2] == TorchEngine(devices=["cpu", "cpu"], dtype="float64", split="latents")


def test_the_command_line_splits_latents():
    with connected(None, "cpu,cpu", split_latents=True) as engine:
        assert engine == TorchEngine(devices=["cpu", "cpu"], split="latents")
    with connected(None, "cpu,cpu") as engine:
        assert engine == TorchEngine(devices=["cpu", "cpu"])


def test_a_prefix_may_have_no_latents_in_a_slice():
    whole = Matryoshka(4.0, (3, 8, 20, 40))
    slices = {(0, 13): (3, 8, 13, 13), (13, 26): (0, 0, 7, 13), (26, 40): (0, 0, 0, 14)}
    for (first, last), sizes in slices.items():
        assert whole.of_slice(slice(first, last)) == Matryoshka(4.0, sizes)
    assert TopK(4).of_slice(slice(3, 5)) == TopK(4)
