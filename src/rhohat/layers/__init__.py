"""Layers: what a network is a chain of. Forward, pull-back and push-forward of a layer stand side by side.

To add one that is a linear map with weights, a bias, and an activation: a subclass of `MapLayer` with the map, the
transposed map, and the gradient of its weights; derivatives of every order follow. Any other one derives from `Layer`;
penalties on derivatives and Newton's method refuse it by name.
"""

from rhohat.layers.base import Layer, LayerParameters
from rhohat.layers.convolution import Convolution1D
from rhohat.layers.dense import Dense
from rhohat.layers.linear import MapLayer

__all__ = ["Convolution1D", "Dense", "Layer", "LayerParameters", "MapLayer"]
