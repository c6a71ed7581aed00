import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
from skimage.io import imread

import rhohat
from rhohat.cli import demonstration
from rhohat.cli.demonstration import run_demo
from rhohat.layers.activations import Tanh
from tests.tolerances import ORACLE

PICTURES = ["filters.png", "loss.png", "patches.png", "reconstructions.png"]
FILES = ["model.safetensors", "patches.npy"]
QUICK = ["--patches", "200", "--hidden", "4", "--max-iter", "3", "--jobs", "1"]


def assert_pictures(folder):
    assert sorted(path.name for path in folder.iterdir()) == sorted([*PICTURES, *FILES])
    for name in PICTURES:
        assert imread(folder / name)[..., :3].std() > 5


def sentence(output):
    """What a framed message says, on one line."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", output).split())


def test_the_version_is_that_of_the_package(invoke):
    result = invoke("--version")
    assert (result.exit_code, result.output) == (0, f"rhohat {version('rhohat')}\n")


@pytest.mark.parametrize(("arguments", "exit_code"), [(["--help"], 0), ([], 2)])
def test_help_names_the_commands(invoke, arguments, exit_code):
    result = invoke(*arguments)
    assert result.exit_code == exit_code
    assert "Learn edge detectors from photographs" in sentence(result.output)


def test_help_of_demo_names_its_options(invoke):
    result = invoke("demo", "--help")
    assert result.exit_code == 0
    for option in ("--output", "--patches", "--hidden", "--max-iter", "--seed", "--jobs"):
        assert option in result.output


@pytest.mark.parametrize("folder", ["pictures", "deep/new[old]"])
def test_demo_prints_the_evidence_and_writes_pictures(invoke, tmp_path, folder):
    result = invoke("demo", "--output", folder, *QUICK)
    assert result.exit_code == 0, result.output
    assert_pictures(tmp_path / folder)
    for name in [*PICTURES, *FILES]:
        assert f"{folder}/{name}" in result.stdout.replace(os.sep, "/")
    found = re.search(r"gradient check +relative difference (\S+) over (\d+) parameters", result.stdout)
    assert float(found[1]) < ORACLE
    assert int(found[2]) == 64 * 5 + 5 + 5 * 64 + 64
    cost = float(re.search(r"J +(\S+), of which", result.stdout)[1])
    terms = re.findall(r"(\S+) +(squared error|weight decay|kl sparsity)", result.stdout)
    assert [name for _, name in terms] == ["squared error", "weight decay", "kl sparsity"]
    assert sum(float(value) for value, _ in terms) == pytest.approx(cost, abs=2e-6)
    assert re.search(r"Gabor R², median +0\.\d{3} for the 4 hidden units", result.stdout)
    assert re.search(r"0\.\d{3} for 4 principal components", result.stdout)
    assert re.search(r"iterations +3 ", result.stdout)
    assert re.search(r"dead units +\d of 4, which no patch activates", result.stdout)


def test_the_commands_that_the_demo_suggests_can_be_typed_at_once(invoke, run, tmp_path):
    suggested = run("demo", "--output", "my demo", *QUICK).split("To see more of the model that was learned:\n")[1]
    commands = [shlex.split(line) for line in suggested.splitlines() if "my demo" in line]
    names = ("report", "evaluate", "check-gradient", "train", "plot")
    assert [words[:2] for words in commands] == [["rhohat", name] for name in names]
    commands[-2] += ["--max-iter", "3"]
    printed = {words[1]: run(*words[1:]) for words in commands}
    assert "The gradient is right" in printed["check-gradient"]
    page = (tmp_path / "my demo" / "report.html").read_text(encoding="utf-8")
    assert "images of 8 × 8 pixels" in page
    assert "far outside" not in page
    model, patches = rhohat.load(tmp_path / "my demo" / FILES[0]), np.load(tmp_path / "my demo" / FILES[1])
    assert patches.shape == (200, 8, 8)
    assert f"{model.score(patches.reshape(200, 64)):.6g}" in printed["evaluate"]
    assert max(map(len, run("demo", "--output", "again", *QUICK).splitlines())) <= 80


def test_a_program_that_the_shell_does_not_find_is_suggested_by_its_path(run, monkeypatch):
    monkeypatch.setattr("sys.argv", [".venv/bin/rhohat", "demo"])
    monkeypatch.setenv("PATH", "")
    assert "\n  .venv/bin/rhohat report demo/model.safetensors" in run("demo", *QUICK).replace(os.sep, "/")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--patches", "99"], "Invalid value for '--patches': .*100"),
        (["--hidden", "0"], "Invalid value for '--hidden': .*1"),
        (["--hidden", "65"], "Invalid value for '--hidden': .*64"),
        (["--max-iter", "0"], "Invalid value for '--max-iter': .*1"),
        (["--seed", "-1"], "Invalid value for '--seed': .*0"),
        (["--jobs", "0"], "Invalid value for --jobs: must not be 0"),
        (["--jobs", "many"], "Invalid value for '--jobs': .*integer"),
        (["--colour"], "No such option:? '?--colour"),
    ],
)
def test_bad_options_are_refused_with_a_sentence(invoke, tmp_path, arguments, message):
    result = invoke("demo", *arguments)
    assert result.exit_code == 2
    assert re.search(message, sentence(result.output))
    assert not list(tmp_path.iterdir())


def test_an_output_that_is_a_file_is_refused(invoke, tmp_path):
    (tmp_path / "taken").write_text("mine")
    result = invoke("demo", "--output", "taken", *QUICK)
    assert result.exit_code == 2
    assert "Invalid value for --output: cannot write the pictures or the model" in sentence(result.output)
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_picture_that_cannot_be_written_is_told_in_a_sentence(invoke, tmp_path):
    (tmp_path / "out" / "filters.png").mkdir(parents=True)
    result = invoke("demo", "--output", "out", *QUICK)
    assert result.exit_code == 2
    assert "Invalid value for --output: cannot write the pictures or the model" in sentence(result.output)


def test_a_folder_that_is_read_only_is_refused_before_any_work(tmp_path):
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("this user may write to read-only folders")
    steps = []
    with pytest.raises(OSError, match="denied"):
        run_demo(tmp_path, announce=steps.append)
    assert steps == []


@pytest.mark.parametrize(
    ("arguments", "code", "text"), [(["--version"], 0, "rhohat "), (["--bad"], 2, "Usage: rhohat")]
)
def test_the_package_runs_as_a_program(arguments, code, text):
    done = subprocess.run(
        [sys.executable, "-m", "rhohat", *arguments], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == code
    assert text in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_demo_learns_edge_detectors(tmp_path):
    iterations, steps = [], []
    result = run_demo(
        tmp_path, callback=lambda state: iterations.append((state.n_rows, state.iteration)), announce=steps.append
    )
    assert_pictures(tmp_path)
    assert sorted(path.name for path in result.pictures) == PICTURES
    over_all = [iteration for n_rows, iteration in iterations if n_rows is None]
    assert over_all == list(range(1, result.autoencoder.n_iter_ + 1))
    assert iterations[0] == (1000, 1)
    assert len(steps) == len(result.seconds) == 5
    assert result.gradient_check.relative_difference <= ORACLE
    assert result.cost == pytest.approx(sum(result.terms.values()))
    assert result.gabor_r2.shape == result.gabor_r2_pca.shape == (25,)
    assert np.median(result.gabor_r2) >= 0.90
    assert np.median(result.gabor_r2_pca) <= 0.80
    assert np.mean(np.abs(result.autoencoder.mean_activation_ - 0.01) <= 0.002) > 0.5
    assert 0.3 < result.explained_variance < 1
    model, patches = rhohat.load(tmp_path / FILES[0]), np.load(tmp_path / FILES[1]).reshape(-1, 64)
    evaluation = rhohat.evaluate(model, patches)
    assert result.n_dead == round(25 * evaluation.dead_fraction) > 0


def test_check_gradient_prints_a_row_for_every_combination_asked_for(invoke):
    result = invoke("check-gradient", "--architecture", "dense", "--activation", "tanh", "--penalty", "contraction")
    assert result.exit_code == 0
    rows = [line for line in result.output.splitlines() if line.startswith("| dense | tanh")]
    assert len(rows) == 12
    assert all("| contraction |" in row for row in rows)
    assert "12 rows. The largest relative difference of a gradient is" in result.output


def test_check_gradient_checks_the_architecture_asked_for(invoke):
    result = invoke("check-gradient", "--architecture", "max_pooling", "--penalty", "kl_sparsity")
    assert result.exit_code == 0
    rows = [line for line in result.output.splitlines() if line.startswith("| max_pooling | ")]
    assert len(rows) == 2
    assert "2 rows. The largest relative difference of a gradient is" in result.output


def test_check_gradient_fails_where_a_gradient_is_wrong(invoke, monkeypatch):
    """With the derivative of tanh turned off, every model with tanh units is wrong, and is named."""
    monkeypatch.setattr(Tanh, "multiply_by_derivative", lambda self, a, delta: None)
    result = invoke("check-gradient", "--activation", "tanh", "--loss", "softmax_cross_entropy")
    assert result.exit_code == 1
    assert "wrong: dense, tanh, softmax_cross_entropy, weight_decay, untied, 1 hidden" in result.stderr
    assert invoke("check-gradient", "--activation", "sigmoid", "--loss", "gaussian").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"), [([], "or pass --all"), (["--loss", "hinge"], "no combination has these")]
)
def test_check_gradient_says_what_it_needs(invoke, arguments, message):
    result = invoke("check-gradient", *arguments)
    assert result.exit_code == 2
    assert message in sentence(result.stderr)


def test_dead_units_are_named_in_the_picture_and_drawn_last(monkeypatch, tmp_path):
    """Such a unit is a black square, which looks like a fault to whoever sees it without a word."""
    drawn = {}

    def plot(filters, title=None, ax=None, **options):
        drawn.setdefault(title, filters)

    monkeypatch.setattr(demonstration, "plot_filters", plot)
    result = run_demo(tmp_path, n_patches=1000, n_components=10, max_iter=60, n_jobs=1)
    patches = rhohat.PatchNormalizer().fit_transform(np.load(tmp_path / "patches.npy").reshape(1000, 64))
    dead = (result.autoencoder.transform(patches) <= 0.1).all(axis=0)
    assert result.n_dead == dead.sum() > 0
    (title, *_) = drawn
    assert f"{result.n_dead} squares: dead units" in title or "Last square: a dead unit" in title
    inputs = result.autoencoder.maximal_inputs()
    np.testing.assert_array_equal(drawn[title], np.concatenate([inputs[~dead], inputs[dead]]))

    patches = np.random.default_rng(0).random((1000, 64))
    codes = np.full((1000, 10), 0.5)
    codes[:, [1, 4]] = 0.01
    dead = demonstration._is_dead(codes)
    assert dead.nonzero()[0].tolist() == [1, 4]
    drawn.clear()
    demonstration._draw(tmp_path, result.autoencoder, patches, dead)
    (title, *_) = drawn
    assert title.endswith("\nLast 2 squares: dead units, which no patch activates")
    np.testing.assert_array_equal(drawn[title][-2:], inputs[[1, 4]])
    assert demonstration._title_of_filters(np.zeros(4, np.bool_)) == "What each hidden unit looks for"
    assert demonstration._title_of_filters(np.ones(4, np.bool_)).endswith("All units are dead: no patch activates them")
    assert demonstration._title_of_filters(dead[:4]).endswith("\nLast square: a dead unit, which no patch activates")
