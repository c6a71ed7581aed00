"""Safe forks of a process in which several threads are at work.

A fork copies the whole memory, but only the thread that forks. A lock that another thread holds at that moment stays
locked for ever in the child. This applies to rhohat's own locks and to locks inside BLAS, for which the child's first
matrix product would wait without end. A fork therefore waits until no thread of rhohat is inside BLAS, which takes as
long as the work on a block of rows. Locks that are held for longer are replaced by new ones in the child.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from threading import get_ident
from typing import Any, Generic, TypeVar, overload

__all__ = ["ProcessLock", "cached", "give_way", "held_off"]

_T = TypeVar("_T")

_LONGEST_WAIT = 5.0  # seconds that a fork waits at most, as a thread at work may itself wait for the thread that forks
_A_WHILE = 1e-3  # seconds for which a thread at work pauses to let a fork begin
_NEWCOMERS = 0  # no thread has this identifier

#: The locks of threads that are at work, by thread identifier. The first lock guards the addition of further locks.
_at_work: dict[int, threading.RLock] = {_NEWCOMERS: threading.RLock()}
_fork_waits = False
_n_forks = 0  # number of forks between the first process and this one


def held_off() -> threading.RLock:
    """Return a context manager inside which no other thread can fork the process.

    It is meant for work that must not be copied unfinished and takes some milliseconds at most, such as a matrix
    product or a block of rows. A fork in another thread waits for at most five seconds. The calling thread may fork.

    Returns
    -------
    threading.RLock
        A lock that only the calling thread uses, so that threads do not wait for one another. It is acquired in one
        step, which Ctrl-C cannot interrupt.

    Examples
    --------
    >>> with held_off():
    ...     2 * 3
    6
    """
    try:
        return _at_work[get_ident()]
    except KeyError:
        with _at_work[_NEWCOMERS]:
            return _at_work.setdefault(get_ident(), threading.RLock())


def give_way() -> None:
    """Pause the calling thread for a moment if a fork is waiting.

    Without a pause, a thread that releases its lock and acquires it again at once would always be faster than the
    fork, which needs that lock.
    """
    if _fork_waits:
        time.sleep(_A_WHILE)


class ProcessLock:
    """A lock for the threads of one process; in a forked child, a new, free lock takes its place.

    It is meant for locks that may be held for a long time, and that guard objects whose state is consistent at any
    moment, since a process may be forked while the lock is held.

    Examples
    --------
    >>> reading = ProcessLock()
    >>> with reading.here:
    ...     2 * 3
    6
    """

    def __init__(self) -> None:
        self._locks: dict[int, threading.Lock] = {}

    @property
    def here(self) -> threading.Lock:
        """Plain lock, always the same one within a process, whose acquisition Ctrl-C cannot interrupt."""
        try:
            return self._locks[_n_forks]
        except KeyError:
            return self._locks.setdefault(_n_forks, threading.Lock())


class cached(Generic[_T]):  # noqa: N801 - it is used like `property`
    """A property that is computed once per instance and then stored, without a lock.

    In Python 3.11, `functools.cached_property` holds one lock for all instances while it computes a value, and a child
    that is forked meanwhile would wait for this lock for ever. Without the lock, two threads may compute the same value
    twice.

    Examples
    --------
    >>> class Square:
    ...     side = 3
    ...     @cached
    ...     def area(self):
    ...         print("computed")
    ...         return self.side**2
    >>> square = Square()
    >>> square.area, square.area
    computed
    (9, 9)
    """

    def __init__(self, function: Callable[[Any], _T]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> cached[_T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> _T: ...
    def __get__(self, instance: object, owner: type) -> cached[_T] | _T:
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._function(instance)  # Python looks there first from now on
        return value


def _hold_others_off() -> None:
    """Acquire the locks of all other threads, always in the same order, so that two forking threads do not deadlock."""
    global _fork_waits
    _fork_waits = True
    thread, deadline = get_ident(), time.monotonic() + _LONGEST_WAIT
    for other, lock in list(_at_work.items()):
        if other != thread:
            lock.acquire(timeout=max(0.0, deadline - time.monotonic()))


def _let_others_go_on() -> None:
    global _fork_waits
    _fork_waits = False
    thread = get_ident()
    for other, lock in list(_at_work.items()):
        if other != thread:
            with suppress(RuntimeError):  # the lock was not acquired in time, or was added meanwhile
                lock.release()


def _begin_in_child() -> None:
    """Forget the threads that do not exist in the child, and their locks."""
    global _fork_waits, _n_forks
    _fork_waits = False
    _n_forks += 1
    thread = get_ident()
    own = _at_work.get(thread)
    _at_work.clear()
    _at_work[_NEWCOMERS] = threading.RLock()
    if own is not None and own.acquire(blocking=False):  # otherwise, another thread held it, to fork
        own.release()
        _at_work[thread] = own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_others_off, after_in_parent=_let_others_go_on, after_in_child=_begin_in_child)
