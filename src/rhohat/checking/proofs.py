"""Checks, called proofs, that compare the gradients of all kinds of models with central differences.

`proof_cases` yields combinations of architectures, activations, losses, penalties, tied weights, depths and
corruptions; `architectures.py` lists the architectures beyond dense layers, and `sequences.py` those with recurrent
layers. `prove` compares the gradient of one case with central differences of the cost J, and its Hessian-vector product
with central differences of the gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, product
from typing import NamedTuple

import numpy as np

from rhohat.checking.architectures import ARCHITECTURES, HIDDEN_ACTIVATIONS, Architecture
from rhohat.checking.gradcheck import LARGEST_DIFFERENCE, check_gradient
from rhohat.checking.sequences import (
    PENALTIES_OF_SEQUENCES,
    SEQUENCE_ARCHITECTURES,
    SequenceArchitecture,
    pad,
    stepwise_loss,
)
from rhohat.common.arrays import FloatArray
from rhohat.common.randomness import keyed_generator
from rhohat.engines import ThreadEngine
from rhohat.layers import MapLayer, RecurrentLayer
from rhohat.layers.activations import (
    ACTIVATIONS,
    Activation,
    Identity,
    LeakyReLU,
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
from rhohat.terms.stepwise_loss import StepwiseLoss

__all__ = ["LARGEST_DIFFERENCE", "LARGEST_HESSIAN_DIFFERENCE", "Proof", "ProofCase", "proof_cases", "prove"]

#: A Hessian-vector product whose relative difference from central differences of the gradient is larger is wrong.
LARGEST_HESSIAN_DIFFERENCE = 1e-6

_N_SAMPLES, _N_FEATURES, _N_OUTPUTS = 6, 5, 3
_LARGEST_Z = 10.0  # above it, units saturate, and rounding errors dominate
_STEP, _STEP_THROUGH_TIME = 1e-4, 3e-5  # of central differences; functions that are applied at every step bend more
_FROM_KINKS = 2e-3  # smallest distance from a kink; central differences move a pre-activation by about a 20th of it


@dataclass(frozen=True)
class ProofCase:
    """A model with rows, and the parameters at which its derivatives are checked.

    Attributes
    ----------
    activation, corruption : str
        Names of the activation of the hidden layers, and of the corruption of the input.
    problem : Problem
        The problem; its inputs are corrupted already, if the case has a corruption.
    theta : array of shape (n_parameters,)
        Parameters at which no layer is near a kink, no unit is saturated, and no unit is 0 on every row.
    architecture : str, default="dense"
        Name of the architecture; "dense" for a chain of dense layers.
    """

    activation: str
    corruption: str
    problem: Problem = field(repr=False)
    theta: FloatArray = field(repr=False)
    architecture: str = "dense"

    @property
    def n_hidden_layers(self) -> int:
        """Number of hidden layers."""
        return self.problem.network.n_layers - 1

    @property
    def penalty(self) -> str:
        """Names of the penalties, joined by " + ", or "none"."""
        return " + ".join(penalty.name for penalty in self.problem.penalties) or "none"

    def objective(self) -> Objective:
        """Return the objective J of this case."""
        return make_objective(self.problem, ThreadEngine(1))

    def __str__(self) -> str:
        """Return a description of the case on one line."""
        weights = "tied" if self.problem.network.tied else "untied"
        return (
            f"{self.architecture}, {self.activation}, {self.problem.loss.name}, {self.penalty}, {weights},"
            f" {self.n_hidden_layers} hidden, {self.corruption} corruption"
        )


@dataclass(frozen=True)
class Proof:
    """The result of checking a case.

    Attributes
    ----------
    case : ProofCase
        The case that was checked.
    n_parameters : int
        Number of parameters of the model.
    gradient_difference : float
        ‖numerical − analytical‖ / ‖numerical + analytical‖ for the gradient.
    hessian_difference : float or None
        The same ratio for a Hessian-vector product; None if the model has no Hessian-vector products.
    """

    case: ProofCase
    n_parameters: int
    gradient_difference: float
    hessian_difference: float | None

    @property
    def holds(self) -> bool:
        """Whether the gradient and the Hessian-vector product agree with central differences."""
        hessian = 0.0 if self.hessian_difference is None else self.hessian_difference
        return self.gradient_difference <= LARGEST_DIFFERENCE and hessian <= LARGEST_HESSIAN_DIFFERENCE


def proof_cases(seed: int = 0) -> Iterator[ProofCase]:
    """Yield the models whose derivatives `rhohat check-gradient --all` checks, in the order of its table.

    With dense layers, the cases combine every activation with every penalty that it allows, with tied and untied
    weights, and with one and three hidden layers; every activation with every loss, with one and two hidden layers; and
    every loss with every penalty. Any other architecture is combined with every penalty, while activations and losses
    take turns, as do tied and untied weights in autoencoders; those with recurrent layers are combined with every
    penalty that they allow, while losses of each step and of the whole sequence take turns. The corruption, and whether
    rows have weights, are drawn at random for each case.

    Parameters
    ----------
    seed : int, default=0
        Seed of the rows and the parameters.

    Yields
    ------
    ProofCase
        One case after another.
    """
    corruptions = [None, *CORRUPTIONS]
    models = chain(
        *(_with_every_penalty(), _with_every_loss(), _losses_with_penalties(), _with_every_architecture()),
        _of_sequences(),
    )
    for number, model in enumerate(models):
        kind = keyed_generator(number, "kind of rows")  # independent of the seed: every seed gives the same cases
        corruption, weighted = corruptions[kind.integers(len(corruptions))], bool(kind.integers(2))
        yield _fill(seed + number, model, corruption, weighted)


def prove(case: ProofCase) -> Proof:
    """Compare the gradient and the Hessian-vector product of a case with central differences.

    Parameters
    ----------
    case : ProofCase
        The case to check.

    Returns
    -------
    Proof
        The relative differences.
    """
    J = case.objective()
    through_time = any(isinstance(layer, RecurrentLayer) for layer in case.problem.network.layers)
    check = check_gradient(J, case.theta, epsilon=_STEP_THROUGH_TIME if through_time else _STEP)
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

#: Losses of images and sequences, whose output layer may be a convolution.
_LOSSES_OF_SHAPES: list[tuple[type[Loss], Activation]] = [
    (SquaredError, Identity()),
    (SquaredError, Sigmoid()),
    (GaussianLoss, Identity()),
    (GaussianLoss, Sigmoid()),
    (BinaryCrossEntropy, Sigmoid()),
    (SquaredError, LeakyReLU()),
    (LabelNoiseCrossEntropy, Sigmoid()),
]
#: Penalties of images and sequences: those that allow every activation come first, so that activations take turns.
_PENALTIES_OF_SHAPES = [
    *(added for added in _PENALTIES if not any(isinstance(penalty, KLSparsity) for penalty in added)),
    (WeightDecay(0.1), KLSparsity(0.1, 3.0)),
    (WeightDecay(0.1), L1Sparsity(0.1), KLSparsity(0.1, 3.0), TangentPropagation(0.2)),
]


class _Model(NamedTuple):
    activation: str
    network: Network
    loss: Loss
    penalties: tuple[Penalty, ...]
    architecture: str = "dense"
    is_padded: bool = False


def _with_every_penalty() -> Iterator[_Model]:
    """Yield autoencoders for every combination of activation, penalties, tied or untied weights, and depth."""
    for name, sizes, tied, added in product(ACTIVATIONS, [(5, 4, 5), (5, 4, 3, 4, 5)], [False, True], _PENALTIES):
        hidden = as_activation(name)
        if not _allows(hidden, added) or (tied and hidden.width(4) != 4):
            continue
        output = as_activation("sigmoid")
        loss: Loss = BinaryCrossEntropy() if len(sizes) > 3 else SquaredError()
        yield _Model(name, dense_network(sizes, (*[hidden] * (len(sizes) - 2), output), tied), loss, added)


def _with_every_loss() -> Iterator[_Model]:
    """Yield networks for every combination of activation and loss, with one and with two hidden layers."""
    for name, hidden_sizes, (loss, output) in product(ACTIVATIONS, [(4,), (4, 3)], _LOSSES):
        yield _Model(name, _network(name, hidden_sizes, output), loss, (WeightDecay(0.1),))


def _losses_with_penalties() -> Iterator[_Model]:
    """Yield networks for every combination of loss and penalties, with two hidden layers of sigmoid or tanh units."""
    for name, (loss, output), added in product(("sigmoid", "tanh"), _LOSSES, _PENALTIES):
        yield _Model(name, _network(name, (4, 3), output), loss, added)


def _with_every_architecture() -> Iterator[_Model]:
    """Yield networks of every architecture beyond dense layers, each with every penalty."""
    for place, architecture in enumerate(ARCHITECTURES):
        for row, added in enumerate(_PENALTIES_OF_SHAPES, start=place):
            allowed = [name for name in HIDDEN_ACTIVATIONS if _allows(as_activation(name), added)]
            yield _of_architecture(architecture, row, allowed[row % len(allowed)], added)


def _of_architecture(architecture: Architecture, row: int, activation: str, penalties: tuple[Penalty, ...]) -> _Model:
    """Return a network of an architecture; the number of the row chooses its loss, and whether weights are tied."""
    tied = architecture.is_autoencoder and row % 2 == 1
    plain = architecture.network(activation, Identity())
    n_outputs = plain.layer_sizes[-1]
    if n_outputs == _N_OUTPUTS:
        loss, output = _LOSSES[row % len(_LOSSES)]
    else:
        kind, output = _LOSSES_OF_SHAPES[row % len(_LOSSES_OF_SHAPES)]
        places = np.arange(n_outputs)
        loss = kind(0.3 ** np.abs(places - places[:, None])) if kind is GaussianLoss else kind()
    return _Model(activation, architecture.network(activation, output, tied), loss, penalties, architecture.name)


def _of_sequences() -> Iterator[_Model]:
    """Yield networks of every architecture with recurrent layers, each with every penalty that these allow."""
    for place, architecture in enumerate(SEQUENCE_ARCHITECTURES):
        names = HIDDEN_ACTIVATIONS if architecture.takes_activations else ("tanh",)
        for row, added in enumerate(PENALTIES_OF_SEQUENCES):
            allowed = [name for name in names if _allows(as_activation(name), added)]
            yield _of_sequence(architecture, 5 * place + row, allowed[(place + row) % len(allowed)], added)


def _of_sequence(
    architecture: SequenceArchitecture, number: int, activation: str, penalties: tuple[Penalty, ...]
) -> _Model:
    """Return a network with recurrent layers; the number chooses its loss."""
    loss, output = stepwise_loss(number) if architecture.per_step else _LOSSES[number % len(_LOSSES)]
    network = architecture.network(activation, output, _N_OUTPUTS)
    return _Model(activation, network, loss, penalties, architecture.name, architecture.padded)


def _network(activation: str, hidden_sizes: tuple[int, ...], output: Activation) -> Network:
    hidden = [as_activation(activation)] * len(hidden_sizes)
    return dense_network((_N_FEATURES, *hidden_sizes, _N_OUTPUTS), (*hidden, output))


def _allows(hidden: Activation, penalties: tuple[Penalty, ...]) -> bool:
    """Return whether the penalties can be applied to hidden units with the given activation."""
    bounded = bool(np.all(np.isfinite(hidden.bounds)))
    return all(
        (bounded or not isinstance(penalty, KLSparsity))
        and (hidden.twice_differentiable or not isinstance(penalty, JacobianPenalty))
        for penalty in penalties
    )


def _fill(seed: int, model: _Model, corruption: str | None, weighted: bool) -> ProofCase:
    """Return a case whose rows and parameters are drawn anew until no pre-activation is near a kink."""
    activation, network, loss, penalties, architecture, is_padded = model
    n_features, is_autoencoder = network.layer_sizes[0], network.layer_sizes[0] == network.layer_sizes[-1]
    needs_tangents = any(isinstance(penalty, TangentPropagation) for penalty in penalties)
    for attempt in range(1000):
        draw = keyed_generator(seed, "proof", attempt)
        clean = draw.uniform(0.1, 0.9, (_N_SAMPLES, n_features))
        X = corrupt_rows(CORRUPTIONS[corruption](), clean, seed, attempt) if corruption else clean
        y = clean if is_autoencoder else _targets(loss, draw)
        if is_padded:
            pad(X, y, draw, per_step=isinstance(loss, StepwiseLoss))
        problem = Problem(
            network,
            X,
            y,
            loss=loss,
            penalties=penalties,
            sample_weight=draw.uniform(0.5, 2.0, _N_SAMPLES) if weighted else None,
            tangents=draw.normal(size=(_N_SAMPLES, 2, n_features)) if needs_tangents else None,
        )
        theta = network.initial_theta(draw) + draw.normal(0, 0.3, network.n_parameters)
        case = ProofCase(activation, corruption or "no", problem, theta, architecture)
        if _distance_from_kinks(case) > _FROM_KINKS:
            return case
    raise AssertionError(f"no parameters were found that are away from the kinks of {activation} and {architecture}")


def _targets(loss: Loss, draw: np.random.Generator, n_rows: int = _N_SAMPLES) -> FloatArray:
    if isinstance(loss, StepwiseLoss):
        return _targets(loss.loss, draw, n_rows * loss.n_steps).reshape(n_rows, -1)
    if isinstance(loss, SoftmaxCrossEntropy):
        return np.eye(_N_OUTPUTS)[draw.integers(0, _N_OUTPUTS, n_rows)]
    if isinstance(loss, BinaryCrossEntropy):
        return draw.integers(0, 2, (n_rows, _N_OUTPUTS)).astype(float)
    return draw.normal(size=(n_rows, _N_OUTPUTS))


def _distance_from_kinks(case: ProofCase) -> float:
    """Return the smallest distance of a layer, or of an activation with an L1 penalty, from a kink of J.

    The distance is 0 if a unit is saturated, or if a unit or a channel is 0 on every row, as central differences would
    prove nothing then.
    """
    network, parameters = case.problem.network, case.problem.network.unpack(case.theta)
    with_l1 = any(isinstance(penalty, L1Sparsity) for penalty in case.problem.penalties)
    a, distances = case.problem.X, [np.inf]
    for index, layer in enumerate(network.layers):
        layers = network.allocate(_N_SAMPLES, np.empty, start=index, stop=index + 1)
        layers.a[0] = a
        network.forward(parameters, layers, start=index, without_activation=index + 1)
        z, given, a = layers.z[1], a, layers.a[1]
        if np.nanmax(np.abs(z)) > _LARGEST_Z:
            return 0.0
        distances.append(layer.distance_from_kinks(given, z))
        if isinstance(layer, MapLayer):  # others have their activations already
            layer.activation.forward(Units(z, a, parameters.activation_parameters[index]))
        exists = ~np.isnan(a)  # where a sequence has no step, activations are NaN
        if np.any(np.all((np.where(exists, a, 0)).reshape(-1, layer.output_channels) == 0, axis=0)):
            return 0.0
        if with_l1 and index in network.hidden_with_weights:
            distances.append(np.min(np.abs(a[exists & (a != 0)]), initial=np.inf))
    return float(min(distances))
