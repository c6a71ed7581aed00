"""The map of a dictionary's directions in a real browser, and the order of latents by similarity to one of them."""

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from rhohat import Adam, TopKAutoencoder
from rhohat.inspection.reporting import report
from tests.inspection.reporting.browsing import heading, is_open, wait_for
from tests.inspection.reporting.pages import column_of

N = 60


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page about a dictionary of rows with hostile names, with a dead latent and a dense one."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 16)).astype(np.float32)
    how = {"k": 4, "solver": Adam(batch_size=100, learning_rate=1e-2), "max_iter": 2, "random_state": 0}
    dictionary = TopKAutoencoder(N, **how).fit(X)
    parameters = dictionary._problem.layout.views(dictionary._state.theta)
    parameters.encoder_bias[5], parameters.encoder_bias[7] = -1000, 50
    dictionary._folded = None
    path = tmp_path_factory.mktemp("pages") / "map.html"
    names = [f"<img src=x onerror=alert({number})>" for number in range(300)]
    page = report(dictionary, X, path, image_shape=None, row_names=names, projection="pca")
    return {"map": (page, path.as_uri(), dictionary)}


@pytest.fixture
def open_map(driver, pages, open_page):
    def open_one(**window):
        page, address, dictionary = pages["map"]
        pages["page"] = (page, address)
        open_page("page", **window)
        return page, dictionary

    return open_one


def place_of(driver, page, latent):
    """Where the dot of a latent is, from the middle of the canvas."""
    size = "const e = document.getElementById('map'); return [e.clientWidth, e.clientHeight]"
    side = min(driver.execute_script(size)) - 20
    return (column_of(page, "places").reshape(N, 2)[latent] / 65535 - 0.5) * side


def alone(page):
    """A latent that is active and whose dot is far from others."""
    places, active = column_of(page, "places").reshape(N, 2).astype(float), column_of(page, "active")
    distances = np.linalg.norm(places[:, np.newaxis] - places, axis=2) + 1e9 * np.eye(N)
    return int(np.argmax(np.where((active > 0) & (active < 30), distances.min(axis=1), 0)))


@pytest.mark.parametrize("width", [390, 1300])
def test_a_dot_tells_its_latent_and_opens_it(width, driver, open_map):
    page, _ = open_map(width=width)
    latent, canvas = alone(page), driver.find_element(By.ID, "map")
    driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", canvas)
    x, y = place_of(driver, page, latent).round().astype(int).tolist()
    webdriver.ActionChains(driver).move_to_element_with_offset(canvas, x, y).perform()
    tip = driver.find_element(By.ID, "map-tip").text
    assert tip.startswith(f"Latent {latent}, density ")
    assert "<img src=x onerror=alert(" in tip
    webdriver.ActionChains(driver).move_to_element_with_offset(canvas, x, y).click().perform()
    wait_for(driver, lambda: is_open(driver))
    assert heading(driver) == f"Latent {latent}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dead_dense_and_other_latents_are_told_apart(scheme, driver, open_map):
    """By shape: a dead latent is a ring, whose middle is empty, and a dense one a square, whose corners are filled."""
    page, _ = open_map(scheme=scheme)
    colours = []
    for latent, away in ((5, (0, 0)), (7, (3, 3)), (alone(page), (0, 0))):
        driver.execute_script(
            "const e = document.getElementById('numbers'); e.value = arguments[0]; e.dispatchEvent(new Event('input'))",
            str(latent),
        )
        x, y = place_of(driver, page, latent) + away
        colours.append(
            driver.execute_script(
                "const e = document.getElementById('map');"
                "const at = [e.clientWidth / 2 + arguments[0], e.clientHeight / 2 + arguments[1]].map(Math.round);"
                "const copy = document.createElement('canvas').getContext('2d', { willReadFrequently: true });"
                "copy.drawImage(e, -at[0], -at[1]);"
                "return [...copy.getImageData(0, 0, 1, 1).data]",
                x,
                y,
            )
        )
    dead, dense, other = colours
    assert dead[3] < 60  # at most pale dots of other latents
    assert dense[3] > 150 < other[3]
    assert np.abs(np.subtract(dense[:3], other[:3])).max() > 40


def test_latents_that_are_not_in_the_table_are_pale_and_not_pointed_at(driver, open_map):
    page, _ = open_map()
    latent, canvas = alone(page), driver.find_element(By.ID, "map")
    assert canvas.get_attribute("data-drawn") == str(N)
    x, y = place_of(driver, page, latent).round().astype(int).tolist()
    for asked, n_drawn, tip in (("", N, f"Latent {latent},"), (f"{(latent + 1) % N}", 1, "Point at a dot")):
        driver.find_element(By.ID, "numbers").send_keys(asked)
        driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", canvas)
        assert canvas.get_attribute("data-drawn") == str(n_drawn)
        webdriver.ActionChains(driver).move_to_element_with_offset(canvas, -300, -100).perform()
        webdriver.ActionChains(driver).move_to_element_with_offset(canvas, x, y).perform()
        assert driver.find_element(By.ID, "map-tip").text.startswith(tip)


def shown_latents(driver):
    script = "return [...document.querySelectorAll('#table tbody tr')].map((row) => Number(row.dataset.latent))"
    return driver.execute_script(script)


def test_latents_are_sorted_by_similarity_to_one_of_them(driver, open_map):
    page, dictionary = open_map()
    unit = dictionary.components_ / np.linalg.norm(dictionary.components_, axis=1, keepdims=True)
    field = driver.find_element(By.ID, "similar-to")
    assert not field.is_displayed()
    Select(driver.find_element(By.ID, "sort")).select_by_value("similarity")
    field.clear()
    field.send_keys("12")
    shown, cosines = shown_latents(driver), unit @ unit[12]
    assert shown[0] == 12
    alive = [latent for latent in shown if column_of(page, "active")[latent]]
    assert (np.diff(cosines[alive]) < 0.01).all()
    texts = driver.execute_script(
        "return [...document.querySelectorAll('#table tbody tr')].map((row) => row.children[5].textContent)"
    )
    found = [float(text.replace("−", "-")) for text in texts]
    np.testing.assert_allclose(found, cosines[shown], atol=0.01)
    assert "cosine with latent 12" in driver.find_element(By.CSS_SELECTOR, "#table thead").text
    field.send_keys("x")
    assert field.get_attribute("aria-invalid") == "true"


def test_a_latent_that_is_open_can_be_what_others_are_compared_with(driver, open_map):
    page, _ = open_map()
    driver.execute_script("location.hash = '#latent-20'")
    wait_for(driver, lambda: is_open(driver))
    driver.find_element(By.CSS_SELECTOR, "#unit-body button.quiet").click()
    wait_for(driver, lambda: not is_open(driver))
    nearest = column_of(page, "similar").reshape(N, -1)[20]
    alive = [latent for latent in nearest.tolist() if column_of(page, "active")[latent]]
    assert shown_latents(driver)[: len(alive) + 1] == [20, *alive]
