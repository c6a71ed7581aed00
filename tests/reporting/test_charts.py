import re
from xml.dom.minidom import parseString

import numpy as np
import pytest

from rhohat.reporting.charts import draw_curves, draw_dots

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
    svg = draw_dots("rho", values, 0.2, label="ρ̂", target_label="ρ <0.2>", **TEXTS)
    x, y = points(svg, "dots").T
    assert np.all(np.diff(x) > 0)
    assert np.all(np.diff(y) < 0)
    line = float(re.search(r'<line class="target"[^>]*y1="([\d.]+)"', svg)[1])
    np.testing.assert_allclose(line, y[1], atol=0.1)
    assert "ρ &lt;0.2&gt;" in svg
    assert "target" not in draw_dots("rho", values, None, label="ρ̂", target_label="", **TEXTS)


@pytest.mark.parametrize(
    "values", [[0.5], [0.0, 0.0], [-1.0, -0.9], [1e-9, 0.5], [0.2] * 3000, [5e-324, 1.7e308], [-1.7e308, 1.7e308]]
)
def test_dots_of_any_activations_are_drawn(values):
    svg = draw_dots("rho", np.array(values), None, label="ρ̂", target_label="", **TEXTS)
    parsed = parseString(svg)  # noqa: S318 - of our own making
    texts = [parsed.getElementsByTagName(name)[0].firstChild.data for name in ("title", "desc")]
    assert texts == [TEXTS["title"], TEXTS["description"]]
    assert 1 <= len(points(svg, "dots")) <= 1000
