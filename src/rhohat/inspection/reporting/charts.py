"""Charts as SVG: lines over iterations, and one dot for each unit. The style of the page sets the colours."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

import numpy as np

from rhohat.common.arrays import FloatArray, excess_exponent

__all__ = ["draw_curves", "draw_dots", "lowest_drawn"]

_WIDTH, _HEIGHT = 460, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 12, 12, 44
_WIDTH_OF_LETTER = 8  # upper bound on the width of a letter in the text beside a line
_MOST_POINTS = 500  # largest number of points of a line; more than the chart has pixels across
_FAR = 1000  # dots this many times smaller than the largest dot are not given room on a logarithmic axis
_WIDE = 20  # an axis is logarithmic if largest / smallest is above this
_SMALLEST, _LARGEST, _LAST_DECADE = sys.float_info.min, sys.float_info.max, sys.float_info.max_10_exp


@dataclass(frozen=True)
class _Axis:
    """Map from numbers between `low` and `high` to places on a drawing between `start` and `stop`."""

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False

    def place(self, values: FloatArray) -> FloatArray:
        low, high = (math.log(self.low), math.log(self.high)) if self.logarithmic else (self.low, self.high)
        numbers = np.log(values) if self.logarithmic else np.asarray(values, dtype=np.float64)
        unit = math.ldexp(1.0, -excess_exponent(max(abs(low), abs(high))))  # prevents overflow of differences
        low, high = low * unit, high * unit
        return self.start + (numbers * unit - low) / (high - low) * (self.stop - self.start)

    def ticks(self) -> list[float]:
        """Return a handful of round numbers from `low` to `high`."""
        if not self.logarithmic:
            return _round_numbers(self.low, self.high)
        decades = range(math.floor(math.log10(self.low)), min(math.ceil(math.log10(self.high)), _LAST_DECADE) + 1)
        for digits in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
            ticks = [digit * 10.0**decade for decade in decades for digit in digits]
            ticks = [tick for tick in ticks if tick <= _LARGEST]
            inside = [tick for tick in ticks if self.low <= tick * (1 + 1e-9) and tick <= self.high * (1 + 1e-9)]
            if len(inside) >= 3:
                return inside[:: -(-len(inside) // 7)]
        return _round_numbers(self.low, self.high)


def draw_curves(
    name: str,
    curves: Mapping[str, Sequence[float]],
    *,
    warm_up: Sequence[Sequence[float]] = (),
    title: str,
    description: str,
) -> str:
    """Return a chart of lines over iterations, with a logarithmic vertical axis if no value is negative.

    Iterations are counted from 1, and the last iteration of the warm-up is 0. If all values are 0, or nearly 0, the
    axis is linear.

    Parameters
    ----------
    name : str
        Name of the chart, unique on the page.
    curves : mapping of str to sequence of float
        Values of each line. The first line is drawn above all others. On a logarithmic axis, values that are 0 or
        nearly 0 are left out.
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
    together = np.concatenate([*lines.values(), *earlier])
    together = together[np.isfinite(together)]
    logarithmic = bool(np.all(together >= 0) and np.any(together >= _SMALLEST))
    drawn = together[together >= _SMALLEST] if logarithmic else together
    length = max(len(values) for values in lines.values())
    x = _Axis(1 - n_before, max(length, 2), _LEFT, _WIDTH - _RIGHT)
    y = _vertical(float(drawn.min()), float(drawn.max()), logarithmic)
    parts = [*_frame(x, y, "iteration", "cost")]
    begin = 1 - n_before
    for values in earlier:
        parts.append(_line(values, x, y, "curve warm-up", begin))
        begin += len(values)
    for number, values in reversed(list(enumerate(lines.values()))):
        parts.append(_line(values, x, y, f"curve c{number}"))
    return _svg(name, title, description, parts)


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
    x = _Axis(1, max(len(ordered), 2), _LEFT + 8, _WIDTH - _RIGHT - 8)
    y = _within(_vertical(low, high, logarithmic), min(bounds[0], low), max(bounds[1], high))
    parts = [*_frame(x, y, f"{noun}s, from the least to the most active", label)]
    kept = _spread(len(ordered), 2 * _MOST_POINTS)
    across, heights = x.place(places[kept]), y.place(np.maximum(ordered[kept], y.low))
    dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(across, heights, strict=True))
    dots = f'<path class="dots{" many" if len(ordered) > 150 else ""}" d="{dots}"/>'
    if target is None:
        return _svg(name, title, description, [*parts, dots])
    height = float(y.place(np.array(target)))
    line = f'<line class="target" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{height:.1f}" y2="{height:.1f}"/>'
    # The text comes last, with an outline in the colour of the page, so that it is readable on top of dots.
    text = _label_beside(height, target_label, across, heights)
    return _svg(name, title, description, [*parts, line, dots, text])


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
    return smallest >= 0 and low >= _SMALLEST and high / low > _WIDE


def _within(axis: _Axis, lowest: float, highest: float) -> _Axis:
    """Return an axis that does not extend beyond the smallest and the largest possible number."""
    return replace(axis, low=max(axis.low, lowest), high=min(axis.high, highest))


def _label_beside(height: float, label: str, across: FloatArray, heights: FloatArray) -> str:
    """Return a label above or below a line, at the left or right end, where the fewest dots are behind it."""
    width = _WIDTH_OF_LETTER * len(label)
    places = [(left, base) for left in (_LEFT + 8, _WIDTH - _RIGHT - 8 - width) for base in (height + 16, height - 7)]

    def n_behind(place: tuple[float, float]) -> int:
        left, base = place
        behind = (np.abs(across - left - width / 2) < width / 2 + 4) & (np.abs(heights - base + 5) < 12)
        return int(np.count_nonzero(behind))

    left, base = min((place for place in places if place[1] < _HEIGHT - _BOTTOM), key=n_behind)
    return f'<text class="target-label" x="{left:.1f}" y="{base:.1f}">{escape(label)}</text>'


def _vertical(low: float, high: float, logarithmic: bool) -> _Axis:
    """Return a vertical axis with some room above `high` and below `low`."""
    if logarithmic:
        room = max(math.exp(0.05 * (math.log(high) - math.log(low))), 1.05)
        low, high = max(low / room, _SMALLEST / 2), min(high * room, _LARGEST)
        return _Axis(low, high, _HEIGHT - _BOTTOM, _TOP, logarithmic=True)
    room = (0.06 * high - 0.06 * low) or 0.1 * abs(high) or 1.0
    # An axis that begins at 0 has almost no room below, so that readers see where it begins.
    below = low - (room if low != 0 else 0.02 * room)
    return _Axis(max(below, -_LARGEST), min(high + room, _LARGEST), _HEIGHT - _BOTTOM, _TOP)


def _frame(x: _Axis, y: _Axis, x_label: str, y_label: str) -> list[str]:
    """Return the grid lines, ticks and labels of both axes."""
    parts = []
    across, down = y.ticks(), [tick for tick in x.ticks() if tick == round(tick)]
    for tick, place in zip(across, y.place(np.array(across)), strict=True):
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{place:.1f}" y2="{place:.1f}"/>')
        parts.append(f'<text class="tick" text-anchor="end" x="{_LEFT - 8}" y="{place + 4:.1f}">{_number(tick)}</text>')
    base = _HEIGHT - _BOTTOM
    for tick, place in zip(down, x.place(np.array(down)), strict=True):
        parts.append(f'<text class="tick" text-anchor="middle" x="{place:.1f}" y="{base + 18}">{_number(tick)}</text>')
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text class="label" text-anchor="middle" x="{middle}" y="{_HEIGHT - 8}">{escape(x_label)}</text>')
    centre = (_TOP + base) / 2
    parts.append(
        f'<text class="label" text-anchor="middle" transform="translate(11 {centre}) rotate(-90)">'
        f"{escape(y_label)}</text>"
    )
    return parts


def _line(values: FloatArray, x: _Axis, y: _Axis, classes: str, begin: int = 1) -> str:
    """Return a line whose first value belongs to iteration `begin`."""
    kept = _spread(len(values), _MOST_POINTS)
    numbers = values[kept]
    fits = np.isfinite(numbers) & ((numbers >= _SMALLEST) | (not y.logarithmic))
    places, heights = x.place(kept[fits] + float(begin)), y.place(numbers[fits])
    path = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(places, heights, strict=True))
    # A line of a single point is visible as a dot, because line ends are drawn round.
    return f'<path class="{classes}" d="M{path}{"h0" if len(places) == 1 else ""}"/>' if path else ""


def _svg(name: str, title: str, description: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="{name}-title {name}-text">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-text">{escape(description)}</desc>'
        f"{''.join(parts)}</svg>"
    )


def _spread(length: int, most: int) -> FloatArray:
    """Return at most `most` indices, spread evenly over `length` places, with the first and the last place."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(np.intp))


def _round_numbers(low: float, high: float) -> list[float]:
    step = 10.0 ** math.floor(math.log10(high / 4 - low / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high / step - low / step) / factor <= 6)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _number(value: float) -> str:
    """Return the number of a tick as short text."""
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e6:
        return f"{value:.10g}".replace("-", "−")
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", "−")
