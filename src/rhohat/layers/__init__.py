"""The layers of a network. Each class defines a layer's forward pass together with its derivatives.

To add a layer that consists of a linear map with weights, a bias and an activation, write a subclass of `MapLayer` that
defines the map, the transposed map, and the gradient of the weights; derivatives of every order follow from these. Any
other layer derives from `Layer`. Penalties on derivatives, and Newton's method, refuse such a layer with an error that
names it, unless it defines `push_forward` and `pull_back_along`, as recurrent layers do.
"""

from rhohat.layers.activations import PerStep
from rhohat.layers.base import Layer, LayerParameters
from rhohat.layers.convolution import ConvolutionLayer, TransposedConvolutionLayer
from rhohat.layers.dense import DenseLayer
from rhohat.layers.dropout import DropoutLayer
from rhohat.layers.gru import GRULayer
from rhohat.layers.linear import MapLayer
from rhohat.layers.lstm import LSTMLayer
from rhohat.layers.pooling import MaxPoolingLayer, MeanPoolingLayer, UpsamplingLayer
from rhohat.layers.recurrent import RecurrentLayer
from rhohat.layers.simple_recurrent import SimpleRecurrentLayer
from rhohat.layers.stepwise import StepwiseDenseLayer
from rhohat.layers.windows import Windows

#: The classes of which networks consist, beside activations.
BUILT_LAYERS: tuple[type, ...] = (
    *(ConvolutionLayer, DenseLayer, MaxPoolingLayer, MeanPoolingLayer, TransposedConvolutionLayer, UpsamplingLayer),
    *(DropoutLayer, GRULayer, LSTMLayer, SimpleRecurrentLayer, StepwiseDenseLayer),
    *(PerStep, Windows),
)

__all__ = [
    "BUILT_LAYERS",
    "ConvolutionLayer",
    "DenseLayer",
    "DropoutLayer",
    "GRULayer",
    "LSTMLayer",
    "Layer",
    "LayerParameters",
    "MapLayer",
    "MaxPoolingLayer",
    "MeanPoolingLayer",
    "RecurrentLayer",
    "SimpleRecurrentLayer",
    "StepwiseDenseLayer",
    "TransposedConvolutionLayer",
    "Windows",
]
