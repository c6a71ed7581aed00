"""Networks with convolutions and pooling, for images of 6 × 5 pixels with 2 channels, that several tests look at."""

from rhohat.layers import (
    ConvolutionLayer,
    DenseLayer,
    MaxPoolingLayer,
    MeanPoolingLayer,
    TransposedConvolutionLayer,
    Windows,
)
from rhohat.layers.activations import Identity, LeakyReLU, Sigmoid, Tanh
from rhohat.layers.network import Network

N_INPUTS = 6 * 5 * 2

IN_STEPS = Windows((6, 5), (3, 2), (2, 1), "same")
ALONG = Windows((1, 30), (1, 4), (1, 3), "valid")  # the same numbers as a sequence of 30 steps

#: Networks by name; each has the loss of an autoencoder, and one is tied in either order of its layers.
NETWORKS = {
    "convolution, max pooling, convolution, dense": Network(
        (
            ConvolutionLayer(Windows((6, 5), (3, 3), (1, 1), "same"), 2, 3, Tanh()),
            MaxPoolingLayer(Windows((6, 5), (2, 2), (2, 2), "valid"), 3),
            ConvolutionLayer(Windows((3, 2), (2, 2), (1, 1), "same"), 3, 2, Sigmoid()),
            DenseLayer(12, N_INPUTS, Sigmoid()),
        )
    ),
    "mean pooling first, max pooling that overlaps": Network(
        (
            MeanPoolingLayer(Windows((6, 5), (3, 2), (1, 1), "valid"), 2),
            ConvolutionLayer(Windows((4, 4), (2, 2), (1, 1), "valid"), 2, 3, Sigmoid()),
            MaxPoolingLayer(Windows((3, 3), (2, 2), (1, 1), "valid"), 3),
            DenseLayer(12, N_INPUTS, Identity()),
        )
    ),
    "transposed": Network(
        (
            ConvolutionLayer(IN_STEPS, 2, 4, Sigmoid()),
            TransposedConvolutionLayer(Windows((6, 5), (2, 3), (2, 1), "same"), 4, 2, Tanh()),
        )
    ),
    "tied": Network(
        (ConvolutionLayer(IN_STEPS, 2, 3, Sigmoid()), TransposedConvolutionLayer(IN_STEPS, 3, 2, Identity())), True
    ),
    "tied, deep": Network(
        (
            ConvolutionLayer(IN_STEPS, 2, 3, Sigmoid()),
            ConvolutionLayer(Windows((3, 5), (2, 2), (1, 1), "valid"), 3, 2, Tanh()),
            TransposedConvolutionLayer(Windows((3, 5), (2, 2), (1, 1), "valid"), 2, 3, Sigmoid()),
            TransposedConvolutionLayer(IN_STEPS, 3, 2, Identity()),
        ),
        True,
    ),
    "tied, transposed first": Network(
        (
            TransposedConvolutionLayer(Windows((11, 5), (3, 3), (2, 1), "same"), 2, 1, Sigmoid()),
            ConvolutionLayer(Windows((11, 5), (3, 3), (2, 1), "same"), 1, 2, Identity()),
        ),
        True,
    ),
    "sequence, many channels": Network(
        (
            ConvolutionLayer(ALONG, 2, 9, Sigmoid()),
            MaxPoolingLayer(Windows((1, 9), (1, 2), (1, 2), "valid"), 9),
            ConvolutionLayer(Windows((1, 4), (1, 3), (1, 2), "same"), 9, 3, LeakyReLU(0.2)),
            DenseLayer(6, N_INPUTS, Sigmoid()),
        )
    ),
}

#: The first hidden layer of each network whose activations are in [0, 1], a convolution.
SIGMOID = {
    name: next(index for index, layer in enumerate(network.layers) if isinstance(layer.activation, Sigmoid))
    for name, network in NETWORKS.items()
}
