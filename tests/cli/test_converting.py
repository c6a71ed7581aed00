"""The command `convert`, and the other commands with dictionaries of other libraries as their model."""

import json
import shutil

import numpy as np
import pytest

import rhohat
from tests.models.formats.fixtures_of import FIXTURES, expected, made_by

TOPK = FIXTURES / "saelens" / "topk"


@pytest.fixture
def rows(tmp_path):
    np.save(tmp_path / "rows.npy", expected(TOPK)[0])
    return "rows.npy"


def test_a_dictionary_passes_through_all_formats(run):
    text = run("convert", str(TOPK), "dictionary.safetensors")
    assert text == "wrote dictionary.safetensors: TopKAutoencoder of 12 latents for rows of 6 features\n"
    before = "dictionary.safetensors"
    for library in ("saelens", "dictionary_learning", "sparsify", "safetensors"):
        run("convert", before, library, "--format", library, "-q")
        before = library
    rows, codes, _ = expected(TOPK)
    np.testing.assert_allclose(made_by(rhohat.load(before), rows)[0], codes, atol=1e-6)


def test_precisions_and_factors_can_be_chosen(run, invoke, tmp_path):
    run("convert", TOPK, "half", "--format", "saelens", "--dtype", "float16")
    assert json.loads((tmp_path / "half" / "cfg.json").read_text())["dtype"] == "float16"
    trained = FIXTURES / "saelens" / "trained_scaled" / "training"
    shutil.copytree(trained, "trained")
    (tmp_path / "trained" / "activation_scaler.json").unlink()
    assert "(--activation-scale)" in invoke("convert", "trained", "a.safetensors").stderr
    run("convert", "trained", "a.safetensors", "--activation-scale", "1.7")
    rows, codes, _ = expected(trained)
    np.testing.assert_allclose(made_by(rhohat.load("a.safetensors"), rows)[0], codes, atol=1e-6)


def test_commands_take_dictionaries_of_other_libraries(run, rows):
    codes = expected(TOPK)[1]
    run("encode", TOPK, rows, "-o", "codes.npy")
    np.testing.assert_allclose(np.load("codes.npy"), codes, atol=1e-6)
    run("reconstruct", TOPK / "cfg.json", rows, "-o", "made.npy")
    np.testing.assert_allclose(np.load("made.npy"), expected(TOPK)[2], atol=1e-6)
    assert json.loads(run("evaluate", TOPK, rows, "--json"))["l0"] == (codes > 0).sum() / len(codes)
    assert "wrote page.html" in run("report", TOPK, rows, "-o", "page.html")
    other = FIXTURES / "dictionary_learning" / "AutoEncoderTopK"
    assert len(json.loads(run("match", TOPK, other, "--json"))["pairs"]) == 12


@pytest.mark.parametrize(
    ("folder", "kind", "said"),
    [
        (TOPK, "TopKAutoencoder", "model_name: gpt2"),
        (FIXTURES / "openai" / "relu" / "layer_3.pt", "L1Autoencoder", "format: OpenAI sparse_autoencoder"),
        (FIXTURES / "saelens" / "skip_transcoder", "Transcoder", "architecture: skip_transcoder"),
        (FIXTURES / "scopes" / "llama_scope", "JumpReLUAutoencoder", "hook_point_in: blocks.3.hook_resid_post"),
    ],
)
def test_info_says_where_a_dictionary_comes_from(folder, kind, said, run):
    text = run("info", folder)
    assert f"{kind}(" in text
    assert said in text
    assert "0 updates, trained elsewhere" in text
    assert "last updates" not in text
    found = json.loads(run("info", folder, "--json"))
    assert (found["kind"], found["latents"], found["versions"]) == (kind, 12, {})
    assert found["bytes"] == sum(one.stat().st_size for one in ([folder] if folder.is_file() else folder.rglob("*.*")))
    run("convert", folder, "own.safetensors")
    own = json.loads(run("info", "own.safetensors", "--json"))
    assert own["card"]["origin"] == found["card"]["origin"]
    assert own["versions"]["rhohat"]


def test_a_transcoder_is_converted(run):
    text = run("convert", FIXTURES / "saelens" / "skip_transcoder", "t.safetensors")
    assert text == "wrote t.safetensors: Transcoder of 12 latents for rows of 6 features\n"
    assert "wrote again: Transcoder" in run("convert", "t.safetensors", "again", "--format", "saelens")


@pytest.mark.parametrize(
    ("arguments", "status", "problem"),
    [
        (
            ["a", "--format", "onnx"],
            2,
            "must be rhohat, saelens, sparsify, dictionary_learning, safetensors; got 'onnx'",
        ),
        (["a", "--format", "saelens", "--dtype", "int8"], 2, "must be float64, float32, float16, bfloat16; got 'int8'"),
        (["a.safetensors", "--dtype", "float16"], 2, "model files keep the precision of the model"),
        (["a.onnx"], 1, "path must end in .safetensors"),
        (["rows.npy", "--format", "saelens"], 2, "rows.npy is a file; name a folder"),
        (["none/a.safetensors"], 2, "there is no folder none"),
        (["a.safetensors", "--activation-scale", "2"], 1, "so that no factor is missing"),
        (["a.safetensors", "--activation-scale", "-2"], 1, "must be a positive number; got -2.0"),
    ],
)
def test_what_cannot_be_converted_is_said_in_a_sentence(arguments, status, problem, invoke, rows):
    result = invoke("convert", TOPK, *arguments)
    assert result.exit_code == status
    assert problem in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.stderr


def test_what_is_read_is_not_overwritten(invoke, tmp_path):
    shutil.copytree(TOPK, "dictionary")
    before = (tmp_path / "dictionary" / "cfg.json").read_bytes()
    result = invoke("convert", "dictionary", "dictionary", "--format", "saelens")
    assert result.exit_code == 2
    assert "has the files that are read" in result.stderr
    assert (tmp_path / "dictionary" / "cfg.json").read_bytes() == before


def test_a_dictionary_that_cannot_be_translated_is_refused(invoke):
    result = invoke("convert", FIXTURES / "sparsify" / "groupmax", "a.safetensors")
    assert result.exit_code == 1
    assert "cfg.json has 'activation' = \"groupmax\": rhohat cannot" in result.stderr


def test_other_models_are_converted_to_files_only(invoke, run, rows, tmp_path):
    run("train", rows, "-o", "network.safetensors", "--hidden", "2", "--max-iter", "2")
    assert run("convert", "network.safetensors", "copy.safetensors") == "wrote copy.safetensors: Pipeline\n"
    assert "cannot be exported" in invoke("convert", "network.safetensors", "new", "--format", "saelens").stderr
    assert not (tmp_path / "new").exists()
