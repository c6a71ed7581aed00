"""The architectures of the table of proofs that have recurrent layers, and their rows."""

import numpy as np
import pytest

from rhohat.checking.proofs import proof_cases
from rhohat.checking.sequences import SEQUENCE_ARCHITECTURES, SequenceArchitecture
from rhohat.layers import GRULayer, LSTMLayer, SimpleRecurrentLayer, StepwiseDenseLayer
from rhohat.layers.activations import Identity, PerStep, ReLU, Softmax
from rhohat.terms.losses import LOSSES, GaussianLoss
from rhohat.terms.penalties import KLSparsity, L1Sparsity, WeightDecay
from rhohat.terms.stepwise_loss import StepwiseLoss

NAMES = [architecture.name for architecture in SEQUENCE_ARCHITECTURES]
CASES = [case for case in proof_cases() if case.architecture in NAMES]
KINDS = ["simple_recurrent", "lstm", "lstm_with_peepholes", "gru"]


def cases_of(architecture):
    return [case for case in CASES if case.architecture == architecture.name]


def test_every_architecture_has_every_penalty():
    assert len(set(NAMES)) == len(NAMES)
    assert len(CASES) == 4 * len(NAMES) >= 100
    for architecture in SEQUENCE_ARCHITECTURES:
        cases = cases_of(architecture)
        kinds = [{type(penalty) for penalty in case.problem.penalties} for case in cases]
        assert kinds == [set(), {WeightDecay}, {WeightDecay, L1Sparsity}, {WeightDecay, KLSparsity}]
        assert {case.problem.network.input_shape for case in cases} == {(3, 2)}


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer_has_every_loss_whole_and_padded_in_one_direction_and_in_both(kind, per_step):
    chosen = [one for one in SEQUENCE_ARCHITECTURES if one.kinds == (kind,) and one.per_step == per_step]
    cases = [case for architecture in chosen for case in cases_of(architecture)]
    assert {case.problem.loss.name for case in cases} == {*LOSSES, GaussianLoss.name}
    assert {isinstance(case.problem.loss, StepwiseLoss) for case in cases} == {per_step}
    assert {(one.bidirectional, one.padded) for one in chosen} == {(a, b) for a in (False, True) for b in (False, True)}
    expected = {"identity", "sigmoid", "tanh", "relu", "leaky_relu"} if kind == "simple_recurrent" else {"tanh"}
    assert {case.activation for case in cases} == expected


@pytest.mark.parametrize("architecture", SEQUENCE_ARCHITECTURES, ids=NAMES)
def test_steps_are_missing_in_padded_architectures_alone(architecture):
    for case in cases_of(architecture):
        X = case.problem.X.reshape(6, 3, 2)
        missing = np.isnan(X)
        assert np.array_equal(missing.any(2), missing.all(2))
        assert np.array_equal(missing, np.maximum.accumulate(missing, 1))
        if architecture.padded:
            assert (~missing[:2, :, 0]).sum(1).tolist() == [1, 3]
            assert np.isnan(case.problem.y).any() == architecture.per_step
        else:
            assert not missing.any()
            assert not np.isnan(case.problem.y).any()
        assert case.problem.y.shape == (6, 9 if architecture.per_step else 3)


def test_a_network_has_the_layers_that_its_name_says():
    stacked = SequenceArchitecture(("simple_recurrent", "lstm_with_peepholes"), True, True, True)
    assert stacked.name == "bidirectional_simple_recurrent_and_lstm_with_peepholes_per_step_padded"
    assert stacked.network("relu", Softmax(), 3).layers == (
        SimpleRecurrentLayer(3, 2, 2, return_sequences=True, bidirectional=True, activation=ReLU()),
        LSTMLayer(3, 4, 2, return_sequences=True, bidirectional=True, peepholes=True),
        StepwiseDenseLayer(3, 4, 3, PerStep(Softmax(), 3)),
    )
    plain = SequenceArchitecture(("gru",), False, False, False)
    assert plain.name == "gru"
    assert plain.network("tanh", Identity(), 3).layers[0] == GRULayer(3, 2, 2)
    assert not plain.takes_activations
    assert stacked.takes_activations
