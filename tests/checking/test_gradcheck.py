import numpy as np
import pytest

from rhohat import SparseAutoencoder, check_gradient, open_rows
from rhohat.engines import ThreadEngine
from rhohat.layers.activations import Sigmoid
from rhohat.layers.network import dense_network
from rhohat.objective import Problem, make_objective
from rhohat.terms.penalties import KLSparsity, WeightDecay
from tests.tolerances import ORACLE


def h(x):
    return x[0] ** 2 + 3 * x[0] * x[1], np.array([2 * x[0] + 3 * x[1], 3 * x[0]])


def wrong_at(index):
    def objective(x):
        gradient = 2 * x
        gradient[index] += 0.1
        return float(x @ x), gradient

    return objective


def test_the_published_yardstick_is_met():
    """The course's exercise prints 2.1452e-12 for h at (4, 10)."""
    assert 2.1e-12 < check_gradient(h, [4, 10]).relative_difference < 2.2e-12


def test_the_sparse_cost_is_below_the_published_bar(rng):
    network = dense_network((64, 5, 64), (Sigmoid(), Sigmoid()))
    X = rng.random((100, 64))
    objective = make_objective(
        Problem(network, X, penalties=[WeightDecay(1e-4), KLSparsity(0.01, 3.0)]), ThreadEngine(2)
    )
    assert check_gradient(objective, network.initial_theta(rng)).relative_difference < ORACLE


def test_a_wrong_component_is_found_and_named(rng):
    check = check_gradient(wrong_at(3), rng.normal(size=8))
    assert check.relative_difference > 1e-3
    assert check.worst_index == 3
    np.testing.assert_allclose(check.analytical[3] - check.numerical[3], 0.1, rtol=1e-6)


def test_the_verdict_is_a_sentence():
    wrong = check_gradient(wrong_at(1), [1.0, 2.0, 3.0])
    assert not wrong.is_right
    assert str(wrong).startswith("The gradient is wrong at parameter 1, where it is +4.1")
    assert "Checked: 3 of 3 parameters, with step 1e-4." in str(wrong)
    right = check_gradient(lambda x: (float(x @ x), 2 * x), [1.0, 2.0, 3.0])
    assert right.is_right
    assert str(right).startswith("The gradient is right: its relative difference from central differences is ")
    assert len(str(right).splitlines()) == 1
    doubtful = check_gradient(lambda x: (float(x @ x), 2 * x * (1 + 1e-6)), [1.0, 2.0, 3.0])
    assert str(doubtful).startswith("The gradient is in doubt at parameter 2")


@pytest.mark.parametrize("returned", [14.0, (14.0,), np.array([14.0, 1.0])])
def test_an_objective_without_a_gradient_is_told_what_to_return(returned):
    with pytest.raises(TypeError, match=r"objective must return \(value, gradient\); it returned"):
        check_gradient(lambda theta: returned, [1.0, 2.0, 3.0])


def test_chosen_parameters_are_checked_and_others_are_not(rng):
    theta = rng.normal(size=8)
    assert check_gradient(wrong_at(3), theta, indices=[0, 1, 7]).relative_difference < 1e-9
    check = check_gradient(wrong_at(3), theta, indices=[5, -5])
    np.testing.assert_array_equal(check.indices, [5, 3])
    assert check.worst_index == 3


def test_a_large_theta_is_checked_on_a_random_subset(rng):
    theta = rng.normal(size=5000)
    check = check_gradient(lambda x: (float(x @ x), 2 * x), theta)
    assert len(np.unique(check.indices)) == 2000
    few = check_gradient(lambda x: (float(x @ x), 2 * x), theta, indices=10, random_state=1)
    again = check_gradient(lambda x: (float(x @ x), 2 * x), theta, indices=10, random_state=1)
    other = check_gradient(lambda x: (float(x @ x), 2 * x), theta, indices=10, random_state=2)
    assert len(few.indices) == 10
    np.testing.assert_array_equal(few.indices, again.indices)
    assert not np.array_equal(few.indices, other.indices)


def test_a_flat_function_differs_by_nothing():
    assert check_gradient(lambda x: (1.0, np.zeros_like(x)), [1.0, 2.0]).relative_difference == 0


def test_a_gradient_of_the_wrong_sign_differs_infinitely():
    assert check_gradient(lambda x: (float(x[0]), np.array([-1.0])), [0.0]).relative_difference > 1e6


def test_an_objective_may_use_the_memory_of_its_gradient_again():
    memory = np.zeros(3)

    def objective(x):
        memory[:] = 2 * x
        return float(x @ x), memory

    assert check_gradient(objective, [1.0, 2.0, 3.0]).relative_difference < 1e-9


def test_theta_is_left_as_it_is():
    theta = np.array([4.0, 10.0])

    def greedy(x):
        result = h(x)
        x[:] = 0
        return result

    assert check_gradient(greedy, theta).relative_difference < 1e-11
    np.testing.assert_array_equal(theta, [4, 10])


@pytest.mark.parametrize("size", [1e-200, 1e160, 1e300])
def test_the_relative_difference_does_not_depend_on_squares_that_fit_a_float(size):
    def wrong(x):
        return size * float(x @ x), size * 3 * x

    assert check_gradient(wrong, np.array([1.0, 2.0])).relative_difference == pytest.approx(0.2, rel=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: check_gradient(h, [[4, 10]]), "theta must be a vector"),
        (lambda: check_gradient(h, [4, np.nan]), "theta must be a vector of finite"),
        (lambda: check_gradient(h, [4, 10], epsilon=0), "epsilon must be a positive"),
        (lambda: check_gradient(h, [4, 10], indices=[2]), "indices must be integers below 2"),
        (lambda: check_gradient(h, [4, 10], indices=[]), "indices must be integers"),
        (lambda: check_gradient(h, [4, 10], indices=0), "indices must be integers"),
        (lambda: check_gradient(h, [4, 10], indices=[0.5]), "indices must be integers"),
        (lambda: check_gradient(lambda x: (1.0, np.zeros(3)), [4, 10]), r"must have theta's shape \(2,\)"),
        (lambda: check_gradient(lambda x: (np.inf, x), [4, 10]), "not finite within epsilon"),
    ],
)
def test_misuse_is_refused(call, message):
    with pytest.raises(ValueError, match=message), np.errstate(invalid="ignore"):
        call()


def test_the_gradient_of_float32_rows_is_checked_in_float64(tmp_path):
    """Rounding of float32 would otherwise be told as a wrong gradient."""
    X, weights = np.random.default_rng(0).random((60, 16), dtype=np.float32), np.arange(60.0)
    model = SparseAutoencoder(n_components=5, random_state=0)
    theta = model.initial_theta(X)
    exact = check_gradient(model.objective(X.astype(np.float64), sample_weight=weights), theta)
    np.save(tmp_path / "rows.npy", X)
    with open_rows(tmp_path / "rows.npy") as stored:
        for rows in (X, stored):
            check = check_gradient(model.objective(rows, sample_weight=weights), theta)
            assert check.is_right, str(check)
            assert check.relative_difference == exact.relative_difference
