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


def test_every_schedule_starts_at_the_full_rate():
    assert [schedule(0.0) for schedule in SCHEDULES.values()] == [1.0] * len(SCHEDULES)


def test_a_callable_is_a_schedule():
    def halving(progress):
        return 0.5 ** (10 * progress)

    assert as_schedule(halving) is halving
