"""Errors and warnings of the library mention settings, which the command line shows as its options."""

import warnings

import numpy as np
import pytest

from rhohat.cli import describing
from rhohat.cli.option_names import Typed
from rhohat.common.exceptions import ConvergenceWarning
from rhohat.common.words import Sentence, Setting
from rhohat.fitting.checkpoint_settings import RESUME
from tests.cli.test_demo import sentence

SHOWN = [
    (Setting("header", False), "--no-header"),
    (Setting("header", True), "--header"),
    (Setting("skip_unreadable", True), "--skip-unreadable"),
    (RESUME, "--resume"),
    (Setting("max_iter"), "--max-iter"),
    (Setting("missing", "drop"), "--missing drop"),
    (Setting("missing", "impute", "missing='keep' and rhohat.TablePreprocessor"), "--missing impute"),
    (Setting("drop", 0, "drop=[0]"), "--drop 0"),
    (Setting("image_axis", -1), "--image-axis -1"),
    (Setting("encoding", "utf-16-le"), "--encoding utf-16-le"),
    (Setting("separator", ";"), "--separator ';'"),
    (Setting("separator", "\t"), r"--separator '\t'"),
    (Setting("decimal", ","), "--decimal ','"),
    (Setting("thousands", "'"), '--thousands "\'"'),
    (Setting("checkpoint", "my state"), "--checkpoint 'my state'"),
    (Setting("tol"), "--set tol=..."),
    (Setting("tol", 1e-5), "--set tol=1e-05"),
]


@pytest.mark.parametrize(("setting", "shown"), SHOWN)
def test_settings_in_an_error_are_shown_as_options(setting, shown, invoke, monkeypatch):
    def fail(path):
        raise ValueError(Sentence(f"{path} is wrong. Pass ", setting, "."))

    monkeypatch.setattr(describing, "load", fail)
    result = invoke("info", "m.safetensors")
    assert result.exit_code == 1
    assert result.stderr == f"error: m.safetensors is wrong. Pass {shown}.\n"


@pytest.mark.parametrize(("setting", "shown"), SHOWN)
@pytest.mark.parametrize(("kind", "word"), [(UserWarning, "warning"), (ConvergenceWarning, "note")])
def test_settings_in_a_warning_are_shown_as_options_once(kind, word, setting, shown, invoke, monkeypatch):
    def warn(path):
        for _ in range(2):
            warnings.warn(Sentence("Pass ", setting, "."), kind, stacklevel=1)
        raise ValueError("It stops here.")

    monkeypatch.setattr(describing, "load", warn)
    result = invoke("info", "m.safetensors")
    assert result.stderr == f"{word}: Pass {shown}.\nerror: It stops here.\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-e", "topk", "--k", "64", "--latents", "32"), "--k 64 must not exceed --latents 32."),
        (("-e", "topk", "--k", "64", "--hidden", "32"), "--k 64 must not exceed --hidden 32."),
        (("-e", "topk", "--set", "k=64", "--latents=32"), "--set k=64 must not exceed --latents 32."),
        (("-e", "topk", "--latents", "16"), "error: the default of k, 32, must not exceed --latents 16."),
        (("-e", "topk", "--set", "n_components=9"), "the default of k, 32, must not exceed --set n_components=9."),
        (("-e", "topk", "--set", "k=0"), "--set k must be an int in the range [1, inf); got 0."),
        (("--set", "random_state=a"), "--set random_state must be an int"),
        (("--set", "loss=a"), "--set loss must be one of"),
        (("--latents", "0"), "Invalid value for --latents: must be a number of units"),
        (("--epochs", "x"), "Invalid value for '--epochs': "),
        (("--latents", "9", "--layers", "9"), "Invalid value for --layers: sparse has no layers"),
        (
            ("-e", "classifier", "--latents", "9", "--layers", "9", "--labels", "y.npy"),
            "pass this option or --latents, not both.",
        ),
        (("-e", "topk", "--k", "0"), "--k must be an int in the range [1, inf); got 0."),
        (("--max-iter", "0"), "--max-iter must be an int in the range [1, inf); got 0."),
        (("--rho", "0"), "error: --rho must be a float in the range (0.0, 1.0); got 0.0."),
        (("--lambda=-1",), "error: --lambda must be a float in the range [0.0, inf); got -1.0."),
        (("--sparsity", "0"), "error: --sparsity must be a float in the range (0.0, 1.0); got 0.0."),
        (("--beta", "-1"), "--beta must be a float in the range [0.0, inf); got -1.0."),
        (
            ("-e", "topk", "--set", "dead_after=0"),
            "--set dead_after must be an int in the range [1, inf) or None; got 0.",
        ),
        (("-e", "topk", "--memory-limit", "9 kB"), "--memory-limit '9 kB' is too low: "),
    ],
)
def test_parameters_that_are_out_of_their_range_are_named_as_options(options, message, invoke, tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).random((90, 40), np.float32))
    result = invoke("train", "rows.npy", "-o", "m.safetensors", "--preprocess", "none", *options)
    assert result.exit_code == 2
    assert message in sentence(result.stderr)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--columns", "c"), "t.csv has no column named 'c'; its columns are 'a', 'b'."),
        (("--drop", "7"), "t.csv has the columns 0 to 1; there is no column 7."),
        (("--separator", "ab"), "--separator must be a single character that is neither a digit nor a double quote"),
        (("--separator", ";", "--thousands", ";"), "--separator, --decimal and --thousands must differ"),
        (("--encoding", "klingon"), "--encoding must be the name of an encoding that Python knows"),
        (("--columns", ""), "--columns must name at least one column of t.csv"),
        (("--target", ""), "--target must name at least one column"),
        (("--drop", "a,b"), "no column of t.csv is left to be read; name fewer columns in --drop"),
        (("--header",), "below the line that names its columns; if that line is a row itself, pass --no-header."),
        (
            ("--decimal", ","),
            "Numbers are read with --decimal ','; if a point stands before the decimals, pass --decimal '.'",
        ),
    ],
)
def test_options_that_do_not_suit_a_table_are_named_as_options(options, message, invoke, tmp_path):
    (tmp_path / "t.csv").write_text("1.5;2\n" if options == ("--header",) else "a;b\n1.5;2\n3.5;4\n")
    result = invoke("train", "t.csv", "-o", "m.safetensors", *options)
    suits_other_tables = options[0] in ("--header", "--decimal")  # it is the table that is not as it says
    assert result.exit_code == (1 if suits_other_tables else 2), result.output
    assert message in sentence(result.stderr)


#: Options with values that they cannot have, or not for these rows of 40 numbers.
BAD_VALUES = [
    ("-e", "matryoshka", "--k", "4", "--hidden", "32", "--set", "prefixes=[8,4,64]"),
    ("-e", "deep", "--set", "hidden_layer_sizes=(0,)"),
    ("-e", "deep", "--set", "activation=[relu]"),
    ("--memory-limit", "lots"),
    ("--jobs", "0"),
    ("--set", "engine=gpu"),
    ("--set", "callbacks=[3]"),
    ("-e", "topk", "--set", "callbacks=[3]"),
    ("-e", "topk", "--set", "normalize=no"),
    ("--set", "solver__size=3"),
    ("--set", "initial_weights=[1,2]"),
    ("-e", "stacked", "--set", "layers=3"),
    ("-e", "stacked", "--set", "layers=[3]"),
    ("-e", "detector", "--set", "autoencoder=3"),
    ("-e", "classifier", "--labels", "y.npy", "--set", "class_weight={7:1}"),
    ("-e", "classifier", "--labels", "y.npy", "--layers", "dense 3 loud"),
    ("-e", "classifier", "--labels", "y.npy", "--layers", "convolution 3 50", "--input-shape", "5x8x1"),
    ("-e", "classifier", "--labels", "y.npy", "--layers", "3", "--input-shape", "4x5x1"),
]


@pytest.mark.parametrize("options", BAD_VALUES, ids=lambda options: " ".join(options[-2:]))
def test_a_bad_value_of_an_option_is_status_2(options, invoke, tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).random((90, 40), np.float32))
    np.save(tmp_path / "y.npy", np.arange(90) % 3)
    result = invoke("train", "rows.npy", "-o", "m.safetensors", *options)
    assert result.exit_code == 2, result.output
    assert "unexpected" not in result.stderr
    assert not (tmp_path / "m.safetensors").exists()


def test_bad_values_of_options_of_other_commands_are_status_2(invoke, run, tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).random((20, 4), np.float32))
    run("train", "rows.npy", "-o", "m.safetensors", "--max-iter", "2")
    for arguments in (
        ("evaluate", "m.safetensors", "rows.npy", "--threshold", "nan"),
        ("report", "m.safetensors", "rows.npy", "-o", "r.html", "--image-shape", "3x3"),
    ):
        result = invoke(*arguments)
        assert result.exit_code == 2, result.output
    assert "error: --image-shape must be (height, width)" in sentence(result.stderr)


#: Options that an estimator lacks, and how the error names them.
LACKED = [
    (
        ("-e", "topk", "--beta", "3"),
        "Invalid value for --beta: topk does not have this option. It takes --hidden, --k,",
    ),
    (("-e", "topk", "--lambda", "3"), "Invalid value for --lambda: topk does not have this option."),
    (("-e", "topk", "--weight-decay", "3"), "Invalid value for --weight-decay: topk does not have this option."),
    (("-e", "topk", "--rho=0.1"), "Invalid value for --rho: topk does not have this option."),
    (("--k", "3"), "Invalid value for --k: sparse does not have this option. It takes --hidden, --sparsity, --beta,"),
    (("-e", "stacked", "--k", "3"), "Invalid value for --k: stacked does not have this option. It takes --layers, "),
    (
        ("-e", "detector", "--k", "3"),
        "for --k: neither detector nor its autoencoder, a DeepAutoencoder, has this option.",
    ),
    (("-e", "topk", "--set", "sparsity=1"), "for --set sparsity: topk does not have a parameter 'sparsity'."),
    (("-e", "l1", "--k", "3"), "Invalid value for --k: l1 has no fixed number of active latents"),
    (
        ("-e", "softmax", "--labels", "y.npy", "--latents", "3"),
        "Invalid value for --latents: softmax has no numbers of",
    ),
]


@pytest.mark.parametrize(("options", "message"), LACKED, ids=[" ".join(options[-2:]) for options, _ in LACKED])
def test_options_that_an_estimator_lacks_are_named_as_they_were_typed(options, message, invoke, tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).random((90, 40), np.float32))
    np.save(tmp_path / "y.npy", np.arange(90) % 3)
    result = invoke("train", "rows.npy", "-o", "m.safetensors", *options)
    assert result.exit_code == 2
    assert message in sentence(result.stderr)


def test_other_names_of_options_come_back_in_notes_and_in_what_differs_from_a_checkpoint(invoke, run, tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).random((90, 40), np.float32))
    command = ("train", "rows.npy", "-o", "m.safetensors", "--checkpoint", "state", "--resume", "--beta", "0")
    first = invoke(*command, "--latents", "4", "--epochs", "12", "--set", "tol=0")
    assert "try --epochs 24, or accept" in sentence(first.stderr)
    second = invoke(*command, "--latents", "5", "--epochs=13", "--set", "tol=0")
    said = sentence(second.stderr)
    assert "--epochs was 12 in that fit and is 13 now; --latents was 4 in that fit and is 5 now" in said
    third = invoke(*command, "--hidden", "5", "--max-iter", "12", "--set", "tol=0")
    assert "--hidden was 4 in that fit and is 5 now" in sentence(third.stderr)


def test_a_learning_rate_that_was_not_typed_is_named_as_the_default():
    sentence = Sentence("the rate is too high, now ", Setting("learning_rate", 0.01, in_use=True), ". It ends.")
    options = {"--learning-rate", "--set"}
    for words, shown in (
        ([], "the default of learning-rate, 0.01"),
        (["--learning-rate", "0.01"], "--learning-rate '0.01'"),
        (["--set", "solver=Adam(learning_rate=0.01)"], "--set solver=Adam(learning_rate=0.01)"),
        (["--set=solver__learning_rate=0.01"], "--set solver__learning_rate=0.01"),
    ):
        assert Typed(words, options).written(sentence) == f"the rate is too high, now {shown}. It ends."
