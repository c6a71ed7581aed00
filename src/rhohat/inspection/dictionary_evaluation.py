"""Evaluation of a fitted dictionary on rows, block by block, with codes that stay sparse."""

from __future__ import annotations

import math

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.data import RowSource, open_rows
from rhohat.data.finite import check_finite_block
from rhohat.estimators.dictionary_use import UsableDictionary
from rhohat.inspection.evaluated import DictionaryEvaluation
from rhohat.inspection.metrics import (
    ActivationStatistics,
    ReconstructionStatistics,
    encoder_decoder_cosine,
    largest_cosine,
)

__all__ = ["evaluate_dictionary", "evaluation_of"]


def evaluate_dictionary(dictionary: UsableDictionary, rows: RowSource, threshold: float | None) -> DictionaryEvaluation:
    """Evaluate a fitted dictionary on rows.

    Parameters
    ----------
    dictionary : fitted dictionary
    rows : RowSource
        Rows as the dictionary sees them, after preprocessing. They are read once.
    threshold : float or None
        A latent is active on a row if its activation is above this number; None means 0.

    Returns
    -------
    DictionaryEvaluation
    """
    activations = ActivationStatistics(0.0 if threshold is None else threshold)
    reconstructions = ReconstructionStatistics()
    first = 0
    for block in rows.blocks(rows.rows_at_once):
        check_finite_block(block, rows.name, first, rows.feature_names)
        first += len(block)
        codes = dictionary.codes(open_rows(block))
        activations.update(codes)
        reconstructions.update(block, dictionary.decode(codes, block))
    return evaluation_of(dictionary, activations, reconstructions)


def evaluation_of(
    dictionary: UsableDictionary,
    activations: ActivationStatistics,
    reconstructions: ReconstructionStatistics,
    largest_cosines: FloatArray | None = None,
) -> DictionaryEvaluation:
    """Return the evaluation of a dictionary, given statistics of its activations and its reconstructions.

    Parameters
    ----------
    dictionary : fitted dictionary
    activations : ActivationStatistics
    reconstructions : ReconstructionStatistics
    largest_cosines : array of shape (n_components,), default=None
        Largest cosine of each row of the decoder with another row; computed if None.
    """
    decoder, encoder = dictionary.components_, dictionary.coefs_[0].T
    if largest_cosines is None:
        largest_cosines = largest_cosine(decoder) if len(decoder) > 1 else np.array([math.nan])
    return DictionaryEvaluation(
        n_samples=activations.n_samples,
        n_features=encoder.shape[1],
        n_units=len(decoder),
        threshold=activations.threshold,
        explained_variance=reconstructions.explained_variance,
        mean_squared_error=reconstructions.mean_squared_error,
        l0=activations.l0,
        dead_fraction=activations.dead_fraction,
        constant_fraction=activations.constant_fraction,
        activation_frequency=activations.activation_frequency,
        mean_activation=activations.mean_activation,
        largest_activation=activations.largest_activation,
        kl_to_target=None,
        sparsity=None,
        cost=None,
        terms={},
        score=None,
        fraction_of_variance_unexplained=reconstructions.fraction_of_variance_unexplained,
        mean_cosine=reconstructions.mean_cosine,
        norm_ratio=reconstructions.norm_ratio,
        relative_reconstruction_bias=reconstructions.relative_reconstruction_bias,
        l1=activations.l1,
        l0_histogram=activations.l0_histogram,
        density_histogram=activations.density_histogram,
        dense_fraction=activations.dense_fraction(),
        decoder_cosine_median=float(np.median(largest_cosines)),
        decoder_cosine_maximum=float(np.max(largest_cosines)),
        encoder_decoder_cosine_median=float(np.median(encoder_decoder_cosine(encoder, decoder))),
    )
