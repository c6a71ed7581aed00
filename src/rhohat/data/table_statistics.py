"""Statistics of the columns of a coded table, of one block of rows after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.data.rows import RowSource
from rhohat.data.tables.coding import Coding, Kind

__all__ = ["ColumnStatistics", "statistics_of"]


@dataclass(frozen=True)
class ColumnStatistics:
    """Statistics of the values of a column.

    Attributes
    ----------
    n_known, n_missing : int
        Numbers of values that are known, and that are missing.
    smallest, largest, mean, deviation : float
        Of the known numbers; the deviation is the square root of their variance.
    counts : array of int, of shape (n_texts,)
        How often each text of a column of texts is found.
    """

    n_known: int
    n_missing: int
    smallest: float = 0.0
    largest: float = 0.0
    mean: float = 0.0
    deviation: float = 0.0
    counts: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))

    def __add__(self, other: ColumnStatistics) -> ColumnStatistics:
        """Return the statistics of the values of both."""
        n_known, n_missing = self.n_known + other.n_known, self.n_missing + other.n_missing
        counts = self.counts + other.counts
        if not (self.n_known and other.n_known):
            one = self if self.n_known else other
            return ColumnStatistics(n_known, n_missing, one.smallest, one.largest, one.mean, one.deviation, counts)
        with np.errstate(over="ignore", invalid="ignore"):
            share, apart = other.n_known / n_known, np.float64(other.mean) - self.mean
            variance = (1 - share) * self.deviation**2 + share * other.deviation**2 + share * (1 - share) * apart**2
            return ColumnStatistics(
                n_known,
                n_missing,
                min(self.smallest, other.smallest),
                max(self.largest, other.largest),
                float(self.mean + share * apart),
                float(np.sqrt(variance)),
                counts,
            )


def statistics_of(rows: RowSource, coding: Coding) -> list[ColumnStatistics]:
    """Return the statistics of each column of a coded table, which is read once."""
    sizes = [len(texts) if kind == Kind.TEXT else -1 for kind, texts in zip(coding.kinds, coding.texts, strict=True)]
    found: list[ColumnStatistics] | None = None
    for block in rows.map_blocks(partial(_statistics_of_block, sizes)):
        found = block if found is None else [one + other for one, other in zip(found, block, strict=True)]
    assert found is not None  # there is at least one row
    return found


def _statistics_of_block(sizes: list[int], rows: FloatArray, _: int) -> list[ColumnStatistics]:
    found = []
    for column, size in zip(rows.T, sizes, strict=True):
        known = column[~np.isnan(column)].astype(np.float64)
        n_missing = len(column) - len(known)
        if size >= 0:
            counts = np.bincount(known.astype(np.intp), minlength=size)
            found.append(ColumnStatistics(len(known), n_missing, counts=counts))
        elif len(known) == 0:
            found.append(ColumnStatistics(0, n_missing))
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                ends = float(known.min()), float(known.max())
                found.append(ColumnStatistics(len(known), n_missing, *ends, float(known.mean()), float(known.std())))
    return found
