"""Tangents through recurrent layers, beside differences, PyTorch's automatic differentiation, and shorter networks."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from rhohat import check_gradient
from rhohat.engines import ThreadEngine
from rhohat.layers import (
    DenseLayer,
    GRULayer,
    Layer,
    LayerParameters,
    LSTMLayer,
    PerStep,
    RecurrentLayer,
    SimpleRecurrentLayer,
    StepwiseDenseLayer,
)
from rhohat.layers.activations import Identity, Sigmoid, Softmax, Tanh
from rhohat.layers.maximal_inputs import ascend_to_maximal_inputs
from rhohat.layers.network import Layers, network_of, units_of
from rhohat.layers.tangents import TangentPass
from rhohat.objective import Problem, make_objective
from rhohat.ops.numpy_ops import NumpyOps
from rhohat.solvers import as_solver
from rhohat.terms.jacobian_penalties import Contraction, TangentPropagation
from rhohat.terms.losses import SoftmaxCrossEntropy, SquaredError
from rhohat.terms.penalties import KLSparsity, L1Sparsity, WeightDecay
from rhohat.terms.stepwise_loss import StepwiseLoss
from tests.conftest import relative_difference
from tests.layers import recurrent_by_torch as by_torch
from tests.tolerances import AUTOMATIC, EXACT, FLOAT32, GRADIENT, HESSIAN

T, C, K, N = 4, 2, 2, 6  # steps, channels, outputs of a step, rows
LENGTHS = np.array([4, 1, 3, 4, 2, 3])

KINDS = {
    "simple": SimpleRecurrentLayer,
    "simple, sigmoid": partial(SimpleRecurrentLayer, activation=Sigmoid()),
    "lstm": LSTMLayer,
    "lstm with peepholes": partial(LSTMLayer, peepholes=True),
    "gru": GRULayer,
}


def last_step(make, n_steps):
    return [make(n_steps, C, 3), DenseLayer(3, K, Tanh())]


def all_steps(make, n_steps):
    return [
        make(n_steps, C, 3, return_sequences=True),
        StepwiseDenseLayer(n_steps, 3, K, PerStep(Softmax(), n_steps)),
    ]


def stacked_in_both_directions(make, n_steps):
    return [
        make(n_steps, C, 2, return_sequences=True, bidirectional=True),
        make(n_steps, 4, 3, bidirectional=True),
        DenseLayer(6, 3, Sigmoid()),
        DenseLayer(3, K, Identity()),
    ]


def between_steps(make, n_steps):
    return [
        StepwiseDenseLayer(n_steps, C, 3, Tanh()),
        make(n_steps, 3, 2, return_sequences=True, bidirectional=True),
        StepwiseDenseLayer(n_steps, 4, K, Identity()),
    ]


def single_units(make, n_steps):
    return [make(n_steps, C, 1, return_sequences=True), StepwiseDenseLayer(n_steps, 1, K, Identity())]


def alone(make, n_steps):
    return [make(n_steps, C, K, return_sequences=True)]


def sequences_to_dense(make, n_steps):
    return [make(n_steps, C, 3, return_sequences=True), DenseLayer(3 * n_steps, K, Identity())]


CHAINS = (last_step, all_steps, stacked_in_both_directions, between_steps, single_units, alone, sequences_to_dense)
kinds = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
padded_or_not = pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
#: Every chain with full and, but for the last, whose dense layer takes no missing steps, with padded sequences.
chains = pytest.mark.parametrize(
    ("chain", "padded"),
    [(chain, padded) for chain in CHAINS for padded in (False, True) if (chain, padded) != (sequences_to_dense, True)],
    ids=lambda value: getattr(value, "__name__", "padded" if value else "full"),
)


class Case:
    """A network, rows, targets and tangents of rows, a point θ, and a direction there."""

    def __init__(self, chain, make, padded, rng):
        self.network = network_of(chain(make, T), (T, C))
        self.exists = np.arange(T) < (LENGTHS if padded else np.full(N, T))[:, None]
        self.X, tangents = self.with_nan(rng.normal(size=(N, T, C))), rng.normal(size=(2, N, T, C))
        self.tangents = np.stack([self.with_nan(one) for one in tangents], 1)
        last = self.network.layers[-1]
        if last.n_padded_steps is None:
            self.loss, self.y = SquaredError(), rng.normal(size=(N, K))
        else:
            softmax = last.activation.name == "softmax"
            self.loss = StepwiseLoss(SoftmaxCrossEntropy() if softmax else SquaredError(), T)
            y = rng.random((N, T, K))
            self.y = self.with_nan(y / y.sum(2, keepdims=True))
        self.weights = rng.random(N)
        self.theta, self.vector = rng.normal(0, 0.7, (2, self.network.n_parameters))

    def with_nan(self, steps):
        return np.where(self.exists[:, :, None], steps, np.nan).reshape(N, -1)

    def objective(self, penalties=(), **changes):
        problem = Problem(self.network, self.X, self.y, self.loss, penalties, self.weights, tangents=self.tangents)
        return make_objective(replace(problem, **changes), ThreadEngine(1))

    def by_torch(self, penalty=None):
        """J as a function of a tensor θ, from PyTorch's implementation."""
        x, y, tangents = (torch.tensor(np.nan_to_num(one)) for one in (self.X, self.y, self.tangents))
        weights, exists = torch.tensor(self.weights), torch.tensor(self.exists)
        softmax = self.network.activations[-1].name == "softmax"

        def cost(theta):
            a = by_torch.layers_of(self.network, theta, x, exists)[-1]
            of_rows = (by_torch.softmax_cross_entropy if softmax else by_torch.squared_error)(a, y)
            if isinstance(penalty, Contraction):
                layer = penalty.penalised_layer(self.network.n_layers)
                of_rows = of_rows + penalty.weight * by_torch.contraction(self.network, theta, x, exists, layer)
            elif penalty is not None:
                found = by_torch.tangent_propagation(self.network, theta, x, exists, tangents)
                of_rows = of_rows + penalty.weight * found
            return weights @ of_rows / weights.sum()

        return cost


def layers_at(network, theta, X):
    layers = network.allocate(len(X), np.empty)
    layers.a[0] = X
    network.forward(network.unpack(theta), layers)
    return layers


@kinds
@chains
def test_tangents_are_derivatives_along_inputs_and_parameters(chain, make, padded, rng):
    case, step = Case(chain, make, padded, rng), 1e-6
    network, theta, X = case.network, case.theta, case.X
    layers = layers_at(network, theta, X)
    kept = [np.copy(one) for one in (*layers.z, *layers.a)]
    tangent = case.tangents[:, 0]
    for v, t in ((case.vector, tangent), (case.vector, None), (None, tangent), (None, np.full((1, T * C), 0.3))):
        dtheta, dX = (0 * theta if v is None else step * v), (0 * X if t is None else step * t)
        ahead, behind = (layers_at(network, theta + sign * dtheta, X + sign * dX) for sign in (1, -1))
        along = None if v is None else network.unpack(v)
        pushed = TangentPass(network, network.unpack(theta), layers, along).push_forward(t)
        assert all(np.isfinite(one).all() for one in (*pushed.z[1:], *pushed.a[1:]))
        for found, up, down in zip(pushed.a[1:], ahead.a[1:], behind.a[1:], strict=True):
            missing = np.isnan(up)
            assert np.all(found[missing] == 0)
            np.testing.assert_allclose(found[~missing], ((up - down) / (2 * step))[~missing], rtol=1e-6, atol=1e-8)
    for now, before in zip((*layers.z, *layers.a), kept, strict=True):
        np.testing.assert_array_equal(now, before)


@kinds
@chains
def test_products_with_the_hessian_are_those_of_automatic_differentiation(chain, make, padded, rng):
    case = Case(chain, make, padded, rng)
    theta = torch.tensor(case.theta, requires_grad=True)
    (gradient,) = torch.autograd.grad(case.by_torch()(theta), theta, create_graph=True)
    (expected,) = torch.autograd.grad(gradient @ torch.tensor(case.vector), theta)
    J, gradient = case.objective(), gradient.detach()
    assert relative_difference(J(case.theta)[1], gradient) <= AUTOMATIC
    assert relative_difference(J.hessian_vector_product(case.theta, case.vector), expected) <= AUTOMATIC


@kinds
@chains
def test_penalties_on_derivatives_are_those_of_automatic_differentiation(chain, make, padded, rng):
    case = Case(chain, make, padded, rng)
    of_hidden_layers = [Contraction(0.3, layer=0), Contraction(0.3)] if case.network.n_layers > 1 else []
    for penalty in (*of_hidden_layers, TangentPropagation(0.7)):
        theta = torch.tensor(case.theta, requires_grad=True)
        value = case.by_torch(penalty)(theta)
        (gradient,) = torch.autograd.grad(value, theta)
        J = case.objective([penalty])
        found = J(case.theta)
        assert found[0] == pytest.approx(value.item(), rel=EXACT)
        assert J.cost(case.theta)[0] == pytest.approx(value.item(), rel=EXACT)
        assert relative_difference(found[1], gradient) <= AUTOMATIC


@kinds
@pytest.mark.parametrize("chain", [all_steps, stacked_in_both_directions, between_steps])
def test_gradients_of_penalties_on_derivatives_agree_with_central_differences(chain, make, rng):
    case = Case(chain, make, True, rng)
    penalties = [
        Contraction(0.3, layer=0),
        TangentPropagation(0.7),
        KLSparsity(0.3, 0.5, layers=(0,)),
        WeightDecay(0.1),
    ]
    if make is KINDS["lstm"]:
        penalties.append(L1Sparsity(0.1))
    assert check_gradient(case.objective(penalties), case.theta, indices=30).relative_difference <= GRADIENT


@kinds
@pytest.mark.parametrize("chain", [all_steps, stacked_in_both_directions, between_steps])
@padded_or_not
def test_hessians_of_penalties_on_activations_agree_with_central_differences(chain, make, padded, rng):
    """ρ̂, and so its tangent, is a mean over the steps that exist."""
    case, step = Case(chain, make, padded, rng), 1e-4
    J = case.objective([KLSparsity(0.3, 0.5), L1Sparsity(0.1), WeightDecay(0.1)])
    steps = step * np.array([-2, -1, 1, 2])
    ahead = [J(case.theta + size * case.vector)[1] for size in steps]
    expected = (ahead[0] - 8 * ahead[1] + 8 * ahead[2] - ahead[3]) / (12 * step)
    assert relative_difference(J.hessian_vector_product(case.theta, case.vector), expected) <= GRADIENT


@kinds
@pytest.mark.parametrize("chain", [last_step, stacked_in_both_directions, all_steps, between_steps])
def test_nothing_past_the_end_of_a_sequence_counts(chain, make, rng):
    """Padded sequences have the derivatives of shorter ones, whatever their tangents are past the end."""
    case, short = Case(chain, make, False, rng), 2
    cut = network_of(chain(make, short), (short, C))
    assert cut.n_parameters == case.network.n_parameters

    def first(rows):
        return np.ascontiguousarray(rows.reshape(*rows.shape[:-1], T, -1)[..., :short, :]).reshape(*rows.shape[:-1], -1)

    X = np.array(case.X)
    X.reshape(N, T, C)[:, short:] = np.nan
    for past in (np.nan, 7.0, 0.0):
        tangents, y = np.array(case.tangents), np.array(case.y)
        tangents.reshape(N, 2, T, C)[:, :, short:] = past
        changes = {"y": y}
        if case.network.layers[-1].n_padded_steps is not None:
            if np.isnan(past):
                y.reshape(N, T, K)[:, short:] = past
            changes = {"y": first(y), "loss": replace(case.loss, n_steps=short)}
        for penalties in ([], [Contraction(0.3)], [TangentPropagation(0.7)]):
            padded = case.objective(penalties, X=X, y=y, tangents=tangents)
            plain = case.objective(penalties, network=cut, X=first(X), tangents=first(tangents), **changes)
            (value, gradient), (expected, expected_gradient) = padded(case.theta), plain(case.theta)
            assert value == pytest.approx(expected, rel=EXACT)
            assert relative_difference(gradient, expected_gradient) <= EXACT
            if not penalties:
                product = padded.hessian_vector_product(case.theta, case.vector)
                assert relative_difference(product, plain.hessian_vector_product(case.theta, case.vector)) <= EXACT


@kinds
def test_tensors_have_the_same_derivatives(make, rng):
    case = Case(stacked_in_both_directions, make, True, rng)
    tensors = {name: torch.tensor(getattr(case, name)) for name in ("X", "y", "tangents")}
    for penalties in ([KLSparsity(0.3, 0.5)], [Contraction(0.3, layer=1), TangentPropagation(0.7)]):
        J, J_of_tensors = case.objective(penalties), case.objective(penalties, **tensors)
        assert relative_difference(J_of_tensors(case.theta)[1], J(case.theta)[1]) <= EXACT
        if len(penalties) == 1:
            found = J_of_tensors.hessian_vector_product(case.theta, case.vector)
            assert relative_difference(found, J.hessian_vector_product(case.theta, case.vector)) <= EXACT


@kinds
def test_rows_in_float32_have_the_same_derivatives_but_for_rounding(make, rng, monkeypatch):
    asked, zeros = [], NumpyOps.zeros
    monkeypatch.setattr(NumpyOps, "zeros", lambda self, shape, dtype: asked.append(dtype) or zeros(self, shape, dtype))
    case = Case(all_steps, make, True, rng)
    single = {name: getattr(case, name).astype(np.float32) for name in ("X", "y", "tangents")}
    J, rounded = case.objective(), case.objective(**single)
    found = rounded.hessian_vector_product(case.theta, case.vector)
    assert relative_difference(found, J.hessian_vector_product(case.theta, case.vector)) <= FLOAT32
    penalties = [Contraction(0.3), TangentPropagation(0.7)]
    J, rounded = case.objective(penalties), case.objective(penalties, **single)
    assert relative_difference(rounded(case.theta)[1], J(case.theta)[1]) <= FLOAT32
    assert asked
    assert all(dtype is not None for dtype in asked)


@kinds
def test_newton_converges_in_few_iterations_near_a_minimum(make, rng):
    """As products with the Hessian are exact, its convergence is superlinear."""
    case = Case(last_step, make, True, rng)
    J = case.objective([WeightDecay(0.3)])
    near = as_solver("lbfgs").minimize(J, 0.3 * case.theta, tol=1e-5)
    result = as_solver("newton_cg").minimize(J, near.theta, tol=1e-8, max_iter=15)
    assert result.status == "converged"
    assert result.value < near.value


@kinds
@pytest.mark.parametrize("penalty", [Contraction(0.3), TangentPropagation(0.7)], ids=str)
def test_third_derivatives_are_refused_by_name(make, penalty, rng):
    J = Case(last_step, make, False, rng).objective([penalty])
    name = type(J.network.layers[0]).__name__
    message = (
        rf"the Hessian of {penalty.name} needs third derivatives, which the layer {name} does not have; use solver="
    )
    with pytest.raises(ValueError, match=message):
        J.check_second_derivative()
    with pytest.raises(ValueError, match=message):
        J.hessian_vector_product(np.zeros(J.network.n_parameters), np.zeros(J.network.n_parameters))


def test_third_derivatives_are_needed_only_up_to_the_penalised_layer(rng):
    case = Case(between_steps, GRULayer, True, rng)
    check_hessian(case, [Contraction(0.3, layer=0)])


def only_steps(make, n_steps):
    return [StepwiseDenseLayer(n_steps, C, 3, Tanh()), StepwiseDenseLayer(n_steps, 3, K, PerStep(Softmax(), n_steps))]


@padded_or_not
@pytest.mark.parametrize("penalty", [Contraction(0.3), TangentPropagation(0.7)], ids=str)
def test_layers_that_act_on_each_step_have_third_derivatives(padded, penalty, rng):
    case = Case(only_steps, None, padded, rng)
    assert check_gradient(case.objective([penalty]), case.theta).relative_difference <= GRADIENT
    check_hessian(case, [penalty])


def check_hessian(case, penalties):
    J, step = case.objective(penalties), 1e-6
    expected = (J(case.theta + step * case.vector)[1] - J(case.theta - step * case.vector)[1]) / (2 * step)
    assert relative_difference(J.hessian_vector_product(case.theta, case.vector), expected) <= HESSIAN


@kinds
def test_truncated_gradients_have_no_tangents(make, rng):
    case = Case(last_step, make, False, rng)
    name = type(case.network.layers[0]).__name__
    truncated = network_of(last_step(partial(make, truncate=T - 1), T), (T, C))
    message = (
        f"tangent_propagation needs tangents, which cannot be propagated through the layer {name} with a truncated"
    )
    with pytest.raises(ValueError, match=message):
        case.objective([TangentPropagation(1.0)], network=truncated)
    with pytest.raises(ValueError, match=f"the gradient of {name}.* is truncated, .* use solver='adam' or 'sgd'"):
        case.objective(network=truncated).check_second_derivative()
    whole = network_of(last_step(partial(make, truncate=T), T), (T, C))
    found = case.objective([TangentPropagation(1.0)], network=whole)(case.theta)
    np.testing.assert_array_equal(found[1], case.objective([TangentPropagation(1.0)])(case.theta)[1])


def test_a_recurrent_layer_without_derivatives_of_its_steps_has_no_tangents(rng):
    class Plain(RecurrentLayer):
        n_gates, input_gates, recurrent_gates = 1, slice(1), slice(1)
        step, step_back, state_of, _f, _steps = (
            SimpleRecurrentLayer.__dict__[name] for name in ("step", "step_back", "state_of", "_f", "_steps")
        )

    case = Case(last_step, SimpleRecurrentLayer, False, rng)
    plain = network_of(last_step(Plain, T), (T, C))
    np.testing.assert_array_equal(case.objective(network=plain)(case.theta)[1], case.objective()(case.theta)[1])
    with pytest.raises(ValueError, match=r"cannot be propagated through the layer Plain\.$"):
        case.objective([Contraction(1.0)], network=plain)


class Squares(Layer):
    """a = (w ∘ x + b)², a layer that is not a `MapLayer` and defines its tangents itself."""

    has_tangents, in_place, width = True, False, property(lambda self: self.n_inputs)

    def __init__(self, n_inputs):
        self.n_inputs = self.n_outputs = self.n_biases = self.multiply_adds = n_inputs
        self.activation, self.weight_shape, self.fans = Identity(), (n_inputs,), (1, 1)

    n_biases = weight_shape = fans = multiply_adds = activation = None

    def forward(self, parameters, given, units, *, activate=True):
        units.z[:] = given * parameters.W + parameters.b
        if activate:
            units.a[:] = units.z**2

    def pull_back(self, parameters, units, delta, out, gradient):
        out[:] = 2 * units.z * delta

    def pull_back_to_inputs(self, W, given, delta, out=None):
        out = np.empty_like(delta) if out is None else out
        out[:] = delta * W
        return out

    def add_weight_gradient(self, W, given, delta, *, accumulate):
        W[:] = accumulate * W + (given * delta).sum(0)

    def add_bias_gradient(self, b, delta, ones, *, accumulate):
        b[:] = accumulate * b + delta.sum(0)

    def push_forward(self, parameters, direction, given, tangent, units):
        beta = 0 * units.z
        if tangent is not None:
            beta = beta + tangent * parameters.W
        if direction is not None:
            beta = beta + given * direction.W + direction.b
        return beta, 2 * units.z * beta

    def pull_back_along(self, parameters, direction, units, beta, phi, gradient):
        return 2 * units.z * phi, 2 * beta * phi


@pytest.mark.parametrize("first", [True, False])
def test_a_layer_from_outside_that_is_no_map_may_have_tangents(first, rng):
    layers = [Squares(4), DenseLayer(4, 3, Tanh())] if first else [DenseLayer(4, 3, Tanh()), Squares(3)]
    network = network_of([*layers, DenseLayer(3, 2, Identity())], (4,))
    X, y, tangents = rng.normal(size=(5, 4)), rng.normal(size=(5, 2)), rng.normal(size=(5, 2, 4))
    theta, vector = rng.normal(0, 0.2, (2, network.n_parameters))
    J = make_objective(Problem(network, X, y), ThreadEngine(1))
    step = 1e-6
    expected = (J(theta + step * vector)[1] - J(theta - step * vector)[1]) / (2 * step)
    assert relative_difference(J.hessian_vector_product(theta, vector), expected) <= HESSIAN
    penalties = [Contraction(0.3, layer=1), TangentPropagation(0.7)]
    penalised = make_objective(Problem(network, X, y, penalties=penalties, tangents=tangents), ThreadEngine(1))
    assert check_gradient(penalised, theta).relative_difference <= GRADIENT
    with pytest.raises(ValueError, match="needs third derivatives, which the layer Squares does not have"):
        penalised.check_second_derivative()


@kinds
@pytest.mark.parametrize("chain", [last_step, stacked_in_both_directions, between_steps])
def test_the_gradient_by_the_inputs_is_the_transpose_of_the_push_forward(chain, make, rng):
    case = Case(chain, make, False, rng)
    network, parameters = case.network, case.network.unpack(case.theta)
    layers = layers_at(network, case.theta, case.X)
    for stop, layer in enumerate(network.layers, start=1):
        some = Layers(layers.z[: stop + 1], layers.a[: stop + 1])
        phi = rng.normal(size=(N, layer.n_outputs))
        pushed = TangentPass(network, parameters, some).push_forward(case.tangents[:, 0], stop=stop)
        seen = pushed.z[-1] if layer.monotonic else pushed.a[-1]
        pulled = TangentPass(network, parameters, some).pull_back_to_input(phi.copy())
        np.testing.assert_allclose((pulled * case.tangents[:, 0]).sum(1), (phi * seen).sum(1), rtol=1e-10, atol=1e-12)


@kinds
@pytest.mark.parametrize(("chain", "layer"), [(last_step, 1), (last_step, 2), (between_steps, 2)])
def test_the_search_for_maximal_inputs_climbs_through_recurrent_layers(chain, layer, make, rng):
    case = Case(chain, make, False, rng)
    network = case.network
    found = ascend_to_maximal_inputs(network, network.unpack(case.theta), layer, rng, n_starts=5, max_iter=60)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=EXACT)
    random = rng.normal(size=(3000, T * C))
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    highest = layers_at(network, case.theta, random).a[layer].max(0)
    reached = np.diag(layers_at(network, case.theta, found).a[layer])
    assert np.all(reached >= highest - 1e-9)


def test_layers_return_their_tangents_for_their_own_parameters(rng):
    """As a layer is asked for them: β is the tangent of all that its steps keep."""
    layer, step = LSTMLayer(T, C, 3, peepholes=True), 1e-6
    network = network_of([layer], (T, C))
    theta, vector, X = *rng.normal(size=(2, network.n_parameters)), rng.normal(size=(N, T * C))
    parameters, direction = network.unpack(theta).of(0), network.unpack(vector).of(0)
    assert isinstance(parameters, LayerParameters)
    layers = layers_at(network, theta, X)
    beta, _ = layer.push_forward(parameters, direction, X, None, units_of(network.unpack(theta), layers, 0))
    ahead, behind = (layers_at(network, theta + sign * step * vector, X).z[1] for sign in (1, -1))
    np.testing.assert_allclose(beta, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-8)
