"""Folders that dictionary_learning loads, written for dictionaries of rhohat."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.exceptions import ModelFileError
from rhohat.common.versions import version_of
from rhohat.models.formats.dictionary_learning import CLASSES, CONFIGURATION, WEIGHTS
from rhohat.models.formats.exchanged import ExchangedDictionary
from rhohat.models.formats.texts import write_text
from rhohat.models.formats.torch_writing import write_state_dict

__all__ = ["write_dictionary_learning"]

_UNKNOWN_THRESHOLD = -1.0
#: Settings of the origin, by the names that dictionary_learning has for them; the first that is known is written.
_ORIGIN = {
    "lm_name": ("lm_name", "model_name"),
    "layer": ("layer", "hook_layer"),
    "submodule_name": ("submodule_name", "hook_name"),
}


def write_dictionary_learning(dictionary: ExchangedDictionary, folder: Path, precision: str) -> None:
    """Write `config.json` and `ae.pt` into a folder.

    Where a class subtracts the bias of the decoder from rows and the dictionary does not, or the other way round, the
    biases of latents are changed so that codes stay what they are.

    Parameters
    ----------
    dictionary : ExchangedDictionary
    folder : Path
    precision : str

    Raises
    ------
    ModelFileError
        If dictionary_learning has no such dictionary.
    """
    name = _class_of(dictionary)
    layout = CLASSES[name]
    written = dictionary.centering(layout.centered)
    arrays: dict[str, NDArray[Any]] = dict(zip(layout.matrices, (written.encoder, written.decoder), strict=True))
    if layout.is_transposed:
        arrays = {matrix: array.T for matrix, array in arrays.items()}
    arrays |= {layout.encoder_bias: written.encoder_bias, layout.decoder_bias: written.decoder_bias}
    arrays |= _own_parts(written)
    trainer: dict[str, Any] = {
        "dict_class": name,
        "activation_dim": written.encoder.shape[0],
        "dict_size": written.n_latents,
        **({} if written.k is None else {"k": int(written.k)}),
        **_origin(written.origin),
        "exported_by": f"rhohat {version_of('rhohat')}",
    }
    write_state_dict(folder / WEIGHTS, arrays, precision)
    write_text(folder / CONFIGURATION, json.dumps({"trainer": trainer}, indent=4))


def _class_of(dictionary: ExchangedDictionary) -> str:
    """Return the class that computes the same; raise ModelFileError if there is none."""
    if dictionary.transcodes:
        raise ModelFileError("dictionary_learning has no transcoders; use format='saelens' or 'sparsify'.")
    if dictionary.normalizes_rows:
        raise ModelFileError(
            "dictionary_learning has no dictionaries that normalise each row by itself (normalize='layer_norm'); use"
            " format='saelens'."
        )
    if dictionary.k is not None and dictionary.k != int(dictionary.k):
        raise ModelFileError(
            f"k must be a whole number in dictionary_learning; that of the dictionary is {dictionary.k:g}. Use"
            " format='saelens'."
        )
    if dictionary.kind == "relu":  # AutoEncoder scales the rows of its decoder to norm 1 when it is loaded
        norms = np.linalg.norm(dictionary.decoder, axis=1)
        return "AutoEncoder" if dictionary.centered and np.allclose(norms, 1, rtol=1e-6, atol=0) else "AutoEncoderNew"
    return next(name for name, layout in CLASSES.items() if layout.kind == dictionary.kind)


def _own_parts(dictionary: ExchangedDictionary) -> dict[str, NDArray[Any]]:
    """Return the tensors that a class has beside two weights and two biases."""
    if dictionary.kind == "gated":
        assert dictionary.log_scale is not None
        assert dictionary.magnitude_bias is not None
        return {"r_mag": dictionary.log_scale, "mag_bias": dictionary.magnitude_bias}
    if dictionary.thresholds is not None:
        return {"threshold": dictionary.thresholds}
    if dictionary.k is None:
        return {}
    threshold = _UNKNOWN_THRESHOLD if dictionary.threshold is None else dictionary.threshold
    parts: dict[str, NDArray[Any]] = {
        "k": np.array(int(dictionary.k), np.int32),
        "threshold": np.array(threshold, np.float32),
    }
    if dictionary.prefixes is not None:
        parts["group_sizes"] = np.diff([0, *dictionary.prefixes]).astype(np.int64)
    return parts


def _origin(origin: dict[str, Any]) -> dict[str, Any]:
    """Return where the dictionary comes from, by the names of dictionary_learning."""
    found = {name: [origin[one] for one in others if one in origin] for name, others in _ORIGIN.items()}
    return {name: values[0] for name, values in found.items() if values}
