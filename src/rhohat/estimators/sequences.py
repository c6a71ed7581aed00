"""What estimators of sequences have in common: rows with steps, layers that go through them, losses of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rhohat.common.words import counted
from rhohat.data import RowSource
from rhohat.data.sequences import lengths_of
from rhohat.estimators.named_parts import NamedPart
from rhohat.estimators.shaped_rows import ShapedRows
from rhohat.layers import Layer, StepwiseDenseLayer
from rhohat.layers.activations import ACTIVATIONS, Activation, ElementwiseActivation, PerStep
from rhohat.layers.architecture import LSTM, LayerDescription, Shape, build_layers
from rhohat.layers.network import Network
from rhohat.terms.losses import Loss
from rhohat.terms.stepwise_loss import StepwiseLoss

__all__ = ["ReadsSequences", "labels_of_steps", "stepwise_output"]

_DEFAULT = (LSTM(100),)


class ReadsSequences(ShapedRows):
    """The part of an estimator that reads sequences: rows without a shape are sequences of one channel.

    Attributes
    ----------
    layers : sequence of layers, or None
        Descriptions of the layers, of which the first is recurrent.
    """

    _constraints: ClassVar[dict[str, list[Any]]] = {
        "layers": [None, list, tuple],
        "input_shape": [None, list, tuple],
        "activation": [NamedPart(ACTIVATIONS, Activation)],
    }
    layers: Sequence[LayerDescription | int] | None
    #: Whether there is an output for each step.
    per_step: bool = False

    def _described_layers(self) -> Sequence[LayerDescription | int] | None:
        return _DEFAULT if self.layers is None else self.layers

    def _shape_of_rows(self, n_features: int) -> Shape:
        given = self._given_shape
        if self.input_shape is None and given is not None and len(given) != 2:
            raise ValueError(
                f"X must have the shape (n_samples, n_steps, n_channels), or be a list of arrays of shape"
                f" (n_steps_i, n_channels); got rows of the shape {given}."
            )
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


def labels_of_steps(y: Any, rows: Any, n_steps: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the labels of steps, of shape (n_samples, n_steps), and which of these steps exist.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_steps), or sequence of one array of labels for each sequence
    rows : array or RowSource of shape (n_samples, n_steps × n_channels)
    n_steps : int

    Raises
    ------
    ValueError
        If a sequence has another number of labels than of steps.
    """
    arrays = [np.asarray(one) for one in y]
    if len(arrays) != rows.shape[0]:
        raise ValueError(f"y must have an entry for each of the {rows.shape[0]} rows of X; got {len(arrays)}.")
    lengths = np.full(len(arrays), n_steps) if isinstance(rows, RowSource) else lengths_of(rows, n_steps)
    padded = isinstance(y, np.ndarray)  # an array has labels past the end of a sequence, which are ignored
    for index, (one, length) in enumerate(zip(arrays, lengths.tolist(), strict=True)):
        if one.ndim != 1 or len(one) < length or (len(one) > length and not padded):
            raise ValueError(
                f"with per_step=True, y must have a label for each step: sequence {index} has"
                f" {counted(length, 'step')}, but y[{index}] has the shape {one.shape}."
            )
    exists = np.arange(n_steps) < lengths[:, None]
    known = np.concatenate([one[:length] for one, length in zip(arrays, lengths, strict=True)])
    labels = np.full((len(arrays), n_steps), known[0], known.dtype)
    labels[exists] = known
    return labels, exists


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
    return StepwiseDenseLayer(n_steps, n_channels, int(np.ceil(n_outputs / n_steps)), activation)
