"""
Edge detectors
==============

One should see 25 small edges, each at its own place and angle: what remains for a hidden unit to look for in whitened
8×8 patches of natural images, if it may be active on one patch in a hundred only (ρ = 0.01). Natural images consist of
edges, so a code that describes a patch by few units has to be one of edges. Principal components of the same patches,
drawn beside, are waves and checks over the whole patch.

How edge-like a filter is, is measured by R² of the Gabor function that fits it best, see `rhohat.gabor_fit`. The
gradient is compared with central differences, as the course asks for before anything is trained.

Ng, A. (2011). Sparse autoencoder. CS294A lecture notes and programming assignment, Stanford University.
"""  # noqa: D205, D400 - it begins with the title of a section

import time

import numpy as np
from sklearn.decomposition import PCA

import rhohat
from reproductions._data import load_natural_images
from reproductions._pictures import draw_filters
from reproductions._reproduction import Figure, Outcome, Reproduction

PATCH_SHAPE = (8, 8)
N_PATCHES, N_UNITS = 10_000, 25
LARGEST_J = 0.430


def make_patches(seed):
    """Return patches of whitened images, of mean 0.5 each, in [0.1, 0.9]."""
    patches = rhohat.sample_patches(load_natural_images(), PATCH_SHAPE, N_PATCHES, random_state=seed)
    return rhohat.PatchNormalizer().fit_transform(patches.astype(np.float64))


def make_autoencoder(seed, callbacks=None):
    """Return the autoencoder with the course's settings."""
    return rhohat.SparseAutoencoder(
        n_components=N_UNITS,
        sparsity=0.01,
        sparsity_weight=3.0,
        weight_decay=1e-4,
        solver=rhohat.LBFGS(float32_first=True),
        max_iter=400,
        random_state=seed,
        callbacks=callbacks,
    )


def run(seed, fast):
    """Learn from patches; measure J, the gradient, and how edge-like the units are."""
    patches = make_patches(seed)
    seconds = []

    def watch(state):
        if state.n_rows is None and state.value <= LARGEST_J:  # over all rows, not in the warm-up
            seconds.append(time.perf_counter() - start)

    start = time.perf_counter()
    autoencoder = make_autoencoder(seed, [watch]).fit(patches)
    whole = time.perf_counter() - start
    few = make_autoencoder(seed).objective(patches[:100])
    gradient = rhohat.check_gradient(few, few.network.initial_theta(np.random.default_rng(seed)), indices=300)
    components = PCA(N_UNITS).fit(patches).components_
    figures = {
        "J": autoencoder.cost(patches)[0],
        "median Gabor R² of the units": np.median(rhohat.gabor_fit(autoencoder.components_, PATCH_SHAPE)),
        "median Gabor R² of 25 principal components": np.median(rhohat.gabor_fit(components, PATCH_SHAPE)),
        "difference of the gradient": gradient.relative_difference,
        f"seconds to J ≤ {LARGEST_J:.3f}": seconds[0] if seconds else np.nan,
        "seconds to the end": whole,
    }
    return Outcome(figures, (autoencoder.maximal_inputs(), components))


def draw(runs, path):
    """Draw what the units look for, and the principal components."""
    units, components = runs[0]
    draw_filters({"25 hidden units": units, "25 principal components": components}, path, size=(8, 4.4))


REPRODUCTION = Reproduction(
    published="pictures of edges, in about 5 minutes, under 1 vectorised; gradient difference below 1e-9 (CS294A"
    " course). 1.5 minutes (a port to Python)",
    figures=[
        Figure("J", at_most=LARGEST_J, fast=0.435),
        Figure("median Gabor R² of the units", at_least=0.9, fast=0.85),
        Figure("median Gabor R² of 25 principal components"),
        Figure("difference of the gradient", at_most=1e-9, fast=1e-9, form=".1e"),
        Figure(f"seconds to J ≤ {LARGEST_J:.3f}", at_most=1.5, form=".1f"),
        Figure("seconds to the end", form=".1f"),
    ],
    run=run,
    draw=draw,
)
