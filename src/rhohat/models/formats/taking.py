"""Fitted estimators turned into dictionaries as formats know them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from rhohat.common.exceptions import ModelFileError
from rhohat.dictionaries.selections import L1, BatchTopK, Gated, JumpReLU, Matryoshka, TopK
from rhohat.estimators.dictionary import BaseDictionary
from rhohat.estimators.transcoder import Transcoder
from rhohat.models.formats.exchanged import ExchangedDictionary
from rhohat.models.model_card import card_of
from rhohat.models.pipelines import is_pipeline

__all__ = ["of_estimator"]


def of_estimator(model: Any) -> ExchangedDictionary:
    """Return the dictionary that a fitted estimator is, for rows as they are.

    Parameters
    ----------
    model : fitted dictionary or Transcoder

    Raises
    ------
    ModelFileError
        If the model is something else, such as a network or a pipeline, which formats of dictionaries cannot hold.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    """
    if is_pipeline(model):
        raise ModelFileError(
            "a pipeline cannot be exported, because formats of dictionaries hold no preprocessing; export its last"
            " step, model.steps[-1][1], and transform rows before they are given to it."
        )
    if not isinstance(model, BaseDictionary | Transcoder):
        raise ModelFileError(
            "only dictionaries, such as TopKAutoencoder, and Transcoder can be exported to formats of dictionaries; got"
            f" {type(model).__name__}. rhohat.save keeps any model of rhohat."
        )
    check_is_fitted(model)
    dictionary: Any = model.dictionary_ if isinstance(model, Transcoder) else model
    problem, theta = dictionary._in_use()
    parameters, selection = problem.layout.views(theta), problem.selection
    kind = _kind_of(selection)
    if kind is None:
        raise ModelFileError(f"no format has a place for the selection {type(selection).__name__}; use rhohat.save.")
    own = parameters.of_latents
    card = card_of(model)
    return ExchangedDictionary(
        kind,
        encoder=parameters.encoder.T,
        decoder=parameters.decoder,
        encoder_bias=parameters.encoder_bias,
        decoder_bias=parameters.decoder_bias,
        centered=problem.center,
        normalizes_rows=problem.scaling.by_rows,
        k=getattr(selection, "k", None),
        threshold=dictionary.threshold_,
        thresholds=own.get("threshold"),
        log_scale=own.get("log_scale"),
        magnitude_bias=own.get("magnitude_bias"),
        prefixes=selection.sizes if isinstance(selection, Matryoshka) else None,
        skip=parameters.skip,
        transcodes=problem.output_scaling is not None,
        settings=_settings(selection),
        origin={} if card is None else {name: _parsed(text) for name, text in card.origin.items()},
    )


def _kind_of(selection: Any) -> str | None:
    """Return the name that this room has for a selection."""
    kinds: list[tuple[type[Any], str]] = [
        (L1, "relu"),
        (TopK, "topk"),
        (BatchTopK, "batch_topk"),
        (Matryoshka, "matryoshka"),
        (JumpReLU, "jumprelu"),
        (Gated, "gated"),
    ]
    return next((name for cls, name in kinds if type(selection) is cls), None)


def _settings(selection: Any) -> dict[str, Any]:
    """Return settings of the training that some formats have a place for."""
    return {"bandwidth": float(np.float64(selection.bandwidth))} if isinstance(selection, JumpReLU) else {}


def _parsed(text: str) -> Any:
    """Return an entry of a model card as the number, truth value or list that it was before it became a text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, float) and not np.isfinite(value) else value
