"""Histograms of densities and of L0: their bars beside their tables."""

import re

import numpy as np
import pytest

from rhohat.inspection.reporting.dictionaries.histograms import histogram_of_densities, histogram_of_l0


def bars_of(svg):
    """Left edge, width and height of each bar, and whether it is special."""
    found = re.findall(r'<rect class="(count[^"]*)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', svg)
    return [(float(x), float(width), float(height), kind != "count") for kind, x, _, width, height in found]


def ticks_of(svg):
    """Place and text of each tick of the horizontal axis."""
    found = re.findall(r'<text class="tick" text-anchor="middle" x="([\d.]+)" y="\d+">([^<]*)</text>', svg)
    return {text: float(place) for place, text in found}


def test_densities_are_on_a_logarithmic_axis_with_a_bar_for_the_dead():
    frequency = np.array([0, 0, 0, 0.001, 0.0011, 0.5, 0.02, 0.02])
    histogram = histogram_of_densities(frequency, 1000)
    assert histogram.table == [("dead", 3), ("0.001 to 0.01", 2), ("0.01 to 0.1", 2), ("0.1 to 1", 1)]
    bars, ticks = bars_of(histogram.svg), ticks_of(histogram.svg)
    assert [special for *_, special in bars] == [True, False, False, False]
    heights = np.array([height for _, _, height, _ in bars])
    np.testing.assert_allclose(heights / heights[0], np.array([3, 2, 2, 1]) / 3, atol=0.01)
    decade = ticks["0.1"] - ticks["0.01"]
    assert ticks["1"] - ticks["0.1"] == pytest.approx(decade, abs=0.2)
    dead, first, second, third = (left for left, *_ in bars)
    assert dead < ticks["dead"] < first
    assert first == pytest.approx(ticks["0.001"] + 0.5, abs=0.2)
    assert second == pytest.approx(ticks["0.01"] + decade / 4 + 0.5, abs=0.2)  # log10(0.02) is 0.301 above −2
    assert third == pytest.approx(ticks["0.1"] + decade / 2 + 0.5, abs=0.2)


def test_decades_without_latents_below_all_others_are_not_drawn():
    histogram = histogram_of_densities(np.array([0.05, 0.5]), 10**6)
    assert set(ticks_of(histogram.svg)) == {"dead", "0.01", "0.1", "1"}
    assert dict(histogram.table)["1e−06 to 1e−05"] == 0


def test_texts_of_many_decades_do_not_touch():
    ticks = ticks_of(histogram_of_densities(np.array([1e-8, 0.5]), 10**8).svg)
    assert list(ticks) == ["dead", "1", "0.01", "10⁻⁴", "10⁻⁶", "10⁻⁸"]
    places = np.sort(list(ticks.values()))
    assert np.diff(places).min() > 40


def test_all_latents_may_be_dead():
    histogram = histogram_of_densities(np.zeros(5), 10)
    assert histogram.table == [("dead", 5), ("0.1 to 1", 0)]
    assert len(bars_of(histogram.svg)) == 1


def test_an_l0_that_all_rows_have_in_common_is_no_chart():
    histogram = histogram_of_l0(np.array([0, 0, 0, 0, 0, 70]))
    assert (histogram.svg, histogram.table, histogram.constant) == ("", [], 5)
    assert histogram_of_l0(np.array([0, 1, 0, 0, 0, 70])).constant is None


def test_l0_of_many_numbers_has_bars_of_several():
    counts = np.zeros(121, np.int64)
    counts[[0, 1, 2, 3, 7, 120]] = [5, 1, 1, 1, 4, 2]
    histogram = histogram_of_l0(counts)
    assert histogram.table == [("0 to 3", 8), ("4 to 7", 4), ("120 to 123", 2)]
    heights = [height for _, _, height, _ in bars_of(histogram.svg)]
    np.testing.assert_allclose(np.array(heights) / heights[0], [1, 0.5, 0.25], atol=0.01)


def test_l0_of_a_few_numbers_has_a_bar_for_each():
    counts = np.array([0, 3, 0, 2, 1])
    assert histogram_of_l0(counts).table == [("1", 3), ("3", 2), ("4", 1)]
