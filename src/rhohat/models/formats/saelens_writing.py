"""Folders that SAELens loads, written for dictionaries of rhohat."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import ModelFileError
from rhohat.common.versions import version_of
from rhohat.models.formats.exchanged import ExchangedDictionary
from rhohat.models.formats.saelens import CONFIGURATION, WEIGHTS
from rhohat.models.formats.safetensors_files import write_tensors
from rhohat.models.formats.texts import write_text

__all__ = ["write_saelens"]

#: Version whose layout is written; SAELens takes a folder without a version for one of before 6.
_VERSION = "6.54.12"

_TRAINED_AS = {"batch_topk": "batchtopk", "matryoshka": "matryoshka_batchtopk"}
_NOT_METADATA = ("format", "architecture", "training_architecture", "training_architecture_details")


def write_saelens(dictionary: ExchangedDictionary, folder: Path, precision: str) -> None:
    """Write `cfg.json` and `sae_weights.safetensors` into a folder.

    Dictionaries with a threshold that all latents share are written as SAELens writes its own, as "jumprelu".

    Parameters
    ----------
    dictionary : ExchangedDictionary
    folder : Path
    precision : str

    Raises
    ------
    ModelFileError
        If SAELens has no such dictionary.
    """
    architecture = _architecture(dictionary)
    arrays = _tensors(dictionary)
    configuration: dict[str, Any] = {
        "d_in": dictionary.encoder.shape[0],
        "d_sae": dictionary.n_latents,
        "dtype": precision,
        "device": "cpu",
        "apply_b_dec_to_input": dictionary.centered,
        "normalize_activations": "layer_norm" if dictionary.normalizes_rows else "none",
        "reshape_activations": "none",
        "metadata": _metadata(dictionary),
        "architecture": architecture,
    }
    if dictionary.transcodes:
        configuration["d_out"] = dictionary.decoder.shape[1]
    if architecture == "topk":
        configuration.update(k=int(dictionary.k or 0), rescale_acts_by_decoder_norm=False)
    write_tensors(folder / WEIGHTS, arrays, precision)
    write_text(folder / CONFIGURATION, json.dumps(configuration, indent=2))


def _architecture(dictionary: ExchangedDictionary) -> str:
    kind = "jumprelu" if dictionary.kind in _TRAINED_AS else dictionary.kind
    if not dictionary.transcodes:
        return {"relu": "standard"}.get(kind, kind)
    if kind not in ("relu", "jumprelu"):
        raise ModelFileError(
            f"SAELens has no transcoder with codes of the kind {kind!r}; only those of L1, JumpReLU, BatchTopK and"
            " Matryoshka dictionaries. format='sparsify' holds transcoders of TopK dictionaries."
        )
    if dictionary.normalizes_rows and dictionary.skip is not None:
        raise ModelFileError(
            "SAELens has no transcoder with a skip connection for rows that are normalised by themselves"
            " (normalize='layer_norm')."
        )
    return f"{'jumprelu_' * (kind == 'jumprelu')}{'skip_' * (dictionary.skip is not None)}transcoder"


def _tensors(dictionary: ExchangedDictionary) -> Mapping[str, FloatArray]:
    """Return the tensors by the names that SAELens has for them."""
    arrays = {"W_enc": dictionary.encoder, "W_dec": dictionary.decoder, "b_dec": dictionary.decoder_bias}
    if dictionary.kind == "gated":
        assert dictionary.magnitude_bias is not None
        assert dictionary.log_scale is not None
        gates = {"b_gate": dictionary.encoder_bias, "b_mag": dictionary.magnitude_bias, "r_mag": dictionary.log_scale}
        return {**arrays, **gates}
    arrays["b_enc"] = dictionary.encoder_bias
    if dictionary.kind in _TRAINED_AS:
        arrays["threshold"] = np.full(dictionary.n_latents, dictionary.threshold or 0.0, dictionary.dtype)
    if dictionary.thresholds is not None:
        arrays["threshold"] = dictionary.thresholds
    if dictionary.skip is not None:
        arrays["W_skip"] = dictionary.skip.T
    return arrays


def _metadata(dictionary: ExchangedDictionary) -> dict[str, Any]:
    """Return where the dictionary comes from, and what it was trained as."""
    known = {name: value for name, value in dictionary.origin.items() if name not in _NOT_METADATA}
    metadata: dict[str, Any] = {**known, "sae_lens_version": _VERSION, "exported_by": f"rhohat {version_of('rhohat')}"}
    if dictionary.kind in _TRAINED_AS:
        details: dict[str, Any] = {"k": dictionary.k}
        if dictionary.prefixes is not None:
            details["matryoshka_widths"] = list(dictionary.prefixes)
        metadata["training_architecture"] = _TRAINED_AS[dictionary.kind]
        metadata["training_architecture_details"] = details
    return metadata
