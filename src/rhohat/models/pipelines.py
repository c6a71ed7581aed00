"""Functions that fit and apply models to rows of any source; a model is an estimator or a pipeline ending in one.

scikit-learn's `Pipeline` passes arrays from step to step. The functions of this module pass row sources instead, so
that a model can be fitted to more rows than fit in memory, and its network receives the preprocessed rows of a file
block by block.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import asdict, fields
from os import PathLike
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import OneToOneFeatureMixin
from sklearn.utils.validation import check_is_fitted

from rhohat.common.arrays import FloatArray
from rhohat.data import (
    ActivationScaler,
    MeanImputer,
    PatchNormalizer,
    RangeScaler,
    RowSource,
    TablePreprocessor,
    ZCAWhitening,
    open_rows,
    open_table,
)
from rhohat.data.ranges import some_rows, warn_of_other_scale
from rhohat.data.rows import ColumnsOfAFit, TargetsOfAFit, remember_columns
from rhohat.data.tables.cells import TextFormat
from rhohat.estimators.estimator import Estimator
from rhohat.estimators.scaled_autoencoder import ScaledAutoencoder
from rhohat.estimators.shaped_rows import ShapedRows, padded_for
from rhohat.models.components import transformers

__all__ = [
    "encode_blocks",
    "estimator_of",
    "feature_names_of",
    "fills_in_missing",
    "fit_model",
    "is_pipeline",
    "last_step_of",
    "names_of_columns",
    "open_model_rows",
    "prepare_rows",
    "prepared_block",
    "preprocessing_of",
    "reconstruct_blocks",
    "row_shape_of",
    "rows_of_last_step",
    "steps_before",
    "suggest_preprocessing",
]

_Model = TypeVar("_Model")

_MOST_COLUMNS_OF_A_TABLE = 64  # more columns without names, of single precision, are taken for activations


def is_pipeline(model: Any) -> bool:
    """Return whether a model is a scikit-learn `Pipeline`, without importing the module of `Pipeline`."""
    module = sys.modules.get("sklearn.pipeline")
    return module is not None and isinstance(model, module.Pipeline)


def last_step_of(model: Any) -> Any:
    """Return the model itself, or the last step of a pipeline.

    Raises
    ------
    ValueError
        If this is no estimator of rhohat.
    """
    last = model.steps[-1][1] if is_pipeline(model) else model
    if not isinstance(last, Estimator):
        raise ValueError(f"model must be an estimator of rhohat, or a Pipeline that ends in one; got {model!r}.")
    return last


def estimator_of(model: Any) -> Any:
    """Return the estimator of a model: the last step, or, of a fitted detector, the autoencoder in it.

    A fitted detector counts as a pipeline of its scaler and its autoencoder.

    Raises
    ------
    ValueError
        If the model is neither an estimator of rhohat nor a pipeline that ends in one.
    """
    last = last_step_of(model)
    return last.autoencoder_ if _is_fitted_detector(last) else last


def preprocessing_of(model: Any) -> list[Any]:
    """Return the fitted or unfitted transformers that precede the estimator of a model, in order."""
    last = last_step_of(model)
    scaler = last.scaler_ if _is_fitted_detector(last) else None
    return [*steps_before(model), *([] if scaler is None else [scaler])]


def steps_before(model: Any) -> list[Any]:
    """Return the transformers that precede the last step of a model."""
    if not is_pipeline(model):
        return []
    return [step for _, step in model.steps[:-1] if step is not None and step != "passthrough"]


def _is_fitted_detector(last: Any) -> bool:
    return isinstance(last, ScaledAutoencoder) and hasattr(last, "autoencoder_")


def _first_step_of(model: Any) -> Any:
    """Return the step of a model that sees the rows as they are, and knows their columns."""
    return [*steps_before(model), last_step_of(model)][0]


def feature_names_of(model: Any) -> list[str] | None:
    """Return the names of the input features of a fitted model's network, or None if the names are not known."""
    steps = preprocessing_of(model)
    if not all(isinstance(step, OneToOneFeatureMixin) for step in _after_table(steps)):
        return None
    if len(_after_table(steps)) < len(steps):
        return [str(name) for name in steps[0].get_feature_names_out()]
    names = getattr(_first_step_of(model), "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def names_of_columns(model: Any, rows: RowSource) -> list[str] | None:
    """Return the names of the columns of the rows that a fitted model takes; None if neither of them knows any."""
    steps = preprocessing_of(model)
    if len(_after_table(steps)) == len(steps):
        return feature_names_of(model) or rows.feature_names
    names = getattr(steps[0], "feature_names_in_", rows.feature_names)
    return None if names is None else [str(name) for name in names]


def row_shape_of(model: Any) -> tuple[int, ...]:
    """Return the shape of each row of the fit, as input of the network, before the row was flattened.

    The shape is (n_features,) if the rows were flat or if their shape is not known.
    """
    estimator = estimator_of(model)
    reading = getattr(estimator, "reading_", None)
    return (estimator.n_features_in_,) if reading is None or reading.row_shape is None else reading.row_shape


def open_model_rows(model: Any, data: Any, *, target: Any = None, find_targets: bool = False, **how: Any) -> RowSource:
    """Open rows for a fitted model, with the columns of a table and the file format that were used in its fit.

    Parameters
    ----------
    model : fitted estimator or Pipeline
    data : path, array, DataFrame, Dask array or RowSource
        Anything that `rhohat.open_rows` opens; for a model of sequences, also a list of arrays of unequal length.
    target : str, int or sequence of these, default=None
        Columns of a table that hold the targets, which become the attribute `targets` of the rows. They are put in the
        order of the fit if the model knows the names or the numbers of its target columns.
    find_targets : bool, default=False
        Whether to read the target columns of the fit if `target` is None and `data` is a table with these columns.
    **how
        Keyword arguments of `rhohat.open_rows` for reading a file, if they differ from the arguments in the fit.

    Returns
    -------
    RowSource

    Raises
    ------
    NotFittedError
        If the model's estimator is not fitted.
    ValueError
        If the data lack a column of the fit, if a target column is one of the model's inputs or is not one of its
        targets, or in the cases in which `rhohat.open_rows` raises it.
    """
    check_is_fitted(estimator_of(model))
    first: Any = _first_step_of(model)
    data = padded_for(first, data) if isinstance(first, ShapedRows) else data
    names, reading = getattr(first, "feature_names_in_", None), getattr(first, "reading_", None)
    kinds = tuple(column.kind for column in first.columns_) if isinstance(first, TablePreprocessor) else None
    selection = ColumnsOfAFit(
        None if names is None else tuple(map(str, names)), first.n_features_in_, reading, frozenset(how), kinds
    )
    told: dict[str, Any] = {"missing": "keep"} if fills_in_missing(first) else {}
    told |= {} if kinds is None else {"texts": "code"}
    if isinstance(data, str | PathLike) and reading is not None:
        said = {part.name: how[part.name] for part in fields(TextFormat) if part.name in how}
        told |= {"row_axes": reading.row_axes, **asdict(reading.text.changed(said))}
    how = {**told, **how}
    asked = () if target is None else (target,) if isinstance(target, str | int) else tuple(target)
    names_of_targets = getattr(estimator_of(model), "target_names_", None)
    targets = TargetsOfAFit(asked, names_of_targets, reading)
    has_axes = reading is not None and len(reading.row_shape or ()) > 1
    may_be_table = isinstance(data, str | PathLike) and (how.get("row_axes") or 1) == 1 and not has_axes
    if not asked and not (find_targets and may_be_table):
        return open_rows(data, columns=selection, **how)
    how.pop("row_axes", None)
    return open_table(data, targets, columns=selection, **how)[0]


def prepare_rows(model: Any, rows: RowSource) -> RowSource:
    """Return rows as the network of a fitted model receives them: preprocessed, block by block.

    Parameters
    ----------
    model : fitted estimator or Pipeline
    rows : RowSource

    Returns
    -------
    RowSource
        The preprocessed rows. Closing this source leaves `rows` open.

    Raises
    ------
    ValueError
        If the number or the names of the columns differ from those in the fit.

    Warns
    -----
    UserWarning
        If the scale of the rows differs from the scale of the rows in the fit.
    """
    steps = preprocessing_of(model)
    first = _first_step_of(model)
    if rows.shape[1] != first.n_features_in_:
        raise ValueError(
            f"{rows.name} has {rows.shape[1]} columns, but the model was fitted to rows of {first.n_features_in_}"
            " columns."
        )
    known = getattr(first, "feature_names_in_", None)
    if known is not None and rows.feature_names is not None and list(known) != rows.feature_names:
        raise ValueError(
            f"The columns of {rows.name} are {rows.feature_names}, but the model was fitted to the columns"
            f" {list(known)}, in this order."
        )
    steps, rows = _past_table(steps, rows)
    _warn_of_other_scale(steps, estimator_of(model), rows)
    prepared = open_rows(rows, transform=_Steps(steps) if steps else None)
    prepared.scale_is_known = True
    return prepared


def prepared_block(rows: FloatArray) -> RowSource:
    """Return some rows of what `prepare_rows` returned as a source, whose scale is not remarked on once more."""
    source = open_rows(rows)  # scikit-learn would warn that an array has no column names
    source.scale_is_known = True
    return source


def fills_in_missing(step: Any) -> bool:
    """Return whether the first step of a model fills in missing values."""
    return isinstance(step, MeanImputer) or (isinstance(step, TablePreprocessor) and step.missing == "impute")


def _after_table(steps: list[Any]) -> list[Any]:
    """Return the steps without a first one that takes tables of texts, whose rows must be known by their source."""
    return steps[1:] if steps and isinstance(steps[0], TablePreprocessor) else steps


def rows_of_last_step(model: Any, rows: RowSource) -> RowSource:
    """Return rows as the last step of a fitted model receives them, such as a detector; see `prepare_rows`."""
    steps, rows = _past_table(steps_before(model), rows)
    return open_rows(rows, transform=_Steps(steps)) if steps else rows


def _past_table(steps: list[Any], rows: RowSource) -> tuple[list[Any], RowSource]:
    """Return the steps after a first one that takes tables of texts, and the rows that it makes, if there is one."""
    after = _after_table(steps)
    if len(after) == len(steps):
        return steps, rows
    first = copy(steps[0])
    first.__dict__.pop("_sklearn_output_config", None)  # a row source cannot become a DataFrame
    return after, open_rows(first.transform(rows))  # which is not `rows`, so that closing it leaves `rows` open


def _warn_of_other_scale(steps: list[Any], estimator: Any, rows: RowSource) -> None:
    """Warn if a sample of rows differs in scale from the training range of the first step that stores one."""
    some: Any = some_rows(rows)
    if some is None:
        return
    for step in steps:
        if hasattr(step, "training_range_"):
            warn_of_other_scale(step, some, stacklevel=4)
            return
        some = _Steps([step])(some)
    warn_of_other_scale(estimator, some, stacklevel=4)


def fit_model(model: _Model, rows: RowSource, y: ArrayLike | None = None) -> _Model:
    """Fit a model, step by step, to rows of any source; all rows are loaded into memory only if a step needs this.

    Steps that can be fitted to a row source receive the source, and steps with a method `partial_fit` receive one block
    of rows at a time. Other steps, such as scikit-learn's PCA, receive all rows at once, in memory.

    Parameters
    ----------
    model : estimator or Pipeline
    rows : RowSource
    y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
        Targets, for estimators that learn from targets.

    Returns
    -------
    The fitted model.
    """
    estimator, steps = last_step_of(model), steps_before(model)
    done: list[Any] = []
    if len(_after_table(steps)) < len(steps):
        steps[0].fit(rows)
        steps, rows = _past_table(steps, rows)
    for step in steps:
        seen = open_rows(rows, transform=_Steps(done)) if done else rows
        _fit_step(step, seen)
        if not done:
            remember_columns(step, rows)
        done.append(step)
    prepared = open_rows(rows, transform=_Steps(done)) if done else rows
    estimator.fit(prepared, y)
    return model


def encode_blocks(model: Any, rows: RowSource) -> Iterator[Any]:
    """Yield the codes of rows block by block, in order: the estimator's `codes` of the preprocessed rows.

    Parameters
    ----------
    model : fitted estimator or Pipeline
    rows : RowSource
        Rows before preprocessing.

    Yields
    ------
    array of shape (n_rows, n_units), or csr_array of shape (n_rows, n_components)
        Codes of the next block of rows, which are sparse for a dictionary. The next iteration overwrites an array, so
        copy what you want to keep.
    """
    yield from estimator_of(model).code_blocks(prepare_rows(model, rows))


def reconstruct_blocks(model: Any, rows: RowSource) -> Iterator[FloatArray]:
    """Yield the reconstructions of rows by an autoencoder, in the units of the data, block by block, in order.

    Parameters
    ----------
    model : fitted autoencoder or dictionary, or Pipeline that ends in one
    rows : RowSource
        Rows before preprocessing.

    Yields
    ------
    array of shape (n_rows, n_features)
        Reconstructions of the next block of rows, after the inverse of every preprocessing step that has an inverse.
        Information that the preprocessing has removed, such as the means of patches, is not restored. For a model of
        tables with texts, these are arrays of objects, in which None is a missing value.

    Raises
    ------
    ValueError
        If the model ends in an estimator that learns from targets.
    """
    estimator = estimator_of(model)
    back = [step.inverse_transform for step in reversed(preprocessing_of(model)) if hasattr(step, "inverse_transform")]
    prepared = prepare_rows(model, rows)
    for block in estimator.reconstruction_blocks(prepared):
        for undo in back:
            block = np.asarray(undo(block))  # rows of a table may be a frame
        yield block


def suggest_preprocessing(rows: RowSource) -> list[Any]:
    """Return unfitted transformers that make rows suitable for learning; none if all numbers are in [0, 1].

    Images with negative numbers, such as whitened patches, are normalised patch by patch (`PatchNormalizer`). Other
    images are scaled as a whole (`RangeScaler`). Floats of 16 or 32 bits in more than 64 columns without names are
    taken for activations of another network, and centred and scaled by one common factor (`ActivationScaler`). The
    columns of other tables are scaled one by one (scikit-learn's `MinMaxScaler`).

    Parameters
    ----------
    rows : RowSource
        Rows before preprocessing; all of them are read once.

    Returns
    -------
    list of transformers
    """
    low, high = rows.extent()
    if low >= 0 and high <= 1:
        return []
    if len(rows.row_shape) == 1 and _may_be_activations(rows):
        return [ActivationScaler()]
    if len(rows.row_shape) == 1:
        return [transformers()["MinMaxScaler"]()]
    return [PatchNormalizer() if low < 0 else RangeScaler()]


def _may_be_activations(rows: RowSource) -> bool:
    """Return whether rows look like activations of a network: many unnamed columns of numbers of at most 32 bits."""
    return rows.dtype == np.float32 and rows.shape[1] > _MOST_COLUMNS_OF_A_TABLE and rows.feature_names is None


def _fit_step(step: Any, rows: RowSource) -> None:
    """Fit a transformer to the rows of a source, block by block if the transformer supports it."""
    if isinstance(step, ActivationScaler | MeanImputer | PatchNormalizer | RangeScaler | ZCAWhitening):
        step.fit(rows)
    elif hasattr(step, "partial_fit"):
        for name in [name for name in vars(step) if name.endswith("_") and not name.startswith("_")]:
            delattr(step, name)  # set by an earlier fit
        for block in rows.blocks(rows.rows_at_once):
            step.partial_fit(block)
    else:
        step.fit(rows.read(0, len(rows)))


class _Steps:
    """A chain of fitted transformers for blocks of rows, without the checks of column names and scales."""

    def __init__(self, steps: Sequence[Any]) -> None:
        self._steps = [copy(step) for step in steps]
        for step in self._steps:
            step.__dict__.pop("feature_names_in_", None)  # blocks of rows have no names
            step.__dict__.pop("training_range_", None)  # the scale is compared once, for the source as a whole

    def __call__(self, rows: FloatArray) -> Any:
        for step in self._steps:
            rows = step.transform(rows)
        return rows
