"""`probe` prints what the metrics say of labelled rows."""

import json

import numpy as np
import pandas as pd
import pytest

import rhohat
from rhohat.inspection.metrics import class_latents, sparse_probing
from tests.inspection.reporting.pages import record_of

NAMES = np.array(["ash", "birch", "a tree whose name is longer than all others"])


@pytest.fixture
def labels(tmp_path):
    """Rows of three classes in a file, labels, and a dictionary of the rows."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, 200)
    rows = (draw.normal(size=(200, 6)) + 3 * np.eye(6)[labels]).astype(np.float32)
    solver = rhohat.Adam(batch_size=50, learning_rate=1e-2)
    rhohat.save(rhohat.TopKAutoencoder(12, k=2, max_iter=3, random_state=0, solver=solver).fit(rows), tmp_path / "m")
    np.save(tmp_path / "rows.npy", rows)
    (tmp_path / "labels.txt").write_text("\n".join(NAMES[labels]) + "\n")
    table = pd.DataFrame(rows, columns=list("abcdef"))
    table.assign(tree=NAMES[labels]).to_csv(tmp_path / "table.csv", index=False)
    dictionary = rhohat.TopKAutoencoder(12, k=2, max_iter=3, random_state=0, solver=solver).fit(table)
    rhohat.save(dictionary, tmp_path / "of_table")
    return NAMES[labels]


def test_the_numbers_are_those_of_the_metrics(run, labels):
    found = json.loads(
        run("probe", "m", "rows.npy", "--labels", "labels.txt", "--k", "1, 3", "--strongest", "4", "--json")
    )
    codes = rhohat.load("m").transform(np.load("rows.npy"))
    probing, latents = sparse_probing(codes, labels, (1, 3)), class_latents(codes, labels, 4)
    assert found["k"] == [1, 3]
    assert found["mean_accuracy"] == probing.mean_accuracy.tolist()
    assert [one["accuracy"] for one in found["probes"]] == probing.accuracy.tolist()
    assert [one["units"] for one in found["probes"]] == probing.latents.tolist()
    assert [one["class"] for one in found["strongest"]] == latents.classes.tolist()
    for name, expected in (("units", latents.latents), ("correlation", latents.correlation)):
        assert [one[name] for one in found["strongest"]] == expected.tolist()
    assert [one["density_outside"] for one in found["strongest"]] == latents.density_outside.tolist()


def test_the_table_fits_a_terminal_and_names_each_class(run, labels):
    text = run("probe", "m", "rows.npy", "--labels", "labels.txt")
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("birch") == 1 + 5
    assert "a tree whose name is lo…" in text
    assert "12 latents" not in text
    assert "1 latent  2 latents  5 latents" in text


def test_labels_may_be_a_column_and_the_model_a_network(run, labels):
    found = json.loads(run("probe", "of_table", "table.csv", "--target", "tree", "--json"))
    codes = rhohat.load("of_table").transform(pd.read_csv("table.csv")[list("abcdef")])
    np.testing.assert_allclose(found["mean_accuracy"], sparse_probing(codes, labels).mean_accuracy)
    run(
        "train",
        "rows.npy",
        "-o",
        "network.safetensors",
        "--preprocess",
        "range",
        "--hidden",
        "6",
        "--max-iter",
        "5",
        "--quiet",
    )
    assert "6 units" in run("probe", "network.safetensors", "rows.npy", "--labels", "labels.txt", "--k", "6")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--labels"),
        (("--labels", "labels.txt", "--target", "tree"), "not both"),
        (("--labels", "labels.txt", "--k", "1,x"), "must be positive whole numbers"),
        (("--labels", "labels.txt", "--k", "0"), "must be positive whole numbers"),
        (("--labels", "labels.txt", "--k", "99"), "from 1 to the number of latents, 12"),
    ],
)
def test_what_cannot_be_probed_is_refused(options, said, invoke, labels):
    result = invoke("probe", "m", "rows.npy", *options)
    assert result.exit_code != 0
    assert said in result.output


def test_the_report_has_the_classes(run, invoke, labels, tmp_path):
    run("report", "m", "rows.npy", "--labels", "labels.txt", "-o", "page.html")
    found = record_of((tmp_path / "page.html").read_text(encoding="utf-8"))["classes"]
    assert found["names"] == sorted(NAMES.tolist())
    assert found["counts"] == [np.count_nonzero(labels == name) for name in sorted(NAMES)]
    run("report", "of_table", "table.csv", "--target", "tree", "-o", "other.html")
    other = record_of((tmp_path / "other.html").read_text(encoding="utf-8"))["classes"]
    assert (other["names"], other["counts"]) == (found["names"], found["counts"])
    result = invoke("report", "of_table", "table.csv", "--target", "tree", "--labels", "labels.txt")
    assert "not both" in result.output
