"""Holding Ctrl-C back while something is half done."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["HeldInterrupts", "interrupts_held"]


class HeldInterrupts:
    """Remembers that Ctrl-C was pressed, until it is released."""

    def __init__(self) -> None:
        self._pressed = False

    def press(self, number: int, frame: FrameType | None) -> None:
        """Take a signal; the second one does not wait."""
        if self._pressed:
            raise KeyboardInterrupt
        self._pressed = True

    def release(self) -> None:
        """Raise KeyboardInterrupt, if Ctrl-C was pressed meanwhile."""
        if self._pressed:
            self._pressed = False
            raise KeyboardInterrupt


@contextmanager
def interrupts_held() -> Iterator[HeldInterrupts]:
    """Hold Ctrl-C back inside the `with` block, but where its `release` is called, and until the end.

    Only where Ctrl-C raises KeyboardInterrupt, in the main thread: whoever handles it otherwise keeps doing so.
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
    """Let Ctrl-C through in a forked child, where nobody may be left who would release it."""
    if isinstance(getattr(signal.getsignal(signal.SIGINT), "__self__", None), HeldInterrupts):
        signal.signal(signal.SIGINT, signal.default_int_handler)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
