"""What is said of columns of a table from which nothing can be learned: dates, gaps, and nothing at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rhohat.common.words import Sentence, Setting, listed
from rhohat.data.tables.coding import Coding, Kind, look_like_dates

__all__ = ["examples_of_dates", "refuse_equal_names", "said_of_dates", "said_of_empty", "said_of_missing"]


def examples_of_dates(coding: Coding) -> dict[int, str]:
    """Return a value of each column of dates, or of texts that are all written like dates, by the column's number."""
    return {
        place: coding.examples.get(place) or texts[0]
        for place, (kind, texts) in enumerate(zip(coding.kinds, coding.texts, strict=True))
        if kind == Kind.DATE or look_like_dates(texts)
    }


def said_of_dates(examples: Mapping[str, str]) -> str:
    """Return what is said of columns of dates, given a value of each; an empty string if there are none."""
    if not examples:
        return ""
    such_as = {name: f"(such as {example!r})" for name, example in examples.items()}
    hold = f"the columns {listed([f'{name} {example}' for name, example in such_as.items()])} hold dates"
    if len(examples) == 1:
        ((name, example),) = such_as.items()
        hold = f"the column {name} holds dates {example}"
    return Sentence(
        f"{hold}, which are neither numbers nor categories. Leave {'it' if len(examples) == 1 else 'them'} out, for"
        " example with ",
        Setting("drop", None, "drop(columns=...)"),
        ", or turn the dates into numbers, such as the days since the first one, or the month.",
    )


def said_of_empty(names: Sequence[str]) -> str:
    """Return what is said of columns without any value; an empty string if there are none."""
    if not names:
        return ""
    said = f"there is no value at all in the columns {', '.join(names)}; leave them out, for example with "
    return Sentence(said, Setting("drop", None, "drop(columns=...)"), ".")


def said_of_missing(names: Sequence[str]) -> str:
    """Return what is said of columns in which values are missing; an empty string if there are none."""
    if not names:
        return ""
    return Sentence(
        f"values are missing (NaN) in the columns {', '.join(names)}. Pass ",
        Setting("missing", "impute"),
        " to fill them in, and to learn from where they are missing.",
    )


def refuse_equal_names(made: NDArray[np.object_]) -> None:
    """Raise ValueError if two columns of the result would have the same name."""
    names, counts = np.unique(made.astype(str), return_counts=True)
    if np.any(counts > 1):
        raise ValueError(
            f"several columns would be named {str(names[counts > 1][0])!r}; give the columns of the table different"
            " names."
        )
