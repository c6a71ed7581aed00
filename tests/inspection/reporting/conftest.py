"""A browser for the tests of pages."""

import json
import os
import shutil

import pytest


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """Chromium without a window; where there is none, the tests skip, but not where they must run."""
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = " and ".join(name for name, path in found.items() if path is None)
    if missing:
        reason = f"needs a browser: {missing} not found; Debian's packages are chromium and chromium-driver"
        (pytest.fail if os.environ.get("RHOHAT_BROWSER") == "required" else pytest.skip)(reason)
    from selenium import webdriver  # not all environments with tests of reports have it
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = found["chromium"]
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chromium = webdriver.Chrome(options=options, service=Service(found["chromedriver"]))
    yield chromium
    chromium.quit()


@pytest.fixture
def open_page(driver, pages):
    """Opens one of the module's pages; in the end, nothing must have gone wrong in it or been asked for beside it."""
    from tests.inspection.reporting.browsing import emulate

    opened = []

    def open_one(name="images", width=1200, height=900, scheme="light"):
        driver.get("about:blank")
        driver.get_log("browser"), driver.get_log("performance")
        emulate(driver, width, height, scheme)
        record, address = pages[name]
        opened.append(address)
        driver.get(address)
        return record

    yield open_one
    assert driver.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert opened
    assert [url.split("#")[0] for url in asked if not url.startswith("data:")] == opened[-1:]
    with pytest.raises(Exception, match="no such alert"):
        _ = driver.switch_to.alert
