"""What a network asks of its layers: the library they compute with, room for their arrays, ties, initial weights."""

from math import prod

import numpy as np
import pytest

from rhohat.layers.activations import ACTIVATIONS, Maxout, Sigmoid, Tanh, as_activation
from rhohat.layers.network import Network, dense_network
from rhohat.ops import NUMPY
from rhohat.ops.numpy_ops import NumpyOps
from tests.tolerances import EXACT


class OtherOps(NumpyOps):
    """NumPy's primitives as those of another library."""


def dense(n_inputs, n_outputs, activation=None):
    """One dense layer."""
    return dense_network((n_inputs, n_outputs), (activation or Sigmoid(),)).layers[0]


def test_a_network_and_all_its_parts_change_to_another_library_together():
    network, other = dense_network((4, 3, 4), (Sigmoid(), Tanh()), tied=True), OtherOps()
    changed = network.with_ops(other)
    assert (changed.layer_sizes, changed.tied, changed.activations) == ((4, 3, 4), True, network.activations)
    assert changed.ops is other
    assert all(layer.ops is other and layer.activation.ops is other for layer in changed.layers)
    assert all(layer.ops is NUMPY and layer.activation.ops is NUMPY for layer in network.layers)
    assert network.with_ops(NumpyOps()) is network
    assert changed.with_ops(OtherOps()) is changed
    assert network.layers[0].with_ops(NumpyOps()) is network.layers[0]


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_as_many_numbers_per_row_are_foretold_as_are_allocated(name):
    network, n_rows = dense_network((4, 3, 5), (as_activation(name),) * 2), 7
    for stop in (1, 2, None):
        allocated = []

        def allocate(shape, allocated=allocated):
            allocated.append(prod(shape))
            return np.empty(shape)

        network.allocate(n_rows, allocate, stop=stop)
        assert n_rows * network.numbers_per_row(stop) == sum(allocated)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_packed_parameters_keep_the_type_of_their_numbers(dtype):
    network = dense_network((3, 2), (Sigmoid(),))
    assert network.pack([np.ones((3, 2), dtype)], [np.ones(2, dtype)]).dtype == dtype


def test_a_network_without_layers_is_refused():
    message = r"^a network needs at least one layer, and every layer needs at least one unit; got layer_sizes \(\)\.$"
    with pytest.raises(ValueError, match=message):
        Network(())


def test_maxout_is_not_tied():
    message = (
        r"^tied weights need one pre-activation per unit, but maxout has several; use another activation, or don't tie"
        r" the weights\.$"
    )
    with pytest.raises(ValueError, match=message):
        dense_network((4, 2, 4), (Maxout(), Sigmoid()), tied=True)


def test_both_layers_of_a_pair_have_to_allow_ties_and_their_weights_to_be_transposes():
    class Untied(type(dense(1, 1))):
        can_be_tied = False

    class Turned(type(dense(1, 1))):
        @property
        def weight_shape(self):
            return self.n_outputs, self.n_inputs

    Network((dense(4, 3), dense(3, 4)), tied=True)
    for encoder, decoder in (
        (Untied(4, 3, Sigmoid()), dense(3, 4)),
        (dense(4, 3), Untied(3, 4, Sigmoid())),
        (dense(4, 3), Turned(3, 4, Sigmoid())),
    ):
        with pytest.raises(ValueError, match="cannot use the transposed weights of"):
            Network((encoder, decoder), tied=True)


def test_uniform_initial_weights_fill_the_interval_even_if_a_layer_is_tiny(rng):
    """The interval of a layer with one input and one unit is ±√(6 / 3)."""
    weights = np.array([dense(1, 1).initial_weights(rng, "uniform") for _ in range(1000)])
    assert 0.99 * np.sqrt(2) < weights.max() <= np.sqrt(2)
    assert -0.99 * np.sqrt(2) > weights.min() >= -np.sqrt(2)


def test_normal_initial_weights_lie_around_zero(rng):
    weights = dense(100, 100).initial_weights(rng, "normal")
    assert abs(weights.mean()) < 1e-3
    np.testing.assert_allclose(weights.std(), 0.01, rtol=0.05)


def test_a_wide_layer_is_cut_into_parts_of_its_gradient_and_a_narrow_one_is_not(rng):
    wide, n_rows = dense(256, 400), 2000
    parts = wide.gradient_parts(n_rows)
    assert len(parts) > 1
    assert [row for part in parts for row in range(256)[part]] == list(range(256))
    assert dense(256, 1).gradient_parts(n_rows) == [slice(0, 256)]
    given, delta = rng.normal(size=(n_rows, 256)), rng.normal(size=(n_rows, 400))
    whole, in_parts = np.empty((256, 400)), np.empty((256, 400))
    wide.add_weight_gradient(whole, given, delta, accumulate=False)
    for part in parts:
        wide.write_gradient_part(in_parts[part], given, delta, part)
    np.testing.assert_allclose(in_parts, whole, rtol=EXACT, atol=1e-12)
