"""Counting the runs of a solver: callbacks only receive iterations, and need to know to which run one belongs."""

from __future__ import annotations

from dataclasses import dataclass

from rhohat.solvers import IterationState

__all__ = ["SolveCounter"]


@dataclass
class SolveCounter:
    """Counter of solves, which are runs of a solver, and of iterations; a callback passes every state to `note`.

    Each solve numbers its iterations from 1, so a new solve begins when the number of an iteration is not larger than
    the number of the iteration before. A fit may consist of several solves: for example, a denoising autoencoder may
    run its solver on several corruptions of the rows. Every call of `partial_fit` is a solve. A fit that is resumed
    from a checkpoint continues its last solve.

    Attributes
    ----------
    solve : int
        Number of the current solve, counted from 1; 0 before the first solve.
    iteration : int
        Number of the last iteration of the current solve.
    n_before : int
        Number of iterations of all earlier solves.
    step : int
        Number of iterations of all solves together, so far.

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
        """Count an iteration, and return whether it is the first of a new run of the solver."""
        begins = self.solve == 0 or state.iteration <= self.iteration
        if begins:
            self.solve += 1
            self.n_before += self.iteration
        self.iteration = state.iteration
        return begins

    @property
    def step(self) -> int:
        """Number of iterations so far in all solves together."""
        return self.n_before + self.iteration
