"""The dense layer beside its definition, what all layers share, and chains of layers that cannot be."""

import numpy as np
import pytest

from rhohat.layers import DenseLayer, Layer, MaxPoolingLayer, SimpleRecurrentLayer, Windows
from rhohat.layers.activations import ReLU, Tanh, Units
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


def test_a_layer_is_as_far_from_its_kinks_as_its_pre_activations_are_from_those_of_its_activation():
    z = np.array([[3.0, -0.5], [2.0, 1.0]])
    assert DenseLayer(4, 2, ReLU()).distance_from_kinks(np.zeros((2, 4)), z) == 0.5
    assert DenseLayer(4, 2, Tanh()).distance_from_kinks(np.zeros((2, 4)), z) == np.inf


def test_a_layer_that_cannot_be_tied_says_so():
    layer = SimpleRecurrentLayer(3, 2, 4)
    assert not layer.can_be_tied
    arrays = np.zeros((2, 4)), np.zeros((5, 6)), np.zeros((5, 12))
    with pytest.raises(NotImplementedError, match=r"^the weights of SimpleRecurrentLayer cannot be tied\.$"):
        layer.add_tied_gradient(*arrays, slice(0, 2))


def test_a_layer_without_tangents_says_so():
    layer = DenseLayer(3, 2, Tanh())
    for method, n_arguments in (("push_forward", 5), ("pull_back_along", 6)):
        with pytest.raises(NotImplementedError, match="no tangents can be propagated through DenseLayer"):
            getattr(Layer, method)(layer, *[None] * n_arguments)
