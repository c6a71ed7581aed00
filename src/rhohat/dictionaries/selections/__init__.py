"""Selections: which latents are active in a row, with which values, and how gradients pass back through that.

A selection finds entries (row, latent) whose pre-activation a = x̃ W_enc + b_enc is of interest, and turns their
pre-activations into codes f. It gets the derivative of the loss by f at the entries, and returns derivatives by a and
by its own parameters. Where f jumps, these are pseudo-gradients, which the docstrings say.
"""

from rhohat.dictionaries.selections.base import PullBack, Selection, Sums
from rhohat.dictionaries.selections.gated import Gated
from rhohat.dictionaries.selections.jumprelu import JumpReLU
from rhohat.dictionaries.selections.l1 import L1
from rhohat.dictionaries.selections.largest import BatchTopK, Matryoshka, TopK

__all__ = ["L1", "BatchTopK", "Gated", "JumpReLU", "Matryoshka", "PullBack", "Selection", "Sums", "TopK"]
