"""Errors and warnings of the library mention settings, which the command line shows as its options."""

import warnings

import numpy as np
import pytest

from rhohat.cli import describing
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
        (("-e", "topk", "--k", "64", "--latents", "32"), "--k 64 must not exceed --hidden 32."),
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
    assert result.exit_code in (1, 2)
    assert message in sentence(result.stderr)


@pytest.mark.parametrize(
    ("options", "message"),
    [
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
    assert result.exit_code == 1, result.output
    assert message in sentence(result.stderr)
