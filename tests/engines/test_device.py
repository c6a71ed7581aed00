"""A device computes what threads compute: the CPU by PyTorch stands for all devices, in float64."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits

import rhohat
from rhohat import (
    LSTM,
    SGD,
    Adam,
    Convolution,
    Dense,
    Dropout,
    MaxPooling,
    SparseAutoencoder,
    TorchEngine,
    open_rows,
)
from rhohat.engines import ThreadEngine
from rhohat.objective import Problem, make_objective
from rhohat.objective.mini_batches import MiniBatches
from rhohat.terms.corruption import MaskingNoise
from tests.ops.test_torch import CASES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # fits are short

DOUBLE = TorchEngine("cpu", dtype="float64")
#: Rows that do not stay on the device, and blocks of few rows.
IN_BLOCKS = TorchEngine("cpu", dtype="float64", row_bytes=0)
IN_BLOCKS.block_bytes = 2**12


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors are not worth several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:600] / 16, y[:600]


def everything(J, theta, vector):
    """All that an objective computes."""
    value, gradient, terms = J.evaluate(theta)
    assert all(type(number) is float for number in (value, *terms.values()))
    found = [value, *terms.values(), J.cost(theta)[0], gradient, *J.mean_activations(theta)]
    try:
        J.check_second_derivative()
    except ValueError:
        return found
    return [*found, J.hessian_vector_product(theta, vector)]


@pytest.mark.parametrize("number", range(len(CASES)), ids=CASES)
def test_the_cost_and_its_derivatives_of_every_model_are_those_of_threads(number):
    """The rows of every second model are brought in blocks; those of the others stay on the device."""
    case, engine = list(CASES.values())[number], IN_BLOCKS if number % 2 else DOUBLE
    vector = np.random.default_rng(0).normal(size=case.theta.size)
    found, expected = (
        everything(make_objective(case.problem, one), case.theta, vector) for one in (engine, ThreadEngine(1))
    )
    for ours, theirs in zip(found, expected, strict=True):
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        assert ours.shape == theirs.shape
        assert np.linalg.norm(ours - theirs) <= 1e-10 * np.linalg.norm(theirs)


def small(n_units):
    return SparseAutoencoder(n_components=n_units, max_iter=5)


ROWS, IMAGES = "rows", "images"
FITS = {
    "sparse": (ROWS, lambda **how: SparseAutoencoder(n_components=12, max_iter=20, **how)),
    "sparse, conjugate gradient": (
        ROWS,
        lambda **how: SparseAutoencoder(n_components=12, max_iter=8, solver="conjugate_gradient", **how),
    ),
    "sparse, Newton": (ROWS, lambda **how: SparseAutoencoder(n_components=12, max_iter=3, solver="newton_cg", **how)),
    "sparse, Adam": (ROWS, lambda **how: SparseAutoencoder(n_components=12, max_iter=3, solver="adam", **how)),
    "sparse, held out": (
        ROWS,
        lambda **how: SparseAutoencoder(n_components=12, max_iter=10, early_stopping=True, **how),
    ),
    "denoising": (
        ROWS,
        lambda **how: rhohat.DenoisingAutoencoder(n_components=12, max_iter=3, solver="adam", **how),
    ),
    "denoising, SGD": (
        ROWS,
        lambda **how: rhohat.DenoisingAutoencoder(n_components=12, max_iter=3, solver="sgd", **how),
    ),
    "denoising, all rows": (ROWS, lambda **how: rhohat.DenoisingAutoencoder(n_components=12, max_iter=6, **how)),
    "contractive": (ROWS, lambda **how: rhohat.ContractiveAutoencoder(n_components=8, max_iter=5, **how)),
    "deep": (ROWS, lambda **how: rhohat.DeepAutoencoder(hidden_layer_sizes=(12, 4), max_iter=8, **how)),
    "stacked": (ROWS, lambda **how: rhohat.StackedAutoencoder([small(12), small(6)], **how)),
    "stacked classifier": (
        ROWS,
        lambda **how: rhohat.StackedAutoencoderClassifier([small(12), small(6)], max_iter=5, **how),
    ),
    "softmax": (ROWS, lambda **how: rhohat.SoftmaxRegression(max_iter=10, **how)),
    "classifier": (
        ROWS,
        lambda **how: rhohat.FeedforwardClassifier(
            hidden_layer_sizes=(12,), max_iter=4, solver="adam", early_stopping=True, class_weight="balanced", **how
        ),
    ),
    "classifier with dropout": (
        ROWS,
        lambda **how: rhohat.FeedforwardClassifier(
            layers=[Dense(12, "relu"), Dropout(0.5)], max_iter=3, solver="adam", **how
        ),
    ),
    "regressor": (ROWS, lambda **how: rhohat.FeedforwardRegressor(hidden_layer_sizes=(8,), max_iter=10, **how)),
    "convolutional": (
        IMAGES,
        lambda **how: rhohat.ConvolutionalClassifier(
            layers=[Convolution(3, 3), MaxPooling(2), Dense(8)], max_iter=2, solver="adam", **how
        ),
    ),
    "convolutional autoencoder": (
        IMAGES,
        lambda **how: rhohat.ConvolutionalAutoencoder(layers=[Convolution(3, 3)], max_iter=2, solver="adam", **how),
    ),
    "recurrent": (
        IMAGES,
        lambda **how: rhohat.RecurrentClassifier(
            layers=[LSTM(5)], max_iter=2, solver=Adam(max_gradient_norm=0.5), **how
        ),
    ),
    "recurrent regressor": (IMAGES, lambda **how: rhohat.RecurrentRegressor(layers=[LSTM(5)], max_iter=2, **how)),
    "recurrent autoencoder": (IMAGES, lambda **how: rhohat.RecurrentAutoencoder(layers=[LSTM(5)], max_iter=2, **how)),
}


def fitted(kind, digits, **how):
    shape, make = FITS[kind]
    X, y = digits
    given = X if shape is ROWS else X.reshape(-1, 8, 8)
    return make(random_state=0, **how).fit(given, y), given


def outputs_of(model, given):
    if hasattr(model, "predict_proba"):
        return model.predict_proba(given)
    return model.predict(given) if hasattr(model, "predict") else model.transform(given)


@pytest.mark.parametrize("kind", FITS)
def test_every_kind_of_fit_is_that_of_threads_and_the_same_bits_twice(kind, digits):
    expected, given = fitted(kind, digits)
    found, again = (fitted(kind, digits, engine=DOUBLE)[0] for _ in range(2))
    np.testing.assert_allclose(found.theta_, expected.theta_, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found.theta_, again.theta_)
    for (_, ours), (_, theirs) in zip(found.fitted_parts(), expected.fitted_parts(), strict=True):
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-6)
        assert (ours.n_iter_, ours.solver_status_) == (theirs.n_iter_, theirs.solver_status_)
    np.testing.assert_allclose(outputs_of(found, given), outputs_of(expected, given), rtol=1e-6, atol=1e-6)


def test_all_estimators_of_networks_are_among_them():
    kinds = {type(make(random_state=0)).__name__ for _, make in FITS.values()}
    networks = {name for name in rhohat.__all__ if hasattr(getattr(rhohat, name), "forward_pass")}
    assert len(networks) > 10
    assert networks <= kinds


@pytest.mark.parametrize("engine", [DOUBLE, IN_BLOCKS], ids=["rows on the device", "rows brought"])
@pytest.mark.parametrize("kind", ["plain", "corrupted", "weighted", "dropped"])
def test_mini_batches_are_those_of_threads(kind, engine, digits, rng):
    X, y = digits
    model = rhohat.FeedforwardClassifier(layers=[Dense(7, "relu"), Dropout(0.4)], max_iter=1, solver="adam")
    network = (
        model.fit(X, y).network_
        if kind == "dropped"
        else SparseAutoencoder(n_components=7, max_iter=1, solver="adam").fit(X).network_
    )
    targets = np.eye(10)[y] if kind == "dropped" else None
    problem = Problem(
        network,
        X,
        targets,
        sample_weight=rng.random(len(X)) if kind == "weighted" else None,
        corruption=MaskingNoise(0.3) if kind == "corrupted" else None,
    )
    theta = network.initial_theta(rng)
    how = {"seed": 3, "validation_fraction": 0.2}
    found, expected = (MiniBatches(problem, one, **how) for one in (engine, ThreadEngine(1)))
    np.testing.assert_allclose(found.validate(theta), expected.validate(theta), rtol=1e-12)
    pairs = list(zip(found.batches(1, 50, 2), expected.batches(1, 50, 2), strict=True))
    assert len(pairs) == 8
    for (ours, n_ours), (theirs, n_theirs) in zip(found.batches(1, 50, 2), expected.batches(1, 50, 2), strict=True):
        assert n_ours == n_theirs
        (value, gradient), (other, expected_gradient) = ours(theta), theirs(theta)
        np.testing.assert_allclose(value, other, rtol=1e-12)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_rows_of_a_file_are_brought_window_by_window(solver, digits, tmp_path):
    np.save(tmp_path / "X.npy", digits[0])
    how = {"n_components": 6, "max_iter": 2, "random_state": 0, "solver": solver, "memory_limit": "20 MB"}
    with open_rows(tmp_path / "X.npy") as rows:
        expected = SparseAutoencoder(**how).fit(rows)
        found = SparseAutoencoder(**how, engine=IN_BLOCKS).fit(rows)
    np.testing.assert_allclose(found.theta_, expected.theta_, rtol=1e-8, atol=1e-9)


def test_a_fit_in_parts_goes_on_from_the_same_moments(digits):
    found, expected = (
        SparseAutoencoder(n_components=6, solver="adam", random_state=0, engine=e) for e in (DOUBLE, None)
    )
    for _ in range(3):
        found.partial_fit(digits[0])
        expected.partial_fit(digits[0])
    np.testing.assert_allclose(found.theta_, expected.theta_, rtol=1e-10)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_checkpoint_of_the_device_is_resumed_by_threads(solver, digits, tmp_path):
    def stop_after(n_iter):
        def callback(state):
            if state.iteration == n_iter:
                raise KeyboardInterrupt

        return [callback]

    how = {"n_components": 6, "max_iter": 12, "random_state": 0, "solver": solver}
    checkpoint = rhohat.Checkpoint(tmp_path, every=1)
    begun = SparseAutoencoder(**how, engine=DOUBLE, checkpoint=checkpoint, callbacks=stop_after(5))
    with pytest.raises(KeyboardInterrupt):
        begun.fit(digits[0])
    resumed = SparseAutoencoder(**how, checkpoint=replace(checkpoint, resume=True))
    whole = SparseAutoencoder(**how)
    resumed.fit(digits[0])
    whole.fit(digits[0])
    np.testing.assert_allclose(resumed.theta_, whole.theta_, rtol=1e-6, atol=1e-8)


def test_a_cost_that_is_not_finite_ends_the_run(digits):
    model = SparseAutoencoder(n_components=6, solver=SGD(1e200), max_iter=3, random_state=0, engine=DOUBLE)
    with pytest.warns(Warning, match="stopped being finite at evaluation"):
        model.fit(digits[0] * 1e3)
    assert np.isfinite(model.theta_).all()


@pytest.mark.parametrize("products", ["exact", "tf32", "bfloat16"])
def test_float32_and_rounded_products_are_near(products, digits):
    J = [
        make_objective(
            Problem(SparseAutoencoder(n_components=6, max_iter=1, solver="adam").fit(digits[0]).network_, X), e
        )
        for X, e in [(digits[0], ThreadEngine(1)), (digits[0], TorchEngine("cpu", products=products))]
    ]
    theta = J[0].network.initial_theta(np.random.default_rng(0))
    (value, gradient), (near, near_gradient) = J[0](theta), J[1](theta)
    tolerance = 3e-2 if products == "bfloat16" else 1e-5
    assert abs(near / value - 1) < tolerance
    error = np.linalg.norm(near_gradient - gradient) / np.linalg.norm(gradient)
    assert error < tolerance
    assert (error > 1e-4) == (products == "bfloat16")


def test_names_of_devices_are_short_for_engines(digits):
    with pytest.raises(ValueError, match=r"device must be 'cuda', 'mps', 'xpu' or 'cpu', or one of several"):
        SparseAutoencoder(engine="gpu").fit(digits[0])
    model = SparseAutoencoder(n_components=4, max_iter=2, solver="adam", engine="cpu", random_state=0).fit(digits[0])
    other = SparseAutoencoder(n_components=4, max_iter=2, solver="adam", engine=TorchEngine("cpu"), random_state=0)
    np.testing.assert_array_equal(model.theta_, other.fit(digits[0]).theta_)


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "xpu", "mps"])
def test_a_device_that_is_not_there_is_named_before_the_fit_begins(device, digits):
    if device.startswith("cuda") and torch.cuda.is_available():
        pytest.skip("this machine has such a device")
    with pytest.raises(ValueError, match=f"finds no device '{device.partition(':')[0]}' on this machine. Name no"):
        SparseAutoencoder(engine=device).fit(digits[0])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"device": "tpu"}, "device must be"),
        ({"dtype": "float16"}, "dtype must be 'float32' or 'float64'"),
        ({"device": "mps", "dtype": "float64"}, "dtype must be 'float32' on the device 'mps'"),
        ({"products": "int8"}, "products must be one of"),
        ({"dtype": "float64", "products": "tf32"}, "products='tf32' needs dtype='float32'"),
        ({"row_bytes": -1}, "row_bytes must be a number of bytes, at least 0"),
        ({"device": "cpu", "devices": [0, 1]}, "device and devices exclude one another"),
    ],
)
def test_settings_that_there_are_not_are_refused(how, message):
    with pytest.raises(ValueError, match=message):
        TorchEngine(**how)


def test_a_device_that_is_full_is_told_with_what_to_lower(digits):
    def fill(state):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB.\nMore of it.")

    model = SparseAutoencoder(n_components=4, solver="adam", engine=DOUBLE, callbacks=[fill])
    with pytest.raises(MemoryError, match=r"'cpu' is not enough: use smaller mini-.* Tried to allocate 3 GiB\.$"):
        model.fit(digits[0])


def test_engines_are_settings(digits):
    engine = TorchEngine("cuda:1", products="bfloat16", row_bytes=5)
    shown = "TorchEngine('cuda:1', products='bfloat16', row_bytes=5)"
    assert repr(TorchEngine("cpu", dtype="float64")) == "TorchEngine('cpu', dtype='float64')"
    assert repr(engine) == shown
    assert repr(TorchEngine()) == "TorchEngine('cuda')"
    for other in (
        pickle.loads(pickle.dumps(engine)),  # noqa: S301 - it is our own
        copy.deepcopy(engine),
        clone(SparseAutoencoder(engine=engine)).engine,
    ):
        assert other == engine
        assert hash(other) == hash(engine)
    assert engine != TorchEngine("cuda:1")
