"""Names of target columns, and checks of targets against the names and classes of a fitted estimator."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.data import RowSource

__all__ = ["check_labels", "listed", "names_of_targets", "warn_of_other_targets", "with_columns_of_the_fit"]

_MOST_SHOWN = 10


def names_of_targets(y: Any, rows: Any = None) -> tuple[str, ...] | None:
    """Return the names of the target columns if they are distinct strings, else None.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets; the columns of a DataFrame, and a Series, have names.
    rows : array-like or RowSource, default=None
        Rows that the targets belong to. Rows of a table that was opened with target columns have their names.

    Examples
    --------
    >>> import pandas as pd
    >>> names_of_targets(pd.Series([1, 2], name="price")), names_of_targets([1, 2])
    (('price',), None)
    """
    columns = getattr(y, "columns", None)
    if columns is None and isinstance(rows, RowSource) and rows.targets is not None and np.array_equal(y, rows.targets):
        columns = rows.target_names
    elif columns is None and hasattr(y, "to_numpy"):
        columns = [getattr(y, "name", None)]
    names = () if columns is None else tuple(columns)
    are_names = all(isinstance(name, str) and name for name in names) and len(set(names)) == len(names)
    return tuple(str(name) for name in names) if names and are_names else None


def with_columns_of_the_fit(y: Any, names: Sequence[str] | None) -> Any:
    """Return targets with their columns in the order of a fit, if the columns have names now and had names in the fit.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
    names : sequence of str or None
        Names of the target columns in the fit.

    Raises
    ------
    ValueError
        If the names differ from the names in the fit, unless there is a single target in both.

    Warns
    -----
    UserWarning
        If there is a single target in both, and the names differ.
    """
    ours = names_of_targets(y)
    if names is None or ours is None or ours == tuple(names):
        return y
    if len(ours) == len(names) == 1:
        warn_of_other_targets(ours[0], names[0])
        return y
    if set(ours) != set(names):
        raise ValueError(
            f"y must have the columns {listed(names)}, which the model was fitted to predict; got {listed(ours)}."
        )
    return np.asarray(y)[:, [ours.index(name) for name in names]]


def warn_of_other_targets(ours: str, fitted: str) -> None:
    """Warn that a single target has another name than the target of the fit."""
    warnings.warn(
        f"The model was fitted to predict {fitted!r}, but its predictions are compared with {ours!r}.", stacklevel=3
    )


def check_labels(
    labels: NDArray[Any], classes: NDArray[Any], source: str = "y", *, refuse_all_unknown: bool = True
) -> None:
    """Raise ValueError if no label is a class of a fitted classifier; warn if only some labels are classes.

    Parameters
    ----------
    labels : array of shape (n_samples,)
    classes : array of shape (n_classes,)
    source : str, default="y"
        What messages call the labels.
    refuse_all_unknown : bool, default=True
        Whether to raise an error if no label is a class; if False, there is only a warning, since a fold of a
        cross-validation may have other classes than the other folds.

    Raises
    ------
    ValueError
        If no label is a class, or if labels are strings and classes are numbers, or the reverse.

    Warns
    -----
    UserWarning
        If some labels are not classes.
    """
    labels = labels.ravel()
    if len(labels) == 0:
        return
    ours, theirs = _kind(labels), _kind(classes)
    if {ours, theirs} == {"numbers", "strings"}:
        raise ValueError(
            f"{source} has labels that are {ours}, such as {_shown(labels[0])}, but the model's classes are {theirs}:"
            f" {listed(classes)}. Pass labels of the same type as the classes."
        )
    unknown = np.flatnonzero(~np.isin(labels, classes))
    if len(unknown) == len(labels) and refuse_all_unknown:
        raise ValueError(
            f"none of the {len(labels):,} labels of {source} is a class of the model: the labels are"
            f" {listed(np.unique(labels))}, but the model's classes are {listed(classes)}."
        )
    if len(unknown):
        warnings.warn(
            f"{len(unknown)} of {len(labels)} labels are not classes of the model; the first of these labels is"
            f" {_shown(labels[unknown[0]])}, and the classes are {listed(classes)}. Rows with these labels count as"
            " wrong.",
            stacklevel=3,
        )


def _kind(labels: NDArray[Any]) -> str:
    """Return a phrase for the type of labels: "numbers", "strings", or "of several types"."""
    if labels.dtype.kind in "buif":
        return "numbers"
    if labels.dtype.kind in "UST":
        return "strings"
    if all(isinstance(label, str) for label in labels):
        return "strings"
    are_numbers = all(isinstance(label, bool | int | float | np.number | np.bool_) for label in labels)
    return "numbers" if are_numbers else "of several types"


def listed(values: Any) -> str:
    """Return the first few names or labels as a string, written as in Python.

    Examples
    --------
    >>> listed(["a", "b"]), listed(np.arange(30))
    ("'a', 'b'", '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … (30 in all)')
    """
    shown = ", ".join(_shown(value) for value in values[:_MOST_SHOWN])
    return shown if len(values) <= _MOST_SHOWN else f"{shown}, … ({len(values)} in all)"


def _shown(value: Any) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)
