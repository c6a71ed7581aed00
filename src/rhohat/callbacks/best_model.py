"""Keeping the parameters at which a fit was best."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sklearn.utils.validation import check_is_fitted

from rhohat.callbacks._solves import SolveCounter
from rhohat.callbacks.monitoring import Monitor, check_monitor, monitored
from rhohat.common.arrays import FloatArray
from rhohat.solvers import IterationState

__all__ = ["BestModel"]

_Estimator = TypeVar("_Estimator")


@dataclass(kw_only=True, eq=False)
class BestModel:
    """Keep the θ at which what is monitored was lowest, and put it into the fitted estimator when asked to.

    Parameters
    ----------
    monitor : callable, default=None
        `IterationState` → float, the lower the better, such as `held_out_cost` gives. None means J; that of solvers by
        mini-batches is the mean over the epoch, each batch at the θ that it met. NaN is never the lowest.

    Attributes
    ----------
    best_value_ : float or None
        The lowest in the last solve; None before the first iteration, and where none was a number.
    best_iteration_ : int or None
        When that was, counted from 1.
    best_theta_ : array of shape (n_parameters,), or None

    Notes
    -----
    Every solve begins anew: another fit, each of those that a fit consists of, and every call of `partial_fit`.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import Adam, SparseAutoencoder
    >>> from rhohat.callbacks import EarlyStopping, held_out_cost
    >>> X = np.random.default_rng(0).random((200, 16))
    >>> model = SparseAutoencoder(n_components=4, output_activation="sigmoid", solver=Adam(0.1), random_state=0)
    >>> cost = held_out_cost(model, X[150:])
    >>> best = BestModel(monitor=cost)
    >>> model = model.set_params(callbacks=[best, EarlyStopping(patience=5, monitor=cost)]).fit(X[:150])
    >>> best.restore(model).cost(X[150:])[0] == best.best_value_
    True
    """

    monitor: Monitor = None
    best_value_: float | None = field(default=None, init=False, repr=False)
    best_iteration_: int | None = field(default=None, init=False, repr=False)
    best_theta_: FloatArray | None = field(default=None, init=False, repr=False)
    _counter: SolveCounter = field(default_factory=SolveCounter, init=False, repr=False)

    def __post_init__(self) -> None:
        check_monitor(self.monitor)

    def __call__(self, state: IterationState) -> None:
        """Keep θ, if it is the best so far."""
        if self._counter.note(state):
            self.best_value_ = self.best_iteration_ = self.best_theta_ = None
        value = monitored(self.monitor, state)
        if value < (math.inf if self.best_value_ is None else self.best_value_):
            self.best_value_, self.best_iteration_, self.best_theta_ = value, state.iteration, state.theta

    def restore(self, estimator: _Estimator) -> _Estimator:
        """Set the fitted parameters of an estimator to the best ones.

        What solvers by mini-batches keep for `partial_fit` is forgotten, since it belongs to the last parameters: the
        next call begins with new moments. The record of the fit stays as it was, ``mean_activation_`` included, which
        is that of the last parameters; `rhohat.evaluate` finds out about the restored ones.

        Parameters
        ----------
        estimator : fitted estimator
            One that this was a callback of.

        Returns
        -------
        The estimator.

        Raises
        ------
        NotFittedError
            If it is not fitted.
        ValueError
            If no iteration was seen, or the estimator has another number of parameters.
        """
        check_is_fitted(estimator)
        fitted: Any = estimator
        if self.best_theta_ is None:
            raise ValueError(
                "there is nothing to restore, because no iteration with a finite value was seen: fit the estimator with"
                " this among its callbacks; a clone has its own copy, in its callbacks."
            )
        if self.best_theta_.size != fitted.network_.n_parameters:
            raise ValueError(
                f"estimator must be the one that this was a callback of, with {self.best_theta_.size} parameters; got a"
                f" {type(estimator).__name__} with {fitted.network_.n_parameters}."
            )
        theta = self.best_theta_.astype(fitted.coefs_[0].dtype)  # a copy, as it may be changed in place later
        fitted.coefs_, fitted.intercepts_, fitted.activation_parameters_ = fitted.network_.unpack(theta)
        fitted.partial_fit_state = None
        return estimator
