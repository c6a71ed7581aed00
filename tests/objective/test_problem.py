"""A problem on other rows, and the terms of J that it states."""

import re
from contextlib import nullcontext
from typing import ClassVar

import numpy as np
import pytest

from rhohat import check_gradient
from rhohat.data import open_rows
from rhohat.engines import ThreadEngine
from rhohat.layers import DenseLayer, GRULayer
from rhohat.layers.activations import Sigmoid
from rhohat.layers.architecture import Convolution, build_layers
from rhohat.layers.network import dense_network, network_of
from rhohat.objective import Problem, make_objective
from rhohat.objective.cost import Weighting
from rhohat.terms.corruption import MaskingNoise
from rhohat.terms.losses import BinaryCrossEntropy, SoftmaxCrossEntropy
from rhohat.terms.penalties import KLSparsity, L1Sparsity, WeightDecay
from tests.tolerances import GRADIENT

NETWORK = dense_network((3, 4, 3), (Sigmoid(), Sigmoid()))
PENALTIES = [KLSparsity(0.1, 3.0)]


def test_a_problem_keeps_its_penalties_when_the_list_of_them_changes(rng):
    given = list(PENALTIES)
    problem = Problem(NETWORK, rng.random((5, 3)), penalties=given)
    given.clear()
    assert problem.penalties == tuple(PENALTIES)


def test_weights_are_kept_as_an_array(rng):
    X, weights = rng.random((5, 3)), rng.random(5)
    of_tensor = Problem(NETWORK, X, sample_weight=pytest.importorskip("torch").tensor(weights)).sample_weight
    assert isinstance(of_tensor, np.ndarray)
    np.testing.assert_array_equal(of_tensor, weights)
    assert Problem(NETWORK, X).sample_weight is None


def test_a_problem_of_arrays_is_computed_with_the_primitives_that_are_named(rng, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.delenv("RHOHAT_OPS", raising=False)
    problem = Problem(NETWORK, rng.random((5, 3)), penalties=PENALTIES)
    assert problem.cost.ops.name == "numpy"
    assert Problem(NETWORK, problem.X).with_ops("compiled").ops.name == "compiled"  # before its cost is asked for
    compiled = problem.with_ops("compiled")
    assert compiled.with_ops("numpy").ops.name == "numpy"
    assert (compiled.ops.name, compiled.cost.ops.name) == ("compiled", "compiled")
    assert (problem.ops.name, problem.cost.ops.name) == ("numpy", "numpy")
    for same in (problem, compiled):
        assert same.with_ops(None) is same
        assert same.with_ops(same.ops.name) is same
    assert make_objective(problem, ThreadEngine(1, "compiled")).problem.ops.name == "compiled"
    tensors = Problem(NETWORK, pytest.importorskip("torch").tensor(problem.X))
    assert tensors.with_ops("compiled") is tensors


def test_rows_of_another_library_are_computed_with_its_primitives(rng):
    X = rng.random((5, 3))
    tensor = pytest.importorskip("torch").tensor(X)
    for rows, others in ((X, tensor), (tensor, X)):
        problem = Problem(NETWORK, rows, penalties=PENALTIES)
        made = problem.on_rows(others)
        assert made.ops.library == made.cost.ops.library != problem.cost.ops.library


@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_other_rows_of_the_same_kind_share_the_terms_of_the_cost(kind, rng):
    X, other = rng.random((2, 5, 3))
    if kind == "tensor":
        X, other = (pytest.importorskip("torch").tensor(rows) for rows in (X, other))
    problem = Problem(NETWORK, X, penalties=PENALTIES, corruption=MaskingNoise(0.5))
    for rows in (other, None):
        made = problem.on_rows(rows)
        assert made.X is rows
        assert made.cost is problem.cost
        assert made.corruption is None


def test_other_rows_of_another_dtype_are_computed_on_in_theirs(rng):
    problem = Problem(NETWORK, rng.random((5, 3)), penalties=PENALTIES)
    assert problem.cost.dtype == np.float64
    assert problem.on_rows(rng.random((4, 3), np.float32)).cost.dtype == np.float32
    assert problem.cost.dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_penalties_on_means_add_has_the_dtype_of_the_rows(dtype, rng):
    cost = Problem(NETWORK, rng.random((5, 3)).astype(dtype), penalties=PENALTIES).cost
    means, tangents = rng.random((2, 4))
    of_tangents = cost.penalise_mean_tangents([means], [tangents], 1.0)
    for added in (cost.penalise_means([means], 1.0)[1], *of_tangents):
        assert added[0].dtype == dtype
        assert added[1] is None


def test_targets_that_are_read_are_checked_to_the_last_row(rng):
    X, y = rng.random((2, 9000, 3))
    Problem(NETWORK, X, open_rows(y), loss=BinaryCrossEntropy())
    y[-1, -1] = 1.5
    with pytest.raises(ValueError, match=r"needs targets in \[0, 1\]"):
        Problem(NETWORK, X, open_rows(y), loss=BinaryCrossEntropy())


@pytest.mark.parametrize("mean", [1e-200, 1.0], ids=["never active", "always active"])
def test_what_penalties_on_means_add_can_be_held_by_float32(mean, rng):
    penalty = KLSparsity(0.5, weight=1e38)
    cost = Problem(NETWORK, rng.random((5, 3), np.float32), penalties=[penalty]).cost
    added = cost.penalise_means([np.full(4, mean)], 1.0)[1][0]
    assert np.all(np.isfinite(added))
    assert np.all(np.sign(added) == (1 if mean == 1 else -1))


def test_the_mean_of_a_channel_is_pulled_back_to_all_of_its_places(rng):
    """Each of the 4 × 4 places has a sixteenth of the derivative by the mean; the channels take turns."""
    layers, _ = build_layers([Convolution(2, 2), 3], (5, 5, 1), "sigmoid")
    network = network_of(layers, (5, 5, 1))
    rows, y, penalty = rng.random((6, 25)), rng.random((6, 3)), KLSparsity(0.2, weight=2.0)
    cost, means = Problem(network, rows, y, penalties=[penalty]).cost, np.array([0.3, 0.6])
    expected = np.tile(penalty.derivative(means, (0, 1), means.dtype) / 16, 16)
    np.testing.assert_allclose(cost.penalise_means([means], 1.0)[1][0], expected, rtol=1e-14)
    halved = np.tile(penalty.derivative(means, (0, 1), means.dtype) / 8, 16)  # half of the places are missing
    np.testing.assert_allclose(cost.penalise_means([means], 1.0, [8.0])[1][0], halved, rtol=1e-14)
    tangents = np.array([0.5, -2.0])
    added, of_added = cost.penalise_mean_tangents([means], [tangents], 1.0, [8.0])
    np.testing.assert_allclose(added[0], halved, rtol=1e-14)
    curvature = penalty.second_derivative(means, (0, 1), means.dtype)
    np.testing.assert_allclose(of_added[0], np.tile(curvature * tangents / 8, 16), rtol=1e-14)


def test_a_penalty_of_weight_0_does_not_keep_the_next_from_being_checked(rng):
    with pytest.raises(ValueError, match="is set to act on the hidden layers"):
        Problem(NETWORK, rng.random((5, 3)), penalties=[WeightDecay(0.0), L1Sparsity(1.0, layers=(7,))])


def test_an_objective_of_a_corrupted_problem_is_refused_with_what_to_do(rng):
    problem = Problem(NETWORK, rng.random((5, 3)), corruption=MaskingNoise(0.5))
    message = (
        "an objective uses its rows unchanged, but this problem has the corruption MaskingNoise(q=0.5); corrupt the"
        " rows beforehand with rhohat.terms.corruption.corrupt_rows, or use MiniBatches, which corrupts the rows anew"
        " in every epoch."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make_objective(problem, ThreadEngine(1))


def test_a_gradient_of_another_function_than_the_cost_is_refused_with_what_to_do(rng):
    X, y = rng.random((5, 12)), rng.random((5, 2))
    for layer, message in (
        (GRULayer(4, 3, 2, truncate=2), r"^the gradient of GRULayer.* is truncated, .* or set truncate=None\.$"),
        (GRULayer(4, 3, 2, truncate=4), None),
    ):
        problem = Problem(network_of([layer, DenseLayer(2, 2, Sigmoid())], (4, 3)), X, y)
        with nullcontext() if message is None else pytest.raises(ValueError, match=message):
            problem.check_exact_gradient()


def test_tensors_among_arrays_are_refused(rng):
    X = rng.random((5, 3))
    with pytest.raises(ValueError, match=r"^X, y and tangents .* must all be PyTorch tensors, or none of them"):
        Problem(NETWORK, X, pytest.importorskip("torch").tensor(X))


def test_a_loss_that_contains_another_activation_is_refused_with_what_to_do(rng):
    message = (
        "loss 'softmax_cross_entropy' needs output_activation='softmax', but the output activation is 'sigmoid'; set"
        " output_activation='softmax', or use loss='squared_error', which allows any output activation."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Problem(NETWORK, rng.random((5, 3)), loss=SoftmaxCrossEntropy())


class Seeing(BinaryCrossEntropy):
    """A loss that keeps what it is given to check."""

    seen: ClassVar[list] = []

    def check_targets(self, y):
        self.seen.append(y)


def test_losses_check_targets_that_are_tensors_as_arrays(rng):
    y = rng.random((5, 3))
    Seeing.seen.clear()
    Problem(NETWORK, pytest.importorskip("torch").tensor(y), loss=Seeing())
    np.testing.assert_array_equal(Seeing.seen, [y])
    assert isinstance(Seeing.seen[0], np.ndarray)


@pytest.mark.parametrize("layer", [-2, -1, 0, 1])
def test_penalties_on_weights_act_on_layers_counted_from_either_end(layer, rng):
    Problem(NETWORK, rng.random((5, 3)), penalties=[WeightDecay(1.0, layers=(layer,))])


def test_sums_are_divided_by_the_total_and_means_by_the_weight_of_these_rows():
    weights = np.array([0.5, 1.0, 1.5])
    assert Weighting.of(3, None) == (3.0, 3.0, 1.0)
    assert Weighting.of(3, weights[:2]) == (1.5, 1.5, 1.0)
    assert Weighting.of(3, None, total=6.0) == (6.0, 3.0, 0.5)
    assert Weighting.of(3, weights, total=12.0) == (12.0, 3.0, 0.25)
    assert Weighting.of(3, 0 * weights, total=12.0) == (12.0, 1.0, 0.0)


def test_weights_of_float32_are_added_up_in_float64():
    assert Weighting.of(3, np.array([2**24, 1, 1], np.float32)) == (2**24 + 2, 2**24 + 2, 1.0)


def test_rows_without_weight_have_no_penalty_on_means(rng):
    cost = Problem(NETWORK, rng.random((5, 3)), penalties=PENALTIES).cost
    means, tangents = rng.random((2, 4))
    assert cost.penalise_means([means], 0.0) == ({}, [None, None])
    assert cost.penalise_mean_tangents([means], [tangents], 0.0) == ([None, None], [None, None])


class Careless(KLSparsity):
    """A penalty on means that overflows, divides by 0, and subtracts ∞ from ∞."""

    def value(self, mean_activation, bounds, dtype):
        return float(np.sum(self.second_derivative(mean_activation, bounds, dtype)))

    def derivative(self, mean_activation, bounds, dtype):
        return self.second_derivative(mean_activation, bounds, dtype)

    def second_derivative(self, mean_activation, bounds, dtype):
        large = np.full_like(mean_activation, 1e308)
        return 10 * large - 10 * large + 1 / (0 * large)


class Overflowing(Careless):
    """A penalty on means that only overflows."""

    def second_derivative(self, mean_activation, bounds, dtype):
        return np.full_like(mean_activation, 1e308) * 10


@pytest.mark.parametrize("kind", [Careless, Overflowing])
def test_a_penalty_that_overflows_shows_in_the_numbers_and_warns_of_nothing(kind, rng):
    J = make_objective(Problem(NETWORK, rng.random((5, 3)), penalties=[kind(0.1, 1.0)]), ThreadEngine(1))
    theta = NETWORK.initial_theta(rng)
    with np.errstate(over="raise", invalid="raise", divide="ignore"):
        for value in (J(theta)[0], J.cost(theta)[0]):
            assert not np.isfinite(value)
    with np.errstate(all="raise"):
        assert not np.all(np.isfinite(J.hessian_vector_product(theta, theta)))


def test_the_gradient_of_a_penalty_on_channels_agrees_with_central_differences(rng):
    layers, _ = build_layers([Convolution(2, 2), 3], (5, 5, 1), "sigmoid")
    network = network_of(layers, (5, 5, 1))
    problem = Problem(network, rng.random((6, 25)), rng.random((6, 3)), penalties=[KLSparsity(0.2, 2.0)])
    J = make_objective(problem, ThreadEngine(1))
    assert check_gradient(J, network.initial_theta(rng)).relative_difference <= GRADIENT
