"""
Pen strokes
===========

One should see short pen strokes: with ρ = 0.1, a hidden unit of a sparse autoencoder is active on one digit in ten, and
strokes are what digits have in common. With weight decay alone nothing keeps a unit quiet: some are noise all over the
image, and others copy single pixels.

What tells the two apart is the *coherence* of a filter: how far its slopes, around a pixel, run along one line. For a
straight stroke it is 1, for a round dot 0, and noise has a little by chance. The mean activation says why. The course
trains for 400 iterations; these are 200, after some on fewer digits, which is where rhohat begins.

Ng, A., Ngiam, J., Foo, C. Y., Mai, Y. and Suen, C. (2011). Exercise: vectorization. UFLDL tutorial.
"""  # noqa: D205, D400 - it begins with the title of a section

import rhohat
from reproductions._data import DIGIT_SHAPE, load_mnist
from reproductions._measures import coherence
from reproductions._pictures import draw_filters
from reproductions._reproduction import Figure, Outcome, Reproduction

SETTINGS = {"sparse": {"sparsity": 0.1, "sparsity_weight": 3.0}, "weight decay only": {"sparsity_weight": 0.0}}


def run(seed, fast):
    """Learn from the same digits with and without sparsity; measure what the filters cover."""
    X = load_mnist().X[: 2_000 if fast else 10_000]
    figures, filters = {}, {}
    for name, settings in SETTINGS.items():
        autoencoder = rhohat.SparseAutoencoder(
            n_components=196, weight_decay=3e-3, max_iter=100 if fast else 200, random_state=seed, **settings
        ).fit(X)
        filters[name] = autoencoder.components_
        figures[f"coherence of a filter, {name}"] = coherence(autoencoder.components_, DIGIT_SHAPE).mean()
        figures[f"mean activation, {name}"] = autoencoder.mean_activation_.mean()
    sparse, decayed = (figures[f"coherence of a filter, {name}"] for name in SETTINGS)
    figures["coherence gained by sparsity"] = sparse - decayed
    return Outcome(figures, filters)


def draw(runs, path):
    """Draw both sets of filters, side by side."""
    draw_filters(runs[0], path, DIGIT_SHAPE, size=(13, 6.8))


REPRODUCTION = Reproduction(
    published="pictures: pen strokes against noise; 15 to 20 minutes (UFLDL course)",
    figures=[
        Figure("coherence gained by sparsity", at_least=0.15, fast=0.08, form=".2f"),
        *(Figure(f"coherence of a filter, {name}", form=".2f") for name in SETTINGS),
        *(Figure(f"mean activation, {name}") for name in SETTINGS),
    ],
    run=run,
    draw=draw,
    n_seeds=3,
)
