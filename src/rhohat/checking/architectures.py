"""Architectures with layers other than dense ones, whose gradients `rhohat check-gradient` checks.

Those with recurrent layers are in `sequences.py`.

The table that this command prints has one row for each architecture with each penalty; activations and losses take
turns from row to row. To check a new kind of layer, add a line at the end of `ARCHITECTURES`: the rows of all other
architectures then stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rhohat.layers.activations import ACTIVATIONS, Activation, ElementwiseActivation, as_activation
from rhohat.layers.architecture import (
    Convolution,
    Dense,
    LayerDescription,
    MaxPooling,
    MeanPooling,
    Shape,
    Upsampling,
    build_layers,
    mirrored,
)
from rhohat.layers.network import Network, network_of

__all__ = ["ARCHITECTURES", "HIDDEN_ACTIVATIONS", "Architecture"]


@dataclass(frozen=True)
class Architecture:
    """A network without its activations.

    Attributes
    ----------
    name : str
        Name of the architecture in the table that `rhohat check-gradient` prints.
    input_shape : tuple of int
        Shape of a row.
    layers : sequence of LayerDescription
        All layers of a network for targets, or the encoder of an autoencoder.
    is_autoencoder : bool
        Whether a decoder of layers that mirror the given layers follows them.
    """

    name: str
    input_shape: Shape
    layers: Sequence[LayerDescription]
    is_autoencoder: bool = False

    def network(self, activation: str, output: Activation, tied: bool = False) -> Network:
        """Return the network with one activation in its hidden layers, and one in its output layer.

        Parameters
        ----------
        activation : str
            Name of the activation of the hidden layers that have weights.
        output : Activation
            Activation of the output layer.
        tied : bool, default=False
            Whether the decoder of an autoencoder uses the transposed weights of its encoder.
        """
        layers, shapes = build_layers(self.layers, self.input_shape, activation)
        if self.is_autoencoder:
            layers += build_layers(mirrored(self.layers, shapes), shapes[-1], activation)[0]
        last: Any = layers[-1]
        return network_of([*layers[:-1], replace(last, activation=output)], self.input_shape, tied)


_OUTPUT = Dense(3)

#: The architectures, of which each gets its rows of the table.
ARCHITECTURES: tuple[Architecture, ...] = (
    Architecture("convolution", (4, 4, 1), [Convolution(2, (2, 3)), _OUTPUT]),
    Architecture("convolution_same", (4, 4, 1), [Convolution(2, (2, 3), (1, 2), "same"), _OUTPUT]),
    Architecture("convolution_strided", (5, 4, 1), [Convolution(3, (3, 2), 2), _OUTPUT]),
    Architecture("convolution_of_8_channels", (2, 3, 8), [Convolution(2, 2), _OUTPUT]),
    Architecture("convolution_of_sequences", (8, 2), [Convolution(3, 3), _OUTPUT]),
    Architecture("convolution_of_sequences_same", (9, 2), [Convolution(3, 3, 2, "same"), _OUTPUT]),
    Architecture("max_pooling", (5, 5, 1), [Convolution(2, 2), MaxPooling(2), _OUTPUT]),
    Architecture("max_pooling_of_sequences", (8, 2), [Convolution(2, 2), MaxPooling(3, 2), _OUTPUT]),
    Architecture("max_pooling_of_inputs", (4, 4, 1), [MaxPooling((2, 1)), Convolution(2, 2), _OUTPUT]),
    Architecture("mean_pooling", (4, 4, 1), [Convolution(2, 2), MeanPooling(2, 1), _OUTPUT]),
    Architecture("mean_pooling_of_sequences", (9, 2), [Convolution(2, 2), MeanPooling(3, 2), _OUTPUT]),
    Architecture("two_convolutions", (5, 5, 1), [Convolution(2, 2), Convolution(2, 3, 2, "same"), _OUTPUT]),
    Architecture("lenet", (6, 6, 1), [Convolution(2, 3), MaxPooling(2), Convolution(3, 2), Dense(3), _OUTPUT]),
    Architecture("transposed_convolution", (4, 4, 1), [Convolution(2, 3)], True),
    Architecture("transposed_convolution_same", (5, 5, 1), [Convolution(2, 3, 2, "same")], True),
    Architecture("transposed_convolution_of_sequences", (8, 2), [Convolution(3, 3, 2)], True),
    Architecture("two_transposed_convolutions", (5, 5, 1), [Convolution(2, 2), Convolution(2, 2, 2)], True),
    Architecture("convolution_and_dense_code", (4, 4, 1), [Convolution(2, 3), Dense(3)], True),
    Architecture("upsampling_of_max_pooling", (5, 5, 1), [Convolution(2, 2), MaxPooling(2)], True),
    Architecture("upsampling_of_mean_pooling", (8, 2), [Convolution(2, 2), MeanPooling(3, 2)], True),
    Architecture(
        "upsampling_and_convolution",
        (4, 4, 1),
        [Convolution(2, 3, padding="same"), MaxPooling(2), Upsampling(2), Convolution(1, 3, padding="same")],
    ),
)

#: Names of the activations that every kind of layer allows.
HIDDEN_ACTIVATIONS: tuple[str, ...] = tuple(
    name for name in ACTIVATIONS if isinstance(as_activation(name), ElementwiseActivation)
)
