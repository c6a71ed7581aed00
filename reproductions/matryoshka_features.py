"""
General features beside special ones
====================================

Where a special feature implies a general one, as a terrier implies a dog, a dictionary saves an active latent if the
terrier's latent takes over the dog's part as well. Then no latent stands for dogs: the general feature is absorbed, and
split into the special ones. Matryoshka dictionaries have to reconstruct rows with their first latents alone, which
general features serve best.

The directions form trees: a child is part of a row only where its parent is. Absorption is measured on parents: the
share of the rows with the parent in which no latent that points nearly where the parent points is active.

Bussmann, B., Nabeshima, N., Karvonen, A. and Nanda, N. (2025). Learning multi-level features with Matryoshka sparse
autoencoders. ICML.

Chanin, D. et al. (2024). A is for absorption: studying feature splitting and absorption in sparse autoencoders. arXiv
2409.14507.
"""  # noqa: D205, D400 - it begins with the title of a section

import numpy as np
from matplotlib import pyplot

import rhohat
from reproductions._reproduction import Figure, Outcome, Reproduction
from reproductions.dictionary_recovery import judge

N_ROWS, N_HELD_OUT, N_FEATURES, N_DIMENSIONS, N_LATENTS, K = 3_000_000, 50_000, 256, 96, 256, 5
KINDS = ("BatchTopK", "Matryoshka")


def rows_of(n_rows, seed):
    """Rows to learn from, and others to be judged by, whose directions form trees of a parent and eight children."""
    how = {"exponent": 0.0, "n_children": 8, "depth": 1, "child_probability": 0.25, "random_state": seed}
    every = rhohat.synthetic_features(n_rows + N_HELD_OUT, N_DIMENSIONS, N_FEATURES, 6, **how)
    first = rhohat.synthetic_features(n_rows, N_DIMENSIONS, N_FEATURES, 6, **how)
    return first, every.read(n_rows, n_rows + N_HELD_OUT), every.codes(n_rows, n_rows + N_HELD_OUT)


def absorbed(rows, dictionary, held_out, codes):
    """Return the share of the rows with a parent and a child in which no latent for the parent is active."""
    directions, parents = rows.directions, rows.parents
    decoder = dictionary.components_ / np.linalg.norm(dictionary.components_, axis=1, keepdims=True)
    found, true = dictionary.transform(held_out).tocsc(), codes.tocsc()
    with_child = np.zeros((codes.shape[0], len(directions)), bool)
    for child in np.flatnonzero(parents >= 0):
        with_child[true.indices[slice(*true.indptr[child : child + 2])], parents[child]] = True
    shares = []
    for parent in np.unique(parents[parents >= 0]):
        latent = int(np.argmax(decoder @ directions[parent]))
        active = np.zeros(codes.shape[0], bool)
        active[found.indices[slice(*found.indptr[latent : latent + 2])]] = True
        shares.append(1 - active[with_child[:, parent]].mean())
    return float(np.mean(shares))


def run(seed, fast):
    """Train both kinds on the same rows, and judge them by others."""
    n_rows = 40_000 if fast else N_ROWS
    rows, held_out, codes = rows_of(n_rows, seed)
    solver = rhohat.Adam(learning_rate=2e-3, batch_size=1024, schedule="trapezoid")
    how = {"solver": solver, "max_iter": 1, "random_state": seed}
    candidates = [
        rhohat.BatchTopKAutoencoder(N_LATENTS, K, **how),
        rhohat.MatryoshkaAutoencoder(N_LATENTS, K, **how),
    ]
    rhohat.fit_together(candidates, rows)
    figures = {}
    for kind, one in zip(KINDS, candidates, strict=True):
        judged = judge(one, rows, held_out, codes)
        figures |= {f"{what}, {kind}": judged[what] for what in ("F1", "correlation", "explained variance")}
        figures[f"parents absorbed, {kind}"] = absorbed(rows, one, held_out, codes)
    figures["F1 gained"] = figures["F1, Matryoshka"] - figures["F1, BatchTopK"]
    return Outcome(figures, figures)


def draw(runs, path):
    """Draw what sets the two kinds apart."""
    figures = runs[0]
    figure, axes = pyplot.subplots(1, 2, figsize=(7, 2.6), layout="constrained")
    for axis, what in zip(axes, ("F1", "parents absorbed"), strict=True):
        axis.barh(KINDS, [figures[f"{what}, {kind}"] for kind in KINDS], color="#4477aa")
        axis.set_xlim(0, 1)
        axis.set_xlabel(what)
        axis.invert_yaxis()
    figure.savefig(path)
    pyplot.close(figure)


REPRODUCTION = Reproduction(
    published="F1 0.879 for Matryoshka, 0.732 for BatchTopK, in a larger case with trees (SynthSAEBench)",
    figures=[
        Figure("F1 gained", at_least=0.02),
        *(Figure(f"{what}, {kind}") for what in ("F1", "correlation", "explained variance") for kind in KINDS),
        Figure("parents absorbed, BatchTopK", form=".1%"),
        Figure("parents absorbed, Matryoshka", at_most=0.1, fast=0.75, form=".1%"),
    ],
    run=run,
    draw=draw,
    n_seeds=3,
)
