"""What estimators of sequences have in common: rows with steps, layers that go through them, losses of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.words import counted
from rhohat.data import RowSource
from rhohat.data.sequences import as_sequences, check_steps, lengths_of
from rhohat.estimators.checks import check_class_labels
from rhohat.estimators.sample_weights import check_in_memory
from rhohat.estimators.shaped_rows import ShapedRows
from rhohat.layers import Layer, StepwiseDenseLayer
from rhohat.layers.activations import Activation, ElementwiseActivation, PerStep
from rhohat.layers.architecture import LSTM, LayerDescription, Shape, build_layers
from rhohat.layers.network import Network
from rhohat.terms.losses import Loss
from rhohat.terms.stepwise_loss import StepwiseLoss

__all__ = [
    "PredictsFromSequences",
    "ReadsSequences",
    "check_entries_of_rows",
    "labels_of_steps",
    "lengths_of_rows",
    "stepwise_output",
    "targets_of_steps",
]

_DEFAULT = (LSTM(100),)


class ReadsSequences(ShapedRows):
    """The part of an estimator that reads sequences: rows without a shape are sequences of one channel.

    Attributes
    ----------
    layers : sequence of layers, or None
        Descriptions of the layers, of which the first is recurrent.
    """

    layers: Sequence[LayerDescription | int] | None
    #: Whether there is an output for each step.
    per_step: bool = False

    def _described_layers(self) -> Sequence[LayerDescription | int] | None:
        return _DEFAULT if self.layers is None else self.layers

    def _shape_of_rows(self, n_features: int) -> Shape:
        given = self._given_shape
        if self.input_shape is None and given is not None:
            if len(given) != 2:
                raise ValueError(
                    "X must have the shape (n_samples, n_steps, n_channels), or be a list of arrays of shape"
                    f" (n_steps_i, n_channels); got rows of the shape {given}."
                )
            return given
        shape = super()._shape_of_rows(n_features)
        if len(shape) > 2:
            raise ValueError(f"input_shape of sequences must be (steps, channels); got {shape}.")
        return (*shape, 1) if len(shape) == 1 else shape

    def _hidden_of_layers(self, n_features: int) -> tuple[list[Layer], list[Shape]]:
        described, shape = self._described_layers() or (), self._shape_of_rows(n_features)
        layers, shapes = build_layers(described, shape, self._activation_of_layers(), sequences=bool(self.per_step))
        if self.per_step and len(shapes[-1]) != 2:
            raise ValueError(
                f"per_step=True needs layers that return all steps, but the last of them has the output {shapes[-1]};"
                " set return_sequences=True there, or per_step=True of a dense layer."
            )
        return layers, shapes

    def _loss_of_rows(self, network: Network, loss: Loss) -> Loss:
        n_steps = network.layers[-1].n_padded_steps
        return loss if n_steps is None else StepwiseLoss(loss, n_steps)


class PredictsFromSequences(ReadsSequences):
    """The part of an estimator that predicts something for each sequence or, with `per_step`, for each step."""

    _constraints: ClassVar[dict[str, list[Any]]] = {**ReadsSequences._constraints, "per_step": ["boolean"]}

    def _names_of_targets(self, y: Any, X: Any, *, fitted: bool) -> tuple[str, ...] | None:
        if self.per_step:
            return None
        names: tuple[str, ...] | None = super()._names_of_targets(y, X, fitted=fitted)  # type: ignore[misc]
        return names

    def _output_layer(self, shape: Shape, n_outputs: int, output: Activation) -> Layer:
        if self.per_step:
            return stepwise_output(shape, n_outputs, output)
        layer: Layer = super()._output_layer(shape, n_outputs, output)  # type: ignore[misc]
        return layer


def labels_of_steps(y: Any, rows: Any, n_steps: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the labels of steps, of shape (n_samples, n_steps), and which of these steps exist.

    The labels of steps that do not exist are one of the others.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_steps), or sequence of one array of labels for each sequence
    rows : array or RowSource of shape (n_samples, n_steps × n_channels)
    n_steps : int

    Raises
    ------
    ValueError
        If a sequence has another number of labels than of steps, or what is in y are no labels.
    """
    arrays, lengths = _entries_of_steps(y, rows, n_steps, (1,))
    kinds = {"number" if one.dtype.kind in "biuf" else "string" for one in arrays if one.dtype.kind != "O"}
    if len(kinds) > 1:
        raise ValueError("y has both numbers and strings as labels; a classifier needs labels of one kind.")
    exists = np.arange(n_steps) < lengths[:, None]
    known = np.concatenate([one[:length] for one, length in zip(arrays, lengths, strict=True)])
    check_class_labels(known, "RecurrentRegressor")
    labels = np.full((len(arrays), n_steps), known[0], known.dtype)
    labels[exists] = known
    return labels, exists


def targets_of_steps(y: Any, rows: Any, n_steps: int) -> FloatArray:
    """Return the targets of steps, of shape (n_samples, n_steps, n_targets), with NaN for steps that have none.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_steps[, n_targets]), or sequence of one array of targets for each sequence
    rows : array or RowSource of shape (n_samples, n_steps × n_channels)
    n_steps : int

    Raises
    ------
    ValueError
        If a sequence has another number of targets than of steps, if targets are infinite or missing in a part of a
        step only, or if there are no targets at all.
    """
    arrays, lengths = _entries_of_steps(y, rows, n_steps, (1, 2))
    try:
        targets = as_sequences([one[:length] for one, length in zip(arrays, lengths, strict=True)], n_steps=n_steps)
    except ValueError as error:
        raise ValueError(f"y must hold the targets of each step as numbers: {error}") from None
    if np.isinf(targets).any():
        raise ValueError("y contains infinite numbers.")
    missing: NDArray[np.bool_] = np.isnan(targets)
    some = np.any(missing.any(axis=2) & ~missing.all(axis=2), axis=1)
    if some.any():
        raise ValueError(
            f"y[{int(np.argmax(some))}] has a step in which some targets are NaN and others are not; either all targets"
            " of a step must be NaN, so that it has no loss, or none."
        )
    if missing.all():
        raise ValueError("y has no targets: every number is NaN.")
    return targets.astype(np.float64, copy=False)


def lengths_of_rows(rows: Any, n_steps: int) -> NDArray[np.intp]:
    """Return the number of steps of each row before its padding, from rows in memory or from a row source.

    Parameters
    ----------
    rows : array or RowSource of shape (n_rows, n_steps × n_channels)
        A row source is read once.
    n_steps : int

    Raises
    ------
    ValueError
        If numbers are missing in rows of a source that are not steps past the end of a sequence.
    """
    if not isinstance(rows, RowSource):
        return lengths_of(rows, n_steps)
    lengths, first = [], 0
    for block in rows.blocks(rows.rows_at_once):
        check_steps(block, n_steps, rows.name, first)
        lengths.append(lengths_of(block, n_steps))
        first += len(block)
    return np.concatenate(lengths)


def _entries_of_steps(
    y: Any, rows: Any, n_steps: int, n_axes: tuple[int, ...]
) -> tuple[list[NDArray[Any]], NDArray[np.intp]]:
    """Return what y has for the steps of each sequence, as one array for each, and the numbers of steps.

    The arrays have a number of axes out of `n_axes`. In an array of all sequences, there may be anything past their
    end; a list has one entry for each step.
    """
    if y is None:
        raise ValueError("This estimator requires y to be passed, but the target y is None.")
    check_in_memory(y, "y")
    y = y.to_numpy() if hasattr(y, "to_numpy") else y
    arrays = [np.asarray(one) for one in y]
    if len(arrays) != rows.shape[0]:
        raise ValueError(f"y must have an entry for each of the {rows.shape[0]} rows of X; got {len(arrays)}.")
    lengths = lengths_of_rows(rows, n_steps)
    padded = isinstance(y, np.ndarray) and y.ndim > 1
    for index, (one, length) in enumerate(zip(arrays, lengths.tolist(), strict=True)):
        most = n_steps if padded else length
        if one.ndim not in n_axes or not length <= len(one) <= most:
            raise ValueError(
                f"with per_step=True, y must have an entry for each step: sequence {index} has"
                f" {counted(length, 'step')}, but y[{index}] has the shape {one.shape}."
            )
    return arrays, lengths


def check_entries_of_rows(y: Any, most_axes: int, expected: str) -> None:
    """Raise ValueError if y has entries for steps, though it must have the `expected` ones for each sequence."""
    listed = [one for one in y if isinstance(one, list | tuple | np.ndarray)] if isinstance(y, list | tuple) else []
    lengths = {len(one) for one in listed if not isinstance(one, np.ndarray) or one.ndim > 0}
    n_axes = max([0, *(getattr(one, "ndim", 0) + 1 for one in listed)])
    if isinstance(y, np.ndarray):
        n_axes = y.ndim - (y.ndim > 1 and y.shape[-1] == 1)  # a column is a vector
    if len(lengths) > 1 or n_axes > most_axes:
        raise ValueError(f"y must have {expected} for each sequence; if each step has its own, set per_step=True.")


def stepwise_output(shape: Shape, n_outputs: int, output: Activation) -> StepwiseDenseLayer:
    """Return an output layer for each step of hidden layers whose output has the shape (n_steps, n_channels).

    Parameters
    ----------
    shape : tuple of two int
    n_outputs : int
        Number of outputs of all steps together.
    output : Activation
    """
    n_steps, n_channels = shape
    activation = output if isinstance(output, ElementwiseActivation) else PerStep(output, n_steps)
    return StepwiseDenseLayer(n_steps, n_channels, n_outputs // n_steps, activation)
