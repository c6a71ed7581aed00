"""Fitted estimators made of dictionaries as formats know them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.exceptions import ModelFileError
from rhohat.estimators import (
    BatchTopKAutoencoder,
    GatedAutoencoder,
    JumpReLUAutoencoder,
    L1Autoencoder,
    MatryoshkaAutoencoder,
    TopKAutoencoder,
)
from rhohat.fitting.memory import MemoryPlan
from rhohat.models.formats.exchanged import ExchangedDictionary
from rhohat.models.model_card import ModelCard, set_card
from rhohat.models.model_file.reading import Reader

__all__ = ["as_estimator"]

_ESTIMATORS: dict[str, Any] = {
    "relu": L1Autoencoder,
    "topk": TopKAutoencoder,
    "batch_topk": BatchTopKAutoencoder,
    "matryoshka": MatryoshkaAutoencoder,
    "jumprelu": JumpReLUAutoencoder,
    "gated": GatedAutoencoder,
}
_UNIT_NORM = 1e-3  # largest difference of a row's norm from 1 in a decoder whose rows are said to have norm 1
_LONGEST_ORIGIN = 4000  # characters of an entry
_MOST_ENTRIES = 250


def as_estimator(dictionary: ExchangedDictionary) -> Any:
    """Return a fitted estimator that computes what a dictionary of another library does.

    It is made as from a model file, so that everything is checked that is checked there, and it can be saved.

    Parameters
    ----------
    dictionary : ExchangedDictionary

    Returns
    -------
    fitted dictionary or Transcoder
        Its `model_card_` says where it comes from.

    Raises
    ------
    ModelFileError
        If the parts do not fit together, or if a number is not finite.
    """
    arrays: dict[str, NDArray[Any]] = {}
    if dictionary.transcodes:
        described: dict[str, Any] = {
            "kind": "Transcoder",
            "parameters": {"skip": dictionary.skip is not None},
            "feature_names": None,
            "reading": None,
            "learned": {"dictionary": _described(dictionary, arrays, "dictionary.")},
        }
    else:
        described = _described(dictionary, arrays, "")
    reader = Reader(arrays)
    model = reader.model(described, "")
    reader.finish()
    set_card(model, _card(dictionary))
    return model


def _described(dictionary: ExchangedDictionary, arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, Any]:
    """Store the arrays of a dictionary, and return its description, both as in a model file."""
    n_features, n_latents = dictionary.encoder.shape
    estimator = _ESTIMATORS[dictionary.kind]
    parameters = {**_parameters(dictionary), **dictionary.settings}
    named = {
        "coefs_.0": dictionary.encoder,
        "coefs_.1": dictionary.decoder,
        "intercepts_.0": dictionary.encoder_bias,
        "intercepts_.1": dictionary.decoder_bias,
        "of_latents.threshold": dictionary.thresholds,
        "of_latents.log_scale": dictionary.log_scale,
        "of_latents.magnitude_bias": dictionary.magnitude_bias,
        "skip": dictionary.skip,
        "thresholds": _average_of_thresholds(dictionary),
        "sparsity_weight": np.array([_weight_of_penalty(estimator, parameters, n_features)]),
        "rows_since_fired_": np.zeros(n_latents),
        "loss_curve_": np.empty(0),
    }
    arrays.update({f"{prefix}{name}": array for name, array in named.items() if array is not None})
    return {
        "kind": estimator.__name__,
        "parameters": parameters,
        "feature_names": None,
        "reading": None,
        "data": {"n_samples_fit_": 0, "data_name_": None},
        "dictionary": {
            "n_features": n_features,
            "n_components": n_latents,
            "n_outputs": dictionary.decoder.shape[1] if dictionary.transcodes else None,
            "skip": dictionary.skip is not None,
            "factor": 1.0,
        },
        "training": {
            "n_iter_": 0,
            "n_steps_": 0,
            "solver_status_": "trained_elsewhere",
            "solver_message_": "The dictionary was trained elsewhere.",
            "terms": [],
            "measures": [],
            "memory_plan_": asdict(_memory(named)),
        },
    }


def _parameters(dictionary: ExchangedDictionary) -> dict[str, Any]:
    """Return the parameters of the estimator that follow from the weights."""
    norms = np.linalg.norm(dictionary.decoder.astype(np.float64), axis=1)
    parameters: dict[str, Any] = {
        "n_components": dictionary.n_latents,
        "normalize": "layer_norm" if dictionary.normalizes_rows else None,
        "center": dictionary.centered,
        "decoder_norm": bool(np.abs(norms - 1).max() <= _UNIT_NORM),
    }
    if dictionary.k is not None:
        if not 0 < dictionary.k <= dictionary.n_latents:
            raise ModelFileError(
                f"k must be positive, and at most the number of latents, {dictionary.n_latents}; got {dictionary.k}."
            )
        parameters["k"] = int(dictionary.k) if dictionary.kind == "topk" else float(dictionary.k)
    if dictionary.prefixes is not None:
        parameters["prefixes"] = {"tuple": list(dictionary.prefixes)}
    return parameters


def _memory(arrays: Mapping[str, NDArray[Any] | None]) -> MemoryPlan:
    """Return what the dictionary holds in memory, in place of the plan of a training."""
    n_bytes = sum(array.nbytes for array in arrays.values() if array is not None)
    return MemoryPlan(None, (("weights", n_bytes),), 0, 0, 0, by_blocks=False)


def _weight_of_penalty(estimator: Any, parameters: dict[str, Any], n_features: int) -> float:
    """Return the weight of the penalty with which a training would go on."""
    settings = {name: value for name, value in parameters.items() if name != "prefixes"}
    return float(estimator(**settings)._penalty(n_features)[0])


def _average_of_thresholds(dictionary: ExchangedDictionary) -> NDArray[np.float64]:
    """Return the sum of the thresholds of batches and the number of them, which are both 0 without a threshold."""
    threshold = dictionary.threshold
    return np.zeros(2) if threshold is None or threshold <= 0 else np.array([threshold, 1.0])


def _card(dictionary: ExchangedDictionary) -> ModelCard:
    """Return the card of a dictionary from elsewhere."""
    known = [(str(name)[:128], value) for name, value in dictionary.origin.items() if value is not None and str(name)]
    origin = {name: _as_text(value) for name, value in known[:_MOST_ENTRIES]}
    return ModelCard(note=" ".join(dictionary.remarks), origin=origin)


def _as_text(value: Any) -> str:
    """Return a value of another library's settings as a text, shortened if it is very long."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _LONGEST_ORIGIN else f"{text[:_LONGEST_ORIGIN]}…"
