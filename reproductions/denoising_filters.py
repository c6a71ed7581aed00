"""
Noise makes strokes wider
=========================

An autoencoder that has to give back what it is given may look at anything. One that gets digits of which a part is
masked has to guess the missing pixels from their neighbours, so its units look for strokes, and the more is missing,
the wider these are.

Three autoencoders of the same size, from the same start, learn from the same digits: one sees them as they are, one
with a quarter of the pixels masked, one with half of them. Two figures tell their filters apart:

* the *stroke width* is half the wavelength of a filter's pattern, in pixels: it grows with the noise;
* the *area* is the number of pixels that a filter makes use of: it shrinks. Without noise most filters are patterns
  all over the image. With noise most are a single stroke, and nothing elsewhere.

Vincent, P., Larochelle, H., Lajoie, I., Bengio, Y. and Manzagol, P.-A. (2010). Stacked denoising autoencoders. JMLR 11,
3371-3408, section 5.2.
"""  # noqa: D205, D400 - it begins with the title of a section

import numpy as np

import rhohat
from reproductions._data import DIGIT_SHAPE, load_mnist
from reproductions._measures import area, stroke_width
from reproductions._pictures import draw_filters
from reproductions._reproduction import Figure, Outcome, Reproduction

NOISE = (0.0, 0.25, 0.5)


def run(seed, fast):
    """Learn with each amount of noise; measure the filters."""
    n_rows, epochs = (5_000, 10) if fast else (10_000, 20)
    filters = learn_filters(load_mnist().X[:n_rows], seed, epochs=epochs)
    widths = [stroke_width(rows, DIGIT_SHAPE).mean() for rows in filters.values()]
    figures = {"rise of the stroke width from step to step, the lesser": min(np.diff(widths))}
    for q, width in zip(NOISE, widths, strict=True):
        figures[f"stroke width in pixels, q = {q:g}"] = width
        figures[f"area in pixels, q = {q:g}"] = area(filters[q]).mean()
    return Outcome(figures, (filters, DIGIT_SHAPE))


def learn_filters(X, seed, n_components=100, epochs=20):
    """Return a dict from the fraction of masked pixels to the filters, of shape (n_components, n_features).

    The weights start near 0, so that those of pixels that are black in all images stay there.
    """
    filters = {}
    for q in NOISE:
        autoencoder = rhohat.DenoisingAutoencoder(
            n_components=n_components,
            corruption=rhohat.MaskingNoise(q) if q > 0 else None,
            solver=rhohat.Adam(learning_rate=0.03, batch_size=50, schedule="cosine"),
            initial_weights="normal",
            max_iter=epochs,
            random_state=seed,
        )
        filters[q] = autoencoder.fit(X).components_
    return filters


def draw(runs, path):
    """Draw the filters, side by side."""
    filters, image_shape = runs[0]
    panels = {}
    for q, rows in filters.items():
        seen = f"{q:.0%} of the pixels masked" if q > 0 else "no noise"
        width, pixels = stroke_width(rows, image_shape).mean(), area(rows).mean()
        panels[f"{seen}\nstroke width {width:.2f} pixels, area {pixels:.0f} pixels"] = rows
    draw_filters(panels, path, image_shape, size=(5 * len(panels), 5.6), bbox_inches="tight")


REPRODUCTION = Reproduction(
    published="pictures: noise widens strokes (Vincent et al., 2010, section 5.2)",
    figures=[
        Figure("rise of the stroke width from step to step, the lesser", at_least=0.1, fast=0.03, form=".2f"),
        *(Figure(f"stroke width in pixels, q = {q:g}", form=".2f") for q in NOISE),
        *(Figure(f"area in pixels, q = {q:g}", form=".0f") for q in NOISE),
    ],
    run=run,
    draw=draw,
    n_seeds=3,
)
