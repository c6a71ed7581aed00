"""Contexts in a real browser: tokens with activations, the search in them, and hostile texts, which stay texts."""

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from rhohat import Adam, TopKAutoencoder
from rhohat.inspection.reporting import report
from tests.inspection.reporting.browsing import LAYOUT, heading, is_open, press, wait_for
from tests.inspection.reporting.dictionaries.test_page_of_contexts import contexts_of
from tests.inspection.reporting.pages import record_of

N = 60
HOSTILE = [
    " </script><script>alert(1)</script>",
    ' <img src=x onerror="alert(2)">',
    " \u202eright to left\u202c",
    " שלום",
    " العربية",
    " 👩‍👩‍👧‍👦",
    "\n",
    "\tafter a tab",
    " " + "verylong" * 40,
    " &amp;",
    "\u0000\u2028",
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages about a dictionary of tokens, some of which are hostile, and about one of whole texts."""
    folder, rng = tmp_path_factory.mktemp("pages"), np.random.default_rng(0)
    how = {"k": 4, "solver": Adam(batch_size=100, learning_rate=1e-2), "max_iter": 2, "random_state": 0}
    lengths = rng.integers(1, 50, 60)
    words = [" cat", " dog", " Owl", ",", " running", *HOSTILE]
    texts = [[words[rng.integers(len(words))] for _ in range(length)] for length in lengths]
    X = rng.normal(size=(lengths.sum(), 32)).astype(np.float32)
    dictionary = TopKAutoencoder(N, **how).fit(X)
    whole = [f"{number // 2} {' '.join(HOSTILE) if number % 5 else 'a short text'}" for number in range(len(X))]
    found = {}
    for name, options in (("tokens", {"texts": texts}), ("texts", {"texts": whole, "row_names": ["<b>x"] * len(X)})):
        path = folder / f"{name}.html"
        found[name] = report(dictionary, X, path, image_shape=None, **options), path.as_uri()
    return found


def visible(token):
    return token.replace("\n", "⏎\u200b").replace("\t", "⇥\u200b")


def shown_latents(driver):
    script = "return [...document.querySelectorAll('#table tbody tr')].map((row) => Number(row.dataset.latent))"
    return driver.execute_script(script)


def open_latent(driver, latent):
    driver.execute_script("location.hash = arguments[0]", f"#latent-{latent}")
    wait_for(driver, lambda: is_open(driver) and heading(driver) == f"Latent {latent}")


@pytest.mark.parametrize("name", ["tokens", "texts"])
def test_a_latent_shows_its_contexts_as_texts(name, driver, open_page):
    page = open_page(name)
    open_latent(driver, 3)
    shown = driver.execute_script(
        "return [...document.querySelectorAll('.context')].map((item) => [Number(item.dataset.row),"
        " [...item.querySelectorAll('.words .token')].map((token) => token.textContent),"
        " item.querySelector('.words mark').textContent,"
        " [...item.querySelectorAll('.words .token')].map((token) => Number(token.dataset.share))])"
    )
    expected = contexts_of(page)[3]
    assert len(shown) == len(expected) > 12
    for (row, tokens, mark, shares), (number, words, marked, values) in zip(shown, expected, strict=True):
        assert row == number
        # White space before a token stands outside of it.
        assert tokens == [visible(word.lstrip()) or visible(word) for word in words]
        assert mark == tokens[marked]
        np.testing.assert_allclose(shares, [values.get(place, 0) for place in range(len(words))], atol=1e-6)


def test_activations_are_seen_without_colour_and_told_to_who_points_or_moves_there(driver, open_page):
    open_page("tokens")
    open_latent(driver, 3)
    tokens = driver.find_elements(By.CSS_SELECTOR, ".words .token[tabindex]")
    shares = [float(token.get_attribute("data-share")) for token in tokens]
    widths = [float(token.value_of_css_property("border-bottom-width").removesuffix("px")) for token in tokens]
    order = np.argsort(shares)
    assert (np.diff(np.array(widths)[order]) >= 0).all()
    assert min(widths) < max(widths) == 4
    largest = float(record_of_largest(driver))
    strongest = shares.index(1)
    driver.execute_script("arguments[0].focus()", tokens[strongest])
    said = driver.find_element(By.CSS_SELECTOR, ".readout").text
    assert said.endswith(f"activation {shown(largest)}, 100 % of the largest")
    press(driver, Keys.TAB)
    focused = driver.switch_to.active_element
    assert focused == tokens[strongest + 1]
    share = float(focused.get_attribute("data-share"))
    assert f"activation {shown(share * largest)}" in driver.find_element(By.CSS_SELECTOR, ".readout").text
    silent = driver.find_element(By.CSS_SELECTOR, ".words .token:not([tabindex])")
    event = "arguments[0].dispatchEvent(new PointerEvent('pointerover', { bubbles: true }))"
    driver.execute_script(event, silent)
    assert driver.find_element(By.CSS_SELECTOR, ".readout").text.endswith("activation 0")


def record_of_largest(driver):
    return driver.execute_script("return document.querySelector('.scale span:last-child').textContent.split(',')[0]")


def shown(value):
    return f"{float(f'{value:.3g}'):g}"


@pytest.mark.parametrize("asked", ["CAT", "cat dog", ", running", "<img src=x", "שלום", "no such text"])
def test_latents_are_found_by_what_their_contexts_contain(asked, driver, open_page):
    page = open_page("tokens")
    driver.find_element(By.ID, "in-contexts").send_keys(asked)
    texts = [["".join(tokens).lower() for _, tokens, _, _ in examples] for examples in contexts_of(page)]
    expected = [latent for latent, some in enumerate(texts) if any(asked.lower() in text for text in some)]
    count = driver.find_element(By.ID, "count").text
    assert count == f"{len(expected)} of {N} latents"
    assert set(shown_latents(driver)) <= set(expected)
    assert (len(expected) == 0) == (asked == "no such text")
    driver.find_element(By.ID, "reset").click()
    assert driver.find_element(By.ID, "count").text == f"{N} of {N} latents"


def test_the_table_shows_the_strongest_context(driver, open_page):
    page = open_page("tokens")
    _, tokens, marked, _ = contexts_of(page)[3][0]
    cell = driver.find_element(By.CSS_SELECTOR, "#table tr[data-latent='3'] .strongest")
    mark = driver.execute_script("return arguments[0].querySelector('mark').textContent", cell)
    assert mark == visible(tokens[marked].lstrip() or tokens[marked])
    assert "strongest context" in driver.find_element(By.CSS_SELECTOR, "#table thead").text


@pytest.mark.parametrize("name", ["tokens", "texts"])
@pytest.mark.parametrize("width", [390, 500, 1300])
def test_no_texts_overlap_whatever_they_are(width, name, driver, open_page):
    open_page(name, width=width, height=5000)
    assert driver.execute_script(LAYOUT)[1:] == [[], [], []]
    open_latent(driver, 3)
    # The line with the activation of a token stays above what is scrolled below it.
    driver.execute_script("document.querySelector('.readout').hidden = true")
    n_found, *problems = driver.execute_script(LAYOUT)
    assert n_found > 60
    assert problems == [[], [], []]


def test_what_is_said_of_a_page_without_room_for_contexts(driver, tmp_path, rng, monkeypatch):
    from rhohat.inspection.reporting.dictionaries import DictionaryContent

    monkeypatch.setattr(DictionaryContent, "most_bytes", 10_000)
    X = rng.normal(size=(50, 4))
    dictionary = TopKAutoencoder(5, k=2, max_iter=1, random_state=0, solver=Adam(batch_size=10)).fit(X)
    report(dictionary, X, tmp_path / "page.html", texts=["a text"] * 50, image_shape=None)
    driver.get((tmp_path / "page.html").as_uri())
    assert not driver.find_element(By.ID, "in-contexts").is_displayed()
    alive = shown_latents(driver)[0]
    open_latent(driver, alive)
    assert "The contexts are left out" in driver.find_element(By.ID, "unit-body").text


def test_the_record_of_a_page_with_hostile_names_is_one_element(pages):
    page, _ = pages["tokens"]
    assert record_of(page)["contexts"]["names"] == [""]
    assert set(HOSTILE) < set(record_of(page)["contexts"]["vocabulary"])
