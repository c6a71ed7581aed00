"""Unusual rows on the command line: the scores of Python, the columns that explain them, and tables that fit."""

import csv

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine
from sklearn.pipeline import make_pipeline

import rhohat
from tests.cli.test_demo import sentence

TABLE = load_wine(as_frame=True).data
NAMES = ["score", "prediction", "column_1", "share_1", "column_2", "share_2", "column_3", "share_3"]


@pytest.fixture
def wine(tmp_path):
    """A table of wines, of which row 100 has eight times as much magnesium as usual."""
    table = TABLE.copy()
    table.loc[100, "magnesium"] = 8 * TABLE["magnesium"].mean()
    table.to_csv(tmp_path / "wine.csv", index=False)
    return "wine.csv"


@pytest.fixture
def detector(run, wine):
    run("train", "-e", "detector", wine, "-o", "detector.safetensors", "--set", "contamination=0.05", "--quiet")
    return "detector.safetensors"


def test_scores_predictions_and_columns_are_those_of_python(run, detector, wine, tmp_path):
    assert "wrote scores.csv: 178 rows × 8 columns\n" in run("score", detector, wine, "-o", "scores.csv")
    found, table = pd.read_csv(tmp_path / "scores.csv"), pd.read_csv(tmp_path / wine)
    assert list(found.columns) == NAMES
    loaded = rhohat.load(tmp_path / detector)
    assert np.allclose(found["score"], loaded.score_samples(table), rtol=1e-5)
    assert found["prediction"].tolist() == loaded.predict(table).tolist()
    contributions = loaded.explain(table)
    assert found["column_1"].tolist() == contributions.idxmax(axis=1).tolist()
    shares = contributions.max(axis=1) / contributions.sum(axis=1)
    assert np.allclose(found["share_1"], shares, atol=1e-3)
    assert found["score"].idxmin() == 100
    assert found.loc[100, "column_1"] == "magnesium"


def test_a_dash_prints_the_file(run, detector, wine, tmp_path):
    run("score", detector, wine, "-o", "scores.csv")
    assert run("score", detector, wine, "-o", "-") == (tmp_path / "scores.csv").read_text()


def test_the_worst_rows_are_printed_as_a_table_that_fits_a_terminal(invoke, detector, wine):
    result = invoke("score", detector, wine, "--top", "5")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["row", "score", "prediction", "columns", "that", "contribute", "most"]
    assert len(lines) == 6
    assert max(map(len, lines)) <= 80
    assert lines[1].split()[0] == "100"
    assert lines[1].split()[2:4] == ["-1", "magnesium=797.9"]
    assert "9 of 178 rows are outliers" in result.stderr


@pytest.fixture
def orders(tmp_path):
    """A table of texts, numbers and gaps; in row 40 somebody in the north pays what is paid in the south."""
    south = np.arange(200) % 2
    table = pd.DataFrame({"region": np.where(south, "south", "north"), "sum": 10.0 + 50 * south + np.arange(200) % 7})
    table["weight"] = table["sum"] / 3
    table.loc[40, ["sum", "weight"]] = [63.0, 21.0]
    table.loc[20::50, "weight"] = np.nan
    table.to_csv(tmp_path / "orders.csv", index=False)
    return "orders.csv"


def test_columns_of_a_table_are_its_own_with_their_values(run, orders, tmp_path):
    how = ("--one-hot", "--missing", "impute", "--set", "contamination=0.05")
    told = run("train", "-e", "detector", orders, "-o", "d.safetensors", *how)
    assert ", outliers " in told
    assert told.splitlines()[-1] == "next: rhohat score d.safetensors orders.csv"
    run("score", "d.safetensors", orders, "-o", "scores.csv")
    found, table = pd.read_csv(tmp_path / "scores.csv"), pd.read_csv(tmp_path / orders)
    model = rhohat.load(tmp_path / "d.safetensors")
    explained = rhohat.explain(model, table)
    assert list(explained.columns) == ["region", "sum", "weight"]
    assert found["column_1"].tolist() == explained.idxmax(axis=1).tolist()
    printed = run("score", "d.safetensors", orders, "--top", "10")
    row = next(line for line in printed.splitlines() if line.split()[0] == "40")
    assert "region=north" in row
    assert "sum=63 " in row
    assert "weight missing" in printed
    mixed = table[["weight", "sum", "region"]].assign(further=1)
    mixed.to_csv(tmp_path / "mixed.csv", index=False)
    assert run("score", "d.safetensors", "mixed.csv", "--top", "10") == printed
    run("report", "d.safetensors", orders, "-o", "page.html", "--row-names", "region")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert '<th scope="row">region</th><td class="text">north</td>' in page.replace("<wbr>", "")
    assert "<td>missing</td>" in page
    assert "Row 40, north" in page


@pytest.mark.parametrize("way", ["from Python to the command line", "from the command line to Python"])
def test_a_pipeline_with_a_table_goes_from_python_to_the_command_line_and_back(way, run, orders, tmp_path):
    table = pd.read_csv(tmp_path / orders)
    if way.startswith("from Python"):
        model = make_pipeline(rhohat.TablePreprocessor(), rhohat.AutoencoderDetector(random_state=0)).fit(table)
        rhohat.save(model, tmp_path / "d.safetensors")
    else:
        run("train", "-e", "detector", orders, "-o", "d.safetensors", "--one-hot", "--missing", "impute")
        model = rhohat.load(tmp_path / "d.safetensors")
    run("score", "d.safetensors", orders, "-o", "scores.csv")
    found = pd.read_csv(tmp_path / "scores.csv")
    assert np.allclose(found["score"], model.score_samples(table), rtol=1e-5)
    assert found["prediction"].tolist() == model.predict(table).tolist()
    assert found["column_1"].tolist() == rhohat.explain(model, table).idxmax(axis=1).tolist()


def test_rows_are_named_by_a_column_in_all_outputs(run, detector, wine, tmp_path):
    table = pd.read_csv(tmp_path / wine).assign(bottle=[f"bottle {number}" for number in range(178)])
    table.to_csv(tmp_path / "named.csv", index=False)
    for option in ("--id", "--row-names"):
        assert (
            run("score", detector, "named.csv", "--top", "1", option, "bottle")
            .splitlines()[1]
            .startswith("bottle 100 ")
        )
        run("report", detector, "named.csv", "-o", "page.html", option, "bottle")
        assert "Row 100, bottle 100" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_numbers_are_printed_as_the_report_shows_them_and_columns_without_a_part_not_at_all(
    run, detector, wine, tmp_path
):
    table = TABLE.copy()
    table.loc[3, "proline"] = 2.5e6
    table.to_csv(tmp_path / "far.csv", index=False)
    line = run("score", detector, "far.csv", "--top", "1").splitlines()[1]
    number, score, prediction, reasons = line.split(maxsplit=3)
    assert (number, prediction, reasons) == ("3", "-1", "proline=2,500,000 100%")
    assert float(score.replace(",", "")) < -1000
    assert "e+" not in line


def test_long_names_end_in_an_ellipsis(run, tmp_path):
    table = TABLE.rename(columns=lambda name: 10 * name)
    table.to_csv(tmp_path / "long.csv", index=False)
    run("train", "-e", "detector", "long.csv", "-o", "long.safetensors")
    lines = run("score", "long.safetensors", "long.csv").splitlines()
    assert max(map(len, lines)) == 80
    assert lines[1].endswith("…")


def test_rows_keep_their_numbers(run, detector, wine, tmp_path):
    assert run("score", detector, wine, "--rows", "90:110", "--top", "1").splitlines()[1].split()[0] == "100"
    table = pd.read_csv(tmp_path / wine)
    table.loc[3, "ash"] = np.nan
    table.to_csv(tmp_path / "holes.csv", index=False)
    run("score", detector, "holes.csv", "-o", "scores.csv", "--missing", "drop")
    found = pd.read_csv(tmp_path / "scores.csv")
    assert list(found.columns) == ["row", *NAMES]
    assert found["row"].tolist() == [*range(3), *range(4, 178)]
    assert run("score", detector, "holes.csv", "--missing", "drop", "--top", "1").splitlines()[1].split()[0] == "100"


def test_missing_values_are_filled_in_where_the_model_has_learned_to(run, wine, tmp_path):
    table = pd.read_csv(tmp_path / wine).mask(np.random.default_rng(0).random((178, 13)) < 0.02)
    table.to_csv(tmp_path / "holes.csv", index=False)
    run("train", "-e", "detector", "holes.csv", "-o", "model.safetensors", "--missing", "mean")
    run("score", "model.safetensors", "holes.csv", "--missing", "mean", "-o", "scores.csv")
    found = pd.read_csv(tmp_path / "scores.csv")
    assert np.allclose(found["score"], rhohat.load(tmp_path / "model.safetensors").score_samples(table), rtol=1e-5)
    assert set(found["column_1"]) <= set(TABLE.columns)


def test_columns_without_names_have_numbers(run, tmp_path):
    np.save(tmp_path / "rows.npy", TABLE.to_numpy()[:, :2])
    run("train", "-e", "detector", "rows.npy", "-o", "model.safetensors")
    (names, first, *_) = csv.reader(run("score", "model.safetensors", "rows.npy", "-o", "-").splitlines())
    assert names == NAMES[:6]
    assert {first[2], first[4]} == {"column 0", "column 1"}


def test_of_another_autoencoder_it_is_the_error_of_the_reconstruction(run, wine, tmp_path):
    run("train", wine, "-o", "sparse.safetensors", "--hidden", "5", "--max-iter", "50")
    run("score", "sparse.safetensors", wine, "-o", "errors.csv")
    found, table = pd.read_csv(tmp_path / "errors.csv"), pd.read_csv(tmp_path / wine)
    model = rhohat.load(tmp_path / "sparse.safetensors")
    scaled = model[0].transform(table)
    assert list(found.columns) == ["error"]
    assert np.allclose(found["error"], ((model[1].reconstruct(scaled) - scaled) ** 2).mean(axis=1), rtol=1e-5)
    lines = run("score", "sparse.safetensors", wine, "--top", "2").splitlines()
    assert [line.split()[0] for line in lines] == ["row", "100", str(found["error"].nlargest(2).index[1])]


def test_parameters_go_to_the_detector_or_to_its_autoencoder(run, wine, tmp_path):
    run(
        *("train", "-e", "detector", wine, "-o", "model.safetensors", "--hidden", "4", "--max-iter", "7"),
        *("--set", "contamination=0.2", "--set", "autoencoder__tol=0.1", "--seed", "5"),
    )
    detector = rhohat.load(tmp_path / "model.safetensors")
    assert (detector.contamination, detector.random_state) == (0.2, 5)
    assert detector.autoencoder_.hidden_layer_sizes == (4,)
    assert (detector.autoencoder_.max_iter, detector.autoencoder_.tol) == (7, 0.1)
    run("train", "-e", "detector", wine, "-o", "model.safetensors", "--set", "autoencoder=TopKAutoencoder(16, 3)")
    assert type(rhohat.load(tmp_path / "model.safetensors").autoencoder_) is rhohat.TopKAutoencoder


def test_what_cannot_be_is_refused_with_the_remedy(invoke, detector, wine, run, tmp_path):
    refused = invoke("train", "-e", "detector", wine, "-o", "model.safetensors", "--set", "share=0.2")
    assert refused.exit_code == 2
    assert "for --set share: neither detector nor its autoencoder, a DeepAutoencoder, has a parameter" in sentence(
        refused.output
    )
    refused = invoke("predict", detector, wine, "-o", "-")
    assert "AutoencoderDetector does not predict targets; use rhohat score instead." in refused.output
    assert "must end in .csv" in invoke("score", detector, wine, "-o", "scores.npy").output
    table = pd.read_csv(tmp_path / wine).assign(kind=np.where(TABLE["ash"] > 2.3, "a", "b"))
    table.to_csv(tmp_path / "kinds.csv", index=False)
    run("train", "-e", "softmax", "kinds.csv", "-o", "softmax.safetensors", "--target", "kind", "--max-iter", "5")
    refused = invoke("score", "softmax.safetensors", wine)
    assert refused.exit_code == 1
    assert "SoftmaxRegression does not reconstruct rows" in refused.output


def test_the_other_commands_look_at_the_autoencoder_of_a_detector(run, detector, wine):
    assert "AutoencoderDetector(" in run("info", detector)
    assert "explained variance" in run("evaluate", detector, wine)
    assert run("encode", detector, wine, "-o", "-").startswith("unit_0,")
    made = run("reconstruct", detector, wine, "-o", "-").splitlines()
    assert made[0].split(",") == list(TABLE.columns)
    assert abs(float(made[1].split(",")[-1]) - TABLE["proline"][0]) < 400  # in the units of the table
