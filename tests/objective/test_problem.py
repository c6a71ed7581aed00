"""A problem on other rows, and the terms of J that it states."""

import numpy as np
import pytest

from rhohat.data import open_rows
from rhohat.layers.activations import Sigmoid
from rhohat.layers.network import dense_network
from rhohat.objective import Problem
from rhohat.terms.corruption import MaskingNoise
from rhohat.terms.losses import BinaryCrossEntropy
from rhohat.terms.penalties import KLSparsity

NETWORK = dense_network((3, 4, 3), (Sigmoid(), Sigmoid()))
PENALTIES = [KLSparsity(0.1, 3.0)]


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
