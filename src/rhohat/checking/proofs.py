"""A table of proofs: the gradient of every kind of model beside central differences.

`proof_cases` walks activations, losses, penalties, tied weights, depths and corruptions; `prove` compares the gradient
of one case with central differences of J, and its Hessian-vector product with central differences of the gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, product

import numpy as np

from rhohat.checking.gradcheck import check_gradient
from rhohat.common.arrays import FloatArray
from rhohat.common.randomness import keyed_generator
from rhohat.engines import ThreadEngine
from rhohat.layers.activations import (
    ACTIVATIONS,
    Activation,
    Identity,
    Maxout,
    ParametricReLU,
    Sigmoid,
    Softmax,
    Units,
    as_activation,
)
from rhohat.layers.network import Network, dense_network
from rhohat.objective import Objective, Problem, make_objective
from rhohat.terms.corruption import CORRUPTIONS, corrupt_rows
from rhohat.terms.jacobian_penalties import Contraction, JacobianPenalty, TangentPropagation
from rhohat.terms.losses import (
    BinaryCrossEntropy,
    GaussianLoss,
    LabelNoiseCrossEntropy,
    Loss,
    SoftmaxCrossEntropy,
    SquaredError,
)
from rhohat.terms.penalties import KLSparsity, L1Sparsity, Penalty, WeightDecay

__all__ = ["LARGEST_DIFFERENCE", "LARGEST_HESSIAN_DIFFERENCE", "Proof", "ProofCase", "proof_cases", "prove"]

#: A gradient that differs by more, relatively, from central differences is wrong.
LARGEST_DIFFERENCE = 1e-8
#: Likewise a Hessian-vector product beside differences of the gradient.
LARGEST_HESSIAN_DIFFERENCE = 1e-6

_N_SAMPLES, _N_FEATURES, _N_OUTPUTS = 6, 5, 3
_LARGEST_Z = 10.0  # beyond, differences of saturated units drown in rounding
_FROM_KINKS = 2e-3  # central differences move a pre-activation by about a twentieth of this


@dataclass(frozen=True)
class ProofCase:
    """A model, rows, and parameters at which to look.

    Attributes
    ----------
    activation, corruption : str
        Of the hidden layers, and of the input.
    problem : Problem
        Its inputs are corrupted already, where the case says so.
    theta : array of shape (n_parameters,)
        Away from the kinks of activations that have any, and such that no unit is saturated, or silent on every row.
    """

    activation: str
    corruption: str
    problem: Problem = field(repr=False)
    theta: FloatArray = field(repr=False)

    @property
    def n_hidden_layers(self) -> int:
        """Number of hidden layers."""
        return self.problem.network.n_layers - 1

    @property
    def penalty(self) -> str:
        """Names of the penalties."""
        return " + ".join(penalty.name for penalty in self.problem.penalties) or "none"

    def objective(self) -> Objective:
        """Return J of this case."""
        return make_objective(self.problem, ThreadEngine(1))

    def __str__(self) -> str:
        """Return the case on a line."""
        weights = "tied" if self.problem.network.tied else "untied"
        return (
            f"{self.activation}, {self.problem.loss.name}, {self.penalty}, {weights}, {self.n_hidden_layers} hidden,"
            f" {self.corruption} corruption"
        )


@dataclass(frozen=True)
class Proof:
    """What was found for a case.

    Attributes
    ----------
    case : ProofCase
    n_parameters : int
    gradient_difference : float
        ‖numerical − analytical‖ / ‖numerical + analytical‖ of the gradient.
    hessian_difference : float or None
        The same of a Hessian-vector product; None where the model has none.
    """

    case: ProofCase
    n_parameters: int
    gradient_difference: float
    hessian_difference: float | None

    @property
    def holds(self) -> bool:
        """Whether gradient and Hessian-vector product are right."""
        hessian = 0.0 if self.hessian_difference is None else self.hessian_difference
        return self.gradient_difference <= LARGEST_DIFFERENCE and hessian <= LARGEST_HESSIAN_DIFFERENCE


def proof_cases(seed: int = 0) -> Iterator[ProofCase]:
    """Yield the cases of the table.

    Every activation with every penalty that it allows, tied and untied, with one hidden layer and with three; every
    activation with every loss, with one hidden layer and with two; and every loss with every penalty. Corruptions, and
    whether rows have weights, are drawn.

    Parameters
    ----------
    seed : int, default=0
        Of rows and parameters.

    Yields
    ------
    ProofCase
    """
    corruptions = [None, *CORRUPTIONS]
    models = chain(_with_every_penalty(), _with_every_loss(), _losses_with_penalties())
    for number, (activation, network, loss, penalties) in enumerate(models):
        kind = keyed_generator(number, "kind of rows")  # whatever the seed, so that the table has the same rows
        corruption, weighted = corruptions[kind.integers(len(corruptions))], bool(kind.integers(2))
        yield _fill(seed + number, activation, network, loss, penalties, corruption, weighted)


def prove(case: ProofCase) -> Proof:
    """Compare the derivatives of a case with central differences.

    Parameters
    ----------
    case : ProofCase

    Returns
    -------
    Proof
    """
    J = case.objective()
    check = check_gradient(J, case.theta)
    try:
        J.check_second_derivative()
    except ValueError:
        return Proof(case, check.n_parameters, check.relative_difference, None)
    vector = keyed_generator(0, "direction").normal(size=case.theta.size)
    step = 1e-5
    numerical = (J(case.theta + step * vector)[1] - J(case.theta - step * vector)[1]) / (2 * step)
    exact = J.hessian_vector_product(case.theta, vector)
    difference = float(np.linalg.norm(numerical - exact) / np.linalg.norm(numerical + exact))
    return Proof(case, check.n_parameters, check.relative_difference, difference)


_PENALTIES: list[tuple[Penalty, ...]] = [
    (),
    (WeightDecay(0.1),),
    (WeightDecay(0.1, include_biases=True), L1Sparsity(0.1)),
    (WeightDecay(0.1), KLSparsity(0.1, 3.0)),
    (Contraction(0.2),),
    (WeightDecay(0.1), TangentPropagation(0.2)),
]
_LOSSES: list[tuple[Loss, Activation]] = [
    (SquaredError(), Identity()),
    (SquaredError(), Softmax()),
    (SquaredError(), ParametricReLU()),
    (SquaredError(), Maxout()),
    (GaussianLoss([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 0.5]]), Identity()),
    (BinaryCrossEntropy(), Sigmoid()),
    (LabelNoiseCrossEntropy(0.2), Sigmoid()),
    (SoftmaxCrossEntropy(), Softmax()),
]

_Model = tuple[str, Network, Loss, tuple[Penalty, ...]]


def _with_every_penalty() -> Iterator[_Model]:
    """Yield every activation with every penalty, tied and not, in autoencoders with one and three hidden layers."""
    for name, sizes, tied, added in product(ACTIVATIONS, [(5, 4, 5), (5, 4, 3, 4, 5)], [False, True], _PENALTIES):
        hidden = as_activation(name)
        if not _allows(hidden, added) or (tied and hidden.width(4) != 4):
            continue
        output = as_activation("sigmoid")
        loss: Loss = BinaryCrossEntropy() if len(sizes) > 3 else SquaredError()
        yield name, dense_network(sizes, (*[hidden] * (len(sizes) - 2), output), tied), loss, added


def _with_every_loss() -> Iterator[_Model]:
    """Yield every activation with every loss, in networks with one and two hidden layers."""
    for name, hidden_sizes, (loss, output) in product(ACTIVATIONS, [(4,), (4, 3)], _LOSSES):
        yield name, _network(name, hidden_sizes, output), loss, (WeightDecay(0.1),)


def _losses_with_penalties() -> Iterator[_Model]:
    """Yield every loss with every penalty, in networks of two hidden layers of sigmoid and of tanh units."""
    for name, (loss, output), added in product(("sigmoid", "tanh"), _LOSSES, _PENALTIES):
        yield name, _network(name, (4, 3), output), loss, added


def _network(activation: str, hidden_sizes: tuple[int, ...], output: Activation) -> Network:
    hidden = [as_activation(activation)] * len(hidden_sizes)
    return dense_network((_N_FEATURES, *hidden_sizes, _N_OUTPUTS), (*hidden, output))


def _allows(hidden: Activation, penalties: tuple[Penalty, ...]) -> bool:
    """Return whether hidden units can have these penalties."""
    bounded = bool(np.all(np.isfinite(hidden.bounds)))
    return all(
        (bounded or not isinstance(penalty, KLSparsity))
        and (hidden.twice_differentiable or not isinstance(penalty, JacobianPenalty))
        for penalty in penalties
    )


def _fill(
    seed: int,
    activation: str,
    network: Network,
    loss: Loss,
    penalties: tuple[Penalty, ...],
    corruption: str | None,
    weighted: bool,
) -> ProofCase:
    """Return the case with rows and parameters, drawn until no unit is near a kink."""
    is_autoencoder = network.layer_sizes[0] == network.layer_sizes[-1]
    needs_tangents = any(isinstance(penalty, TangentPropagation) for penalty in penalties)
    for attempt in range(1000):
        draw = keyed_generator(seed, "proof", attempt)
        clean = draw.uniform(0.1, 0.9, (_N_SAMPLES, _N_FEATURES))
        problem = Problem(
            network,
            corrupt_rows(CORRUPTIONS[corruption](), clean, seed, attempt) if corruption else clean,
            clean if is_autoencoder else _targets(loss, draw),
            loss=loss,
            penalties=penalties,
            sample_weight=draw.uniform(0.5, 2.0, _N_SAMPLES) if weighted else None,
            tangents=draw.normal(size=(_N_SAMPLES, 2, _N_FEATURES)) if needs_tangents else None,
        )
        theta = network.initial_theta(draw) + draw.normal(0, 0.3, network.n_parameters)
        case = ProofCase(activation, corruption or "no", problem, theta)
        if _distance_from_kinks(case) > _FROM_KINKS:
            return case
    raise AssertionError(f"no parameters away from the kinks of {activation}")


def _targets(loss: Loss, draw: np.random.Generator) -> FloatArray:
    if isinstance(loss, SoftmaxCrossEntropy):
        return np.eye(_N_OUTPUTS)[draw.integers(0, _N_OUTPUTS, _N_SAMPLES)]
    if isinstance(loss, BinaryCrossEntropy):
        return draw.integers(0, 2, (_N_SAMPLES, _N_OUTPUTS)).astype(float)
    return draw.normal(size=(_N_SAMPLES, _N_OUTPUTS))


def _distance_from_kinks(case: ProofCase) -> float:
    """Return how far the nearest pre-activation, or activation under an L1 penalty, is from where J has no gradient.

    0 where differences would prove nothing: units saturated, or silent on every row.
    """
    network, parameters = case.problem.network, case.problem.network.unpack(case.theta)
    with_l1 = any(isinstance(penalty, L1Sparsity) for penalty in case.problem.penalties)
    a, distances = case.problem.X, [np.inf]
    for layer, activation in enumerate(network.activations):
        layers = network.allocate(_N_SAMPLES, np.empty, start=layer, stop=layer + 1)
        layers.a[0] = a
        network.forward(parameters, layers, start=layer, without_activation=layer + 1)
        z, a = layers.z[1], layers.a[1]
        if np.max(np.abs(z)) > _LARGEST_Z:
            return 0.0
        distances.append(activation.distance_from_kinks(z))
        activation.forward(Units(z, a, parameters.activation_parameters[layer]))
        if np.any(np.all(a == 0, axis=0)):  # a unit is silent on every row
            return 0.0
        if with_l1 and layer < case.n_hidden_layers:
            distances.append(np.min(np.abs(a[a != 0]), initial=np.inf))
    return float(min(distances))
