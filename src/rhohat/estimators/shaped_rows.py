"""Rows that have a shape, such as images, for estimators whose architecture is a list of layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any, ClassVar

import numpy as np

from rhohat.common.exceptions import SettingError
from rhohat.common.pieces import refuse_pieces
from rhohat.common.words import Sentence, Setting, counted
from rhohat.data import RowSource, open_rows
from rhohat.data.rows import is_dask_array
from rhohat.data.sequences import as_sequences
from rhohat.estimators.named_parts import NamedPart
from rhohat.layers.activations import ACTIVATIONS, Activation
from rhohat.layers.architecture import LayerDescription, Shape, as_input_shape, build_layers, mirrored
from rhohat.layers.base import Layer
from rhohat.layers.network import Network, network_of
from rhohat.layers.pooling import UpsamplingLayer
from rhohat.layers.recurrent import RecurrentLayer
from rhohat.layers.stepwise import StepwiseDenseLayer
from rhohat.terms.losses import Loss

__all__ = ["ShapedRows", "check_steps_of_network", "padded_for", "takes_padding"]


class _FlatRows(np.ndarray[Any, Any]):
    """Flattened rows that know their original shape, so that a method can pass them on to another method."""

    row_shape: Shape


class ShapedRows:
    """The part of an estimator that takes rows with a shape, and builds networks of layers for this shape.

    Attributes
    ----------
    input_shape : tuple of int, or None
        Shape of each row; if None, it is taken from the rows.
    """

    #: Constraints on the parameters of estimators that are described by layers alone.
    _constraints: ClassVar[dict[str, list[Any]]] = {
        "layers": [None, list, tuple],
        "input_shape": [None, list, tuple],
        "activation": [NamedPart(ACTIVATIONS, Activation)],
    }
    input_shape: Sequence[int] | None = None
    activation: str | Activation | Sequence[str | Activation]
    network_: Network
    #: Shape of the rows that were given last, before they were made flat.
    _given_shape: Shape | None = None

    def _described_layers(self) -> Sequence[LayerDescription | int] | None:
        """Return the descriptions of the layers; None if the estimator is described by numbers of units."""
        return None

    @property
    def input_shape_(self) -> Shape:
        """Shape of each row of the fit, such as (28, 28, 1) for images; (n_features,) for rows without a shape."""
        return self.network_.input_shape

    def _takes_padding(self) -> bool:
        """Return whether rows may be sequences of unequal length, as the first layer goes through steps."""
        described = self._described_layers()
        return bool(described) and getattr(described[0], "takes_padding", False)  # type: ignore[index]

    def _n_steps_of(self, X: Any) -> int | None:
        """Return the number of steps of flat rows whose last steps may be missing; None for other rows."""
        if not self._takes_padding():
            return None
        shape = X.shape if hasattr(X, "shape") else np.asarray(X).shape
        return self._shape_of_rows(shape[1])[0] if len(shape) == 2 else None

    def _loss_of_rows(self, network: Network, loss: Loss) -> Loss:
        """Return the loss of the outputs of a row, given the loss that the parameters choose."""
        return loss

    def _check_missing_steps(self, network: Network, X: Any) -> None:
        """Raise ValueError if steps are missing in rows for a network that cannot have such rows."""
        if not self._takes_padding() or network.n_steps_of_rows is not None:
            return
        if any(X.map_blocks(_has_missing)) if isinstance(X, RowSource) else _has_missing(X):
            pairs = zip(network.layers, network.layers[1:], strict=False)
            above = next(two for one, two in pairs if one.n_padded_steps is not None and not two.takes_padding)
            raise ValueError(
                "X has sequences of unequal length, but a layer of this network needs all steps, as it does not go"
                f" through them one by one: {type(above).__name__}. Let the recurrent layer before it return its last"
                " step only (return_sequences=False), or give sequences of the same length."
            )

    def _check_shape_of_rows(self, X: Any) -> None:
        """Raise ValueError if rows have another shape than the rows of the fit, though as many axes."""
        shape, network = getattr(X, "row_shape", None), getattr(self, "network_", None)
        if shape is None or len(shape) == 1 or network is None:
            return
        known = network.input_shape
        shape = (*shape, 1) if len(known) == 3 and len(shape) == 2 else tuple(shape)
        if len(shape) == len(known) and shape != known and prod(shape) == prod(known):
            raise ValueError(f"the rows of X have the shape {shape}, but the rows of the fit had the shape {known}.")

    def _flat(self, X: Any, *, keeps_steps: bool = True) -> Any:
        """Return rows with a single axis each; remember the shape that they had, if the estimator has layers.

        Sequences are padded to the longest of them; or, if `keeps_steps`, to the number of steps of the fit.
        """
        if self._described_layers() is None:
            if self.input_shape is not None:
                raise SettingError(
                    "input_shape needs layers, because only layers use the shape of a row; set layers as well."
                )
            if isinstance(X, RowSource):
                X.n_steps = None  # an estimator of sequences may have seen it before
            refuse_pieces(X)
            _refuse_unequal(X)
            return X
        if is_dask_array(X):
            X = open_rows(X)
        if isinstance(X, RowSource):
            self._given_shape = None if len(X.row_shape) == 1 else X.row_shape
            X.n_steps = self._n_steps_of(X)
            return X
        if isinstance(X, _FlatRows):
            self._given_shape = X.row_shape
            return X
        if self._takes_padding():
            X = self._padded(X, keeps_steps)
        shape = _shape_of_list(X) if isinstance(X, list | tuple) else getattr(X, "shape", ())
        self._given_shape = None if len(shape) < 3 else tuple(shape[1:])
        if self._given_shape is None:
            return X
        flat = np.asarray(X).reshape(shape[0], prod(shape[1:])).view(_FlatRows)
        flat.row_shape = self._given_shape
        return flat

    def _padded(self, X: Any, keeps_steps: bool) -> Any:
        """Return sequences in an array; rows without a shape, and what is no sequence, are returned unchanged."""
        known = None if self.input_shape is None else as_input_shape(self.input_shape)
        if known is None and keeps_steps and hasattr(self, "network_"):
            known = self.network_.input_shape
        known = (*known, 1) if known is not None and len(known) == 1 else known
        n_steps = None if known is None else known[0]
        if isinstance(X, list | tuple):
            shapes = {_shape_if_known(one) for one in X}
            first = next(iter(shapes), ())
            are_rows = len(shapes) == 1 and len(first) < 2 and (not first or n_steps is None or first[0] >= n_steps)
            X = X if are_rows else as_sequences(X)
        if not (isinstance(X, np.ndarray) and X.ndim == 3 and known is not None and len(known) == 2):
            return X
        if X.shape[2] != known[1]:
            raise ValueError(
                f"each step of a sequence of X has {counted(X.shape[2], 'channel')}, but the network is for steps with"
                f" {counted(known[1], 'channel')}."
            )
        if X.shape[1] == known[0]:
            return X
        longer = ~np.isnan(X[:, known[0] :]).all(axis=(1, 2))
        if longer.any():
            raise ValueError(
                f"sequence {int(np.argmax(longer))} of X has more than {counted(known[0], 'step')}, for which the"
                " network is made; to use longer sequences, fit anew with input_shape=(n_steps, n_channels)."
            )
        return as_sequences(X[:, : known[0]], n_steps=known[0])

    def _forget_shape(self) -> None:
        """Forget the shape that rows had, once a network has been chosen for them."""
        self.__dict__.pop("_given_shape", None)

    def _shape_of_rows(self, n_features: int) -> Shape:
        """Return the shape of rows with `n_features` numbers, or raise ValueError if it is not possible."""
        if self.input_shape is not None:
            shape = as_input_shape(self.input_shape)
            if prod(shape) != n_features:
                raise SettingError(
                    Sentence(
                        Setting("input_shape", code=f"input_shape={shape}"),
                        f" means {prod(shape)} numbers in a row, but the rows of X have {n_features}.",
                    )
                )
            return shape
        given = self._given_shape
        if given is None:
            known = getattr(self, "network_", None)
            has_shape = known is not None and known.layer_sizes[0] == n_features
            return known.input_shape if known is not None and has_shape else (n_features,)
        if len(given) == 2 and self._takes_padding():
            return given
        if len(given) not in (2, 3):
            raise ValueError(
                "X must have the shape (n_samples, n_features), (n_samples, height, width) or"
                f" (n_samples, height, width, channels); got rows of the shape {given}."
            )
        return (*given, 1) if len(given) == 2 else given

    def _autoencoder_of_layers(self, n_features: int, output: Activation, tied: bool) -> Network:
        """Return the network whose encoder the parameters describe, and whose decoder mirrors it."""
        described, (encoder, shapes) = self._described_layers() or (), self._hidden_of_layers(n_features)
        decoder, _ = build_layers(mirrored(described, shapes), shapes[-1], self._activation_of_layers())
        if not decoder or isinstance(decoder[-1], UpsamplingLayer):
            raise ValueError("the first of the layers of an autoencoder must be Dense or Convolution, not pooling.")
        last: Any = decoder[-1]
        if isinstance(last, RecurrentLayer):
            raise ValueError(
                f"the first of the layers of {type(self).__name__} must not be recurrent; use RecurrentAutoencoder."
            )
        return network_of([*encoder, *decoder[:-1], replace(last, activation=output)], shapes[0], tied)

    def _hidden_of_layers(self, n_features: int) -> tuple[list[Layer], list[Shape]]:
        """Return the layers that the parameters describe, and the shapes from the input to the last output."""
        described = self._described_layers()
        assert described is not None
        return build_layers(described, self._shape_of_rows(n_features), self._activation_of_layers())

    def _activation_of_layers(self) -> str | Activation:
        """Return the activation of layers whose descriptions contain no activation."""
        if not isinstance(self.activation, str | Activation):
            raise ValueError(
                "activation must be a single activation if layers are given; it is used for the layers that have no"
                f" activation of their own; got {self.activation!r}."
            )
        return self.activation


def takes_padding(estimator: ShapedRows) -> bool:
    """Return whether rows of an estimator may be sequences of unequal length, as its first layer goes through steps."""
    return estimator._takes_padding()


def padded_for(estimator: ShapedRows, X: Any) -> Any:
    """Return sequences as an array with as many steps as the rows of a fitted estimator; anything else unchanged."""
    return estimator._padded(X, keeps_steps=True) if takes_padding(estimator) else X


def check_steps_of_network(network: Network) -> None:
    """Raise ValueError if the rows of a network have other steps or channels than its first layer goes through."""
    first: Any = network.layers[0]
    if isinstance(first, RecurrentLayer | StepwiseDenseLayer):
        steps = (first.n_steps, first.n_channels)
        if network.input_shape != steps:
            raise ValueError(
                f"the rows of a network have the shape {network.input_shape}, but its first layer goes through"
                f" sequences of the shape {steps}."
            )


def _shape_of_list(X: Sequence[Any]) -> Shape:
    """Return the shape of rows in a list, or raise ValueError if the rows have different shapes."""
    shapes = {np.shape(row) for row in X}
    if len(shapes) > 1 and any(len(shape) > 1 for shape in shapes):
        first, second = sorted(shapes)[:2]
        raise ValueError(
            f"all images or sequences in X must have the same shape; got rows of the shapes {first} and {second}."
            " Sequences of unequal length need layers of which the first is recurrent, such as LSTM(20)."
        )
    return (len(X), *next(iter(shapes), ()))


def _shape_if_known(row: Any) -> Shape:
    """Return the shape of a row, or that of an impossible row if it has none, so that `as_sequences` refuses it."""
    try:
        return np.shape(row)
    except ValueError:
        return (0, 0, 0)


def _refuse_unequal(X: Any) -> None:
    """Raise ValueError if X is a list of sequences of unequal length, for an estimator without recurrent layers."""
    if not isinstance(X, list | tuple) or not all(isinstance(row, list | tuple | np.ndarray) for row in X):
        return
    lengths = {len(row) for row in X if not isinstance(row, np.ndarray) or row.ndim > 0}
    if len(lengths) > 1:
        raise ValueError(
            f"the rows of X must all have the same length; got rows of {min(lengths)} and of {max(lengths)}. For"
            " sequences of unequal length, use an estimator with recurrent layers, such as RecurrentClassifier."
        )


def _has_missing(rows: Any, first: int = 0) -> bool:
    """Return whether numbers are missing in rows."""
    return bool(np.isnan(rows).any())


class Convolves(ShapedRows):
    """The part of an estimator that convolves: rows without a shape are sequences of one channel."""

    layers: Sequence[LayerDescription | int] | None

    def _shape_of_rows(self, n_features: int) -> Shape:
        shape = super()._shape_of_rows(n_features)
        return (*shape, 1) if len(shape) == 1 else shape
