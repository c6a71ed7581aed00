"""
Telling a network what does not matter
======================================

A digit that is shifted a little stays the same digit. A network that learns from a thousand digits does not know that,
and there are too few of them to find out. Tangent propagation tells it: for each digit x, `rhohat.image_tangents` gives
the direction τ = ∂x/∂α in which x moves when it is shifted by α pixels, and the cost grows by ½ ‖∂a/∂x · τ‖², times a
weight, for outputs a that change along it.

The same network is trained with several weights, from the same start and on the same digits. The error on other digits
falls, and so does what was penalised, on digits that were not trained on: the squared derivative of the class
probabilities along the tangents, which is measured by finite differences.

Bishop, C. M. (2006). Pattern Recognition and Machine Learning, section 5.5.4 and exercise 5.26.
Simard, P., Victorri, B., LeCun, Y. and Denker, J. (1992). Tangent prop. NIPS 4.
"""  # noqa: D205, D400 - it begins with the title of a section

import matplotlib.pyplot as plt
import numpy as np

import rhohat
from reproductions._data import DIGIT_SHAPE, load_mnist
from reproductions._reproduction import Figure, Outcome, Reproduction

SHIFTS = ("horizontal_shift", "vertical_shift")
WEIGHTS = (0, 10, 100)


def run(seed, fast):
    """Train with each weight on 1,000 digits; measure the error on the test digits, and the derivative there."""
    X, y, X_test, y_test = load_mnist()
    train = np.random.default_rng(seed).permutation(len(X))[:1000]
    errors, derivatives = compare(
        (X[train], y[train]), (X_test, y_test), DIGIT_SHAPE, WEIGHTS, seed, max_iter=30 if fast else 100
    )
    figures = {"fall of the test error": errors[0] - errors[-1]}
    for weight, error, derivative in zip(WEIGHTS, errors, derivatives, strict=True):
        figures[f"test error, weight {weight}"] = error
        figures[f"squared derivative, weight {weight}"] = derivative
    return Outcome(figures, (X[0], DIGIT_SHAPE, WEIGHTS, errors))


def compare(train, test, image_shape, weights, seed, max_iter=100):
    """Return error and squared directional derivative on test rows, each of shape (n_weights,)."""
    tangents = rhohat.image_tangents(train[0], image_shape, SHIFTS)
    results = np.empty((2, len(weights)))
    for column, weight in enumerate(weights):
        classifier = rhohat.FeedforwardClassifier(
            hidden_layer_sizes=(100,),
            activation="tanh",
            weight_decay=1e-3,
            tangent_weight=weight,
            max_iter=max_iter,
            random_state=seed,
        ).fit(*train, tangents=tangents if weight > 0 else None)
        results[:, column] = 1 - classifier.score(*test), squared_derivative(classifier, test[0][:1000], image_shape)
    return results


def squared_derivative(classifier, X, image_shape, step=1e-2):
    """Return Σ_k ‖∂y/∂x · τ_k‖², averaged over rows, of the class probabilities y, by central differences."""
    total = 0.0
    for tangent in np.moveaxis(rhohat.image_tangents(X, image_shape, SHIFTS), 1, 0):
        ahead, behind = (classifier.predict_proba(X + sign * step * tangent) for sign in (1, -1))
        total += np.mean(np.sum(((ahead - behind) / (2 * step)) ** 2, axis=1))
    return total


def draw(runs, path):
    """Draw an image that moves along its tangents, and below it the error over the weight."""
    image, image_shape, weights, _ = runs[0]
    errors = 100 * np.array([errors for *_, errors in runs])
    figure = plt.figure(figsize=(7, 7.5), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(1, 1.2))
    steps = np.linspace(-2, 2, 5)
    moved = [image + alpha * t for t in rhohat.image_tangents(image[None], image_shape, SHIFTS)[0] for alpha in steps]
    rhohat.plot_filters(moved, image_shape, normalize=(0, 1), columns=len(steps), ax=above)
    above.set_title("x + α τ for α = −2, −1, 0, 1, 2 pixels, to the right and down")
    positions = np.arange(len(weights))
    spread = errors.std(axis=0, ddof=1) if len(runs) > 1 else None
    below.bar(positions, errors.mean(axis=0), yerr=spread, color="gray", capsize=4)
    below.set_xticks(positions, [f"{weight:g}" for weight in weights])
    below.set_xlabel("tangent weight")
    below.set_ylabel("test error in %")
    below.set_title("Error on new digits, mean ± sd over seeds")
    figure.savefig(path, dpi=100)


REPRODUCTION = Reproduction(
    published="a derivation (Bishop, exercise 5.26)",
    figures=[
        Figure("fall of the test error", at_least=0.01, fast=0.005, form=".2%"),
        *(Figure(f"test error, weight {weight}", form=".2%") for weight in WEIGHTS),
        *(Figure(f"squared derivative, weight {weight}") for weight in WEIGHTS),
    ],
    run=run,
    draw=draw,
)
