"""Forks of a process in which several threads are at work.

A fork copies the whole memory, but only the thread that forks. Whatever another thread held at that moment is held for
ever in the child: locks of ours, and locks inside BLAS, on which the child's first product would wait without an end.
So a fork waits until no thread of ours is within BLAS, which takes as long as a block of rows does; and locks that are
held for longer are renewed in the child.
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

_LONGEST_WAIT = 5.0  # seconds that a fork waits: a thread at work may itself wait for the thread that forks
_A_WHILE = 1e-3  # seconds that a thread at work stands back
_NEWCOMERS = 0  # no thread has this identifier

#: The locks of threads that are at work, by their identifiers. The first one is for adding others.
_at_work: dict[int, threading.RLock] = {_NEWCOMERS: threading.RLock()}
_fork_waits = False
_n_forks = 0  # between the first process and this one


def held_off() -> threading.RLock:
    """Return a context manager inside of which no other thread forks.

    It is for what must not be copied half done, and takes some milliseconds at most: a product of matrices, or a block
    of rows. A fork that has waited for five seconds does not wait any longer. The thread itself may fork.

    Returns
    -------
    threading.RLock
        The calling thread's own, so that threads do not wait for one another. It is taken in one step, which Ctrl-C
        cannot cut short.

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
    """Stand back for a moment if a fork waits.

    A thread that lets go of its lock only to take it again at once would do so before the fork can, again and again.
    """
    if _fork_waits:
        time.sleep(_A_WHILE)


class ProcessLock:
    """A lock among the threads of a process. A forked child has another one, which nobody holds.

    It is for locks that may be held for long, while they guard something that is in order at any time.

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
        """A plain lock, always the same one in this process; Ctrl-C cannot cut it short when it is taken."""
        try:
            return self._locks[_n_forks]
        except KeyError:
            return self._locks.setdefault(_n_forks, threading.Lock())


class cached(Generic[_T]):  # noqa: N801 - it is used as `property` is
    """A property that is computed once, without a lock.

    `functools.cached_property` of Python 3.11 has a lock for all instances together, held while it computes: a child
    that is forked meanwhile would wait for it without an end. Here two threads may compute the same value twice.

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
        value = instance.__dict__[self._name] = self._function(instance)  # where it is found before this is asked
        return value


def _hold_others_off() -> None:
    """Take the lock of every other thread, always in the same order, so that two threads may fork at a time."""
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
            with suppress(RuntimeError):  # it was not to be had in time, or was added meanwhile
                lock.release()


def _begin_in_child() -> None:
    """Forget the threads that are not here, and what they held."""
    global _fork_waits, _n_forks
    _fork_waits = False
    _n_forks += 1
    thread = get_ident()
    own = _at_work.get(thread)
    _at_work.clear()
    _at_work[_NEWCOMERS] = threading.RLock()
    if own is not None and own.acquire(blocking=False):  # else another thread had it, that wanted to fork as well
        own.release()
        _at_work[thread] = own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_others_off, after_in_parent=_let_others_go_on, after_in_child=_begin_in_child)
