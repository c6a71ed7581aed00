"""Sequences of unequal length, padded to rows of the same shape with NaN."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.words import counted

__all__ = ["as_sequences", "check_steps", "existing_steps", "lengths_of"]


def as_sequences(
    sequences: ArrayLike | Sequence[ArrayLike], lengths: ArrayLike | None = None, *, n_steps: int | None = None
) -> FloatArray:
    """Return sequences of unequal length as an array, in which the steps past the end of a sequence are NaN.

    Every estimator with recurrent layers takes such an array, in `fit` as in all other methods, and steps that are NaN
    have no influence on anything.

    Parameters
    ----------
    sequences : list of arrays of shape (n_steps_i, n_channels), or array of shape (n_samples, n_steps, n_channels)
        The sequences. Arrays with an axis less are sequences of one channel.
    lengths : array-like of int, of shape (n_samples,), default=None
        Number of steps of each sequence of a padded array, at least 1; what is past them is ignored, whatever it is.
    n_steps : int, default=None
        Number of steps of the result, at least 1; None means that of the longest sequence, or of the array.

    Returns
    -------
    array of shape (n_samples, n_steps, n_channels)
        The padded sequences: float32 if all sequences are float32, else float64.

    Raises
    ------
    ValueError
        If there are no sequences, a sequence has no steps or more than `n_steps`, numbers of channels differ or are 0,
        or lengths are not one per sequence or lie beyond the array.

    Examples
    --------
    >>> as_sequences([[1.0, 2.0, 3.0], [4.0]])[:, :, 0]
    array([[ 1.,  2.,  3.],
           [ 4., nan, nan]])
    >>> as_sequences(np.zeros((2, 3, 1)), lengths=[2, 3])[:, :, 0]
    array([[ 0.,  0., nan],
           [ 0.,  0.,  0.]])
    """
    if not np.iterable(sequences) or isinstance(sequences, str | bytes):
        raise ValueError(f"sequences must be a list of arrays, or an array; got {sequences!r}.")
    arrays = [_with_channels(one, index) for index, one in enumerate(sequences)]
    if not arrays:
        raise ValueError("there must be at least one sequence; got none.")
    found = [len(one) for one in arrays]
    if lengths is not None:
        arrays = [one[:length] for one, length in zip(arrays, _checked_lengths(lengths, found), strict=True)]
    limit = max(found) if n_steps is None else n_steps
    if not isinstance(limit, Integral) or limit < 1:
        raise ValueError(f"n_steps must be an integer of at least 1; got {n_steps!r}.")
    n_channels = arrays[0].shape[1]
    for index, one in enumerate(arrays):
        if one.shape[1] != n_channels:
            raise ValueError(
                f"all sequences must have the same number of channels; sequence 0 has {n_channels}, but sequence"
                f" {index} has {one.shape[1]}."
            )
        if len(one) > limit:
            raise ValueError(f"sequence {index} has {counted(len(one), 'step')}, which is more than n_steps={limit}.")
    dtype = np.float32 if all(one.dtype == np.float32 for one in arrays) else np.float64
    padded = np.full((len(arrays), int(limit), n_channels), np.nan, dtype)
    for row, one in zip(padded, arrays, strict=True):
        row[: len(one)] = one
    return padded


def lengths_of(rows: NDArray[Any], n_steps: int) -> NDArray[np.intp]:
    """Return the number of steps of each row before its padding, from rows of shape (n_rows, n_steps × n_channels)."""
    exists = ~np.isnan(rows.reshape(len(rows), n_steps, -1)[:, :, 0])
    numbers: NDArray[np.intp] = exists.sum(axis=1)
    return numbers


def existing_steps(array: FloatArray, n_steps: int | None, rows: FloatArray | None = None) -> FloatArray:
    """Return the steps that exist, one below the other; the array itself if `n_steps` is None.

    Parameters
    ----------
    array : array of shape (n_rows, n_steps × n_units)
    n_steps : int or None
    rows : array of shape (n_rows, n_steps × n_channels), default=None
        Sequences that say which steps exist, with NaN past the end of each; None means the array itself.

    Returns
    -------
    array of shape (n_existing, n_units)

    Examples
    --------
    >>> existing_steps(np.array([[1.0, 2.0], [3.0, np.nan]]), 2)
    array([[1.],
           [2.],
           [3.]])
    """
    if n_steps is None:
        return array
    exists = ~np.isnan((array if rows is None else rows).reshape(len(array) * n_steps, -1)[:, 0])
    steps: FloatArray = array.reshape(len(exists), -1)[exists]
    return steps


def check_steps(rows: NDArray[Any], n_steps: int, name: str = "X", first: int = 0) -> None:
    """Raise ValueError if there are missing numbers in rows that are not steps past the end of a sequence.

    Parameters
    ----------
    rows : array of shape (n_rows, n_steps × n_channels)
    n_steps : int
    name : str, default="X"
        Name of the rows in messages.
    first : int, default=0
        Number of the first of these rows.
    """
    missing = np.isnan(rows)
    if not missing.any():
        return
    missing = missing.reshape(len(rows), n_steps, -1)
    lengths = lengths_of(rows, n_steps)
    expected = np.arange(n_steps) >= lengths[:, None]
    wrong = (missing != expected[:, :, None]).any(axis=(1, 2)) | (lengths == 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        what = "has no steps" if lengths[row] == 0 else "has missing numbers before its end"
        raise ValueError(
            f"sequence {first + row} of {name} {what}. A step past the end of a sequence is one whose numbers are all"
            " NaN, and every other number must be there; see rhohat.as_sequences."
        )


def _with_channels(given: Any, index: int) -> NDArray[Any]:
    """Return a sequence as an array of shape (n_steps, n_channels), or raise ValueError."""
    expected = f"sequence {index} must be an array of numbers of shape (n_steps, n_channels) or (n_steps,)"
    try:
        sequence = np.asarray(given)
    except ValueError:
        raise ValueError(f"{expected}; its steps have different numbers of channels.") from None
    if sequence.size == 0 and sequence.ndim in (1, 2):
        what = "channels" if sequence.ndim == 2 and len(sequence) else "steps"
        raise ValueError(f"sequence {index} has no {what}; each sequence must have at least one.")
    if sequence.ndim not in (1, 2) or sequence.dtype.kind not in "buif":
        raise ValueError(f"{expected}; got one of the shape {sequence.shape} and dtype {sequence.dtype}.")
    return sequence[:, None] if sequence.ndim == 1 else sequence


def _checked_lengths(lengths: ArrayLike, found: Sequence[int]) -> list[int]:
    """Return the lengths of sequences in an array, which has room for the steps in `found`, or raise ValueError."""
    given = np.asarray(lengths)
    if given.shape != (len(found),) or given.dtype.kind not in "iu":
        raise ValueError(
            f"lengths must be integers, one for each of the {counted(len(found), 'sequence')}; got an array of the"
            f" shape {given.shape} and dtype {given.dtype}."
        )
    beyond = np.flatnonzero((given < 1) | (given > found))
    if len(beyond):
        raise ValueError(
            f"lengths must be at least 1, and at most the {found[beyond[0]]} steps that there are; sequence"
            f" {beyond[0]} has the length {given[beyond[0]]}."
        )
    as_integers: list[int] = given.tolist()
    return as_integers
