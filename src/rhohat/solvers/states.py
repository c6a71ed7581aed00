"""The state of a run between two iterations, from which it can be resumed, and the protocol of objects that keep it."""

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
    """The state of a run between two iterations, sufficient to continue it with bit-identical results.

    Attributes
    ----------
    record : dict
        Numbers, strings, lists and dicts that JSON can represent, by name.
    arrays : dict of str to array
        Arrays by name, including θ. They may be the run's own memory, which changes when the run continues.
    """

    record: dict[str, Any]
    arrays: dict[str, FloatArray]


class Keeper(Protocol):
    """Protocol of objects that keep the states of a run, so that the run can be resumed from them."""

    def offer(self, progress: int, capture: Callable[[], RunState]) -> None:
        """Offer the keeper the state of the run, which is between two iterations.

        Parameters
        ----------
        progress : int
            Number of iterations done, or of updates of θ if the solver works by mini-batches.
        capture : callable
            Function that returns the current state; it may be called until the next call of `withdraw` or `offer`.
        """

    def withdraw(self) -> None:
        """Tell the keeper that the state offered last is about to change; several threads may call this method."""
