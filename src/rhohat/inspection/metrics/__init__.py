"""How good a code and its reconstructions are: metrics by definition, of rows that are seen some at a time.

`ReconstructionStatistics` and `ActivationStatistics` add up what they are shown, block by block. The functions read
arrays, files or row sources through one of the two.
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
