"""What a reader does with a page in a browser, and what is seen of it."""

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait


def emulate(driver, width, height, scheme="light"):
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    # Without motion, what is to be clicked stays where it is.
    preferences = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in preferences.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def heading(driver):
    return driver.execute_script("return document.getElementById('unit-heading').firstChild.textContent")


def is_open(driver):
    return driver.find_element(By.ID, "unit").get_attribute("open") is not None


def press(driver, *keys):
    webdriver.ActionChains(driver).send_keys(*keys).perform()


def wait_for(driver, condition):
    return WebDriverWait(driver, 20).until(lambda _: condition())


#: The numbers that are seen, those broken over lines, and pairs that touch one another.
FIGURES = """
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
        const node = walker.currentNode;
        // Names of features end at the edge of their column, whatever they are.
        const left_out = ".weight > span:first-child, script, style, noscript, .unseen, option, title, desc";
        if (node.parentElement.closest(left_out)) continue;
        for (const match of node.data.matchAll(/[\u2212-]?\\d+(?:[.,]\\d+)*(?:e[+\u2212-]?\\d+)?/g)) {
            const range = document.createRange();
            range.setStart(node, match.index);
            range.setEnd(node, match.index + match[0].length);
            const boxes = [...range.getClientRects()].filter((box) => box.width > 0);
            if (!boxes.length) continue;
            const lines = new Set(boxes.map((box) => Math.round(box.top / 4))).size;
            const { left, right, top, bottom } = range.getBoundingClientRect();
            const beside = node.parentElement.closest("#grid, .pairs, .strip, tr, .weight, svg");
            found.push({ text: match[0], lines, left, right, top, bottom, beside });
        }
    }
    const touching = [];
    for (const [place, a] of found.entries()) {
        for (const b of found.slice(place + 1)) {
            if (!a.beside || a.beside !== b.beside) continue;
            const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            const gap = Math.max(a.left, b.left) - Math.min(a.right, b.right);
            if (height > 4 && gap < 3) touching.push(`${a.text} ${b.text}`);
        }
    }
    return [found.length, found.filter((one) => one.lines > 1).map((one) => one.text), touching];
"""
