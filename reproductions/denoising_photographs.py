"""
Denoising finds edges in photographs
====================================

What does an autoencoder need to discover that photographs consist of edges? Not a small code, and hardly small weights:
with those alone its units are blobs and checks, much like principal components. But if Gaussian noise is added to its
input, and it has to give the clean patch back, its units become oriented edge detectors.

How edge-like a filter is, is measured by R² of the Gabor function that fits it best, see `rhohat.gabor_fit`. The noise
is stronger than the picture here (σ = 2 for patches of unit variance), which leaves the output with about half of the
patches' variance. For a fair comparison, one of the two weight decays is chosen so that it leaves as much.

A word of caution: a still larger decay raises R² as well, though not as far, since all units then are mixtures of the
few smoothest principal components, which are a little like Gabor functions. The number of *directions* tells: it is
how many dimensions the filters of all units span, (Σ s²)² / Σ s⁴ for the singular values s of the weight matrix. That
decay is in the table, not in the picture.

Vincent, P., Larochelle, H., Lajoie, I., Bengio, Y. and Manzagol, P.-A. (2010). Stacked denoising autoencoders. JMLR 11,
3371-3408, section 5.1.
"""  # noqa: D205, D400 - it begins with the title of a section

import numpy as np
from sklearn.decomposition import PCA

import rhohat
from reproductions._pictures import draw_filters
from reproductions._reproduction import Figure, Outcome, Reproduction

PATCH_SIZE = 8
NOISY, AS_MUCH_VARIANCE, PCA_NAME = "Gaussian noise, σ = 2", "weight decay, λ = 0.14", "principal components"
GAIN = "gained by noise over the decay that leaves as much variance"
GAIN_OVER_ALL = "gained by noise over the best of all other ways"
WAYS = {
    NOISY: {"corruption": rhohat.GaussianNoise(2.0)},
    "weight decay, λ = 0.001": {"corruption": None, "weight_decay": 0.001},
    AS_MUCH_VARIANCE: {"corruption": None, "weight_decay": 0.14},
    "weight decay, λ = 0.3": {"corruption": None, "weight_decay": 0.3},
}


def run(seed, fast):
    """Learn in every way from the same patches; compare the filters with Gabor functions."""
    n_components, epochs = (64, 10) if fast else (100, 20)
    learned = learn_filters(make_patches(seed=seed), n_components, epochs, seed=seed)
    measures = measure(learned)
    names = ("median Gabor R²", "explained variance", "directions")
    figures = {
        f"{name}, {way}": figure for way, row in measures.items() for name, figure in zip(names, row, strict=True)
    }
    figures[GAIN] = measures[NOISY][0] - measures[AS_MUCH_VARIANCE][0]
    figures[GAIN_OVER_ALL] = measures[NOISY][0] - max(r2 for way, (r2, *_) in measures.items() if way != NOISY)
    return Outcome(figures, (learned, measures))


def make_patches(n_patches=20_000, seed=0):
    """Return whitened patches of mean 0 each, and of variance 1 altogether."""
    images = [rhohat.whiten_image(image, boundary="reflect") for image in rhohat.photographs()]
    patches = rhohat.sample_patches(images, PATCH_SIZE, n_patches, random_state=seed)
    patches -= patches.mean(axis=1, keepdims=True)
    return (patches / patches.std()).astype(np.float32)


def learn_filters(patches, n_components=100, epochs=20, ways=tuple(WAYS), seed=0):
    """Return a dict from the way of learning to (filters, explained variance), principal components among them."""
    learned = {}
    for way in ways:
        autoencoder = rhohat.DenoisingAutoencoder(
            n_components=n_components,
            output_activation="identity",
            solver=rhohat.Adam(learning_rate=0.06, batch_size=50, schedule="cosine"),
            max_iter=epochs,
            random_state=seed,
            **WAYS[way],
        )
        autoencoder.fit(patches)
        learned[way] = autoencoder.components_, autoencoder.score(patches)
    pca = PCA(patches.shape[1] - 1).fit(patches)  # patches of mean 0 have no more directions
    learned[PCA_NAME] = pca.components_, pca.explained_variance_ratio_.sum()
    return learned


def measure(learned):
    """Return a dict from the way of learning to (median R² of Gabor functions, explained variance, directions)."""
    figures = {}
    for way, (filters, explained) in learned.items():
        squares = np.linalg.svd(filters, compute_uv=False) ** 2
        r2 = rhohat.gabor_fit(filters, (PATCH_SIZE, PATCH_SIZE))
        figures[way] = float(np.median(r2)), float(explained), float(squares.sum() ** 2 / (squares**2).sum())
    return figures


def draw(runs, path):
    """Draw the first 64 filters of each, but for the largest decay, side by side."""
    learned, figures = runs[0]
    panels = {
        f"{way}\nmedian Gabor R² {figures[way][0]:.2f}": filters[:64]
        for way, (filters, _) in learned.items()
        if way != "weight decay, λ = 0.3"
    }
    draw_filters(panels, path, size=(4.6 * len(panels), 5.2), bbox_inches="tight")


REPRODUCTION = Reproduction(
    published="pictures: noise gives edges, weight decay does not (Vincent et al., 2010, section 5.1)",
    figures=[
        Figure(f"median Gabor R², {NOISY}", at_least=0.85, fast=0.75, form=".2f"),
        *(Figure(f"median Gabor R², {way}", form=".2f") for way in (*list(WAYS)[1:], PCA_NAME)),
        Figure(GAIN, at_least=0.2, fast=0.1, form=".2f"),
        Figure(GAIN_OVER_ALL, at_least=0.1, form=".2f"),
        *(Figure(f"explained variance, {way}", form=".2f") for way in (*WAYS, PCA_NAME)),
        *(Figure(f"directions, {way}", form=".1f") for way in (*WAYS, PCA_NAME)),
    ],
    run=run,
    draw=draw,
    n_seeds=3,
)
