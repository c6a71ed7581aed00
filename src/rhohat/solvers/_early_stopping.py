"""Early stopping, based on the cost on held-out rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.words import counted
from rhohat.solvers.objectives import ObjectiveWithValidation
from rhohat.solvers.run import Point, Run, Stop
from rhohat.solvers.states import RunState

__all__ = ["EarlyStopping"]


class EarlyStopping:
    """Early stopping, which keeps the iterate of lowest cost on the held-out rows and decides when to stop.

    Parameters
    ----------
    run : Run
        The run, whose current iterate is the start.
    patience : int
        Number of iterations without improvement after which the run ends.
    validate : callable, default=None
        Function that returns the cost on the held-out rows at θ; None means the objective's method `validate`.
    noun : str, default="epoch"
        What an iteration is called in the message.
    """

    def __init__(
        self,
        run: Run,
        patience: int,
        validate: Callable[[FloatArray], float] | None = None,
        noun: str = "epoch",
    ) -> None:
        self._run, self._patience, self._validate, self._noun = run, patience, validate, noun
        self.best, self.lowest, self._best_epoch = run.point, np.inf, 0

    def add_to(self, state: RunState) -> None:
        """Save the best iterate, its cost and its epoch in a state."""
        self.best.add_to(state, "best")
        state.record.update(lowest=self.lowest, best_epoch=self._best_epoch)

    def restore(self, state: RunState) -> None:
        """Restore the attributes that `add_to` saved in a state."""
        self.best = Point.from_state(state, "best")
        self.lowest, self._best_epoch = state.record["lowest"], state.record["best_epoch"]

    def validate(self, point: Point) -> None:
        """Evaluate an iterate on the held-out rows before it is accepted, and keep it if it is the best so far."""
        cost = self._cost(point.theta)
        if not np.isfinite(cost):
            self._run.stop_as_not_finite("The cost on the rows kept back for early stopping")
        self._run.validation_curve.append(cost)
        if cost < self.lowest:
            self.best, self.lowest, self._best_epoch = point, cost, self._run.n_iter + 1

    def _cost(self, theta: FloatArray) -> float:
        if self._validate is not None:
            return float(self._validate(theta))
        assert isinstance(self._run.objective, ObjectiveWithValidation)
        return float(self._run.objective.validate(theta))

    def choose(self) -> None:
        """Make the run return the best iterate; a diverged run returns its lowest-cost θ if that is better."""
        lowest = self._run.lowest
        start = lowest.theta if lowest is not None and self._run.keeps_lowest else None
        if start is None or not self._cost(start) < self.lowest:
            self._run.keep(self.best)

    def check(self) -> None:
        """Stop if the best iterate is at least `patience` iterations old."""
        if self._run.n_iter - self._best_epoch >= self._patience:
            self._run.stop_if_diverged()
            raise Stop(
                "stopped",
                "The cost on the rows kept back for early stopping has not fallen for"
                f" {counted(self._patience, self._noun)}; the parameters after {self._noun} {self._best_epoch} of"
                f" {self._run.n_iter} are kept.",
            )
