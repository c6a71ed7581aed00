"""Measurements of a model on rows: statistics, and for each unit a histogram and the rows that activate it most.

Rows are read block by block, in two passes. Pass 1 computes the statistics, the range of the activations of each unit,
and its top rows. Pass 2 counts how many activations of each unit fall into each part of that range.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.data import RowSource, open_rows
from rhohat.estimators.autoencoder import BaseAutoencoder
from rhohat.estimators.base import BaseNetwork
from rhohat.inspection.metrics import ActivationStatistics, ReconstructionStatistics
from rhohat.inspection.reporting.drawing import fractions_between

__all__ = ["Measurements", "TopRows", "measure", "runs_of_rows"]

N_BINS = 24
_N_RUNS = 64  # number of runs in which rows are read if not all rows are measured
_BYTES_AT_ONCE = 2**25  # size of a block of rows or of their activations, whichever is larger


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
        Rows that activate each unit most.
    histograms : array of int, of shape (n_units, 24)
        Number of rows whose activation of a unit lies in each of 24 equal parts of the range from the smallest to the
        largest activation of the unit. For a unit with a constant activation, all rows are in the first part.
    rows_differ : bool
        Whether any two of the measured rows are different.
    """

    rows: NDArray[np.intp]
    activations: ActivationStatistics
    reconstructions: ReconstructionStatistics | None
    top: TopRows
    histograms: NDArray[np.intp]
    rows_differ: bool


class TopRows:
    """The rows that activate each unit most, kept up to date block by block.

    Parameters
    ----------
    n_units : int
        Number of units.
    n_top : int
        Number of rows to keep for each unit.

    Attributes
    ----------
    rows : array of int, of shape (n_units, n_top)
        Row numbers, in descending order of activation; among equal activations, the earlier row comes first. Entries
        are −1 if there were fewer than `n_top` rows.
    activations : array of shape (n_units, n_top), float64
        Activations of these rows; −∞ where `rows` is −1.

    Examples
    --------
    >>> top = TopRows(n_units=2, n_top=2)
    >>> top.update(np.array([[0.1, 0.9], [0.5, 0.2]]), first=0)
    >>> top.update(np.array([[0.3, 0.2]]), first=2)
    >>> top.rows
    array([[1, 2],
           [0, 1]])
    """

    def __init__(self, n_units: int, n_top: int) -> None:
        self.rows: NDArray[np.intp] = np.full((n_units, n_top), -1)
        self.activations: FloatArray = np.full((n_units, n_top), -np.inf)

    def update(self, activations: FloatArray, first: int) -> None:
        """Add the activations of successive rows, which must come after the rows seen before.

        Parameters
        ----------
        activations : array of shape (n_rows, n_units)
            Activations of all units.
        first : int
            Number of the first row of the block.
        """
        n_top = self.rows.shape[1]
        # After a few blocks, a new block changes the top rows of few units; only these units are updated.
        units = np.flatnonzero(activations.max(axis=0) > self.activations[:, -1])
        pool = np.concatenate([self.activations[units], activations.T[units]], axis=1)  # (n_units, n_top + n_rows)
        kept, each = self.rows[units], np.arange(len(units))
        for place in range(n_top):
            # The first of equal activations wins: an earlier top row, then the earliest row of the block.
            winner = pool.argmax(axis=1)
            value = pool[each, winner]
            number = np.where(winner < n_top, kept[each, np.minimum(winner, n_top - 1)], first + winner - n_top)
            self.activations[units, place] = value
            self.rows[units, place] = np.where(value > -np.inf, number, -1)
            pool[each, winner] = -np.inf


def measure(
    estimator: BaseNetwork, source: RowSource, *, threshold: float, max_rows: int | None = None, n_top: int = 12
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

    Returns
    -------
    Measurements
    """
    n_units = estimator.network_.layer_sizes[estimator.code_layer_]
    activations, top = ActivationStatistics(threshold), TopRows(n_units, n_top)
    reconstructions = ReconstructionStatistics() if isinstance(estimator, BaseAutoencoder) else None
    runs = runs_of_rows(len(source), max_rows)
    one, rows_differ = source.take(np.array([0])), False
    for first, rows, codes in _blocks(estimator, source, runs, n_units):
        activations.update(codes)
        top.update(codes, first)
        rows_differ = rows_differ or bool((rows != one).any())
        if reconstructions is not None:
            reconstructions.update(rows, estimator.inverse_transform(codes))
    low, high = activations.smallest_activation, activations.largest_activation
    histograms = np.zeros((n_units, N_BINS), np.intp)
    for _, _, codes in _blocks(estimator, source, runs, n_units):
        histograms += _count(codes, low, high)
    looked_at = np.concatenate([np.arange(start, stop) for start, stop in runs])
    return Measurements(looked_at, activations, reconstructions, top, histograms, rows_differ)


def runs_of_rows(n_rows: int, most: int | None) -> list[tuple[int, int]]:
    """Return runs (start, stop) of successive rows to measure: `most` rows in total, or all rows if it is None.

    The runs are spread evenly over all rows, because the first rows may all be of one kind. There are few runs, because
    single rows of a compressed or a text file are slow to read.

    Examples
    --------
    >>> runs_of_rows(1000, None), runs_of_rows(1000, 3)
    ([(0, 1000)], [(0, 1), (333, 334), (666, 667)])
    """
    if most is None or most >= n_rows:
        return [(0, n_rows)]
    n_runs = min(_N_RUNS, most)
    edges = [number * most // n_runs for number in range(n_runs + 1)]
    skipped = [number * (n_rows - most) // n_runs for number in range(n_runs)]
    return [(skip + edges[number], skip + edges[number + 1]) for number, skip in enumerate(skipped)]


def _blocks(
    estimator: BaseNetwork, source: RowSource, runs: Sequence[tuple[int, int]], n_units: int
) -> Iterator[tuple[int, FloatArray, FloatArray]]:
    """Yield blocks of rows: the number of the first row, the rows, and their activations."""
    widest = max(source.shape[1], n_units) * source.dtype.itemsize
    at_once = int(np.clip(_BYTES_AT_ONCE // widest, 1, 8192))
    for begin, end in runs:
        for start in range(begin, end, at_once):
            rows = source.read(start, min(start + at_once, end))
            # The rows are passed as a row source, because scikit-learn would warn that an array has no column names.
            yield start, rows, estimator.codes(open_rows(rows))


def _count(codes: FloatArray, low: FloatArray, high: FloatArray) -> NDArray[np.intp]:
    """Return the number of rows in each part of the range of each unit, of shape (n_units, n_bins)."""
    n_units = codes.shape[1]
    bins = (fractions_between(codes, low, high) * N_BINS).astype(np.intp)
    np.clip(bins, 0, N_BINS - 1, out=bins)  # the largest activation belongs to the last part
    bins += N_BINS * np.arange(n_units)
    counts: NDArray[np.intp] = np.bincount(bins.ravel(), minlength=n_units * N_BINS).reshape(n_units, N_BINS)
    return counts
