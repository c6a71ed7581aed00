"""What a table holds that the table of the fit did not: new texts, and gaps where there were none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rhohat.common.words import counted, listed
from rhohat.data.rows import RowSource
from rhohat.data.table_columns import TableColumn
from rhohat.data.table_statistics import ColumnStatistics, statistics_of
from rhohat.data.tables.coding import Coding, Kind

__all__ = ["said_of_novelties"]

_MOST_EXAMPLES = 3


def said_of_novelties(columns: Sequence[TableColumn], rows: RowSource) -> str:
    """Return what is said of texts and gaps in rows that were not there in the fit.

    Nothing is said of gaps in a column that had some in the fit, nor of texts in a column with so many rare texts that
    they were not remembered.

    Parameters
    ----------
    columns : sequence of TableColumn
        What was learned of each column in the fit.
    rows : RowSource
        Coded rows with these columns, which are read once.

    Returns
    -------
    str
        One sentence that names all such columns; empty if there are none.
    """
    coding = rows.coding or Coding((Kind.NUMBER,) * len(columns), ((),) * len(columns))
    names = rows.feature_names or range(len(columns))
    said = []
    for name, column, texts, found in zip(names, columns, coding.texts, statistics_of(rows, coding), strict=True):
        if column.kind == Kind.TEXT and column.rare is not None:
            said += _said_of_texts(name, column, texts, found)
        if found.n_missing and not column.has_missing:
            done = "no category is set" if column.kind == Kind.TEXT else "the mean is filled in"
            gaps = counted(found.n_missing, "gap")
            said.append(f"column {name!r} has {gaps} and had none in the training, so that {done}")
    return "; ".join(said) + "." if said else ""


def _said_of_texts(name: object, column: TableColumn, texts: Sequence[str], found: ColumnStatistics) -> list[str]:
    """Return what is said of the unknown texts of a column, or nothing."""
    known = {*column.categories, *(column.rare or ())}
    unknown = np.array([text not in known for text in texts], np.bool_) & (found.counts > 0)
    if not unknown.any():
        return []
    new = [texts[place] for place in np.flatnonzero(unknown).tolist()]
    examples = listed([repr(text) for text in new]) if len(new) <= _MOST_EXAMPLES else f"such as {new[0]!r}"
    n_rows = int(found.counts[unknown].sum())
    return [
        f"column {name!r} holds {counted(len(new), 'text')} that the training did not have ({examples}), in"
        f" {counted(n_rows, 'row')}, and {'it counts' if len(new) == 1 else 'they count'} as"
        f" {'rare' if column.has_rare else 'none of its categories'}"
    ]
