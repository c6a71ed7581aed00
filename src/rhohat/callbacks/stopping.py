"""Stopping a fit that no longer improves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from numbers import Integral, Real

from rhohat.callbacks._solves import SolveCounter
from rhohat.callbacks.monitoring import Monitor, check_monitor, monitored
from rhohat.solvers import IterationState

__all__ = ["EarlyStopping"]


@dataclass(kw_only=True)
class EarlyStopping:
    """Stop a fit when the monitored value has not improved for a number of iterations.

    Parameters
    ----------
    patience : int, default=10
        Number of consecutive iterations without improvement after which the fit stops, at least 1. With mini-batch
        solvers, these are epochs; of dictionaries, blocks of at most 50 updates.
    min_improvement : float, default=0.0
        Amount by which the monitored value must fall below its lowest value so far to count as improved; not negative.
    monitor : callable, default=None
        Function that takes an `IterationState` and returns a number to be minimised, such as a function that
        `held_out_cost` makes for a network, or ``lambda state: state.measures["fvu"]`` for a dictionary. None means the
        cost J; with mini-batch solvers, this is the mean over the epoch. NaN does not count as an improvement.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Notes
    -----
    The lowest value and the count of iterations are reset with every run of the solver: with every fit, and with every
    run if a fit runs its solver several times. They are also reset with every call of `partial_fit`, which is a single
    iteration, and if another process resumes a fit from a checkpoint. The fitted parameters are the parameters of the
    last iteration; `BestModel` keeps the best parameters.

    Examples
    --------
    >>> import numpy as np
    >>> stopping = EarlyStopping(patience=2)
    >>> values = [3.0, 2.0, 2.5, float("nan"), 1.0]
    >>> [stopping(IterationState(i + 1, value, {}, 0.1, np.zeros(2))) for i, value in enumerate(values)]
    [False, False, False, True, False]
    """

    patience: int = 10
    min_improvement: float = 0.0
    monitor: Monitor = None
    _counter: SolveCounter = field(default_factory=SolveCounter, init=False, repr=False, compare=False)
    _lowest: float = field(default=math.inf, init=False, repr=False, compare=False)
    _waited: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (isinstance(self.patience, Integral) and self.patience >= 1):
            raise ValueError(f"patience must be an integer, at least 1 iteration; got {self.patience!r}.")
        if not (isinstance(self.min_improvement, Real) and 0 <= self.min_improvement < math.inf):
            raise ValueError(f"min_improvement must be a finite number, at least 0; got {self.min_improvement!r}.")
        check_monitor(self.monitor)

    def __call__(self, state: IterationState) -> bool:
        """Return whether the fit should stop after this iteration; an iteration of the warm-up does not count."""
        if state.n_rows is not None:
            return False
        if self._counter.note(state):
            self._lowest, self._waited = math.inf, 0
        value = monitored(self.monitor, state)
        if value < self._lowest - self.min_improvement:
            self._lowest, self._waited = value, 0
        else:
            self._waited += 1
        return self._waited >= self.patience
