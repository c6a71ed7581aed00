"""Measurements of a model on rows: statistics, and for each unit a histogram and the rows that activate it most.

Rows are read block by block, in two passes. Pass 1 computes the statistics, the range of the activations of each unit,
and its top rows. Pass 2 counts how many activations of each unit fall into each part of that range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.data import RowSource, open_rows
from rhohat.data.sequences import existing_steps
from rhohat.estimators.base import BaseNetwork
from rhohat.fitting.forward import check_activations
from rhohat.inspection.metrics import ActivationStatistics, ReconstructionStatistics
from rhohat.inspection.reporting.drawing import fractions_between
from rhohat.inspection.sequences import n_units_of_code, steps_of_code
from rhohat.inspection.top_rows import TopRows, blocks_of_runs, runs_of_rows

__all__ = ["Measurements", "measure"]

N_BINS = 24


@dataclass(frozen=True)
class Measurements:
    """Results of passing rows through a model.

    Attributes
    ----------
    rows : array of int, of shape (n_rows,)
        Numbers of the rows that were measured, ascending.
    activations : ActivationStatistics
        Statistics of the activations of the units.
    reconstructions : ReconstructionStatistics, or None
        Statistics of the reconstructions; None for models that do not reconstruct rows.
    top : TopRows
        Rows that activate each unit most, for the units that were chosen. If the code has steps, the largest
        activation over the steps of a row counts.
    histograms : array of int, of shape (n_units, 24)
        Number of rows, or of steps if the code has steps, whose activation of a unit lies in each of 24 equal parts of
        the range from the smallest to the largest activation of the unit. For a unit with a constant activation, all
        rows are in the first part.
    rows_differ : bool
        Whether any two of the measured rows are different.
    """

    rows: NDArray[np.intp]
    activations: ActivationStatistics
    reconstructions: ReconstructionStatistics | None
    top: TopRows
    histograms: NDArray[np.intp]
    rows_differ: bool


def measure(
    estimator: BaseNetwork,
    source: RowSource,
    *,
    threshold: float,
    max_rows: int | None = None,
    n_top: int = 12,
    units: NDArray[np.intp] | None = None,
) -> Measurements:
    """Measure a fitted estimator on rows, in two passes over the rows.

    Parameters
    ----------
    estimator : fitted estimator
        Estimator to measure.
    source : RowSource
        Rows as the estimator sees them, after preprocessing.
    threshold : float
        A unit is active on a row if its activation is above this number.
    max_rows : int, default=None
        Largest number of rows to measure. If there are more rows, a selection spread evenly over all rows is measured.
        If None, all rows are measured.
    n_top : int, default=12
        Number of top rows to keep for each unit.
    units : array of int, default=None
        Numbers of the units that have top rows and histograms; None means all units.

    Returns
    -------
    Measurements
    """
    n_units, n_steps = n_units_of_code(estimator), steps_of_code(estimator)
    n_steps_of_rows = estimator.network_.n_steps_of_rows
    n_chosen, chosen = (n_units, slice(None)) if units is None else (len(units), units)
    activations, top = ActivationStatistics(threshold), TopRows(n_chosen, n_top)
    reconstructions = ReconstructionStatistics() if estimator.reconstructs else None
    runs = runs_of_rows(len(source), max_rows)
    one, rows_differ = source.take(np.array([0])), False
    for first, rows in blocks_of_runs(source, runs, n_units):
        check_activations(estimator.network_, rows, 0, source.name, first, source.feature_names)
        # The rows are passed as a row source, because scikit-learn would warn that an array has no column names.
        codes = estimator.codes(open_rows(rows))
        activations.update(existing_steps(codes, n_steps))
        largest = codes if n_steps is None else np.fmax.reduce(codes.reshape(len(codes), n_steps, -1), axis=1)
        top.update(largest[:, chosen], first)
        rows_differ = rows_differ or bool((rows != one).any())
        if reconstructions is not None:
            made = estimator.decode(codes, rows)
            reconstructions.update(*(existing_steps(part, n_steps_of_rows, rows) for part in (rows, made)))
    low, high = activations.smallest_activation[chosen], activations.largest_activation[chosen]
    histograms = np.zeros((n_chosen, N_BINS), np.intp)
    for _, rows in blocks_of_runs(source, runs, n_units):
        histograms += _count(existing_steps(estimator.codes(open_rows(rows)), n_steps)[:, chosen], low, high)
    looked_at = np.concatenate([np.arange(start, stop) for start, stop in runs])
    return Measurements(looked_at, activations, reconstructions, top, histograms, rows_differ)


def _count(codes: FloatArray, low: FloatArray, high: FloatArray) -> NDArray[np.intp]:
    """Return the number of rows in each part of the range of each unit, of shape (n_units, n_bins)."""
    n_units = codes.shape[1]
    bins = (fractions_between(codes, low, high) * N_BINS).astype(np.intp)
    np.clip(bins, 0, N_BINS - 1, out=bins)  # the largest activation belongs to the last part
    bins += N_BINS * np.arange(n_units)
    counts: NDArray[np.intp] = np.bincount(bins.ravel(), minlength=n_units * N_BINS).reshape(n_units, N_BINS)
    return counts
