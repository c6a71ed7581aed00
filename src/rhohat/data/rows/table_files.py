"""Opening of tables in text or Parquet files: choice of the columns to read, and of the target columns."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rhohat.common.words import Sentence, Setting, joined, message_of
from rhohat.data.rows.base import RowSource
from rhohat.data.rows.columns import ColumnsOfAFit, choose_columns
from rhohat.data.rows.conventions import without_folders
from rhohat.data.rows.parquet import ParquetRows
from rhohat.data.rows.positioned import PositionedFile
from rhohat.data.rows.wanted import Wanted
from rhohat.data.tables.cells import TextFormat
from rhohat.data.tables.dialect import has_byte_order_mark
from rhohat.data.tables.labels import as_labels
from rhohat.data.tables.text import TextTable

__all__ = ["open_table_file"]


def open_table_file(file: PositionedFile, kind: str, name: str, wanted: Wanted) -> RowSource:
    """Return the rows of a table and close its file; a Parquet file is opened again by its path."""
    try:
        if wanted.key is not None:
            raise ValueError(f"{name} holds a single table; pass the path without a name after it.")
        return _open_text(file, name, wanted) if kind == "text" else _open_parquet(file.path, name, wanted)
    finally:
        file.close()


def _open_text(file: PositionedFile, name: str, wanted: Wanted) -> RowSource:
    """Return the parsed rows of a table of text; a byte order mark overrides the encoding of a model's fit."""
    remembered = wanted.columns.remembered if isinstance(wanted.columns, ColumnsOfAFit) else {}
    if "encoding" in remembered and has_byte_order_mark(file):
        wanted = wanted._replace(text=replace(wanted.text, encoding=None))
        del remembered["encoding"]
    try:
        return _parse_text(file, name, wanted)
    except ValueError as error:
        hint = _other_way(file, name, wanted, remembered) if remembered else ""
        if not hint:
            raise
        raise ValueError(Sentence(message_of(error), " ", hint)) from error


def _other_way(file: PositionedFile, name: str, wanted: Wanted, remembered: Mapping[str, Any]) -> str:
    """Return a hint if a table cannot be read in the text format of the fit, but in another format; else return ""."""
    default = TextFormat()
    text = replace(wanted.text, **{part: getattr(default, part) for part in remembered})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _parse_text(file, name, wanted._replace(text=text)).close()
            table = TextTable(file, name, text, _names_expected(wanted))
    except ValueError:
        return ""
    found = {
        "separator": table.separator,
        "decimal": ".",
        "encoding": table.encoding,
        "header": table.names is not None,
    }
    if "thousands" in remembered and table.separator == remembered["thousands"]:
        remembered = {"separator": None, **remembered}  # a sign that separates cells no longer groups digits
    other = [Sentence(Setting(part, found[part])) for part in found if part in remembered]
    said = [f"{part} {value!r}" for part, value in remembered.items() if value is not None]
    if not other:
        return ""
    listed = " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)
    return Sentence(
        f"The table of the fit was read with {listed}. If this table is written in another way, pass ",
        joined(other, ", "),
        ".",
    )


def _parse_text(file: PositionedFile, name: str, wanted: Wanted) -> RowSource:
    """Return the wanted rows of a table of text."""
    table = TextTable(file, name, wanted.text, _names_expected(wanted))
    for remark in table.remarks:
        warnings.warn(remark, stacklevel=8)
    if table.names is None and wanted.columns.names_expected:
        warnings.warn(
            f"No line of {name} names its columns, so the columns are identified by their order.", stacklevel=8
        )
    columns, targets = _without_targets(wanted, table.names, table.n_columns, name)
    if wanted.codes_texts:
        rows = table.read_coded_rows(columns, targets, wanted.missing, wanted.columns.kinds)
    else:
        rows = table.read_rows(columns, targets, wanted.missing)
    _convert_targets(rows, wanted, are_texts=True)
    named = "The first line of {} names its columns." if table.names else "No line of {} names its columns."
    rows.notes = (named.format(without_folders(name)), *rows.notes)
    return rows


def _names_expected(wanted: Wanted) -> set[str]:
    """Return the column names that the table must have if its columns have names."""
    return {*wanted.columns.names_expected, *(wanted.targets.names_expected if wanted.targets else ())}


def _open_parquet(path: Path, name: str, wanted: Wanted) -> RowSource:
    names, n_columns = ParquetRows.names_of(path, name)
    columns, targets = _without_targets(wanted, names, n_columns, name)
    left_out = [names[number] for number in range(n_columns, len(names)) if number not in (*columns, *targets)]
    if left_out and not wanted.columns.names_expected:
        warnings.warn(
            Sentence(
                f"The index of {name}, {', '.join(map(repr, left_out))}, is left out. To read it as well, set the"
                " columns to read, including the index, with ",
                Setting("columns"),
                ".",
            ),
            stacklevel=7,
        )
    rows = ParquetRows(
        path, name, columns, targets, "error" if wanted.missing == "error" else "keep", codes_texts=wanted.codes_texts
    )
    found: RowSource = rows
    try:
        if wanted.missing == "drop" or wanted.codes_texts or (wanted.missing == "keep" and rows.lacks_targets):
            found = rows.written(wanted.missing, kinds=wanted.columns.kinds)
        _convert_targets(found, wanted, are_texts=False)
    except BaseException:
        rows.close()
        found.close()
        raise
    return found


def _convert_targets(rows: RowSource, wanted: Wanted, *, are_texts: bool) -> None:
    """Convert the targets of a source to an array of numbers or strings; see `as_labels`."""
    if rows.targets is not None:
        columns = rows.target_names or (rows.reading.targets if rows.reading else None) or ()
        name = f"column {' or '.join(map(repr, columns))} of {rows.name}"
        rows.targets = as_labels(rows.targets, name, are_texts=are_texts)


def _without_targets(
    wanted: Wanted, names: Sequence[str] | None, n_columns: int, name: str
) -> tuple[list[int], list[int]]:
    """Return the numbers of the columns that are read as inputs, and the numbers of the target columns."""
    said = choose_columns(wanted.targets.said, names, n_columns, name) if wanted.targets and wanted.targets.said else []
    if said and isinstance(wanted.columns, ColumnsOfAFit):
        wanted.columns.check_targets(said, names, n_columns, name)
    targets = wanted.targets.choose(names, n_columns, name) if wanted.targets else []
    columns = [number for number in wanted.columns.choose(names, n_columns, name) if number not in targets]
    if not columns:
        raise ValueError(f"no column of {name} is left to be read besides the target columns.")
    return columns, targets
