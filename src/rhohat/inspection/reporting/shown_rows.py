"""Rows that the page shows: as pictures, or feature by feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.forks import cached
from rhohat.data import RowSource
from rhohat.inspection.reporting.drawing import pixels_between
from rhohat.inspection.reporting.rounding import quantiles

__all__ = ["ShownRows"]

_SAMPLE = 256  # rows whose numbers say which are black and white


@dataclass(frozen=True)
class ShownRows:
    """Rows of a source, some of which are shown.

    Attributes
    ----------
    source : RowSource
        Rows as the network sees them.
    looked_at : array of int, of shape (n_rows,)
        The numbers of those that the figures are of.
    image_shape : tuple of int, or None
        In which they are drawn.
    names : list of str, or None
        Of features.
    """

    source: RowSource
    looked_at: NDArray[np.intp]
    image_shape: tuple[int, ...] | None
    names: Sequence[str] | None

    def sample(self) -> FloatArray:
        """Return some of the rows, whose numbers say what is small and what is large."""
        return self.source.take(self.spread(_SAMPLE))

    @cached
    def scale(self) -> tuple[float, float]:
        """The numbers that are drawn as black and as white: nearly the smallest and the largest of some rows."""
        sample = self.sample()
        low, high = quantiles(sample, [0.005, 0.995])
        return (low, high) if low < high else (float(sample.min()), float(sample.max()))

    def pixels_of(self, numbers: NDArray[np.intp], shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return pictures of rows, by their numbers."""
        at_once = self.source.rows_at_once
        parts = (numbers[start : start + at_once] for start in range(0, len(numbers), at_once))
        return np.concatenate([pixels_between(self.source.take(part), self.scale, shape) for part in parts])

    def feature_name(self, feature: int) -> str:
        """Return a name for a feature, where it has none, its number."""
        return f"feature {feature}" if self.names is None else self.names[feature]

    def numbers_found(self, rows: NDArray[np.intp]) -> list[int]:
        """Return which rows these are of those that were found, before some were left out."""
        kept = self.source.kept
        numbers: list[int] = (rows if kept is None else kept[rows]).tolist()
        return numbers

    def spread(self, most: int) -> NDArray[np.intp]:
        """Return numbers of so many rows, spread evenly over those looked at."""
        rows = self.looked_at
        n_rows = min(most, len(rows))
        return rows[np.arange(n_rows) * len(rows) // n_rows]
