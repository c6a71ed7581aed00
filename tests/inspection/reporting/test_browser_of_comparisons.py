"""Two dictionaries on one page, in a real browser."""

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from rhohat import Adam, TopKAutoencoder
from rhohat.inspection.reporting import report
from tests.inspection.reporting.browsing import LAYOUT, heading, is_open, wait_for
from tests.inspection.reporting.pages import column_of

NO_ROW = 2**32 - 1
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages about two dictionaries of texts, and about two of images."""
    folder, rng = tmp_path_factory.mktemp("pages"), np.random.default_rng(0)
    codes = rng.random((400, 20)) * (rng.random((400, 20)) < 0.2)
    X = (codes @ rng.normal(size=(20, 16))).astype(np.float32)
    how = {"k": 3, "solver": Adam(batch_size=100, learning_rate=1e-2), "max_iter": 4}
    first, second = (TopKAutoencoder(n, random_state=n, **how).fit(X) for n in (40, 25))
    texts = [[f" w{rng.integers(60)}" for _ in range(19)] + [HOSTILE] for _ in range(20)]
    found = {}
    for name, data, options in (
        ("texts", X, {"texts": texts, "image_shape": None}),
        ("images", X.reshape(-1, 4, 4), {}),
        ("numbers", X, {"image_shape": None}),
    ):
        path = folder / f"{name}.html"
        found[name] = report(first, data, path, compare=second, **options), path.as_uri()
    return found


def shown_latents(driver):
    script = "return [...document.querySelectorAll('#table tbody tr')].map((row) => Number(row.dataset.latent))"
    return driver.execute_script(script)


def go_to(driver, address, name):
    driver.execute_script("location.hash = arguments[0]", address)
    wait_for(driver, lambda: is_open(driver) and heading(driver) == name)


def matched(page, prefix=""):
    partners = column_of(page, f"{prefix}partners")
    return [(latent, int(partner)) for latent, partner in enumerate(partners) if partner != NO_ROW]


@pytest.mark.parametrize("name", ["texts", "images", "numbers"])
def test_partners_stand_side_by_side(name, driver, open_page):
    page = open_page(name)
    latent, partner = matched(page)[0]
    cell = driver.find_element(By.CSS_SELECTOR, f"#table tr[data-latent='{latent}'] td.of-partner a")
    assert (cell.text, cell.get_attribute("href").split("#")[1]) == (f"{partner}", f"other-{partner}")
    go_to(driver, f"#latent-{latent}", f"Latent {latent}")
    left, right = driver.find_elements(By.CSS_SELECTOR, "#unit-body > div")
    assert f"Latent {partner} is the partner of this latent" in right.text
    rows = [
        column_of(page, f"{prefix}rows").reshape(-1, 12)[one] for prefix, one in (("", latent), ("other-", partner))
    ]
    for side, expected in zip((left, right), rows, strict=True):
        expected = [str(row) for row in expected if row != NO_ROW]
        if name == "texts":
            shown = [one.get_attribute("data-row") for one in side.find_elements(By.CSS_SELECTOR, ".context")]
            assert set(shown[: len(expected)]) <= set(expected)
            assert len(shown) > 3
        else:
            text = side.text
            assert all(row in text for row in expected)
    right.find_element(By.CSS_SELECTOR, ".note a").click()
    wait_for(driver, lambda: heading(driver) == f"Latent {partner}")
    assert "of the second dictionary" in driver.find_element(By.ID, "unit-heading").text
    assert Select(driver.find_element(By.ID, "model")).first_selected_option.text == "the second dictionary"
    assert f"Latent {latent} is the partner" in driver.find_element(By.ID, "unit-body").text
    driver.back()
    wait_for(driver, lambda: heading(driver) == f"Latent {latent}")
    assert "of the first dictionary" in driver.find_element(By.ID, "unit-heading").text


def test_latents_of_either_dictionary_without_a_counterpart_are_found(driver, open_page):
    page = open_page("texts")
    state, model = (Select(driver.find_element(By.ID, name)) for name in ("state", "model"))
    state.select_by_value("lacking")
    for value, prefix in (("0", ""), ("1", "other-")):
        model.select_by_value(value)
        lacking = column_of(page, f"{prefix}nearestOtherCosines") / 32767 < 0.5
        alive = column_of(page, f"{prefix}active") > 0
        assert shown_latents(driver) == np.flatnonzero(lacking & alive).tolist()
    model.select_by_value("0")
    assert len(shown_latents(driver)) > 0
    latent = shown_latents(driver)[0]
    go_to(driver, f"#latent-{latent}", f"Latent {latent}")
    assert "this one is lacking" in driver.find_element(By.ID, "unit-body").text


def test_the_table_of_the_second_dictionary_is_sorted_and_filtered_by_its_own_figures(driver, open_page):
    page = open_page("numbers")
    Select(driver.find_element(By.ID, "model")).select_by_value("1")
    Select(driver.find_element(By.ID, "sort")).select_by_value("partner")
    cosines = column_of(page, "other-partnerCosines").astype(float)
    alive = [latent for latent in shown_latents(driver) if column_of(page, "other-active")[latent]]
    assert alive == sorted(alive, key=lambda latent: (-cosines[latent], latent))
    assert len(alive) > 10
    driver.find_element(By.CSS_SELECTOR, ".ranges summary").click()
    low = np.median(column_of(page, "other-largest"))
    driver.find_element(By.CSS_SELECTOR, "input[aria-label='largest activation, at least']").send_keys(f"{low:.8f}")
    kept = np.flatnonzero(column_of(page, "other-largest") >= np.float64(f"{low:.8f}"))
    assert set(shown_latents(driver)) == set(kept.tolist())
    assert driver.find_element(By.ID, "map").get_attribute("data-drawn") == str(len(kept))


@pytest.mark.parametrize("name", ["texts", "images", "numbers"])
@pytest.mark.parametrize("width", [390, 500, 1300])
def test_no_texts_overlap(width, name, driver, open_page):
    page = open_page(name, width=width, height=6000)
    assert driver.execute_script(LAYOUT)[1:] == [[], [], []]
    latent, _ = matched(page)[0]
    go_to(driver, f"#latent-{latent}", f"Latent {latent}")
    driver.execute_script("for (const one of document.querySelectorAll('.readout')) one.hidden = true")
    driver.execute_script("for (const one of document.querySelectorAll('dialog details')) one.open = true")
    n_found, *problems = driver.execute_script(LAYOUT)
    assert n_found > 50
    assert problems == [[], [], []]
