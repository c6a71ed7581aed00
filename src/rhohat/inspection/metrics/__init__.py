"""Metrics of a code and of its reconstructions, computed exactly as defined, block by block.

`ReconstructionStatistics`, `ActivationStatistics`, `ClassStatistics` and `FeatureRecovery` accumulate blocks of rows.
The functions that take rows read an array, a file or a row source, and compute their result with one of these classes.
Codes may be sparse arrays of SciPy.
"""

from rhohat.inspection.metrics.activations import ActivationStatistics, default_threshold, kl_to_target
from rhohat.inspection.metrics.densities import DensityHistogram
from rhohat.inspection.metrics.labels import ClassLatents, ClassStatistics, class_latents
from rhohat.inspection.metrics.matching import DictionaryMatch, match_dictionaries
from rhohat.inspection.metrics.probing import SparseProbing, sparse_probing
from rhohat.inspection.metrics.reconstructions import (
    ReconstructionStatistics,
    explained_variance,
    fraction_of_variance_unexplained,
    mean_cosine,
    mean_squared_error,
    norm_ratio,
    relative_reconstruction_bias,
)
from rhohat.inspection.metrics.recovery import FeatureRecovery, feature_recovery, mean_correlation, uniqueness
from rhohat.inspection.metrics.sparsity import (
    activation_frequency,
    constant_fraction,
    dead_fraction,
    dense_fraction,
    density_histogram,
    l0,
    l0_histogram,
    l1,
    mean_activation,
)
from rhohat.inspection.metrics.weights import encoder_decoder_cosine, largest_cosine

__all__ = [
    "ActivationStatistics",
    "ClassLatents",
    "ClassStatistics",
    "DensityHistogram",
    "DictionaryMatch",
    "FeatureRecovery",
    "ReconstructionStatistics",
    "SparseProbing",
    "activation_frequency",
    "class_latents",
    "constant_fraction",
    "dead_fraction",
    "default_threshold",
    "dense_fraction",
    "density_histogram",
    "encoder_decoder_cosine",
    "explained_variance",
    "feature_recovery",
    "fraction_of_variance_unexplained",
    "kl_to_target",
    "l0",
    "l0_histogram",
    "l1",
    "largest_cosine",
    "match_dictionaries",
    "mean_activation",
    "mean_correlation",
    "mean_cosine",
    "mean_squared_error",
    "norm_ratio",
    "relative_reconstruction_bias",
    "sparse_probing",
    "uniqueness",
]
