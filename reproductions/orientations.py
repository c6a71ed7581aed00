"""
Edges at all places and orientations
====================================

One should see 100 edges that lie anywhere in the 10×10 patches and at any angle, as natural images have edges anywhere
and at any angle. The histogram counts the units by the direction in which they vary most; it should have no hole.

The direction comes from the structure tensor Σ ∇w ∇wᵀ of a filter w: it is that of its larger eigenvector. 0° is an
upright edge, 90° a level one. ρ is a little larger than for 25 units: where it is 0.01, some of 100 units fall silent.

Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, section 4, figure of 100 units trained on 10×10 patches.
"""  # noqa: D205, D400 - it begins with the title of a section

import matplotlib.pyplot as plt
import numpy as np

import rhohat
from reproductions._data import load_natural_images
from reproductions._reproduction import Figure, Outcome, Reproduction

PATCH_SHAPE = (10, 10)
N_UNITS, N_BINS = 100, 8


def run(seed, fast):
    """Learn from patches; count the units in each range of angles."""
    n_patches, max_iter = (10_000, 100) if fast else (20_000, 300)
    patches = rhohat.sample_patches(load_natural_images(), PATCH_SHAPE, n_patches, random_state=seed)
    autoencoder = rhohat.SparseAutoencoder(
        n_components=N_UNITS,
        sparsity=0.015,
        sparsity_weight=3.0,
        weight_decay=1e-4,
        max_iter=max_iter,
        random_state=seed,
    ).fit(rhohat.PatchNormalizer().fit_transform(patches))
    filters = autoencoder.maximal_inputs()
    varied = filters.var(axis=1) > 0.5 * np.mean(filters**2, axis=1)  # a silent unit is flat
    r2 = np.where(varied, rhohat.gabor_fit(filters, PATCH_SHAPE), 0)
    counts = np.histogram(orientations(filters[r2 > 0.5]), bins=N_BINS, range=(0, 180))[0]
    figures = {
        "ranges of angles without a unit, of 8": np.sum(counts == 0),
        "units in the emptiest": counts.min(),
        "units in the fullest": counts.max(),
        "units that are edges (Gabor R² above 0.5)": np.sum(r2 > 0.5),
        "median Gabor R²": np.median(r2),
    }
    return Outcome(figures, (filters, counts))


def orientations(filters):
    """Return the angle in which each filter varies most, in degrees from 0 to 180."""
    images = filters.reshape(-1, *PATCH_SHAPE)
    down, right = np.gradient(images, axis=(1, 2))
    double = np.arctan2(2 * np.sum(down * right, axis=(1, 2)), np.sum(right**2 - down**2, axis=(1, 2)))
    return np.degrees(double / 2) % 180


def draw(runs, path):
    """Draw what the units look for, and the histogram."""
    filters, counts = runs[0]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 5.2), layout="constrained", width_ratios=(1.1, 1))
    rhohat.plot_filters(filters, ax=left)
    width = 180 / N_BINS
    right.bar(width * (np.arange(N_BINS) + 0.5), counts, width=0.9 * width, color="gray")
    right.set_xticks(np.arange(0, 181, 45))
    right.set_xlabel("direction in which the filter varies most, in degrees")
    right.yaxis.get_major_locator().set_params(integer=True)
    right.set_ylabel("units")
    figure.savefig(path, dpi=100)


REPRODUCTION = Reproduction(
    published="picture: edges at all positions and orientations (CS294A notes, section 4)",
    figures=[
        Figure("ranges of angles without a unit, of 8", at_most=0, fast=0, form=".1f"),
        Figure("units in the emptiest", at_least=3, fast=1, form=".1f"),
        Figure("units in the fullest", form=".1f"),
        Figure("units that are edges (Gabor R² above 0.5)", form=".1f"),
        Figure("median Gabor R²", form=".2f"),
    ],
    run=run,
    draw=draw,
    n_seeds=3,
)
