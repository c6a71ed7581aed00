"""
Stacked autoencoder, fine-tuned
===============================

Two layers of 200 features are learned from the digits without labels, the second from the codes of the first. A softmax
on top of them is at first worse than one on raw pixels: a code of a code keeps what most digits share, not what tells
them apart. Then the labels tune all three layers together, and the network that began at those features comes to make a
quarter of the errors of a linear classifier.

What is drawn is what the units of each layer look for before the labels come: strokes, and in the second layer parts of
digits. The weight decays are those of the course: 3e-3 for the layers, 1e-4 for the softmax on their codes, and 3e-3 in
the fine-tuning, where it acts on the weights of the softmax alone. The course trains each layer for 400 iterations;
these are 80, after some on fewer digits.

Ng, A., Ngiam, J., Foo, C. Y., Mai, Y. and Suen, C. (2011). Exercise: implement deep networks for digit classification.
UFLDL tutorial.
"""  # noqa: D205, D400 - it begins with the title of a section

import rhohat
from reproductions._data import DIGIT_SHAPE, load_mnist
from reproductions._pictures import draw_filters
from reproductions._reproduction import Figure, Outcome, Reproduction


def make_stack(seed, fast):
    """Return the classifier: two sparse autoencoders, a softmax, and fine-tuning."""
    layers = [
        rhohat.SparseAutoencoder(
            n_components=200,
            sparsity=0.1,
            sparsity_weight=3.0,
            weight_decay=3e-3,
            max_iter=40 if fast else 80,
        )
        for _ in range(2)
    ]
    return rhohat.StackedAutoencoderClassifier(
        layers,
        softmax_weight_decay=1e-4,
        fine_tuning_weight_decay=3e-3,
        max_iter=60 if fast else 150,
        random_state=seed,
    )


def run(seed, fast):
    """Pre-train, fine-tune, and test both ways."""
    X, y, X_test, y_test = load_mnist()
    n_rows = 10_000 if fast else len(X)
    stack = make_stack(seed, fast).fit(X[:n_rows], y[:n_rows])
    figures = {
        "accuracy before fine-tuning": stack.softmax_.score(stack.autoencoder_.transform(X_test), y_test),
        "accuracy after fine-tuning": stack.score(X_test, y_test),
    }
    return Outcome(
        figures, {"first layer": stack.autoencoder_.components_, "second layer": stack.autoencoder_.maximal_inputs()}
    )


def draw(runs, path):
    """Draw what the units look for."""
    panels = {f"{name}, before fine-tuning": filters for name, filters in runs[0].items()}
    draw_filters(panels, path, DIGIT_SHAPE, size=(13, 6.8))


REPRODUCTION = Reproduction(
    published="87.7 % before and 97.6 % after fine-tuning (UFLDL course); 73 to 92 % and 97.6 to 98.4 %, 150 minutes"
    " (ports to Python and C++)",
    figures=[
        Figure("accuracy before fine-tuning", at_least=0.85, fast=0.8, form=".2%"),
        Figure("accuracy after fine-tuning", at_least=0.976, fast=0.94, form=".2%"),
    ],
    run=run,
    draw=draw,
    n_seeds=3,
)
