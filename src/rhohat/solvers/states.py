"""What a run is resumed from: its state between two iterations, and who keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from rhohat.common.arrays import FloatArray

__all__ = [
    "Keeper",
    "RunState",
]


@dataclass(frozen=True)
class RunState:
    """A run as it stands between two iterations: all that it takes to go on to the same bits.

    Attributes
    ----------
    record : dict
        Numbers, texts, lists and dicts, as JSON holds them, by name.
    arrays : dict of str to array
        By name; θ among them. They may be the run's own memory, which changes when the run goes on.
    """

    record: dict[str, Any]
    arrays: dict[str, FloatArray]


class Keeper(Protocol):
    """Who keeps the states of a run, to resume it from."""

    def offer(self, progress: int, capture: Callable[[], RunState]) -> None:
        """Say that the run stands between two iterations.

        Parameters
        ----------
        progress : int
            Iterations done, or updates of θ by mini-batches.
        capture : callable
            Returns the state at this point, until `withdraw` or the next `offer` is called.
        """

    def withdraw(self) -> None:
        """Say that what was offered last is about to change; several threads may call it."""
