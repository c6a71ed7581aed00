"""Histograms of the page about a dictionary: of the densities of latents, and of L0 over rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.words import counted
from rhohat.inspection.metrics import DensityHistogram
from rhohat.inspection.reporting.axes import power_of_ten
from rhohat.inspection.reporting.charts import Bar, draw_bars
from rhohat.inspection.reporting.rounding import show

__all__ = ["Histogram", "histogram_of_densities", "histogram_of_l0"]

_PER_DECADE = 4  # bars in each decade of densities
_DEAD_FROM, _DEAD_TO = 0.22, 0.12  # where the bar of dead latents is below all decades, as fractions of their width
_MOST_DECADES = 4  # largest number of decades, all of which have a tick
_MOST_BARS = 40  # largest number of bars of L0


@dataclass(frozen=True)
class Histogram:
    """A histogram as SVG, and its numbers as a table: the range of each bar, as text, and its height."""

    svg: str
    table: list[tuple[str, int]]
    constant: int | None = None  # the number that all rows have in common, which needs no chart


def histogram_of_densities(frequency: FloatArray, n_rows: int) -> Histogram:
    """Return the histogram of densities on a logarithmic axis, with a bar for dead latents at its left.

    Parameters
    ----------
    frequency : array of shape (n_latents,)
        Fraction of the rows on which each latent is active.
    n_rows : int
        Number of rows.
    """
    decades = DensityHistogram.of(frequency, n_rows)
    n_decades = len(decades.counts) - int(np.argmax(decades.counts > 0))  # without those that are empty below
    edges = np.linspace(-n_decades, 0, _PER_DECADE * n_decades + 1)
    exponents = np.log10(frequency[frequency > 0])
    counts, _ = np.histogram(np.minimum(exponents + 1e-9, 0), edges)  # 0.001 belongs to the bar that begins there
    left, right = edges[0] - _DEAD_FROM * n_decades, edges[0] - _DEAD_TO * n_decades
    dead = Bar(left, right, decades.n_dead, is_special=True)
    bars = [
        Bar(left, right, int(count)) for left, right, count in zip(edges[:-1], edges[1:], counts.tolist(), strict=True)
    ]
    step = 1 if n_decades <= _MOST_DECADES else 2  # so that the texts of ticks do not touch
    ticks = [((left + right) / 2, "dead")]
    ticks += [(float(power), _power_of_ten(power)) for power in range(0, -n_decades - 1, -step)]
    svg = draw_bars(
        "densities",
        [dead, *bars],
        ticks,
        across="density: fraction of the rows on which a latent is active",
        up="latents",
        title="Histogram of the densities of latents",
        description=f"{counted(len(frequency), 'latent')}, of which {decades.n_dead:,} are dead. The table below the"
        " chart has the number of latents in each decade.",
    )
    ends = zip(decades.edges[:-1], decades.edges[1:], decades.counts.tolist(), strict=True)
    table = [("dead", decades.n_dead), *((f"{show(low)} to {show(high)}", count) for low, high, count in ends)]
    return Histogram(svg, table)


def histogram_of_l0(n_rows_of_l0: NDArray[np.int64]) -> Histogram:
    """Return the histogram of the number of active latents of a row.

    Parameters
    ----------
    n_rows_of_l0 : array of int, of shape (largest L0 + 1,)
        Number of rows with 0, 1, 2, ... active latents.
    """
    there = np.flatnonzero(n_rows_of_l0)
    if len(there) == 1:
        return Histogram("", [], int(there[0]))
    low, high = int(there[0]), int(there[-1])
    if high - low < 8:  # so that a single number of latents is no bar across the whole chart
        low, high = max(0, low - 4), high + 4
    width = math.ceil((high - low + 1) / _MOST_BARS)
    counts = np.bincount((there - low) // width, weights=n_rows_of_l0[there], minlength=(high - low) // width + 1)
    bars = [
        Bar(low + number * width - 0.5, low + (number + 1) * width - 0.5, int(count))
        for number, count in enumerate(counts)
    ]
    svg = draw_bars(
        "l0-of-rows",
        bars,
        across="active latents of a row",
        up="rows",
        title="Histogram of L0, the number of active latents of a row",
        description=f"L0 is from {there[0]:,} to {there[-1]:,} over {counted(int(n_rows_of_l0.sum()), 'row')}. The"
        " table below the chart has the numbers.",
    )
    return Histogram(svg, [(_range(bar), bar.count) for bar in bars if bar.count])


def _power_of_ten(power: int) -> str:
    return f"{10.0**power:g}" if power >= -3 else power_of_ten(power)


def _range(bar: Bar) -> str:
    """Return the numbers of latents that a bar stands for, as text."""
    first, last = math.ceil(bar.left), math.floor(bar.right)
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"
