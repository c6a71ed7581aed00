"""Measurements of a dictionary: statistics of rows and the rows that activate each latent most; similar latents."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.data import RowSource, open_rows
from rhohat.data.finite import check_finite_block
from rhohat.estimators.dictionary_use import UsableDictionary
from rhohat.inspection.kept_rows import SparseRows, SparseSampledRows, SparseTopRows, SparseWeakestRows
from rhohat.inspection.metrics import ActivationStatistics, ReconstructionStatistics, encoder_decoder_cosine
from rhohat.inspection.reporting.dictionaries.classes import ClassesOfRows, MeasuredClasses
from rhohat.inspection.reporting.dictionaries.contexts import Contexts
from rhohat.inspection.reporting.dictionaries.geometry import Geometry, geometry_of
from rhohat.inspection.reporting.dictionaries.spread import N_SAMPLED, N_WEAKEST, Spread
from rhohat.inspection.reporting.dictionaries.windows import CodesOfRows, Windows, windows_of
from rhohat.inspection.reporting.units import most_similar
from rhohat.inspection.top_rows import blocks_of_runs, runs_of_rows

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
    top : SparseRows
        Rows that activate each latent most, no two of them of the same text.
    spread : Spread
        Rows over the whole range of the activations of each latent.
    contexts : Contexts, default=None
        The texts of the rows; None if they are not known.
    windows : Windows, default=None
        Activations on the tokens around the top rows and those of the spread; None without texts.
    classes : MeasuredClasses, default=None
        What is known of the classes of the rows; None if they have no labels.
    """

    rows: NDArray[np.intp]
    activations: ActivationStatistics
    reconstructions: ReconstructionStatistics
    n_not_zero: NDArray[np.int64]
    top: SparseRows
    spread: Spread
    contexts: Contexts | None = None
    windows: Windows | None = None
    classes: MeasuredClasses | None = None

    @property
    def examples(self) -> NDArray[np.intp]:
        """Numbers of the top rows and those of the spread, of shape (n_components, n_examples); -1 for none."""
        return np.concatenate([self.top.rows, self.spread.rows], axis=1)

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
    geometry : Geometry
        Where the directions lie.
    """

    directions: FloatArray
    similar: NDArray[np.intp]
    cosines: FloatArray
    encoder_cosines: FloatArray
    geometry: Geometry

    @property
    def nearest_cosines(self) -> FloatArray:
        """Cosine of the angle between the direction of each latent and the nearest other; NaN for a single latent."""
        return self.cosines[:, 0] if len(self.directions) > 1 else np.array([np.nan])


def measure_dictionary(
    dictionary: UsableDictionary,
    source: RowSource,
    *,
    threshold: float = 0.0,
    max_rows: int | None = None,
    contexts: Contexts | None = None,
    classes: ClassesOfRows | None = None,
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
    contexts : Contexts, default=None
        The texts of the rows. With them, rows near those that are shown are encoded a second time if the codes of all
        rows are too large to be kept.
    classes : ClassesOfRows, default=None
        The classes of the rows.

    Returns
    -------
    DictionaryMeasurements
    """
    n_latents = dictionary.n_components_
    activations, reconstructions = ActivationStatistics(threshold), ReconstructionStatistics()
    top = SparseTopRows(n_latents, _N_TOP)
    sampled = SparseSampledRows(n_latents, N_SAMPLED, threshold)
    weakest = SparseWeakestRows(n_latents, N_WEAKEST, threshold)
    n_not_zero = np.zeros(n_latents, np.int64)
    runs = runs_of_rows(len(source), max_rows)
    all_codes = CodesOfRows(dictionary, source, runs)
    of_classes = None if classes is None else MeasuredClasses(classes, sum(stop - start for start, stop in runs))
    for first, rows in blocks_of_runs(source, runs, n_units=1):
        check_finite_block(rows, source.name, first, source.feature_names)
        codes = dictionary.codes(open_rows(rows))
        activations.update(codes)
        reconstructions.update(rows, dictionary.decode(codes, rows))
        n_not_zero += np.bincount(codes.indices, minlength=n_latents)
        texts = None if contexts is None else contexts.locate(np.arange(first, first + len(rows)))[0]
        for kept in (top, sampled, weakest):
            kept.update(codes, first, texts)
        if contexts is not None:
            all_codes.add(first, codes)
        if of_classes is not None:
            of_classes.update(codes, first)
    measured = np.concatenate([np.arange(start, stop) for start, stop in runs])
    spread = Spread.of(top, sampled, weakest)
    found = DictionaryMeasurements(measured, activations, reconstructions, n_not_zero, top, spread, classes=of_classes)
    if contexts is None:
        return found
    return replace(found, contexts=contexts, windows=windows_of(found.examples, contexts, all_codes))


def describe_latents(dictionary: UsableDictionary, projection: str = "auto") -> Latents:
    """Return descriptions of the latents of a fitted dictionary, with a map that is made by a projection."""
    directions = dictionary.components_
    encoder_cosines = encoder_decoder_cosine(dictionary.coefs_[0].T, directions)
    return Latents(directions, *most_similar(directions), encoder_cosines, geometry_of(directions, projection))
