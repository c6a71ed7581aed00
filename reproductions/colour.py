"""
Edges and blobs in colour
=========================

One should see two kinds of units: edges without colour, at all angles, and blobs and edges of one colour against
another. Many more units are given to brightness than to colour, in which photographs vary less.

The rows are 8×8 patches in red, green and blue, ZCA-whitened, so they are not confined to an interval: the output is
linear. The filters that are drawn include the whitening, so they are what a unit looks for in the patch itself.

The course used patches of STL-10 and 400 iterations. These are of CIFAR-10, smaller pictures of the same kind, so there
is no cost to match; and 150 iterations, after some on fewer patches.

Ng, A., Ngiam, J., Foo, C. Y., Mai, Y. and Suen, C. (2011). Exercise: learning color features with sparse autoencoders.
UFLDL tutorial.
"""  # noqa: D205, D400 - it begins with the title of a section

import numpy as np

import rhohat
from reproductions._data import load_colour_images
from reproductions._pictures import draw_filters
from reproductions._reproduction import Figure, Outcome, Reproduction

PATCH_SHAPE = (8, 8, 3)


def run(seed, fast):
    """Learn from whitened patches; measure how much of each filter is colour."""
    n_patches, n_units, max_iter = (10_000, 100, 60) if fast else (100_000, 400, 150)
    images = list(load_colour_images().astype(np.float32) / 255)
    patches = rhohat.sample_patches(images, PATCH_SHAPE[:2], n_patches, random_state=seed)
    whitening = rhohat.ZCAWhitening(epsilon=0.1).fit(patches)
    autoencoder = rhohat.SparseAutoencoder(
        n_components=n_units,
        output_activation="identity",
        sparsity=0.035,
        sparsity_weight=5.0,
        weight_decay=3e-3,
        max_iter=max_iter,
        random_state=seed,
    ).fit(whitening.transform(patches))
    filters = autoencoder.components_ @ whitening.whitening_
    share = colour_share(filters)
    figures = {
        "units of colour": np.sum(share > 0.5),
        "units of brightness": np.sum(share < 0.2),
        "J": autoencoder.cost(whitening.transform(patches))[0],
    }
    return Outcome(figures, filters[np.argsort(share)])


def colour_share(filters):
    """Return the fraction of each filter's square sum that is left without its brightness, the mean of the channels."""
    images = filters.reshape(len(filters), -1, 3)
    colour = images - images.mean(axis=2, keepdims=True)
    return np.sum(colour**2, axis=(1, 2)) / np.sum(images**2, axis=(1, 2))


def draw(runs, path):
    """Draw the filters, from those of brightness to those of colour."""
    draw_filters({"": runs[0]}, path, PATCH_SHAPE, size=(8, 8.3))


REPRODUCTION = Reproduction(
    published="picture: colour edges and blobs; 45 minutes (UFLDL course, on STL-10)",
    figures=[
        Figure("units of colour", at_least=20, fast=2, form=".0f"),
        Figure("units of brightness", at_least=20, fast=2, form=".0f"),
        Figure("J"),
    ],
    run=run,
    draw=draw,
    n_seeds=2,
)
