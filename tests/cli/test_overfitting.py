"""`train` does not advise to train longer where the held-out rows do not support it."""

import numpy as np
import pandas as pd
import pytest

import rhohat
from tests.cli.test_demo import sentence

OVERFITTED = "but the loss on the held-out rows no longer falls: it was "
STILL_FALLING = "J was still falling, by"


@pytest.fixture(name="noise")
def table_of_noise(tmp_path):
    """A table whose target cannot be told from its other columns, so that whatever is learned is learned by heart."""
    draw = np.random.default_rng(0)
    rows = np.column_stack([draw.normal(size=(120, 20)), draw.integers(0, 2, 120)])
    names = ",".join([*(f"x{number}" for number in range(20)), "y"])
    np.savetxt(tmp_path / "noise.csv", rows, delimiter=",", header=names, comments="", fmt=["%.4f"] * 20 + ["%d"])
    return tmp_path / "noise.csv"


def told(invoke, data, *options):
    result = invoke("train", data, "-o", "m.safetensors", "--hidden", "30", "--validation", "0.3", *options)
    assert result.exit_code == 0, result.output
    return sentence(result.stderr)


@pytest.mark.parametrize(
    "kind", [("classifier", "--target", "y"), ("regressor", "--target", "y"), ("detector", "--drop", "y")]
)
def test_a_training_that_overfits_is_not_advised_to_be_longer(kind, invoke, noise):
    said = told(invoke, noise, "-e", *kind, "--epochs", "60", "--set", "early_stopping=False")
    assert f"note: 60 iterations were done, and J was still falling on the rows of the training; {OVERFITTED}" in said
    assert "--set early_stopping=True, fewer units or a larger --weight-decay may." in said
    assert "try --epochs" not in said
    model = rhohat.load("m.safetensors")
    assert OVERFITTED in rhohat.models.pipelines.estimator_of(model).solver_message_


def test_the_iteration_that_is_named_had_the_lower_loss(invoke, noise):
    said = told(invoke, noise, "-e", "classifier", "--target", "y", "--max-iter", "60")
    end = rhohat.load("m.safetensors")
    lower, best = said.split(OVERFITTED)[1].split(" % lower after ")
    best = int(best.split(".")[0])
    assert best in (15, 30, 54)
    told(invoke, noise, "-e", "classifier", "--target", "y", "--max-iter", str(best))
    earlier = rhohat.load("m.safetensors")
    rows = np.loadtxt(noise, delimiter=",", skiprows=1)
    is_out = np.zeros(120, np.bool_)
    chosen = rhohat.objective.held_out.draw_held_out(
        rhohat.common.randomness.keyed_generator(0, "rows held out by train"), 120, 0.3, rows[:, -1].astype(int)
    )
    is_out[chosen] = True
    losses = []
    names = [f"x{number}" for number in range(20)]
    for model in (earlier, end):
        probabilities = model.predict_proba(pd.DataFrame(rows[is_out][:, :-1], columns=names))
        losses.append(-np.log(probabilities[np.arange(36), rows[is_out][:, -1].astype(int)]).mean())
    assert 100 * (1 - losses[0] / losses[1]) == pytest.approx(float(lower), abs=0.6)


def test_a_training_that_goes_on_to_learn_is_advised_to_be_longer(invoke, tmp_path):
    rows = np.random.default_rng(0).normal(size=(300, 4)) @ np.random.default_rng(1).normal(size=(4, 20))
    np.save(tmp_path / "rows.npy", rows)
    said = told(invoke, "rows.npy", "--beta", "0", "--epochs", "12")
    assert STILL_FALLING in said
    assert "try --epochs 24" in said
    assert OVERFITTED not in said


def test_without_held_out_rows_the_advice_is_that_of_the_training(invoke, noise):
    said = told(invoke, noise, "-e", "classifier", "--target", "y", "--epochs", "60", "--validation", "0")
    assert STILL_FALLING in said
    assert OVERFITTED not in said


def test_the_model_is_that_of_the_last_iteration(invoke, noise):
    told(invoke, noise, "-e", "classifier", "--target", "y", "--epochs", "60")
    judged = rhohat.load("m.safetensors")[-1].theta_
    told(invoke, noise, "-e", "classifier", "--target", "y", "--epochs", "60", "--json")
    np.testing.assert_array_equal(rhohat.load("m.safetensors")[-1].theta_, judged)
    table = pd.read_csv(noise)
    assert rhohat.load("m.safetensors").score(table.drop(columns="y"), table["y"]) > 0.8
