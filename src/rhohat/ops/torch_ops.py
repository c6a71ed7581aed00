"""The primitives for PyTorch's tensors, in CPU memory or on a device such as a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from rhohat.ops.base import Arrays, Functions, Ops, Places, Products, Steps
from rhohat.ops.rooms import Room
from rhohat.ops.torch_rooms import RoomOfDevice, RoomOfTensors

__all__ = ["PRODUCTS", "TORCH", "TorchOps", "named_device", "torch_ops"]

Tensor = Any

#: What the numbers of matrix products may be rounded to; sums are float32 or float64 in any case.
PRODUCTS = ("exact", "tf32", "bfloat16")

_TYPES = {np.dtype(np.float32): torch.float32, np.dtype(np.float64): torch.float64}
_WITHOUT_FLOAT64 = {"mps"}  # kinds of devices on which float32 stands in for float64


class _TorchArrays(Arrays):
    xp = torch
    device: torch.device

    def type_of(self, dtype: DTypeLike) -> torch.dtype:
        """Return the data type of tensors that stands for one of NumPy on this device."""
        if self.device.type in _WITHOUT_FLOAT64:
            return torch.float32
        return _TYPES[np.dtype(dtype)]

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> Tensor:
        return torch.empty(tuple(shape), dtype=self.type_of(dtype), device=self.device)

    def zeros(self, shape: Sequence[int], dtype: DTypeLike) -> Tensor:
        return torch.zeros(tuple(shape), dtype=self.type_of(dtype), device=self.device)

    def ones(self, shape: Sequence[int], dtype: DTypeLike) -> Tensor:
        return torch.ones(tuple(shape), dtype=self.type_of(dtype), device=self.device)

    def copy(self, array: Tensor) -> Tensor:
        return array.clone()

    def asarray(self, values: Any, dtype: DTypeLike | None = None) -> Tensor:
        if isinstance(values, torch.Tensor):
            values = values.detach()  # because rhohat computes derivatives in closed form
        elif isinstance(values, np.ndarray):
            if self.device.type in _WITHOUT_FLOAT64 and values.dtype == np.float64:
                values = values.astype(np.float32)
            elif not values.flags.writeable:  # a tensor has no such flag, so that it must not share the memory
                values = values.copy()
        return torch.as_tensor(values, dtype=None if dtype is None else self.type_of(dtype), device=self.device)

    def to_numpy(self, array: Tensor) -> NDArray[Any]:
        return np.asarray(array.cpu() if isinstance(array, torch.Tensor) else array)

    def like(self, given: Any, array: Any) -> Any:
        return self.to_numpy(array) if isinstance(given, np.ndarray) else self.asarray(array)

    def dtype_of(self, array: Tensor) -> np.dtype[Any]:
        return np.dtype(str(array.dtype).removeprefix("torch."))

    def transpose(self, array: Tensor) -> Tensor:
        return array.permute(*reversed(range(array.ndim)))

    def windows(self, array: Tensor, length: int, step: int = 1) -> Tensor:
        return array.unfold(-1, length, step)


class _TorchPlaces(_TorchArrays, Places):
    def take(self, array: Tensor, rows: Tensor, out: Tensor) -> None:
        torch.index_select(array, 0, rows, out=out)

    def row_numbers(self, rows: NDArray[Any]) -> Tensor:
        return torch.as_tensor(rows, dtype=torch.int64, device=self.device)

    def holds(self, array: Any) -> bool:
        return isinstance(array, torch.Tensor) and array.device == self.device

    def room(self, shape: tuple[int, int], dtype: DTypeLike, stored: DTypeLike) -> Room:
        if self.device.type == "cpu":
            return RoomOfTensors(np.empty(shape, stored), self.type_of(dtype))
        pinned = torch.empty(shape, dtype=_TYPES[np.dtype(stored)], pin_memory=True)
        return RoomOfDevice(pinned, self.empty(shape, dtype))

    def number(self, value: Any) -> Any:
        return value

    def numbers(self, values: Tensor) -> list[Any]:
        return list(values)


class _TorchProducts(Products):
    products: str

    def multiply(self, A: Tensor, B: Tensor, out: Tensor) -> None:
        if self.products == "bfloat16":
            out.copy_(A.bfloat16() @ B.bfloat16())
            return
        torch.matmul(A, B, out=out)

    def multiply_transposed(self, A: Tensor, B: Tensor, out: Tensor) -> None:
        self.multiply(A.T, B, out)

    def add_row(self, X: Tensor, row: Tensor) -> None:
        X += row

    def sum_of_squares(self, X: Tensor) -> Any:
        return X.square().sum(dtype=torch.float32 if X.device.type in _WITHOUT_FLOAT64 else torch.float64)

    def row_products(self, A: Tensor, B: Tensor) -> Tensor:
        return (A * B).sum(1)

    def sum_rows(self, X: Tensor, ones: Tensor, out: Tensor, weights: Tensor | None = None) -> None:
        torch.sum(X if weights is None else X * weights.T, 0, keepdim=True, out=out)

    def column_sums(self, X: Tensor) -> Tensor:
        return X.sum(0)


class _TorchFunctions(Functions):
    def sigmoid(self, z: Tensor, out: Tensor) -> None:
        torch.sigmoid(z, out=out)

    def sigmoid_with_bias(self, z: Tensor, bias: Tensor) -> None:
        z += bias
        torch.sigmoid(z, out=z)

    def softplus_tail(self, z: Tensor) -> Tensor:
        return z.abs().neg_().exp_().log1p_()

    def softmax(self, z: Tensor, out: Tensor) -> None:
        out[...] = torch.softmax(z, 1)

    def softmax_cross_entropy(self, z: Tensor, y: Tensor, out: Tensor) -> Tensor:
        largest = z.argmax(1, keepdim=True)
        differences = z - z.gather(1, largest)
        products = (differences * y).sum(1)
        others = differences.exp_().scatter_(1, largest, 0).sum(1)  # the largest, 1, would round them away
        self.softmax(z, out)
        out -= y
        return others.log1p_() - products


class _TorchSteps(Steps):
    def momentum_step(
        self,
        theta: Tensor,
        gradient: Tensor,
        velocity: Tensor,
        scratch: Tensor,
        *,
        momentum: float,
        learning_rate: float,
    ) -> None:
        velocity.mul_(momentum).sub_(gradient, alpha=learning_rate)
        theta += velocity

    def adam_step(
        self,
        theta: Tensor,
        gradient: Tensor,
        sums: tuple[Tensor, Tensor],
        scratch: Tensor,
        *,
        betas: tuple[float, float],
        rate: float,
        epsilon: float,
    ) -> None:
        of_gradients, of_squares = sums
        of_gradients.mul_(betas[0]).add_(gradient)
        of_squares.mul_(betas[1]).addcmul_(gradient, gradient)
        torch.sqrt(of_squares, out=scratch)
        scratch += epsilon
        theta.addcdiv_(of_gradients, scratch, value=-rate)


class TorchOps(_TorchPlaces, _TorchProducts, _TorchFunctions, _TorchSteps, Ops):
    """The primitives for PyTorch's tensors on a device; instances for the same device and products are equal.

    Parameters
    ----------
    device : str, default="cpu"
        Name of the device, such as "cpu", "cuda", "cuda:1" or "mps".
    products : {"exact", "tf32", "bfloat16"}, default="exact"
        What the numbers of matrix products are rounded to. "bfloat16" is done here; "tf32" is a setting of PyTorch that
        `TorchEngine` changes while it computes.
    """

    name = "torch"
    library = "torch"

    def __init__(self, device: str = "cpu", products: Literal["exact", "tf32", "bfloat16"] = "exact") -> None:
        self.device, self.products = torch.device(device), products

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TorchOps) and (self.device, self.products) == (other.device, other.products)

    def __hash__(self) -> int:
        return hash((self.device, self.products))


TORCH = TorchOps()


def named_device(device: str) -> str:
    """Return the full name of a device, such as "cuda:0" for "cuda", which is how tensors name it."""
    return str(torch.empty(0, device=device).device)


@cache
def torch_ops(device: str) -> TorchOps:
    """Return the primitives for tensors on a device, given its name."""
    return TORCH if device == "cpu" else TorchOps(device)
