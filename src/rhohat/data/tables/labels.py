"""Labels in tables: numbers if they are unambiguously numbers, else strings; no label may be missing."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.words import Sentence, counted
from rhohat.data.rows.positioned import PositionedFile
from rhohat.data.tables.cells import TextFormat, how_to_treat_missing, is_missing_label, is_plain_number
from rhohat.data.tables.dialect import find_dialect
from rhohat.data.tables.text import TextTable

__all__ = ["as_labels", "as_numbers_or_texts", "read_text_labels"]

_LONGEST_INTEGER = 18  # characters; every integer of this length fits into 64 bits
_MOST_CLASSES = 100


def as_labels(values: NDArray[np.object_], name: str, *, are_texts: bool = True) -> NDArray[Any]:
    """Return labels as an array of the type of their values.

    Parameters
    ----------
    values : array of shape (n_samples, n_targets), of objects
        The labels as they were read.
    name : str
        Name of the labels in messages.
    are_texts : bool, default=True
        Whether the labels come from a text file, in which numbers are strings too.

    Returns
    -------
    array of shape (n_samples,) or, of several targets, (n_samples, n_targets)
        Labels from a text file are converted by `as_numbers_or_texts`; others keep their type.

    Raises
    ------
    ValueError
        If a label is missing.
    """
    lacking = np.flatnonzero([any(map(is_missing_label, cells)) for cells in values])
    if len(lacking):
        where = f"{len(lacking):,} of {counted(len(values), 'row')}, first in row {lacking[0]}"
        problem = f"y has missing values: {name} has no value in {where}. "
        raise ValueError(Sentence(problem, how_to_treat_missing("labels")))
    columns = [as_numbers_or_texts(column) if are_texts else np.array(list(column)) for column in values.T]
    if len(columns) == 1:
        return columns[0]
    together = np.stack(columns, axis=1)
    if together.dtype.kind == "f" and any((together[:, k] != column).any() for k, column in enumerate(columns)):
        return values.astype(np.str_)  # integers that floats cannot represent, beside floats
    return together


def as_numbers_or_texts(texts: Sequence[str] | NDArray[np.object_]) -> NDArray[Any]:
    """Return an array of integers or floats if all strings are plain numbers, else an array of strings.

    They also remain strings if different strings would become equal numbers, such as versions 1.1 and 1.10, or if there
    are identifiers of more than 18 digits. More than 100 different numbers are taken for quantities, which may be
    written in several ways.

    Examples
    --------
    >>> as_numbers_or_texts(["1", "-2"]), as_numbers_or_texts(["1", "0.5"])
    (array([ 1, -2]), array([1. , 0.5]))
    >>> as_numbers_or_texts(["1E3", "10"])
    array(['1E3', '10'], dtype='<U3')
    """
    as_texts = np.array(list(texts), dtype=np.str_)
    if not all(map(is_plain_number, texts)):
        return as_texts
    is_whole = all(text.lstrip("+-").isdecimal() for text in texts)
    if is_whole and max(map(len, texts)) > _LONGEST_INTEGER:
        return as_texts
    numbers = np.array([(int if is_whole else float)(text) for text in texts])
    n_numbers = len(np.unique(numbers))
    keeps_apart = n_numbers == len(set(texts)) or n_numbers > _MOST_CLASSES
    return numbers if keeps_apart and np.isfinite(numbers).all() else as_texts


def read_text_labels(
    file: PositionedFile,
    name: str,
    n_samples: int | None = None,
    column: str | None = None,
    encoding: str | None = None,
) -> NDArray[Any]:
    """Return the labels in a text file, which has one or several labels in each line.

    Parameters
    ----------
    file : PositionedFile
        Open file with the labels, which stays open.
    name : str
        Name of the file in messages.
    n_samples : int, default=None
        Expected number of labels, if it is known: it decides whether the first line is a label or a name.
    column : str, default=None
        Name or number of the column that holds the labels; None means all columns.
    encoding : str, default=None
        See `rhohat.open_rows`.

    Returns
    -------
    array of shape (n_labels,) or (n_labels, n_targets)
        Numbers if all labels are plain numbers, else strings; see `as_numbers_or_texts`.

    Raises
    ------
    ValueError
        If a label is missing, or the file is not a table of text.
    """
    said = TextFormat(encoding=encoding)
    separator = find_dialect(file, name, said).separator
    said = replace(said, separator="," if separator == " " else separator)  # New York is one label
    table = TextTable(file, name, said)
    texts = table.read_texts(column)
    n_lines = len(texts) + (table.names is not None)
    if n_samples in (n_lines, n_lines - 1):
        has_header = n_lines > n_samples
    else:
        has_header = table.names is not None and not _is_a_label(table, texts)
    if has_header != (table.names is not None):
        table = TextTable(file, name, replace(said, header=has_header))
        texts = table.read_texts(column)
    for remark in table.remarks:
        warnings.warn(remark, stacklevel=3)
    return as_labels(texts, name)


def _is_a_label(table: TextTable, texts: NDArray[np.object_]) -> bool:
    """Return whether the supposed name of a single column is a label like those below it."""
    if table.names is None or table.n_cells != 1 or any(map(is_plain_number, texts[:, 0])):
        return False
    times = Counter(texts[:, 0])
    return table.names[0] in times or min(times.values()) == 1
