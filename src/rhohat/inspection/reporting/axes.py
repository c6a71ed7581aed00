"""Axes of charts as SVG: places, ticks, grid lines and labels. The style of the page sets the colours."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from rhohat.common.arrays import FloatArray, excess_exponent

__all__ = [
    "BOTTOM",
    "HEIGHT",
    "LEFT",
    "RIGHT",
    "SMALLEST",
    "TOP",
    "WIDTH",
    "Axis",
    "as_svg",
    "frame",
    "power_of_ten",
    "tick_text",
    "vertical",
]

WIDTH, HEIGHT = 460, 280
LEFT, RIGHT, TOP, BOTTOM = 72, 12, 12, 44
SMALLEST = sys.float_info.min
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LARGEST, _LAST_DECADE = sys.float_info.max, sys.float_info.max_10_exp


@dataclass(frozen=True)
class Axis:
    """Map from numbers between `low` and `high` to places on a drawing between `start` and `stop`."""

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False

    def place(self, values: FloatArray) -> FloatArray:
        """Return the places of numbers on the drawing."""
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


def vertical(low: float, high: float, logarithmic: bool) -> Axis:
    """Return a vertical axis with some room above `high` and below `low`."""
    if logarithmic:
        room = max(math.exp(0.05 * (math.log(high) - math.log(low))), 1.05)
        low, high = max(low / room, SMALLEST / 2), min(high * room, _LARGEST)
        return Axis(low, high, HEIGHT - BOTTOM, TOP, logarithmic=True)
    room = (0.06 * high - 0.06 * low) or 0.1 * abs(high) or 1.0
    # An axis that begins at 0 has almost no room below, so that readers see where it begins.
    below = low - (room if low != 0 else 0.02 * room)
    return Axis(max(below, -_LARGEST), min(high + room, _LARGEST), HEIGHT - BOTTOM, TOP)


def frame(x: Axis, y: Axis, x_label: str, y_label: str, ticks: Sequence[tuple[float, str]] | None = None) -> list[str]:
    """Return the grid lines, ticks and labels of both axes.

    Parameters
    ----------
    x, y : Axis
        Horizontal and vertical axis.
    x_label, y_label : str
    ticks : sequence of tuples of float and str, default=None
        Values and texts of the ticks of the horizontal axis; None means round, whole numbers.

    Returns
    -------
    list of str
        Parts of an SVG.
    """
    parts = []
    for tick, place in zip(y.ticks(), y.place(np.array(y.ticks())), strict=True):
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{place:.1f}" y2="{place:.1f}"/>')
        parts.append(
            f'<text class="tick" text-anchor="end" x="{LEFT - 8}" y="{place + 4:.1f}">{tick_text(tick)}</text>'
        )
    base = HEIGHT - BOTTOM
    if ticks is None:
        ticks = [(tick, tick_text(tick)) for tick in x.ticks() if tick == round(tick)]
    for place, (_, text) in zip(x.place(np.array([value for value, _ in ticks])), ticks, strict=True):
        parts.append(f'<text class="tick" text-anchor="middle" x="{place:.1f}" y="{base + 18}">{escape(text)}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="label" text-anchor="middle" x="{middle}" y="{HEIGHT - 8}">{escape(x_label)}</text>')
    centre = (TOP + base) / 2
    parts.append(
        f'<text class="label" text-anchor="middle" transform="translate(11 {centre}) rotate(-90)">'
        f"{escape(y_label)}</text>"
    )
    return parts


def as_svg(name: str, title: str, description: str, parts: Sequence[str]) -> str:
    """Return a chart of parts; the name is unique on the page, title and description are for screen readers."""
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{name}-title {name}-text">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-text">{escape(description)}</desc>'
        f"{''.join(parts)}</svg>"
    )


def power_of_ten(exponent: int) -> str:
    """Return a power of ten as text, with the exponent in superscript.

    Examples
    --------
    >>> power_of_ten(3), power_of_ten(-12)
    ('10³', '10⁻¹²')
    """
    return f"10{str(exponent).translate(_SUPERSCRIPTS)}"


def _round_numbers(low: float, high: float) -> list[float]:
    step = 10.0 ** math.floor(math.log10(high / 4 - low / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high / step - low / step) / factor <= 6)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def tick_text(value: float) -> str:
    """Return the number of a tick as short text, as 0.01, 1,000 or 2×10⁻⁵."""
    size = abs(value)
    if value == 0:
        return "0"
    if 1e-3 <= size < 1e4:
        return f"{value:,.10g}".replace("-", "−")
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if unit <= size < 1e9:
            return f"{value / unit:.10g}{letter}".replace("-", "−")
    mantissa, exponent = f"{value:.9e}".split("e")
    power = power_of_ten(int(exponent))
    return power if float(mantissa) == 1 else f"{float(mantissa):g}×{power}".replace("-", "−")
