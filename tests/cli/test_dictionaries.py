"""Commands that use a fitted dictionary: sparse files of codes, reconstructions, figures, and what a file holds."""

import json

import numpy as np
import pytest
from scipy import sparse
from skimage.io import imread
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import rhohat
from tests.inspection.reporting.pages import column_of, record_of


@pytest.fixture
def rows(rng, tmp_path):
    X = rng.normal(size=(300, 16)).astype(np.float32)
    np.save(tmp_path / "rows.npy", X)
    return X


@pytest.fixture
def dictionary(rows, tmp_path):
    solver = rhohat.Adam(batch_size=100, learning_rate=1e-2)
    fitted = rhohat.BatchTopKAutoencoder(30, k=4, solver=solver, max_iter=3, random_state=0).fit(rows)
    rhohat.save(fitted, tmp_path / "model.safetensors")
    return fitted


def test_sparse_codes_are_those_of_transform_however_they_are_read(run, dictionary, rows, tmp_path, monkeypatch):
    monkeypatch.setattr("rhohat.estimators.dictionary_use._ROWS_AT_ONCE", 64)  # so that there are several blocks
    monkeypatch.setattr("rhohat.data.rows.base._BYTES_AT_ONCE", 2**11)
    monkeypatch.setattr("rhohat.cli.files._AT_ONCE", 1000)
    expected = dictionary.transform(rows)
    same = {"rtol": 1e-5}  # products of other blocks are rounded otherwise
    assert run("encode", "model.safetensors", "rows.npy", "-o", "codes.npz") == (
        "wrote codes.npz: 300 rows × 30 columns\n"
    )
    found = sparse.load_npz(tmp_path / "codes.npz")
    assert isinstance(found, sparse.csr_array)
    assert found.dtype == expected.dtype
    assert found.has_canonical_format
    np.testing.assert_allclose(found.toarray(), expected.toarray(), **same)
    run("encode", "model.safetensors", "rows.npy", "-o", "codes.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), found.toarray())
    run("encode", "model.safetensors", "rows.npy", "-o", "codes.csv")
    header, *lines = (tmp_path / "codes.csv").read_text().splitlines()
    assert header.split(",") == [f"latent_{number}" for number in range(30)]
    np.testing.assert_array_equal(np.array([line.split(",") for line in lines], dtype=np.float32), found.toarray())
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", ".npy", ".npy", ".npz", ".safetensors"]


def test_what_was_learned_before_rows_that_are_not_finite_is_written(invoke, rows, tmp_path):
    rows[200, 3] = np.nan
    np.save(tmp_path / "rows.npy", rows)
    arguments = (
        "-e",
        "topk",
        "--k",
        "4",
        "--hidden",
        "30",
        "--batch-size",
        "20",
        "--seed",
        "1",
        "--note",
        "First try.",
    )
    failed = invoke("train", "rows.npy", "-o", "model.safetensors", *arguments)
    assert failed.exit_code == 1
    assert "rows.npy contains NaN or infinity, first in row 200, column 3." in failed.stderr
    assert "model.partial.safetensors holds the model that was reached" in failed.stderr
    partial = rhohat.load(tmp_path / "model.partial.safetensors")
    assert partial.n_steps_ > 0
    assert (partial.model_card_.note, partial.model_card_.data) == ("First try.", "300 rows of 16 columns of rows.npy.")
    assert not (tmp_path / "model.safetensors").exists()


def test_a_training_says_what_is_done_to_the_rows(invoke, rows):
    arguments = ("train", "rows.npy", "-o", "model.safetensors", "-e", "topk", "--k", "4", "--latents", "30")
    said = "preprocessing: none; the rows are used as they are"
    scaled = invoke(*arguments, "--max-iter", "1").stderr.splitlines()[0]
    assert scaled == f"{said}, and the dictionary divides all numbers by one factor (normalize=mean_norm)"
    assert invoke(*arguments, "--max-iter", "1", "--set", "normalize=None").stderr.splitlines()[0] == said


def test_thresholds_of_jumprelu_are_in_the_file_and_their_range_in_info_and_the_report(rows, run, tmp_path):
    how = {"solver": rhohat.Adam(batch_size=50, learning_rate=1e-2), "max_iter": 40, "random_state": 0}
    fitted = rhohat.JumpReLUAutoencoder(30, target_l0=6, **how).fit(rows)
    rhohat.save(fitted, tmp_path / "model.safetensors")
    np.testing.assert_array_equal(rhohat.load(tmp_path / "model.safetensors").thresholds_, fitted.thresholds_)
    low, middle, high = np.quantile(fitted.thresholds_, [0, 0.5, 1])
    text = run("info", "model.safetensors")
    assert "JumpReLU(bandwidth=0.05, target_l0=6, thresholds learned from 0.01 on)" in text
    assert f"thresholds    {low:.4g} to {high:.4g}, median {middle:.4g}" in text
    page = rhohat.report(fitted, rows)
    assert "thresholds learned from 0.01 on); thresholds 0." in page
    assert "The fit aimed at 6 (target_l0)." in page
    assert "ended</span> after all 40 passes, 240 updates" in page


def test_k_is_refused_with_what_there_is_in_its_place(invoke, rows):
    arguments = ("train", "rows.npy", "-o", "model.safetensors", "--k", "20", "--hidden", "16")
    refused = invoke(*arguments, "-e", "jumprelu")
    assert refused.exit_code == 2
    assert "--set target_l0=32" in refused.stderr
    refused = invoke(*arguments, "-e", "topk")
    assert refused.exit_code == 2
    assert "error: --k 20 must not exceed --hidden 16." in refused.stderr


def test_codes_of_a_network_may_be_written_to_a_sparse_file_too(run, images, tmp_path):
    run("train", images, "-o", "model.safetensors", "--hidden", "4", "--max-iter", "3", "--quiet")
    run("encode", "model.safetensors", images, "-o", "codes.npz")
    run("encode", "model.safetensors", images, "-o", "codes.npy")
    np.testing.assert_array_equal(sparse.load_npz(tmp_path / "codes.npz").toarray(), np.load(tmp_path / "codes.npy"))


def test_a_large_dense_file_of_codes_is_refused_before_any_work(run, invoke, dictionary, monkeypatch):
    monkeypatch.setattr("rhohat.cli.using._MOST_BYTES", 4 * 300 * 30 - 1)
    for name in ("codes.npy", "codes.csv", "-"):
        refused = invoke("encode", "model.safetensors", "rows.npy", "-o", name)
        assert refused.exit_code == 1
        assert "300 rows with 30 latents would take 0.0 GB" in refused.stderr
        assert "-o codes.npz" in refused.stderr
        assert refused.stdout == ""
    run("encode", "model.safetensors", "rows.npy", "-o", "codes.npz")
    monkeypatch.setattr("rhohat.cli.using._MOST_BYTES", 4 * 300 * 30)
    run("encode", "model.safetensors", "rows.npy", "-o", "codes.npy")


def test_a_large_dense_file_of_codes_is_written_with_a_note_on_a_sparse_one(invoke, dictionary, monkeypatch):
    monkeypatch.setattr("rhohat.cli.using._MANY_BYTES", 4 * 300 * 30 - 1)
    for name, notes in (("codes.npy", 1), ("codes.csv", 1), ("codes.npz", 0)):
        written = invoke("encode", "model.safetensors", "rows.npy", "-o", name)
        assert written.exit_code == 0
        assert written.stderr.count("nearly all of it zeros; -o codes.npz writes a sparse file") == notes
    monkeypatch.setattr("rhohat.cli.using._MANY_BYTES", 4 * 300 * 30)
    assert "-o codes.npz" not in invoke("encode", "model.safetensors", "rows.npy", "-o", "codes.npy").stderr


def test_a_failure_leaves_the_file_as_it_was(invoke, dictionary, rows, tmp_path):
    (tmp_path / "codes.npz").write_bytes(b"as it was")
    rows[200, 3] = np.nan
    np.save(tmp_path / "rows.npy", rows)
    failed = invoke("encode", "model.safetensors", "rows.npy", "-o", "codes.npz")
    assert failed.exit_code == 1
    assert "rows.npy contains NaN or infinity, first in row 200, column 3" in failed.stderr
    assert (tmp_path / "codes.npz").read_bytes() == b"as it was"


def test_reconstructions_are_in_the_units_of_the_data(run, rows, tmp_path):
    scaled = rows * np.linspace(0.5, 2, 16, dtype=np.float32)
    np.save(tmp_path / "rows.npy", scaled)
    solver = rhohat.Adam(batch_size=100, learning_rate=1e-2)
    model = make_pipeline(
        StandardScaler(), rhohat.TopKAutoencoder(30, k=4, solver=solver, max_iter=3, random_state=0)
    ).fit(scaled)
    rhohat.save(model, tmp_path / "pipeline.safetensors")
    run("reconstruct", "pipeline.safetensors", "rows.npy", "-o", "made.npy")
    made = model[-1].reconstruct(model[0].transform(scaled))
    expected = model[0].inverse_transform(made.astype(np.float32))
    np.testing.assert_allclose(np.load(tmp_path / "made.npy"), expected, rtol=1e-5, atol=1e-5)
    assert np.load(tmp_path / "made.npy").std(axis=0)[-1] > 2 * np.load(tmp_path / "made.npy").std(axis=0)[0]


def test_a_dictionary_predicts_no_targets(invoke, dictionary):
    refused = invoke("predict", "model.safetensors", "rows.npy", "-o", "p.csv")
    assert refused.exit_code == 1
    assert "BatchTopKAutoencoder does not predict targets; use rhohat encode" in refused.stderr
    refused = invoke("evaluate", "model.safetensors", "rows.npy", "--target", "x")
    assert refused.exit_code == 2


def test_figures_of_a_dictionary_are_those_of_evaluate(run, dictionary, rows):
    found = json.loads(run("evaluate", "model.safetensors", "rows.npy", "--json"))
    expected = rhohat.evaluate(dictionary, rows).to_dict()
    assert found.keys() == expected.keys()
    for name in ("fraction_of_variance_unexplained", "l1", "norm_ratio", "decoder_cosine_maximum"):
        assert found[name] == pytest.approx(expected[name], rel=1e-5)
    assert found["density_histogram"] == expected["density_histogram"]
    printed = run("evaluate", "model.safetensors", "rows.npy")
    assert "variance unexplained (FVU)" in printed
    assert "encoder-decoder cosine, median" in printed


def test_info_says_what_a_dictionary_selects_and_how_it_was_trained(run, dictionary, rows, tmp_path):
    found = json.loads(run("info", "model.safetensors", "--json"))
    assert found["selection"] == "BatchTopK(k=4.0)"
    assert (found["latents"], found["features"], found["rows_seen"]) == (30, 16, 900)
    assert found["threshold"] == dictionary.threshold_ > 0
    for name in ("fvu", "l0", "dead"):
        assert found[name] == dictionary.measures_curve_[name][-1]
    assert found["n_parameters"] == 2 * 30 * 16 + 30 + 16
    assert found["learning"]["dead_after"] == "None"
    assert found["learning"]["solver"].startswith("Adam(learning_rate=0.01, batch_size=100,")
    lines = dict(line.split(maxsplit=1) for line in run("info", "model.safetensors").splitlines())
    assert lines["selection"] == "BatchTopK(k=4.0)"
    assert lines["latents"] == "30, of 16 features"
    assert lines["threshold"] == f"{dictionary.threshold_:.6g}"
    jumprelu = rhohat.JumpReLUAutoencoder(21, target_l0=None, max_iter=2, random_state=0).fit(rows)
    rhohat.save(jumprelu, tmp_path / "jumprelu.safetensors")
    found = json.loads(run("info", "jumprelu.safetensors", "--json"))
    problem, theta = jumprelu._in_use()
    thresholds = sorted(problem.layout.views(theta).of_latents["threshold"].tolist())
    assert found["thresholds"] == pytest.approx([thresholds[0], thresholds[10], thresholds[20]], rel=1e-5)
    assert "median" in run("info", "jumprelu.safetensors")


def test_directions_of_latents_are_drawn(run, dictionary, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("matplotlib.axes.Axes.imshow", lambda ax, image, **options: drawn.append(np.asarray(image)))
    run("plot", "model.safetensors", "-o", "p.png", "--image-shape", "4x4")
    direction = dictionary.components_[0].reshape(4, 4)
    np.testing.assert_allclose(drawn[0][1:5, 1:5], 0.5 + 0.5 * direction / np.abs(direction).max(), atol=1e-6)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    for what in ("loss", "reconstructions"):
        run("plot", "model.safetensors", "rows.npy", "-o", "p.png", "--what", what, "--image-shape", "4x4")
        assert imread(tmp_path / "p.png")[..., :3].std() > 5


def test_a_report_of_a_dictionary_names_the_rows_of_a_file(run, invoke, dictionary, tmp_path):
    names = [f"sentence number {number}, änd so on" for number in range(300)]
    (tmp_path / "names.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    report = ("report", "model.safetensors", "rows.npy", "-o", "page.html", "--row-labels", "names.txt")
    assert run(*report) == "wrote page.html: open it in a browser\n"
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    numbers = column_of(page, "labelled")
    assert record_of(page)["labels"] == [names[number] for number in numbers]
    run(*report, "--rows", "100:200", "--tabular")  # the names may be those of all rows of the file
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    labels = record_of(page)["labels"]
    assert labels
    assert set(labels) <= set(names[100:200])
    (tmp_path / "names.txt").write_text("\n".join(names[:200]), encoding="utf-8")
    refused = invoke(*report)
    assert refused.exit_code == 1
    assert (
        "names.txt, given as --row-labels, must have one line for each of the 300 rows; it has 200." in refused.stderr
    )
    (tmp_path / "names.txt").write_text("\n".join(names), encoding="latin-1")
    assert "names.txt is not encoded in UTF-8; pass its --encoding" in invoke(*report).stderr
    run(*report, "--encoding", "latin-1")
    assert "pass it as --row-labels." in invoke(*report[:-2], "--row-names", "a").stderr


def test_info_and_the_report_say_once_what_a_dictionary_was_trained_on(run, rows, tmp_path):
    run("train", "rows.npy", "-o", "m.safetensors", "-e", "topk", "--hidden", "24", "--k", "3", "--epochs", "2")
    printed = run("info", "m.safetensors")
    n_rows, n_columns = rows.shape
    said = f"{n_rows:,} rows of {n_columns} columns of rows.npy"
    assert f"trained on    {said}; {2 * n_rows} rows seen in all passes\n" in printed
    assert printed.count("rows.npy") == 1
    run("report", "m.safetensors", "rows.npy")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    line = page.split("<dt>Trained on</dt>")[1].split("</dd>")[0]
    assert line.count("rows.npy") == 1
    assert f"{2 * n_rows:,} rows seen in all passes<br>" in line
    assert said in line
    # A description of one's own says something else, and is shown beside the number and the name.
    model = rhohat.load("m.safetensors")
    rhohat.save(model, "m.safetensors", card=rhohat.ModelCard(data="Activations of May."))
    printed = run("info", "m.safetensors")
    assert f"trained on    {2 * n_rows} rows seen, of rows.npy\n" in printed
    assert "data          Activations of May.\n" in printed
