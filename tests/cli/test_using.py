"""Rows through a model on the command line: the same numbers as in Python, whole files or none."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

import rhohat
from rhohat.cli.files import DIGITS
from tests.cli.test_demo import sentence


@pytest.fixture
def model(run, images, tmp_path):
    """A model of scaled images; its path."""
    run("train", images, "-o", "model.safetensors", "--hidden", "4", "--max-iter", "5", "--quiet")
    return tmp_path / "model.safetensors"


def rows_of(images):
    return np.load(images).reshape(60, -1).astype(np.float64)


def test_codes_are_those_of_the_model(run, model, images, tmp_path):
    assert run("encode", model, images, "-o", "codes.npy") == "wrote codes.npy: 60 rows × 4 columns\n"
    run("encode", model, images, "-o", "codes.csv")
    expected = rhohat.load(model).transform(rows_of(images))
    assert np.array_equal(np.load(tmp_path / "codes.npy"), expected)
    lines = (tmp_path / "codes.csv").read_text().splitlines()
    assert lines[0] == "unit_0,unit_1,unit_2,unit_3"
    np.testing.assert_allclose(np.loadtxt(lines[1:], delimiter=","), expected, rtol=10 ** (1 - DIGITS))
    assert run("encode", model, images, "-o", "-").splitlines() == lines


def test_codes_of_float32_have_no_more_digits_than_they_need(run, model, images, tmp_path):
    np.save(tmp_path / "single.npy", np.load(images).astype(np.float32))
    line = run("encode", model, "single.npy", "-o", "-").splitlines()[1]
    codes = rhohat.load(model).transform(rows_of(images).astype(np.float32))
    assert line == ",".join(f"{code:.{DIGITS}g}" for code in codes[0])


def test_reconstructions_are_in_the_units_of_the_data(run, model, images, tmp_path):
    run("reconstruct", model, images, "-o", "made.npy")
    loaded = rhohat.load(model)
    made = np.load(tmp_path / "made.npy")
    assert np.allclose(made, loaded.steps[0][1].inverse_transform(loaded.predict(rows_of(images))), rtol=1e-12)
    assert made.std() > 1  # grey values


def test_many_rows_are_read_and_written_some_at_a_time(run, model, tmp_path):
    """More rows than are computed at once: all of them arrive, in order."""
    rows = np.random.default_rng(0).integers(0, 256, (30_000, 20)).astype(np.float64)
    np.save(tmp_path / "many.npy", rows)
    run("encode", model, "many.npy", "-o", "codes.npy")
    assert np.array_equal(np.load(tmp_path / "codes.npy"), rhohat.load(model).transform(rows))


def test_a_table_with_more_columns_gives_those_that_the_model_knows(run, table, tmp_path):
    run("train", table, "-o", "m.safetensors", "--columns", "price,heat", "--hidden", "3", "--max-iter", "3")
    assert list(rhohat.load(tmp_path / "m.safetensors").feature_names_in_) == ["price", "heat"]
    assert run("reconstruct", "m.safetensors", table, "-o", "-").splitlines()[0] == "price,heat"


def test_the_file_before_stays_where_rows_turn_out_to_be_damaged(invoke, model, images, tmp_path):
    rows = np.full((20_000, 20), 7.0)
    rows[-1, 3] = np.nan
    np.save(tmp_path / "rows.npy", rows)
    (tmp_path / "codes.npy").write_bytes(b"mine")
    result = invoke("encode", model, "rows.npy", "-o", "codes.npy")
    assert result.exit_code == 1
    assert "NaN" in sentence(result.stderr)
    assert (tmp_path / "codes.npy").read_bytes() == b"mine"
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "codes.npy",
        "images.npy",
        "model.safetensors",
        "rows.npy",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["encode", "model.safetensors", "images.npy", "-o", "codes.txt"], 2, "must end in .npy or .csv"),
        (
            ["encode", "images.npy", "images.npy", "-o", "codes.npy"],
            1,
            "cannot be loaded: the file is not a safetensors",
        ),
        (["encode", "no.safetensors", "images.npy", "-o", "codes.npy"], 1, "there is no model file no.safetensors"),
        (
            ["encode", "model.safetensors", "table.csv", "-o", "codes.npy"],
            1,
            "table.csv has 5 columns, but the model was fitted to rows of 20 columns",
        ),
        (["encode", "model.safetensors", "other.npy", "-o", "codes.npy"], 1, "has 3 columns, but the model was"),
        (
            ["predict", "model.safetensors", "images.npy", "-o", "p.csv"],
            1,
            "SparseAutoencoder does not predict targets",
        ),
        (
            ["evaluate", "model.safetensors", "images.npy", "--labels", "x.txt"],
            2,
            "an autoencoder predicts no targets; leave this option out",
        ),
        (["plot", "model.safetensors", "-o", "p.png", "--what", "reconstructions"], 2, "reconstructions need rows"),
        (["plot", "model.safetensors", "-o", "p.png", "--image-shape", "28"], 2, "must be written as 28x28"),
        (["plot", "model.safetensors", "-o", "p.png", "--image-shape", "3x3"], 2, "--image-shape must be"),
        (["plot", "model.safetensors", "-o", "p.xyz"], 2, "must end in .png or .svg or .pdf"),
        (["report", "model.safetensors", "other.npy", "-o", "p.html"], 1, "has 3 columns"),
        (
            ["report", "model.safetensors", "images.npy", "-o", "p.html", "--tabular", "--image-shape", "4x5"],
            2,
            "cannot be combined with --image-shape",
        ),
    ],
)
@pytest.mark.usefixtures("model", "table")
def test_what_cannot_be_done_is_said_in_a_sentence(arguments, code, message, invoke, tmp_path):
    np.save(tmp_path / "other.npy", np.zeros((4, 3)))
    before = sorted(one.name for one in tmp_path.iterdir())
    result = invoke(*arguments)
    assert result.exit_code == code, result.output
    assert message in sentence(result.stderr)
    assert "Traceback" not in result.output
    assert sorted(one.name for one in tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["encode", "model.safetensors", "images.npy", "-o", "images.npy"],
        ["reconstruct", "model.safetensors", "images.npy", "-o", "./images.npy"],
        ["train", "model.safetensors", "-o", "model.safetensors"],
        ["patches", "images.npy", "-o", "images.npy"],
    ],
)
@pytest.mark.usefixtures("model", "images")
def test_what_is_read_is_not_overwritten(arguments, invoke, tmp_path):
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "is an input and would be overwritten; name another file" in sentence(result.stderr)
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before


def test_predictions_of_texts_are_written_to_either_kind_of_file(run, images, tmp_path):
    (tmp_path / "words.txt").write_text("\n".join(["a", "b"] * 30))
    run("train", images, "-o", "c.safetensors", "-e", "softmax", "--labels", "words.txt", "--max-iter", "3")
    run("predict", "c.safetensors", images, "-o", "p.npy")
    run("predict", "c.safetensors", images, "-o", "p.csv")
    found = np.load(tmp_path / "p.npy", allow_pickle=False)
    assert found.tolist() == (tmp_path / "p.csv").read_text().split()[1:]
    assert "accuracy" in run("evaluate", "c.safetensors", images, "--labels", "p.csv")


def test_who_reads_only_the_first_lines_is_no_error(run, model, tmp_path):
    np.save(tmp_path / "many.npy", np.zeros((50_000, 20)))
    command = [sys.executable, "-m", "rhohat", "encode", model, tmp_path / "many.npy", "-o", "-"]
    encoding = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ})
    assert encoding.stdout.readline().startswith(b"unit_0")
    encoding.stdout.close()
    error = encoding.stderr.read().decode()
    encoding.stderr.close()
    encoding.wait()
    assert "Traceback" not in error
    assert "error" not in error


@pytest.fixture
def with_gaps(run, tmp_path, rng):
    """A table of 30 rows of which two lack a number, and models of it; the numbers of the others."""
    frame = pd.DataFrame(rng.random((30, 3)), columns=list("abc")).assign(kind=["x", "y"] * 15)
    frame.loc[[2, 17], ["a", "c"]] = np.nan
    frame.to_csv(tmp_path / "gaps.csv", index=False)
    frame.drop(columns="kind").to_parquet(tmp_path / "gaps.parquet")
    how = ("--max-iter", "3", "--missing", "drop", "--quiet")
    run("train", "gaps.csv", "-o", "ae.safetensors", "--drop", "kind", "--hidden", "2", *how)
    run("train", "gaps.csv", "-o", "c.safetensors", "-e", "softmax", "--target", "kind", *how)
    return np.delete(np.arange(30), [2, 17])


@pytest.mark.parametrize("source", ["gaps.csv", "gaps.parquet"])
@pytest.mark.parametrize("command", ["encode", "reconstruct", "predict"])
def test_rows_that_are_left_have_their_numbers_in_a_table(command, source, run, invoke, with_gaps, tmp_path):
    model = "c.safetensors" if command == "predict" else "ae.safetensors"
    how = ("--missing", "drop")
    whole = run(command, model, source, "-o", "-", *how).splitlines()
    assert whole[0].split(",")[0] == "row"
    assert [int(line.split(",")[0]) for line in whole[1:]] == with_gaps.tolist()
    some = run(command, model, source, "-o", "-", *how, "--rows", "10:20").splitlines()
    assert some == [whole[0], *whole[11:21]]
    result = invoke(command, model, source, "-o", "o.csv", *how)
    assert (tmp_path / "o.csv").read_text().splitlines() == whole
    assert "The column 'row' holds the numbers of these rows, counted from 0." in sentence(result.stderr)
    result = invoke(command, model, source, "-o", "o.npy", *how)
    assert "o.npy holds 28 of the 30 rows. A .csv file would hold their numbers too, in its column 'row'" in sentence(
        result.stderr
    )
    numbers = np.load(tmp_path / "o.npy")
    assert len(numbers) == 28
    if command == "predict":
        assert [line.split(",")[1] for line in whole[1:]] == list(map(str, numbers))
    else:
        found = np.array([line.split(",")[1:] for line in whole[1:]], np.float64)
        np.testing.assert_allclose(found, numbers, rtol=10 ** (1 - DIGITS))


@pytest.mark.usefixtures("with_gaps")
def test_rows_have_no_numbers_where_none_is_missing(run, tmp_path, rng):
    pd.DataFrame(rng.random((5, 3)), columns=list("abc")).to_csv(tmp_path / "whole.csv", index=False)
    for options in (("--missing", "drop"), (), ("--rows", "1:3")):
        assert run("encode", "ae.safetensors", "whole.csv", "-o", "-", *options).startswith("unit_0,")


@pytest.fixture
def flowers(tmp_path):
    """Scikit-learn's flowers, with a column that names them."""
    frame = load_iris(as_frame=True).frame
    frame.insert(0, "name", [f"flower {number}" for number in range(len(frame))])
    frame.to_csv(tmp_path / "flowers.csv", index=False)
    return tmp_path / "flowers.csv"


@pytest.fixture
def species(run, flowers):
    options = ("-e", "classifier", "--target", "target", "--drop", "name", "--max-iter", "60", "--hidden", "5")
    return run("train", flowers, "-o", "species.safetensors", *options) and "species.safetensors"


def test_probabilities_stand_beside_the_names_of_the_rows(run, species, flowers):
    lines = run("predict", species, flowers, "--proba", "--id", "name", "--rows", "48:52", "-o", "-").splitlines()
    assert lines[0] == "name,0,1,2"
    assert [line.split(",")[0] for line in lines[1:]] == [f"flower {number}" for number in range(48, 52)]
    found = np.array([line.split(",")[1:] for line in lines[1:]], np.float64)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    predicted = run("predict", species, flowers, "--rows", "48:52", "-o", "-").splitlines()[1:]
    assert predicted == [str(one) for one in found.argmax(axis=1)]


@pytest.mark.parametrize("command", ["encode", "predict"])
def test_outputs_carry_the_column_that_names_the_rows(command, run, species, flowers, tmp_path):
    run(command, species, flowers, "--id", "name", "-o", "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0].startswith("name,")
    assert [line.split(",")[0] for line in lines[1:]] == [f"flower {number}" for number in range(150)]


def test_names_of_rows_need_a_table_and_a_file_that_can_hold_them(invoke, species, flowers, model, images):
    assert "needs a .csv file" in sentence(invoke("encode", species, flowers, "--id", "name", "-o", "c.npy").stderr)
    assert "is not a table" in sentence(invoke("encode", model, images, "--id", "name", "-o", "c.csv").stderr)
    assert "no column" in sentence(invoke("encode", species, flowers, "--id", "title", "-o", "c.csv").stderr)


def test_only_classifiers_have_probabilities(invoke, run, table):
    run("train", table, "-o", "r.safetensors", "-e", "regressor", "--target", "twice", "--columns", "heat,mass")
    result = invoke("predict", "r.safetensors", table, "--proba", "-o", "-")
    assert result.exit_code == 2
    assert "only a classifier knows probabilities" in result.stderr


def test_numbers_have_as_many_digits_as_wanted(run, model, images):
    cells = run("encode", model, images, "--digits", "3", "-o", "-").splitlines()[1].split(",")
    assert all(len(cell.lstrip("0.").split("e")[0].replace(".", "")) <= 3 for cell in cells)
    expected = rhohat.load(model).transform(rows_of(images))
    exact = run("encode", model, images, "--digits", "17", "-o", "-").splitlines()[1:]
    assert np.array_equal(np.loadtxt(exact, delimiter=","), expected)
