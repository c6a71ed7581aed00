"""Histograms of activation frequencies over decades."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray

__all__ = ["DensityHistogram"]


@dataclass(frozen=True, eq=False)
class DensityHistogram:
    """Number of units whose activation frequency lies in each decade: see `density_histogram`.

    Attributes
    ----------
    n_dead : int
        Number of units that are active on no row, which are in no decade.
    counts : array of int, of shape (n_decades,)
        Number of units whose activation frequency is at least edges[i] and less than edges[i + 1]; in the last decade,
        which is that from 0.1 to 1, a frequency of 1 is included.
    edges : array of shape (n_decades + 1,)
        Powers of ten, ascending. The first is at most 1 / n_samples, the last is 1.
    """

    n_dead: int
    counts: NDArray[np.int64]
    edges: FloatArray

    @classmethod
    def of(cls, frequency: FloatArray, n_samples: int) -> Self:
        """Return the histogram of activation frequencies.

        Parameters
        ----------
        frequency : array of shape (n_units,)
            Fraction of the rows on which each unit is active.
        n_samples : int
            Number of rows.

        Returns
        -------
        DensityHistogram

        Examples
        --------
        >>> DensityHistogram.of(np.array([0.0, 0.1, 0.02, 0.5]), 50).counts
        array([1, 2])
        """
        n_decades = len(str(n_samples - 1))  # the smallest number of decades that reach down to one row
        edges = np.array([float(f"1e-{power}") for power in range(n_decades, -1, -1)])
        counts, _ = np.histogram(frequency[frequency > 0], edges)
        return cls(int(np.count_nonzero(frequency == 0)), counts.astype(np.int64), edges)
