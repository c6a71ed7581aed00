"""Data that a page embeds for its script: a record as JSON, and columns of numbers as compact text."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Column", "PageData"]

_AROUND = 80  # characters of the element that a column is in, without its name and kind

#: Names of JavaScript's typed arrays that hold numbers of a dtype.
_KINDS = {
    "u1": "Uint8Array",
    "u2": "Uint16Array",
    "u4": "Uint32Array",
    "i1": "Int8Array",
    "i2": "Int16Array",
    "f4": "Float32Array",
}


@dataclass(frozen=True)
class Column:
    """Numbers as the text of an element of the page, which its script decodes when it first needs them.

    Attributes
    ----------
    kind : str
        Name of the typed array of JavaScript that the numbers become.
    text : str
        The bytes of the numbers, least significant first, in base 64.
    """

    kind: str
    text: str

    @classmethod
    def of(cls, numbers: NDArray[Any]) -> Column:
        """Return the column that holds an array, row by row, in its dtype.

        Examples
        --------
        >>> Column.of(np.array([1, 2], np.uint16))
        Column(kind='Uint16Array', text='AQACAA==')
        """
        little = np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<"))
        return cls(_KINDS[numbers.dtype.str[1:]], b64encode(little.tobytes()).decode("ascii"))


@dataclass(frozen=True)
class PageData:
    """The data of a page.

    Attributes
    ----------
    record : dict
        Data that the script reads at once, in types that JSON can hold.
    columns : dict of str to Column
        Numbers that the script decodes when it needs them, by name.
    """

    record: dict[str, Any]
    columns: dict[str, Column] = field(default_factory=dict)

    def as_json(self) -> str:
        r"""Return the record as JSON that cannot end the script element of the HTML page that contains it.

        Examples
        --------
        >>> print(PageData({"name": "</script>"}).as_json())
        {"name":"\u003c/script\u003e"}
        """
        # All characters beyond ASCII are escaped.
        text = json.dumps(self.record, separators=(",", ":"), allow_nan=False)
        for character in "<>&":
            text = text.replace(character, f"\\u{ord(character):04x}")
        return text

    @property
    def size(self) -> int:
        """Number of characters that the data take on the page."""
        each = (_AROUND + len(name) + len(column.kind) + len(column.text) for name, column in self.columns.items())
        return len(self.as_json()) + sum(each)
