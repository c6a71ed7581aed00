"""Counting solves: callbacks only receive iterations, and need to know which solve an iteration belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from rhohat.solvers import IterationState

__all__ = ["SolveCounter"]


@dataclass
class SolveCounter:
    """Count solves and iterations; a new solve is recognised by an iteration number that does not increase.

    Each solve counts its iterations upwards, so an iteration whose number is not larger than the previous one begins a
    new solve. A fit may consist of several solves, like that of a denoising autoencoder with several corruptions, and
    every call of `partial_fit` is a solve. A fit that is resumed from a checkpoint continues its last solve.

    Attributes
    ----------
    solve : int
        Number of the current solve, counted from 1; 0 before the first solve.
    iteration : int
        Number of the last iteration of the current solve.
    n_before : int
        Number of iterations of all earlier solves.

    Examples
    --------
    >>> import numpy as np
    >>> counter = SolveCounter()
    >>> for iteration in (1, 2, 3, 1, 2):
    ...     begins = counter.note(IterationState(iteration, 0.5, {}, 0.1, np.zeros(2)))
    ...     print(begins, counter.solve, counter.step)
    True 1 1
    False 1 2
    False 1 3
    True 2 4
    False 2 5
    """

    solve: int = 0
    iteration: int = 0
    n_before: int = 0

    def note(self, state: IterationState) -> bool:
        """Count an iteration, and return whether it is the first of a new solve."""
        begins = self.solve == 0 or state.iteration <= self.iteration
        if begins:
            self.solve += 1
            self.n_before += self.iteration
        self.iteration = state.iteration
        return begins

    @property
    def step(self) -> int:
        """Number of iterations so far, over all solves."""
        return self.n_before + self.iteration
