"""Keeping the best parameters of a fit."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from sklearn.utils.validation import check_is_fitted

from rhohat.callbacks._solves import SolveCounter
from rhohat.callbacks.monitoring import Monitor, check_monitor, monitored
from rhohat.common.arrays import FloatArray
from rhohat.solvers import IterationState

__all__ = ["BestModel"]

_Estimator = TypeVar("_Estimator")


@dataclass(kw_only=True, eq=False)
class BestModel:
    """Keep the parameters θ at which the monitored value was lowest; `restore` puts them into the fitted estimator.

    Dictionaries do not take this callback, because their thresholds and counters belong to their last parameters.

    Parameters
    ----------
    monitor : callable, default=None
        Function that takes an `IterationState` and returns a number to be minimised, such as a function that
        `held_out_cost` makes. None means the cost J. With mini-batch solvers, J is the mean over the epoch, in which
        each mini-batch is evaluated at the θ that its update began from. NaN never counts as the lowest value.

    Attributes
    ----------
    best_value_ : float or None
        Lowest monitored value in the last run of the solver; None before the first iteration, or if all values were
        NaN.
    best_iteration_ : int or None
        Iteration of the lowest value, counted from 1.
    best_theta_ : array of shape (n_parameters,), or None
        Parameters θ at the lowest value.

    Notes
    -----
    The search for the lowest value starts again with every run of the solver: with every fit, with every run if a fit
    runs its solver several times, and with every call of `partial_fit`.

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

    networks_only: ClassVar[bool] = True  # dictionaries refuse such a callback when their fit starts

    monitor: Monitor = None
    best_value_: float | None = field(default=None, init=False, repr=False)
    best_iteration_: int | None = field(default=None, init=False, repr=False)
    best_theta_: FloatArray | None = field(default=None, init=False, repr=False)
    _counter: SolveCounter = field(default_factory=SolveCounter, init=False, repr=False)

    def __post_init__(self) -> None:
        check_monitor(self.monitor)

    def __call__(self, state: IterationState) -> None:
        """Keep θ if its monitored value is the lowest so far; an iteration of the warm-up does not count."""
        if state.n_rows is not None:
            return
        if self._counter.note(state):
            self.best_value_ = self.best_iteration_ = self.best_theta_ = None
        value = monitored(self.monitor, state)
        if value < (math.inf if self.best_value_ is None else self.best_value_):
            self.best_value_, self.best_iteration_, self.best_theta_ = value, state.iteration, state.theta

    def restore(self, estimator: _Estimator) -> _Estimator:
        """Set the fitted parameters of an estimator to the best parameters.

        The state that mini-batch solvers keep for `partial_fit`, such as Adam's moments, is discarded, because it
        belongs to the last parameters; the next call of `partial_fit` starts without such a state. The other fitted
        attributes, including ``mean_activation_``, still describe the last parameters; `rhohat.evaluate` measures the
        restored ones.

        Parameters
        ----------
        estimator : fitted estimator
            The estimator that was fitted with this object among its callbacks.

        Returns
        -------
        The estimator.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the estimator is a dictionary, to which its thresholds and counters belong beside its parameters; if no
            iteration with a finite value was recorded; or if the number of parameters of the estimator differs from the
            number of the best parameters.
        """
        check_is_fitted(estimator)
        fitted: Any = estimator
        if fitted.has_sparse_codes:
            raise ValueError(
                f"estimator must be a network; got {type(estimator).__name__}. The thresholds and counters of a"
                " dictionary belong to its last parameters, so earlier parameters cannot be restored without them."
            )
        if self.best_theta_ is None:
            raise ValueError(
                "there is nothing to restore, because this BestModel has seen no iteration with a finite value. Fit the"
                " estimator with this BestModel in its callbacks; a clone has a copy of BestModel in its callbacks."
            )
        if self.best_theta_.size != fitted.network_.n_parameters:
            raise ValueError(
                "estimator must be the estimator that was fitted with this BestModel as a callback, with"
                f" {self.best_theta_.size} parameters; got a {type(estimator).__name__} with"
                f" {fitted.network_.n_parameters} parameters."
            )
        theta = self.best_theta_.astype(fitted.coefs_[0].dtype)  # a copy, because it may be changed in place later
        fitted.coefs_, fitted.intercepts_, fitted.activation_parameters_ = fitted.network_.unpack(theta)
        fitted.partial_fit_state = None
        return estimator
