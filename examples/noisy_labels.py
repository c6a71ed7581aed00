"""
Learning from labels of which many are wrong
============================================

Three labels in ten are wrong: somebody flipped them at random. Cross-entropy believes every label, so a network that
is flexible enough learns the wrong ones too. `rhohat.LabelNoiseCrossEntropy` knows that a label is wrong with
probability ε: a confident output that a label contradicts costs at most −ln ε, so the network need not bend for it
(Bishop, 2006, exercise 5.4).

The task is to tell the digits 3 and 8 apart, with a hidden layer of 20 units. Both losses get the same rows, the same
flipped labels and the same start; accuracy is that on clean labels of rows that were not trained on. Weight decay
helps against wrong labels as well, so the two are compared over a range of it. The best accuracy is that of the right
loss with a moderate decay. Beyond that it needs less decay than cross-entropy does: a loss that takes every label with
a grain of salt pulls less at the weights, and too strong a decay leaves it with none.

Run it as ``python examples/noisy_labels.py [folder]``; the picture goes to the folder.
"""  # noqa: D205, D400 - it begins with the title of a page

import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import rhohat
from rhohat.exceptions import ConvergenceWarning

FLIPPED = 0.3
LOSSES = {
    "binary cross-entropy": "binary_cross_entropy",
    "label-noise cross-entropy": rhohat.LabelNoiseCrossEntropy(FLIPPED),
}


def compare(weight_decay, seeds=range(5), digits=(3, 8), n_train=240):
    """Return a dict from the loss to the accuracy on clean test labels, of shape (n_seeds,)."""
    X, y = load_digits(return_X_y=True)
    chosen = np.isin(y, digits)
    X, y = X[chosen] / 16, (y[chosen] == digits[1]).astype(int)
    accuracy = {name: [] for name in LOSSES}
    for seed in seeds:
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(X))
        train, test = order[:n_train], order[n_train:]
        labels = np.where(rng.random(n_train) < FLIPPED, 1 - y[train], y[train])
        for name, loss in LOSSES.items():
            classifier = rhohat.FeedforwardClassifier(
                hidden_layer_sizes=(20,),
                output_activation="sigmoid",
                loss=loss,
                weight_decay=weight_decay,
                max_iter=200,
                random_state=seed,
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # 200 iterations are enough to overfit
                classifier.fit(X[train], labels)
            accuracy[name].append(classifier.score(X[test], y[test]))
    return {name: np.array(scores) for name, scores in accuracy.items()}


def draw(results, path):
    """Draw accuracy over weight decay; `results` maps the decay to what `compare` returns."""
    figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for name in LOSSES:
        scores = np.array([accuracy[name] for accuracy in results.values()])
        ax.errorbar(list(results), scores.mean(axis=1), scores.std(axis=1, ddof=1), marker="o", capsize=3, label=name)
    ax.set_xscale("log")
    ax.set_xlabel("weight decay λ")
    ax.set_ylabel("accuracy on clean test labels")
    ax.set_title(f"{FLIPPED:.0%} of the training labels flipped (mean ± sd over seeds)")
    ax.legend(loc="lower left")
    figure.savefig(path, dpi=100)


def main(folder):
    """Compare, print and draw."""
    results = {decay: compare(decay) for decay in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)}
    print("accuracy in %, mean ± sd over 5 seeds")
    print(f"{'weight decay':14}" + "".join(f"{name:>28}" for name in LOSSES))
    for decay, accuracy in results.items():
        cells = [f"{100 * scores.mean():.1f} ± {100 * scores.std(ddof=1):.1f}" for scores in accuracy.values()]
        print(f"{decay:<14g}" + "".join(f"{cell:>28}" for cell in cells))
    draw(results, Path(folder) / "noisy_labels.png")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".")
