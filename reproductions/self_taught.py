"""
Self-taught learning
====================

Features that were learned from the digits 5 to 9, without a label, help to tell the digits 0 to 4 apart: both consist
of the same pen strokes. One should see strokes, and a classifier on their activations that makes about half as many
errors as one on the raw pixels; and since the autoencoder is trained on the course's rows with the course's ρ, β and λ,
a cost like the published one. That took 400 iterations; these are 200, after some on fewer digits.

Ng, A., Ngiam, J., Foo, C. Y., Mai, Y. and Suen, C. (2011). Exercise: self-taught learning. UFLDL tutorial.
Raina, R., Battle, A., Lee, H., Packer, B. and Ng, A. (2007). Self-taught learning: transfer learning from unlabeled
data. ICML.
"""  # noqa: D205, D400 - it begins with the title of a section

import rhohat
from reproductions._data import DIGIT_SHAPE, load_mnist
from reproductions._pictures import draw_filters
from reproductions._reproduction import Figure, Outcome, Reproduction


def run(seed, fast):
    """Learn features from the digits 5 to 9, then classes of one half of the digits 0 to 4; test on the other half."""
    X, y, _, _ = load_mnist()
    unlabelled, labelled = X[y >= 5], X[y < 5]
    half = len(labelled) // 2
    train, test = (labelled[:half], y[y < 5][:half]), (labelled[half:], y[y < 5][half:])
    autoencoder = rhohat.SparseAutoencoder(
        n_components=200,
        sparsity=0.1,
        sparsity_weight=3.0,
        weight_decay=3e-3,
        max_iter=60 if fast else 200,
        random_state=seed,
    ).fit(unlabelled[::4] if fast else unlabelled)
    figures = {
        "accuracy on learned features": classify(train, test, autoencoder.transform, seed),
        "accuracy on raw pixels": classify(train, test, lambda rows: rows, seed),
        "J": autoencoder.cost(unlabelled)[0],
    }
    return Outcome(figures, autoencoder.components_)


def classify(train, test, features, seed):
    """Return the accuracy of softmax regression on test digits, the features being a function of rows."""
    classifier = rhohat.SoftmaxRegression(weight_decay=1e-4, max_iter=100, random_state=seed)
    return classifier.fit(features(train[0]), train[1]).score(features(test[0]), test[1])


def draw(runs, path):
    """Draw the filters."""
    draw_filters({"": runs[0]}, path, DIGIT_SHAPE, size=(7.5, 7))


REPRODUCTION = Reproduction(
    published="98.3 %, raw pixels about 96 %, under 25 minutes (UFLDL course); 98.2 to 98.35 %, cost 11.647 after 400"
    " iterations, 330 minutes (a port to Python)",
    figures=[
        Figure("accuracy on learned features", at_least=0.982, fast=0.97, form=".2%"),
        Figure("accuracy on raw pixels", form=".2%"),
        Figure("J", at_most=11.70, fast=14, form=".4f"),
    ],
    run=run,
    draw=draw,
    n_seeds=3,
)
