"""The activations of units over time, for some of the sequences that were measured, as images that the page shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rhohat.estimators.base import BaseNetwork
from rhohat.inspection.feature_maps import some_channels
from rhohat.inspection.reporting.convolutions import Picture
from rhohat.inspection.reporting.drawing import as_uri, fractions_between, png
from rhohat.inspection.reporting.shown_rows import ShownRows
from rhohat.inspection.sequences import activations_over_time, layer_of_steps

__all__ = ["OverTime", "over_time_of"]

_MOST_SEQUENCES, _MOST_UNITS, _MOST_STEPS = 6, 64, 1000


@dataclass(frozen=True)
class OverTime:
    """Activations of the units of a layer over the steps of some sequences.

    Attributes
    ----------
    layer : int
        Number of the layer, from 0.
    n_units : int
        Number of units of the layer.
    units : list of int
        Numbers of the units that are drawn, one below the other.
    largest : float
        Largest absolute activation, which is drawn in black if it is negative, and in white if it is positive.
    sequences : list of tuples of int, int and Picture
        Number of the row, number of its steps, and a picture with a column for each step.
    """

    layer: int
    n_units: int
    units: list[int]
    largest: float
    sequences: list[tuple[int, int, Picture]]


def over_time_of(estimator: BaseNetwork, shown: ShownRows) -> OverTime | None:
    """Return the activations over time of the last layer that goes through steps; None if there is none."""
    layer = layer_of_steps(estimator)
    if layer is None or len(estimator.network_.input_shape) != 2:
        return None
    numbers = shown.spread(_MOST_SEQUENCES)
    activations = activations_over_time(estimator, shown.source.take(numbers), layer)
    n_units = activations[0].shape[1]
    units = some_channels(n_units, _MOST_UNITS)
    largest = max(float(np.abs(one[:, units]).max()) for one in activations)
    sequences = []
    for number, one in zip(shown.numbers_found(numbers), activations, strict=True):
        drawn = fractions_between(one[:_MOST_STEPS, units].T, -largest, largest)
        pixels = np.rint(255 * drawn).astype(np.uint8)
        sequences.append((number, len(one), Picture(as_uri(png(pixels)), pixels.shape[1], pixels.shape[0])))
    return OverTime(layer - 1, n_units, units.tolist(), largest, sequences)
