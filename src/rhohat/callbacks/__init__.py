"""Callbacks: told of every iteration of a fit, they write down how it goes, end it, or keep its best parameters.

Any callable that takes an `IterationState` is one; an estimator is given a list of them, ``callbacks=[...]``.
scikit-learn's `clone`, and so a grid search, copies them together with the estimator: what a copy has seen is found in
``callbacks`` of the estimator that was fitted.
"""

from rhohat.callbacks.best_model import BestModel
from rhohat.callbacks.history import CSVHistory, JSONLinesHistory
from rhohat.callbacks.monitoring import held_out_cost
from rhohat.callbacks.stopping import EarlyStopping
from rhohat.callbacks.trackers import MLflowWriter, TensorBoardWriter
from rhohat.solvers import Callback, IterationState, PrintProgress

__all__ = [
    "BestModel",
    "CSVHistory",
    "Callback",
    "EarlyStopping",
    "IterationState",
    "JSONLinesHistory",
    "MLflowWriter",
    "PrintProgress",
    "TensorBoardWriter",
    "held_out_cost",
]
