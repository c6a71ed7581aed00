"""A process may fork while others of its threads fit: every child finishes, to the same bits, and so do the parents."""

import os
import subprocess
import sys
import threading

import pytest

from rhohat.common import forks
from rhohat.common.forks import ProcessLock, held_off

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

TWO_THREADS = {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}


def run(script, *arguments, seconds=120):
    """Return what a script prints, line by line; it fails if that takes too long."""
    command = [sys.executable, "-W", "ignore", "-c", script, *arguments]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **TWO_THREADS},
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)  # with its children
            out, err = process.communicate()
            pytest.fail(f"it did not end within {seconds} seconds: {out}{err}")
    assert process.returncode == 0, err
    return out.splitlines()


# Threads that forks wait for.


def thread_in(lock, entered, leave):
    def stay():
        with lock:
            entered.set()
            leave.wait(timeout=20)

    thread = threading.Thread(target=stay)
    thread.start()
    assert entered.wait(timeout=10)
    return thread


HELD_OFF = """
import os, threading, time
from rhohat.common.forks import held_off

entered, done = threading.Event(), []
def work():
    with held_off(), held_off():
        entered.set()
        time.sleep(0.3)
        with held_off():  # while the fork waits
            done.append(None)

for _ in range(3):
    thread = threading.Thread(target=work)
    thread.start()
    entered.wait()
    entered.clear()
    with held_off():  # a thread does not wait for itself
        child = os.fork()
    if child == 0:
        with held_off():
            os._exit(len(done))
    print(os.waitpid(child, 0)[1] >> 8)
    thread.join()
"""


def test_a_fork_waits_until_no_other_thread_holds_it_off():
    assert run(HELD_OFF) == ["1", "2", "3"]


def test_threads_wait_until_a_fork_is_done_new_ones_too():
    entered = threading.Event()

    def enter(first, go):
        first.set()
        go.wait(timeout=10)
        with held_off():
            entered.set()

    with held_off():
        pass
    first, go = threading.Event(), threading.Event()
    known = threading.Thread(target=lambda: (held_off(), enter(first, go)))
    known.start()
    first.wait(timeout=10)
    forks._hold_others_off()
    go.set()
    newcomer = threading.Thread(target=enter, args=(threading.Event(), go))
    newcomer.start()
    assert not entered.wait(timeout=0.2)
    with held_off():
        pass  # the thread that forks goes on
    forks._let_others_go_on()
    assert entered.wait(timeout=10)
    known.join()
    newcomer.join()


WAITS_IN_VAIN = """
import os, threading
from rhohat.common import forks
from rhohat.common.forks import held_off

forks._LONGEST_WAIT = 0.2
entered, forked = threading.Event(), threading.Event()
def work():
    with held_off():
        entered.set()
        forked.wait()
    with held_off():
        print("went on", flush=True)

thread = threading.Thread(target=work)
thread.start()
entered.wait()
child = os.fork()  # while the other thread waits for this one
if child == 0:
    with held_off():
        os._exit(0)
forked.set()
thread.join()
print(os.waitpid(child, 0)[1])
child = os.fork()
if child == 0:
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""


def test_a_fork_does_not_wait_for_ever():
    assert run(WAITS_IN_VAIN) == ["went on", "0", "0"]


LOCKED = """
import os, threading
from rhohat.common.forks import ProcessLock

lock, entered, leave = ProcessLock(), threading.Event(), threading.Event()
def hold():
    with lock.here:
        entered.set()
        leave.wait()

thread = threading.Thread(target=hold)
thread.start()
entered.wait()
child = os.fork()
if child == 0:
    grandchild = os.fork()
    with lock.here:
        free_within = lock.here.acquire(blocking=False)
    os._exit(free_within if grandchild == 0 else os.waitpid(grandchild, 0)[1])
print(os.waitpid(child, 0)[1], lock.here.locked())
leave.set()
thread.join()
with lock.here:
    child = os.fork()
    if child == 0:
        pass
if child == 0:
    os._exit(0)
print(os.waitpid(child, 0)[1], lock.here.locked())
"""


def test_a_lock_that_another_thread_held_is_free_in_a_child():
    assert run(LOCKED) == ["0 True", "0 False"]


def test_a_lock_of_a_process_is_a_lock():
    lock, entered, leave = ProcessLock(), threading.Event(), threading.Event()
    thread = thread_in(lock.here, entered, leave)
    assert not lock.here.acquire(blocking=False)
    leave.set()
    thread.join()
    with lock.here:
        assert lock.here.locked()


# Fits.

WHILE_ANOTHER_THREAD_FITS = """
import multiprocessing, sys, threading, warnings
import numpy as np
from rhohat import SparseAutoencoder

def fit(rows):
    warnings.simplefilter("ignore")
    model = SparseAutoencoder(n_components=5, max_iter=8, random_state=0).fit(rows)
    return np.append(model.theta_, model.transform(rows[:9]))

def compare(rows, reference, outcomes):
    outcomes.put(np.array_equal(fit(rows), reference))

if __name__ == "__main__":
    method, n_children = sys.argv[1], int(sys.argv[2])
    context = multiprocessing.get_context(method)
    rows = np.random.default_rng(0).random((3000, 64))
    reference, stopped, fits = fit(rows), threading.Event(), []
    def fit_again_and_again():
        while not stopped.is_set():
            fits.append(np.array_equal(fit(rows), reference))
    threads = [threading.Thread(target=fit_again_and_again) for _ in range(2)]
    for thread in threads:
        thread.start()
    outcomes, n_same = context.SimpleQueue(), 0
    for _ in range(n_children // 2):
        children = [context.Process(target=compare, args=(rows, reference, outcomes)) for _ in range(2)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        n_same += sum(outcomes.get() for _ in children)
    stopped.set()
    for thread in threads:
        thread.join()
    print(n_same, all(fits))
"""


@pytest.mark.parametrize(("method", "n_children"), [("fork", 40), ("forkserver", 2), ("spawn", 2)])
def test_children_that_are_started_while_others_fit_finish_with_the_same_bits(method, n_children, tmp_path):
    script = tmp_path / "children.py"  # in a file, which spawned processes can import
    script.write_text(WHILE_ANOTHER_THREAD_FITS)
    runner = "import runpy, sys; sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"
    assert run(runner, str(script), method, str(n_children)) == [f"{n_children} True"]


WHILE_A_PROPERTY_IS_COMPUTED = """
import os, threading, time
from rhohat.common.forks import cached

class Slow:
    began = threading.Event()
    seconds = 1.0
    @cached
    def value(self):
        self.began.set()
        time.sleep(self.seconds)
        return 3

thread = threading.Thread(target=lambda: Slow().value)
thread.start()
Slow.began.wait()
child = os.fork()
if child == 0:
    Slow.seconds = 0.0
    os._exit(Slow().value)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
thread.join()
"""


def test_a_child_computes_a_property_that_another_thread_was_computing():
    """It would wait without an end for the lock that functools.cached_property has in Python 3.11."""
    assert run(WHILE_A_PROPERTY_IS_COMPUTED, seconds=30) == ["3"]


# What a child finds of threads that it does not have.

LEFT_BY_OTHERS = """
import os, threading
import numpy as np
from threadpoolctl import threadpool_info
from rhohat.engines import ThreadEngine
from rhohat.engines.blas import BLAS

def blas_threads():
    return {found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"}

def total(engine):
    return engine.sum_blocks(lambda rows, worker, sums: sums.fill(1), [slice(i, i + 1) for i in range(9)], 1, float)[0]

engine, entered, leave = ThreadEngine(3), threading.Event(), threading.Event()
def hold():
    with engine.session():
        total(engine)
        entered.set()
        leave.wait()

thread = threading.Thread(target=hold)
thread.start()
entered.wait()
child = os.fork()
if child == 0:
    right = blas_threads() == {2} and total(engine) == 9 == total(ThreadEngine(2)) and blas_threads() == {2}
    with BLAS.one_thread() as n_threads:
        right = right and n_threads == 1 and blas_threads() == {1}
    os._exit(not right)
print(os.waitpid(child, 0)[1])
leave.set()
thread.join()
with engine.session():
    child = os.fork()
    if child == 0:
        os._exit(blas_threads() != {1} or total(engine) != 9 or blas_threads() != {1})
print(os.waitpid(child, 0)[1], blas_threads())
"""


def test_blas_is_set_back_in_a_child_unless_the_thread_that_forks_holds_it():
    assert run(LEFT_BY_OTHERS) == ["0", "0 {2}"]


WITHIN_A_BLOCK = """
import os, threading, warnings
import numpy as np
from rhohat import SparseAutoencoder
from rhohat.engines import ThreadEngine

warnings.simplefilter("ignore")
X = np.random.default_rng(0).random((2000, 16))
def fit():
    return SparseAutoencoder(n_components=3, max_iter=5, random_state=0, n_jobs=2).fit(X).theta_

def cores():
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None

reference, all_cores, barrier, outcomes = fit(), cores(), threading.Barrier(2), {}
def block(rows, worker):
    if rows.start < 2:
        barrier.wait(10)
    if rows.start < 2 and worker == forking:
        child = os.fork()
        if child == 0:
            os._exit(cores() != all_cores or not np.array_equal(fit(), reference) or cores() != all_cores)
        outcomes[worker] = os.waitpid(child, 0)[1]

for forking in range(2):
    ThreadEngine(2).for_each(block, [slice(i, i + 1) for i in range(8)])
print(outcomes, cores() == all_cores)
"""


def test_a_child_that_a_worker_forks_has_all_cores_and_may_fit():
    assert run(WITHIN_A_BLOCK) == ["{0: 0, 1: 0} True"]


GOES_ON = """
import os, threading
import numpy as np
from rhohat.engines import ThreadEngine

x = np.random.default_rng(0).normal(size=200) * 10.0 ** np.arange(-10, 10).repeat(10)
barrier, children = threading.Barrier(3), []
def block(rows, worker, sums):
    if rows.start < 3:
        barrier.wait(10)
    sums[0] = x[rows].sum()
    if rows.start >= 60 and worker == 0 and not children:
        children.append(os.fork())

expected = 0.0
for i in range(200):
    expected += x[i : i + 1].sum()
engine, blocks = ThreadEngine(3), [slice(i, i + 1) for i in range(200)]
total = engine.sum_blocks(block, blocks, 1, float)[0]
while not children:  # the others were faster
    barrier.reset()
    total = engine.sum_blocks(block, blocks, 1, float)[0]
if children[0] == 0:
    barrier = threading.Barrier(3)
    again = engine.sum_blocks(block, blocks, 1, float)[0]
    os._exit(int(total != expected or again != expected))
print(os.waitpid(children[0], 0)[1], total == expected)
"""


def test_a_child_that_is_forked_within_a_sum_goes_on_with_it_by_itself():
    assert run(GOES_ON) == ["0 True"]


FORKED_BY_A_CALLBACK = """
import os, sys, warnings
import numpy as np
from rhohat import SparseAutoencoder, open_rows

warnings.simplefilter("ignore")
path, solver, limit = sys.argv[1:]
X = np.random.default_rng(0).random((60_000, 16))
np.save(path, X)
def fit(callbacks=()):
    with open_rows(path) as rows:
        model = SparseAutoencoder(
            n_components=3, max_iter=4, solver=solver, memory_limit=limit, random_state=0, callbacks=callbacks
        )
        return model.fit(rows).theta_

children = []
def fork(state):
    if state.iteration == 2:
        children.append(os.fork())

reference = fit()
same = np.array_equal(fit([fork]), reference)
if children[0] == 0:
    os._exit(not same)
print(os.waitpid(children[0], 0)[1], same)
"""


@pytest.mark.parametrize(("solver", "memory_limit"), [("lbfgs", "20 MB"), ("adam", "9 MB")])
def test_a_child_that_a_callback_forks_may_go_on_with_the_fit(solver, memory_limit, tmp_path):
    assert run(FORKED_BY_A_CALLBACK, str(tmp_path / "rows.npy"), solver, memory_limit) == ["0 True"]


READS_AHEAD = """
import os, sys, threading
import numpy as np
from rhohat.objective.row_windows import _Task, Window

entered, leave = threading.Event(), threading.Event()
def read(is_stopped):
    if os.getpid() == parent:
        entered.set()
        leave.wait()
    return Window(range(1), [np.ones(1)], np.arange(1), np.arange(1))

parent = os.getpid()
task = _Task(read)
task.start()
entered.wait()
child = os.fork()
if child == 0:
    os._exit(int(task.result().memory[0][0] != 1))
print(os.waitpid(child, 0)[1])
leave.set()
print(task.result().batches)
"""


def test_a_child_reads_itself_what_a_thread_was_reading_ahead():
    assert run(READS_AHEAD) == ["0", "range(0, 1)"]


SHARED_OBJECTS = """
import os, threading
import numpy as np
import rhohat.common.forks
from rhohat import SparseAutoencoder
from rhohat.data.rows.datasets import DatasetRows
from rhohat.terms.losses import SquaredError

entered, leave, parent = threading.Event(), threading.Event(), os.getpid()
def wait_in_the_parent():
    if os.getpid() == parent:
        entered.set()
        leave.wait()

class SlowLoss(SquaredError):
    def value_and_derivative(self, outputs, y, out):
        wait_in_the_parent()
        return super().value_and_derivative(outputs, y, out)

class SlowDataset:
    shape, dtype = (10, 3), np.dtype(float)
    def __getitem__(self, rows):
        wait_in_the_parent()
        return np.ones((10, 3))[rows]

rhohat.common.forks._LONGEST_WAIT = 0.1  # a block of the parent waits until the test is over
X = np.random.default_rng(0).random((50, 4))
J = SparseAutoencoder(n_components=2, loss=SlowLoss(), n_jobs=1).objective(X)
theta = np.ones(J.network.n_parameters)
rows = DatasetRows(SlowDataset(), "slow")
for use in (lambda: J(theta)[0], lambda: J.cost(theta)[0], lambda: rows.read(0, 10).sum()):
    entered.clear()
    leave.clear()
    values = []
    thread = threading.Thread(target=lambda: values.append(use()))
    thread.start()
    entered.wait()
    child = os.fork()
    if child == 0:
        use()
        os._exit(0)
    leave.set()
    thread.join()
    print(os.waitpid(child, 0)[1], len(values))
"""


def test_a_child_may_use_what_another_thread_was_using():
    assert run(SHARED_OBJECTS) == ["0 1"] * 3


INTERRUPTED = """
import os, signal, sys, threading, time
from rhohat.solvers.interrupts import interrupts_held

def fork(within):
    child = os.fork()
    if child == 0:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        except KeyboardInterrupt:
            os._exit(0)
        os._exit(1)
    print(os.waitpid(child, 0)[1])

with interrupts_held():
    fork(True)
    thread = threading.Thread(target=fork, args=(True,))
    thread.start()
    thread.join()
    held = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
print(held, signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


def test_ctrl_c_ends_a_child_that_was_forked_while_it_was_held_back():
    assert run(INTERRUPTED) == ["0", "0", "True True"]
