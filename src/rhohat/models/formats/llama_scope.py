"""Dictionaries of Llama Scope: `hyperparams.json` and `checkpoints/final.safetensors`."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rhohat.models.formats.exchanged import ExchangedDictionary
from rhohat.models.formats.safetensors_files import TensorFile
from rhohat.models.formats.settings import Settings, read_settings

__all__ = ["CONFIGURATION", "WEIGHTS", "read_llama_scope"]

CONFIGURATION, WEIGHTS = "hyperparams.json", "checkpoints/final.safetensors"


def read_llama_scope(folder: Path) -> ExchangedDictionary:
    """Return the dictionary in a folder, for activations as the network has them.

    It was trained on activations x whose average norm was made √D, by s = √D / average norm. For activations as they
    are, as its owners do for use: a = x W_enc + b_enc / s; a is compared to the threshold T, which is for activations
    as they are, by a norm of the decoder's row; and W_dec s / s_out, b_dec / s_out decode, with s_out for the outputs.
    At last the rows of the decoder are brought to norm 1, and codes are multiplied by what their norms were.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    ModelFileError
        If the files are damaged, or say something that rhohat cannot translate.
    """
    settings = Settings(read_settings(folder / CONFIGURATION), CONFIGURATION)
    tensors = TensorFile(folder / WEIGHTS)
    kind = settings.text("sae_type", "sae")
    if kind != "sae":
        raise settings.unsupported("sae_type", kind, "rhohat knows 'sae', with one encoder and one decoder")
    if settings.flag("use_glu_encoder", False):
        raise settings.unsupported("use_glu_encoder", True, "rhohat's encoders are linear")
    factor, output_factor = _factors(settings)
    centered = settings.flag("apply_decoder_bias_to_pre_encoder", False)
    has_bias = settings.flag("use_decoder_bias", True)
    decoder = tensors.take("decoder.weight").T
    bias = tensors.take("decoder.bias") if has_bias else np.zeros(decoder.shape[-1:], decoder.dtype)
    if centered and settings.any("hook_point_in", None) != settings.any("hook_point_out", None):
        raise settings.unsupported(
            "apply_decoder_bias_to_pre_encoder", True, "a transcoder's bias of the decoder does not belong to its input"
        )
    places = settings.any("hook_point_in", None), settings.any("hook_point_out", None)
    dictionary = ExchangedDictionary(
        **_selection(settings, decoder.shape[0]),
        encoder=tensors.take("encoder.weight").T,
        decoder=decoder * decoder.dtype.type(factor / output_factor),
        encoder_bias=tensors.take("encoder.bias") / decoder.dtype.type(factor),
        decoder_bias=bias / decoder.dtype.type(output_factor),
        centered=centered,
        transcodes=places[0] != places[1],
        origin={"format": "Llama Scope", **settings.everything()},
    )
    for name, size in (("d_model", dictionary.encoder.shape[0]), ("d_sae", dictionary.n_latents)):
        if settings.count(name, size) != size:
            raise settings.refused(name, settings.any(name), f"{size}, as in the weights")
    tensors.finish()
    if not settings.flag("sparsity_include_decoder_norm", True):
        return dictionary
    norms = dictionary.decoder_norms(smallest=float(np.finfo(dictionary.dtype).tiny))
    return replace(dictionary.with_latents_scaled(norms), thresholds=dictionary.thresholds)


def _selection(settings: Settings, n_latents: int) -> dict[str, Any]:
    """Return the kind of the codes, and its threshold or number of latents."""
    function = settings.text("act_fn", "relu").lower()
    threshold, k = settings.number("jump_relu_threshold", 0.0), settings.count("top_k", None)
    if function == "relu":
        return {"kind": "relu"}
    if function == "jumprelu" or (function == "topk" and threshold > 0):  # TopK with a threshold is used as JumpReLU
        return {"kind": "jumprelu", "thresholds": np.full(n_latents, max(threshold, 0.0), np.float32)}
    if function == "topk":
        return {"kind": "topk", "k": settings.count("top_k") if k is None else k}
    raise settings.unsupported("act_fn", function, "rhohat knows 'relu', 'jumprelu' and 'topk'")


def _factors(settings: Settings) -> tuple[float, float]:
    """Return the factors by which activations were multiplied in the training, of the input and of the output."""
    how = settings.text("norm_activation", "dataset-wise")
    if how == "inference":
        return 1.0, 1.0
    if how != "dataset-wise":
        raise settings.unsupported(
            "norm_activation", how, "rhohat knows 'dataset-wise' and 'inference', and scales no row by its own norm"
        )
    norms = settings.part("dataset_average_activation_norm")
    root, found = math.sqrt(settings.count("d_model")), []
    for name in ("in", "out"):
        norm = norms.number(name)
        if norm <= 0:
            raise norms.refused(name, norm, "a positive number")
        found.append(root / norm)
    return found[0], found[1]
