"""The page about a dictionary in a real browser: a table of latents page by page, and a dialog for each."""

import numpy as np
import pandas as pd
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from rhohat import Adam, TopKAutoencoder
from rhohat.inspection.reporting import report
from tests.inspection.reporting.browsing import FIGURES, heading, in_order, is_open, press, wait_for
from tests.inspection.reporting.pages import column_of, image_of, record_of

HOSTILE = ["</script><img src=x onerror=alert(1)>", "a \"b\" 'c' &amp; <b>", "größe\u2028ρ̂", "plain"]
N, PER_PAGE, NO_ROW = 120, 50, 2**32 - 1


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages about dictionaries of images, of texts, and of a table; what they hold, and their addresses."""
    folder, rng = tmp_path_factory.mktemp("pages"), np.random.default_rng(0)
    how = {"k": 4, "solver": Adam(batch_size=100, learning_rate=1e-2), "max_iter": 2, "random_state": 0}
    X = rng.normal(size=(300, 64)).astype(np.float32)
    X[:, 0] += 3 * (rng.random(300) < 0.4)
    dictionary = TopKAutoencoder(N, **how).fit(X)
    # Latents 5 and 9 are dead, and latent 7 is dense.
    parameters = dictionary._problem.layout.views(dictionary._state.theta)
    parameters.encoder_bias[[5, 9]], parameters.encoder_bias[7] = -1000, 50
    dictionary._folded = None
    words = ("cat", "dog", "owl")
    labels = [f"{words[number % 3]} {number} {HOSTILE[number % 4]}" for number in range(300)]
    table = pd.DataFrame(rng.normal(size=(90, 4)), columns=HOSTILE)
    few = TopKAutoencoder(6, **{**how, "k": 2}).fit(table)
    found = {}
    for name, model, data, options in (
        ("images", dictionary, X.reshape(300, 8, 8), {}),
        ("labelled images", dictionary, X.reshape(300, 8, 8), {"row_names": labels}),
        ("texts", dictionary, X, {"image_shape": None, "row_names": labels}),
        ("numbers", dictionary, X, {"image_shape": None}),
        ("table", few, table, {}),
    ):
        path = folder / f"{name} <b>'&.html"
        found[name] = report(model, data, path, title=HOSTILE[0], **options), path.as_uri()
    return found


def shown_latents(driver):
    """Numbers of the latents in the table, in their order."""
    script = "return [...document.querySelectorAll('#table tbody tr')].map((row) => Number(row.dataset.latent))"
    return driver.execute_script(script)


def texts_of(driver, selector):
    return driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((element) => element.textContent)", selector
    )


def by_id(driver, name):
    return driver.find_element(By.ID, name)


def as_sorted(page, latents):
    """Latents as the page shows them if they are sorted so."""
    return in_order(latents, dead=np.flatnonzero(density_of(page) == 0))


def density_of(page):
    return column_of(page, "active") / 300


def test_latents_are_shown_page_by_page(driver, open_page):
    order = as_sorted(open_page("numbers"), range(N))
    assert {5, 9} <= set(order[-5:])
    assert shown_latents(driver) == order[:PER_PAGE]
    assert by_id(driver, "page-place").text == "Page 1 of 3"
    assert not by_id(driver, "page-previous").is_enabled()
    by_id(driver, "page-next").click()
    by_id(driver, "page-next").click()
    assert shown_latents(driver) == order[2 * PER_PAGE :]
    assert not by_id(driver, "page-next").is_enabled()
    by_id(driver, "page-previous").click()
    assert shown_latents(driver) == order[PER_PAGE : 2 * PER_PAGE]


@pytest.mark.parametrize("key", ["density", "mean", "largest", "nearest"])
def test_latents_are_sorted_by_what_is_chosen(key, driver, open_page):
    page = open_page("numbers")
    values = {
        "density": density_of(page),
        "mean": column_of(page, "mean"),
        "largest": column_of(page, "largest"),
        "nearest": column_of(page, "cosines").reshape(N, -1)[:, 0],
    }[key]
    Select(by_id(driver, "sort")).select_by_value(key)
    assert shown_latents(driver) == as_sorted(page, np.argsort(-values, kind="stable"))[:PER_PAGE]
    by_id(driver, "direction").click()
    assert shown_latents(driver) == as_sorted(page, np.argsort(values, kind="stable"))[:PER_PAGE]
    assert texts_of(driver, "thead th[aria-sort='ascending']")[0].startswith(key)
    by_id(driver, "reset").click()
    assert shown_latents(driver) == as_sorted(page, range(N))[:PER_PAGE]


def test_latents_are_filtered_by_state_number_and_range(driver, open_page):
    page = open_page("numbers")
    density = density_of(page)
    state = Select(by_id(driver, "state"))
    for name, chosen in (("dead", density == 0), ("alive", density > 0), ("dense", density > 0.1)):
        state.select_by_value(name)
        assert shown_latents(driver) == np.flatnonzero(chosen)[:PER_PAGE].tolist()
        assert by_id(driver, "count").text == f"{np.count_nonzero(chosen)} of {N} latents"
    assert 7 in shown_latents(driver)
    state.select_by_value("dead")
    assert {5, 9} <= set(shown_latents(driver))
    assert "dead" in texts_of(driver, "#table tr[data-latent='5'] th")[0]
    by_id(driver, "reset").click()
    numbers = by_id(driver, "numbers")
    numbers.send_keys("3, 17 100-102")
    assert shown_latents(driver) == [3, 17, 100, 101, 102]
    numbers.send_keys(" nonsense")
    assert numbers.get_attribute("aria-invalid") == "true"
    by_id(driver, "reset").click()
    driver.find_element(By.CSS_SELECTOR, ".ranges summary").click()
    low, high = np.quantile(density, [0.5, 0.6])
    for bound, value in (("at least", low), ("at most", high)):
        driver.find_element(By.CSS_SELECTOR, f"input[aria-label='density, {bound}']").send_keys(repr(float(value)))
    expected = np.flatnonzero((low <= density) & (density <= high))
    assert 0 < len(expected) < PER_PAGE
    assert shown_latents(driver) == expected.tolist()
    numbers.send_keys("1000")
    assert shown_latents(driver) == []
    assert by_id(driver, "none").is_displayed()


def test_latents_are_found_by_the_names_of_their_rows(driver, open_page):
    page = open_page("texts")
    labels = dict(zip(column_of(page, "labelled").tolist(), record_of(page)["labels"], strict=True))
    top = column_of(page, "rows").reshape(N, -1)
    by_id(driver, "search").send_keys("CAT 12")
    expected = [
        latent for latent, rows in enumerate(top) if any("cat 12" in labels[row] for row in rows if row != NO_ROW)
    ]
    assert 0 < len(expected) < N
    assert shown_latents(driver) == expected[:PER_PAGE]
    assert by_id(driver, "count").text == f"{len(expected)} of {N} latents"


def test_a_latent_shows_its_figures_its_rows_and_its_neighbours(driver, open_page):
    page = open_page("texts")
    driver.find_element(By.CSS_SELECTOR, "#table tr[data-latent='2'] a").click()
    wait_for(driver, lambda: is_open(driver))
    assert heading(driver) == "Latent 2"
    assert driver.execute_script("return location.hash") == "#latent-2"
    active = int(column_of(page, "active")[2])
    assert texts_of(driver, ".measures tr:first-child td") == [f"{active} row{'s'[: active != 1]}"]
    largest = float(texts_of(driver, ".measures tr:nth-child(4) td")[0])
    assert largest == pytest.approx(column_of(page, "largest")[2], rel=1e-3)
    rows = [row for row in column_of(page, "rows").reshape(N, -1)[2] if row != NO_ROW]
    assert texts_of(driver, ".top.named tbody th") == [str(row) for row in rows]
    labels = dict(zip(column_of(page, "labelled").tolist(), record_of(page)["labels"], strict=True))
    assert texts_of(driver, ".top.named tbody td:nth-of-type(1)") == [labels[row] for row in rows]
    activations = [float(text) for text in texts_of(driver, ".top.named tbody td:nth-of-type(2)")]
    shares = column_of(page, "shares").reshape(N, -1)[2, : len(rows)]
    np.testing.assert_allclose(activations, shares / 65535 * column_of(page, "largest")[2], rtol=1e-2)
    links = driver.find_elements(By.CSS_SELECTOR, ".near a")
    similar = column_of(page, "similar").reshape(N, -1)[2]
    assert [link.get_attribute("href").split("#")[1] for link in links] == [f"latent-{latent}" for latent in similar]
    cosines = [float(text.replace("−", "-")) for text in texts_of(driver, ".near tbody td:nth-of-type(1)")]
    np.testing.assert_allclose(cosines, column_of(page, "cosines").reshape(N, -1)[2] / 32767, atol=1e-3)
    links[0].click()
    wait_for(driver, lambda: heading(driver) == f"Latent {similar[0]}")
    driver.back()
    wait_for(driver, lambda: heading(driver) == "Latent 2")
    press(driver, Keys.ESCAPE)
    wait_for(driver, lambda: not is_open(driver))
    focused = "return document.activeElement.closest('tr')?.dataset.latent"
    wait_for(driver, lambda: driver.execute_script(focused) == "2")


def test_the_next_latent_may_be_on_the_next_page(driver, open_page):
    order = as_sorted(open_page("numbers"), range(N))
    driver.execute_script("location.hash = arguments[0]", f"#latent-{order[49]}")
    wait_for(driver, lambda: is_open(driver))
    by_id(driver, "next").click()
    assert heading(driver) == f"Latent {order[50]}"
    assert shown_latents(driver)[0] == order[50]
    press(driver, Keys.ARROW_LEFT)
    assert heading(driver) == f"Latent {order[49]}"
    assert shown_latents(driver)[-1] == order[49]
    driver.execute_script("location.hash = '#latent-999'")
    wait_for(driver, lambda: not is_open(driver))


def test_a_dead_latent_says_so(driver, open_page):
    open_page("images")
    driver.execute_script("location.hash = '#latent-5'")
    wait_for(driver, lambda: is_open(driver))
    assert driver.find_element(By.CSS_SELECTOR, "#unit-heading .tag").text == "dead: active on none of these rows"
    assert "No row activates this latent." in by_id(driver, "unit-body").text


def test_what_is_drawn_are_the_pixels_that_the_page_holds(driver, open_page):
    page = open_page("labelled images")
    record, top = record_of(page), column_of(page, "rows").reshape(N, -1)
    drawn = """
        const canvas = document.querySelector(arguments[0]);
        if (!canvas || canvas.dataset.drawn === undefined) return null;
        return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data];
    """

    def pixels(selector):
        data = wait_for(driver, lambda: driver.execute_script(drawn, selector))
        return np.array(data).reshape(8, 8, 4)[:, :, 0]

    place = np.searchsorted(column_of(page, "pictured"), top[3, 0])
    direction, row = image_of(record["directions"], 3, 8, 8), image_of(record["pictures"], place, 8, 8)
    np.testing.assert_array_equal(pixels("#table tr[data-latent='3'] th canvas"), direction)
    np.testing.assert_array_equal(pixels("#table tr[data-latent='3'] td canvas"), row)
    driver.execute_script("location.hash = '#latent-3'")
    wait_for(driver, lambda: is_open(driver))
    np.testing.assert_array_equal(pixels("#unit-body .picture canvas"), direction)
    np.testing.assert_array_equal(pixels("#unit-body .strip canvas"), row)
    label = record["labels"][np.searchsorted(column_of(page, "labelled"), top[3, 0])]
    assert texts_of(driver, "#unit-body .strip .caption span")[0] == f"row {top[3, 0]}: {label}"


def test_names_of_features_stay_texts(driver, open_page):
    page = open_page("table")
    driver.execute_script("location.hash = '#latent-1'")
    wait_for(driver, lambda: is_open(driver))
    expected = [HOSTILE[feature] for feature in column_of(page, "features").reshape(6, 4)[1]]
    assert texts_of(driver, ".weight > span:first-child") == expected
    assert driver.title == HOSTILE[0]


@pytest.mark.parametrize("name", ["images", "texts", "numbers", "table"])
@pytest.mark.parametrize("width", [1200, 700, 360])
def test_no_figure_is_broken_over_lines_or_runs_into_another(width, name, driver, open_page):
    open_page(name, width=width, height=900)
    driver.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    for address in ("", "#latent-1"):
        driver.execute_script("location.hash = arguments[0]", address)
        wait_for(driver, lambda address=address: is_open(driver) == bool(address))
        n_found, broken, touching = driver.execute_script(FIGURES)
        assert n_found > 40
        assert broken == []
        assert touching == []


def test_in_a_narrow_window_a_latent_takes_one_line_of_the_table(driver, open_page):
    open_page("numbers", width=500, height=900)
    lines = "return [...document.querySelectorAll('.latents tbody tr')].map((row) => row.offsetHeight)"
    heights = driver.execute_script(lines)
    assert len(heights) > 5
    assert max(heights) < 45


@pytest.mark.parametrize("name", ["labelled images", "texts", "table"])
@pytest.mark.parametrize("width", [390, 320])
def test_a_phone_shows_everything_without_scrolling_sideways(width, name, driver, open_page):
    open_page(name, width=width, height=844)
    driver.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    width_of = "const e = document.querySelector(arguments[0]); return [e.scrollWidth, e.clientWidth]"
    needed, there = driver.execute_script(width_of, "html")
    assert needed <= there == width
    driver.execute_script("location.hash = '#latent-1'")
    wait_for(driver, lambda: is_open(driver))
    needed, there = driver.execute_script(width_of, "dialog")
    assert needed <= there == width


@pytest.mark.parametrize("name", ["labelled images", "texts"])
def test_everything_that_can_be_operated_has_a_name_for_screen_readers(name, driver, open_page):
    open_page(name)
    driver.execute_script("location.hash = '#latent-1'")
    wait_for(driver, lambda: is_open(driver))
    driver.execute_script("document.querySelector('dialog').close(); document.querySelector('.ranges').open = true")
    driver.execute_cdp_cmd("Accessibility.enable", {})
    nodes = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    driver.execute_cdp_cmd("Accessibility.disable", {})
    operable = {"button", "link", "textbox", "spinbutton", "combobox", "dialog", "image", "img", "region", "searchbox"}
    seen = [node for node in nodes if not node["ignored"] and node["role"]["value"] in operable]
    assert len(seen) > 60
    assert [node["role"]["value"] for node in seen if not node.get("name", {}).get("value", "").strip()] == []


def test_details_of_latents_are_decoded_only_when_they_are_looked_at(driver, open_page):
    """The page has an element for no latent beside those in the table, and most columns are still text."""
    open_page("texts")
    elements = driver.execute_script("return document.querySelectorAll('#units *').length")
    driver.execute_script("document.getElementById('numbers').value = '1'; location.hash = ''")
    driver.execute_script("document.getElementById('numbers').dispatchEvent(new Event('input'))")
    fewer = driver.execute_script("return document.querySelectorAll('#units *').length")
    assert elements - fewer > 49 * 6
    assert fewer < 100


def test_without_its_script_the_page_says_so(driver, open_page):
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        open_page("numbers")
        text = driver.find_element(By.TAG_NAME, "noscript").text
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert "switched off here" in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_bars_of_dead_latents_differ_from_those_of_others(scheme, driver, open_page):
    open_page("numbers", scheme=scheme)
    fills = "return [...document.querySelectorAll('.chart .count')].map((bar) => getComputedStyle(bar).fill)"
    colours = driver.execute_script(fills)
    special = driver.execute_script(fills.replace(".count", ".special"))
    assert len(special) == 1
    assert colours.count(special[0]) == 1
    assert len(set(colours)) == 2
