"""The architectures beyond dense and recurrent layers whose gradients are checked, and how far they are from kinks."""

import numpy as np
import pytest

from rhohat.checking.architectures import ARCHITECTURES, Architecture
from rhohat.checking.proofs import proof_cases
from rhohat.checking.sequences import SEQUENCE_ARCHITECTURES
from rhohat.layers import ConvolutionLayer, MaxPoolingLayer, Windows
from rhohat.layers.activations import Identity, ReLU, Sigmoid, Tanh
from rhohat.layers.architecture import Convolution
from rhohat.terms.jacobian_penalties import Contraction, TangentPropagation
from rhohat.terms.penalties import KLSparsity, L1Sparsity, WeightDecay

CASES = [
    case for case in proof_cases() if case.architecture not in ("dense", *(one.name for one in SEQUENCE_ARCHITECTURES))
]


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda one: one.name)
def test_every_architecture_has_all_activations_and_penalties(architecture):
    cases = [case for case in CASES if case.architecture == architecture.name]
    assert {case.activation for case in cases} == {"identity", "sigmoid", "tanh", "relu", "leaky_relu"}
    assert {type(penalty) for case in cases for penalty in case.problem.penalties} == {
        WeightDecay,
        L1Sparsity,
        KLSparsity,
        Contraction,
        TangentPropagation,
    }
    assert {case.problem.network.input_shape for case in cases} == {architecture.input_shape}
    assert len({case.problem.loss.name for case in cases}) >= 4
    assert {case.problem.network.tied for case in cases} == ({False, True} if architecture.is_autoencoder else {False})


def test_there_are_rows_of_every_architecture_and_of_no_other():
    assert {case.architecture for case in CASES} == {architecture.name for architecture in ARCHITECTURES}
    assert len({architecture.name for architecture in ARCHITECTURES}) == len(ARCHITECTURES)
    assert len(CASES) == 7 * len(ARCHITECTURES) >= 120


def test_an_autoencoder_mirrors_its_encoder_and_the_last_layer_has_the_activation_of_the_output():
    network = Architecture("any", (4, 4, 1), [Convolution(2, 3)], is_autoencoder=True).network("tanh", Sigmoid(), True)
    assert network.layer_sizes == (16, 8, 16)
    assert network.activations == (Tanh(), Sigmoid())
    assert network.tied


def test_max_pooling_is_as_far_from_a_kink_as_the_two_largest_numbers_of_a_window_are():
    pooling = MaxPoolingLayer(Windows((1, 4), (1, 2), (1, 2), "valid"), 1)
    assert pooling.distance_from_kinks(np.array([[1.0, 3.0, 0.0, 0.5], [9.0, 5.0, -1.0, -1.25]]), None) == 0.25
    of_relus = np.array([[0.0, 0.0, 0.0, 0.5]])  # units that are 0 stay so
    assert pooling.distance_from_kinks(of_relus, None) == 0.5
    assert pooling.distance_from_kinks(np.array([[2.0, 2.0, 0.0, 0.5]]), None) == 0
    assert MaxPoolingLayer(Windows((1, 4), (1, 1), (1, 1), "valid"), 1).distance_from_kinks(of_relus, None) == np.inf


def test_the_channels_of_max_pooling_do_not_mix():
    pooling = MaxPoolingLayer(Windows((1, 2), (1, 2), (1, 2), "valid"), 2)
    assert pooling.distance_from_kinks(np.array([[1.0, 1.5, 4.0, 1.0]]), None) == 0.5


@pytest.mark.parametrize(("activation", "distance"), [(ReLU(), 0.25), (Identity(), np.inf)])
def test_other_layers_are_as_far_from_a_kink_as_their_activation(activation, distance):
    layer = ConvolutionLayer(Windows((1, 2), (1, 1), (1, 1), "valid"), 1, 1, activation)
    assert layer.distance_from_kinks(np.zeros((1, 2)), np.array([[-0.25, 1.0]])) == distance
