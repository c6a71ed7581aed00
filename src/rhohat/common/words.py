"""Numbers with their nouns, as sentences and pages have them."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, which is in the plural unless there is one.

    Parameters
    ----------
    number : int
    noun : str
        In the singular; its plural ends in "s".

    Examples
    --------
    >>> counted(1, "row"), counted(2500, "row"), counted(0, "unit")
    ('1 row', '2,500 rows', '0 units')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
