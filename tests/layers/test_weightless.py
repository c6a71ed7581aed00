"""Layers without weights: they have no parameters, and gradients leave what they are given as it is."""

import numpy as np
import pytest

from rhohat.layers import DropoutLayer, LayerParameters, MaxPoolingLayer, MeanPoolingLayer, UpsamplingLayer, Windows
from rhohat.layers.activations import Identity, Units
from rhohat.layers.network import Network
from rhohat.ops import NUMPY
from rhohat.ops.numpy_ops import NumpyOps

WINDOWS = Windows((4, 6), (2, 3), (2, 3), "valid")  # 4 places
LAYERS = (
    MaxPoolingLayer(WINDOWS, 5),
    MeanPoolingLayer(WINDOWS, 5),
    UpsamplingLayer(WINDOWS, 5),
    DropoutLayer(7, 7, 0.5),
)
each = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
NONE = np.empty(0)
NO_PARAMETERS = LayerParameters(NONE, NONE, NONE)


class OtherOps(NumpyOps):
    """NumPy's primitives as those of another library."""


@each
def test_there_are_no_parameters(layer, rng):
    assert (layer.weight_shape, layer.n_biases, layer.n_own) == ((0,), 0, 0)
    assert (layer.has_weights, layer.can_be_tied, layer.gradient_parts(1000)) == (False, True, [])
    assert (layer.activation, layer.width, layer.in_place) == (Identity(), layer.n_outputs, True)
    network = Network((layer,))
    assert network.n_parameters == network.initial_theta(rng).size == 0


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zeros_stand_for_the_biases(layer, dtype):
    row = layer.bias_row(np.empty(0, dtype))
    np.testing.assert_array_equal(row, np.zeros(layer.n_outputs))
    assert row.dtype == dtype


@each
@pytest.mark.parametrize("activate", [True, False])
def test_outputs_are_the_map_of_the_inputs(layer, activate, rng):
    rows, z = rng.normal(size=(3, layer.n_inputs)), np.full((3, layer.n_outputs), np.nan)
    before = rows.copy()
    layer.forward(NO_PARAMETERS, rows, Units(z, z, NONE), activate=activate)
    np.testing.assert_array_equal(z, layer.apply(before, NONE))
    np.testing.assert_array_equal(rows, before)
    layer.forward(NO_PARAMETERS, rows, Units(z, z, NONE))
    np.testing.assert_array_equal(z, layer.apply(before, NONE))


@each
@pytest.mark.parametrize("accumulate", [True, False])
def test_gradients_leave_all_arrays_as_they_are(layer, accumulate, rng):
    given, delta = rng.normal(size=(3, layer.n_inputs)), rng.normal(size=(3, layer.n_outputs))
    arrays = [given.copy(), delta.copy()]
    layer.weight_gradient(given, delta, NONE, accumulate=accumulate)
    layer.add_weight_gradient(NONE, given, delta, accumulate=accumulate)
    layer.add_weight_gradient(NONE, given[:1], delta, accumulate=accumulate)
    layer.add_bias_gradient(NONE, delta, np.ones((1, 3)), accumulate=accumulate)
    for left, before in zip((given, delta), arrays, strict=True):
        np.testing.assert_array_equal(left, before)


@each
def test_a_layer_changes_to_another_library_with_its_activation(layer):
    other = OtherOps()
    changed = layer.with_ops(other)
    assert changed == layer
    assert type(changed) is type(layer)
    assert (changed.ops, changed.activation.ops) == (other, other)
    assert changed.ops is changed.activation.ops is other
    assert layer.ops is layer.activation.ops is NUMPY
    assert changed.with_ops(OtherOps()) is changed
    assert layer.with_ops(NumpyOps()) is layer
