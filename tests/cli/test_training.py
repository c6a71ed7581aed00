"""`rhohat train` trains what it is told, on whatever rows, and writes a whole model or none."""

import gzip
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import h5py
import numpy as np
import pytest
from scipy.io import savemat
from sklearn.pipeline import Pipeline

import rhohat
from rhohat.cli.choices import estimators
from rhohat.estimators.dictionary import BaseDictionary
from rhohat.estimators.scaled_autoencoder import ScaledAutoencoder
from rhohat.estimators.stacked_autoencoder import check_layers
from rhohat.models.pipelines import last_step_of
from tests.cli.test_demo import sentence
from tests.data.matlab73 import save73

QUICK = ("--hidden", "4", "--max-iter", "3")


def test_a_table_is_scaled_trained_on_and_remembered(run, table, tmp_path):
    out = run("train", table, "-o", "model.safetensors", *QUICK, "--drop", "feeling,twice")
    assert "wrote model.safetensors: SparseAutoencoder 3-4-3, 3 iterations" in out
    model = rhohat.load(tmp_path / "model.safetensors")
    assert isinstance(model, Pipeline)
    assert [type(step).__name__ for _, step in model.steps] == ["MinMaxScaler", "SparseAutoencoder"]
    assert list(model.feature_names_in_) == ["heat", "mass", "price"]
    rows = np.loadtxt(table, delimiter=",", skiprows=1, usecols=[0, 2, 3])
    scaled = (rows - rows.min(axis=0)) / np.ptp(rows, axis=0)
    assert model.steps[0][1].data_max_.tolist() == rows.max(axis=0).tolist()
    by_hand = rhohat.SparseAutoencoder(n_components=4, max_iter=3, random_state=0)
    with pytest.warns(UserWarning, match="max_iter"):
        by_hand.fit(scaled)
    assert np.allclose(by_hand.theta_, model.steps[1][1].theta_, rtol=1e-9, atol=1e-12)


def test_images_are_scaled_as_a_whole_and_keep_their_shape(run, images, tmp_path):
    run("train", images, "-o", "model.safetensors", *QUICK)
    model = rhohat.load(tmp_path / "model.safetensors")
    scaler = model.steps[0][1]
    assert isinstance(scaler, rhohat.RangeScaler)
    assert (scaler.data_min_, scaler.data_max_) == (np.load(images).min(), np.load(images).max())


def test_rows_between_0_and_1_are_left_as_they_are(run, tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).random((30, 6)))
    run("train", "rows.npy", "-o", "model.safetensors", *QUICK)
    assert isinstance(rhohat.load(tmp_path / "model.safetensors"), rhohat.SparseAutoencoder)


@pytest.mark.parametrize("kind", estimators())
def test_every_estimator_can_be_trained_and_used(kind, run, table, tmp_path):
    regression = kind.endswith("regressor")
    supervised = regression or kind.endswith("classifier") or kind == "softmax"
    hidden = [] if kind == "softmax" else ["--hidden", "4,3" if kind in ("deep", "stacked") else "4"]
    if kind.startswith("convolutional"):
        hidden = ["--set", "layers=[Convolution(2, 2), 4]"]
    if kind.startswith("recurrent"):
        hidden = ["--set", "layers=[LSTM(4)]"]
    if kind in ("topk", "batch-topk", "matryoshka"):
        hidden += ["--k", "2"]
    which = ["--target", "twice" if regression else "feeling"] if supervised else []
    which += ["--drop", "feeling" if regression else "twice"] if supervised else ["--drop", "feeling,twice"]
    run("train", table, "-o", "model.safetensors", "-e", kind, "--max-iter", "3", *hidden, *which)
    model = rhohat.load(tmp_path / "model.safetensors")
    # The steps of a sequence are not scaled one by one, and dictionaries and detectors scale rows themselves.
    scales_none = kind.startswith("recurrent") or issubclass(estimators()[kind], BaseDictionary | ScaledAutoencoder)
    assert hasattr(model, "steps") != scales_none
    estimator = model.steps[-1][1] if hasattr(model, "steps") else model
    assert type(estimator) is estimators()[kind]
    n_units = {"deep": 3, "stacked": 3, "softmax": 2}.get(kind, 4)
    lines = run("encode", "model.safetensors", table, "-o", "-").splitlines()
    name = "latent" if isinstance(estimator, BaseDictionary) else "unit"
    assert lines[0] == ",".join(f"{name}_{number}" for number in range(n_units))
    assert len(lines) == 41
    if kind != "softmax":  # which has no units beside its outputs
        assert f"{name}s" in run("evaluate", "model.safetensors", table)
    assert type(estimator).__name__ in run("info", "model.safetensors")


@pytest.mark.parametrize("kind", ["convolutional-autoencoder", "convolutional-classifier", "classifier", "regressor"])
def test_layers_are_described_in_words(kind, run, tmp_path):
    np.save(tmp_path / "flat.npy", np.random.default_rng(0).random((40, 50)).astype(np.float32))
    np.save(tmp_path / "classes.npy", np.arange(40) % 2)
    labels = [] if kind.endswith("autoencoder") else ["--labels", "classes.npy"]
    layers = ["--layers", "convolution 3 3x2 padding=same, max-pooling 2, dense 4 tanh", "--input-shape", "5x5x2"]
    run("train", "flat.npy", "-o", "model.safetensors", "-e", kind, "--max-iter", "2", *layers, *labels)
    model = rhohat.load(tmp_path / "model.safetensors")
    expected = [rhohat.Convolution(3, (3, 2), padding="same"), rhohat.MaxPooling(2), rhohat.Dense(4, "tanh")]
    assert list(model.layers) == expected
    assert model.input_shape_ == (5, 5, 2)
    assert model.network_.layer_sizes[:4] == (50, 75, 12, 4)
    said = ["--set", f"layers={expected}", "--set", "input_shape=(5, 5, 2)"]
    run("train", "flat.npy", "-o", "other.safetensors", "-e", kind, "--max-iter", "2", *said, *labels)
    assert np.array_equal(rhohat.load(tmp_path / "other.safetensors").theta_, model.theta_)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layers", "convolution 20"], "--layers: layer 0, 'convolution 20', has settings that do not fit"),
        (["--layers", "4, pool 2"], "--layers: layer 1, 'pool 2', is none of convolution, dense"),
        (["--input-shape", "28x"], "--input-shape: must be written as 28x28x1"),
        (["--input-shape", "0x5"], "--input-shape: must be written as 28x28x1"),
        (["--layers", "dense 3", "--set", "layers=[3]"], "pass this option or --set layers=..., not both"),
        (["--input-shape", "4x5x1", "--set", "input_shape=(4,5,1)"], "pass this option or --set input_shape=..., not"),
        (["--layers", "dense 3", "--hidden", "3"], "--layers: pass this option or --hidden, not both"),
        (
            ["-e", "sparse", "--layers", "dense 3"],
            "--layers: sparse has no layers to be described; -e takes this option with classifier, conv",
        ),
        (["-e", "stacked", "--layers", "dense 3"], "--layers: stacked has no layers to be described"),
        (["-e", "deep", "--input-shape", "20"], "--input-shape: deep has no layers to be described"),
        (["--hidden", "3"], "--hidden: convolutional-autoencoder has no numbers of hidden units. --layers describes"),
    ],
)
def test_layers_that_cannot_be_are_refused(options, message, invoke, images):
    result = invoke("train", images, "-o", "m.safetensors", "-e", "convolutional-autoencoder", *options)
    assert result.exit_code == 2
    assert message in result.output.replace("Invalid value for ", "")


def test_layers_that_do_not_fit_the_rows_are_refused_by_their_number(invoke, images):
    options = ["-e", "convolutional-autoencoder", "--layers", "convolution 4 3, max-pooling 7"]
    result = invoke("train", images, "-o", "m.safetensors", *options)
    assert result.exit_code == 2
    assert "layer 1 cannot be MaxPooling(size=7, stride=None), as its input has the shape (2, 3, 4)" in result.output


def test_every_parameter_can_be_set(run, images, tmp_path):
    run(
        *("train", images, "-o", "model.safetensors", "--hidden", "5", "--max-iter", "2"),
        *("--preprocess", "whiten", "--preprocess", "patches", "--sparsity", "0.2", "--beta", "0.5"),
        *("--weight-decay", "0.001", "--activation", "tanh", "--seed", "7", "--jobs", "1"),
        *("--set", "solver=Adam(learning_rate=0.01, batch_size=16)", "--set", "corruption=SaltAndPepperNoise(0.1)"),
        *("--set", "penalties=[L1Sparsity(0.01), Contraction(0.1)]", "--set", "tol=1e-3", "--set", "tied_weights=True"),
    )
    whitening, normalizer, estimator = (step for _, step in rhohat.load(tmp_path / "model.safetensors").steps)
    assert isinstance(whitening, rhohat.ZCAWhitening)
    assert isinstance(normalizer, rhohat.PatchNormalizer)
    assert isinstance(estimator, rhohat.SparseAutoencoder)
    expected = {
        "n_components": 5,
        "sparsity": 0.2,
        "sparsity_weight": 0.5,
        "weight_decay": 0.001,
        "activation": "tanh",
        "random_state": 7,
        "n_jobs": 1,
        "max_iter": 2,
        "tol": 1e-3,
        "tied_weights": True,
        "solver": rhohat.Adam(learning_rate=0.01, batch_size=16),
        "corruption": rhohat.SaltAndPepperNoise(0.1),
        "penalties": [rhohat.L1Sparsity(0.01), rhohat.Contraction(0.1)],
    }
    assert {name: estimator.get_params()[name] for name in expected} == expected


def test_parameters_of_a_stack_are_those_of_its_layers(run, images, tmp_path):
    run(
        *("train", images, "-o", "model.safetensors", "-e", "stacked", "--hidden", "6,4", "--sparsity", "0.3"),
        *("--max-iter", "3", "--set", "layers__1__max_iter=2"),
    )
    stack = rhohat.load(tmp_path / "model.safetensors").steps[-1][1]
    assert [layer.n_components for layer in stack.autoencoders_] == [6, 4]
    assert [layer.sparsity for layer in stack.autoencoders_] == [0.3, 0.3]
    assert [layer.n_iter_ for layer in stack.autoencoders_] == [3, 2]


def test_settings_of_parts_are_set_by_their_names(run, invoke, images, tmp_path):
    train = ("train", images, "-o", "model.safetensors", "--max-iter", "2", "--hidden", "3")
    run(*train, "--solver", "sgd", "--set", "solver__learning_rate=0.01", "--set", "solver__batch_size=16")
    assert rhohat.load(tmp_path / "model.safetensors").steps[-1][1].solver == rhohat.SGD(0.01, batch_size=16)
    run(*train, "--set", "corruption=MaskingNoise(0.5)", "--set", "corruption__q=0.1")
    assert rhohat.load(tmp_path / "model.safetensors").steps[-1][1].corruption == rhohat.MaskingNoise(0.1)
    failed = invoke(*train, "--set", "solver__learning_rate=0.01")
    assert failed.exit_code == 2
    assert "Invalid parameter 'solver__learning_rate'" in sentence(failed.output)


def test_options_may_have_the_names_that_they_have_elsewhere(run, invoke, images, tmp_path):
    usual = ("--latents", "5", "--epochs=3", "--rho", "0.2", "--lambda", "0.01")
    run("train", images, "-o", "model.safetensors", "--quiet", *usual)
    estimator = last_step_of(rhohat.load(tmp_path / "model.safetensors"))
    settings = ("n_components", "max_iter", "sparsity", "weight_decay")
    assert [getattr(estimator, name) for name in settings] == [5, 3, 0.2, 0.01]
    refused = invoke("info", "model.safetensors", "--epochs", "3")
    assert refused.exit_code == 2
    assert re.search(r"No such option:? '?--epochs", refused.output)  # as Typer writes it, now and earlier
    for name in ("--latents", "--epochs", "--rho", "--lambda"):
        assert invoke("train", "--help").output.count(name) == 1


def test_the_learning_rate_and_the_batch_size_of_any_solver_of_batches_are_options(run, images, tmp_path):
    def trained(*more):
        run("train", images, "-o", "model.safetensors", "--max-iter", "2", "--hidden", "64", "--quiet", *more)
        return last_step_of(rhohat.load(tmp_path / "model.safetensors"))

    dictionary = ("-e", "topk", "--k", "3")
    default = trained(*dictionary)._solver(60 * 2)
    both = ("--learning-rate", "0.02", "--batch-size", "16")
    assert trained(*dictionary, *both).solver == replace(default, learning_rate=0.02, batch_size=16)
    assert trained(*dictionary, *both[2:]).solver == replace(default, batch_size=16)
    assert trained(*dictionary, *both[:2]).solver == replace(default, learning_rate=0.02)
    assert trained("--set", "solver=SGD(0.1, momentum=0.5)", *both).solver == rhohat.SGD(
        0.02, momentum=0.5, batch_size=16
    )
    stack = trained("-e", "stacked", "--solver", "adam", *both)
    assert stack.layers[0].solver == rhohat.Adam(0.02, batch_size=16)
    detector = trained("-e", "detector", "--solver", "adam", *both)
    assert detector.autoencoder.solver == rhohat.Adam(0.02, batch_size=16)


def test_settings_of_a_solver_that_do_not_fit_are_refused_with_what_to_write(invoke, images, tmp_path):
    train = ("train", images, "-o", "model.safetensors", "--max-iter", "2", "--hidden", "8")
    refusals = {
        ("--batch-size", "16"): "LBFGS sees all rows at once; leave this option out, or pass --solver adam",
        ("--solver", "adam", "--learning-rate", "0"): "learning_rate must be",
        ("--solver", "sgd", "--batch-size", "9", "--set", "solver__batch_size=8"): "--set solver__batch_size=..., not",
        ("-e", "topk", "--k", "2", "--set", "solver__batch_size=512"): (
            "write --set 'solver=Adam(batch_size=512, learning_rate=1e-3)' or --batch-size 512."
        ),
        ("-e", "topk", "--k", "2", "--set", "solver__learning_rate=0.1"): (
            "write --set 'solver=Adam(learning_rate=0.1)' or --learning-rate 0.1."
        ),
        ("-e", "topk", "--k", "2", "--set", "solver__schedule=linear"): (
            "write --set 'solver=Adam(schedule=linear, learning_rate=1e-3)'."
        ),
    }
    for options, sentence_of_refusal in refusals.items():
        refused = invoke(*train, *options)
        assert refused.exit_code == 2
        assert sentence_of_refusal in sentence(refused.output)
        assert not (tmp_path / "model.safetensors").exists()


def test_a_training_that_diverges_leaves_no_model(invoke, images, tmp_path):
    failed = invoke(
        *("train", images, "-o", "model.safetensors", "--hidden", "3", "--solver", "sgd"),
        *("--set", "output_activation=identity", "--set", "solver__learning_rate=100.0"),
    )
    assert failed.exit_code == 1
    assert "no model was written" in sentence(failed.output)
    assert "Lower learning_rate (now 100)" in sentence(failed.output)
    assert not (tmp_path / "model.safetensors").exists()


def stacked_classifier(run, images, tmp_path, *options):
    np.save(tmp_path / "classes.npy", np.arange(60) % 3)
    run("train", images, "-o", "model.safetensors", "-e", "stacked-classifier", "--labels", "classes.npy", *options)
    return rhohat.load(tmp_path / "model.safetensors").steps[-1][1]


def test_every_option_reaches_the_parts_of_a_stack_that_it_is_said_to(run, images, tmp_path):
    stack = stacked_classifier(
        *(run, images, tmp_path, "--hidden", "6,4", "--sparsity", "0.3", "--beta", "0.5", "--weight-decay", "0.02"),
        *("--softmax-weight-decay", "0.03", "--fine-tuning-weight-decay", "0.04", "--activation", "tanh"),
        *("--solver", "gradient_descent", "--max-iter", "3", "--set", "tol=1e-3", "--set", "layers__1__max_iter=2"),
        *("--set", "corruption=MaskingNoise(0.1)", "--set", "penalties=[WeightDecay(0.001)]"),
        *("--set", "tied_weights=True"),
    )
    layers, softmax = stack.autoencoder_.autoencoders_, stack.softmax_
    of_layers = {
        "sparsity": 0.3,
        "sparsity_weight": 0.5,
        "weight_decay": 0.02,
        "activation": "tanh",
        "tied_weights": True,
    }
    of_layers |= {"corruption": None, "penalties": (), "solver": "gradient_descent", "tol": 1e-3}
    for layer in layers:
        assert {name: layer.get_params()[name] for name in of_layers} == of_layers
    assert [layer.n_components for layer in layers] == [6, 4]
    assert [layer.max_iter for layer in layers] == [3, 2]
    assert (softmax.weight_decay, softmax.solver, softmax.max_iter, softmax.tol) == (0.03, "gradient_descent", 3, 1e-3)
    assert (stack.fine_tuning_weight_decay, stack.solver, stack.max_iter, stack.tol) == (
        0.04,
        "gradient_descent",
        3,
        1e-3,
    )
    assert stack.corruption == rhohat.MaskingNoise(0.1)
    assert stack.penalties == [rhohat.WeightDecay(0.001)]
    assert [activation.name for activation in stack.network_.activations] == ["tanh", "tanh", "softmax"]


def test_a_stack_without_labels_gives_its_layers_whatever_is_said(run, images, tmp_path):
    run(
        *("train", images, "-o", "model.safetensors", "-e", "stacked", "--hidden", "6,4", "--max-iter", "2"),
        *("--weight-decay", "0.02", "--set", "corruption=MaskingNoise(0.1)", "--set", "penalties=[L1Sparsity(0.01)]"),
    )
    for layer in rhohat.load(tmp_path / "model.safetensors").steps[-1][1].autoencoders_:
        assert layer.weight_decay == 0.02
        assert layer.corruption == rhohat.MaskingNoise(0.1)
        assert layer.penalties == [rhohat.L1Sparsity(0.01)]


@pytest.mark.parametrize("kind", ["stacked", "stacked-classifier"])
def test_a_stack_is_the_default_one_where_nothing_is_said(kind, run, images, tmp_path):
    np.save(tmp_path / "classes.npy", np.arange(60) % 3)
    labels = ["--labels", "classes.npy"] if kind == "stacked-classifier" else []
    run("train", images, "-o", "model.safetensors", "-e", kind, "--max-iter", "1", *labels)
    model = rhohat.load(tmp_path / "model.safetensors").steps[-1][1]
    layers = getattr(model, "autoencoder_", model).autoencoders_
    names = ("n_components", "sparsity", "sparsity_weight", "weight_decay")
    expected = [{name: layer.get_params()[name] for name in names} for layer in check_layers(None)]
    assert [{name: layer.get_params()[name] for name in names} for layer in layers] == expected
    if labels:
        default = rhohat.StackedAutoencoderClassifier()
        assert model.softmax_weight_decay == default.softmax_weight_decay == 1e-4
        assert model.fine_tuning_weight_decay == default.fine_tuning_weight_decay == 3e-3


def test_layers_may_be_given_whole_and_have_settings_of_their_own(run, images, tmp_path):
    layers = "layers=[SparseAutoencoder(n_components=3, max_iter=2), DenoisingAutoencoder(n_components=4, max_iter=1)]"
    stack = stacked_classifier(run, images, tmp_path, "--set", layers, "--max-iter", "3")
    first, second = stack.autoencoder_.autoencoders_
    assert (type(first), first.max_iter) == (rhohat.SparseAutoencoder, 2)
    assert (type(second), second.max_iter) == (rhohat.DenoisingAutoencoder, 1)
    assert (stack.softmax_.max_iter, stack.max_iter) == (3, 3)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--hidden", "5"), "set n_components in the settings of these layers"),
        (("--weight-decay", "0.1"), "set weight_decay in the settings of these layers"),
        (("--set", "sparsity=0.1"), "set sparsity in the settings of these layers"),
    ],
)
def test_what_would_not_reach_layers_that_are_given_is_refused(option, message, invoke, images, tmp_path):
    layers = ("--set", "layers=[SparseAutoencoder(n_components=3)]")
    result = invoke("train", images, "-o", "model.safetensors", "-e", "stacked", *layers, *option)
    assert result.exit_code == 2
    assert message in sentence(result.stderr)
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("option", ["--softmax-weight-decay", "--fine-tuning-weight-decay"])
def test_weight_decays_of_parts_are_refused_where_there_are_no_such_parts(option, invoke, images):
    for kind in ("sparse", "stacked"):
        result = invoke("train", images, "-o", "model.safetensors", "-e", kind, option, "0.1")
        assert result.exit_code == 2
        assert f"Invalid value for {option}: {kind} does not have this option" in sentence(result.stderr)


def test_the_settings_of_the_course_make_a_stack_that_beats_plain_softmax(run, data_dir, tmp_path):
    for kind, which in (("train", ""), ("t10k", "_test")):
        with gzip.open(data_dir / "mnist" / f"{kind}-images-idx3-ubyte.gz") as file:
            np.save(tmp_path / f"X{which}.npy", np.frombuffer(file.read(), np.uint8, 784 * 2000, 16).reshape(-1, 784))
        with gzip.open(data_dir / "mnist" / f"{kind}-labels-idx1-ubyte.gz") as file:
            np.save(tmp_path / f"y{which}.npy", np.frombuffer(file.read(), np.uint8, 2000, 8))
    accuracy = {}
    course = ("--hidden", "100,100", "--sparsity", "0.1", "--beta", "3", "--weight-decay", "3e-3")
    for kind, options in (("softmax", ()), ("stacked-classifier", course)):
        run("train", "X.npy", "-o", "m.safetensors", "-e", kind, "--labels", "y.npy", "--max-iter", "40", *options)
        found = run("evaluate", "m.safetensors", "X_test.npy", "--labels", "y_test.npy", "--json")
        accuracy[kind] = json.loads(found)["score"]
    assert accuracy["stacked-classifier"] > accuracy["softmax"] + 0.04


def test_labels_come_from_a_file(run, invoke, images, tmp_path):
    (tmp_path / "labels.txt").write_text("\n".join(["cat", "dog", "cat"] * 20))
    np.save(tmp_path / "labels.npy", np.arange(60) % 3)
    for name, classes in (("labels.txt", ["cat", "dog"]), ("labels.npy", [0, 1, 2])):
        run("train", images, "-o", "model.safetensors", "-e", "softmax", "--labels", name, "--max-iter", "3")
        model = rhohat.load(tmp_path / "model.safetensors")
        assert model.classes_.tolist() == classes
        rows = np.load(images).reshape(60, -1).astype(float)
        run("predict", "model.safetensors", images, "-o", "predicted.csv")
        predicted = (tmp_path / "predicted.csv").read_text().splitlines()
        assert predicted == ["prediction", *map(str, model.predict(rows))]
        found = json.loads(run("evaluate", "model.safetensors", images, "--labels", name, "--json"))
        assert 0 < found["score"] <= 1


def test_rows_and_labels_are_arrays_in_one_file_of_any_kind(run, rng, tmp_path):
    X, y = rng.random((60, 4)), np.arange(60) % 3
    np.savez(tmp_path / "a.npz", X=X, y=y)
    for name, write in (("a.mat", savemat), ("b.mat", save73), ("b.h5", save73)):
        write(tmp_path / name, {"X": X, "y": y[:, np.newaxis]})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["X"], file["y"] = X, y
    (tmp_path / "labels").write_bytes(gzip.compress(b"\0\0\x0c\x01" + struct.pack(">61i", 60, *y)))
    run("train", "a.npz:/X", "-o", "m.safetensors", "-e", "softmax", "--labels", "a.npz:/y", "--max-iter", "3")
    found = run("evaluate", "m.safetensors", "a.npz:/X", "--labels", "a.npz:/y", "--json")
    for name in ("a.npz", "a.mat", "b.mat", "b.h5", "a.h5"):
        for labels in (f"{name}:/y", f"{name}:y", name, "labels"):
            same = run("evaluate", "m.safetensors", f"{name}:/X", "--labels", labels, "--json")
            assert json.loads(same) == json.loads(found)


def test_files_that_a_mac_makes_are_no_pictures(run, images, tmp_path):
    (tmp_path / "shards").mkdir()
    np.save(tmp_path / "shards" / "a.npy", np.load(images))
    (tmp_path / "shards" / "._a.png").write_bytes(b"\0\x05\x16\x07")
    (tmp_path / "shards" / "._a.npy").write_bytes(b"\0\x05\x16\x07")
    assert "wrote m.safetensors" in run("train", "shards", "-o", "m.safetensors", "--max-iter", "1")


def test_the_summary_is_json_where_a_program_asks(run, images):
    found = json.loads(run("train", images, "-o", "model.safetensors", *QUICK, "--json"))
    assert found["layer_sizes"] == [20, 4, 20]
    assert found["iterations"] == [3]
    assert found["status"] == ["max_iter"]


def test_many_dead_units_are_remarked_on_with_the_options_that_help(run, images, tmp_path):
    """A fit with too small a ρ converges at once, and has learned nothing."""
    train = ("train", images, "-o", "m.safetensors", "--hidden", "4")
    printed = run(*train, "--rho", "0.001")
    assert "dead units 4\nnote: 4 of 4 units are dead: no row activates them; a larger --rho (ρ) than 0.001," in printed
    assert "a smaller --weight-decay or fewer units help." in printed
    assert "converged, but all units are dead: J = " in run("info", "m.safetensors")
    run("report", "m.safetensors", images)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "4 of 4 units are dead: no row activates them; a larger sparsity (ρ) than" in page
    assert "All 4 units are dead: no row activates them." in page
    assert "are dead" not in run(*train, "--rho", "0.3")


def test_large_rows_under_sigmoid_units_are_remarked_on_with_the_option_that_scales_them(run, images):
    train = ("train", images, "-o", "m.safetensors", "--max-iter", "2")
    printed = run(*train, "--preprocess", "none")
    assert "note: The rows hold large numbers, with a root mean square of 1" in printed
    assert "scale the rows first, with --preprocess range, or --preprocess standard for a table." in printed
    assert "large numbers" not in run(*train)
    assert json.loads(run(*train, "--json"))["remark"] is None
    dictionary = run(*train, "-e", "topk", "--k", "2", "--hidden", "8", "--preprocess", "none")
    assert "large numbers" not in dictionary


def test_an_output_that_cannot_reach_the_rows_is_refused_with_options(invoke, images):
    bounded = ("--preprocess", "none", "--set", "output_activation=sigmoid")
    refused = invoke("train", images, "-o", "m.safetensors", *bounded)
    assert refused.exit_code == 1
    assert "use --set output_activation=identity (a linear decoder)" in refused.stderr
    assert "with --preprocess patches or --preprocess minmax." in refused.stderr


def test_nothing_is_printed_when_quiet(invoke, images):
    result = invoke("train", images, "-o", "model.safetensors", *QUICK, "--quiet")
    assert (result.exit_code, result.output) == (0, "")


def test_what_was_chosen_and_a_warning_go_to_standard_error(invoke, images):
    result = invoke("train", images, "-o", "model.safetensors", *QUICK)
    assert result.stderr.splitlines()[0] == "preprocessing: RangeScaler"
    assert result.stderr.splitlines()[1].startswith("note: 3 iterations were done")


def test_the_history_is_written_while_it_trains(run, images, tmp_path):
    run("train", images, "-o", "model.safetensors", *QUICK, "--history", "history.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2, 3]
    estimator = rhohat.load(tmp_path / "model.safetensors").steps[-1][1]
    assert [line["value"] for line in lines] == estimator.loss_curve_


def test_latents_of_a_network_cannot_be_split(invoke, images):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    result = invoke("train", "images.npy", "-o", "m.safetensors", "--device", "cpu,cpu", "--split-latents")
    assert result.exit_code == 1
    assert "is for dictionaries" in sentence(result.stderr)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing.npy", "-o", "m.safetensors"], 1, "error: there is no file or folder nothing.npy."),
        (["images.npy", "-o", "none/m.safetensors"], 2, "there is no folder none; make it first"),
        (["images.npy", "-o", "."], 2, "is a folder; name a file in it"),
        (["images.npy", "-o", "m.safetensors", "--sparsity", "2"], 2, "error: --sparsity must be a float in the range"),
        (["images.npy", "-o", "m.safetensors", "--hidden", "many"], 2, "must be a number of units"),
        (["images.npy", "-o", "m.safetensors", "--hidden", "4,3"], 2, "sparse has one hidden layer; got 4,3"),
        (["images.npy", "-o", "m.safetensors", "--resume"], 2, "needs --checkpoint DIR"),
        (
            ["images.npy", "-o", "m.safetensors", "--checkpoint-every", "5"],
            2,
            "needs --checkpoint DIR, the folder in which to write",
        ),
        (
            ["images.npy", "-o", "m.safetensors", "--checkpoint", "state", "--checkpoint-every", "soon"],
            2,
            "or a time such as '30 s'",
        ),
        (
            ["images.npy", "-o", "m.safetensors", "--checkpoint", "state", "--checkpoint-every", "0"],
            2,
            "every must be a number of iterations, at least 1",
        ),
        (
            ["images.npy", "-o", "m.safetensors", "--set", "n_topics=3"],
            2,
            "Invalid value for --set n_topics: sparse does not have a parameter 'n_topics'. It takes --hidden, ",
        ),
        (
            ["images.npy", "-o", "m.safetensors", "--set", "solver=Atom(1)"],
            2,
            "'Atom' in 'Atom(1)' is not the name of one of rhohat's classes",
        ),
        (
            ["images.npy", "-o", "m.safetensors", "-e", "denoising", "--beta", "1"],
            2,
            "Invalid value for --beta: denoising does not have this option. It takes --hidden, ",
        ),
        (["images.npy", "-o", "m.safetensors", "-e", "softmax"], 2, "softmax needs targets to learn from"),
        (["images.npy", "-o", "m.safetensors", "--labels", "x.txt"], 2, "sparse learns without targets"),
        (["images.npy", "-o", "m.safetensors", "-e", "vae"], 2, "'vae' is not one of"),
        (
            ["images.npy", "-o", "m.safetensors", "--preprocess", "none", "--preprocess", "range"],
            2,
            "cannot be combined with other",
        ),
        (
            ["images.npy", "-o", "m.safetensors", "--memory-limit", "lots"],
            2,
            "--memory-limit must be a number of bytes",
        ),
        (["images.npy", "-o", "m.safetensors", "--dask", "tcp://127.0.0.1:1"], 1, "there is no Dask scheduler at"),
        (["images.npy", "-o", "m.safetensors", "--device", "gpu"], 2, "device must be 'cuda', 'mps'"),
        (["images.npy", "-o", "m.safetensors", "--device", "cpu", "--dask", "tcp://x:1"], 2, "exclude one another"),
        (["images.npy", "-o", "m.safetensors", "--split-latents"], 2, "needs several devices"),
        (["images.npy", "-o", "m.safetensors", "--device", "cpu", "--split-latents"], 2, "needs several devices"),
        (["images.npy", "-o", "m.safetensors", "--history", "h.txt"], 2, "must end in .jsonl or .csv"),
        (["images.npy", "-o", "m.bin"], 2, "must end in .safetensors"),
        (["table.csv", "-o", "m.safetensors", "--history", "table.csv"], 2, "is an input and would be overwritten"),
        (["table.csv", "-o", "m.safetensors", "--target", "feeling"], 2, "pass -e classifier"),
        (
            ["images.npy", "-o", "m.safetensors", "--drop", "heat"],
            2,
            "has no column named 'heat'; its columns have no names. Choose columns by number",
        ),
        (["table.csv", "-o", "m.safetensors"], 1, "column 'feeling' holds"),
        (["table.csv", "-o", "m.safetensors", "--drop", "colour"], 2, "has no column named 'colour'"),
        (
            ["table.csv", "-o", "m.safetensors", "--drop", "mass", "--columns", "heat"],
            2,
            "cannot be combined with --columns",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence_before_work(
    arguments, code, message, invoke, images, table, tmp_path
):
    result = invoke("train", *arguments)
    assert result.exit_code == code, result.output
    assert message in sentence(result.stderr)
    assert "Traceback" not in result.output
    assert sorted(one.name for one in tmp_path.iterdir()) == ["images.npy", "table.csv"]


def test_the_target_is_not_among_the_rows(run, table, tmp_path):
    for which in (["--columns", "heat,twice,mass"], ["--columns", "0,4,2"], ["--drop", "price,1"]):
        run("train", table, "-o", "m.safetensors", "-e", "regressor", "--target", "twice", *which, *QUICK)
        assert list(rhohat.load(tmp_path / "m.safetensors").feature_names_in_) == ["heat", "mass"]


def test_a_fit_that_fails_leaves_no_model(invoke, tmp_path):
    np.save(tmp_path / "huge.npy", np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32) * 1e30)
    result = invoke("train", "huge.npy", "-o", "m.safetensors", "--preprocess", "none", *QUICK)
    assert result.exit_code == 1
    assert "error: no model was written" in sentence(result.stderr)
    assert not (tmp_path / "m.safetensors").exists()


def test_checkpoints_of_an_earlier_training_are_kept_or_resumed(run, invoke, images, tmp_path):
    arguments = ("train", images, "-o", "m.safetensors", "--checkpoint", "state", *QUICK)
    run(*arguments)
    refused = invoke(*arguments)
    assert refused.exit_code == 1
    assert "state holds checkpoints of an earlier fit. Pass --resume to continue that fit" in sentence(refused.stderr)
    resumed = sentence(invoke(*arguments, "--resume").stderr)
    assert "the newest checkpoint is state/checkpoint-" in resumed
    assert "the fit that state holds is finished" in resumed
    assert "start anew with a larger max_iter (--max-iter) and another folder" in resumed


def test_pictures_are_cut_into_patches_first(invoke, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.JPG").write_bytes(b"x")
    result = invoke("train", "pictures", "-o", "m.safetensors")
    assert "Cut patches out of them first, with rhohat patches" in sentence(result.stderr)


def test_a_traceback_is_shown_to_who_asks_for_it(images, tmp_path):
    command = [sys.executable, "-m", "rhohat", "train", images, "-o", "m.safetensors", "--sparsity", "2"]
    for extra, shown in (([], False), (["--traceback"], True)):
        done = subprocess.run([*command, *extra], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == (1 if shown else 2)
        assert ("Traceback" in done.stderr) == shown


def start_training(folder, *more):
    """Start a training that takes some seconds, with checkpoints after every update."""
    arguments = ("-e", "denoising", "--set", "solver=Adam(batch_size=10)", "--hidden", "20", "--max-iter", "60")
    checkpoints = ("--checkpoint", "state", "--checkpoint-every", "1", "--set", "tol=0")
    command = [sys.executable, "-m", "rhohat", "train", "images.npy", "-o", "model.safetensors"]
    # A shell makes what it starts in the background ignore Ctrl-C, and so what that starts.
    take_interrupts = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [*command, *arguments, *checkpoints, *more], cwd=folder, preexec_fn=take_interrupts, **pipes
    )


def wait_for_a_checkpoint(training, folder):
    while training.poll() is None:
        if len(list((folder / "state").glob("checkpoint-*.safetensors"))) > 1:
            return
        time.sleep(0.01)
    raise AssertionError(f"the training ended by itself: {training.communicate()}")


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_training_leaves_no_model_and_is_resumed_to_the_same_bits(end, images, tmp_path):
    training = start_training(tmp_path)
    wait_for_a_checkpoint(training, tmp_path)
    training.send_signal(end)
    out, error = training.communicate()
    assert training.returncode == (-9 if end == signal.SIGKILL else 130)
    assert out == ""
    if end == signal.SIGINT:
        assert "model.partial.safetensors holds the model that was reached, after " in error
        assert "To continue from the checkpoint: rhohat train " in error
        assert error.split("checkpoint: ")[1].splitlines()[0].endswith(" --resume")
        assert "Traceback" not in error
        reached = rhohat.load(tmp_path / "model.partial.safetensors")
        assert reached[-1].n_components == 20
        assert not reached[-1].warm_start
        (tmp_path / "model.partial.safetensors").unlink()
    assert not [one for one in tmp_path.iterdir() if "model" in one.name]
    resumed = start_training(tmp_path, "--resume", "--history", "history.jsonl")
    _, error = resumed.communicate()
    assert resumed.returncode == 0, error
    if (tmp_path / "state" / "checkpoint-00000021.safetensors").exists():  # some epochs were done
        first = json.loads((tmp_path / "history.jsonl").read_text().splitlines()[0])
        assert first["iteration"] > 1
    straight = tmp_path / "straight"
    straight.mkdir()
    os.link(images, straight / "images.npy")
    uninterrupted = start_training(straight)
    _, error = uninterrupted.communicate()
    assert uninterrupted.returncode == 0, error
    models = [rhohat.load(folder / "model.safetensors").steps[-1][1] for folder in (tmp_path, straight)]
    assert np.array_equal(models[0].theta_, models[1].theta_)
    assert models[0].loss_curve_ == models[1].loss_curve_


def test_a_model_before_stays_until_the_next_is_whole(run, images, tmp_path):
    run("train", images, "-o", "model.safetensors", *QUICK)
    before = (tmp_path / "model.safetensors").read_bytes()
    training = start_training(tmp_path)
    wait_for_a_checkpoint(training, tmp_path)
    training.kill()
    training.communicate()
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_the_workers_of_a_cluster_train(run, images, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        run("train", images, "-o", "far.safetensors", *QUICK, "--dask", cluster.scheduler_address)
    run("train", images, "-o", "near.safetensors", *QUICK)
    far, near = (rhohat.load(tmp_path / f"{name}.safetensors").steps[-1][1] for name in ("far", "near"))
    assert np.allclose(far.theta_, near.theta_, rtol=1e-8, atol=1e-10)


def test_a_device_that_is_not_there_is_refused(invoke, images):
    pytest.importorskip("torch")
    result = invoke("train", images, "-o", "m.safetensors", "--device", "xpu")
    assert result.exit_code == 2
    assert "finds no device 'xpu' on this machine" in sentence(result.stderr)


@pytest.mark.parametrize("device", ["cpu", "cpu,cpu"])
def test_a_device_trains_or_several(device, run, images, tmp_path):
    pytest.importorskip("torch")
    run("train", images, "-o", "there.safetensors", *QUICK, "--device", device)
    run("train", images, "-o", "here.safetensors", *QUICK)
    there, here = (rhohat.load(tmp_path / f"{name}.safetensors").steps[-1][1] for name in ("there", "here"))
    assert np.allclose(there.theta_, here.theta_, rtol=1e-3, atol=1e-3)  # a device computes in float32


def test_a_note_is_kept_in_the_file_and_shown(run, invoke, images):
    run("train", images, "-o", "model.safetensors", "--hidden", 3, "--max-iter", 2, "--note", "Grey.\n\x1b[31mRed.")
    assert rhohat.load("model.safetensors")[-1].model_card_.note == "Grey.\n\x1b[31mRed."
    text = run("info", "model.safetensors")
    assert "note          Grey.\n              \ufffd[31mRed.\n" in text  # whatever a file says, terminals obey no one
    assert json.loads(run("info", "model.safetensors", "--json"))["card"]["note"].startswith("Grey.")
    result = invoke("train", images, "-o", "other.safetensors", "--note", "a" * 65_537)
    assert result.exit_code == 2
    assert "at most 65,536 characters" in result.output
