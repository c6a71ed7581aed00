"""What the units of a model are, without any rows: what each looks for, and which others look for the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.estimators.base import BaseNetwork
from rhohat.inspection.gabor import gabor_fit

__all__ = ["Units", "describe_units", "most_similar"]

N_SIMILAR = 6
#: A Gabor fit takes about a tenth of a second. All units of a page get one, or none.
MOST_UNITS_FITTED, MOST_PIXELS_FITTED = 256, 256
_AT_ONCE = 512  # units that are compared with all


@dataclass(frozen=True)
class Units:
    """The units whose activations are the features learned.

    Attributes
    ----------
    inputs : array of shape (n_units, n_features)
        The input of norm 1 that activates each most.
    norms : array of shape (n_units,)
        Of the weights that come into each.
    gabor_r2 : array of shape (n_units,), or None
        None where it was not computed.
    similar : array of int, of shape (n_units, n_similar)
        The units whose inputs are most like a unit's, the most similar first.
    cosines : array of shape (n_units, n_similar)
        Of the angles between them.
    """

    inputs: FloatArray
    norms: FloatArray
    gabor_r2: FloatArray | None
    similar: NDArray[np.intp]
    cosines: FloatArray


def describe_units(estimator: BaseNetwork, image_shape: tuple[int, ...] | None, *, gabor: bool | None = None) -> Units:
    """Return what the units of a fitted estimator are.

    Parameters
    ----------
    estimator : fitted estimator
    image_shape : tuple of int, or None
        Of what it sees.
    gabor : bool, default=None
        Whether Gabor functions are fitted, to grey images. None: where these are small, and there are few units.

    Returns
    -------
    Units
    """
    inputs = np.asarray(estimator.maximal_inputs(), dtype=np.float64)
    n_units = len(inputs)
    incoming = estimator.coefs_[estimator.code_layer_ - 1]
    # A unit of several linear pieces has a column for each of them, those of one piece side by side.
    norms = np.linalg.norm(incoming.reshape(len(incoming), -1, n_units).astype(np.float64), axis=(0, 1))
    few = n_units <= MOST_UNITS_FITTED and inputs.shape[1] <= MOST_PIXELS_FITTED
    gabor_r2 = None
    if image_shape is not None and len(image_shape) == 2 and (few if gabor is None else gabor):
        gabor_r2 = gabor_fit(inputs, (image_shape[0], image_shape[1]))
    return Units(inputs, norms, gabor_r2, *most_similar(inputs))


def most_similar(vectors: FloatArray, n_similar: int = N_SIMILAR) -> tuple[NDArray[np.intp], FloatArray]:
    """Return which others are most like each vector, by the cosine of the angle between them.

    Parameters
    ----------
    vectors : array of shape (n_vectors, n_features)
        A vector of zeros has the cosine 0 with any other.
    n_similar : int, default=6

    Returns
    -------
    others : array of int, of shape (n_vectors, n_similar)
        The most similar first. Fewer columns where there are not so many others.
    cosines : array of shape (n_vectors, n_similar)

    Examples
    --------
    >>> others, cosines = most_similar(np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0]]), 1)
    >>> others.tolist(), cosines.round(3).tolist()
    ([[2], [2], [0]], [[0.894], [0.447], [0.894]])
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = vectors / np.where(lengths > 0, lengths, 1)
    n_vectors, n_similar = len(vectors), min(n_similar, len(vectors) - 1)
    others, cosines = np.empty((n_vectors, n_similar), np.intp), np.empty((n_vectors, n_similar))
    for start in range(0, n_vectors, _AT_ONCE):
        cosine = directions[start : start + _AT_ONCE] @ directions.T
        each = np.arange(len(cosine))
        cosine[each, start + each] = -np.inf  # not itself
        for place in range(n_similar):
            best = cosine.argmax(axis=1)
            others[start + each, place], cosines[start + each, place] = best, cosine[each, best]
            cosine[each, best] = -np.inf
    return others, cosines.clip(-1, 1)
