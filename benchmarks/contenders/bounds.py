"""What no implementation gets below: the matrix products alone, and reading the rows once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.measuring import time_calls
from benchmarks.tasks import Record, Task

__all__ = [
    "decoding",
    "dictionary_product",
    "dictionary_step",
    "encoding",
    "lenet_products",
    "lstm_products",
    "products",
    "reading",
    "training_products",
]


def products(task: Task) -> Record:
    """Time the five matrix products of an evaluation, by BLAS on all cores, into memory that is there."""
    rows = _products(task, len(task.X))
    with threadpool_limits(task.settings.n_threads, user_api="blas"):  # None leaves BLAS as it is
        return _time(lambda: rows(task.X), task)


def reading(task: Task) -> Record:
    """Time a sum over the rows: they have to come from memory once, at least."""
    return _time(task.X.sum, task)


def training_products(task: Task) -> Record:
    """Time the five products of every mini-batch of an epoch."""
    batch_size = task.settings.batch_size
    batch = _products(task, batch_size)

    def epoch() -> None:
        for start in range(0, len(task.X), batch_size):
            batch(task.X[start : start + batch_size])

    batch(task.X[:batch_size])  # a warm-up
    start = time.perf_counter()
    epoch()
    return {"seconds": time.perf_counter() - start}


def lenet_products(task: Task) -> Record:
    """Time the matrix products of an epoch of the convolutional network: forward, by the weights, and by the inputs."""
    n = task.settings.batch_size
    sizes = [(576 * n, 25, 20), (64 * n, 500, 50), (n, 800, 500), (n, 500, 10)]
    products: list[_Product] = []
    for index, (rows, fan_in, fan_out) in enumerate(sizes):
        given, W, delta = _arrays(task, rows, fan_in, fan_out)
        products += [(given, W, np.empty_like(delta)), (given.T, delta, np.empty_like(W))]
        if index > 0:
            products.append((delta, W.T, np.empty_like(given)))
    return _epoch_of(products, task)


def lstm_products(task: Task) -> Record:
    """Time the matrix products of an epoch of the recurrent network: forward, through the steps, and by the weights."""
    n, n_steps, n_units = task.settings.batch_size, 28, 128
    inputs, W, of_z = _arrays(task, n_steps * n, 28, 4 * n_units)
    units, U, of_step = _arrays(task, n, n_units, 4 * n_units)
    of_all = np.ones((n_steps * n, n_units), task.X.dtype)
    last, W_output, delta = _arrays(task, n, n_units, 10)
    products = [(inputs, W, np.empty_like(of_z)), *[(units, U, np.empty_like(of_step))] * (n_steps - 1)]
    products += [(last, W_output, np.empty_like(delta)), (last.T, delta, np.empty_like(W_output))]
    products += [(delta, W_output.T, np.empty_like(last)), *[(of_step, U.T, np.empty_like(units))] * (n_steps - 1)]
    products += [(inputs.T, of_z, np.empty_like(W)), (of_all.T, of_z, np.empty_like(U))]
    return _epoch_of(products, task)


def dictionary_product(task: Task) -> Record:
    """Time the product of a batch and the encoder of a dictionary."""
    rows, W, out = _dictionary(task)
    return _time(lambda: np.matmul(rows, W, out=out), task)


def dictionary_step(task: Task) -> Record:
    """Time the product of a batch and the encoder, and one pass over the parameters and the two moments of Adam."""
    rows, W, out = _dictionary(task)
    theta = np.ones((3, 2 * W.size), W.dtype)

    def step() -> None:
        np.matmul(rows, W, out=out)
        np.multiply(theta, W.dtype.type(0.999), out=theta)

    return _time(step, task)


def _dictionary(task: Task) -> _Product:
    """Return a batch, the encoder of a dictionary, and room for their product."""
    rows, W = task.X[: task.settings.batch_size], np.ascontiguousarray(task.decoder.T)
    return rows, W, np.empty((len(rows), W.shape[1]), W.dtype)


#: Two matrices, and where their product goes.
_Product: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]


def _arrays(task: Task, n_rows: int, fan_in: int, fan_out: int) -> _Product:
    """Return inputs, weights and outputs of a layer."""
    shapes = (n_rows, fan_in), (fan_in, fan_out), (n_rows, fan_out)
    given, W, outputs = (np.ones(shape, task.X.dtype) for shape in shapes)
    return given, W, outputs


def _epoch_of(products: Sequence[_Product], task: Task) -> Record:
    """Time the products of a mini-batch, for each of an epoch."""

    def batch() -> None:
        for A, B, out in products:
            np.matmul(A, B, out=out)

    batch()  # a warm-up
    start = time.perf_counter()
    for _ in range(0, len(task.X), task.settings.batch_size):
        batch()
    return {"seconds": time.perf_counter() - start}


def encoding(task: Task) -> Record:
    """Time the one matrix product of `transform`."""
    W1, _, _, _ = task.initial_parameters()
    hidden = np.empty((len(task.X), W1.shape[1]), task.X.dtype)
    return _time(lambda: np.matmul(task.X, W1, out=hidden), task)


def decoding(task: Task) -> Record:
    """Time the two matrix products of `reconstruct`."""
    W1, W2, _, _ = task.initial_parameters()
    hidden, out = np.empty((len(task.X), W1.shape[1]), task.X.dtype), np.empty_like(task.X)

    def multiply() -> None:
        np.matmul(task.X, W1, out=hidden)
        np.matmul(hidden, W2, out=out)

    return _time(multiply, task)


def _products(task: Task, n_rows: int) -> Callable[[np.ndarray], None]:
    """Return a function that does the five products for at most so many rows."""
    W1, W2, _, _ = task.initial_parameters()
    hidden, out = np.empty((n_rows, W1.shape[1]), task.X.dtype), np.empty((n_rows, W2.shape[1]), task.X.dtype)
    gradients = np.empty_like(W1), np.empty_like(W2)

    def multiply(X: np.ndarray) -> None:
        H, Y = hidden[: len(X)], out[: len(X)]
        np.matmul(X, W1, out=H)
        np.matmul(H, W2, out=Y)
        np.matmul(H.T, Y, out=gradients[1])
        np.matmul(Y, W2.T, out=H)
        np.matmul(X.T, H, out=gradients[0])

    return multiply


def _time(function: Callable[[], Any], task: Task) -> Record:
    return time_calls(function, task.settings.seconds)[0]
