"""What is seen of pages on phones and desktops: no text overlaps another, is cut off, or is wider than the window."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rhohat import (
    Adam,
    AutoencoderDetector,
    FeedforwardClassifier,
    FeedforwardRegressor,
    ModelCard,
    SparseAutoencoder,
    TablePreprocessor,
    TopKAutoencoder,
)
from rhohat.inspection.reporting import report
from tests.inspection.reporting.browsing import LAYOUT, is_open, wait_for
from tests.inspection.reporting.pages import record_of

WIDTHS = [390, 500, 1300]
QUICK = {"max_iter": 1000, "tol": 1e-2, "random_state": 0}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages about images, with many units, of which some are dead; about tables; and about dictionaries of both."""
    folder = tmp_path_factory.mktemp("pages")
    digits = (load_digits().data[:300] / 16).astype(np.float32)
    images = SparseAutoencoder(n_components=500, activation="relu", sparsity_weight=0.0, **QUICK).fit(digits)
    for unit in (3, 200):
        images.coefs_[0][:, unit], images.intercepts_[0][unit] = 0, -1
    cancer, wine = load_breast_cancer(as_frame=True).data, load_wine(as_frame=True)
    cancer = cancer.assign(patient=[f"patient {number}, of the second hospital" for number in range(len(cancer))])
    columns = list(cancer.columns[:-1])
    table = make_pipeline(StandardScaler(), SparseAutoencoder(n_components=12, **QUICK)).fit(cancer[columns])
    table[-1].model_card_ = ModelCard("A note.", "569 rows.", {"explained variance": 0.9}, {"explained variance": 0.8})
    classifier = make_pipeline(StandardScaler(), FeedforwardClassifier(hidden_layer_sizes=(8,), **QUICK))
    classifier.fit(wine.data, np.array(["Barolo", "Grignolino", "Barbera d'Asti"])[wine.target])
    how = {"k": 6, "solver": Adam(batch_size=100, learning_rate=1e-2), "max_iter": 3, "random_state": 0}
    dictionary = TopKAutoencoder(128, **how).fit(digits)
    of_table = make_pipeline(StandardScaler(), TopKAutoencoder(64, **how)).fit(cancer[columns])
    detector = AutoencoderDetector(random_state=0).fit(cancer[columns])
    diabetes = load_diabetes(as_frame=True).data
    regressor = FeedforwardRegressor(hidden_layer_sizes=(4,), **QUICK)
    regressor.fit(diabetes.drop(columns="bmi"), 1e6 * diabetes["bmi"])
    categories = wine.data[["ash", "hue"]].assign(
        grape=np.where(wine.target, "Grignolino from the hills in the north of Asti", "Nebbiolo d'Alba")
    )
    categories.loc[::30, "ash"] = np.nan
    of_categories = make_pipeline(TablePreprocessor(), AutoencoderDetector(random_state=0)).fit(categories)
    found = {}
    for name, model, data, y, options in (
        ("images", images, digits, None, {}),
        ("table", table, cancer, None, {"row_names": "patient"}),
        ("regressor", regressor, diabetes.drop(columns="bmi"), 1e6 * diabetes["bmi"], {}),
        ("detector of categories", of_categories, categories, None, {}),
        ("classifier", classifier, wine.data, classifier.predict(wine.data), {}),
        ("dictionary", dictionary, digits, None, {"row_names": [f"the digit in line {n}" for n in range(300)]}),
        ("detector", detector, cancer, None, {"row_names": "patient"}),
        ("dictionary of a table", of_table, cancer, None, {"row_names": "patient"}),
    ):
        path = folder / f"{name}.html"
        found[name] = record_of(report(model, data, path, y, **options)), path.as_uri()
    return found


@pytest.mark.parametrize(
    "name",
    [
        *("images", "table", "classifier", "regressor", "detector", "detector of categories"),
        *("dictionary", "dictionary of a table"),
    ],
)
@pytest.mark.parametrize("width", WIDTHS)
def test_no_texts_overlap_and_none_is_cut_off_or_wider_than_the_window(width, name, driver, open_page):
    open_page(name, width=width, height=900)
    n_found, *problems = driver.execute_script(LAYOUT)
    assert n_found > 60
    assert problems == [[], [], []]
    driver.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    n_more, *problems = driver.execute_script(LAYOUT)
    assert n_more > n_found
    assert problems == [[], [], []]
    driver.execute_script("location.hash = arguments[0]", "#latent-1" if "dictionary" in name else "#unit-1")
    wait_for(driver, lambda: is_open(driver))
    n_found, *problems = driver.execute_script(LAYOUT)
    assert n_found > 20
    assert problems == [[], [], []]


def on_page(driver):
    """Numbers of the units that are seen, in their order."""
    return driver.execute_script(
        "return [...document.querySelectorAll('#grid li')].filter((li) => li.offsetParent !== null)"
        ".map((li) => Number(li.dataset.unit))"
    )


@pytest.mark.parametrize(("width", "per_page"), [(390, 60), (1300, 400)])
def test_many_units_are_shown_page_by_page(width, per_page, driver, open_page):
    record = open_page("images", width=width, height=900)
    dead = record["dead"]
    assert {3, 200} <= set(dead)
    order = [unit for unit in range(500) if unit not in [*dead, *record["constant"]]]
    order += [unit for unit in record["constant"] if unit not in dead] + dead
    n_pages = -(-500 // per_page)
    assert on_page(driver) == order[:per_page]
    assert driver.execute_script("return document.documentElement.scrollHeight") < 8000
    place, following = (driver.find_element("id", name) for name in ("page-place", "page-next"))
    assert place.text == f"Page 1 of {n_pages}"
    following.click()
    assert on_page(driver) == order[per_page : 2 * per_page]
    # The dialog moves on beyond the end of a page, and what is searched for is found on any page.
    last = order[2 * per_page - 1] if n_pages > 2 else order[-1]
    driver.execute_script("location.hash = arguments[0]", f"#unit-{last}")
    wait_for(driver, lambda: is_open(driver))
    if n_pages > 2:
        driver.find_element("id", "next").click()
        assert on_page(driver) == order[2 * per_page : 3 * per_page]
    driver.find_element("id", "close").click()
    wait_for(driver, lambda: driver.execute_script("return location.hash") == "")  # the focus has come back
    driver.find_element("id", "numbers").send_keys(f"3, {order[0]}, {order[450]}")
    assert on_page(driver) == [order[0], *(unit for unit in order if unit in (3, order[450]))]
    assert not place.is_displayed()
