"""Columns of tables that hold texts, truth values and dates beside numbers, as numbers: what their codes stand for."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.data.tables.cells import is_missing_label

__all__ = ["Coding", "Kind", "Vocabulary", "as_text", "code_column", "look_like_dates", "nearly_all_differ"]

_MOST_TEXTS = 100_000  # different texts of a column, each of which is kept in memory
_FEWEST_ROWS = 20  # in fewer rows, categories may differ by chance
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ]\d{1,2}:\d{2}.*)?|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})( \d{1,2}:\d{2}.*)?"
)


class Kind(StrEnum):
    """What a column of a table holds."""

    NUMBER = "number"
    TRUTH = "truth"
    TEXT = "text"
    DATE = "date"


@dataclass(frozen=True)
class Coding:
    """What the numbers in the columns of a coded table stand for; NaN stands for a missing value in every column.

    Attributes
    ----------
    kinds : tuple of Kind
        What each column holds: numbers, truth values as 0 and 1, texts, or dates, which are not coded but NaN.
    texts : tuple of tuple of str
        For each column of texts, the text that each code stands for; () for other columns.
    examples : dict of int to str
        A value of each column of dates, by the number of the column.
    """

    kinds: tuple[Kind, ...]
    texts: tuple[tuple[str, ...], ...]
    examples: dict[int, str] = field(default_factory=dict)

    def of(self, columns: Sequence[int]) -> Coding:
        """Return the coding of some columns, by their numbers."""
        return Coding(
            tuple(self.kinds[number] for number in columns),
            tuple(self.texts[number] for number in columns),
            {place: self.examples[number] for place, number in enumerate(columns) if number in self.examples},
        )


class Vocabulary:
    """The texts of one column, numbered in the order in which they are found.

    Parameters
    ----------
    column : str
        Name of the column in messages.
    """

    def __init__(self, column: str) -> None:
        self._column = column
        self._codes: dict[str, int] = {}

    @property
    def texts(self) -> tuple[str, ...]:
        """The text that each code stands for."""
        return tuple(self._codes)

    def encode(self, texts: Iterable[Any], n_texts: int) -> FloatArray:
        """Return the codes of texts, with NaN for missing ones.

        Raises
        ------
        ValueError
            If the column has more different texts than can be kept in memory with ease.
        """
        codes, known = np.full(n_texts, np.nan), self._codes
        for place, text in enumerate(texts):
            if not is_missing_label(text):
                codes[place] = known.setdefault(text, len(known))
        if len(known) > _MOST_TEXTS:
            raise ValueError(
                f"column {self._column} holds more than {_MOST_TEXTS:,} different texts, which are too many for"
                " categories; leave this column out."
            )
        return codes


def look_like_dates(texts: Sequence[str]) -> bool:
    """Return whether all texts are written like dates, and there is at least one.

    Examples
    --------
    >>> look_like_dates(["2024-02-29", "2024-03-01 12:30"]), look_like_dates(["3/1/24"]), look_like_dates(["1.5"])
    (True, True, False)
    """
    return bool(texts) and all(_DATE.fullmatch(text) for text in texts)


def nearly_all_differ(n_different: int, n_texts: int) -> bool:
    """Return whether a column has so many different texts that they are names or identifiers, and no categories.

    Examples
    --------
    >>> nearly_all_differ(90, 100), nearly_all_differ(5, 100), nearly_all_differ(5, 5)
    (True, False, False)
    """
    return n_texts >= _FEWEST_ROWS and 2 * n_different > n_texts


def code_column(values: Any, column: str, kind: Kind | None = None) -> tuple[Kind, FloatArray, tuple[str, ...], str]:
    """Return the kind of a column in memory, its numbers, the texts that they stand for, and a value if it has dates.

    Parameters
    ----------
    values : Series of pandas, or array of shape (n_samples,)
    column : str
        Name of the column in messages.
    kind : Kind, default=None
        The kind of the column in the fit, which decides whether numbers are texts; None means that it is found out.

    Raises
    ------
    ValueError
        If the column holds values that are neither numbers, truth values, texts nor dates.
    """
    found = _kind_of_dtype(values.dtype)
    if found in (Kind.NUMBER, Kind.TRUTH, Kind.DATE) and kind != Kind.TEXT:
        assert found is not None
        if found == Kind.DATE:
            return found, np.full(len(values), np.nan), (), str(next(iter(values)))
        return found, _as_floats(values), (), ""
    objects = _as_objects(values)
    known = [value for value in objects if not is_missing_label(value)]
    if found is None or found == Kind.DATE:
        found = _kind_of_values(known, column)
    if found == Kind.DATE:
        return found, np.full(len(values), np.nan), (), str(known[0])
    if found == Kind.TEXT or kind == Kind.TEXT:
        vocabulary = Vocabulary(column)
        codes = vocabulary.encode((None if is_missing_label(one) else as_text(one) for one in objects), len(objects))
        return Kind.TEXT, codes, vocabulary.texts, ""
    return found, np.array([np.nan if is_missing_label(one) else float(one) for one in objects]), (), ""


def as_text(value: Any) -> str:
    """Return a value of a column of texts as it stands in a table of text: a whole number has no decimal point.

    Examples
    --------
    >>> as_text(" north "), as_text(3.0), as_text(True)
    ('north', '3', 'True')
    """
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def _kind_of_dtype(dtype: Any) -> Kind | None:
    """Return the kind that a dtype tells; None if only the values can tell it."""
    if type(dtype).__name__ == "CategoricalDtype":
        return Kind.TEXT
    kind = getattr(dtype, "kind", "O")
    if kind in "mM" or type(dtype).__name__ == "PeriodDtype":
        return Kind.DATE
    if kind in "iuf":
        return Kind.NUMBER
    if kind == "b":
        return Kind.TRUTH
    return Kind.TEXT if kind in "US" else None


def _kind_of_values(known: Sequence[Any], column: str) -> Kind:
    if all(isinstance(value, bool | np.bool_) for value in known):
        return Kind.TRUTH if known else Kind.NUMBER
    if all(isinstance(value, Real | np.bool_) for value in known):
        return Kind.NUMBER
    if all(isinstance(value, datetime.date | datetime.time | datetime.timedelta | np.datetime64) for value in known):
        return Kind.DATE
    for value in known:
        if not isinstance(value, str | Real | np.bool_):
            raise ValueError(
                f"column {column} holds {value!r}, of the type {type(value).__name__}; a table may hold numbers, truth"
                " values and texts. Leave this column out, or turn it into one of these."
            )
    return Kind.TEXT


def _as_floats(values: Any) -> FloatArray:
    if hasattr(values, "to_numpy"):
        floats: FloatArray = values.to_numpy(dtype=np.float64, na_value=np.nan)
        return floats
    return np.asarray(values, dtype=np.float64)


def _as_objects(values: Any) -> NDArray[np.object_]:
    """Return values as objects, in which a missing value is None."""
    if hasattr(values, "notna"):
        values = values.astype(object).where(values.notna(), None).to_numpy()
    objects: NDArray[np.object_] = np.asarray(values, dtype=object)
    return objects
