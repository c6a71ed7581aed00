"""Limiting BLAS to one thread while the engine's own threads share the work.

In some libraries, such as OpenBLAS, the number of BLAS threads is a setting of the process. It is set to 1 when the
first evaluation starts and set back when the last evaluation ends, also if several estimators are fitted at the same
time. In other libraries, such as MKL or OpenBLAS on OpenMP, every thread has a setting of its own, and every thread of
a sum changes its own setting. Tests at run time show which of the two applies, and whether a library accepted the
setting.
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
        Whether the number of threads is a setting of the process, not of each thread; None until this is known.
    """

    def __init__(self, controller: Any) -> None:
        self._controller = controller
        self.is_shared: bool | None = None

    @property
    def name(self) -> str:
        return str(self._controller.internal_api)

    @property
    def count(self) -> int:
        """The library's number of threads that applies to the calling thread."""
        return int(self._controller.num_threads)

    def set_count(self, count: int) -> None:
        """Set the number of threads of BLAS, even if another thread of Python has set it before."""
        controller = self._controller
        # From version 3.8 on, threadpoolctl allows only the first thread that set OpenBLAS's number of threads to set
        # it again. The method called here is below that check.
        getattr(controller, "_real_set_num_threads", controller.set_num_threads)(count)
        if self.count != count and hasattr(controller, "clear_controlling_thread"):
            controller.clear_controlling_thread(force=True)
            controller.set_num_threads(count)
            controller.clear_controlling_thread(force=True)  # so that other threads may set the number as before

    def lower(self) -> bool:
        """Set the number of threads to 1, determine `is_shared` if it is None, and return whether the number is 1."""
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
    """Object that stands for a `with` block that limits BLAS to one thread."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()


class _Own(threading.local):
    """Data of each thread.

    Attributes
    ----------
    counts_before : dict of _Library to int
        Original numbers of threads, while this thread limits them, of the libraries in which every thread has a
        setting of its own.
    newest : weak reference to _Holder, or None
        The `with` block of this thread that began last.
    """

    newest: weakref.ref[_Holder] | None = None

    def __init__(self) -> None:
        self.counts_before: dict[_Library, int] = {}


class _BlasThreads:
    """The number of threads of the BLAS libraries in this process.

    Ctrl-C may interrupt the methods at any point. Therefore the original numbers are stored before anything is changed,
    and the `with` blocks that limit BLAS are referenced weakly, as `_Holder` objects: if the exit of a block was
    interrupted, its holder disappears with its frame, and the next call restores the numbers.

    Other code, such as threadpoolctl in another thread, may set the number, too. Therefore every `with` block checks
    the number again. If the number is not 1 then, BLAS is later set back to that number.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._libraries: list[_Library] | None = None
        self._holders: weakref.WeakSet[_Holder] = weakref.WeakSet()
        self._n_threads = 0  # number of threads that hold BLAS
        self._counts_before: dict[_Library, int] = {}  # original counts, while the libraries are held
        self._own = _Own()
        self._refused: str | None = None  # name of a library that could not be set to one thread
        self._warned = False

    def thread_count(self) -> int:
        """Return the largest number of threads that a BLAS library would use if not limited; 0 if there is no BLAS."""
        with held_off(), self._lock:
            self._settle()
            before = self._counts_before | self._own.counts_before
            counts = {library: library.count for library in self._found()}
            return max((before.get(library, 1) if n == 1 else n for library, n in counts.items()), default=0)

    @contextmanager
    def one_thread(self) -> Iterator[int]:
        """Limit BLAS to one thread inside the `with` block.

        Yields
        ------
        int
            Number of threads of this process that limit BLAS at the moment, at least 1.
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
        """Return a context manager like `one_thread` that takes no lock if the calling thread limits BLAS already.

        A lock is still needed if other code has set BLAS meanwhile. Otherwise, threads whose sums are short do not wait
        for one another. Within the `with` block, no other such block may end.
        """
        newest = self._own.newest
        if newest is None or newest() not in self._holders:  # a traceback may keep a holder alive that has ended
            return self.one_thread()
        for library in self._libraries or ():
            if library.count != 1:
                with held_off(), self._lock:
                    self._hold([library])
                self._warn()
        return nullcontext(self._n_threads)

    def hold_for_good(self) -> None:
        """Limit BLAS to one thread in the calling helper thread, for as long as that thread lives."""
        with held_off(), self._lock:
            # The thread that the helper works for limits the libraries whose setting belongs to the process.
            self._hold([library for library in self._found() if not library.is_shared])
            self._own.counts_before.clear()
            self._settle()

    def begin_in_child(self) -> None:
        """Forget the threads that do not exist in a forked child, and set BLAS back if no other thread limits it."""
        self._lock = threading.Lock()
        thread = threading.get_ident()
        self._holders = weakref.WeakSet(holder for holder in self._holders if holder.thread == thread)
        self._settle()

    def _hold(self, libraries: Sequence[_Library]) -> None:
        """Set every BLAS library that uses several threads to one thread, and store its original number of threads."""
        for library in libraries:
            count = library.count
            if count == 1:
                continue
            (self._own.counts_before if library.is_shared is False else self._counts_before)[library] = count
            if not library.lower():
                self._refused = library.name
            if library.is_shared is False:  # this may have become known only in `lower`
                self._own.counts_before[library] = count
                self._counts_before.pop(library, None)

    def _settle(self) -> None:
        """Set back the libraries that no thread limits any more, unless other code has set them."""
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
        if self._libraries is None:  # the search takes milliseconds, so it is done once
            controllers = ThreadpoolController().select(user_api="blas").lib_controllers
            self._libraries = [_Library(found) for found in controllers if found.num_threads is not None]
        return self._libraries

    def _warn(self) -> None:
        """Warn, only once, that BLAS could not be limited to one thread."""
        if self._refused is None or self._warned:
            return
        self._warned = True
        warnings.warn(
            f"The BLAS library {self._refused} could not be limited to one thread: each fit takes longer, and the last"
            " digits of their results may differ from one run to another. Set the environment variable OMP_NUM_THREADS"
            " to 1 before Python starts, and set n_jobs to -1 or to the number of threads that a fit should use.",
            RuntimeWarning,
            stacklevel=2,
        )


def _in_another_thread(function: Callable[[], _T]) -> _T:
    """Return the result of a function that is called in a new thread, where no setting has been changed."""
    results: list[_T] = []
    thread = threading.Thread(target=lambda: results.append(function()), name="rhohat", daemon=True)
    thread.start()
    thread.join()
    return results[0]


BLAS = _BlasThreads()
