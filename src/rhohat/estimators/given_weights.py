"""Checks of weights that come from another program or a paper, before they are put into an estimator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rhohat.common.arrays import FloatArray
from rhohat.layers.network import Network

__all__ = ["GivenWeights"]


class GivenWeights:
    """Weights, biases and parameters of activations, layer by layer, that a user has given.

    Parameters
    ----------
    coefs : sequence of arrays of shape (s_l, s_{l+1})
        Weights. If weights are tied, the weights of the encoder are enough.
    intercepts : sequence of arrays of shape (s_{l+1},)
        Biases.
    activation_parameters : sequence of arrays or None, default=None
        Learned parameters of the activations; an empty array or None for a layer whose activation has none.
    tied : bool, default=False
        Whether the decoder uses the transposed weights of the encoder.

    Attributes
    ----------
    layer_sizes : tuple of int
        Number of units in each layer except the output, whose number of units depends on its activation.
    width : int
        Number of pre-activations of the output layer.

    Raises
    ------
    ValueError
        If the arrays are not matrices and vectors of finite numbers with matching shapes.
    """

    def __init__(
        self,
        coefs: Sequence[ArrayLike],
        intercepts: Sequence[ArrayLike],
        activation_parameters: Sequence[ArrayLike | None] | None = None,
        *,
        tied: bool = False,
    ) -> None:
        self._coefs = [_numbers(one, f"coefs[{layer}]", 2) for layer, one in enumerate(coefs)]
        self._intercepts = [_numbers(one, f"intercepts[{layer}]", 1) for layer, one in enumerate(intercepts)]
        self._own = activation_parameters
        if tied:
            self._tie()
        if not self._coefs or len(self._coefs) != len(self._intercepts):
            raise ValueError(
                f"coefs and intercepts must each have one array for every layer; got {len(self._coefs)} arrays in coefs"
                f" and {len(self._intercepts)} in intercepts."
            )
        for layer, (W, b) in enumerate(zip(self._coefs, self._intercepts, strict=True)):
            if W.shape[1] != len(b):
                raise ValueError(
                    f"intercepts[{layer}] must have {W.shape[1]} numbers, one for each column of coefs[{layer}]; got"
                    f" {len(b)}."
                )
        self.layer_sizes = tuple(len(W) for W in self._coefs)
        self.width = len(self._intercepts[-1])

    def theta(self, network: Network) -> FloatArray:
        """Return the given arrays as the flat vector θ of a network: float32 if all arrays are float32, else float64.

        Raises
        ------
        ValueError
            If the arrays do not have the shapes that the network needs.
        """
        for layer, (W, shape) in enumerate(zip(self._coefs, network.layout.weight_shapes, strict=True)):
            if W.shape != shape:
                raise ValueError(
                    f"coefs[{layer}] must have the shape {shape}, as the layers have {network.layer_sizes} units and"
                    f" the activations {[a.name for a in network.activations]}; got the shape {W.shape}."
                )
        own = self._activation_parameters(network.layout.n_own)
        given = [*self._coefs, *self._intercepts, *(one for one in own if one.size)]
        dtype = np.float32 if all(array.dtype == np.float32 for array in given) else np.float64
        return network.pack(self._coefs, self._intercepts, own).astype(dtype)

    def _tie(self) -> None:
        """Set the decoder's weights to the encoder's transposed weights, or check that the given ones are equal."""
        encoder = self._coefs[: len(self._intercepts) // 2]
        tied = [*encoder, *(W.T for W in reversed(encoder))]
        if len(self._coefs) > len(encoder) and not (
            len(self._coefs) == len(tied) and all(map(np.array_equal, self._coefs, tied))
        ):
            raise ValueError(
                "with tied_weights=True, the matrices of the decoder in coefs must be the transposed matrices of the"
                " encoder; set tied_weights=False, or pass only the matrices of the encoder."
            )
        self._coefs = tied

    def _activation_parameters(self, sizes: Sequence[int]) -> list[NDArray[Any]]:
        given = [None] * len(sizes) if self._own is None else list(self._own)
        if len(given) != len(sizes):
            raise ValueError(
                f"activation_parameters must have an entry for each of the {len(sizes)} layers; got {len(given)}."
            )
        found = []
        for layer, (one, size) in enumerate(zip(given, sizes, strict=True)):
            array = np.empty(0, np.float32) if one is None else _numbers(one, f"activation_parameters[{layer}]", 1)
            if len(array) != size:
                raise ValueError(
                    f"activation_parameters[{layer}] must have {size} numbers, the learned parameters of this layer's"
                    f" activation; got {len(array)}."
                )
            found.append(array)
        return found


def _numbers(array: ArrayLike, name: str, n_dimensions: int) -> NDArray[Any]:
    """Return the argument as an array of floats, or raise ValueError if it is not an array of finite numbers."""
    found = np.asarray(array)
    if found.dtype.kind not in "buif" or found.ndim != n_dimensions or not np.all(np.isfinite(found)):
        kind = "a matrix" if n_dimensions == 2 else "a vector"
        raise ValueError(f"{name} must be {kind} of finite real numbers; got shape {found.shape}, dtype {found.dtype}.")
    return found if found.dtype == np.float32 else found.astype(np.float64)
