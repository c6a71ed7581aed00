"""Configurations of SAELens: those before version 6, in which all settings stand side by side, as those since then."""

from __future__ import annotations

import re
from typing import Any

from rhohat.models.formats.settings import Settings

__all__ = ["settings_of_any_version"]

_RENAMED = {
    "hook_point": "hook_name",
    "hook_point_head_index": "hook_head_index",
    "activation_fn_str": "activation_fn",
}
#: Settings that a dictionary's numbers depend on, or a training that goes on; some of them are of later versions only.
_OF_NUMBERS = (
    *("architecture", "d_in", "d_sae", "d_out", "dtype", "apply_b_dec_to_input", "normalize_activations", "k"),
    *("reshape_activations", "finetuning_scaling_factor", "device", "rescale_acts_by_decoder_norm"),
    *("lp_norm", "l1_coefficient", "l0_coefficient", "target_l0", "matryoshka_widths", "decoder_init_norm"),
    *("jumprelu_bandwidth", "jumprelu_sparsity_loss_mode"),
)
#: Settings before version 6 that say where a dictionary comes from.
_OF_ORIGIN = (
    *("model_name", "model_class_name", "hook_name", "hook_layer", "hook_head_index", "prepend_bos", "context_size"),
    *("dataset_path", "neuronpedia_id", "seqpos_slice", "model_from_pretrained_kwargs", "hook_name_out"),
    *("hook_layer_out", "hook_head_index_out", "sae_lens_version", "sae_lens_training_version"),
)
_FIRST_NESTED = 6


def settings_of_any_version(found: dict[str, Any], source: str) -> tuple[Settings, tuple[str, ...]]:
    """Return settings as versions of SAELens since 6 have them, and remarks on those that have no place there.

    Parameters
    ----------
    found : dict
        The configuration.
    source : str
        Name of its file, for messages.

    Raises
    ------
    ModelFileError
        If an old configuration asks for something that rhohat does not know.
    """
    metadata = found.get("metadata")
    version = found.get("sae_lens_version") or (
        metadata.get("sae_lens_version") if isinstance(metadata, dict) else None
    )
    number = re.match(r"(\d{1,6})\.", version) if isinstance(version, str) else None
    if number is not None and int(number[1]) >= _FIRST_NESTED:
        return Settings(found, source), ()
    return _nested(found, source)


def _nested(found: dict[str, Any], source: str) -> tuple[Settings, tuple[str, ...]]:
    """Return an old configuration in the form of today."""
    old = Settings({_RENAMED.get(name, name): value for name, value in found.items()}, source)
    known = {name: old.any(name) for name in _OF_NUMBERS if name in old}
    within = old.any("metadata", {})
    origin = {name: old.any(name) for name in _OF_ORIGIN if name in old}
    known["metadata"] = {**within, **origin} if isinstance(within, dict) else within
    known.setdefault("architecture", "standard")
    normalize = known.get("normalize_activations")
    if normalize is None or isinstance(normalize, bool):
        known["normalize_activations"] = "expected_average_only_in" if normalize else "none"
    activation, arguments = old.text("activation_fn", "relu"), old.any("activation_fn_kwargs", None)
    if activation == "topk":
        k = arguments.get("k") if isinstance(arguments, dict) else known.get("k")
        known.update(architecture="topk", k=k)
    elif activation != "relu":
        raise old.unsupported("activation_fn", activation, "rhohat knows 'relu' and 'topk'")
    return Settings(known, source), _remarks(old)


def _remarks(old: Settings) -> tuple[str, ...]:
    """Return a sentence on each group of old settings that do not change what the dictionary computes in use."""
    remarks = []
    noise = old.number("noise_scale", None)
    if noise:
        remarks.append(
            f"It was trained with noise of the scale {noise:g} on pre-activations, which is not added in use."
        )
    old.ignore("dataset_trust_remote_code")
    rest = sorted(old.rest())
    if rest:
        remarks.append(f"Settings of its training that rhohat has no use for: {', '.join(rest)}.")
    return tuple(remarks)
