"""Advice on tables of text whose cells are no plain numbers: other notations of numbers, and dates."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rhohat.common.words import Sentence, Setting
from rhohat.data.tables.cells import TextFormat

__all__ = ["advice_on_numbers", "said_of_dates"]


def said_of_dates(dates: Sequence[str]) -> list[str | Setting]:
    """Return the parts of a sentence about columns that hold dates; none if there are none."""
    if not dates:
        return []
    hold = "column {} holds dates, which are" if len(dates) == 1 else "columns {} hold dates, which are"
    return [f" The {hold.format(', '.join(dates))} no categories; leave dates out with ", Setting("drop"), "."]


def advice_on_numbers(cells: Sequence[str], said: TextFormat) -> str:
    """Return advice on reading cells that look like numbers in another notation; empty for other cells."""
    if said.decimal != "." and any(re.fullmatch(r"[-+]?\d*\.\d+", cell) for cell in cells):
        return Sentence(
            "Numbers are read with ",
            Setting("decimal", said.decimal),
            "; if a point stands before the decimals, pass ",
            Setting("decimal", "."),
            ".",
        )
    with_commas = [cell for cell in cells if "," in cell]
    if with_commas and all(re.fullmatch(r"[-+]?[1-9]\d{0,2}(,\d{3})+", cell) for cell in with_commas):
        return Sentence(
            "If the comma stands between groups of three digits, pass ",
            Setting("thousands", ","),
            "; if it stands before the decimals, pass ",
            Setting("decimal", ","),
            ".",
        )
    if any(re.fullmatch(r"[-+]?\d{1,3}(\.\d{3})*,\d+", cell) for cell in cells):
        groups = Sentence(" and ", Setting("thousands", ".")) if any(cell.count(".") for cell in cells) else ""
        before = "If the comma stands before the decimals of a number, pass "
        return Sentence(before, Setting("decimal", ","), groups, ".")
    if any(re.fullmatch(r"[-+]?\d{1,3}([,.' ]\d{3})+([.,]\d+)?", cell) for cell in cells):
        sign = next(sign for cell in cells for sign in ",' ." if sign in cell)
        return Sentence("If the digits of a number are in groups of three, pass ", Setting("thousands", sign), ".")
    return ""
