"""The page in a real browser: what a reader does with it, and that it asks nobody for anything."""

import base64
import contextlib
import re
import zlib

import numpy as np
import pandas as pd
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from rhohat import Convolution, ConvolutionalAutoencoder, SoftmaxRegression, SparseAutoencoder
from rhohat.inspection.reporting import report
from tests.inspection.reporting.browsing import FIGURES, heading, in_order, is_open, press, wait_for
from tests.inspection.reporting.pages import image_of, record_of

HOSTILE = ["</script><img src=x onerror=alert(1)>", "a \"b\" 'c' &amp; <b>", "größe\u2028ρ̂", "plain"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages about images, of which two units are dead, and about a table; what they draw from, and their addresses."""
    folder, rng = tmp_path_factory.mktemp("pages"), np.random.default_rng(0)
    parameters = {"max_iter": 1000, "tol": 1e-2, "random_state": 0}
    X = rng.random((200, 64))
    images = SparseAutoencoder(n_components=30, activation="relu", sparsity_weight=0.0, **parameters).fit(X)
    for unit in (4, 17):
        images.coefs_[0][:, unit], images.intercepts_[0][unit] = 0, -1
    table = pd.DataFrame(rng.random((90, 4)), columns=HOSTILE)
    bars = SparseAutoencoder(n_components=5, sparsity=0.2, **parameters).fit(table)
    wide = pd.DataFrame(
        rng.normal(size=(60, 12)) * np.geomspace(1e-12, 1e9, 12), columns=[f"a_long_{n}" for n in range(12)]
    )
    small = 1e-4 * rng.normal(size=(60, 12))
    numbers = SparseAutoencoder(n_components=3, sparsity_weight=0.0, **parameters).fit(wide / wide.std())
    numbers.coefs_[0] *= 1e-4
    del numbers.training_range_  # or rows of another scale would be warned of
    tiny = SparseAutoencoder(n_components=24, activation="tanh", sparsity_weight=0.0, **parameters).fit(X)
    tiny.coefs_[0] *= 1e-5
    tiny.intercepts_[0] = -1e-4 * rng.random(24)
    classes = SoftmaxRegression(max_iter=1000, tol=1e-2, random_state=0).fit(X, rng.integers(0, 3, 200))
    same = SparseAutoencoder(n_components=5, sparsity=0.2, **parameters).fit(table)
    same.coefs_[0] *= 1e-9
    pictures = X.reshape(200, 8, 8)
    maps = ConvolutionalAutoencoder(layers=[Convolution(5, 3)], activation="sigmoid", tol=10, random_state=0)
    maps.fit(pictures)
    found = {}
    for name, model, data in (
        ("maps", maps, pictures),
        ("images", images, X),
        ("table", bars, table),
        ("wide", numbers, wide),
        ("small", numbers, small),
        ("tiny", tiny, X),
        ("classes", classes, X),
        ("constant", same, table),
    ):
        path = folder / f"{name} <b>'&.html"
        found[name] = record_of(report(model, data, path, title=HOSTILE[0])), path.as_uri()
    return found


def shown_units(driver):
    """Numbers of the units in the grid, in their order."""
    script = "return [...document.querySelectorAll('#grid li:not([hidden])')].map((li) => Number(li.dataset.unit))"
    return driver.execute_script(script)


def as_sorted(record, units):
    """Units as the page shows them if they are sorted so."""
    return in_order(units, record["constant"], record["dead"])


def measured(record, key):
    (values,) = [measure["values"] for measure in record["measures"] if measure["key"] == key]
    return np.array(values)


def tile(driver, unit):
    return driver.find_element(By.CSS_SELECTOR, f"#grid li[data-unit='{unit}'] button")


def in_focus(driver):
    return driver.execute_script("return Number(document.activeElement.closest('li')?.dataset.unit)")


@pytest.mark.parametrize("key", ["mean", "frequency", "largest", "norm", "gabor"])
def test_units_are_sorted_by_what_is_chosen(key, driver, open_page):
    record = open_page()
    values = measured(record, key)
    assert shown_units(driver) == as_sorted(record, range(30))
    assert {4, 17} <= set(shown_units(driver)[-len(record["dead"]) :])
    Select(driver.find_element(By.ID, "sort")).select_by_value(key)
    assert shown_units(driver) == as_sorted(record, np.argsort(-values, kind="stable"))
    direction = driver.find_element(By.ID, "direction")
    assert direction.text == "Descending"
    direction.click()
    assert direction.text == "Ascending"
    assert shown_units(driver) == as_sorted(record, np.argsort(values, kind="stable"))
    driver.find_element(By.ID, "reset").click()
    assert shown_units(driver) == as_sorted(record, range(30))


def test_dead_units_are_drawn_like_all_others_and_framed(driver, open_page):
    record = open_page()
    script = """return [...document.querySelectorAll('#grid li')].map((li) => {
        const [tile, picture] = [li.firstElementChild, li.firstElementChild.firstElementChild].map((element) =>
            getComputedStyle(element));
        return [Number(tile.opacity) * Number(picture.opacity), tile.borderTopStyle];
    })"""
    for unit, (opacity, border) in zip(shown_units(driver), driver.execute_script(script), strict=True):
        assert opacity == 1
        assert border == ("dashed" if unit in {*record["dead"], *record["constant"]} else "solid")


def test_dead_and_alive_units_are_filtered_and_counted_aloud(driver, open_page):
    dead = open_page()["dead"]
    assert {4, 17} <= set(dead)
    state, count = Select(driver.find_element(By.ID, "state")), driver.find_element(By.ID, "count")
    assert count.get_attribute("aria-live") == "polite"
    assert count.text == "30 of 30 units"
    state.select_by_value("dead")
    assert shown_units(driver) == dead
    assert count.text == f"{len(dead)} of 30 units"
    state.select_by_value("alive")
    assert sorted(shown_units(driver)) == [unit for unit in range(30) if unit not in dead]


def test_units_are_filtered_by_number_and_by_ranges(driver, open_page):
    record = open_page()
    numbers = driver.find_element(By.ID, "numbers")
    numbers.send_keys("3, 17 20-22")
    assert shown_units(driver) == as_sorted(record, [3, 17, 20, 21, 22])
    numbers.send_keys(" nonsense")
    assert numbers.get_attribute("aria-invalid") == "true"
    numbers.clear()
    driver.find_element(By.CSS_SELECTOR, ".ranges summary").click()
    mean = measured(record, "mean")
    low, high = np.quantile(mean, [0.25, 0.75])
    for bound, value in (("at least", low), ("at most", high)):
        field = driver.find_element(By.CSS_SELECTOR, f"input[aria-label='mean activation, {bound}']")
        field.send_keys(repr(float(value)))
    expected = np.flatnonzero((low <= mean) & (mean <= high)).tolist()
    assert 0 < len(expected) < 30
    assert shown_units(driver) == as_sorted(record, expected)
    numbers.send_keys("1000")
    assert shown_units(driver) == []
    assert driver.find_element(By.ID, "none").is_displayed()


def test_a_unit_opens_by_a_click_and_closes_by_escape(driver, open_page):
    open_page()
    assert not is_open(driver)
    tile(driver, 2).click()
    wait_for(driver, lambda: is_open(driver))
    assert heading(driver) == "Unit 2"
    assert driver.execute_script("return location.hash") == "#unit-2"
    assert driver.execute_script("return document.querySelector('dialog').contains(document.activeElement)")
    press(driver, Keys.ESCAPE)
    wait_for(driver, lambda: not is_open(driver))
    # The browser tells the page a moment after it has closed.
    wait_for(driver, lambda: driver.execute_script("return location.hash") == "")
    wait_for(driver, lambda: in_focus(driver) == 2)


def test_a_unit_opens_by_the_keyboard_alone(driver, open_page):
    order = as_sorted(open_page(), range(30))
    columns = driver.execute_script(
        "return getComputedStyle(document.getElementById('grid')).gridTemplateColumns.split(' ').length"
    )
    driver.execute_script("document.getElementById('reset').focus()")
    press(driver, Keys.TAB)
    assert in_focus(driver) == order[0]
    press(driver, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert in_focus(driver) == order[1]
    press(driver, Keys.ARROW_DOWN)
    assert in_focus(driver) == order[1 + columns]
    press(driver, Keys.END)
    assert in_focus(driver) == order[29]
    press(driver, Keys.ARROW_RIGHT)
    assert in_focus(driver) == order[29]
    press(driver, Keys.HOME, Keys.ENTER)
    wait_for(driver, lambda: is_open(driver))
    assert heading(driver) == f"Unit {order[0]}"
    press(driver, Keys.ARROW_RIGHT)
    assert heading(driver) == f"Unit {order[1]}"
    driver.find_element(By.ID, "next").send_keys(Keys.ENTER)
    assert heading(driver) == f"Unit {order[2]}"
    driver.find_element(By.ID, "previous").send_keys(Keys.ENTER)
    assert heading(driver) == f"Unit {order[1]}"
    press(driver, Keys.ESCAPE)
    wait_for(driver, lambda: not is_open(driver))
    wait_for(driver, lambda: in_focus(driver) == order[1])


def test_next_is_the_next_of_those_shown(driver, open_page):
    record = open_page()
    Select(driver.find_element(By.ID, "sort")).select_by_value("norm")
    order = as_sorted(record, np.argsort(-measured(record, "norm"), kind="stable"))
    tile(driver, order[0]).click()
    wait_for(driver, lambda: is_open(driver))
    assert not driver.find_element(By.ID, "previous").is_enabled()
    driver.find_element(By.ID, "next").click()
    assert heading(driver) == f"Unit {order[1]}"


def test_a_similar_unit_is_one_click_away_and_the_back_button_comes_back(driver, open_page):
    record = open_page()
    tile(driver, 2).click()
    wait_for(driver, lambda: is_open(driver))
    similar = record["similar"]["units"][2]
    links = driver.find_elements(By.CSS_SELECTOR, "#unit-body a")
    assert [link.get_attribute("href").split("#")[1] for link in links] == [f"unit-{unit}" for unit in similar]
    links[0].click()
    wait_for(driver, lambda: heading(driver) == f"Unit {similar[0]}")
    driver.back()
    wait_for(driver, lambda: heading(driver) == "Unit 2")
    driver.back()
    wait_for(driver, lambda: not is_open(driver))


def test_an_address_may_name_a_unit(driver, open_page, pages):
    open_page()
    driver.execute_script("location.hash = '#unit-17'")
    wait_for(driver, lambda: is_open(driver))
    assert heading(driver) == "Unit 17"
    assert driver.find_element(By.CSS_SELECTOR, "#unit-heading .tag").text == "dead: never above 0"
    assert "The activation of this unit is 0 on every row." in driver.find_element(By.ID, "unit-body").text
    driver.execute_script("location.hash = '#unit-99'")
    wait_for(driver, lambda: not is_open(driver))


def test_what_is_drawn_are_the_pixels_that_the_page_holds(driver, open_page):
    record = open_page()
    drawn = """
        const canvas = document.querySelector(arguments[0]);
        if (!canvas || canvas.dataset.drawn === undefined) return null;
        return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data];
    """

    def pixels(selector):
        data = wait_for(driver, lambda: driver.execute_script(drawn, selector))
        return np.array(data).reshape(8, 8, 4)[:, :, 0]

    driver.execute_script("document.getElementById('grid').scrollIntoView()")
    np.testing.assert_array_equal(pixels("#grid li[data-unit='3'] canvas"), image_of(record["inputs"], 3, 8, 8))
    tile(driver, 3).click()
    place = record["top"]["places"][3][0]
    np.testing.assert_array_equal(
        pixels("#unit-body .strip li:first-child canvas"), image_of(record["rows"], place, 8, 8)
    )


def test_tiles_out_of_sight_are_not_drawn_before_they_are_near(driver, open_page):
    open_page(width=390, height=300)
    count = "return document.querySelectorAll('#grid canvas[data-drawn]').length"
    assert driver.execute_script(count) == 0
    driver.execute_script("document.getElementById('grid').scrollIntoView({ behavior: 'instant' })")
    wait_for(driver, lambda: driver.execute_script(count) > 0)


def test_what_is_seen_first_is_drawn_without_waiting_for_an_observer(driver, open_page):
    never = "window.IntersectionObserver = class { observe() {} unobserve() {} }"
    added = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": never})
    try:
        open_page(height=4000)
        assert driver.execute_script("return document.querySelectorAll('#grid canvas[data-drawn]').length") == 30
        open_page("table", height=4000)
        assert driver.execute_script("return document.querySelectorAll('#grid .level').length") == 5 * 4
    finally:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def printed(driver):
    """The drawing operators of the page as a PDF, and how many pictures it holds."""
    pdf = base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", {})["data"])
    operators = b""
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL):
        with contextlib.suppress(zlib.error):
            operators += zlib.decompress(stream)
    return operators.decode("latin-1"), len(re.findall(rb"/Subtype\s*/Image", pdf))


def test_a_printed_page_has_the_pictures_of_all_units(driver, open_page):
    record = open_page(width=390, height=300)
    _, n_pictures = printed(driver)
    assert n_pictures >= 30
    drawn = "return [...document.querySelectorAll('#grid canvas')].map((canvas) =>"
    drawn += " [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data])"
    for unit, data in zip(shown_units(driver), driver.execute_script(drawn), strict=True):
        np.testing.assert_array_equal(np.array(data).reshape(8, 8, 4)[:, :, 0], image_of(record["inputs"], unit, 8, 8))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_printed_page_has_the_bars_of_all_units_in_their_colours_on_white(scheme, driver, open_page):
    open_page("table", width=390, height=300, scheme=scheme)
    if scheme == "dark":
        driver.execute_script("document.documentElement.dataset.theme = 'dark'")
    operators, _ = printed(driver)
    assert driver.execute_script("return document.querySelectorAll('#grid .level').length") == 5 * 4
    fills = np.array(re.findall(r"([\d.]+) ([\d.]+) ([\d.]+) rg", operators), dtype=float)
    for colour in ((0x17, 0x5E, 0x8C), (0xB4, 0x47, 0x0F)):  # of positive and of negative bars on a light page
        assert np.any(np.abs(fills - np.array(colour) / 255).max(axis=1) < 0.005)
    assert not np.any(fills[:, :3].max(axis=1) < 0.1)  # no dark page behind them


@pytest.mark.parametrize("name", ["images", "table"])
def test_print_media_draw_all_units_too(name, driver, open_page):
    open_page(name, width=390, height=300)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    count = "return document.querySelectorAll('#grid canvas[data-drawn], #grid .weights:not(:empty)').length"
    try:
        wait_for(driver, lambda: driver.execute_script(count) == (30 if name == "images" else 5))
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


@pytest.mark.parametrize("name", ["images", "table", "wide", "small", "tiny", "classes", "constant"])
@pytest.mark.parametrize("width", [1200, 700, 500, 360, 320])
def test_no_figure_is_broken_over_lines_or_runs_into_another(width, name, driver, open_page):
    open_page(name, width=width, height=900)
    driver.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    driver.execute_script("dispatchEvent(new Event('beforeprint'))")  # all units are drawn
    for address in ("", "#unit-1"):
        driver.execute_script("location.hash = arguments[0]", address)
        wait_for(driver, lambda address=address: is_open(driver) == bool(address))
        n_found, broken, touching = driver.execute_script(FIGURES)
        assert n_found > 40
        assert broken == []
        assert touching == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_text_of_the_target_is_legible_before_dots(scheme, driver, open_page):
    open_page("table", scheme=scheme)
    style = "const style = getComputedStyle(document.querySelector('.target-label'));"
    order, stroke, paper = driver.execute_script(
        style + "return [style.paintOrder, style.stroke, getComputedStyle(document.body).backgroundColor]"
    )
    assert order.startswith("stroke")
    assert stroke == paper


def test_units_of_the_output_are_called_after_their_classes(driver, open_page):
    record = open_page("classes")
    assert record["labels"] == ["0", "1", "2"]
    texts = "return [...document.querySelectorAll('#grid .caption span:first-child')].map((one) => one.textContent)"
    shown = [" ".join(text.split()) for text in driver.execute_script(texts)]
    assert shown == [f"unit {unit} · class {unit}" for unit in range(3)]
    tile(driver, 2).click()
    wait_for(driver, lambda: is_open(driver))
    assert " ".join(heading(driver).split()) == "Unit 2 · class 2"


def test_units_that_do_not_vary_are_marked_and_filtered_as_dead_ones_are(driver, open_page):
    record = open_page("constant")
    assert record["constant"] == list(range(5))
    for unit in range(5):
        label = tile(driver, unit).get_attribute("aria-label")
        assert ("dead" if unit in record["dead"] else "constant") in label
        assert (
            driver.execute_script("return getComputedStyle(arguments[0]).borderTopStyle", tile(driver, unit))
            == "dashed"
        )
    state = Select(driver.find_element(By.ID, "state"))
    state.select_by_value("constant")
    assert shown_units(driver) == list(range(5))
    state.select_by_value("alive")
    assert shown_units(driver) == []
    driver.execute_script("location.hash = '#unit-1'")
    wait_for(driver, lambda: is_open(driver))
    assert driver.find_element(By.CSS_SELECTOR, "#unit-heading .tag").text == "constant: about the same on every row"


def test_a_table_has_bars_with_the_names_of_its_features_as_text(driver, open_page):
    record = open_page("table")
    tile(driver, 1).click()
    wait_for(driver, lambda: is_open(driver))
    texts = "return [...document.querySelectorAll(arguments[0])].map((element) => element.textContent)"
    expected = [HOSTILE[feature] for feature in record["bars"]["features"][1]]
    assert driver.execute_script(texts, ".weights.all .weight > span:first-child") == expected
    assert driver.execute_script(texts, ".values thead th") == ["row", "activation", *expected]
    assert driver.title == HOSTILE[0]
    assert driver.find_element(By.TAG_NAME, "h1").text == HOSTILE[0]
    assert driver.execute_script("return document.images.length") == 0


@pytest.mark.parametrize("name", ["images", "table"])
@pytest.mark.parametrize("width", [390, 320])
def test_a_phone_shows_everything_without_scrolling_sideways(width, name, driver, open_page):
    open_page(name, width=width, height=844)
    driver.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    width_of = "const e = document.querySelector(arguments[0]); return [e.scrollWidth, e.clientWidth]"
    needed, there = driver.execute_script(width_of, "html")
    assert needed <= there == width
    driver.execute_script("location.hash = '#unit-1'")
    wait_for(driver, lambda: is_open(driver))
    needed, there = driver.execute_script(width_of, "dialog")
    assert needed <= there == width


def test_colours_follow_the_system_and_the_button(driver, open_page):
    lightness = """
        const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number);
        return (r + g + b) / 3;
    """
    open_page(scheme="light")
    assert driver.execute_script(lightness) > 200
    button = driver.find_element(By.ID, "theme")
    assert button.get_attribute("aria-label") == "Switch to dark colours"
    button.click()
    assert driver.execute_script(lightness) < 60
    assert button.get_attribute("aria-label") == "Switch to light colours"
    open_page(scheme="dark")
    assert driver.execute_script(lightness) < 60
    driver.find_element(By.ID, "theme").click()
    assert driver.execute_script(lightness) > 200


@pytest.mark.parametrize("name", ["images", "table"])
def test_everything_that_can_be_operated_has_a_name_for_screen_readers(name, driver, open_page):
    open_page(name)
    driver.execute_script("location.hash = '#unit-1'")
    wait_for(driver, lambda: is_open(driver))
    driver.execute_script("document.querySelector('dialog').close(); document.querySelector('.ranges').open = true")
    driver.execute_cdp_cmd("Accessibility.enable", {})
    nodes = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    driver.execute_cdp_cmd("Accessibility.disable", {})
    operable = {"button", "link", "textbox", "spinbutton", "combobox", "slider", "dialog", "image", "img", "region"}
    seen = [node for node in nodes if not node["ignored"] and node["role"]["value"] in operable]
    nameless = [node["role"]["value"] for node in seen if not node.get("name", {}).get("value", "").strip()]
    assert len(seen) > 20
    assert nameless == []


def test_without_its_script_the_page_says_so(driver, open_page):
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        open_page()
        text = driver.find_element(By.TAG_NAME, "noscript").text
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert "switched off here" in text


def test_channels_are_named_so_and_their_filters_are_drawn(driver, open_page):
    open_page("maps")
    assert driver.find_element(By.ID, "count").text == "5 of 5 channels"
    tile(driver, 3).click()
    wait_for(driver, lambda: is_open(driver))
    assert heading(driver) == "Channel 3"
    sizes = driver.execute_script(
        "return [...document.querySelectorAll('.filters img')].map((one) => [one.naturalWidth, one.clientWidth])"
    )
    assert len(sizes) == 5
    assert all(natural == 3 and shown > 30 for natural, shown in sizes)
    maps = driver.find_elements(By.CSS_SELECTOR, ".channels img[alt^='Map']")
    assert len(maps) == 5 * 4
