"""`evaluate`, `report`, `plot` and `info` print what the Python API says, and write pages and pictures."""

import json
import os
import re
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from skimage.io import imread
from sklearn.pipeline import make_pipeline

import rhohat
from tests.inspection.reporting.pages import record_of


@pytest.fixture
def model(run, images, tmp_path):
    run("train", images, "-o", "model.safetensors", "--hidden", "4", "--max-iter", "5", "--quiet")
    return tmp_path / "model.safetensors"


def test_figures_are_those_of_evaluate(run, model, images):
    found = json.loads(run("evaluate", model, images, "--json", "--threshold", "0.3"))
    expected = rhohat.evaluate(rhohat.load(model), np.load(images).reshape(60, -1), threshold=0.3).to_dict()
    assert found.keys() == expected.keys()
    assert found["explained_variance"] == pytest.approx(expected["explained_variance"], rel=1e-9)
    assert found["terms"].keys() == {"squared_error", "weight_decay", "kl_sparsity"}
    assert found["cost"] == pytest.approx(sum(found["terms"].values()))
    assert found["l0"] == expected["l0"]
    assert "explained variance" in run("evaluate", model, images)


def test_the_report_is_one_page_with_the_pictures_of_the_images(run, model, images, tmp_path):
    assert (
        run("report", model, images, "-o", "page.html", "--title", "<Mine>")
        == "wrote page.html: open it in a browser\n"
    )
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "&lt;Mine&gt;" in page
    assert "images of 4 × 5 pixels" in page
    run("report", model, images, "-o", "bars.html", "--tabular")
    assert "images of 4 × 5 pixels" not in (tmp_path / "bars.html").read_text(encoding="utf-8")


def test_the_report_names_rows_by_a_column_of_a_table(run, invoke, tmp_path):
    numbers = np.random.default_rng(0).random((60, 4))
    lines = [",".join(["id", *"abcd"]), *(f"{k:03},{','.join(map(str, row))}" for k, row in enumerate(numbers))]
    (tmp_path / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    autoencoder = rhohat.SparseAutoencoder(n_components=2, sparsity=0.2, max_iter=1000, tol=1e-2, random_state=0)
    rhohat.save(autoencoder.fit(pd.DataFrame(numbers, columns=list("abcd"))), tmp_path / "model.safetensors")
    report = ("report", "model.safetensors", "table.csv", "-o", "page.html", "--row-names")
    for more in ((), ("--rows", "20:50")):
        run(*report, "id", *more)
        rows = record_of((tmp_path / "page.html").read_text(encoding="utf-8"))["rows"]
        assert rows["labels"] == [f"{number:03}" for number in rows["numbers"]]
        assert len(rows["numbers"]) > 5
    refused = invoke(*report, "name")
    assert refused.exit_code == 1
    assert "table.csv has no column named 'name'; its columns are 'id', 'a', 'b', 'c', 'd'." in refused.stderr
    refused = invoke(*report, "id", "--row-labels", "names.txt")
    assert refused.exit_code == 2
    assert "cannot be combined with --row-labels" in refused.stderr


@pytest.mark.parametrize("what", ["filters", "loss", "reconstructions"])
def test_pictures_are_drawn(what, run, model, images, tmp_path):
    run("plot", model, images, "-o", "picture.png", "--what", what)
    assert imread(tmp_path / "picture.png")[..., :3].std() > 5
    run("plot", model, images, "-o", "picture.svg", "--what", what)
    assert (tmp_path / "picture.svg").read_text().count("<svg") == 1


def test_reconstructions_go_from_strong_contrasts_to_faint_ones(run, model, images, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "rhohat.cli.looking.plot_reconstructions", lambda some, made, shape, **options: drawn.append(some)
    )
    run("plot", model, images, "-o", "picture.png", "--what", "reconstructions")
    contrasts = drawn[0].std(axis=1)
    everything = rhohat.load(model)[:-1].transform(np.load(images).reshape(60, -1)).std(axis=1)
    assert len(contrasts) == 14
    assert (np.diff(contrasts) < 0).all()
    np.testing.assert_allclose(contrasts[[0, -1]], [everything.max(), everything.min()])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_filters_and_feature_maps_of_convolutions_are_drawn(run, invoke, model, images, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("matplotlib.axes.Axes.imshow", lambda ax, image, **options: drawn.append(np.asarray(image)))
    X = np.random.default_rng(0).random((30, 8, 8))
    np.save(tmp_path / "pictures.npy", X)
    layers = [rhohat.Convolution(6, 3), rhohat.MaxPooling(2)]
    fitted = rhohat.ConvolutionalAutoencoder(layers=layers, max_iter=2, random_state=0).fit(X)
    rhohat.save(fitted, tmp_path / "maps.safetensors")
    run("plot", "maps.safetensors", "-o", "p.png")
    run("plot", "maps.safetensors", "pictures.npy", "-o", "p.png", "--what", "feature-maps")
    expected = [rhohat.plot_filters(fitted), rhohat.plot_feature_maps(fitted, X)]
    assert len(expected) == 2
    np.testing.assert_array_equal(drawn[0], drawn[2])
    np.testing.assert_array_equal(drawn[1], drawn[3])
    assert drawn[0].shape == (2 * 4 + 1, 3 * 4 + 1)
    refused = invoke("plot", "maps.safetensors", "-o", "p.png", "--image-shape", "3x3")
    assert refused.exit_code == 2
    assert "the filters of a convolution have their own shape" in refused.output
    refused = invoke("plot", "maps.safetensors", "-o", "p.png", "--what", "feature-maps")
    assert "feature maps need rows: rhohat plot MODEL DATA --what feature-maps" in refused.output
    refused = invoke("plot", model, images, "-o", "p.png", "--what", "feature-maps")
    assert "must be a convolution of images" in refused.output


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_classes_of_convolved_features_are_predicted_and_described(run, rng, tmp_path):
    X, y = rng.random((60, 8, 8)), np.arange(60) % 3
    np.save(tmp_path / "pictures.npy", X)
    np.save(tmp_path / "classes.npy", y)
    autoencoder = rhohat.SparseAutoencoder(n_components=5, max_iter=3, random_state=0).fit(rng.random((50, 16)))
    fitted = make_pipeline(
        rhohat.ConvolvedFeatures(autoencoder, regions=2), rhohat.SoftmaxRegression(max_iter=5, random_state=0)
    ).fit(X, y)
    rhohat.save(fitted, tmp_path / "convolved.safetensors")
    lines = run("predict", "convolved.safetensors", "pictures.npy", "-o", "-").split()
    assert lines == ["prediction", *map(str, fitted.predict(X))]
    found = json.loads(run("evaluate", "convolved.safetensors", "pictures.npy", "--labels", "classes.npy", "--json"))
    assert found["score"] == fitted.score(X, y)
    described = json.loads(run("info", "convolved.safetensors", "--json"))
    assert described["steps"][0]["kind"] == "ConvolvedFeatures"
    assert described["steps"][0]["parameters"]["regions"] == "2"


@pytest.mark.parametrize("what", ["filters", "reconstructions"])
@pytest.mark.parametrize("preprocess", ["auto", "none", "whiten"])
def test_colours_that_come_plane_by_plane_look_like_those_that_come_pixel_by_pixel(
    what, preprocess, run, rng, tmp_path, monkeypatch
):
    """The model is of planes; it is drawn by its own rows, by flat ones, and from a command line that says so."""
    drawn = []
    monkeypatch.setattr("matplotlib.axes.Axes.imshow", lambda ax, image, **options: drawn.append(np.asarray(image)))
    planes = rng.random((60, 3, 4, 6))
    np.save(tmp_path / "planes.npy", planes)
    np.save(tmp_path / "flat.npy", planes.reshape(60, -1))
    for rows in ("planes", "flat"):
        run(
            *("train", f"{rows}.npy", "-o", f"{rows}.safetensors", "--hidden", "4", "--max-iter", "5", "--quiet"),
            *("--preprocess", preprocess),
        )
    run("plot", "planes.safetensors", "planes.npy", "-o", "p.png", "--what", what)
    run("plot", "planes.safetensors", "flat.npy", "-o", "p.png", "--what", what)
    run("plot", "flat.safetensors", "flat.npy", "-o", "p.png", "--what", what, "--image-shape", "3x4x6")
    model = rhohat.load(tmp_path / "planes.safetensors")
    estimator = model[-1] if hasattr(model, "steps") else model
    rows = estimator.maximal_inputs() if what == "filters" else None
    expected = drawn[0]
    assert expected.shape[2] == 3
    for picture in drawn[1:]:
        np.testing.assert_array_equal(picture, expected)
    if rows is not None:
        first = 0.5 + 0.5 * rows[0] / np.abs(rows[0]).max()
        np.testing.assert_allclose(expected[1:5, 1:7], first.reshape(3, 4, 6).transpose(1, 2, 0))


@pytest.mark.parametrize("n_columns", [4, 9, 16, 25, 48])
def test_a_table_of_named_columns_is_no_picture_unless_it_is_said_to_be(n_columns, run, invoke, rng, tmp_path):
    header = ",".join(f"c{number}" for number in range(n_columns))
    np.savetxt(tmp_path / "table.csv", rng.random((40, n_columns)), delimiter=",", header=header, comments="")
    run("train", "table.csv", "-o", "m.safetensors", "--hidden", "2", "--max-iter", "3", "--quiet")
    refused = invoke("plot", "m.safetensors", "table.csv", "-o", "p.png", "--what", "reconstructions")
    assert refused.exit_code == 1
    assert f"a row has {n_columns} numbers, and it is not known whether they form a picture" in refused.stderr
    assert not (tmp_path / "p.png").exists()
    said = run("plot", "m.safetensors", "-o", "p.png")
    assert said == "wrote p.png: the strongest columns of 2 units\n"
    for what in ("filters", "reconstructions"):
        said = run(
            "plot", "m.safetensors", "table.csv", "-o", "p.png", "--what", what, "--image-shape", f"1x{n_columns}"
        )
        assert said == "wrote p.png\n"


def test_units_of_a_table_are_drawn_as_bars_over_its_columns(run, table, tmp_path):
    train = ("train", table, "--drop", "feeling", "--max-iter", "2", "--quiet", "-o", "m.safetensors")
    run(*train, "--hidden", "3")
    assert run("plot", "m.safetensors", "-o", "p.svg") == "wrote p.svg: the strongest columns of 3 units\n"
    drawn = (tmp_path / "p.svg").read_text()
    for text in ("unit 0", "unit 2", "heat", "mass", "price", "twice"):
        assert f"<!-- {text} -->" in drawn
    run(*train, "-e", "topk", "--k", "2", "--hidden", "60")
    assert run("plot", "m.safetensors", "-o", "p.png") == "wrote p.png: the strongest columns of 25 of 60 latents\n"
    assert imread(tmp_path / "p.png")[..., :3].std() > 5


def test_rows_without_names_that_may_be_pictures_are_drawn_as_columns_with_a_hint(run, rng, tmp_path):
    np.save(tmp_path / "rows.npy", rng.random((40, 15)))
    run("train", "rows.npy", "-o", "m.safetensors", "--hidden", "2", "--max-iter", "3", "--quiet")
    said = run("plot", "m.safetensors", "-o", "p.png")
    assert said == (
        "wrote p.png: the strongest columns of 2 units; if rows are pictures, pass --image-shape, such as 28x28\n"
    )


def test_info_says_what_a_model_is(run, model):
    text = run("info", model)
    assert "60 rows of 20 columns of images.npy" in text
    assert "SparseAutoencoder(max_iter=5, n_components=4, random_state=0)" in text
    assert "20 → 4 → 20" in text
    assert "penalties     ρ = 0.01 (sparsity), β = 3.0 (sparsity_weight), λ = 0.0001 (weight_decay)\n" in text
    assert "5 iterations, stopped at max_iter: J = " in text
    found = json.loads(run("info", model, "--json"))
    assert [step["kind"] for step in found["steps"]] == ["RangeScaler", "SparseAutoencoder"]
    assert found["n_parameters"] == 20 * 4 + 4 + 4 * 20 + 20
    assert found["versions"]["rhohat"] == rhohat.__version__


def test_info_says_what_each_part_of_a_stack_was_trained_with(run, images, tmp_path):
    """By the names that the parameters have, also where they were left as they are."""
    np.save(tmp_path / "classes.npy", np.arange(60) % 3)
    run(
        *("train", images, "-o", "stack.safetensors", "-e", "stacked-classifier", "--labels", "classes.npy"),
        *("--hidden", "4,3", "--max-iter", "2", "--weight-decay", "0.02"),
    )
    text = run("info", "stack.safetensors")
    layer = "weight_decay=0.02, sparsity=0.1, sparsity_weight=3.0, solver='lbfgs', max_iter=2)"
    assert f"layer 0       SparseAutoencoder(n_components=4, {layer}\n" in text
    assert f"layer 1       SparseAutoencoder(n_components=3, {layer}\n" in text
    assert "softmax       SoftmaxRegression(weight_decay=0.0001" in text
    assert "fine-tuning   StackedAutoencoderClassifier(fine_tuning_weight_decay=0.003" in text
    assert text.count(" iterations, ") == 4
    training = json.loads(run("info", "stack.safetensors", "--json"))["training"]
    assert [one["part"] for one in training] == ["layer 0", "layer 1", "softmax", "fine-tuning"]
    assert [one["parameters"].get("weight_decay") for one in training] == ["0.02", "0.02", "0.0001", None]
    assert training[3]["parameters"]["fine_tuning_weight_decay"] == "0.003"
    assert training[3]["terms"].keys() == {"softmax_cross_entropy", "weight_decay"}


def test_gradient_checks_are_json_where_a_program_asks(run):
    asked = ("--architecture", "dense", "--activation", "tanh", "--penalty", "contraction")
    found = json.loads(run("check-gradient", *asked, "--json"))
    assert len(found) == 12
    assert {one["architecture"] for one in found} == {"dense"}
    assert all(one["holds"] and one["gradient_difference"] <= 1e-8 for one in found)


def help_on_a_terminal(**settings):
    """What `rhohat --help` writes to a terminal."""
    import pty  # which Windows has not

    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    command = [sys.executable, "-m", "rhohat", "--help"]
    with subprocess.Popen(command, stdout=theirs, env={**environment, "TERM": "xterm-256color", **settings}):
        os.close(theirs)
        written = b""
        with suppress(OSError):  # which says that the other end is closed
            while piece := os.read(ours, 4096):
                written += piece
    os.close(ours)
    return written


@pytest.mark.skipif(os.name == "nt", reason="there are no such terminals on Windows")
def test_colours_of_a_terminal_are_left_out_where_none_are_wanted():
    colour = rb"\x1b\[(\d+;)*3\d(;\d+)*m"
    assert re.search(colour, help_on_a_terminal())
    assert not re.search(colour, help_on_a_terminal(NO_COLOR="1"))


def test_info_without_a_model_describes_the_machine(run, monkeypatch):
    monkeypatch.setenv("RHOHAT_OPS", "numpy")
    text = run("info")
    assert "primitives    NumPy" in text
    assert "threads" in text
    found = json.loads(run("info", "--json"))
    assert found["primitives"] == "numpy"
    assert found["threads"] >= 1
    assert found["blas"]


def test_info_says_that_primitives_are_compiled(run, monkeypatch):
    pytest.importorskip("numba", reason="the extra 'fast' is not installed")
    monkeypatch.delenv("RHOHAT_OPS", raising=False)
    assert "primitives    compiled by Numba" in run("info")
    found = json.loads(run("info", "--json"))
    assert found["vector_bits"] in (128, 256, 512)


@pytest.mark.parametrize(
    "command",
    [
        ("plot", "m.safetensors", "other.npy", "--what", "reconstructions", "-o", "p.png"),
        ("evaluate", "m.safetensors", "other.npy"),
        ("report", "m.safetensors", "other.npy", "-o", "r.html"),
        ("encode", "m.safetensors", "other.npy", "-o", "c.npy"),
        ("reconstruct", "m.safetensors", "other.npy", "-o", "c.npy"),
        ("evaluate", "c.safetensors", "other.npy", "--labels", "y.npy"),
        ("report", "c.safetensors", "other.npy", "--labels", "y.npy", "-o", "r.html"),
        ("predict", "c.safetensors", "other.npy", "-o", "p.csv", "--proba"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_rows_of_another_scale_are_remarked_on_once(command, invoke, run, tmp_path, monkeypatch):
    monkeypatch.setattr("rhohat.data.rows.base._BYTES_AT_ONCE", 2**12)  # so that there are several blocks
    rows = np.random.default_rng(0).random((700, 16), np.float32)
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "other.npy", 300 * rows)
    np.save(tmp_path / "y.npy", (rows[:, 0] > 0.5).astype(int))
    quick = ("--preprocess", "none", "--max-iter", "3", "--hidden", "4", "-q")
    run("train", "rows.npy", "-o", "m.safetensors", *quick)
    run("train", "rows.npy", "-o", "c.safetensors", "-e", "classifier", "--labels", "y.npy", *quick)
    result = invoke(*command)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("far outside of the range of the training rows") == 1
