"""Data from which the script of the page draws the units: numbers, and images or features of rows and inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.image_shapes import image_size
from rhohat.inspection.reporting.drawing import Sheets, in_sheets, pixels_about_0
from rhohat.inspection.reporting.facts import names_of_units
from rhohat.inspection.reporting.measuring import Measurements
from rhohat.inspection.reporting.rounding import rounded, show
from rhohat.inspection.reporting.row_labels import RowLabels
from rhohat.inspection.reporting.shown_rows import ShownRows
from rhohat.inspection.reporting.units import Units, middle_place

__all__ = ["MOST_TOP_ROWS", "UnitRecord"]

MOST_TOP_ROWS, _FEWEST_TOP_ROWS = 12, 3
_RAW_BYTES = 2**26  # size of the images of top rows before compression
_BYTES_OF_TOP_ROW = 16  # size of the row's place and activation as text
_MOST_BARS = 200  # largest number of features drawn for a unit: the strongest ones
_NAMED_VALUES = 6  # number of features of a unit whose values in its top rows are shown


@dataclass(frozen=True)
class UnitRecord:
    """The data about units that the script of the page reads, in types that JSON can hold.

    Attributes
    ----------
    estimator : fitted estimator
        Estimator whose units are drawn.
    measured : Measurements
        Statistics of the measured rows.
    units : Units
        Descriptions of the units.
    rows : ShownRows
        The measured rows, some of which the page shows.
    row_labels : RowLabels, default=None
        Names of the rows; None if they have none.
    """

    estimator: Any
    measured: Measurements
    units: Units
    rows: ShownRows
    row_labels: RowLabels | None = None

    def numbers(self) -> dict[str, Any]:
        """Return the numbers and texts about units that the script shows, by name."""
        measured, units, shown = self.measured, self.units, self.units.numbers
        statistics = measured.activations
        measures = [
            ("mean", "mean activation", statistics.mean_activation[shown]),
            ("frequency", "activation frequency", statistics.activation_frequency[shown]),
            ("largest", "largest activation", statistics.largest_activation[shown]),
            ("norm", "norm of weights", units.norms),
        ]
        if units.gabor_r2 is not None:
            measures.append(("gabor", "Gabor R²", units.gabor_r2))
        low, high = statistics.smallest_activation[shown], statistics.largest_activation[shown]
        return {
            "n": len(shown),
            "noun": "unit" if middle_place(self.estimator) is None else "channel",
            "labels": names_of_units(self.estimator),
            "measures": [{"key": key, "name": name, "values": rounded(values)} for key, name, values in measures],
            "dead": np.flatnonzero(statistics.activation_frequency[shown] == 0).tolist(),
            "constant": np.flatnonzero(statistics.constant[shown]).tolist(),
            "threshold": show(statistics.threshold),
            "histogram": {"low": rounded(low), "high": rounded(high), "counts": measured.histograms.tolist()},
            "similar": {"units": units.similar.tolist(), "cosines": rounded(units.cosines)},
        }

    def pictures(self, most_bytes: int) -> dict[str, Any]:
        """Return the images of units and rows that the script draws, or else their features and values.

        Parameters
        ----------
        most_bytes : int
            Largest size of the result as text. 12 top rows are shown for each unit; if images of 12 rows would be too
            large, fewer are shown, but at least 3, even if these exceed the limit.
        """
        return self._bars() if self.rows.image_shape is None else self._images(self.rows.image_shape, most_bytes)

    def _images(self, shape: tuple[int, ...], most_bytes: int) -> dict[str, Any]:
        inputs = in_sheets(pixels_about_0(self.units.inputs, shape))
        top = self.measured.top.rows
        n_top = int(np.clip(_RAW_BYTES // (len(top) * int(np.prod(shape))), _FEWEST_TOP_ROWS, MOST_TOP_ROWS))
        left = most_bytes - _in_text(inputs)
        while True:
            numbers = np.unique(top[:, :n_top][top[:, :n_top] >= 0])
            sheets = in_sheets(self.rows.pixels_of(numbers, shape))
            size = _in_text(sheets) + _BYTES_OF_TOP_ROW * len(top) * n_top
            if n_top == _FEWEST_TOP_ROWS or size <= left:
                break
            n_top = max(_FEWEST_TOP_ROWS, min(n_top - 1, int(n_top * max(left, 0) / size)))
        return {
            "image": dict(zip(("height", "width"), image_size(shape), strict=True)),
            "inputs": inputs.as_record(),
            "rows": {**self._rows(numbers), **sheets.as_record()},
            "top": self._top(numbers, n_top),
        }

    def _bars(self) -> dict[str, Any]:
        inputs, top = self.units.inputs, self.measured.top.rows
        strongest = np.argsort(-np.abs(inputs), axis=1, kind="stable")[:, :_MOST_BARS]
        named = strongest[:, :_NAMED_VALUES]
        numbers = np.unique(top[top >= 0])
        places = np.searchsorted(numbers, top)
        values = np.zeros((*top.shape, named.shape[1]))
        gaps = np.zeros(values.shape, np.bool_)
        at_once = self.rows.source.rows_at_once
        for start in range(0, len(numbers), at_once):
            rows = self.rows.source.take(numbers[start : start + at_once])
            rows = self.rows.in_own_units(rows)
            units, ranks = np.nonzero((places >= start) & (places < start + len(rows)) & (top >= 0))
            where = places[units, ranks, None] - start, named[units]
            values[units, ranks], gaps[units, ranks] = rows[where], self.rows.gaps(rows)[where]
        shown = self._top(numbers, MOST_TOP_ROWS)
        n_top = len(shown["places"][0])
        return {
            "features": [self.rows.feature_name(j) for j in range(inputs.shape[1])],
            "bars": {
                "features": strongest.tolist(),
                "weights": rounded(np.take_along_axis(inputs, strongest, axis=1)),
            },
            "rows": self._rows(numbers),
            "top": {**shown, "values": _values(rounded(values[:, :n_top]), gaps[:, :n_top].tolist())},
        }

    def _rows(self, numbers: NDArray[np.intp]) -> dict[str, Any]:
        """Return the numbers of rows in the data, and their names if they have any."""
        labels = {} if self.row_labels is None else {"labels": self.row_labels.of(numbers)}
        return {"numbers": self.rows.numbers_found(numbers), **labels}

    def _top(self, numbers: NDArray[np.intp], n_top: int) -> dict[str, Any]:
        """Return the top rows of each unit, as positions in the array `numbers`, and their activations."""
        n_top = min(n_top, len(self.measured.rows))
        rows, activations = self.measured.top.rows[:, :n_top], self.measured.top.activations[:, :n_top]
        return {"places": np.searchsorted(numbers, rows).tolist(), "activations": rounded(activations)}


def _values(values: Any, gaps: Any) -> Any:
    """Return nested lists in which "missing" takes the place of gaps, and None, which JSON can hold, that of NaN."""
    if isinstance(values, list):
        return [_values(one, is_gap) for one, is_gap in zip(values, gaps, strict=True)]
    return "missing" if gaps else None if math.isnan(values) else values


def _in_text(sheets: Sheets) -> int:
    return 4 * sheets.n_bytes // 3
