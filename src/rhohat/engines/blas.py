"""Holding BLAS to one thread, while threads of our own share the work.

The number of BLAS threads belongs to the process with some libraries, such as OpenBLAS: it is set to 1 when the first
evaluation starts and set back when the last one ends, also where several estimators fit at the same time. With others,
such as MKL or OpenBLAS on OpenMP, every thread has a number of its own, and every thread of a sum sets its own. Which
it is, and whether a library did as it was told, is looked at each time and not assumed.
"""

from __future__ import annotations

import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from rhohat.common.forks import held_off

__all__ = ["BLAS"]

_T = TypeVar("_T")


class _Library:
    """A BLAS library in this process.

    Attributes
    ----------
    is_shared : bool or None
        Whether its number of threads belongs to the process, not to each thread; None until that is known.
    """

    def __init__(self, controller: Any) -> None:
        self._controller = controller
        self.is_shared: bool | None = None

    @property
    def name(self) -> str:
        return str(self._controller.internal_api)

    @property
    def count(self) -> int:
        """Its number of threads, as the calling thread sees it."""
        return int(self._controller.num_threads)

    def set_count(self, count: int) -> None:
        """Set the number of threads, whoever did so before."""
        controller = self._controller
        # From version 3.8 on, threadpoolctl lets only the thread that was first set that of OpenBLAS. This is below.
        getattr(controller, "_real_set_num_threads", controller.set_num_threads)(count)
        if self.count != count and hasattr(controller, "clear_controlling_thread"):
            controller.clear_controlling_thread(force=True)
            controller.set_num_threads(count)
            controller.clear_controlling_thread(force=True)  # so that other threads may do so as before

    def lower(self) -> bool:
        """Set the number of threads to 1; find out whose it is, if need be; return whether it took."""
        found, elsewhere = self.count, 0
        if self.is_shared is None:
            elsewhere = _in_another_thread(lambda: self.count)
        self.set_count(1)
        if self.count != 1:
            return False
        if self.is_shared is None:
            self.is_shared = elsewhere == found and _in_another_thread(lambda: self.count) == 1
        return True


class _Holder:
    """Stands for one `with` block that holds BLAS."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()


class _Own(threading.local):
    """What each thread has for itself.

    Attributes
    ----------
    counts_before : dict of _Library to int
        Of the libraries whose number of threads is its own, while it holds them.
    newest : weak reference to _Holder, or None
        Its `with` block that began last.
    """

    newest: weakref.ref[_Holder] | None = None

    def __init__(self) -> None:
        self.counts_before: dict[_Library, int] = {}


class _BlasThreads:
    """The number of threads of the BLAS libraries in this process.

    Ctrl-C may strike at any point of what follows. So the counts to go back to are stored before anything is changed,
    and holders are known by weak references: one whose exit was cut short is forgotten with its frame, and the next
    call puts right what it left.

    Others may set the count, too: threadpoolctl in another thread, say. Every hold looks again, and what it finds in
    the place of 1 is what BLAS is set back to.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._libraries: list[_Library] | None = None
        self._holders: weakref.WeakSet[_Holder] = weakref.WeakSet()
        self._n_threads = 0  # that hold BLAS
        self._counts_before: dict[_Library, int] = {}  # while the libraries are held
        self._own = _Own()
        self._refused: str | None = None  # the library that did not do as it was told
        self._warned = False

    def thread_count(self) -> int:
        """Return the most threads that a BLAS would use here if it were not held; 0 where no BLAS is known."""
        with held_off(), self._lock:
            self._settle()
            before = self._counts_before | self._own.counts_before
            counts = {library: library.count for library in self._found()}
            return max((before.get(library, 1) if n == 1 else n for library, n in counts.items()), default=0)

    @contextmanager
    def one_thread(self) -> Iterator[int]:
        """Hold BLAS to one thread inside the `with` block.

        Yields
        ------
        int
            How many threads of this process do so at the moment, at least 1.
        """
        holder = _Holder()
        try:
            with held_off(), self._lock:
                self._settle()
                self._holders.add(holder)
                self._own.newest = weakref.ref(holder)
                self._hold(self._found())
                self._n_threads = len({holder.thread for holder in self._holders})
            self._warn()
            yield self._n_threads
        finally:
            with held_off(), self._lock:
                self._holders.discard(holder)
                self._settle()

    def one_thread_for_a_sum(self) -> AbstractContextManager[int]:
        """Return what `one_thread` does, for a `with` block inside of which the thread ends no other one.

        Where the calling thread holds BLAS already, it takes no lock, unless somebody else set BLAS meanwhile. So
        threads whose sums are short do not wait for one another.
        """
        newest = self._own.newest
        if newest is None or newest() not in self._holders:  # a traceback may keep one that has ended
            return self.one_thread()
        for library in self._libraries or ():
            if library.count != 1:
                with held_off(), self._lock:
                    self._hold([library])
                self._warn()
        return nullcontext(self._n_threads)

    def hold_for_good(self) -> None:
        """Hold BLAS to one thread in the calling thread, a helper of one that holds it, for as long as it lives."""
        with held_off(), self._lock:
            self._hold([library for library in self._found() if not library.is_shared])  # else the other one holds it
            self._own.counts_before.clear()
            self._settle()

    def begin_in_child(self) -> None:
        """Forget the threads that a forked child does not have, and set BLAS back if only they held it."""
        self._lock = threading.Lock()
        thread = threading.get_ident()
        self._holders = weakref.WeakSet(holder for holder in self._holders if holder.thread == thread)
        self._settle()

    def _hold(self, libraries: Sequence[_Library]) -> None:
        """Set to 1 what is not."""
        for library in libraries:
            count = library.count
            if count == 1:
                continue
            (self._own.counts_before if library.is_shared is False else self._counts_before)[library] = count
            if not library.lower():
                self._refused = library.name
            if library.is_shared is False:  # which may be known only now
                self._own.counts_before[library] = count
                self._counts_before.pop(library, None)

    def _settle(self) -> None:
        """Set back what nobody holds any more, unless somebody else did so."""
        threads = {holder.thread for holder in self._holders}
        self._n_threads = len(threads)
        if not threads:
            self._restore(self._counts_before)
        if threading.get_ident() not in threads:
            self._restore(self._own.counts_before)

    @staticmethod
    def _restore(counts: dict[_Library, int]) -> None:
        for library, count in list(counts.items()):
            if library.count == 1:
                library.set_count(count)
            del counts[library]

    def _found(self) -> list[_Library]:
        if self._libraries is None:  # looking for them takes milliseconds, so it is done once
            controllers = ThreadpoolController().select(user_api="blas").lib_controllers
            self._libraries = [_Library(found) for found in controllers if found.num_threads is not None]
        return self._libraries

    def _warn(self) -> None:
        """Say once that BLAS could not be held."""
        if self._refused is None or self._warned:
            return
        self._warned = True
        warnings.warn(
            f"The BLAS library {self._refused} could not be held to one thread: fits take longer, and their last digits"
            " may differ from one run to another. Set the environment variable OMP_NUM_THREADS to 1 before Python"
            " starts, and n_jobs to -1 or the number of threads that fits shall use.",
            RuntimeWarning,
            stacklevel=2,
        )


def _in_another_thread(function: Callable[[], _T]) -> _T:
    """Return what a function returns in a new thread, which has set nothing."""
    results: list[_T] = []
    thread = threading.Thread(target=lambda: results.append(function()), name="rhohat", daemon=True)
    thread.start()
    thread.join()
    return results[0]


BLAS = _BlasThreads()
