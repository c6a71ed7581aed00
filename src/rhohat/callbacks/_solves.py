"""Which solve an iteration belongs to: callbacks are told of iterations only."""

from __future__ import annotations

from dataclasses import dataclass

from rhohat.solvers import IterationState

__all__ = ["SolveCounter"]


@dataclass
class SolveCounter:
    """Tells solves apart: each counts its iterations upwards, so one that does not go up belongs to another solve.

    A fit may consist of several, as that of a denoising autoencoder with several corruptions; and every call of
    `partial_fit` is one. A fit that is resumed from a checkpoint goes on with its last solve.

    Attributes
    ----------
    solve : int
        Which one it is, counted from 1; 0 before the first.
    iteration : int
        The last one seen.
    n_before : int
        Iterations of the solves before.

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
        """Count an iteration, and return whether a solve begins with it."""
        begins = self.solve == 0 or state.iteration <= self.iteration
        if begins:
            self.solve += 1
            self.n_before += self.iteration
        self.iteration = state.iteration
        return begins

    @property
    def step(self) -> int:
        """Iterations so far, over all solves."""
        return self.n_before + self.iteration
