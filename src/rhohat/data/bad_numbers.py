"""Error messages that name the row or column in which rows or targets in memory hold invalid values.

They extend the messages of scikit-learn, which only say that there are missing numbers, infinite numbers, or strings.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

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
        If the block raises a ValueError. The message has the first line of that error, followed by the place of the
        invalid value; if no place is found, the error is raised again unchanged.
    """
    try:
        yield
    except ValueError as error:
        found = next(filter(None, (_place(name, array, str(error)) for name, array in arrays.items())), None)
        if found is None:
            raise
        raise ValueError(f"{str(error).splitlines()[0].rstrip('.')}. {found}") from error


def _place(name: str, array: Any, problem: str) -> str | None:
    """Return a sentence with the place of an invalid value and advice, or None if the error is not about this array."""
    if "could not convert" in problem:
        return _texts(name, array)
    if f"Input {name} contains" not in problem:
        return None
    try:
        numbers = np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError):
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
    first = f"The first missing value is in {place}."
    how = ", for example with dropna()" if hasattr(array, "dropna") else ""
    if name == "y":
        return f"{first} Leave out rows with missing values from X and y{how}."
    return (
        f"{first} Fill in missing values, for example with rhohat.MeanImputer, or leave out rows with missing"
        f" values{how}."
    )


def _texts(name: str, table: Any) -> str | None:
    """Return a sentence that names the columns of a table that contain strings, or None if no column does."""
    if not (hasattr(table, "columns") and hasattr(table, "__getitem__")):
        return None
    names = list(table.columns)
    columns = [table.iloc[:, k] for k in range(len(names))] if hasattr(table, "iloc") else [table[n] for n in names]
    texts = [one for one, column in zip(names, columns, strict=True) if not _are_numbers(column)]
    if not texts:
        return None
    them = "it" if len(texts) == 1 else "them"
    listed = ", ".join(map(repr, texts))
    held = f"column {listed} of {name} holds texts" if len(texts) == 1 else f"columns {listed} of {name} hold texts"
    return f"The {held}: leave {them} out, for example with drop(columns={texts!r}), or turn {them} into numbers."


def _are_numbers(column: Any) -> bool:
    try:
        np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return True
