"""
Learning from labels of which many are wrong
============================================

Three labels in ten are wrong: somebody flipped them at random. Cross-entropy believes every label, so a network that
is flexible enough learns the wrong ones too. `rhohat.LabelNoiseCrossEntropy` knows that a label is wrong with
probability ε: a confident output that a label contradicts costs at most −ln ε, so the network need not bend for it.

The task is to tell the digits 3 and 8 apart, with a hidden layer of 20 units. Both losses get the same rows, the same
flipped labels and the same start; accuracy is that on clean labels of rows that were not trained on. Weight decay
helps against wrong labels as well, so the two are compared over a range of it, and at the decay that does best for
each on training rows held out, whose labels are as wrong as the others. With hardly any decay one should see the right
loss far ahead. At the decay that is best for each, the two do about as well: the difference is a small part of its own
spread over the seeds. Too strong a decay leaves the right loss with nothing, as it pulls less at the weights.

Bishop, C. M. (2006). Pattern Recognition and Machine Learning, exercise 5.4.
"""  # noqa: D205, D400 - it begins with the title of a section

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import rhohat
from reproductions._reproduction import Figure, Outcome, Reproduction

FLIPPED = 0.3
LOSSES = {
    "binary cross-entropy": "binary_cross_entropy",
    "label-noise cross-entropy": rhohat.LabelNoiseCrossEntropy(FLIPPED),
}
DECAYS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
N_TRAINING = 240


def run(seed, fast):
    """Compare the losses, over a range of weight decay, and at the decay that held-out rows choose for each."""
    train, test = make_task(seed)
    curves = {name: [accuracy(name, decay, train, test, seed) for decay in DECAYS] for name in LOSSES}
    figures = {}
    for name, curve in curves.items():
        figures[f"{name}, λ chosen on held-out rows"] = curve[choose(name, train, seed)]
        for decay, score in zip(DECAYS, curve, strict=True):
            figures[f"{name}, λ = {decay:g}"] = score
    for where in ("λ chosen on held-out rows", *(f"λ = {decay:g}" for decay in DECAYS)):
        plain, aware = (figures[f"{name}, {where}"] for name in LOSSES)
        figures[f"gain, {where}"] = aware - plain
    return Outcome(figures, curves)


def make_task(seed, digits=(3, 8)):
    """Return training rows with wrong labels among theirs, and test rows with clean labels."""
    X, y = load_digits(return_X_y=True)
    chosen = np.isin(y, digits)
    X, y = X[chosen] / 16, (y[chosen] == digits[1]).astype(int)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    train, test = order[:N_TRAINING], order[N_TRAINING:]
    labels = np.where(rng.random(N_TRAINING) < FLIPPED, 1 - y[train], y[train])
    return (X[train], labels), (X[test], y[test])


def accuracy(name, weight_decay, train, test, seed):
    """Return the accuracy on the second rows of a network that learned from the first."""
    classifier = rhohat.FeedforwardClassifier(
        hidden_layer_sizes=(20,),
        output_activation="sigmoid",
        loss=LOSSES[name],
        weight_decay=weight_decay,
        max_iter=200,
        random_state=seed,
    )
    return classifier.fit(*train).score(*test)


def choose(name, train, seed):
    """Return the index of the decay that is best on thirds of the training rows, each held out once."""
    X, labels = train
    third = np.arange(len(X)) % 3
    means = []
    for decay in DECAYS:
        parts = [((X[third != k], labels[third != k]), (X[third == k], labels[third == k])) for k in range(3)]
        means.append(np.mean([accuracy(name, decay, kept, held_out, seed) for kept, held_out in parts]))
    return int(np.argmax(means))


def draw(runs, path):
    """Draw accuracy over weight decay."""
    figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for name in LOSSES:
        scores = np.array([curves[name] for curves in runs])
        spread = scores.std(axis=0, ddof=1) if len(runs) > 1 else None
        ax.errorbar(DECAYS, scores.mean(axis=0), spread, marker="o", capsize=3, label=name)
    ax.set_xscale("log")
    ax.set_xlabel("weight decay λ")
    ax.set_ylabel("accuracy on clean test labels")
    ax.set_title(f"{FLIPPED:.0%} of the training labels flipped (mean ± sd over seeds)")
    ax.legend(loc="lower left")
    figure.savefig(path, dpi=100)


REPRODUCTION = Reproduction(
    published="a derivation (Bishop, exercise 5.4)",
    figures=[
        Figure("gain, λ = 0.0001", at_least=0.05, fast=0.03, form=".1%"),
        Figure("gain, λ chosen on held-out rows", form=".1%"),
        *(Figure(f"{name}, λ chosen on held-out rows", form=".1%") for name in LOSSES),
        *(Figure(f"{name}, λ = {decay:g}", form=".1%") for name in LOSSES for decay in DECAYS),
    ],
    run=run,
    draw=draw,
    n_seeds=60,
)
