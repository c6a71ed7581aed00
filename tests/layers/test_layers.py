"""The dense layer beside its definition, and chains of layers that cannot be; other layers have files of their own."""

import numpy as np
import pytest

from rhohat.layers import DenseLayer, MaxPoolingLayer, Windows
from rhohat.layers.activations import Tanh, Units
from rhohat.layers.network import Network
from tests.tolerances import EXACT


def test_layers_that_do_not_follow_one_another_are_refused():
    with pytest.raises(ValueError, match=r"which has 9 inputs, after .*, which has 8 outputs"):
        Network((DenseLayer(5, 8, Tanh()), DenseLayer(9, 5, Tanh())))
    with pytest.raises(ValueError, match=r"which has 16 inputs, after .*, which has 8 outputs"):
        Network((DenseLayer(5, 8, Tanh()), MaxPoolingLayer(Windows((4, 4), (2, 2), (2, 2), "valid"), 1)))
    with pytest.raises(ValueError, match="at least one layer"):
        Network(())


def test_a_dense_layer_is_what_its_definition_says(rng):
    layer, parameters = DenseLayer(4, 3, Tanh()), Network((DenseLayer(4, 3, Tanh()),)).unpack(rng.normal(size=15)).of(0)
    rows, z = rng.normal(size=(6, 4)), np.empty((6, 3))
    layer.forward(parameters, rows, Units(z, z, parameters.own))
    np.testing.assert_allclose(z, np.tanh(rows @ parameters.W + parameters.b), rtol=EXACT)
