"""What `train` tells at its end, and the rows that it holds out."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_iris

import rhohat

QUICK = ("--max-iter", "40", "--hidden", "5")


@pytest.fixture
def flowers(tmp_path):
    load_iris(as_frame=True).frame.to_csv(tmp_path / "flowers.csv", index=False)
    return tmp_path / "flowers.csv"


def train(run, flowers, *more):
    options = ("-e", "classifier", "--target", "target", *QUICK, "--json")
    return json.loads(run("train", flowers, "-o", "m.safetensors", *options, *more))


def test_a_classifier_is_judged_on_a_tenth_of_the_rows_of_each_class(run, flowers):
    found = train(run, flowers)
    assert found["rows"] == 135
    beside = {"share of the largest class", "balanced accuracy"} | {f"recall of '{number}'" for number in range(3)}
    assert set(found["figures"]) == {"accuracy", "dead units"} | beside
    assert set(found["held_out"]) == {"accuracy"} | beside
    assert found["held_out"]["share of the largest class"] == pytest.approx(1 / 3)
    assert found["held_out"]["accuracy"] > 0.6
    assert found["next"] == f"rhohat report m.safetensors {flowers} -o m.html"
    model = rhohat.load("m.safetensors")
    card = model[-1].model_card_
    assert card.held_out == found["held_out"]
    assert card.data == "135 rows of 4 columns of flowers.csv; 15 further rows were held out."


def test_a_regressor_is_judged_on_a_tenth_of_the_rows_in_the_units_of_its_target(run, flowers):
    how = ("-e", "regressor", "--target", "petal length (cm)", *QUICK)
    found = json.loads(run("train", flowers, "-o", "m.safetensors", *how, "--json"))
    assert found["rows"] == 135
    assert set(found["held_out"]) == {"R²", "MAE", "RMSE"}
    frame = load_iris(as_frame=True).frame
    model = rhohat.load("m.safetensors")
    errors = (model.predict(frame.drop(columns="petal length (cm)")) - frame["petal length (cm)"]).abs()
    mean = 135 * found["figures"]["MAE"] + 15 * found["held_out"]["MAE"]
    assert mean == pytest.approx(errors.sum())
    squares = 135 * found["figures"]["RMSE"] ** 2 + 15 * found["held_out"]["RMSE"] ** 2
    assert squares == pytest.approx((errors**2).sum())
    lines = run("train", flowers, "-o", "m.safetensors", *how).splitlines()
    assert lines[2].startswith("on the 15 held-out rows: R² ")
    both = run("train", flowers, "-o", "m.safetensors", *how[:3], "petal length (cm),target", *QUICK)
    assert "MAE of petal length (cm) " in both
    assert "RMSE of target " in both


def test_all_rows_are_used_where_that_is_asked_for(run, flowers):
    found = train(run, flowers, "--validation", "0")
    assert (found["rows"], found["held_out"]) == (150, {})


def test_the_figure_is_that_of_the_model_on_the_rows_held_out(run, flowers):
    found = train(run, flowers, "--validation", "0.4")
    frame = load_iris(as_frame=True).frame
    X, y = frame.iloc[:, :4], frame["target"].to_numpy()
    right = rhohat.load("m.safetensors").predict(X) == y
    shares = 90 * found["figures"]["accuracy"] + 60 * found["held_out"]["accuracy"]
    assert shares == pytest.approx(np.count_nonzero(right))


@pytest.mark.parametrize("fraction", ["1", "-0.1", "0.001"])
def test_fractions_that_leave_no_rows_are_refused(invoke, flowers, fraction):
    options = ("-e", "classifier", "--target", "target", "--validation", fraction)
    result = invoke("train", flowers, "-o", "m.safetensors", *options)
    assert result.exit_code == 2
    assert "--validation" in result.stderr


def test_an_autoencoder_uses_all_rows_and_tells_its_explained_variance(run, images):
    lines = run("train", images, "-o", "m.safetensors", *QUICK).splitlines()
    assert lines[0].startswith("wrote m.safetensors: SparseAutoencoder 20-5-20, ")
    assert lines[0].endswith(" s")
    assert lines[1].startswith("on the 60 training rows: explained variance 0.")
    assert lines[1].endswith(", dead units 0")
    assert lines[2] == f"next: rhohat report m.safetensors {images} -o m.html"


def test_a_dictionary_tells_its_l0(run, images):
    options = ("-e", "topk", "--k", "2", "--hidden", "8", "--validation", "0.2")
    text = run("train", images, "-o", "m.safetensors", *options)
    assert "on the 48 training rows: explained variance " in text
    assert ", L0 2.0, dead latents " in text
    assert "on the 12 held-out rows: explained variance " in text
