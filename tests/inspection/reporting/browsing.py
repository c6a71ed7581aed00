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


def in_order(units, constant=(), dead=()):
    """Units in an order, but those that are constant, and behind them those that are dead, come last."""
    return sorted(units, key=lambda unit: 2 * (unit in dead) or int(unit in constant))


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
            if (height > 4 && gap < 6) touching.push(`${a.text} ${b.text}`);
        }
    }
    return [found.length, found.filter((one) => one.lines > 1).map((one) => one.text), touching];
"""

#: Texts that overlap others, texts that are cut off, and texts and elements that are wider than the window.
LAYOUT = """
    const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const dialog = document.querySelector("dialog[open]");
    const [seen, cut, beyond] = [[], [], wide > 0 ? [`the page, by ${wide} pixels`] : []];
    while (walker.nextNode()) {
        const node = walker.currentNode;
        const parent = node.parentElement;
        const left_out = "script, style, noscript, .unseen, .skip, option, title, desc";
        if (!node.data.trim() || parent.closest(left_out) || !parent.checkVisibility()) continue;
        if (dialog && !dialog.contains(node)) continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        for (const { left, right, top, bottom, width, height } of range.getClientRects()) {
            if (width < 1 || height < 1 || getComputedStyle(parent).visibility === "hidden") continue;
            // A line box is taller than its letters, so that the boxes of successive lines of a heading may touch.
            const box = { text: node.data.trim().slice(0, 40), left: left + 0.5, right: right - 0.5 };
            [box.top, box.bottom] = [top + height / 4, bottom - height / 4];
            let scrolls = false;
            for (let outer = parent; outer && outer !== document.body; outer = outer.parentElement) {
                const { overflowX, overflowY, textOverflow, display } = getComputedStyle(outer);
                if (overflowX === "visible" && overflowY === "visible") continue;
                const edge = outer.getBoundingClientRect();
                // What is scrolled out of sight, and long names that end in an ellipsis, are meant to be.
                scrolls ||= outer !== dialog && [overflowX, overflowY].some((one) => ["auto", "scroll"].includes(one));
                const isShortened = outer.hasAttribute("title") || outer.closest("[title]");
                const outside = box.left < edge.left - 1 || box.right > edge.right + 1 || box.bottom > edge.bottom + 1;
                if (outside && !scrolls && !isShortened && outer !== dialog) cut.push(box.text);
                box.left = Math.max(box.left, edge.left);
                box.right = Math.min(box.right, edge.right);
                box.top = Math.max(box.top, edge.top);
                box.bottom = Math.min(box.bottom, edge.bottom);
            }
            if (box.right - box.left < 1 || box.bottom - box.top < 1) continue;
            if (box.left < -1 || box.right > document.documentElement.clientWidth + 1) beyond.push(box.text);
            seen.push({ ...box, node, head: parent.closest(".head") });
        }
    }
    seen.sort((a, b) => a.top - b.top);
    const overlapping = [];
    seen.forEach((a, place) => {
        for (let next = place + 1; next < seen.length && seen[next].top < a.bottom; next++) {
            const b = seen[next];
            // The head of a dialog stays above what is scrolled below it.
            if (a.node === b.node || a.head !== b.head) continue;
            if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 0.5) overlapping.push(`${a.text} | ${b.text}`);
        }
    });
    return [seen.length, overlapping, cut, beyond];
"""
