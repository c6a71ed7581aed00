"""Holding BLAS to one thread, while threads of our own share the work.

The number of BLAS threads belongs to the process, not to a thread. So it is set to 1 when the first evaluation
starts and set back when the last one ends, also where several estimators fit at the same time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["BLAS"]


class _BlasThreads:
    """The number of threads of the BLAS libraries in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._controller: Any = None
        self._holders = 0
        self._limiter: Any = None
        self._count_before = 0

    def thread_count(self) -> int:
        """Return the most threads that a BLAS would use if it were not held; 0 where no BLAS is known."""
        with self._lock:
            return self._count_before if self._holders else self._current_count()

    @contextmanager
    def one_thread(self) -> Iterator[None]:
        """Hold BLAS to one thread inside the `with` block."""
        with self._lock:
            if self._holders == 0:
                self._count_before = self._current_count()
                self._limiter = self._controller.limit(limits=1, user_api="blas")
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if self._holders == 0:
                    self._limiter.restore_original_limits()
                    self._limiter = None

    def _current_count(self) -> int:
        if self._controller is None:  # looking for the libraries takes milliseconds, so it is done once
            self._controller = ThreadpoolController().select(user_api="blas")
        return max((library.num_threads for library in self._controller.lib_controllers), default=0)


BLAS = _BlasThreads()
