"""Rows that the page shows, as images or feature by feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.forks import cached
from rhohat.data import RowSource
from rhohat.inspection.contrast import of_varied_contrast
from rhohat.inspection.reporting.drawing import pixels_between
from rhohat.inspection.reporting.own_units import OwnUnits
from rhohat.inspection.reporting.rounding import quantiles

__all__ = ["ShownRows"]

_SAMPLE = 256  # number of rows that determine which values are drawn as black and white


@dataclass(frozen=True)
class ShownRows:
    """The rows of a source, some of which the page shows.

    Attributes
    ----------
    source : RowSource
        Rows as the network sees them, after preprocessing.
    looked_at : array of int, of shape (n_rows,)
        Numbers of the rows that were measured.
    image_shape : tuple of int, or None
        Shape in which rows are drawn as images; None if they are not images.
    names : list of str, or None
        Names of the features; None if they have none.
    n_channels : int, default=None
        Number of channels of each step if the rows are sequences; None for other rows.
    own_units : OwnUnits, default=None
        Conversion of values to the units of the data; None if they are shown as the network sees them.
    """

    source: RowSource
    looked_at: NDArray[np.intp]
    image_shape: tuple[int, ...] | None
    names: Sequence[str] | None
    n_channels: int | None = None
    own_units: OwnUnits | None = None

    def in_own_units(self, rows: FloatArray) -> FloatArray:
        """Return rows, which are as the network sees them, in the units of the data where the scaling is known."""
        return rows if self.own_units is None else self.own_units.convert(rows)

    def gaps(self, rows: FloatArray) -> NDArray[np.bool_]:
        """Return where rows that `in_own_units` has returned hold a number in the place of a missing one."""
        return np.zeros(rows.shape, np.bool_) if self.own_units is None else self.own_units.gaps(rows)

    def sample(self) -> FloatArray:
        """Return a sample of the measured rows, from which the range of the values is determined."""
        return self.source.take(self.spread(_SAMPLE))

    @cached
    def scale(self) -> tuple[float, float]:
        """Values drawn as black and white: quantiles 0.005 and 0.995 of a sample of rows; if equal, its extremes."""
        sample = self.sample()
        low, high = quantiles(sample, [0.005, 0.995])
        return (low, high) if low < high else (float(sample.min()), float(sample.max()))

    def pixels_of(self, numbers: NDArray[np.intp], shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return images of the rows with the given numbers."""
        at_once = self.source.rows_at_once
        parts = (numbers[start : start + at_once] for start in range(0, len(numbers), at_once))
        return np.concatenate([pixels_between(self.source.take(part), self.scale, shape) for part in parts])

    def feature_name(self, feature: int) -> str:
        """Return the name of a feature, or its number as text if features have no names.

        In sequences, the name says the step and, if there are several, the channel.
        """
        if self.names is not None:
            return self.names[feature]
        if self.n_channels is None:
            return f"feature {feature}"
        step, channel = divmod(feature, self.n_channels)
        return f"step {step}" if self.n_channels == 1 else f"step {step}, ch {channel}"

    def numbers_found(self, rows: NDArray[np.intp]) -> list[int]:
        """Return the numbers that rows had in the data before some rows were left out."""
        kept = self.source.kept
        numbers: list[int] = (rows if kept is None else kept[rows]).tolist()
        return numbers

    def of_varied_contrast(self, most: int) -> NDArray[np.intp]:
        """Return the numbers of at most `most` measured rows, which are images, from strong contrasts to faint ones."""
        found = self.spread(max(most, _SAMPLE))
        return found[of_varied_contrast(self.source.take(found), most)]

    def spread(self, most: int) -> NDArray[np.intp]:
        """Return the numbers of at most `most` rows, spread evenly over the measured rows."""
        rows = self.looked_at
        n_rows = min(most, len(rows))
        return rows[np.arange(n_rows) * len(rows) // n_rows]
