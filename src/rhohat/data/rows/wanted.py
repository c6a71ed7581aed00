"""What of a file or an object is to be read."""

from __future__ import annotations

from typing import NamedTuple

from rhohat.data.rows.columns import ColumnSelection, TargetsOfAFit
from rhohat.data.tables.cells import TextFormat
from rhohat.data.tables.text import Missing

__all__ = ["Wanted", "only_tables"]


class Wanted(NamedTuple):
    """What of a file is to be read."""

    columns: ColumnSelection
    text: TextFormat
    targets: TargetsOfAFit | None
    missing: Missing
    key: str | None = None  # the array that is named behind the path


def only_tables(what: str, name: str) -> str:
    """Return what to say of rows of which something is asked that only tables have."""
    return f"{what} of tables, as CSV and Parquet, and of arrays in memory; {name} is none."
