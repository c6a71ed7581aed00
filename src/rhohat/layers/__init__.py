"""The layers of a network. Each class defines a layer's forward pass together with its derivatives.

To add a layer that consists of a linear map with weights, a bias and an activation, write a subclass of `MapLayer` that
defines the map, the transposed map, and the gradient of the weights; derivatives of every order follow from these. Any
other layer derives from `Layer`. Penalties on derivatives, and Newton's method, refuse such a layer with an error that
names it.
"""

from rhohat.layers.base import Layer, LayerParameters
from rhohat.layers.convolution import Convolution, TransposedConvolution
from rhohat.layers.dense import Dense
from rhohat.layers.linear import MapLayer
from rhohat.layers.pooling import MaxPooling, MeanPooling
from rhohat.layers.windows import Windows

__all__ = [
    "Convolution",
    "Dense",
    "Layer",
    "LayerParameters",
    "MapLayer",
    "MaxPooling",
    "MeanPooling",
    "TransposedConvolution",
    "Windows",
]
