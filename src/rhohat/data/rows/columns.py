"""Choice of the columns of a table to read: by name or number, or the columns that a model was fitted to."""

from __future__ import annotations

import difflib
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from numbers import Integral
from typing import Any, Protocol

import numpy as np

from rhohat.common.exceptions import SettingError
from rhohat.common.words import Sentence, Setting
from rhohat.data.tables.cells import TextFormat
from rhohat.data.tables.coding import Kind

__all__ = [
    "ColumnSelection",
    "Columns",
    "ColumnsOfAFit",
    "Reading",
    "TargetsOfAFit",
    "choose_columns",
    "remember_columns",
    "texts_among",
]

_MOST_NAMES_SHOWN = 30
_CLOSE = 0.7  # likeness of a name from which it is suggested in place of another


class ColumnSelection(Protocol):
    """Choice of the columns to read, made once the columns of a table are known; picklable and hashable."""

    @property
    def kinds(self) -> tuple[Kind, ...] | None:
        """What the columns to read held in the fit of a model, if it is known."""

    @property
    def names_expected(self) -> tuple[str, ...]:
        """Column names that the table must have if its columns have names."""

    def choose(self, names: Sequence[str] | None, n_columns: int, source: str) -> list[int]:
        """Return the numbers of the columns, in the order in which they are read.

        Parameters
        ----------
        names : sequence of str or None
            Names of all columns of the table, if they have names.
        n_columns : int
            Number of columns of the table.
        source : str
            Name of the table in messages.

        Raises
        ------
        ValueError
            If the table lacks one of the chosen columns.
        """


@dataclass(frozen=True)
class Columns:
    """Columns that the caller chose by name or number, or all columns except some.

    Parameters
    ----------
    wanted : tuple of str or int, or None
        Names or numbers of the columns to read; None means all columns.
    dropped : tuple of str or int, default=()
        Names or numbers of the columns to leave out.
    """

    wanted: tuple[str | int, ...] | None
    dropped: tuple[str | int, ...] = ()

    @property
    def kinds(self) -> tuple[Kind, ...] | None:
        """None, since there was no fit; see `ColumnSelection`."""
        return None

    @property
    def names_expected(self) -> tuple[str, ...]:
        """Columns to read or leave out that are given by name instead of number; see `ColumnSelection`."""
        return texts_among((*(self.wanted or ()), *self.dropped))

    def choose(self, names: Sequence[str] | None, n_columns: int, source: str) -> list[int]:
        """Return the numbers of the columns to read; see `ColumnSelection.choose`."""
        chosen = range(n_columns) if self.wanted is None else choose_columns(self.wanted, names, n_columns, source)
        left_out = set(choose_columns(self.dropped, names, n_columns, source)) if self.dropped else set()
        kept = [number for number in chosen if number not in left_out]
        if not kept:
            raise SettingError(
                Sentence(f"no column of {source} is left to be read; name fewer columns in ", Setting("drop"), ".")
            )
        return kept


@dataclass(frozen=True)
class Reading:
    """Record of how rows were read from a file, which a model keeps to read other files in the same way.

    Attributes
    ----------
    columns : tuple of int
        Numbers, from 0 on, of the columns that were read; a column that only numbers the rows is not counted.
    n_columns : int
        Number of columns of the file, counted in the same way.
    row_axes : int
        Number of leading axes of an array that count rows.
    text : TextFormat
        Format of a table of text, as far as the caller specified it.
    row_shape : tuple of int, or None
        Shape of a row before it was raveled, if it had several axes.
    targets : tuple of int, or None
        Numbers of the target columns, if there were any.
    """

    columns: tuple[int, ...]
    n_columns: int
    row_axes: int = 1
    text: TextFormat = field(default_factory=TextFormat)
    row_shape: tuple[int, ...] | None = None
    targets: tuple[int, ...] | None = None


@dataclass(frozen=True)
class ColumnsOfAFit:
    """The columns that a model was fitted to, found by name if model and table have names, else by number.

    Parameters
    ----------
    names : tuple of str or None
        Names of the columns in the fit, if they had names.
    n_features : int
        Number of input features of the model.
    reading : Reading or None
        Record of how the rows of the fit were read.
    said : frozenset of str, default=frozenset()
        Fields of `TextFormat` that the caller specifies for the text to be read now; the other fields have the values
        that they had in the fit.
    kinds : tuple of Kind, default=None
        What the columns held in the fit, if the model accepts tables that hold texts.
    """

    names: tuple[str, ...] | None
    n_features: int
    reading: Reading | None = None
    said: frozenset[str] = frozenset()
    kinds: tuple[Kind, ...] | None = None

    @property
    def remembered(self) -> dict[str, Any]:
        """Fields of the text format in the fit that differ from the default and that the caller does not specify."""
        said = {} if self.reading is None else asdict(self.reading.text)
        default = asdict(TextFormat())
        return {name: value for name, value in said.items() if value != default[name] and name not in self.said}

    @property
    def names_expected(self) -> tuple[str, ...]:
        """Names of the columns in the fit; see `ColumnSelection`."""
        return self.names or ()

    def choose(self, names: Sequence[str] | None, n_columns: int, source: str) -> list[int]:
        """Return the numbers of the columns to read; see `ColumnSelection.choose`."""
        if self.names is not None and names is not None:
            places = self._places_of_the_fit(n_columns)
            if places and max(places) < len(names) and [names[place] for place in places] == list(self.names):
                return places  # correct even if several columns have the same name
            known = set(names)
            missing = [name for name in self.names if name not in known]
            if missing:
                raise ValueError(
                    f"{source} lacks columns that the model was fitted to: {_listed(missing)}; its columns are"
                    f" {_listed(names)}.{_meant(missing, [name for name in names if name not in self.names])}"
                )
            return choose_columns(self.names, names, n_columns, source)
        if self._places_of_the_fit(n_columns):
            return self._places_of_the_fit(n_columns)
        if n_columns == self.n_features:
            return list(range(n_columns))
        fitted = f"rows of {self.n_features} columns"
        if self.reading is not None and self.reading.n_columns != self.n_features:
            fitted += f", taken from a table of {self.reading.n_columns} columns"
        raise ValueError(f"{source} has {n_columns} columns, but the model was fitted to {fitted}.")

    def check_targets(self, targets: Sequence[int], names: Sequence[str] | None, n_columns: int, source: str) -> None:
        """Raise ValueError if one of the target columns is an input of the model."""
        both = set(targets) & set(self.choose(names, n_columns, source))
        if both:
            place = min(both)
            column = f"column {place}" if names is None else repr(names[place])
            raise ValueError(f"{column} is an input of this model, so it cannot be the target too.")

    def _places_of_the_fit(self, n_columns: int) -> list[int]:
        """Return the column numbers of the fit if its table had `n_columns` columns; otherwise an empty list."""
        if self.reading is None or self.reading.n_columns != n_columns:
            return []
        return list(self.reading.columns)


@dataclass(frozen=True)
class TargetsOfAFit:
    """The columns that a model was fitted to predict, in the order of the fit, found by name, else by number.

    Parameters
    ----------
    said : tuple of str or int
        Names or numbers of the target columns, if the caller specifies them; otherwise the target columns of the fit
        are taken, if the table has all of them.
    names : tuple of str or None
        Names of the target columns in the fit, if they had names.
    reading : Reading or None
        Record of how the rows of the fit were read.
    """

    said: tuple[str | int, ...] = ()
    names: tuple[str, ...] | None = None
    reading: Reading | None = None

    @property
    def names_expected(self) -> tuple[str, ...]:
        """Specified target columns that are given by name instead of number; see `ColumnSelection`."""
        return texts_among(self.said)

    def choose(self, names: Sequence[str] | None, n_columns: int, source: str) -> list[int]:
        """Return the numbers of the target columns; an empty list if none are specified and the table lacks one."""
        places = self._places(names, n_columns)
        if not self.said:
            return places
        said = choose_columns(self.said, names, n_columns, source)
        if names is None or self.names is None:
            return places if set(said) == set(places) else said
        missing = [name for name in self.names if name not in {names[number] for number in said}]
        if not missing and len(said) == len(self.names):
            return places
        if len(said) == len(self.names) == 1:
            warnings.warn(
                f"The model was fitted to predict {self.names[0]!r}, but its predictions are compared with"
                f" {names[said[0]]!r}.",
                stacklevel=8,
            )
            return said
        raise ValueError(
            f"the model was fitted to predict {_listed(self.names)}; got {_listed([names[number] for number in said])}"
            + (f", so {_listed(missing)} is missing." if missing else ".")
        )

    def _places(self, names: Sequence[str] | None, n_columns: int) -> list[int]:
        """Return the numbers of the fit's target columns; an empty list if one is missing or cannot be identified."""
        if names is not None and self.names is not None:
            is_clear = all(list(names).count(name) == 1 for name in self.names)
            return [list(names).index(name) for name in self.names] if is_clear else []
        if self.reading is None or self.reading.targets is None or self.reading.n_columns != n_columns:
            return []
        return list(self.reading.targets)


def choose_columns(columns: Iterable[str | int], names: Sequence[str] | None, n_columns: int, source: str) -> list[int]:
    """Return the numbers of the columns that are requested by name or number, in the order of the request.

    If several columns have the same name, the name must be requested as often as it occurs, and then stands for all of
    these columns; otherwise it is ambiguous and therefore refused.

    Raises
    ------
    ValueError
        If there is no such column, a name is ambiguous, or no column is requested.
    """
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names or ()):
        places.setdefault(name, []).append(place)
    columns = list(columns)
    times = Counter(column for column in columns if isinstance(column, str))
    numbers: list[int] = []
    for column in columns:
        if isinstance(column, str) and column not in places and column.isdecimal():
            column = int(column)  # a command line passes numbers as strings
        if isinstance(column, str):
            found = places.get(column)
            if not found:
                raise SettingError(_unknown_name(column, names, source))
            if len(found) > 1 and times[column] != len(found):
                raise SettingError(
                    f"{source} has {len(found)} columns named {column!r}; choose among them by number, such as"
                    f" {found[0]}, or give them different names."
                )
            numbers.append(found.pop(0) if len(found) > 1 else found[0])
        elif isinstance(column, Integral) and -n_columns <= column < n_columns:
            numbers.append(int(column) % n_columns)
        else:
            raise SettingError(f"{source} has the columns 0 to {n_columns - 1}; there is no column {column!r}.")
    if not numbers:
        raise SettingError(Sentence(Setting("columns"), f" must name at least one column of {source}."))
    return numbers


def texts_among(columns: Iterable[str | int]) -> tuple[str, ...]:
    """Return the columns that are requested by name, without strings of digits, which are column numbers."""
    return tuple(column for column in columns if isinstance(column, str) and not column.isdecimal())


def remember_columns(fitted: Any, rows: Any) -> None:
    """Set the attributes of a fitted estimator or transformer that record the columns and row shape of a source."""
    if rows.coding is not None and not getattr(fitted, "takes_texts", False):
        raise ValueError(
            f"{rows.name} was opened with texts='code', so that its numbers may stand for texts, which"
            f" {type(fitted).__name__} cannot learn from; put a rhohat.TablePreprocessor before it, in a pipeline that"
            " rhohat.models.pipelines.fit_model fits."
        )
    fitted.n_features_in_ = rows.shape[1]
    for name in ("feature_names_in_", "reading_"):
        fitted.__dict__.pop(name, None)
    if rows.feature_names is not None:
        fitted.feature_names_in_ = np.array(rows.feature_names, dtype=object)
    if len(rows.row_shape) > 1:
        reading = rows.reading or Reading(tuple(range(rows.shape[1])), rows.shape[1])
        fitted.reading_ = replace(reading, row_shape=rows.row_shape)
    elif rows.reading is not None:
        fitted.reading_ = rows.reading


def _unknown_name(column: str, names: Sequence[str] | None, source: str) -> str:
    if names is None:
        return (
            f"{source} has no column named {column!r}; its columns have no names. Choose columns by number, from 0 on."
        )
    close = difflib.get_close_matches(column, names[:1000], 1, _CLOSE)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{source} has no column named {column!r}; its columns are {_listed(names)}.{hint}"


def _meant(missing: Sequence[str], others: Sequence[str]) -> str:
    """Return a sentence on other columns of a table that may be those that it lacks, by similar names; or nothing."""
    pairs = []
    for name in missing[:_MOST_NAMES_SHOWN]:
        names = {one.strip().lower(): one for one in others[:1000]}
        close = difflib.get_close_matches(name.strip().lower(), names, 1, _CLOSE)
        pairs += [f"{names[close[0]]!r} is {name!r}"] if close else []
    return f" Perhaps {' and '.join(pairs)}; rename {'it' if len(pairs) == 1 else 'them'}." if pairs else ""


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_MOST_NAMES_SHOWN]))
    return shown if len(names) <= _MOST_NAMES_SHOWN else f"{shown}, … ({len(names)} in all)"
