"""Rows shown as the images that they come from, in a real browser."""

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from skimage.io import imsave

from rhohat import Adam, TopKAutoencoder
from rhohat.inspection.reporting import report
from tests.inspection.reporting.browsing import LAYOUT, heading, is_open, wait_for
from tests.inspection.reporting.pages import column_of

NO_ROW = 2**32 - 1


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page about rows of activations, each of an image in a colour of its own."""
    folder, rng = tmp_path_factory.mktemp("pages"), np.random.default_rng(0)
    (folder / "images").mkdir()
    for row in range(60):
        image = np.broadcast_to(np.array([4 * row, 0, 250], np.uint8), (20, 20, 3))
        imsave(folder / "images" / f"{row:03}.png", image, check_contrast=False)
    X = rng.normal(size=(60, 6)).astype(np.float32)
    how = {"k": 2, "solver": Adam(batch_size=20, learning_rate=1e-2), "max_iter": 2, "random_state": 0}
    path = folder / "page.html"
    page = report(TopKAutoencoder(8, **how).fit(X), X, path, image_shape=None, images=folder / "images")
    return {"activations": (page, path.as_uri())}


COLOURS = """
    return [...document.querySelectorAll(arguments[0])].map((canvas) => {
        const copy = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
        copy.drawImage(canvas, -32, -32);
        return [...copy.getImageData(0, 0, 1, 1).data];
    });
"""


def test_the_rows_of_a_latent_are_seen_as_their_images(driver, open_page):
    page = open_page("activations")
    driver.execute_script("location.hash = '#latent-2'")
    wait_for(driver, lambda: is_open(driver) and heading(driver) == "Latent 2")
    rows = [row for row in column_of(page, "rows").reshape(8, 12)[2].tolist() if row != NO_ROW]
    strip = "#unit-body section:first-child .strip canvas"
    wait_for(driver, lambda: len(driver.find_elements(By.CSS_SELECTOR, f"{strip}[data-drawn]")) >= len(rows))
    colours = driver.execute_script(COLOURS, strip)
    expected = [[4 * row, 0, 250, 255] for row in rows]
    assert np.abs(np.subtract(colours, expected)).max() <= 1
    near = driver.find_element(By.CSS_SELECTOR, ".near")
    assert len(near.find_elements(By.CSS_SELECTOR, "tbody tr")) == 6
    assert near.find_elements(By.CSS_SELECTOR, "canvas[data-drawn]")


@pytest.mark.parametrize("width", [390, 500, 1300])
def test_no_texts_overlap(width, driver, open_page):
    open_page("activations", width=width, height=4000)
    assert driver.execute_script(LAYOUT)[1:] == [[], [], []]
    driver.execute_script("location.hash = '#latent-2'")
    wait_for(driver, lambda: is_open(driver))
    n_found, *problems = driver.execute_script(LAYOUT)
    assert n_found > 30
    assert problems == [[], [], []]
