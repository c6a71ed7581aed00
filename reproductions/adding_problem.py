"""
The adding problem
==================

A sequence has 100 steps, with two numbers at each: one from 0 to 1, drawn at random, and a mark, which is 1 at two
steps and 0 at all others. At the end the network is to say the sum of the two numbers that were marked. It has to keep
a number over many steps that do not matter. Always saying 1 has a mean squared error of 1/6.

One should see that a long short-term memory learns to add, and a simple recurrent network with the same number of units
does not: what it learns of is multiplied at every step on the way back, so little of the error arrives at steps long
ago. The cells of the long short-term memory keep what they hold until a gate says otherwise, and pass the error back.

Every sequence is drawn afresh and seen once, so nothing can be learned by heart. The curves show the error on 2,000
other sequences. Each step of Adam follows 50 sequences, and steps are shorter towards the end. Learning rates were
chosen with sequences of their own; that of the simple network is the best of 0.001, 0.003 and 0.01. Hochreiter and
Schmidhuber count sequences until 2,000 in a row have an error below 0.04; here the table says how many were seen until
the mean squared error was below 0.01. Their sequences differ in length and have numbers from −1 to 1, and the first
mark is among the first ten steps; here sequences are as in Le et al.

Hochreiter, S. and Schmidhuber, J. (1997). Long short-term memory. Neural Computation 9, 1735-1780, experiment 4.
Le, Q. V., Jaitly, N. and Hinton, G. E. (2015). A simple way to initialize recurrent networks of rectified linear units.
arXiv:1504.00941.
"""  # noqa: D205, D400 - it begins with the title of a section

import matplotlib.pyplot as plt
import numpy as np

import rhohat
from reproductions._reproduction import Figure, Outcome, Reproduction

N_UNITS = 64
BATCH_SIZE = 50
AT_A_TIME = 2_000  # sequences between two measurements
GUESSING = 1 / 6
LEARNED = 0.01
#: The layer and its learning rate, by name.
NETWORKS = {
    "long short-term memory": (rhohat.LSTM(N_UNITS), 0.01),
    "simple recurrent network": (rhohat.Recurrent(N_UNITS), 0.001),
}


def draw_sequences(n_sequences, n_steps, generator):
    """Return sequences of numbers and marks, of shape (n_sequences, n_steps, 2), and the sums of what is marked."""
    numbers = generator.random((n_sequences, n_steps), np.float32)
    marked = generator.random((n_sequences, n_steps)).argsort(axis=1)[:, :2]
    marks = np.zeros_like(numbers)
    np.put_along_axis(marks, marked, 1, axis=1)
    return np.stack([numbers, marks], axis=2), (numbers * marks).sum(axis=1)


def learn(layer, learning_rate, n_steps, n_sequences, seed):
    """Return how many sequences were seen, and the mean squared error on others, after each part of the training."""
    X_test, y_test = draw_sequences(2_000, n_steps, np.random.default_rng([seed, 1]))
    generator = np.random.default_rng([seed, 2])
    regressor = rhohat.RecurrentRegressor(layers=[layer], scale_targets=False, weight_decay=0.0, random_state=seed)
    seen = np.arange(AT_A_TIME, n_sequences + 1, AT_A_TIME)
    errors = []
    for done in seen / n_sequences:
        rate = learning_rate * min(1, 2.5 * (1 - done) + 0.05)  # falls over the last two fifths
        regressor.set_params(solver=rhohat.Adam(rate, batch_size=BATCH_SIZE, max_gradient_norm=1.0))
        regressor.partial_fit(*draw_sequences(AT_A_TIME, n_steps, generator))
        errors.append(float(np.mean((regressor.predict(X_test) - y_test) ** 2)))
    return seen, np.array(errors)


def run(seed, fast):
    """Let both networks learn; in a fast run from fewer and shorter sequences."""
    n_steps, n_sequences = (25, 24_000) if fast else (100, 80_000)
    curves = {
        name: learn(layer, learning_rate, n_steps, n_sequences, 1000 + seed)
        for name, (layer, learning_rate) in NETWORKS.items()
    }
    figures = {f"mean squared error, {name}": errors[-1] for name, (_, errors) in curves.items()}
    seen, errors = curves["long short-term memory"]
    figures["sequences until it is below 0.01"] = np.append(seen[errors < LEARNED], np.inf)[0]
    return Outcome(figures, curves)


def draw(runs, path):
    """Draw the errors over the number of sequences seen, a line for each seed."""
    figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for index, name in enumerate(NETWORKS):
        for number, curves in enumerate(runs):
            seen, errors = curves[name]
            ax.plot(seen, errors, color=f"C{index}", label=name if number == 0 else None)
    ax.axhline(GUESSING, color="gray", linestyle=":", label="always saying 1")
    ax.set_yscale("log")
    ax.set_xlabel("sequences seen")
    ax.set_ylabel("mean squared error on other sequences")
    ax.legend(loc="lower left")
    figure.savefig(path, dpi=100)


REPRODUCTION = Reproduction(
    published="long short-term memory solves it after 74,000 sequences of about 100 steps (Hochreiter and Schmidhuber,"
    " 1997); networks of tanh units do not with long sequences (Le et al., 2015)",
    figures=[
        Figure("mean squared error, long short-term memory", at_most=LEARNED, fast=0.02, form=".4f"),
        Figure("mean squared error, simple recurrent network", at_least=0.1, form=".4f"),
        Figure("sequences until it is below 0.01", form=",.0f"),
    ],
    run=run,
    draw=draw,
    n_seeds=3,
)
