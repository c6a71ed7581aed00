"""Deferral of Ctrl-C while a state is being changed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["HeldInterrupts", "interrupts_held"]


class HeldInterrupts:
    """Signal handler that remembers that Ctrl-C was pressed, until `release` is called."""

    def __init__(self) -> None:
        self._pressed = False

    def press(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal, or raise KeyboardInterrupt at once if one is remembered already."""
        if self._pressed:
            raise KeyboardInterrupt
        self._pressed = True

    def release(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed since the last call."""
        if self._pressed:
            self._pressed = False
            raise KeyboardInterrupt


@contextmanager
def interrupts_held() -> Iterator[HeldInterrupts]:
    """Defer Ctrl-C inside the `with` block until `release` is called or the block ends.

    This takes effect only in the main thread, and only if Ctrl-C raises KeyboardInterrupt there; other signal handlers
    stay in place.
    """
    held = HeldInterrupts()
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not (in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler):
        yield held
        return
    signal.signal(signal.SIGINT, held.press)
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        held.release()


def _begin_in_child() -> None:
    """Restore the default handling of Ctrl-C in a forked child, which may lack the thread that would release it."""
    if isinstance(getattr(signal.getsignal(signal.SIGINT), "__self__", None), HeldInterrupts):
        signal.signal(signal.SIGINT, signal.default_int_handler)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
