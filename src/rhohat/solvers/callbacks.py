"""Callbacks that rhohat provides; any callable that takes an `IterationState` can be a callback."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TextIO

from rhohat.solvers.result import IterationState

__all__ = ["PrintProgress"]


@dataclass(frozen=True)
class PrintProgress:
    """Callback that prints a line about the progress at regular intervals of iterations.

    Parameters
    ----------
    every : int, default=10
        Number of iterations from one line to the next, at least 1; for dictionaries, of blocks of at most 50 updates.
    stream : text file, default=None
        File to print to. None means ``sys.stderr`` as it is when the line is printed.

    Examples
    --------
    >>> import numpy as np
    >>> state = IterationState(10, 0.5, {"squared_error": 0.4, "weight_decay": 0.1}, 1e-3, np.zeros(2))
    >>> PrintProgress(stream=sys.stdout)(state)
    iteration 10: J = 0.500000 (squared_error 0.400000, weight_decay 0.100000), gradient 1.0e-03
    """

    every: int = 10
    stream: TextIO | None = None

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every must be at least 1 iteration; got {self.every}.")

    def __call__(self, state: IterationState) -> None:
        """Print a line if the iteration is a multiple of `every`."""
        if state.iteration % self.every:
            return
        terms = ", ".join(f"{name} {value:.6f}" for name, value in state.terms.items())
        cost = f"J = {state.value:.6f}{f' ({terms})' if terms else ''}"
        if state.measures:
            where = f"update {state.measures['updates']:,.0f}, {state.measures['rows']:,.0f} rows"
            end = ", ".join(f"{name.upper()} {state.measures[name]:.4g}" for name in ("fvu", "l0"))
            end += f", dead {state.measures['dead']:.0f}"
        else:
            where = f"iteration {state.iteration}"
            where = where if state.n_rows is None else f"warm-up on {state.n_rows:,} rows, {where}"
            end = f"gradient {state.gradient_norm:.1e}"
        print(f"{where}: {cost}, {end}", file=self.stream or sys.stderr)
