"""Display of progress on standard error: a live line on a terminal, and else a line every ten seconds."""

from __future__ import annotations

import sys
import time
from typing import Any, Self

from rhohat.modules.harvest_run import HarvestState
from rhohat.solvers import IterationState
from rhohat.solvers.pass_progress import PassProgress

__all__ = ["FitProgress", "HarvestProgress"]

_SECONDS = 10.0  # from one line to the next, where standard error is no terminal


class _Display:
    """A live line on standard error; where that is no terminal, and unless all is quiet, lines are printed."""

    def __init__(self, *, quiet: bool) -> None:
        self._live = _live_display() if sys.stderr.isatty() and not quiet else None
        self._prints = not quiet and self._live is None
        self._start = self._printed = time.monotonic()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._task = self._live.add_task("", total=None)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def announce(self, step: str) -> None:
        """Show the description of the step that is about to begin."""
        if self._live is not None:
            self._live.reset(self._task, total=None, description=step)


class FitProgress(_Display):
    """A live line that shows the current step and, in a fit, the iteration, the cost J, a bar and the time left.

    In the fit of a dictionary it shows the pass over the rows, and moves with every update.

    Where standard error is no terminal, such as in a log, a line is printed every ten seconds instead. The line fits
    a terminal of 80 columns.
    """

    def __init__(self, max_iter: int | None = None, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self._max_iter = max_iter
        self._run = (0, self._start)  # number and time of the first iteration over all rows, or of the first update
        self._passes = PassProgress(lambda: time.monotonic())

    def __deepcopy__(self, memo: object) -> FitProgress:
        """Return the same object, so that the layers of a stack, which are copies, share one line of the terminal."""
        return self

    def expect(self, max_iter: int | None) -> None:
        """Set the largest number of iterations of the next fit."""
        self._max_iter = max_iter

    def announce(self, step: str) -> None:
        """Show the description of the step that is about to begin."""
        self._start = time.monotonic()
        super().announce(step)

    def __call__(self, state: IterationState) -> None:
        """Show the state of a fit after an iteration, as a callback of an estimator."""
        if state.measures:
            self._passes.note(state.measures)
            return
        in_warm_up = state.n_rows is not None
        self._begin_run(0 if in_warm_up else state.iteration)
        self._show(state.iteration, None if in_warm_up else self._max_iter, self._of_network(state))

    def watch(self, n_updates: int, n_in_pass: int | None, n_passes: int) -> None:
        """Show how far the training of a dictionary is, after an update."""
        self._begin_run(n_updates)
        if self._passes.move(n_updates, n_in_pass, n_passes):
            self._show(n_updates, self._passes.total, self._passes.text)

    def _begin_run(self, done: int) -> None:
        """Take note of the time if this is the first iteration over all rows, or the first update, of a fit."""
        if not 0 < self._run[0] <= done:
            self._run = (done, time.monotonic())

    def _show(self, done: int, total: int | None, description: str) -> None:
        """Show what is known of a fit, and how much of it is done."""
        if self._live is not None:
            self._live.update(self._task, total=total, completed=done, description=description)
        elif self._prints and time.monotonic() - self._printed >= _SECONDS:
            self._printed = time.monotonic()
            line = f"{self._printed - self._start:.0f} s  {description}{self._left(done, total)}"
            print(line, file=sys.stderr, flush=True)

    def _of_network(self, state: IterationState) -> str:
        """Return what is known of an iteration, such as ``iteration 12/400  J 0.4411``."""
        if state.n_rows is not None:
            return f"warm-up on {state.n_rows:,} rows, iteration {state.iteration}  J {state.value:.4f}"
        return f"iteration {state.iteration}/{self._max_iter or '…'}  J {state.value:.4f}"

    def _left(self, done: int, total: int | None) -> str:
        """Return the time that is left at most, judged by the iterations over all rows, or the updates, so far."""
        first, start = self._run
        if total is None or done <= first:
            return ""
        seconds = (time.monotonic() - start) / (done - first) * max(0, total - done)
        return f"  at most {_duration(seconds)} left"


class HarvestProgress(_Display):
    """A live line that shows the rows of a harvest, how many come in a second, a bar and the time left.

    Where standard error is no terminal, such as in a log, a line is printed every ten seconds instead.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self._first: tuple[int, float] | None = None
        self._last = (0, self._start)

    def __call__(self, state: HarvestState) -> None:
        """Show how far a harvest is."""
        now = time.monotonic()
        if self._first is None:  # the time before it went into loading the model and into texts that were done before
            self._first = (state.n_rows, now)
        self._last = (state.n_rows, now)
        description = f"{state.n_rows:,} of {state.n_wanted:,} rows"
        if self._live is not None:
            self._live.update(
                self._task,
                total=state.n_wanted,
                completed=state.n_rows,
                description=f"{description}{self.speed}",
            )
        elif self._prints and now - self._printed >= _SECONDS:
            self._printed = now
            left = f"  about {_duration((state.n_wanted - state.n_rows) / self._per_second)} left" if self.speed else ""
            print(f"{now - self._start:.0f} s  {description}{self.speed}{left}", file=sys.stderr, flush=True)

    @property
    def has_begun(self) -> bool:
        """Whether there were new rows."""
        return self._first is not None

    @property
    def speed(self) -> str:
        """Rows in a second, in words that follow a sentence; "" if that is not known yet."""
        return f", {self._per_second:,.0f} rows/s" if self._per_second > 0 else ""

    @property
    def _per_second(self) -> float:
        n_rows, now = self._last
        n_first, start = self._first or self._last
        return (n_rows - n_first) / (now - start) if now > start else 0.0


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
        BarColumn(bar_width=8),
        TimeRemainingColumn(compact=True),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)
