"""A folder of pages in a real browser: the index, and pages with all contexts of some latents."""

import numpy as np
import pytest
from selenium.webdriver.common.by import By

from rhohat import Adam, TopKAutoencoder
from rhohat.inspection.reporting import report
from rhohat.inspection.reporting.dictionaries import DictionaryContent, latent_data
from rhohat.inspection.reporting.dictionaries import pages as further_pages
from tests.inspection.reporting.browsing import LAYOUT, emulate, heading, is_open, wait_for
from tests.inspection.reporting.dictionaries.test_page_of_contexts import contexts_of
from tests.inspection.reporting.pages import record_of

N, PER_PAGE = 40, 16
HOSTILE = " </script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of pages about two dictionaries; and the page with everything on it."""
    place, rng = tmp_path_factory.mktemp("pages"), np.random.default_rng(0)
    how = {"k": 4, "solver": Adam(batch_size=100, learning_rate=1e-2), "max_iter": 2}
    texts = [[f" w{rng.integers(200)}" for _ in range(29)] + [HOSTILE] for _ in range(40)]
    X = rng.normal(size=(1200, 16)).astype(np.float32)
    first, second = (TopKAutoencoder(n, random_state=n, **how).fit(X) for n in (N, 20))
    asked = {"texts": texts, "image_shape": None, "compare": second, "row_names": ["<b>x"] * 1200}
    whole = report(first, X, **asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DictionaryContent, "most_bytes", len(whole) - 20_000)
        patch.setattr(latent_data, "LATENTS_PER_PAGE", PER_PAGE)
        patch.setattr(further_pages, "LATENTS_PER_PAGE", PER_PAGE)
        page = report(first, X, place / "report", **asked)
        assert repr(page).endswith("with 5 further pages in its folder>")
        alone = report(first, X, place / "page.html", **asked)
        assert "of each latent are left out" in repr(alone)
        assert "pages" not in record_of(alone)
    return place / "report", whole


@pytest.fixture
def browse(driver, folder):
    """Opens a page of the folder; in the end nothing must have gone wrong in it."""
    driver.get("about:blank")
    driver.get_log("browser")

    def open_one(name, width=1200, height=900):
        emulate(driver, width, height)
        driver.get(f"{(folder[0] / name.partition('#')[0]).as_uri()}{name[name.index('#') :] if '#' in name else ''}")

    yield open_one
    assert driver.get_log("browser") == []
    with pytest.raises(Exception, match="no such alert"):
        _ = driver.switch_to.alert


def test_the_folder_has_a_page_for_each_so_many_latents(folder):
    names = sorted(path.name for path in folder[0].iterdir())
    own = [f"latents-{number:05}.html" for number in range(3)]
    assert names == ["index.html", *own, "other-00000.html", "other-00001.html"]


def rows_of(driver, selector):
    script = "return [...document.querySelectorAll(arguments[0])].map((item) => Number(item.dataset.row))"
    return driver.execute_script(script, selector)


@pytest.mark.parametrize("latent", [0, 17, 39])
def test_a_latent_of_the_index_leads_to_all_of_its_contexts(latent, driver, browse, folder):
    browse(f"index.html#latent-{latent}")
    wait_for(driver, lambda: is_open(driver) and heading(driver) == f"Latent {latent}")
    expected = [row for row, *_ in contexts_of(folder[1])[latent]]
    assert len(rows_of(driver, "#unit-body > div:first-child .context")) < len(expected)
    link = driver.find_element(By.CSS_SELECTOR, "#unit-body a.further")
    assert link.get_attribute("href").endswith(f"latents-{latent // PER_PAGE:05}.html#latent-{latent}")
    link.click()
    wait_for(driver, lambda: driver.find_elements(By.CSS_SELECTOR, f"#latent-{latent} .context"))
    assert rows_of(driver, f"#latent-{latent} .context") == expected
    script = "return [...document.querySelectorAll(arguments[0])].map((token) => Number(token.dataset.share))"
    shares = driver.execute_script(script, f"#latent-{latent} .context .token")
    found = contexts_of(folder[1])[latent]
    of_tokens = [values.get(place, 0) for _, tokens, _, values in found for place in range(len(tokens))]
    np.testing.assert_allclose(shares, of_tokens, atol=1e-6)
    top = driver.execute_script(f"return document.getElementById('latent-{latent}').getBoundingClientRect().top")
    assert -5 < top < 300
    assert HOSTILE.strip() in driver.find_element(By.ID, "latents").text


def test_latents_of_the_second_dictionary_have_pages_of_their_own(driver, browse):
    browse("index.html#other-18")
    wait_for(driver, lambda: is_open(driver))
    link = driver.find_element(By.CSS_SELECTOR, "#unit-body > div:first-child a.further")
    assert link.get_attribute("href").endswith("other-00001.html#latent-18")
    link.click()
    wait_for(driver, lambda: driver.find_elements(By.CSS_SELECTOR, "#latent-18 h2"))
    assert "of the second dictionary" in driver.find_element(By.TAG_NAME, "h1").text


def test_pages_lead_to_one_another_and_are_searched(driver, browse, folder):
    browse("latents-00001.html")
    links = [one.get_attribute("href").rpartition("/")[2] for one in driver.find_elements(By.CSS_SELECTOR, "nav a")]
    assert links == ["index.html", "latents-00000.html", "latents-00002.html"]
    driver.find_element(By.ID, "in-contexts").send_keys("W17 w")
    texts = [["".join(tokens).lower() for _, tokens, _, _ in examples] for examples in contexts_of(folder[1])]
    expected = [latent for latent in range(16, 32) if any("w17 w" in text for text in texts[latent])]
    assert 0 < len(expected) < 16
    assert driver.find_element(By.ID, "count").text == f"{len(expected)} of 16 latents"
    script = "return [...document.querySelectorAll('.one-latent')].filter((one) => !one.hidden).map((one) => one.id)"
    assert driver.execute_script(script) == [f"latent-{latent}" for latent in expected]


@pytest.mark.parametrize("width", [390, 500, 1300])
def test_no_texts_overlap(width, driver, browse):
    browse("latents-00000.html", width=width, height=4000)
    wait_for(driver, lambda: len(driver.find_elements(By.CSS_SELECTOR, "#latent-1 .context")) > 3)
    driver.execute_script("for (const one of document.querySelectorAll('.readout')) one.hidden = true")
    n_found, *problems = driver.execute_script(LAYOUT)
    assert n_found > 100
    assert problems == [[], [], []]
