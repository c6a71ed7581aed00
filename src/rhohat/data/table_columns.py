"""One column of a table with numbers or texts, as one or several columns of numbers, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.data.tables.coding import Kind

__all__ = ["RARE", "TableColumn"]

#: What stands for a rare text in the rows that `inverse_transform` makes.
RARE = "(rare)"


@dataclass(frozen=True)
class TableColumn:
    """What was learned of a column of a table, and how its values become numbers.

    A column of numbers or truth values becomes (value − shift) / scale; a column of texts becomes a column of 0 and 1
    for each category, and another one for rare texts, if there were any. If values were missing in the fit, the last
    column says whether the value is missing.

    Parameters
    ----------
    kind : Kind
        What the column holds.
    fill : float, default=0.0
        Number in the place of a missing one.
    shift, scale : float, default=0.0 and 1.0
        What is subtracted from numbers, and what they are divided by; the scale is positive.
    categories : tuple of str, default=()
        Texts that have a column of their own, sorted.
    has_rare : bool, default=False
        Whether there is a column for other texts.
    has_missing : bool, default=False
        Whether there is a column for missing values.
    rare : tuple of str or None, default=()
        The other texts, which share the column for rare ones; None if there were too many to remember.
    """

    kind: Kind
    fill: float = 0.0
    shift: float = 0.0
    scale: float = 1.0
    categories: tuple[str, ...] = ()
    has_rare: bool = False
    has_missing: bool = False
    rare: tuple[str, ...] | None = ()

    @property
    def n_values(self) -> int:
        """Number of columns without that for missing values."""
        return len(self.categories) + self.has_rare if self.kind == Kind.TEXT else 1

    @property
    def n_outputs(self) -> int:
        """Number of columns that this column becomes."""
        return self.n_values + self.has_missing

    def names(self, name: str) -> list[str]:
        """Return the names of the columns that a column of this name becomes.

        Examples
        --------
        >>> TableColumn(Kind.TEXT, categories=("female", "male"), has_missing=True).names("sex")
        ['sex=female', 'sex=male', 'sex (missing)']
        """
        texts = [f"{name}={category}" for category in self.categories] + [f"{name} {RARE}"] * self.has_rare
        values = texts if self.kind == Kind.TEXT else [name]
        return values + [f"{name} (missing)"] * self.has_missing

    def places_of(self, texts: Sequence[str]) -> NDArray[np.intp]:
        """Return, for each code of a text, the column that is 1; −1 if there is none, as the text is unknown."""
        known = {category: place for place, category in enumerate(self.categories)}
        other = len(self.categories) if self.has_rare else -1
        return np.array([known.get(text, other) for text in texts] or [other], dtype=np.intp)

    def encode(self, values: FloatArray, places: NDArray[np.intp], out: FloatArray) -> None:
        """Write the columns that values become.

        Parameters
        ----------
        values : array of shape (n_rows,)
            Numbers, or codes of texts; NaN for missing ones.
        places : array of int, of shape (n_codes,)
            For a column of texts, the result of `places_of`.
        out : array of shape (n_rows, n_outputs)
        """
        missing = np.isnan(values)
        if self.kind == Kind.TEXT:
            out[:] = 0
            chosen = np.where(missing, -1, places[np.where(missing, 0, values).astype(np.intp)])
            rows = np.flatnonzero(chosen >= 0)
            out[rows, chosen[rows]] = 1
        else:
            out[:, 0] = (np.where(missing, self.fill, values) - self.shift) / self.scale
        if self.has_missing:
            out[:, -1] = missing

    def decode(self, made: FloatArray) -> NDArray[np.object_]:
        """Return the values that columns stand for: None for missing ones, and the likeliest text of each row.

        Parameters
        ----------
        made : array of shape (n_rows, n_outputs)
            Columns that `encode` has made, or a reconstruction of them.
        """
        values = np.empty(len(made), dtype=object)
        if self.kind == Kind.TEXT:
            texts = np.array([*self.categories, *[RARE] * self.has_rare, *[None] * self.has_missing], dtype=object)
            values[:] = texts[made.argmax(axis=1)]
            values[made.max(axis=1) <= 0] = None  # an unknown text
            return values
        numbers = made[:, 0] * self.scale + self.shift
        if self.kind == Kind.TRUTH:
            values[:] = [bool(number > 0.5) for number in numbers]
        else:
            values[:] = numbers.astype(float)
        if self.has_missing:
            values[made[:, -1] > 0.5] = None
        return values
