"""Specification of what is to be read from a file or an object."""

from __future__ import annotations

from typing import NamedTuple

from rhohat.data.rows.columns import ColumnSelection, TargetsOfAFit
from rhohat.data.tables.cells import TextFormat
from rhohat.data.tables.text import Missing

__all__ = ["Wanted", "only_tables"]


class Wanted(NamedTuple):
    """Specification of the columns, targets and rows to read from a file, and of the format of a text file."""

    columns: ColumnSelection
    text: TextFormat
    targets: TargetsOfAFit | None
    missing: Missing
    key: str | None = None  # name of the array that follows the path
    codes_texts: bool = False  # whether columns of a table may hold texts, which become codes


def only_tables(what: str, name: str) -> str:
    """Return the error message for a request that is possible for tables and arrays in memory only."""
    return f"{what} of tables (CSV and Parquet files) and of arrays in memory only; {name} is neither."
