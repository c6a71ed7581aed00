"""Every case of `proof_cases`, against automatic differentiation and against central differences."""

import re
from dataclasses import replace

import numpy as np
import pytest

from rhohat.checking.proofs import ProofCase, proof_cases, prove
from rhohat.layers import (
    BUILT_LAYERS,
    DenseLayer,
    DropoutLayer,
    GRULayer,
    LSTMLayer,
    PerStep,
    SimpleRecurrentLayer,
    StepwiseDenseLayer,
    Windows,
)
from rhohat.layers.activations import ACTIVATIONS, LeakyReLU, Maxout, ParametricReLU, ReLU, Sigmoid, Softmax, Tanh
from rhohat.layers.architecture import Convolution, Dense, MaxPooling, MeanPooling, TransposedConvolution, build_layers
from rhohat.layers.network import dense_network, network_of
from rhohat.objective import Problem
from rhohat.terms.corruption import CORRUPTIONS
from rhohat.terms.jacobian_penalties import Contraction, TangentPropagation
from rhohat.terms.losses import LOSSES, GaussianLoss, LabelNoiseCrossEntropy, SoftmaxCrossEntropy, SquaredError
from rhohat.terms.penalties import KLSparsity, L1Sparsity, Penalty, WeightDecay
from rhohat.terms.stepwise_loss import StepwiseLoss
from tests import automatic, automatic_torch
from tests.tolerances import AUTOMATIC, AUTOMATIC_HESSIAN, GRADIENT, HESSIAN


def random_case(layer_sizes, activations, *penalties, tied=False, **settings):
    """A case of dense layers that is not in the table, with everything drawn at random."""
    return case_of(dense_network(layer_sizes, activations, tied), activations[0].name, *penalties, **settings)


def shaped_case(shape, layers, *penalties, tied=False, **settings):
    """A case of other layers that is not in the table."""
    built, _ = build_layers(layers, shape, "tanh")
    return case_of(network_of(built, shape, tied), "tanh", *penalties, architecture="other", **settings)


def case_of(network, activation, *penalties, loss=None, weighted=True, n_samples=9, seed=0, architecture="dense"):
    rng = np.random.default_rng(seed)
    layer_sizes, loss = network.layer_sizes, SquaredError() if loss is None else loss
    y = rng.uniform(0.1, 0.9, (n_samples, layer_sizes[-1]))
    if isinstance(loss, SoftmaxCrossEntropy):
        y /= y.sum(axis=1, keepdims=True)
    problem = Problem(
        network,
        rng.uniform(0.1, 0.9, (n_samples, layer_sizes[0])),
        y,
        loss=loss,
        penalties=penalties,
        sample_weight=rng.uniform(0.5, 2.0, n_samples) if weighted else None,
        tangents=rng.normal(size=(n_samples, 3, layer_sizes[0])),
    )
    theta = network.initial_theta(rng) + rng.normal(0, 0.3, network.n_parameters)
    return ProofCase(activation, "no", problem, theta, architecture)


def sequence_case(n_steps, layers, *penalties, per_step=False, seed=0):
    """A case of recurrent layers that is not in the table, on sequences of 1 to `n_steps` steps; one has no steps."""
    network, rng, lengths = network_of(layers, (n_steps, 3)), np.random.default_rng(seed), [*range(n_steps + 1), 2]
    X, y = rng.normal(size=(n_steps + 2, n_steps, 3)), rng.uniform(0.1, 0.9, (n_steps + 2, network.layer_sizes[-1]))
    X[np.arange(n_steps) >= np.reshape(lengths, (-1, 1))] = np.nan
    problem = Problem(
        network,
        X.reshape(len(X), -1),
        y,
        loss=StepwiseLoss(SquaredError(), n_steps) if per_step else SquaredError(),
        penalties=penalties,
        sample_weight=rng.uniform(0.5, 2.0, len(X)),
    )
    return ProofCase("tanh", "no", problem, rng.normal(0, 0.6, network.n_parameters), "other")


SQUARE = [[2.0, 0.5, 0.1, 0.0], [0.5, 1.0, 0.3, 0.2], [0.1, 0.3, 0.5, 0.1], [0.0, 0.2, 0.1, 0.7]]

#: What the table has not: settings other than the default ones, penalties on chosen layers, several of a kind, all.
OTHERS = {
    "penalties on chosen layers": random_case(
        (4, 5, 3, 5, 4),
        (Sigmoid(), Tanh(), Sigmoid(), Sigmoid()),
        KLSparsity(0.2, 2.0, layers=(1,)),
        L1Sparsity(0.3, layers=(0, 2)),
    ),
    "two layers of mean activations": random_case(
        (4, 5, 3, 5, 4), (Sigmoid(), Tanh(), Softmax(), Sigmoid()), KLSparsity(0.2, 2.0), KLSparsity(0.1, 1.0, (0,))
    ),
    "contraction of the first layer": random_case((4, 5, 3, 5, 4), (Tanh(),) * 4, Contraction(0.7, layer=0), tied=True),
    "contraction of the second layer": random_case((4, 5, 3, 5, 4), (Tanh(),) * 4, Contraction(0.7, layer=1)),
    "contraction of the last layer": random_case((4, 5, 3, 5, 4), (Tanh(),) * 4, Contraction(0.7, layer=2), tied=True),
    "contraction of two layers": random_case(
        (4, 5, 3, 4), (Sigmoid(),) * 3, Contraction(0.7), Contraction(0.2, layer=1), weighted=False
    ),
    "tangents and a loss from z": random_case(
        (4, 5, 4), (Tanh(), Sigmoid()), TangentPropagation(0.7), loss=LabelNoiseCrossEntropy(0.3), tied=True
    ),
    "tangents and softmax": random_case(
        (4, 5, 4), (Softmax(), Softmax()), TangentPropagation(0.7), loss=SoftmaxCrossEntropy()
    ),
    "tangents through learned slopes": random_case(
        (4, 5, 3, 4), (ParametricReLU(-0.3), Sigmoid(), ParametricReLU(0.0)), TangentPropagation(0.7)
    ),
    "maxout of three and four pieces": random_case(
        (4, 5, 3, 4), (Maxout(3), Tanh(), Maxout(4)), Contraction(0.2, layer=1), L1Sparsity(0.1)
    ),
    "learned slopes that are tied": random_case(
        (4, 3, 4), (ParametricReLU(), ParametricReLU()), WeightDecay(0.2, include_biases=True), tied=True
    ),
    "other slopes": random_case((4, 6, 5, 4), (LeakyReLU(0.0), LeakyReLU(0.5), ParametricReLU(-0.5)), L1Sparsity(0.1)),
    "other noise": random_case((4, 3, 4), (Tanh(), Softmax()), loss=GaussianLoss(SQUARE)),
    "no hidden layer": random_case((4, 4), (Softmax(),), WeightDecay(0.1), TangentPropagation(0.2)),
    "everything but derivatives by the input": random_case(
        (4, 5, 3, 5, 4),
        (Sigmoid(), Tanh(), Sigmoid(), ParametricReLU()),
        WeightDecay(0.1),
        WeightDecay(0.2, include_biases=True),
        KLSparsity(0.2, 2.0),
        L1Sparsity(0.3),
        loss=GaussianLoss(SQUARE),
        tied=True,
    ),
    "everything": random_case(
        (4, 5, 3, 5, 4),
        (Sigmoid(), Tanh(), Sigmoid(), ParametricReLU()),
        WeightDecay(0.1),
        KLSparsity(0.2, 2.0),
        L1Sparsity(0.3),
        Contraction(0.4, layer=0),
        Contraction(0.4, layer=1),
        TangentPropagation(0.5),
        tied=True,
    ),
    "contraction and L1 of layers without weights": shaped_case(
        (5, 5, 2),
        [Convolution(2, 2), MaxPooling(2), Convolution(3, 2, padding="same"), MeanPooling(2, 1), Dense(4)],
        Contraction(0.3, layer=1),
        Contraction(0.2, layer=3),
        L1Sparsity(0.2, layers=(1, 3)),
    ),
    "everything, with a transposed convolution that is tied": shaped_case(
        (7, 6, 2),
        [Convolution(3, (3, 2), (2, 3), "same"), TransposedConvolution(2, (3, 2), (2, 3), "same", output_size=(7, 6))],
        WeightDecay(0.1, include_biases=True),
        KLSparsity(0.2, 2.0),
        L1Sparsity(0.3),
        Contraction(0.4),
        TangentPropagation(0.5),
        tied=True,
    ),
    "more places than the windows reach": shaped_case(
        (7, 9, 1),
        [Convolution(9, 2, 3), TransposedConvolution(2, (3, 2), 4, output_size=(8, 11), activation="relu"), Dense(3)],
        WeightDecay(0.1),
        KLSparsity(0.2, 2.0, layers=(0,)),
        TangentPropagation(0.1),
    ),
    "truncated in both directions, two layers, an output for each step": sequence_case(
        7,
        [
            LSTMLayer(7, 3, 2, return_sequences=True, bidirectional=True, truncate=3, peepholes=True),
            GRULayer(7, 4, 3, return_sequences=True, bidirectional=True, truncate=2),
            StepwiseDenseLayer(7, 6, 2, Sigmoid()),
        ],
        L1Sparsity(0.3),
        per_step=True,
    ),
    "truncated in both directions, an output for each sequence": sequence_case(
        7,
        [GRULayer(7, 3, 2, bidirectional=True, truncate=3), DenseLayer(4, 2, Sigmoid())],
        WeightDecay(0.1),
        KLSparsity(0.2, 2.0),
    ),
    "every kind of layer for sequences on top of one another": sequence_case(
        5,
        [
            StepwiseDenseLayer(5, 3, 2, Tanh()),
            LSTMLayer(5, 2, 3, return_sequences=True),
            SimpleRecurrentLayer(5, 3, 2, return_sequences=True, bidirectional=True, activation=Sigmoid()),
            GRULayer(5, 4, 2, return_sequences=True),
            StepwiseDenseLayer(5, 2, 3, PerStep(Softmax(), 5)),
            SimpleRecurrentLayer(5, 3, 4, truncate=2, activation=ReLU()),
            DenseLayer(4, 3, Tanh()),
        ],
        WeightDecay(0.1, include_biases=True),
        KLSparsity(0.2, 2.0, layers=(0, 2, 4)),
        KLSparsity(0.3, 1.0, layers=(1, 2)),
        L1Sparsity(0.2),
    ),
}
TABLE = {f"{number}: {case}": case for number, case in enumerate(proof_cases())}
CASES = TABLE | OTHERS


def has_tangents(case):
    """Whether there are Hessian-vector products: in all networks but those whose gradient is truncated."""
    return all(layer.has_tangents for layer in case.problem.network.layers)


def over(cases):
    return pytest.mark.parametrize("case", list(cases.values()), ids=list(cases))


def difference(a, b):
    return float(np.linalg.norm(a - b) / np.linalg.norm(a + b))


def independent(case):
    """The implementation beside the package that has all layers of a case."""
    is_dense = all(isinstance(layer, DenseLayer) for layer in case.problem.network.layers)
    return automatic if is_dense else automatic_torch


@over(CASES)
def test_value_and_gradient_agree_with_automatic_differentiation(case):
    value, gradient = case.objective()(case.theta)
    expected, expected_gradient = independent(case).value_and_gradient(case, case.theta)
    np.testing.assert_allclose(value, expected, rtol=AUTOMATIC)
    assert difference(gradient, expected_gradient) <= AUTOMATIC


@over({name: case for name, case in CASES.items() if has_tangents(case)})
def test_hessian_vector_product_agrees_with_automatic_differentiation(case, rng):
    vector = rng.normal(size=case.theta.size)
    product = case.objective().hessian_vector_product(case.theta, vector)
    expected = independent(case).hessian_vector_product(case, case.theta, vector)
    assert difference(product, expected) <= AUTOMATIC_HESSIAN


@over(TABLE)
def test_derivatives_agree_with_central_differences(case):
    proof = prove(case)
    assert proof.holds
    assert proof.gradient_difference <= GRADIENT
    assert proof.hessian_difference <= HESSIAN
    assert proof.n_parameters == case.theta.size


def test_second_derivatives_of_truncated_layers_are_refused_by_name():
    case = OTHERS["truncated in both directions, an output for each sequence"]
    with pytest.raises(ValueError, match=r"the gradient of GRULayer.* is truncated"):
        case.objective().hessian_vector_product(case.theta, case.theta)


@over(CASES)
def test_the_cost_alone_is_the_value_beside_the_gradient(case):
    objective = case.objective()
    value, _, terms = objective.evaluate(case.theta)
    assert objective.cost(case.theta) == (value, terms)
    assert list(terms) == list(
        dict.fromkeys([case.problem.loss.name, *(penalty.name for penalty in case.problem.penalties)])
    )


def test_the_table_has_every_kind_of_model():
    cases = list(TABLE.values())
    not_layers_of_an_objective = {DropoutLayer, PerStep, Windows}  # dropout has masks in mini-batches alone
    assert len(cases) >= 60
    assert {case.activation for case in cases} == set(ACTIVATIONS)
    assert {case.problem.loss.name for case in cases} == {*LOSSES, GaussianLoss.name}
    assert {type(penalty) for case in cases for penalty in case.problem.penalties} == concrete(Penalty)
    assert {case.corruption for case in cases} == {"no", *CORRUPTIONS}
    assert {case.n_hidden_layers for case in cases if case.architecture == "dense"} == {1, 2, 3}
    kinds = {type(layer) for case in cases for layer in case.problem.network.layers}
    assert kinds == {*BUILT_LAYERS} - not_layers_of_an_objective
    assert {case.problem.network.tied for case in cases} == {False, True}
    assert {case.problem.sample_weight is None for case in cases} == {False, True}
    outputs = [f for case in cases for f in case.problem.network.activations[-1:]]
    assert {f.name for f in outputs} > {"sigmoid", "softmax", "maxout"}
    assert any(isinstance(f, PerStep) for f in outputs)


def test_the_loss_of_every_model_reaches_all_weights():
    """A gradient of zeros would prove nothing."""
    silent = []
    for name, case in TABLE.items():
        without_penalties = replace(case, problem=replace(case.problem, penalties=()))
        gradient = without_penalties.objective()(case.theta)[1]
        if not all(np.any(W) for W in case.problem.network.unpack(gradient).weights if W.size):
            silent.append(name)
    assert silent == []


def concrete(cls):
    """The classes of rhohat that derive from a class and have a name; not those that tests derive."""
    found = {cls} if cls.__module__.startswith("rhohat.") and hasattr(cls, "name") else set()
    return found.union(*(concrete(sub) for sub in cls.__subclasses__()))


def test_the_table_is_the_same_each_time_and_another_for_another_seed():
    for case, again, other in zip(TABLE.values(), proof_cases(), proof_cases(seed=1000), strict=True):
        assert str(case) == str(again) == str(other)
        np.testing.assert_array_equal(case.theta, again.theta)
        np.testing.assert_array_equal(case.problem.X, again.problem.X)
        assert not np.array_equal(case.theta, other.theta)


def test_a_line_of_the_table_says_what_the_model_is():
    first = str(next(iter(TABLE.values())))
    assert re.fullmatch(
        r"dense, identity, squared_error, none, untied, 1 hidden, (no|masking|gaussian|.*pepper) corruption", first
    )
    everything = "weight_decay + kl_sparsity + l1_sparsity + contraction + contraction + tangent_propagation"
    assert str(OTHERS["everything"]) == f"dense, sigmoid, squared_error, {everything}, tied, 3 hidden, no corruption"


class ForgetfulError(SquaredError):
    """A squared error whose derivative lacks a millionth."""

    def value_and_derivative(self, outputs, y, out):
        values = super().value_and_derivative(outputs, y, out)
        out *= 1 + 1e-6
        return values


def test_a_line_of_the_table_names_the_architecture():
    case = next(case for case in TABLE.values() if case.architecture == "max_pooling_of_sequences")
    assert str(case).startswith("max_pooling_of_sequences, ")


def test_a_wrong_derivative_does_not_hold():
    case = random_case((4, 3, 4), (Tanh(), Sigmoid()))
    assert prove(case).holds
    assert not prove(replace(case, problem=replace(case.problem, loss=ForgetfulError()))).holds
