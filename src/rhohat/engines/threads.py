"""Sums over blocks of rows on the threads of this process.

Each thread takes the next block, works on it with BLAS held to one thread, and hands the block's sums in. They
are added in block order, whoever is ready first, so the result has the same bits for any number of threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager

import numpy as np
from joblib import cpu_count
from numpy.typing import DTypeLike

from rhohat.arrays import FloatArray, empty_aligned
from rhohat.engines.blas import BLAS

__all__ = ["ThreadEngine", "thread_count"]


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
        Number of threads, the caller's included.

    Notes
    -----
    Threads do not survive a fork: a forked process makes an engine of its own.

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
        self._pool = ThreadPoolExecutor(self.n_workers - 1, "rhohat") if self.n_workers > 1 else None

    def session(self) -> AbstractContextManager[None]:
        """Hold BLAS to one thread for as long as the `with` block lasts, not only during each sum.

        A loop of many sums runs in a session: between sums, BLAS threads that are woken and put back to sleep
        would compete with the engine's own for the cores.
        """
        return BLAS.one_thread()

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
        n_workers = min(self.n_workers, len(blocks))
        job = _OrderedSum(function, blocks, n_sums, np.dtype(dtype), n_workers)
        with BLAS.one_thread():
            futures: list[Future[None]] = []
            try:
                for worker in range(1, n_workers):
                    assert self._pool is not None
                    futures.append(self._pool.submit(job.work, worker))
                job.work(0)
                wait(futures)
            except BaseException:  # Ctrl-C among them: leave no thread at work behind
                job.stop()
                wait(futures)
                raise
        for future in futures:
            future.result()
        return job.total


class _OrderedSum:
    """One sum over blocks: hands out blocks, takes their sums in, adds them in order.

    A thread that is ahead of its turn leaves its sums and takes another buffer, so that it need not wait. There are
    two buffers a thread: memory stays a multiple of n_sums, however many blocks there are.
    """

    def __init__(
        self,
        function: Callable[[slice, int, FloatArray], None],
        blocks: Sequence[slice],
        n_sums: int,
        dtype: np.dtype[np.generic],
        n_workers: int,
    ) -> None:
        self.total: FloatArray = np.zeros(n_sums)
        self._function = function
        self._blocks = blocks
        self._next_block = 0  # the next to be handed out
        self._turn = 0  # the next to be added
        self._early: dict[int, FloatArray] = {}  # sums that wait for their turn
        n_buffers = 1 if n_workers == 1 else 2 * n_workers
        self._free = [empty_aligned((n_sums,), dtype) for _ in range(n_buffers)]
        # The lock itself is what `with` takes: entering a Condition runs Python code, in which Ctrl-C would lose it.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._stopped = False

    def work(self, worker: int) -> None:
        """Work on blocks until none is left or the sum is stopped."""
        try:
            # Overflow and NaN show in the sums, where whoever asked for them judges them once, not thread by thread.
            with np.errstate(all="ignore"):
                while (task := self._take()) is not None:
                    index, sums = task
                    self._function(self._blocks[index], worker, sums)
                    self._hand_in(index, sums)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Let every thread leave after the block that it is working on."""
        with self._lock:
            self._stopped = True
            self._changed.notify_all()

    def _take(self) -> tuple[int, FloatArray] | None:
        """Return the next block with a buffer for its sums, or None where there is no more to do."""
        with self._lock:
            # Whoever works on the block whose turn it is has a buffer already, so this wait ends.
            while not self._free and not self._finished():
                self._changed.wait()
            if self._finished():
                return None
            self._next_block += 1
            return self._next_block - 1, self._free.pop()

    def _finished(self) -> bool:
        return self._stopped or self._next_block == len(self._blocks)

    def _hand_in(self, index: int, sums: FloatArray) -> None:
        with self._lock:
            self._early[index] = sums
            while (ready := self._early.pop(self._turn, None)) is not None:
                self.total += ready
                self._turn += 1
                self._free.append(ready)
                self._changed.notify()
