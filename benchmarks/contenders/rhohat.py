"""rhohat, as a user would call it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import clone

from benchmarks.measuring import epochs_record, time_calls, time_evaluations, time_steps
from benchmarks.tasks import Record, Task
from rhohat import (
    LBFGS,
    LSTM,
    Adam,
    Convolution,
    ConvolutionalClassifier,
    DenoisingAutoencoder,
    Dense,
    KLSparsity,
    MaskingNoise,
    MaxPooling,
    RecurrentClassifier,
    SparseAutoencoder,
    WeightDecay,
)
from rhohat.common.exceptions import ConvergenceWarning
from rhohat.dictionaries.dead_latents import AuxiliaryLoss
from rhohat.dictionaries.encoding import Coder
from rhohat.dictionaries.parameters import Layout, Parameters
from rhohat.dictionaries.scaling import Scaling
from rhohat.dictionaries.selections import BatchTopK, JumpReLU, Selection, TopK
from rhohat.dictionaries.training import DictionaryProblem, DictionaryState, Trainer
from rhohat.engines import ThreadEngine
from rhohat.objective import Problem, make_objective
from rhohat.ops import code_ops_of, compiled_or_numpy

__all__ = [
    "descent",
    "dictionary_encoding",
    "dictionary_training",
    "evaluation",
    "images_of",
    "lenet",
    "lenet_training",
    "lstm_training",
    "reconstruction",
    "recurrent",
    "training",
    "transformation",
    "untrained",
]

#: A gradient as large as this counts as converged: a fit ends where it starts.
_AT_ONCE = 1e300


def evaluation(task: Task) -> Record:
    """Time J and its gradient, in a session of the engine, as in a fit."""
    settings, engine = task.settings, ThreadEngine(task.settings.n_threads)
    network = _autoencoder(task).objective(task.X[:2]).network
    penalties = [WeightDecay(settings.weight_decay), KLSparsity(settings.sparsity, settings.sparsity_weight)]
    objective = make_objective(Problem(network, task.X, penalties=penalties), engine)

    def evaluate() -> tuple[float, list[np.ndarray]]:
        J, gradient = objective(task.theta)
        return J, [gradient]

    with engine.session():
        return time_evaluations(evaluate, task)


def descent(task: Task) -> Record:
    """Time a fit from its call until a callback sees a cost that is low enough."""
    from benchmarks.descents import Finished, Watch, iterations_allowed

    def look(state: Any) -> bool:
        if state.n_rows is not None:  # an iteration of the warm-up, on some of the rows
            return False
        try:
            watch.see(state.value, state.theta)
        except Finished:
            return True
        return False

    solver, max_iter = LBFGS(**task.settings.lbfgs), iterations_allowed(task)
    autoencoder = _autoencoder(task, solver=solver, max_iter=max_iter, tol=0.0, callbacks=[look])
    _compile(task, autoencoder)
    watch = Watch(task)
    _fit(autoencoder, task.X)
    start_cost, _ = _autoencoder(task).objective(task.X)(task.theta)
    return {**watch.record(start_cost), "evaluations": autoencoder.n_evaluations_, "iterations": autoencoder.n_iter_}


def _compile(task: Task, autoencoder: SparseAutoencoder) -> None:
    """Fit for an iteration, so that all functions are compiled or loaded before the time counts, as for others."""
    _fit(clone(autoencoder).set_params(max_iter=2, callbacks=None), task.X)


def training(task: Task) -> Record:
    """Time epochs of Adam, between calls of a callback."""
    settings = task.settings
    stamps: list[float] = []
    autoencoder = DenoisingAutoencoder(
        n_components=settings.n_hidden,
        corruption=MaskingNoise(settings.masked) if settings.masked else None,
        output_activation=settings.output,
        weight_decay=0.0,
        tied_weights=False,
        solver=Adam(learning_rate=settings.learning_rate, batch_size=settings.batch_size),
        max_iter=settings.epochs,
        tol=0.0,
        random_state=0,
        callbacks=[lambda state: stamps.append(time.perf_counter())],
    )
    start = time.perf_counter()
    _fit(autoencoder, task.X)
    return epochs_record([start, *stamps], autoencoder.loss_curve_)


def lenet_training(task: Task) -> Record:
    """Time epochs of Adam of a convolutional network, between calls of a callback."""
    return _classifier_training(task, lenet)


def lstm_training(task: Task) -> Record:
    """Time epochs of Adam of a recurrent network, between calls of a callback."""
    return _classifier_training(task, recurrent)


def _classifier_training(task: Task, make: Callable[..., Any]) -> Record:
    stamps: list[float] = []
    classifier = make(task, callbacks=[lambda state: stamps.append(time.perf_counter())])
    X, y = images_of(task), task.labels
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a number of epochs is what is asked for
        classifier.fit(X, y)
    return epochs_record([start, *stamps], classifier.loss_curve_)


def lenet(task: Task, **parameters: Any) -> ConvolutionalClassifier:
    """Return the network of LeCun et al. (1998) in the form in which today's tutorials write it."""
    layers = [Convolution(20, 5), MaxPooling(2), Convolution(50, 5), MaxPooling(2), Dense(500)]
    return ConvolutionalClassifier(layers=layers, activation="tanh", **_training_of(task), **parameters)


def recurrent(task: Task, **parameters: Any) -> RecurrentClassifier:
    """Return a network that reads images row by row."""
    return RecurrentClassifier(layers=[LSTM(128)], **_training_of(task), **parameters)


def _training_of(task: Task) -> dict[str, Any]:
    settings = task.settings
    return {
        "weight_decay": 0.0,
        "solver": Adam(learning_rate=settings.learning_rate, batch_size=settings.batch_size),
        "max_iter": settings.epochs,
        "tol": 0.0,
        "random_state": 0,
        "n_jobs": settings.n_threads,
    }


def images_of(task: Task) -> np.ndarray:
    """Return the rows as images, which are sequences of their rows."""
    return task.X.reshape(-1, 28, 28)


def transformation(task: Task) -> Record:
    """Time `transform`."""
    return _application(task, untrained(task).transform)


def reconstruction(task: Task) -> Record:
    """Time `reconstruct`."""
    return _application(task, untrained(task).reconstruct)


def untrained(task: Task) -> SparseAutoencoder:
    """Return an autoencoder that is fitted, but has the weights that a fit starts from."""
    return _fit(_autoencoder(task, solver="conjugate_gradient", tol=_AT_ONCE), task.X[:2])


def _application(task: Task, function: Any) -> Record:
    record, out = time_calls(lambda: function(task.X), task.settings.seconds)
    return {**record, "agreement": {"mean of the output": float(out.mean(dtype=np.float64))}}


def _autoencoder(task: Task, **parameters: Any) -> SparseAutoencoder:
    settings = task.settings
    return SparseAutoencoder(
        n_components=settings.n_hidden,
        sparsity=settings.sparsity,
        sparsity_weight=settings.sparsity_weight,
        weight_decay=settings.weight_decay,
        random_state=0,
        n_jobs=settings.n_threads,
        **parameters,
    )


def _fit(autoencoder: Any, X: np.ndarray) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a number of iterations is what is asked for
        return autoencoder.fit(X)


def dictionary_training(task: Task) -> Record:
    """Time the steps of a dictionary, batch after batch, with the auxiliary loss for dead latents."""
    trainer = _trainer(task)

    def step(rows: np.ndarray) -> float:
        return sum(trainer.learn(rows).terms.values())

    with trainer.engine.session():
        return time_steps(step, task)


def dictionary_encoding(task: Task) -> Record:
    """Time the codes of a batch."""
    trainer, rows = _trainer(task), task.X[: task.settings.batch_size]
    coder = Coder(trainer.problem, trainer.state.theta, None, trainer.engine, code_ops_of(compiled_or_numpy()))
    with trainer.engine.session():
        return time_calls(lambda: coder.encode(rows), task.settings.seconds)[0]


def _trainer(task: Task) -> Trainer:
    """Return what trains a dictionary from the decoder of a task, as an estimator does."""
    settings, decoder = task.settings, task.decoder
    selections: dict[str, Selection] = {
        "topk": TopK(settings.k),
        "batchtopk": BatchTopK(settings.k),
        "jumprelu": JumpReLU(settings.bandwidth, settings.threshold, target_l0=settings.k),
    }
    selection = selections[settings.selection]
    n_latents, n_features = decoder.shape
    layout = Layout(n_features, n_latents, n_features, selection.names)
    weight = settings.sparsity_weight if settings.selection == "jumprelu" else 0.0
    problem = DictionaryProblem(
        selection,
        layout,
        Scaling(),
        auxiliary=AuxiliaryLoss(1 / 32, max(1, n_features // 2)),
        sparsity_weight=weight,
    )
    bias, none = np.full(n_latents, settings.encoder_bias, decoder.dtype), np.zeros(n_features, decoder.dtype)
    own = {name: values.astype(decoder.dtype) for name, values in selection.initial(n_latents).items()}
    start = Parameters(decoder, decoder, bias, none, own)
    solver = Adam(learning_rate=settings.learning_rate)
    state = DictionaryState.at_start(layout.pack(start), problem, solver)
    ops = compiled_or_numpy()
    return Trainer(problem, solver, state, ThreadEngine(settings.n_threads), ops, code_ops_of(ops))
