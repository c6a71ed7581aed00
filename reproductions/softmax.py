"""
Softmax regression on raw pixels
================================

The simplest classifier of digits: one template for each class, and a digit belongs to the class whose template fits it
best. Its cost with weight decay has one minimum, so programs that come near it agree in their accuracy, whatever the
start. What is left are digits that no template fits: that is what learned features are for.

The templates are rough: white where ink speaks for the class, black where it speaks against. A 0 is dark in its middle,
a 1 bright.

Ng, A., Ngiam, J., Foo, C. Y., Mai, Y. and Suen, C. (2011). Exercise: softmax regression. UFLDL tutorial.
"""  # noqa: D205, D400 - it begins with the title of a section

import rhohat
from reproductions._data import DIGIT_SHAPE, load_mnist
from reproductions._pictures import draw_filters
from reproductions._reproduction import Figure, Outcome, Reproduction


def run(seed, fast):
    """Learn from all training digits, in as many iterations as the course allows."""
    X, y, X_test, y_test = load_mnist()
    classifier = rhohat.SoftmaxRegression(weight_decay=1e-4, max_iter=100, random_state=seed).fit(X, y)
    figures = {
        "accuracy on test digits": classifier.score(X_test, y_test),
        "accuracy on training digits": classifier.score(X, y),
        "J": classifier.loss_curve_[-1],
    }
    return Outcome(figures, classifier.coefs_[0].T)


def draw(runs, path):
    """Draw the template of each class."""
    draw_filters({"": runs[0]}, path, DIGIT_SHAPE, size=(8, 3.5), columns=5, normalize="all")


REPRODUCTION = Reproduction(
    published="92.2 to 92.6 %, under 5 minutes (UFLDL course); 92.62 % (a port to Python)",
    figures=[
        Figure("accuracy on test digits", at_least=0.922, fast=0.922, form=".2%"),
        Figure("accuracy on training digits", form=".2%"),
        Figure("J", form=".4f"),
    ],
    run=run,
    draw=draw,
    n_seeds=3,
)
