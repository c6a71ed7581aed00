"""Figures with long numbers in a real browser."""

import numpy as np
import pytest

from rhohat import DeadLatentsWarning, SparseAutoencoder
from rhohat.inspection.reporting import report
from tests.inspection.reporting.browsing import LAYOUT


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page about a model that has learned nothing, whose explained variance is a number such as 1.3e−07."""
    X = np.random.default_rng(0).random((200, 16))
    with pytest.warns(DeadLatentsWarning):
        model = SparseAutoencoder(n_components=25, sparsity=0.001, random_state=0).fit(X)
    path = tmp_path_factory.mktemp("pages") / "long.html"
    return {"long": (report(model, X, path), path.as_uri())}


@pytest.mark.parametrize("width", [390, 500, 1300])
def test_no_texts_overlap(width, driver, open_page):
    page = open_page("long", width=width, height=900)
    assert "e−" in page.split('class="figures')[1].split("</dl>")[0]
    n_found, *problems = driver.execute_script(LAYOUT)
    assert n_found > 40
    assert problems == [[], [], []]
