import numpy as np

from rhohat.layers.activations import Identity, ParametricReLU
from rhohat.layers.network import dense_network


def test_the_activations_parameters_alone_are_cut_as_they_are_within_theta():
    network = dense_network((4, 3, 5, 2), (ParametricReLU(), ParametricReLU(), Identity()))
    theta = np.arange(network.n_parameters, dtype=float)
    alone = network.layout.unpack_own(theta[network.layout.own])
    expected = network.unpack(theta).activation_parameters
    assert [part.size for part in alone] == [3, 5, 0]
    for ours, theirs in zip(alone, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
