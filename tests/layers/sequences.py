"""Sequences of unequal length, networks of recurrent layers, and what comes of both, for several tests."""

from functools import partial

import numpy as np

from rhohat.engines import ThreadEngine
from rhohat.layers import DenseLayer, GRULayer, LSTMLayer, SimpleRecurrentLayer, StepwiseDenseLayer
from rhohat.layers.activations import Identity, Sigmoid
from rhohat.layers.network import network_of
from rhohat.objective import Problem, make_objective
from rhohat.terms.losses import SquaredError
from rhohat.terms.stepwise_loss import StepwiseLoss

#: Every kind of recurrent layer.
KINDS = {
    "simple": SimpleRecurrentLayer,
    "sigmoid": partial(SimpleRecurrentLayer, activation=Sigmoid()),
    "lstm": LSTMLayer,
    "lstm with peepholes": partial(LSTMLayer, peepholes=True),
    "gru": GRULayer,
}


def padded_rows(rng, lengths, n_steps, n_channels):
    """Random sequences of these lengths as rows, with NaN past their ends."""
    steps = rng.normal(size=(len(lengths), n_steps, n_channels))
    steps[np.arange(n_steps) >= np.asarray(lengths)[:, None]] = np.nan
    return steps.reshape(len(lengths), -1)


def cut(rows, n_steps, to):
    """The first steps of rows, or of outputs at each step."""
    return np.ascontiguousarray(rows.reshape(len(rows), n_steps, -1)[:, :to].reshape(len(rows), -1))


def network_for(make, n_steps, n_channels, n_outputs, n_layers=1, per_step=True, **settings):
    """A network with recurrent layers of one kind, whose output is at each step or at the end."""
    layers = []
    for place in range(1, n_layers + 1):
        layers.append(make(n_steps, n_channels, 3 + place, return_sequences=per_step or place < n_layers, **settings))
        n_channels = layers[-1].output_channels
    if per_step:
        layers.append(StepwiseDenseLayer(n_steps, n_channels, n_outputs, Identity()))
    else:
        layers.append(DenseLayer(n_channels, n_outputs, Identity()))
    return network_of(layers, (n_steps, layers[0].n_channels))


def loss_for(network, loss=None):
    """A loss, by default the squared error, at each step if the network has an output at each."""
    loss, n_steps = loss or SquaredError(), network.layers[-1].n_padded_steps
    return loss if n_steps is None else StepwiseLoss(loss, n_steps)


def objective_of(network, X, y, *, n_jobs=1, **settings):
    """J of rows, by default with the squared error."""
    settings.setdefault("loss", loss_for(network))
    return make_objective(Problem(network, X, y, **settings), ThreadEngine(n_jobs))


def activations_of(network, theta, X):
    """The activations of every layer after the input, in memory that was not clean before."""
    layers = network.allocate(len(X), lambda shape: np.full(shape, 7.0, X.dtype))
    layers.a[0] = X
    network.forward(network.unpack(theta.astype(X.dtype)), layers)
    return layers.a[1:]
