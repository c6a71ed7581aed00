"""Sequences as metrics and pictures see them: the steps that exist, and activations over time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.data import RowSource
from rhohat.data.sequences import lengths_of
from rhohat.engines import ThreadEngine
from rhohat.estimators.base import BaseNetwork
from rhohat.estimators.estimator import Estimator
from rhohat.fitting.forward import ForwardPass
from rhohat.layers.network import network_of
from rhohat.layers.recurrent import RecurrentLayer

__all__ = ["activations_over_time", "layer_of_steps", "n_units_of_code", "steps_of_code"]


def steps_of_code(estimator: Estimator) -> int | None:
    """Return the number of steps of the code of a fitted estimator; None if the code has no steps."""
    return estimator.n_steps_of_code_


def n_units_of_code(estimator: Estimator) -> int:
    """Return the number of units of the code; if it has steps, of each step."""
    return int(estimator.layer_sizes_[estimator.code_layer_]) // (steps_of_code(estimator) or 1)


def layer_of_steps(estimator: BaseNetwork) -> int | None:
    """Return the number, from 1, of the last layer up to the code that goes through steps; None if there is none."""
    layers = estimator.network_.layers[: estimator.code_layer_]
    found = [
        number
        for number, layer in enumerate(layers, start=1)
        if isinstance(layer, RecurrentLayer) or layer.n_padded_steps is not None
    ]
    return found[-1] if found else None


def activations_over_time(estimator: BaseNetwork, rows: FloatArray | RowSource, layer: int) -> list[FloatArray]:
    """Return the activations of a layer at each step of some sequences.

    Parameters
    ----------
    estimator : fitted estimator
    rows : array or RowSource of shape (n_samples, n_steps × n_channels)
        Sequences as the network sees them, with NaN past the end of each.
    layer : int
        Number of a layer that goes through steps, from 1. All steps of a recurrent layer are returned, even if the
        network uses the last one only.

    Returns
    -------
    list of arrays of shape (n_steps_i, n_units)
        An array for each sequence.
    """
    network = estimator.network_
    layers = list(network.layers[:layer])
    if isinstance(layers[-1], RecurrentLayer):
        layers[-1] = replace(layers[-1], return_sequences=True)
    part = network_of(layers, network.input_shape)
    parameters = (estimator.coefs_[:layer], estimator.intercepts_[:layer], estimator.activation_parameters_[:layer])
    given = rows.read(0, len(rows)) if isinstance(rows, RowSource) else rows
    forward = ForwardPass(part, part.pack(*parameters), given, 0, layer, ThreadEngine(estimator.n_jobs))
    made = np.empty(forward.shape, given.dtype)
    forward.write(forward.blocks, made)
    n_steps = network.input_shape[0]
    lengths = lengths_of(given, n_steps)
    by_step = made.reshape(len(given), n_steps, -1)
    return [one[:length] for one, length in zip(by_step, lengths, strict=True)]
