"""Error messages that name the row or column in which rows or targets in memory hold invalid values.

They extend the messages of scikit-learn, which only say that there are missing numbers, infinite numbers, or strings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.words import counted, listed
from rhohat.data.tables.cells import is_missing_label
from rhohat.data.tables.coding import look_like_dates

__all__ = ["naming_columns"]


@contextmanager
def naming_columns(**arrays: Any) -> Iterator[None]:
    """Add the row or column to error messages about missing numbers, infinite numbers, or strings.

    Parameters
    ----------
    **arrays : array-like
        The arrays that the block of the ``with`` statement checks, by their names in its error messages, such as ``X``.

    Raises
    ------
    ValueError
        If the block raises an error about one of the arrays. The message has the first line of that error, followed by
        the place of the invalid value; if no place is found, the error is raised again unchanged.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        found = next(filter(None, (_message(name, array, error) for name, array in arrays.items())), None)
        if found is None:
            raise
        raise ValueError(found) from error


def _message(name: str, array: Any, error: Exception) -> str | None:
    """Return a message that names the place of an invalid value, or None if the error is not about this array."""
    problem = str(error).splitlines()[0].rstrip(".") if str(error) else ""
    if "could not convert" in problem or type(error).__name__ == "DTypePromotionError":
        place = _not_numbers(name, array)
        if name == "y" and place is None and _as_floats(array) is None:
            place = "y holds texts, but a regressor predicts numbers; a classifier predicts categories."
        start = problem if "could not convert" in problem else "could not convert dates to float"
    elif name == "y" and (isinstance(error, TypeError) or "NaN" in problem) and "Input X" not in problem:
        place, start = _missing_targets(array), "Input y contains NaN"
    else:
        place, start = _place(name, array, problem), problem
    return place and f"{start}. {place}"


def _place(name: str, array: Any, problem: str) -> str | None:
    """Return a sentence with the place of a missing or infinite number, and advice; None if there is no such number."""
    if f"Input {name} contains" not in problem:
        return None
    numbers = _as_floats(array)
    if numbers is None:
        return None
    is_missing = "NaN" in problem
    wrong = np.argwhere(np.isnan(numbers) if is_missing else np.isinf(numbers))
    if len(wrong) == 0:
        return None
    place = f"row {wrong[0][0]}"
    if len(wrong[0]) == 2:
        names = getattr(array, "columns", range(numbers.shape[1]))
        place += f", column {list(names)[wrong[0][1]]!r}"
    if not is_missing:
        return f"The first infinite number is in {place}."
    how = ", for example with dropna()" if hasattr(array, "dropna") else ""
    return (
        f"The first missing value is in {place}. Fill in missing values, for example with rhohat.MeanImputer, or leave"
        f" out rows with missing values{how}."
    )


def _missing_targets(y: Any) -> str | None:
    """Return a sentence that says how many targets are missing, and what to do; None if none are."""
    missing = _are_missing(y)
    if not missing.any():
        return None
    rows: NDArray[np.bool_] = missing.reshape(len(missing), -1).max(axis=1)
    names = [getattr(y, "name", None)]
    if hasattr(y, "columns"):
        names = [one for one, lacks in zip(y.columns, missing.T, strict=True) if lacks.any()]
    what = "y" if names == [None] else f"the target{'s'[: len(names) - 1]} {listed([repr(name) for name in names])}"
    where = f"{int(rows.sum()):,} of {counted(len(rows), 'row')}, first in row {int(np.argmax(rows))}"
    how = ""
    if hasattr(y, "notna"):
        how = (
            f", for example with keep = y.notna(){'.all(axis=1)' if hasattr(y, 'columns') else ''}, X[keep] and y[keep]"
        )
    return f"There is no value of {what} in {where}. Leave these rows out of X and y{how}."


def _are_missing(y: Any) -> NDArray[np.bool_]:
    """Return whether each target is missing."""
    if hasattr(y, "isna"):
        return np.asarray(y.isna(), dtype=bool)
    values = np.asarray(y)
    if values.dtype.kind == "O":
        found = [value is None or (isinstance(value, float) and value != value) for value in values.flat]
        return np.array(found, dtype=bool).reshape(values.shape)
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, np.bool_)


def _not_numbers(name: str, table: Any) -> str | None:
    """Return a sentence that names the columns of a table that are no numbers, and what to do; None if all are."""
    columns = _columns_of(table)
    dates = [one for one, column in columns.items() if _are_dates(column)]
    texts = [one for one, column in columns.items() if one not in dates and _as_floats(column) is None]
    if not texts and not dates:
        return None
    held = [_held(texts, "texts"), _held(dates, "dates")]
    if texts:
        remedy = "put a rhohat.TablePreprocessor before the estimator in a pipeline, which makes numbers of texts"
        remedy += ", and turn dates into numbers, such as days" if dates else ""
    else:
        remedy = "turn dates into numbers, such as days"
    them = "it" if len(texts) + len(dates) == 1 else "them"
    how = f", for example with drop(columns={[one for one in columns if one in (*texts, *dates)]!r})"
    return (
        f"In {name}, {listed([one for one in held if one])}: {remedy}, or leave {them}"
        f" out{how if hasattr(table, 'columns') else ''}."
    )


def _held(names: Sequence[Any], what: str) -> str:
    if not names:
        return ""
    shown = ", ".join(map(repr, names))
    return f"the column {shown} holds {what}" if len(names) == 1 else f"the columns {shown} hold {what}"


def _columns_of(table: Any) -> dict[Any, Any]:
    """Return the columns of a frame by name, and those of an array of objects by number; none of anything else."""
    if hasattr(table, "columns") and hasattr(table, "__getitem__"):
        names = list(table.columns)
        own = [table.iloc[:, k] for k in range(len(names))] if hasattr(table, "iloc") else [table[n] for n in names]
        return dict(zip(names, own, strict=True))
    is_table = isinstance(table, np.ndarray) and table.ndim == 2
    return dict(enumerate(table.T)) if is_table else {}


def _are_dates(column: Any) -> bool:
    """Return whether a column holds dates or spans of time, or texts that are written like dates."""
    if getattr(column.dtype, "kind", "O") in "mM":
        return True
    known = [value for value in np.asarray(column, dtype=object) if not is_missing_label(value)]
    return all(isinstance(value, str) for value in known) and look_like_dates(known)


def _as_floats(values: Any) -> NDArray[np.float64] | None:
    try:
        if hasattr(values, "isna") and hasattr(values, "to_numpy"):
            return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None
