"""Meaning of the cells in a table written as text: numbers, truth values, or missing values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rhohat.common.exceptions import SettingError
from rhohat.common.words import Sentence, Setting

__all__ = [
    "MISSING_LABELS",
    "MISSING_NUMBERS",
    "TRUTH_VALUES",
    "TextFormat",
    "how_to_treat_missing",
    "is_missing_label",
    "is_plain_number",
]

_NOT_A_NUMBER = {"NaN", "nan", "NAN", "-NaN", "-nan", "#N/A", "#NA", "#N/A N/A", "<NA>", "1.#QNAN", "-1.#IND"}

#: Strings that stand for a missing label. "None" is not among them, because many tables have a class of that name.
MISSING_LABELS = frozenset({"", "?", "NA", "N/A", "n/a", "NULL", "null", *_NOT_A_NUMBER})

#: Strings that stand for a missing number in a column whose other cells are numbers.
MISSING_NUMBERS = MISSING_LABELS | {"None", "-", "."}

#: Strings in columns of truth values, here in lower case, and the numbers that they stand for.
TRUTH_VALUES = {"true": 1.0, "false": 0.0}

_PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9]\d*)(\.\d*)?(e[-+]\d\d+)?|[-+]?\.\d+")


def is_missing_label(value: object) -> bool:
    """Return whether a label is missing: None, NaN, or a string that stands for a missing label.

    Examples
    --------
    >>> [is_missing_label(value) for value in (None, float("nan"), "", "?", "NA", "None", 0)]
    [True, True, True, True, True, False, False]
    """
    return value is None or value != value or (isinstance(value, str) and value.strip() in MISSING_LABELS)


def how_to_treat_missing(what: str) -> Sentence:
    """Return advice on tables with missing values, which are either "cells" of rows or "labels".

    Examples
    --------
    >>> how_to_treat_missing("labels")  # doctest: +ELLIPSIS
    "Nothing can be learned from such rows: pass missing='drop' to leave out all rows with missing values, or ..."
    """
    drop, keep = Setting("missing", "drop"), Setting("missing", "impute", "missing='keep' and rhohat.TablePreprocessor")
    if what == "labels":
        only = Setting("missing", "impute", "missing='keep'")
        return Sentence(
            "Nothing can be learned from such rows: pass ",
            *(drop, " to leave out all rows with missing values, or ", only),
            " to leave out only those without a target.",
        )
    leave_out = Sentence(
        "Fill in missing cells, pass ", drop, " to leave out rows with missing values, or train a model "
    )
    return Sentence(leave_out, "with ", keep, ", which fills them in and learns from where they were missing.")


def is_plain_number(text: str) -> bool:
    """Return whether a label is unambiguously a number: ``7``, ``-0.5``, or ``1e-05`` as programs write it.

    Codes such as ``007``, ``1E3``, ``0E8`` or ``E10`` remain strings, although some of them could be read as numbers.

    Examples
    --------
    >>> [is_plain_number(text) for text in ("7", "-0.5", "1e-05", "007", "1E3", "E10", "nan")]
    [True, True, True, False, False, False, False]
    """
    return _PLAIN_NUMBER.fullmatch(text) is not None


@dataclass(frozen=True)
class TextFormat:
    """Format of a table written as text, as far as the caller specifies it.

    Parameters
    ----------
    header : bool or None, default=None
        Whether the first line names the columns; None means that this is guessed.
    separator : str or None, default=None
        Character between cells; a space stands for any number of spaces. None means that the separator is guessed.
    decimal : str, default="."
        Character before the decimals of a number.
    thousands : str or None, default=None
        Character between groups of three digits, if there is one.
    encoding : str or None, default=None
        Encoding of the text. None means UTF-8, unless the first bytes are a byte order mark of UTF-16 or UTF-32.

    Raises
    ------
    ValueError
        If the separator, the decimal sign and the thousands separator are not different single characters, or the
        header or the encoding is invalid.
    """

    header: bool | None = None
    separator: str | None = None
    decimal: str = "."
    thousands: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        if self.header not in (True, False, None):
            raise SettingError(Sentence(Setting("header"), f" must be True, False or None; got {self.header!r}."))
        said = {"separator": self.separator, "decimal": self.decimal, "thousands": self.thousands}
        for what, sign in said.items():
            if sign is not None and not (isinstance(sign, str) and len(sign) == 1 and sign not in '"\r\n0123456789'):
                rule = f" must be a single character that is neither a digit nor a double quote; got {sign!r}."
                raise SettingError(Sentence(Setting(what), rule))
        signs = [sign for sign in said.values() if sign is not None]
        if len(set(signs)) < len(signs):
            raise SettingError(
                Sentence(
                    *(Setting("separator"), ", ", Setting("decimal"), " and ", Setting("thousands")),
                    f" must differ from one another; got {self.separator!r}, {self.decimal!r} and {self.thousands!r}.",
                )
            )
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
            except LookupError:
                rule = f" must be the name of an encoding that Python knows, such as 'latin-1'; got {self.encoding!r}."
                raise SettingError(Sentence(Setting("encoding"), rule)) from None

    def changed(self, said: Mapping[str, Any]) -> TextFormat:
        """Return the format with some fields replaced; a sign that would get two meanings keeps its new meaning.

        Examples
        --------
        >>> TextFormat(decimal=",", thousands=".").changed({"separator": ","})
        TextFormat(header=None, separator=',', decimal='.', thousands=None, encoding=None)
        """
        parts = {**asdict(self), **said}
        for name, default in (("separator", None), ("decimal", "."), ("thousands", None)):
            others = [parts[other] for other in ("separator", "decimal", "thousands") if other != name]
            if name not in said and parts[name] in [sign for sign in others if sign is not None]:
                parts[name] = default
        return TextFormat(**parts)

    def number(self, cell: str) -> float | None:
        """Return the number that a cell stands for: NaN if it is missing, and None if it is not a number."""
        cell = cell.strip()
        if cell in MISSING_NUMBERS:
            return float("nan")
        if cell.lower() in TRUTH_VALUES:
            return TRUTH_VALUES[cell.lower()]
        if "_" in cell:  # Python would accept it between digits
            return None
        if self.thousands is not None:
            cell = cell.replace(self.thousands, "")
        if self.decimal != ".":
            if "." in cell:
                return None
            cell = cell.replace(self.decimal, ".")
        try:
            return float(cell)
        except ValueError:
            return None
