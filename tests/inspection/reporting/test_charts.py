import re
from xml.dom.minidom import parseString

import numpy as np
import pytest

from rhohat.inspection.reporting.charts import Bar, draw_bars, draw_curves, draw_dots, lowest_drawn

SIGMOID, ANY = (0.0, 1.0), (-np.inf, np.inf)
TEXTS = {"title": "J <over> iterations", "description": 'a "description" & more'}


def points(svg, kind):
    """The points of the first path of a kind, in order."""
    path = re.search(rf'<path class="{kind}[^"]*" d="([^"]*)"', svg)[1]
    return np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", path), dtype=float)


def height_of(svg, label):
    """Where the vertical axis has a tick of that number."""
    return float(re.search(rf'text-anchor="end" x="[\d.]+" y="([\d.]+)">{re.escape(label)}<', svg)[1]) - 4


def test_positive_curves_are_drawn_on_a_logarithmic_axis():
    svg = draw_curves("cost", {"J": [100.0, 10.0, 1.0], "kl": [0.0, 1.0, 0.1]}, **TEXTS)
    x, y = points(svg, "curve c0").T
    assert np.all(np.diff(x) > 0)
    np.testing.assert_allclose(np.diff(y)[0], np.diff(y)[1], atol=0.2)
    np.testing.assert_allclose(y, [height_of(svg, label) for label in ("100", "10", "1")], atol=0.2)
    assert len(points(svg, "curve c1")) == 2  # 0 has no place there


def test_a_cost_that_may_be_negative_is_drawn_on_a_linear_axis():
    svg = draw_curves("cost", {"J": [2.0, -1.0, -4.0]}, **TEXTS)
    y = points(svg, "curve c0")[:, 1]
    np.testing.assert_allclose(np.diff(y)[0], np.diff(y)[1], atol=0.2)
    assert height_of(svg, "−4") > height_of(svg, "0") > height_of(svg, "2")


@pytest.mark.parametrize(
    "values",
    [
        [3.0],
        [0.0, 0.0],
        [5.0] * 9,
        [1e-12, 1e12],
        [1.7e308, 5e-324],
        [5e-324, 1e-323],
        [-1.7e308, 1.7e308],
        [1e308] * 3,
    ],
)
def test_curves_without_much_to_see_or_of_any_size_are_drawn_too(values):
    svg = draw_curves("cost", {"J": values}, **TEXTS)
    assert parseString(svg).documentElement.getAttribute("role") == "img"  # noqa: S318 - of our own making
    assert "nan" not in svg
    assert "inf" not in svg


def test_a_curve_of_many_iterations_keeps_its_ends_and_some_of_its_points():
    values = np.geomspace(100, 1, 100_000)
    found = points(draw_curves("cost", {"J": values.tolist()}, **TEXTS), "curve c0")
    whole = points(draw_curves("cost", {"J": [100.0, 1.0]}, **TEXTS), "curve c0")
    assert len(found) <= 500
    np.testing.assert_allclose(found[[0, -1]], whole, atol=0.1)


def test_dots_are_in_ascending_order_and_the_line_is_at_the_target():
    values = np.array([0.3, 0.1, 0.2])
    svg = draw_dots("rho", values, 0.2, bounds=SIGMOID, label="ρ̂", target_label="ρ <0.2>", **TEXTS)
    x, y = points(svg, "dots").T
    assert np.all(np.diff(x) > 0)
    assert np.all(np.diff(y) < 0)
    line = float(re.search(r'<line class="target"[^>]*y1="([\d.]+)"', svg)[1])
    np.testing.assert_allclose(line, y[1], atol=0.1)
    assert "ρ &lt;0.2&gt;" in svg
    assert "target" not in draw_dots("rho", values, None, bounds=SIGMOID, label="ρ̂", target_label="", **TEXTS)


@pytest.mark.parametrize(
    "values", [[0.5], [0.0, 0.0], [-1.0, -0.9], [1e-9, 0.5], [0.2] * 3000, [5e-324, 1.7e308], [-1.7e308, 1.7e308]]
)
def test_dots_of_any_activations_are_drawn(values):
    svg = draw_dots("rho", np.array(values), None, bounds=ANY, label="ρ̂", target_label="", **TEXTS)
    parsed = parseString(svg)  # noqa: S318 - of our own making
    texts = [parsed.getElementsByTagName(name)[0].firstChild.data for name in ("title", "desc")]
    assert texts == [TEXTS["title"], TEXTS["description"]]
    assert 1 <= len(points(svg, "dots")) <= 1000


def ticks_of(svg):
    """The numbers on the vertical axis."""
    return [number_of(text) for text in re.findall(r'text-anchor="end"[^>]*>([^<]*)<', svg)]


def number_of(text):
    """The number that is written as −0.5, 2,000 or 2×10⁻⁵."""
    mantissa, _, exponent = text.replace("−", "-").replace(",", "").replace("×", "").partition("10⁻")
    powers = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
    return float(mantissa or 1) * 10.0 ** -int(exponent.translate(powers) or 0) if exponent else float(mantissa)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([100.0, 10.0, 1.0], ["1", "10", "100"]),
        ([3e-6, 2.0], ["10⁻⁵", "10⁻⁴", "0.001", "0.01", "0.1", "1"]),
        ([0.0316, 0.316], ["0.03", "0.1", "0.3"]),
        ([0.0316, 0.0317], ["0.0316", "0.03162", "0.03164", "0.03166", "0.03168", "0.0317"]),  # a linear axis
        ([0.02, 0.4, 7.0], ["0.1", "1"]),
    ],
)
def test_ticks_of_a_logarithmic_axis_have_one_digit_that_is_not_0(values, expected):
    found = re.findall(r'text-anchor="end"[^>]*>([^<]*)<', draw_curves("cost", {"J": values}, **TEXTS))
    assert set(expected) <= set(found)
    assert len(found) <= 7


@pytest.mark.parametrize("target", [None, 0.01])
@pytest.mark.parametrize("tiny", [0.0, 5e-324, 1e-47, 1e-8])
def test_units_that_are_nearly_silent_leave_the_axis_to_the_others(tiny, target, rng):
    living = rng.uniform(0.008, 0.012, 45)
    svg = draw_dots(
        "rho", np.concatenate([np.full(15, tiny), living]), target, bounds=SIGMOID, label="", target_label="", **TEXTS
    )
    y = points(svg, "dots")[:, 1]
    assert np.ptp(y[15:]) > 0.15 * (280 - 44 - 12)
    assert max(ticks_of(svg)) < 0.02
    assert np.all(y[:15] > y[15:].max())
    assert y.max() <= 280 - 44 + 0.1
    assert lowest_drawn(living, target) == living.min()


@pytest.mark.parametrize("target", [None, 0.2])
def test_units_far_below_the_others_are_drawn_at_the_edge_of_a_logarithmic_axis(target):
    values = np.array([1e-40, 1e-7, 0.002, 0.03, 0.9])
    lowest = lowest_drawn(values, target)
    svg = draw_dots("rho", values, target, bounds=SIGMOID, label="", target_label="", **TEXTS)
    assert lowest == 0.002
    y = points(svg, "dots")[:, 1]
    np.testing.assert_allclose(y[:2], 280 - 44, atol=0.1)
    assert np.all(np.diff(y[1:]) < 0)
    assert 1e-4 < min(ticks_of(svg)) < max(ticks_of(svg)) <= 1


@pytest.mark.parametrize("target", [None, 0.9, 0.01, -0.6])
@pytest.mark.parametrize("values", [[0.99, 1.0], [1.0] * 3, [1e-47, 1.0], [1e-3, 0.9], [0.0, 0.0], [-1.0, 1.0]])
def test_no_axis_goes_beyond_what_units_can_reach(values, target):
    bounds = (-1.0, 1.0) if min(values) < 0 or (target or 0) < 0 else SIGMOID
    svg = draw_dots("rho", np.array(values), target, bounds=bounds, label="", target_label="", **TEXTS)
    assert bounds[0] <= min(ticks_of(svg)) < max(ticks_of(svg)) <= bounds[1]
    y = points(svg, "dots")[:, 1]
    assert np.all((y >= 12 - 0.1) & (y <= 280 - 44 + 0.1))


@pytest.mark.parametrize("crowd", ["left", "right", "below", "above"])
def test_the_text_of_the_target_stands_where_no_dots_are(crowd, rng):
    few, many = 3, 57
    values = {
        "left": np.concatenate([np.full(few, 0.2001), np.linspace(0.25, 0.4, many)]),
        "right": np.concatenate([np.linspace(0.0, 0.19, many), np.full(few, 0.2)]),
        "below": np.linspace(0.17, 0.19, few + many),
        "above": np.linspace(0.21, 0.23, few + many),
    }[crowd]
    svg = draw_dots("rho", values, 0.2, bounds=SIGMOID, label="", target_label="ρ = 0.2", **TEXTS)
    left, base = map(float, re.search(r'class="target-label" x="([\d.]+)" y="([\d.]+)"', svg).groups())
    x, y = points(svg, "dots").T
    assert not np.any((x > left - 3) & (x < left + 45) & (y > base - 12) & (y < base + 3))
    assert svg.index('class="target-label"') > svg.index('class="dots')


def test_curves_may_be_over_other_places_than_iterations_and_begin_at_0():
    rows = np.array([50_000.0, 150_000.0, 400_000.0])
    svg = draw_curves(
        "l0", {"L0": [8.0, 6.0, 7.0]}, places=rows, across="rows <seen>", up="L0", from_zero=True, **TEXTS
    )
    x, y = points(svg, "curve c0").T
    ticks = dict(re.findall(r'text-anchor="middle" x="([\d.]+)" y="254">([^<]*)<', svg))
    places = {text: float(place) for place, text in ticks.items()}
    assert {"0", "100k", "400k"} <= set(places)
    np.testing.assert_allclose(x, np.interp(rows, [0, 4e5], [places["0"], places["400k"]]), atol=0.2)
    levels = [height_of(svg, label) for label in ("0", "8")]
    np.testing.assert_allclose(y, np.interp([8, 6, 7], [0, 8], levels), atol=0.2)
    assert "rows &lt;seen&gt;" in svg


@pytest.mark.parametrize(
    ("largest", "labels"),
    [(2e4, ["5,000", "10k", "20k"]), (4e6, ["1M", "4M"]), (6e6, ["2M", "6M"]), (3e9, ["10⁹", "3×10⁹"])],
)
def test_ticks_of_large_numbers_are_short(largest, labels):
    svg = draw_curves("cost", {"J": [0.0, largest]}, from_zero=True, **TEXTS)
    heights = [height_of(svg, label) for label in labels]
    assert np.all(np.diff(heights) < 0)


def test_bars_stand_on_the_axis_and_are_as_high_as_their_numbers():
    bars = [Bar(0, 1, 4), Bar(1, 2, 0), Bar(2, 4, 2, is_special=True)]
    svg = draw_bars("bars", bars, across="places", up="number", **TEXTS)
    found = re.findall(r'<rect class="([^"]*)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', svg)
    (first, _, top, width, height), (second, _, _, second_width, second_height) = found
    assert (first, second) == ("count", "count special")
    base = height_of(svg, "0")
    assert float(top) + float(height) == pytest.approx(base, abs=1)
    assert float(top) == pytest.approx(height_of(svg, "4"), abs=0.2)
    assert float(height) / float(second_height) == pytest.approx(2, abs=0.05)
    assert float(second_width) + 1 == pytest.approx(2 * (float(width) + 1), abs=0.2)
