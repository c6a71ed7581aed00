"""The progress of a fit, with J and the time: a bar in terminals and notebooks, and otherwise a line now and then."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from rhohat.solvers.pass_progress import PassProgress
from rhohat.solvers.result import IterationState

__all__ = ["ShowProgress"]

_SECONDS_BETWEEN_LINES = 10.0


class ShowProgress:
    """Callback that shows the progress of a fit on standard error while it is used as a context manager.

    A terminal or a notebook shows a bar, if Rich or tqdm is installed. Otherwise a line is printed every ten seconds.

    Parameters
    ----------
    max_iter : int or None
        Largest number of iterations; None if it is not known.
    clock : callable, default=time.monotonic
        Function that returns the time in seconds.

    Examples
    --------
    >>> import numpy as np
    >>> with ShowProgress(max_iter=40) as progress:
    ...     progress(IterationState(1, 0.5, {}, 0.1, np.zeros(2)))
    """

    def __init__(self, max_iter: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_iter, self._clock = max_iter, clock
        self._passes = PassProgress(clock)

    def __enter__(self) -> ShowProgress:
        self._began = self._clock()
        self._display = _display_for(self._clock)
        return self

    def __exit__(self, *_: object) -> None:
        self._display.close()

    def __call__(self, state: IterationState) -> None:
        """Show the state after an iteration."""
        if state.measures:
            self._passes.note(state.measures)
            return
        seconds = self._clock() - self._began
        end = f"J {state.value:.4g}  {seconds:.0f} s"
        if state.n_rows is not None:
            self._display.show(0, None, f"warm-up on {state.n_rows:,} rows, iteration {state.iteration}  {end}")
            return
        total = None if self._max_iter is None else max(self._max_iter, state.iteration)
        of_all = "" if total is None else f"/{total}"
        self._display.show(state.iteration, total, f"iteration {state.iteration}{of_all}  {end}")

    def watch(self, n_updates: int, n_in_pass: int | None, n_passes: int) -> None:
        """Show how far the training of a dictionary is, after an update."""
        if self._passes.move(n_updates, n_in_pass, n_passes):
            seconds = self._clock() - self._began
            self._display.show(n_updates, self._passes.total, f"{self._passes.text}  {seconds:.0f} s")


class _Display(Protocol):
    def show(self, done: int, total: int | None, text: str) -> None:
        """Show how many iterations or updates of how many are done, and a text."""

    def close(self) -> None:
        """End the display."""


class _Lines:
    """Lines of text, one every ten seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._last = clock, clock()

    def show(self, done: int, total: int | None, text: str) -> None:
        if self._clock() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = self._clock()
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Do nothing, since every line is whole."""


class _RichBar:
    """A bar of Rich."""

    def __init__(self, rich: Any) -> None:
        console = importlib.import_module("rich.console").Console(stderr=True)
        columns = rich.TextColumn("{task.description}", markup=False), rich.BarColumn(20), rich.TimeRemainingColumn()
        self._bar = rich.Progress(*columns, console=console)
        self._task = self._bar.add_task("", total=None)
        self._bar.start()

    def show(self, done: int, total: int | None, text: str) -> None:
        self._bar.update(self._task, completed=done, total=total, description=text)

    def close(self) -> None:
        self._bar.stop()


class _TqdmBar:
    """A bar of tqdm."""

    def __init__(self, tqdm: Any) -> None:
        self._bar = tqdm.tqdm(total=None)

    def show(self, done: int, total: int | None, text: str) -> None:
        self._bar.total, self._bar.n = total, done
        self._bar.set_description_str(text)

    def close(self) -> None:
        self._bar.close()


def _display_for(clock: Callable[[], float]) -> _Display:
    """Return a bar if standard error can show one, and else lines."""
    if sys.stderr.isatty() or _in_notebook():
        for module, bar in (("rich.progress", _RichBar), ("tqdm.auto", _TqdmBar)):
            try:
                return bar(importlib.import_module(module))
            except ImportError:
                continue
    return _Lines(clock)


def _in_notebook() -> bool:
    """Return whether this runs in a kernel of Jupyter."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"
