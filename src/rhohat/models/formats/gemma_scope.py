"""Dictionaries of Gemma Scope: `params.npz`; and of Gemma Scope 2: `params.safetensors` and `config.json`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from rhohat.common.exceptions import ModelFileError
from rhohat.models.formats.exchanged import ExchangedDictionary
from rhohat.models.formats.npz_files import NpzFile
from rhohat.models.formats.safetensors_files import TensorFile
from rhohat.models.formats.settings import Settings, read_settings
from rhohat.models.formats.tensors import Tensors

__all__ = ["CONFIGURATION", "WEIGHTS", "WEIGHTS_2", "read_gemma_scope"]

WEIGHTS, WEIGHTS_2, CONFIGURATION = "params.npz", "params.safetensors", "config.json"
_SKIP = "affine_skip_connection"
_NEAREST = 5  # folders around a file whose names are those of its release
_ARCHITECTURES = ("jump_relu", "jumprelu")


def read_gemma_scope(path: Path) -> ExchangedDictionary:
    """Return the dictionary in a file, whose thresholds are those of JumpReLU.

    It is a transcoder if it has a skip connection, if it has other sizes of output than of input, if its configuration
    names two places of the network, or if it lies in a folder whose name says so.

    Parameters
    ----------
    path : Path
        `params.npz` or `params.safetensors`.

    Raises
    ------
    ModelFileError
        If the file is damaged, or says something that rhohat cannot translate.
    """
    tensors: Tensors = NpzFile(path) if path.suffix == ".npz" else TensorFile(path)
    has_settings = (path.parent / CONFIGURATION).is_file()
    settings = Settings(read_settings(path.parent / CONFIGURATION) if has_settings else {}, CONFIGURATION)
    architecture = settings.text("architecture", _ARCHITECTURES[0])
    if architecture not in _ARCHITECTURES:
        raise settings.unsupported(
            "architecture", architecture, f"rhohat knows {' and '.join(map(repr, _ARCHITECTURES))}"
        )
    encoder, decoder = (_take(tensors, name) for name in ("w_enc", "w_dec"))
    if decoder.ndim == 3:
        raise ModelFileError(
            f"{path.name} has a decoder for each of several layers, of the shape {decoder.shape}; rhohat has no"
            " cross-layer transcoders."
        )
    skip = tensors.take(_SKIP) if _SKIP in tensors else None
    if settings.flag("affine_connection", skip is not None) != (skip is not None):
        raise settings.refused(
            "affine_connection", settings.any("affine_connection"), f"true if, and only if, there is a tensor {_SKIP!r}"
        )
    dictionary = ExchangedDictionary(
        "jumprelu",
        encoder,
        decoder,
        _take(tensors, "b_enc"),
        _take(tensors, "b_dec"),
        centered=False,
        thresholds=np.maximum(_take(tensors, "threshold"), 0),  # codes are of ReLU, so that a negative one is like 0
        skip=skip,
        transcodes=skip is not None or encoder.shape[:1] != decoder.shape[1:] or _is_between_two_places(path, settings),
        origin=_origin(path, settings),
    )
    tensors.finish()
    return dictionary


def _take(tensors: Tensors, name: str) -> Any:
    """Return a tensor whose name may begin with a capital letter."""
    return tensors.take(name if name in tensors else name[0].upper() + name[1:])


def _is_between_two_places(path: Path, settings: Settings) -> bool:
    """Return whether rows are encoded at one place of the network, and made for another one."""
    places = settings.any("hf_hook_point_in", None), settings.any("hf_hook_point_out", None)
    if None not in places:
        return bool(places[0] != places[1])
    return any("transcoder" in folder.name.lower() for folder in list(path.resolve().parents)[:_NEAREST])


def _origin(path: Path, settings: Settings) -> dict[str, Any]:
    """Return where a dictionary comes from: the settings beside it, and what the names of folders say."""
    text = path.resolve().parent.as_posix()
    found: dict[str, Any] = {"format": "Gemma Scope" if path.suffix == ".npz" else "Gemma Scope 2"}
    model = re.search(r"gemma-scope(?:-2)?-(\d+[bm])-(pt|it)(?:-(res|mlp|att|transcoders))?", text)
    if model is not None:
        found["release"] = model[0]
    for name, pattern in (
        ("layer", r"layer_(\d+)"),
        ("width", r"width_(\w+?)(?:/|_|$)"),
        ("average_l0", r"average_l0_(\d+)"),
    ):
        match = re.search(pattern, text)
        if match is not None:
            found[name] = match[1]
    return {**found, **settings.everything()}
