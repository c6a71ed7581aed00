"""Where rows or targets in memory hold something else than finite numbers: said beside what scikit-learn says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["naming_columns"]


@contextmanager
def naming_columns(**arrays: Any) -> Iterator[None]:
    """Name the column in errors of numbers that are missing, infinite, or texts.

    Parameters
    ----------
    **arrays : array-like
        What is checked within the block, by the names that messages have for it.

    Raises
    ------
    ValueError
        With the first line of the error that the block raised, and where that is.
    """
    try:
        yield
    except ValueError as error:
        found = next(filter(None, (_place(name, array, str(error)) for name, array in arrays.items())), None)
        if found is None:
            raise
        raise ValueError(f"{str(error).splitlines()[0].rstrip('.')}. {found}") from error


def _place(name: str, array: Any, problem: str) -> str | None:
    """Return where an array has what an error complains of, and what to do; None where it has not."""
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
        return f"It is first in {place}."
    how = ", as with dropna()" if hasattr(array, "dropna") else ""
    if name == "y":
        return f"It is first in {place}. Leave such rows out of X and y{how}."
    return f"It is first in {place}. Fill it in, as with rhohat.MeanImputer, or leave such rows out{how}."


def _texts(name: str, table: Any) -> str | None:
    """Return which columns of a table hold texts."""
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
    return f"The {held}: leave {them} out, as with drop(columns={texts!r}), or turn {them} into numbers."


def _are_numbers(column: Any) -> bool:
    try:
        np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return True
