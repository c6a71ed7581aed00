"""The passes of a narrow chain of dense layers over a block of rows, each in one call.

Where layers are narrow, calling the primitives of a pass one by one takes as long as computing them, and the threads of
an engine wait for one another's calls. Here a pass over a block is one call. It takes some hundred rows at a time
through all layers, forward and backward, so that their activations and deltas stay in the cache of a core.

The parameters are a flat vector: the weights of all layers, and then the biases.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numba.extending import overload
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.ops.compiled import loops
from rhohat.ops.compiled.compiling import FAST_MATH, Number, compiled, inlined, not_inlined, shared
from rhohat.ops.compiled.functions import softmax_cross_entropy
from rhohat.ops.compiled.products import copied_size, copy_columns, copy_rows, write_product

__all__ = ["ACTIVATIONS", "KNOWN", "LOSSES", "UNKNOWN", "WANTED", "places_of", "run_pass"]

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
            loops.sigmoid_with_bias(some, bias)
        elif code == _TANH:
            loops.tanh_with_bias(some, bias)
        elif code == _RELU:
            loops.relu_with_bias(some, bias)
        else:
            loops.add(some, bias)


@shared
def _pull_back(code: int, a: FloatArray, delta: FloatArray) -> None:
    """Turn ∂J/∂a into ∂J/∂z, in place."""
    not_inlined()
    if code == _SIGMOID:
        loops.sigmoid_pull_back(a, delta)
    elif code == _TANH:
        loops.tanh_pull_back(a, delta)
    elif code == _RELU:
        loops.relu_pull_back(a, delta)


@shared
def _add_row(x: FloatArray, row: FloatArray) -> None:
    """Add a row, of which copies are joined, to the flat array x."""
    not_inlined()
    for start in range(0, x.size, row.size):
        loops.add(x[start : start + row.size], row)


@shared
def _sum_rows(x: FloatArray, joined: FloatArray, out: FloatArray, add: bool) -> None:
    """Write the sum of the rows of the flat array x into `out`, or add it; `joined` has room for joined rows."""
    not_inlined()
    zero = x.dtype.type(0)
    for i in range(joined.size):
        joined[i] = zero
    for start in range(0, x.size, joined.size):
        part = x[start : start + joined.size]
        loops.add(joined[: part.size], part)
    for i in range(out.size):
        total = 0.0
        for place in range(i, joined.size, out.size):
            total += joined[place]
        out[i] = out[i] + total if add else total


@shared
def _copy_weights(W: FloatArray, transposed: Any, out: FloatArray) -> None:
    """Copy a matrix, or its transpose, as `write_product` reads it."""
    not_inlined()
    if transposed:
        copy_columns(W, np.int64(0), W.shape[1], out)
    else:
        copy_rows(W, out)


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
        loops.subtract(outputs[start:stop], targets[start:stop], flat[start:stop])
        total += loops.total_of_squares(flat[start:stop])
    _pull_back(code, outputs, flat)
    return 0.5 * total


def _binary_cross_entropies(
    loss: Any, code: Number, a: FloatArray, y: FloatArray, bias: FloatArray, delta: FloatArray
) -> Number:
    outputs, terms = a.reshape(-1), np.empty(a.size, a.dtype)
    _activate(code, a, bias)  # the bias alone: the sigmoid is part of the loss
    loops.binary_cross_entropy(outputs, y.reshape(-1), delta.reshape(-1), terms)
    return float(loops.total_of(terms))


def _softmax_cross_entropies(
    loss: Any, code: Number, a: FloatArray, y: FloatArray, bias: FloatArray, delta: FloatArray
) -> Number:
    values = np.empty(a.shape[0], a.dtype)
    _activate(code, a, bias)  # the bias alone, as above
    softmax_cross_entropy(a.reshape(-1), y.reshape(-1), delta.reshape(-1), values)
    return float(loops.total_of(values))


#: What `places_of` places. In θ: weights and biases. In the memory of a pass: copies of the weights, for products
#: forward and backward; biases and room for sums over rows, both joined; activations and deltas of some rows.
_WEIGHTS, _BIASES, _FORWARD, _BACKWARD, _JOINED, _SUMS, _ACTIVATIONS, _DELTAS = range(8)


def places_of(sizes: Sequence[int], itemsize: int) -> NDArray[np.int64]:
    """Return where each layer's part of each kind of array begins, in θ or in the memory of a pass.

    A part ends where that of the next layer begins. Layers are counted from 0, without the input.

    Parameters
    ----------
    sizes : sequence of int
        Numbers of units, from the input to the output.
    itemsize : int
        Bytes of a number.

    Returns
    -------
    array of shape (8, n_layers + 1)
    """
    lengths = [
        (
            n_inputs * n_units,
            n_units,
            copied_size(n_inputs, n_units, itemsize),
            copied_size(n_units, n_inputs, itemsize),
            loops.joined_size(n_units),
            loops.joined_size(n_units),
            _ROWS_AT_ONCE * n_units,
            _ROWS_AT_ONCE * n_units,
        )
        for n_inputs, n_units in pairwise(sizes)
    ]
    places = np.zeros((8, len(sizes)), np.int64)
    places[:, 1:] = np.cumsum(lengths, axis=0).T
    places[_BIASES] += places[_WEIGHTS, -1]
    for kind in range(_BACKWARD, 8):
        places[kind] += places[kind - 1, -1]
    return places


@shared
def _prepare(theta: FloatArray, sizes: Any, places: Any) -> FloatArray:
    """Return the memory of a pass, with copies of the parameters."""
    not_inlined()
    # Products read deltas in whole vectors, which may end after the last of them.
    memory = np.empty(places[_DELTAS, -1] + 64, theta.dtype)
    for layer in range(sizes.size - 1):
        W = theta[places[_WEIGHTS, layer] : places[_WEIGHTS, layer + 1]].reshape(sizes[layer], sizes[layer + 1])
        _copy_weights(W, np.bool_(False), memory[places[_FORWARD, layer] : places[_FORWARD, layer + 1]])
        if layer > 0:
            _copy_weights(W, np.bool_(True), memory[places[_BACKWARD, layer] : places[_BACKWARD, layer + 1]])
        bias = theta[places[_BIASES, layer] : places[_BIASES, layer + 1]]
        loops.join(bias, memory[places[_JOINED, layer] : places[_JOINED, layer + 1]])
    return memory


@inlined
def _of_layer(memory: FloatArray, start: int, n_rows: int, n_units: int) -> FloatArray:
    """Return the activations or the deltas of a layer, which begin at a place in the memory."""
    return memory[start : start + n_rows * n_units].reshape(n_rows, n_units)


@shared
def _forward(memory: FloatArray, sizes: Any, places: Any, at_x: Number, n_rows: int, layer: Number) -> None:
    """Compute what a layer activates, without its bias; the inputs of the first layer are at the given address."""
    not_inlined()
    size, n_inputs = memory.itemsize, sizes[layer]
    a = _of_layer(memory, places[_ACTIVATIONS, layer], n_rows, sizes[layer + 1])
    given = at_x if layer == 0 else memory.ctypes.data + places[_ACTIVATIONS, layer - 1] * size
    at_w = memory.ctypes.data + places[_FORWARD, layer] * size
    write_product(given, n_inputs, np.int64(1), at_w, np.int64(0), n_inputs, a, np.bool_(False))


@shared
def _backward(
    memory: FloatArray, sizes: Any, places: Any, at_x: Number, n_rows: int, layer: Number, add: Any, sums: FloatArray
) -> None:
    """Write the gradient of a layer's parameters, or add it, and compute ∂J/∂a of the layer before."""
    not_inlined()
    size, n_inputs, n_units = memory.itemsize, sizes[layer], sizes[layer + 1]
    delta = _of_layer(memory, places[_DELTAS, layer], n_rows, n_units)
    at_delta = memory.ctypes.data + places[_DELTAS, layer] * size
    gradient = sums[places[_WEIGHTS, layer] : places[_WEIGHTS, layer + 1]].reshape(n_inputs, n_units)
    given = at_x if layer == 0 else memory.ctypes.data + places[_ACTIVATIONS, layer - 1] * size
    write_product(given, np.int64(1), n_inputs, at_delta, n_units, n_rows, gradient, add)
    joined = memory[places[_SUMS, layer] : places[_SUMS, layer + 1]]
    _sum_rows(delta.reshape(-1), joined, sums[places[_BIASES, layer] : places[_BIASES, layer + 1]], add)
    if layer > 0:
        below = _of_layer(memory, places[_DELTAS, layer - 1], n_rows, n_inputs)
        at_w = memory.ctypes.data + places[_BACKWARD, layer] * size
        write_product(at_delta, n_units, np.int64(1), at_w, np.int64(0), n_units, below, np.bool_(False))


@compiled
def run_pass(
    X: FloatArray,
    y: FloatArray,
    hidden: FloatArray,
    purpose: int,
    theta: FloatArray,
    sizes: Any,
    codes: Any,
    places: Any,
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
    places : array of shape (8, n_layers + 1), int64
        What `places_of` returns.
    loss : tuple
        A tuple whose length is the place of the loss in `LOSSES`, counted from 1.
    added : array of shape (n_units,), or (0,)
        What penalties add to ∂J/∂a of the first hidden layer; empty if nothing is added.
    sums : array of shape (n_parameters + 1,), or (n_units,)
    """
    last = sizes.size - 2
    memory, n_rows = _prepare(theta, sizes, places), X.shape[0]
    joined_added = loops.joined(added) if added.size > 0 else added
    total = 0.0
    n_parts = -(-n_rows // _ROWS_AT_ONCE)
    for part in range(n_parts):
        start, stop = part * n_rows // n_parts, (part + 1) * n_rows // n_parts
        n = stop - start
        at_x = X.ctypes.data + start * sizes[0] * X.itemsize
        for layer in range(last + 1):
            a = _of_layer(memory, places[_ACTIVATIONS, layer], n, sizes[layer + 1])
            if layer == 0 and purpose == KNOWN:
                loops.copy(hidden[start:stop].reshape(-1), a.reshape(-1))
                continue
            _forward(memory, sizes, places, at_x, n, layer)
            bias = memory[places[_JOINED, layer] : places[_JOINED, layer + 1]]
            if layer < last or purpose == WANTED:
                _activate(codes[layer], a, bias)
            else:
                delta = _of_layer(memory, places[_DELTAS, layer], n, sizes[layer + 1])
                total += _evaluate_loss(loss, codes[layer], a, y[start:stop], bias, delta)
        if purpose == WANTED:
            a = _of_layer(memory, places[_ACTIVATIONS, last], n, sizes[last + 1]).reshape(-1)
            loops.copy(a, hidden[start:stop].reshape(-1))
            _sum_rows(a, memory[places[_SUMS, last] : places[_SUMS, last + 1]], sums, part > 0)
            continue
        for layer in range(last, -1, -1):
            if layer < last:
                delta = _of_layer(memory, places[_DELTAS, layer], n, sizes[layer + 1]).reshape(-1)
                if layer == 0 and added.size > 0:
                    _add_row(delta, joined_added)
                a = _of_layer(memory, places[_ACTIVATIONS, layer], n, sizes[layer + 1]).reshape(-1)
                _pull_back(codes[layer], a, delta)
            _backward(memory, sizes, places, at_x, n, layer, part > 0, sums)
    if purpose != WANTED:
        sums[sums.size - 1] = total
