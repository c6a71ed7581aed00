"""J in mini-batches: which rows, in which order, corrupted how, and that a batch's J is that of its rows."""

import re
import threading
import time
import tracemalloc
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from rhohat.checking.gradcheck import check_gradient
from rhohat.common.blocks import row_blocks
from rhohat.data import RowSource
from rhohat.engines import ThreadEngine
from rhohat.layers.activations import ParametricReLU, Sigmoid, Softmax, Tanh
from rhohat.layers.network import dense_network
from rhohat.objective import Problem, make_objective
from rhohat.objective.batch import MiniBatch, _ByBlocks, _ByUnits, make_batch_evaluation
from rhohat.objective.mini_batches import MiniBatches
from rhohat.objective.row_windows import RowWindows
from rhohat.solvers import Adam
from rhohat.terms.corruption import GaussianNoise, MaskingNoise
from rhohat.terms.jacobian_penalties import Contraction, TangentPropagation
from rhohat.terms.losses import SoftmaxCrossEntropy, SquaredError
from rhohat.terms.penalties import KLSparsity, L1Sparsity, MeanActivationPenalty, WeightDecay, WeightPenalty
from tests import trained
from tests.tolerances import EXACT, FLOAT32, FLOAT32_COST, GRADIENT

N_ROWS = 50
NETWORK = dense_network((3, 4, 3), (Sigmoid(), Sigmoid()))
PENALTIES = [WeightDecay(0.1), KLSparsity(0.2, 0.7)]


@pytest.fixture(name="X")
def numbered_rows():
    """Rows that say who they are: the first column counts them."""
    X = np.random.default_rng(0).random((N_ROWS, 3))
    X[:, 0] = np.arange(N_ROWS) / N_ROWS
    return X


@pytest.fixture(name="theta")
def parameters():
    return NETWORK.initial_theta(np.random.default_rng(1))


def make(X, y=None, seed=0, network=NETWORK, window_bytes=2**28, validation_fraction=0.0, cache_bytes=2**30, **parts):
    return MiniBatches(
        Problem(network, X, y, **parts),
        ThreadEngine(1),
        seed=seed,
        window_bytes=window_bytes,
        validation_fraction=validation_fraction,
        cache_bytes=cache_bytes,
    )


def rows_of(objective):
    """Return the numbers of the clean rows that an objective is over."""
    return np.rint(objective.problem.targets[:, 0] * N_ROWS).astype(int).tolist()


def epoch_of(batches, epoch, batch_size=16):
    return [rows_of(objective) for objective, _ in batches.batches(epoch, batch_size)]


def put(gradient, part, own, worker):
    """Keep a part of a gradient, once."""
    assert worker in range(3)
    assert gradient[part].shape == own.shape
    assert np.all(np.isnan(gradient[part]))
    gradient[part] = own


def mini_batch(problem, engine):
    return MiniBatch(make_batch_evaluation(problem, engine))


def order_of(epoch):
    return [row for rows in epoch for row in rows]


def as_objective(X, y=None, network=NETWORK, penalties=PENALTIES, **options):
    return make_objective(Problem(network, X, y, penalties=penalties, **options), ThreadEngine(1))


@pytest.mark.parametrize(
    ("batch_size", "sizes"),
    [(16, [13, 13, 12, 12]), (49, [25, 25]), (50, [50]), (99, [50]), (1, [1] * 50), (25, [25, 25])],
)
def test_every_row_is_in_one_of_the_nearly_equal_batches_of_an_epoch(batch_size, sizes, X):
    batches = make(X)
    assert batches.n_samples == N_ROWS
    found = [(rows_of(objective), n_rows) for objective, n_rows in batches.batches(0, batch_size)]
    assert [n_rows for _, n_rows in found] == [len(rows) for rows, _ in found] == sizes
    assert sorted(row for rows, _ in found for row in rows) == list(range(N_ROWS))


def test_rows_are_shuffled_by_seed_and_epoch(X):
    epochs = [epoch_of(make(X), epoch) for epoch in range(4)]
    assert len({str(epoch) for epoch in epochs}) == 4
    assert all(order_of(epoch) != list(range(N_ROWS)) for epoch in epochs)
    again = make(X)
    assert [epoch_of(again, epoch) for epoch in (3, 0, 3)] == [epochs[3], epochs[0], epochs[3]]
    assert epoch_of(make(X, seed=1), 0) != epochs[0]
    # How rows are cut into batches does not change their order.
    assert order_of(epoch_of(make(X), 2, batch_size=7)) == order_of(epochs[2])


@pytest.mark.parametrize(("fraction", "n_held_out"), [(0.1, 5), (0.01, 1), (0.11, 6), (0.5, 25), (0.98, 49)])
def test_rows_held_out_are_in_no_batch(fraction, n_held_out, X, theta):
    batches = make(X, validation_fraction=fraction)
    assert batches.n_samples == N_ROWS - n_held_out
    trained = {row for epoch in range(3) for rows in epoch_of(batches, epoch) for row in rows}
    held_out = sorted(set(range(N_ROWS)) - trained)
    assert len(held_out) == n_held_out
    np.testing.assert_allclose(batches.validate(theta), as_objective(X[held_out], penalties=[])(theta)[0], rtol=EXACT)
    np.testing.assert_allclose(batches(theta)[0], as_objective(X[sorted(trained)], penalties=[])(theta)[0], rtol=EXACT)
    assert held_out != list(range(n_held_out))
    other = make(X, seed=1, validation_fraction=fraction)
    assert {row for rows in epoch_of(other, 0) for row in rows} != trained or n_held_out == 49


@pytest.mark.parametrize(("n_rows", "fraction"), [(1, 0.1), (50, 0.99), (2, 0.6)])
def test_holding_out_every_row_is_refused(n_rows, fraction, X):
    message = f"holds out {n_rows} of {n_rows} rows, so no row is left for training; set early_stopping=False"
    with pytest.raises(ValueError, match=message):
        make(X[:n_rows], validation_fraction=fraction)


@pytest.mark.parametrize("kind", ["plain", "weighted", "targets", "tangents", "float32", "corrupted"])
@pytest.mark.parametrize("batch_size", [16, 50, 1])
def test_a_batch_is_the_objective_over_its_rows(kind, batch_size, X, rng):
    """Value, gradient and terms, for the last, smaller batch as well, and twice, when memory is used again."""
    dtype = np.float32 if kind == "float32" else np.float64
    X = X.astype(dtype)
    network, y, loss, penalties = NETWORK, None, None, list(PENALTIES)
    options = {}
    if kind in ("targets", "tangents"):
        network = dense_network((3, 4, 2), (Sigmoid(), Softmax()))
        y, loss = np.eye(2)[rng.integers(0, 2, N_ROWS)], SoftmaxCrossEntropy()
    if kind in ("weighted", "tangents"):
        options["sample_weight"] = rng.random(N_ROWS) + 0.1
    if kind == "tangents":
        options["tangents"] = rng.normal(size=(N_ROWS, 2, 3))
        penalties = [TangentPropagation(0.3)]
    if kind == "weighted":
        penalties = []
    corruption = GaussianNoise(0.2) if kind == "corrupted" else None
    theta = network.initial_theta(rng)
    loss = loss or SquaredError()
    batches = make(X, y, network=network, loss=loss, penalties=penalties, corruption=corruption, **options)
    for epoch in (0, 1):
        n_batches = 0
        for objective, n_rows in batches.batches(epoch, batch_size):
            rows = np.rint(objective.problem.X[:, 0].astype(float) * N_ROWS).astype(int)
            if corruption is not None:
                rows = np.array(rows_of(objective))
            assert len(rows) == n_rows
            inputs = X[rows] if corruption is None else objective.problem.X.copy()
            targets = (X if corruption is not None else None) if y is None else y
            expected = as_objective(
                inputs,
                None if targets is None else targets[rows],
                network,
                penalties,
                loss=loss,
                **{name: values[rows] for name, values in options.items()},
            ).evaluate(theta)
            found = objective.evaluate(theta)
            in_parts = np.full(theta.size, np.nan)
            value, terms = objective.evaluate_in_parts(theta, partial(put, in_parts))
            if "sample_weight" in options:  # means divide by the mean weight of all rows, so that batches add up
                share = options["sample_weight"][rows].mean() / options["sample_weight"].mean()
                terms = {name: share * value for name, value in expected[2].items()}
                expected = share * expected[0], share * expected[1], terms
            tolerance, of_costs = (FLOAT32, FLOAT32_COST) if kind == "float32" else (EXACT, EXACT)
            np.testing.assert_allclose(found[0], expected[0], rtol=of_costs)
            np.testing.assert_allclose(value, expected[0], rtol=of_costs)
            assert terms == pytest.approx(found[2], rel=of_costs)
            np.testing.assert_allclose(in_parts, found[1], rtol=0, atol=tolerance * np.abs(found[1]).max())
            np.testing.assert_allclose(found[1], expected[1], rtol=tolerance, atol=tolerance)
            assert found[2].keys() == expected[2].keys()
            np.testing.assert_allclose(list(found[2].values()), list(expected[2].values()), rtol=of_costs)
            n_batches += 1
        assert n_batches == -(-N_ROWS // batch_size)


@pytest.mark.parametrize("problem", ["sparse, weighted", "sparse, tied", "deep", "l1", "maxout", "tangents", "classes"])
def test_a_batch_of_float32_rows_costs_at_trained_weights_what_it_does_in_float64(problem):
    """θ is float32 there too, so that penalties on weights are sums of float32 numbers as well."""
    theta = trained.trained_theta(problem)
    batch = trained.objective_of(problem, np.float32, make=mini_batch)
    value, gradient, terms = trained.objective_of(problem, np.float64).evaluate(theta)
    in_parts = np.full(theta.size, np.nan)
    found, found_terms = batch.evaluate_in_parts(theta.astype(np.float32), partial(put, in_parts))
    assert found == pytest.approx(value, rel=FLOAT32_COST)
    assert found_terms == pytest.approx(terms, rel=FLOAT32_COST)
    assert np.linalg.norm(in_parts - gradient) <= FLOAT32 * np.linalg.norm(gradient)


@pytest.mark.parametrize("problem", ["sparse, tied", "deep", "maxout", "tangents", "classes, weighted"])
def test_float32_rows_held_out_cost_at_trained_weights_what_they_do_in_float64(problem):
    theta = trained.trained_theta(problem)
    single, double = (
        trained.objective_of(problem, dtype, make=partial(MiniBatches, seed=0, validation_fraction=0.9))
        for dtype in (np.float32, np.float64)
    )
    assert single.validate(theta) == pytest.approx(double.validate(theta), rel=FLOAT32_COST)


@pytest.mark.parametrize("include_biases", [False, True])
@pytest.mark.parametrize("layers", [None, (0,), (-1,)])
@pytest.mark.parametrize("tied", [False, True])
def test_a_decay_of_some_layers_acts_on_these_in_every_part_of_a_gradient(tied, layers, include_biases, X, rng):
    network = dense_network((3, 4, 3), (Sigmoid(), Sigmoid()), tied=tied)
    theta, penalties = rng.normal(size=network.n_parameters), [WeightDecay(0.3, include_biases, layers)]
    problem, engine = Problem(network, X, penalties=penalties), ThreadEngine(1)
    value, gradient, terms = make_objective(problem, engine).evaluate(theta)
    in_parts = np.full(theta.size, np.nan)
    found, found_terms = mini_batch(problem, engine).evaluate_in_parts(theta.copy(), partial(put, in_parts))
    assert found == pytest.approx(value, rel=EXACT)
    assert found_terms == pytest.approx(terms, rel=EXACT)
    np.testing.assert_allclose(in_parts, gradient, rtol=EXACT, atol=1e-15)


def test_a_batch_has_the_gradient_that_it_says(X, theta):
    batches = make(X, penalties=PENALTIES, corruption=MaskingNoise(0.5))
    for objective, _ in batches.batches(0, 24):
        assert check_gradient(objective, theta).relative_difference <= GRADIENT
    assert check_gradient(batches, theta).relative_difference <= GRADIENT


def test_all_rows_as_one_batch_are_the_plain_objective(X, theta):
    plain = as_objective(X)
    batches = make(X, penalties=PENALTIES)
    ((batch, _),) = batches.batches(0, N_ROWS)
    for found in (batches(theta), batch(theta)):
        np.testing.assert_allclose(found[0], plain(theta)[0], rtol=EXACT)
        np.testing.assert_allclose(found[1], plain(theta)[1], rtol=EXACT, atol=1e-15)
    np.testing.assert_array_equal(batches(theta)[1], plain(theta)[1])


def corrupted_by(batches, epoch, batch_size):
    """Return what every row looks like in an epoch."""
    seen = np.full((N_ROWS, 3), np.nan)
    for objective, _ in batches.batches(epoch, batch_size):
        seen[rows_of(objective)] = objective.problem.X
    return seen


def test_rows_are_corrupted_by_seed_epoch_and_place(X):
    first, again, other_epoch = (corrupted_by(make(X, corruption=MaskingNoise(0.5)), epoch, 16) for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other_epoch)
    assert not np.array_equal(first, corrupted_by(make(X, seed=1, corruption=MaskingNoise(0.5)), 0, 16))
    kept = first[:, 1:] != 0
    assert 0.3 < kept.mean() < 0.7
    np.testing.assert_array_equal(first[:, 1:][kept], X[:, 1:][kept])


def test_every_place_of_an_epoch_draws_its_own_noise(X):
    """Not the same noise in every batch, nor in every part of one that a thread fills."""
    many = np.tile(X[:1], (600, 1))
    batches = make(many, corruption=GaussianNoise(1.0))
    noise = np.concatenate([objective.problem.X.copy() - many[:1] for objective, _ in batches.batches(0, 300)])
    assert len(np.unique(noise[:, 0])) == 600


def test_every_epoch_draws_its_own_noise_which_all_rows_as_one_batch_share_with_the_first(X, theta):
    alike = np.tile(X[:1], (N_ROWS, 1))  # so that their order does not matter
    batches = make(alike, penalties=PENALTIES, corruption=GaussianNoise(1.0))
    (first, value), (other, _) = [
        (objective.problem.X.copy(), objective(theta)[0])
        for epoch in (0, 1)
        for objective, _ in batches.batches(epoch, N_ROWS)
    ]
    assert not np.any(first == other)
    assert batches(theta)[0] == pytest.approx(value, rel=EXACT)


class CountingNoise(GaussianNoise):
    """A noise that remembers how many rows it has been drawn for, and in which dtype."""

    def __init__(self):
        super().__init__(0.2)
        object.__setattr__(self, "drawn", [])

    def draw(self, generator, out):
        self.drawn.append((len(out), out.dtype))
        super().draw(generator, out)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_row_of_an_epoch_is_corrupted_once_in_its_dtype(dtype, X, theta):
    corruption = CountingNoise()
    batches = make(X.astype(dtype), corruption=corruption)
    assert batches.dtype == dtype
    for evaluate in (lambda o: o.evaluate_in_parts(theta, lambda *_: None), lambda o: o.evaluate(theta)):
        corruption.drawn.clear()
        for objective, _ in batches.batches(0, 16):
            evaluate(objective)
        assert sum(n_rows for n_rows, _ in corruption.drawn) == N_ROWS
        assert {of_noise for _, of_noise in corruption.drawn} == {np.dtype(dtype)}


@pytest.mark.parametrize("has_targets", [False, True])
def test_corruption_leaves_the_clean_rows_and_the_targets_as_they_are(has_targets, X):
    before, y = X.copy(), np.column_stack([X[:, 0], 1 - X[:, 1:]]) if has_targets else None
    batches = make(X, y, corruption=MaskingNoise(0.9))
    for objective, _ in batches.batches(0, 16):
        rows = rows_of(objective)
        np.testing.assert_array_equal(objective.problem.targets, (X if y is None else y)[rows])
        assert not np.array_equal(objective.problem.X, X[rows])
    np.testing.assert_array_equal(X, before)


def test_validation_is_the_same_each_time(X, theta):
    batches = make(X, penalties=PENALTIES, corruption=GaussianNoise(0.5), validation_fraction=0.2)
    first = batches.validate(theta)
    for epoch in range(2):
        for objective, _ in batches.batches(epoch, 10):  # as many rows as are held out: the same memory
            objective(theta)
        assert batches.validate(theta) == first
    assert make(X, penalties=PENALTIES, corruption=GaussianNoise(0.5), validation_fraction=0.2).validate(theta) == first
    assert batches.validate(theta + 0.1) != first


def test_memory_is_used_again_for_batches_of_as_many_rows(X):
    batches = make(X)
    seen = [objective._evaluation for epoch in (0, 1) for objective, _ in batches.batches(epoch, 16)]
    assert seen[0] is seen[1]
    assert seen[2] is seen[3]
    assert seen[0] is not seen[2]  # of 13 and of 12 rows
    assert all(again is objective for again, objective in zip(seen[4:], seen[:4], strict=True))
    addresses = [objective.problem.X.ctypes.data for objective, _ in batches.batches(2, 5)]
    assert len(set(addresses)) == 2  # one is filled while the other is worked on
    assert addresses == 5 * addresses[:2]


@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_batch_that_is_filled_while_another_is_evaluated_has_the_same_rows(n_workers, X, theta):
    """Whether each is evaluated in parts, or as a whole, or in vain."""
    kinds = [
        lambda objective: objective.evaluate_in_parts(theta, lambda *_: None),
        lambda objective: objective.evaluate(theta),
        lambda objective: objective.evaluate_in_parts(np.full_like(theta, np.nan), lambda *_: None),
    ]
    seen = []
    for evaluate in kinds:
        batches = MiniBatches(
            Problem(NETWORK, X, corruption=MaskingNoise(0.5), sample_weight=X[:, 0] + 1),
            ThreadEngine(n_workers),
            seed=0,
        )
        seen.append([])
        for objective, _ in batches.batches(0, 13):
            evaluate(objective)
            problem = objective.problem
            seen[-1].append(np.column_stack([problem.X, problem.targets, problem.sample_weight]))
    for others in zip(*seen, strict=True):
        np.testing.assert_array_equal(others[0], others[1])
        np.testing.assert_array_equal(others[0], others[2])
    assert sorted(np.rint(np.concatenate(seen[0])[:, 3] * N_ROWS).astype(int)) == list(range(N_ROWS))


def test_batches_of_weighted_rows_add_up_to_the_whole(X, theta, rng):
    weights = rng.integers(0, 3, N_ROWS) * 1.0
    weights[:5] = 20
    batches, whole = make(X, sample_weight=weights), as_objective(X, penalties=[], sample_weight=weights)
    value, gradient = 0.0, 0.0
    for objective, n_rows in batches.batches(0, 16):
        part = objective(theta)
        value, gradient = value + n_rows * part[0] / N_ROWS, gradient + n_rows * part[1] / N_ROWS
    np.testing.assert_allclose(value, whole(theta)[0], rtol=EXACT)
    np.testing.assert_allclose(gradient, whole(theta)[1], rtol=EXACT, atol=1e-14)


class MeanLogarithm(MeanActivationPenalty):
    """One that has no value at a mean activation of 0."""

    name, layers, weight = "mean_logarithm", None, 0.5

    def value(self, mean_activation, bounds, dtype):
        return 0.5 * np.log(mean_activation).sum()

    def derivative(self, mean_activation, bounds, dtype):
        return 0.5 / mean_activation

    def second_derivative(self, mean_activation, bounds, dtype):
        return -0.5 / mean_activation**2


@pytest.mark.parametrize("on_means", [KLSparsity(0.05, 3.0), MeanLogarithm()], ids=lambda penalty: penalty.name)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_batches_that_weigh_nothing_cost_their_penalties_on_weights_only(on_means, dtype, X, theta):
    weights = np.zeros(N_ROWS)
    weights[:5] = 1
    batches = make(X.astype(dtype), sample_weight=weights, penalties=[WeightDecay(0.1), on_means])
    decay = as_objective(X, penalties=[WeightDecay(0.1)]).evaluate(theta)
    decay_gradient = decay[1] - as_objective(X, penalties=[])(theta)[1]
    idle = 0
    for objective, _ in batches.batches(0, 5):
        value, gradient, terms = objective.evaluate(theta)
        in_parts, along = np.full_like(theta, np.nan), objective.objective.hessian_vector_product(theta, theta)
        objective.evaluate_in_parts(theta, partial(put, in_parts))
        if np.rint(objective.problem.X[:, 0] * N_ROWS).min() >= 5:
            idle += 1
            assert terms["squared_error"] == terms[on_means.name] == 0
            assert value == objective.cost(theta)[0] == terms["weight_decay"] == pytest.approx(decay[2]["weight_decay"])
            for found in (gradient, in_parts, along):  # λ/2 ‖W‖² is quadratic
                np.testing.assert_allclose(found, decay_gradient, rtol=FLOAT32, atol=1e-12)
        else:
            assert terms[on_means.name] != 0
    assert idle >= 5


@pytest.mark.parametrize("network", [NETWORK, dense_network((3, 4, 2, 3), (Sigmoid(), Tanh(), Sigmoid()))])
def test_a_batch_costs_what_its_rows_weigh(network, X, rng):
    """What it adds to J goes to 0 with its weight, the penalties on its mean activations, too."""
    theta, penalties = network.initial_theta(rng), [KLSparsity(0.2, 0.7)]
    for weights in (np.where(X[:, 0] < 0.1, 1.0, 1e-9), rng.uniform(0.1, 3, N_ROWS), rng.integers(0, 3, N_ROWS) * 1.0):
        batches = make(X, network=network, sample_weight=weights, penalties=penalties)
        cost = kl = 0.0
        for objective, n_rows in batches.batches(0, 5):
            rows = np.rint(objective.problem.X[:, 0] * N_ROWS).astype(int)
            value, _, terms = objective.evaluate(theta)
            cost, kl = cost + n_rows * value / N_ROWS, kl + n_rows * terms["kl_sparsity"] / N_ROWS
            if weights[rows].any():
                own = as_objective(X[rows], network=network, penalties=penalties, sample_weight=weights[rows])
                share = weights[rows].mean() / weights.mean()
                np.testing.assert_allclose(value, share * own(theta)[0], rtol=EXACT)
                np.testing.assert_allclose(objective(theta)[1], share * own(theta)[1], rtol=EXACT, atol=1e-14)
                along = objective.objective.hessian_vector_product(theta, theta)
                expected = share * own.hessian_vector_product(theta, theta)
                np.testing.assert_allclose(along, expected, rtol=EXACT, atol=1e-14)
        whole = as_objective(X, network=network, penalties=[], sample_weight=weights)(theta)[0]
        np.testing.assert_allclose(cost - kl, whole, rtol=EXACT)


@pytest.mark.parametrize("in_windows", [False, True])
def test_rows_held_out_weigh_something_and_are_judged_by_their_own_weights(in_windows, theta, rng):
    rows = RecordingRows()
    weights = np.zeros(N_READ)
    counting = rng.choice(N_READ, 20, replace=False)
    weights[counting] = rng.uniform(1e-6, 1e3, 20)
    options = {"sample_weight": weights, "penalties": PENALTIES, "validation_fraction": 0.15}
    batches = make(rows if in_windows else rows.X, window_bytes=200 * ROW_BYTES, **options)
    held_out = batches._held_out
    assert len(held_out) == 3  # of 20
    assert set(held_out) <= set(counting)
    expected = as_objective(rows.X[held_out], sample_weight=weights[held_out]).cost(theta)[0]
    np.testing.assert_allclose(batches.validate(theta), expected, rtol=EXACT)
    trained = np.delete(np.arange(N_READ), held_out)
    whole = as_objective(rows.X[trained], sample_weight=weights[trained])
    np.testing.assert_allclose(batches(theta)[0], whole(theta)[0], rtol=EXACT)
    of_losses = [n_rows * o.evaluate(theta)[2]["squared_error"] for o, n_rows in batches.batches(0, 16)]
    np.testing.assert_allclose(sum(of_losses) / len(trained), whole.cost(theta)[1]["squared_error"], rtol=EXACT)


def test_weights_of_rows_count_in_float64_whatever_their_dtype(X, theta, rng):
    weights = rng.random(N_ROWS).astype(np.float32)
    single, double = (make(X, sample_weight=w, penalties=PENALTIES) for w in (weights, weights.astype(np.float64)))
    for (found, _), (expected, _) in zip(single.batches(0, 16), double.batches(0, 16), strict=True):
        assert found.evaluate(theta)[::2] == expected.evaluate(theta)[::2]


def test_holding_out_every_row_that_weighs_something_is_refused(X):
    with pytest.raises(ValueError, match="holds out 1 of 1 rows, so no row is left for training"):
        make(X, sample_weight=np.arange(N_ROWS) == 7, validation_fraction=0.1)


def test_a_mean_activation_stays_within_the_bounds_of_activations(X, theta):
    weights = np.where(np.arange(N_ROWS) < 5, 20.0, 0.1)
    batches = make(X, sample_weight=weights, penalties=PENALTIES)
    for objective, _ in batches.batches(0, 5):
        rho_hat = objective.objective.mean_activations(theta)[0]
        assert 0 < rho_hat.min() <= rho_hat.max() < 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"y": np.ones((N_ROWS, 2))}, "y must have the shape"),
        ({"sample_weight": np.ones(3)}, "sample_weight must have the shape"),
        ({"tangents": np.ones((N_ROWS, 3))}, "tangents must have the shape"),
        ({"penalties": [KLSparsity(0.1, 1.0, (2,))]}, "kl_sparsity is set to act on"),
        ({"loss": SoftmaxCrossEntropy()}, "needs output_activation='softmax'"),
    ],
)
def test_what_does_not_fit_is_refused_at_once(options, message, X):
    with pytest.raises(ValueError, match=message):
        make(X, **options)


def test_tensors_are_refused_and_the_remedy_is_named(X):
    message = (
        "MiniBatches needs NumPy arrays, or rows that are read in blocks, but these rows are PyTorch tensors;"
        " pass X.numpy() instead of a tensor X."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make(pytest.importorskip("torch").tensor(X))


def test_the_number_of_threads_changes_no_bit(rng):
    network = dense_network((64, 8, 64), (Sigmoid(), Sigmoid()))
    assert len(row_blocks(2000, network.layer_sizes, network.multiply_adds, 8)) > 1
    X, theta = rng.random((2500, 64)), network.initial_theta(rng)
    found = []
    for n_workers in (1, 2):
        batches = MiniBatches(
            Problem(network, X, penalties=PENALTIES, corruption=MaskingNoise()), ThreadEngine(n_workers), seed=0
        )
        found.append([objective.evaluate(theta) for objective, _ in batches.batches(0, 2000)])
    for (value, gradient, terms), other in zip(*found, strict=True):
        assert (value, terms) == (other[0], other[2])
        np.testing.assert_array_equal(gradient, other[1])


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("learned_slopes", [False, True])
@pytest.mark.parametrize("n_rows", [37, 300, 3000, 6000])
def test_the_gradient_in_parts_is_the_gradient(n_rows, learned_slopes, tied, monkeypatch, rng):
    """With rows and units that are shared among threads, and with more rows than are worth it; biases decayed too."""
    monkeypatch.setattr("rhohat.objective.batch._MOST_ROWS", 5000)
    monkeypatch.setattr("rhohat.common.blocks._SHARED_WORK", 1)
    monkeypatch.setattr("rhohat.common.blocks._FEWEST_SHARED", 16)
    hidden, output = (Tanh(), Sigmoid()) if not learned_slopes else (ParametricReLU(), ParametricReLU())
    network = dense_network((40, 70, 30, 70, 40), (Sigmoid(), hidden, Sigmoid(), output), tied=tied)
    theta = network.initial_theta(rng)
    X = rng.random((n_rows, 40))
    sparse = KLSparsity(0.2, 0.7, layers=(0, 2))
    penalties = [WeightDecay(0.1, include_biases=True), sparse, L1Sparsity(0.1, layers=(1,))]
    expected = make_objective(Problem(network, X, penalties=penalties), ThreadEngine(1)).evaluate(theta)
    results = []
    for n_threads in (1, 2, 3):
        objective = mini_batch(Problem(network, X, penalties=penalties), ThreadEngine(n_threads))
        assert isinstance(objective._evaluation, _ByBlocks if n_rows > 5000 else _ByUnits)
        assert n_rows in (37, 6000) or len(objective._evaluation._blocks) > 1
        gradient = np.full(theta.size, np.nan)
        value, terms = objective.evaluate_in_parts(theta, partial(put, gradient))
        np.testing.assert_allclose(value, expected[0], rtol=EXACT)
        assert terms == pytest.approx(expected[2], rel=EXACT)
        np.testing.assert_allclose(gradient, expected[1], rtol=0, atol=EXACT * np.abs(expected[1]).max())
        results.append(gradient)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_a_penalty_that_sees_whole_matrices_is_given_them(monkeypatch, rng):
    monkeypatch.setattr("rhohat.common.blocks._SHARED_WORK", 1)
    monkeypatch.setattr("rhohat.common.blocks._FEWEST_SHARED", 1)

    class LargestWeight(WeightPenalty):
        name, weight = "largest", 1.0

        def value(self, weights):
            return sum(float(np.abs(W).max()) for W in weights)

        def add_gradient(self, weights, gradients):
            for W, gradient in zip(weights, gradients, strict=True):
                place = np.unravel_index(np.abs(W).argmax(), W.shape)
                gradient[place] += np.sign(W[place])

    theta, X = NETWORK.initial_theta(rng), rng.random((20, 3))
    objective = mini_batch(Problem(NETWORK, X, penalties=[LargestWeight()]), ThreadEngine(1))
    gradient = np.full(theta.size, np.nan)
    objective.evaluate_in_parts(theta, partial(put, gradient))
    np.testing.assert_allclose(gradient, objective(theta)[1], rtol=EXACT)
    assert check_gradient(objective, theta).relative_difference < GRADIENT


class Whole(WeightPenalty):
    """A penalty on every weight by itself, and on every bias, that counts those that it has been given."""

    name, weight, separable, include_biases, n_seen = "whole", 1.0, True, True, 0

    def value(self, weights):
        return sum(float(W.sum()) for W in weights)

    def add_gradient(self, weights, gradients):
        for W, gradient in zip(weights, gradients, strict=True):
            Whole.n_seen += W.size
            gradient += 1


def test_a_penalty_is_given_every_weight_and_every_bias_once(X, theta, monkeypatch):
    monkeypatch.setattr("rhohat.common.blocks._SHARED_WORK", 1)
    monkeypatch.setattr("rhohat.common.blocks._FEWEST_SHARED", 1)
    objective, gradient = (
        mini_batch(Problem(NETWORK, X, penalties=[Whole()]), ThreadEngine(1)),
        np.full_like(theta, np.nan),
    )
    Whole.n_seen = 0
    objective.evaluate_in_parts(theta, partial(put, gradient))
    assert Whole.n_seen == theta.size
    np.testing.assert_allclose(gradient, objective(theta)[1], rtol=EXACT)


@pytest.mark.parametrize("penalties", [PENALTIES, [Contraction(0.1)]], ids=["by units", "by blocks"])
def test_what_is_done_meanwhile_is_done_once_at_the_first_finite_value(penalties, X, theta):
    done = []
    evaluation = make_batch_evaluation(Problem(NETWORK, X, penalties=penalties), ThreadEngine(1))
    batch = MiniBatch(evaluation, meanwhile=[done.append, done.append])
    nowhere = np.full_like(theta, np.nan)
    for point, n_done in ((nowhere, 0), (theta, 2), (theta, 2), (nowhere, 2), (theta, 2)):
        batch.evaluate_in_parts(point, lambda *_: None)
        assert len(done) == n_done
        assert batch.meanwhile_is_done == (n_done > 0)


def test_batches_by_blocks_keep_what_they_may(X, theta, monkeypatch):
    """Their gradient is handed over in parts, each with its place."""
    monkeypatch.setattr("rhohat.common.blocks._THETA_PART", 10)
    n_kept = []
    for cache_bytes in (0, 2**30):
        batches = make(X, penalties=[*PENALTIES, Contraction(0.1)], cache_bytes=cache_bytes)
        ((objective, _),) = batches.batches(0, N_ROWS)
        assert isinstance(objective._evaluation, _ByBlocks)
        n_kept.append(objective._evaluation._evaluation.n_kept)
        gradient = np.full(theta.size, np.nan)
        objective.evaluate_in_parts(theta, partial(put, gradient))
        np.testing.assert_array_equal(gradient, objective(theta)[1])
    assert n_kept == [0, N_ROWS]


class Steep(MeanActivationPenalty):
    """One whose value is too large for a number, or not a number."""

    name, layers, weight = "steep", None, 1.0

    def __init__(self, function):
        self.function = function

    def value(self, mean_activation, bounds, dtype):
        return self.function(mean_activation).sum()

    def derivative(self, mean_activation, bounds, dtype):
        return np.zeros_like(mean_activation)


@pytest.mark.parametrize("function", [lambda mean: np.exp(1e5 * mean), lambda mean: np.log(-mean)])
def test_a_cost_that_is_not_finite_warns_of_nothing(function, X, theta):
    objective = mini_batch(Problem(NETWORK, X, penalties=[Steep(function)]), ThreadEngine(1))
    with np.errstate(all="raise"):
        found = objective.evaluate_in_parts(theta, lambda *_: pytest.fail("a part was handed over"))[0]
        others = objective(theta)[0], objective.cost(theta)[0]
    assert not np.any(np.isfinite([found, *others]))


def test_no_part_is_handed_over_where_the_value_is_not_finite(X, theta):
    objective = mini_batch(Problem(NETWORK, X, penalties=PENALTIES), ThreadEngine(1))
    theta[0] = np.nan
    value, _ = objective.evaluate_in_parts(theta, lambda *_: pytest.fail("a part was handed over"))
    assert not np.isfinite(value)


def test_rows_held_out_do_not_overwrite_a_batch_that_waits(X, theta):
    def batches_of(validate):
        batches = make(X, corruption=MaskingNoise(0.5), validation_fraction=0.2)
        for objective, _ in batches.batches(0, 10):
            yield objective.problem.X.copy()
            objective.evaluate_in_parts(theta, lambda *_: None)
            if validate:
                batches.validate(theta)

    for quiet, disturbed in zip(batches_of(False), batches_of(True), strict=True):
        np.testing.assert_array_equal(quiet, disturbed)


def test_an_epoch_that_was_broken_off_leaves_nothing_to_the_next(X, theta):
    batches = make(X, corruption=MaskingNoise(0.5))
    next(batches.batches(0, 13))
    for broken, whole in zip(batches.batches(1, 50), make(X, corruption=MaskingNoise(0.5)).batches(1, 50), strict=True):
        broken[0].evaluate_in_parts(theta, lambda *_: None)
        np.testing.assert_array_equal(broken[0].problem.X, whole[0].problem.X)
    assert batches._objective_of(np.arange(13), 0, 0).meanwhile_is_done


@pytest.mark.parametrize("first_batch", [0, 1, 3, 4])
def test_an_epoch_is_entered_in_its_middle(first_batch, X):
    batches = make(X, corruption=MaskingNoise(0.5))
    whole = [objective.problem.X.copy() for objective, _ in batches.batches(2, 13)]
    tail = [objective.problem.X.copy() for objective, _ in batches.batches(2, 13, first_batch)]
    assert len(tail) == 4 - first_batch
    for found, expected in zip(tail, whole[first_batch:], strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("first_batch", [-1, 5])
def test_a_batch_that_the_epoch_does_not_have_is_refused(first_batch, X):
    with pytest.raises(ValueError, match=r"first_batch must lie in \[0, 4\]"):
        next(make(X).batches(0, 13, first_batch))


# Rows that are read.

N_READ = 1000
ROW_BYTES = 24


class RecordingRows(RowSource):
    """Rows that say who they are, and remember how they were read; the one of a given number cannot be."""

    def __init__(self, n_rows=N_READ, bad_row=None, seconds=0.0, dtype=np.float64):
        super().__init__("the rows", (n_rows, 3), dtype)
        self.X = np.random.default_rng(0).random((n_rows, 3)).astype(dtype)
        self.X[:, 0] = np.arange(n_rows) / n_rows
        self.reads = []
        self._bad_row, self._seconds = bad_row, seconds

    def _read_into(self, start, stop, out):
        self.reads.append((start, stop))
        time.sleep(self._seconds)
        if self._bad_row is not None and start <= self._bad_row < stop:
            raise ValueError(f"row {self._bad_row} is damaged")
        out[:] = self.X[start:stop]


def numbers_of(objective, n_rows=N_READ):
    return np.rint(np.array(objective.problem.targets[:, 0], dtype=float) * n_rows).astype(int)


def numbers_in(batches, epoch, batch_size=16, n_rows=N_READ):
    return [numbers_of(objective, n_rows) for objective, _ in batches.batches(epoch, batch_size)]


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "rhohat reader"]


def wait_for_readers():
    deadline = time.monotonic() + 10
    while readers() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert not readers()


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("window_rows", [0.5, 3, 70, 400, N_READ - 0.1])
@pytest.mark.parametrize("batch_size", [5, 16, 333, 2 * N_READ])
def test_every_row_that_is_read_is_in_one_batch_of_an_epoch(batch_size, window_rows, fraction):
    """Also where a window holds less than a batch, or one batch, or all but a row."""
    rows = RecordingRows()
    batches = make(rows, window_bytes=int(window_rows * ROW_BYTES), validation_fraction=fraction)
    held_out = set(batches._held_out.tolist())
    n_held_out = min(np.ceil(fraction * N_READ), max(1, window_rows // 4)) if fraction else 0
    assert len(held_out) == n_held_out == N_READ - batches.n_samples
    n_batches = -(-batches.n_samples // batch_size)
    for epoch in range(2):
        rows.reads.clear()
        found = numbers_in(batches, epoch, batch_size)
        assert [len(numbers) for numbers in found] == [
            len(p) for p in np.array_split(range(batches.n_samples), n_batches)
        ]
        assert sorted(np.concatenate(found)) == sorted(set(range(N_READ)) - held_out)
        # No row is read twice.
        assert sum(stop - start for start, stop in rows.reads) <= N_READ
    wait_for_readers()


def test_rows_in_windows_are_shuffled_by_seed_and_epoch():
    options = {"window_bytes": 200 * ROW_BYTES, "corruption": MaskingNoise(0.5)}
    epochs = [np.concatenate(numbers_in(make(RecordingRows(), **options), epoch)) for epoch in range(4)]
    assert len({str(epoch.tolist()) for epoch in epochs}) == 4
    again = make(RecordingRows(seconds=0.001), **options)
    np.testing.assert_array_equal(
        [np.concatenate(numbers_in(again, epoch)) for epoch in (3, 0)], [epochs[3], epochs[0]]
    )
    assert not np.array_equal(np.concatenate(numbers_in(make(RecordingRows(), seed=1, **options), 0)), epochs[0])


def test_the_rows_of_a_window_come_from_all_over_the_file():
    """Each window of 100 rows from at least 16 places, and hardly a batch that resembles the file's order."""
    found = np.concatenate(numbers_in(make(RecordingRows(), window_bytes=200 * ROW_BYTES), 0))
    for window in found[:990].reshape(-1, 99):
        assert np.mean(np.diff(np.sort(window)) > 1) > 0.1
        assert window.min() < N_READ / 4 < 3 * N_READ / 4 < window.max()
        assert abs(np.corrcoef(np.arange(99), window)[0, 1]) < 0.4
    assert np.mean(np.abs(np.diff(found)) == 1) < 0.1


def test_reads_are_few_and_in_order_within_a_window():
    rows = RecordingRows()
    windows = RowWindows([rows], np.arange(0), seed=0, window_bytes=320 * ROW_BYTES)
    borders = np.arange(0, N_READ + 1, 20)
    n_windows = sum(1 for _ in windows.read(0, borders))
    assert n_windows == 7
    assert len(rows.reads) <= N_READ / 10 + n_windows  # chunks of a sixteenth of a window
    assert sum(start > following for (start, _), (following, _) in pairwise(rows.reads)) < n_windows
    n_reads = len(rows.reads)
    rows.reads.clear()
    window = next(windows.read(1, borders, first_batch=41))
    assert 41 in window.batches
    wait_for_readers()
    assert len(rows.reads) < n_reads / 3  # this window, and the next one, which is read ahead
    rows.reads.clear()
    tiny = RowWindows([rows], np.arange(0), seed=0, window_bytes=1)
    assert sum(1 for _ in tiny.read(0, np.array([0, 500, 1000]))) == 2
    assert len(rows.reads) < 40  # chunks of a sixteenth of a batch


@pytest.mark.parametrize("corruption", [None, MaskingNoise(0.5)])
@pytest.mark.parametrize("fraction", [0, 0.1])
def test_rows_that_fit_one_window_are_read_once_and_used_as_those_in_memory(corruption, fraction, theta):
    rows = RecordingRows()
    options = {"corruption": corruption, "validation_fraction": fraction, "penalties": PENALTIES}
    from_source, in_memory = make(rows, window_bytes=N_READ * ROW_BYTES, **options), make(rows.X, **options)
    for epoch in range(2):
        for (found, _), (expected, _) in zip(*(b.batches(epoch, 30) for b in (from_source, in_memory)), strict=True):
            np.testing.assert_array_equal(found.evaluate(theta)[1], expected.evaluate(theta)[1])
    assert from_source(theta)[0] == in_memory(theta)[0]
    if fraction:
        assert from_source.validate(theta) == in_memory.validate(theta)
    assert rows.reads == [(0, N_READ)]


def test_inputs_and_targets_that_fit_one_window_are_each_read_once(theta, rng):
    rows, targets = RecordingRows(), RecordingRows()
    targets.X = rng.random((N_READ, 3))
    from_sources, in_memory = make(rows, targets, window_bytes=2 * N_READ * ROW_BYTES), make(rows.X, targets.X)
    for epoch in range(2):
        for (found, _), (expected, _) in zip(*(b.batches(epoch, 30) for b in (from_sources, in_memory)), strict=True):
            np.testing.assert_array_equal(found.evaluate(theta)[1], expected.evaluate(theta)[1])
    assert rows.reads == targets.reads == [(0, N_READ)]


@pytest.mark.parametrize("first_batch", [0, 1, 20, 59, 60])
@pytest.mark.parametrize("fraction", [0, 0.05])
def test_an_epoch_of_windows_is_entered_in_its_middle(first_batch, fraction):
    batches = make(
        RecordingRows(), corruption=GaussianNoise(0.5), window_bytes=200 * ROW_BYTES, validation_fraction=fraction
    )
    whole = [objective.problem.X.copy() for objective, _ in batches.batches(1, 16)]
    tail = [objective.problem.X.copy() for objective, _ in batches.batches(1, 16, first_batch)]
    assert len(tail) == len(whole) - first_batch
    for found, expected in zip(tail, whole[first_batch:], strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("n_workers", [1, 2])
def test_what_is_in_memory_stays_with_the_rows_that_are_read(n_workers, theta, rng):
    """Weights and tangents, and targets that are read as well, or not; however the batches are evaluated."""
    rows, targets = RecordingRows(), RecordingRows()
    targets.X = rng.random((N_READ, 3))
    weights = rows.X[:, 0] + 1
    tangents = np.repeat(rows.X[:, None], 2, axis=1)
    for y in (targets, targets.X):
        problem = Problem(
            NETWORK, rows, y, penalties=[TangentPropagation(0.1)], sample_weight=weights, tangents=tangents
        )
        batches = MiniBatches(
            problem, ThreadEngine(n_workers), seed=0, window_bytes=200 * ROW_BYTES, validation_fraction=0.05
        )
        evaluate = [
            lambda objective: objective.evaluate_in_parts(theta, lambda *_: None),
            lambda objective: objective.evaluate(theta),
        ]
        rows.reads.clear()
        targets.reads.clear()
        seen = 0
        for index, (objective, n_rows) in enumerate(batches.batches(0, 16)):
            numbers = np.rint(objective.problem.X[:, 0] * N_READ).astype(int)
            np.testing.assert_array_equal(objective.problem.X, rows.X[numbers])
            np.testing.assert_array_equal(objective.problem.targets, targets.X[numbers])
            np.testing.assert_array_equal(objective.problem.sample_weight, weights[numbers])
            np.testing.assert_array_equal(objective.problem.tangents, tangents[numbers])
            evaluate[index % 2](objective)
            seen += n_rows
        assert seen == batches.n_samples == N_READ - len(batches._held_out)
        for read in (rows.reads, targets.reads):
            assert sum(stop - start for start, stop in read) <= N_READ  # each row once
        held_out = batches._held_out
        expected = as_objective(
            rows.X[held_out], targets.X[held_out], penalties=[TangentPropagation(0.1)], tangents=tangents[held_out],
            sample_weight=weights[held_out],
        ).cost(theta)[0]  # fmt: skip
        np.testing.assert_allclose(batches.validate(theta), expected, rtol=EXACT)


def test_all_rows_of_a_source_as_one_batch(theta):
    rows = RecordingRows()
    batches = make(rows, window_bytes=200 * ROW_BYTES, penalties=PENALTIES)
    np.testing.assert_array_equal(batches(theta)[1], make(rows.X, penalties=PENALTIES)(theta)[1])


def test_rows_held_out_of_windows_are_read_once_and_corrupted_once(theta):
    rows = RecordingRows()
    options = {"window_bytes": 200 * ROW_BYTES, "validation_fraction": 0.1, "corruption": GaussianNoise(0.5)}
    batches = make(rows, **options)
    rows.reads.clear()
    first = batches.validate(theta)
    assert rows.reads == []
    size = len(batches._held_out)  # batches of as many rows, which use the same objective
    for objective, _ in batches.batches(0, size):
        objective(theta)
        assert batches.validate(theta) == first
    assert make(rows, **options).validate(theta) == first
    assert batches.validate(theta + 0.1) != first


def test_rows_held_out_are_corrupted_in_windows_as_in_memory(theta):
    rows = RecordingRows()
    rows.X[:] = rows.X[0]  # so that it does not matter which are held out
    options = {"corruption": GaussianNoise(0.5), "validation_fraction": 0.02}
    in_windows, in_memory = make(rows, window_bytes=200 * ROW_BYTES, **options), make(rows.X, **options)
    assert len(in_windows._held_out) == len(in_memory._held_out) == 20
    assert in_windows.validate(theta) == in_memory.validate(theta) != make(rows.X, seed=1, **options).validate(theta)


def test_an_error_of_the_reading_thread_reaches_whoever_asks_for_the_rows():
    bad_row = 123
    batches = make(RecordingRows(bad_row=bad_row), window_bytes=200 * ROW_BYTES)
    place = np.concatenate(numbers_in(make(RecordingRows(), window_bytes=200 * ROW_BYTES), 0)).tolist().index(bad_row)
    found = []

    def use_all():
        for objective, _ in batches.batches(0, 16):
            found.extend(numbers_of(objective))

    with pytest.raises(ValueError, match="row 123 is damaged"):
        use_all()
    assert bad_row not in found
    assert place - 100 <= len(found) <= place  # all windows before it
    wait_for_readers()


def test_an_epoch_that_was_broken_off_leaves_no_thread():
    rows = RecordingRows(seconds=0.01)
    for n_batches in (1, 8):
        batches = make(rows, window_bytes=1000 * ROW_BYTES - 1).batches(0, 16)
        for _ in range(n_batches):
            next(batches)
        assert len(readers()) <= 1
        n_reads = len(rows.reads)
        batches.close()
        wait_for_readers()
        assert len(rows.reads) <= n_reads + 2  # of 16 in the next window: one was under way, one may have begun

    def interrupt(state):
        raise KeyboardInterrupt

    batches = make(rows, window_bytes=200 * ROW_BYTES)
    with pytest.raises(KeyboardInterrupt):
        Adam().minimize(batches, NETWORK.initial_theta(np.random.default_rng(0)), callbacks=[interrupt])
    wait_for_readers()


def test_one_thread_reads_at_a_time_and_ahead():
    rows = RecordingRows()
    batches = make(rows, window_bytes=200 * ROW_BYTES)
    used = 0
    for _, n_rows in batches.batches(0, 16):
        used += n_rows
        assert len(readers()) <= 1
        wait_for_readers()
        read = sum(stop - start for start, stop in rows.reads)
        assert min(used + 1, N_READ) <= read <= used + 200 or read == N_READ


def test_windows_take_the_memory_that_they_may():
    n_rows, window_bytes = 200_000, 2**20
    rows = RecordingRows(n_rows)
    batches = make(rows, window_bytes=window_bytes, validation_fraction=0.5)
    assert len(batches._held_out) * ROW_BYTES <= window_bytes / 4
    for _ in batches.batches(0, 100):
        pass
    rows.reads.clear()
    tracemalloc.start()
    try:
        for _ in batches.batches(1, 100):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The row numbers of a window, twice, and their order, beside rows of three numbers: as much again, here.
    assert peak < 2.5 * window_bytes
    # Chunks of a sixteenth of a window, two of which have the memory that the rows held out leave: three quarters.
    in_a_window = window_bytes * 3 // 4 // 2 // ROW_BYTES
    assert len(rows.reads) < (16 + 2) * n_rows / in_a_window + 16


def test_what_is_stored_together_is_read_together():
    """A row group that is unpacked for one row is used up while it is there; by two windows at most."""

    class GroupedRows(RecordingRows):
        rows_stored_together = 150

    rows = GroupedRows()
    for _ in make(rows, window_bytes=200 * ROW_BYTES).batches(0, 10):
        pass
    groups = [group for start, stop in rows.reads for group in {start // 150, (stop - 1) // 150}]
    unpacked = 1 + sum(a != b for a, b in pairwise(groups))
    assert unpacked <= 10 + 7  # as there are windows, and groups
    wait_for_readers()


def test_batches_are_computed_with_the_primitives_that_the_engine_asks_for(X):
    pytest.importorskip("numba")
    problem = Problem(NETWORK, X)
    for name in ("numpy", "compiled"):
        batch, _ = next(MiniBatches(problem, ThreadEngine(1, name), seed=0).batches(0, 10))
        assert batch.problem.ops.name == name
        assert batch.problem.masks is None  # as nothing is dropped
