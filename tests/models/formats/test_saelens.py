"""Folders of SAELens: what its versions wrote is loaded to the same numbers, and what has no place here is refused."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import rhohat
from rhohat.common.exceptions import ModelFileError
from tests.models.formats import references
from tests.models.formats.fixtures_of import FIXTURES, expected, folders, made_by, precision_of, precision_of_rows

WRITTEN = folders("saelens", "saelens-3.22.2", "saelens-5.11.0")
KINDS = {
    "standard": "L1Autoencoder",
    "gated": "GatedAutoencoder",
    "jumprelu": "JumpReLUAutoencoder",
    "topk": "TopKAutoencoder",
    "batchtopk": "BatchTopKAutoencoder",
    "matryoshka_batchtopk": "MatryoshkaAutoencoder",
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_saelens_wrote_computes_what_saelens_computes(name):
    rows, codes, reconstructions = expected(WRITTEN[name])
    loaded_codes, made = made_by(rhohat.load(WRITTEN[name]), rows)
    assert (codes > 0).any()
    np.testing.assert_allclose(loaded_codes, codes, atol=precision_of(name), rtol=precision_of(name))
    np.testing.assert_allclose(made, reconstructions, atol=precision_of_rows(name), rtol=precision_of_rows(name))


@pytest.mark.parametrize("name", WRITTEN)
def test_loaded_dictionaries_compute_what_the_description_says(name):
    rows = 2 * np.random.default_rng(3).standard_normal((40, 6)).astype(np.float32)
    codes, reconstructions = references.saelens(WRITTEN[name], rows)
    loaded_codes, made = made_by(rhohat.load(WRITTEN[name]), rows)
    np.testing.assert_allclose(loaded_codes, codes, atol=5e-6, rtol=5e-6)
    np.testing.assert_allclose(made, reconstructions, atol=1e-4 if "layer_norm" in name else 5e-6, rtol=5e-6)


@pytest.mark.parametrize("name", [name for name in WRITTEN if "trained" in name and "scaled" not in name])
def test_the_form_of_training_and_that_of_use_become_the_same_estimator(name):
    architecture = name.split("trained_")[1].split("/")[0].removesuffix("_plain")
    model = rhohat.load(WRITTEN[name])
    assert type(model).__name__ == KINDS[architecture]
    if "batchtopk" in architecture:
        assert model.k == 2.5
        assert model.threshold_ == pytest.approx(0.4)
    if architecture.startswith("matryoshka"):
        assert model.prefixes == (3, 6, 12)


def test_the_weight_of_a_penalty_is_halved_as_the_error_is():
    trained = FIXTURES / "saelens" / "trained_standard" / "training"
    assert rhohat.load(trained).sparsity_weight == 1.5
    jumprelu = rhohat.load(FIXTURES / "saelens" / "trained_jumprelu" / "training")
    assert (jumprelu.sparsity_weight, jumprelu.bandwidth, jumprelu.target_l0) == (1.0, 0.1, None)


def test_the_card_says_where_a_dictionary_comes_from():
    origin = rhohat.load(FIXTURES / "saelens" / "topk").model_card_.origin
    assert (origin["format"], origin["architecture"]) == ("SAELens", "topk")
    assert (origin["model_name"], origin["hook_name"]) == ("gpt2", "blocks.3.hook_resid_pre")
    old = rhohat.load(FIXTURES / "saelens-3.22.2" / "topk").model_card_.origin
    assert (old["model_name"], old["hook_layer"]) == ("gpt2-small", "3")


def test_a_file_of_the_folder_stands_for_the_folder():
    folder = FIXTURES / "saelens" / "topk"
    rows, codes, _ = expected(folder)
    for file in ("cfg.json", "sae_weights.safetensors"):
        np.testing.assert_allclose(made_by(rhohat.load(folder / file), rows)[0], codes, atol=1e-6)


@pytest.fixture
def changed(tmp_path):
    """Return a function that copies a fixture with changed settings and tensors."""

    def change(name, tensors=None, **settings):
        folder = tmp_path / "changed"
        shutil.copytree(FIXTURES / name, folder)
        config = json.loads((folder / "cfg.json").read_text()) | settings
        config = {key: value for key, value in config.items() if value != "removed"}
        (folder / "cfg.json").write_text(json.dumps(config))
        weights = folder / "sae_weights.safetensors"
        found = load_file(weights) | (tensors or {})
        save_file({key: value for key, value in found.items() if value is not None}, weights)
        return folder

    return change


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"architecture": "abstopk"}, r"'architecture' = \"abstopk\": it selects pre-activations by their magnitude"),
        ({"architecture": "temporal"}, "it looks at several positions"),
        ({"architecture": "matching_pursuit"}, "selects latents one after the other"),
        ({"architecture": "vae"}, "'architecture' must be 'standard'"),
        ({"normalize_activations": "constant_norm_rescale"}, "rhohat does not scale each row to the same norm"),
        ({"normalize_activations": "covariance_whitening"}, "which folds it into them"),
        ({"normalize_activations": "expected_average_only_in"}, "Give it as activation_scale"),
        ({"normalize_activations": "other"}, "'normalize_activations' must be 'none'"),
        ({"apply_b_dec_to_input": "yes"}, "'apply_b_dec_to_input' must be true or false; got \"yes\""),
        ({"a_new_setting": 3}, "has the setting 'a_new_setting' = 3, which rhohat does not know"),
        ({"finetuning_scaling_factor": "no"}, "must be true or false"),
        ({"d_in": 7}, "'d_in' must be 6, as in the tensor 'W_enc'; got 7"),
        ({"d_sae": 13}, "'d_sae' must be 12"),
        ({"dtype": "int8"}, "'dtype' must be 'float32'"),
        ({"reshape_activations": "images"}, "'reshape_activations' must be 'none' or 'hook_z'"),
        ({"k": 13}, "k must be positive, and at most the number of latents, 12; got 13"),
        ({"k": 2.5}, "'k' must be a positive whole number; got 2.5"),
        ({"k": "removed"}, "lacks the setting 'k'"),
        ({"metadata": 3}, "'metadata' must be an object"),
    ],
)
def test_settings_without_a_translation_are_refused_by_name(settings, problem, changed):
    if "metadata" in settings:  # which says the version as well
        settings = {**settings, "sae_lens_version": "6.0.0"}
    folder = changed("saelens/topk", **settings)
    with pytest.raises(ModelFileError, match=f"{folder} cannot be loaded: .*{problem}"):
        rhohat.load(folder)


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({"W_more": np.ones(3, np.float32)}, "tensors that rhohat does not know.*'W_more'"),
        ({"b_enc": None}, "lacks the tensor 'b_enc'; it has 'W_dec', 'W_enc', 'b_dec'"),
        ({"b_dec": np.ones(5, np.float32)}, r"the decoder bias has the shape \(5,\), but must have \(6,\)"),
        ({"b_enc": np.full(12, np.nan, np.float32)}, "numbers that are not finite"),
        ({"scaling_factor": np.full(12, 2, np.float32)}, "the setting says that they are not used"),
        ({"W_enc": np.ones(12, np.float32)}, "must have two axes"),
    ],
)
def test_tensors_that_do_not_belong_to_the_dictionary_are_refused(tensors, problem, changed):
    with pytest.raises(ModelFileError, match=problem):
        rhohat.load(changed("saelens/topk", tensors))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"activation_fn_str": "tanh-relu"}, "'activation_fn' = \"tanh-relu\": rhohat knows 'relu' and 'topk'"),
        ({"activation_fn_str": "topk", "activation_fn_kwargs": {}}, "'k' must be a positive whole number; got null"),
        ({"normalize_activations": True}, "Give it as activation_scale"),
    ],
)
def test_old_settings_without_a_translation_are_refused_by_name(settings, problem, changed):
    with pytest.raises(ModelFileError, match=problem):
        rhohat.load(changed("saelens-3.22.2/standard", **settings))


def test_old_settings_of_the_training_are_remarked_on(changed):
    folder = changed("saelens-3.22.2/standard", noise_scale=0.5, lr=3e-4, normalize_activations="removed")
    note = rhohat.load(folder).model_card_.note
    assert "noise of the scale 0.5" in note
    assert "lr" in note


def test_factors_of_latents_that_are_all_1_are_left_out(changed):
    factors = {"scaling_factor": np.ones(12, np.float32)}
    folder = changed("saelens-3.22.2/standard", factors, activation_fn_str="relu")
    rows, codes, _ = expected(folder)
    np.testing.assert_allclose(made_by(rhohat.load(folder), rows)[0], codes, atol=1e-6)


def test_the_factor_of_the_rows_can_be_given():
    folder = FIXTURES / "saelens" / "trained_scaled" / "training"
    rows, codes, made = expected(folder)
    with pytest.raises(ValueError, match="activation_scale must be a positive number; got -1"):
        rhohat.load(folder, activation_scale=-1)
    half = made_by(rhohat.load(folder, activation_scale=0.85), 2 * rows)  # instead of 1.7, as the folder has it
    np.testing.assert_allclose(half[0], 2 * codes, atol=1e-5)
    np.testing.assert_allclose(half[1], 2 * made, atol=1e-5)


def test_a_factor_that_nothing_needs_is_refused():
    with pytest.raises(ValueError, match="activation_scale belongs to"):
        rhohat.load(FIXTURES / "saelens" / "topk", activation_scale=2.0)


def test_a_transcoder_of_scaled_rows_is_refused(changed):
    folder = changed("saelens/transcoder", normalize_activations="expected_average_only_in")
    with pytest.raises(ModelFileError, match="by which factor the outputs of a transcoder were multiplied"):
        rhohat.load(folder, activation_scale=2.0)


def test_a_configuration_without_a_version_keeps_all_that_numbers_depend_on(changed):
    folder = changed("saelens/topk_by_norms", metadata={"hook_name": "here"})
    rows, codes, _ = expected(folder)
    model = rhohat.load(folder)
    np.testing.assert_allclose(made_by(model, rows)[0], codes, atol=2e-6)
    assert model.model_card_.origin["hook_name"] == "here"


def test_logarithms_of_thresholds_are_those_of_versions_before_6_48(changed):
    folder = FIXTURES / "saelens" / "trained_jumprelu" / "training"
    thresholds = load_file(folder / "sae_weights.safetensors")["threshold"]
    other = changed("saelens/trained_jumprelu/training", {"threshold": None, "log_threshold": np.log(thresholds)})
    np.testing.assert_allclose(rhohat.load(other).thresholds_, thresholds, rtol=1e-6)


def test_a_negative_threshold_is_like_0(changed):
    below = np.full(12, -0.5, np.float32)
    folder = changed("saelens/jumprelu", {"threshold": below})
    rows = expected(folder)[0]
    codes, made = made_by(rhohat.load(folder), rows)
    np.testing.assert_allclose(codes, references.saelens(folder, rows)[0], atol=1e-6)
    np.testing.assert_allclose(made, references.saelens(folder, rows)[1], atol=1e-6)
