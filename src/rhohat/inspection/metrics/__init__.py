"""Metrics of a code and of its reconstructions, computed exactly as defined, block by block.

`ReconstructionStatistics` and `ActivationStatistics` accumulate blocks of rows. The functions that take rows read an
array, a file or a row source, and compute their result with one of these two classes.
"""

from rhohat.inspection.metrics.activations import (
    ActivationStatistics,
    activation_frequency,
    constant_fraction,
    dead_fraction,
    default_threshold,
    kl_to_target,
    l0,
    mean_activation,
)
from rhohat.inspection.metrics.matching import DictionaryMatch, match_dictionaries
from rhohat.inspection.metrics.reconstructions import ReconstructionStatistics, explained_variance, mean_squared_error

__all__ = [
    "ActivationStatistics",
    "DictionaryMatch",
    "ReconstructionStatistics",
    "activation_frequency",
    "constant_fraction",
    "dead_fraction",
    "default_threshold",
    "explained_variance",
    "kl_to_target",
    "l0",
    "match_dictionaries",
    "mean_activation",
    "mean_squared_error",
]
