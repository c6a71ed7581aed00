"""Rows beside their reconstructions, as images or feature by feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray, in_safe_units
from rhohat.data import open_rows
from rhohat.inspection.reporting.drawing import as_uri, fractions_between, pixels_between, png
from rhohat.inspection.reporting.shown_rows import ShownRows

__all__ = ["Reconstruction", "reconstructions_of"]

_MOST_FEATURES_OF_A_ROW = 16  # largest number of features in a table of reconstructions


@dataclass(frozen=True)
class Reconstruction:
    """A row and its reconstruction: two images, or features with their values in the row and in the reconstruction."""

    row: int
    error: float
    original: str = ""
    made: str = ""
    features: tuple[tuple[str, float, float, float, float], ...] = ()
    n_left_out: int = 0


def reconstructions_of(estimator: Any, shown: ShownRows, n_rows: int) -> list[Reconstruction]:
    """Return reconstructions of `n_rows` measured rows, spread evenly; none if the model makes none."""
    if not estimator.reconstructs or n_rows == 0:
        return []
    numbers = shown.spread(n_rows)
    rows, named = shown.source.take(numbers), shown.numbers_found(numbers)
    made = np.asarray(estimator.decode(estimator.codes(open_rows(rows)), rows))
    exists = ~np.isnan(rows)  # sequences are NaN past their end
    with np.errstate(over="ignore"):
        squares = np.where(exists, rows.astype(np.float64) - made, 0) ** 2
        errors = squares.mean(axis=1) if exists.all() else squares.sum(axis=1) / exists.sum(axis=1)
    if shown.image_shape is not None:
        originals, pictures = (pixels_between(part, shown.scale, shown.image_shape) for part in (rows, made))
        return [
            Reconstruction(number, float(error), as_uri(png(above)), as_uri(png(below)))
            for number, error, above, below in zip(named, errors, originals, pictures, strict=True)
        ]
    sample = shown.sample()
    low = np.fmin(np.fmin.reduce(sample, axis=0), np.fmin.reduce(rows, axis=0))
    high = np.fmax(np.fmax.reduce(sample, axis=0), np.fmax.reduce(rows, axis=0))
    return [
        _compare(shown, number, row, one, float(error), (low, high))
        for number, row, one, error in zip(named, rows, made, errors, strict=True)
    ]


def _compare(
    shown: ShownRows, number: int, row: FloatArray, made: FloatArray, error: float, span: tuple[FloatArray, FloatArray]
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
    features = tuple(
        (shown.feature_name(j), float(row[j]), float(made[j]), float(places[0][j]), float(places[1][j]))
        for j in chosen.tolist()
    )
    return Reconstruction(number, error, features=features, n_left_out=n_existing - len(chosen))
