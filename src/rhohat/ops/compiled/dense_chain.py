"""The passes of a narrow chain of dense layers over a block of rows, each in one call.

Where layers are narrow, calling the primitives of a pass one by one takes as long as computing them, and the threads of
an engine wait for one another's calls. Here a pass over a block is one call. It takes some hundred rows at a time
through all layers, forward and backward, so that their activations and deltas stay in the cache of a core.

The parameters are a flat vector: the weights of all layers, and then the biases.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from rhohat.common.arrays import FloatArray
from rhohat.ops.compiled.compiling import FAST_MATH, Number, compiled, inlined, not_inlined, shared
from rhohat.ops.compiled.functions import (
    _add,
    _binary_cross_entropy,
    _join,
    _relu_with_bias,
    _sigmoid_with_bias,
    _subtract,
    _sum,
    _sum_of_squares,
    _tanh_with_bias,
    join,
    joined_size,
    softmax_cross_entropy,
)
from rhohat.ops.compiled.products import copied_size, copy_rows, write_product

__all__ = ["ACTIVATIONS", "KNOWN", "LOSSES", "UNKNOWN", "WANTED", "run_pass"]

#: The activations and the losses that the passes know; their places are the codes by which they are chosen.
ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu")
LOSSES = ("squared_error", "binary_cross_entropy", "softmax_cross_entropy")

_IDENTITY, _SIGMOID, _TANH, _RELU = range(4)

#: What the activations of the first hidden layer are to a pass: not known before, known, or all that it is to compute.
UNKNOWN, KNOWN, WANTED = range(3)

_ROWS_AT_ONCE = 128


@shared
def _activate(code: Number, z: FloatArray, bias: FloatArray) -> None:
    """Overwrite z, of shape (n_rows, n), with f(z + bias), where copies of the bias are joined to a longer row."""
    not_inlined()
    flat = z.reshape(-1)
    for start in range(0, flat.size, bias.size):
        some = flat[start : start + bias.size]
        if code == _SIGMOID:
            _sigmoid_with_bias(some, bias)
        elif code == _TANH:
            _tanh_with_bias(some, bias)
        elif code == _RELU:
            _relu_with_bias(some, bias)
        else:
            _add(some, bias)


@shared
def _pull_back(code: int, a: FloatArray, delta: FloatArray) -> None:
    """Turn ∂J/∂a into ∂J/∂z, in place."""
    not_inlined()
    if code == _SIGMOID:
        for i in range(a.size):
            delta[i] *= a[i] - a[i] * a[i]
    elif code == _TANH:
        for i in range(a.size):
            delta[i] -= delta[i] * (a[i] * a[i])
    elif code == _RELU:
        zero = a.dtype.type(0)
        for i in range(a.size):
            delta[i] = delta[i] if a[i] > zero else zero


@shared
def _add_row(x: FloatArray, row: FloatArray) -> None:
    """Add a row, of which copies are joined, to the flat array x."""
    not_inlined()
    for start in range(0, x.size, row.size):
        _add(x[start : start + row.size], row)


@shared
def _sum_rows(x: FloatArray, joined: FloatArray, out: FloatArray, add: bool) -> None:
    """Write the sum of the rows of the flat array x into `out`, or add it; `joined` has room for joined rows."""
    not_inlined()
    zero = x.dtype.type(0)
    for i in range(joined.size):
        joined[i] = zero
    for start in range(0, x.size, joined.size):
        part = x[start : start + joined.size]
        _add(joined[: part.size], part)
    for i in range(out.size):
        total = 0.0
        for place in range(i, joined.size, out.size):
            total += joined[place]
        out[i] = out[i] + total if add else total


@inlined
def _copy(x: FloatArray, out: FloatArray) -> None:
    for i in range(x.size):
        out[i] = x[i]


@shared
def _copy_weights(W: FloatArray, transposed: Any, out: FloatArray) -> None:
    """Copy a matrix, or its transpose, as `write_product` reads it."""
    not_inlined()
    if not transposed:
        copy_rows(W, out)
        return
    other = np.empty((W.shape[1], W.shape[0]), W.dtype)
    for i in range(W.shape[0]):
        for j in range(W.shape[1]):
            other[j, i] = W[i, j]
    copy_rows(other, out)


def _evaluate_loss(
    loss: Any, code: Number, a: FloatArray, y: FloatArray, bias: FloatArray, delta: FloatArray
) -> Number:
    """Apply the output's bias and activation to a, write ∂loss/∂z into delta, and return the loss, summed over rows."""


@overload(_evaluate_loss, jit_options={"fastmath": FAST_MATH, "error_model": "numpy"})
def _choose_loss(loss: Any, code: Number, a: FloatArray, y: FloatArray, bias: FloatArray, delta: FloatArray) -> Number:
    """Return the implementation for a loss, whose place in `LOSSES` is the length of a tuple, less 1.

    The length of a tuple is part of its type, so that no loss is compiled that is not used.
    """
    return (_squared_error, _binary_cross_entropies, _softmax_cross_entropies)[loss.count - 1]


def _squared_error(
    loss: Any, code: Number, a: FloatArray, y: FloatArray, bias: FloatArray, delta: FloatArray
) -> Number:
    outputs, targets, flat = a.reshape(-1), y.reshape(-1), delta.reshape(-1)
    _activate(code, a, bias)
    total = 0.0
    for start in range(0, outputs.size, bias.size):
        stop = start + bias.size
        _subtract(outputs[start:stop], targets[start:stop], flat[start:stop])
        total += _sum_of_squares(flat[start:stop])
    _pull_back(code, outputs, flat)
    return 0.5 * total


def _binary_cross_entropies(
    loss: Any, code: Number, a: FloatArray, y: FloatArray, bias: FloatArray, delta: FloatArray
) -> Number:
    outputs, terms = a.reshape(-1), np.empty(a.size, a.dtype)
    _activate(code, a, bias)  # the bias alone: the sigmoid is part of the loss
    _binary_cross_entropy(outputs, y.reshape(-1), delta.reshape(-1), terms)
    return float(_sum(terms))


def _softmax_cross_entropies(
    loss: Any, code: Number, a: FloatArray, y: FloatArray, bias: FloatArray, delta: FloatArray
) -> Number:
    values = np.empty(a.shape[0], a.dtype)
    _activate(code, a, bias)  # the bias alone, as above
    softmax_cross_entropy(a.reshape(-1), y.reshape(-1), delta.reshape(-1), values)
    return float(_sum(values))


class _Room(NamedTuple):
    """Memory for some rows of all layers, and for weights and biases as products and activations read them.

    The arrays whose names end with `_at` have the shape (n_layers + 1,). They say where a layer's part of an array
    begins; it ends where that of the next layer begins. Layers are counted from 0, without the input.
    """

    sizes: Any
    codes: Any
    weights_at: Any
    biases_at: Any
    forward_at: Any
    backward_at: Any
    layers_at: Any
    joined_at: Any
    forward_weights: FloatArray
    backward_weights: FloatArray
    joined_biases: FloatArray
    sums_of_deltas: FloatArray
    activations: FloatArray
    deltas: FloatArray


@shared
def _prepare(theta: FloatArray, sizes: Any, codes: Any) -> _Room:
    """Return memory for the layers, with copies of the parameters."""
    not_inlined()
    n_layers, size = sizes.size - 1, theta.itemsize
    weights, biases = np.zeros(n_layers + 1, np.int64), np.zeros(n_layers + 1, np.int64)
    forward, backward = np.zeros(n_layers + 1, np.int64), np.zeros(n_layers + 1, np.int64)
    layers, joined = np.zeros(n_layers + 1, np.int64), np.zeros(n_layers + 1, np.int64)
    for layer in range(n_layers):
        n_inputs, n_units = sizes[layer], sizes[layer + 1]
        weights[layer + 1] = weights[layer] + n_inputs * n_units
        forward[layer + 1] = forward[layer] + copied_size(n_inputs, n_units, size)
        backward[layer + 1] = backward[layer] + copied_size(n_units, n_inputs, size)
        layers[layer + 1] = layers[layer] + _ROWS_AT_ONCE * n_units
        joined[layer + 1] = joined[layer] + joined_size(n_units)
    biases[0] = weights[n_layers]
    for layer in range(n_layers):
        biases[layer + 1] = biases[layer] + sizes[layer + 1]
    room = _Room(
        sizes,
        codes,
        weights,
        biases,
        forward,
        backward,
        layers,
        joined,
        np.empty(forward[-1], theta.dtype),
        np.empty(backward[-1], theta.dtype),
        np.empty(joined[-1], theta.dtype),
        np.empty(joined[-1], theta.dtype),
        np.empty(layers[-1], theta.dtype),
        # Products read deltas in whole vectors, which may end after the last of them.
        np.zeros(layers[-1] + 64, theta.dtype),
    )
    for layer in range(n_layers):
        W = theta[weights[layer] : weights[layer + 1]].reshape(sizes[layer], sizes[layer + 1])
        _copy_weights(W, np.bool_(False), room.forward_weights[forward[layer] : forward[layer + 1]])
        if layer > 0:
            _copy_weights(W, np.bool_(True), room.backward_weights[backward[layer] : backward[layer + 1]])
        join(theta[biases[layer] : biases[layer + 1]], room.joined_biases[joined[layer] : joined[layer + 1]])
    return room


@inlined
def _of_layer(array: FloatArray, room: _Room, layer: Number, n_rows: int) -> FloatArray:
    """Return the activations or the deltas of a layer, of shape (n_rows, n_units)."""
    start, n_units = room.layers_at[layer], room.sizes[layer + 1]
    return array[start : start + n_rows * n_units].reshape(n_rows, n_units)


@inlined
def _given_at(room: _Room, at_x: Number, layer: Number) -> Number:
    """Return the address of a layer's inputs, of which those of the first layer are given."""
    size = room.activations.itemsize
    return at_x if layer == 0 else room.activations.ctypes.data + room.layers_at[layer - 1] * size


@shared
def _forward(room: _Room, at_x: Number, n_rows: int, layer: Number) -> None:
    """Compute what a layer activates, without its bias."""
    not_inlined()
    n_inputs, a = room.sizes[layer], _of_layer(room.activations, room, layer, n_rows)
    at_w = room.forward_weights.ctypes.data + room.forward_at[layer] * a.itemsize
    given = _given_at(room, at_x, layer)
    write_product(given, n_inputs, np.int64(1), at_w, np.int64(0), n_inputs, a, np.bool_(False))


@shared
def _backward(room: _Room, at_x: Number, n_rows: int, layer: Number, add: Any, sums: FloatArray) -> None:
    """Write the gradient of a layer's parameters, or add it, and compute ∂J/∂a of the layer before."""
    not_inlined()
    n_inputs, n_units = room.sizes[layer], room.sizes[layer + 1]
    delta = _of_layer(room.deltas, room, layer, n_rows)
    at_delta, size = room.deltas.ctypes.data + room.layers_at[layer] * delta.itemsize, delta.itemsize
    gradient = sums[room.weights_at[layer] : room.weights_at[layer + 1]].reshape(n_inputs, n_units)
    given = _given_at(room, at_x, layer)
    write_product(given, np.int64(1), n_inputs, at_delta, n_units, n_rows, gradient, add)
    joined = room.sums_of_deltas[room.joined_at[layer] : room.joined_at[layer + 1]]
    _sum_rows(delta.reshape(-1), joined, sums[room.biases_at[layer] : room.biases_at[layer + 1]], add)
    if layer > 0:
        below = _of_layer(room.deltas, room, layer - 1, n_rows)
        at_w = room.backward_weights.ctypes.data + room.backward_at[layer] * size
        write_product(at_delta, n_units, np.int64(1), at_w, np.int64(0), n_units, below, np.bool_(False))


@shared
def _sum_first_layer(room: _Room, X: FloatArray, hidden: FloatArray, sums: FloatArray) -> None:
    """Write the activations of the first hidden layer into `hidden`, and their sums over rows into `sums`."""
    n_rows, joined = X.shape[0], room.joined_biases[: room.joined_at[1]]
    n_parts = -(-n_rows // _ROWS_AT_ONCE)
    for part in range(n_parts):
        start, stop = part * n_rows // n_parts, (part + 1) * n_rows // n_parts
        _forward(room, X.ctypes.data + start * X.shape[1] * X.itemsize, stop - start, np.int64(0))
        a = _of_layer(room.activations, room, np.int64(0), stop - start)
        _activate(room.codes[0], a, joined)
        _copy(a.reshape(-1), hidden[start:stop].reshape(-1))
        _sum_rows(a.reshape(-1), room.sums_of_deltas[: joined.size], sums, part > 0)


@compiled
def run_pass(
    X: FloatArray,
    y: FloatArray,
    hidden: FloatArray,
    purpose: int,
    theta: FloatArray,
    sizes: Any,
    codes: Any,
    loss: Any,
    added: FloatArray,
    sums: FloatArray,
) -> None:
    """Write the gradient, and then the loss, summed over rows, into `sums`; or the sums of the first hidden layer.

    Parameters
    ----------
    X : array of shape (n_rows, n_inputs)
    y : array of shape (n_rows, n_outputs)
    hidden : array of shape (n_rows, n_units)
        Activations of the first hidden layer, if they are known or wanted.
    purpose : int
        `UNKNOWN` or `KNOWN`, as the activations of the first hidden layer are; `WANTED` if they and their sums are all
        that is to be computed.
    theta : array of shape (n_parameters,)
    sizes : array of shape (n_layers + 1,), int64
        Numbers of units, from the input to the output.
    codes : array of shape (n_layers,), int64
        Places of the activations in `ACTIVATIONS`.
    loss : tuple
        A tuple whose length is the place of the loss in `LOSSES`, counted from 1.
    added : array of shape (n_units,), or (0,)
        What penalties add to ∂J/∂a of the first hidden layer; empty if nothing is added.
    sums : array of shape (n_parameters + 1,), or (n_units,)
    """
    last = sizes.size - 2
    room, n_rows = _prepare(theta, sizes, codes), X.shape[0]
    if purpose == WANTED:
        _sum_first_layer(room, X, hidden, sums)
        return
    joined_added = _join(added) if added.size > 0 else added
    total = 0.0
    n_parts = -(-n_rows // _ROWS_AT_ONCE)
    for part in range(n_parts):
        start, stop = part * n_rows // n_parts, (part + 1) * n_rows // n_parts
        n = stop - start
        at_x = X.ctypes.data + start * sizes[0] * X.itemsize
        for layer in range(last + 1):
            a = _of_layer(room.activations, room, layer, n)
            if layer == 0 and purpose == KNOWN:
                _copy(hidden[start:stop].reshape(-1), a.reshape(-1))
                continue
            _forward(room, at_x, n, layer)
            bias = room.joined_biases[room.joined_at[layer] : room.joined_at[layer + 1]]
            if layer < last:
                _activate(codes[layer], a, bias)
            else:
                delta = _of_layer(room.deltas, room, layer, n)
                total += _evaluate_loss(loss, codes[layer], a, y[start:stop], bias, delta)
        for layer in range(last, -1, -1):
            if layer < last:
                delta = _of_layer(room.deltas, room, layer, n).reshape(-1)
                if layer == 0 and added.size > 0:
                    _add_row(delta, joined_added)
                _pull_back(codes[layer], _of_layer(room.activations, room, layer, n).reshape(-1), delta)
            _backward(room, at_x, n, layer, part > 0, sums)
    sums[sums.size - 1] = total
