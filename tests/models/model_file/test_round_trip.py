"""What is saved comes back, to the last bit; what a file cannot hold is refused before one is written."""

import copy
import os
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import rhohat
from rhohat.common.exceptions import ModelFileError
from rhohat.estimators.dictionary import BaseDictionary
from rhohat.estimators.pooled_convolution import PooledConvolution
from rhohat.solvers import MiniBatchState
from rhohat.terms.penalties import WeightDecay
from tests.models.model_file.models import KINDS, LABELS, TARGETS, X, fitted, outputs

#: Attributes that are not saved, as they belong to a run.
_OF_THE_RUN = {"callbacks", "engine", "checkpoint", "_is_part"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def round_trip(model, path):
    rhohat.save(model, path)
    return rhohat.load(path)


def left_by_a_fit(model):
    """Return the attributes of a model, in an order of their own, without those that belong to a run."""
    left = {name: value for name, value in sorted(vars(model).items()) if name not in _OF_THE_RUN}
    if isinstance(model, BaseDictionary):  # the state is that of the training up to rounding
        left = {name: value for name, value in left.items() if name[0] != "_"}
        if hasattr(model, "scaling_"):
            if model._is_of_transcoder:  # whose training cannot go on, so that its weights are for rows as they are
                del left["scaling_"]
            left |= {"coefs_": model.coefs_, "intercepts_": model.intercepts_}
    return left


def same(one, other):
    """Whether two values are equal, to the bit and of the same type."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and np.array_equal(one, other)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, int | np.integer):
        return one == other
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if hasattr(one, "get_params") or isinstance(one, MiniBatchState | PooledConvolution):
        return type(one) is type(other) and same(left_by_a_fit(one), left_by_a_fit(other))
    return one == other


@pytest.mark.parametrize("kind", KINDS)
def test_all_that_a_model_makes_of_rows_has_the_same_bits(kind, path):
    model = fitted(kind)
    before, after = outputs(model), outputs(round_trip(model, path))
    assert before
    assert before.keys() == after.keys()
    for name in before:
        assert same(before[name], after[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_a_fit_has_left_comes_back(kind, path):
    model = fitted(kind)
    loaded = round_trip(model, path)
    pairs = [(model, loaded)]
    if kind in ("patches", "gaps", "table"):
        assert [name for name, _ in model.steps] == [name for name, _ in loaded.steps]
        pairs = [(one, other) for (_, one), (_, other) in zip(model.steps, loaded.steps, strict=True)]
    for one, other in pairs:
        if one == "passthrough":
            assert other == "passthrough"
            continue
        left, came = left_by_a_fit(one), left_by_a_fit(other)
        assert left.keys() == came.keys()
        for name in left:
            assert same(left[name], came[name]), name


@pytest.mark.parametrize("kind", ["sparse", "stacked", "classifier", "patches"])
def test_names_of_columns_come_back(kind, path):
    frame = pd.DataFrame(X, columns=["größe", "</script>", "a b", "c", 'd"', "e"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = clone(fitted(kind)).fit(frame, LABELS)
    loaded = round_trip(model, path)
    assert list(loaded.feature_names_in_) == list(frame.columns)
    assert same(np.asarray(model.predict(frame)), np.asarray(loaded.predict(frame)))
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(frame[frame.columns[::-1]])


def test_partial_fit_goes_on_as_if_nothing_had_been(path):
    straight = rhohat.DenoisingAutoencoder(n_components=3, solver="adam", random_state=3)
    saved = clone(straight)
    for _ in range(4):
        straight.partial_fit(X)
    saved.partial_fit(X).partial_fit(X)
    loaded = round_trip(saved, path).partial_fit(X).partial_fit(X)
    assert same(straight.theta_, loaded.theta_)


@pytest.mark.parametrize("kind", ["topk", "batch topk", "matryoshka", "l1", "gated", "jumprelu"])
def test_a_loaded_dictionary_is_saved_as_it_was_and_learns_on(kind, path, tmp_path):
    straight, loaded = copy.deepcopy(fitted(kind)), round_trip(fitted(kind), path)
    rhohat.save(loaded, tmp_path / "again.safetensors")
    assert same(*(dict(sorted(load_file(file).items())) for file in (path, tmp_path / "again.safetensors")))
    n_steps, before = loaded.n_steps_, loaded.loss_curve_
    for model in (loaded, straight):
        for _ in range(20):
            model.partial_fit(X)
    assert loaded.n_steps_ > n_steps
    assert loaded.loss_curve_[: len(before)] == before
    # It begins where the other one is; later on, the moments and the order of the rows differ.
    assert loaded.loss_curve_[len(before)] == pytest.approx(straight.loss_curve_[len(before)], rel=0.2)
    assert loaded.loss_curve_[-1] < before[-1]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_warm_start_goes_on_from_a_loaded_model(path):
    model = rhohat.SparseAutoencoder(n_components=4, max_iter=3, random_state=0, warm_start=True).fit(X)
    loaded = round_trip(model, path)
    assert same(model.fit(X).theta_, loaded.fit(X).theta_)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_belongs_to_a_run_is_left_behind(path, tmp_path):
    model = rhohat.SparseAutoencoder(
        n_components=2,
        max_iter=2,
        random_state=np.random.default_rng(0),
        callbacks=[lambda state: None],
        checkpoint=rhohat.Checkpoint(tmp_path / "checkpoints"),
    ).fit(X)
    loaded = round_trip(model, path)
    assert (loaded.callbacks, loaded.checkpoint, loaded.random_state) == (None, None, None)


def test_a_file_that_exists_is_replaced(path):
    rhohat.save(fitted("sparse"), path)
    assert same(round_trip(fitted("tied"), path).theta_, fitted("tied").theta_)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


class Foreign(WeightDecay):
    """A penalty that no file can hold."""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rhohat.SparseAutoencoder(penalties=[Foreign(0.1)], max_iter=2).fit(X), "penalties cannot be saved"),
        (lambda: make_pipeline(PCA(2), rhohat.SparseAutoencoder(max_iter=2)).fit(X), "rhohat's own.*PCA"),
        (lambda: PCA(2).fit(X), "rhohat's own.*PCA"),
        (
            lambda: rhohat.DenoisingAutoencoder(
                solver=rhohat.Adam(schedule=lambda progress: 1 - progress), max_iter=2
            ).fit(X),
            "solver cannot be saved",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_is_not_ours_is_refused_with_its_name(make, message, path):
    with pytest.raises(rhohat.ModelFileError, match=message):
        rhohat.save(make(), path)
    assert not path.exists()


@pytest.mark.parametrize("model", [rhohat.SparseAutoencoder(), make_pipeline(rhohat.PatchNormalizer())])
def test_a_model_that_is_not_fitted_is_refused(model, path):
    with pytest.raises(NotFittedError):
        rhohat.save(model, path)
    assert not path.exists()


def test_what_could_not_be_loaded_is_not_saved(path):
    broken = copy.deepcopy(fitted("sparse"))
    broken.intercepts_[0][1] = np.nan
    with pytest.raises(
        rhohat.ModelFileError, match=r"cannot be saved, since .* intercepts_\.0 has numbers that are not"
    ):
        rhohat.save(broken, path)
    assert not path.exists()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        rhohat.save(fitted("sparse"), tmp_path / "nowhere" / "model.safetensors")


def test_a_model_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no model file .*nothing"):
        rhohat.load(tmp_path / "nothing")


def test_a_process_that_dies_while_it_saves_leaves_the_model_before(path):
    """The disk is full at the end of the new file, or the process is killed there: what was there stays."""
    rhohat.save(fitted("sparse"), path)
    before = path.read_bytes()
    program = (
        "import os, sys, rhohat, rhohat.common.tensor_files\n"
        "from tests.models.model_file.models import fitted\n"
        "rhohat.common.tensor_files.os.fsync = lambda descriptor: os.kill(os.getpid(), 9)\n"
        "rhohat.save(fitted('tied'), sys.argv[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], check=False, env={**os.environ})
    assert done.returncode == -9
    assert path.read_bytes() == before
    assert same(rhohat.load(path).theta_, fitted("sparse").theta_)


def test_regressors_keep_the_scale_and_the_shape_of_their_targets(path):
    loaded = round_trip(fitted("scaled regressor"), path)
    assert np.abs(loaded.predict(X) - (1e6 + TARGETS)).max() < 10
    assert round_trip(fitted("regressor"), path).predict(X).ndim == 1


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "make",
    [
        lambda: make_pipeline(rhohat.SparseAutoencoder(max_iter=2), rhohat.SoftmaxRegression(max_iter=2)),
        lambda: make_pipeline(rhohat.SparseAutoencoder(max_iter=2), StandardScaler()),
        lambda: make_pipeline(
            make_pipeline(StandardScaler(), MinMaxScaler()), rhohat.SparseAutoencoder(n_components=3, max_iter=2)
        ),
    ],
)
def test_pipelines_of_any_of_these_come_back(make, path):
    model = make().fit(X, LABELS)
    before, after = outputs(model), outputs(round_trip(model, path))
    assert before
    assert all(same(before[name], after[name]) for name in before)


def test_scalers_are_trained_further(path):
    for scaler in (StandardScaler(), MinMaxScaler()):
        straight = clone(scaler).fit(X).partial_fit(3 * X)
        assert same(round_trip(clone(scaler).fit(X), path).partial_fit(3 * X), straight)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", [">i4", np.int8, np.uint64, np.float16, bool, "U1", object])
def test_classes_of_many_types_come_back(dtype, path):
    labels = (np.arange(60) % 2).astype(dtype) if dtype is not object else np.array(["a", "b"] * 30, object)
    model = rhohat.SoftmaxRegression(max_iter=2).fit(X, labels)
    loaded = round_trip(model, path)
    assert np.array_equal(loaded.classes_, model.classes_)
    assert loaded.classes_.dtype == model.classes_.dtype.newbyteorder("=")
    assert np.array_equal(loaded.predict(X), model.predict(X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", ["M8[D]", np.longdouble])
def test_classes_that_a_file_cannot_hold_are_refused(dtype, path):
    labels = (np.arange(60) % 2).astype(dtype)
    model = rhohat.SoftmaxRegression(max_iter=2).fit(X, np.arange(60) % 2)
    model.classes_ = np.unique(labels)
    with pytest.raises(rhohat.ModelFileError, match="classes must be numbers of up to 64 bits, or strings"):
        rhohat.save(model, path)


def test_what_a_link_leads_to_is_replaced(path):
    link = path.with_name("newest.safetensors")
    link.symlink_to(path.name)
    rhohat.save(fitted("sparse"), link)
    assert link.is_symlink()
    assert same(rhohat.load(path).theta_, fitted("sparse").theta_)


@pytest.mark.parametrize("ending", [".pkl", ".pickle", ".joblib", ".pt", ".PT", ".onnx", ".h5", ".npz", ".json"])
def test_a_name_that_promises_another_format_is_refused_before_the_file_is_written(ending, tmp_path):
    path = tmp_path / f"model{ending}"
    with pytest.raises(ValueError, match=rf"path must end in \.safetensors.*model\{ending}'") as caught:
        rhohat.save(fitted("sparse"), path)
    assert not isinstance(caught.value, rhohat.ModelFileError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model.safetensors", "model", "model.SafeTensors", "model.v2", "1.5 units"])
def test_other_names_are_taken_as_they_are(name, tmp_path):
    rhohat.save(fitted("sparse"), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    np.testing.assert_array_equal(rhohat.load(tmp_path / name).theta_, fitted("sparse").theta_)


def test_a_single_penalty_and_terms_of_weight_0_come_back(tmp_path):
    model = rhohat.SparseAutoencoder(n_components=2, penalties=rhohat.L1Sparsity(0.1), max_iter=2, random_state=0)
    with pytest.warns(ConvergenceWarning):
        model.fit(X)
    model.terms_curve_["contraction"] = [0.0] * model.n_iter_  # as files have it that were written before
    rhohat.save(model, tmp_path / "model")
    loaded = rhohat.load(tmp_path / "model")
    assert loaded.penalties == rhohat.L1Sparsity(0.1)
    assert loaded.terms_curve_ == model.terms_curve_
    assert loaded.cost(X) == model.cost(X)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("shape", "image_shape"),
    [((9, 8), None), ((9, 8, 3), None), ((216,), (9, 8, 3)), ((3, 9, 8), (3, 9, 8))],
    ids=["grey", "colour", "flat", "planes"],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_of_images_come_back(shape, image_shape, dtype, path, rng):
    images = rng.random((40, *shape)).astype(dtype)
    n_channels = 1 if shape == (9, 8) else 3
    patches = rng.random((100, 16 * n_channels)).astype(dtype)
    model = make_pipeline(rhohat.ZCAWhitening(), rhohat.SparseAutoencoder(n_components=5, max_iter=3, random_state=0))
    convolved = rhohat.ConvolvedFeatures(model.fit(patches), image_shape=image_shape, stride=(2, 1), regions=2)
    loaded = round_trip(convolved.fit(images), path)
    assert loaded.image_shape_ == (9, 8, n_channels)
    assert same(loaded.transform(images), convolved.transform(images))
    assert list(loaded.get_feature_names_out()) == list(convolved.get_feature_names_out())
    classifier = make_pipeline(convolved, rhohat.SoftmaxRegression(max_iter=2)).fit(images, np.arange(40) % 3)
    assert same(round_trip(classifier, path).predict_proba(images), classifier.predict_proba(images))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_features_of_an_autoencoder_that_has_changed_since_are_not_saved(path, rng):
    autoencoder = rhohat.SparseAutoencoder(n_components=5, max_iter=3, random_state=0).fit(rng.random((50, 16)))
    convolved = rhohat.ConvolvedFeatures(autoencoder).fit(rng.random((10, 8, 8)))
    autoencoder.fit(rng.random((50, 16)))
    with pytest.raises(ModelFileError, match="the autoencoder has changed since the fit of ConvolvedFeatures"):
        rhohat.save(convolved, path)
    assert not path.exists()
    rhohat.save(convolved.fit(rng.random((10, 8, 8))), path)


def test_features_that_are_not_fitted_are_not_saved(path, rng):
    with pytest.raises(NotFittedError):
        rhohat.save(rhohat.ConvolvedFeatures(rhohat.SparseAutoencoder()), path)


def test_the_course_of_a_warm_up_is_kept(path, rng):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = rhohat.SparseAutoencoder(n_components=3, max_iter=6, random_state=0).fit(rng.random((2500, 5)))
    assert [len(curve) for curve in model.warm_up_curves_.values()] == [3]
    assert round_trip(model, path).warm_up_curves_ == model.warm_up_curves_
