"""Activations of a layer as rows, and rows put back into activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.extras import import_extra

if TYPE_CHECKING:
    import torch

__all__ = ["Positions", "RowsOfTensor"]

#: Which positions of activations are meant; see `RowsOfTensor`.
Positions: TypeAlias = "slice | Sequence[int] | torch.Tensor | None"


class RowsOfTensor:
    """Some positions of activations as rows, in the memory of the host.

    Parameters
    ----------
    positions : slice, sequence of int, boolean tensor, or None
        Positions along the second axis, or a tensor that is True where a position is meant, of the shape of the
        activations without the last axis. None means all positions.
    n_features : int or None
        Number of features that rows must have; None if any number will do.

    Raises
    ------
    TypeError
        If positions are something else.
    """

    def __init__(self, positions: Any, n_features: int | None) -> None:
        torch = import_extra("torch", "torch")
        is_mask = isinstance(positions, torch.Tensor) and positions.dtype == torch.bool
        if not (positions is None or is_mask or isinstance(positions, slice)):
            if isinstance(positions, str | bytes) or not isinstance(positions, Sequence | np.ndarray | torch.Tensor):
                raise TypeError(
                    "positions must be a slice, a sequence of whole numbers, a boolean tensor, or None for all;"
                    f" got {positions!r}."
                )
            positions = [int(place) for place in positions]
        self.positions, self.n_features, self._is_mask = positions, n_features, is_mask

    def rows(self, tensor: torch.Tensor) -> FloatArray:
        """Return the activations at the positions as an array of shape (n_rows, n_features), in float32 or float64."""
        torch = import_extra("torch", "torch")
        if tensor.ndim < 2 or not tensor.is_floating_point():
            raise ValueError(
                "activations must be a tensor of floats of the shape (batch, ..., n_features);"
                f" got the shape {tuple(tensor.shape)} of {tensor.dtype}."
            )
        width = tensor.shape[-1]
        if self.n_features is not None and width != self.n_features:
            raise ValueError(
                f"the activations of the layer have {width} features along their last axis, but the model has learned"
                f" from rows of {self.n_features}; choose the layer that the model was trained on."
            )
        chosen = tensor.detach()[self._key(tensor)].reshape(-1, width)
        rows: FloatArray = chosen.to("cpu", torch.promote_types(chosen.dtype, torch.float32)).numpy()
        return rows

    def put(self, tensor: torch.Tensor, rows: FloatArray) -> torch.Tensor:
        """Return the activations with rows at the positions, and the same activations elsewhere."""
        key = self._key(tensor)
        given = self._as_tensor(tensor, rows, key)
        if self.positions is None:
            return given
        changed = tensor.clone()
        changed[key] = given
        return changed

    def add(self, tensor: torch.Tensor, rows: FloatArray) -> torch.Tensor:
        """Return the activations with rows added at the positions, and the same activations elsewhere."""
        key = self._key(tensor)
        given = self._as_tensor(tensor, rows, key)
        if self.positions is None:
            return tensor + given
        changed = tensor.clone()
        changed[key] = changed[key] + given
        return changed

    def _key(self, tensor: torch.Tensor) -> Any:
        """Return the index that picks the positions out of activations."""
        if self.positions is None:
            return ...
        if self._is_mask:
            if self.positions.shape != tensor.shape[:-1]:
                raise ValueError(
                    f"positions has the shape {tuple(self.positions.shape)}, but the activations have"
                    f" {tuple(tensor.shape[:-1])} positions."
                )
            return self.positions.to(tensor.device)
        if tensor.ndim < 3:
            raise ValueError(
                f"the activations have the shape {tuple(tensor.shape)}, without an axis of positions; leave positions"
                " at None."
            )
        return slice(None), self.positions

    def _as_tensor(self, tensor: torch.Tensor, rows: FloatArray, key: Any) -> torch.Tensor:
        """Return rows as a tensor of the shape of the positions that they are for."""
        torch = import_extra("torch", "torch")
        shape = tensor.detach()[key].shape
        array = np.asarray(rows)
        if array.ndim != 2 or array.size != shape.numel() or array.shape[1] != shape[-1]:
            raise ValueError(
                f"the activations at these positions are {shape.numel() // shape[-1]} rows of {shape[-1]} features, but"
                f" the model returned an array of the shape {array.shape}."
            )
        return torch.tensor(array).to(tensor.device, tensor.dtype).reshape(shape)
