"""`check-gradient MODEL DATA` checks the gradient of a model's cost on some of its rows."""

import json

import numpy as np
import pytest

import rhohat
from rhohat.layers.activations import Tanh
from tests.tolerances import ORACLE


@pytest.fixture(name="model")
def model_of_images(run, images):
    run("train", images, "-o", "model.safetensors", "--hidden", "4", "--max-iter", "5", "--activation", "tanh", "-q")
    return "model.safetensors"


def test_the_verdict_is_printed_with_the_relative_difference(run, model, images):
    printed = run("check-gradient", model, images).splitlines()
    assert printed[0] == "checked on 60 of 60 rows, at the weights with which a training starts"
    assert printed[1].startswith("The gradient is right: its relative difference from central differences is ")
    assert "Checked: 184 of 184 parameters" in printed[1]


def test_the_check_is_that_of_the_python_interface(run, model, images):
    found = json.loads(run("check-gradient", model, images, "--rows", "0:7", "--json"))
    pipeline = rhohat.load(model)
    rows = pipeline[:-1].transform(np.load(images).reshape(60, -1)[:7])
    expected = rhohat.check_gradient(pipeline[-1].objective(rows), pipeline[-1].initial_theta(rows))
    assert found == {
        "relative_difference": pytest.approx(expected.relative_difference, rel=0.5),
        "is_right": True,
        "checked": 184,
        "parameters": 184,
        "epsilon": 1e-4,
        "rows": 7,
    }
    assert found["relative_difference"] <= ORACLE


def test_a_wrong_gradient_is_said_to_be_wrong(invoke, model, images, monkeypatch):
    monkeypatch.setattr(Tanh, "multiply_by_derivative", lambda self, a, delta: None)
    result = invoke("check-gradient", model, images)
    assert result.exit_code == 1
    assert "The gradient is wrong at parameter " in result.stdout


def test_a_classifier_is_checked_with_the_targets_of_its_table(run, invoke, table, tmp_path):
    train = ("train", table, "-o", "classes.safetensors", "-e", "softmax", "--target", "feeling", "--max-iter", "3")
    run(*train, "--validation", "0", "-q")
    assert "The gradient is right" in run("check-gradient", "classes.safetensors", table)
    np.save(tmp_path / "rows.npy", np.zeros((5, 4)))
    refused = invoke("check-gradient", "classes.safetensors", "rows.npy")
    assert refused.exit_code == 2
    assert "the cost of this model needs targets; pass --labels or --target." in refused.stderr


def test_what_cannot_be_checked_is_refused_in_a_sentence(run, invoke, model, images, tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32))
    run("train", "rows.npy", "-o", "topk.safetensors", "-e", "topk", "--hidden", "8", "--k", "2", "-q")
    dictionary = invoke("check-gradient", "topk.safetensors", "rows.npy")
    assert dictionary.exit_code == 1
    assert "TopKAutoencoder cannot be checked: it has no cost J beside its training." in dictionary.stderr
    for arguments, message in (
        ((model,), "a model needs rows to be checked on"),
        ((model, images, "--all"), "MODEL cannot be combined with --all"),
        ((), "pass a model and rows, as MODEL DATA; or pass --all"),
    ):
        refused = invoke("check-gradient", *arguments)
        assert refused.exit_code == 2
        assert message in refused.stderr
