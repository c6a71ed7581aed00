"""Row sources: rows of numbers from files, arrays or tables, read block by block."""

from rhohat.data.rows.base import RowSource
from rhohat.data.rows.columns import ColumnsOfAFit, Reading, TargetsOfAFit, remember_columns
from rhohat.data.rows.combined import ConvertedRows, CorruptedRows
from rhohat.data.rows.dask import DaskRows, is_dask_array
from rhohat.data.rows.flat import FlatRows
from rhohat.data.rows.labels import OneHotRows
from rhohat.data.rows.opening import open_rows, open_table
from rhohat.data.rows.selected import SelectedRows, select_rows

__all__ = [
    "ColumnsOfAFit",
    "ConvertedRows",
    "CorruptedRows",
    "DaskRows",
    "FlatRows",
    "OneHotRows",
    "Reading",
    "RowSource",
    "SelectedRows",
    "TargetsOfAFit",
    "is_dask_array",
    "open_rows",
    "open_table",
    "remember_columns",
    "select_rows",
]
