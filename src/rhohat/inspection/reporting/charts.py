"""Charts as SVG: lines over iterations or rows, one dot for each unit or row, and bars. The style sets the colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.inspection.reporting.axes import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    SMALLEST,
    WIDTH,
    Axis,
    as_svg,
    frame,
    tick_text,
    vertical,
)

__all__ = ["Bar", "draw_bars", "draw_curves", "draw_dots", "draw_scatter", "lowest_drawn"]

_WIDTH_OF_LETTER = 8  # upper bound on the width of a letter in the text beside a line
_MOST_POINTS = 500  # largest number of points of a line; more than the chart has pixels across
_LONGEST_TICK = 7  # letters of the ticks of a horizontal axis, of which more than two have room
_FAR = 1000  # dots this many times smaller than the largest dot are not given room on a logarithmic axis
_WIDE = 20  # an axis is logarithmic if largest / smallest is above this


def draw_curves(
    name: str,
    curves: Mapping[str, Sequence[float]],
    *,
    places: FloatArray | None = None,
    across: str = "iteration",
    up: str = "cost",
    from_zero: bool = False,
    warm_up: Sequence[Sequence[float]] = (),
    title: str,
    description: str,
) -> str:
    """Return a chart of lines over iterations.

    The vertical axis is logarithmic if no value is negative, and the largest is at least ten times the smallest that is
    not 0. Iterations are counted from 1, those of the warm-up first.

    Parameters
    ----------
    name : str
        Name of the chart, unique on the page.
    curves : mapping of str to sequence of float
        Values of each line. The first line is drawn above all others. On a logarithmic axis, values that are 0 or
        nearly 0 are left out.
    places : array of shape (n_iterations,), default=None
        Places of the values on the horizontal axis, which then begins at 0; None means the numbers of the iterations.
    across, up : str
        Labels of the horizontal and of the vertical axis.
    from_zero : bool, default=False
        Whether the vertical axis is linear and begins at 0.
    warm_up : sequence of sequences of float, default=()
        Values of the iterations before the first, one sequence for each line; they are drawn lighter.
    title, description : str
        Text for readers who cannot see the chart.

    Returns
    -------
    str
        The chart as SVG.
    """
    lines = {label: np.asarray(values, dtype=np.float64) for label, values in curves.items()}
    earlier = [np.asarray(values, dtype=np.float64) for values in warm_up]
    n_before = sum(map(len, earlier))
    together = np.concatenate([*lines.values(), *earlier, [0.0] if from_zero else []])
    together = together[np.isfinite(together)]
    logarithmic = not from_zero and _spans_a_decade(together)
    drawn = together[together >= SMALLEST] if logarithmic else together
    length = max(len(values) for values in lines.values())
    if places is None:
        places = n_before + np.arange(1.0, length + 1)
        x = Axis(1, max(n_before + length, 2), LEFT, WIDTH - RIGHT)
    else:
        x = Axis(0, max(float(places[-1]), 1), LEFT, WIDTH - RIGHT)
    y = vertical(float(drawn.min()), float(drawn.max()), logarithmic)
    parts = [*frame(x, y, across, up)]
    begin = 1.0
    for values in earlier:
        parts.append(_line(values, begin + np.arange(len(values)), x, y, "curve warm-up"))
        begin += len(values)
    for number, values in reversed(list(enumerate(lines.values()))):
        parts.append(_line(values, places, x, y, f"curve c{number}"))
    return as_svg(name, title, description, parts)


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram: where it begins and ends on the horizontal axis, and how high it is."""

    left: float
    right: float
    count: int
    is_special: bool = False


def draw_bars(
    name: str,
    bars: Sequence[Bar],
    ticks: Sequence[tuple[float, str]] | None = None,
    *,
    across: str,
    up: str,
    title: str,
    description: str,
) -> str:
    """Return a histogram.

    Parameters
    ----------
    name : str
        Name of the chart, unique on the page.
    bars : sequence of Bar
        Bars from left to right. A bar that is special is drawn in another colour.
    ticks : sequence of tuples of float and str, default=None
        Values and texts on the horizontal axis; None means round, whole numbers.
    across, up : str
        Labels of the axes.
    title, description : str
        Text for readers who cannot see the chart.

    Returns
    -------
    str
        The chart as SVG.
    """
    x = Axis(bars[0].left, bars[-1].right, LEFT + 4, WIDTH - RIGHT - 4)
    y = vertical(0, max(1, *(bar.count for bar in bars)), logarithmic=False)
    parts = [*frame(x, y, across, up, ticks)]
    base = HEIGHT - BOTTOM
    for bar in bars:
        (left, right), top = x.place(np.array([bar.left, bar.right])), float(y.place(np.array(float(bar.count))))
        if bar.count:
            tall = max(base - top, 1.5)  # so that a few among many are seen
            parts.append(
                f'<rect class="{"count special" if bar.is_special else "count"}" x="{left + 0.5:.1f}"'
                f' y="{base - tall:.1f}" width="{max(right - left - 1, 0.5):.1f}" height="{tall:.1f}"/>'
            )
    return as_svg(name, title, description, parts)


def lowest_drawn(values: FloatArray, target: float | None) -> float:
    """Return the value below which dots are drawn at the lower edge of a chart.

    On a linear axis, it is the smallest value, so that no dot is below it. A logarithmic axis leaves out dots that are
    less than a thousandth of the largest value or target, and also less than a tenth of the target. Otherwise a unit
    whose mean activation is 1e-47 would leave no room for the other units.

    Parameters
    ----------
    values : array of shape (n_values,)
        Values of the dots.
    target : float, or None
        Value of the target line; None if there is no target.

    Examples
    --------
    >>> lowest_drawn(np.array([1e-47, 0.002, 0.2, 0.4]), None)
    0.002
    >>> lowest_drawn(np.array([1e-47, 0.19, 0.2]), 0.2)  # the axis is linear, from 0
    1e-47
    """
    smallest, near = float(values.min()), _not_far_below(values, target)
    return float(near.min()) if _is_wide(smallest, *_ends(near, target)) else smallest


def draw_dots(
    name: str,
    values: FloatArray,
    target: float | None,
    *,
    bounds: tuple[float, float],
    label: str,
    target_label: str,
    title: str,
    description: str,
    noun: str = "unit",
) -> str:
    """Return a chart of a dot for each value, in ascending order, and a line at the target.

    Parameters
    ----------
    name : str
        Name of the chart, unique on the page.
    values : array of shape (n_values,)
        Values of the dots. The vertical axis is logarithmic if they are not negative and span a wide range: see
        `lowest_drawn`.
    target : float, or None
        Value of the target line. If None, no line is drawn.
    bounds : tuple of two floats
        Smallest and largest possible value; the axis does not extend beyond them.
    label, target_label : str
        Labels of the vertical axis and of the target line.
    title, description : str
        Text for readers who cannot see the chart.
    noun : str, default="unit"
        What each dot is.

    Returns
    -------
    str
        The chart as SVG.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    smallest, low, high = float(ordered[0]), *_ends(_not_far_below(ordered, target), target)
    logarithmic = _is_wide(smallest, low, high)
    if not logarithmic:
        low = min(low, smallest)
        if low >= 0 and low < 0.5 * high:
            low = 0.0
    places = np.arange(1, len(ordered) + 1, dtype=np.float64)
    x = Axis(1, max(len(ordered), 2), LEFT + 8, WIDTH - RIGHT - 8)
    y = _within(vertical(low, high, logarithmic), min(bounds[0], low), max(bounds[1], high))
    parts = [*frame(x, y, f"{noun}s, from the least to the most active", label)]
    kept = _spread(len(ordered), 2 * _MOST_POINTS)
    across, heights = x.place(places[kept]), y.place(np.maximum(ordered[kept], y.low))
    dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(across, heights, strict=True))
    dots = f'<path class="dots{" many" if len(ordered) > 150 else ""}" d="{dots}"/>'
    if target is None:
        return as_svg(name, title, description, [*parts, dots])
    height = float(y.place(np.array(target)))
    line = f'<line class="target" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" y2="{height:.1f}"/>'
    # The text comes last, with an outline in the colour of the page, so that it is readable on top of dots.
    text = _label_beside(height, target_label, across, heights)
    return as_svg(name, title, description, [*parts, line, dots, text])


def draw_scatter(
    name: str, values: FloatArray, predicted: FloatArray, *, across: str, up: str, title: str, description: str
) -> str:
    """Return a chart with a dot for each row and a line on which predictions equal the values.

    Parameters
    ----------
    name : str
        Name of the chart, unique on the page.
    values, predicted : arrays of shape (n_rows,)
        Values of rows, on the horizontal axis, and their predictions. Of many rows, some are drawn, evenly spaced.
    across, up : str
        Labels of the axes, which have the same range.
    title, description : str
        Text for readers who cannot see the chart.

    Returns
    -------
    str
        The chart as SVG.
    """
    kept = _spread(len(values), 2 * _MOST_POINTS)
    shown = np.stack([values[kept], predicted[kept]]).astype(np.float64)
    y = vertical(float(shown.min()), float(shown.max()), logarithmic=False)
    x = replace(y, start=LEFT, stop=WIDTH - RIGHT)
    ticks = [(tick, tick_text(tick)) for tick in x.ticks()]
    if max(len(text) for _, text in ticks) > _LONGEST_TICK:
        ticks = ticks[:: max(2, len(ticks) - 1)]
    dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x.place(shown[0]), y.place(shown[1]), strict=True))
    parts = [
        *frame(x, y, across, up, ticks),
        f'<line class="target" x1="{x.start}" x2="{x.stop}" y1="{y.start}" y2="{y.stop}"/>',
        f'<path class="dots{" many" if len(kept) > 150 else ""}" d="{dots}"/>',
    ]
    return as_svg(name, title, description, parts)


def _spans_a_decade(values: FloatArray) -> bool:
    """Return whether no value is negative, and the largest is at least ten times the smallest that is not nearly 0."""
    drawn = values[values >= SMALLEST]
    return bool(np.all(values >= 0) and len(drawn) and float(drawn.max()) / 10 >= float(drawn.min()))


def _not_far_below(values: FloatArray, target: float | None) -> FloatArray:
    """Return the values that a logarithmic axis must include, perhaps none; all values if some are negative."""
    largest = float(values.max())
    floor = largest / _FAR if target is None else min(max(largest, target) / _FAR, target / 10)
    return values if values.min() < 0 else values[values >= floor]


def _ends(values: FloatArray, target: float | None) -> tuple[float, float]:
    """Return the range that an axis must show: all values, and the target line, if any, with room around it."""
    ends = [float(values.min()), float(values.max())] if len(values) else []
    if target is not None:
        room = 0.5 * abs(target)  # else small differences from the target would look large
        ends += [target - room, target + room]
    return min(ends), max(ends)


def _is_wide(smallest: float, low: float, high: float) -> bool:
    """Return whether an axis from `low` to `high` is logarithmic, given the smallest of all values."""
    return smallest >= 0 and low >= SMALLEST and high / low > _WIDE


def _within(axis: Axis, lowest: float, highest: float) -> Axis:
    """Return an axis that does not extend beyond the smallest and the largest possible number."""
    return replace(axis, low=max(axis.low, lowest), high=min(axis.high, highest))


def _label_beside(height: float, label: str, across: FloatArray, heights: FloatArray) -> str:
    """Return a label above or below a line, at the left or right end, where the fewest dots are behind it."""
    width = _WIDTH_OF_LETTER * len(label)
    places = [(left, base) for left in (LEFT + 8, WIDTH - RIGHT - 8 - width) for base in (height + 16, height - 7)]

    def n_behind(place: tuple[float, float]) -> int:
        left, base = place
        behind = (np.abs(across - left - width / 2) < width / 2 + 4) & (np.abs(heights - base + 5) < 12)
        return int(np.count_nonzero(behind))

    left, base = min((place for place in places if place[1] < HEIGHT - BOTTOM), key=n_behind)
    return f'<text class="target-label" x="{left:.1f}" y="{base:.1f}">{escape(label)}</text>'


def _line(values: FloatArray, across: FloatArray, x: Axis, y: Axis, classes: str) -> str:
    """Return a line through values at places on the horizontal axis."""
    kept = _spread(len(values), _MOST_POINTS)
    numbers, where = values[kept], across[kept]
    fits = np.isfinite(numbers) & ((numbers >= SMALLEST) | (not y.logarithmic))
    places, heights = x.place(where[fits]), y.place(numbers[fits])
    path = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(places, heights, strict=True))
    # A line of a single point is visible as a dot, because line ends are drawn round.
    return f'<path class="{classes}" d="M{path}{"h0" if len(places) == 1 else ""}"/>' if path else ""


def _spread(length: int, most: int) -> FloatArray:
    """Return at most `most` indices, spread evenly over `length` places, with the first and the last place."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(np.intp))
