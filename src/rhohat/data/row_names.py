"""Names of rows from a column of a table, by which a reader recognises them: texts, identifiers, dates."""

from __future__ import annotations

from contextlib import closing
from os import PathLike, fspath
from typing import Any

from rhohat.data.rows.columns import Columns
from rhohat.data.rows.kinds import TABLES, open_file, path_and_key
from rhohat.data.rows.parquet import ParquetRows
from rhohat.data.tables.cells import TextFormat, is_missing_label
from rhohat.data.tables.text import TextTable

__all__ = ["names_of_rows"]


def names_of_rows(data: Any, column: str | int, text: TextFormat | None = None) -> list[str]:
    """Return the texts in a column of a table, one for each row; missing texts are empty.

    Parameters
    ----------
    data : path or DataFrame
        A table of text, such as CSV, a Parquet file, or a DataFrame.
    column : str or int
        Name of the column, or its number from 0 on.
    text : TextFormat, default=None
        Format of a table of text, as far as it is known.

    Returns
    -------
    list of str
        Texts as they stand in the table, such as 007; values of a Parquet file or of a DataFrame as Python shows them.

    Raises
    ------
    ValueError
        If the data are no table, or it has no such column.
    FileNotFoundError
        If there is no such file.
    """
    if isinstance(data, str | PathLike):
        values = _in_a_file(fspath(data), column, text)
    elif hasattr(data, "columns") and hasattr(data, "shape"):
        names = [str(name) for name in data.columns]
        (place,) = Columns((column,)).choose(names, len(names), "the table")
        values = data[data.columns[place]]
    else:
        raise ValueError(_no_table(column, f"the rows are given as {type(data).__name__}, which is not a table"))
    return ["" if is_missing_label(value) else str(value) for value in values]


def _in_a_file(path: str, column: str | int, text: TextFormat | None) -> list[Any]:
    place, key = path_and_key(path)
    if key is not None or not place.is_file():
        if not place.exists():
            raise FileNotFoundError(f"there is no file {path}.")
        raise ValueError(_no_table(column, f"{path} is not a table"))
    file, kind = open_file(place, path, is_text=text is not None and text.encoding is not None)
    with closing(file):
        if kind == "text":
            found: list[Any] = TextTable(file, path, text).read_texts(str(column), may_be_missing=True)[:, 0].tolist()
            return found
    if kind not in TABLES:
        raise ValueError(_no_table(column, f"{path} is not a table"))
    return list(ParquetRows.values_of(place, path, str(column))[:, 0])


def _no_table(column: str | int, why: str) -> str:
    return (
        f"{column!r} cannot name the rows: names are read from a column of a DataFrame, of a table of text such as CSV"
        f" or of a Parquet file, but {why}. Pass the names themselves, as a list with one string"
        " for each row."
    )
