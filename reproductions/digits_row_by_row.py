"""
Digits, read row by row
=======================

A recurrent network sees the 28 rows of an image one after the other, from the top, and says at the end which digit it
was. It is never told that rows lie below each other, and has to remember what it has read.

The network is a long short-term memory of 128 units, which is trained with Adam on mini-batches of 128 digits for 8
epochs, with shorter and shorter steps. The learning rate and the number of epochs were chosen on the last 10,000 of the
training digits, which the network had not learned from.

The picture shows how the network makes up its mind: the probabilities of the ten digits if it had to answer after each
row, for four test digits, beside the images. The first rows tell it little, and one that shows something new changes
the odds at once: the 2 is taken for a 7 until its foot appears.

Hochreiter, S. and Schmidhuber, J. (1997). Long short-term memory. Neural Computation 9, 1735-1780.
Atienza, R. (2018). Advanced deep learning with Keras. Packt, chapter 1.
"""  # noqa: D205, D400 - it begins with the title of a section

import matplotlib.pyplot as plt
import numpy as np

import rhohat
from reproductions._data import DIGIT_SHAPE, load_mnist
from reproductions._reproduction import Figure, Outcome, Reproduction

N_ROWS = DIGIT_SHAPE[0]


def learn(X, y, seed, epochs=8, learning_rate=4e-3):
    """Return a network that has learned from images."""
    classifier = rhohat.RecurrentClassifier(
        layers=[rhohat.LSTM(128)],
        weight_decay=1e-5,
        solver=rhohat.Adam(learning_rate, batch_size=128, schedule="cosine", max_gradient_norm=1.0),
        max_iter=epochs,
        random_state=seed,
    )
    return classifier.fit(as_sequences(X), y)


def as_sequences(X):
    """Return images as sequences of 28 steps, of 28 numbers each."""
    return X.reshape(-1, *DIGIT_SHAPE)


def run(seed, fast):
    """Learn from all training digits; in a fast run from some, for fewer epochs."""
    X, y, X_test, y_test = load_mnist()
    n_rows, epochs = (6_000, 5) if fast else (60_000, 8)
    classifier = learn(X[:n_rows], y[:n_rows], seed, epochs)
    accuracy = classifier.score(as_sequences(X_test), y_test)
    shown = [answers(classifier, X_test[np.flatnonzero(y_test == digit)[0]]) for digit in (2, 4, 7, 9)]
    return Outcome({"accuracy on test digits": accuracy, "J": classifier.loss_curve_[-1]}, shown)


def answers(classifier, image):
    """Return an image, and the probabilities of the digits after each of its rows, of shape (28, 10)."""
    rows = image.reshape(DIGIT_SHAPE)
    return rows, classifier.predict_proba([rows[:n] for n in range(1, N_ROWS + 1)])


def draw(runs, path):
    """Draw digits, and beside each of them what the network takes it for after each row."""
    figure, axes = plt.subplots(1, 8, figsize=(11, 3.2), layout="constrained", width_ratios=(1, 0.5) * 4)
    for (image, probabilities), left, right in zip(runs[0], axes[::2], axes[1::2], strict=True):
        left.imshow(image, cmap="gray_r", aspect="auto")
        left.axis("off")
        shown = right.imshow(probabilities, cmap="viridis", vmin=0, vmax=1, aspect="auto")
        right.set_xticks(range(10), [str(digit) for digit in range(10)], fontsize=7)
        right.set_yticks([])
        right.set_title("after each row", fontsize=8)
    figure.colorbar(shown, ax=axes, label="probability of the digit", shrink=0.9)
    figure.savefig(path, dpi=100)


REPRODUCTION = Reproduction(
    published="98.9 % with 256 units after 20 epochs of Adam (repository of Atienza, 2018)",
    figures=[Figure("accuracy on test digits", at_least=0.985, fast=0.9, form=".2%"), Figure("J", form=".4f")],
    run=run,
    draw=draw,
    n_seeds=2,
)
