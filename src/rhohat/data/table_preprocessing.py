"""Preprocessing of tables: numbers are scaled, texts one-hot encoded, and missing values imputed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags, check_array
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from rhohat.common.arrays import FloatArray
from rhohat.common.extras import import_extra
from rhohat.common.fitted import FittedAttributes
from rhohat.common.pieces import refuse_pieces
from rhohat.common.words import Sentence, Setting, joined
from rhohat.data.rows import RowSource, open_rows, remember_columns
from rhohat.data.rows.columns import ColumnsOfAFit
from rhohat.data.rows.objects import open_coded
from rhohat.data.table_columns import TableColumn
from rhohat.data.table_dtypes import dtypes_of, in_dtypes, stacked
from rhohat.data.table_file import KEYS_OF_TABLE, describe_table, restore_table
from rhohat.data.table_novelties import said_of_novelties
from rhohat.data.table_problems import (
    examples_of_dates,
    refuse_equal_names,
    said_of_dates,
    said_of_empty,
    said_of_missing,
)
from rhohat.data.table_statistics import ColumnStatistics, statistics_of
from rhohat.data.tables.coding import Coding, Kind, nearly_all_differ

__all__ = ["TablePreprocessor"]

_MOST_RARE = 10_000  # rare texts of a column up to which they are remembered, so that new ones can be told from them


class TablePreprocessor(FittedAttributes, TransformerMixin, BaseEstimator):
    """Turn a table of numbers, truth values and texts into numbers between 0 and 1 that an autoencoder can learn.

    Numbers are scaled, truth values become 0 and 1, and a column of texts becomes a column of 0 and 1 for each of its
    categories (one-hot). A missing number is replaced with the mean of its column; a missing text is no category. If
    values of a column were missing in the fit, an additional column is 1 where they are missing, and 0 elsewhere.
    Texts that are rarer than `min_frequency`, or too many for `max_categories`, share a column, "NAME (rare)". A text
    that was not there in the fit counts as rare; if the fit had no rare texts, it is 0 in all columns.

    The columns are the same as those of scikit-learn's `MinMaxScaler` or `StandardScaler`, of `SimpleImputer` with
    ``add_indicator=True``, and of `OneHotEncoder` with ``handle_unknown="infrequent_if_exist"``, joined by
    `ColumnTransformer`. But tables in files are read block by block, and model files hold the result.

    Parameters
    ----------
    scale : {"minmax", "standard", "none"}, default="minmax"
        How numbers are scaled: to the range from 0 to 1, to a mean of 0 and a variance of 1, or not at all. Truth
        values and categories are 0 and 1 in any case.
    missing : {"impute", "error"}, default="impute"
        How missing values are treated: they are imputed as described above, or refused.
    max_categories : int, default=50
        Largest number of columns for the texts of one column, at least 1, with that of rare texts.
    min_frequency : int, default=2
        Number of rows, at least 1, in which a text must be found in the fit to be a category of its own.

    Attributes
    ----------
    columns_ : tuple of TableColumn
        What was learned of each column of the table: its kind, its scale, and its categories.
    dtypes_ : tuple of str or None
        Names of the dtypes of the columns, which `inverse_transform` gives them back in; "" for objects and dtypes
        that are not given back. None for rows from files.
    n_features_in_ : int
        Number of columns of the table.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Names of the columns. It exists only if the table has names that are all strings.

    Raises
    ------
    ValueError
        From `fit`, if columns hold dates or nothing at all, if numbers are infinite, or, with ``missing="error"``, if
        values are missing; from `transform`, if columns hold texts where the fit had numbers. The message names all
        such columns.

    Warns
    -----
    UserWarning
        From `fit`, if nearly every row has a text of its own in some columns, from which nothing can be learned; from
        `transform`, unless X is a row source, if columns hold texts that the fit did not have, or gaps where it had
        none.

    See Also
    --------
    MeanImputer : Fill in missing numbers only.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"age": [30.0, None, 50.0, 40.0], "city": ["Oslo", "Rome", "Rome", "Oslo"]})
    >>> preprocessor = TablePreprocessor().fit(table)
    >>> list(preprocessor.get_feature_names_out())
    ['age', 'age (missing)', 'city=Oslo', 'city=Rome']
    >>> preprocessor.transform(table)
    array([[0. , 0. , 1. , 0. ],
           [0.5, 1. , 0. , 1. ],
           [1. , 0. , 0. , 1. ],
           [0.5, 0. , 1. , 0. ]])
    """

    takes_texts: ClassVar[bool] = True
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "scale": [StrOptions({"minmax", "standard", "none"})],
        "missing": [StrOptions({"impute", "error"})],
        "max_categories": [Interval(Integral, 1, None, closed="left")],
        "min_frequency": [Interval(Integral, 1, None, closed="left")],
    }
    _set_by_fit: ClassVar[str] = "columns_"

    columns_: tuple[TableColumn, ...]
    dtypes_: tuple[str, ...] | None
    n_features_in_: int

    def __init__(
        self, scale: str = "minmax", missing: str = "impute", max_categories: int = 50, min_frequency: int = 2
    ) -> None:
        self.scale = scale
        self.missing = missing
        self.max_categories = max_categories
        self.min_frequency = min_frequency

    def fit(self, X: ArrayLike | RowSource, y: object = None) -> Self:
        """Learn the scales of numbers and the categories of texts.

        Parameters
        ----------
        X : DataFrame, array-like or RowSource of shape (n_samples, n_features)
            The table: a frame of pandas, or one that has a method `to_pandas`; an array of numbers or of objects; or
            what ``open_rows(path, texts="code", missing="keep")`` returns.
        y : ignored

        Returns
        -------
        self
        """
        self._validate_params()
        rows = self._open(X, kinds=None)
        coding = _coding_of(rows)
        names = _names(rows)
        found = statistics_of(rows, coding)
        dates = examples_of_dates(coding)
        problems = [said_of_dates({names[place]: example for place, example in dates.items()})]
        others = {name: one for place, (name, one) in enumerate(zip(names, found, strict=True)) if place not in dates}
        problems.append(said_of_empty([name for name, column in others.items() if column.n_known == 0]))
        if self.missing == "error":
            problems.append(said_of_missing([name for name, one in others.items() if one.n_missing and one.n_known]))
        if any(problems):
            raise ValueError(joined([problem for problem in problems if problem], " "))
        self.dtypes_ = dtypes_of(X.to_pandas() if hasattr(X, "to_pandas") and not hasattr(X, "iloc") else X)
        self.columns_ = tuple(
            self._column(kind, column, texts)
            for kind, column, texts in zip(coding.kinds, found, coding.texts, strict=True)
        )
        self._warn_of_names(names, found)
        refuse_equal_names(self.get_feature_names_out())
        return self

    def transform(self, X: ArrayLike | RowSource) -> Any:
        """Turn the rows of a table into numbers.

        Parameters
        ----------
        X : DataFrame, array-like or RowSource of shape (n_samples, n_features)
            A table with the columns of the fit.

        Returns
        -------
        array of shape (n_samples, n_outputs), float64, or RowSource
            If X is a row source, the result is one, too, which transforms rows when they are read.
        """
        check_is_fitted(self)
        rows = self._open(X, kinds=tuple(column.kind for column in self.columns_))
        coding, names = _coding_of(rows), _names(rows)
        self._refuse_other_kinds(coding, names)
        encoder = _Encoder(self.columns_, coding, names if self.missing == "error" else None)
        if isinstance(X, RowSource):
            return open_rows(rows, transform=encoder)
        made = encoder(rows.read(0, len(rows)))
        if said := said_of_novelties(self.columns_, rows):
            warnings.warn(said, stacklevel=3)
        return made

    def inverse_transform(self, X: ArrayLike) -> Any:
        """Return rows of the table: numbers in their own units, and of each column of texts the likeliest one.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_outputs)
            Transformed rows, or reconstructions of such rows.

        Returns
        -------
        DataFrame, or array of objects, of shape (n_samples, n_features)
            The rows; a frame if the columns have names, with the index of X if that is a frame. A column has the dtype
            that it had in the table of the fit, if all its values have a place there: reconstructions lie between
            integers, so that they are float64, and so are the numbers of a table from a file. Rare texts are "(rare)".
            A value is missing where the column of missing values is above 0.5, and a text also where no category is
            above 0.
        """
        made = self._as_transformed(X)
        edges = np.cumsum([0, *(column.n_outputs for column in self.columns_)])
        values = [
            column.decode(made[:, start : start + column.n_outputs])
            for column, start in zip(self.columns_, edges[:-1], strict=True)
        ]
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            return stacked(in_dtypes(self.columns_, self.dtypes_, values, np.asarray))
        pandas = import_extra("pandas", "tables")
        index = getattr(X, "index", None) if hasattr(X, "iloc") else None
        frame = pandas.concat(in_dtypes(self.columns_, self.dtypes_, values, pandas.Series), axis=1)
        frame.columns = list(names)
        return frame if index is None else frame.set_axis(index, axis=0)

    def unscale(self, X: ArrayLike) -> FloatArray:
        """Return transformed rows with the numbers in their own units, and the other columns as they are.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_outputs)
            Transformed rows, or reconstructions of such rows.

        Returns
        -------
        array of shape (n_samples, n_outputs), float64
        """
        made = self._as_transformed(X).copy()
        start = 0
        for column in self.columns_:
            if column.kind == Kind.NUMBER:
                made[:, start] = made[:, start] * column.scale + column.shift
            start += column.n_outputs
        return made

    def _as_transformed(self, X: ArrayLike) -> FloatArray:
        """Return rows as an array; raise ValueError if they do not have the columns that `transform` makes."""
        check_is_fitted(self)
        made: FloatArray = np.asarray(check_array(X, dtype=np.float64, input_name="X"))
        if made.shape[1] != self._n_features_out:
            raise ValueError(f"X must have {self._n_features_out} columns, as transform returns; got {made.shape[1]}.")
        return made

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
        """Return the names of the columns that `transform` makes.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of the table, if the fit had none; otherwise they must be those of the fit.

        Returns
        -------
        array of str, of shape (n_outputs,)
            Such as "age", "age (missing)", "sex=female" and "sex (rare)".
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        made = [one for name, column in zip(names, self.columns_, strict=True) for one in column.names(str(name))]
        return np.array(made, dtype=object)

    @property
    def columns_of_outputs(self) -> NDArray[np.intp]:
        """Number of the column of the table that each column of the result comes from, of shape (n_outputs,)."""
        check_is_fitted(self)
        return np.repeat(np.arange(len(self.columns_)), [column.n_outputs for column in self.columns_])

    @property
    def _n_features_out(self) -> int:
        return sum(column.n_outputs for column in self.columns_)

    def _open(self, X: Any, kinds: tuple[Kind, ...] | None) -> RowSource:
        """Return a table as coded rows; `kinds` are those of the fit, or None in a fit."""
        if isinstance(X, RowSource):
            if kinds is None:
                remember_columns(self, X)
            elif X.shape[1] != self.n_features_in_:
                raise ValueError(
                    f"{X.name} has {X.shape[1]} columns, but {type(self).__name__} was fitted to rows of"
                    f" {self.n_features_in_} columns."
                )
            return X
        if hasattr(X, "dask"):
            raise ValueError("a table of Dask cannot be read here; read its files with rhohat.open_rows instead.")
        if not hasattr(X, "iloc") and hasattr(X, "to_pandas"):
            X = X.to_pandas()
        if hasattr(X, "iloc") and getattr(X, "ndim", 2) == 2:
            validate_data(self, X, skip_check_array=True, reset=kinds is None)
            if 0 in X.shape:
                raise ValueError(f"X has the shape {X.shape}; there must be at least one row and one column.")
        else:
            refuse_pieces(X)
            shape = np.shape(X) if isinstance(X, list | tuple | np.ndarray) else ()
            if len(shape) > 2:
                raise ValueError(f"X must be a table, with two axes, rows and columns; it has the shape {shape}.")
            X = validate_data(self, X, dtype=None, ensure_all_finite="allow-nan", reset=kinds is None)
        rows = open_coded(X, ColumnsOfAFit(None, X.shape[1], kinds=kinds))
        if kinds is None:
            self.__dict__.pop("reading_", None)
            if rows.reading is not None:
                self.reading_ = rows.reading
        return rows

    def _column(self, kind: Kind, found: ColumnStatistics, texts: Sequence[str]) -> TableColumn:
        """Return what a column becomes, from its statistics."""
        has_missing = found.n_missing > 0
        if kind == Kind.TEXT:
            categories, has_rare = self._categories(found, texts)
            own = set(categories)
            rare = [text for count, text in zip(found.counts, texts, strict=True) if count and text not in own]
            remembered = tuple(sorted(rare)) if len(rare) <= _MOST_RARE else None
            return TableColumn(kind, 0.0, 0.0, 1.0, categories, has_rare, has_missing, remembered)
        if kind == Kind.TRUTH or self.scale == "none":
            return TableColumn(kind, fill=found.mean, has_missing=has_missing)
        width = found.largest - found.smallest if self.scale == "minmax" else found.deviation
        if not np.isfinite(width):
            raise ValueError("the numbers of a column range further than float64 can tell; divide them by a constant.")
        shift = found.smallest if self.scale == "minmax" else found.mean
        return TableColumn(kind, found.mean, shift, float(width) if width > 0 else 1.0, has_missing=has_missing)

    def _categories(self, found: ColumnStatistics, texts: Sequence[str]) -> tuple[tuple[str, ...], bool]:
        """Return the texts that have a column of their own, and whether there are others."""
        often = [(-count, text) for count, text in zip(found.counts, texts, strict=True) if count >= self.min_frequency]
        has_rare = len(often) < int(np.count_nonzero(found.counts))
        if len(often) + has_rare > self.max_categories:
            often, has_rare = sorted(often)[: self.max_categories - 1], True
        return tuple(sorted(text for _, text in often)), has_rare

    def _warn_of_names(self, names: Sequence[str], found: Sequence[ColumnStatistics]) -> None:
        """Warn of columns of texts whose texts are nearly all rare, such as names and identifiers."""
        unlearnable = [
            name
            for name, column, learned in zip(names, found, self.columns_, strict=True)
            if learned.kind == Kind.TEXT and nearly_all_differ(int(np.count_nonzero(column.counts)), column.n_known)
        ]
        if unlearnable:
            warnings.warn(
                Sentence(
                    f"nearly every row has a text of its own in the columns {', '.join(unlearnable)}, such as a name or"
                    " an identifier, from which nothing can be learned; leave them out, for example with ",
                    Setting("drop"),
                    ".",
                ),
                stacklevel=3,
            )

    def _refuse_other_kinds(self, coding: Coding, names: Sequence[str]) -> None:
        """Raise ValueError if columns hold texts or dates where the fit had numbers, or the other way around."""
        wrong = [
            f"column {name} holds {kind}s, but it held {column.kind}s in the fit"
            for name, kind, column in zip(names, coding.kinds, self.columns_, strict=True)
            if (kind == Kind.TEXT) != (column.kind == Kind.TEXT) or kind == Kind.DATE
        ]
        if wrong:
            raise ValueError(f"the table differs from that of the fit: {'; '.join(wrong)}.")

    def _describe_learned(self, file: Any, prefix: str) -> dict[str, Any]:
        """Return what was learned as JSON, with the scales and the categories as tensors; see docs/model-file.md."""
        return describe_table(self.columns_, self.dtypes_, file, prefix)

    _keys_of_learned: ClassVar[tuple[str, ...]] = KEYS_OF_TABLE

    def _restore_learned(self, file: Any, described: dict[str, Any], prefix: str) -> None:
        self.columns_, self.dtypes_ = restore_table(file, described, prefix)
        self.n_features_in_ = len(self.columns_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "impute"
        tags.input_tags.string = tags.input_tags.categorical = True
        return tags


class _Encoder:
    """Function from coded rows to numbers; `names` of the columns are given if missing values are refused."""

    def __init__(self, columns: Sequence[TableColumn], coding: Coding, names: Sequence[str] | None) -> None:
        self._columns, self._names = columns, names
        self._places = [column.places_of(texts) for column, texts in zip(columns, coding.texts, strict=True)]
        self._edges = np.cumsum([0, *(column.n_outputs for column in columns)])

    def __call__(self, rows: FloatArray) -> FloatArray:
        if self._names is not None:
            missing: Any = np.isnan(rows).any(axis=0)
            said = said_of_missing([name for name, lacks in zip(self._names, missing, strict=True) if lacks])
            if said:
                raise ValueError(said)
        made = np.empty((len(rows), self._edges[-1]))
        for number, column in enumerate(self._columns):
            start, stop = self._edges[number], self._edges[number + 1]
            column.encode(rows[:, number].astype(np.float64), self._places[number], made[:, start:stop])
        return made


def _coding_of(rows: RowSource) -> Coding:
    """Return what the numbers of rows stand for: numbers, unless they say something else."""
    n_columns = rows.shape[1]
    return rows.coding or Coding((Kind.NUMBER,) * n_columns, ((),) * n_columns)


def _names(rows: RowSource) -> list[str]:
    """Return the names of columns in messages."""
    return [repr(name) for name in rows.feature_names or range(rows.shape[1])]
