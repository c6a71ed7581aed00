"""Charts as SVG: lines over iterations, and one dot a unit. Colours come from the page, light or dark."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from rhohat.arrays import FloatArray, excess_exponent

__all__ = ["draw_curves", "draw_dots"]

_WIDTH, _HEIGHT = 460, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 12, 12, 44
_MOST_POINTS = 500  # of a line: more than there are pixels
_WIDE = 20  # largest / smallest from which on an axis is logarithmic
_SMALLEST, _LARGEST, _LAST_DECADE = sys.float_info.min, sys.float_info.max, sys.float_info.max_10_exp


@dataclass(frozen=True)
class _Axis:
    """Numbers → places on a drawing, from `start` to `stop`."""

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False

    def place(self, values: FloatArray) -> FloatArray:
        low, high = (math.log(self.low), math.log(self.high)) if self.logarithmic else (self.low, self.high)
        numbers = np.log(values) if self.logarithmic else np.asarray(values, dtype=np.float64)
        unit = math.ldexp(1.0, -excess_exponent(max(abs(low), abs(high))))  # so that no difference overflows
        low, high = low * unit, high * unit
        return self.start + (numbers * unit - low) / (high - low) * (self.stop - self.start)

    def ticks(self) -> list[float]:
        """Return round numbers from low to high, a handful of them."""
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


def draw_curves(name: str, curves: Mapping[str, Sequence[float]], *, title: str, description: str) -> str:
    """Return lines over iterations, counted from 1; the vertical axis is logarithmic where all of them are positive.

    Parameters
    ----------
    name : str
        Unique on the page.
    curves : mapping of str to sequence of float
        Drawn in order, the first above all others. Zeros, or nearly so, are left out on a logarithmic axis.
    title, description : str
        For who does not see it.

    Returns
    -------
    str
        SVG.
    """
    lines = {label: np.asarray(values, dtype=np.float64) for label, values in curves.items()}
    together = np.concatenate(list(lines.values()))
    together = together[np.isfinite(together)]
    logarithmic = bool(np.all(together >= 0) and np.any(together >= _SMALLEST))
    drawn = together[together >= _SMALLEST] if logarithmic else together
    length = max(len(values) for values in lines.values())
    x = _Axis(1, max(length, 2), _LEFT, _WIDTH - _RIGHT)
    y = _vertical(float(drawn.min()), float(drawn.max()), logarithmic)
    parts = [*_frame(x, y, "iteration", "cost")]
    for number, values in reversed(list(enumerate(lines.values()))):
        parts.append(_line(values, x, y, f"curve c{number}"))
    return _svg(name, title, description, parts)


def draw_dots(
    name: str, values: FloatArray, target: float | None, *, label: str, target_label: str, title: str, description: str
) -> str:
    """Return a dot for each value, in ascending order, and a line at a target.

    Parameters
    ----------
    name : str
        Unique on the page.
    values : array of shape (n_values,)
        The vertical axis is logarithmic where they are positive and span much.
    target : float, or None
    label, target_label : str
        Of the vertical axis, and of the line.
    title, description : str
        For who does not see it.

    Returns
    -------
    str
        SVG.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    low, high = float(ordered[0]), float(ordered[-1])
    if target is not None:
        # Room about the target, or small differences from it would look large.
        room = 0.5 * abs(target)
        low, high = min(low, target - room), max(high, target + room)
    logarithmic = low >= _SMALLEST and high / low > _WIDE
    if not logarithmic and low >= 0 and low < 0.5 * high:
        low = 0.0
    places = np.arange(1, len(ordered) + 1, dtype=np.float64)
    x = _Axis(1, max(len(ordered), 2), _LEFT + 8, _WIDTH - _RIGHT - 8)
    y = _vertical(low, high, logarithmic)
    parts = [*_frame(x, y, "units, from the least active on", label)]
    if target is not None:
        height = float(y.place(np.array(target)))
        above = 2 * np.count_nonzero(ordered < target) > len(ordered)  # where fewer dots are
        parts.append(f'<line class="target" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{height:.1f}" y2="{height:.1f}"/>')
        parts.append(
            f'<text class="target-label" x="{_LEFT + 8}" y="{height + (-6 if above else 15):.1f}">'
            f"{escape(target_label)}</text>"
        )
    kept = _spread(len(ordered), 2 * _MOST_POINTS)
    dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x.place(places[kept]), y.place(ordered[kept]), strict=True))
    parts.append(f'<path class="dots{" many" if len(ordered) > 150 else ""}" d="{dots}"/>')
    return _svg(name, title, description, parts)


def _vertical(low: float, high: float, logarithmic: bool) -> _Axis:
    """Return an axis with some room above and below."""
    if logarithmic:
        room = max(math.exp(0.05 * (math.log(high) - math.log(low))), 1.05)
        low, high = max(low / room, _SMALLEST / 2), min(high * room, _LARGEST)
        return _Axis(low, high, _HEIGHT - _BOTTOM, _TOP, logarithmic=True)
    room = (0.06 * high - 0.06 * low) or 0.1 * abs(high) or 1.0
    # An axis that begins at 0 says so by having no room below.
    below = low - (room if low != 0 else 0.02 * room)
    return _Axis(max(below, -_LARGEST), min(high + room, _LARGEST), _HEIGHT - _BOTTOM, _TOP)


def _frame(x: _Axis, y: _Axis, x_label: str, y_label: str) -> list[str]:
    """Return lines across, ticks and labels."""
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


def _line(values: FloatArray, x: _Axis, y: _Axis, classes: str) -> str:
    kept = _spread(len(values), _MOST_POINTS)
    numbers = values[kept]
    fits = np.isfinite(numbers) & ((numbers >= _SMALLEST) | (not y.logarithmic))
    places, heights = x.place(kept[fits] + 1.0), y.place(numbers[fits])
    path = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(places, heights, strict=True))
    # A line of one point is drawn as a dot, by its round ends.
    return f'<path class="{classes}" d="M{path}{"h0" if len(places) == 1 else ""}"/>' if path else ""


def _svg(name: str, title: str, description: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="{name}-title {name}-text">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-text">{escape(description)}</desc>'
        f"{''.join(parts)}</svg>"
    )


def _spread(length: int, most: int) -> FloatArray:
    """Return numbers of so many places at most, the first and the last among them."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(np.intp))


def _round_numbers(low: float, high: float) -> list[float]:
    step = 10.0 ** math.floor(math.log10(high / 4 - low / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high / step - low / step) / factor <= 6)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _number(value: float) -> str:
    """Return a tick's number, as short as it can be."""
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e6:
        return f"{value:.10g}".replace("-", "−")
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", "−")
