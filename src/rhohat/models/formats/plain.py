"""Dictionaries in one plain safetensors file, with weights by the names of the field and their meaning beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rhohat.common.exceptions import ModelFileError
from rhohat.models.formats.exchanged import KINDS, ExchangedDictionary
from rhohat.models.formats.safetensors_files import TensorFile, write_tensors
from rhohat.models.formats.settings import Settings

__all__ = ["FILE", "FORMAT", "read_plain", "write_plain"]

FILE = "weights.safetensors"
FORMAT = "rhohat dictionary 1"

#: Attributes of an `ExchangedDictionary` by the names of tensors.
_TENSORS = {
    "W_enc": "encoder",
    "b_enc": "encoder_bias",
    "W_dec": "decoder",
    "b_dec": "decoder_bias",
    "threshold": "thresholds",
    "log_scale": "log_scale",
    "magnitude_bias": "magnitude_bias",
    "W_skip": "skip",
}
_REQUIRED = ("W_enc", "b_enc", "W_dec", "b_dec")
_OF_KIND = {"jumprelu": ("threshold",), "gated": ("log_scale", "magnitude_bias")}
_LONGEST_NUMBER = 2**53


def write_plain(dictionary: ExchangedDictionary, folder: Path, precision: str) -> None:
    """Write `weights.safetensors` into a folder, which any library that knows safetensors reads.

    Parameters
    ----------
    dictionary : ExchangedDictionary
    folder : Path
    precision : str
    """
    named = {name: getattr(dictionary, attribute) for name, attribute in _TENSORS.items()}
    settings = {
        "kind": dictionary.kind,
        "centered": dictionary.centered,
        "normalizes_rows": dictionary.normalizes_rows,
        "transcodes": dictionary.transcodes,
        "k": dictionary.k,
        "threshold": dictionary.threshold,
        "prefixes": None if dictionary.prefixes is None else list(dictionary.prefixes),
        "bandwidth": dictionary.settings.get("bandwidth"),
        "origin": {name: value for name, value in dictionary.origin.items() if name != "format"},
    }
    arrays = {name: array for name, array in named.items() if array is not None}
    write_tensors(folder / FILE, arrays, precision, {"format": FORMAT, "settings": json.dumps(settings)})


def read_plain(path: Path) -> ExchangedDictionary:
    """Return the dictionary in a file that `write_plain` has written.

    Raises
    ------
    ModelFileError
        If the file is damaged, or if its parts do not fit together.
    """
    tensors = TensorFile(path)
    try:
        found = json.loads(tensors.metadata["settings"])
    except (KeyError, ValueError, RecursionError):
        found = None
    if tensors.metadata.get("format") != FORMAT or not isinstance(found, dict):
        raise ModelFileError(f"{path.name} does not say what its weights mean.")
    settings = Settings(found, f"the settings in {path.name}")
    kind = settings.one_of("kind", KINDS)
    has_skip = "W_skip" in tensors
    names = (*_REQUIRED, *_OF_KIND.get(kind, ()), *(("W_skip",) if has_skip else ()))
    bandwidth = settings.number("bandwidth", None)
    origin = settings.any("origin", {})
    weights: dict[str, Any] = {_TENSORS[name]: tensors.take(name) for name in names}
    dictionary = ExchangedDictionary(
        kind,
        **weights,
        centered=settings.flag("centered"),
        normalizes_rows=settings.flag("normalizes_rows"),
        transcodes=settings.flag("transcodes") or has_skip,
        **_counts(kind, settings),
        settings={} if bandwidth is None or kind != "jumprelu" else {"bandwidth": bandwidth},
        origin={"format": FORMAT, **(origin if isinstance(origin, dict) else {})},
    )
    settings.ignore("k", "threshold", "prefixes")
    settings.finish()
    tensors.finish()
    return dictionary


def _counts(kind: str, settings: Settings) -> dict[str, Any]:
    """Return what a kind has beside its tensors."""
    if kind == "topk":
        return {"k": settings.count("k")}
    if kind not in ("batch_topk", "matryoshka"):
        return {}
    parts: dict[str, Any] = {"k": settings.number("k"), "threshold": settings.number("threshold", None)}
    if kind == "matryoshka":
        sizes = settings.any("prefixes")
        if not isinstance(sizes, list) or not all(type(size) is int and 0 < size < _LONGEST_NUMBER for size in sizes):
            raise settings.refused("prefixes", sizes, "a list of positive whole numbers")
        parts["prefixes"] = tuple(sizes)
    return parts
