"""The engine that computes sums over blocks of rows on threads of this process.

Each thread takes the next block, computes the block's sums with BLAS limited to one thread, and delivers them. The sums
are added in the order of the blocks, not in the order in which they are finished, so the result has the same bits for
any number of threads.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from queue import SimpleQueue
from typing import Any, TypeAlias

import numpy as np
from joblib import cpu_count
from numpy.typing import DTypeLike

from rhohat.common.arrays import FloatArray, empty_aligned
from rhohat.common.exceptions import SettingError
from rhohat.common.forks import give_way, held_off
from rhohat.common.words import Sentence, Setting
from rhohat.engines import affinity
from rhohat.engines.affinity import Cores
from rhohat.engines.blas import BLAS
from rhohat.ops import check_ops

__all__ = ["ThreadEngine", "thread_count"]

_Task: TypeAlias = "tuple[_OrderedSum, int, bool]"  # a sum, the index of a worker in it, whether no other sum runs


def thread_count(n_jobs: int | None) -> int:
    """Return the number of threads that a value of `n_jobs` means.

    Parameters
    ----------
    n_jobs : int or None
        Number of threads. None means the number of threads that BLAS would use: one for every core that this process
        may use, unless an environment variable or `threadpoolctl` sets a lower number. −1 means all cores, −2 all but
        one, and so on.

    Returns
    -------
    int
        Number of threads, at least 1.

    Raises
    ------
    ValueError
        If `n_jobs` is 0.
    """
    if n_jobs is None:
        return BLAS.thread_count() or cpu_count()
    if n_jobs == 0:
        raise SettingError(
            Sentence(
                Setting("n_jobs"),
                " must be None, a number of threads >= 1, or a negative number (-1 means all cores, -2 means all cores"
                " but one, and so on); got 0.",
            )
        )
    return n_jobs if n_jobs > 0 else max(1, cpu_count() + 1 + n_jobs)


class ThreadEngine:
    """Engine that computes sums over blocks of rows on threads of this process.

    Parameters
    ----------
    n_jobs : int, default=None
        Number of threads; None means as many as BLAS would use, −1 one for every core. It affects the speed, but no bit
        of the result.
    ops : {"numpy", "compiled"}, default=None
        Primitives that NumPy's arrays are computed with: NumPy's, or those that Numba compiles. If None, the
        environment variable RHOHAT_OPS decides, and if that is not set, the amount of work.

    Attributes
    ----------
    ops : str or None
        As given.
    n_workers : int
        Maximum number of threads that work on a sum, including the calling thread. If other threads of the process
        compute sums at the same time, the cores are divided among the sums, and each sum uses at least one thread.

    Raises
    ------
    ValueError
        If `n_jobs` is 0, or there are no primitives of that name.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(10.0)
    >>> def block_sum(rows, worker, sums):
    ...     sums[0] = x[rows].sum()
    >>> ThreadEngine(n_jobs=2).sum_blocks(block_sum, [slice(0, 5), slice(5, 10)], 1, np.float64)
    array([45.])
    """

    block_bytes: int | None = None
    n_parts: int = 1

    def __init__(self, n_jobs: int | None = None, ops: str | None = None) -> None:
        check_ops(ops)
        self.ops = ops
        self.n_workers = thread_count(n_jobs)
        self._cores = Cores(self.n_workers)
        self._n_sessions = 0
        self._buffers: dict[tuple[int, np.dtype[Any]], list[FloatArray]] = {}
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._n_threads = 0
        self._process = os.getpid()

    def __reduce__(self) -> tuple[Any, ...]:
        return ThreadEngine, (self.n_workers, self.ops)  # another process has threads of its own

    @contextmanager
    def session(self) -> Iterator[None]:
        """Limit BLAS to one thread for the whole `with` block, not only during each sum.

        A loop of many sums should run in a session. Otherwise BLAS threads would be woken and put back to sleep between
        the sums, and would compete with the engine's own threads for the cores. In a session, the arrays for the sums
        of blocks are kept from one sum to the next.
        """
        with BLAS.one_thread():
            try:
                self._n_sessions += 1
                yield
            finally:
                self._n_sessions -= 1
                if self._n_sessions == 0:
                    self._buffers.clear()

    def sum_blocks(
        self,
        function: Callable[[slice, int, FloatArray], None],
        blocks: Sequence[slice],
        n_sums: int,
        dtype: DTypeLike,
    ) -> FloatArray:
        """Return the sums that `function` computes for each block of rows, added over all blocks in their order.

        Parameters
        ----------
        function : callable(rows, worker, sums)
            Function that processes a block of rows and overwrites `sums`, of shape (n_sums,), with the block's sums.
            `worker` is an index below min(n_workers, number of blocks); calls that run at the same time have different
            indices.
        blocks : sequence of slices
            The blocks of rows.
        n_sums : int
            Number of sums.
        dtype : dtype-like
            Data type of `sums`.

        Returns
        -------
        array of shape (n_sums,), float64

        Raises
        ------
        Exception
            The first exception that a call of `function` raised. This exception, or KeyboardInterrupt, is raised only
            after all threads have become idle.
        """
        in_session = self._n_sessions > 0
        with BLAS.one_thread_for_a_sum() as n_callers:
            n_workers = min(self.n_workers, len(blocks))
            if n_callers > 1:
                n_workers = min(n_workers, max(1, self._cores.n_cores // n_callers))
            buffers = self._take_buffers(n_sums, np.dtype(dtype), 1 if n_workers == 1 else 2 * n_workers)
            job = _OrderedSum(function, blocks, n_sums, buffers, n_workers)
            try:
                if n_workers == 1:
                    job.work(0)
                else:
                    self._work_together(job, n_workers, alone=n_callers == 1)
            except BaseException:  # including KeyboardInterrupt; no thread may be left working
                job.stop()
                job.wait()
                raise
        if job.failure is not None:
            raise job.failure
        if in_session:
            self._buffers[n_sums, np.dtype(dtype)] = buffers
        return job.total

    def for_each(self, function: Callable[[slice, int], None], parts: Sequence[slice]) -> None:
        """Call a function for each of the parts, in no particular order, on the threads of the engine.

        Parameters
        ----------
        function : callable(part, worker)
            Function that processes a part. It must write only to memory that no other call writes to. `worker` is an
            index below `n_workers`; calls that run at the same time have different indices.
        parts : sequence of slices
            The parts.

        Raises
        ------
        Exception
            The first exception that a call of `function` raised, after all threads have become idle.
        """
        self.sum_blocks(lambda part, worker, _: function(part, worker), parts, 0, np.float64)

    def _take_buffers(self, n_sums: int, dtype: np.dtype[Any], n_buffers: int) -> list[FloatArray]:
        """Return arrays for the sums of blocks, which an earlier sum of the session may have used before."""
        buffers = self._buffers.pop((n_sums, dtype), [])
        return buffers[:n_buffers] + [empty_aligned((n_sums,), dtype) for _ in range(n_buffers - len(buffers))]

    def _work_together(self, job: _OrderedSum, n_workers: int, alone: bool) -> None:
        """Compute a sum with helper threads; if no other sum is running, keep each thread on cores of its own."""
        self._start_threads(n_workers - 1)
        for worker in range(1, n_workers):
            self._tasks.put((job, worker, alone))
        with self._cores.kept(0) if alone else nullcontext():
            job.work(0)
            job.wait()

    def _start_threads(self, n_threads: int) -> None:
        """Start helper threads until there are `n_threads`; they run until this engine is garbage collected."""
        if os.getpid() != self._process:  # threads do not survive a fork
            self._tasks, self._n_threads, self._process = SimpleQueue(), 0, os.getpid()
        while self._n_threads < n_threads:
            self._n_threads += 1
            arguments = self._tasks, self._cores, self._n_threads
            threading.Thread(target=_serve, args=arguments, name="rhohat", daemon=True).start()
            weakref.finalize(self, self._tasks.put, None)


def _serve(tasks: SimpleQueue[_Task | None], cores: Cores, thread: int) -> None:
    """Work on tasks from a queue until the queue yields None; every helper thread runs this function."""
    kept = None
    BLAS.hold_for_good()
    while (task := tasks.get()) is not None:
        job, worker, alone = task
        if alone != kept:
            cores.keep(thread if alone else None)
            kept = alone
        job.work_as_helper(worker)
        del task, job  # an idle thread keeps no data alive


class _OrderedSum:
    """A sum over blocks: assigns blocks to threads, receives the sums of each block, and adds these in block order.

    A thread that finishes a block before the blocks in front of it are added leaves the sums here and takes another
    buffer, so that it need not wait. There are two buffers per thread, so the memory does not grow with the number of
    blocks.

    Ctrl-C may interrupt the calling thread between any two steps. Therefore this class uses plain locks and
    `SimpleQueue`, which are acquired in one step. Conditions, events and futures of the standard library take several
    steps, and an interrupt between two of these could leave a lock held for ever.
    """

    def __init__(
        self,
        function: Callable[[slice, int, FloatArray], None],
        blocks: Sequence[slice],
        n_sums: int,
        buffers: Sequence[FloatArray],
        n_workers: int,
    ) -> None:
        self.total: FloatArray = np.zeros(n_sums)
        self.failure: BaseException | None = None  # exception that a helper raised
        self._function = function
        self._blocks = blocks
        self._n_workers = n_workers
        self._lock = threading.Lock()  # guards the following attributes
        self._next_block = 0  # index of the next block to be assigned
        self._turn = 0  # index of the next block whose sums are to be added
        self._early: dict[int, FloatArray] = {}  # sums that wait for their turn, by index of the block
        self._helpers: set[int] = set()  # indices of the workers that are running, without the caller
        self._process: int | None = None  # identifier of the process in which helpers are running
        self._stopped = False
        self._left: SimpleQueue[None] = SimpleQueue()  # an item for every helper that has stopped working on the sum
        self._free: SimpleQueue[FloatArray | None] = SimpleQueue()  # free buffers; None wakes a thread at a stop
        for buffer in buffers:
            self._free.put(buffer)

    def work(self, worker: int) -> None:
        """Work on blocks until none is left or the sum is stopped."""
        forks_held_off = held_off()
        # Overflow and NaN are visible in the sums, so the caller checks the sums, and no thread needs to warn.
        with np.errstate(all="ignore"):
            # A thread takes a buffer before it takes a block, so the thread with the block whose turn it is never waits
            # for a buffer.
            while (sums := self._free.get()) is not None:
                give_way()
                with forks_held_off:  # so no thread but the one that forks is within a block at a fork
                    with self._lock:
                        index = self._next_block
                        if self._finished():
                            self._free.put(sums)  # for the next waiting thread
                            return
                        self._next_block += 1
                    self._function(self._blocks[index], worker, sums)
                    self._hand_in(index, sums)

    def work_as_helper(self, worker: int) -> None:
        """Work on blocks in a helper thread; an exception is stored in `failure`, and `wait` waits for the end."""
        with self._lock:
            if self._finished():
                return
            self._process = os.getpid()
            self._helpers.add(worker)
        try:
            self.work(worker)
        except BaseException as error:
            self.failure = error
            self.stop()
        with self._lock:
            self._helpers.discard(worker)
        self._left.put(None)

    def stop(self) -> None:
        """Make every thread leave after the block that it is working on."""
        with self._lock:
            self._stopped = True
        for _ in range(self._n_workers):
            self._free.put(None)

    def wait(self) -> None:
        """Wait until no helper is running.

        Once all blocks are assigned or the sum is stopped, no helper begins to work on the sum any more. A child
        process that was forked during a sum has no helpers; there, the calling thread computes the remaining blocks.
        """
        while self._helpers and os.getpid() == self._process:
            self._left.get()

    def _finished(self) -> bool:
        return self._stopped or self._next_block == len(self._blocks)

    def _hand_in(self, index: int, sums: FloatArray) -> None:
        with self._lock:
            self._early[index] = sums
            while (ready := self._early.pop(self._turn, None)) is not None:
                self.total += ready
                self._turn += 1
                self._free.put(ready)


def _begin_in_child() -> None:
    """Restore cores and BLAS threads in a forked child, where other threads no longer exist; the cores come first."""
    affinity.begin_in_child()
    BLAS.begin_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
