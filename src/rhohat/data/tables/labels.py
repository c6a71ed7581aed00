"""Labels as tables have them: numbers where they are numbers beyond doubt, else texts; none of them missing."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.data.rows.columns import choose_columns
from rhohat.data.rows.positioned import PositionedFile
from rhohat.data.tables.cells import TextFormat, is_missing_label, is_plain_number
from rhohat.data.tables.dialect import find_dialect
from rhohat.data.tables.text import TextTable

__all__ = ["as_labels", "as_numbers_or_texts", "read_text_labels"]

_LONGEST_INTEGER = 18  # characters; any of them fits 64 bits


def as_labels(values: NDArray[np.object_], name: str) -> NDArray[Any]:
    """Return labels in the type that they have.

    Parameters
    ----------
    values : array of shape (n_samples, n_targets), of objects
        Texts, where they come from a text; else whatever a file of several types holds.
    name : str
        What they are called in messages.

    Returns
    -------
    array of shape (n_samples,) or, of several targets, (n_samples, n_targets)
        Texts become numbers, where every one is a plain number; see `is_plain_number`.

    Raises
    ------
    ValueError
        If one is missing.
    """
    for row, cells in enumerate(values):
        if any(map(is_missing_label, cells)):
            raise ValueError(
                f"y has missing values: {name} is empty in row {row}. Fill them in, or leave such rows out with"
                " missing='drop'."
            )
    columns = [as_numbers_or_texts(column) for column in values.T]
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)


def as_numbers_or_texts(values: Sequence[Any] | NDArray[np.object_]) -> NDArray[Any]:
    """Return an array of integers or floats where all texts are plain numbers, else of the values as they are.

    Examples
    --------
    >>> as_numbers_or_texts(["1", "-2"]), as_numbers_or_texts(["1", "0.5"])
    (array([ 1, -2]), array([1. , 0.5]))
    >>> as_numbers_or_texts(["1E3", "10"])
    array(['1E3', '10'], dtype='<U3')
    """
    if not all(isinstance(value, str) for value in values):
        return np.array(list(values))
    if all(map(is_plain_number, values)):
        is_whole = all(value.lstrip("+-").isdecimal() for value in values)
        if not is_whole:
            return np.array([float(value) for value in values])
        if max(map(len, values)) <= _LONGEST_INTEGER:  # longer ones, such as identifiers, would not stay different
            return np.array([int(value) for value in values])
    return np.array(list(values), dtype=np.str_)


def read_text_labels(
    file: PositionedFile, name: str, n_samples: int | None = None, column: str | None = None
) -> NDArray[Any]:
    """Return the labels in a file of text: of each line one, or several.

    Parameters
    ----------
    file : PositionedFile
        Left open.
    name : str
        What the file is called in messages.
    n_samples : int, default=None
        How many labels there should be, if that is known: it decides whether the first line is a label or a name.
    column : str, default=None
        The column that holds them, by name or number; None means all columns.

    Returns
    -------
    array of shape (n_labels,) or (n_labels, n_targets)
        Numbers where all are plain numbers, else texts; see `as_labels`.

    Raises
    ------
    ValueError
        If a label is missing, or it is no table of text.
    """
    separator = find_dialect(file, name, TextFormat()).separator
    said = TextFormat(separator="," if separator == " " else separator)  # a label such as New York is one
    table = TextTable(file, name, said)
    texts = table.read_texts()
    n_less = 0 if table.names is None else 1
    if n_samples is not None and len(texts) + n_less - n_samples in (0, 1):
        has_header = len(texts) + n_less > n_samples
    else:
        has_header = table.names is not None and not (n_less and _is_a_label(table.names, texts))
    if has_header != bool(n_less):
        table = TextTable(file, name, replace(said, header=has_header))
        texts = table.read_texts()
    for remark in table.remarks:
        warnings.warn(remark, stacklevel=3)
    if column is not None:
        chosen = choose_columns([column.removeprefix("/")], table.names, table.n_columns, name)
        texts = texts[:, chosen]
    return as_labels(texts, name)


def _is_a_label(names: Sequence[str], texts: NDArray[np.object_]) -> bool:
    """Return whether the first line of a lone column is a label as those below it, and no name."""
    if len(names) != 1 or any(map(is_plain_number, texts[:, 0])):
        return False
    times = Counter(texts[:, 0])
    return names[0] in times or min(times.values()) == 1
