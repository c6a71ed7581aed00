"""Recurrent layers beside PyTorch's, on sequences of unequal length, truncated, in parts and in float32.

PyTorch's layers (torch 2.13.0, float64) get the same weights in their own order. They have no peepholes, which
`tests/automatic_torch.py` has.
"""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rhohat.engines import ThreadEngine
from rhohat.layers import DenseLayer, GRULayer, LSTMLayer, SimpleRecurrentLayer, StepwiseDenseLayer
from rhohat.layers.activations import Identity, Maxout, ParametricReLU, ReLU, Sigmoid, Softmax, Tanh
from rhohat.layers.network import network_of
from rhohat.objective import Problem
from rhohat.objective.batch import MiniBatch, make_batch_evaluation
from rhohat.terms.losses import BinaryCrossEntropy
from rhohat.terms.penalties import KLSparsity, L1Sparsity, WeightDecay
from tests import automatic_torch
from tests.conftest import relative_difference
from tests.layers.sequences import KINDS, activations_of, cut, loss_for, network_for, objective_of, padded_rows
from tests.tolerances import AUTOMATIC, EXACT, FLOAT32

T, CHANNELS, OUTPUTS = 6, 3, 2
LENGTHS = [3, 6, 1, 5, 2, 6, 4]

every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
one_or_both_directions = pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
steps_or_last = pytest.mark.parametrize("per_step", [False, True], ids=["last", "steps"])
whole_or_padded = pytest.mark.parametrize("lengths", [[T] * len(LENGTHS), LENGTHS], ids=["whole", "padded"])


# Beside PyTorch's layers.


def in_torchs_order(layer, W, b):
    """PyTorch's weight_ih, weight_hh, bias_ih and bias_hh of each direction, as functions of the layer's parameters.

    PyTorch has the gates i, f, g, o of an LSTM, and r, z, n of a GRU, one below the other, z being our u. It adds two
    biases, of which only that of h U_n, in a GRU, is not redundant.
    """
    found, n_directions = [], layer.n_directions
    for of_columns, of_biases in zip(W.chunk(n_directions, 1), b.chunk(n_directions), strict=True):
        inputs, recurrent = of_columns[: layer.n_channels], of_columns[layer.n_channels :]
        zeros = torch.zeros(layer.n_units, dtype=W.dtype)
        if isinstance(layer, SimpleRecurrentLayer):
            found.append((inputs.T, recurrent.T, of_biases, zeros))
        elif isinstance(layer, LSTMLayer):
            order = [0, 1, 3, 2]
            from_inputs, from_units, biases = (one.chunk(4, -1) for one in (inputs, recurrent, of_biases))
            found.append(
                (
                    torch.cat([from_inputs[k] for k in order], 1).T,
                    torch.cat([from_units[k] for k in order], 1).T,
                    torch.cat([biases[k] for k in order]),
                    zeros.repeat(4),
                )
            )
        else:
            (W_n, W_u, W_r), (U_u, U_r, U_n) = inputs.chunk(3, 1), recurrent.chunk(3, 1)
            b_n, b_u, b_r, b_h = of_biases.chunk(4)
            found.append(
                (
                    torch.cat([W_r, W_u, W_n], 1).T,
                    torch.cat([U_r, U_u, U_n], 1).T,
                    torch.cat([b_r, b_u, b_n]),
                    torch.cat([zeros, zeros, b_h]),
                )
            )
    return [one for direction in found for one in direction]


def torchs_layer(layer, parameters):
    """PyTorch's layer with these parameters."""
    sizes = {"input_size": layer.n_channels, "hidden_size": layer.n_units, "batch_first": True}
    settings = {**sizes, "bidirectional": layer.bidirectional, "dtype": torch.float64}
    if isinstance(layer, SimpleRecurrentLayer):
        module = nn.RNN(nonlinearity=layer.activation.name, **settings)
    else:
        module = (nn.LSTM if isinstance(layer, LSTMLayer) else nn.GRU)(**settings)
    with torch.no_grad():
        for own, given in zip(module.parameters(), parameters, strict=True):
            own.copy_(given)
    return module


def outputs_of(module, layer, x, lengths):
    """What PyTorch's layer makes of padded sequences: the units of all steps, NaN past the ends, or of the last one."""
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    of_steps, last = module(packed)
    if layer.return_sequences:
        return pad_packed_sequence(of_steps, batch_first=True, padding_value=np.nan, total_length=layer.n_steps)[0]
    last = last[0] if isinstance(last, tuple) else last
    return last.permute(1, 0, 2).flatten(1)


def beside_torch(network, theta, X, y, lengths):
    """The activations of all layers, J and ∇J by PyTorch, for the squared error of all steps that exist."""
    theta = torch.tensor(theta, requires_grad=True)
    a, modules, activations = torch.tensor(X).reshape(len(X), *network.input_shape), [], []
    for layer, W, b in zip(network.layers, *network.unpack(theta)[:2], strict=True):
        if isinstance(layer, DenseLayer | StepwiseDenseLayer):
            exists = ~torch.isnan(a).any(-1)
            z = torch.full((*exists.shape, W.shape[1]), torch.nan, dtype=torch.float64)
            z[exists] = a[exists] @ W + b
            a = z
        else:
            parameters = in_torchs_order(layer, W, b)
            modules.append((torchs_layer(layer, [one.detach() for one in parameters]), parameters))
            a = outputs_of(modules[-1][0], layer, a, lengths)
        activations.append(a.detach().numpy().reshape(len(X), -1))
    errors = a.reshape(len(X), -1) - torch.tensor(y)
    J = 0.5 * (errors[~torch.isnan(errors)] ** 2).sum() / len(X)
    J.backward(retain_graph=True)
    for module, parameters in modules:
        slopes = [own.grad for own in module.parameters()]
        pairs = [(one, slope) for one, slope in zip(parameters, slopes, strict=True) if one.requires_grad]
        torch.autograd.backward(*zip(*pairs, strict=True), retain_graph=True)
    return activations, J.item(), theta.grad.numpy()


TORCHS = {
    "simple": SimpleRecurrentLayer,
    "relu": lambda *sizes, **settings: SimpleRecurrentLayer(*sizes, activation=ReLU(), **settings),
    "lstm": LSTMLayer,
    "gru": GRULayer,
}


@whole_or_padded
@steps_or_last
@one_or_both_directions
@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("make", TORCHS.values(), ids=TORCHS)
def test_outputs_and_gradients_are_those_of_torchs_layers(make, n_layers, bidirectional, per_step, lengths, rng):
    network = network_for(make, T, CHANNELS, OUTPUTS, n_layers, per_step, bidirectional=bidirectional)
    X, y = padded_rows(rng, lengths, T, CHANNELS), rng.normal(size=(len(lengths), network.layer_sizes[-1]))
    theta = rng.normal(0, 0.6, network.n_parameters)
    activations, expected, slope = beside_torch(network, theta, X, y, lengths)
    for ours, theirs in zip(activations_of(network, theta, X), activations, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=AUTOMATIC, atol=AUTOMATIC)
    value, gradient = objective_of(network, X, y)(theta)
    assert value == pytest.approx(expected, rel=AUTOMATIC)
    assert relative_difference(gradient, slope) <= AUTOMATIC


@whole_or_padded
@one_or_both_directions
def test_peepholes_are_those_of_the_equations(bidirectional, lengths, rng):
    """One number after the other: i and f see the cell before the step, and o sees the one after it."""
    layer = LSTMLayer(T, CHANNELS, 2, return_sequences=True, bidirectional=bidirectional, peepholes=True)
    network, X = network_of([layer], (T, CHANNELS)), padded_rows(rng, lengths, T, CHANNELS)
    theta = rng.normal(size=network.n_parameters)
    W, b, own = network.unpack(theta).of(0)
    expected = np.full((len(X), T, layer.n_directions, 2), np.nan)
    for row, length in enumerate(lengths):
        for direction in range(layer.n_directions):
            of_columns, biases = W[:, 8 * direction : 8 * direction + 8], b[8 * direction : 8 * direction + 8]
            p_i, p_f, p_o = own[6 * direction : 6 * direction + 6].reshape(3, 2)
            h, c = np.zeros(2), np.zeros(2)
            for t in range(length) if direction == 0 else range(length - 1, -1, -1):
                z = np.concatenate([X[row].reshape(T, CHANNELS)[t], h]) @ of_columns + biases
                i, f = (1 / (1 + np.exp(-(z[2 * k : 2 * k + 2] + p * c))) for k, p in enumerate((p_i, p_f)))
                c = f * c + i * np.tanh(z[6:])
                h = np.tanh(c) / (1 + np.exp(-(z[4:6] + p_o * c)))
                expected[row, t, direction] = h
    np.testing.assert_allclose(activations_of(network, theta, X)[0], expected.reshape(len(X), -1), rtol=EXACT)


@whole_or_padded
@steps_or_last
@one_or_both_directions
@every_kind
def test_gradients_are_those_that_torch_finds_through_the_equations(make, bidirectional, per_step, lengths, rng):
    """With peepholes as well, and with two layers."""
    network = network_for(make, T, CHANNELS, OUTPUTS, 2, per_step, bidirectional=bidirectional)
    assert_beside_automatic(network, padded_rows(rng, lengths, T, CHANNELS), rng)


def assert_beside_automatic(network, X, rng, **settings):
    y = rng.normal(size=(len(X), network.layer_sizes[-1]))
    J, theta = objective_of(network, X, y, **settings), rng.normal(0, 0.6, network.n_parameters)
    expected, slope = automatic_torch.value_and_gradient(SimpleNamespace(problem=J.problem), theta)
    value, gradient = J(theta)
    assert value == pytest.approx(expected, rel=AUTOMATIC)
    assert relative_difference(gradient, slope) <= AUTOMATIC
    return gradient


# Sequences of unequal length.


@steps_or_last
@one_or_both_directions
@every_kind
def test_rows_that_are_cut_to_their_length_are_the_same(make, bidirectional, per_step, rng):
    """The weights do not depend on the number of steps, so that the same θ belongs to a network of fewer steps."""
    length, settings = 4, {"n_layers": 2, "per_step": per_step, "bidirectional": bidirectional}
    longer, shorter = (network_for(make, n, CHANNELS, OUTPUTS, **settings) for n in (T, length))
    X = padded_rows(rng, [length] * 5, T, CHANNELS)
    y = rng.normal(size=(5, longer.layer_sizes[-1]))
    theta = rng.normal(0, 0.6, longer.n_parameters)
    penalties = [KLSparsity(0.3, 0.5), L1Sparsity(0.1), WeightDecay(0.1)]
    rows, targets = cut(X, T, length), cut(y, T, length) if per_step else y
    given, expected = ((longer, X, y), (shorter, rows, targets))
    (value, gradient, terms), whole = (
        objective_of(*one, penalties=penalties, sample_weight=np.arange(1.0, 6.0)).evaluate(theta)
        for one in (given, expected)
    )
    np.testing.assert_allclose(gradient, whole[1], rtol=1e-10, atol=1e-12)
    assert value == pytest.approx(whole[0], rel=EXACT)
    assert terms == pytest.approx(whole[2], rel=EXACT)
    for ours, theirs, layer in zip(
        activations_of(longer, theta, X), activations_of(shorter, theta, rows), longer.layers, strict=True
    ):
        if layer.n_padded_steps is not None:
            assert np.isnan(ours.reshape(5, T, -1)[:, length:]).all()
            ours = cut(ours, T, length)
        np.testing.assert_allclose(ours, theirs, rtol=EXACT, atol=EXACT)


@steps_or_last
@one_or_both_directions
@every_kind
def test_what_stands_past_the_end_changes_no_bit(make, bidirectional, per_step, rng):
    """Targets there, and numbers beside a first one that is NaN, are not looked at."""
    network = network_for(make, T, CHANNELS, OUTPUTS, 2, per_step, bidirectional=bidirectional)
    X = padded_rows(rng, LENGTHS, T, CHANNELS)
    y, theta = rng.normal(size=(len(X), network.layer_sizes[-1])), rng.normal(0, 0.6, network.n_parameters)
    past = np.isnan(X)
    past[:, ::CHANNELS] = False
    other = np.where(past, rng.normal(0, 1e3, X.shape), X)
    of_others = y.copy()
    if per_step:
        of_others.reshape(len(X), T, -1)[np.arange(T) >= np.reshape(LENGTHS, (-1, 1))] = np.nan
    settings = {"penalties": [KLSparsity(0.3, 0.5), L1Sparsity(0.1)], "sample_weight": rng.uniform(0.5, 2.0, len(X))}
    found, expected = (objective_of(network, *rows, **settings) for rows in ((other, of_others), (X, y)))
    assert found.evaluate(theta)[0] == expected.evaluate(theta)[0]
    assert found.cost(theta) == expected.cost(theta)
    np.testing.assert_array_equal(found(theta)[1], expected(theta)[1])
    for ours, theirs in zip(activations_of(network, theta, other), activations_of(network, theta, X), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@one_or_both_directions
@every_kind
def test_every_row_is_by_itself(make, bidirectional, rng):
    """A sequence of one step, beside longer ones, is that step."""
    network = network_for(make, T, CHANNELS, OUTPUTS, per_step=False, bidirectional=bidirectional)
    single = network_for(make, 1, CHANNELS, OUTPUTS, per_step=False, bidirectional=bidirectional)
    X, theta = padded_rows(rng, LENGTHS, T, CHANNELS), rng.normal(size=network.n_parameters)
    together = activations_of(network, theta, X)
    for row in range(len(X)):
        for ours, theirs in zip(activations_of(network, theta, X[[row]]), together, strict=True):
            np.testing.assert_allclose(ours[0], theirs[row], rtol=EXACT, atol=EXACT)
    one = LENGTHS.index(1)
    for ours, theirs in zip(activations_of(single, theta, X[[one], :CHANNELS]), together, strict=True):
        np.testing.assert_allclose(ours[0], theirs[one], rtol=EXACT, atol=EXACT)


@one_or_both_directions
@every_kind
def test_a_sequence_without_steps_leaves_the_units_at_zero(make, bidirectional, rng):
    network = network_for(make, T, CHANNELS, OUTPUTS, per_step=False, bidirectional=bidirectional)
    X, theta = padded_rows(rng, [0, 4], T, CHANNELS), rng.normal(size=network.n_parameters)
    hidden, output = activations_of(network, theta, X)
    np.testing.assert_array_equal(hidden[0], 0)
    np.testing.assert_array_equal(output[0], network.unpack(theta).biases[1])
    y = rng.normal(size=(2, OUTPUTS))
    gradient = objective_of(network, X, y)(theta)[1]
    alone = objective_of(network, X[1:], y[1:])(theta)[1]
    of_output = network.unpack(gradient).biases[1]
    np.testing.assert_allclose(of_output, (output - y).mean(0), rtol=EXACT)
    np.testing.assert_allclose(network.unpack(gradient).weights[0], network.unpack(alone).weights[0] / 2, rtol=1e-10)


# Truncation.


@whole_or_padded
@steps_or_last
@one_or_both_directions
@pytest.mark.parametrize("truncate", [1, 2, 4])
@every_kind
def test_a_truncated_gradient_is_that_of_a_state_held_fixed_at_the_same_places(
    make, truncate, bidirectional, per_step, lengths, rng
):
    """Each direction of each row is cut into runs of so many steps, from the first one that exists on."""
    settings = {"per_step": per_step, "bidirectional": bidirectional}
    network = network_for(make, T, CHANNELS, OUTPUTS, truncate=truncate, **settings)
    X = padded_rows(rng, lengths, T, CHANNELS)
    gradient = assert_beside_automatic(network, X, np.random.default_rng(1))
    whole = assert_beside_automatic(network_for(make, T, CHANNELS, OUTPUTS, **settings), X, np.random.default_rng(1))
    assert relative_difference(gradient, whole) > 1e-3


@every_kind
def test_a_truncation_after_the_last_step_is_none(make, rng):
    settings = {"per_step": False, "bidirectional": True}
    X = padded_rows(rng, LENGTHS, T, CHANNELS)
    networks = [network_for(make, T, CHANNELS, OUTPUTS, truncate=n, **settings) for n in (T, None)]
    gradients = [assert_beside_automatic(network, X, np.random.default_rng(1)) for network in networks]
    np.testing.assert_array_equal(*gradients)


# At the start.


@one_or_both_directions
@every_kind
def test_initial_weights_of_units_are_orthogonal_and_those_of_inputs_within_their_bound(make, bidirectional, rng):
    layer = make(T, 20, 5, bidirectional=bidirectional)
    W = layer.initial_weights(rng, "uniform")
    assert W.shape == layer.weight_shape == (25, layer.n_directions * layer.n_columns)
    for start in range(0, W.shape[1], 5):
        U = W[20:, start : start + 5]
        np.testing.assert_allclose(U @ U.T, np.eye(5), atol=1e-14)
        assert 0.8 < np.abs(W[:20, start : start + 5]).max() / np.sqrt(6 / (20 + 5 + 1)) <= 1
    blocks = np.split(W[20:], W.shape[1] // 5, 1)
    assert all(not np.allclose(one, other) for i, one in enumerate(blocks) for other in blocks[:i])
    assert np.std(layer.initial_weights(rng, "normal")) == pytest.approx(0.01, rel=0.2)


@every_kind
def test_initial_weights_of_inputs_fill_the_interval_of_their_rule(make, rng):
    layer = make(T, 500, 2)
    W, bound = layer.initial_weights(rng, "uniform")[:500], np.sqrt(6 / (500 + 2 + 1))
    assert 0.998 * bound < W.max() <= bound
    assert -bound <= W.min() < -0.998 * bound


def test_initial_weights_of_units_turn_every_way(rng):
    """Without signs that make the decomposition unique, the first number of a matrix would always be negative."""
    layer = SimpleRecurrentLayer(T, 1, 3)
    first = [layer.initial_weights(rng, "uniform")[1, 0] > 0 for _ in range(200)]
    assert 70 < sum(first) < 130


# Sizes, precision, and parts of the gradient.


@one_or_both_directions
@every_kind
def test_the_outputs_of_both_directions_stand_beside_one_another(make, bidirectional, rng):
    of_steps, last = (make(T, CHANNELS, 4, return_sequences=seq, bidirectional=bidirectional) for seq in (True, False))
    n_units = 8 if bidirectional else 4
    assert (of_steps.n_inputs, of_steps.n_outputs, of_steps.output_channels) == (T * CHANNELS, T * n_units, n_units)
    assert (last.n_inputs, last.n_outputs, last.output_channels) == (T * CHANNELS, n_units, n_units)
    assert (of_steps.n_padded_steps, last.n_padded_steps) == (T, None)
    theta = rng.normal(size=network_of([last], (T, CHANNELS)).n_parameters)
    X = padded_rows(rng, LENGTHS, T, CHANNELS)
    steps, at_end = (activations_of(network_of([layer], (T, CHANNELS)), theta, X)[0] for layer in (of_steps, last))
    steps = steps.reshape(len(X), T, n_units)
    np.testing.assert_array_equal(at_end[:, :4], steps[np.arange(len(X)), np.array(LENGTHS) - 1, :4])
    np.testing.assert_array_equal(at_end[:, 4:], steps[:, 0, 4:])


@whole_or_padded
@steps_or_last
@every_kind
def test_float32_rows_are_computed_on_in_float32(make, per_step, lengths, rng):
    network = network_for(make, T, CHANNELS, OUTPUTS, 2, per_step, bidirectional=True)
    X = padded_rows(rng, lengths, T, CHANNELS).astype(np.float32)
    y = rng.normal(size=(len(X), network.layer_sizes[-1])).astype(np.float32)
    theta = rng.normal(0, 0.6, network.n_parameters).astype(np.float32).astype(np.float64)
    settings = {"penalties": [KLSparsity(0.3, 0.5), L1Sparsity(0.1)]}
    single, double = (objective_of(network, X.astype(t), y.astype(t), **settings) for t in (np.float32, np.float64))
    (value, gradient), expected = single(theta), double(theta)
    assert gradient.dtype == np.float64
    assert value == pytest.approx(expected[0], rel=FLOAT32)
    assert 1e-10 < relative_difference(gradient, expected[1]) <= FLOAT32
    assert {a.dtype for a in activations_of(network, theta, X)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@whole_or_padded
@steps_or_last
@every_kind
def test_tensors_agree_with_arrays(make, per_step, lengths, dtype, rng):
    network = network_for(make, T, CHANNELS, OUTPUTS, 2, per_step, bidirectional=True, truncate=4)
    X = padded_rows(rng, lengths, T, CHANNELS).astype(dtype)
    y = rng.normal(size=(len(X), network.layer_sizes[-1])).astype(dtype)
    theta, weights = rng.normal(0, 0.6, network.n_parameters), rng.uniform(0.5, 2.0, len(X))
    settings = {"penalties": [KLSparsity(0.3, 0.5), L1Sparsity(0.1), WeightDecay(0.1)], "sample_weight": weights}
    of_tensors = objective_of(network, torch.tensor(X), torch.tensor(y), **settings)
    of_arrays = objective_of(network, X, y, **settings)
    found, expected = of_tensors(torch.tensor(theta)), of_arrays(theta)
    assert torch.is_tensor(found[1])
    tolerance = 1e-5 if dtype is np.float32 else 1e-11
    assert found[0] == pytest.approx(expected[0], rel=tolerance)
    assert relative_difference(found[1], expected[1]) <= tolerance
    assert of_tensors.cost(theta)[0] == pytest.approx(expected[0], rel=tolerance)
    for ours, theirs in zip(of_tensors.mean_activations(theta), of_arrays.mean_activations(theta), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=10 * tolerance, atol=tolerance)


def in_parts(problem, theta, n_jobs):
    """J and the gradient that a mini-batch hands over part by part."""
    gradient = np.full(theta.shape, np.nan)

    def put(part, own, worker):
        gradient[part] = own

    value, terms = MiniBatch(make_batch_evaluation(problem, ThreadEngine(n_jobs))).evaluate_in_parts(theta, put)
    return value, terms, gradient


@whole_or_padded
@steps_or_last
@every_kind
def test_the_gradient_of_a_mini_batch_in_parts_is_the_whole_one(make, per_step, lengths, rng):
    network = network_for(make, T, CHANNELS, OUTPUTS, 2, per_step, bidirectional=True)
    X = padded_rows(rng, lengths, T, CHANNELS)
    y, weights = rng.normal(size=(len(X), network.layer_sizes[-1])), rng.uniform(0.5, 2.0, len(X))
    penalties = [KLSparsity(0.3, 0.5), L1Sparsity(0.1), WeightDecay(0.1, include_biases=True)]
    problem = Problem(network, X, y, loss=loss_for(network), penalties=penalties, sample_weight=weights)
    theta = rng.normal(0, 0.6, network.n_parameters)
    expected = objective_of(network, X, y, penalties=penalties, sample_weight=weights).evaluate(theta)
    value, terms, gradient = in_parts(problem, theta, 1)
    assert value == pytest.approx(expected[0], rel=EXACT)
    assert terms == pytest.approx(expected[2], rel=EXACT)
    assert relative_difference(gradient, expected[1]) <= 1e-11


@every_kind
def test_any_number_of_threads_gives_the_same_bits(make, rng, monkeypatch):
    """Both the rows of the batch and the weights are cut into parts."""
    monkeypatch.setattr("rhohat.common.blocks._SHARED_WORK", 2**20)
    n_steps, n_channels = 5, 40
    layer = make(n_steps, n_channels, 64, return_sequences=True, bidirectional=True)
    network = network_of([layer, StepwiseDenseLayer(n_steps, 128, 3, Identity())], (n_steps, n_channels))
    X = padded_rows(rng, rng.integers(1, n_steps + 1, 300), n_steps, n_channels)
    y, theta = rng.normal(size=(300, n_steps * 3)), network.initial_theta(rng)
    problem = Problem(network, X, y, loss=loss_for(network), penalties=[KLSparsity(0.3, 0.5), L1Sparsity(0.1)])
    assert len(layer.gradient_parts(300)) > 1
    found = [in_parts(problem, theta, n_jobs) for n_jobs in (1, 2, 4)]
    for value, terms, gradient in found[1:]:
        assert (value, terms) == found[0][:2]
        np.testing.assert_array_equal(gradient, found[0][2])
    whole = [objective_of(network, X, y, penalties=problem.penalties, n_jobs=n).evaluate(theta) for n in (1, 2, 4)]
    for value, gradient, terms in whole[1:]:
        assert (value, terms) == whole[0][::2]
        np.testing.assert_array_equal(gradient, whole[0][1])
    assert relative_difference(found[0][2], whole[0][1]) <= 1e-11


@one_or_both_directions
@every_kind
def test_the_parts_of_the_gradient_are_together_the_whole(make, bidirectional, rng):
    """Parts end within the inputs, at the units of the step before, and within these."""
    layer = make(T, CHANNELS, 4, bidirectional=bidirectional)
    given, delta = padded_rows(rng, LENGTHS, T, CHANNELS), rng.normal(size=(len(LENGTHS), layer.width))
    whole = np.full(layer.weight_shape, np.nan)
    layer.add_weight_gradient(whole, given, delta, accumulate=False)
    assert np.isfinite(whole).all()
    for edges in ([0, 7], [0, 3, 7], [0, 2, 5, 7], [0, 1, 2, 3, 4, 5, 6, 7]):
        together = np.full(layer.weight_shape, np.nan)
        for start, stop in pairwise(edges):
            layer.write_gradient_part(together[start:stop], given, delta, slice(start, stop))
        np.testing.assert_allclose(together, whole, rtol=1e-11, atol=1e-13)
    twice = whole.copy()
    layer.add_weight_gradient(twice, given, delta, accumulate=True)
    np.testing.assert_allclose(twice, 2 * whole, rtol=EXACT)
    b, ones = np.zeros(layer.n_biases), np.ones((1, len(LENGTHS)))
    layer.add_bias_gradient(b, delta, ones, accumulate=False)
    once = b.copy()
    layer.add_bias_gradient(b, delta, ones, accumulate=True)
    np.testing.assert_allclose(b, 2 * once, rtol=EXACT)


# What is refused.


@pytest.mark.parametrize("sizes", [(0, 3, 4), (5, 0, 4), (5, 3, 0)])
@every_kind
def test_a_layer_without_steps_channels_or_units_is_refused(make, sizes):
    with pytest.raises(ValueError, match="a recurrent layer needs at least one step, one channel and one unit, and"):
        make(*sizes)


@pytest.mark.parametrize("truncate", [0, -1])
@every_kind
def test_a_truncation_before_the_first_step_is_refused(make, truncate):
    with pytest.raises(ValueError, match="truncate must be None or at least 1; got"):
        make(5, 3, 4, truncate=truncate)


@pytest.mark.parametrize("activation", [Maxout(2), ParametricReLU(), Softmax()], ids=lambda f: f.name)
def test_activations_that_mix_units_or_have_parameters_are_refused(activation):
    with pytest.raises(ValueError, match=f"a recurrent layer cannot use the activation '{activation.name}', which"):
        SimpleRecurrentLayer(5, 3, 4, activation=activation)


def test_a_loss_of_pre_activations_is_refused_for_an_output_layer_without_them(rng):
    network = network_of([SimpleRecurrentLayer(2, 3, 2, activation=Sigmoid())], (2, 3))
    message = "takes the pre-activations of the output layer, which the layer SimpleRecurrentLayer does not have"
    with pytest.raises(ValueError, match=message):
        Problem(network, rng.random((4, 6)), rng.random((4, 2)), BinaryCrossEntropy())


def test_ties_are_refused():
    with pytest.raises(ValueError, match=r"^DenseLayer\(.* cannot use the transposed weights of GRULayer\("):
        network_of([GRULayer(1, 3, 3), DenseLayer(3, 3, Tanh())], (1, 3), tied=True)
