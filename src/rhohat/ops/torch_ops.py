"""The primitives for PyTorch's tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from rhohat.ops.base import Arrays, Functions, Ops, Products, Steps

__all__ = ["TORCH", "TorchOps"]

Tensor = Any

_TYPES = {np.dtype(np.float32): torch.float32, np.dtype(np.float64): torch.float64}


class _TorchArrays(Arrays):
    xp = torch

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> Tensor:
        return torch.empty(tuple(shape), dtype=_TYPES[np.dtype(dtype)])

    def zeros(self, shape: Sequence[int], dtype: DTypeLike) -> Tensor:
        return torch.zeros(tuple(shape), dtype=_TYPES[np.dtype(dtype)])

    def ones(self, shape: Sequence[int], dtype: DTypeLike) -> Tensor:
        return torch.ones(tuple(shape), dtype=_TYPES[np.dtype(dtype)])

    def copy(self, array: Tensor) -> Tensor:
        return array.clone()

    def asarray(self, values: Any, dtype: DTypeLike | None = None) -> Tensor:
        if isinstance(values, torch.Tensor):
            values = values.detach()  # because rhohat computes derivatives in closed form
        return torch.as_tensor(values, dtype=None if dtype is None else _TYPES[np.dtype(dtype)])

    def to_numpy(self, array: Tensor) -> NDArray[Any]:
        return np.asarray(array)

    def like(self, given: Any, array: Any) -> Any:
        return self.to_numpy(array) if isinstance(given, np.ndarray) else self.asarray(array)

    def dtype_of(self, array: Tensor) -> np.dtype[Any]:
        return np.dtype(str(array.dtype).removeprefix("torch."))

    def transpose(self, array: Tensor) -> Tensor:
        return array.permute(*reversed(range(array.ndim)))

    def windows(self, array: Tensor, length: int, step: int = 1) -> Tensor:
        return array.unfold(-1, length, step)


class _TorchProducts(Products):
    def multiply(self, A: Tensor, B: Tensor, out: Tensor) -> None:
        torch.matmul(A, B, out=out)

    def multiply_transposed(self, A: Tensor, B: Tensor, out: Tensor) -> None:
        torch.matmul(A.T, B, out=out)

    def add_row(self, X: Tensor, row: Tensor) -> None:
        X += row

    def sum_of_squares(self, X: Tensor) -> float:
        return float(X.square().sum(dtype=torch.float64))

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


class TorchOps(_TorchArrays, _TorchProducts, _TorchFunctions, _TorchSteps, Ops):
    """The primitives for PyTorch's tensors in CPU memory."""

    name = "torch"
    library = "torch"


TORCH = TorchOps()
