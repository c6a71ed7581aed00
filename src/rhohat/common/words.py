"""Numbers with their nouns, for use in sentences."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, noun: str) -> str:
    """Return a number followed by a noun, which is in the plural unless the number is 1.

    Parameters
    ----------
    number : int
    noun : str
        Noun in the singular, whose plural is formed with "s".

    Examples
    --------
    >>> counted(1, "row"), counted(2500, "row"), counted(0, "unit")
    ('1 row', '2,500 rows', '0 units')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
