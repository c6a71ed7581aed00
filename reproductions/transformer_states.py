"""
Features of a transformer's states
==================================

What a network knows of a word in its sentence is a point in a space of some hundred dimensions, and there are more
things to know than dimensions. A dictionary writes each point as a sum of a few of many directions, and the words on
which one of them is active tell what it stands for.

The network is a small transformer for sentences, all-MiniLM-L6-v2, and its states are those after the fourth of six
layers, 384 numbers for each token of the descriptions that installed packages carry. The dictionary has 3,072 latents,
32 of which are active on a token; it is judged by tokens that it has not seen.

Wang, W., Wei, F., Dong, L., Bao, H., Yang, N. and Zhou, M. (2020). MiniLM: deep self-attention distillation for
task-agnostic compression of pre-trained transformers. NeurIPS.
"""  # noqa: D205, D400 - it begins with the title of a section

import numpy as np

import rhohat
from reproductions._data import load_transformer_states
from reproductions._reproduction import Figure, Outcome, Reproduction

N_ROWS, N_HELD_OUT = 200_000, 10_000


def run(seed, fast):
    """Learn from the states of 200,000 tokens, and look at others."""
    n_rows, passes = (20_000, 4) if fast else (N_ROWS, 10)
    states, tokens = load_transformer_states(n_rows + N_HELD_OUT)
    held_out = states[-N_HELD_OUT:]
    solver = rhohat.Adam(learning_rate=1e-3, batch_size=2048, schedule="trapezoid")
    dictionary = rhohat.TopKAutoencoder(3072, 32, max_iter=passes, solver=solver, random_state=seed)
    dictionary.fit(states[:n_rows])
    codes = dictionary.transform(held_out)
    figures = {
        "explained variance of tokens held out": dictionary.score(held_out),
        "dead latents": rhohat.metrics.dead_fraction(codes),
        "active latents of a token": rhohat.metrics.l0(codes),
    }
    return Outcome(figures, (codes.tocsc(), tokens[-N_HELD_OUT:]))


def draw(runs, path):
    """Write the words on which some latents are most active."""
    from matplotlib import pyplot

    codes, tokens = runs[0]
    figure, axes = pyplot.subplots(figsize=(8, 5.5))
    axes.axis("off")
    for place, latent in enumerate(_clearest(codes, tokens)):
        entries = slice(*codes.indptr[latent : latent + 2])
        strongest = codes.indices[entries][np.argsort(-codes.data[entries])[:8]]
        words = "  ".join(tokens[row] for row in strongest)
        axes.text(0, 1 - place / 20, f"{latent:>4}   {words}", family="monospace", fontsize=9, va="top")
    axes.set_title("Tokens that activate a latent most, a latent in each line")
    figure.savefig(path)
    pyplot.close(figure)


def _clearest(codes, tokens, n=20):
    """Return latents whose strongest tokens are most often the same, each word once."""
    shares, words = np.zeros(codes.shape[1]), np.full(codes.shape[1], "", object)
    for latent in range(codes.shape[1]):
        entries = slice(*codes.indptr[latent : latent + 2])
        strongest = codes.indices[entries][np.argsort(-codes.data[entries])[:20]]
        if len(strongest) == 20:
            found, counts = np.unique(np.asarray(tokens, object)[strongest], return_counts=True)
            # Neither a single word, which would tell nothing of what it means, nor twenty different ones.
            shares[latent] = counts.max() / 20 if 3 <= len(found) <= 10 else 0
            words[latent] = found[counts.argmax()]
    chosen, seen = [], set()
    for latent in np.argsort(-shares):
        if words[latent] not in seen and len(chosen) < n:
            seen.add(words[latent])
            chosen.append(int(latent))
    return chosen


REPRODUCTION = Reproduction(
    published="no figure; explained variance of 0.8 to 0.9 at 32 active latents is usual (Gao et al., 2024)",
    figures=[
        Figure("explained variance of tokens held out", at_least=0.85, fast=0.5),
        Figure("dead latents", at_most=0.05, form=".1%"),
        Figure("active latents of a token", form=".1f"),
    ],
    run=run,
    draw=draw,
    n_seeds=2,
)
