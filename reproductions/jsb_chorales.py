"""
The next notes of chorales
==========================

A network reads a chorale of Bach, one quarter note after the other, and says at each step how likely each of the 88
keys of a piano is to sound at the next. What it says is judged by the negative log-likelihood of what does sound,
summed over the keys and averaged over all steps of 77 chorales that no network learned from: the lower, the better.

One should see that networks with a memory know better what comes next than a network that sees the last few steps
only, and those with gates, the long short-term memory and the gated recurrent unit, better than a simple one.

There are 229 chorales to learn from, so a network knows them by heart before long. Weight decay is against that, and of
all epochs the one is kept that is best on the 76 chorales for validation. Units, learning rates and weight decay were
chosen on these as well. The picture shows what the long short-term memory expects in one chorale, beside what sounds.

Boulanger-Lewandowski, N., Bengio, Y. and Vincent, P. (2012). Modeling temporal dependencies in high-dimensional
sequences: application to polyphonic music generation and transcription. ICML.
Bai, S., Kolter, J. Z. and Koltun, V. (2018). An empirical evaluation of generic convolutional and recurrent networks
for sequence modeling. arXiv:1803.01271.
"""  # noqa: D205, D400 - it begins with the title of a section

from copy import deepcopy
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

import rhohat
from reproductions._data import load_chorales
from reproductions._reproduction import Figure, Outcome, Reproduction

N_KEYS, N_UNITS, N_STEPS = 88, 150, 160
WINDOW = 8  # steps that the dense network sees
DENSE, ALWAYS_THE_SAME = f"dense network, {WINDOW} steps", "every key as likely as in all chorales"
ABOUT_KEYS = {"output_activation": "sigmoid", "loss": "binary_cross_entropy"}
#: The layers, and the learning rate of Adam, by name.
NETWORKS = {
    "long short-term memory": (rhohat.LSTM(N_UNITS), 0.01),
    "gated recurrent unit": (rhohat.GRU(N_UNITS), 0.005),
    "simple recurrent network": (rhohat.Recurrent(N_UNITS), 0.003),
}


def recurrent(layer, learning_rate, seed):
    """Return a network that says after each step how likely each key is at the next, and how to solve for it."""
    regressor = rhohat.RecurrentRegressor(
        layers=[layer], per_step=True, weight_decay=3e-3, random_state=seed, **ABOUT_KEYS
    )
    return regressor, rhohat.Adam(learning_rate, batch_size=4, max_gradient_norm=50.0)


def dense(seed):
    """Return a network for rows of successive steps, and how to solve for it."""
    regressor = rhohat.FeedforwardRegressor(
        hidden_layer_sizes=(N_UNITS,), activation="tanh", weight_decay=1e-3, random_state=seed, **ABOUT_KEYS
    )
    return regressor, rhohat.Adam(1e-3, batch_size=128)


def learn(regressor, solver, train, validation, epochs):
    """Train with shorter and shorter steps, and return the network after the epoch that is best in validation."""
    best, lowest = None, np.inf
    for epoch in range(epochs):
        rate = solver.learning_rate * (1 + np.cos(np.pi * epoch / epochs)) / 2
        regressor.set_params(solver=replace(solver, learning_rate=rate)).partial_fit(*train)
        cost = mean_nll(regressor, validation)
        if cost < lowest:
            best, lowest = deepcopy(regressor), cost
    return best


def mean_nll(regressor, task):
    """Return the negative log-likelihood of the keys, summed over keys and averaged over steps."""
    X, keys = task
    return nll(steps_of(regressor.predict(X), keys), np.concatenate(keys))


def steps_of(expected, keys):
    """Return all steps that exist of expectations for each chorale; those of a dense network are steps already."""
    if expected.ndim == 2:
        return expected
    return np.concatenate([one[: len(sounding)] for one, sounding in zip(expected, keys, strict=True)])


def nll(p, keys):
    """Return the negative log-likelihood of keys that sound with probabilities p."""
    p = np.clip(p.astype(np.float64), 1e-9, 1 - 1e-9)
    return -float(np.mean(np.sum(np.where(keys > 0, np.log(p), np.log1p(-p)), axis=1)))


def as_task(chorales):
    """Return all steps but the last of each chorale, and all steps but the first, which are to be predicted."""
    return rhohat.as_sequences([one[:-1] for one in chorales], n_steps=N_STEPS), [one[1:] for one in chorales]


def as_windows(chorales):
    """Return each step but the last with those before it, as rows, and the keys of the next step.

    Before the beginning nothing sounds.
    """
    rows = []
    for chorale in chorales:
        padded = np.vstack([np.zeros((WINDOW - 1, N_KEYS), np.float32), chorale[:-1]])
        views = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=0)
        rows.append(views.reshape(len(chorale) - 1, N_KEYS * WINDOW))
    return np.concatenate(rows), np.concatenate([chorale[1:] for chorale in chorales])


def run(seed, fast):
    """Let every network learn; in a fast run from fewer chorales, for fewer epochs."""
    parts = [chorales[::2] if fast else chorales for chorales in load_chorales()]
    train, validation, test = (as_task(chorales) for chorales in parts)
    epochs, figures, shown = 10 if fast else 40, {}, None
    for name, (layer, learning_rate) in NETWORKS.items():
        regressor = learn(*recurrent(layer, learning_rate, seed), train, validation, epochs)
        figures[name] = mean_nll(regressor, test)
        shown = (regressor.predict(test[0])[0][: len(test[1][0])], test[1][0]) if shown is None else shown
    train, validation, (rows, keys) = (as_windows(chorales) for chorales in parts)
    regressor = learn(*dense(seed), train, (validation[0], [validation[1]]), epochs)
    figures[DENSE] = nll(regressor.predict(rows), keys)
    figures[ALWAYS_THE_SAME] = nll(np.broadcast_to(train[1].mean(axis=0), keys.shape), keys)
    return Outcome(figures, shown)


def draw(runs, path):
    """Draw what sounds in a chorale, and what was expected."""
    expected, keys = runs[0]
    lowest, highest = np.flatnonzero(keys.any(axis=0))[[0, -1]]
    figure, axes = plt.subplots(2, 1, figsize=(9, 5.5), sharex=True, layout="constrained")
    for ax, image, title in ((axes[0], keys, "what sounds"), (axes[1], expected, "what was expected, a step before")):
        ax.imshow(
            image[:, lowest : highest + 1].T,
            origin="lower",
            aspect="auto",
            cmap="gray_r",
            vmin=0,
            vmax=1,
            extent=(0, len(image), lowest + 0.5, highest + 1.5),
        )
        ax.set_ylabel("key of the piano")
        ax.set_title(title)
    axes[1].set_xlabel("step, quarter notes")
    figure.savefig(path, dpi=100)


REPRODUCTION = Reproduction(
    published="8.45 for the long short-term memory, 8.43 for the gated recurrent unit, 8.91 for the simple recurrent"
    " network (Bai et al., 2018)",
    figures=[
        Figure("long short-term memory", at_most=8.45, fast=10.0, form=".2f"),
        Figure("gated recurrent unit", form=".2f"),
        Figure("simple recurrent network", at_most=8.91, fast=10.0, form=".2f"),
        Figure(DENSE, form=".2f"),
        Figure(ALWAYS_THE_SAME, form=".2f"),
    ],
    run=run,
    draw=draw,
    n_seeds=2,
)
