"""
Features of patches in larger images
====================================

An autoencoder learns from small patches of colour photographs, without a label. Its features are then computed at every
place of larger images and averaged over nine regions, and softmax regression learns from them what the images show. One
should see many more images told right than by softmax regression on the pixels, and filters that are edges and colours.

The autoencoder learns from whitened 8×8 patches of the 8,000 images to learn from, which are CIFAR-10's first; the
images to be tested with are the 2,000 after them. The number of regions, the weight decays and the number of units were
chosen with 1,500 of the 8,000 images held out. The classifiers see standardised numbers, features and pixels alike.

The course did this on STL-10, with images of 64×64 pixels and four classes, so there is no figure to match; what is
judged is the gain over pixels. Coates, Lee and Ng report a far higher accuracy with such features than with pixels,
when all 50,000 images of CIFAR-10 are learned from.

Ng, A., Ngiam, J., Foo, C. Y., Mai, Y. and Suen, C. (2011). Exercise: convolution and pooling. UFLDL tutorial.
Coates, A., Lee, H. and Ng, A. Y. (2011). An analysis of single-layer networks in unsupervised feature learning.
AISTATS, 215-223.
"""  # noqa: D205, D400 - it begins with the title of a section

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import rhohat
from reproductions._data import load_colour_classes, load_colour_images
from reproductions._pictures import draw_filters
from reproductions._reproduction import Figure, Outcome, Reproduction

PATCH_SHAPE = (8, 8, 3)
N_TRAINING = 8_000


def run(seed, fast):
    """Learn features from patches, and classes from features that are pooled; test on other images."""
    n_patches, n_units, max_iter, every = (10_000, 50, 20, 8) if fast else (100_000, 200, 60, 1)
    images, classes = load_colour_images()[::every].astype(np.float32) / 255, load_colour_classes()[::every]
    n_training = N_TRAINING // every
    patches = rhohat.sample_patches(images[:n_training], PATCH_SHAPE[:2], n_patches, random_state=seed)
    autoencoder = make_pipeline(
        rhohat.ZCAWhitening(epsilon=0.1),
        rhohat.SparseAutoencoder(
            n_components=n_units,
            output_activation="identity",
            sparsity=0.035,
            sparsity_weight=5.0,
            weight_decay=3e-3,
            max_iter=max_iter,
            random_state=seed,
        ),
    ).fit(patches)
    convolved = rhohat.ConvolvedFeatures(autoencoder, regions=3)
    as_pixels = FunctionTransformer(lambda some: some.reshape(len(some), -1))
    accuracies = []
    for rows, weight_decay in ((convolved, 3e-2), (as_pixels, 3e-1)):
        softmax = rhohat.SoftmaxRegression(weight_decay=weight_decay, max_iter=200, random_state=seed)
        classifier = make_pipeline(rows, StandardScaler(), softmax).fit(images[:n_training], classes[:n_training])
        accuracies.append(classifier.score(images[n_training:], classes[n_training:]))
    figures = {
        "accuracy on convolved features": accuracies[0],
        "accuracy on raw pixels": accuracies[1],
        "gain": accuracies[0] - accuracies[1],
    }
    return Outcome(figures, np.moveaxis(convolved.kernel_, -1, 0).reshape(n_units, -1))


def draw(runs, path):
    """Draw the filters, which include the whitening, from those that vary least to those that vary most."""
    order = np.argsort(np.linalg.norm(runs[0], axis=1))
    draw_filters({"": runs[0][order]}, path, PATCH_SHAPE, size=(7.5, 7))


REPRODUCTION = Reproduction(
    published="80 % on four classes of STL-10 (UFLDL course), which have no counterpart here; the gain over raw pixels"
    " is asked for",
    figures=[
        Figure("accuracy on convolved features", form=".1%"),
        Figure("accuracy on raw pixels", form=".1%"),
        Figure("gain", at_least=0.15, fast=0.05, form=".1%"),
    ],
    run=run,
    draw=draw,
    n_seeds=2,
)
