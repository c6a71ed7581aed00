"""The choice of the primitives for an array, by the library that the array belongs to."""

from __future__ import annotations

from typing import Any

from rhohat.ops.base import Ops
from rhohat.ops.numpy_ops import NUMPY

__all__ = ["ops_of"]


def ops_of(array: Any) -> Ops:
    """Return the primitives for an array: `TorchOps` for a PyTorch tensor, `NumpyOps` for everything else.

    Raises
    ------
    ValueError
        If a tensor is not in CPU memory.

    Examples
    --------
    >>> import numpy as np
    >>> ops_of(np.zeros(3)).xp is np
    True
    """
    if type(array).__module__.partition(".")[0] != "torch":
        return NUMPY
    from rhohat.ops.torch_ops import TORCH

    if array.device.type != "cpu":
        raise ValueError(
            f"tensors must be in CPU memory, but this tensor is on {array.device}; pass X.cpu() instead of X."
        )
    return TORCH
