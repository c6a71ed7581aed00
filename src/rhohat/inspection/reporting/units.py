"""Description of the units of a model from its weights alone: maximal inputs, norms, Gabor R², and similar units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.estimators.base import BaseNetwork
from rhohat.inspection.gabor import gabor_fit
from rhohat.layers import TransposedConvolutionLayer

__all__ = ["Units", "describe_units", "middle_place", "most_similar", "units_shown"]

N_SIMILAR = 6
#: A Gabor fit takes about a tenth of a second. A page has Gabor fits of all its units, or of none.
MOST_UNITS_FITTED, MOST_PIXELS_FITTED = 256, 256
_AT_ONCE = 512  # number of units that are compared with all units at a time


@dataclass(frozen=True)
class Units:
    """Descriptions of the units whose activations are the learned features.

    Attributes
    ----------
    numbers : array of int, of shape (n_units,)
        Numbers of the units in their layer.
    inputs : array of shape (n_units, n_features)
        Input of norm 1 that activates each unit most.
    norms : array of shape (n_units,)
        Norm of the incoming weights of each unit.
    gabor_r2 : array of shape (n_units,), or None
        R² of the best Gabor function for each unit; None if it was not computed.
    similar : array of int, of shape (n_units, n_similar)
        For each unit, the units whose `inputs` are most similar to its own, the most similar unit first.
    cosines : array of shape (n_units, n_similar)
        Cosines of the angles between the `inputs` of each unit and of its similar units.
    """

    numbers: NDArray[np.intp]
    inputs: FloatArray
    norms: FloatArray
    gabor_r2: FloatArray | None
    similar: NDArray[np.intp]
    cosines: FloatArray


def describe_units(estimator: BaseNetwork, image_shape: tuple[int, ...] | None, *, gabor: bool | None = None) -> Units:
    """Return descriptions of the units of a fitted estimator.

    Parameters
    ----------
    estimator : fitted estimator
        Estimator whose units are described.
    image_shape : tuple of int, or None
        Shape of the rows as images; None if they are not images.
    gabor : bool, default=None
        Whether Gabor functions are fitted, which is possible for grey images only. If None, they are fitted if images
        have at most 256 pixels and there are at most 256 units.

    Returns
    -------
    Units
        Descriptions of the units that `units_shown` returns.
    """
    numbers, some = units_shown(estimator), middle_place(estimator) is not None
    inputs = np.asarray(estimator.maximal_inputs(numbers) if some else estimator.maximal_inputs(), dtype=np.float64)
    n_units = len(inputs)
    norms = _norms_of_weights(estimator)[numbers]
    few = n_units <= MOST_UNITS_FITTED and inputs.shape[1] <= MOST_PIXELS_FITTED
    gabor_r2 = None
    if image_shape is not None and len(image_shape) == 2 and (few if gabor is None else gabor):
        gabor_r2 = gabor_fit(inputs, (image_shape[0], image_shape[1]))
    return Units(numbers, inputs, norms, gabor_r2, *most_similar(inputs))


def units_shown(estimator: BaseNetwork) -> NDArray[np.intp]:
    """Return the numbers of the units that are described: all, or of feature maps one unit of each channel.

    All units of a channel look for the same at different places. The unit in the middle of its map stands for them.
    """
    shape, middle = estimator.network_.layers[estimator.code_layer_ - 1].output_shape, middle_place(estimator)
    if middle is None:
        return np.arange(estimator.network_.layer_sizes[estimator.code_layer_])
    return (middle[0] * shape[1] + middle[1]) * shape[2] + np.arange(shape[2])


def middle_place(estimator: BaseNetwork) -> tuple[int, int] | None:
    """Return the place, from 0, in the middle of the feature maps that the units of the code make; None without maps.

    Maps with a single place are none.
    """
    shape = estimator.network_.layers[estimator.code_layer_ - 1].output_shape
    if len(shape) != 3 or shape[:2] == (1, 1):
        return None
    return shape[0] // 2, shape[1] // 2


def _norms_of_weights(estimator: BaseNetwork) -> FloatArray:
    """Return the norm of the incoming weights of each unit of the code.

    The units of a channel share their weights. A unit of a layer without weights, such as pooling, has the norm of the
    channel that it sees.
    """
    layers, n_units = estimator.network_.layers, estimator.network_.layer_sizes[estimator.code_layer_]
    number = estimator.code_layer_ - 1
    while number > 0 and not layers[number].has_weights:
        number -= 1
    layer, W = layers[number], estimator.coefs_[number].astype(np.float64)
    if isinstance(layer, TransposedConvolutionLayer):
        W = np.moveaxis(W, 1, -1)
    # A unit with several linear pieces has a weight column for each piece; columns are ordered by piece, then by unit.
    norms = np.linalg.norm(W.reshape(-1, layer.output_channels), axis=0)
    return np.tile(norms, n_units // len(norms))


def most_similar(vectors: FloatArray, n_similar: int = N_SIMILAR) -> tuple[NDArray[np.intp], FloatArray]:
    """Return, for each vector, the other vectors that are most similar to it by the cosine of the angle.

    Parameters
    ----------
    vectors : array of shape (n_vectors, n_features)
        Vectors to compare. A vector of zeros has cosine 0 with any other vector.
    n_similar : int, default=6
        Number of similar vectors to return for each vector.

    Returns
    -------
    others : array of int, of shape (n_vectors, n_similar)
        Row numbers of the similar vectors, the most similar first. There are fewer columns if there are fewer other
        vectors.
    cosines : array of shape (n_vectors, n_similar)
        Cosines of the angles between each vector and its similar vectors.

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
        cosine[each, start + each] = -np.inf  # excludes the unit itself
        for place in range(n_similar):
            best = cosine.argmax(axis=1)
            others[start + each, place], cosines[start + each, place] = best, cosine[each, best]
            cosine[each, best] = -np.inf
    return others, cosines.clip(-1, 1)
