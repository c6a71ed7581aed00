"""
Telling a network what does not matter
======================================

A digit that is shifted a little stays the same digit. A network that learns from a thousand digits does not know that,
and there are too few of them to find out. Tangent propagation tells it (Simard et al., 1992; Bishop, 2006, section
5.5.4): for each digit x, `rhohat.image_tangents` gives the direction τ = ∂x/∂α in which x moves when it is shifted by
α pixels, and the cost grows by ½ ‖∂a/∂x · τ‖², times a weight, for outputs a that change along it.

The same network is trained with several weights, from the same start and on the same digits. The error on other digits
falls, and so does what was penalised, on digits that were not trained on: the squared derivative of the class
probabilities along the tangents, which is measured by finite differences.

Run it as ``python examples/tangent_propagation.py [folder]``; the picture goes to the folder.
"""  # noqa: D205, D400 - it begins with the title of a page

import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from _mnist import IMAGE_SHAPE, load_mnist

import rhohat
from rhohat.exceptions import ConvergenceWarning

SHIFTS = ("horizontal_shift", "vertical_shift")


def compare(images, labels, image_shape, weights, seeds=range(5), n_train=1000, n_test=5000, max_iter=100):
    """Return test error and squared directional derivative on test rows, each of shape (n_weights, n_seeds)."""
    results = np.empty((2, len(weights), len(seeds)))
    for column, seed in enumerate(seeds):
        order = np.random.default_rng(seed).permutation(len(images))
        train, test = order[:n_train], order[n_train : n_train + n_test]
        tangents = rhohat.image_tangents(images[train], image_shape, SHIFTS)
        for row, weight in enumerate(weights):
            classifier = rhohat.FeedforwardClassifier(
                hidden_layer_sizes=(100,),
                activation="tanh",
                weight_decay=1e-3,
                tangent_weight=weight,
                max_iter=max_iter,
                random_state=seed,
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # the number of iterations is our choice
                classifier.fit(images[train], labels[train], tangents=tangents if weight > 0 else None)
            error = 1 - classifier.score(images[test], labels[test])
            results[:, row, column] = error, squared_derivative(classifier, images[test[:1000]], image_shape)
    return results


def squared_derivative(classifier, X, image_shape, step=1e-2):
    """Return Σ_k ‖∂y/∂x · τ_k‖², averaged over rows, of the class probabilities y, by central differences."""
    total = 0.0
    for tangent in np.moveaxis(rhohat.image_tangents(X, image_shape, SHIFTS), 1, 0):
        ahead, behind = (classifier.predict_proba(X + sign * step * tangent) for sign in (1, -1))
        total += np.mean(np.sum(((ahead - behind) / (2 * step)) ** 2, axis=1))
    return total


def draw(image, image_shape, weights, errors, path):
    """Draw an image that moves along its tangents, and below it the error over the weight."""
    figure = plt.figure(figsize=(7, 7.5), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(1, 1.2))
    steps = np.linspace(-2, 2, 5)
    moved = [image + alpha * t for t in rhohat.image_tangents(image[None], image_shape, SHIFTS)[0] for alpha in steps]
    rhohat.plot_filters(moved, image_shape, normalize=(0, 1), columns=len(steps), ax=above)
    above.set_title("x + α τ for α = −2, −1, 0, 1, 2 pixels, to the right and down")
    positions = np.arange(len(weights))
    below.bar(positions, 100 * errors.mean(axis=1), yerr=100 * errors.std(axis=1, ddof=1), color="gray", capsize=4)
    below.set_xticks(positions, [f"{weight:g}" for weight in weights])
    below.set_xlabel("tangent weight")
    below.set_ylabel("test error in %")
    below.set_title("Error on new digits, mean ± sd over seeds")
    figure.savefig(path, dpi=100)


def main(folder):
    """Compare, print and draw."""
    images, labels = load_mnist()
    weights = (0, 10, 100)
    errors, derivatives = compare(images, labels, IMAGE_SHAPE, weights)
    print("tangent weight   test error in %   squared derivative   (mean ± sd over 5 seeds)")
    for weight, error, derivative in zip(weights, 100 * errors, derivatives, strict=True):
        print(
            f"{weight:14g}   {error.mean():8.2f} ± {error.std(ddof=1):4.2f}"
            f"   {derivative.mean():10.3f} ± {derivative.std(ddof=1):.3f}"
        )
    draw(images[0], IMAGE_SHAPE, weights, errors, Path(folder) / "tangent_propagation.png")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".")
