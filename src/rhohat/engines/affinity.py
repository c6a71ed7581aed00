"""Keeping threads that share work on different cores.

A thread that waits for work sleeps for fractions of a millisecond, and Linux likes to wake it on the core of the thread
that woke it. Two threads that take turns like that stay on one core for seconds, with the other core idle. So every
thread of a sum is given cores of its own. Not one core each: with fewer threads than cores, the k-th thread may use
every n-th core from the k-th on, so that the operating system can still make room for other processes.

Where several threads sum at the same time, each for itself, nothing is dealt: all of them would get the same cores.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["Cores", "begin_in_child"]


class _Own(threading.local):
    """What a thread remembers of the cores that it might use before it was kept on some; None where it is not."""

    before: set[int] | None = None


_own = _Own()


class Cores:
    """The cores that this process may use, dealt out to workers.

    Parameters
    ----------
    n_workers : int

    Attributes
    ----------
    n_cores : int
        How many there are, at least 1.

    Notes
    -----
    Nothing is dealt out where there are fewer cores than workers, or the operating system does not let a thread choose.
    """

    def __init__(self, n_workers: int) -> None:
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self.n_cores = len(cores) or os.cpu_count() or 1
        self._all = set(cores)
        self._dealt: list[set[int]] = []
        if 1 < n_workers <= len(cores):
            self._dealt = [set(cores[worker::n_workers]) for worker in range(n_workers)]

    def keep(self, worker: int | None) -> None:
        """Keep the calling thread, a helper, on the cores of a worker until it is told otherwise; None: on any."""
        if self._dealt:
            _own.before = self._all
            _move_to(self._all if worker is None else self._dealt[worker])

    @contextmanager
    def kept(self, worker: int) -> Iterator[None]:
        """Keep the calling thread on the cores of a worker inside the `with` block."""
        if not self._dealt:
            yield
            return
        outermost, before = _own.before, os.sched_getaffinity(0)  # the worker's already, in a sum within a sum
        try:
            _own.before = before if outermost is None else outermost
            _move_to(self._dealt[worker])
            yield
        finally:
            _move_to(before)
            _own.before = outermost


def begin_in_child() -> None:
    """Give the thread that is left in a forked child all the cores that it had."""
    if _own.before is not None:
        _move_to(_own.before)


def _move_to(cores: set[int]) -> None:
    with suppress(OSError):  # cores may have been taken away meanwhile: no reason to fail
        os.sched_setaffinity(0, cores)  # 0 is the calling thread, not the process
