"""Holding BLAS to one thread, while threads of our own share the work.

The number of BLAS threads belongs to the process, not to a thread. So it is set to 1 when the first evaluation
starts and set back when the last one ends, also where several estimators fit at the same time.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["BLAS"]


class _Holder:
    """Stands for one `with` block that holds BLAS."""


class _BlasThreads:
    """The number of threads of the BLAS libraries in this process.

    Ctrl-C may strike at any point of what follows. So the counts to go back to are stored before anything is changed,
    and holders are known by weak references: one whose exit was cut short is forgotten with its frame, and the next
    call puts right what it left.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._libraries: list[Any] | None = None
        self._holders: weakref.WeakSet[_Holder] = weakref.WeakSet()
        self._counts_before: list[int] | None = None  # while BLAS is held

    def thread_count(self) -> int:
        """Return the most threads that a BLAS would use if it were not held; 0 where no BLAS is known."""
        with self._lock:
            self._settle()
            return max(self._counts_before or self._counts(), default=0)

    @contextmanager
    def one_thread(self) -> Iterator[None]:
        """Hold BLAS to one thread inside the `with` block."""
        holder = _Holder()
        try:
            with self._lock:
                self._settle()
                self._holders.add(holder)
                if self._counts_before is None:
                    self._counts_before = self._counts()
                    self._set([1] * len(self._counts_before))
            yield
        finally:
            with self._lock:
                self._holders.discard(holder)
                self._settle()

    def _settle(self) -> None:
        """Set BLAS back if nobody holds it."""
        if not self._holders and self._counts_before is not None:
            self._set(self._counts_before)
            self._counts_before = None

    def _counts(self) -> list[int]:
        if self._libraries is None:  # looking for them takes milliseconds, so it is done once
            self._libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        return [library.num_threads for library in self._libraries]

    def _set(self, counts: list[int]) -> None:
        for library, count in zip(self._libraries or (), counts, strict=True):
            library.set_num_threads(count)


BLAS = _BlasThreads()
