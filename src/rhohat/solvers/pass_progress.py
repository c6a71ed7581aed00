"""How far the training of a dictionary is: the pass over the rows, how much of it is done, and the last figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping

__all__ = ["PassProgress"]

_SECONDS_BETWEEN_LOOKS = 0.1


class PassProgress:
    """The progress of a training in passes over the rows, update by update.

    Parameters
    ----------
    clock : callable
        Function that returns the time in seconds.

    Attributes
    ----------
    done : int
        Number of updates of the training so far.
    total : int or None
        Number of updates of the whole training; None if it is not known.

    Examples
    --------
    >>> progress = PassProgress(clock=lambda: 0.0)
    >>> progress.note({"rows": 5e4, "fvu": 0.25, "l0": 32.0, "dead": 3.0})
    >>> progress.move(130, n_in_pass=100, n_passes=2)
    True
    >>> print(progress.text)
    pass 2/2 30 %  FVU 0.2500  L0 32.0  dead 3
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.done, self.total = 0, None
        self._n_in_pass: int | None = None
        self._n_passes, self._n_rows, self._figures = 1, 0.0, ""
        self._looked, self._counted = float("-inf"), (0.0, 0.0)

    done: int
    total: int | None

    def note(self, measures: Mapping[str, float]) -> None:
        """Take note of the figures of a block of updates: those in `IterationState.measures`."""
        now, n_rows = self._clock(), measures["rows"]
        before, self._counted = self._counted, (now, n_rows)
        self._n_rows = n_rows
        self._figures = f"  FVU {measures['fvu']:.4f}  L0 {measures['l0']:.1f}  dead {measures['dead']:.0f}"
        if before[1] and now > before[0]:
            self._figures += f"  {(n_rows - before[1]) / (now - before[0]):,.0f} rows/s"

    def move(self, n_updates: int, n_in_pass: int | None, n_passes: int) -> bool:
        """Take note of an update, and return whether it is time to show the progress, ten times a second."""
        self.done, self._n_in_pass, self._n_passes = n_updates, n_in_pass, n_passes
        self.total = None if n_in_pass is None else n_in_pass * n_passes
        now = self._clock()
        if now - self._looked < _SECONDS_BETWEEN_LOOKS and self.done != self.total:
            return False
        self._looked = now
        return True

    @property
    def text(self) -> str:
        """The pass, the share of it that is done, and the last figures.

        While it is not known how many updates a pass has, as with an iterator, the number of rows stands for the share.
        """
        if self._n_in_pass is None:
            which = f"pass 1/{self._n_passes} " if self._n_passes > 1 else ""
            return f"{which}{self._n_rows:,.0f} rows{self._figures}"
        begun = min(-(-self.done // self._n_in_pass), self._n_passes) or 1
        share = self.done / self._n_in_pass - (begun - 1)
        return f"pass {begun}/{self._n_passes} {100 * share:.0f} %{self._figures}"
