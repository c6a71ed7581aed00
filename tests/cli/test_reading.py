"""Commands read tables, labels and parts of files as they are told, and a model reads its file again as it was."""

import json

import numpy as np
import pandas as pd
import pytest
from skimage.io import imsave
from sklearn.datasets import load_wine

import rhohat
from tests.cli.test_demo import sentence

QUICK = ("--hidden", "4", "--max-iter", "3")


@pytest.fixture
def wine(tmp_path):
    """A table of 13 columns of numbers."""
    frame = load_wine(as_frame=True).data
    frame.to_csv(tmp_path / "wine.csv", index=False)
    frame[frame.columns[::-1]].assign(maker="somebody").to_csv(tmp_path / "turned.csv", index=False)
    frame[frame.columns[::-1]].assign(maker="somebody").to_parquet(tmp_path / "turned.parquet")
    return frame


@pytest.mark.parametrize("name", ["turned.csv", "turned.parquet"])
@pytest.mark.usefixtures("wine")
def test_a_model_finds_its_columns_wherever_they_stand(name, run, tmp_path):
    run("train", "wine.csv", "-o", "m.safetensors", *QUICK)
    run("encode", "m.safetensors", "wine.csv", "-o", "a.npy")
    run("encode", "m.safetensors", name, "-o", "b.npy")
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
    for file in ("wine.csv", name):
        found = json.loads(run("evaluate", "m.safetensors", file, "--json"))
        assert found["explained_variance"] == pytest.approx(found["explained_variance"])
    first, second = (json.loads(run("evaluate", "m.safetensors", file, "--json")) for file in ("wine.csv", name))
    assert first["explained_variance"] == second["explained_variance"]


def test_a_table_that_lacks_a_column_is_refused(run, invoke, wine, tmp_path):
    run("train", "wine.csv", "-o", "m.safetensors", *QUICK)
    wine.drop(columns="hue").to_csv(tmp_path / "less.csv", index=False)
    result = invoke("encode", "m.safetensors", "less.csv", "-o", "a.npy")
    assert result.exit_code == 1
    assert "less.csv lacks columns that the model was fitted to: 'hue'" in sentence(result.stderr)
    wine.rename(columns={"hue": "Hue_"}).to_csv(tmp_path / "less.csv", index=False)
    said = sentence(invoke("encode", "m.safetensors", "less.csv", "-o", "a.npy").stderr)
    assert "Perhaps 'Hue_' is 'hue'; rename it." in said


@pytest.mark.parametrize("options", [(), ("--separator", ";"), ("--separator", ";", "--decimal", ",")])
def test_a_file_without_names_is_read_again_as_it_was(options, run, tmp_path, rng):
    X = rng.random((30, 5)) + 0.5
    separator, decimal = ";" if options else ",", "," if "--decimal" in options else "."
    pd.DataFrame(X).assign(word="w").to_csv(
        tmp_path / "t.csv", header=False, index=False, sep=separator, decimal=decimal
    )
    run("train", "t.csv", "-o", "m.safetensors", "--drop", "4,5", *options, *QUICK)
    run("encode", "m.safetensors", "t.csv", "-o", "a.npy")
    model = rhohat.load(tmp_path / "m.safetensors")
    assert np.allclose(np.load(tmp_path / "a.npy"), model.transform(X[:, :4]), rtol=1e-12)
    pd.DataFrame(X[:, :4]).to_csv(tmp_path / "four.csv", header=False, index=False, sep=separator, decimal=decimal)
    run("encode", "m.safetensors", "four.csv", "-o", "b.npy")
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))


def test_columns_of_an_array_are_taken_again(run, invoke, tmp_path, rng):
    X = rng.random((30, 6))
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "seven.npy", rng.random((30, 7)))
    run("train", "x.npy", "-o", "m.safetensors", "--columns", "5,0,2", *QUICK)
    run("encode", "m.safetensors", "x.npy", "-o", "a.npy")
    model = rhohat.load(tmp_path / "m.safetensors")
    assert np.allclose(np.load(tmp_path / "a.npy"), model.transform(X[:, [5, 0, 2]]), rtol=1e-12)
    result = invoke("encode", "m.safetensors", "seven.npy", "-o", "b.npy")
    assert "has 7 columns, but the model was fitted to rows of 3 columns, taken from a table of 6 columns" in sentence(
        result.stderr
    )


def test_columns_of_one_name_reach_the_model_in_their_order(run, tmp_path, rng):
    X = rng.random((40, 4)).round(3)
    lines = [",".join(map(str, row)) for row in X]
    (tmp_path / "t.csv").write_text("\n".join(["id,x,x,y", *lines]))
    run("train", "t.csv", "-o", "m.safetensors", "--drop", "id", *QUICK)
    run("encode", "m.safetensors", "t.csv", "-o", "a.npy")
    codes = rhohat.load(tmp_path / "m.safetensors").transform(rhohat.open_rows(X[:, 1:]))
    assert np.allclose(np.load(tmp_path / "a.npy"), codes, rtol=1e-12)


@pytest.mark.parametrize("command", ["evaluate", "report"])
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
@pytest.mark.parametrize("option", ["--target", "--labels"])
def test_what_is_predicted_may_be_a_column_or_a_file(command, kind, option, run, table, tmp_path):
    column = {"classifier": "feeling", "regressor": "twice"}[kind]
    other = {"classifier": "twice", "regressor": "feeling"}[kind]
    frame = pd.read_csv(table)
    frame[[column]].to_csv(tmp_path / "y.csv")  # with the numbers of the rows
    if option == "--target":
        which, rows = ("--target", column), table
    else:
        frame.drop(columns=column).to_csv(tmp_path / "x.csv", index=False)
        which, rows = ("--labels", "y.csv"), "x.csv"
    run("train", rows, "-o", "m.safetensors", "-e", kind, *which, "--drop", other, *QUICK)
    if command == "report":
        run("report", "m.safetensors", rows, "-o", "r.html", *which)
        assert {"classifier": "accuracy", "regressor": "R²"}[kind] in (tmp_path / "r.html").read_text()
    else:
        model = rhohat.load(tmp_path / "m.safetensors")
        found = json.loads(run("evaluate", "m.safetensors", rows, *which, "--json"))
        expected = model.score(frame[["heat", "mass", "price"]], frame[column])
        assert found["score"] == pytest.approx(expected, rel=1e-9)
    if kind == "regressor":
        assert rhohat.load(tmp_path / "m.safetensors").steps[-1][1].n_outputs_ == 1


def test_several_columns_may_be_predicted(run, table, tmp_path):
    run("train", table, "-o", "m.safetensors", "-e", "regressor", "--target", "twice,price", "--drop", "1", *QUICK)
    estimator = rhohat.load(tmp_path / "m.safetensors").steps[-1][1]
    assert (estimator.n_outputs_, estimator.n_features_in_) == (2, 2)
    assert "R²" in run("evaluate", "m.safetensors", table, "--target", "twice,price")


def test_missing_values_are_refused_left_out_or_filled_in(run, invoke, tmp_path, rng):
    frame = pd.DataFrame(rng.random((40, 3)) * 5, columns=list("abc")).assign(kind=["x", "y"] * 20)
    frame.loc[3, "a"] = frame.loc[7, "b"] = np.nan
    frame.loc[11, "kind"] = np.nan
    frame.to_csv(tmp_path / "t.csv", index=False)
    train = ("train", "t.csv", "-o", "m.safetensors", "-e", "classifier", "--target", "kind", *QUICK)
    result = invoke(*train)
    assert result.exit_code == 1
    assert "y has missing values: in line 13 of t.csv" in sentence(result.stderr) or "line 5" in sentence(result.stderr)
    assert "pass --missing drop to leave out rows with missing values" in sentence(result.stderr)
    result = invoke(*train, "--missing", "drop")
    assert result.exit_code == 0
    assert "3 of the 40 rows of t.csv have missing values and are left out" in sentence(result.stderr)
    result = invoke("encode", "m.safetensors", "t.csv", "-o", "c.npy", "--missing", "mean")
    assert "the model has not learned the means that replace missing values; train it with" in sentence(result.stderr)
    result = invoke("encode", "m.safetensors", "t.csv", "-o", "c.npy")
    assert (
        "Fill in missing cells, pass --missing drop to leave out rows with missing values, or train a model with"
        " --missing impute, which fills them in and learns from where they were missing."
    ) in sentence(result.stderr)
    whole = frame.dropna()
    assert json.loads(run("evaluate", "m.safetensors", "t.csv", "--target", "kind", "--missing", "drop", "--json"))[
        "score"
    ] == pytest.approx(rhohat.load(tmp_path / "m.safetensors").score(whole[list("abc")], whole["kind"]))
    frame["kind"] = ["x", "y"] * 20
    frame.to_csv(tmp_path / "t.csv", index=False)
    run(*train, "--missing", "mean")
    model = rhohat.load(tmp_path / "m.safetensors")
    assert [type(step).__name__ for _, step in model.steps] == ["MeanImputer", "MinMaxScaler", "FeedforwardClassifier"]
    assert np.allclose(model.steps[0][1].means_, frame[list("abc")].mean())
    filled = frame[list("abc")].fillna(frame[list("abc")].mean())
    run("predict", "m.safetensors", "t.csv", "-o", "p.csv")
    predicted = (tmp_path / "p.csv").read_text().split()[1:]
    assert predicted == model.predict(filled).tolist()


def test_labels_of_rows_that_are_left_out_are_left_out(run, tmp_path, rng):
    frame = pd.DataFrame(rng.random((20, 2)), columns=list("ab"))
    frame.loc[3, "a"] = np.nan
    frame.to_csv(tmp_path / "t.csv", index=False)
    np.save(tmp_path / "y.npy", np.arange(20) % 2)
    run(
        *("train", "t.csv", "-o", "m.safetensors", "-e", "softmax", "--labels", "y.npy", "--missing", "drop"),
        *("--max-iter", "3"),
    )
    assert rhohat.load(tmp_path / "m.safetensors").n_samples_fit_ == 19


def test_successive_rows_are_taken_with_their_labels(run, invoke, images, tmp_path):
    np.save(tmp_path / "y.npy", np.arange(200) % 2)
    train = ("train", images, "-o", "m.safetensors", "-e", "softmax", "--labels", "y.npy", "--max-iter", "3")
    result = invoke(*train)
    assert result.exit_code == 1
    assert "has 200 labels, but there are 60 rows. To use the first 60 labels, pass --rows 0:60" in sentence(
        result.stderr
    )
    run(*train, "--rows", "0:60")
    run(*train, "--rows", "10:40")
    assert rhohat.load(tmp_path / "m.safetensors").steps[-1][1].n_samples_fit_ == 30
    run("encode", "m.safetensors", images, "-o", "c.npy", "--rows", ":7")
    assert len(np.load(tmp_path / "c.npy")) == 7
    for wrong, message in (("60:", "none of which is in the range 60:"), ("first", "must be written as START:STOP")):
        result = invoke("encode", "m.safetensors", images, "-o", "c.npy", "--rows", wrong)
        assert result.exit_code == 2
        assert message in sentence(result.stderr)


def test_rows_of_several_axes_are_said_or_split(run, invoke, tmp_path, rng):
    X = rng.random((5, 10, 64)).astype(np.float32)
    np.save(tmp_path / "activations.npy", X)
    result = invoke("train", "activations.npy", "-o", "m.safetensors", *QUICK)
    assert result.exit_code == 0
    assert "is taken as 640 numbers; if its rows are shorter, pass --row-axes 2 to read 50 rows" in sentence(
        result.stderr
    )
    run("train", "activations.npy", "-o", "m.safetensors", "--row-axes", "2", *QUICK)
    model = rhohat.load(tmp_path / "m.safetensors")
    assert (model.n_features_in_, model.n_samples_fit_) == (64, 50)
    run("encode", "m.safetensors", "activations.npy", "-o", "c.npy")
    assert np.allclose(np.load(tmp_path / "c.npy"), model.transform(X.reshape(50, 64)), rtol=1e-6)


def test_what_was_found_in_a_table_is_said(invoke, tmp_path):
    (tmp_path / "named.csv").write_text("a,b\n" + ".1,.2\n.3,.4\n" * 5)
    (tmp_path / "bare.csv").write_text(".1,.2\n.3,.4\n" * 5)
    (tmp_path / "counted.csv").write_text(",0,1,2\n" + "".join(f"{k},.{k},.5,.7\n" for k in range(9)))
    for name, message in (
        ("named.csv", "The first line of named.csv names its columns."),
        ("bare.csv", "No line of bare.csv names its columns."),
        ("counted.csv", "if it is a row, pass --no-header"),
        ("counted.csv", "first column of counted.csv has no name and numbers or names the rows, so it is left out"),
    ):
        result = invoke("train", name, "-o", "m.safetensors", *QUICK)
        assert result.exit_code == 0, result.output
        assert message in sentence(result.stderr)
    result = invoke("train", "named.csv", "-o", "m.safetensors", "--no-header", *QUICK)
    assert result.exit_code == 1
    assert "in line 1, column 0 holds 'a'" in sentence(result.stderr)


def test_columns_of_text_are_named_together(invoke, tmp_path):
    (tmp_path / "t.csv").write_text("name,city,a\nBob,Rome,1\nAnn,Oslo,2\n")
    result = invoke("train", "t.csv", "-o", "m.safetensors", *QUICK)
    assert (
        "column 'name' holds 'Bob', column 'city' holds 'Rome'. For training, leave these columns of texts out with"
        " --drop name,city."
    ) in sentence(result.stderr)
    supervised = ("train", "t.csv", "-o", "m.safetensors", "-e", "softmax")
    np.save(tmp_path / "y.npy", [0, 1])
    result = invoke(*supervised, "--labels", "y.npy")
    assert "leave these columns of texts out with --drop name,city, or predict one of them with --target." in sentence(
        result.stderr
    )
    result = invoke(*supervised, "--target", "city")
    assert "leave this column of texts out with --drop name." in sentence(result.stderr)
    result = invoke("train", "t.csv", "-o", "m.safetensors", "--drop", "city")
    assert "leave this column of texts out with --drop city,name." in sentence(result.stderr)
    result = invoke("train", "t.csv", "-o", "m.safetensors", "--columns", "city,a")
    assert "leave this column of texts out of --columns." in sentence(result.stderr)


def test_a_column_of_text_that_begins_with_an_empty_cell_is_one(invoke, tmp_path):
    (tmp_path / "t.csv").write_text("a,cabin\n1,\n2,C85\n3,B5\n")
    result = invoke("train", "t.csv", "-o", "m.safetensors", "--missing", "drop", *QUICK)
    assert (
        "in line 3, column 'cabin' holds 'C85'. For training, leave this column of texts out with --drop cabin."
        in sentence(result.stderr)
    )


@pytest.fixture
def in_german(run, tmp_path, rng):
    """A model of a table as a German Excel writes it, and the same numbers in a frame."""
    frame = pd.DataFrame(rng.random((30, 3)).round(4) + 1, columns=["größe", "b", "c"])
    frame.to_csv(tmp_path / "de.csv", sep=";", decimal=",", encoding="cp1252", index=False)
    how = ("--separator", ";", "--decimal", ",", "--encoding", "cp1252")
    run("train", "de.csv", "-o", "m.safetensors", *how, *QUICK)
    run("encode", "m.safetensors", "de.csv", "-o", "expected.npy")
    return frame


HINT = (
    "The table of the fit was read with separator ';', decimal ',' and encoding 'cp1252'. If this table is written"
    " in another way, pass --separator '{}', --decimal '.', --encoding utf-8."
)


@pytest.mark.parametrize("separator", [",", ";", "|"])
def test_a_table_written_otherwise_than_that_of_the_fit_says_how_to_read_it(
    separator, run, invoke, in_german, tmp_path
):
    in_german.to_csv(tmp_path / "t.csv", index=False, sep=separator)
    result = invoke("encode", "m.safetensors", "t.csv", "-o", "a.npy")
    assert result.exit_code == 1
    assert HINT.format(separator) in sentence(result.stderr)
    run(
        *("encode", "m.safetensors", "t.csv", "-o", "a.npy"),
        *("--separator", separator, "--decimal", ".", "--encoding", "utf-8"),
    )
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "expected.npy"))


def test_a_separator_takes_its_sign_from_decimals_that_only_the_model_remembers(run, in_german, tmp_path):
    in_german.to_csv(tmp_path / "t.csv", index=False, encoding="cp1252")
    run("encode", "m.safetensors", "t.csv", "-o", "a.npy", "--separator", ",")
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "expected.npy"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
def test_a_byte_order_mark_counts_more_than_a_remembered_encoding(encoding, run, in_german, tmp_path):
    in_german.to_csv(tmp_path / "t.csv", sep=";", decimal=",", index=False, encoding=encoding)
    run("encode", "m.safetensors", "t.csv", "-o", "a.npy")
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "expected.npy"))


def test_a_table_that_lacks_a_column_gets_no_advice_that_would_not_help(invoke, in_german, tmp_path):
    in_german[["b"]].assign(d=1.5).to_csv(tmp_path / "t.csv", index=False)
    result = invoke("encode", "m.safetensors", "t.csv", "-o", "a.npy")
    assert "lacks columns" in sentence(result.stderr)
    assert "The table of the fit" not in sentence(result.stderr)


def test_labels_of_another_file_are_told_from_those_of_its_rows(invoke, images, tmp_path):
    np.save(tmp_path / "y.npy", np.arange(40) % 2)
    result = invoke("train", images, "-o", "m.safetensors", "-e", "softmax", "--labels", "y.npy", "--rows", "0:30")
    assert result.exit_code == 1
    assert (
        f"y.npy has 40 labels for 60 rows of {images}, of which 30 are used. Are these the labels of another file?"
    ) in sentence(result.stderr)


def test_rows_that_there_are_not_are_said(invoke, images):
    for rows, taken in (("50:100", 10), ("-100:", 60)):
        result = invoke("train", images, "-o", "m.safetensors", "--rows", rows, *QUICK)
        assert f"has 60 rows, so --rows {rows} takes {taken} of them." in sentence(result.stderr)
    result = invoke("train", images, "-o", "m.safetensors", "--rows", "50:60", *QUICK)
    assert "takes" not in result.stderr


@pytest.mark.parametrize(("cell", "options"), [("1e400", ()), ("-inf", ()), ("inf", ("--missing", "drop"))])
def test_infinity_is_found_in_its_cell(cell, options, invoke, tmp_path):
    (tmp_path / "t.csv").write_text(f"a,b\n1,2\n3,{cell}\n5,6\n")
    result = invoke("train", "t.csv", "-o", "m.safetensors", *options, *QUICK)
    assert result.exit_code == 1
    assert f"t.csv contains infinity: in line 3, column 'b' holds '{cell}'. Correct this line" in sentence(
        result.stderr
    )


def test_infinity_in_a_parquet_file_is_found_in_its_column(invoke, tmp_path):
    pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, np.inf]}).to_parquet(tmp_path / "t.parquet")
    result = invoke("train", "t.parquet", "-o", "m.safetensors", *QUICK)
    assert "contains NaN or infinity, first in row 1, column 'b'." in sentence(result.stderr)


def test_pictures_are_to_be_cut_into_patches_first(run, invoke, images, tmp_path):
    run("train", images, "-o", "m.safetensors", *QUICK)
    (tmp_path / "photos").mkdir()
    imsave(tmp_path / "photos" / "Sample 0.PNG", np.zeros((20, 20), np.uint8), check_contrast=False)
    for command in (("encode", "m.safetensors"), ("evaluate", "m.safetensors"), ("train",)):
        output = () if command[0] == "evaluate" else ("-o", "o.safetensors" if command == ("train",) else "o.npy")
        for data in ("photos", "photos/Sample 0.PNG"):
            result = invoke(*command, data, *output)
            assert result.exit_code == 1
            assert "Cut patches out of" in sentence(result.stderr)
            assert "rhohat patches" in sentence(result.stderr)


def test_many_classes_of_few_rows_look_like_a_quantity(invoke, tmp_path, rng):
    frame = pd.DataFrame(rng.random((90, 2)), columns=["a", "b"]).assign(y=np.arange(90) // 2, word="w")
    frame["word"] = [f"w{number}" for number in frame["y"]]
    frame.assign(few=frame["y"] % 9).to_csv(tmp_path / "t.csv", index=False)
    for target, is_said in (("y", True), ("word", False), ("few", False)):
        result = invoke(
            *("train", "t.csv", "-o", "m.safetensors", "-e", "softmax", "--target", target),
            *("--columns", "a,b", "--max-iter", "2"),
        )
        assert result.exit_code == 0
        said = "the target has 45 classes in 90 rows, about 2 rows each; if the targets are values of a quantity, pass"
        assert (said in sentence(result.stderr)) == is_said


@pytest.mark.parametrize("kind", ["number", "word"])
def test_classes_of_one_row_each_are_refused_before_the_training(kind, invoke, tmp_path, rng):
    names = np.arange(90) if kind == "number" else [f"name {number}" for number in range(90)]
    pd.DataFrame({"a": rng.random(90), "y": names}).to_csv(tmp_path / "t.csv", index=False)
    result = invoke("train", "t.csv", "-o", "m.safetensors", "-e", "softmax", "--target", "y")
    assert result.exit_code == 1
    assert "error: the target has 90 classes in 90 rows, about one row each, from which nothing can be learned" in (
        sentence(result.stderr)
    )


def test_a_target_for_activations_without_a_weight_is_remarked_on(invoke, tmp_path, rng):
    pd.DataFrame(rng.random((60, 3)), columns=list("abc")).to_csv(tmp_path / "t.csv", index=False)
    command = "train", "t.csv", "-o", "m.safetensors", "-e", "detector", "--max-iter", "2", "--rho", "0.1"
    said = "--rho has no effect while the weight of its penalty is 0; give it one with --beta"
    assert said in sentence(invoke(*command).stderr)
    assert said not in sentence(invoke(*command, "--beta", "3").stderr)


def test_numbers_with_decimals_are_no_classes(invoke, tmp_path, rng):
    pd.DataFrame({"a": rng.random(90), "price": np.arange(90) + 0.5}).to_csv(tmp_path / "t.csv", index=False)
    result = invoke("train", "t.csv", "-o", "m.safetensors", "-e", "softmax", "--target", "price")
    assert result.exit_code == 1
    assert "error: the target has numbers with decimals, such as 0.5, which are no classes; pass -e regressor" in (
        sentence(result.stderr)
    )


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--activation", "must be one of 'identity', 'leaky_relu', 'maxout', 'parametric_relu', 'relu', 'sigmoid'"),
        ("--solver", "must be one of 'adam', 'conjugate_gradient', 'gradient_descent', 'lbfgs', 'newton_cg' and 'sgd'"),
    ],
)
def test_names_that_there_are_not_are_answered_with_those_that_there_are(option, message, invoke, images):
    result = invoke("train", images, "-o", "m.safetensors", option, "foo")
    assert result.exit_code == 2
    assert message in sentence(result.stderr)
    assert "rhohat." not in sentence(result.stderr)


def test_a_model_of_one_of_two_columns_of_a_name_reads_its_own_file_again(run, tmp_path, rng):
    X = rng.random((30, 4)).round(3)
    (tmp_path / "t.csv").write_text("\n".join(["a,b,b,y", *(",".join(map(str, row)) for row in X)]))
    run("train", "t.csv", "-o", "m.safetensors", "--drop", "1", *QUICK)
    run("encode", "m.safetensors", "t.csv", "-o", "a.npy")
    model = rhohat.load(tmp_path / "m.safetensors")
    frame = pd.DataFrame(X[:, [0, 2, 3]], columns=["a", "b", "y"])
    assert np.allclose(np.load(tmp_path / "a.npy"), model.transform(frame), rtol=1e-12)


def test_rows_that_are_left_out_of_what_is_written_are_said(run, invoke, tmp_path, rng):
    X = rng.random((30, 3)).round(3)
    lines = [",".join(map(str, row)) for row in X]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,c", *lines]))
    (tmp_path / "gaps.csv").write_text("\n".join(["a,b,c", *lines, ",1,2"]))
    run("train", "t.csv", "-o", "m.safetensors", *QUICK)
    result = invoke("encode", "m.safetensors", "gaps.csv", "-o", "a.npy", "--missing", "drop")
    assert result.exit_code == 0
    assert "1 of the 31 rows of gaps.csv has missing values and is left out" in sentence(result.stderr)
    assert len(np.load(tmp_path / "a.npy")) == 30


def test_a_table_without_names_is_read_in_its_order_with_a_word(run, invoke, tmp_path, rng):
    X = rng.random((30, 3)).round(3)
    lines = [",".join(map(str, row)) for row in X]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,c", *lines]))
    (tmp_path / "bare.csv").write_text("\n".join(lines))
    run("train", "t.csv", "-o", "m.safetensors", *QUICK)
    result = invoke("encode", "m.safetensors", "bare.csv", "-o", "a.npy")
    assert "No line of bare.csv names its columns, so the columns are identified by their order" in sentence(
        result.stderr
    )


def test_labels_along_another_axis_are_told_from_too_many(invoke, tmp_path, rng):
    np.save(tmp_path / "x.npy", rng.random((7, 30)))
    np.save(tmp_path / "y.npy", np.arange(30) % 2)
    result = invoke("train", "x.npy", "-o", "m.safetensors", "-e", "classifier", "--labels", "y.npy", *QUICK)
    assert "Another axis of x.npy has this length, but the first one must count rows" in sentence(result.stderr)


def test_a_classifier_asks_for_one_label_for_each_row(invoke, tmp_path, rng):
    np.save(tmp_path / "x.npy", rng.random((30, 3)))
    (tmp_path / "y.csv").write_text("id,label\n" + "\n".join(f"{i},{i % 2}" for i in range(30)))
    result = invoke("train", "x.npy", "-o", "m.safetensors", "-e", "classifier", "--labels", "y.csv", *QUICK)
    assert result.exit_code == 1
    assert "a classifier learns one label for each row; got 2 labels for each row. Name the column" in sentence(
        result.stderr
    )
