"""J of whole networks with convolutions and pooling beside PyTorch's own layers and automatic differentiation.

Written from the definitions of J (torch 2.13.0, float64), apart from the package: of a network it reads sizes, and
computes everything anew by `conv2d`, `conv_transpose2d`, `max_pool2d` and `avg_pool2d`, from θ as it is laid out.
"""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from rhohat.engines import ThreadEngine
from rhohat.layers import (
    ConvolutionLayer,
    DenseLayer,
    MaxPoolingLayer,
    MeanPoolingLayer,
    TransposedConvolutionLayer,
    Windows,
)
from rhohat.layers.activations import Identity, LeakyReLU, ReLU, Sigmoid, Softmax, Tanh
from rhohat.layers.network import Network
from rhohat.objective import Problem, make_objective
from rhohat.terms.losses import SoftmaxCrossEntropy
from rhohat.terms.penalties import KLSparsity, WeightDecay
from tests.conftest import relative_difference
from tests.tolerances import AUTOMATIC, AUTOMATIC_HESSIAN

ACTIVATIONS = {
    "identity": lambda f, z: z,
    "sigmoid": lambda f, z: torch.sigmoid(z),
    "tanh": lambda f, z: torch.tanh(z),
    "relu": lambda f, z: torch.relu(z),
    "leaky_relu": lambda f, z: functional.leaky_relu(z, f.slope),
    "softmax": lambda f, z: torch.softmax(z, 1),
}


def zeros_around(windows):
    """Zeros above, below, to the left and to the right, for TensorFlow's "same"."""
    if windows.padding == "valid":
        return 0, 0, 0, 0
    pairs = []
    for size, window, stride in zip(windows.size, windows.window, windows.stride, strict=True):
        total = max((math.ceil(size / stride) - 1) * stride + window - size, 0)
        pairs += [total // 2, total - total // 2]
    return tuple(pairs)


def images(rows, size, channels):
    """Rows as a batch of images in PyTorch's order: (rows, channels, height, width)."""
    return rows.reshape(len(rows), *size, channels).permute(0, 3, 1, 2)


def rows_of(pictures):
    return pictures.permute(0, 2, 3, 1).reshape(len(pictures), -1)


def convolve(layer, rows, W, b):
    """W is of shape (height, width, channels, filters)."""
    top, bottom, left, right = zeros_around(layer.windows)
    padded = functional.pad(images(rows, layer.windows.size, layer.n_channels), (left, right, top, bottom))
    return rows_of(functional.conv2d(padded, W.permute(3, 2, 0, 1), b, stride=layer.windows.stride))


def convolve_transposed(layer, rows, W, b):
    """W is of shape (filters, channels, width, height)."""
    (height, width), (top, _, left, _) = layer.windows.size, zeros_around(layer.windows)
    whole = functional.conv_transpose2d(
        images(rows, layer.windows.places, layer.n_filters), W.permute(0, 1, 3, 2), stride=layer.windows.stride
    )
    missing = (max(left + width - whole.shape[3], 0), max(top + height - whole.shape[2], 0))  # pixels without a window
    whole = functional.pad(whole, (0, missing[0], 0, missing[1]))[:, :, top : top + height, left : left + width]
    return rows_of(whole + b[None, :, None, None])


def pool(layer, rows):
    function = functional.max_pool2d if isinstance(layer, MaxPoolingLayer) else functional.avg_pool2d
    pictures = images(rows, layer.windows.size, layer.n_channels)
    return rows_of(function(pictures, layer.windows.window, layer.windows.stride))


def shapes_of(layer):
    """Shapes of a layer's weights and biases, or None."""
    if isinstance(layer, DenseLayer):
        return (layer.n_inputs, layer.n_outputs), layer.n_outputs
    if isinstance(layer, ConvolutionLayer):
        return (*layer.windows.window, layer.n_channels, layer.n_filters), layer.n_filters
    if isinstance(layer, TransposedConvolutionLayer):
        return (layer.n_filters, layer.n_channels, *layer.windows.window[::-1]), layer.n_channels
    return None, 0


def unpack(network, theta):
    """θ is the weights of the layers that have their own, in C order, and then all biases."""
    n_free = network.n_layers // 2 if network.tied else network.n_layers
    weights, biases, start = [], [], 0
    for layer in network.layers[:n_free]:
        shape, _ = shapes_of(layer)
        size = 0 if shape is None else math.prod(shape)
        weights.append(None if shape is None else theta[start : start + size].reshape(shape))
        start += size
    if network.tied:
        weights += [W.permute(3, 2, 1, 0) for W in reversed(weights)]
    for layer in network.layers:
        size = shapes_of(layer)[1]
        biases.append(theta[start : start + size])
        start += size
    assert start == len(theta)
    return weights, biases


def cost(problem, rho, theta):
    """J(θ), with the loss and penalties of `problem`; `rho` is the layer, ρ and β of a KL penalty."""
    network, (weights, biases) = problem.network, unpack(problem.network, theta)
    X, m = torch.tensor(problem.X), len(problem.X)
    share = torch.ones(m, dtype=torch.float64) if problem.sample_weight is None else torch.tensor(problem.sample_weight)
    share = share / share.sum()
    a = [X]
    for layer, W, b in zip(network.layers, weights, biases, strict=True):
        if isinstance(layer, DenseLayer):
            z = a[-1] @ W + b
        elif isinstance(layer, ConvolutionLayer):
            z = convolve(layer, a[-1], W, b)
        elif isinstance(layer, TransposedConvolutionLayer):
            z = convolve_transposed(layer, a[-1], W, b)
        else:
            a.append(pool(layer, a[-1]))
            continue
        a.append(ACTIVATIONS[layer.activation.name](layer.activation, z))
    if problem.loss.name == "softmax_cross_entropy":
        losses = -(torch.tensor(problem.y) * torch.log(a[-1])).sum(1)
    else:
        losses = 0.5 * ((a[-1] - X) ** 2).sum(1)
    J = (share * losses).sum()
    for penalty in problem.penalties:
        if penalty.name == "weight_decay":
            J = J + penalty.weight / 2 * sum((W**2).sum() for W in weights if W is not None)
    if rho is not None:
        hidden, sparsity, beta = rho
        n_channels = shapes_of(network.layers[hidden])[1]
        rho_hat = (share[:, None, None] * a[hidden + 1].reshape(m, -1, n_channels)).mean(1).sum(0)
        KL = sparsity * torch.log(sparsity / rho_hat) + (1 - sparsity) * torch.log((1 - sparsity) / (1 - rho_hat))
        J = J + beta * KL.sum()
    return J


SAME = Windows((8, 7), (3, 4), (2, 2), "same")
CLASSIFIERS = {
    "LeNet-like": Network(
        (
            ConvolutionLayer(Windows((8, 7), (3, 3), (1, 1), "same"), 2, 4, Sigmoid()),
            MaxPoolingLayer(Windows((8, 7), (2, 2), (2, 2), "valid"), 4),
            ConvolutionLayer(Windows((4, 3), (2, 2), (1, 1), "valid"), 4, 5, Tanh()),
            DenseLayer(30, 3, Softmax()),
        )
    ),
    "in steps, means, overlaps": Network(
        (
            ConvolutionLayer(Windows((8, 7), (4, 2), (1, 2), "same"), 2, 9, Sigmoid()),
            MeanPoolingLayer(Windows((8, 4), (3, 2), (2, 1), "valid"), 9),
            ConvolutionLayer(Windows((3, 3), (2, 3), (1, 1), "same"), 9, 3, LeakyReLU(0.1)),
            MaxPoolingLayer(Windows((3, 3), (2, 2), (1, 1), "valid"), 3),
            DenseLayer(12, 3, Softmax()),
        )
    ),
    "sequence": Network(
        (
            ConvolutionLayer(Windows((1, 56), (1, 5), (1, 3), "valid"), 2, 4, Sigmoid()),
            MaxPoolingLayer(Windows((1, 18), (1, 4), (1, 3), "valid"), 4),
            ConvolutionLayer(Windows((1, 5), (1, 2), (1, 2), "same"), 4, 3, ReLU()),
            DenseLayer(9, 3, Softmax()),
        )
    ),
}
AUTOENCODERS = {
    "same": Network((ConvolutionLayer(SAME, 2, 5, Sigmoid()), TransposedConvolutionLayer(SAME, 5, 2, Sigmoid()))),
    "tied": Network(
        (ConvolutionLayer(SAME, 2, 5, Sigmoid()), TransposedConvolutionLayer(SAME, 5, 2, Identity())), True
    ),
    "pixels without a window": Network(
        (
            ConvolutionLayer(Windows((8, 7), (3, 2), (2, 3), "valid"), 2, 9, Sigmoid()),
            TransposedConvolutionLayer(Windows((8, 7), (3, 2), (2, 3), "valid"), 9, 2, Tanh()),
        )
    ),
    "steps longer than the kernel": Network(
        (
            ConvolutionLayer(Windows((8, 7), (1, 2), (3, 3), "same"), 2, 4, Sigmoid()),
            TransposedConvolutionLayer(Windows((8, 7), (1, 2), (3, 3), "same"), 4, 2, Identity()),
        )
    ),
    "tied, deep": Network(
        (
            ConvolutionLayer(SAME, 2, 5, Sigmoid()),
            ConvolutionLayer(Windows((4, 4), (2, 2), (1, 1), "valid"), 5, 3, Tanh()),
            TransposedConvolutionLayer(Windows((4, 4), (2, 2), (1, 1), "valid"), 3, 5, Sigmoid()),
            TransposedConvolutionLayer(SAME, 5, 2, Identity()),
        ),
        True,
    ),
}
weighted_or_not = pytest.mark.parametrize("weighted", [False, True])


def assert_beside_torch(problem, rho, rng):
    theta, vector = rng.normal(0, 0.5, (2, problem.network.n_parameters))
    J = make_objective(problem, ThreadEngine(1))
    value, gradient = J(theta)
    at = torch.tensor(theta, requires_grad=True)
    expected = cost(problem, rho, at)
    (slope,) = torch.autograd.grad(expected, at, create_graph=True)
    (product,) = torch.autograd.grad(slope @ torch.tensor(vector), at)
    assert value == pytest.approx(expected.item(), rel=AUTOMATIC)
    assert relative_difference(gradient, slope.detach()) <= AUTOMATIC
    assert relative_difference(J.hessian_vector_product(theta, vector), product) <= AUTOMATIC_HESSIAN


@weighted_or_not
@pytest.mark.parametrize("network", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_classifiers_have_the_cost_and_derivatives_that_torch_finds(network, weighted, rng):
    problem = Problem(
        network,
        rng.random((9, 112)),
        np.eye(3)[rng.integers(0, 3, 9)],
        loss=SoftmaxCrossEntropy(),
        penalties=[WeightDecay(0.01), KLSparsity(0.3, 0.5, layers=(0,))],
        sample_weight=rng.uniform(0.5, 2.0, 9) if weighted else None,
    )
    assert_beside_torch(problem, (0, 0.3, 0.5), rng)


@weighted_or_not
@pytest.mark.parametrize("network", AUTOENCODERS.values(), ids=AUTOENCODERS)
def test_autoencoders_have_the_cost_and_derivatives_that_torch_finds(network, weighted, rng):
    problem = Problem(
        network,
        rng.random((9, 112)),
        penalties=[WeightDecay(0.02), KLSparsity(0.1, 2.0, layers=(0,))],
        sample_weight=rng.uniform(0.5, 2.0, 9) if weighted else None,
    )
    assert_beside_torch(problem, (0, 0.1, 2.0), rng)
