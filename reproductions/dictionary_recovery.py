"""
Known features, recovered by dictionaries
=========================================

Whether a dictionary finds what is there can be judged where it is known what is there: rows that are sums of a few of
many directions, drawn at random. A latent that stands for a direction has nearly the same direction, and is active
where it is part of the row.

There are 512 directions in 128 dimensions, ten of them in a row on average, and 1,024 latents, 16 of which are active:
some more than ten, because the number differs from row to row. Dictionaries of every kind learn from the same rows in
one pass, and are judged by others.

Bussmann, B., Nabeshima, N., Karvonen, A. and Nanda, N. (2025). Learning multi-level features with Matryoshka sparse
autoencoders. ICML.
"""  # noqa: D205, D400 - it begins with the title of a section

import numpy as np

import rhohat
from reproductions._reproduction import Figure, Outcome, Reproduction
from rhohat.metrics import feature_recovery

N_ROWS, N_HELD_OUT, N_LATENTS, K = 3_000_000, 50_000, 1024, 16
DEAD_AFTER = 5_000
