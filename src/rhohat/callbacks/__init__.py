"""Callbacks, which are called after every iteration of a fit to record its progress, stop it, or keep the best model.

Any callable that takes an `IterationState` is a callback. An estimator takes a list of them, ``callbacks=[...]``.
scikit-learn's `clone`, and therefore a grid search, copies the callbacks together with the estimator. The results that
such a copy has recorded are found in ``callbacks`` of the estimator that was fitted.
"""

from rhohat.callbacks.best_model import BestModel
from rhohat.callbacks.history import CSVHistory, JSONLinesHistory
from rhohat.callbacks.monitoring import held_out_cost
from rhohat.callbacks.resampling import ResampleDeadLatents
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
    "ResampleDeadLatents",
    "TensorBoardWriter",
    "held_out_cost",
]
