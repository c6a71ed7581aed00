"""Sequences of unequal length, and small estimators of them, for whoever tests estimators of sequences."""

import numpy as np

from rhohat import GRU, LSTM, Dense, Recurrent, RecurrentAutoencoder, RecurrentClassifier, RecurrentRegressor

_draw = np.random.default_rng(11)
#: Lengths from 1 to 7; the first sequence is not the longest.
LENGTHS = np.array([3, 7, 1, 5, 2, 7, 4, 6, 1, 5] * 4)
SEQUENCES = [_draw.normal(size=(length, 2)) for length in LENGTHS]
LABELS = np.array([int(one[0, 0] > 0) for one in SEQUENCES])
NUMBERS = np.array([one.sum() for one in SEQUENCES])
STEP_LABELS = [np.where(np.cumsum(one[:, 0]) > 0, "up", "down") for one in SEQUENCES]
STEP_NUMBERS = [np.cumsum(one, axis=0) for one in SEQUENCES]


def padded(with_what=np.nan, sequences=SEQUENCES, n_steps=7):
    """Return sequences in an array, in which there is the same number past the end of all."""
    array = np.full((len(sequences), n_steps, *np.shape(sequences[0])[1:]), with_what)
    for row, one in zip(array, sequences, strict=True):
        row[: len(one)] = one
    return array


def classifier(**parameters):
    settings = {"layers": [LSTM(3)], "solver": "lbfgs", "max_iter": 5, "random_state": 0, **parameters}
    return RecurrentClassifier(**settings)


def regressor(**parameters):
    settings = {"layers": [GRU(3)], "solver": "lbfgs", "max_iter": 5, "random_state": 0, **parameters}
    return RecurrentRegressor(**settings)


def autoencoder(**parameters):
    settings = {"layers": [LSTM(3)], "solver": "lbfgs", "max_iter": 5, "random_state": 0, **parameters}
    return RecurrentAutoencoder(**settings)


#: Estimators by name, each with what it learns from beside the sequences.
KINDS = {
    "classifier": (classifier(), (LABELS,)),
    "classifier of steps": (classifier(layers=[Recurrent(3, bidirectional=True)], per_step=True), (STEP_LABELS,)),
    "regressor": (regressor(), (NUMBERS,)),
    "regressor of steps": (regressor(layers=[GRU(3), Dense(4, per_step=True)], per_step=True), (STEP_NUMBERS,)),
    "autoencoder": (autoencoder(sparsity=0.3, sparsity_weight=0.1), ()),
    "autoencoder of steps": (
        autoencoder(layers=[Recurrent(3, return_sequences=True)], sparsity=0.3, sparsity_weight=0.1),
        (),
    ),
}


def outputs(fitted, X):
    """Return all that a fitted estimator makes of sequences, as arrays, by the name of the method."""
    names = ("predict", "predict_proba", "transform", "reconstruct")
    made = {name: getattr(fitted, name)(X) for name in names if hasattr(fitted, name)}
    return {
        name: np.concatenate(value) if isinstance(value, list) else np.asarray(value) for name, value in made.items()
    }


def assert_same(first, second):
    """Assert that two dicts of arrays are equal to the last bit, with NaN at the same places."""
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)
