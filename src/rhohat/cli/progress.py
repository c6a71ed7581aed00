"""Display of progress on standard error, if standard error is a terminal."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeRemainingColumn

from rhohat.solvers import IterationState

__all__ = ["FitProgress"]


class FitProgress:
    """A live line that shows the current step and, in a fit, the iteration, the cost J, its terms and the time left."""

    def __init__(self, max_iter: int | None = None, *, quiet: bool = False) -> None:
        console = Console(stderr=True)
        columns: tuple[ProgressColumn, ...] = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TimeRemainingColumn(compact=True),
        )
        self._progress = Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)
        self._max_iter = max_iter
        self._seen: tuple[float, float] | None = None  # time and number of rows at the last iteration of a dictionary

    def __enter__(self) -> FitProgress:
        self._task = self._progress.add_task("", total=None)
        if not self._progress.disable:  # a disabled display of an early Rich still ends with an empty line
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._progress.disable:
            self._progress.stop()

    def __deepcopy__(self, memo: object) -> FitProgress:
        """Return the same object, so that the layers of a stack, which are copies, share one line of the terminal."""
        return self

    def expect(self, max_iter: int | None) -> None:
        """Set the largest number of iterations of the next fit."""
        self._max_iter = max_iter

    def announce(self, step: str) -> None:
        """Show the description of the step that is about to begin."""
        self._progress.reset(self._task, total=None, description=step)

    def show_iteration(self, state: IterationState) -> None:
        """Show the state of a fit after an iteration; this method is a callback for estimators."""
        if state.measures:
            self._show_measures(state)
            return
        terms = " + ".join(f"{value:.4f} {name.replace('_', ' ')}" for name, value in state.terms.items())
        in_warm_up = state.n_rows is not None
        course = f"/{self._max_iter or '…'}" if not in_warm_up else f" of the warm-up on {state.n_rows:,} rows"
        self._progress.update(
            self._task,
            total=None if in_warm_up else self._max_iter,
            completed=state.iteration,
            description=f"iteration {state.iteration}{course}  J {state.value:.4f} = {terms}",
        )

    def _show_measures(self, state: IterationState) -> None:
        """Show the state of the training of a dictionary, with the number of rows that it learns from in a second."""
        now, n_rows = time.monotonic(), state.measures["rows"]
        before, self._seen = self._seen, (now, n_rows)
        speed = f"  {(n_rows - before[1]) / (now - before[0]):,.0f} rows/s" if before and now > before[0] else ""
        self._progress.update(
            self._task,
            description=f"{n_rows:,.0f} rows{speed}  J {state.value:.4f}  FVU {state.measures['fvu']:.4f}"
            f"  L0 {state.measures['l0']:.1f}  dead {state.measures['dead']:.0f}",
        )
