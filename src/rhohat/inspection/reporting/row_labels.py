"""Names of rows, which a reader recognises: texts, file names, dates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.data import RowSource
from rhohat.data.row_names import names_of_rows

__all__ = ["RowLabels"]

_LONGEST = 240  # largest number of characters of a name that are shown


class RowLabels:
    """The names of the rows of a source, as short texts.

    Parameters
    ----------
    labels : sequence of str
        One name for each row of the source, or for each row that was found before some rows were left out.
    source : RowSource

    Raises
    ------
    ValueError
        If the number of names is not the number of rows, or some of them are no texts.
    """

    def __init__(self, labels: Sequence[str], source: RowSource) -> None:
        if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
            raise ValueError("row_names must be a sequence of strings, one for each row; some items are not strings.")
        found: Any = np.asarray(labels, dtype=object)
        if source.kept is not None and len(found) == source.n_rows_found:
            found = found[source.kept]
        if len(found) != len(source):
            raise ValueError(f"row_names must have one string for each of the {len(source)} rows; got {len(found)}.")
        self._labels = found

    @classmethod
    def named(cls, names: str | int | Sequence[str], data: Any, source: RowSource) -> RowLabels:
        """Return the names of the rows of a source, which was opened from data, of which a column may hold the names.

        Raises
        ------
        ValueError
            If there is no such column, or there is not one name for each row.
        """
        if isinstance(names, str | int | np.integer):
            text = None if source.reading is None else source.reading.text
            names = names_of_rows(data, names if isinstance(names, str) else int(names), text)
        return cls(names, source)

    def of(self, rows: NDArray[np.intp]) -> list[str]:
        """Return the names of some rows, without line breaks, and shortened if they are long."""
        return [_shortened(label) for label in self._labels[rows]]


def _shortened(label: str) -> str:
    text = " ".join(label[: 4 * _LONGEST].split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
