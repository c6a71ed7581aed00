"""The command harvest: what it prints, refuses, and goes on with."""

import json
import sys

import pytest
from typer.testing import CliRunner

import rhohat
from rhohat.cli import app, progress
from rhohat.modules.harvest_run import HarvestState

pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.modules.language_models import Small, texts, write_encoder, write_texts

LAYER = "encoder.layer.0"
SHORT = ("--context", 16)


@pytest.fixture(scope="module", name="model")
def folder_of_a_model(tmp_path_factory):
    return Small(write_encoder(tmp_path_factory.mktemp("cli") / "encoder")).folder


@pytest.fixture(name="made")
def folder_of_texts(tmp_path):
    return write_texts(tmp_path / "texts", texts())


def run(*arguments):
    return CliRunner().invoke(app, ["harvest", *map(str, arguments)])


def test_the_layers_of_a_model_are_listed(model):
    result = run(model, "--list")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["layer", "class", "output", "for", "a", "text"]
    assert f"{LAYER} BertLayer 12 numbers for each token" in [" ".join(line.split()) for line in lines]
    listed = json.loads(run(model, "--list", "--json").stdout)
    assert {"name": "pooler", "class": "BertPooler", "shape": [1, 12]} in listed


def test_a_folder_is_written_and_what_to_type_next_is_said(model, made, tmp_path):
    result = run(model, made, "-o", tmp_path / "h", "--layer", LAYER, *SHORT, "--outliers", 20)
    assert result.exit_code == 0, result.output
    record = rhohat.HarvestIndex(tmp_path / "h").record
    assert f"wrote {tmp_path / 'h'}: {record.n_rows} rows of {LAYER} (12 numbers), from" in result.stdout
    assert "left out: 0 rows of unusual norm" in result.stdout
    assert "the texts ended before there were as many rows as wanted" in result.stdout
    assert f"next: rhohat train {tmp_path / 'h'} -e topk --hidden 96 --k 32" in result.stdout
    assert result.stderr == ""


def test_a_dictionary_is_trained_and_looked_at_from_the_folder(model, made, tmp_path):
    layers = ("--layer", LAYER, "--layer", "encoder.layer.1")
    result = run(model, made, "-o", tmp_path / "h", *layers, *SHORT, "--rows", 100, "--dtype", "float32", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["layers"] == {LAYER: 12, "encoder.layer.1": 12}
    assert found["ended"] == "rows"
    train = found["next"].replace("--hidden 96 --k 32", "--hidden 24 --k 3 -q")
    assert f"train {tmp_path / 'h'}:/{LAYER} -e topk" in train
    arguments = train.replace("dictionary.safetensors", str(tmp_path / "d.safetensors")).split()[1:]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path / "d.safetensors"), f"{tmp_path / 'h'}:/{LAYER}", "-q"])
    assert result.exit_code == 0, result.output


def test_the_same_command_goes_on_with_more_rows(model, made, tmp_path):
    command = (model, made, "-o", tmp_path / "h", "--layer", LAYER, "-q")
    for n_rows in (30, 60, 60):
        assert run(*command, *SHORT, "--rows", n_rows).exit_code == 0
        assert rhohat.HarvestIndex(tmp_path / "h").n_rows >= n_rows
    again = run(*command[:-1], *SHORT, "--rows", 60)
    assert f"{tmp_path / 'h'} is as it was: it has {rhohat.HarvestIndex(tmp_path / 'h').n_rows} rows" in again.stdout
    result = run(*command, "--context", 8)
    assert result.exit_code == 1
    assert "holds a harvest with another --context, which is 16 there, and 8 now; name another folder" in result.stderr


def test_info_says_what_a_folder_holds(model, made, tmp_path):
    run(model, made, "-o", tmp_path / "h", "--layer", LAYER, *SHORT, "--rows", 50)
    result = CliRunner().invoke(app, ["info", str(tmp_path / "h")])
    assert result.exit_code == 0, result.output
    record = rhohat.HarvestIndex(tmp_path / "h").record
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert lines["layer"] == f"{LAYER}, 12 numbers"
    assert lines["rows"] == f"{record.n_rows} in float16, from {record.n_texts} windows of text"
    assert "context=16" in lines["settings"]
    assert lines["ended"] == "it has the rows that were asked for"
    found = json.loads(CliRunner().invoke(app, ["info", str(tmp_path / "h"), "--json"]).stdout)
    assert found["rows"] == record.n_rows
    assert found["settings"]["layer"] == [LAYER]


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        (["--layer", "encoder.layer.9"], 1, "BertModel has no layer named 'encoder.layer.9'"),
        ([], 2, "--list shows the layers"),
        (["--layer", LAYER, "--rows", "0"], 2, "--rows must be a whole number of at least 1; got 0"),
        (["--layer", LAYER, "--context", "99"], 2, "--context must be at most 32"),
        (["--layer", LAYER, "--max-bytes", "1kB"], 2, "1,000,000 rows need about"),
        (["--layer", LAYER, "--max-bytes", "much"], 2, "--max-bytes must be a number of bytes"),
        (["--layer", LAYER, "--of", "both"], 2, "--of must be 'output' or 'input'; got 'both'"),
        (["--layer", LAYER, "--precision", "int4"], 2, "--precision must be one of float32, float16, bfloat16"),
        (["--layer", "pooler"], 2, "pass --positions mean to harvest it"),
        (["--layer", LAYER, "--outliers", "1"], 2, "--outliers must be a number above 1"),
    ],
)
def test_what_cannot_be_harvested_is_refused_in_a_sentence(model, made, tmp_path, changed, status, said):
    result = run(model, made, "-o", tmp_path / "h", *SHORT, *changed)
    assert result.exit_code == status
    assert said in " ".join(result.stderr.replace("│", " ").split())
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("left_out", ["texts", "output"])
def test_texts_and_the_folder_must_be_named(model, made, tmp_path, left_out):
    given = [] if left_out == "texts" else [made]
    result = run(model, *given, *(["-o", tmp_path / "h"] if left_out == "texts" else []), "--layer", LAYER)
    assert result.exit_code == 2
    assert "is missing; name" in " ".join(result.stderr.replace("│", " ").split())


def test_unreadable_texts_are_named_in_a_warning(model, made, tmp_path):
    (made / "000.txt").write_bytes(b"\xff")
    result = run(model, made, "-o", tmp_path / "h", "--layer", LAYER, *SHORT)
    assert result.exit_code == 0, result.output
    assert "warning: 1 text could not be read, and is left out: " in result.stderr


def test_a_line_of_progress_is_printed_every_ten_seconds_where_there_is_no_terminal(monkeypatch, capsys):
    clock = iter([0.0, 2.0, 11.0, 12.0, 21.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    shown = progress.HarvestProgress()
    with shown:
        for n_rows in (100, 1000, 1100, 2000):
            shown(HarvestState(n_rows, 5000, 0))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "11 s  1,000 of 5,000 rows, 100 rows/s  about 40 s left",
        "21 s  2,000 of 5,000 rows, 100 rows/s  about 30 s left",
    ]


def test_a_terminal_shows_a_live_line_and_quiet_shows_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress.HarvestProgress() as shown:
        shown.announce("loading")
        shown(HarvestState(100, 5000, 0))
        shown(HarvestState(200, 5000, 0))
        assert "200 of 5,000 rows" in shown._live.tasks[0].description
    with progress.HarvestProgress(quiet=True) as shown:
        shown(HarvestState(100, 5000, 0))
        assert shown._live is None
    assert not shown._prints


def test_ctrl_c_says_what_the_folder_holds_and_the_same_command_goes_on(model, made, tmp_path, monkeypatch):
    command = (model, made, "-o", tmp_path / "h", "--layer", LAYER, *SHORT, "--batch-size", "1")
    for n_batches, said in ((1, "h holds 0 rows; "), (12, "h holds ")):
        states = []

        def interrupt(_, state, states=states, n_batches=n_batches):
            states.append(state)
            if len(states) == n_batches:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(progress.HarvestProgress, "__call__", interrupt)
            result = run(*command)
        assert result.exit_code == 130
        assert said in result.stderr
        assert "the same command goes on from there.\ninterrupted" in result.stderr
    n_rows = rhohat.HarvestIndex(tmp_path / "h").n_rows
    assert f"h holds {n_rows} rows; " in result.stderr
    assert run(*command, "-q").exit_code == 0
    assert rhohat.HarvestIndex(tmp_path / "h").n_rows > n_rows > 0
