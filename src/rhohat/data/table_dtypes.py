"""Dtypes of the columns of a table in memory, in which `TablePreprocessor` gives columns back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.data.table_columns import TableColumn
from rhohat.data.tables.coding import Kind

__all__ = ["are_dtypes", "dtypes_of", "in_dtype", "in_dtypes", "stacked"]

#: Names of the dtypes of NumPy and pandas that columns are given back in; "" stands for any other one.
_KNOWN = re.compile(r"|u?int(8|16|32|64)|float(32|64)|bool|U?Int(8|16|32|64)|Float(32|64)|boolean|category|str(ing)?")

_TOLERANCE = 1e-6  # how far a number may be from a whole one, relative to its size or 1, to be given back as this


def dtypes_of(X: Any) -> tuple[str, ...] | None:
    """Return the names of the dtypes of the columns of a table in memory; None if they are not known.

    A name is empty if columns are not given back in the dtype, as is the case with objects.

    Examples
    --------
    >>> import numpy as np
    >>> dtypes_of(np.zeros((3, 2), np.int8)), dtypes_of([[1, "a"]])
    (('int8', 'int8'), None)
    """
    if hasattr(X, "iloc") and hasattr(X, "dtypes"):
        return tuple(_name(dtype) for dtype in X.dtypes)
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype != object:
        return (_name(X.dtype),) * X.shape[1]
    return None


def are_dtypes(names: Any, n_columns: int) -> bool:
    """Return whether something from a file is what `dtypes_of` returns for so many columns."""
    if names is None:
        return True
    are_texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return are_texts and len(names) == n_columns and all(_KNOWN.fullmatch(name) for name in names)


def in_dtype(values: NDArray[np.object_], dtype: str, make: Any = np.asarray) -> Any:
    """Return the values of a column in a dtype, or unchanged if one of them has no place there.

    Parameters
    ----------
    values : array of object of shape (n_rows,)
        Numbers, truth values or texts; None where a value is missing.
    dtype : str
        Name of the dtype, such as "int64", "bool", or of pandas "Int64" and "category".
    make : callable, default=numpy.asarray
        Function of values and a dtype that makes the column, such as ``pandas.Series``.

    Examples
    --------
    >>> import numpy as np
    >>> in_dtype(np.array([2.0, 3.0000000001], object), "int64")
    array([2, 3])
    >>> in_dtype(np.array([2.0, 3.5], object), "int64")
    array([2.0, 3.5], dtype=object)
    """
    if dtype.lower().startswith(("int", "uint")):
        whole = [None if value is None else _whole(value) for value in values]
        if any(one is None and value is not None for one, value in zip(whole, values, strict=True)):
            return values
        values = np.array([*whole, None], dtype=object)[:-1]
    try:
        made = make(values, dtype=dtype)
    except (TypeError, ValueError, OverflowError, LookupError, ImportError, AttributeError):
        return values
    return made if _is_same(made, values) else values


def in_dtypes(
    columns: Sequence[TableColumn], dtypes: Sequence[str] | None, values: Sequence[NDArray[np.object_]], make: Any
) -> list[Any]:
    """Return each column of a table in the dtype that it had in the fit, or in one that has room for its values.

    Parameters
    ----------
    columns : sequence of TableColumn
        What was learned of the columns, whose kind decides where the dtype has no room for the values.
    dtypes : sequence of str or None
        What `dtypes_of` returned in the fit.
    values : sequence of array of object of shape (n_rows,)
        Values of each column.
    make : callable
        See `in_dtype`.
    """
    found = []
    for column, dtype, own in zip(columns, dtypes or [""] * len(columns), values, strict=True):
        made: Any = own
        for wanted in (dtype, {Kind.NUMBER: "float64", Kind.TRUTH: "bool"}.get(column.kind, "")):
            if made is own and wanted:
                made = in_dtype(own, wanted, make)
        found.append(make(own, dtype=object) if made is own else made)
    return found


def stacked(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return columns as an array: of their dtype, if all have the same, else of objects."""
    same = len({column.dtype for column in columns}) == 1
    return np.stack(columns if same else [column.astype(object) for column in columns], axis=1)


def _name(dtype: Any) -> str:
    name = str(dtype)
    return name if _KNOWN.fullmatch(name) else ""


def _whole(value: Any) -> int | None:
    """Return the whole number that a number is, up to rounding; None if it is none."""
    if not isinstance(value, int | float | np.number) or not np.isfinite(value):
        return None
    nearest = round(float(value))
    return nearest if abs(value - nearest) <= _TOLERANCE * max(1.0, abs(nearest)) else None


def _is_same(made: Any, values: NDArray[np.object_]) -> bool:
    """Return whether a column holds the same values, and is missing where they are."""
    missing = np.array([value is None for value in values], np.bool_)
    known = made[~missing]
    if hasattr(made, "isna"):
        if not np.array_equal(np.asarray(made.isna()), missing):
            return False
    elif made.dtype.kind == "f":
        if not np.array_equal(np.isnan(made), missing):
            return False
    elif missing.any():
        return False
    if getattr(made.dtype, "kind", "") == "f" or str(made.dtype).startswith("Float"):
        return True  # a number is rounded
    return all(one == value for one, value in zip(known, values[~missing], strict=True))
