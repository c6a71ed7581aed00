"""The place of a number that is NaN or infinite, in blocks of rows and in whole sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_finite_block", "first_bad_number", "named_place"]

_ROWS_AT_ONCE = 4096  # of an array


def named_place(name: str, row: int, column: int, feature_names: Sequence[str] | None = None) -> str:
    """Return the sentence on rows with a number that is NaN or infinite, without its full stop.

    Examples
    --------
    >>> print(named_place("rows.csv", 7, 1, ["a", "b"]))
    rows.csv contains NaN or infinity, first in row 7, column 'b'
    """
    place = column if feature_names is None else repr(feature_names[column])
    return f"{name} contains NaN or infinity, first in row {row}, column {place}"


def check_finite_block(
    rows: NDArray[Any], name: str, first: int = 0, feature_names: Sequence[str] | None = None
) -> None:
    """Raise ValueError if some of the rows of a source have a number that is NaN or infinite.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
    name : str
        Name of the source in the message.
    first : int, default=0
        Number of the first of these rows in the source.
    feature_names : sequence of str, default=None
        Names of the columns.
    """
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise ValueError(f"{named_place(name, first + int(row), int(column), feature_names)}.")


def first_bad_number(rows: Any) -> str | None:
    """Return where an array or a row source has its first number that is NaN or infinite; None if it has none.

    All rows up to that number are read.
    """
    is_source = hasattr(rows, "blocks")
    blocks = (
        rows.blocks(rows.rows_at_once)
        if is_source
        else (rows[start : start + _ROWS_AT_ONCE] for start in range(0, len(rows), _ROWS_AT_ONCE))
    )
    first = 0
    for block in blocks:
        try:
            check_finite_block(block, *((rows.name, first, rows.feature_names) if is_source else ("X", first)))
        except ValueError as error:
            return str(error)
        first += len(block)
    return None
