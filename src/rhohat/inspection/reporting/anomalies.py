"""What the page about a detector shows first: a histogram of its scores, and the rows that are most unusual."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.words import counted
from rhohat.data import RowSource, TablePreprocessor, open_rows
from rhohat.inspection.reporting.axes import power_of_ten
from rhohat.inspection.reporting.charts import Bar, draw_bars
from rhohat.inspection.reporting.own_units import OwnUnits
from rhohat.inspection.reporting.rounding import show
from rhohat.inspection.reporting.row_labels import RowLabels
from rhohat.models.explaining import OwnColumns, is_detector, values_of_rows
from rhohat.models.pipelines import last_step_of, rows_of_last_step, steps_before
from rhohat.models.scoring import RowScores, score_rows

__all__ = ["Anomalies", "ErrorHistogram", "UnusualRow", "find_anomalies", "histogram_of_errors"]

_MOST_SHOWN = 12  # rows that are shown with the columns that make them unusual
_COLUMNS = 3  # that are shown of each of them
_BARS_PER_DECADE = 12
_DECADES_DRAWN = (-3, 4)  # from the threshold; errors beyond are in the first and in the last bar
_FEW_DECADES = 2  # of which the numbers 2 and 5 have ticks as well


@dataclass(frozen=True)
class UnusualRow:
    """A row with the columns that contribute most to its error.

    Attributes
    ----------
    number : int
        Number of the row in the data.
    name : str or None
        Name of the row, if rows have names.
    score : float
    is_outlier : bool
    columns : list of tuples
        Name of a column, its value in the row, the value that the autoencoder makes of it, both in the units of the
        data, and the part of the error that it contributes. Values are floats; in tables also texts, truth values and
        None if they are missing.
    """

    number: int
    name: str | None
    score: float
    is_outlier: bool
    columns: list[tuple[str, Any, Any, float]]


@dataclass(frozen=True)
class ErrorHistogram:
    """A histogram as SVG, and its numbers as a table: the range of each bar, as text, and its height."""

    svg: str
    table: list[tuple[str, int]]


@dataclass(frozen=True)
class Anomalies:
    """Scores of all rows as a histogram, and the most unusual rows, the most unusual one first."""

    histogram: ErrorHistogram
    threshold: float
    n_rows: int
    n_outliers: int
    rows: list[UnusualRow]
    units: str  # which units the values of the rows are in


def find_anomalies(model: Any, source: RowSource, labels: RowLabels | None) -> Anomalies | None:
    """Return what a detector has found of rows before their preprocessing; None if the model is no detector."""
    if not is_detector(model):
        return None
    scored = score_rows(model, source, _COLUMNS)
    worst = scored.worst_first[:_MOST_SHOWN]
    return Anomalies(
        histogram_of_errors(-scored.scores, -scored.offset),
        scored.offset,
        len(source),
        int(scored.is_outlier.sum()),
        _unusual_rows(model, source, labels, scored, worst),
        "on the scale of the data" if OwnUnits.of_steps(steps_before(model)).known else "after the preprocessing",
    )


def _unusual_rows(
    model: Any, source: RowSource, labels: RowLabels | None, scored: RowScores, worst: NDArray[np.intp]
) -> list[UnusualRow]:
    ascending = np.sort(worst)
    values, made = _values_and_expected(model, source, ascending)
    found = []
    for row in worst.tolist():
        place = int(np.searchsorted(ascending, row))
        columns = [
            (scored.names[column], values[place, column], made[place, column], float(share))
            for column, share in zip(scored.columns[row].tolist(), scored.shares[row], strict=True)
        ]
        number = row if source.kept is None else int(source.kept[row])
        name = None if labels is None else labels.of(np.array([row]))[0]
        found.append(UnusualRow(number, name, float(scored.scores[row]), bool(scored.is_outlier[row]), columns))
    return found


def _values_and_expected(model: Any, source: RowSource, rows: NDArray[np.intp]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the values of some rows, and what the autoencoder makes of them, in the units of the data if known."""
    seen = np.asarray(rows_of_last_step(model, source).take(rows), np.float64)
    detector, steps = last_step_of(model), steps_before(model)
    made = np.concatenate([block.copy() for block in detector.reconstruction_blocks(open_rows(seen))])
    is_table = (
        bool(steps) and isinstance(steps[0], TablePreprocessor) and OwnColumns.of(model, source).places is not None
    )
    units = OwnUnits.of_steps(steps[1:] if is_table else steps)  # the detector undoes its own scaling
    if is_table:
        return values_of_rows(source, rows), np.asarray(steps[0].inverse_transform(units.convert(made)), dtype=object)
    return units.convert(seen), units.convert(made)


def histogram_of_errors(errors: FloatArray, threshold: float) -> ErrorHistogram:
    """Return the histogram of errors on a logarithmic axis; the bars above the threshold, an edge of two, are special.

    Parameters
    ----------
    errors : array of shape (n_rows,)
        Errors of rows, which are minus their scores.
    threshold : float
        The error above which a row is an outlier.
    """
    tiny = float(np.finfo(np.float64).tiny)
    middle = max(threshold, tiny)
    decades = np.log10(np.maximum(errors, tiny)) - math.log10(middle)
    distances = np.clip(decades, *_DECADES_DRAWN) * _BARS_PER_DECADE
    # A row at the threshold, which is no outlier, belongs to the bar below it.
    places = np.where(errors > threshold, np.floor(distances), np.ceil(distances) - 1).astype(int)
    first, last = min(int(places.min()), -1), max(int(places.max()), 0)
    counts = np.bincount(places - first, minlength=last - first + 1)
    start = math.log10(middle)
    bars = [
        Bar(start + place / _BARS_PER_DECADE, start + (place + 1) / _BARS_PER_DECADE, int(count), place >= 0)
        for place, count in zip(range(first, last + 1), counts, strict=True)
    ]
    n_outliers = int((errors > threshold).sum())
    svg = draw_bars(
        "scores",
        bars,
        _ticks(bars[0].left, bars[-1].right),
        across="error of a row, which is minus its score",
        up="rows",
        title="Histogram of the scores",
        description=f"{counted(len(errors), 'row')}, of which {n_outliers:,} {'has' if n_outliers == 1 else 'have'} an"
        f" error above the threshold, {show(threshold)}. The table below the chart has the numbers.",
    )
    return ErrorHistogram(svg, [(f"{show(10**bar.left, 3)} to {show(10**bar.right, 3)}", bar.count) for bar in bars])


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return the places and texts of ticks between two powers of ten."""
    factors = (1, 2, 5) if high - low <= _FEW_DECADES else (1,)
    numbers = [
        (power + math.log10(factor), power, factor)
        for power in range(math.floor(low), math.ceil(high) + 1)
        for factor in factors
    ]
    return [
        (place, f"{factor * 10.0**power:,.15g}" if -4 < power < 5 else power_of_ten(power))
        for place, power, factor in numbers
        if low <= place <= high
    ]
