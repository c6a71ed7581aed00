"""Rows beside their reconstructions, as images or feature by feature."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray, in_safe_units
from rhohat.data import open_rows
from rhohat.inspection.reporting.drawing import as_uri, fractions_between, pixels_between, png
from rhohat.inspection.reporting.row_labels import RowLabels
from rhohat.inspection.reporting.shown_rows import ShownRows

__all__ = ["Reconstruction", "reconstructions_of"]

_MOST_FEATURES_OF_A_ROW = 16  # largest number of features in a table of reconstructions


@dataclass(frozen=True)
class Reconstruction:
    """A row and its reconstruction: two images, or features with their values in the row and in the reconstruction.

    Values are in the units of the data where the scaling is known, and the error is the one that the estimator sees.
    """

    row: int
    error: float
    label: str = ""
    original: str = ""
    made: str = ""
    features: tuple[tuple[str, float, float, float, float], ...] = ()
    n_left_out: int = 0


def reconstructions_of(
    estimator: Any, shown: ShownRows, n_rows: int, row_labels: RowLabels | None = None
) -> list[Reconstruction]:
    """Return reconstructions of `n_rows` measured rows; none if the model makes none.

    Images are of varied contrast, from strong to faint, on a common scale. Other rows are spread evenly.
    """
    if not estimator.reconstructs or n_rows == 0:
        return []
    numbers = shown.spread(n_rows) if shown.image_shape is None else shown.of_varied_contrast(n_rows)
    rows, named = shown.source.take(numbers), shown.numbers_found(numbers)
    labels = [""] * len(named) if row_labels is None else row_labels.of(numbers)
    made = np.asarray(estimator.decode(estimator.codes(open_rows(rows)), rows))
    exists = ~np.isnan(rows)  # sequences are NaN past their end
    with np.errstate(over="ignore"):
        squares = np.where(exists, rows.astype(np.float64) - made, 0) ** 2
        errors = squares.mean(axis=1) if exists.all() else squares.sum(axis=1) / exists.sum(axis=1)
    if shown.image_shape is not None:
        originals, pictures = (pixels_between(part, shown.scale, shown.image_shape) for part in (rows, made))
        return [
            Reconstruction(number, float(error), label, as_uri(png(above)), as_uri(png(below)))
            for number, error, label, above, below in zip(named, errors, labels, originals, pictures, strict=True)
        ]
    sample = shown.sample()
    low = np.fmin(np.fmin.reduce(sample, axis=0), np.fmin.reduce(rows, axis=0))
    high = np.fmax(np.fmax.reduce(sample, axis=0), np.fmax.reduce(rows, axis=0))
    return [
        _compare(shown, Reconstruction(number, float(error), label), row, one, (low, high))
        for number, error, label, row, one in zip(named, errors, labels, rows, made, strict=True)
    ]


def _compare(
    shown: ShownRows, of_row: Reconstruction, row: FloatArray, made: FloatArray, span: tuple[FloatArray, FloatArray]
) -> Reconstruction:
    """Return the features of a row and its reconstruction; of many features, those with the largest errors.

    What is past the end of a sequence is left out.
    """
    low, high = span
    chosen = np.flatnonzero(~np.isnan(row))
    n_existing = len(chosen)
    if n_existing > _MOST_FEATURES_OF_A_ROW:
        (first, last, ours, theirs), _ = in_safe_units(np.array([one[chosen] for one in (low, high, row, made)]))
        with np.errstate(divide="ignore"):  # logarithms, because a quotient might overflow
            missed = np.log2(np.abs(ours - theirs)) - np.log2(np.where(last > first, last - first, 1))
        chosen = np.sort(chosen[np.argsort(-missed, kind="stable")[:_MOST_FEATURES_OF_A_ROW]])
    places = [100 * fractions_between(part, low, high) for part in (row, made)]
    original, rebuilt = shown.in_own_units(np.array([row, made]))
    original = np.where(shown.gaps(original[None])[0], np.nan, original)
    features = tuple(
        (shown.feature_name(j), float(original[j]), float(rebuilt[j]), float(places[0][j]), float(places[1][j]))
        for j in chosen.tolist()
    )
    return replace(of_row, features=features, n_left_out=n_existing - len(chosen))
