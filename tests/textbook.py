"""The sparse cost as a textbook would write it: whole batch, one line per formula, no blocks, no tricks.

Written from the formulas, apart from the package, which it checks. Benchmarks use it as the baseline.
"""

from itertools import pairwise

import numpy as np

FUNCTIONS = {
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda a: a * (1 - a)),
    "tanh": (np.tanh, lambda a: 1 - a**2),
    "identity": (lambda z: z, np.ones_like),
}


def unpack(theta, layer_sizes):
    weights, biases, start = [], [], 0
    for fan_in, fan_out in pairwise(layer_sizes):
        weights.append(theta[start : start + fan_in * fan_out].reshape(fan_in, fan_out))
        start += fan_in * fan_out
    for fan_out in layer_sizes[1:]:
        biases.append(theta[start : start + fan_out])
        start += fan_out
    return weights, biases


def sparse_cost(theta, X, y, layer_sizes, activations, weight_decay, sparsity, sparsity_weight):
    """Return J and its gradient; KL sparsity acts on every hidden layer."""
    m = X.shape[0]
    weights, biases = unpack(theta, layer_sizes)

    a = [X]
    for W, b, name in zip(weights, biases, activations, strict=True):
        a.append(FUNCTIONS[name][0](a[-1] @ W + b))

    J = 0.5 * np.sum((a[-1] - y) ** 2) / m
    J += 0.5 * weight_decay * sum(np.sum(W**2) for W in weights)
    kl_derivatives = []
    for hidden, name in zip(a[1:-1], activations[:-1], strict=True):
        scale = 0.5 if name == "tanh" else 1.0  # a tanh unit is inactive at -1: KL acts on (1 + a)/2
        rho_hat = np.mean((1 + hidden) / 2 if name == "tanh" else hidden, axis=0)
        if sparsity_weight == 0:
            kl_derivatives.append(0.0)
            continue
        J += sparsity_weight * np.sum(
            sparsity * np.log(sparsity / rho_hat) + (1 - sparsity) * np.log((1 - sparsity) / (1 - rho_hat))
        )
        kl_derivatives.append(scale * sparsity_weight * (-sparsity / rho_hat + (1 - sparsity) / (1 - rho_hat)))

    delta = (a[-1] - y) * FUNCTIONS[activations[-1]][1](a[-1])
    weight_gradients, bias_gradients = [], []
    for layer in reversed(range(len(weights))):
        weight_gradients.insert(0, a[layer].T @ delta / m + weight_decay * weights[layer])
        bias_gradients.insert(0, np.mean(delta, axis=0))
        if layer > 0:
            derivative = FUNCTIONS[activations[layer - 1]][1](a[layer])
            delta = (delta @ weights[layer].T + kl_derivatives[layer - 1]) * derivative
    return J, np.concatenate([g.ravel() for g in weight_gradients + bias_gradients])
