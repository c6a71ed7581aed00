"""Measurements of a dictionary: statistics of rows and the rows that activate each latent most; similar latents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.data import RowSource, open_rows
from rhohat.data.finite import check_finite_block
from rhohat.estimators.dictionary_use import UsableDictionary
from rhohat.inspection.metrics import ActivationStatistics, ReconstructionStatistics, encoder_decoder_cosine
from rhohat.inspection.reporting.units import most_similar
from rhohat.inspection.top_rows import SparseTopRows, blocks_of_runs, runs_of_rows

__all__ = ["DictionaryMeasurements", "Latents", "describe_latents", "measure_dictionary"]

_N_TOP = 12


@dataclass(frozen=True)
class DictionaryMeasurements:
    """Results of passing rows through a dictionary.

    Attributes
    ----------
    rows : array of int, of shape (n_rows,)
        Numbers of the rows that were measured, ascending.
    activations : ActivationStatistics
        Statistics of the codes.
    reconstructions : ReconstructionStatistics
        Statistics of the reconstructions.
    n_not_zero : array of int, of shape (n_components,)
        Number of rows on which each latent is not 0.
    top : SparseTopRows
        Rows that activate each latent most.
    """

    rows: NDArray[np.intp]
    activations: ActivationStatistics
    reconstructions: ReconstructionStatistics
    n_not_zero: NDArray[np.int64]
    top: SparseTopRows

    @property
    def mean_where_active(self) -> FloatArray:
        """Mean activation of each latent over the rows on which it is not 0; 0 for a latent that is always 0."""
        sums = self.activations.mean_activation * len(self.rows)
        mean: FloatArray = sums / np.maximum(self.n_not_zero, 1)
        return mean


@dataclass(frozen=True)
class Latents:
    """Descriptions of the latents of a dictionary from its weights alone.

    Attributes
    ----------
    directions : array of shape (n_components, n_features)
        Rows of the decoder.
    similar : array of int, of shape (n_components, n_similar)
        For each latent, the latents whose directions are nearest to its own, the nearest first.
    cosines : array of shape (n_components, n_similar)
        Cosines of the angles between the direction of each latent and those of its similar latents.
    encoder_cosines : array of shape (n_components,)
        Cosine of the angle between the encoder's and the decoder's weights of each latent.
    """

    directions: FloatArray
    similar: NDArray[np.intp]
    cosines: FloatArray
    encoder_cosines: FloatArray


def measure_dictionary(
    dictionary: UsableDictionary, source: RowSource, *, threshold: float = 0.0, max_rows: int | None = None
) -> DictionaryMeasurements:
    """Measure a fitted dictionary on rows, in one pass over the rows.

    Parameters
    ----------
    dictionary : fitted dictionary
    source : RowSource
        Rows as the dictionary sees them, after preprocessing.
    threshold : float, default=0.0
        A latent is active on a row if its activation is above this number.
    max_rows : int, default=None
        Largest number of rows to measure. If there are more rows, a selection spread evenly over all rows is measured.

    Returns
    -------
    DictionaryMeasurements
    """
    activations, reconstructions = ActivationStatistics(threshold), ReconstructionStatistics()
    top = SparseTopRows(dictionary.n_components_, _N_TOP)
    n_not_zero = np.zeros(dictionary.n_components_, np.int64)
    runs = runs_of_rows(len(source), max_rows)
    for first, rows in blocks_of_runs(source, runs, n_units=1):
        check_finite_block(rows, source.name, first, source.feature_names)
        codes = dictionary.codes(open_rows(rows))
        activations.update(codes)
        reconstructions.update(rows, dictionary.decode(codes, rows))
        n_not_zero += np.bincount(codes.indices, minlength=len(n_not_zero))
        top.update(codes, first)
    measured = np.concatenate([np.arange(start, stop) for start, stop in runs])
    return DictionaryMeasurements(measured, activations, reconstructions, n_not_zero, top)


def describe_latents(dictionary: UsableDictionary) -> Latents:
    """Return descriptions of the latents of a fitted dictionary."""
    directions = dictionary.components_
    encoder_cosines = encoder_decoder_cosine(dictionary.coefs_[0].T, directions)
    return Latents(directions, *most_similar(directions), encoder_cosines)
