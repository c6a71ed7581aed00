"""
Noise makes strokes wider
=========================

An autoencoder that has to give back what it is given may look at anything. One that gets digits of which a part is
masked has to guess the missing pixels from their neighbours, so its units look for strokes, and the more is missing,
the wider these are (Vincent et al., 2010, section 5.2).

Three autoencoders of the same size, from the same start, learn from the same digits: one sees them as they are, one
with a quarter of the pixels masked, one with half of them. What their units weigh their input with is drawn side by
side. Two figures go with it:

* the *stroke width* is half the wavelength of a filter's pattern, in pixels: it grows with the noise;
* the *area* is the number of pixels that a filter makes use of: it shrinks. Without noise most filters are patterns
  all over the image. With noise most are a single stroke, and nothing elsewhere.

Run it as ``python examples/denoising_filters.py [folder]``; the picture goes to the folder.
"""  # noqa: D205, D400 - it begins with the title of a page

import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from _mnist import IMAGE_SHAPE, load_mnist

import rhohat
from rhohat.exceptions import ConvergenceWarning

NOISE = (0.0, 0.25, 0.5)


def learn_filters(X, n_components=100, epochs=20, noise=NOISE):
    """Return a dict from the fraction of masked pixels to the filters, of shape (n_components, n_features).

    The weights start near 0, so that those of pixels that are black in all images stay there.
    """
    filters = {}
    for q in noise:
        autoencoder = rhohat.DenoisingAutoencoder(
            n_components=n_components,
            corruption=rhohat.MaskingNoise(q) if q > 0 else None,
            solver=rhohat.Adam(learning_rate=0.03, batch_size=50, schedule="cosine"),
            initial_weights="normal",
            max_iter=epochs,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is our choice
            filters[q] = autoencoder.fit(X).components_
    return filters


def stroke_width(filters, image_shape):
    """Return π √(Σ w² / Σ ‖∇w‖²) of each filter w, in pixels.

    For stripes, w = cos kx, this is π / k, the width of a stripe. Beyond the border the filter is 0.
    """
    images = np.pad(filters.reshape(-1, *image_shape), ((0, 0), (1, 1), (1, 1)))
    slope = sum(np.sum(np.diff(images, axis=axis) ** 2, axis=(1, 2)) for axis in (1, 2))
    return np.pi * np.sqrt(np.sum(filters**2, axis=1) / slope)


def area(filters):
    """Return (Σ w²)² / Σ w⁴ of each filter w: n, where |w| is the same in n pixels and 0 in the others."""
    return np.sum(filters**2, axis=1) ** 2 / np.sum(filters**4, axis=1)


def draw(filters, image_shape, path):
    """Draw the filters, side by side."""
    figure, axes = plt.subplots(1, len(filters), figsize=(5 * len(filters), 5.6), layout="constrained")
    for ax, (q, rows) in zip(axes, filters.items(), strict=True):
        seen = f"{q:.0%} of the pixels masked" if q > 0 else "no noise"
        width, pixels = stroke_width(rows, image_shape).mean(), area(rows).mean()
        title = f"{seen}\nstroke width {width:.2f} pixels, area {pixels:.0f} pixels"
        rhohat.plot_filters(rows, image_shape, title=title, ax=ax)
    figure.savefig(path, dpi=100, bbox_inches="tight")


def main(folder):
    """Learn, print and draw."""
    images, _ = load_mnist()
    filters = learn_filters(images[:10_000])
    print("masked   stroke width   area    (mean over units, in pixels)")
    for q, rows in filters.items():
        print(f"{q:6.2f} {stroke_width(rows, IMAGE_SHAPE).mean():14.2f} {area(rows).mean():6.0f}")
    draw(filters, IMAGE_SHAPE, Path(folder) / "denoising_filters.png")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".")
