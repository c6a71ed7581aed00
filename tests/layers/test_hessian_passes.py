"""Products of second derivatives with a direction, beside differences of gradients, for chains of unlike activations.

Learned slopes are parameters between the weights of two layers, so all mixed derivatives occur.
"""

import numpy as np
import pytest

from rhohat import Contraction
from rhohat.engines import ThreadEngine
from rhohat.layers.activations import Maxout, ParametricReLU, Sigmoid, Softmax, Tanh
from rhohat.layers.network import dense_network
from rhohat.layers.tangents import TangentPass
from rhohat.objective import Problem, make_objective
from rhohat.terms.jacobian_penalties import TangentPropagation
from rhohat.terms.losses import BinaryCrossEntropy, SoftmaxCrossEntropy, SquaredError
from tests.conftest import relative_difference
from tests.layers.test_network import backward, layers_of
from tests.tolerances import HESSIAN

STEP = 1e-6
CHAINS = {
    "slopes below a sigmoid": (ParametricReLU(), Sigmoid(), Tanh()),
    "slopes above a sigmoid": (Sigmoid(), ParametricReLU(), Tanh()),
    "slopes at the output": (Tanh(), Sigmoid(), ParametricReLU()),
    "slopes of two layers": (ParametricReLU(), ParametricReLU(), Sigmoid()),
    "maxout among them": (ParametricReLU(), Maxout(2), Tanh()),
}
chains = pytest.mark.parametrize("activations", CHAINS.values(), ids=CHAINS)


def network_and_vectors(activations, rng):
    network = dense_network((4, 3, 4, 3), activations)
    theta, vector = rng.normal(0, 0.5, (2, network.n_parameters))
    return network, theta, vector


@chains
@pytest.mark.parametrize("options", [{}, {"from_z": False}, {"from_z": True}], ids=str)
def test_the_backward_pass_of_tangents_is_the_derivative_of_backward(activations, options, rng):
    """For a loss ½ Σ c a², or ½ Σ c z² if the loss takes z."""
    network, theta, vector = network_and_vectors(activations, rng)
    X, factors, from_z = rng.normal(size=(6, 4)), rng.normal(size=(6, 3)), options.get("from_z", False)

    def outputs(theta):
        layers = layers_of(network, theta, X, without_activation=3 if from_z else None)
        return layers.z[-1] if from_z else layers.a[-1]

    def gradient(theta):
        return backward(network, theta, X, factors * outputs(theta), **options)

    expected = (gradient(theta + STEP * vector) - gradient(theta - STEP * vector)) / (2 * STEP)
    layers, product, nothing = layers_of(network, theta, X), np.zeros_like(theta), [None] * 3
    tangent_pass = TangentPass(network, network.unpack(theta), layers, network.unpack(vector))
    tangents = tangent_pass.push_forward()
    delta = factors * (tangents.z[-1] if from_z else tangents.a[-1])
    tangent_pass.backward(
        tangents,
        factors * outputs(theta),
        delta,
        np.ones((1, 6)),
        nothing,
        nothing,
        network.unpack(product),
        **options,
    )
    assert relative_difference(product, expected) <= HESSIAN


PENALTIES = {
    "contraction of a deep code": Contraction(0.5, layer=1),
    "tangents": TangentPropagation(0.7),
}


@chains
@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
def test_hessians_of_penalties_on_derivatives_reach_learned_slopes(activations, penalty, rng):
    network, theta, vector = network_and_vectors(activations, rng)
    X, y, tangents = rng.normal(size=(6, 4)), rng.normal(size=(6, 3)), rng.normal(size=(6, 2, 4))
    check_hessian(Problem(network, X, y, loss=SquaredError(), penalties=[penalty], tangents=tangents), theta, vector)


@pytest.mark.parametrize(
    ("output", "loss"), [(Sigmoid(), BinaryCrossEntropy()), (Softmax(), SoftmaxCrossEntropy())], ids=str
)
def test_hessians_of_losses_that_take_pre_activations_reach_learned_slopes(output, loss, rng):
    network, theta, vector = network_and_vectors((ParametricReLU(), Tanh(), output), rng)
    check_hessian(
        Problem(
            network,
            rng.normal(size=(6, 4)),
            np.eye(3)[[0, 1, 2, 2, 1, 0]],
            loss=loss,
            penalties=[TangentPropagation(0.7)],
            tangents=rng.normal(size=(6, 2, 4)),
        ),
        theta,
        vector,
    )


def check_hessian(problem, theta, vector):
    J = make_objective(problem, ThreadEngine(1))
    expected = (J(theta + STEP * vector)[1] - J(theta - STEP * vector)[1]) / (2 * STEP)
    assert relative_difference(J.hessian_vector_product(theta, vector), expected) <= HESSIAN
