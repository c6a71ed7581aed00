"""Rows that have a shape, such as images, for estimators whose architecture is a list of layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any, ClassVar

import numpy as np

from rhohat.data import RowSource, open_rows
from rhohat.data.rows import is_dask_array
from rhohat.data.sequences import as_sequences
from rhohat.estimators.named_parts import NamedPart
from rhohat.layers.activations import ACTIVATIONS, Activation
from rhohat.layers.architecture import LayerDescription, Shape, as_input_shape, build_layers, mirrored
from rhohat.layers.base import Layer
from rhohat.layers.network import Network, network_of
from rhohat.layers.pooling import UpsamplingLayer
from rhohat.terms.losses import Loss

__all__ = ["ShapedRows"]


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
        """Raise ValueError if steps are missing in rows in memory for a network that cannot have such rows."""
        if not self._takes_padding() or network.n_steps_of_rows is not None or isinstance(X, RowSource):
            return
        if np.isnan(X).any():
            raise ValueError(
                "sequences of unequal length need layers that go through steps, the last of which is recurrent and does"
                f" not return all steps, before any other layers; the layers are {network.layers}."
            )

    def _flat(self, X: Any, *, keeps_steps: bool = True) -> Any:
        """Return rows with a single axis each; remember the shape that they had, if the estimator has layers.

        Sequences are padded to the longest of them; or, if `keeps_steps`, to the number of steps of the fit.
        """
        if self._described_layers() is None:
            if self.input_shape is not None:
                raise ValueError(
                    "input_shape needs layers, because only layers use the shape of a row; set layers as well."
                )
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
        known = None if self.input_shape is None else as_input_shape(self.input_shape)[0]
        if known is None and keeps_steps and hasattr(self, "network_"):
            known = self.network_.input_shape[0]
        if isinstance(X, list | tuple):
            shapes = {np.shape(one) for one in X}
            first = next(iter(shapes), ())
            are_rows = len(shapes) == 1 and len(first) < 2 and (len(first) == 0 or known is None or first[0] >= known)
            return X if are_rows else as_sequences(X, n_steps=known)
        if isinstance(X, np.ndarray) and X.ndim == 3 and known is not None and X.shape[1] != known:
            return as_sequences(X, n_steps=known)
        return X

    def _forget_shape(self) -> None:
        """Forget the shape that rows had, once a network has been chosen for them."""
        self.__dict__.pop("_given_shape", None)

    def _shape_of_rows(self, n_features: int) -> Shape:
        """Return the shape of rows with `n_features` numbers, or raise ValueError if it is not possible."""
        if self.input_shape is not None:
            shape = as_input_shape(self.input_shape)
            if prod(shape) != n_features:
                raise ValueError(
                    f"input_shape={shape} means {prod(shape)} numbers in a row, but the rows of X have {n_features}."
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


def _shape_of_list(X: Sequence[Any]) -> Shape:
    """Return the shape of rows in a list, or raise ValueError if the rows have different shapes."""
    shapes = {np.shape(row) for row in X}
    if len(shapes) > 1 and any(len(shape) > 1 for shape in shapes):
        first, second = sorted(shapes)[:2]
        raise ValueError(f"all images in X must have the same shape; got images of the shapes {first} and {second}.")
    return (len(X), *next(iter(shapes), ()))


class Convolves(ShapedRows):
    """The part of an estimator that convolves: rows without a shape are sequences of one channel."""

    _constraints: ClassVar[dict[str, list[Any]]] = {
        "layers": [None, list, tuple],
        "input_shape": [None, list, tuple],
        "activation": [NamedPart(ACTIVATIONS, Activation)],
    }
    layers: Sequence[LayerDescription | int] | None

    def _shape_of_rows(self, n_features: int) -> Shape:
        shape = super()._shape_of_rows(n_features)
        return (*shape, 1) if len(shape) == 1 else shape
