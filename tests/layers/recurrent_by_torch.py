"""Networks of recurrent layers in PyTorch, one step after another, whose derivatives of any order PyTorch computes.

Written from the formulas of the cells, apart from the package, of which the sizes and settings of layers are read.
"""

import torch

from rhohat.layers import DenseLayer, GRULayer, LSTMLayer, SimpleRecurrentLayer, StepwiseDenseLayer

FUNCTIONS = {"identity": lambda z: z, "sigmoid": torch.sigmoid, "tanh": torch.tanh}


def simple(layer, W, U, b, own, x, state):
    return (FUNCTIONS[layer.activation.name](x @ W + state[0] @ U + b),)


def lstm(layer, W, U, b, own, x, state):
    h, c = state
    n = layer.n_units
    z_i, z_f, z_o, z_g = (x @ W + h @ U + b).split(n, 1)
    p_i, p_f, p_o = own.split(n) if layer.peepholes else (0.0, 0.0, 0.0)
    i, f, g = torch.sigmoid(z_i + p_i * c), torch.sigmoid(z_f + p_f * c), torch.tanh(z_g)
    c = f * c + i * g
    return torch.sigmoid(z_o + p_o * c) * torch.tanh(c), c


def gru(layer, W, U, b, own, x, state):
    (h,) = state
    n = layer.n_units
    (W_n, W_u, W_r), (U_u, U_r, U_n), (b_n, b_u, b_r, b_h) = W.split(n, 1), U.split(n, 1), b.split(n)
    u, r = torch.sigmoid(x @ W_u + h @ U_u + b_u), torch.sigmoid(x @ W_r + h @ U_r + b_r)
    new = torch.tanh(x @ W_n + b_n + r * (h @ U_n + b_h))
    return ((1 - u) * new + u * h,)


CELLS = {SimpleRecurrentLayer: (simple, 1), LSTMLayer: (lstm, 2), GRULayer: (gru, 1)}


def recurrent(layer, W, b, own, x, exists):
    """The outputs of a recurrent layer, at each step or at the end; sequences stand still once they have ended."""
    cell, n_state = CELLS[type(layer)]
    n_directions = 2 if layer.bidirectional else 1
    parts = [part.chunk(n_directions, axis) for part, axis in ((W, 1), (b, 0), (own, 0))]
    found = []
    for direction in range(n_directions):
        W, b, own = (part[direction] for part in parts)
        state = (x.new_zeros(len(x), layer.n_units),) * n_state
        outputs = [None] * layer.n_steps
        for t in range(layer.n_steps)[:: -1 if direction else 1]:
            after = cell(layer, W[: layer.n_channels], W[layer.n_channels :], b, own, x[:, t], state)
            state = tuple(torch.where(exists[:, t, None], *both) for both in zip(after, state, strict=True))
            outputs[t] = state[0]
        found.append(torch.stack(outputs, 1) if layer.return_sequences else state[0])
    return torch.cat(found, -1)


def layers_of(network, theta, x, exists):
    """The activations of all layers but the input, whose steps past the end of a sequence are 0."""
    parameters, a, n_rows = network.layout.unpack(theta), x, len(x)
    found = []
    for layer, W, b, own in zip(network.layers, *parameters, strict=True):
        if isinstance(layer, DenseLayer):
            a = FUNCTIONS[layer.activation.name](a.reshape(n_rows, -1) @ W + b)
        else:
            a = a.reshape(n_rows, layer.n_steps, layer.n_channels)
            if isinstance(layer, StepwiseDenseLayer):
                z = a @ W + b
                a = torch.softmax(z, 2) if layer.activation.name == "softmax" else FUNCTIONS[layer.activation.name](z)
            else:
                a = recurrent(layer, W, b, own, a, exists)
            if layer.n_padded_steps is not None:
                a = torch.where(exists[:, :, None], a, 0.0)
        a = a.reshape(n_rows, -1)
        found.append(a)
    return found


def squared_error(a, y):
    return 0.5 * ((a - y) ** 2).sum(1)


def softmax_cross_entropy(a, y):
    return -(y * torch.log(torch.where(y > 0, a, 1.0))).sum(1)


def derivative_along(network, theta, x, exists, tangent, layer):
    """The derivative of the activations of a layer, counted from 1, along a tangent of the inputs."""

    def activations(x):
        return layers_of(network, theta, x, exists)[layer - 1]

    return torch.autograd.functional.jvp(activations, x, tangent, create_graph=True)[1]


def contraction(network, theta, x, exists, layer):
    """‖∂a/∂x‖² of each row."""
    total = 0.0
    for unit in torch.eye(x.shape[1], dtype=x.dtype):  # one for all rows
        total = total + (derivative_along(network, theta, x, exists, unit.expand_as(x), layer) ** 2).sum(1)
    return total


def tangent_propagation(network, theta, x, exists, tangents):
    """½ Σ_k ‖∂y/∂x · τ_k‖² of each row."""
    total = 0.0
    for tangent in tangents.unbind(1):
        total = total + (derivative_along(network, theta, x, exists, tangent, network.n_layers) ** 2).sum(1)
    return total / 2
