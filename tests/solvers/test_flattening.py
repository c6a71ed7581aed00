"""Whether the cost had flattened when a fit ended, and what is said of a fit that ends at max_iter."""

import math

import numpy as np
import pytest

from rhohat.common.words import Setting
from rhohat.solvers import Adam, ConjugateGradient
from rhohat.solvers.flattening import fall_at_end, has_flattened
from rhohat.solvers.messages import ended_at_max_iter
from tests.solvers.problems import Quartic

FALLING = [100 / k for k in range(1, 101)]
FLAT = [1 + 2.0**-k for k in range(100)]


def test_the_fall_is_that_of_the_last_tenth_of_the_iterations():
    assert fall_at_end([8.0, 4.0, 3.0]) == 0.25
    smoothed = np.mean(FALLING[80:90]), np.mean(FALLING[90:])
    assert fall_at_end(FALLING) == pytest.approx(1 - smoothed[1] / smoothed[0])
    assert fall_at_end([1.0] * 30) == fall_at_end([0.0, 0.0]) == 0
    assert math.isnan(fall_at_end([1.0]))
    assert math.isnan(fall_at_end([]))


def test_a_curve_that_falls_by_less_than_a_thousandth_has_flattened():
    assert has_flattened(FLAT)
    assert not has_flattened(FALLING)
    assert not has_flattened(FLAT[-5:]), "a few iterations say nothing"
    assert not has_flattened([1.0] + [2.0] * 99), "a cost that has risen is no end to be content with"
    just = [1.0] * 90 + [1 - 0.9e-3] * 10
    more = [1.0] * 90 + [1 - 1.1e-3] * 10
    assert has_flattened(just)
    assert not has_flattened(more)


def test_noise_of_mini_batches_is_smoothed():
    noise = np.random.default_rng(0).normal(0, 1e-3, 1000)
    assert has_flattened([2.0, *(1 + noise)])


def test_the_cost_on_held_out_rows_decides_where_it_is_known():
    assert has_flattened(FALLING, [5.0] * 50 + list(np.linspace(5, 9, 50)))
    assert not has_flattened([1.0] * 100, FALLING)


def test_a_result_and_its_message_tell_whether_the_cost_had_flattened():
    problem = Quartic()
    short = ConjugateGradient(min_improvement=0).minimize(problem, problem.start, max_iter=12, tol=0)
    assert short.status == "max_iter"
    assert not short.has_flattened
    assert short.message.startswith("12 iterations were done and J was still falling, by ")
    assert short.message.endswith(" in the last iteration; try max_iter=24, or accept the cost reached.")
    slow = Adam(1e-12).minimize(problem, problem.start, max_iter=30, tol=0)
    assert slow.status == "max_iter"
    assert slow.has_flattened
    assert "30 iterations were done, and J had flattened: it fell by less than 0.1 % in the last 3" in slow.message


def test_the_sentence_names_the_parameter_and_a_value_to_try():
    sentence = ended_at_max_iter(400, 40, [0.0234, 0.5], parts=["layer 0", "layer 1"])
    assert sentence == (
        "400 iterations were done in layer 0 and layer 1 and J was still falling, by 2.3 % and 50 % in the last 40; try"
        " max_iter=800, or accept the cost reached."
    )
    assert [part for part in sentence.parts if isinstance(part, Setting)] == [Setting("max_iter", 800)]
    assert "too few to tell" in ended_at_max_iter(1, 1, [math.nan])
    assert "rose by 3 % in the last iteration" in ended_at_max_iter(5, 1, [-0.03])
