"""The command `match` on models whose units are known to be the same."""

import json

import numpy as np
import pytest

import rhohat


@pytest.fixture
def models(run, images):
    """A model, and the same with its units in another order."""
    options = ("--hidden", "6", "--max-iter", "30", "--preprocess", "range")
    run("train", images, "-o", "a.safetensors", *options)
    model = rhohat.load("a.safetensors")[-1]
    order = [3, 0, 5, 1, 4, 2]
    (W1, W2), (b1, b2) = model.coefs_, model.intercepts_
    turned = rhohat.SparseAutoencoder.from_weights([W1[:, order], W2[order]], [b1[order], b2], n_components=6)
    rhohat.save(turned, "b.safetensors")
    return order


def test_units_find_their_partners(run, models, tmp_path):
    found = json.loads(run("match", "a.safetensors", "b.safetensors", "--json"))
    assert {pair["b"]: pair["a"] for pair in found["pairs"]} == dict(enumerate(models))
    assert found["mean_cosine"] == pytest.approx(1)
    text = run("match", "a.safetensors", "b.safetensors", "-o", "pairs.csv")
    assert "6 of 6 pairs have a cosine above 0.9; the mean is 1.000" in text
    lines = (tmp_path / "pairs.csv").read_text().splitlines()
    assert lines[0] == "unit_of_a,unit_of_b,cosine"
    assert len(lines) == 7


def test_models_of_other_data_are_refused(run, invoke, models, tmp_path):
    np.save(tmp_path / "other.npy", np.random.default_rng(0).random((30, 7)))
    run("train", "other.npy", "-o", "c.safetensors", "--hidden", "3", "--max-iter", "5")
    result = invoke("match", "a.safetensors", "c.safetensors")
    assert result.exit_code == 1
    assert "they look for patterns of 20 and of 7 numbers" in result.stderr
