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


def test_models_that_began_alike_are_remarked_on(run):
    draw = np.random.default_rng(0)
    np.save("rows.npy", draw.standard_normal((300, 8)))
    how = ("-e", "topk", "--k", "2", "--hidden", "16", "--max-iter", "1")
    run("train", "rows.npy", "-o", "a.safetensors", *how)
    run("train", "rows.npy", "-o", "same.safetensors", *how, "--learning-rate", "1e-3")
    run("train", "rows.npy", "-o", "other.safetensors", *how, "--seed", "1")
    text = run("match", "a.safetensors", "same.safetensors", "-o", "pairs.csv")
    assert "note: both models began at the same random directions" in text
    assert text.startswith("latent of A  latent of B  cosine")
    with open("pairs.csv") as file:
        assert file.readline() == "latent_of_a,latent_of_b,cosine\n"
    text = run("match", "a.safetensors", "other.safetensors")
    assert "began" not in text
    same, other = (
        json.loads(run("match", "a.safetensors", name, "--json")) for name in ("same.safetensors", "other.safetensors")
    )
    assert (same["same_start"], other["same_start"]) == (True, False)
    by_chance = other["mean_cosine_by_chance"]  # which is what is left, as the training was short
    assert f", and {by_chance:.3f} for random directions" in text
    assert same["mean_cosine"] > 0.95
    assert other["mean_cosine"] == pytest.approx(by_chance, abs=0.1)
