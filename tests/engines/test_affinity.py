"""Threads of a sum keep to different cores, and only while they sum."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rhohat.engines import ThreadEngine
from rhohat.engines.affinity import Cores

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two cores, and an operating system that lets threads choose among them",
)


def cores_during(engine, n_parts=8):
    """Return the cores of every worker while it works."""
    seen = {}
    barrier = threading.Barrier(engine.n_workers)

    def look(part, worker):
        if worker not in seen:
            seen[worker] = os.sched_getaffinity(0)
            barrier.wait(timeout=10)  # so that every worker gets a part

    engine.for_each(look, [slice(i, i + 1) for i in range(n_parts)])
    return seen


def test_workers_have_cores_of_their_own_and_all_are_dealt_out():
    before = os.sched_getaffinity(0)
    seen = cores_during(ThreadEngine(2))
    assert seen[0] & seen[1] == set()
    assert seen[0] | seen[1] == before
    assert os.sched_getaffinity(0) == before


def test_the_caller_may_use_every_core_again_after_an_error():
    before = os.sched_getaffinity(0)

    def fail(part, worker):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        ThreadEngine(2).for_each(fail, [slice(0, 1), slice(1, 2)])
    assert os.sched_getaffinity(0) == before


def test_a_sum_within_a_sum_leaves_the_outer_ones_cores():
    engine, seen = ThreadEngine(2), []
    barrier = threading.Barrier(2)

    def outer(part, worker):
        barrier.wait(timeout=10)  # each of the two gets a part
        engine.for_each(lambda inner, own: None, [slice(0, 1), slice(1, 2)])
        if worker == 0:
            seen.append(os.sched_getaffinity(0))

    engine.for_each(outer, [slice(i, i + 1) for i in range(2)])
    assert seen == [engine._cores._dealt[0]]


def test_sums_beside_others_are_kept_nowhere_and_a_later_one_again(monkeypatch):
    before = os.sched_getaffinity(0)
    engine = ThreadEngine(2)
    monkeypatch.setattr(engine._cores, "n_cores", 4)  # enough for two workers in each of two sums
    assert cores_during(engine)[1] < before
    with ThreadEngine(1).session(), ThreadPoolExecutor(1) as pool:
        seen = pool.submit(lambda: [os.sched_getaffinity(0), cores_during(engine), os.sched_getaffinity(0)]).result()
    assert seen == [before, {0: before, 1: before}, before]
    assert cores_during(engine) == dict(enumerate(engine._cores._dealt))
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize("n_workers", [1, 10_000])
def test_one_worker_and_too_many_are_left_alone(n_workers):
    before = os.sched_getaffinity(0)
    with Cores(n_workers).kept(0):
        assert os.sched_getaffinity(0) == before


def test_cores_that_were_taken_away_are_no_error(monkeypatch):
    def refuse(thread, cores):
        raise OSError("Invalid argument")

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    x = np.arange(10.0)

    def block_sum(rows, worker, sums):
        sums[0] = x[rows].sum()

    assert ThreadEngine(2).sum_blocks(block_sum, [slice(0, 5), slice(5, 10)], 1, np.float64)[0] == 45
