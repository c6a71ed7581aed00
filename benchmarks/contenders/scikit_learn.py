"""scikit-learn's MLPRegressor, which can be a plain autoencoder: its targets are its rows."""

from __future__ import annotations

import numpy as np
from sklearn.neural_network import MLPRegressor

from benchmarks.measuring import time_epochs
from benchmarks.tasks import Record, Task

__all__ = ["training"]


def training(task: Task) -> Record:
    """Time epochs of Adam on mini-batches; each call of `partial_fit` is one."""
    settings = task.settings
    assert settings.masked == 0
    assert settings.output == "identity"
    network = MLPRegressor(
        hidden_layer_sizes=(settings.n_hidden,),
        activation="logistic",
        solver="adam",
        alpha=0.0,
        batch_size=settings.batch_size,
        learning_rate_init=settings.learning_rate,
        random_state=np.random.RandomState(0),  # an integer would shuffle every epoch alike
    )

    # There is no public way to say where to start: let it draw its weights, then put others in their place, and let it
    # forget the step.
    network.partial_fit(task.X[:1], task.X[:1])
    W1, W2, b1, b2 = task.initial_parameters()
    network.coefs_, network.intercepts_ = [W1, W2], [b1, b2]
    del network._optimizer

    def epoch() -> float:
        network.partial_fit(task.X, task.X)
        return network.loss_ * task.X.shape[1]  # it averages over the outputs, where the others sum

    return time_epochs(epoch, task)
