"""Files of dictionary_learning, sparsify, OpenAI, Gemma Scope and Llama Scope compute what their owners compute."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import rhohat
from rhohat.common.exceptions import ModelFileError
from tests.models.formats import references
from tests.models.formats.fixtures_of import FIXTURES, expected, folders, made_by, precision_of, precision_of_rows

WRITTEN = folders("dictionary_learning", "sparsify", "openai", "scopes")
ROWS = 2 * np.random.default_rng(3).standard_normal((40, 6)).astype(np.float32)
KINDS = {
    "AutoEncoder": "L1Autoencoder",
    "AutoEncoderNew": "L1Autoencoder",
    "GatedAutoEncoder": "GatedAutoencoder",
    "AutoEncoderTopK": "TopKAutoencoder",
    "BatchTopKSAE": "BatchTopKAutoencoder",
    "JumpReluAutoEncoder": "JumpReLUAutoencoder",
    "MatryoshkaBatchTopKSAE": "MatryoshkaAutoencoder",
}


@pytest.mark.parametrize("name", [name for name in WRITTEN if "groupmax" not in name])
def test_what_a_library_wrote_computes_what_the_library_computes(name):
    rows, codes, reconstructions = expected(WRITTEN[name])
    loaded_codes, made = made_by(rhohat.load(WRITTEN[name]), rows)
    assert (codes > 0).any()
    np.testing.assert_allclose(loaded_codes, codes, atol=precision_of(name), rtol=precision_of(name))
    np.testing.assert_allclose(made, reconstructions, atol=precision_of_rows(name), rtol=precision_of_rows(name))


def check(model, reference, error=5e-6):
    for mine, theirs in zip(made_by(model, ROWS), reference, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=error, rtol=error)


def pickled(file):
    """Return what PyTorch reads of a file, with tensors as arrays."""
    torch = pytest.importorskip("torch")
    content = torch.load(file, weights_only=True)
    return {name: one.numpy() if hasattr(one, "numpy") else one for name, one in content.items()}


@pytest.mark.parametrize("name", [name for name in WRITTEN if name.startswith("dictionary_learning")])
def test_dictionary_learning_by_its_description(name):
    folder, kind = WRITTEN[name], name.split("/")[1].split("_")[0]
    content, factor = pickled(folder / "ae.pt"), 1.0
    if "backup" in name:
        content, factor = content["ae"], content["norm_factor"]
    model = rhohat.load(folder)
    assert type(model).__name__ == KINDS[kind]
    check(model, references.dictionary_learning(folder, ROWS, content, kind, factor))
    origin = model.model_card_.origin
    assert (origin["architecture"], origin["lm_name"], origin["layer"]) == (kind, "EleutherAI/pythia-70m", "3")


@pytest.mark.parametrize("name", [name for name in WRITTEN if "sparsify" in name and "groupmax" not in name])
def test_sparsify_by_its_description(name):
    model = rhohat.load(WRITTEN[name])
    assert isinstance(model, rhohat.Transcoder) == ("transcoder" in name or "skip" in name)
    check(model, references.sparsify(WRITTEN[name], ROWS))


@pytest.mark.parametrize("name", [name for name in WRITTEN if "openai" in name])
def test_openai_by_its_description(name):
    check(rhohat.load(WRITTEN[name]), references.openai(ROWS, pickled(WRITTEN[name] / "layer_3.pt")), 1e-4)


@pytest.mark.parametrize("name", [name for name in WRITTEN if "gemma_scope" in name])
def test_gemma_scope_by_its_description(name):
    folder = WRITTEN[name]
    if (folder / "params.npz").exists():
        with np.load(folder / "params.npz") as arrays:
            weights = {key.lower(): arrays[key].astype(np.float64) for key in arrays}
    else:
        weights = references.tensors_of(folder / "params.safetensors")
    model = rhohat.load(folder)
    assert isinstance(model, rhohat.Transcoder) == ("transcoder" in name or "affine" in name)
    check(model, references.gemma_scope(weights, ROWS))
    assert model.model_card_.origin["layer"] == "3"


@pytest.mark.parametrize("name", folders("rhohat"))
def test_plain_files_by_their_description(name):
    folder = FIXTURES / name
    check(rhohat.load(folder), references.plain(folder / "weights.safetensors", ROWS))
    np.testing.assert_allclose(made_by(rhohat.load(folder), expected(folder)[0])[0], expected(folder)[1], atol=1e-6)


def test_llama_scope_by_its_description():
    folder = FIXTURES / "scopes" / "llama_scope"
    check(rhohat.load(folder), references.llama_scope(folder, ROWS))
    check(rhohat.load(folder / "checkpoints" / "final.safetensors"), references.llama_scope(folder, ROWS))


def test_norms_of_llama_scopes_decoder_become_part_of_the_weights(tmp_path):
    shutil.copytree(FIXTURES / "scopes" / "llama_scope", tmp_path / "copy")
    weights = tmp_path / "copy" / "checkpoints" / "final.safetensors"
    arrays = load_file(weights)
    arrays["decoder.weight"] = arrays["decoder.weight"] * (1 + np.arange(12, dtype=np.float32) % 3)
    save_file(arrays, weights)
    check(rhohat.load(tmp_path / "copy"), references.llama_scope(tmp_path / "copy", ROWS))


@pytest.fixture
def changed(tmp_path):
    """Return a function that copies a fixture with changed settings, which may be those of a part."""

    def change(name, file, part=None, **settings):
        folder = tmp_path / "changed"
        shutil.copytree(FIXTURES / name, folder)
        config = json.loads((folder / file).read_text()) if (folder / file).exists() else {}
        (config if part is None else config[part]).update(settings)
        for key in [key for key, value in settings.items() if value == "removed"]:
            del (config if part is None else config[part])[key]
        (folder / file).write_text(json.dumps(config))
        return folder

    return change


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"activation": "groupmax"}, "rhohat cannot take the largest latent of each of k groups"),
        ({"activation": "jumprelu"}, "'activation' must be 'topk'"),
        ({"signed": True}, "its codes may be negative"),
        ({"d_in": 7}, "'d_in' must be 6"),
        ({"num_latents": 13}, "'num_latents' must be 12"),
        ({"num_latents": 0, "expansion_factor": 3}, "'num_latents' must be 12"),
        ({"skip_connection": True}, "lacks the tensor 'W_skip'"),
        ({"transcode": "no"}, "'transcode' must be true or false"),
        ({"k": 13}, "k must be positive, and at most"),
        ({"later_setting": "on"}, "has the setting 'later_setting'"),
    ],
)
def test_settings_of_sparsify_without_a_translation_are_refused(settings, problem, changed):
    with pytest.raises(ModelFileError, match=problem):
        rhohat.load(changed("sparsify/autoencoder", "cfg.json", **settings))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"dict_class": "CrossCoder"}, "'dict_class' must be 'AutoEncoder'"),
        ({"dict_class": "AutoEncoderNew"}, "lacks the tensor 'encoder.weight'"),
        ({"dict_class": "removed"}, "lacks the setting 'dict_class'"),
        ({"k": 4}, "'k' must be 3, as in the weights; got 4"),
        ({"activation_dim": 7}, "'activation_dim' must be 6"),
        ({"dict_size": 13}, "'dict_size' must be 12"),
    ],
)
def test_settings_of_dictionary_learning_that_contradict_the_weights_are_refused(settings, problem, changed):
    folder = changed("dictionary_learning/MatryoshkaBatchTopKSAE", "config.json", part="trainer", **settings)
    with pytest.raises(ModelFileError, match=problem):
        rhohat.load(folder)


def test_weights_of_dictionary_learning_alone_say_their_class_if_only_one_has_their_tensors(tmp_path):
    for kind in ("GatedAutoEncoder", "AutoEncoderTopK"):
        shutil.copy(FIXTURES / "dictionary_learning" / kind / "ae.pt", tmp_path / f"{kind}.pt")
    assert isinstance(rhohat.load(tmp_path / "GatedAutoEncoder.pt"), rhohat.GatedAutoencoder)
    with pytest.raises(ModelFileError, match=r"those of AutoEncoderTopK or BatchTopKSAE; put the config.json"):
        rhohat.load(tmp_path / "AutoEncoderTopK.pt")


def test_a_checkpoint_of_dictionary_learning_has_its_settings_in_the_folder_above(tmp_path):
    folder = FIXTURES / "dictionary_learning" / "AutoEncoderTopK"
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(folder / "config.json", tmp_path)
    shutil.copy(folder / "ae.pt", tmp_path / "checkpoints" / "ae_100.pt")
    model = rhohat.load(tmp_path / "checkpoints" / "ae_100.pt")
    np.testing.assert_allclose(made_by(model, expected(folder)[0])[0], expected(folder)[1], atol=1e-6)


def test_a_threshold_that_codes_do_not_depend_on_is_remarked_on(tmp_path):
    torch = pytest.importorskip("torch")
    folder = FIXTURES / "dictionary_learning" / "AutoEncoderTopK"
    state = torch.load(folder / "ae.pt", weights_only=True)
    state["threshold"] = torch.tensor(0.25)
    torch.save(state, tmp_path / "ae.pt")
    shutil.copy(folder / "config.json", tmp_path)
    assert "Its threshold, 0.25, is left out" in rhohat.load(tmp_path).model_card_.note


def test_a_decoder_that_dictionary_learning_would_scale_is_remarked_on():
    note = rhohat.load(FIXTURES / "dictionary_learning" / "AutoEncoder").model_card_.note
    assert "dictionary_learning scales them to 1 when it loads the file" in note
    assert rhohat.load(FIXTURES / "dictionary_learning" / "AutoEncoderNew").model_card_.note == ""


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"norm_activation": "token-wise"}, "scales no row by its own norm"),
        ({"use_glu_encoder": True}, "rhohat's encoders are linear"),
        ({"sae_type": "crosscoder"}, "with one encoder and one decoder"),
        ({"act_fn": "gelu"}, "rhohat knows 'relu', 'jumprelu' and 'topk'"),
        ({"dataset_average_activation_norm": {"in": 0, "out": 1}}, "'in' must be a positive number; got 0"),
        ({"dataset_average_activation_norm": {"in": 1}}, "lacks the setting 'out'"),
        ({"d_sae": 13}, "'d_sae' must be 12"),
        ({"apply_decoder_bias_to_pre_encoder": True, "hook_point_out": "other"}, "does not belong to its input"),
    ],
)
def test_settings_of_llama_scope_without_a_translation_are_refused(settings, problem, changed):
    with pytest.raises(ModelFileError, match=problem):
        rhohat.load(changed("scopes/llama_scope", "hyperparams.json", **settings))


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"act_fn": "topk", "jump_relu_threshold": 0.0}, rhohat.TopKAutoencoder),
        ({"act_fn": "topk"}, rhohat.JumpReLUAutoencoder),
        ({"act_fn": "relu"}, rhohat.L1Autoencoder),
        ({"hook_point_out": "blocks.3.hook_mlp_out"}, rhohat.Transcoder),
    ],
)
def test_llama_scope_has_several_kinds(settings, kind, changed):
    assert isinstance(rhohat.load(changed("scopes/llama_scope", "hyperparams.json", **settings)), kind)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"architecture": "topk"}, "rhohat knows 'jump_relu'"),
        ({"affine_connection": True}, "true if, and only if, there is a tensor"),
    ],
)
def test_settings_of_gemma_scope_without_a_translation_are_refused(settings, problem, changed):
    with pytest.raises(ModelFileError, match=problem):
        rhohat.load(changed("scopes/gemma_scope_2/layer_3", "config.json", **settings))


def test_decoders_of_several_layers_are_refused(tmp_path):
    made = {"w_enc": (6, 12), "w_dec": (12, 2, 6), "b_enc": (12,), "b_dec": (6,), "threshold": (12,)}
    np.savez(tmp_path / "params.npz", **{name: np.ones(shape, np.float32) for name, shape in made.items()})
    with pytest.raises(ModelFileError, match="a decoder for each of several layers"):
        rhohat.load(tmp_path)


def test_an_archive_that_would_be_far_larger_when_unpacked_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "params.npz", w_enc=np.zeros((2**12, 2**13), np.float32))
    with pytest.raises(ModelFileError, match="far larger when it is unpacked"):
        rhohat.load(tmp_path)


def test_activations_of_openai_without_a_translation_are_refused(tmp_path):
    torch = pytest.importorskip("torch")
    state = torch.load(FIXTURES / "openai" / "topk" / "layer_3.pt", weights_only=True)
    for changes, problem in (
        ({"activation": "Identity"}, "rhohat knows 'ReLU' and 'TopK'"),
        ({"activation_state_dict": {"k": 3, "postact_fn": "Identity"}}, "codes would be negative"),
        ({"activation.k": 4}, "'activation.k' must be 3, as in 'activation_state_dict'; got 4"),
        ({"more": torch.ones(3)}, "tensors that rhohat does not know"),
    ):
        torch.save(dict(state) | changes, tmp_path / "layer.pt")
        with pytest.raises(ModelFileError, match=problem):
            rhohat.load(tmp_path / "layer.pt")


def test_a_factor_of_rows_is_only_for_saelens():
    with pytest.raises(ModelFileError, match="activation_scale is for folders of SAELens"):
        rhohat.load(FIXTURES / "sparsify" / "autoencoder", activation_scale=2.0)


def test_a_folder_of_several_hook_points_names_them(tmp_path):
    shutil.copytree(FIXTURES / "sparsify" / "autoencoder", tmp_path / "run" / "layers.3")
    with pytest.raises(ModelFileError, match=r"It has folders, such as layers\.3: name one of them"):
        rhohat.load(tmp_path / "run")
