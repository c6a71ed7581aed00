"""The primitives for NumPy's arrays that Numba compiles, which agree with NumPy's to rounding.

A primitive is compiled when it is first used with numbers of a data type; see `rhohat.ops.compiled.compiling`. Arrays
that are not contiguous are given to NumPy's primitives. Which implementation computes something therefore depends on
shapes, strides and data types alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from rhohat.common.arrays import FloatArray
from rhohat.ops.choice import chain_passes_of, compiled_or_numpy
from rhohat.ops.compiled import dense_chain, functions, gru, lstm, products, simple_recurrent, steps, windows
from rhohat.ops.fused import ChainPasses, GRUSteps, LSTMSteps, MaxPooling, SimpleSteps
from rhohat.ops.numpy_ops import NumpyOps

__all__ = ["COMPILED", "CompiledOps"]

#: The data types that functions are compiled for, float32 and float64, by NumPy's letters.
_DTYPES = "fd"
#: A product whose matrices have at most so many columns is narrow: BLAS takes as long to prepare it as to compute it.
_NARROW = 100
#: Most weights of a chain of layers whose passes are computed in one call: they stay in the cache of a core.
_MOST_WEIGHTS = 2**14
#: Processors, in OpenBLAS's names, for which it has products with the long vectors of AVX-512.
_BLAS_WITH_AVX512 = {"skylakex", "cooperlake", "sapphirerapids"}


@dataclass(frozen=True)
class _CompiledSimple(SimpleSteps):
    """The steps of a simple recurrent layer."""

    code: int

    def step(self, z: FloatArray, through: FloatArray, b: FloatArray, kept: FloatArray) -> FloatArray:
        simple_recurrent.simple_step(self.code, z, through, b, kept)
        return z

    def step_back(self, kept: FloatArray, of_h: FloatArray, out: FloatArray) -> None:
        simple_recurrent.simple_step_back(self.code, kept, of_h, out)


class _CompiledLSTM(LSTMSteps):
    """The steps of a long short-term memory."""

    def step(
        self, z: FloatArray, b: FloatArray, c_before: FloatArray, p: FloatArray, kept: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        h, c = np.empty_like(c_before), np.empty_like(c_before)
        lstm.lstm_step(z, b, c_before, p, kept, h, c)
        return h, c

    def state(self, kept: FloatArray, n_units: int) -> tuple[FloatArray, FloatArray]:
        h, c = (np.empty((len(kept), n_units), kept.dtype) for _ in range(2))
        lstm.lstm_state(kept, h, c)
        return h, c

    def step_back(
        self, kept: FloatArray, c_before: FloatArray, of_h: FloatArray, of_c: FloatArray, out: FloatArray
    ) -> FloatArray:
        earlier = np.empty_like(c_before)
        lstm.lstm_step_back(kept, c_before, of_h, of_c, out, earlier)
        return earlier


class _CompiledGRU(GRUSteps):
    """The steps of a gated recurrent unit."""

    def step(
        self, z: FloatArray, through: FloatArray, b: FloatArray, before: FloatArray, kept: FloatArray
    ) -> FloatArray:
        h = np.empty_like(before)
        gru.gru_step(z, through, b, before, kept, h)
        return h

    def step_back(self, kept: FloatArray, before: FloatArray, of_h: FloatArray, out: FloatArray) -> FloatArray:
        earlier = np.empty_like(of_h)
        gru.gru_step_back(kept, np.ascontiguousarray(before), of_h, out, earlier)
        return earlier


class _CompiledMaxPooling(MaxPooling):
    """Max pooling."""

    def forward(self, images: FloatArray, out: FloatArray, window: tuple[int, int], stride: tuple[int, int]) -> None:
        windows.max_pool(np.ascontiguousarray(images), out, *window, *stride)

    def pull_back(
        self,
        images: FloatArray,
        delta: FloatArray,
        out: FloatArray,
        window: tuple[int, int],
        stride: tuple[int, int],
    ) -> None:
        windows.max_pool_back(np.ascontiguousarray(images), np.ascontiguousarray(delta), out, *window, *stride)


class _CompiledProducts(NumpyOps):
    """Products and sums."""

    def multiply(self, A: FloatArray, B: FloatArray, out: FloatArray) -> None:
        """See `Products.multiply`."""
        takes = _are_factors(A, B, out) and _is_faster(*B.shape)
        if takes and _has_rows(A, out) and _has_rows(B, out):
            products.multiply(A, B, out, False, False)
        elif takes and _has_rows(A, out) and _has_rows(B.T, out):
            products.multiply(A, B.T, out, False, True)
        else:
            super().multiply(A, B, out)

    def product(self, A: FloatArray, B: FloatArray) -> FloatArray:
        """See `Composed.product`."""
        if A.ndim != 2 or B.ndim != 2:
            return super().product(A, B)
        out = np.empty((len(A), B.shape[1]), np.result_type(A, B))
        if _has_rows(A.T, out):
            self.multiply_transposed(A.T, B, out)
        else:
            self.multiply(A, B, out)
        return out

    def multiply_transposed(self, A: FloatArray, B: FloatArray, out: FloatArray) -> None:
        """See `Products.multiply_transposed`."""
        takes = _are_factors(A.T, B, out) and _is_faster(*out.shape)
        if takes and _has_rows(A, out) and _has_rows(B, out):
            products.multiply(A, B, out, True, False)
        else:
            super().multiply_transposed(A, B, out)

    def all_finite(self, X: FloatArray) -> bool:
        """See `Composed.all_finite`."""
        return bool(functions.all_finite(X.reshape(-1))) if _fit(X) else super().all_finite(X)

    def add_row(self, X: FloatArray, row: FloatArray) -> None:
        """See `Products.add_row`."""
        if _fit(X, row):
            functions.add_row(X.reshape(-1), row)
        else:
            super().add_row(X, row)

    def sum_of_squares(self, X: FloatArray) -> float:
        """See `Products.sum_of_squares`."""
        return float(functions.sum_of_squares(X.reshape(-1))) if _fit(X) else super().sum_of_squares(X)

    def sum_rows(self, X: FloatArray, ones: FloatArray, out: FloatArray, weights: FloatArray | None = None) -> None:
        """See `Products.sum_rows`."""
        if weights is None and _fit(X, out):
            functions.sum_rows(X.reshape(-1), out.reshape(-1))
        else:
            super().sum_rows(X, ones, out, weights)

    def column_sums(self, X: FloatArray) -> FloatArray:
        """See `Products.column_sums`."""
        if not _fit(X):
            return super().column_sums(X)
        out = np.empty(X.shape[1], X.dtype)
        functions.sum_rows(X.reshape(-1), out)
        return out


class _CompiledFunctions(NumpyOps):
    """Functions of pre-activations, losses, and windows of images."""

    def sigmoid(self, z: FloatArray, out: FloatArray) -> None:
        """See `Functions.sigmoid`."""
        if _fit(z, out):
            functions.sigmoid(z.reshape(-1), out.reshape(-1))
        else:
            super().sigmoid(z, out)

    def sigmoid_with_bias(self, z: FloatArray, bias: FloatArray) -> None:
        """See `Functions.sigmoid_with_bias`."""
        if _fit(z, bias):
            functions.sigmoid_with_bias(z.reshape(-1), bias)
        else:
            super().sigmoid_with_bias(z, bias)

    def sigmoid_pull_back(self, a: FloatArray, delta: FloatArray) -> None:
        """See `Composed.sigmoid_pull_back`; here, a is left as it is."""
        if _fit(a, delta):
            functions.sigmoid_pull_back(a.reshape(-1), delta.reshape(-1))
        else:
            super().sigmoid_pull_back(a, delta)

    def tanh(self, z: FloatArray, out: FloatArray) -> None:
        """See `Composed.tanh`."""
        if _fit(z, out):
            functions.tanh(z.reshape(-1), out.reshape(-1))
        else:
            super().tanh(z, out)

    def tanh_with_bias(self, z: FloatArray, bias: FloatArray) -> None:
        """See `Composed.tanh_with_bias`."""
        if _fit(z, bias):
            functions.tanh_with_bias(z.reshape(-1), bias)
        else:
            super().tanh_with_bias(z, bias)

    def tanh_pull_back(self, a: FloatArray, delta: FloatArray) -> None:
        """See `Composed.tanh_pull_back`; here, a is left as it is."""
        if _fit(a, delta):
            functions.tanh_pull_back(a.reshape(-1), delta.reshape(-1))
        else:
            super().tanh_pull_back(a, delta)

    def relu_with_bias(self, z: FloatArray, bias: FloatArray) -> None:
        """See `Composed.relu_with_bias`."""
        if _fit(z, bias):
            functions.relu_with_bias(z.reshape(-1), bias)
        else:
            super().relu_with_bias(z, bias)

    def relu_pull_back(self, a: FloatArray, delta: FloatArray) -> None:
        """See `Composed.relu_pull_back`; here, a is left as it is."""
        if _fit(a, delta):
            functions.relu_pull_back(a.reshape(-1), delta.reshape(-1))
        else:
            super().relu_pull_back(a, delta)

    def softplus_tail(self, z: FloatArray) -> FloatArray:
        """See `Functions.softplus_tail`."""
        if not _fit(z):
            return super().softplus_tail(z)
        out = np.empty_like(z)
        functions.softplus_tail(z.reshape(-1), out.reshape(-1))
        return out

    def softmax(self, z: FloatArray, out: FloatArray) -> None:
        """See `Functions.softmax`."""
        if _fit(z, out):
            functions.softmax(z.reshape(-1), out.reshape(-1), z.shape[1])
        else:
            super().softmax(z, out)

    def softmax_cross_entropy(self, z: FloatArray, y: FloatArray, out: FloatArray) -> FloatArray:
        """See `Functions.softmax_cross_entropy`."""
        if not _fit(z, y, out):
            return super().softmax_cross_entropy(z, y, out)
        values = np.empty(len(z), z.dtype)
        functions.softmax_cross_entropy(z.reshape(-1), y.reshape(-1), out.reshape(-1), values)
        return values

    def gather(self, images: FloatArray, out: FloatArray, first: int, stride: tuple[int, int]) -> None:
        """See `Composed.gather`."""
        if _fit(images, out):
            windows.gather(images, out, first, *stride)
        else:
            super().gather(images, out, first, stride)

    def scatter(self, gathered: FloatArray, out: FloatArray, stride: tuple[int, int]) -> None:
        """See `Composed.scatter`."""
        if _fit(gathered, out):
            windows.scatter(gathered, out, *stride)
        else:
            super().scatter(gathered, out, stride)

    def squared_error(self, outputs: FloatArray, y: FloatArray, out: FloatArray) -> float:
        """See `Composed.squared_error`."""
        if not _fit(outputs, y, out):
            return super().squared_error(outputs, y, out)
        return float(functions.squared_error(outputs.reshape(-1), y.reshape(-1), out.reshape(-1)))

    def binary_cross_entropy(self, z: FloatArray, y: FloatArray, out: FloatArray) -> FloatArray:
        """See `Composed.binary_cross_entropy`."""
        if not _fit(z, y, out):
            return super().binary_cross_entropy(z, y, out)
        values = np.empty(len(z), z.dtype)
        functions.binary_cross_entropy(z.reshape(-1), y.reshape(-1), out.reshape(-1), values)
        return values


class _CompiledSteps(NumpyOps):
    """Steps of optimisers."""

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
        """See `Steps.momentum_step`."""
        rates = np.array([momentum, learning_rate], theta.dtype)
        steps.momentum_step(theta, gradient, velocity, rates)

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
        """See `Steps.adam_step`."""
        rates = np.array([*betas, rate, epsilon], theta.dtype)
        steps.adam_step(theta, gradient, *sums, rates)


_places_of = lru_cache(dense_chain.places_of)


@dataclass(frozen=True)
class _CompiledChain(ChainPasses):
    """The passes of a narrow chain of dense layers."""

    sizes: FloatArray
    codes: FloatArray
    loss: tuple[int, ...]
    described_as: tuple[Any, ...]  # the arguments of `chain_passes`

    def __reduce__(self) -> tuple[Any, ...]:
        return chain_passes_of, self.described_as

    def takes(self, X: FloatArray, n_known: int) -> bool:
        return n_known <= 1 and len(X) >= products.FEWEST_ROWS and _fit(X)

    def sum_activations(self, X: FloatArray, W: FloatArray, b: FloatArray, out: FloatArray, sums: FloatArray) -> None:
        theta, nothing = np.concatenate([W.ravel(), b]), np.empty(0, X.dtype)
        sizes, codes, places = self.sizes[:2], self.codes[:1], _places_of(tuple(self.sizes[:2].tolist()), X.itemsize)
        dense_chain.run_pass(X, X, out, dense_chain.WANTED, theta, sizes, codes, places, self.loss, nothing, sums)

    def sum_loss_and_gradient(
        self,
        X: FloatArray,
        y: FloatArray,
        hidden: FloatArray | None,
        theta: FloatArray,
        added: FloatArray | None,
        sums: FloatArray,
    ) -> None:
        purpose = dense_chain.UNKNOWN if hidden is None else dense_chain.KNOWN
        hidden = np.empty((0, 0), X.dtype) if hidden is None else hidden
        added = np.empty(0, X.dtype) if added is None else added
        y = np.ascontiguousarray(y)
        places = _places_of(tuple(self.sizes.tolist()), X.itemsize)
        dense_chain.run_pass(X, y, hidden, purpose, theta, self.sizes, self.codes, places, self.loss, added, sums)


class CompiledOps(_CompiledProducts, _CompiledFunctions, _CompiledSteps):
    """The primitives for NumPy's arrays that Numba compiles."""

    name = "compiled"
    lstm_steps = _CompiledLSTM()
    gru_steps = _CompiledGRU()
    max_pooling = _CompiledMaxPooling()

    def chain_passes(self, sizes: Sequence[int], activations: Sequence[str], loss: str) -> ChainPasses | None:
        """See `Ops.chain_passes`; the passes are computed in one call if the layers are narrow."""
        n_weights = sum(n_inputs * n_units for n_inputs, n_units in pairwise(sizes))
        # The output activation of a loss that takes z is part of the loss.
        names = [*activations[:-1], activations[-1] if loss == "squared_error" else "identity"]
        if (
            n_weights > _MOST_WEIGHTS
            or min(sizes[:-1]) < products.FEWEST_ROWS
            or loss not in dense_chain.LOSSES
            or not set(names) <= set(dense_chain.ACTIVATIONS)
        ):
            return None
        codes = [dense_chain.ACTIVATIONS.index(name) for name in names]
        place = (0,) * (1 + dense_chain.LOSSES.index(loss))
        return _CompiledChain(np.array(sizes), np.array(codes), place, (tuple(sizes), tuple(activations), loss))

    def simple_steps(self, activation: str) -> SimpleSteps | None:
        """See `Ops.simple_steps`."""
        known = simple_recurrent.ACTIVATIONS
        return _CompiledSimple(known.index(activation)) if activation in known else None

    def __reduce__(self) -> tuple[Any, ...]:
        return compiled_or_numpy, ()


def _fit(*arrays: FloatArray) -> bool:
    """Return whether compiled functions take these arrays: contiguous ones of one data type that are not empty."""
    dtype = arrays[0].dtype
    return dtype.char in _DTYPES and all(
        array.flags.c_contiguous and array.dtype == dtype and array.size for array in arrays
    )


def _are_factors(A: FloatArray, B: FloatArray, out: FloatArray) -> bool:
    """Return whether the product of A and B fits into `out`, which has rows for a tile and memory of its own."""
    return (
        A.shape[1] == len(B)
        and out.shape == (len(A), B.shape[1])
        and len(out) >= products.FEWEST_ROWS
        and out.flags.carray
        and not np.may_share_memory(A, out)
        and not np.may_share_memory(B, out)
    )


def _has_rows(A: FloatArray, out: FloatArray) -> bool:
    """Return whether the rows of A are contiguous, lie one after another, and are of the data type of `out`."""
    size, (n_rows, n_columns) = A.itemsize, A.shape
    along = A.strides[1] == size or n_columns == 1
    down = n_rows == 1 or (A.strides[0] >= n_columns * size and A.strides[0] % size == 0)
    return along and down and A.size > 0 and A.dtype == out.dtype and out.dtype.char in _DTYPES


@cache
def _is_faster(n_inputs: int, n_outputs: int) -> bool:
    """Return whether a compiled product with a matrix of this shape is faster than BLAS."""
    return min(n_inputs, n_outputs) <= _NARROW or (products.HAS_AVX512 and not _blas_has_avx512())


@cache
def _blas_has_avx512() -> bool:
    """Return whether NumPy's BLAS multiplies vectors of AVX-512; a library that does not tell may do so."""
    found = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return any(str(library.get("architecture", "skylakex")).lower() in _BLAS_WITH_AVX512 for library in found)


COMPILED = CompiledOps()
