"""Dictionaries of dictionary_learning: `ae.pt` with the weights, and `config.json` with settings of the training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import ModelFileError
from rhohat.models.formats.exchanged import ExchangedDictionary
from rhohat.models.formats.settings import Settings, read_settings
from rhohat.models.formats.torch_files import StateDict, TorchFile

__all__ = ["CLASSES", "CONFIGURATION", "WEIGHTS", "read_dictionary_learning"]

CONFIGURATION, WEIGHTS = "config.json", "ae.pt"
_CHECKPOINTS = "checkpoints"
_OF_BACKUPS = {"step", "ae", "optimizer"}
_MOST_LATENTS = 2**40
_UNIT_NORM = 1e-4  # largest difference of a norm from 1 that is rounding
_SCALED_WHEN_LOADED = (
    "Its decoder has rows of other norms than 1. dictionary_learning scales them to 1 when it loads the file, so that"
    " its codes are larger by these norms; here they are as the weights give them."
)


@dataclass(frozen=True)
class Layout:
    """What a class of dictionary_learning calls its tensors, and what they mean.

    Attributes
    ----------
    kind : str
        See `ExchangedDictionary`.
    encoder_bias, decoder_bias : str
    centered : bool
        Whether the decoder's bias is subtracted from rows before they are encoded.
    matrices : tuple of two str
        Weights of the encoder and of the decoder.
    is_transposed : bool
        Whether they are those of linear layers of PyTorch, with outputs by inputs.
    """

    kind: str
    encoder_bias: str
    decoder_bias: str
    centered: bool
    matrices: tuple[str, str] = ("encoder.weight", "decoder.weight")
    is_transposed: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all tensors."""
        return (*self.matrices, self.encoder_bias, self.decoder_bias, *_OWN[self.kind])


#: Tensors of each kind beside two weights and two biases.
_OWN: dict[str, tuple[str, ...]] = {
    "relu": (),
    "gated": ("r_mag", "mag_bias"),
    "topk": ("k", "threshold"),
    "batch_topk": ("k", "threshold"),
    "matryoshka": ("k", "threshold", "group_sizes"),
    "jumprelu": ("threshold",),
}
_PLAIN: dict[str, Any] = {"matrices": ("W_enc", "W_dec"), "is_transposed": False}
#: The classes, by the names that configurations have for them.
CLASSES = {
    "AutoEncoder": Layout("relu", "encoder.bias", "bias", centered=True),
    "AutoEncoderNew": Layout("relu", "encoder.bias", "decoder.bias", centered=False),
    "GatedAutoEncoder": Layout("gated", "gate_bias", "decoder_bias", centered=True),
    "AutoEncoderTopK": Layout("topk", "encoder.bias", "b_dec", centered=True),
    "BatchTopKSAE": Layout("batch_topk", "encoder.bias", "b_dec", centered=True),
    "JumpReluAutoEncoder": Layout("jumprelu", "b_enc", "b_dec", centered=False, **_PLAIN),
    "MatryoshkaBatchTopKSAE": Layout("matryoshka", "b_enc", "b_dec", centered=True, **_PLAIN),
}


def read_dictionary_learning(path: Path, file: TorchFile | None = None) -> ExchangedDictionary:
    """Return the dictionary in a folder of a training, or in a file of weights of one.

    Parameters
    ----------
    path : Path
        The folder `trainer_i`; or `ae.pt` in it, or a file in its folder `checkpoints`.
    file : TorchFile, default=None
        The file of weights, if it has been opened before.

    Raises
    ------
    ModelFileError
        If the files are damaged, or say something that rhohat cannot translate.
    """
    weights = path / WEIGHTS if path.is_dir() else path
    file = TorchFile(weights) if file is None else file
    settings = _settings(weights, file.content)
    found, factor = _state(file.content)
    tensors = StateDict(file, found)
    if tensors.others:
        names = ", ".join(map(repr, tensors.others))
        raise ModelFileError(f"{file.name} has entries that are no tensors: {names[:200]}.")
    name = _class_of(tensors) if settings is None else settings.one_of("dict_class", tuple(CLASSES))
    dictionary = _dictionary(name, tensors, factor, settings or Settings({}, CONFIGURATION))
    tensors.finish()
    if settings is not None:
        for key, size in (("activation_dim", dictionary.encoder.shape[0]), ("dict_size", dictionary.n_latents)):
            if settings.count(key, size) != size:
                raise settings.refused(key, settings.any(key), f"{size}, as in the weights")
    return dictionary


def _settings(weights: Path, content: Any) -> Settings | None:
    """Return the settings of the training, from the file beside the weights or from a backup; None without any."""
    folder = weights.parent.parent if weights.parent.name == _CHECKPOINTS else weights.parent
    if (folder / CONFIGURATION).is_file():
        return Settings(read_settings(folder / CONFIGURATION), CONFIGURATION).part("trainer")
    if _is_backup(content) and isinstance(content.get("config"), dict):
        return Settings(content["config"], f"the config in {weights.name}")
    return None


def _is_backup(content: Any) -> bool:
    return isinstance(content, dict) and content.keys() >= _OF_BACKUPS


def _state(content: Any) -> tuple[Any, float]:
    """Return the state dict, and the factor by which rows were divided and biases have not been multiplied yet."""
    if not _is_backup(content):
        return content, 1.0
    factor = content.get("norm_factor")
    if factor is None:
        return content["ae"], 1.0
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < np.inf:
        raise ModelFileError("the norm_factor of a backup must be a positive number.")
    return content["ae"], float(factor)


def _class_of(tensors: StateDict) -> str:
    """Return the class whose tensors these are; that of two classes with the same ones is not known."""
    fitting = [name for name, layout in CLASSES.items() if set(layout.names) == set(tensors.names)]
    if len(fitting) > 1:
        raise ModelFileError(
            f"the weights may be those of {' or '.join(fitting)}; put the {CONFIGURATION} of the training beside them,"
            " which says of which."
        )
    if not fitting:
        raise ModelFileError(
            f"{tensors.source} has tensors of no dictionary that rhohat knows: {', '.join(tensors.names)[:200]}."
        )
    return fitting[0]


def _dictionary(name: str, tensors: StateDict, factor: float, settings: Settings) -> ExchangedDictionary:
    """Return the dictionary of a class; biases and thresholds are multiplied by a factor, as the class does itself."""
    layout = CLASSES[name]
    encoder, decoder = (tensors.take(matrix) for matrix in layout.matrices)
    if layout.is_transposed:
        encoder, decoder = encoder.T, decoder.T
    return ExchangedDictionary(
        layout.kind,
        encoder,
        decoder,
        factor * tensors.take(layout.encoder_bias),
        factor * tensors.take(layout.decoder_bias),
        centered=layout.centered,
        **_own_parts(name, tensors, decoder, factor, settings),
        settings=_settings_of_training(layout.kind, settings),
        origin=_origin(name, settings),
    )


def _own_parts(name: str, tensors: StateDict, decoder: FloatArray, factor: float, settings: Settings) -> dict[str, Any]:
    """Return what a class has beside two weights and two biases, and remarks on it."""
    kind = CLASSES[name].kind
    if kind == "gated":
        return {"log_scale": tensors.take("r_mag"), "magnitude_bias": factor * tensors.take("mag_bias")}
    if kind == "jumprelu":
        return {"thresholds": np.maximum(factor * tensors.take("threshold"), 0)}
    if kind == "relu":
        norms = np.linalg.norm(decoder, axis=1)
        scaled = name == "AutoEncoder" and np.abs(norms - 1).max(initial=0) > _UNIT_NORM
        return {"remarks": (_SCALED_WHEN_LOADED,)} if scaled else {}
    k, threshold = _scalar(tensors, "k"), factor * _scalar(tensors, "threshold")
    if settings.number("k", k) != k:
        raise settings.refused("k", settings.any("k"), f"{k:g}, as in the weights")
    if kind == "topk":
        unused = (
            f"Its threshold, {threshold:g}, is left out, since only codes that are made with use_threshold=True depend"
            " on it."
        )
        return {"k": k, "remarks": (unused,) if threshold >= 0 else ()}
    parts: dict[str, Any] = {"k": k, "threshold": threshold if threshold >= 0 else None}  # it is -1 before it is known
    return {**parts, "prefixes": _prefixes(tensors.take("group_sizes"))} if kind == "matryoshka" else parts


def _scalar(tensors: StateDict, name: str) -> float:
    """Return a tensor that is one finite number."""
    array = tensors.take(name)
    if array.size != 1 or not np.isfinite(array).all():
        raise ModelFileError(f"the tensor {name!r} must be one finite number; its shape is {array.shape}.")
    return float(array.ravel()[0])


def _prefixes(sizes: FloatArray) -> tuple[int, ...]:
    """Return the sizes of nested dictionaries of the sizes of groups."""
    if sizes.ndim != 1 or not sizes.size or not ((sizes >= 1) & (sizes < _MOST_LATENTS)).all():
        raise ModelFileError("group_sizes must be positive whole numbers.")
    return tuple(int(size) for size in np.cumsum(sizes))


def _settings_of_training(kind: str, settings: Settings) -> dict[str, Any]:
    """Return parameters with which a training goes on: weights are halved, since ½ stands before the error here."""
    l1, l0 = settings.number("l1_penalty", None), settings.number("sparsity_penalty", None)
    if kind in ("relu", "gated") and l1 is not None and l1 >= 0:
        return {"sparsity_weight": l1 / 2}
    if kind != "jumprelu":
        return {}
    found: dict[str, Any] = {}
    bandwidth, target = settings.number("bandwidth", None), settings.number("target_l0", None)
    if bandwidth is not None and bandwidth > 0:
        found["bandwidth"] = bandwidth
    if l0 is not None and l0 >= 0 and target is not None and target > 0:
        found.update(sparsity_weight=l0 / 2, target_l0=target)
    return found


def _origin(name: str, settings: Settings) -> dict[str, Any]:
    """Return where a dictionary comes from: all settings of its training that are numbers and texts."""
    simple = {key: value for key, value in settings.everything().items() if isinstance(value, str | int | float | bool)}
    return {"format": "dictionary_learning", "architecture": name, **simple}
