"""The values that callbacks monitor: the cost J, or another number to be minimised, such as J on held-out rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeAlias

from numpy.typing import ArrayLike
from sklearn.base import clone, is_classifier, is_regressor

from rhohat.data import RowSource
from rhohat.solvers import IterationState
from rhohat.terms.losses import as_loss

__all__ = ["Monitor", "check_monitor", "held_out_cost", "monitored"]

#: Function that returns, for the state of an iteration, a number to be minimised; None stands for the cost J.
Monitor: TypeAlias = Callable[[IterationState], float] | None


def check_monitor(monitor: Monitor) -> None:
    """Raise ValueError if a monitor is neither None nor callable."""
    if monitor is not None and not callable(monitor):
        raise ValueError(
            f"monitor must be None, which means J, or a callable that takes an IterationState; got {monitor!r}."
        )


def monitored(monitor: Monitor, state: IterationState) -> float:
    """Return the monitored value at an iteration."""
    return float(state.value if monitor is None else monitor(state))


def held_out_cost(estimator: Any, X: ArrayLike | RowSource) -> Callable[[IterationState], float]:
    """Return a function that evaluates the cost J on held-out rows, at the parameters θ of an iteration.

    J is the cost that the fit minimises, including its penalties, but averaged over the held-out rows. The function can
    be used as `monitor` of `EarlyStopping` and `BestModel`, or in a callback of your own.

    Parameters
    ----------
    estimator : autoencoder
        Autoencoder with the same constructor parameters as in the fit that is to be monitored. It need not be fitted.
    X : array-like or RowSource of shape (n_samples, n_features)
        Rows that the fit does not see. The function keeps a reference to them; a row source must stay open as long as
        the function is used.

    Returns
    -------
    callable
        Function from an `IterationState` to J on these rows.

    Raises
    ------
    ValueError
        If the estimator is a dictionary; learns from targets; is a stack, whose layers are trained one by one; or
        chooses its output activation from the rows of the fit, so that held-out rows could lead to another choice. If X
        does not suit the estimator. When the returned function is called: if the length of θ is not the estimator's
        number of parameters.

    Notes
    -----
    An evaluation costs two forward passes over X, or one if there is no penalty on mean activations. If the estimator
    corrupts rows, the held-out rows are corrupted once, and every iteration uses the same corrupted rows. Copies of the
    function share the rows. A pickle of the function contains the rows, so a function with rows from a file cannot be
    pickled.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import SparseAutoencoder
    >>> from rhohat.callbacks import EarlyStopping
    >>> X = np.random.default_rng(0).random((200, 16))
    >>> model = SparseAutoencoder(n_components=4, output_activation="sigmoid", random_state=0)
    >>> stopping = EarlyStopping(patience=3, monitor=held_out_cost(model, X[150:]))
    >>> model.set_params(callbacks=[stopping]).fit(X[:150]).solver_status_
    'stopped'
    """
    return _HeldOutCost(estimator, X)


class _HeldOutCost:
    def __init__(self, estimator: Any, X: Any) -> None:
        _check_estimator(estimator)
        # The clone is not fitted, so that it has the same network as a fit with these parameters.
        self._estimator = clone(estimator).set_params(callbacks=None)
        self._X = X
        self._prepare()

    def _prepare(self) -> None:
        self._objective = self._estimator.objective(self._X)
        self._last: tuple[Any, float] | None = None

    def __call__(self, state: IterationState) -> float:
        n_parameters = self._objective.network.n_parameters
        if state.theta.size != n_parameters:
            raise ValueError(
                f"the fit has {state.theta.size} parameters, but the estimator that was passed to held_out_cost has"
                f" {n_parameters} for rows of {self._objective.network.layer_sizes[0]} columns; pass the estimator that"
                " is fitted, and rows with the same columns as the rows of the fit."
            )
        # Several callbacks may need the cost at the same iteration.
        if self._last is None or self._last[0] is not state.theta:
            self._last = state.theta, float(self._objective.cost(state.theta)[0])
        return self._last[1]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__, _last=None)
        return copied

    def __getstate__(self) -> dict[str, Any]:
        return {"_estimator": self._estimator, "_X": self._X}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()


def _check_estimator(estimator: Any) -> None:
    name = type(estimator).__name__
    if getattr(estimator, "has_sparse_codes", False):
        raise ValueError(
            f"estimator must be a network; got {name}. A callback cannot measure a dictionary on held-out rows: call"
            " partial_fit for each pass, and score on the held-out rows between the calls."
        )
    if not hasattr(estimator, "objective") or is_classifier(estimator) or is_regressor(estimator):
        raise ValueError(
            f"estimator must be an autoencoder, whose cost takes no targets; got {name}. For an estimator that learns"
            " from targets, pass a function of your own as monitor; state.theta holds the parameters of an iteration."
        )
    if "callbacks" not in estimator.get_params(deep=False):
        raise ValueError(
            f"estimator must have a parameter named 'callbacks'; {name} has none, because its layers are trained one by"
            " one."
        )
    if estimator.output_activation == "auto" and as_loss(estimator.loss).contains is None:
        raise ValueError(
            "output_activation='auto' chooses the activation by the range of the rows, and the choice for the held-out"
            " rows may differ from the choice in the fit; set output_activation='sigmoid' for rows in [0, 1], and"
            " output_activation='identity' for other rows."
        )
