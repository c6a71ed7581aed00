"""Which columns of the data make rows unusual: what a detector sees of a column of a table is joined again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import OneToOneFeatureMixin

from rhohat.common.arrays import FloatArray
from rhohat.data import RowSource, TablePreprocessor
from rhohat.data.tables.coding import Kind
from rhohat.estimators import AutoencoderDetector
from rhohat.models.pipelines import (
    feature_names_of,
    last_step_of,
    names_of_columns,
    open_model_rows,
    rows_of_last_step,
    steps_before,
)

__all__ = ["OwnColumns", "explain", "is_detector", "values_of_rows"]


@dataclass(frozen=True)
class OwnColumns:
    """The columns of the data that contributions belong to.

    Attributes
    ----------
    names : list of str
        Names of the columns; "column 0" and so on if they have no names.
    places : array of int, of shape (n_features,), or None
        Number of the column of the data from which each column comes that the detector sees. None if a step before it
        mixes columns, such as PCA; contributions then belong to the columns that the detector sees.
    """

    names: list[str]
    places: NDArray[np.intp] | None

    @classmethod
    def of(cls, model: Any, rows: RowSource) -> OwnColumns:
        """Return the columns of a fitted detector, or of a pipeline that ends in one; `rows` are its data."""
        steps, n_seen = steps_before(model), last_step_of(model).n_features_in_
        table = steps[0] if steps and isinstance(steps[0], TablePreprocessor) else None
        if not all(isinstance(step, OneToOneFeatureMixin) for step in (steps if table is None else steps[1:])):
            return cls(_named(feature_names_of(model), n_seen), None)
        places = np.arange(n_seen) if table is None else table.columns_of_outputs
        return cls(_named(names_of_columns(model, rows), int(places[-1]) + 1), places)

    def join(self, contributions: FloatArray) -> FloatArray:
        """Return contributions of the columns of the data: sums over what the detector sees of each of them."""
        if self.places is None or len(self.names) == len(self.places):
            return contributions
        joined = np.zeros((len(contributions), len(self.names)))
        for seen, place in enumerate(self.places):
            joined[:, place] += contributions[:, seen]
        return joined

    def contribution_blocks(self, model: Any, rows: RowSource) -> Iterator[FloatArray]:
        """Yield the contributions of the columns of the data to the errors of successive rows, some at a time."""
        return map(self.join, last_step_of(model).contribution_blocks(rows_of_last_step(model, rows)))


def explain(model: Any, X: Any) -> Any:
    """Return how much each column of the data contributes to the error of each row, by a detector or a pipeline.

    What a `TablePreprocessor` in a pipeline makes of a column of the table, such as a column of 0 and 1 for each
    category, is joined again: contributions are those of the columns of the table. Without one, they are those that
    `AutoencoderDetector.explain` returns.

    Parameters
    ----------
    model : fitted AutoencoderDetector, or Pipeline that ends in one
    X : DataFrame, array-like, path or RowSource of shape (n_samples, n_features)
        Rows before the preprocessing. The columns of a table with names may be in any order.

    Returns
    -------
    array of shape (n_samples, n_columns), float64; a DataFrame of pandas if X is one
        Contributions, not negative, which add up to the error of a row, ``-model.score_samples(X)``. If a step of the
        pipeline mixes columns, as PCA does, they are those of the columns that the detector sees.

    Raises
    ------
    ValueError
        If the model does not end in a detector, or X does not have the columns of the fit.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.pipeline import make_pipeline
    >>> import rhohat
    >>> table = pd.DataFrame({"city": ["Oslo", "Rome"] * 50, "coffees": [1.0, 4.0] * 50})
    >>> table.loc[7, "city"] = "Oslo"  # where nobody drinks so much coffee
    >>> model = make_pipeline(rhohat.TablePreprocessor(), rhohat.AutoencoderDetector(random_state=0)).fit(table)
    >>> explained = rhohat.explain(model, table)
    >>> explained.columns.tolist(), int(explained.sum(axis=1).idxmax())
    (['city', 'coffees'], 7)
    """
    if not is_detector(model):
        raise ValueError(f"model must be an AutoencoderDetector, or a Pipeline that ends in one; got {model!r}.")
    with ExitStack() as opened:
        rows = open_model_rows(model, X)
        if rows is not X:
            opened.enter_context(rows)
        columns = OwnColumns.of(model, rows)
        contributions = np.concatenate([block.copy() for block in columns.contribution_blocks(model, rows)])
    if hasattr(X, "iloc") and hasattr(X, "columns"):  # without an import of pandas
        return type(X)(contributions, index=X.index, columns=columns.names)
    return contributions


def is_detector(model: Any) -> bool:
    """Return whether a model is a detector, or a pipeline that ends in one."""
    return isinstance(last_step_of(model), AutoencoderDetector)


def values_of_rows(rows: RowSource, numbers: NDArray[np.intp]) -> NDArray[np.object_]:
    """Return the values of some rows as they stand in the data: numbers, truth values and texts, None if missing.

    Parameters
    ----------
    rows : RowSource
        The rows before the preprocessing.
    numbers : array of int
        Numbers of the rows to return, in ascending order.
    """
    found = np.asarray(rows.take(numbers), np.float64)
    values = found.astype(object)
    for place, kind in enumerate(rows.coding.kinds if rows.coding else ()):
        if kind == Kind.TEXT and rows.coding is not None:
            texts = np.array([*rows.coding.texts[place], None], dtype=object)
            values[:, place] = texts[np.where(np.isnan(found[:, place]), len(texts) - 1, found[:, place]).astype(int)]
        elif kind == Kind.TRUTH:
            values[:, place] = found[:, place] > 0
    values[np.isnan(found)] = None
    return values


def _named(names: list[str] | None, n_columns: int) -> list[str]:
    return [f"column {number}" for number in range(n_columns)] if names is None else list(names)
