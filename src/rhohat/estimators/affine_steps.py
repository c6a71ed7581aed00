"""Folding of preprocessing into the first layer of a network: affine steps become a part of its weights and biases."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError

from rhohat.common.arrays import FloatArray
from rhohat.common.forks import held_off
from rhohat.common.randomness import keyed_generator
from rhohat.data import PatchNormalizer

__all__ = ["apply_step", "fold_steps", "not_fitted", "steps_of"]

_FAR = 2.0**30  # distance along each axis at which a step is looked at; rounding errors are divided by it
_EXPONENTS = (-20, -10, -4, -1, 0, 1, 4, 8, 12, 20)  # powers of two: sizes of rows on which a step must be affine
_EACH = 3  # number of such rows of each size
_AT_ONCE = 256  # axes that are looked at together
_ROUNDING = 1e-6  # relative; a step may compute in float32

_INSTEAD = (
    "use ZCAWhitening, RangeScaler, or scikit-learn's StandardScaler or MinMaxScaler(clip=False) in its place, and fit"
    " the autoencoder anew."
)


def steps_of(model: Any) -> tuple[list[Any], Any]:
    """Return the preprocessing steps of a model, and its estimator: the model itself or the last step of a pipeline."""
    module = sys.modules.get("sklearn.pipeline")  # it is imported where there is a pipeline
    if module is None or not isinstance(model, module.Pipeline):
        return [], model
    *steps, last = [step for _, step in model.steps]
    return [step for step in steps if step is not None and step != "passthrough"], last


def fold_steps(steps: Iterable[Any], W: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the weights and biases of a layer that computes from raw rows what a layer computes from prepared ones.

    Each step is a function T(x) = x A + t of a row, so that T(x) W + b = x (A W) + (t W + b).

    Parameters
    ----------
    steps : iterable of fitted transformers
        The steps, in the order in which they are applied to rows.
    W : array of shape (n_prepared_features, n_units)
        Weights of the layer.
    b : array of shape (n_units,)
        Biases of the layer.

    Returns
    -------
    W : array of shape (n_features, n_units), float64
    b : array of shape (n_units,), float64

    Raises
    ------
    NotFittedError
        If a step is not fitted.
    ValueError
        If a step is not an affine function of a row.
    """
    W, b = W.astype(np.float64), b.astype(np.float64)
    for step in reversed(list(steps)):
        if isinstance(step, PatchNormalizer):
            raise ValueError(
                f"the step {type(step).__name__} cannot be folded into a convolution, because it truncates numbers at"
                f" {step.n_deviations:g} standard deviations, so that it is no affine function of a patch; {_INSTEAD}"
            )
        W, b = _fold(step, W, b)
    return W, b


def _fold(step: Any, W: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Fold one step into weights and biases, after comparing it with an affine function on rows of many sizes."""
    known = getattr(step, "n_features_in_", None)
    n_features = W.shape[0] if known is None else int(known)
    rows = _rows_of_many_sizes(n_features)
    found = apply_step(step, rows)
    offset = apply_step(step, np.zeros((1, n_features)))[0]
    folded = np.empty((n_features, W.shape[1]))
    expected, size = np.tile(offset, (len(rows), 1)), np.tile(np.abs(offset), (len(rows), 1))
    for start in range(0, n_features, _AT_ONCE):
        axes = slice(start, min(start + _AT_ONCE, n_features))
        unit_rows = np.zeros((axes.stop - start, n_features))
        unit_rows[:, axes] = _FAR * np.eye(axes.stop - start)
        A = (apply_step(step, unit_rows) - offset) / _FAR
        with held_off():
            folded[axes] = A @ W
            expected += rows[:, axes] @ A
            size += np.abs(rows[:, axes]) @ np.abs(A)
    alone = apply_step(step, rows[-1:])  # a step may depend on the rows that it sees together
    for computed, those in ((found, slice(None)), (alone, slice(-1, None))):
        if not (np.abs(computed - expected[those]) <= _ROUNDING * size[those]).all():
            raise _not_affine(step)
    return folded, offset @ W + b


def _rows_of_many_sizes(n_features: int) -> FloatArray:
    """Return rows of numbers of both signs, and rows of positive numbers, of many orders of magnitude."""
    rows: FloatArray = keyed_generator(0, "rows for affine steps").normal(size=(len(_EXPONENTS), _EACH, n_features))
    rows[:, -1] = np.abs(rows[:, -1])
    rows *= 2.0 ** np.array(_EXPONENTS)[:, None, None]
    return rows.reshape(-1, n_features)


def apply_step(step: Any, rows: FloatArray) -> FloatArray:
    """Return rows that a step has transformed, without warnings about their scale or about names of columns.

    Raises
    ------
    NotFittedError
        If the step is not fitted.
    ValueError
        If it does not transform these rows to as many rows of numbers.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            transformed = np.asarray(step.transform(rows), dtype=np.float64)
        except NotFittedError as error:
            raise not_fitted(step) from error
        except (TypeError, ValueError, ArithmeticError) as error:
            raise _not_affine(step) from error
    if transformed.ndim != 2 or len(transformed) != len(rows):
        raise _not_affine(step)
    return transformed


def not_fitted(part: Any) -> NotFittedError:
    """Return the error that a part of a model is not fitted."""
    return NotFittedError(
        "autoencoder must be fitted to patches before its features can be convolved, but its"
        f" {type(part).__name__} is not fitted; call its fit first."
    )


def _not_affine(step: Any) -> ValueError:
    return ValueError(
        f"the step {type(step).__name__} cannot be folded into a convolution, because it is no affine function of a"
        f" patch; {_INSTEAD}"
    )
