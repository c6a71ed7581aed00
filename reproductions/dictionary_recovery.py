"""
Known features, recovered by dictionaries
=========================================

Whether a dictionary finds what is there can be judged where it is known what is there: rows that are sums of a few of
many directions, drawn at random. A latent that stands for a direction points nearly where it points, and is active
where it is part of the row.

There are 512 directions in 128 dimensions, ten of them in a row on average, and 1,024 latents, 24 of which are active.
With twice as many latents as directions, most of which are needed by no row, a dictionary that may use ten only would
have half of its latents die. Dictionaries of every kind learn from the same rows in
one pass, and are judged by other rows. Their correlation is that of latents and directions matched one to one, their F1
that of each latent's activity with that of the direction that is nearest to it.

Bussmann, B., Nabeshima, N., Karvonen, A. and Nanda, N. (2025). Learning multi-level features with Matryoshka sparse
autoencoders. ICML.
"""  # noqa: D205, D400 - it begins with the title of a section

import numpy as np
from matplotlib import pyplot

import rhohat
from reproductions._reproduction import Figure, Outcome, Reproduction
from rhohat import metrics

N_ROWS, N_HELD_OUT, N_FEATURES, N_LATENTS, K = 3_000_000, 50_000, 512, 1024, 24


def dictionaries(seed, n_rows):
    """One dictionary of each kind, which all aim at the same number of active latents."""
    solver = rhohat.Adam(learning_rate=2e-3, batch_size=1024, schedule="trapezoid")
    how = {"solver": solver, "max_iter": 1, "random_state": seed, "dead_after": max(n_rows // 60, 2000)}
    return {
        "TopK": rhohat.TopKAutoencoder(N_LATENTS, K, **how),
        "BatchTopK": rhohat.BatchTopKAutoencoder(N_LATENTS, K, **how),
        "Matryoshka": rhohat.MatryoshkaAutoencoder(N_LATENTS, K, **how),
        "JumpReLU": rhohat.JumpReLUAutoencoder(N_LATENTS, target_l0=K, **how),
        "gated": rhohat.GatedAutoencoder(N_LATENTS, target_l0=K, **how),
        "L1": rhohat.L1Autoencoder(N_LATENTS, target_l0=K, **how),
    }


def rows_of(n_rows, seed, **structure):
    """Rows to learn from, and others of the same directions to be judged by."""
    every = rhohat.synthetic_features(
        n_rows + N_HELD_OUT, 128, N_FEATURES, 10, exponent=0.0, random_state=seed, **structure
    )
    first = rhohat.synthetic_features(n_rows, 128, N_FEATURES, 10, exponent=0.0, random_state=seed, **structure)
    return first, every.read(n_rows, n_rows + N_HELD_OUT), every.codes(n_rows, n_rows + N_HELD_OUT)


def judge(dictionary, rows, held_out, codes):
    """How well a dictionary recovers the directions."""
    found = dictionary.transform(held_out)
    recovery = metrics.feature_recovery(rows.directions, dictionary.components_, codes, found)
    return {
        "correlation": recovery.mean_correlation,
        "F1": float(np.mean(recovery.f1)),
        "explained variance": dictionary.score(held_out),
        "active latents": metrics.l0(found),
        "dead latents": metrics.dead_fraction(found),
    }


def run(seed, fast):
    """Train all kinds on the same rows, and judge them by others."""
    n_rows = 100_000 if fast else N_ROWS
    rows, held_out, codes = rows_of(n_rows, seed)
    candidates = dictionaries(seed, n_rows)
    rhohat.fit_together(list(candidates.values()), rows)
    judged = {name: judge(one, rows, held_out, codes) for name, one in candidates.items()}
    figures = {f"{what}, {name}": value for name, one in judged.items() for what, value in one.items()}
    return Outcome(figures, judged)


def draw(runs, path):
    """Draw the correlation and the F1 of every kind."""
    judged = runs[0]
    figure, axes = pyplot.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
    for axis, what in zip(axes, ("correlation", "F1"), strict=True):
        axis.barh(list(judged), [one[what] for one in judged.values()], color="#4477aa")
        axis.set_xlim(0, 1)
        axis.set_xlabel(what)
    axes[0].invert_yaxis()
    figure.savefig(path)
    pyplot.close(figure)


_KINDS = ("TopK", "BatchTopK", "Matryoshka", "JumpReLU", "gated", "L1")
_CORRELATION = {"TopK": 0.95, "BatchTopK": 0.95}
_FAST = {"TopK": 0.31}  # random directions have 0.30

REPRODUCTION = Reproduction(
    published=(
        "in a larger case, at 25 active latents (SynthSAEBench): F1 0.732 and correlation 0.757 for BatchTopK, 0.879"
        " and 0.793 for Matryoshka, 0.556 and 0.604 for L1, 0.732 and 0.753 for JumpReLU"
    ),
    figures=[
        *(Figure(f"correlation, {kind}", at_least=_CORRELATION.get(kind), fast=_FAST.get(kind)) for kind in _KINDS),
        *(Figure(f"F1, {kind}") for kind in _KINDS),
        *(Figure(f"explained variance, {kind}") for kind in _KINDS),
        *(Figure(f"active latents, {kind}", form=".1f") for kind in _KINDS),
        *(
            Figure(f"dead latents, {kind}", at_most=0.05 if kind in ("TopK", "BatchTopK") else None, form=".1%")
            for kind in _KINDS
        ),
    ],
    run=run,
    draw=draw,
    n_seeds=3,
)
