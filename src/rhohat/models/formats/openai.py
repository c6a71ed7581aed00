"""Dictionaries of OpenAI's sparse_autoencoder: one file of torch.save, such as those that were trained on GPT-2."""

from __future__ import annotations

from typing import Any

import numpy as np

from rhohat.common.exceptions import ModelFileError
from rhohat.models.formats.exchanged import DEVIATIONS, ExchangedDictionary
from rhohat.models.formats.settings import Settings
from rhohat.models.formats.torch_files import StateDict, TorchFile

__all__ = ["is_openai", "read_openai"]

_STATISTICS = ("stats_last_nonzero", "latents_activation_frequency", "latents_mean_square")
_TIED = "decoder.linear.weight"


def is_openai(content: Any) -> bool:
    """Return whether what a file of torch.save holds has the tensors of OpenAI's dictionaries."""
    return isinstance(content, dict) and content.keys() >= {"pre_bias", "latent_bias", "encoder.weight"}


def read_openai(file: TorchFile) -> ExchangedDictionary:
    """Return the dictionary in a file.

    With the activation TopK, each row is centred and divided by its standard deviation first, as OpenAI's code does.

    Parameters
    ----------
    file : TorchFile

    Raises
    ------
    ModelFileError
        If the file is damaged, or says something that rhohat cannot translate.
    """
    tensors = StateDict(file, file.content)
    settings = Settings(tensors.others, file.name)
    activation = settings.text("activation", "ReLU")
    if activation not in ("ReLU", "TopK"):
        raise settings.unsupported("activation", activation, "rhohat knows 'ReLU' and 'TopK'")
    state = settings.part("activation_state_dict", {})
    is_topk = activation == "TopK"
    k = state.count("k") if is_topk else None
    after = state.text("postact_fn", "ReLU")
    if after != "ReLU":
        raise state.unsupported("postact_fn", after, "codes would be negative, and those of rhohat never are")
    for name, value in (("activation.k", k), ("activation.postact_fn", after)):  # PyTorch stores them here as well
        if settings.any(name, value) != value:
            raise settings.refused(name, settings.any(name), f"{value!r}, as in 'activation_state_dict'")
    encoder = tensors.take("encoder.weight")
    dictionary = ExchangedDictionary(
        "topk" if is_topk else "relu",
        encoder.T,
        _decoder(tensors, encoder),
        tensors.take("latent_bias"),
        tensors.take("pre_bias"),
        centered=True,
        normalizes_rows=is_topk,
        k=k,
        origin={"format": "OpenAI sparse_autoencoder", "file": file.name},
        remarks=(DEVIATIONS,) if is_topk else (),
    )
    tensors.ignore(*_STATISTICS)
    tensors.finish()
    state.finish()
    settings.finish()
    return dictionary


def _decoder(tensors: StateDict, encoder: Any) -> Any:
    """Return the decoder, of shape (n_latents, n_features); if it is tied, the encoder's weights are stored twice."""
    if "decoder.weight" in tensors:
        return tensors.take("decoder.weight").T
    if _TIED not in tensors:
        raise ModelFileError(f"{tensors.source} has no weights of a decoder.")
    if not np.array_equal(tensors.take(_TIED), encoder):
        raise ModelFileError(f"the tensor {_TIED!r} must be equal to 'encoder.weight', since the decoder is tied.")
    return encoder
