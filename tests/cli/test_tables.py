"""Tables of texts and gaps: refused with all that is wrong, or learned from with --one-hot and --missing impute."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine

import rhohat
from tests.cli.test_demo import sentence

QUICK = ("--hidden", "3", "--max-iter", "5")


@pytest.fixture(params=["wines.csv", "wines.parquet"])
def wines(request, tmp_path):
    """178 wines, of which the grape and the strength are texts; some strengths and some ashes are missing."""
    wines = load_wine(as_frame=True)
    table = wines.data[["alcohol", "ash", "proline"]].assign(
        grape=np.array(["Barolo", "Grignolino", "Barbera"])[wines.target],
        strength=pd.cut(wines.data["alcohol"], 3, labels=["light", "middle", "strong"]).astype(object),
        dark=wines.data["color_intensity"] > 5,
        price=2000 + 300 * wines.data["alcohol"],
    )
    table.loc[::10, "ash"] = np.nan
    table.loc[3::17, "strength"] = None
    path = tmp_path / request.param
    table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path, index=False)
    return path


def test_all_columns_that_hinder_are_named_with_a_value_of_each(invoke, wines, tmp_path):
    said = sentence(invoke("train", wines, "-o", "m.safetensors", *QUICK).stderr)
    for part in ("'grape'", "'Barolo'", "'strength'", "'strong'", "'ash'", "--drop grape,strength", "--one-hot, and"):
        assert part in said
    said = sentence(invoke("train", wines, "-o", "m.safetensors", *QUICK, "--one-hot").stderr)
    for part in ("'strength'", "'ash'", "--missing impute", "--missing drop"):
        assert part in said
    said = sentence(invoke("train", wines, "-o", "m.safetensors", *QUICK, "--missing", "impute").stderr)
    assert "--drop grape,strength. To learn from them as categories, pass --one-hot." in said
    said = sentence(invoke("train", wines, "-o", "m.safetensors", *QUICK, "--one-hot", "--missing", "mean").stderr)
    assert "mean fills in numbers only; together with --one-hot, pass --missing impute" in said
    assert not list(tmp_path.glob("*.safetensors"))


def test_dates_and_names_are_told_at_the_first_try(invoke, tmp_path):
    days = pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d")
    orders = pd.DataFrame({"day": days, "customer": [f"C{number}" for number in range(60)], "sum": range(1, 61)})
    orders.assign(region=["north", "south"] * 30).to_csv(tmp_path / "orders.csv", index=False)
    said = sentence(invoke("train", "orders.csv", "-o", "m.safetensors", *QUICK).stderr)
    assert (
        "Leave out what is no category, with --drop day,customer: 'day' holds dates and nearly every row has a text of"
        " its own in 'customer'." in said
    )
    orders.assign(region=["north", ""] * 30).to_csv(tmp_path / "orders.csv", index=False)
    said = sentence(invoke("train", "orders.csv", "-o", "m.safetensors", *QUICK, "--one-hot").stderr)
    assert "column 'region' is empty" in said
    assert "The column 'day' holds dates, which are no categories; leave dates out with --drop." in said


def test_numbers_that_only_tell_rows_apart_are_remarked_on(invoke, tmp_path, rng):
    frame = pd.DataFrame({"order_id": 7000 + rng.permutation(60), "line": range(1, 61), "year": range(1950, 2010)})
    frame.assign(sum=rng.random(60), count=rng.permutation(60)).to_csv(tmp_path / "orders.csv", index=False)
    result = invoke("train", "orders.csv", "-o", "m.safetensors", *QUICK)
    said = sentence(result.stderr)
    assert "note: 'order_id' and 'line' have another number in each row, like an identifier" in said
    assert "leave them out with --drop order_id,line." in said
    result = invoke("train", "orders.csv", "-o", "m.safetensors", *QUICK, "--drop", "order_id,line")
    assert "identifier" not in result.stderr


def test_columns_of_a_table_are_not_scaled_alike(invoke, wines):
    result = invoke("train", wines, "-o", "m.safetensors", "--one-hot", "--missing", "impute", "--preprocess", "range")
    assert result.exit_code == 2
    assert "pass minmax, which brings each column to the range from 0 to 1" in sentence(result.output)


def test_rows_without_a_target_are_left_out_where_others_are_imputed(invoke, run, wines):
    table = pd.read_csv(wines) if wines.suffix == ".csv" else pd.read_parquet(wines)
    table.loc[5:8, "price"] = np.nan
    table.to_csv(wines, index=False) if wines.suffix == ".csv" else table.to_parquet(wines, index=False)
    how = ("train", wines, "-o", "m.safetensors", "-e", "regressor", "--target", "price", "--one-hot", *QUICK)
    said = sentence(invoke(*how, "--drop", "ash,strength").stderr)
    assert "'price'" in said
    assert "has no value in 4 of" in said
    assert "--missing impute to leave out only those without a target" in said
    left_out = "4 of the 178 rows of wines" + wines.suffix + " have no value in the column 'price'"
    assert left_out in sentence(invoke(*how, "--missing", "impute").stderr)
    result = invoke("evaluate", "m.safetensors", wines, "--json")
    assert left_out in sentence(result.stderr)
    assert json.loads(result.stdout)["n_samples"] == 174
    run("predict", "m.safetensors", wines, "-o", "predicted.csv", "--id", "strength")
    assert pd.read_csv("predicted.csv")["strength"].isna().sum() == table["strength"].isna().sum()


def test_every_command_takes_the_table_of_the_training(run, wines, tmp_path):
    run("train", wines, "-o", "m.safetensors", *QUICK, "--one-hot", "--missing", "impute", "--drop", "price")
    columns = ["alcohol", "ash", "proline", "grape", "strength", "dark"]
    model = rhohat.load("m.safetensors")
    assert list(model[0].feature_names_in_) == columns
    assert json.loads(run("info", "m.safetensors", "--json"))["feature_names"][-3:] == [
        *("strength=strong", "strength (missing)", "dark")
    ]
    run("encode", "m.safetensors", wines, "-o", "codes.csv")
    assert pd.read_csv("codes.csv").shape == (178, 3)
    run("reconstruct", "m.safetensors", wines, "-o", "made.csv")
    made = pd.read_csv("made.csv")
    assert list(made.columns) == columns
    assert made["alcohol"].between(11, 15).all()
    assert set(made["grape"]) <= {"Barolo", "Grignolino", "Barbera"}
    assert json.loads(run("evaluate", "m.safetensors", wines, "--json"))["n_features"] == 12
    run("report", "m.safetensors", wines, "-o", "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "grape=Barolo" in page


def test_rows_hold_texts_only_in_csv(invoke, run, wines, tmp_path):
    run("train", wines, "-o", "m.safetensors", *QUICK, "--one-hot", "--missing", "drop")
    result = invoke("reconstruct", "m.safetensors", wines, "-o", "made.npy", "--missing", "drop")
    assert "these rows hold texts, which a .npy file cannot; write them to a .csv file" in sentence(result.stderr)
    assert not (tmp_path / "made.npy").exists()
    result = invoke("encode", "m.safetensors", wines, "-o", "codes.csv", "--missing", "impute")
    assert "has not learned the means that replace missing values; train it with --missing impute" in result.output


@pytest.mark.parametrize(("kind", "target"), [("classifier", "grape"), ("regressor", "price")])
def test_columns_are_predicted_from_a_table_of_texts(run, wines, kind, target):
    drop = {"grape": "price", "price": "grape"}[target]
    how = ("--one-hot", "--missing", "impute", "--target", target, "--drop", drop, "--preprocess", "standard")
    run("train", wines, "-o", "m.safetensors", "-e", kind, "--hidden", 5, "--max-iter", 60, *how)
    assert rhohat.load("m.safetensors")[0].scale == "standard"
    run("predict", "m.safetensors", wines, "-o", "predicted.csv")
    predicted = pd.read_csv("predicted.csv")[target]
    assert len(predicted) == 178
    assert json.loads(run("evaluate", "m.safetensors", wines, "--json"))["score"] > 0.8


def test_gaps_alone_are_imputed_with_an_indicator(run, wines):
    how = ("--columns", "alcohol,ash,proline", "--missing", "impute", "--preprocess", "none")
    run("train", wines, "-o", "m.safetensors", *QUICK, *how)
    model = rhohat.load("m.safetensors")
    assert list(model[0].get_feature_names_out()) == ["alcohol", "ash", "ash (missing)", "proline"]
    run("encode", "m.safetensors", wines, "-o", "codes.npy")


def test_an_l1_penalty_has_an_option(run, invoke, table):
    rows = (table, "-o", "m.safetensors", "--drop", "feeling,twice", *QUICK)
    run("train", *rows, "--l1", "0.2")
    model = rhohat.load("m.safetensors")[-1]
    assert model.penalties == [rhohat.L1Sparsity(0.2)]
    assert set(model.terms_curve_) >= {"l1_sparsity", "kl_sparsity"}
    run("train", *rows, "--l1", "0.2", "-e", "l1")
    assert rhohat.load("m.safetensors").sparsity_weight == 0.2
    run("train", *rows, "--l1", "0.2", "-e", "stacked")
    assert rhohat.load("m.safetensors")[-1].layers[0].penalties == [rhohat.L1Sparsity(0.2)]
    for options, said in (
        (("--l1", "-1"), "must be a weight of at least 0"),
        (("--l1", "0.1", "-e", "topk"), "topk has no L1 penalty"),
        (("--l1", "0.1", "--set", "penalties=[L1Sparsity(1)]"), "pass this option or --set penalties=..., not both"),
    ):
        result = invoke("train", *rows, *options)
        assert result.exit_code == 2
        assert said in sentence(result.output)


def test_what_the_training_did_not_have_is_noted_by_all_commands(invoke, wines, tmp_path):
    how = ("--one-hot", "--missing", "impute", *QUICK)
    assert invoke("train", wines, "-o", "d.safetensors", "-e", "detector", *how).exit_code == 0
    new = pd.read_csv(wines) if wines.suffix == ".csv" else pd.read_parquet(wines)
    new.loc[[2, 4], "grape"] = "Merlot"
    new.loc[7, "proline"] = np.nan
    new.to_csv(tmp_path / "new.csv", index=False)
    said = (
        "note: column 'proline' has 1 gap and had none in the training, so that the mean is filled in; column 'grape'"
        " holds 1 text that the training did not have ('Merlot'), in 2 rows, and it counts as none of its categories."
    )
    for command in (("score",), ("evaluate",), ("encode", "-o", "codes.csv")):
        result = invoke(command[0], "d.safetensors", "new.csv", *command[1:])
        assert result.exit_code == 0
        assert sentence(result.stderr).count(said) == 1
    assert "the training did not have" not in invoke("score", "d.safetensors", "new.csv", "--rows", "10:20").stderr


def test_a_frequency_says_which_texts_are_categories(invoke, wines, tmp_path):
    how = ("--one-hot", "--missing", "impute", *QUICK)
    assert invoke("train", wines, "-o", "m.safetensors", *how, "--min-frequency", "50").exit_code == 0
    names = list(rhohat.load(tmp_path / "m.safetensors")[0].get_feature_names_out())
    assert [name for name in names if name.startswith("grape")] == ["grape=Barolo", "grape=Grignolino", "grape (rare)"]
    result = invoke("train", wines, "-o", "n.safetensors", "--min-frequency", "50")
    assert result.exit_code == 2
    assert "--min-frequency: counts texts, which need --one-hot." in sentence(result.stderr)
