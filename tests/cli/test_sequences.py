"""Networks of sequences on the command line: from a file of sequences to predictions, figures and a page."""

import re

import numpy as np
import pytest

import rhohat
from rhohat.cli.files import DIGITS
from tests.cli.test_demo import sentence
from tests.estimators.sequences import LABELS, LENGTHS, SEQUENCES, STEP_LABELS, STEP_NUMBERS, padded

QUICK = ("--row-axes", "1", "--max-iter", "4", "--seed", "0", "--quiet")


@pytest.fixture
def files(tmp_path):
    """Sequences in a file, with labels of each, and labels and numbers of their steps."""
    steps = np.full((40, 7), "", dtype="<U4")
    for row, labels in zip(steps, STEP_LABELS, strict=True):
        row[: len(labels)] = labels
    for name, array in (
        ("rows", padded()),
        ("labels", LABELS),
        ("steps", steps),
        ("numbers", padded(sequences=STEP_NUMBERS)),
        ("counts", padded(5, [(one == "up").astype(int) for one in STEP_LABELS]).astype(int)),
    ):
        np.save(tmp_path / f"{name}.npy", array)
    return tmp_path


def in_one_space(table):
    """A printed table, in which a name and its value are one space apart."""
    return re.sub(" {2,}", " ", table)


def test_a_classifier_of_sequences(run, files):
    run("train", "rows.npy", *QUICK, "-e", "recurrent-classifier", "--labels", "labels.npy", "-o", "m.safetensors",
        "--set", "layers=[LSTM(8)]")  # fmt: skip
    model = rhohat.load(files / "m.safetensors")
    assert isinstance(model, rhohat.RecurrentClassifier)  # and no pipeline: sequences are not scaled
    expected = rhohat.RecurrentClassifier(layers=[rhohat.LSTM(8)], max_iter=4, random_state=0)
    with pytest.warns(UserWarning, match="iterations were done"):
        expected.fit(SEQUENCES, LABELS)
    np.testing.assert_array_equal(model.theta_, expected.theta_)
    assert "RecurrentClassifier(layers=[LSTM(n_units=8" in run("info", "m.safetensors")
    assert run("predict", "m.safetensors", "rows.npy", "-o", "p.npy") == "wrote p.npy: 40 rows × 1 column\n"
    np.testing.assert_array_equal(np.load(files / "p.npy"), expected.predict(SEQUENCES))
    run("encode", "m.safetensors", "rows.npy", "-o", "codes.npy")
    assert np.load(files / "codes.npy").shape == (40, 8)
    found = run("evaluate", "m.safetensors", "rows.npy", "--labels", "labels.npy")
    assert f"accuracy {expected.score(SEQUENCES, LABELS):.6g}" in in_one_space(found)
    run("report", "m.safetensors", "rows.npy", "-o", "page.html")
    assert "Activations over time" in (files / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("labels", ["steps.npy", "counts.npy"])
def test_labels_of_steps(run, files, labels):
    run("train", "rows.npy", *QUICK, "-e", "recurrent-classifier", "--labels", labels, "-o", "m.safetensors",
        "--set", "per_step=True", "--set", "layers=[GRU(4, bidirectional=True)]")  # fmt: skip
    model = rhohat.load(files / "m.safetensors")
    assert len(model.classes_) == 2
    predicted = model.predict(SEQUENCES)
    run("predict", "m.safetensors", "rows.npy", "-o", "p.csv")
    lines = (files / "p.csv").read_text().splitlines()
    assert lines[0] == "step_0,step_1,step_2,step_3,step_4,step_5,step_6"
    assert lines[1] == ",".join([*map(str, predicted[0]), "", "", "", ""])
    run("predict", "m.safetensors", "rows.npy", "-o", "p.npy")
    for row, labels_of_row in zip(np.load(files / "p.npy"), predicted, strict=True):
        np.testing.assert_array_equal(row[: len(labels_of_row)], labels_of_row)
    found = run("evaluate", "m.safetensors", "rows.npy", "--labels", labels)
    assert f"accuracy {model.score(SEQUENCES, np.load(files / labels)):.6g}" in in_one_space(found)


def test_numbers_of_steps(run, files):
    run("train", "rows.npy", *QUICK, "-e", "recurrent-regressor", "--labels", "numbers.npy", "-o", "m.safetensors",
        "--set", "per_step=True", "--set", "layers=[GRU(4)]")  # fmt: skip
    model = rhohat.load(files / "m.safetensors")
    expected = model.predict(SEQUENCES)
    run("predict", "m.safetensors", "rows.npy", "-o", "p.npy")
    np.testing.assert_array_equal(np.load(files / "p.npy"), expected)
    run("predict", "m.safetensors", "rows.npy", "-o", "p.csv")
    lines = (files / "p.csv").read_text().splitlines()
    assert lines[0].startswith("step_0_prediction_0,step_0_prediction_1,step_1_prediction_0,")
    np.testing.assert_allclose(np.loadtxt(lines[1:], delimiter=","), expected.reshape(40, 14), rtol=10 ** (1 - DIGITS))
    found = run("evaluate", "m.safetensors", "rows.npy", "--labels", "numbers.npy")
    assert f"R² {model.score(SEQUENCES, STEP_NUMBERS):.6g}" in in_one_space(found)


@pytest.mark.parametrize("layers", ["[LSTM(5), LSTM(3)]", "[Recurrent(3, return_sequences=True)]"])
def test_an_autoencoder_of_sequences(run, files, layers):
    run("train", "rows.npy", *QUICK, "-e", "recurrent-autoencoder", "-o", "m.safetensors", "--set", f"layers={layers}")
    model = rhohat.load(files / "m.safetensors")
    run("encode", "m.safetensors", "rows.npy", "-o", "codes.npy")
    np.testing.assert_array_equal(np.load(files / "codes.npy"), model.transform(SEQUENCES))
    run("reconstruct", "m.safetensors", "rows.npy", "-o", "made.npy")
    np.testing.assert_array_equal(np.load(files / "made.npy"), model.reconstruct(SEQUENCES))
    missing = np.repeat(np.arange(7) >= LENGTHS[:, None], 2, axis=1)
    np.testing.assert_array_equal(np.isnan(np.load(files / "made.npy")), missing)
    assert f"explained variance {model.score(SEQUENCES):.6g}" in in_one_space(
        run("evaluate", "m.safetensors", "rows.npy")
    )


def test_what_is_no_sequence_is_refused_in_a_sentence(invoke, files):
    bad = padded(0.0)
    bad[3, 2] = np.nan
    np.save(files / "bad.npy", bad)
    result = invoke("train", "bad.npy", *QUICK, "-e", "recurrent-autoencoder", "-o", "m.safetensors")
    assert result.exit_code != 0
    assert "sequence 3 of bad.npy has missing numbers before its end" in sentence(result.stderr)
    result = invoke(
        "train", "rows.npy", *QUICK, "-e", "recurrent-classifier", "--labels", "counts.npy", "-o", "m.safetensors"
    )
    assert "a classifier learns one label for each row; got 7 labels" in sentence(result.stderr)
    result = invoke("train", "rows.npy", *QUICK, "-e", "classifier", "--labels", "labels.npy", "-o", "m.safetensors")
    assert "rows.npy contains NaN or infinity, first in row 0, column 6" in sentence(result.stderr)
