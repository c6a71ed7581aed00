"""Schedules of the learning rate."""

import numpy as np
import pytest

from rhohat.solvers import SCHEDULES, as_schedule


@pytest.mark.parametrize(
    ("name", "factors"),
    [("constant", [1, 1, 1, 1]), ("linear", [1, 0.75, 0.5, 0]), ("cosine", [1, 0.85355339, 0.5, 0])],
)
def test_factors_at_the_start_a_quarter_half_and_the_end(name, factors):
    np.testing.assert_allclose([as_schedule(name)(p) for p in (0, 0.25, 0.5, 1)], factors, atol=1e-8)


def test_every_schedule_starts_at_the_full_rate_but_for_the_one_that_rises():
    at_start = {name: schedule(0.0) for name, schedule in SCHEDULES.items()}
    assert at_start == {"constant": 1, "linear": 1, "cosine": 1, "trapezoid": 0}


def test_a_trapezoid_rises_over_a_twentieth_and_falls_over_a_fifth():
    factors = [as_schedule("trapezoid")(p) for p in (0, 0.01, 0.05, 0.4, 0.8, 0.95, 1)]
    np.testing.assert_allclose(factors, [0, 0.2, 1, 1, 1, 0.25, 0], atol=1e-12)


def test_a_callable_is_a_schedule():
    def halving(progress):
        return 0.5 ** (10 * progress)

    assert as_schedule(halving) is halving
