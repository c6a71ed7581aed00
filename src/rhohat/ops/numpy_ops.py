"""The primitives for NumPy's arrays, which are the reference for the primitives of other libraries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike, NDArray

from rhohat.common.arrays import FloatArray, empty_aligned
from rhohat.ops import numpy_kernels as kernels
from rhohat.ops.base import Arrays, Functions, Ops, Places, Products, Steps

__all__ = ["NUMPY", "NumpyOps"]


class _NumpyArrays(Arrays):
    xp = np

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> FloatArray:
        return empty_aligned(tuple(shape), dtype)

    def zeros(self, shape: Sequence[int], dtype: DTypeLike) -> FloatArray:
        return np.zeros(shape, dtype)

    def ones(self, shape: Sequence[int], dtype: DTypeLike) -> FloatArray:
        return np.ones(shape, dtype)

    def copy(self, array: FloatArray) -> FloatArray:
        return array.copy()

    def asarray(self, values: Any, dtype: DTypeLike | None = None) -> FloatArray:
        return np.asarray(values, dtype)

    def to_numpy(self, array: FloatArray) -> FloatArray:
        return array

    def like(self, given: FloatArray, array: FloatArray) -> FloatArray:
        return array

    def dtype_of(self, array: FloatArray) -> np.dtype[Any]:
        return array.dtype

    def transpose(self, array: FloatArray) -> FloatArray:
        return array.T

    def windows(self, array: FloatArray, length: int, step: int = 1) -> FloatArray:
        windows: FloatArray = sliding_window_view(array, length, axis=-1)[..., ::step, :]
        return windows


class _NumpyPlaces(_NumpyArrays, Places):
    def take(self, array: FloatArray, rows: Any, out: FloatArray) -> None:
        # All indices are in range. With mode="raise", NumPy would write into a buffer first.
        np.take(array, rows, axis=0, out=out, mode="clip")

    def row_numbers(self, rows: NDArray[Any]) -> NDArray[Any]:
        return rows

    def holds(self, array: Any) -> bool:
        return isinstance(array, np.ndarray)

    def number(self, value: Any) -> float:
        return float(value)

    def numbers(self, values: FloatArray) -> list[Any]:
        return values.tolist()


class _NumpyProducts(Products):
    def multiply(self, A: FloatArray, B: FloatArray, out: FloatArray) -> None:
        kernels.multiply(A, B, out)

    def multiply_transposed(self, A: FloatArray, B: FloatArray, out: FloatArray) -> None:
        kernels.multiply_transposed(A, B, out)

    def add_row(self, X: FloatArray, row: FloatArray) -> None:
        kernels.add_row(X, row)

    def sum_of_squares(self, X: FloatArray) -> float:
        return kernels.sum_of_squares(X)

    def row_products(self, A: FloatArray, B: FloatArray) -> FloatArray:
        return kernels.row_products(A, B)

    def sum_rows(self, X: FloatArray, ones: FloatArray, out: FloatArray, weights: FloatArray | None = None) -> None:
        kernels.sum_rows(X, ones, out, weights)

    def column_sums(self, X: FloatArray) -> FloatArray:
        return kernels.column_sums(X)


class _NumpyFunctions(Functions):
    def sigmoid(self, z: FloatArray, out: FloatArray) -> None:
        np.negative(z, out=out)
        _sigmoid_of_negative(out)

    def sigmoid_with_bias(self, z: FloatArray, bias: FloatArray) -> None:
        kernels.subtract_from_row(-bias, z)  # adds the bias and changes the sign of z in one pass
        _sigmoid_of_negative(z)

    def softplus_tail(self, z: FloatArray) -> FloatArray:
        with np.errstate(under="ignore"):
            tail: FloatArray = np.log1p(np.exp(-np.abs(z)))
        return tail

    def softmax(self, z: FloatArray, out: FloatArray) -> None:
        np.subtract(z, z.max(axis=1, keepdims=True), out=out)
        out /= _exponentials(out)[:, None]

    def softmax_cross_entropy(self, z: FloatArray, y: FloatArray, out: FloatArray) -> FloatArray:
        rows, largest = np.arange(len(z)), np.argmax(z, 1)
        np.subtract(z, z[rows, largest][:, None], out=out)
        products = kernels.row_products(out, y)
        total = _exponentials(out)
        out[rows, largest] = 0  # the entry is 1; adding it would round the small numbers away
        others = out @ np.ones(out.shape[1], out.dtype)  # faster than a sum over short rows
        out[rows, largest] = 1
        out /= total[:, None]
        out -= y
        values: FloatArray = np.log1p(others) - products
        return values


class _NumpySteps(Steps):
    def momentum_step(
        self,
        theta: FloatArray,
        gradient: FloatArray,
        velocity: FloatArray,
        scratch: FloatArray,
        *,
        momentum: float,
        learning_rate: float,
    ) -> None:
        velocity *= momentum
        velocity -= np.multiply(gradient, learning_rate, out=scratch)
        theta += velocity

    def adam_step(
        self,
        theta: FloatArray,
        gradient: FloatArray,
        sums: tuple[FloatArray, FloatArray],
        scratch: FloatArray,
        *,
        betas: tuple[float, float],
        rate: float,
        epsilon: float,
    ) -> None:
        of_gradients, of_squares = sums
        of_gradients *= betas[0]
        of_gradients += gradient
        of_squares *= betas[1]
        of_squares += np.multiply(gradient, gradient, out=scratch)
        np.sqrt(of_squares, out=scratch)
        scratch += epsilon
        np.divide(of_gradients, scratch, out=scratch)
        scratch *= rate
        theta -= scratch


class NumpyOps(_NumpyPlaces, _NumpyProducts, _NumpyFunctions, _NumpySteps, Ops):
    """The primitives for NumPy's arrays."""

    name = "numpy"
    library = "numpy"


def _sigmoid_of_negative(minus_z: FloatArray) -> None:
    """Overwrite −z with 1 / (1 + exp(−z)); exp(−z) may overflow to infinity, for which the result, 0, is right."""
    with np.errstate(over="ignore", under="ignore"):
        np.exp(minus_z, out=minus_z)
    minus_z += 1
    kernels.reciprocal(minus_z)


def _exponentials(differences: FloatArray) -> NDArray[Any]:
    """Overwrite differences from each row's largest number with their exponentials, and return the sum of each row."""
    with np.errstate(under="ignore"):
        np.exp(differences, out=differences)
    total: NDArray[Any] = differences.sum(1)
    return total


NUMPY = NumpyOps()
