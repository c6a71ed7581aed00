"""Display of progress on standard error: a live line on a terminal, and else a line every ten seconds."""

from __future__ import annotations

import sys
import time
from typing import Any

from rhohat.solvers import IterationState

__all__ = ["FitProgress"]

_SECONDS = 10.0  # from one line to the next, where standard error is no terminal


class FitProgress:
    """A live line that shows the current step and, in a fit, the iteration, the cost J, a bar and the time left.

    Where standard error is no terminal, such as in a log, a line is printed every ten seconds instead. The line fits
    a terminal of 80 columns.
    """

    def __init__(self, max_iter: int | None = None, *, quiet: bool = False) -> None:
        self._live = _live_display() if sys.stderr.isatty() and not quiet else None
        self._prints = not quiet and self._live is None
        self._max_iter = max_iter
        self._step, self._start, self._printed = "", time.monotonic(), time.monotonic()
        self._seen: tuple[float, float] | None = None  # time and number of rows at the last iteration of a dictionary
        self._run = (0, self._start)  # number and time of the first iteration over all rows

    def __enter__(self) -> FitProgress:
        if self._live is not None:
            self._task = self._live.add_task("", total=None)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __deepcopy__(self, memo: object) -> FitProgress:
        """Return the same object, so that the layers of a stack, which are copies, share one line of the terminal."""
        return self

    def expect(self, max_iter: int | None) -> None:
        """Set the largest number of iterations of the next fit."""
        self._max_iter = max_iter

    def announce(self, step: str) -> None:
        """Show the description of the step that is about to begin."""
        self._step, self._start = step, time.monotonic()
        if self._live is not None:
            self._live.reset(self._task, total=None, description=step)

    def show_iteration(self, state: IterationState) -> None:
        """Show the state of a fit after an iteration; this method is a callback for estimators."""
        in_warm_up = state.n_rows is not None
        if in_warm_up or not 0 < self._run[0] <= state.iteration:
            self._run = (0 if in_warm_up else state.iteration, time.monotonic())
        total = None if in_warm_up or state.measures else self._max_iter
        description = self._of_dictionary(state) if state.measures else self._of_network(state)
        if self._live is not None:
            self._live.update(self._task, total=total, completed=state.iteration, description=description)
        elif self._prints and time.monotonic() - self._printed >= _SECONDS:
            self._printed = time.monotonic()
            line = f"{self._printed - self._start:.0f} s  {description}{self._left(state.iteration, total)}"
            print(line, file=sys.stderr, flush=True)

    def _of_network(self, state: IterationState) -> str:
        """Return what is known of an iteration, such as ``iteration 12/400  J 0.4411``."""
        if state.n_rows is not None:
            return f"warm-up on {state.n_rows:,} rows, iteration {state.iteration}  J {state.value:.4f}"
        return f"iteration {state.iteration}/{self._max_iter or '…'}  J {state.value:.4f}"

    def _of_dictionary(self, state: IterationState) -> str:
        """Return what is known of a dictionary, with the number of rows that it learns from in a second."""
        now, n_rows = time.monotonic(), state.measures["rows"]
        before, self._seen = self._seen, (now, n_rows)
        speed = f" {(n_rows - before[1]) / (now - before[0]):,.0f}/s" if before and now > before[0] else ""
        return (
            f"{n_rows:,.0f} rows{speed}  J {state.value:.4f}  FVU {state.measures['fvu']:.4f}"
            f"  L0 {state.measures['l0']:.1f}  dead {state.measures['dead']:.0f}"
        )

    def _left(self, iteration: int, total: int | None) -> str:
        """Return the time that is left at most, judged by the iterations over all rows so far."""
        first, start = self._run
        if total is None or iteration <= first:
            return ""
        seconds = (time.monotonic() - start) / (iteration - first) * max(0, total - iteration)
        return f"  at most {_duration(seconds)} left"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _live_display() -> Any:
    """Return Rich's display of one line, which is imported where there is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=16),
        TimeRemainingColumn(compact=True),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)
