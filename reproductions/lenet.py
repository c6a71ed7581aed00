"""
A convolutional network reads digits
====================================

A dense network does not know that pixels are neighbours. A convolution does: each of its units sees a small window, and
the same weights look at every place, so that a stroke is recognised wherever it is. Pooling then keeps the strongest
answer in a neighbourhood and forgets where exactly it was.

The network has 20 filters of 5×5 pixels, pooling, 50 filters of 5×5 over the 20 maps, pooling, 500 dense units and ten
outputs, all of them tanh but the last. The settings were chosen on the last 10,000 of the training digits, which the
network had not learned from.

The picture shows the 20 filters of the first layer: white where ink speaks for the filter, black where it speaks
against. They are edges and ends of strokes in all directions.

LeCun, Y., Bottou, L., Bengio, Y. and Haffner, P. (1998). Gradient-based learning applied to document recognition.
Proceedings of the IEEE 86, 2278-2324. LISA lab (2015). Deep learning tutorial, release 0.1, convolutional networks.
"""  # noqa: D205, D400 - it begins with the title of a section

import rhohat
from reproductions._data import DIGIT_SHAPE, load_mnist
from reproductions._pictures import draw_filters
from reproductions._reproduction import Figure, Outcome, Reproduction

KERNEL = (5, 5)


def run(seed, fast):
    """Learn from all training digits; in a fast run from some, for fewer epochs."""
    X, y, X_test, y_test = load_mnist()
    n_rows, epochs = (10_000, 4) if fast else (60_000, 15)
    classifier = rhohat.ConvolutionalClassifier(
        layers=[
            rhohat.Convolution(20, KERNEL),
            rhohat.MaxPooling(2),
            rhohat.Convolution(50, KERNEL),
            rhohat.MaxPooling(2),
            rhohat.Dense(500),
        ],
        activation="tanh",
        weight_decay=1e-4,
        solver=rhohat.Adam(learning_rate=2e-3, batch_size=128, schedule="cosine"),
        max_iter=epochs,
        random_state=seed,
    )
    classifier.fit(X[:n_rows].reshape(-1, *DIGIT_SHAPE), y[:n_rows])
    figures = {
        "error on test digits": 1 - classifier.score(X_test.reshape(-1, *DIGIT_SHAPE), y_test),
        "J": classifier.loss_curve_[-1],
    }
    return Outcome(figures, classifier.coefs_[0].reshape(25, 20).T)


def draw(runs, path):
    """Draw the filters of the first layer."""
    draw_filters({"": runs[0]}, path, KERNEL, size=(8, 3.5), columns=10, normalize="all")


REPRODUCTION = Reproduction(
    published="0.92 % test error, 380 minutes on a CPU (LISA tutorial)",
    figures=[
        Figure("error on test digits", at_most=0.0092, fast=0.03, form=".2%"),
        Figure("J", form=".4f"),
    ],
    run=run,
    draw=draw,
    n_seeds=2,
)
