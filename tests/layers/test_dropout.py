"""Dropout: what is dropped, in which mini-batch, and that the gradient is that of the network that is left."""

import numpy as np
import pytest

from rhohat import SGD, Adam, Dropout, FeedforwardClassifier
from rhohat.checking.gradcheck import check_gradient
from rhohat.engines import ThreadEngine
from rhohat.layers.architecture import build_layers
from rhohat.layers.network import network_of
from rhohat.objective import Problem, batch_rows
from rhohat.objective.mini_batches import MiniBatches
from rhohat.terms.penalties import KLSparsity, L1Sparsity, WeightDecay
from tests.tolerances import GRADIENT

PENALTIES = (WeightDecay(0.1), KLSparsity(0.3, 0.5), L1Sparsity(0.2))


def network(*rates, n_inputs=5):
    described = [layer for rate in rates for layer in (7, Dropout(rate))]
    return network_of(build_layers([*described, 3], (n_inputs,), "sigmoid")[0], (n_inputs,))


def batches_of(rng, rates=(0.4, 0.25), n_rows=448, n_workers=1, **parts):
    X, y = rng.normal(size=(n_rows, 5)), rng.normal(size=(n_rows, 3))
    return MiniBatches(Problem(network(*rates), X, y, **parts), ThreadEngine(n_workers), seed=3)


def masks_of(batches, epoch, batch_size=64, first_batch=0):
    return [batch.problem.masks.copy() for batch, _ in batches.batches(epoch, batch_size, first_batch)]


def test_numbers_are_dropped_with_their_probability_and_the_others_are_larger(rng):
    masks = np.concatenate(masks_of(batches_of(rng), 0))
    for columns, rate in ((slice(7), 0.4), (slice(7, 14), 0.25)):
        assert set(np.unique(masks[:, columns])) == {0, 1 / (1 - rate)}
        assert abs(np.mean(masks[:, columns] == 0) - rate) < 0.03
        np.testing.assert_allclose(masks[:, columns].mean(), 1, atol=0.05)


def test_masks_are_drawn_by_epoch_and_place_whatever_the_number_of_threads(rng):
    state = rng.bit_generator.state
    first = batches_of(rng)
    rng.bit_generator.state = state
    second = batches_of(rng, n_workers=2)
    np.testing.assert_array_equal(masks_of(first, 0), masks_of(second, 0))
    assert not np.array_equal(masks_of(first, 0), masks_of(first, 1))
    np.testing.assert_array_equal(masks_of(first, 0)[2:], masks_of(first, 0, first_batch=2))
    assert len({mask.tobytes() for mask in masks_of(first, 0)}) == len(masks_of(first, 0))


def test_masks_have_the_dtype_of_the_rows(rng):
    X, y = rng.normal(size=(64, 5)).astype(np.float32), rng.normal(size=(64, 3)).astype(np.float32)
    (masks,) = masks_of(MiniBatches(Problem(network(0.4), X, y), ThreadEngine(1), seed=3), 0)
    assert masks.dtype == np.float32


class AlwaysTheRate:
    """A generator whose every draw is 0.4."""

    def random(self, dtype, out):
        out[:] = 0.4


def test_a_draw_that_is_the_probability_itself_drops_nothing(rng, monkeypatch):
    masks = np.empty((2, 7))
    monkeypatch.setattr(batch_rows, "keyed_generator", lambda *key: AlwaysTheRate())
    batches_of(rng, (0.4,))._maker._draws.masks(0, 0, masks)
    np.testing.assert_allclose(masks, 1 / 0.6)


def test_all_parts_of_a_large_batch_have_masks_of_their_own(rng):
    (masks,) = masks_of(batches_of(rng), 0, batch_size=448)
    parts = {masks[start : start + 64].tobytes() for start in range(0, 448, 64)}
    assert len(parts) == 7


@pytest.mark.parametrize("penalties", [(), PENALTIES], ids=["loss", "penalties"])
def test_the_gradient_is_that_of_the_network_that_is_left(penalties, rng):
    batches = batches_of(rng, n_rows=30, penalties=penalties)
    theta = batches_of(rng).batches(0, 10).__next__()[0].problem.network.initial_theta(rng)
    for batch, _ in batches.batches(0, 10):
        assert check_gradient(batch.objective, theta).relative_difference < GRADIENT


def test_a_batch_costs_what_a_plain_formula_says(rng):
    batches = batches_of(rng, rates=(0.4,), n_rows=30)
    for batch, _ in batches.batches(0, 10):
        problem = batch.problem
        theta = problem.network.initial_theta(rng)
        (W1, _, W2), (b1, _, b2), _ = problem.network.unpack(theta)
        hidden = problem.masks / (1 + np.exp(-problem.X @ W1 - b1))
        outputs = 1 / (1 + np.exp(-hidden @ W2 - b2))
        expected = 0.5 * np.mean(np.sum((outputs - problem.y) ** 2, axis=1))
        np.testing.assert_allclose(batch(theta)[0], expected, rtol=1e-12)


def test_nothing_is_dropped_on_rows_held_out_and_after_training(rng):
    X, y = rng.normal(size=(100, 5)), rng.integers(0, 2, 100)
    solver = Adam(batch_size=20, early_stopping=True)
    fitted = FeedforwardClassifier(layers=[6, Dropout(0.5)], solver=solver, max_iter=3, tol=10, random_state=0).fit(
        X, y
    )
    plain = FeedforwardClassifier(layers=[6, Dropout(0.0)], max_iter=1, tol=10, random_state=0).fit(X, y)
    plain.coefs_, plain.intercepts_ = fitted.coefs_, fitted.intercepts_
    np.testing.assert_array_equal(fitted.predict_proba(X), plain.predict_proba(X))
    assert fitted.cost(X, y)[0] == plain.cost(X, y)[0]


def test_a_rate_of_zero_changes_no_bit(rng):
    X, y = rng.normal(size=(60, 5)), rng.integers(0, 2, 60)
    how = {"solver": SGD(batch_size=16), "max_iter": 4, "tol": 10, "random_state": 0}
    dropping = FeedforwardClassifier(layers=[6, Dropout(0.0)], **how).fit(X, y)
    plain = FeedforwardClassifier(layers=[6], **how).fit(X, y)
    assert dropping.loss_curve_ == plain.loss_curve_


@pytest.mark.parametrize("rate", [-0.1, 1.0, "half"])
def test_an_impossible_rate_is_refused(rate):
    with pytest.raises(ValueError, match="rate"):
        build_layers([Dropout(rate)], (5,), "relu")


@pytest.mark.parametrize("solver", ["lbfgs", "newton_cg", "gradient_descent"])
def test_solvers_that_see_all_rows_at_once_are_refused(solver, rng):
    with pytest.raises(ValueError, match="dropout draws other units in every mini-batch"):
        FeedforwardClassifier(layers=[6, Dropout()], solver=solver).fit(rng.normal(size=(9, 5)), np.arange(9) % 2)
