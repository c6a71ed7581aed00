"""Commands compare a model with what it was trained to predict: the same columns in their order, and known labels."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine

import rhohat
from tests.cli.test_demo import sentence

QUICK = ("--hidden", "4", "--max-iter", "5", "--quiet")
GRAPES = np.array(["Barolo", "Grignolino", "Barbera"])


@pytest.fixture
def wines(tmp_path):
    """A table of 13 columns of numbers and two of words; some with other words."""
    wine = load_wine(as_frame=True)
    frame = wine.data.assign(grape=GRAPES[wine.target], cellar=["north", "south"] * 89)
    frame.to_csv(tmp_path / "w.csv", index=False)
    frame.to_parquet(tmp_path / "w.parquet")
    frame.assign(grape=frame["grape"].str.lower()).to_csv(tmp_path / "lower.csv", index=False)
    frame.assign(grape=frame["grape"].replace("Barolo", "Merlot")).to_csv(tmp_path / "merlot.csv", index=False)
    frame.drop(columns="grape").to_csv(tmp_path / "bare.csv", index=False)
    frame[["grape"]].to_csv(tmp_path / "y.txt", index=False, header=False)
    return frame


@pytest.fixture
def classifier(run, wines):
    run("train", "w.csv", "-o", "c.safetensors", "-e", "classifier", "--target", "grape", "--drop", "cellar", *QUICK)


@pytest.fixture
def regressor(run, wines):
    run(
        *("train", "w.csv", "-o", "r.safetensors", "-e", "regressor", "--target", "proline,hue"),
        *("--drop", "cellar,grape", *QUICK),
    )


@pytest.mark.parametrize("command", ["evaluate", "report"])
@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ("w.csv", ("--target", "cellar"), "none of the 178 labels of column 'cellar' of w.csv is a class of the model"),
        ("lower.csv", ("--target", "grape"), "none of the 178 labels of column 'grape' of lower.csv is a class"),
        ("lower.csv", (), "labels are 'barbera', 'barolo', 'grignolino', but the model's classes are 'Barbera'"),
        ("w.csv", ("--labels", "numbers.npy"), "numbers.npy has labels that are numbers, such as 0, but the model's"),
        ("w.csv", ("--target", "hue"), "'hue' is an input of this model, so it cannot be the target too."),
        ("w.csv", ("--target", "3"), "is an input of this model, so it cannot be the target too."),
    ],
)
@pytest.mark.usefixtures("classifier")
def test_what_cannot_be_compared_is_refused(command, table, options, message, invoke, tmp_path):
    np.save(tmp_path / "numbers.npy", np.arange(178) % 3)
    result = invoke(command, "c.safetensors", table, *options)
    assert result.exit_code == 1
    assert message in sentence(result.stderr)


@pytest.mark.usefixtures("classifier")
def test_labels_that_the_model_never_learned_are_said(invoke, tmp_path):
    message = (
        "labels are not classes of the model; the first of these labels is 'Merlot', and the classes are 'Barbera'"
    )
    result = invoke("evaluate", "c.safetensors", "merlot.csv", "--json")
    assert f"59 of 178 {message}, 'Barolo'" in sentence(result.stderr)
    assert sentence(result.stderr).count("labels are not classes of the model") == 1
    assert json.loads(result.stdout)["score"] < 0.7
    result = invoke("report", "c.safetensors", "merlot.csv", "-o", "r.html")
    assert message in sentence(result.stderr)
    assert "59 of 178 labels are not classes of the model" in (tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("regressor")
@pytest.mark.parametrize("table", ["w.csv", "w.parquet"])
def test_targets_are_put_in_the_order_of_the_training(table, run, invoke, wines, tmp_path):
    model = rhohat.load(tmp_path / "r.safetensors")
    assert model[-1].target_names_ == ("proline", "hue")
    inputs = wines.drop(columns=["proline", "hue", "grape", "cellar"])
    expected = model.score(inputs, wines[["proline", "hue"]])
    for options in (("--target", "proline,hue"), ("--target", "hue,proline"), ("--target", "12,10"), ()):
        found = json.loads(run("evaluate", "r.safetensors", table, *options, "--json"))
        assert found["score"] == pytest.approx(expected, rel=1e-9)
    result = invoke("evaluate", "r.safetensors", table)
    assert "the predictions of the model are compared with columns 'proline', 'hue' of" in sentence(result.stderr)
    result = invoke("evaluate", "r.safetensors", table, "--target", "hue")
    assert "got 'hue', so 'proline' is missing" in sentence(result.stderr)


@pytest.mark.usefixtures("regressor", "classifier")
def test_predictions_have_the_names_of_what_is_predicted(run, wines, tmp_path):
    assert run("predict", "r.safetensors", "w.csv", "-o", "-").splitlines()[0] == "proline,hue"
    assert run("predict", "c.safetensors", "w.csv", "-o", "-").splitlines()[0] == "grape"
    assert "predicts      proline, hue" in run("info", "r.safetensors")
    numbers = wines.drop(columns=["grape", "cellar"]).to_numpy()
    np.save(tmp_path / "x.npy", numbers)
    run("train", "x.npy", "-o", "u.safetensors", "-e", "softmax", "--labels", "y.txt", "--max-iter", "2", "-q")
    assert run("predict", "u.safetensors", "x.npy", "-o", "-").splitlines()[0] == "prediction"


@pytest.mark.usefixtures("classifier")
def test_a_table_without_the_target_is_evaluated_without_a_score(invoke):
    for command in ("evaluate", "report"):
        result = invoke(command, "c.safetensors", "bare.csv")
        assert result.exit_code == 0
        assert "accuracy" not in result.stdout
        said = "note: bare.csv has no column 'grape', so that accuracy cannot be measured; pass --target or --labels."
        assert sentence(result.stderr).strip() == said


@pytest.mark.usefixtures("regressor")
def test_a_target_that_the_model_was_not_trained_for_is_said(run, invoke, wines, tmp_path):
    run(
        *("train", "w.csv", "-o", "one.safetensors", "-e", "regressor", "--target", "proline"),
        *("--columns", "ash,alcohol", *QUICK),
    )
    result = invoke("evaluate", "one.safetensors", "w.csv", "--target", "hue")
    message = "The model was fitted to predict 'proline', but its predictions are compared with 'hue'"
    assert message in sentence(result.stderr)


def test_columns_without_names_are_found_by_their_numbers(run, tmp_path, rng):
    X = rng.random((40, 5)) * [1, 1, 1, 1000, 0.1]
    np.savetxt(tmp_path / "t.csv", X, delimiter=",")
    run("train", "t.csv", "-o", "m.safetensors", "-e", "regressor", "--target", "3,4", *QUICK)
    scores = [
        json.loads(run("evaluate", "m.safetensors", "t.csv", *options, "--json"))["score"]
        for options in (("--target", "3,4"), ("--target", "4,3"), ())
    ]
    assert scores == [scores[0]] * 3


@pytest.mark.parametrize("kind", ["folder", "array"])
def test_data_that_are_no_table_are_evaluated_as_before(kind, run, tmp_path, rng):
    """Although the model knows the name of its target."""
    frame = pd.DataFrame(rng.random((40, 3)), columns=list("abc"))
    frame.assign(kind=["x", "y"] * 20).to_csv(tmp_path / "t.csv", index=False)
    run("train", "t.csv", "-o", "m.safetensors", "-e", "softmax", "--target", "kind", "--max-iter", "2", "-q")
    (tmp_path / "rows").mkdir()
    for number in range(2):
        frame.assign(kind="x").to_csv(tmp_path / "rows" / f"{number}.csv", index=False)
    np.save(tmp_path / "rows.npy", frame.to_numpy())
    found = json.loads(run("evaluate", "m.safetensors", {"folder": "rows", "array": "rows.npy"}[kind], "--json"))
    assert found["score"] is None
