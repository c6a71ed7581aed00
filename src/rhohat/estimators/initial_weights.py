"""Initial weights that a user gives as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import SettingError
from rhohat.layers.network import Network

__all__ = ["theta_of_arrays"]


def theta_of_arrays(network: Network, given: Sequence[ArrayLike], drawn: FloatArray) -> FloatArray:
    """Return the vector θ of a network that starts at given arrays.

    Parameters
    ----------
    network : Network
    given : array-like
        The weights of all layers; or these, followed by the biases of all layers; or θ. If weights are tied, those of
        the decoder are left out.
    drawn : array of shape (n_parameters,)
        A start that has what is not given, such as biases.

    Returns
    -------
    array of shape (n_parameters,), float64

    Raises
    ------
    ValueError
        If the arrays do not have the shapes that the network needs, or are not finite.
    """
    weights, biases, own = network.unpack(drawn.copy())
    n_free = network.layout.n_free
    arrays = _as_arrays(given)
    if arrays is not None and len(arrays) > 1 and not any(array.ndim for array in arrays):
        arrays = [np.array(arrays, dtype=np.float64)]  # θ, number by number
    shapes = [] if arrays is None else [array.shape for array in arrays]
    if shapes == [drawn.shape] and arrays is not None:
        return _finite(arrays)[0].copy()
    if shapes == [W.shape for W in weights[:n_free]] and arrays is not None:
        return network.pack([*_finite(arrays), *weights[n_free:]], biases, own)
    if shapes == [one.shape for one in (*weights[:n_free], *biases)] and arrays is not None:
        found = _finite(arrays)
        return network.pack([*found[:n_free], *weights[n_free:]], found[n_free:], own)
    raise SettingError(
        f"initial_weights must be arrays of the shapes {[W.shape for W in weights[:n_free]]}, the weights layer by"
        f" layer, if you like followed by the biases of the shapes {[b.shape for b in biases]}, or one vector of all"
        f" {drawn.size:,} parameters; got {'something else' if arrays is None else f'the shapes {_short(shapes)}'}."
    )


def _as_arrays(given: Any) -> list[NDArray[np.float64]] | None:
    """Return what was given as a list of arrays of numbers; None if it is no such thing."""
    try:
        if isinstance(given, np.ndarray) and given.ndim == 1 and given.dtype != object:
            return [given.astype(np.float64)]
        return [np.asarray(one, dtype=np.float64) for one in given]
    except (TypeError, ValueError):
        return None


def _short(shapes: Sequence[tuple[int, ...]]) -> str:
    return str(list(shapes)) if len(shapes) <= 20 else f"{list(shapes[:3])} and {len(shapes) - 3:,} more"


def _finite(arrays: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    if not all(np.isfinite(array).all() for array in arrays):
        raise SettingError("initial_weights must have finite numbers; got NaN or infinity.")
    return arrays
