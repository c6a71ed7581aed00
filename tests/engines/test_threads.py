import os
import subprocess
import sys
import threading
import time

import joblib
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from rhohat.engines import ThreadEngine
from rhohat.engines.threads import thread_count

BLOCKS = [slice(start, start + 10) for start in range(0, 400, 10)]


def blas_threads():
    return max(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")


def uneven_sum(x):
    """A block function whose blocks take different times, so that threads overtake one another."""

    def function(rows, worker, sums):
        time.sleep(0.002 * ((rows.start // 10 * 7) % 3))
        sums[:] = x[rows].sum(axis=0)

    return function


@pytest.mark.parametrize("n_jobs", [1, 2, 3, 8, 100])
def test_sums_are_added_in_block_order_for_any_number_of_threads(n_jobs, rng):
    x = rng.normal(size=(400, 3)) * 10.0 ** rng.integers(-8, 8, size=(400, 1))
    expected = np.zeros(3)
    for rows in BLOCKS:
        expected += x[rows].sum(axis=0)
    total = ThreadEngine(n_jobs).sum_blocks(uneven_sum(x), BLOCKS, 3, np.float64)
    np.testing.assert_array_equal(total, expected)


def test_float32_blocks_are_summed_in_float64():
    def function(rows, worker, sums):
        assert sums.dtype == np.float32
        sums[0] = 2**24 + 2 if rows.start == 0 else 1

    total = ThreadEngine(2).sum_blocks(function, BLOCKS, 1, np.float32)
    assert total[0] == 2**24 + 2 + 39  # float32 could not hold the odd numbers on the way


def test_a_worker_index_is_never_used_by_two_calls_at_once():
    busy = [threading.Lock() for _ in range(4)]

    def function(rows, worker, sums):
        assert busy[worker].acquire(blocking=False)
        time.sleep(0.001)
        busy[worker].release()
        sums[:] = 1

    assert ThreadEngine(4).sum_blocks(function, BLOCKS, 1, np.float64) == [40]


@pytest.mark.parametrize("n_jobs", [1, 2, 4])
@pytest.mark.parametrize("failing", [0, 7, 39])
def test_an_exception_in_a_block_reaches_the_caller_and_leaves_the_engine_usable(n_jobs, failing):
    engine = ThreadEngine(n_jobs)

    def function(rows, worker, sums):
        if rows.start == 10 * failing:
            raise KeyError("block")
        sums[:] = 1

    for _ in range(20):
        with pytest.raises(KeyError, match="block"):
            engine.sum_blocks(function, BLOCKS, 1, np.float64)
    np.testing.assert_array_equal(engine.sum_blocks(uneven_sum(np.ones((400, 1))), BLOCKS, 1, np.float64), [400])
    assert blas_threads() == blas_threads_outside()


def blas_threads_outside():
    with ThreadEngine(1).session():
        pass
    return blas_threads()


def test_blas_is_held_to_one_thread_during_a_sum_and_set_back_after():
    with threadpool_limits(2, user_api="blas"):
        seen = []
        ThreadEngine(2).sum_blocks(lambda rows, worker, sums: seen.append(blas_threads()), BLOCKS, 0, np.float64)
        assert set(seen) == {1}
        assert blas_threads() == 2


def test_overlapping_sessions_release_blas_once_all_have_ended():
    with threadpool_limits(2, user_api="blas"):
        first, second = ThreadEngine(1).session(), ThreadEngine(1).session()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert blas_threads() == 1
        second.__exit__(None, None, None)
        assert blas_threads() == 2


def test_by_default_there_are_as_many_threads_as_blas_would_use():
    for limit in (1, 2):
        with threadpool_limits(limit, user_api="blas"):
            assert thread_count(None) == limit
            with ThreadEngine(1).session():
                assert thread_count(None) == limit


def test_negative_counts_are_taken_from_all_cores():
    assert thread_count(3) == 3
    assert thread_count(-1) == joblib.cpu_count()
    assert thread_count(-1000) == 1
    with pytest.raises(ValueError, match="n_jobs must be None"):
        thread_count(0)


INTERRUPTED = """
import signal, threading, time, numpy as np
from rhohat.engines import ThreadEngine
from threadpoolctl import threadpool_info

running = []
def slow(rows, worker, sums):
    running.append(worker)
    try:
        time.sleep(0.05)
    finally:
        running.remove(worker)

print("ready", flush=True)
try:
    ThreadEngine(3).sum_blocks(slow, [slice(i, i + 1) for i in range(10_000)], 1, np.float64)
except KeyboardInterrupt:
    blas = {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}
    print("interrupted", len(running), blas == {2})
"""


@pytest.mark.skipif(os.name == "nt", reason="signals are sent in another way on Windows")
def test_ctrl_c_passes_through_and_leaves_no_thread_at_work():
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True, env=environment) as p:
        assert p.stdout.readline() == "ready\n"
        time.sleep(0.5)
        p.send_signal(2)
        assert p.stdout.readline().split() == ["interrupted", "0", "True"]
    assert p.returncode == 0


INTERRUPTED_AGAIN_AND_AGAIN = """
import signal, numpy as np
from rhohat import SparseAutoencoder
from threadpoolctl import threadpool_info

def interrupt(*_):
    raise KeyboardInterrupt

def blas():
    return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}

X = np.random.default_rng(0).random((8000, 16))
J = SparseAutoencoder(n_components=3, n_jobs=3).objective(X)
theta = J.network.initial_theta(np.random.default_rng(1))
before = J(theta)
signal.signal(signal.SIGALRM, interrupt)
for k in range(300):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.003 + 0.0001 * (k % 50))
        while True:
            J(theta)
    except KeyboardInterrupt:
        pass
after = J(theta)
print(before[0] == after[0], np.array_equal(before[1], after[1]), blas() == {2})
"""


@pytest.mark.skipif(os.name == "nt", reason="signals are sent in another way on Windows")
def test_interrupts_at_any_point_lose_neither_a_lock_nor_the_threads_of_blas():
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AGAIN_AND_AGAIN],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    assert done.stdout.split() == ["True", "True", "True"], done.stderr


FORKED = """
import os, numpy as np
from rhohat.engines import ThreadEngine

engine = ThreadEngine(3)
def total():
    return engine.sum_blocks(lambda rows, worker, sums: sums.fill(1), [slice(i, i + 1) for i in range(50)], 1, float)
before = total()
child = os.fork()
if child == 0:
    os._exit(int(total()[0] != before[0]))
print(os.waitpid(child, 0)[1], total()[0] == before[0])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_may_go_on_with_the_engine():
    command = [sys.executable, "-W", "ignore", "-c", FORKED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["0", "True"], done.stderr
