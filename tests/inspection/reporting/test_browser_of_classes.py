"""Classes of labelled rows in a real browser."""

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from rhohat import Adam, TopKAutoencoder
from rhohat.inspection.reporting import report
from tests.inspection.reporting.browsing import LAYOUT, heading, is_open, wait_for
from tests.inspection.reporting.pages import column_of, record_of

NAMES = np.array(["<img src=x onerror=alert(1)>", "a class with a rather long name, longer than others", "owl"])


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page about a dictionary of rows of three classes, with contexts."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    X = (rng.normal(size=(400, 8)) + 2 * np.eye(8)[labels]).astype(np.float32)
    how = {"k": 3, "solver": Adam(batch_size=100, learning_rate=1e-2), "max_iter": 3, "random_state": 0}
    dictionary = TopKAutoencoder(30, **how).fit(X)
    texts = [[f" w{rng.integers(60)}" for _ in range(20)] for _ in range(20)]
    path = tmp_path_factory.mktemp("pages") / "classes.html"
    page = report(dictionary, X, path, image_shape=None, labels=NAMES[labels], texts=texts)
    return {"classes": (page, path.as_uri())}


def test_the_strongest_latents_of_the_chosen_class_are_shown(driver, open_page):
    found = record_of(open_page("classes"))["classes"]
    chosen = Select(driver.find_element(By.ID, "class"))
    assert [option.text for option in chosen.options] == found["names"]
    for number, name in enumerate(found["names"]):
        chosen.select_by_visible_text(name)
        links = driver.find_elements(By.CSS_SELECTOR, "#class-latents tbody a")
        assert [int(link.text) for link in links] == found["latents"][number]
        facts = driver.find_element(By.ID, "class-facts").text
        assert facts.startswith(f"{found['counts'][number]} rows. Accuracy of probes: ")
        for accuracy in found["probing"]["accuracy"][number]:
            assert f"{float(f'{accuracy:.3g}'):g} with" in facts
    links[0].click()
    wait_for(driver, lambda: is_open(driver))
    assert heading(driver) == f"Latent {found['latents'][2][0]}"


def test_latents_are_sorted_by_their_correlation_with_a_class(driver, open_page):
    page = open_page("classes")
    correlations = column_of(page, "classCorrelations").reshape(3, 30)
    Select(driver.find_element(By.ID, "sort")).select_by_value("class")
    chosen = Select(driver.find_element(By.ID, "sort-class"))
    active = column_of(page, "active")
    for number in (0, 2):
        chosen.select_by_value(str(number))
        script = "return [...document.querySelectorAll('#table tbody tr')].map((row) => Number(row.dataset.latent))"
        shown = [latent for latent in driver.execute_script(script) if active[latent]]
        assert shown == sorted(shown, key=lambda latent: (-int(correlations[number, latent]), latent))
        assert len(shown) > 15
    assert "correlation with owl" in driver.find_element(By.CSS_SELECTOR, "#table thead").text
    driver.find_element(By.ID, "reset").click()
    assert not driver.find_element(By.ID, "sort-class").is_displayed()


@pytest.mark.parametrize("width", [390, 500, 1300])
def test_no_texts_overlap(width, driver, open_page):
    open_page("classes", width=width, height=900)
    Select(driver.find_element(By.ID, "sort")).select_by_value("class")
    n_found, *problems = driver.execute_script(LAYOUT)
    assert n_found > 60
    assert problems == [[], [], []]
