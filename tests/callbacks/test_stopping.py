import math

import numpy as np
import pytest
from sklearn.base import clone

from rhohat import SparseAutoencoder
from rhohat.callbacks import EarlyStopping
from rhohat.solvers import SOLVERS
from tests.callbacks.states import states


def stops_after(stopping, values):
    """At which of the values it says to stop, counted from 1; None if it never does."""
    return next((one.iteration for one in states(values) if stopping(one)), None)


@pytest.mark.parametrize(
    ("settings", "values", "expected"),
    [
        ({"patience": 1}, [3, 2, 2], 3),
        ({"patience": 1}, [3, 2, 1, 0, -5], None),
        ({"patience": 2}, [3, 2, 2.5, 1, 1, 1], 6),
        ({"patience": 3}, [1, 2, 3], None),
        ({"patience": 3}, [1, 2, 3, 4], 4),
        ({"patience": 2, "min_improvement": 0.5}, [3, 2.6, 2.4, 2.0, 1.9], 5),
        ({"patience": 2, "min_improvement": 0.5}, [3, 2.5, 2.5], 3),  # not by more than 0.5
        ({"patience": 2}, [math.nan, math.nan], 2),
        ({"patience": 2}, [3, math.nan, 2, math.nan, math.inf], 5),
    ],
)
def test_a_fit_stops_after_so_many_iterations_without_improvement(settings, values, expected):
    assert stops_after(EarlyStopping(**settings), values) == expected


def test_what_is_monitored_may_be_anything():
    stopping = EarlyStopping(patience=2, monitor=lambda state: -state.value)
    assert stops_after(stopping, [1, 2, 3, 2, 1]) == 5


def test_another_solve_begins_anew():
    stopping = EarlyStopping(patience=2)
    assert stops_after(stopping, [1, 2]) is None
    assert stops_after(stopping, [5, 4, 3, 4, 4]) == 5
    assert stops_after(stopping, [9, 9]) is None


@pytest.mark.parametrize("solver", SOLVERS)
def test_early_stopping_ends_the_fit_of_any_solver(rng, solver):
    seen = []

    def rises_from_the_fourth_on(state):
        seen.append(state.iteration)
        return abs(state.iteration - 4)

    stopping = EarlyStopping(patience=2, monitor=rises_from_the_fourth_on)
    model = SparseAutoencoder(n_components=3, solver=solver, tol=0, random_state=0, callbacks=[stopping])
    X = rng.random((40, 5))
    for _ in range(2):  # the second fit with the same object starts afresh
        model.fit(X)
        assert (model.solver_status_, model.n_iter_) == ("stopped", 6)
    assert seen == [1, 2, 3, 4, 5, 6] * 2
    fresh = clone(model)
    assert fresh.callbacks[0] is not stopping
    assert fresh.fit(X).n_iter_ == 6


def test_answers_are_booleans_as_solvers_ask_for():
    stopping = EarlyStopping(patience=1, monitor=lambda state: np.float32(state.value))
    assert [stopping(one) for one in states([1, 1])] == [False, True]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patience": 0}, "patience must be an integer, at least 1"),
        ({"patience": 1.5}, "patience must be an integer"),
        ({"min_improvement": -1}, "min_improvement must be a finite number, at least 0; got -1"),
        ({"min_improvement": math.nan}, "min_improvement must be a finite number"),
        ({"monitor": "loss"}, "monitor must be None, which means J, or a callable"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        EarlyStopping(**settings)
