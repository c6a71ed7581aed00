"""Dictionaries on a device learn and find what threads do: the CPU by PyTorch stands for all devices."""

import copy
import os
import signal
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.base import clone

import rhohat
from rhohat import SGD, Checkpoint, DaskEngine, TorchEngine, Transcoder, fit_together, open_rows
from rhohat.callbacks import ResampleDeadLatents
from rhohat.dictionaries.device_training import DeviceTrainer
from rhohat.dictionaries.training import NotFiniteError
from rhohat.ops import torch_code_ops
from tests.dictionaries.test_step_by_step import CASES, batches, trainer_of
from tests.estimators.dictionaries import KINDS, dictionary, rows, same

pytestmark = [
    pytest.mark.filterwarnings("ignore:in the last updates a row had:UserWarning"),
    pytest.mark.filterwarnings("ignore:only .* updates were made:UserWarning"),
    pytest.mark.filterwarnings("ignore::rhohat.common.exceptions.DeadLatentsWarning"),
]

X = rows()
DOUBLE = TorchEngine("cpu", dtype="float64")
BROUGHT = TorchEngine("cpu", dtype="float64", row_bytes=0)
#: Of these the first step depends on rounding: at the start one row is exactly at the threshold of each latent.
WITH_TIES = ("l1", "gated", "jumprelu")


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors are not worth several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def fitted(kind, engine, given=X, n_passes=3, **settings):
    """A dictionary that was fitted, by threads as far as the start depends on rounding."""
    model = dictionary(kind, max_iter=n_passes, **{"n_components": 40, "dead_after": 30, **settings})
    if kind not in WITH_TIES:
        return model.set_params(engine=engine).fit(given)
    model.set_params(max_iter=1, warm_start=True).fit(given)
    return model.set_params(engine=engine, max_iter=n_passes).fit(given)


def near(a, b, tolerance=1e-9):
    """Check that two fitted dictionaries have learned nearly the same, on nearly the same way."""
    assert a._state.theta.dtype == b._state.theta.dtype
    np.testing.assert_allclose(a._state.theta, b._state.theta, rtol=0, atol=tolerance)
    for name, moment in a._state.moments.items():
        np.testing.assert_allclose(moment, b._state.moments[name], rtol=0, atol=tolerance * np.abs(moment).max())
    np.testing.assert_array_equal(a.rows_since_fired_, b.rows_since_fired_)
    np.testing.assert_allclose(a._state.threshold, b._state.threshold, rtol=tolerance)
    assert a._state.weight == pytest.approx(b._state.weight, rel=tolerance)
    for name in ("loss_curve_", "terms_curve_", "measures_curve_"):
        curves = [getattr(one, name) for one in (a, b)]
        curves = [one if isinstance(one, dict) else {"J": one} for one in curves]
        assert curves[0].keys() == curves[1].keys()
        for key, curve in curves[0].items():
            np.testing.assert_allclose(curve, curves[1][key], rtol=tolerance, err_msg=key)
    assert (a.n_steps_, a.n_samples_fit_, a.n_iter_) == (b.n_steps_, b.n_samples_fit_, b.n_iter_)


def on_device(trainer, engine=DOUBLE):
    """A trainer on a device that begins where another one does."""
    return DeviceTrainer(trainer.problem, trainer._solver, trainer.state, engine)


def arrays_of(trainer):
    """The arrays of the state of a trainer."""
    return trainer.read().as_run_state().arrays.values()


# Steps.


@pytest.mark.parametrize("how", [{}, {"center": False, "decoder_norm": False}], ids=["centred, on the sphere", "free"])
@pytest.mark.parametrize("name", CASES)
def test_fifty_steps_are_those_of_threads(name, how):
    _, selection, _, weight = CASES[name]
    host, start = (trainer_of(selection, weight, ops="numpy", n_jobs=1, **how) for _ in range(2))
    device, n_revivals = on_device(start), 0
    with host.engine.session():
        for batch in batches(50):
            expected, found = host.learn(batch), device.learn(batch)
            assert {key: float(term) for key, term in found.terms.items()} == pytest.approx(expected.terms, rel=1e-9)
            assert float(found.squared_error) == pytest.approx(expected.squared_error, rel=1e-9)
            assert float(found.n_active) == expected.n_active
            n_revivals += expected.terms["auxiliary"] > 0
    assert n_revivals > 20
    assert device.n_dead == host.n_dead > 0
    assert (device.n_steps, device.n_rows) == (host.n_steps, host.n_rows)
    for array, known in zip(arrays_of(device), arrays_of(host), strict=True):
        np.testing.assert_allclose(array, known, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["TopK", "Gated"])
def test_the_host_never_waits_in_a_step_of_topk(name, monkeypatch):
    """What asks a tensor for a number on the host, or how many entries there are, is counted."""
    _, selection, _, weight = CASES[name]
    trainer = on_device(trainer_of(selection, weight, ops="numpy", dead_after=10**6))
    first, *others = batches(12)
    trainer.learn(first)
    waits = []
    for asked in ("item", "__bool__", "__float__", "__int__", "tolist", "nonzero", "numpy", "cpu"):
        original = getattr(torch.Tensor, asked)

        def count(*arguments, original=original, asked=asked):
            waits.append(asked)
            return original(*arguments)

        monkeypatch.setattr(torch.Tensor, asked, count)
    for batch in others:
        trainer.learn(torch.tensor(batch))
    assert len(waits) == (0 if name == "TopK" else len(others))  # the number of entries, once a step
    trainer.settle()
    assert len(waits) > 0


@pytest.mark.parametrize("name", CASES)
def test_a_batch_that_is_not_finite_changes_nothing_nor_do_those_after_it(name):
    _, selection, _, weight = CASES[name]
    starts = [trainer_of(selection, weight, ops="numpy") for _ in range(2)]
    for start in starts:
        start.problem = replace(start.problem, target_l0=3.0 if name in ("L1", "Gated") else None)
    trainer, known = map(on_device, starts)
    given = batches(9)
    for batch in given[:4]:
        known.learn(batch)
    given[4][3, 2] = np.nan
    given[6][:] = np.inf
    for batch in given:
        trainer.learn(batch)
    assert (trainer.n_steps, trainer.n_rows) == (9, 9 * len(given[0]))
    with pytest.raises(NotFiniteError) as error:
        trainer.settle()
    assert (error.value.n_rows, error.value.place) == (4 * len(given[0]), (3, 2))
    state = trainer.read()
    assert (state.step, state.n_rows) == (4, 4 * len(given[0]))
    for array, expected in zip(arrays_of(trainer), arrays_of(known), strict=True):
        np.testing.assert_array_equal(array, expected)


def test_rows_that_are_too_large_have_no_place():
    _, selection, _, weight = CASES["TopK"]
    trainer = on_device(trainer_of(selection, weight, ops="numpy"))
    trainer.learn(1e200 * batches(1)[0])
    with pytest.raises(NotFiniteError, match="begins after 0 rows") as error:
        trainer.settle()
    assert error.value.place is None


def test_what_is_changed_in_the_state_is_learned_from():
    _, selection, _, weight = CASES["TopK"]
    trainer = on_device(trainer_of(selection, weight, ops="numpy"))
    known = on_device(trainer_of(selection, weight, ops="numpy"))
    first, second = batches(2)
    for one in (trainer, known):
        one.learn(first)
    trainer.read().theta[:] = 0  # is for reading only
    trainer.learn(second)
    known.learn(second)
    np.testing.assert_array_equal(trainer.state.theta, known.state.theta)
    assert trainer.theta() is not trainer.state.theta
    trainer.state.theta[:] = 0
    assert trainer.learn(second).terms["loss"] == pytest.approx((second**2).sum(1).mean() / 2)


# Fits.


@pytest.mark.parametrize("engine", [DOUBLE, BROUGHT], ids=["rows on the device", "rows brought"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_learns_what_threads_learn_and_the_same_bits_each_time(kind, engine):
    host, device = fitted(kind, None), fitted(kind, engine)
    near(host, device)
    same(device, fitted(kind, engine))
    assert kind in WITH_TIES or max(host.terms_curve_["auxiliary"]) > 0  # some latents were dead
    for given in (X, X[:1]):
        codes, found = host.encode(given), device.encode(given)
        np.testing.assert_array_equal(codes.starts, found.starts)
        np.testing.assert_array_equal(codes.latents, found.latents)
        np.testing.assert_allclose(codes.values, found.values, rtol=1e-9)
        np.testing.assert_allclose(host.reconstruct(given), device.reconstruct(given), rtol=0, atol=1e-9)
    assert host.transform(X).dtype == device.transform(X).dtype
    evaluated = [rhohat.evaluate(one, X) for one in (host, device)]
    assert evaluated[0].explained_variance == pytest.approx(evaluated[1].explained_variance, rel=1e-9)


HOWS = {
    "layer norm, free": {"normalize": "layer_norm", "center": False, "decoder_norm": False},
    "no scaling": {"normalize": None, "auxiliary_weight": 0.0},
    "another solver": {"solver": SGD(learning_rate=0.02, batch_size=20)},
    "another solver, free": {"solver": SGD(learning_rate=0.02, batch_size=20), "decoder_norm": False},
    "dead latents begin anew": {
        "auxiliary_weight": 0.0,
        "n_passes": 6,
        "callbacks": [ResampleDeadLatents(150)],
    },
}


@pytest.mark.parametrize("how", HOWS.values(), ids=HOWS)
@pytest.mark.parametrize("kind", ["topk", "matryoshka", "l1"])
def test_so_it_does_with_other_settings(kind, how):
    near(fitted(kind, None, **how), fitted(kind, DOUBLE, **how))
    if "callbacks" in how:
        assert len(how["callbacks"][0].n_resampled) == 4
        assert kind == "l1" or sum(how["callbacks"][0].n_resampled) > 0


@pytest.mark.parametrize("kind", ["l1", "gated"])
def test_a_weight_that_is_controlled_is_that_of_threads(kind):
    model = dictionary(kind, max_iter=1, warm_start=True, target_l0=3.0).fit(X)
    host, device = (copy.deepcopy(model).set_params(engine=engine, max_iter=3).fit(X) for engine in (None, DOUBLE))
    assert host._state.weight != model._state.weight
    near(host, device)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("engine", [DOUBLE, BROUGHT], ids=["rows on the device", "rows brought"])
def test_a_transcoder_is_that_of_threads(engine, skip):
    Y = X @ np.random.default_rng(1).standard_normal((X.shape[1], 4))
    host, device = (Transcoder(dictionary("topk", engine=one), skip=skip).fit(X, Y) for one in (None, engine))
    near(host.dictionary_, device.dictionary_)
    np.testing.assert_allclose(host.predict(X), device.predict(X), rtol=0, atol=1e-9)


def test_dictionaries_fitted_together_learn_the_bits_of_fits_of_their_own():
    kinds = ("topk", "batch_topk")
    together = fit_together([dictionary(kind, engine=DOUBLE) for kind in kinds], X)
    for kind, one in zip(kinds, together, strict=True):
        same(one, dictionary(kind, engine=DOUBLE).fit(X))
    with pytest.raises(ValueError, match="must have the same engine; got TorchEngine"):
        fit_together([dictionary("topk", engine=DOUBLE), dictionary("topk")], X)


def test_rows_of_files_and_iterators_are_brought(tmp_path):
    np.save(tmp_path / "rows.npy", X)
    with open_rows(tmp_path / "rows.npy") as source:
        same(dictionary("topk", engine=DOUBLE).fit(source), dictionary("topk", engine=DOUBLE).fit(X))
        np.testing.assert_allclose(
            dictionary("topk", engine=DOUBLE).fit(source).reconstruct(source), dictionary("topk").fit(X).reconstruct(X)
        )
    pieces = [X[:7], X[7:100], X[100:]]
    near(*(dictionary("topk", engine=engine, max_iter=1).fit(iter(pieces)) for engine in (None, DOUBLE)))


def test_whole_numbers_are_rows_as_well():
    whole = np.random.default_rng(0).integers(0, 200, (120, 6)).astype(np.uint8)
    near(*(dictionary("topk", engine=engine).fit(whole) for engine in (None, DOUBLE)))


@pytest.mark.parametrize("kind", ["topk", "jumprelu"])
@pytest.mark.parametrize("products", ["exact", "bfloat16"])
def test_a_device_computes_in_float32_unless_it_is_asked(kind, products):
    """The rows are float64, and so is what is kept of a fit."""
    host = fitted(kind, None)
    device = fitted(kind, TorchEngine("cpu", products=products))
    assert device._state.theta.dtype == device.transform(X).dtype == device.reconstruct(X).dtype == np.float64
    theta = device._state.theta.astype(np.float32)
    np.testing.assert_array_equal(theta, device._state.theta)
    assert device.loss_curve_ == pytest.approx(host.loss_curve_, rel=1e-4 if products == "exact" else 0.1)
    assert device.score(X) == pytest.approx(host.score(X), abs=1e-3 if products == "exact" else 0.1)


@pytest.mark.parametrize("kind", ["topk", "matryoshka"])
def test_kernels_learn_what_pytorch_learns(kind, monkeypatch):
    """They run in Triton's interpreter, where no GPU is."""
    given = X[:40]
    how = {"n_components": 12, "batch_size": 10, "dead_after": 15, "max_iter": 1}
    plain = dictionary(kind, engine=DOUBLE, **how).fit(given)
    find, used = torch_code_ops.TorchCodeOps._kernels, set()

    def with_kernels(self, name, tensor):
        self.kernels = True
        used.add(name)
        return find(self, name, tensor)

    monkeypatch.setattr(torch_code_ops.TorchCodeOps, "_kernels", with_kernels)
    device = dictionary(kind, engine=DOUBLE, **how).fit(given)
    near(plain, device)
    assert used >= {"decoding", "learning", "collecting" if kind == "matryoshka" else "largest"}
    np.testing.assert_allclose(plain.reconstruct(given), device.reconstruct(given), rtol=0, atol=1e-9)


# Interruptions.


class Stop:
    """A callback that ends a fit as an exception of a user's would."""

    def __init__(self, iteration):
        self.iteration = iteration

    def __call__(self, state):
        if state.iteration == self.iteration:
            raise RuntimeError("the end")


LONG = {"batch_size": 2, "max_iter": 2, "random_state": 0}


@pytest.mark.parametrize("kind", ["topk", "batch_topk"])
@pytest.mark.parametrize(
    "engines", [(None, DOUBLE), (DOUBLE, None), (DOUBLE, DOUBLE)], ids=["host to device", "device to host", "device"]
)
def test_a_checkpoint_is_resumed_by_whatever_computes(kind, engines, tmp_path):
    begun = dictionary(kind, **LONG, engine=engines[0], callbacks=[Stop(3)], checkpoint=Checkpoint(tmp_path, every=1))
    with pytest.raises(RuntimeError, match="the end"):
        begun.fit(X)
    resumed = dictionary(kind, **LONG, engine=engines[1], checkpoint=Checkpoint(tmp_path, resume=True)).fit(X)
    whole = dictionary(kind, **LONG, engine=engines[1]).fit(X)
    assert len(whole.loss_curve_) > 4
    near(whole, resumed, 1e-8)
    if engines == (DOUBLE, DOUBLE):
        same(whole, resumed)


def test_rows_that_are_not_finite_leave_what_was_learned_before():
    bad = X.copy()
    bad[200, 1] = np.nan
    for kind in ("topk", "l1"):
        model = dictionary(kind, engine=DOUBLE, batch_size=2, max_iter=1)
        with warnings.catch_warnings(), pytest.raises(ValueError, match="row 200") as error:
            model.fit(iter(np.split(bad, 24)))
        assert "What was learned before this batch is kept." in str(error.value)
        assert (model.n_samples_fit_, model.solver_status_) == (200, "not_finite")
        assert np.isfinite(model._state.theta).all()
        assert np.isfinite(model.reconstruct(X)).all()


def test_ctrl_c_leaves_what_was_learned():
    def interrupt(state):
        if state.iteration == 2:
            os.kill(os.getpid(), signal.SIGINT)

    model = dictionary("topk", **LONG, engine=DOUBLE, warm_start=True, callbacks=[interrupt])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X)
    assert (model.solver_status_, model.n_iter_) == ("interrupted", 2)
    same(model, clone(model).set_params(callbacks=[lambda state: state.iteration == 2]).fit(X))


def test_a_device_without_enough_memory_says_what_to_lower(monkeypatch, capsys):
    def learn(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(DeviceTrainer, "learn", learn)
    with pytest.raises(
        MemoryError, match=r"device 'cpu' has too little memory.*batches of 20 rows with 16 latents"
    ) as error:
        dictionary("topk", engine=DOUBLE, memory_limit="100 MB").fit(X)
    for setting in ("batch_size", "n_components", "products"):
        assert setting in str(error.value)
    assert "memory on the device" in capsys.readouterr().err


# What is refused, and what is not kept.


def test_a_cluster_is_refused():
    with pytest.raises(ValueError, match="engine must be None, a TorchEngine, or the name of a device"):
        dictionary("topk", engine=DaskEngine.__new__(DaskEngine)).fit(X)
    with pytest.raises(ValueError, match="device must be 'cuda', 'mps', 'xpu' or 'cpu'"):
        dictionary("topk", engine="gpu").fit(X)


def test_a_name_is_enough_and_a_model_file_does_not_keep_it(tmp_path):
    model = dictionary("topk", engine="cpu").fit(X)
    same(model, dictionary("topk", engine=TorchEngine("cpu")).fit(X))
    assert clone(model).engine == "cpu"
    rhohat.save(model, tmp_path / "model.rhohat")
    loaded = rhohat.load(tmp_path / "model.rhohat")
    assert loaded.engine is None
    for one, other in zip(loaded.coefs_, model.coefs_, strict=True):
        np.testing.assert_array_equal(one, other)


def test_training_goes_on_elsewhere():
    model = dictionary("topk", engine=DOUBLE)
    for engine in (DOUBLE, None, DOUBLE):
        model.set_params(engine=engine).partial_fit(X)
    known = dictionary("topk")
    for _ in range(3):
        known.partial_fit(X)
    near(model, known)
