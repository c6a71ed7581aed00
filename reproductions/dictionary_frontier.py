"""
How much a few latents explain
==============================

The more latents a row may use, the more of it they explain. What a dictionary is worth shows in how much it explains
with few: the curve of explained variance against the number of active latents, its frontier.

Dictionaries of three kinds learn from the same rows, each aiming at several numbers of active latents. The rows are the
sums of known directions of the recovery of known features, with a little noise, which nothing can explain.

Gao, L. et al. (2024). Scaling and evaluating sparse autoencoders. arXiv 2406.04093, figure 1.
"""  # noqa: D205, D400 - it begins with the title of a section

from matplotlib import pyplot

import rhohat
from reproductions._reproduction import Figure, Outcome, Reproduction
from reproductions.dictionary_recovery import N_LATENTS, judge, rows_of

NUMBERS = (4, 8, 16, 32)
KINDS = ("TopK", "BatchTopK", "L1")


def run(seed, fast):
    """Train dictionaries of all kinds with all numbers of active latents on the same rows."""
    n_rows = 30_000 if fast else 1_000_000
    rows, held_out, codes = rows_of(n_rows, seed, noise=0.02)
    solver = rhohat.Adam(learning_rate=2e-3, batch_size=1024, schedule="trapezoid")
    how = {"solver": solver, "max_iter": 1, "random_state": seed}
    candidates = {}
    for k in NUMBERS:
        candidates["TopK", k] = rhohat.TopKAutoencoder(N_LATENTS, k, **how)
        candidates["BatchTopK", k] = rhohat.BatchTopKAutoencoder(N_LATENTS, k, **how)
        candidates["L1", k] = rhohat.L1Autoencoder(N_LATENTS, target_l0=k, **how)
    rhohat.fit_together(list(candidates.values()), rows)
    judged = {name: judge(one, rows, held_out, codes) for name, one in candidates.items()}
    figures = {f"explained variance, {kind} at {k}": one["explained variance"] for (kind, k), one in judged.items()}
    return Outcome(figures, judged)


def draw(runs, path):
    """Draw the frontiers."""
    figure, axis = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for kind, marker in zip(KINDS, "osD", strict=True):
        points = [runs[0][kind, k] for k in NUMBERS]
        axis.plot(
            [one["active latents"] for one in points],
            [one["explained variance"] for one in points],
            marker=marker,
            label=kind,
        )
    axis.set_xscale("log", base=2)
    axis.set_xlabel("active latents of a row")
    axis.set_ylabel("explained variance of other rows")
    axis.legend()
    figure.savefig(path)
    pyplot.close(figure)


_AIMS = {("TopK", 16): 0.75, ("TopK", 32): 0.8}
_FAST = {("TopK", 32): 0.45}

REPRODUCTION = Reproduction(
    published="TopK above ReLU with L1 at every number of active latents (Gao et al., 2024)",
    figures=[
        Figure(f"explained variance, {kind} at {k}", at_least=_AIMS.get((kind, k)), fast=_FAST.get((kind, k)))
        for k in NUMBERS
        for kind in KINDS
    ],
    run=run,
    draw=draw,
    n_seeds=2,
)
