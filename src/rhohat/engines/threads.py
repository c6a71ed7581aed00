"""Sums over blocks of rows on the threads of this process.

Each thread takes the next block, works on it with BLAS held to one thread, and hands the block's sums in. They
are added in block order, whoever is ready first, so the result has the same bits for any number of threads.
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
from rhohat.common.forks import give_way, held_off
from rhohat.engines import affinity
from rhohat.engines.affinity import Cores
from rhohat.engines.blas import BLAS

__all__ = ["ThreadEngine", "thread_count"]

_Task: TypeAlias = "tuple[_OrderedSum, int, bool]"  # a sum, the worker to be in it, and whether the cores are its own


def thread_count(n_jobs: int | None) -> int:
    """Return how many threads `n_jobs` stands for.

    Parameters
    ----------
    n_jobs : int or None
        None: as many as BLAS would use, which is every core that this process may use unless an environment
        variable or `threadpoolctl` says less. −1: every core; −2: all but one; and so on.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ValueError
        If it is 0.
    """
    if n_jobs is None:
        return BLAS.thread_count() or cpu_count()
    if n_jobs == 0:
        raise ValueError("n_jobs must be None, a number of threads >= 1, or negative to count from all cores; got 0.")
    return n_jobs if n_jobs > 0 else max(1, cpu_count() + 1 + n_jobs)


class ThreadEngine:
    """Computes sums over blocks of rows on threads.

    Parameters
    ----------
    n_jobs : int, default=None
        Number of threads; see `thread_count`. It changes the speed, never a bit of the result.

    Attributes
    ----------
    n_workers : int
        Most threads that a sum takes, the caller's included. Where other threads of the process sum as well, each sum
        takes its part of the cores, and one thread at least.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(10.0)
    >>> def block_sum(rows, worker, sums):
    ...     sums[0] = x[rows].sum()
    >>> ThreadEngine(n_jobs=2).sum_blocks(block_sum, [slice(0, 5), slice(5, 10)], 1, np.float64)
    array([45.])
    """

    def __init__(self, n_jobs: int | None = None) -> None:
        self.n_workers = thread_count(n_jobs)
        self._cores = Cores(self.n_workers)
        self._n_sessions = 0
        self._buffers: dict[tuple[int, np.dtype[Any]], list[FloatArray]] = {}
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._n_threads = 0
        self._process = os.getpid()

    @contextmanager
    def session(self) -> Iterator[None]:
        """Hold BLAS to one thread for as long as the `with` block lasts, not only during each sum.

        A loop of many sums runs in a session: between sums, BLAS threads that are woken and put back to sleep
        would compete with the engine's own for the cores. What a sum needs to write into is kept for the next one.
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
        """Return Σ over blocks of what `function` writes, added in block order.

        Parameters
        ----------
        function : callable(rows, worker, sums)
            Works on a block of rows and overwrites `sums`, of shape (n_sums,), with the block's sums. `worker` is an
            index below min(n_workers, number of blocks) that no other running call has.
        blocks : sequence of slices
        n_sums : int
        dtype : dtype-like
            Of `sums`.

        Returns
        -------
        array of shape (n_sums,), float64

        Raises
        ------
        Exception
            The first that a call of `function` raised. It and KeyboardInterrupt leave once every thread is idle.
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
            except BaseException:  # Ctrl-C among them: leave no thread at work behind
                job.stop()
                job.wait()
                raise
        if job.failure is not None:
            raise job.failure
        if in_session:
            self._buffers[n_sums, np.dtype(dtype)] = buffers
        return job.total

    def for_each(self, function: Callable[[slice, int], None], parts: Sequence[slice]) -> None:
        """Call a function for parts of something, in no particular order; it writes where nobody else does.

        Parameters
        ----------
        function : callable(part, worker)
            `worker` as for `sum_blocks`.
        parts : sequence of slices

        Raises
        ------
        Exception
            As `sum_blocks` does.
        """
        self.sum_blocks(lambda part, worker, _: function(part, worker), parts, 0, np.float64)

    def _take_buffers(self, n_sums: int, dtype: np.dtype[Any], n_buffers: int) -> list[FloatArray]:
        """Return arrays for the sums of blocks: those that an earlier sum of the session left, if any."""
        buffers = self._buffers.pop((n_sums, dtype), [])
        return buffers[:n_buffers] + [empty_aligned((n_sums,), dtype) for _ in range(n_buffers - len(buffers))]

    def _work_together(self, job: _OrderedSum, n_workers: int, alone: bool) -> None:
        """Work on a sum with other threads; on cores of its own, where no other sum is at work."""
        self._start_threads(n_workers - 1)
        for worker in range(1, n_workers):
            self._tasks.put((job, worker, alone))
        with self._cores.kept(0) if alone else nullcontext():
            job.work(0)
            job.wait()

    def _start_threads(self, n_threads: int) -> None:
        """Start threads until there are so many; they serve this engine until it is garbage."""
        if os.getpid() != self._process:  # threads do not survive a fork
            self._tasks, self._n_threads, self._process = SimpleQueue(), 0, os.getpid()
        while self._n_threads < n_threads:
            self._n_threads += 1
            arguments = self._tasks, self._cores, self._n_threads
            threading.Thread(target=_serve, args=arguments, name="rhohat", daemon=True).start()
            weakref.finalize(self, self._tasks.put, None)


def _serve(tasks: SimpleQueue[_Task | None], cores: Cores, thread: int) -> None:
    """Work on tasks until there comes None."""
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
    """One sum over blocks: hands out blocks, takes their sums in, adds them in order.

    A thread that is ahead of its turn leaves its sums and takes another buffer, so that it need not wait. It is given
    two buffers a thread: memory stays a multiple of n_sums, however many blocks there are.

    Ctrl-C may strike the calling thread between any two steps. So it uses plain locks and `SimpleQueue`, which are
    taken in one step; the standard library's conditions, events and futures are not, and lose their locks.
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
        self.failure: BaseException | None = None  # of a helper
        self._function = function
        self._blocks = blocks
        self._n_workers = n_workers
        self._lock = threading.Lock()  # guards what follows
        self._next_block = 0  # the next to be handed out
        self._turn = 0  # the next to be added
        self._early: dict[int, FloatArray] = {}  # sums that wait for their turn
        self._helpers: set[int] = set()  # the workers at work, but for the caller
        self._process: int | None = None  # where helpers are at work
        self._stopped = False
        self._left: SimpleQueue[None] = SimpleQueue()  # an item for every helper that has left
        self._free: SimpleQueue[FloatArray | None] = SimpleQueue()  # buffers; None wakes who waits when stopped
        for buffer in buffers:
            self._free.put(buffer)

    def work(self, worker: int) -> None:
        """Work on blocks until none is left or the sum is stopped."""
        forks_held_off = held_off()
        # Overflow and NaN show in the sums, where whoever asked for them judges them once, not thread by thread.
        with np.errstate(all="ignore"):
            # A buffer first, then a block: so whoever has the block whose turn it is never waits for a buffer.
            while (sums := self._free.get()) is not None:
                give_way()
                with forks_held_off:  # so a fork finds no thread within a block, but the one that forks
                    with self._lock:
                        index = self._next_block
                        if self._finished():
                            self._free.put(sums)  # for the next who waits
                            return
                        self._next_block += 1
                    self._function(self._blocks[index], worker, sums)
                    self._hand_in(index, sums)

    def work_as_helper(self, worker: int) -> None:
        """Work beside the caller, who learns of a failure from `failure` and of the end from `wait`."""
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
        """Let every thread leave after the block that it is working on."""
        with self._lock:
            self._stopped = True
        for _ in range(self._n_workers):
            self._free.put(None)

    def wait(self) -> None:
        """Wait until no helper is at work. None begins any more once all blocks are out or the sum is stopped.

        A child that was forked within a block has no helpers, and the blocks that are left are the caller's.
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
    """Put right, in a forked child, what threads that are not there have left; all cores first, for those of BLAS."""
    affinity.begin_in_child()
    BLAS.begin_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
