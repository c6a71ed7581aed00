"""Exported dictionaries are loaded again with the same bits, and work as those that were trained here."""

import json
import warnings

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn.pipeline import make_pipeline

import rhohat
from rhohat.common.exceptions import ModelFileError
from rhohat.models.formats.torch_files import StateDict, TorchFile
from tests.models.formats.fixtures_of import FIXTURES, made_by

_HOW = {"max_iter": 3, "random_state": 0}
UNFITTED = {
    "l1": rhohat.L1Autoencoder(24, sparsity_weight=0.3, **_HOW),
    "topk": rhohat.TopKAutoencoder(24, k=3, **_HOW),
    "l1 not centered": rhohat.L1Autoencoder(24, sparsity_weight=0.3, center=False, **_HOW),
    "topk not centered": rhohat.TopKAutoencoder(24, k=3, center=False, **_HOW),
    "batch topk": rhohat.BatchTopKAutoencoder(24, k=2.5, **_HOW),
    "matryoshka": rhohat.MatryoshkaAutoencoder(24, k=2.5, prefixes=[6, 24], **_HOW),
    "batch topk of 3": rhohat.BatchTopKAutoencoder(24, k=3, **_HOW),
    "matryoshka of 3": rhohat.MatryoshkaAutoencoder(24, k=3, prefixes=[6, 24], **_HOW),
    "jumprelu": rhohat.JumpReLUAutoencoder(24, target_l0=5.0, bandwidth=0.25, **_HOW),
    "gated": rhohat.GatedAutoencoder(24, sparsity_weight=0.3, **_HOW),
    "gated not centered": rhohat.GatedAutoencoder(24, sparsity_weight=0.3, center=False, **_HOW),
    "layer norm": rhohat.TopKAutoencoder(24, k=3, normalize="layer_norm", **_HOW),
    "transcoder": rhohat.Transcoder(rhohat.L1Autoencoder(24, **_HOW)),
    "transcoder of batches": rhohat.Transcoder(rhohat.BatchTopKAutoencoder(24, k=3, **_HOW)),
    "skip transcoder": rhohat.Transcoder(rhohat.JumpReLUAutoencoder(24, **_HOW), skip=True),
    "transcoder of largest": rhohat.Transcoder(rhohat.TopKAutoencoder(24, k=3, **_HOW), skip=True),
}
ROWS = (3 * np.random.default_rng(0).standard_normal((600, 8)) + 1).astype(np.float32)
OUTPUTS = np.maximum(ROWS @ np.random.default_rng(1).standard_normal((8, 8)), 0).astype(np.float32)


@pytest.fixture(scope="module")
def trained():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return {name: model.fit(ROWS, OUTPUTS) for name, model in UNFITTED.items()}


#: What each format has a place for.
SUPPORTED = {
    "saelens": [name for name in UNFITTED if name != "transcoder of largest"],
    "safetensors": list(UNFITTED),
    "sparsify": ["topk", "transcoder of largest"],
    "dictionary_learning": ["l1 not centered", "topk", "batch topk of 3", "matryoshka of 3", "gated"],
}
CASES = [(library, name) for library, names in SUPPORTED.items() for name in names]


def dictionary_of(model):
    return model.dictionary_ if isinstance(model, rhohat.Transcoder) else model


@pytest.mark.parametrize(("library", "name"), CASES)
def test_an_export_is_loaded_with_the_same_bits(library, name, trained, tmp_path):
    model = trained[name]
    rhohat.export(model, tmp_path / "exported", format=library)
    loaded = rhohat.load(tmp_path / "exported")
    assert type(loaded) is type(model)
    assert type(dictionary_of(loaded)) is type(dictionary_of(model))
    for here, there in zip(made_by(model, ROWS), made_by(loaded, ROWS), strict=True):
        assert here.dtype == there.dtype
        np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("sparsify", "topk not centered"),
        ("dictionary_learning", "l1"),
        ("dictionary_learning", "topk not centered"),
        ("dictionary_learning", "jumprelu"),
        ("dictionary_learning", "gated not centered"),
    ],
)
def test_a_bias_that_a_format_treats_in_its_own_way_is_folded(library, name, trained, tmp_path):
    rhohat.export(trained[name], tmp_path, format=library)
    loaded = rhohat.load(tmp_path)
    assert loaded.center != trained[name].center
    for here, there in zip(made_by(trained[name], ROWS), made_by(loaded, ROWS), strict=True):
        np.testing.assert_allclose(there, here, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["l1", "topk", "batch topk", "matryoshka", "jumprelu", "gated", "layer norm"])
def test_a_loaded_dictionary_can_all_that_a_trained_one_can(name, trained, tmp_path):
    rhohat.export(trained[name], tmp_path / "exported", format="saelens")
    model = rhohat.load(tmp_path / "exported")
    assert rhohat.evaluate(model, ROWS).l0 == rhohat.evaluate(trained[name], ROWS).l0
    assert "<html" in rhohat.report(model, ROWS[:50], tmp_path / "report.html")
    rhohat.save(model, tmp_path / "model.safetensors")
    again = rhohat.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(made_by(again, ROWS)[1], made_by(model, ROWS)[1])
    assert again.model_card_.origin == model.model_card_.origin
    before = model.coefs_[1].copy()
    score = model.score(ROWS)
    model.set_params(random_state=0).partial_fit(ROWS)
    assert (model.coefs_[1] != before).any()
    assert model.score(ROWS) > score - 0.05  # it went on, and did not begin anew


@pytest.mark.parametrize(("dtype", "error"), [("float64", 1e-6), ("float16", 2e-2), ("bfloat16", 1e-1)])
def test_weights_are_written_in_the_precision_that_is_asked_for(dtype, error, trained, tmp_path):
    rhohat.export(trained["l1"], tmp_path, format="saelens", dtype=dtype)
    assert json.loads((tmp_path / "cfg.json").read_text())["dtype"] == dtype
    loaded = rhohat.load(tmp_path)
    assert loaded.coefs_[0].dtype == (np.float64 if dtype == "float64" else np.float32)
    np.testing.assert_allclose(made_by(loaded, ROWS)[0], made_by(trained["l1"], ROWS)[0], atol=error, rtol=error)
    if dtype != "bfloat16":  # which NumPy does not know
        assert load_file(tmp_path / "sae_weights.safetensors")["W_enc"].dtype == dtype


def test_a_dictionary_of_float64_stays_one(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = rhohat.TopKAutoencoder(24, k=3, **_HOW).fit(ROWS.astype(np.float64))
    rhohat.export(model, tmp_path, format="safetensors")
    loaded = rhohat.load(tmp_path / "weights.safetensors")
    np.testing.assert_array_equal(made_by(loaded, ROWS)[1], made_by(model, ROWS)[1])
    assert loaded.coefs_[0].dtype == np.float64


def test_where_a_dictionary_comes_from_is_exported(trained, tmp_path):
    model = trained["topk"]
    card = rhohat.ModelCard(origin={"model_name": "gpt2", "hook_name": "blocks.3.hook_resid_pre", "layer": "3"})
    model.model_card_ = card
    try:
        rhohat.export(model, tmp_path / "first", format="saelens")
    finally:
        del model.model_card_
    metadata = json.loads((tmp_path / "first" / "cfg.json").read_text())["metadata"]
    assert metadata["layer"] == 3
    rhohat.export(rhohat.load(tmp_path / "first"), tmp_path / "second", format="safetensors")
    origin = rhohat.load(tmp_path / "second").model_card_.origin
    assert (origin["model_name"], origin["layer"]) == ("gpt2", "3")


@pytest.mark.parametrize(
    ("name", "arguments", "error", "problem"),
    [
        ("topk", {"format": "onnx"}, ValueError, r"format must be .*'safetensors'; got 'onnx'"),
        ("topk", {"format": "saelens", "dtype": "int8"}, ValueError, r"dtype must be 'float64'.*; got 'int8'"),
        ("transcoder of largest", {"format": "saelens"}, ModelFileError, "SAELens has no transcoder"),
        ("l1", {"format": "sparsify"}, ModelFileError, "sparsify has only dictionaries of the k largest latents"),
        ("layer norm", {"format": "sparsify"}, ModelFileError, "sparsify has no dictionaries that normalise each row"),
        ("transcoder", {"format": "dictionary_learning"}, ModelFileError, "dictionary_learning has no transcoders"),
        ("layer norm", {"format": "dictionary_learning"}, ModelFileError, "normalise each row by itself"),
        ("batch topk", {"format": "dictionary_learning"}, ModelFileError, "k must be a whole number"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_before_a_file_is_written(
    name, arguments, error, problem, trained, tmp_path
):
    with pytest.raises(error, match=problem):
        rhohat.export(trained[name], tmp_path / "new", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_only_dictionaries_are_exported(trained, tmp_path):
    network = rhohat.SparseAutoencoder(n_components=2, max_iter=1, random_state=0)
    with pytest.raises(ModelFileError, match=r"only dictionaries.*got SparseAutoencoder"):
        rhohat.export(network, tmp_path, format="saelens")
    pipeline = make_pipeline(rhohat.ActivationScaler(), trained["topk"])
    with pytest.raises(ModelFileError, match="a pipeline cannot be exported"):
        rhohat.export(pipeline, tmp_path, format="saelens")
    with pytest.raises(ValueError, match="is not fitted"):
        rhohat.export(rhohat.TopKAutoencoder(), tmp_path, format="saelens")


def test_a_weight_that_is_too_large_for_the_precision_is_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = rhohat.L1Autoencoder(24, **_HOW).fit(1e6 * ROWS)
    with pytest.raises(ValueError, match=r"has numbers that are too large for float16; use dtype='float32'"):
        rhohat.export(model, tmp_path / "new", format="saelens", dtype="float16")
    assert not (tmp_path / "new").exists()


def test_a_folder_with_nothing_that_is_known_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="no files that rhohat recognises"):
        rhohat.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        rhohat.load(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="must be a folder"):
        rhohat.export(rhohat.TopKAutoencoder(), tmp_path / "file", format="saelens")


@pytest.mark.parametrize("name", ["sae.safetensors", "params.safetensors", "weights.safetensors", "final.safetensors"])
def test_a_model_file_is_one_whatever_its_name(name, trained, tmp_path):
    rhohat.save(trained["topk"], tmp_path / name, note="own")
    assert rhohat.load(tmp_path / name).model_card_.note == "own"


def test_a_threshold_that_is_not_known_yet_stays_so(tmp_path):
    unset = rhohat.load(FIXTURES / "dictionary_learning" / "BatchTopKSAE_unset")
    assert unset.threshold_ is None
    for library in ("dictionary_learning", "safetensors"):
        rhohat.export(unset, tmp_path / library, format=library)
        assert rhohat.load(tmp_path / library).threshold_ is None
    file = TorchFile(tmp_path / "dictionary_learning" / "ae.pt")
    assert StateDict(file, file.content).take("threshold") == -1
