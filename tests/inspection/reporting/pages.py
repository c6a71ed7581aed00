"""What the tests read out of a page."""

import base64
import io
import json
import re

import numpy as np
from PIL import Image


def record_of(page):
    """What the page's script draws from."""
    (text,) = re.findall(r'<script type="application/json" id="record">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def figures_of(page):
    """The numbers that sum the model up, by name."""
    found = re.findall(r'<dt>([^<]*)</dt><dd class="value">([^<]*)</dd>', page)
    return {name: float(text.replace("−", "-").replace(",", "")) for name, text in found}


def pixels_of(uri):
    """The pixels of a picture within the page, decoded by another program."""
    kind, content = uri.split(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content, validate=True))))


def image_of(sheets, place, height, width):
    """One image out of sheets, as the page's script cuts it out."""
    sheet = pixels_of(sheets["files"][place // sheets["perSheet"]])
    row, column = divmod(place % sheets["perSheet"], sheets["columns"])
    return sheet[row * height : (row + 1) * height, column * width : (column + 1) * width]


def column_of(page, name):
    """A column of numbers that the page's script decodes, or None if the page has none of this name."""
    found = re.findall(
        rf'<script type="application/octet-stream" id="column-{name}" data-kind="(\w+)">(.*?)</script>', page
    )
    if not found:
        return None
    ((kind, text),) = found
    dtype = {"Uint8Array": "u1", "Int8Array": "i1", "Uint16Array": "<u2", "Uint32Array": "<u4", "Int16Array": "<i2"}
    return np.frombuffer(base64.b64decode(text, validate=True), {**dtype, "Float32Array": "<f4"}[kind])
