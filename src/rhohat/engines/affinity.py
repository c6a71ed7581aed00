"""Assignment of threads that share work to different cores.

A thread that waits for work sleeps for fractions of a millisecond, and Linux tends to wake it on the core of the thread
that woke it. Two threads that wake each other in turn stay on one core for seconds, while the other core is idle.
Therefore every thread of a sum is given cores of its own. If there are n threads and more cores, the k-th thread may
use every n-th core from the k-th on, so that the operating system can still make room for other processes.

If several threads compute separate sums at the same time, cores are not assigned, since every sum would get the same
cores.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["Cores", "begin_in_child"]


class _Own(threading.local):
    """The cores that a thread was allowed to use before it was restricted; None if it is not restricted."""

    before: set[int] | None = None


_own = _Own()


class Cores:
    """The cores that this process may use, divided among workers.

    Parameters
    ----------
    n_workers : int
        Number of workers.

    Attributes
    ----------
    n_cores : int
        Number of cores that this process may use, at least 1.

    Notes
    -----
    Cores are not divided if there is only one worker, if there are fewer cores than workers, or if the operating system
    does not support the assignment of threads to cores.
    """

    def __init__(self, n_workers: int) -> None:
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self.n_cores = len(cores) or os.cpu_count() or 1
        self._all = set(cores)
        self._dealt: list[set[int]] = []
        if 1 < n_workers <= len(cores):
            self._dealt = [set(cores[worker::n_workers]) for worker in range(n_workers)]

    def keep(self, worker: int | None) -> None:
        """Restrict the calling helper thread to the cores of a worker until the next call; None allows all cores."""
        if self._dealt:
            _own.before = self._all
            _move_to(self._all if worker is None else self._dealt[worker])

    @contextmanager
    def kept(self, worker: int) -> Iterator[None]:
        """Restrict the calling thread to the cores of a worker inside the `with` block."""
        if not self._dealt:
            yield
            return
        # If this sum runs within another sum, `before` is the set of cores of a worker of that sum.
        outermost, before = _own.before, os.sched_getaffinity(0)
        try:
            _own.before = before if outermost is None else outermost
            _move_to(self._dealt[worker])
            yield
        finally:
            _move_to(before)
            _own.before = outermost


def begin_in_child() -> None:
    """In a forked child process, lift the restriction to some cores that its only thread has inherited."""
    if _own.before is not None:
        _move_to(_own.before)


def _move_to(cores: set[int]) -> None:
    with suppress(OSError):  # cores may have been taken away meanwhile, which is no reason to fail
        os.sched_setaffinity(0, cores)  # 0 is the calling thread, not the process
