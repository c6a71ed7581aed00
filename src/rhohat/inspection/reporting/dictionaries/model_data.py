"""Columns of numbers about the latents of one dictionary, from which the script of the page shows them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.inspection.reporting.dictionaries.context_data import SHARES
from rhohat.inspection.reporting.dictionaries.measuring import DictionaryMeasurements, Latents
from rhohat.inspection.reporting.dictionaries.spread import N_BANDS, N_WEAKEST, PER_BAND
from rhohat.inspection.reporting.page_data import Column, PageData
from rhohat.inspection.reporting.rounding import show
from rhohat.inspection.reporting.shown_rows import ShownRows

__all__ = ["NO_ROW", "found_numbers", "model_data"]

NO_ROW = 2**32 - 1  # in place of a row number where a latent is active on few rows
_N_FEATURES = 8  # features of a direction that are shown where features have names


def model_data(measured: DictionaryMeasurements, latents: Latents, shown: ShownRows) -> PageData:
    """Return the figures, the examples, the neighbours and the geometry of all latents of a dictionary."""
    record: dict[str, Any] = {
        "n": len(latents.directions),
        "nRows": len(measured.rows),
        "nTop": measured.top.rows.shape[1],
        "nBands": N_BANDS,
        "perBand": PER_BAND,
        "nWeakest": N_WEAKEST,
        "nSimilar": latents.similar.shape[1],
        "threshold": show(measured.activations.threshold),
        "geometry": latents.geometry.record(),
    }
    columns = {**_measures(measured, latents), **_examples(measured, shown), **_similar(latents)}
    if measured.classes is not None:
        of_classes = measured.classes.page_data()
        record |= of_classes.record
        columns |= of_classes.columns
    columns |= {**_features(latents, shown, record), **latents.geometry.columns()}
    return PageData(record, columns)


def found_numbers(rows: NDArray[np.intp], shown: ShownRows) -> NDArray[np.uint32]:
    """Return the numbers that rows had in the data before some rows were left out; `NO_ROW` for −1."""
    kept = shown.source.kept
    numbers = rows if kept is None else kept[rows]
    return np.where(rows < 0, NO_ROW, numbers).astype(np.uint32)


def _measures(measured: DictionaryMeasurements, latents: Latents) -> dict[str, Column]:
    statistics = measured.activations
    n_active = np.rint(statistics.activation_frequency * len(measured.rows)).astype(np.uint32)
    return {
        "active": Column.of(n_active),
        "mean": Column.of(measured.mean_where_active.astype(np.float32)),
        "largest": Column.of(statistics.largest_activation.astype(np.float32)),
        "encoder": Column.of(_as_integers(latents.encoder_cosines)),
    }


def _examples(measured: DictionaryMeasurements, shown: ShownRows) -> dict[str, Column]:
    """Return the numbers of the top rows and of the spread, and their activations as shares of the largest."""
    largest = np.maximum(measured.top.activations[:, :1], np.finfo(np.float64).tiny)
    columns: dict[str, Column] = {}
    for names, part in ((("rows", "shares"), measured.top), (("spreadRows", "spreadShares"), measured.spread)):
        shares = np.rint(part.activations / largest * SHARES).astype(np.uint16)
        columns |= dict(zip(names, (Column.of(found_numbers(part.rows, shown)), Column.of(shares)), strict=True))
    return columns


def _similar(latents: Latents) -> dict[str, Column]:
    similar = latents.similar.astype(np.uint16 if len(latents.directions) <= 2**16 else np.uint32)
    return {"similar": Column.of(similar), "cosines": Column.of(_as_integers(latents.cosines))}


def _features(latents: Latents, shown: ShownRows, record: dict[str, Any]) -> dict[str, Column]:
    """Return the strongest features of each direction if features have names, and add the names to the record."""
    if shown.names is None or shown.image_shape is not None:
        return {}
    directions, n_features = latents.directions, min(_N_FEATURES, len(shown.names))
    strongest = np.argsort(-np.abs(directions), axis=1, kind="stable")[:, :n_features]
    record |= {"features": list(shown.names), "nFeatures": n_features}
    weights = np.take_along_axis(directions, strongest, axis=1).astype(np.float32)
    return {"features": Column.of(strongest.astype(np.uint32)), "weights": Column.of(weights)}


def _as_integers(cosines: NDArray[Any]) -> NDArray[np.int16]:
    """Return cosines in 32,767 parts."""
    return np.rint(32767 * cosines).astype(np.int16)
