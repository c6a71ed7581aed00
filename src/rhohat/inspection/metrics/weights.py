"""Metrics of a dictionary's weights: how similar its features are to one another, and encoders to decoders."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rhohat.common.arrays import FloatArray, float_dtype
from rhohat.inspection.metrics.rows import check_same_columns, unit_rows

__all__ = ["encoder_decoder_cosine", "largest_cosine", "nearest_rows"]

_COSINES_AT_ONCE = 2**22


def largest_cosine(W: ArrayLike) -> FloatArray:
    """Return the largest cosine similarity of each row of a matrix with another row.

    For a decoder, with one feature per row, values near 1 show features that were learned twice.

    Parameters
    ----------
    W : array-like of shape (n_rows, n_columns)
        At least two rows. A row of zeros has cosine similarity 0 with any row.

    Returns
    -------
    array of shape (n_rows,)
        The cosines, in [-1, 1], of the dtype of W if that is float32, else float64.

    Raises
    ------
    ValueError
        If W is not finite or has fewer than two rows.

    Notes
    -----
    The cosines are computed in blocks of some rows, in the dtype that is returned, so that no array of shape
    (n_rows, n_rows) is needed. The time grows with the square of the number of rows.

    Examples
    --------
    >>> largest_cosine([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]])
    array([0.6, 0.8, 0.8])
    """
    units = unit_rows(W, "W")
    n_rows = len(units)
    if n_rows < 2:
        raise ValueError("W must have at least two rows, since each row is compared with the others; got 1.")
    units = units.astype(float_dtype(np.asarray(W).dtype), copy=False)
    largest = np.full(n_rows, -1, units.dtype)
    for block in _blocks(n_rows, n_rows):
        # Each pair of rows is compared once: with itself, and with the rows after it.
        cosine = units[block] @ units[block.start :].T
        np.fill_diagonal(cosine, -1)
        np.maximum(largest[block], cosine.max(axis=1), out=largest[block])
        np.maximum(largest[block.start :], cosine.max(axis=0), out=largest[block.start :])
    return largest.clip(-1, 1)


def encoder_decoder_cosine(encoder: ArrayLike, decoder: ArrayLike) -> FloatArray:
    """Return the cosine similarity between the encoder's and the decoder's weights of each latent.

    Parameters
    ----------
    encoder, decoder : array-like of shape (n_components, n_features)
        Weights into and out of the latents, one latent per row. A matrix of shape (n_features, n_components), which
        holds one latent per column, has to be transposed.

    Returns
    -------
    array of shape (n_components,), float64
        The cosines, in [-1, 1]; 0 where one of the two rows is zero.

    Raises
    ------
    ValueError
        If the encoder or the decoder is not finite, or their shapes differ.

    Examples
    --------
    >>> encoder_decoder_cosine([[1.0, 0.0], [0.0, 2.0]], [[3.0, 4.0], [0.0, 1.0]])
    array([0.6, 1. ])
    """
    first, second = unit_rows(encoder, "encoder"), unit_rows(decoder, "decoder")
    if first.shape != second.shape:
        raise ValueError(
            f"encoder and decoder must have the same shape, one latent per row; got {first.shape} and {second.shape}."
        )
    cosine: FloatArray = np.einsum("ij,ij->i", first, second).clip(-1, 1)
    return cosine


def nearest_rows(A: ArrayLike, B: ArrayLike, names: str) -> NDArray[np.intp]:
    """Return, for each row of A, the number of the row of B with the largest magnitude of the cosine similarity.

    Parameters
    ----------
    A, B : array-like of shape (n_rows_a, n_columns) and (n_rows_b, n_columns)
    names : str
        Names of both for messages, joined by "and".

    Returns
    -------
    array of int, of shape (n_rows_a,)
        The first of several rows that are equally near.
    """
    first, second = (unit_rows(array, name) for array, name in zip((A, B), names.split(" and "), strict=True))
    check_same_columns(first, second, names)
    nearest = np.empty(len(first), np.intp)
    for block in _blocks(len(first), len(second)):
        nearest[block] = np.abs(first[block] @ second.T).argmax(axis=1)
    return nearest


def _blocks(n_rows: int, n_others: int) -> list[slice]:
    """Return ranges of rows, few enough in each that their cosines with all others take little memory."""
    at_once = max(1, _COSINES_AT_ONCE // n_others)
    return [slice(start, min(start + at_once, n_rows)) for start in range(0, n_rows, at_once)]
