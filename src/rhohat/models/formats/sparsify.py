"""Dictionaries of sparsify: `cfg.json` and `sae.safetensors`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import ModelFileError
from rhohat.models.formats.exchanged import ExchangedDictionary
from rhohat.models.formats.safetensors_files import TensorFile, write_tensors
from rhohat.models.formats.settings import Settings, read_settings
from rhohat.models.formats.texts import write_text

__all__ = ["CONFIGURATION", "WEIGHTS", "read_sparsify", "write_sparsify"]

CONFIGURATION, WEIGHTS = "cfg.json", "sae.safetensors"
_DEFAULT_EXPANSION, _DEFAULT_K = 32, 32
_OF_TRAINING = ("normalize_decoder", "multi_topk", "expansion_factor")
_NOT_ORIGIN = ("activation", "num_latents", "k", "skip_connection", "transcode", "d_in", "signed", "format")


def read_sparsify(folder: Path) -> ExchangedDictionary:
    """Return the dictionary of a hook point.

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
    activation = settings.text("activation", "topk")
    if activation == "groupmax":
        raise settings.unsupported(
            "activation", activation, "rhohat cannot take the largest latent of each of k groups"
        )
    if activation != "topk":
        raise settings.refused("activation", activation, "'topk'")
    if settings.flag("signed", False):
        raise settings.unsupported("signed", True, "its codes may be negative, and those of rhohat never are")
    transcodes, has_skip = settings.flag("transcode", False), settings.flag("skip_connection", False)
    bias = tensors.take("encoder.bias")
    remarks: tuple[str, ...] = ()
    if has_skip and not transcodes:
        bias, remarks = _bias_of_transcoder(tensors, bias)
    dictionary = ExchangedDictionary(
        "topk",
        tensors.take("encoder.weight").T,
        tensors.take("W_dec"),
        bias,
        tensors.take("b_dec"),
        centered=not transcodes and not has_skip,
        k=settings.count("k", _DEFAULT_K),
        skip=tensors.take("W_skip").T if has_skip else None,
        transcodes=transcodes or has_skip,
        origin={"format": "sparsify", "hookpoint": folder.resolve().name, **_origin(settings)},
        remarks=remarks,
    )
    _check_sizes(settings, dictionary)
    settings.ignore(*_OF_TRAINING, "exported_by")
    settings.finish()
    tensors.finish()
    return dictionary


def write_sparsify(dictionary: ExchangedDictionary, folder: Path, precision: str) -> None:
    """Write `cfg.json` and `sae.safetensors` into a folder.

    Parameters
    ----------
    dictionary : ExchangedDictionary
        A TopK autoencoder or transcoder. An autoencoder that does not subtract b_dec from rows is given other biases of
        latents, because sparsify always does.
    folder : Path
    precision : str

    Raises
    ------
    ModelFileError
        If sparsify has no such dictionary.
    """
    if dictionary.kind != "topk":
        raise ModelFileError(
            f"sparsify has only dictionaries of the k largest latents, TopKAutoencoder; this one is of the kind"
            f" {dictionary.kind!r}. Use format='saelens'."
        )
    if dictionary.normalizes_rows:
        raise ModelFileError(
            "sparsify has no dictionaries that normalise each row by itself (normalize='layer_norm'); use"
            " format='saelens'."
        )
    n_features, n_outputs = dictionary.encoder.shape[0], dictionary.decoder.shape[1]
    if n_features != n_outputs:
        raise ModelFileError(
            f"transcoders of sparsify have as many outputs as features; this one has {n_features} features and"
            f" {n_outputs} outputs."
        )
    written = dictionary if dictionary.transcodes else dictionary.centering(centered=True)
    arrays = {
        "encoder.weight": written.encoder.T,
        "encoder.bias": written.encoder_bias,
        "W_dec": written.decoder,
        "b_dec": written.decoder_bias,
    }
    if written.skip is not None:
        arrays["W_skip"] = written.skip.T
    configuration = {
        "activation": "topk",
        "expansion_factor": max(1, written.n_latents // n_features),
        "normalize_decoder": False,
        "num_latents": written.n_latents,
        "k": int(written.k or 0),
        "multi_topk": False,
        "skip_connection": written.skip is not None,
        "transcode": written.transcodes,
        "d_in": n_features,
    }
    write_tensors(folder / WEIGHTS, arrays, precision)
    write_text(folder / CONFIGURATION, json.dumps(configuration))


def _check_sizes(settings: Settings, dictionary: ExchangedDictionary) -> None:
    """Raise ModelFileError if the settings have other sizes than the weights."""
    n_features, n_latents = dictionary.encoder.shape
    said = settings.any("num_latents", 0)
    if said in (0, None):
        said = settings.count("d_in") * settings.count("expansion_factor", _DEFAULT_EXPANSION)
    if settings.count("d_in") != n_features:
        raise settings.refused("d_in", settings.any("d_in"), f"{n_features}, as in the tensor 'encoder.weight'")
    if said != n_latents:
        raise settings.refused("num_latents", said, f"{n_latents}, as in the tensor 'encoder.weight'")


def _bias_of_transcoder(tensors: TensorFile, bias: FloatArray) -> tuple[FloatArray, tuple[str, ...]]:
    """Return the bias with which an autoencoder with a skip connection encodes rows as they are, and a remark."""
    encoder = tensors.take("encoder.weight")
    change = encoder.astype(np.float64) @ tensors.take("b_dec")
    remark = "An autoencoder with a skip connection is a Transcoder here, whose outputs are the rows themselves."
    return (bias - change).astype(encoder.dtype), (remark,)


def _origin(settings: Settings) -> dict[str, Any]:
    """Return the settings of the training that are kept as texts."""
    return {name: value for name, value in settings.everything().items() if name not in _NOT_ORIGIN}
