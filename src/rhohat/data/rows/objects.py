"""Opening of arrays and tables in memory as rows that are read block by block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils import check_array

from rhohat.common.pieces import refuse_pieces
from rhohat.data.bad_numbers import naming_columns
from rhohat.data.rows.arrays import ArrayRows
from rhohat.data.rows.base import RowSource
from rhohat.data.rows.columns import ColumnSelection, Reading
from rhohat.data.rows.combined import ColumnRows, SplitRows, are_all, derived
from rhohat.data.rows.conventions import notes_on_dropped
from rhohat.data.rows.dask import DaskRows, is_dask_array
from rhohat.data.rows.datasets import DatasetRows
from rhohat.data.rows.wanted import Wanted, only_tables
from rhohat.data.tables.coding import Coding, code_column

__all__ = ["open_coded", "open_object"]


def open_object(data: Any, wanted: Wanted, row_axes: int) -> RowSource:
    """Return the wanted rows of an object that is not a path: an array, a table, or a row source."""
    source = open_coded(data, wanted.columns) if wanted.codes_texts else _open_columns(data, wanted.columns, row_axes)
    return _without_missing(source) if wanted.missing == "drop" else source


def open_coded(data: Any, columns: ColumnSelection) -> RowSource:
    """Return the chosen columns of a table in memory that may hold texts, which become codes.

    Parameters
    ----------
    data : DataFrame, pyarrow table, array of shape (n_samples, n_columns), or RowSource
    columns : ColumnSelection

    Raises
    ------
    ValueError
        If a column holds infinite numbers, or values that are neither numbers, truth values, texts nor dates.
    """
    if isinstance(data, RowSource):
        return _open_columns(data, columns, 1)
    if not hasattr(data, "iloc") and hasattr(data, "to_pandas"):
        data = data.to_pandas()
    is_frame = hasattr(data, "iloc")
    names = list(data.columns) if is_frame else None
    numbers = columns.choose(names, data.shape[1], "the table")
    wanted = columns.kinds or [None] * len(numbers)
    coded = [
        code_column(
            data.iloc[:, number] if is_frame else data[:, number], repr(names[number]) if names else str(number), kind
        )
        for number, kind in zip(numbers, wanted, strict=True)
    ]
    table = np.stack([floats for _, floats, _, _ in coded], axis=1)
    infinite = [names[number] if names else number for number in np.array(numbers)[np.isinf(table).any(axis=0)]]
    if infinite:
        raise ValueError(f"Input X contains infinity, in the columns {', '.join(map(repr, infinite))}.")
    chosen = [names[number] for number in numbers] if names else []
    are_texts = bool(chosen) and all(isinstance(name, str) for name in chosen)
    rows = ArrayRows(table, "the table", chosen if are_texts else None)
    rows.reading = Reading(tuple(numbers), data.shape[1]) if is_frame else None
    examples = {place: example for place, (_, _, _, example) in enumerate(coded) if example}
    rows.coding = Coding(tuple(kind for kind, *_ in coded), tuple(texts for _, _, texts, _ in coded), examples)
    return rows


def _without_missing(source: RowSource) -> RowSource:
    """Return the rows in memory in which no number is missing."""
    if not isinstance(source, ArrayRows):
        raise ValueError(only_tables("rows with missing numbers can be left out", source.name))
    rows = source.read(0, len(source))
    kept = np.flatnonzero(np.logical_not(np.isnan(rows).any(axis=1)))
    if len(kept) == 0:
        raise ValueError(f"{source.name} has no row without missing values.")
    whole = ArrayRows(rows[kept], source.name, source.feature_names)
    whole.reading, whole.n_rows_found, whole.kept = source.reading, len(source), kept
    whole.notes = notes_on_dropped(whole)
    return whole


def _open_columns(data: Any, columns: ColumnSelection, row_axes: int) -> RowSource:
    """Return the chosen columns of an object that is not a path."""
    if hasattr(data, "dask") and not is_dask_array(data):
        raise ValueError(
            f"rows are read from dense arrays; convert this {type(data).__name__} into a dense array first."
        )
    if hasattr(data, "column_names") and hasattr(data, "to_pandas"):
        data = data.to_pandas()  # a pyarrow table
    if getattr(data, "columns", None) is not None:
        return _open_frame(data, columns)
    if isinstance(data, RowSource):
        source = data
    elif is_dask_array(data):
        source = DaskRows(data.reshape((-1, *data.shape[row_axes:])) if row_axes > 1 else data)
    elif issparse(data):
        raise ValueError(
            f"rows are read from dense arrays; convert this {type(data).__name__} into a dense array first."
        )
    elif all(hasattr(data, name) for name in ("shape", "dtype", "__getitem__")) and not isinstance(data, np.ndarray):
        source = DatasetRows(data, getattr(data, "name", None) or f"the {type(data).__name__}")
    else:
        refuse_pieces(data, "data", lists=False)
        source = ArrayRows(data)
    if row_axes > 1 and not is_dask_array(data):
        source = derived(SplitRows, source, data, row_axes)
    chosen = columns.choose(source.feature_names, source.shape[1], source.name)
    return source if are_all(chosen, source) else derived(ColumnRows, source, data, chosen)


def _open_frame(data: Any, columns: ColumnSelection) -> RowSource:
    """Return the rows of a table in memory, whose columns are chosen before they are converted to numbers."""
    names = list(data.columns)
    numbers = columns.choose(names, len(names), "the table")
    if hasattr(data, "iloc"):
        data = data.iloc[:, numbers].set_axis(range(len(numbers)), axis=1)  # column names may occur twice
    elif numbers != list(range(len(names))):
        data = data[:, numbers]
    chosen = [names[number] for number in numbers]
    table = _numbers_of(data, chosen)
    rows = ArrayRows(table, "the table", chosen if all(isinstance(name, str) for name in chosen) else None)
    rows.reading = Reading(tuple(numbers), len(names))
    return rows


def _numbers_of(frame: Any, names: Sequence[Any]) -> NDArray[Any]:
    """Return the numbers of a table in memory as an array."""
    dtypes = list(getattr(frame, "dtypes", []))
    times = [f"column {name!r} holds {dtype}" for name, dtype in zip(names, dtypes, strict=False) if _is_time(dtype)]
    if times:
        raise ValueError(
            f"the table must hold numbers; its {', '.join(times[:5])}. Choose other columns, or convert these into"
            " numbers."
        )
    named = frame.set_axis(list(names), axis=1) if hasattr(frame, "set_axis") else frame
    with naming_columns(**{"the table": named}):
        table: NDArray[Any] = check_array(frame, dtype="numeric", ensure_all_finite=False, input_name="the table")
    return table


def _is_time(dtype: Any) -> bool:
    return getattr(dtype, "kind", "") in ("M", "m")
