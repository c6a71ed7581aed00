"""Columns of a table whose numbers only tell rows apart, such as the number of an order."""

from __future__ import annotations

import re

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.data.rows import RowSource
from rhohat.data.tables.coding import Kind

__all__ = ["columns_of_identifiers"]

_MOST_ROWS = 20_000  # that are looked at
_MOST_COLUMNS = 500  # more columns are no table that a person has written
_FEWEST_ROWS = 20  # in fewer rows, numbers may differ by chance
_NAMES = re.compile(
    r"(.*[_ .-])?(id|ids|uid|uuid|nr|no|num|number|index|idx|key|code|row)|.*[a-z](Id|ID|Nr|No|Number|Index|Key|Code)"
)


def columns_of_identifiers(rows: RowSource) -> list[str]:
    """Return the names of columns whose numbers are whole, all different, and named like identifiers, or count rows.

    Parameters
    ----------
    rows : RowSource of shape (n_samples, n_features)
        Rows of a table, of which the first are looked at. If their columns have no names, none is returned.
    """
    names, n_rows = rows.feature_names, min(len(rows), _MOST_ROWS)
    if names is None or n_rows < _FEWEST_ROWS or len(names) > _MOST_COLUMNS:
        return []
    kinds = rows.coding.kinds if rows.coding else (Kind.NUMBER,) * len(names)
    columns = zip(names, kinds, rows.read(0, n_rows).T, strict=True)
    return [name for name, kind, column in columns if kind == Kind.NUMBER and _identifies(name, column)]


def _identifies(name: str, column: FloatArray) -> bool:
    if not np.all(np.isfinite(column)) or np.any(column != np.round(column)) or len(np.unique(column)) < len(column):
        return False
    counts_rows = column[0] in (0, 1) and bool(np.all(np.diff(column) == 1))
    return counts_rows or any(_NAMES.fullmatch(one) for one in (name, name.lower()))
